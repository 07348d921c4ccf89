/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/bearer.h"
#include "auth/office.h"
#include "auth/refusal.h"
#include "crypto/hash.h"
#include "oauth/endpoint.h"
#include "oauth/grants.h"
#include "source/secret.h"

enum {
    THREADS = 8
};

struct bench {
    struct office office;
    struct endpoint endpoint;
    struct crypto_key *master;
    struct db_pool *quick;
    struct auth_bearers *bearers;
    struct secret *grant;
    struct err err;
};

static struct secret *write_grant(json_t *json)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = must_read_grant(json);
    struct secret *written = NULL;
    struct err err = { 0 };

    CHECK(oauth_write_grant(grant, &written, &err));
    return written;
}

/* The grant of account 1, from now on. */
static void store_grant(struct bench *b, const char *refresh_token)
{
    CLEANUP(buf_free) struct buf sealed = buf_create(AUTH_SEALED_SECRET_MAX_BYTES);
    CLEANUP(buf_free) struct buf sql = buf_create(64 << 10);
    CLEANUP(secret_free)
    struct secret *grant =
        write_grant(json_pack("{s:s, s:s, s:s, s:s}", "grant", "refresh-token", "token_url",
                              b->endpoint.url, "client_id", "c", "refresh_token", refresh_token));

    CHECK(auth_seal_source_secret(b->master, 1, grant, &sealed, &b->err));
    buf_text(&sql, "INSERT INTO account_secret VALUES (1, 'oauth', '\\x");
    buf_hex(&sql, buf_bytes(&sealed));
    buf_text(&sql, "', 1) ON CONFLICT (account_id) DO UPDATE SET sealed = EXCLUDED.sealed");
    buf_byte(&sql, 0);
    test_sql(b->office.owner, (const char *)sql.ptr);
    secret_free(&b->grant);
    b->grant = grant;
    grant = NULL;
}

/* Account 1 with the refresh token "r0"; false: no database. */
static bool begin(struct bench *b, const struct endpoint_answer *answers, size_t count)
{
    struct db_target target;

    memset(b, 0, sizeof *b);
    b->office = open_office();
    if (b->office.owner == NULL)
        return false;
    test_sql(b->office.owner, "TRUNCATE oauth_token, oauth_exchange, credential RESTART IDENTITY");
    CHECK(oauth_start(&b->err));
    endpoint_open(&b->endpoint, answers, count);
    CHECK(crypto_generate_key(&b->master, &b->err));
    store_grant(b, "r0");
    CHECK(test_target(DB_ROLE_GATE, &target));
    CHECK(db_pool_create(&target, 2, &b->quick, &b->err));
    CHECK(auth_create_bearers(&target, b->quick, b->master, &b->bearers, &b->err));
    return true;
}

static void end(struct bench *b)
{
    auth_free_bearers(&b->bearers);
    db_pool_free(&b->quick);
    crypto_free_key(&b->master);
    secret_free(&b->grant);
    endpoint_close(&b->endpoint);
    close_office(&b->office);
}

/* The token, the caller's; NULL: b->err says why. */
static struct secret *ask_within(struct bench *b, int64_t ms, struct bytes login,
                                 const struct secret *refused, struct err *err)
{
    struct crypto_sha256 hash = { { 0 } };
    struct auth_bearer_ask want = {
        .account_id = 1, .job_id = 1, .grant = b->grant, .login = login
    };
    struct secret *token = NULL;

    if (refused != NULL) {
        hash = crypto_hash(secret_bytes(refused));
        want.refused = crypto_sha256_bytes(&hash);
    }
    *err = (struct err){ 0 };
    (void)!auth_get_bearer(b->bearers, &want, deadline_after_ms(ms), &token, err);
    return token;
}

static struct secret *ask_for(struct bench *b, struct bytes login, const struct secret *refused,
                              struct err *err)
{
    return ask_within(b, 10000, login, refused, err);
}

static struct secret *ask(struct bench *b, const struct secret *refused, struct err *err)
{
    return ask_for(b, BYTES("anna"), refused, err);
}

