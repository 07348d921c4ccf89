/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/account.h - accounts as the operator manages them: add, list, change, pause, remove.
 *
 * For the CLI, on a connection of the owner's role; each call is one transaction. Texts given in are
 * borrowed for the call; rows live in the caller's arena. Times are microseconds since 1970 UTC,
 * 0 where nothing happened yet. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "source/run.h"
#include "source/secret.h"

struct crypto_key;
struct db;

enum source_tls {
    SOURCE_TLS_IMPLICIT, /* from the first octet, 993 */
    SOURCE_TLS_STARTTLS, /* mandatory before anything is sent, 143 */
    SOURCE_TLS_NONE,     /* loopback only */
};

enum source_kind {
    SOURCE_KIND_IMAP,
    SOURCE_KIND_JOURNAL, /* its messages are journal reports (imap otherwise) */
    SOURCE_KIND_IMPORT,  /* no source: filled from files */
};

/* "imap", "journal", "import". */
struct bytes source_kind_name(enum source_kind kind);

enum {
    SOURCE_ACCOUNTS_MAX = 100000, /* rows of one list: the arena's ceiling counts before it */
    SOURCE_PINS_MAX = 8,
    SOURCE_EVERY_SECONDS = 300, /* when the operator does not say */
};

/* Archived besides the account's own mailboxes (RFC 2342); bits. */
enum {
    SOURCE_NAMESPACE_OTHERS = 1, /* other users' */
    SOURCE_NAMESPACE_SHARED = 2,
};

struct source_account_settings {
    enum source_kind kind; /* not changed by an edit */
    struct bytes name; /* UTF-8, 1 … LIMIT_ACCOUNT_NAME_BYTES, no "/" and no control character */
    struct bytes host; /* name or address, without brackets */
    uint16_t port;
    struct bytes login;
    enum source_tls tls;
    struct bytes tls_ca;         /* PEM, trusted instead of the system's store; empty: that store */
    const struct bytes *include; /* patterns on archive paths, "*" and "%"; none: everything */
    size_t include_count;
    const struct bytes *exclude; /* stronger than include */
    size_t exclude_count;
    int32_t every_seconds;        /* > 0 */
    uint32_t namespaces;          /* SOURCE_NAMESPACE_* */
    const struct bytes *tls_pins; /* "sha256/BASE64", of keys (net/tls.h); none: any key */
    size_t tls_pin_count;         /* at most SOURCE_PINS_MAX */
    bool is_pin_only;             /* the pins stand instead of CA, host name and dates */
    /* whose password it is, who may log in for `login`; empty: login's own */
    struct bytes login_as;
    bool is_added_paused; /* read by source_add_account alone: its job is not due yet */
};

/*
 * Adds the account, its secret sealed under the master key, and its sync job (due at once). Inside the
 * caller's transaction, as all that adds or edits: the audit row is of the same one.
 *
 * ERR_DENIED: the name is taken. ERR_SYNTAX: the name or a text is not acceptable, the text says why.
 */
MUST_USE bool source_add_account(struct db *db, const struct source_account_settings *account,
                                 const struct crypto_key *master,
                                 const struct source_secret *secret, int64_t *account_id,
                                 struct err *err);

/* Adds an account of kind SOURCE_KIND_IMPORT: a name alone. Errors as above. */
MUST_USE bool source_add_import_account(struct db *db, struct bytes name, int64_t *account_id,
                                        struct err *err);

/* *is_import: it is of that kind. */
MUST_USE bool source_is_import(struct db *db, int64_t account_id, bool *is_import, struct err *err);

enum { /* what source_edit_account changes */
    SOURCE_EDIT_NAME = 1,
    SOURCE_EDIT_HOST = 2, /* host and port */
    SOURCE_EDIT_LOGIN = 4,
    SOURCE_EDIT_TLS = 8,
    SOURCE_EDIT_TLS_CA = 16,
    SOURCE_EDIT_INCLUDE = 32,
    SOURCE_EDIT_EXCLUDE = 64,
    SOURCE_EDIT_EVERY = 128,
    SOURCE_EDIT_NAMESPACES = 1 << 20,
    SOURCE_EDIT_TLS_PINS = 1 << 21, /* and is_pin_only */
    SOURCE_EDIT_LOGIN_AS = 1 << 22,
    SOURCE_EDIT_KIND = 1 << 23, /* of source_put_account alone: compared, never changed */
    SOURCE_EDIT_URL = SOURCE_EDIT_HOST | SOURCE_EDIT_LOGIN | SOURCE_EDIT_TLS,
    /* to whom the secret goes, and whose it is */
    SOURCE_EDIT_PEER =
        SOURCE_EDIT_URL | SOURCE_EDIT_TLS_CA | SOURCE_EDIT_TLS_PINS | SOURCE_EDIT_LOGIN_AS,
};

