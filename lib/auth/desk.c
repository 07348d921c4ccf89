/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/desk.c - see desk.h. To add a request: gate/message.h, its row in doors and in answer_at.
 */
#include "auth/desk.h"

#include "audit/append.h"
#include "auth/backoff.h"
#include "auth/bearer.h"
#include "auth/secret.h"
#include "auth/session.h"
#include "base/fd.h"
#include "base/locks.h"
#include "crypto/hash.h"
#include "source/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REFUSALS_EVERY_USEC = 1000000
};
#define FORGET_EVERY_USEC INT64_C(3600000000)

struct auth_desk {
    enum auth_door door; /* constant, as all up to the lock */
    struct db_pool *pool;
    struct auth_verifier *verifier; /* NULL at the ingest door */
    struct auth_bearers *bearers;   /* NULL at the imapd door */
    const struct crypto_key *master;
    const char *data_dir;

    pthread_mutex_t lock;   /* LOCK_AUTH_DESK: all below */
    int64_t audited_usec;   /* when a refusal was last audited */
    int64_t unaudited;      /* refusals since */
    int64_t forgotten_usec; /* when old failures were last forgotten */
};

static const char *door_name(enum auth_door door)
{
    switch (door) {
    case AUTH_DOOR_IMAPD:
        return "imapd";
    case AUTH_DOOR_INGEST:
        return "ingest";
    }
    UNREACHABLE();
}

static enum auth_door door_of(enum gate_kind kind)
{
    switch (kind) {
    case GATE_LOG_IN:
    case GATE_LOG_OUT:
    case GATE_OPEN_PACK:
        return AUTH_DOOR_IMAPD;
    case GATE_SOURCE_SECRET:
        return AUTH_DOOR_INGEST;
    }
    UNREACHABLE();
}

bool auth_create_desk(const struct auth_desk_settings *settings, struct auth_desk **out,
                      struct err *err)
{
    CLEANUP(auth_free_desk) struct auth_desk *desk = calloc(1, sizeof *desk);

    if (desk == NULL)
        return err_errno(err, "gate desk");
    (void)pthread_mutex_init(&desk->lock, NULL);
    desk->door = settings->door;
    desk->master = settings->master;
    desk->data_dir = settings->data_dir;
    if (!db_pool_create(settings->target, settings->connections, &desk->pool, err) ||
        (desk->door == AUTH_DOOR_IMAPD &&
         !auth_create_verifier(crypto_get_key_octets(settings->master), settings->max_kdfs,
                               &desk->verifier, err)) ||
        (desk->door == AUTH_DOOR_INGEST &&
         !auth_create_bearers(settings->target, desk->pool, settings->master, &desk->bearers, err)))
        return err_wrap(err, "gate desk");
    *out = desk;
    desk = NULL; /* the caller's now */
    return true;
}

void auth_free_desk(struct auth_desk **desk)
{
    struct auth_desk *d = *desk;

    if (d == NULL)
        return;
    auth_free_verifier(&d->verifier);
    auth_free_bearers(&d->bearers);
    db_pool_free(&d->pool);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
    *desk = NULL;
}

void auth_free_answer(struct auth_answer *answer)
{
    secret_free(&answer->secret);
    fd_close(&answer->fd);
}

/* ---- refusals, metered --------------------------------------------------------------------------- */

/* `more` refusals came. How many to audit now, those before them included; 0: none, or not yet. */
static int64_t count_refusals(struct auth_desk *desk, int64_t more)
{
    int64_t now = clock_now_usec();
    int64_t count = 0;

    (void)pthread_mutex_lock(&desk->lock);
    desk->unaudited += more;
    if (now - desk->audited_usec >= REFUSALS_EVERY_USEC || now < desk->audited_usec) {
        count = desk->unaudited;
        desk->unaudited = 0;
        desk->audited_usec = now;
    }
    (void)pthread_mutex_unlock(&desk->lock);
    return count;
}

static bool audit(struct auth_desk *desk, const struct audit_event *event, struct deadline deadline,
                  struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return db_pool_borrow(desk->pool, deadline, &loan, err) &&
           audit_append_one(loan.db, event, err);
}

