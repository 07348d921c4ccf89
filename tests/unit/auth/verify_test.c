/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/office.h"
#include "auth/session.h"
#include "auth/verify.h"

#include <pthread.h>

struct login {
    struct office office;
    struct auth_verifier *verifier;
    struct db_pool *pool;
};

static void close_login(struct login *login)
{
    auth_free_verifier(&login->verifier);
    db_pool_free(&login->pool);
    close_office(&login->office);
}

/* The auditor "anna" with the password "right". */
static struct login open_login(void)
{
    struct login login = { .office = open_office() };
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return login;
    add_auditor(&login.office, "anna", "right");
    login.pool = pool_as(DB_ROLE_GATE);
    CHECK(auth_create_verifier(BYTES("seed"), 2, &login.verifier, &err));
    return login;
}

static struct auth_admission try_from(struct login *login, const char *name, const char *password,
                                      const char *remote)
{
    struct auth_attempt attempt = { bytes_of_text(name), bytes_of_text(password),
                                    bytes_of_text(remote), true };
    struct auth_admission in = { .verdict = AUTH_SENT_AWAY };
    struct err err = { 0 };

    if (!auth_verify_login(login->verifier, login->pool, &attempt, deadline_after_ms(20000), &in,
                           &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return in;
}

static enum auth_verdict verdict_from(struct login *login, const char *name, const char *password,
                                      const char *remote)
{
    CLEANUP(auth_free_admission) struct auth_admission in = try_from(login, name, password, remote);

    return in.verdict;
}

static enum auth_verdict verdict_of(struct login *login, const char *name, const char *password)
{
    return verdict_from(login, name, password, "192.0.2.7");
}

static void expect_reason(struct login *login, const char *reason)
{
    struct bytes detail = BYTES("");

    CHECK(count_events(&login->office, "login_failed", &detail) > 0);
    CHECK(bytes_find(detail, bytes_of_text(reason)) >= 0);
}

TEST(the_right_password_gives_a_session_that_lives)
{
    CLEANUP(close_login) struct login login = open_login();
    struct auth_session_state state;
    struct bytes detail;
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return;
    CLEANUP(db_pool_free) struct db_pool *reader = pool_as(DB_ROLE_READER);
    CLEANUP(auth_free_admission)
    struct auth_admission in = try_from(&login, "anna", "right", "192.0.2.7");
    CHECK_EQ_U64(in.verdict, AUTH_LET_IN);
    CHECK(auth_session_state(reader, in.token, deadline_after_ms(5000), &state, &err));
    CHECK_EQ_I64(state.auditor_id, in.auditor_id);
    CHECK_EQ_I64(state.session_id, in.session_id);
    CHECK_EQ_I64(state.expires_at_usec, in.expires_at_usec);
    CHECK(in.expires_at_usec > clock_now_usec() + INT64_C(23) * 3600 * 1000000);
    CHECK_EQ_U64(count_events(&login.office, "login", &detail), 1);
    CHECK_BYTES(detail, BYTES("{\"tls\": true, \"remote\": \"192.0.2.7\"}"));
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM audit_event WHERE event = 'login' "
                                           "AND session_id IS NOT NULL AND auditor_id IS NOT NULL"),
                 1);
}

TEST(wrong_unknown_disabled_expired_and_far_away_have_one_answer_and_each_costs_a_kdf)
{
    CLEANUP(close_login) struct login login = open_login();

    if (login.office.owner == NULL)
        return;
    CHECK_EQ_U64(verdict_of(&login, "anna", "wrong"), AUTH_SENT_AWAY);
    expect_reason(&login, "\"password\"");
    CHECK_EQ_U64(verdict_of(&login, "berta", "right"), AUTH_SENT_AWAY);
    expect_reason(&login, "\"unknown name\"");
    CHECK_EQ_U64(verdict_of(&login, "not\xffutf8", ""), AUTH_SENT_AWAY);
    expect_reason(&login, "\"unknown name\"");
    test_sql(login.office.owner, "UPDATE auditor SET disabled_at = now()");
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_SENT_AWAY);
    expect_reason(&login, "\"disabled or expired\"");
    test_sql(login.office.owner, "UPDATE auditor SET disabled_at = NULL, expires_at = now()");
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "192.0.2.8"), AUTH_SENT_AWAY);
    expect_reason(&login, "\"disabled or expired\"");
    test_sql(login.office.owner, "UPDATE auditor SET expires_at = NULL, "
                                 "allowed_networks = '{198.51.100.0/24}'");
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "192.0.2.8"), AUTH_SENT_AWAY);
    expect_reason(&login, "\"network\"");
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "unix"), AUTH_SENT_AWAY);
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), 7);
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "198.51.100.9"), AUTH_LET_IN);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT sum(failures)::bigint FROM login_failure"), 7);
}