static void check_token(struct bench *b, const struct secret *refused, const char *want)
{
    CLEANUP(secret_free) struct secret *token = ask(b, refused, &b->err);

    if (token == NULL)
        test_fail(__FILE__, __LINE__, "%s", b->err.text);
    CHECK_BYTES(secret_bytes(token), bytes_of_text(want));
}

static void check_stored_refresh_token(struct bench *b, const char *want)
{
    CLEANUP(source_free_secret_facts) struct source_secret_facts facts = { 0 };
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;

    CHECK(source_open_secret(b->office.owner, 1, b->master, b->office.arena, &facts, &b->err));
    CHECK(oauth_read_grant(secret_bytes(facts.octets), &grant, &b->err));
    CHECK_STR(oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT), want);
}

#define MAKE_OLDER                                                                                 \
    "UPDATE oauth_token SET obtained_at = obtained_at - interval '1 minute', "                     \
    "expires_at = expires_at - interval '1 minute'"

#define TOKENS(access, refresh)                                                                    \
    {                                                                                              \
        200, "",                                                                                   \
            "{\"access_token\":\"" access "\",\"refresh_token\":\"" refresh                        \
            "\",\"expires_in\":3600}"                                                              \
    }

TEST(a_rotated_refresh_token_is_kept_and_is_the_one_that_is_sent_next)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), TOKENS("a2", "r2") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    check_token(b, NULL, "a1");
    check_token(b, NULL, "a1"); /* kept */
    CHECK(strstr(b->endpoint.request, "refresh_token=r0") != NULL);
    check_stored_refresh_token(b, "r1");
    test_sql(b->office.owner, "UPDATE oauth_token SET expires_at = now()");
    check_token(b, NULL, "a2");
    CHECK(strstr(b->endpoint.request, "refresh_token=r1") != NULL);
    check_stored_refresh_token(b, "r2");
    CHECK_EQ_U64(count_events(&b->office, "token_fetched", NULL), 2);
    end(b);
}

TEST(a_token_from_before_the_clock_was_set_back_is_not_taken_for_a_new_one)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), TOKENS("a2", "r2") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    check_token(b, NULL, "a1");
    test_sql(b->office.owner, "UPDATE oauth_token SET obtained_at = now() + interval '1 minute', "
                              "expires_at = now() + interval '1 hour'");
    check_token(b, NULL, "a1"); /* of another machine, whose clock is a little ahead */
    test_sql(b->office.owner, "UPDATE oauth_token SET obtained_at = now() + interval '1 day', "
                              "expires_at = now() + interval '25 hours'");
    check_token(b, NULL, "a2");
    end(b);
}

TEST(a_refused_token_is_replaced_once_for_all_who_were_refused)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), TOKENS("a2", "r2") };
    CLEANUP(secret_free) struct secret *refused = secret_of("a1");
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    check_token(b, NULL, "a1");
    check_token(b, refused, "a1"); /* brand new: another would be no better */
    test_sql(b->office.owner, MAKE_OLDER);
    check_token(b, refused, "a2");
    check_token(b, refused, "a2"); /* another worker, refused with the same one */
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 2);
    end(b);
}

TEST(a_refusal_of_the_endpoint_needs_a_human_and_is_audited)
{
    static const struct endpoint_answer answers[] = { { 400, "",
                                                        "{\"error\":\"invalid_grant\"}" } };
    struct bench bench, *b = &bench;
    struct bytes detail;

    if (!begin(b, answers, 1))
        return;
    CHECK(ask(b, NULL, &b->err) == NULL);
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    CHECK(strstr(b->err.text, "consent anew") != NULL);
    CHECK(strstr(b->err.text, "`holdfast account edit NAME --oauth refresh-token ") != NULL);
    CHECK_EQ_U64(count_events(&b->office, "token_refused", &detail), 1);
    check_stored_refresh_token(b, "r0");
    end(b);
}

/* Rows of exchanges whose end is not known. */
static uint64_t count_open(struct bench *b)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };

    CHECK(db_run_assembled(b->office.owner, "SELECT count(*) FROM oauth_exchange", DB_NO_ARGS,
                           &rows, &err));
    return (uint64_t)db_i64(rows, 0, 0);
}

