/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/bearer.h"

#include "audit/append.h"
#include "auth/exchange.h"
#include "auth/issuer.h"
#include "auth/refusal.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "oauth/token.h"
#include "source/secret.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STATEMENT_TIMEOUT_MS = 9000, /* who waits for the lock of an exchange waits for its end */
    MARGIN_MIN_SECONDS = 300,
    CLOCK_SKEW_SECONDS = 300, /* between the machines of several gates */
    KEEP_MS = 10000,          /* a rotated refresh token, while the database is away */
    KEEP_PAUSE_MS = 100,
};

struct auth_bearers {
    struct db_pool *pool;  /* for exchanges */
    struct db_pool *quick; /* for what waits for no endpoint */
    const struct crypto_key *master;
    struct auth_issuers *issuers;
    struct auth_refusals *refusals;
    atomic_uint busy; /* exchanges, and those who wait for one */
};

bool auth_create_bearers(const struct db_target *target, struct db_pool *quick,
                         const struct crypto_key *master, struct auth_bearers **out,
                         struct err *err)
{
    struct db_target patient = *target;
    struct auth_bearers *bearers = calloc(1, sizeof *bearers);

    if (bearers == NULL)
        return err_errno(err, "tokens");
    bearers->master = master;
    bearers->quick = quick;
    atomic_init(&bearers->busy, 0);
    patient.statement_timeout_ms = STATEMENT_TIMEOUT_MS;
    if (!auth_create_issuers(&bearers->issuers, err) ||
        !auth_create_refusals(AUTH_REFUSAL_REST_MS, &bearers->refusals, err) ||
        !db_pool_create(&patient, AUTH_EXCHANGES, &bearers->pool, err)) {
        auth_free_bearers(&bearers);
        return false;
    }
    *out = bearers;
    return true;
}

void auth_free_bearers(struct auth_bearers **bearers)
{
    if (*bearers == NULL)
        return;
    db_pool_free(&(*bearers)->pool);
    auth_free_issuers(&(*bearers)->issuers);
    auth_free_refusals(&(*bearers)->refusals);
    free(*bearers);
    *bearers = NULL;
}

bool auth_forget_old_bearers(struct auth_bearers *bearers, struct deadline deadline,
                             struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return db_pool_borrow(bearers->quick, deadline, &loan, err) &&
           db_run_ok(loan.db, DB_GATE_TOKEN_FORGET, DB_NO_ARGS, err) &&
           db_run_ok(loan.db, DB_GATE_EXCHANGE_FORGET, DB_ARGS(DB_I32(AUTH_EXCHANGES_KEPT_DAYS)),
                     err);
}

/* ---- one ask -------------------------------------------------------------------------------------- */

enum {
    TOKEN_AAD_BYTES = 16 + 2 * CRYPTO_SHA256_BYTES
};

struct work {
    struct auth_bearers *bearers;
    const struct auth_bearer_ask *ask;
    struct oauth_grant *grant;     /* renewed under its lock */
    bool has_grant_changed;        /* into another one, or to another refresh token */
    struct auth_exchange exchange; /* of its refresh token, if it has one */
    int64_t rest_seconds;          /* for which the endpoint asked; 0: it did not */
    struct crypto_sha256 cache_key;
    char aad[TOKEN_AAD_BYTES];
    struct secret *token; /* what was cached and has not expired yet, not refused; or NULL */
    bool is_fresh;        /* and need not be renewed yet */
};

static void end_work(struct work *work)
{
    oauth_free_grant(&work->grant);
    secret_free(&work->token);
}

static struct bytes key_of(const struct work *work)
{
    return crypto_sha256_bytes(&work->cache_key);
}

static struct bytes aad_of(const struct work *work)
{
    return bytes_of_text(work->aad);
}

/* Under the master key: who reads the table cannot try secrets against it. */
static struct crypto_sha256 make_key(const struct crypto_key *master,
                                     const struct oauth_grant *grant, struct bytes login)
{
    struct crypto_sha256 hash = oauth_cache_key(grant, login);

    return crypto_hmac(crypto_get_key_octets(master), crypto_sha256_bytes(&hash));
}