TEST(what_was_typed_is_nowhere)
{
    CLEANUP(close_login) struct login login = open_login();

    if (login.office.owner == NULL)
        return;
    CHECK_EQ_U64(verdict_of(&login, "Tr0ub4dor", "hunter2"), AUTH_SENT_AWAY);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM audit_event e WHERE "
                                           "e::text ~ 'Tr0ub4dor|hunter2|anna'"),
                 0);
}

TEST(from_the_fifth_failure_on_one_waits_and_waiting_is_not_a_failure)
{
    CLEANUP(close_login) struct login login = open_login();

    if (login.office.owner == NULL)
        return;
    for (int i = 0; i < 5; i++)
        CHECK_EQ_U64(verdict_of(&login, "anna", "wrong"), AUTH_SENT_AWAY);
    uint64_t kdfs = auth_count_kdfs(login.verifier);
    CLEANUP(auth_free_admission)
    struct auth_admission in = try_from(&login, "anna", "right", "192.0.2.7");
    CHECK_EQ_U64(in.verdict, AUTH_TOLD_TO_WAIT);
    CHECK(in.wait_seconds >= 1 && in.wait_seconds <= 2);
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), kdfs);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT sum(failures)::bigint FROM login_failure"), 5);
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "192.0.2.8"), AUTH_LET_IN); /* elsewhere */

    test_sql(login.office.owner, "UPDATE login_failure SET last_at = last_at - interval '3 s'");
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_LET_IN);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM login_failure"), 0);
}

TEST(names_that_nobody_has_are_held_back_like_others_from_anywhere)
{
    CLEANUP(close_login) struct login login = open_login();
    char remote[32];

    if (login.office.owner == NULL)
        return;
    for (int i = 0; i < 5; i++)
        CHECK_EQ_U64(verdict_of(&login, "berta", "x"), AUTH_SENT_AWAY);
    CHECK_EQ_U64(verdict_of(&login, "berta", "x"), AUTH_TOLD_TO_WAIT);
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_LET_IN);
    test_sql(login.office.owner, "TRUNCATE login_failure");
    for (int i = 0; i < 20; i++) {
        snprintf(remote, sizeof remote, "198.51.100.%d", i);
        CHECK_EQ_U64(verdict_from(&login, "berta", "x", remote), AUTH_SENT_AWAY);
    }
    CHECK_EQ_U64(verdict_from(&login, "berta", "x", "198.51.100.99"), AUTH_TOLD_TO_WAIT);
    test_sql(login.office.owner, "TRUNCATE login_failure");
    for (int i = 0; i < 5; i++) {
        snprintf(remote, sizeof remote, "2001:db8::%d", i + 1);
        CHECK_EQ_U64(verdict_from(&login, "anna", "x", remote), AUTH_SENT_AWAY);
    }
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "2001:db8::ffff"), AUTH_TOLD_TO_WAIT);
    CHECK_EQ_U64(verdict_from(&login, "anna", "right", "2001:db8:0:1::1"), AUTH_LET_IN);
}

TEST(an_address_that_tries_many_names_is_held_back)
{
    CLEANUP(close_login) struct login login = open_login();
    char name[32];

    if (login.office.owner == NULL)
        return;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "name%d", i);
        CHECK_EQ_U64(verdict_of(&login, name, "x"), AUTH_SENT_AWAY);
    }
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_TOLD_TO_WAIT);
}

TEST(a_reconnect_with_the_same_password_costs_no_kdf_until_the_password_changes)
{
    CLEANUP(close_login) struct login login = open_login();
    CLEANUP(secret_free) struct secret *changed = secret_of("changed");
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return;
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_LET_IN);
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), 1);
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_LET_IN);
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), 1);
    CHECK_EQ_U64(verdict_of(&login, "anna", "wrong"), AUTH_SENT_AWAY);
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_LET_IN); /* a wrong one spoils nothing */
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), 2);
    CHECK(auth_set_password(login.office.owner, BYTES("anna"), changed, &err));
    CHECK_EQ_U64(verdict_of(&login, "anna", "right"), AUTH_SENT_AWAY);
    CHECK_EQ_U64(verdict_of(&login, "anna", "changed"), AUTH_LET_IN);
    CHECK_EQ_U64(auth_count_kdfs(login.verifier), 4);
    test_sql(login.office.owner, "UPDATE auditor SET disabled_at = now()");
    CHECK_EQ_U64(verdict_of(&login, "anna", "changed"), AUTH_SENT_AWAY);
}