static bool audit_refusals(struct auth_desk *desk, const char *reason, int64_t count,
                           struct deadline deadline, struct err *err)
{
    struct audit_event event = {
        .kind = AUDIT_GATE_REFUSED,
        .fields =
            AUDIT_FIELDS(AUDIT_TEXT("door", bytes_of_text(door_name(desk->door))),
                         AUDIT_TEXT("reason", bytes_of_text(reason)), AUDIT_I64("count", count)),
    };

    return count == 0 || audit(desk, &event, deadline, err) || err_wrap(err, "gate refusal");
}

bool auth_note_refusal(struct auth_desk *desk, const char *reason, struct deadline deadline,
                       struct err *err)
{
    return audit_refusals(desk, reason, count_refusals(desk, 1), deadline, err);
}

/* An event of one refused request, with the count of those that were not audited each. */
#define REFUSED_WITH(desk, deadline, err, event_kind, event_token, event_account, ...)             \
    audit_refusal((desk),                                                                          \
                  &(struct audit_event){ .kind = (event_kind),                                     \
                                         .token = (event_token),                                   \
                                         .account_id = (event_account),                            \
                                         .fields = AUDIT_FIELDS(__VA_ARGS__) },                    \
                  (deadline), (err))

static bool audit_refusal(struct auth_desk *desk, const struct audit_event *event,
                          struct deadline deadline, struct err *err)
{
    struct audit_field fields[8];
    struct audit_event counted = *event;
    int64_t count = count_refusals(desk, 1);
    size_t n = 0;

    if (count == 0)
        return true;
    while (event->fields[n].type != AUDIT_FIELD_END) {
        fields[n] = event->fields[n];
        n++;
        assert(n + 1 < ARRAY_LEN(fields));
    }
    fields[n] = AUDIT_I64("count", count);
    fields[n + 1] = (struct audit_field){ .type = AUDIT_FIELD_END };
    counted.fields = fields;
    return audit(desk, &counted, deadline, err);
}

/* ---- the imapd door ------------------------------------------------------------------------------ */

static bool answer_log_in(struct auth_desk *desk, const struct gate_log_in *ask,
                          struct deadline deadline, struct auth_answer *out, struct err *err)
{
    CLEANUP(auth_free_admission) struct auth_admission in = { .verdict = AUTH_SENT_AWAY };
    struct auth_attempt attempt = { ask->name, ask->password, ask->remote, ask->is_tls };

    if (!auth_verify_login(desk->verifier, desk->pool, &attempt, deadline, &in, err))
        return false;
    switch (in.verdict) {
    case AUTH_LET_IN:
        out->secret = in.token;
        in.token = NULL; /* the answer's now */
        out->reply.outcome = GATE_DONE;
        out->reply.logged_in = (struct gate_logged_in){ .token = secret_bytes(out->secret),
                                                        .auditor_id = in.auditor_id,
                                                        .session_id = in.session_id,
                                                        .expires_at_usec = in.expires_at_usec };
        return true;
    case AUTH_SENT_AWAY:
        out->reply.outcome = GATE_DENIED;
        return true;
    case AUTH_TOLD_TO_WAIT:
        out->reply.outcome = GATE_THROTTLED;
        out->reply.wait_seconds = in.wait_seconds;
        return REFUSED_WITH(
            desk, deadline, err, AUDIT_LOGIN_FAILED, BYTES(""), 0,
            AUDIT_TEXT("remote", bytes_of_text(auth_read_remote(ask->remote).address)),
            AUDIT_TEXT("reason", BYTES("too many failures")),
            AUDIT_I64("wait_seconds", in.wait_seconds));
    }
    UNREACHABLE();
}

static bool answer_log_out(struct auth_desk *desk, const struct gate_log_out *ask,
                           struct deadline deadline, struct auth_answer *out, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(secret_free) struct secret *token = NULL;

    if (!secret_create(ask->token, &token, err) ||
        !db_pool_borrow(desk->pool, deadline, &loan, err) || !auth_end_session(loan.db, token, err))
        return false;
    out->reply.outcome = GATE_DONE;
    return true;
}

struct pack_place {
    bool is_live, is_covered;
    bool is_here;                           /* there is such a pack, in the file system */
    char name[2 * CRYPTO_SHA256_BYTES + 1]; /* hex of its SHA-256 */
};