static bool begin_work(struct work *work, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(TOKEN_AAD_BYTES);

    if (!oauth_read_grant(secret_bytes(work->ask->grant), &work->grant, err))
        return err_fail(err, ERR_CORRUPT, "the stored grant is none");
    work->cache_key = make_key(work->bearers->master, work->grant, work->ask->login);
    buf_text(&text, "token ");
    buf_hex(&text, key_of(work));
    (void)snprintf(work->aad, sizeof work->aad, "%.*s", (int)text.len, (const char *)text.ptr);
    return true;
}

/* How long before its end a token is renewed. */
static int64_t margin_usec(int64_t life_usec)
{
    int64_t margin = MARGIN_MIN_SECONDS * INT64_C(1000000);
    uint32_t random;

    if (margin < life_usec / 10)
        margin = life_usec / 10;
    if (margin > life_usec / 2)
        margin = life_usec / 2;
    crypto_fill_random(&random, sizeof random);
    return margin + (int64_t)random % (margin / 10 + 1); /* not all workers at once */
}

/* A row of oauth_token into work->token and work->is_fresh. */
static bool take_cached(struct work *work, const struct db_result *row, struct err *err)
{
    CLEANUP(secret_free) struct secret *token = NULL;
    struct crypto_sha256 hash;
    int64_t left, life, age;

    secret_free(&work->token);
    work->is_fresh = false;
    if (db_rows(row) == 0 || db_is_null(row, 0, 0))
        return true;
    left = db_time_usec(row, 0, 2) - clock_now_usec();
    life = db_time_usec(row, 0, 2) - db_time_usec(row, 0, 1);
    age = life - left;
    if (left <= 0 || age < -CLOCK_SKEW_SECONDS * INT64_C(1000000)) /* our clock was set back */
        return true;
    if (!crypto_open_secret(work->bearers->master, aad_of(work), db_bytes(row, 0, 0), &token, err))
        return err_wrap(err, "stored token");
    hash = crypto_hash(secret_bytes(token));
    if (bytes_equal(crypto_sha256_bytes(&hash), work->ask->refused) &&
        age >= AUTH_REPLACE_SECONDS * INT64_C(1000000))
        return true;
    work->is_fresh = left > margin_usec(life);
    work->token = token;
    token = NULL; /* the work's now */
    return true;
}

static bool find_cached(struct work *work, struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_result_free) struct db_result *row = NULL;

    return db_pool_borrow(work->bearers->quick, deadline, &loan, err) &&
           db_run(loan.db, DB_GATE_TOKEN_FIND, DB_ARGS(DB_BYTEA(key_of(work))), &row, err) &&
           take_cached(work, row, err);
}

static bool lock_token(struct work *work, struct db *db, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    return db_run_ok(db, DB_GATE_TOKEN_ENSURE, DB_ARGS(DB_BYTEA(key_of(work))), err) &&
           db_run(db, DB_GATE_TOKEN_LOCK, DB_ARGS(DB_BYTEA(key_of(work))), &row, err) &&
           take_cached(work, row, err);
}

static bool has_refresh_token(const struct oauth_grant *grant)
{
    return oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT) != NULL;
}

static bool is_shared(const struct work *work)
{
    return work->ask->credential_id != 0;
}

static int64_t grant_id(const struct work *work)
{
    return is_shared(work) ? work->ask->credential_id : work->ask->account_id;
}

static struct bytes grant_aad(const struct work *work, char text[SOURCE_AAD_BYTES])
{
    return is_shared(work) ? source_credential_aad(work->ask->credential_id, text)
                           : source_secret_aad(work->ask->account_id, text);
}

static bool fail_changed(struct work *work, struct err *err)
{
    work->has_grant_changed = true;
    return err_fail(err, ERR_RETRY, "the grant was changed meanwhile");
}

/* Of a grant whose refresh token may have been rotated since it was read: as it is now, and nobody else
 * rotates it until we have. Another grant is for whoever asks next: it may be for another host, too. */