#define BROKEN_OFF                                                                                 \
    {                                                                                              \
        200, "", "{\"access_token\":"                                                              \
    }
#define INVALID_GRANT                                                                              \
    {                                                                                              \
        400, "", "{\"error\":\"invalid_grant\"}"                                                   \
    }

TEST(an_answer_that_was_lost_is_made_good_where_the_old_refresh_token_is_still_taken)
{
    static const struct endpoint_answer answers[] = { BROKEN_OFF, BROKEN_OFF, TOKENS("a1", "r1"),
                                                      TOKENS("a2", "r2") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    for (int i = 0; i < 2; i++) {
        CHECK(ask(b, NULL, &b->err) == NULL);
        CHECK_EQ_U64(b->err.code, ERR_RETRY);
        CHECK_EQ_U64(count_open(b), 1);
    }
    check_token(b, NULL, "a1");
    CHECK(strstr(b->endpoint.request, "refresh_token=r0") != NULL);
    CHECK_EQ_U64(count_open(b), 0);
    test_sql(b->office.owner, "UPDATE oauth_token SET expires_at = now()");
    check_token(b, NULL, "a2");
    CHECK_EQ_U64(count_open(b), 0);
    end(b);
}

TEST(a_rotated_refresh_token_that_was_lost_is_named_with_what_mends_it_and_not_sent_again)
{
    static const struct endpoint_answer answers[] = { BROKEN_OFF, INVALID_GRANT };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    CHECK(ask(b, NULL, &b->err) == NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(ask(b, NULL, &b->err) == NULL);
        CHECK_EQ_U64(b->err.code, ERR_DENIED);
        CHECK(strstr(b->err.text, "exchange 1 with the token endpoint, begun 20") != NULL);
        CHECK(strstr(b->err.text, "refresh token that it may have given is lost") != NULL);
        CHECK(strstr(b->err.text, "`holdfast account edit NAME --oauth refresh-token ") != NULL);
        CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 2);
    }
    test_sql(b->office.owner, "UPDATE oauth_exchange SET refused_at = now() - interval '25 hours'");
    CHECK(ask(b, NULL, &b->err) == NULL);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 3);
    check_stored_refresh_token(b, "r0");
    end(b);
}

TEST(a_refusal_without_a_lost_answer_blames_no_exchange)
{
    static const struct endpoint_answer answers[] = { INVALID_GRANT };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    for (int i = 0; i < 2; i++) {
        CHECK(ask(b, NULL, &b->err) == NULL);
        CHECK_EQ_U64(b->err.code, ERR_DENIED);
        CHECK(strstr(b->err.text, "exchange") == NULL);
        CHECK_EQ_U64(count_open(b), 0);
    }
    end(b);
}

TEST(an_endpoint_that_was_never_reached_has_given_nothing)
{
    static const struct endpoint_answer answers[] = { INVALID_GRANT };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    (void)shutdown(b->endpoint.listener, SHUT_RDWR);
    CHECK(ask(b, NULL, &b->err) == NULL);
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    CHECK_EQ_U64(count_open(b), 0);
    end(b);
}

TEST(while_the_endpoint_is_away_a_token_is_used_to_its_end)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), { 503, "", "{}" } };
    CLEANUP(secret_free) struct secret *refused = secret_of("a1");
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    check_token(b, NULL, "a1");
    test_sql(b->office.owner, "UPDATE oauth_token SET obtained_at = now() - interval '1 hour', "
                              "expires_at = now() + interval '60 s'");
    check_token(b, NULL, "a1");
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 2);
    CHECK(ask(b, refused, &b->err) == NULL); /* but not one that the source does not take */
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    test_sql(b->office.owner, "UPDATE oauth_token SET expires_at = now()");
    CHECK(ask(b, NULL, &b->err) == NULL);
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    end(b);
}

struct asker {
    struct bench *bench;
    struct secret *token;
    struct err err;
};

