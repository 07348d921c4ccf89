/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/internal.h"
#include "auth/office.h"
#include "auth/session.h"

static struct secret *mint(struct office *office, const int64_t *accounts, size_t count)
{
    struct secret *token = NULL;
    struct err err = { 0 };

    if (!auth_mint_operator_session(office->owner, accounts, count, 60, &token, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return token;
}

static enum err_code state_of(struct db_pool *pool, const struct secret *token,
                              struct auth_session_state *state)
{
    struct err err = { 0 };

    return auth_session_state(pool, token, deadline_after_ms(5000), state, &err) ? ERR_NONE
                                                                                 : err.code;
}

/* What a reader with this token sees of the accounts. */
static int64_t visible_accounts(struct db_pool *pool, const struct secret *token)
{
    CLEANUP(db_pool_return) struct db_loan loan = { 0 };
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct err err = { 0 };

    CHECK(db_pool_borrow(pool, deadline_after_ms(5000), &loan, &err));
    CHECK(db_begin(loan.db, DB_READ_COMMITTED, &tx, &err));
    CHECK(db_run_ok(loan.db, DB_SESSION_SET_TOKEN, DB_ARGS(DB_TEXT(secret_bytes(token))), &err));
    CHECK(db_run_assembled(loan.db, "SELECT coalesce(sum(account_id), 0)::bigint FROM account_name",
                           DB_NO_ARGS, &rows, &err));
    return db_i64(rows, 0, 0);
}

TEST(a_token_is_64_hex_digits_and_the_table_keeps_its_hash)
{
    CLEANUP(close_office) struct office office = open_office();

    if (office.owner == NULL)
        return;
    CLEANUP(secret_free) struct secret *token = mint(&office, NULL, 0);
    CLEANUP(secret_free) struct secret *other = mint(&office, NULL, 0);
    struct bytes text = secret_bytes(token);

    CHECK_EQ_U64(text.len, 64);
    for (size_t i = 0; i < text.len; i++)
        CHECK(ascii_is_digit(text.ptr[i]) || (text.ptr[i] >= 'a' && text.ptr[i] <= 'f'));
    CHECK(!bytes_equal(text, secret_bytes(other)));
    CHECK_EQ_I64(ask_number(&office, "SELECT count(*) FROM login_session"), 2);
    CHECK_EQ_U64(count_events(&office, "operator_session", NULL), 2);
}

TEST(an_operator_session_sees_its_accounts_and_no_others)
{
    CLEANUP(close_office) struct office office = open_office();
    static const int64_t legal[] = { 2 };
    struct auth_session_state state;

    if (office.owner == NULL)
        return;
    CLEANUP(db_pool_free) struct db_pool *pool = pool_as(DB_ROLE_READER);
    CLEANUP(secret_free) struct secret *all = mint(&office, NULL, 0);
    CLEANUP(secret_free) struct secret *one = mint(&office, legal, 1);
    CLEANUP(secret_free) struct secret *none = secret_of("0");

    CHECK_EQ_I64(visible_accounts(pool, all), 3);
    CHECK_EQ_I64(visible_accounts(pool, one), 2);
    CHECK_EQ_I64(visible_accounts(pool, none), 0);
    CHECK_EQ_U64(state_of(pool, all, &state), ERR_NONE);
    CHECK_EQ_I64(state.auditor_id, 0);
    CHECK(state.session_id > 0);
    CHECK(state.expires_at_usec > clock_now_usec());
}

TEST(a_session_that_was_ended_or_has_expired_is_over)
{
    CLEANUP(close_office) struct office office = open_office();
    struct auth_session_state state;
    struct err err = { 0 };

    if (office.owner == NULL)
        return;
    CLEANUP(db_pool_free) struct db_pool *pool = pool_as(DB_ROLE_READER);
    CLEANUP(secret_free) struct secret *first = mint(&office, NULL, 0);
    CLEANUP(secret_free) struct secret *second = mint(&office, NULL, 0);

    CHECK(auth_end_session(office.owner, first, &err));
    CHECK(auth_end_session(office.owner, first, &err)); /* twice is no harm */
    CHECK_EQ_U64(count_events(&office, "logout", NULL), 1);
    CHECK_EQ_U64(state_of(pool, first, &state), ERR_DENIED);
    CHECK_EQ_I64(visible_accounts(pool, first), 0);
    CHECK_EQ_U64(state_of(pool, second, &state), ERR_NONE);
    test_sql(office.owner, "UPDATE login_session SET expires_at = now()");
    CHECK_EQ_U64(state_of(pool, second, &state), ERR_DENIED);
    CHECK_EQ_I64(visible_accounts(pool, second), 0);
}

TEST(the_token_of_one_question_is_gone_with_the_next)
{
    CLEANUP(close_office) struct office office = open_office();
    struct db_target target;
    struct auth_session_state state;
    struct err err = { 0 };
    struct db_pool *single = NULL;

    if (office.owner == NULL)
        return;
    CHECK(test_target(DB_ROLE_READER, &target));
    CHECK(db_pool_create(&target, 1, &single, &err));
    CLEANUP(secret_free) struct secret *token = mint(&office, NULL, 0);
    CHECK_EQ_U64(state_of(single, token, &state), ERR_NONE);
    {
        CLEANUP(db_pool_return) struct db_loan loan = { 0 };
        CLEANUP(db_result_free) struct db_result *rows = NULL;

        CHECK(db_pool_borrow(single, deadline_after_ms(5000), &loan, &err));
        CHECK(db_run_assembled(loan.db, "SELECT count(*) FROM session_state()", DB_NO_ARGS, &rows,
                               &err));
        CHECK_EQ_I64(db_i64(rows, 0, 0), 0);
    }
    db_pool_free(&single);
}

TEST(a_session_lives_no_longer_than_a_week_and_needs_a_time)
{
    CLEANUP(close_office) struct office office = open_office();
    struct secret *token = NULL;
    struct err err = { 0 };

    if (office.owner == NULL)
        return;
    CHECK(!auth_mint_operator_session(office.owner, NULL, 0, 0, &token, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK(!auth_mint_operator_session(office.owner, NULL, 0, AUTH_OPERATOR_TTL_MAX_SECONDS + 1,
                                      &token, &err));
    CHECK(token == NULL);
}

TEST(a_database_that_is_away_is_a_reason_to_try_again)
{
    struct db_target target = { .socket_dir = "/nonexistent", .database = "none", .role = "none" };
    struct auth_session_state state;
    struct db_pool *pool = NULL;
    struct err err = { 0 };
    CLEANUP(secret_free) struct secret *token = secret_of("0");

    CHECK(db_pool_create(&target, 1, &pool, &err));
    CHECK_EQ_U64(state_of(pool, token, &state), ERR_RETRY);
    db_pool_free(&pool);
}
