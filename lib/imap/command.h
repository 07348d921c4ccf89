/* SPDX-License-Identifier: Apache-2.0 */
/*
 * imap/command.h - one whole command of a client, parsed.
 *
 * To add a command: a row in command.c, its arguments here, its reader in the read_<topic>.c that
 * fits, a test, the dictionary of the fuzz target.
 *
 * Pure. Values are borrowed from the framed text or live in the command's arena. RFC 9051 §6, §9.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "imap/fetch_args.h"
#include "imap/list_args.h"
#include "imap/search_args.h"

enum imap_command_kind {
    IMAP_COMMAND_OTHER, /* tag and name only; the arguments were not looked at */
    IMAP_COMMAND_CAPABILITY,
    IMAP_COMMAND_NOOP,
    IMAP_COMMAND_LOGOUT,
    IMAP_COMMAND_STARTTLS,
    IMAP_COMMAND_AUTHENTICATE,
    IMAP_COMMAND_LOGIN,
    IMAP_COMMAND_ID,
    IMAP_COMMAND_ENABLE,
    IMAP_COMMAND_NAMESPACE,
    IMAP_COMMAND_SELECT,
    IMAP_COMMAND_EXAMINE,
    IMAP_COMMAND_STATUS,
    IMAP_COMMAND_LIST,
    IMAP_COMMAND_LSUB,
    IMAP_COMMAND_SUBSCRIBE,
    IMAP_COMMAND_UNSUBSCRIBE,
    IMAP_COMMAND_MYRIGHTS,
    IMAP_COMMAND_GETACL,
    IMAP_COMMAND_LISTRIGHTS,
    IMAP_COMMAND_IDLE,
    IMAP_COMMAND_CHECK,
    IMAP_COMMAND_CLOSE,
    IMAP_COMMAND_UNSELECT,
    IMAP_COMMAND_FETCH,  /* is_uid: UID FETCH */
    IMAP_COMMAND_SEARCH, /* is_uid: UID SEARCH */
};

struct imap_login_args {
    struct bytes username;
    struct bytes password; /* a secret: wiped with the framer's text, or copied arena (below) */
};

struct imap_authenticate_args {
    struct bytes mechanism; /* as sent */
    bool has_initial;       /* RFC 4959 */
    struct bytes initial;   /* base64 as sent; empty for "=" */
};

struct imap_id_field {
    struct bytes name;
    struct bytes value;
    bool is_nil; /* the value */
};

enum {
    IMAP_ID_FIELDS_MAX = 30,
    IMAP_ENABLE_MAX = 100,
    IMAP_PARAMS_MAX = 20
}; /* RFC 2971 §3.3 */

struct imap_id_args {
    const struct imap_id_field *fields; /* none for ID NIL */
    size_t count;
};

struct imap_enable_args {
    const struct bytes *capabilities; /* as sent */
    size_t count;
};

/* SELECT, EXAMINE, STATUS, SUBSCRIBE, UNSUBSCRIBE, MYRIGHTS, GETACL, LISTRIGHTS */
struct imap_mailbox_args {
    struct bytes mailbox;            /* encoded form: imap_decode_mailbox gives the path */
    uint32_t status_items;           /* STATUS: IMAP_STATUS_*, at least one */
    struct bytes identifier;         /* LISTRIGHTS */
    const struct imap_param *params; /* SELECT and EXAMINE: (CONDSTORE), (QRESYNC (…)) */
    size_t param_count;
};

struct imap_command {
    struct bytes tag;
    struct bytes name; /* upper case, in the arena; "UID" not included */
    enum imap_command_kind kind;
    bool is_uid; /* also with OTHER: UID STORE, UID COPY … */
    union {
        struct imap_login_args login;
        struct imap_authenticate_args authenticate;
        struct imap_id_args id;
        struct imap_enable_args enable;
        struct imap_mailbox_args mailbox;
        struct imap_list_args list; /* LIST, LSUB */
        struct imap_fetch_args fetch;
        struct imap_search_args search;
    };
};

/*
 * text: a framed command without its last line end (imap_framer_text).
 *
 * Success  *out is set. The whole of text was read; octets left over are an error.
 * Failure  ERR_SYNTAX or ERR_LIMIT: answer BAD with err->text. *out holds tag, name, kind and is_uid
 *          as far as they could be read (tag empty: "* BAD"), its arguments nothing.
 *
 * A LOGIN password with escapes is copied into the arena: the caller uses an arena of its own for
 * LOGIN or lets imap_wipe_login overwrite the copy when it has made a secret of it.
 */
MUST_USE bool imap_parse_command(struct bytes text, struct arena *arena, struct imap_command *out,
                                 struct err *err);

/* Overwrites the octets of the password, wherever they lie. */
void imap_wipe_login(struct imap_login_args *login);

/* Is the line the DONE that ends IDLE (any case, nothing else)? */
bool imap_is_done(struct bytes line);