static void *run_asker(void *context)
{
    struct asker *asker = context;

    asker->token = ask(asker->bench, NULL, &asker->err);
    return NULL;
}

TEST(of_many_who_ask_at_once_one_fetches)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), TOKENS("a2", "r2") };
    struct asker askers[THREADS];
    pthread_t threads[THREADS];
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    b->endpoint.pause_ms = 200;
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){ .bench = b };
        CHECK(pthread_create(&threads[i], NULL, run_asker, &askers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        if (askers[i].token == NULL)
            test_fail(__FILE__, __LINE__, "%s", askers[i].err.text);
        CHECK_BYTES(secret_bytes(askers[i].token), BYTES("a1"));
        secret_free(&askers[i].token);
    }
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 1);
    end(b);
}

/* Asks; meanwhile, when the endpoint has been asked, the connection that holds the locks is lost. */
static struct secret *ask_and_lose_connection(struct bench *b, const char *refresh_token_of_consent)
{
    struct asker asker = { .bench = b };
    struct secret *asked_with = b->grant;
    pthread_t thread;

    b->endpoint.pause_ms = 1000;
    CHECK(pthread_create(&thread, NULL, run_asker, &asker) == 0);
    while (atomic_load(&b->endpoint.asked) == 0)
        (void)poll(NULL, 0, 5);
    test_sql(b->office.owner, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE "
                              "datname = current_database() AND state = 'idle in transaction'");
    if (refresh_token_of_consent != NULL) {
        b->grant = NULL; /* the asker's still */
        store_grant(b, refresh_token_of_consent);
    }
    (void)pthread_join(thread, NULL);
    if (refresh_token_of_consent != NULL)
        secret_free(&asked_with);
    b->err = asker.err;
    return asker.token;
}

TEST(a_rotated_refresh_token_is_kept_by_another_connection_when_the_first_is_lost)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;
    struct secret *token;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    token = ask_and_lose_connection(b, NULL);
    if (token == NULL)
        test_fail(__FILE__, __LINE__, "%s", b->err.text);
    check_stored_refresh_token(b, "r1");
    CHECK_EQ_U64(count_open(b), 0);
    secret_free(&token);
    end(b);
}

TEST(a_consent_that_came_while_the_connection_was_lost_is_not_overwritten)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    CHECK(ask_and_lose_connection(b, "r9") == NULL);
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    check_stored_refresh_token(b, "r9");
    end(b);
}

TEST(a_rotated_refresh_token_is_kept_though_the_database_is_away_when_it_comes)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct asker asker = { .token = NULL };
    struct bench bench, *b = &bench;
    pthread_t thread;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    asker.bench = b;
    b->endpoint.pause_ms = 300;
    CHECK(pthread_create(&thread, NULL, run_asker, &asker) == 0);
    while (atomic_load(&b->endpoint.asked) == 0)
        (void)poll(NULL, 0, 5);
    test_sql(b->office.owner, "ALTER ROLE holdfast_gate CONNECTION LIMIT 0");
    test_sql(b->office.owner, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE "
                              "datname = current_database() AND state = 'idle in transaction'");
    (void)poll(NULL, 0, 1000); /* the answer is there, and nobody to keep it */
    test_sql(b->office.owner, "ALTER ROLE holdfast_gate CONNECTION LIMIT -1");
    (void)pthread_join(thread, NULL);
    if (asker.token == NULL)
        test_fail(__FILE__, __LINE__, "%s", asker.err.text);
    check_stored_refresh_token(b, "r1");
    CHECK_EQ_U64(count_open(b), 0);
    secret_free(&asker.token);
    end(b);
}

TEST(who_has_no_time_left_for_an_answer_does_not_send_the_refresh_token)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    CHECK(ask_within(b, AUTH_EXCHANGE_MIN_MS / 2, BYTES("anna"), NULL, &b->err) == NULL);
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 0);
    CHECK_EQ_U64(count_open(b), 0);
    check_token(b, NULL, "a1");
    end(b);
}