static void read_place(const struct db_result *rows, struct pack_place *out)
{
    struct bytes sha256 = db_bytes(rows, 0, 2);

    *out = (struct pack_place){
        .is_live = db_bool(rows, 0, 0),
        .is_covered = db_bool(rows, 0, 1),
        .is_here =
            sha256.len == CRYPTO_SHA256_BYTES && bytes_equal(db_bytes(rows, 0, 3), BYTES("file")),
    };
    for (size_t i = 0; i < sha256.len && out->is_here; i++)
        (void)snprintf(out->name + 2 * i, 3, "%02x", sha256.ptr[i]);
}

/* One pipeline without BEGIN is one transaction, so that the token's setting lasts as long. */
static bool find_pack(struct auth_desk *desk, const struct gate_open_pack *ask,
                      struct deadline deadline, struct pack_place *out, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    struct db_result *results[2] = { NULL, NULL };

    if (!db_pool_borrow(desk->pool, deadline, &loan, err) || !db_pipeline_begin(loan.db, err) ||
        !db_queue(loan.db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(ask->token)), err) ||
        !db_queue(loan.db, DB_GATE_PACK_FIND,
                  DB_ARGS(DB_I64(ask->account_id), DB_I64(ask->pack_id)), err) ||
        !db_pipeline_end(loan.db, results, 2, err))
        return false;
    read_place(results[1], out);
    db_result_free(&results[0]);
    db_result_free(&results[1]);
    return true;
}

static bool open_pack_file(const struct auth_desk *desk, const struct gate_open_pack *ask,
                           const char *name, int *out, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof path, "%s/packs/%jd/%s.%s", desk->data_dir,
                       (intmax_t)ask->account_id, name, ask->is_text ? "text" : "tar.zst");

    if (len < 0 || (size_t)len >= sizeof path)
        return err_fail(err, ERR_LIMIT, "a pack's path is too long");
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, "pack %s", name);
    if (!S_ISREG(st.st_mode))
        return err_fail(err, ERR_CORRUPT, "pack %s is not a file", name);
    *out = fd_take(&fd);
    return true;
}

static bool answer_open_pack(struct auth_desk *desk, const struct gate_open_pack *ask,
                             struct deadline deadline, struct auth_answer *out, struct err *err)
{
    struct pack_place place;

    if (!find_pack(desk, ask, deadline, &place, err))
        return false;
    if (!place.is_live || !place.is_covered) {
        out->reply.outcome = GATE_DENIED;
        return REFUSED_WITH(
            desk, deadline, err, AUDIT_PACK_REFUSED, ask->token, ask->account_id,
            AUDIT_I64("pack", ask->pack_id),
            AUDIT_TEXT("reason", place.is_live ? BYTES("no grant") : BYTES("session is over")));
    }
    if (!place.is_here) {
        out->reply.outcome = GATE_ABSENT;
        return err_fail(err, ERR_ABSENT, "pack %jd of account %jd is not in the file system",
                        (intmax_t)ask->pack_id, (intmax_t)ask->account_id);
    }
    if (!open_pack_file(desk, ask, place.name, &out->fd, err))
        return err_wrap(err, "account %jd", (intmax_t)ask->account_id);
    out->reply.outcome = GATE_DONE;
    return true;
}

/* ---- the ingest door ----------------------------------------------------------------------------- */

/* The lease, and how its account logs in: a row of gate_source_secret. */
struct login_row {
    enum source_secret_kind kind;
    int64_t account_id, credential_id;
    struct bytes login;
    struct secret *secret; /* owned, opened; of a credential its grant */
};

static void free_login_row(struct login_row *row)
{
    secret_free(&row->secret);
}

/* The credential's id was sealed for the account: the column alone does not say whose grant it may use. */
static bool open_credential(struct auth_desk *desk, const struct db_result *rows,
                            struct login_row *row, struct err *err)
{
    CLEANUP(secret_free) struct secret *sealed_id = row->secret;
    struct bytes id;
    uint64_t number = 0;
    char aad[SOURCE_AAD_BYTES];