/* Changes the members of `account` named in edit; secret: NULL, or the new one (then master is
 * needed). The account becomes due again, its back-off forgotten. One of SOURCE_EDIT_PEER takes a run that is
 * under way from its worker: the new secret is not for the old host. In the caller's transaction. ERR_ABSENT,
 * ERR_SYNTAX; ERR_DENIED: the name is taken, or more than the name of an account of kind import would change. */
MUST_USE bool source_edit_account(struct db *db, int64_t account_id, uint32_t edit,
                                  const struct source_account_settings *account,
                                  const struct crypto_key *master,
                                  const struct source_secret *secret, struct err *err);

/* One of many accounts as a list wants them (`holdfast account import`). */
enum source_put {
    SOURCE_PUT_ADDED,
    SOURCE_PUT_SAME,    /* it is there, and as wanted */
    SOURCE_PUT_DIFFERS, /* it is there, and stays as it is */
    SOURCE_PUT_CHANGED,
    SOURCE_PUT_RESULTS,
};

struct source_put_result {
    enum source_put what;
    int64_t account_id;
    uint32_t differs;    /* SOURCE_EDIT_* */
    bool secret_differs; /* or did */
};

/*
 * Adds the account, or compares the one of this name: of its settings those in `given` (SOURCE_EDIT_*),
 * and the secret (password or credential) unless NULL. may_change: then what differs is changed.
 *
 * Inside the caller's transaction, behind source_lock_names. ERR_SYNTAX: as of source_add_account, or a new one without a secret.
 * ERR_DENIED: an account of this name was removed, or is of another kind. Neither has touched the database.
 */
MUST_USE bool source_put_account(struct db *db, const struct source_account_settings *account,
                                 uint32_t given, const struct crypto_key *master,
                                 const struct source_secret *secret, bool may_change,
                                 struct arena *arena, struct source_put_result *out,
                                 struct err *err);

/* ERR_ABSENT: no account of this name; the text names it and says how to list them. Also finds
 * removed ones: their mail stays, and so does the name. */
MUST_USE bool source_find_account(struct db *db, struct bytes name, int64_t *account_id,
                                  struct err *err);

/* To the end of the caller's transaction nobody else adds or renames an account. */
MUST_USE bool source_lock_names(struct db *db, struct err *err);

/* A paused account keeps its place and is never due. Both may be said twice. ERR_ABSENT: it was removed. */
MUST_USE bool source_pause_account(struct db *db, int64_t account_id, struct err *err);
MUST_USE bool source_resume_account(struct db *db, int64_t account_id, struct err *err);

/* Ends ingestion for good and forgets the secret. Mail, placements and the name stay. */
MUST_USE bool source_remove_account(struct db *db, int64_t account_id, struct err *err);

struct source_account {
    int64_t account_id;
    struct source_account_settings settings;
    struct bytes kind; /* "imap", "journal", "import" */
    bool is_paused;
    bool has_secret;
    int64_t created_usec, removed_usec;
    uint64_t mailboxes; /* archived, \Noselect names not counted */
    uint64_t messages, octets;
    uint64_t pending;        /* UIDs seen at the source and not archived yet */
    int64_t enumerated_usec; /* when the mailbox that waits longest was last enumerated; 0: never */
    int64_t longest_gap_usec;
    struct source_run run; /* of its sync job */
};

struct source_account_list {
    const struct source_account *rows; /* by name */
    size_t count;
};

/* removed accounts: only when asked for. */
MUST_USE bool source_list_accounts(struct db *db, bool with_removed, struct arena *arena,
                                   struct source_account_list *out, struct err *err);
MUST_USE bool source_show_account(struct db *db, int64_t account_id, struct arena *arena,
                                  struct source_account *out, struct err *err);