/* Another grant may come with another host, of which whoever asks with the old one knows nothing. */
TEST(a_grant_that_was_replaced_gives_no_token_to_who_asks_with_the_one_before)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    CLEANUP(secret_free) struct secret *before = NULL;
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    before = write_grant(json_pack("{s:s, s:s, s:s, s:s}", "grant", "refresh-token", "token_url",
                                   b->endpoint.url, "client_id", "other", "refresh_token", "r9"));
    secret_free(&b->grant);
    b->grant = before;
    CHECK(ask(b, NULL, &b->err) == NULL);
    b->grant = NULL;
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 0);
    check_stored_refresh_token(b, "r0");
    end(b);
}

/* As many mailboxes of one tenant, one after the other: how many tokens were got for them. */
static unsigned ask_for_tenant(struct bench *b, unsigned mailboxes)
{
    unsigned given = 0;
    char login[32];

    for (unsigned i = 0; i < mailboxes; i++) {
        CLEANUP(secret_free) struct secret *token = NULL;

        (void)snprintf(login, sizeof login, "mailbox-%u", i);
        token = ask_for(b, bytes_of_text(login), NULL, &b->err);
        given += token != NULL;
    }
    return given;
}

static void become_tenant(struct bench *b)
{
    secret_free(&b->grant);
    b->grant = write_grant(with(client_credentials(), "token_url", b->endpoint.url));
}

TEST(a_refresh_token_that_nobody_asked_for_does_not_spoil_the_grant)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    become_tenant(b);
    check_token(b, NULL, "a1");
    check_stored_refresh_token(b, "r0"); /* the row was left alone */
    end(b);
}

TEST(the_accounts_of_a_tenant_share_the_token_of_its_application)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1"), TOKENS("a2", "r2") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    become_tenant(b);
    CHECK_EQ_U64(ask_for_tenant(b, 1000), 1000);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 1);
    end(b);
}

TEST(after_too_many_requests_a_thousand_accounts_leave_the_endpoint_alone)
{
    static const struct endpoint_answer answers[] = { { 429, "Retry-After: 300\r\n", "{}" },
                                                      TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    /* each by its own mailbox: the refresh token's grant */
    CHECK_EQ_U64(ask_for_tenant(b, 1000), 0);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), 1);
    CHECK_EQ_U64(b->err.code, ERR_RETRY);
    CHECK(strncmp(b->err.text, b->endpoint.url, strlen(b->endpoint.url)) == 0);
    CHECK(strstr(b->err.text, "asked to be left alone") != NULL);
    CHECK_EQ_U64(count_open(b), 0);
    end(b);
}

TEST(a_secret_that_has_expired_is_not_tried_by_each_of_a_thousand_accounts)
{
    static const struct endpoint_answer answers[] = {
        { 401, "", "{\"error\":\"invalid_client\"}" },
        { 401, "", "{\"error\":\"invalid_client\"}" },
        { 401, "", "{\"error\":\"invalid_client\"}" },
        { 401, "", "{\"error\":\"invalid_client\"}" },
        TOKENS("a1", "r1"),
    };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, ARRAY_LEN(answers)))
        return;
    become_tenant(b);
    CHECK_EQ_U64(ask_for_tenant(b, 1000), 0);
    CHECK_EQ_U64(atomic_load(&b->endpoint.asked), AUTH_REFUSALS);
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    CHECK(strstr(b->err.text, "invalid_client") != NULL);
    secret_free(&b->grant); /* the operator gives another one */
    b->grant = write_grant(
        with(with(client_credentials(), "token_url", b->endpoint.url), "client_secret", "new"));
    check_token(b, NULL, "a1");
    end(b);
}

TEST(a_stored_token_of_another_place_does_not_open)
{
    static const struct endpoint_answer answers[] = { TOKENS("a1", "r1") };
    struct bench bench, *b = &bench;

    if (!begin(b, answers, 1))
        return;
    check_token(b, NULL, "a1");
    test_sql(b->office.owner,
             "UPDATE oauth_token SET sealed = (SELECT sealed FROM account_secret)");
    CHECK(ask(b, NULL, &b->err) == NULL);
    CHECK_EQ_U64(b->err.code, ERR_CORRUPT);
    end(b);
}
