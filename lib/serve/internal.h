/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/internal.h - what the files of serve share: server, session, command, reply.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "imap/command.h"
#include "imap/command_framer.h"
#include "mime/part.h"
#include "serve/server.h"
#include "vault/read.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- server and threads: server.c, threads.c ------------------------------------------------ */

struct serve_session;

/* Sessions that are capped together: those of one auditor, and all that have not logged in. */
struct serve_load {
    struct serve_load *next;
    int64_t auditor_id;
    size_t sessions; /* the load lives while there are any */
    size_t active;   /* of them with a thread */
    size_t max_active;
};

struct serve_neighbour;

struct serve_thread {
    struct serve_server *server;
    struct serve_thread *next; /* in server->finished */
    pthread_t handle;
};

struct serve_listener {
    int fd;
    bool is_tls;
};

enum {
    SERVE_LISTENERS_MAX = 2 * CONF_ADDRESSES_MAX * 8,
    SERVE_READ_BYTES = 16 << 10, /* what one read asks for: a TLS record */
    SERVE_NEIGHBOUR_BUCKETS = 256,
};

struct serve_server {
    struct serve_settings settings;
    int epoll_fd;
    int wake_fd; /* eventfd: a connection was added, or the last session ended */
    struct serve_listener listeners[SERVE_LISTENERS_MAX];
    size_t listener_count;
    struct deadline listen_again; /* out of descriptors: not accepting until then */
    bool is_deaf;
    struct deadline refusal_told; /* the next refused connection that is logged */
    uint64_t refusals;            /* not logged since */

    pthread_mutex_t lock; /* LOCK_SERVE_SERVER: everything below, and "server's" in sessions */
    pthread_cond_t has_work;
    pthread_cond_t has_ended; /* a session or a thread */
    struct serve_session *sessions;
    size_t session_count;
    struct serve_session *queue; /* ready, without a thread; first come, first served */
    struct serve_session **queue_end;
    size_t queued;
    struct serve_load strangers;
    size_t auditors_active; /* of all loads but the strangers' */
    struct serve_neighbour *neighbours[SERVE_NEIGHBOUR_BUCKETS];
    struct serve_load *loads;
    size_t threads, idle_threads;
    struct serve_thread *finished; /* to be joined */
    uint64_t last_id;
    size_t ending;                 /* out of the list, and not yet freed */
    int64_t refusals_until_usec;   /* strangers' refused writes that were recorded, a second each */
    uint64_t unrecorded_refusals;  /* and those that were not, since */
    bool is_ended;                 /* threads end too */
    bool has_woken;                /* the watcher marked parked sessions: the loop takes them out */
    struct serve_watcher *watcher; /* NULL: none */

    /* written under the lock, read without it */
    atomic_bool is_crowded;  /* somebody waits in the queue */
    atomic_bool is_stopping; /* sessions end with their next turn */
};

/*
 *            serve_add_session
 *                  v
 *   .---------> PARKED <-----------------------------.
 *   |              | readable, deadline, stop          | serve_take_turn says READ or WRITE
 *   |              v                                   |
 *   |           QUEUED ---- a thread is free ----> ACTIVE ---- says END ----> freed
 *   |              ^                                   |
 *   |              '----------- says AGAIN ------------'
 */
enum serve_place {
    SERVE_PARKED, /* in epoll; belongs to the loop */
    SERVE_QUEUED, /* not in epoll; belongs to the lock */
    SERVE_ACTIVE, /* belongs to its thread */
};

enum serve_ending {
    SERVE_GOES_ON,
    SERVE_ENDS_IDLE,
    SERVE_ENDS_STOPPING,
    SERVE_ENDS_OVER, /* its login is */
};

/* What a turn says about the next one. */
enum serve_turn {
    SERVE_TURN_READ,  /* park until readable */
    SERVE_TURN_WRITE, /* park until writable */
    SERVE_TURN_AGAIN, /* others wait: to the end of the queue */
    SERVE_TURN_END,
};

/* ---- session: session.c --------------------------------------------------------------------- */

