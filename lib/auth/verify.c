/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/verify.c - see verify.h and README 3 to 8.
 *
 *   look up --waits--> TOLD_TO_WAIT
 *   look up --> turn at the KDF --wrong, or may not now--> failure recorded, SENT_AWAY
 *                               --right--> session minted, LET_IN
 *
 * Attempts under one name take turns, so that guesses sent at once are counted one after the other.
 */
#include "auth/verify.h"

#include "audit/append.h"
#include "auth/backoff.h"
#include "auth/internal.h"
#include "base/locks.h"
#include "crypto/random.h"
#include "crypto/scram.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum {
    TURNS = 256,         /* names are hashed to them; two names rarely share one */
    REMEMBERED = 512,    /* last good passwords, by auditor_id */
    NAME_BUCKETS = 4096, /* names that no auditor has are counted under so many numbers */
    PASSWORD_MAX_BYTES = 1024,
};

struct remembered {
    int64_t auditor_id; /* 0: free */
    struct crypto_sha256 mac;
};

struct auth_verifier {
    struct crypto_sha256 seed;    /* constant */
    struct crypto_sha256 mac_key; /* constant, random */
    uint32_t max_kdfs;            /* constant */

    pthread_mutex_t lock; /* LOCK_AUTH_VERIFIER: all below */
    pthread_cond_t has_turn;
    bool is_taken[TURNS];
    uint32_t running_kdfs;
    uint64_t kdfs;
    struct remembered remembered[REMEMBERED];
};

bool auth_create_verifier(struct bytes seed, uint32_t max_kdfs, struct auth_verifier **out,
                          struct err *err)
{
    struct auth_verifier *v = calloc(1, sizeof *v);
    pthread_condattr_t attributes;

    assert(max_kdfs >= 1);
    if (v == NULL)
        return err_errno(err, "login verifier");
    v->seed = crypto_hmac(seed, BYTES("holdfast names that no auditor has"));
    crypto_fill_random(&v->mac_key, sizeof v->mac_key);
    v->max_kdfs = max_kdfs;
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* as struct deadline */
    (void)pthread_cond_init(&v->has_turn, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    *out = v;
    return true;
}

void auth_free_verifier(struct auth_verifier **verifier)
{
    struct auth_verifier *v = *verifier;

    if (v == NULL)
        return;
    (void)pthread_cond_destroy(&v->has_turn);
    (void)pthread_mutex_destroy(&v->lock);
    secret_wipe(v, sizeof *v);
    free(v);
    *verifier = NULL;
}

void auth_free_admission(struct auth_admission *admission)
{
    secret_free(&admission->token);
    *admission = (struct auth_admission){ .verdict = AUTH_SENT_AWAY };
}

uint64_t auth_count_kdfs(struct auth_verifier *verifier)
{
    uint64_t kdfs;

    (void)pthread_mutex_lock(&verifier->lock);
    kdfs = verifier->kdfs;
    (void)pthread_mutex_unlock(&verifier->lock);
    return kdfs;
}

/* ---- turns ------------------------------------------------------------------------------------- */

/* Under the lock. False: the deadline has passed. */
static bool wait_for_turn(struct auth_verifier *v, struct deadline deadline)
{
    struct timespec until = { .tv_sec = (time_t)(deadline.at_usec / 1000000),
                              .tv_nsec = (long)(deadline.at_usec % 1000000 * 1000) };

    return pthread_cond_timedwait(&v->has_turn, &v->lock, &until) != ETIMEDOUT;
}

struct turn {
    struct auth_verifier *verifier; /* NULL: none */
    size_t number;
};

static void give_turn_back(struct turn *turn)
{
    struct auth_verifier *v = turn->verifier;

    if (v == NULL)
        return;
    (void)pthread_mutex_lock(&v->lock);
    v->is_taken[turn->number] = false;
    (void)pthread_cond_broadcast(&v->has_turn);
    (void)pthread_mutex_unlock(&v->lock);
    turn->verifier = NULL;
}

static bool take_turn(struct auth_verifier *v, struct bytes name, struct deadline deadline,
                      struct turn *out, struct err *err)
{
    struct crypto_sha256 hash = crypto_hmac(crypto_sha256_bytes(&v->mac_key), name);
    size_t number = hash.octets[0] % TURNS;
    bool is_in_time = true, is_mine;