static bool lock_grant(struct work *work, struct db *db, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    CLEANUP(secret_free) struct secret *json = NULL;
    struct crypto_sha256 key;
    char aad[SOURCE_AAD_BYTES];

    if (!has_refresh_token(work->grant))
        return true;
    if (!db_run(db, is_shared(work) ? DB_GATE_CREDENTIAL_LOCK : DB_GATE_GRANT_LOCK,
                DB_ARGS(DB_I64(grant_id(work))), &row, err))
        return false;
    if (db_rows(row) == 0)
        return fail_changed(work, err);
    if (!crypto_open_secret(work->bearers->master, grant_aad(work, aad), db_bytes(row, 0, 0), &json,
                            err))
        return false;
    oauth_free_grant(&work->grant);
    if (!oauth_read_grant(secret_bytes(json), &work->grant, err))
        return false;
    key = make_key(work->bearers->master, work->grant, work->ask->login);
    return bytes_equal(crypto_sha256_bytes(&key), key_of(work)) || fail_changed(work, err);
}

/* ---- keeping what came ----------------------------------------------------------------------------- */

static bool save_grant(struct work *work, struct db *db, const struct secret *refresh_token,
                       struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(AUTH_SEALED_SECRET_MAX_BYTES);
    CLEANUP(secret_free) struct secret *json = NULL;
    char aad[SOURCE_AAD_BYTES];
    struct bytes octets;

    return oauth_renew_grant(work->grant, refresh_token, &json, err) &&
           crypto_seal(work->bearers->master, grant_aad(work, aad), secret_bytes(json), &sealed,
                       err) &&
           buf_done(&sealed, &octets, err) &&
           db_run_ok(db, is_shared(work) ? DB_GATE_CREDENTIAL_SAVE : DB_GATE_GRANT_SAVE,
                     DB_ARGS(DB_I64(grant_id(work)), DB_BYTEA(octets),
                             DB_I64(crypto_get_key_id(work->bearers->master))),
                     err);
}

static bool save_token(struct work *work, struct db *db, const struct oauth_tokens *tokens,
                       int64_t obtained_usec, struct err *err)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(AUTH_SEALED_SECRET_MAX_BYTES);
    struct bytes octets;

    return crypto_seal(work->bearers->master, aad_of(work), secret_bytes(tokens->access), &sealed,
                       err) &&
           buf_done(&sealed, &octets, err) &&
           db_run_ok(db, DB_GATE_TOKEN_SAVE,
                     DB_ARGS(DB_BYTEA(key_of(work)), DB_BYTEA(octets),
                             DB_I64(crypto_get_key_id(work->bearers->master)),
                             DB_TIME(obtained_usec),
                             DB_TIME(obtained_usec + tokens->expires_in_seconds * 1000000)),
                     err);
}

static bool append_fetched(const struct work *work, struct db *db, bool is_rotated, struct err *err)
{
    struct audit_event event = {
        .kind = AUDIT_TOKEN_FETCHED,
        .account_id = work->ask->account_id,
        .fields = AUDIT_FIELDS(AUDIT_I64("job", work->ask->job_id),
                               AUDIT_BOOL("forced", work->ask->refused.len > 0),
                               AUDIT_BOOL("rotated", is_rotated)),
    };

    return audit_append_one(db, &event, err);
}

/* In a transaction that holds the locks. The rotated refresh token first: it is what cannot be had
 * again. */
static bool keep(struct work *work, struct db_tx *tx, const struct oauth_tokens *tokens,
                 int64_t obtained_usec, struct err *err)
{
    return (tokens->refresh == NULL || save_grant(work, tx->db, tokens->refresh, err)) &&
           (!has_refresh_token(work->grant) || auth_end_exchange(tx->db, &work->exchange, err)) &&
           save_token(work, tx->db, tokens, obtained_usec, err) &&
           append_fetched(work, tx->db, tokens->refresh != NULL, err) && db_commit(tx, err);
}

/* Whose refresh token is still the one that was sent: what a human or another gate has put there since is
 * newer than ours. */