TEST(a_session_ends_with_its_auditor_at_the_latest)
{
    CLEANUP(close_login) struct login login = open_login();

    if (login.office.owner == NULL)
        return;
    test_sql(login.office.owner, "UPDATE auditor SET expires_at = now() + interval '1 hour'");
    CLEANUP(auth_free_admission) struct auth_admission in = try_from(&login, "anna", "right", "");
    CHECK_EQ_U64(in.verdict, AUTH_LET_IN);
    CHECK(in.expires_at_usec < clock_now_usec() + INT64_C(3601) * 1000000);
}

TEST(nobody_gets_in_while_audit_cannot_be_written)
{
    CLEANUP(close_login) struct login login = open_login();
    struct auth_attempt attempt = { BYTES("anna"), BYTES("right"), BYTES(""), true };
    struct auth_admission in = { .verdict = AUTH_SENT_AWAY };
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return;
    test_sql(login.office.owner, "ALTER TABLE audit_event RENAME TO away");
    bool is_decided = auth_verify_login(login.verifier, login.pool, &attempt,
                                        deadline_after_ms(20000), &in, &err);
    test_sql(login.office.owner, "ALTER TABLE away RENAME TO audit_event");
    CHECK(!is_decided);
    CHECK(in.token == NULL);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM login_session"), 0);
}

enum {
    GUESSERS = 16
};

struct guesser {
    struct login *login;
    enum auth_verdict verdict;
    bool is_decided;
};

static void *guess(void *context)
{
    struct guesser *g = context;
    struct auth_attempt attempt = { BYTES("anna"), BYTES("wrong"), BYTES("192.0.2.7"), true };
    struct auth_admission in = { .verdict = AUTH_SENT_AWAY };
    struct err err = { 0 };

    g->is_decided = auth_verify_login(g->login->verifier, g->login->pool, &attempt,
                                      deadline_after_ms(30000), &in, &err);
    g->verdict = in.verdict;
    return NULL;
}

TEST(guesses_sent_at_once_are_counted_one_after_the_other)
{
    CLEANUP(close_login) struct login login = open_login();
    struct guesser guessers[GUESSERS];
    pthread_t threads[GUESSERS];
    int tried = 0;

    if (login.office.owner == NULL)
        return;
    for (int i = 0; i < GUESSERS; i++) {
        guessers[i] = (struct guesser){ .login = &login };
        CHECK(pthread_create(&threads[i], NULL, guess, &guessers[i]) == 0);
    }
    for (int i = 0; i < GUESSERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(guessers[i].is_decided);
        tried += guessers[i].verdict == AUTH_SENT_AWAY ? 1 : 0;
    }
    CHECK(tried >= 5 && tried <= 7); /* slow machines may outlast a wait of 2 s */
}

TEST(old_failures_are_forgotten)
{
    CLEANUP(close_login) struct login login = open_login();
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return;
    test_sql(login.office.owner, "INSERT INTO login_failure (remote, minute) VALUES "
                                 "('192.0.2.1', now() - interval '91 days'), "
                                 "('192.0.2.1', now() - interval '89 days')");
    CHECK(auth_forget_old_failures(login.pool, deadline_after_ms(5000), &err));
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM login_failure"), 1);
}

TEST(old_sessions_are_forgotten_but_each_auditors_latest)
{
    CLEANUP(close_login) struct login login = open_login();
    struct err err = { 0 };

    if (login.office.owner == NULL)
        return;
    test_sql(login.office.owner,
             "INSERT INTO login_session (token_hash, auditor_id, expires_at, revoked_at) "
             "SELECT sha256(n::text::bytea), (SELECT min(auditor_id) FROM auditor), "
             "now() - days * interval '1 day' + interval '1 year', "
             "now() - days * interval '1 day' FROM (VALUES (1, 40), (2, 29), (3, 40)) v (n, days)");
    test_sql(login.office.owner,
             "INSERT INTO login_session (token_hash, expires_at) VALUES "
             "(sha256('a'), now() - interval '31 days'), (sha256('b'), now() + interval '1 hour')");
    CHECK(auth_forget_old_sessions(login.pool, deadline_after_ms(5000), &err));
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM login_session WHERE token_hash IN "
                                           "(sha256('2'), sha256('3'), sha256('b'))"),
                 3);
    CHECK_EQ_I64(ask_number(&login.office, "SELECT count(*) FROM login_session WHERE token_hash IN "
                                           "(sha256('1'), sha256('a'))"),
                 0);
}