/*
 *   HANDSHAKE --shake_hands--> GREETING --greet--> NOT_AUTHENTICATED --serve_do_login--> AUTHENTICATED
 *   NOT_AUTHENTICATED --serve_do_starttls--> HANDSHAKE (greeted) --> NOT_AUTHENTICATED
 *   AUTHENTICATED --serve_do_select--> SELECTED --serve_do_close, failed select--> AUTHENTICATED
 *   any --LOGOUT, BYE, broken stream--> ENDED
 */
enum serve_state {
    SERVE_HANDSHAKE,
    SERVE_GREETING,
    SERVE_NOT_AUTHENTICATED,
    SERVE_AUTHENTICATED,
    SERVE_SELECTED,
    SERVE_ENDED,
};

/* What the next octets of the client belong to. */
enum serve_awaits {
    SERVE_AWAITS_COMMAND,
    SERVE_AWAITS_SASL, /* a line that answers our "+" in AUTHENTICATE */
    SERVE_AWAITS_DONE, /* the line that ends IDLE */
};

enum { /* the states of a command's row */
    IN_NOT_AUTHENTICATED = 1,
    IN_AUTHENTICATED = 2,
    IN_SELECTED = 4,
    IN_LOGGED_IN = IN_AUTHENTICATED | IN_SELECTED,
    IN_ANY = IN_NOT_AUTHENTICATED | IN_LOGGED_IN,
};

/*
 * The selected mailbox as this session sees it: what one transaction saw. It is replaced by a newer
 * one at command borders only (README 3), so sequence numbers hold still during FETCH and SEARCH.
 */
struct serve_view {
    struct arena *arena;          /* owned; holds the mailbox's ranges and keywords */
    struct vault_mailbox mailbox; /* of INBOX: no messages, mailbox_id 0 */
    uint32_t exists;
    uint64_t modseq; /* changes up to it were told */
};

struct serve_session {
    struct serve_server *server;
    uint64_t id;

    /* the server's */
    struct serve_session *next, **link; /* in server->sessions */
    struct serve_session *queue_next;
    enum serve_place place;
    bool is_watched; /* epoll knows the descriptor */
    enum serve_ending ending;
    struct serve_load *load;
    struct serve_neighbour *neighbour; /* until it has logged in; NULL: a Unix socket */
    struct deadline deadline;          /* of being parked */
    struct deadline notice;            /* when it is told that it waits */
    bool has_news;                     /* found by the watcher while it was parked */

    /* its thread's */
    struct net_stream *stream;
    enum serve_state state;
    bool was_greeted;
    struct imap_framer *framer;
    struct deadline login_deadline;   /* until logged in */
    struct deadline command_deadline; /* of the command that has begun; never: none has */
    unsigned bad_count, login_tries;
    bool has_condstore; /* told with each FLAGS from now on: MODSEQ (RFC 7162 §3.1) */
    enum serve_awaits awaits;
    char pending_tag[IMAP_TAG_BYTES + 1]; /* of the command whose line is awaited */
    struct deadline idle_end;   /* of IDLE; the client's own octets move it, news do not */
    struct deadline alive_at;   /* in IDLE: something is said by then */
    struct deadline refresh_at; /* between commands: no look for changes before */

    struct auth_login login;     /* token NULL before login */
    struct vault_reader *reader; /* NULL before login */
    struct serve_view *view;     /* SELECTED only; owned */

    /* while a turn lasts */
    struct arena *command; /* of one command */
    struct arena *scratch; /* of one line of an answer; who needs it resets it first */
    bool starts_tls;       /* once the answer is out */
    bool looks;            /* in IDLE: its mailbox has changed */
    bool yields;           /* its auditor has too many threads: the next command waits its turn */
    struct buf out;        /* to the stream in pieces (reply.c) */
    bool is_broken;        /* writing failed: nothing more is said */
    int64_t patience_usec; /* how long we still wait for the client to read (reply.c) */
};

enum serve_turn serve_take_turn(struct serve_session *session);
void serve_free_session(
    struct serve_session **session); /* takes off the stream; blocks for logout */

/* Moves *stream in. */
MUST_USE bool serve_create_session(struct serve_server *server, struct net_stream **stream,
                                   bool is_tls, struct serve_session **out, struct err *err);