static bool lock_sent_grant(struct work *work, struct db *db, struct err *err)
{
    struct crypto_sha256 key;
    const char *token;

    if (!lock_grant(work, db, err))
        return false;
    token = oauth_get_field(work->grant, OAUTH_REFRESH_TOKEN_TEXT);
    if (token == NULL)
        return fail_changed(work, err);
    key = auth_token_key(work->bearers->master, token);
    return bytes_equal(crypto_sha256_bytes(&key), crypto_sha256_bytes(&work->exchange.token_key)) ||
           fail_changed(work, err);
}

static bool keep_once(struct work *work, const struct oauth_tokens *tokens, int64_t obtained_usec,
                      struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    return db_pool_borrow(work->bearers->pool, deadline, &loan, err) &&
           db_begin(loan.db, DB_READ_COMMITTED, &tx, err) && lock_sent_grant(work, loan.db, err) &&
           keep(work, &tx, tokens, obtained_usec, err);
}

/* The connection was lost with the only copy of a refresh token in our hands: on another one, for as long as a
 * server needs to come back, whoever waits for the answer. */
static bool keep_otherwise(struct work *work, const struct oauth_tokens *tokens,
                           int64_t obtained_usec, struct err *err)
{
    struct deadline deadline = deadline_after_ms(KEEP_MS);

    while (!keep_once(work, tokens, obtained_usec, deadline, err)) {
        if (err->code != ERR_RETRY || work->has_grant_changed || deadline_has_passed(deadline))
            return false;
        err_clear(err);
        (void)poll(NULL, 0, KEEP_PAUSE_MS);
    }
    return true;
}

/* ---- the exchange ------------------------------------------------------------------------------------ */

static void note_refused(const struct work *work, struct db *db, const struct err *refusal)
{
    struct audit_event event = {
        .kind = AUDIT_TOKEN_REFUSED,
        .account_id = work->ask->account_id,
        .fields = AUDIT_FIELDS(AUDIT_I64("job", work->ask->job_id),
                               AUDIT_TEXT("reason", bytes_of_text(refusal->text))),
    };
    struct err ignored = { 0 };

    (void)!audit_append_one(db, &event, &ignored); /* nothing was given away */
}

/* A consent is of one mailbox, and a new one is no other ask: such are made as they come. */
static bool check_refusals(const struct work *work, struct err *err)
{
    return has_refresh_token(work->grant) ||
           auth_check_refusals(work->bearers->refusals, &work->cache_key, err);
}

static void note_ask(const struct work *work, const struct err *refusal)
{
    if (!has_refresh_token(work->grant))
        auth_note_ask(work->bearers->refusals, &work->cache_key, refusal);
}

/* On another connection: what it says stands whatever becomes of the transaction that holds the locks, and
 * of us. */
static bool begin_exchange(struct work *work, struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };

    return !has_refresh_token(work->grant) ||
           (db_pool_borrow(work->bearers->quick, deadline, &loan, err) &&
            auth_begin_exchange(loan.db, work->bearers->master, work->grant, is_shared(work),
                                &work->exchange, err));
}

static bool exchange(struct work *work, struct db_loan *loan, struct db_tx *tx,
                     struct deadline deadline, struct err *err)
{
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    struct deadline end = deadline_earlier(deadline, deadline_after_ms(AUTH_EXCHANGE_MS));
    int64_t obtained_usec = clock_now_usec();
    struct oauth_failure failure;

    /* An answer that comes too late may have rotated the refresh token. */
    if (has_refresh_token(work->grant) && deadline_poll_ms(end) < AUTH_EXCHANGE_MIN_MS)
        return err_fail(err, ERR_RETRY, "the token endpoint is busy with other accounts");
    if (!begin_exchange(work, deadline, err))
        return false;
    if (!oauth_fetch_tokens(work->grant, work->ask->login, end, &tokens, &failure, err)) {
        db_rollback(tx);
        work->rest_seconds = failure.rest_seconds;
        if (has_refresh_token(work->grant))
            auth_fail_exchange(loan->db, &work->exchange, work->grant, is_shared(work), &failure,
                               err);
        if (err->code == ERR_DENIED) {
            note_refused(work, loan->db, err);
            note_ask(work, err);
        }
        return false;
    }
    note_ask(work, NULL);
    if (!keep(work, tx, &tokens, obtained_usec, err)) {
        db_rollback(tx);
        db_pool_return(loan);
        if (tokens.refresh == NULL || !keep_otherwise(work, &tokens, obtained_usec, err))
            return err_wrap(err, "keep a token");
    }
    secret_free(&work->token);
    work->token = tokens.access;
    tokens.access = NULL; /* the work's now */
    return true;
}

