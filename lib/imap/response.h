/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/response.h - one response of a source server, parsed.
 *
 * The client's grammar is as lenient as forty kinds of server need, but never guesses where a value
 * ends. What it does not know it skips by IMAP's own rules, or gives as IMAP_RESPONSE_OTHER.
 *
 * Pure. Values are borrowed from the received text or live in the arena. RFC 9051 §7, §9.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "imap/date.h"
#include "imap/flag.h"
#include "imap/response_framer.h"
#include "imap/set.h"

enum imap_response_kind {
    IMAP_RESPONSE_OTHER,          /* untagged, not known: name holds the first word */
    IMAP_RESPONSE_CONTINUATION,   /* "+": status.text */
    IMAP_RESPONSE_STATUS,         /* OK NO BAD BYE PREAUTH: status; tagged when tag is not empty */
    IMAP_RESPONSE_CAPABILITY,     /* words */
    IMAP_RESPONSE_ENABLED,        /* words */
    IMAP_RESPONSE_LIST,           /* list */
    IMAP_RESPONSE_LSUB,           /* list */
    IMAP_RESPONSE_MAILBOX_STATUS, /* mailbox_status */
    IMAP_RESPONSE_SEARCH,         /* search */
    IMAP_RESPONSE_ESEARCH,        /* search */
    IMAP_RESPONSE_FLAGS,          /* flags */
    IMAP_RESPONSE_NAMESPACE,      /* namespace */
    IMAP_RESPONSE_ID,             /* id */
    IMAP_RESPONSE_EXISTS,         /* number */
    IMAP_RESPONSE_RECENT,         /* number */
    IMAP_RESPONSE_EXPUNGE,        /* number */
    IMAP_RESPONSE_VANISHED,       /* vanished */
    IMAP_RESPONSE_FETCH,          /* fetch */
};

enum imap_condition {
    IMAP_OK,
    IMAP_NO,
    IMAP_BAD,
    IMAP_BYE,
    IMAP_PREAUTH
};

enum imap_code {
    IMAP_CODE_NONE,
    IMAP_CODE_OTHER, /* code_name and code_text tell */
    IMAP_CODE_ALERT,
    IMAP_CODE_ALREADYEXISTS,
    IMAP_CODE_AUTHENTICATIONFAILED,
    IMAP_CODE_AUTHORIZATIONFAILED,
    IMAP_CODE_CAPABILITY, /* words */
    IMAP_CODE_CLOSED,
    IMAP_CODE_CONTACTADMIN,
    IMAP_CODE_EXPIRED,
    IMAP_CODE_EXPUNGEISSUED,
    IMAP_CODE_HIGHESTMODSEQ, /* number */
    IMAP_CODE_INUSE,
    IMAP_CODE_LIMIT,
    IMAP_CODE_MAILBOXID, /* code_text: the id, without parentheses */
    IMAP_CODE_NOMODSEQ,
    IMAP_CODE_NONEXISTENT,
    IMAP_CODE_NOPERM,
    IMAP_CODE_OVERQUOTA,
    IMAP_CODE_PERMANENTFLAGS, /* flags */
    IMAP_CODE_PRIVACYREQUIRED,
    IMAP_CODE_READ_ONLY,
    IMAP_CODE_READ_WRITE,
    IMAP_CODE_SERVERBUG,
    IMAP_CODE_THROTTLED,
    IMAP_CODE_TRYCREATE,
    IMAP_CODE_UIDNEXT,     /* number */
    IMAP_CODE_UIDVALIDITY, /* number */
    IMAP_CODE_UIDNOTSTICKY,
    IMAP_CODE_UNAVAILABLE,
    IMAP_CODE_UNSEEN, /* number */
};

struct imap_words {
    const struct bytes *words; /* as sent */
    size_t count;
};

bool imap_words_have(const struct imap_words *words, struct bytes word); /* ASCII case ignored */

struct imap_status_response {
    enum imap_condition condition;
    enum imap_code code;
    uint64_t number;         /* of the code */
    struct imap_words words; /* of the code */
    struct imap_flags flags; /* of the code */
    struct bytes code_name;  /* as sent; empty for CODE_NONE */
    struct bytes code_text;  /* what follows the name within the brackets */
    struct bytes text;       /* for humans; may hold any octet but CR, LF */
};

enum { /* mailbox attributes that change what we do */
    IMAP_MAILBOX_NOSELECT = 1,
    IMAP_MAILBOX_NONEXISTENT = 2,
    IMAP_MAILBOX_NOINFERIORS = 4,
    IMAP_MAILBOX_HAS_CHILDREN = 8,
    IMAP_MAILBOX_HAS_NO_CHILDREN = 16,
    IMAP_MAILBOX_SUBSCRIBED = 32,
    IMAP_MAILBOX_ALL = 64, /* special use, RFC 6154 */
    IMAP_MAILBOX_ARCHIVE = 128,
    IMAP_MAILBOX_DRAFTS = 256,
    IMAP_MAILBOX_FLAGGED = 512,
    IMAP_MAILBOX_JUNK = 1024,
    IMAP_MAILBOX_SENT = 2048,
    IMAP_MAILBOX_TRASH = 4096,
    IMAP_MAILBOX_IMPORTANT = 8192,
};