    row->secret = NULL;
    id = secret_bytes(sealed_id);
    row->credential_id = db_i64(rows, 0, 3);
    if (!scan_u64(&id, &number) || id.len != 0 || number != (uint64_t)row->credential_id)
        return err_fail(err, ERR_CORRUPT, "account %jd: credential %jd is not the one sealed",
                        (intmax_t)row->account_id, (intmax_t)row->credential_id);
    return crypto_open_secret(desk->master, source_credential_aad(row->credential_id, aad),
                              db_bytes(rows, 0, 4), &row->secret, err) ||
           err_wrap(err, "credential %jd", (intmax_t)row->credential_id);
}

static bool open_login_row(struct auth_desk *desk, const struct db_result *rows,
                           struct login_row *row, struct err *err)
{
    row->account_id = db_i64(rows, 0, 0);
    row->login = db_bytes(rows, 0, 5);
    return source_find_secret_kind(db_bytes(rows, 0, 1), &row->kind, err) &&
           auth_open_source_secret(desk->master, row->account_id, db_bytes(rows, 0, 2),
                                   &row->secret, err) &&
           (row->kind != SOURCE_SECRET_CREDENTIAL || open_credential(desk, rows, row, err));
}

/* A grant is exchanged for a token; anything else is given as it is. False: *out says how it failed. */
static bool make_presentable(struct auth_desk *desk, const struct gate_source_secret *ask,
                             struct login_row *row, struct deadline deadline,
                             struct auth_answer *out, struct err *err)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    struct auth_bearer_ask want = {
        .account_id = row->account_id,
        .job_id = ask->job_id,
        .credential_id = row->credential_id,
        .grant = row->secret,
        .login = row->login,
        .refused = ask->refused,
    };

    if (row->kind == SOURCE_SECRET_PASSWORD || row->kind == SOURCE_SECRET_CERTIFICATE)
        return true;
    if (!auth_get_bearer(desk->bearers, &want, deadline, &token, err)) {
        if (err->code == ERR_CORRUPT)
            return false;
        (void)snprintf(out->text, sizeof out->text, "%s", err->text);
        out->reply.outcome = err->code == ERR_DENIED ? GATE_GRANT_DENIED : GATE_GRANT_RETRY;
        return false;
    }
    secret_free(&row->secret);
    row->secret = token;
    token = NULL; /* the row's now */
    return true;
}

static enum gate_secret_kind presented_as(enum source_secret_kind kind)
{
    switch (kind) {
    case SOURCE_SECRET_PASSWORD:
        return GATE_SECRET_PASSWORD;
    case SOURCE_SECRET_CERTIFICATE:
        return GATE_SECRET_CERTIFICATE;
    case SOURCE_SECRET_OAUTH:
    case SOURCE_SECRET_CREDENTIAL:
        return GATE_SECRET_TOKEN;
    }
    UNREACHABLE();
}

static bool give_secret(struct auth_desk *desk, const struct gate_source_secret *ask,
                        const struct db_result *rows, struct deadline deadline,
                        struct auth_answer *out, struct err *err)
{
    CLEANUP(free_login_row) struct login_row row = { 0 };
    struct audit_event event = {
        .kind = AUDIT_SECRET_GIVEN,
        .account_id = db_i64(rows, 0, 0),
        .fields = AUDIT_FIELDS(AUDIT_I64("job", ask->job_id), AUDIT_I64("fence", ask->fence)),
    };

    if (!open_login_row(desk, rows, &row, err)) {
        out->reply.outcome = GATE_CORRUPT; /* also under another master key */
        return false;
    }
    if (!make_presentable(desk, ask, &row, deadline, out, err) ||
        !audit(desk, &event, deadline, err)) /* committed before anything is given, never after */
        return false;
    out->secret = row.secret;
    row.secret = NULL; /* the answer's now */
    out->reply.outcome = GATE_DONE;
    out->reply.secret = (struct gate_secret){
        .kind = presented_as(row.kind),
        .account_id = row.account_id,
        .octets = secret_bytes(out->secret),
    };
    return true;
}

static bool find_lease(struct auth_desk *desk, const struct gate_source_secret *ask,
                       struct deadline deadline, struct db_result **rows, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return db_pool_borrow(desk->pool, deadline, &loan, err) &&
           db_run(loan.db, DB_GATE_SOURCE_SECRET, DB_ARGS(DB_I64(ask->job_id), DB_I64(ask->fence)),
                  rows, err);
}