    (void)pthread_mutex_lock(&v->lock);
    while (v->is_taken[number] && is_in_time)
        is_in_time = wait_for_turn(v, deadline);
    is_mine = !v->is_taken[number];
    v->is_taken[number] = true;
    (void)pthread_mutex_unlock(&v->lock);
    if (!is_mine)
        return err_fail(err, ERR_RETRY, "too many logins at once under one name");
    *out = (struct turn){ v, number };
    return true;
}

static bool take_kdf(struct auth_verifier *v, struct deadline deadline, struct err *err)
{
    bool is_in_time = true, is_mine;

    (void)pthread_mutex_lock(&v->lock);
    while (v->running_kdfs >= v->max_kdfs && is_in_time)
        is_in_time = wait_for_turn(v, deadline);
    is_mine = v->running_kdfs < v->max_kdfs;
    if (is_mine) {
        v->running_kdfs++;
        v->kdfs++;
    }
    (void)pthread_mutex_unlock(&v->lock);
    return is_mine || err_fail(err, ERR_RETRY, "too many logins at once");
}

static void give_kdf_back(struct auth_verifier *v)
{
    (void)pthread_mutex_lock(&v->lock);
    v->running_kdfs--;
    (void)pthread_cond_broadcast(&v->has_turn);
    (void)pthread_mutex_unlock(&v->lock);
}

/* ---- what the database says -------------------------------------------------------------------- */

enum {
    VERIFIER_TEXT_BYTES = CRYPTO_SCRAM_TEXT_BYTES
};

struct facts {
    int64_t auditor_id; /* below 0: a bucket of names that no auditor has */
    bool is_valid;      /* has a password, is not disabled, not expired */
    bool is_near;       /* comes from an allowed network */
    uint8_t verifier[VERIFIER_TEXT_BYTES];
    size_t verifier_len; /* 0: none */
    struct auth_history history;
    int64_t now_usec;
};

static struct auth_failures failures(const struct db_result *rows, size_t col)
{
    return (struct auth_failures){
        .count = db_i64(rows, 0, col),
        .last_usec = db_is_null(rows, 0, col + 1) ? 0 : db_time_usec(rows, 0, col + 1),
    };
}

static int64_t bucket_of(const struct auth_verifier *v, struct bytes name)
{
    struct crypto_sha256 hash = crypto_hmac(crypto_sha256_bytes(&v->seed), name);

    return -1 - (hash.octets[0] << 8 | hash.octets[1]) % NAME_BUCKETS;
}

static bool look_up(const struct auth_verifier *v, struct db_pool *pool, struct bytes name,
                    const struct auth_remote *remote, struct deadline deadline, struct facts *out,
                    struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    /* No auditor has the empty name; what is no name at all is asked for like that. */
    struct bytes asked = auth_is_name(name) ? name : BYTES("");
    struct bytes verifier;

    if (!db_pool_borrow(pool, deadline, &loan, err) ||
        !db_run_one(
            loan.db, DB_GATE_LOGIN_LOOK_UP,
            DB_ARGS(DB_TEXT(asked),
                    db_null_unless(remote->is_known, DB_TEXT(bytes_of_text(remote->address))),
                    DB_TEXT(bytes_of_text(remote->counted)), DB_I64(bucket_of(v, name)),
                    DB_I32(AUTH_BACKOFF_WINDOW_MINUTES)),
            &rows, err))
        return false;
    verifier = db_bytes(rows, 0, 1);
    if (verifier.len > sizeof out->verifier)
        return err_fail(err, ERR_CORRUPT, "verifier of auditor %jd has %zu octets",
                        (intmax_t)db_i64(rows, 0, 0), verifier.len);
    *out = (struct facts){ .auditor_id = db_i64(rows, 0, 0),
                           .is_valid = db_bool(rows, 0, 2),
                           .is_near = db_bool(rows, 0, 3),
                           .verifier_len = verifier.len,
                           .now_usec = db_time_usec(rows, 0, 4),
                           .history = { .pair = failures(rows, 5),
                                        .remote = failures(rows, 7),
                                        .auditor = failures(rows, 9) } };
    if (verifier.len > 0)
        memcpy(out->verifier, verifier.ptr, verifier.len);
    return true;
}

/* ---- the password ------------------------------------------------------------------------------ */

/* Over verifier and password, so that a new verifier makes the old hash worthless. */
static struct crypto_sha256 mac_of(const struct auth_verifier *v, const struct facts *facts,
                                   struct bytes password)
{
    uint8_t octets[VERIFIER_TEXT_BYTES + 1 + PASSWORD_MAX_BYTES];
    size_t len = facts->verifier_len;
    struct crypto_sha256 mac;