struct imap_list_response {
    uint32_t attributes;               /* IMAP_MAILBOX_* */
    struct imap_words attribute_names; /* all of them, as sent */
    uint8_t delimiter;                 /* IMAP_NO_DELIMITER for NIL */
    struct bytes wire_name; /* opaque: imap_path_from_source. An unquoted NIL is a name here */
};

struct imap_mailbox_status_response {
    struct bytes wire_name;
    uint32_t has; /* IMAP_STATUS_* (list_args.h) of those numbers that came */
    uint64_t messages, recent, uidnext, uidvalidity, unseen, deleted, size_bytes, highestmodseq;
    struct bytes mailbox_id; /* RFC 8474 */
};

struct imap_search_response {
    const uint32_t *numbers; /* SEARCH: as sent, any order; 0 may occur and means nothing */
    size_t count;
    uint64_t modseq;     /* 0: none */
    struct imap_set all; /* ESEARCH; numbers of ALL */
    struct bytes tag;    /* ESEARCH */
    bool is_uid;         /* ESEARCH */
    bool has_all, has_min, has_max, has_count;
    uint32_t min, max;
    uint64_t match_count; /* COUNT */
};

struct imap_namespace {
    struct bytes prefix;
    uint8_t delimiter; /* IMAP_NO_DELIMITER for NIL */
};

struct imap_namespace_response {
    const struct imap_namespace *personal, *others, *shared;
    size_t personal_count, others_count, shared_count; /* 0 for NIL */
};

/* Of the fields of RFC 2971 §3.3, the one that tells one server from another. */
struct imap_id_response {
    struct bytes name; /* empty: not told */
};

struct imap_vanished_response {
    bool is_earlier;
    struct imap_set uids;
};

enum { /* which members of struct imap_fetch_response came */
    IMAP_HAS_UID = 1,
    IMAP_HAS_FLAGS = 2,
    IMAP_HAS_INTERNALDATE = 4,
    IMAP_HAS_RFC822_SIZE = 8,
    IMAP_HAS_MODSEQ = 16,
    IMAP_HAS_GM_MSGID = 32,
    IMAP_HAS_GM_THRID = 64,
    IMAP_HAS_EMAILID = 128,
    IMAP_HAS_THREADID = 256,
    IMAP_HAS_BODY = 512, /* BODY[…], RFC822 or BINARY[]: which of it, `section` tells */
    IMAP_HAS_GM_LABELS = 1024,
};

enum imap_body_kind {
    IMAP_BODY_NIL,      /* the server has no octets for us: pending, not empty */
    IMAP_BODY_TEXT,     /* octets are in `body`: a quoted string or a kept literal */
    IMAP_BODY_STREAMED, /* the caller streamed them; body_bytes tells how many */
};

struct imap_fetch_response {
    struct imap_seq seq;
    uint32_t has;        /* IMAP_HAS_* */
    struct imap_uid uid; /* 0 can be sent by a broken server; it is then not in `has` */
    struct imap_flags flags;
    struct imap_date_time internaldate; /* an unreadable date is skipped and not in `has` */
    uint64_t rfc822_size;
    uint64_t modseq;
    uint64_t gm_msgid, gm_thrid;
    struct imap_words gm_labels; /* without quotes; names of mailboxes are in their encoded form */
    struct bytes emailid, threadid;
    struct bytes section; /* of the body: empty, the whole message; "TEXT", "1.MIME" */
    enum imap_body_kind body_kind;
    struct bytes body;
    uint64_t body_bytes; /* TEXT and STREAMED */
};

struct imap_response {
    enum imap_response_kind kind;
    struct bytes tag;  /* empty: untagged */
    struct bytes name; /* the first word, as sent ("FETCH" behind its number) */
    union {
        struct imap_status_response status;
        struct imap_words words;
        struct imap_list_response list;
        struct imap_mailbox_status_response mailbox_status;
        struct imap_search_response search;
        struct imap_flags flags;
        struct imap_namespace_response namespace;
        struct imap_id_response id;
        uint32_t number;
        struct imap_vanished_response vanished;
        struct imap_fetch_response fetch;
    };
};

/*
 * Parses a whole response, the greeting too (a STATUS). ERR_SYNTAX, ERR_LIMIT: the response is
 * unusable, but framing holds: a caller may count it and go on. *out is untouched then.
 */
MUST_USE bool imap_parse_response(const struct imap_received *received, struct arena *arena,
                                  struct imap_response *out, struct err *err);

/*
 * At IMAP_RECEIVED_LITERAL: what the literal that follows belongs to. True when it is the value of
 * BODY[…], BINARY[] or RFC822 in a FETCH response: stream it. *out then holds the items that came
 * before it (UID often, not always: it may follow). False: any other literal; keep it, or stream
 * and forget one that is over the caller's patience.
 */
MUST_USE bool imap_peek_fetch(const struct imap_received *received, struct arena *arena,
                              struct imap_fetch_response *out);