extern const struct net_options serve_stream_options;

/* threads.c; "locked": the caller holds server->lock. */
void serve_lock(struct serve_server *server);
void serve_unlock(struct serve_server *server);
MUST_USE bool serve_add_session_locked(struct serve_server *server, struct serve_session *session,
                                       struct err *err);
void serve_remove_session_locked(struct serve_server *server, struct serve_session *session);
void serve_queue_locked(struct serve_server *server, struct serve_session *session);
void serve_tell_waiting_locked(struct serve_server *server);
void serve_join_finished_locked(struct serve_server *server); /* gives the lock away meanwhile */
void serve_stop_threads_locked(struct serve_server *server);
/* False: the auditor now has more threads than his share, as those who log in are no one's yet. */
MUST_USE bool serve_join_auditor(struct serve_session *session, int64_t auditor_id);

/* neighbour.c. ERR_LIMIT: too many strangers of that network. */
MUST_USE bool serve_join_neighbours_locked(struct serve_session *session, struct err *err);
void serve_leave_neighbours_locked(struct serve_session *session);
/* A stranger's write is refused: for how many its audit row stands. 0: it is told in a later one. */
uint64_t serve_count_refusal(struct serve_server *server);

/* watch.c: the thread that finds out which parked sessions in IDLE have news (README 13). */
MUST_USE bool serve_start_watcher(struct serve_server *server, struct err *err);
/* False: it did not end in time. */
MUST_USE bool serve_stop_watcher(struct serve_server *server, struct deadline deadline);

/* ---- replies: reply.c ------------------------------------------------------------------------ */

enum serve_condition {
    SERVE_OK,
    SERVE_NO,
    SERVE_BAD,
};

/* The one tagged answer of a command. Texts are ours: constant, or in the command's arena. */
struct serve_reply {
    enum serve_condition condition;
    const char *code; /* "NOPERM", "CAPABILITY IMAP4rev1 …", or NULL */
    const char *text;
};

/* Untagged data go into session->out by buf_* and imap_write_*; then this, at least at each line end:
 * hands over to the stream when there is enough. False when the stream is broken: stop working. */
MUST_USE bool serve_push(struct serve_session *session);
/* Octets of a literal, without a copy when they are many. */
MUST_USE bool serve_push_octets(struct serve_session *session, struct bytes octets);
/* Everything to the client, waiting at most the stall time. */
bool serve_flush(struct serve_session *session);

void serve_answer(struct serve_session *session, struct bytes tag, const struct serve_reply *reply);
void serve_say_bye(struct serve_session *session, const char *code, const char *text);

struct serve_reply serve_ok(const char *text);
struct serve_reply serve_no(const char *code, const char *text);
struct serve_reply serve_bad(const char *text);

/* The table from err codes to answers; logs what is not the client's fault. */
struct serve_reply serve_reply_for(struct serve_session *session, const struct err *err);

/* ---- commands: command.c --------------------------------------------------------------------- */

typedef struct serve_reply serve_run_fn(struct serve_session *session,
                                        const struct imap_command *command);

enum serve_uid_form {
    UID_NEVER,
    UID_ALSO, /* with and without UID in front */
    UID_ONLY,
};

/* What may be told behind its own answers, of what changed meanwhile. */
enum serve_tells {
    TELLS_NOTHING, /* or it does so itself */
    TELLS_NEW,     /* no EXPUNGE (RFC 9051 §7.5.1); with UID in front everything */
    TELLS_ALL,
};

struct serve_command {
    struct bytes name;
    enum serve_uid_form uid;
    unsigned states; /* IN_* */
    enum serve_tells tells;
    serve_run_fn *run;
};

/* NULL: no such command. */
const struct serve_command *serve_find_command(struct bytes name, bool is_uid);
bool serve_is_refused(const struct serve_command *row);

/* Does this state allow it? */
bool serve_is_allowed(const struct serve_session *session, const struct serve_command *row);