    assert(password.len <= PASSWORD_MAX_BYTES);
    if (len > 0)
        memcpy(octets, facts->verifier, len);
    octets[len++] = '\0';
    if (password.len > 0)
        memcpy(octets + len, password.ptr, password.len);
    mac = crypto_hmac(crypto_sha256_bytes(&v->mac_key), bytes_of(octets, len + password.len));
    secret_wipe(octets, sizeof octets);
    return mac;
}

static bool is_remembered(struct auth_verifier *v, int64_t auditor_id,
                          const struct crypto_sha256 *mac)
{
    const struct remembered *r = &v->remembered[(uint64_t)auditor_id % REMEMBERED];
    bool is_it;

    (void)pthread_mutex_lock(&v->lock);
    is_it = r->auditor_id == auditor_id &&
            secret_equal(crypto_sha256_bytes(&r->mac), crypto_sha256_bytes(mac));
    (void)pthread_mutex_unlock(&v->lock);
    return is_it;
}

static void remember(struct auth_verifier *v, int64_t auditor_id, const struct crypto_sha256 *mac)
{
    (void)pthread_mutex_lock(&v->lock);
    v->remembered[(uint64_t)auditor_id % REMEMBERED] = (struct remembered){ auditor_id, *mac };
    (void)pthread_mutex_unlock(&v->lock);
}

static bool derive(struct auth_verifier *v, const struct facts *facts, struct bytes name,
                   struct bytes password, struct deadline deadline, bool *matches, struct err *err)
{
    struct crypto_scram scram;

    if (facts->verifier_len == 0)
        scram = crypto_make_decoy_scram(crypto_sha256_bytes(&v->seed), name);
    else if (!crypto_read_scram(bytes_of(facts->verifier, facts->verifier_len), &scram, err))
        return err_wrap(err, "auditor %jd", (intmax_t)facts->auditor_id);
    if (!take_kdf(v, deadline, err))
        return false;
    *matches = crypto_password_matches(&scram, password) && facts->verifier_len > 0;
    give_kdf_back(v);
    return true;
}

/* *matches: the password is right and its owner may log in now and from there. Only then is the
 * remembered hash asked, so that everybody else is answered in the same time. */
static bool check_password(struct auth_verifier *v, const struct facts *facts,
                           const struct auth_attempt *attempt, struct deadline deadline,
                           bool *matches, struct err *err)
{
    bool may_enter = facts->is_valid && facts->is_near;
    struct crypto_sha256 mac = mac_of(v, facts, attempt->password);

    *matches = may_enter && is_remembered(v, facts->auditor_id, &mac);
    if (*matches)
        return true;
    if (!derive(v, facts, attempt->name, attempt->password, deadline, matches, err))
        return false;
    *matches = *matches && may_enter;
    if (*matches)
        remember(v, facts->auditor_id, &mac);
    return true;
}

/* ---- writing down what was decided --------------------------------------------------------------- */

static struct bytes reason_of(const struct facts *facts)
{
    if (facts->auditor_id < 0)
        return BYTES("unknown name");
    if (!facts->is_valid)
        return BYTES("disabled or expired");
    if (!facts->is_near)
        return BYTES("network");
    return BYTES("password");
}

static bool record_failure(struct db_pool *pool, const struct facts *facts,
                           const struct auth_remote *remote, const struct auth_attempt *attempt,
                           struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct audit_event event = {
        .kind = AUDIT_LOGIN_FAILED,
        .fields =
            AUDIT_FIELDS(AUDIT_TEXT("remote", bytes_of_text(remote->address)),
                         AUDIT_BOOL("tls", attempt->is_tls), AUDIT_TEXT("reason", reason_of(facts)),
                         AUDIT_I64("auditor", facts->auditor_id < 0 ? 0 : facts->auditor_id)),
    };

    return db_pool_borrow(pool, deadline, &loan, err) &&
           db_begin(loan.db, DB_READ_COMMITTED, &tx, err) &&
           db_run_ok(loan.db, DB_GATE_FAILURE_COUNT,
                     DB_ARGS(DB_TEXT(bytes_of_text(remote->counted)), DB_I64(facts->auditor_id)),
                     err) &&
           audit_append_one(loan.db, &event, err) && db_commit(&tx, err);
}

/* *is_minted false: the auditor was changed meanwhile, and this login is not good any more. */
static bool insert_session(struct db *db, const struct facts *facts,
                           const struct auth_remote *remote, const struct crypto_sha256 *hash,
                           struct auth_admission *out, bool *is_minted, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run(db, DB_GATE_SESSION_INSERT,
                DB_ARGS(DB_BYTEA(crypto_sha256_bytes(hash)), DB_I64(facts->auditor_id),
                        db_null_unless(remote->is_known, DB_TEXT(bytes_of_text(remote->address))),
                        DB_TEXT(bytes_of(facts->verifier, facts->verifier_len)),
                        DB_I64(AUTH_SESSION_SECONDS)),
                &rows, err))
        return false;
    *is_minted = db_rows(rows) == 1;
    if (*is_minted) {
        out->session_id = db_i64(rows, 0, 0);
        out->expires_at_usec = db_time_usec(rows, 0, 1);
    }
    return true;
}