static bool answer_source_secret(struct auth_desk *desk, const struct gate_source_secret *ask,
                                 struct deadline deadline, struct auth_answer *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!find_lease(desk, ask, deadline, &rows, err))
        return false;
    if (db_rows(rows) == 1 && !db_is_null(rows, 0, 1))
        return give_secret(desk, ask, rows, deadline, out, err);

    out->reply.outcome = db_rows(rows) == 1 ? GATE_ABSENT : GATE_DENIED;
    return REFUSED_WITH(
        desk, deadline, err, AUDIT_SECRET_REFUSED, BYTES(""),
        db_rows(rows) == 1 ? db_i64(rows, 0, 0) : 0, AUDIT_I64("job", ask->job_id),
        AUDIT_I64("fence", ask->fence),
        AUDIT_TEXT("reason", db_rows(rows) == 1 ? BYTES("no secret") : BYTES("no such lease")));
}

/* ---- all together -------------------------------------------------------------------------------- */

static bool answer_kind(struct auth_desk *desk, const struct gate_request *request,
                        struct deadline deadline, struct auth_answer *out, struct err *err)
{
    switch (request->kind) {
    case GATE_LOG_IN:
        return answer_log_in(desk, &request->log_in, deadline, out, err);
    case GATE_LOG_OUT:
        return answer_log_out(desk, &request->log_out, deadline, out, err);
    case GATE_OPEN_PACK:
        return answer_open_pack(desk, &request->open_pack, deadline, out, err);
    case GATE_SOURCE_SECRET:
        return answer_source_secret(desk, &request->source_secret, deadline, out, err);
    }
    UNREACHABLE();
}

static enum gate_outcome outcome_of(enum err_code code)
{
    switch (code) {
    case ERR_ABSENT:
        return GATE_ABSENT;
    case ERR_CORRUPT:
        return GATE_CORRUPT;
    case ERR_NONE:
    case ERR_SYNTAX:
    case ERR_LIMIT:
    case ERR_DENIED: /* of our own role or files: nothing about the asker */
    case ERR_RETRY:
    case ERR_SYSTEM:
        return GATE_RETRY;
    }
    UNREACHABLE();
}

bool auth_answer(struct auth_desk *desk, const struct gate_request *request,
                 struct deadline deadline, struct auth_answer *out, struct err *err)
{
    bool is_good;

    *out =
        (struct auth_answer){ .reply = { .kind = request->kind, .outcome = GATE_RETRY }, .fd = -1 };
    if (door_of(request->kind) != desk->door) {
        out->reply.outcome = GATE_REFUSED;
        return auth_note_refusal(desk, "request of another process", deadline, err);
    }
    is_good = answer_kind(desk, request, deadline, out, err);
    if (!is_good && out->reply.outcome == GATE_RETRY)
        out->reply.outcome = outcome_of(err->code);
    if (out->reply.outcome != GATE_GRANT_DENIED && out->reply.outcome != GATE_GRANT_RETRY)
        return is_good;
    out->reply.text = bytes_of_text(out->text); /* for the operator: endpoints name people in it */
    err_clear(err);
    return true;
}

static bool is_time_to_forget(struct auth_desk *desk)
{
    int64_t now = clock_now_usec();
    bool is_time;

    (void)pthread_mutex_lock(&desk->lock);
    is_time = now - desk->forgotten_usec >= FORGET_EVERY_USEC || now < desk->forgotten_usec;
    if (is_time)
        desk->forgotten_usec = now;
    (void)pthread_mutex_unlock(&desk->lock);
    return is_time;
}

static bool forget_what_is_old(struct auth_desk *desk, struct deadline deadline, struct err *err)
{
    if (desk->bearers != NULL)
        return auth_forget_old_bearers(desk->bearers, deadline, err);
    return auth_forget_old_failures(desk->pool, deadline, err) &&
           auth_forget_old_sessions(desk->pool, deadline, err);
}

bool auth_tidy_desk(struct auth_desk *desk, struct deadline deadline, struct err *err)
{
    return audit_refusals(desk, "more of the same", count_refusals(desk, 0), deadline, err) &&
           (!is_time_to_forget(desk) || forget_what_is_old(desk, deadline, err));
}