serve_run_fn serve_do_capability, serve_do_noop, serve_do_logout, serve_do_id, serve_do_starttls,
    serve_do_login, serve_do_authenticate, serve_do_enable, serve_do_namespace, serve_do_list,
    serve_do_lsub, serve_do_subscribe, serve_do_status, serve_do_select, serve_do_close,
    serve_do_fetch, serve_do_search, serve_do_idle, serve_do_myrights, serve_do_getacl,
    serve_refuse_write;

/* ---- what several commands need ---------------------------------------------------------------- */

/* capability.c: the words that hold now, behind one another with spaces. */
void serve_write_capabilities(const struct serve_session *session, struct buf *buf);
/* "CAPABILITY IMAP4rev1 …" for a response code, in the arena. */
const char *serve_capability_code(struct serve_session *session);
/* May LOGIN and AUTHENTICATE be used on this stream now? */
bool serve_allows_login(const struct serve_session *session);

/* Asks whether the login still holds. ERR_DENIED: it is over; the second then says BYE, and so must
 * not be called within a line. */
MUST_USE bool serve_ask_login(struct serve_session *session, struct err *err);
MUST_USE bool serve_check_login(struct serve_session *session, struct err *err);

/* audit.c: fills in the token. The first waits for the row too: ERR_RETRY when it is not written. */
MUST_USE bool serve_audit(struct serve_session *session, struct audit_event event, struct err *err);
MUST_USE bool serve_begin_audit(struct serve_session *session, struct audit_event event,
                                struct audit_ticket *ticket, struct err *err);
MUST_USE bool serve_end_audit(struct serve_session *session, struct audit_ticket ticket,
                              struct err *err);

/* name.c: INBOX, Accounts/<account>/<path>. */
enum serve_name_kind {
    SERVE_NAME_INBOX,
    SERVE_NAME_ROOT,    /* Accounts */
    SERVE_NAME_ACCOUNT, /* Accounts/<account> */
    SERVE_NAME_MAILBOX, /* Accounts/<account>/<path> */
    SERVE_NAME_OTHER,   /* nothing of ours */
};
struct serve_name {
    enum serve_name_kind kind;
    struct bytes full;    /* the whole path, as it is answered */
    struct bytes account; /* the account's name */
    struct bytes path;    /* within the account */
};
#define SERVE_ROOT "Accounts"

/* encoded: the argument of a command. Texts live in the command's arena. ERR_SYNTAX: no name. */
MUST_USE bool serve_read_name(struct serve_session *session, struct bytes encoded,
                              struct serve_name *out, struct err *err);
/* Appends the account's name as one component: "/", "%", "*", "\" and controls as %XX. */
void serve_write_account(struct buf *buf, struct bytes account);
/* Finds a mailbox that can be selected. ERR_ABSENT, whatever the reason. INBOX gives a row of an empty
 * mailbox with mailbox_id 0. */
MUST_USE bool serve_find_mailbox(struct serve_session *session, struct bytes encoded,
                                 struct serve_name *name, struct vault_mailbox_row *out,
                                 struct err *err);

/* view.c */
MUST_USE bool serve_open_view(struct serve_session *session, const struct vault_mailbox_row *row,
                              struct serve_view **out, struct err *err);
void serve_close_view(struct serve_view **view);
/* Tells what changed since; SELECTED only. may_expunge false: while messages are missing that would
 * have to be told with EXPUNGE, nothing is. */
MUST_USE bool serve_refresh_view(struct serve_session *session, bool may_expunge, struct err *err);
/* Is the mailbox still to be read? Without its grant or its login a session finds nothing, which looks
 * like the end. ERR_ABSENT: it is not. */
MUST_USE bool serve_ask_view(struct serve_session *session, struct err *err);
/* What of these ranges may have a MODSEQ greater than since, in the command's arena; rows decide. */
MUST_USE bool serve_keep_changed(struct serve_session *session, uint64_t since,
                                 const struct vault_uid_range **ranges, size_t *count,
                                 struct err *err);
