/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit/event.h - what an audit event says.
 *
 *     struct audit_event event = {
 *         .kind = AUDIT_FETCH, .token = secret_bytes(token), .account_id = 7, .mailbox_id = 31,
 *         .fields = AUDIT_FIELDS(AUDIT_I64("messages", 3), AUDIT_TEXT("uids", BYTES("4211:4213"))),
 *     };
 *
 * Fields hold ids, ranges, counts, addresses of peers and words of our own (a command's name, an
 * err_code), and the operator's queries: never subjects, an auditor's search terms, mailbox names,
 * passwords or what somebody typed as a name (people type passwords there). Plain borrowed values; any
 * thread.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

/* To add one: here, and its row in event.c. The names are stable: `audit log` and reports show them. */
enum audit_kind {
    AUDIT_LOGIN,          /* gate: remote, tls */
    AUDIT_LOGIN_FAILED,   /* gate: remote, reason, auditor when known */
    AUDIT_LOGOUT,         /* gate */
    AUDIT_EXAMINE,        /* imapd: EXAMINE, SELECT; STATUS is metadata and not audited */
    AUDIT_LIST,           /* imapd */
    AUDIT_FETCH,          /* imapd: uids, messages, items; one row for a long FETCH */
    AUDIT_SEARCH,         /* imapd: keys (names, not values), hits, searched, unsearched; CLI: the
                             operator's query, as typed, and its hash */
    AUDIT_REFUSED_WRITE,  /* imapd: command */
    AUDIT_SHOW,           /* CLI */
    AUDIT_EXPORT,         /* CLI: state, query (the one search text that is kept), position, format,
                             messages, octets, damaged, unreadable, sha256 of the file */
    AUDIT_SECRET_GIVEN,   /* gate: job, fence */
    AUDIT_SECRET_REFUSED, /* gate: job, fence, reason */
    AUDIT_PACK_REFUSED,   /* gate: pack, reason */
    AUDIT_GATE_REFUSED,   /* gate: door, reason, count */
    AUDIT_INIT,           /* CLI: administration from here on */
    AUDIT_ACCOUNT_ADD,
    AUDIT_ACCOUNT_EDIT,
    AUDIT_ACCOUNT_PAUSE,
    AUDIT_ACCOUNT_RESUME,
    AUDIT_ACCOUNT_REMOVE,
    AUDIT_ACCOUNT_CONSENT,
    AUDIT_CREDENTIAL_ADD, /* CLI: credential, its id; so the next two */
    AUDIT_CREDENTIAL_EDIT,
    AUDIT_CREDENTIAL_REMOVE,
    AUDIT_TOKEN_FETCHED, /* gate: job, forced, rotated */
    AUDIT_TOKEN_REFUSED, /* gate: job, reason */
    AUDIT_RECONCILE,     /* CLI: mailboxes, unexplained, pending */
    AUDIT_RETRY,         /* CLI: uids */
    AUDIT_IMPORT,
    AUDIT_AUDITOR_ADD,
    AUDIT_AUDITOR_PASSWD,
    AUDIT_GRANT,
    AUDIT_REVOKE,
    AUDIT_OPERATOR_SESSION, /* CLI: a reading child was given a token */
    AUDIT_MATTER,
    AUDIT_HOLD,
    AUDIT_RETENTION,
    AUDIT_DISPOSE,
    AUDIT_SEAL,
    AUDIT_VERIFY,
    AUDIT_REBUILD,
    AUDIT_KIND_COUNT,
};

const char *audit_kind_name(enum audit_kind kind); /* "login_failed"; constant */

/* True and *out when there is a kind of this name. */
MUST_USE bool audit_find_kind(struct bytes name, enum audit_kind *out);

enum audit_field_type {
    AUDIT_FIELD_END,
    AUDIT_FIELD_I64,
    AUDIT_FIELD_TEXT,
    AUDIT_FIELD_BOOL
};

struct audit_field {
    enum audit_field_type type;
    const char *name;
    int64_t number;
    /* Cut at AUDIT_TEXT_BYTES; controls become "?", and what is not ASCII in octets that are
     * not UTF-8. */
    struct bytes text;
};

enum {
    AUDIT_TEXT_BYTES = 1024,
    AUDIT_DETAIL_BYTES = 4096, /* of all fields as JSON */
    AUDIT_TOKEN_BYTES = 64,
};

#define AUDIT_I64(n, v)                                                                            \
    ((struct audit_field){ .type = AUDIT_FIELD_I64, .name = (n), .number = (v) })
#define AUDIT_BOOL(n, v)                                                                           \
    ((struct audit_field){ .type = AUDIT_FIELD_BOOL, .name = (n), .number = (v) })
#define AUDIT_TEXT(n, b)                                                                           \
    ((struct audit_field){ .type = AUDIT_FIELD_TEXT, .name = (n), .text = (b) })
#define AUDIT_FIELDS(...) ((const struct audit_field[]){ __VA_ARGS__, { .type = AUDIT_FIELD_END } })

struct audit_event {
    enum audit_kind kind;
    struct bytes token;               /* of the session that acted; empty: the process itself */
    int64_t account_id;               /* 0: none */
    int64_t mailbox_id;               /* 0: none */
    const struct audit_field *fields; /* ended by AUDIT_FIELD_END; NULL: none */
};