/* One mailbox of an account, for `account show`, `reconcile` and `status`. */
struct source_mailbox_facts {
    int64_t mailbox_id;
    struct bytes path;        /* UTF-8 */
    struct bytes former_path; /* before its source renamed it; empty: it did not */
    bool is_noselect;
    int64_t gone_usec; /* no longer listed at the source since; 0: listed */
    uint64_t messages, octets;
    int32_t epoch;                           /* 0: never selected */
    uint32_t uidvalidity;                    /* of the source; 0: it gives none */
    uint64_t exists;                         /* at the source, at the last enumeration */
    uint64_t stored, pending, gone, skipped; /* UIDs of this epoch */
    uint64_t stored_gone;                    /* of stored: no longer at the source */
    /* of stored and at the source: known without a download (ingest/README 25) */
    uint64_t recognised;
    int64_t enumerated_usec, longest_gap_usec;
};

struct source_mailbox_facts_list {
    const struct source_mailbox_facts *rows; /* by path */
    size_t count;
};

MUST_USE bool source_list_mailbox_facts(struct db *db, int64_t account_id, struct arena *arena,
                                        struct source_mailbox_facts_list *out, struct err *err);

/* Why a mailbox that the source lists is not archived. */
enum source_left_out {
    SOURCE_NOT_LEFT_OUT,
    SOURCE_LEFT_OUT_BY_PATTERN, /* include and exclude */
    SOURCE_LEFT_OUT_OTHERS,     /* another user's, and not asked for */
    SOURCE_LEFT_OUT_SHARED,
    SOURCE_LEFT_OUT_REASONS,
};

struct source_left_out_mailbox {
    struct bytes path; /* UTF-8 */
    enum source_left_out reason;
    struct bytes rule; /* BY_PATTERN: the exclude that says no; empty: no include says yes */
    int64_t since_usec;
};

struct source_left_out_list {
    const struct source_left_out_mailbox *rows; /* by path */
    size_t count;
};

/* As the last complete list of the source was. */
MUST_USE bool source_list_left_out(struct db *db, int64_t account_id, struct arena *arena,
                                   struct source_left_out_list *out, struct err *err);

/* One mailbox as the last test of the account saw it at the source. */
struct source_listed {
    struct bytes path;
    struct bytes special_use; /* "\\Sent"; more than one: with blanks between; empty: none */
    bool is_noselect;
    enum source_left_out left_out;
    struct bytes rule; /* of SOURCE_LEFT_OUT_BY_PATTERN: the --exclude; empty: no --include */
    int64_t messages, octets; /* -1: not known */
};

struct source_listed_list {
    const struct source_listed *rows; /* INBOX first, then by path */
    size_t count;                     /* 0: never tested */
};

MUST_USE bool source_load_listing(struct db *db, int64_t account_id, struct arena *arena,
                                  struct source_listed_list *out, struct err *err);

/* Takes back source_add_account of an account that archived nothing yet. ERR_DENIED: it has. */
MUST_USE bool source_forget_account(struct db *db, int64_t account_id, struct err *err);

/* UIDs that are not archived yet, and files that an import could not read (uid 0, path of the file, octets of
 * any kind), for `holdfast failures`. account_id 0: of every account. */
struct source_failure {
    int64_t account_id, mailbox_id;
    struct bytes account_name, path;
    int32_t epoch;
    uint32_t uid;
    int32_t attempts;
    struct bytes error; /* of the last attempt; empty: none was made */
    int64_t first_seen_usec, next_try_usec;
};

struct source_failure_list {
    const struct source_failure *rows;
    size_t count;
};

/* At most max of them, those waiting longest first. */
MUST_USE bool source_list_failures(struct db *db, int64_t account_id, size_t max,
                                   struct arena *arena, struct source_failure_list *out,
                                   struct err *err);

/* Makes every pending UID due now; affected: how many. Runs are requested with source_request_run. */
MUST_USE bool source_retry_failures(struct db *db, int64_t account_id, uint64_t *affected,
                                    struct err *err);

/* UIDs of sources, over all accounts, that count as archived and whose octets were recognised, not downloaded. */
MUST_USE bool source_count_recognised(struct db *db, uint64_t *count, struct err *err);

/* Makes what was recognised, instead of downloaded, pending again: the next run downloads it. */
MUST_USE bool source_deny_recognised(struct db *db, int64_t account_id, uint64_t *affected,
                                     struct err *err);