/* "(\Seen $Forwarded)": flags of a message as they are shown, README 5. */
void serve_write_flags(struct serve_session *session, const struct vault_placement *placement);
/* "MODSEQ (17)" */
void serve_write_modseq(struct serve_session *session, const struct vault_placement *placement);
void serve_write_known_flags(struct serve_session *session); /* "* FLAGS (…)" CRLF */
/* The set as ascending UID ranges within the view. ERR_SYNTAX: a sequence number over EXISTS. */
MUST_USE bool serve_resolve_uids(struct serve_session *session, const struct imap_sequence_set *set,
                                 bool is_uid, const struct vault_uid_range **out, size_t *count,
                                 struct err *err);

/* index.c: what is derived from a message, from its row or, without one, from its octets. */
enum serve_index_needs {
    SERVE_NEEDS_ENVELOPE = 1,
    SERVE_NEEDS_BODYSTRUCTURE = 2,
    SERVE_NEEDS_BODY = 4,
    SERVE_NEEDS_TREE = 8,
};

struct serve_index {
    struct bytes envelope, bodystructure, body; /* as they are sent */
    const struct mime_part *tree;
    /* private: what the values above lie in, when it is not the row */
    struct mime_parser *parser; /* NULL: nothing was parsed yet */

    struct buf envelope_text, bodystructure_text, body_text;
    struct arena *arena; /* the tree of a row */
};

void serve_free_index(struct serve_index **index);

/* fetch_item.c: what FETCH can give. */
struct serve_fetch {
    struct serve_session *session;
    const struct imap_fetch_item *items;
    size_t item_count;
    bool adds_uid;          /* UID FETCH gives UIDs also when nobody asks */
    bool adds_modseq;       /* with FLAGS and CHANGEDSINCE, once CONDSTORE is enabled */
    bool has_changed_since; /* only rows with a greater MODSEQ */
    uint64_t changed_since;
    struct serve_part *parts; /* what each item comes to, for the message at hand */
    struct buf header;     /* of the message at hand or of a part, when fields are chosen from it */
    uint64_t kept_offset;  /* of what is in it */
    uint64_t header_bytes; /* of the message at hand */
    unsigned index_needs;  /* enum serve_index_needs */
    struct serve_index *index; /* of the message at hand; NULL: none was needed */
    bool has_content;          /* is audited */
    bool has_octets;           /* reads them from the vault */
    bool is_brief;             /* brief pages say enough */
    bool needs_header_end, needs_header;
    unsigned columns; /* enum vault_columns */
};

/* Sets fetch->index for fetch->index_needs; parses the message when its row is missing, old or too
 * large. */
MUST_USE bool serve_prepare_index(struct serve_fetch *fetch, const struct vault_placement *row,
                                  struct err *err);

/* Sets up for these items; serve_end_fetch releases. */
void serve_prepare_fetch(struct serve_fetch *fetch);
void serve_end_fetch(struct serve_fetch *fetch);
/* Everything that can fail, before the first octet is said: sizes are known, frames checked. */
MUST_USE bool serve_prepare_message(struct serve_fetch *fetch, const struct vault_placement *row,
                                    struct err *err);
/* One FETCH response. False: the stream is broken. */
MUST_USE bool serve_write_message(struct serve_fetch *fetch, const struct vault_placement *row);
/* Which content is asked for, in our words: "BODY[] HEADER". */
void serve_write_content_words(const struct serve_fetch *fetch, struct buf *buf);

/* condstore.c. ERR_SYNTAX: a parameter that is not offered. Both may enable CONDSTORE. */
MUST_USE bool serve_read_select_params(struct serve_session *session,
                                       const struct imap_mailbox_args *args, struct err *err);
MUST_USE bool serve_read_fetch_params(struct serve_session *session,
                                      const struct imap_fetch_args *args, struct serve_fetch *out,
                                      struct err *err);

/* do_status.c: "(MESSAGES 3 …)". */
void serve_write_status(struct serve_session *session, uint32_t items,
                        const struct vault_mailbox_row *row);

/* do_idle.c: the line that ends IDLE; a turn in it without such a line. */
struct serve_reply serve_finish_idle(struct serve_session *session, struct bytes line);
void serve_attend_idle(struct serve_session *session);

/* The client's answer to our "+" in AUTHENTICATE. */
struct serve_reply serve_finish_authenticate(struct serve_session *session, struct bytes line);