static bool let_in(struct db_pool *pool, const struct facts *facts,
                   const struct auth_remote *remote, const struct auth_attempt *attempt,
                   struct deadline deadline, struct auth_admission *out, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(auth_free_admission)
    struct auth_admission in = { .verdict = AUTH_LET_IN, .auditor_id = facts->auditor_id };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct crypto_sha256 hash;
    bool is_minted;

    if (!auth_make_token(&in.token, &hash, err) || !db_pool_borrow(pool, deadline, &loan, err) ||
        !db_begin(loan.db, DB_READ_COMMITTED, &tx, err) ||
        !insert_session(loan.db, facts, remote, &hash, &in, &is_minted, err))
        return false;
    if (!is_minted)
        return err_fail(err, ERR_RETRY, "auditor %jd was changed during the login",
                        (intmax_t)facts->auditor_id);

    struct audit_event event = {
        .kind = AUDIT_LOGIN,
        .token = secret_bytes(in.token),
        .fields = AUDIT_FIELDS(AUDIT_TEXT("remote", bytes_of_text(remote->address)),
                               AUDIT_BOOL("tls", attempt->is_tls)),
    };
    if (!db_run_ok(loan.db, DB_GATE_FAILURES_FORGET,
                   DB_ARGS(DB_TEXT(bytes_of_text(remote->counted)), DB_I64(facts->auditor_id)),
                   err) ||
        !audit_append_one(loan.db, &event, err) || !db_commit(&tx, err))
        return false;
    *out = in;
    in.token = NULL; /* the caller's now */
    return true;
}

bool auth_verify_login(struct auth_verifier *verifier, struct db_pool *pool,
                       const struct auth_attempt *attempt, struct deadline deadline,
                       struct auth_admission *out, struct err *err)
{
    CLEANUP(give_turn_back) struct turn turn = { 0 };
    struct auth_remote remote = auth_read_remote(attempt->remote);
    struct facts facts = { 0 };
    uint32_t wait_seconds;
    bool matches = false;

    if (attempt->password.len > PASSWORD_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "password over %d octets", PASSWORD_MAX_BYTES);
    if (!take_turn(verifier, attempt->name, deadline, &turn, err) ||
        !look_up(verifier, pool, attempt->name, &remote, deadline, &facts, err))
        return err_wrap(err, "login");
    wait_seconds = auth_seconds_to_wait(&facts.history, facts.now_usec);
    if (wait_seconds > 0) {
        *out =
            (struct auth_admission){ .verdict = AUTH_TOLD_TO_WAIT, .wait_seconds = wait_seconds };
        return true;
    }
    if (!check_password(verifier, &facts, attempt, deadline, &matches, err))
        return err_wrap(err, "login");
    if (matches)
        return let_in(pool, &facts, &remote, attempt, deadline, out, err) || err_wrap(err, "login");
    if (!record_failure(pool, &facts, &remote, attempt, deadline, err))
        return err_wrap(err, "failed login");
    *out = (struct auth_admission){ .verdict = AUTH_SENT_AWAY };
    return true;
}

bool auth_forget_old_failures(struct db_pool *pool, struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return (db_pool_borrow(pool, deadline, &loan, err) &&
            db_run_ok(loan.db, DB_GATE_FAILURES_FORGET_OLD,
                      DB_ARGS(DB_I32(AUTH_FAILURES_KEPT_DAYS)), err)) ||
           err_wrap(err, "old login failures");
}