static bool fetch(struct work *work, struct deadline deadline, struct err *err)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    if (!db_pool_borrow(work->bearers->pool, deadline, &loan, err) ||
        !db_begin(loan.db, DB_READ_COMMITTED, &tx, err) || !lock_token(work, loan.db, err))
        return false;
    if (work->is_fresh) /* somebody else has fetched it while we waited */
        return db_commit(&tx, err);
    return check_refusals(work, err) && lock_grant(work, loan.db, err) &&
           exchange(work, &loan, &tx, deadline, err);
}

/* As one of the few that ask this endpoint. */
static bool fetch_from_issuer(struct work *work, struct deadline deadline, struct err *err)
{
    struct auth_issuers *issuers = work->bearers->issuers;
    const char *token_url = oauth_get_field(work->grant, OAUTH_TOKEN_URL);
    struct auth_issuer *issuer;
    bool is_fetched;

    if (!check_refusals(work, err))
        return false;
    if (!auth_enter_issuer(issuers, token_url, deadline, &issuer, err))
        return err_wrap(err, "%.120s", token_url);
    is_fetched = fetch(work, deadline, err);
    auth_leave_issuer(issuers, issuer, work->rest_seconds);
    return is_fetched;
}

static bool fetch_in_turn(struct work *work, struct deadline deadline, struct err *err)
{
    atomic_uint *busy = &work->bearers->busy;
    bool is_fetched;

    if (atomic_fetch_add(busy, 1) >= AUTH_EXCHANGES + AUTH_EXCHANGES_WAITING) {
        (void)atomic_fetch_sub(busy, 1);
        return err_fail(err, ERR_RETRY, "too many accounts wait for token endpoints");
    }
    is_fetched = fetch_from_issuer(work, deadline, err);
    (void)atomic_fetch_sub(busy, 1);
    return is_fetched;
}

bool auth_get_bearer(struct auth_bearers *bearers, const struct auth_bearer_ask *ask,
                     struct deadline deadline, struct secret **out, struct err *err)
{
    CLEANUP(end_work) struct work work = { .bearers = bearers, .ask = ask };

    if (!begin_work(&work, err) || !find_cached(&work, deadline, err))
        return false;
    if (!work.is_fresh && !fetch_in_turn(&work, deadline, err)) {
        if (err->code != ERR_RETRY || work.token == NULL)
            return false;
        err_clear(err); /* it still lasts a while */
    }
    *out = work.token;
    work.token = NULL; /* the caller's now */
    return true;
}

/* ---- for the operator's commands ------------------------------------------------------------------ */

static bool read_key(const struct crypto_key *master, const struct secret *grant,
                     struct bytes login, struct crypto_sha256 *out, struct err *err)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *read = NULL;

    if (!oauth_read_grant(secret_bytes(grant), &read, err))
        return false;
    *out = make_key(master, read, login);
    return true;
}

bool auth_find_bearer(struct db *db, const struct crypto_key *master, const struct secret *grant,
                      struct bytes login, int64_t *expires_usec, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct crypto_sha256 key;

    if (!read_key(master, grant, login, &key, err) ||
        !db_run(db, DB_GATE_TOKEN_FIND, DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&key))), &row, err))
        return false;
    *expires_usec = db_rows(row) > 0 && !db_is_null(row, 0, 0) ? db_time_usec(row, 0, 2) : 0;
    return true;
}

bool auth_forget_bearer(struct db *db, const struct crypto_key *master, const struct secret *grant,
                        struct bytes login, struct err *err)
{
    struct crypto_sha256 key;

    return read_key(master, grant, login, &key, err) &&
           db_run_ok(db, DB_AUTH_TOKEN_DELETE, DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&key))), err);
}
