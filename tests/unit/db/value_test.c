/* SPDX-License-Identifier: Apache-2.0 */
#include "db/db.h"
#include "db/test_server.h"

static struct db *db; /* one for the file: its tests do not disturb each other */

static struct db_result *echo(const char *sql, struct db_args args)
{
    struct db_result *result = NULL;
    struct err err = { 0 };

    if (!db_run_assembled(db, sql, args, &result, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return result;
}

static bool is_skipped(void)
{
    if (db == NULL)
        db = test_db(DB_ROLE_OWNER);
    return db == NULL;
}

__attribute__((destructor)) static void close_db(void)
{
    db_close(&db);
}

/* The server's own text form of a parameter is the independent witness of our encoding. */
static void check_text(const char *type, struct db_value value, const char *want)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    char sql[64];

    (void)snprintf(sql, sizeof sql, "SELECT $1::%s::text", type);
    result = echo(sql, DB_ARGS(value));
    CHECK_BYTES(db_bytes(result, 0, 0), bytes_of_text(want));
}

TEST(the_server_reads_every_scalar_as_it_was_meant)
{
    if (is_skipped())
        return;
    check_text("boolean", DB_BOOL(true), "true");
    check_text("boolean", DB_BOOL(false), "false");
    check_text("smallint", DB_I16(-32768), "-32768");
    check_text("integer", DB_I32(INT32_MIN), "-2147483648");
    check_text("bigint", DB_I64(INT64_MIN), "-9223372036854775808");
    check_text("bigint", DB_I64(INT64_MAX), "9223372036854775807");
    check_text("text", DB_TEXT(BYTES("Grüße\n")), "Grüße\n");
    check_text("bytea",
               DB_BYTEA(BYTES("\0\xff"
                              "a")),
               "\\x00ff61");
    check_text("timestamptz", DB_TIME(0), "1970-01-01 00:00:00+00");
    check_text("timestamptz", DB_TIME(-1), "1969-12-31 23:59:59.999999+00");
    check_text("timestamptz", DB_TIME(INT64_C(1000000000123456)), "2001-09-09 01:46:40.123456+00");
    check_text("timestamptz", DB_TIME(INT64_MAX), "infinity");
    check_text("date", DB_DATE(0), "1970-01-01");
    check_text("date", DB_DATE(-1), "1969-12-31");
    check_text("date", DB_DATE(11323), "2001-01-01");
}

TEST(the_server_reads_every_array_as_it_was_meant)
{
    const bool bools[] = { true, false };
    const int16_t i16s[] = { -1, 0, 32767 };
    const int32_t i32s[] = { -1, 7 };
    const int64_t i64s[] = { INT64_MIN, 0, INT64_MAX };
    const int64_t times[] = { 0, INT64_C(1000000000000000) };
    const int64_t days[] = { 0, 11323 };
    const struct bytes texts[] = { BYTES("a b"), { NULL, 0 }, BYTES("") };
    const bool nulls[] = { false, true, false };

    if (is_skipped())
        return;
    check_text("boolean[]", DB_BOOLS(bools, 2), "{t,f}");
    check_text("smallint[]", DB_I16S(i16s, 3), "{-1,0,32767}");
    check_text("integer[]", DB_I32S(i32s, 2), "{-1,7}");
    check_text("bigint[]", DB_I64S(i64s, 3), "{-9223372036854775808,0,9223372036854775807}");
    check_text("bigint[]", DB_I64S(NULL, 0), "{}");
    check_text("bigint[]", db_with_nulls(DB_I64S(i64s, 3), nulls),
               "{-9223372036854775808,NULL,9223372036854775807}");
    check_text("timestamptz[]", DB_TIMES(times, 2),
               "{\"1970-01-01 00:00:00+00\",\"2001-09-09 01:46:40+00\"}");
    check_text("date[]", DB_DATES(days, 2), "{1970-01-01,2001-01-01}");
    check_text("text[]", DB_TEXTS(texts, 3), "{\"a b\",NULL,\"\"}");
    check_text("bytea[]", DB_BYTEAS(texts, 3), "{\"\\\\x612062\",NULL,\"\\\\x\"}");
}

TEST(scalars_come_back_as_they_were_sent)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (is_skipped())
        return;
    result = echo("SELECT $1, $2, $3, $4, $5, $6, $7, $8",
                  DB_ARGS(DB_BOOL(true), DB_I16(-2), DB_I32(-3), DB_I64(-4), DB_TEXT(BYTES("x")),
                          DB_BYTEA(BYTES("\0\1")), DB_TIME(INT64_C(-5)), DB_DATE(-6)));
    CHECK_EQ_U64(db_rows(result), 1);
    CHECK(db_bool(result, 0, 0));
    CHECK_EQ_I64(db_i16(result, 0, 1), -2);
    CHECK_EQ_I64(db_i32(result, 0, 2), -3);
    CHECK_EQ_I64(db_i64(result, 0, 3), -4);
    CHECK_BYTES(db_bytes(result, 0, 4), BYTES("x"));
    CHECK_BYTES(db_bytes(result, 0, 5), BYTES("\0\1"));
    CHECK_EQ_I64(db_time_usec(result, 0, 6), -5);
    CHECK_EQ_I64(db_date_days(result, 0, 7), -6);
}

TEST(null_of_any_type_is_null_and_empty_octets_are_not)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (is_skipped())
        return;
    result = echo("SELECT $1::bigint, $2::bytea, $3::bytea, $4::text",
                  DB_ARGS(DB_NULL, DB_NULL, DB_BYTEA(((struct bytes){ NULL, 0 })),
                          db_null_unless(false, DB_TEXT(BYTES("x")))));
    CHECK(db_is_null(result, 0, 0));
    CHECK(db_is_null(result, 0, 1));
    CHECK(db_bytes(result, 0, 1).ptr == NULL);
    CHECK(!db_is_null(result, 0, 2));
    CHECK_EQ_U64(db_bytes(result, 0, 2).len, 0);
    CHECK(db_is_null(result, 0, 3));
}

TEST(infinity_and_jsonb_are_read)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (is_skipped())
        return;
    result = echo("SELECT 'infinity'::timestamptz, '{\"a\": 1}'::jsonb, 'n'::name, '{}'::json",
                  DB_NO_ARGS);
    CHECK_EQ_I64(db_time_usec(result, 0, 0), INT64_MAX);
    CHECK_BYTES(db_bytes(result, 0, 1), BYTES("{\"a\": 1}"));
    CHECK_BYTES(db_bytes(result, 0, 2), BYTES("n"));
    CHECK_BYTES(db_bytes(result, 0, 3), BYTES("{}"));
}

TEST(arrays_of_numbers_of_every_width_are_read)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    const int64_t *values;
    struct err err = { 0 };
    size_t count;

    if (is_skipped())
        return;
    result =
        echo("SELECT '{-1,2}'::smallint[], '{-3,4}'::int[], '{-5,6}'::bigint[], '{}'::bigint[],"
             " NULL::bigint[], '{{1,2},{3,4}}'::bigint[], '{1,NULL}'::bigint[]",
             DB_NO_ARGS);
    for (size_t col = 0; col < 3; col++) {
        CHECK(db_i64_array(result, 0, col, arena, &values, &count, &err));
        CHECK_EQ_U64(count, 2);
        CHECK_EQ_I64(values[0], -1 - 2 * (int64_t)col);
        CHECK_EQ_I64(values[1], 2 + 2 * (int64_t)col);
    }
    for (size_t col = 3; col < 5; col++) {
        CHECK(db_i64_array(result, 0, col, arena, &values, &count, &err));
        CHECK_EQ_U64(count, 0);
    }
    CHECK(!db_i64_array(result, 0, 5, arena, &values, &count, &err)); /* two dimensions */
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    CHECK(!db_i64_array(result, 0, 6, arena, &values, &count, &err)); /* a NULL among them */
}

TEST(arrays_of_text_are_read_with_their_nulls)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    const struct bytes *values;
    struct err err = { 0 };
    size_t count;

    if (is_skipped())
        return;
    result = echo("SELECT ARRAY['a', NULL, '']::text[]", DB_NO_ARGS);
    CHECK(db_bytes_array(result, 0, 0, arena, &values, &count, &err));
    CHECK_EQ_U64(count, 3);
    CHECK_BYTES(values[0], BYTES("a"));
    CHECK(values[1].ptr == NULL);
    CHECK(values[2].ptr != NULL && values[2].len == 0);
}

TEST(a_megabyte_of_octets_goes_and_comes_unchanged)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    uint8_t *octets;

    if (is_skipped())
        return;
    octets = malloc(1 << 20);
    CHECK(octets != NULL);
    for (size_t i = 0; i < 1 << 20; i++)
        octets[i] = (uint8_t)(i * 2654435761u >> 13);
    result = echo("SELECT $1", DB_ARGS(DB_BYTEA(bytes_of(octets, 1 << 20))));
    CHECK(bytes_equal(db_bytes(result, 0, 0), bytes_of(octets, 1 << 20)));
    free(octets);
}

TEST(thousands_of_array_items_become_as_many_rows)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    int64_t numbers[5000];
    struct bytes octets[5000];

    if (is_skipped())
        return;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        numbers[i] = (int64_t)i;
        octets[i] = bytes_of(&numbers[i], sizeof numbers[i]);
    }
    result = echo("SELECT n, o FROM unnest($1, $2) AS u (n, o)",
                  DB_ARGS(DB_I64S(numbers, 5000), DB_BYTEAS(octets, 5000)));
    CHECK_EQ_U64(db_rows(result), 5000);
    CHECK_EQ_I64(db_i64(result, 4999, 0), 4999);
    CHECK_BYTES(db_bytes(result, 4999, 1), octets[4999]);
}

TEST(text_that_postgresql_cannot_hold_is_a_syntax_error_without_the_value)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };

    if (is_skipped())
        return;
    CHECK(!db_run_assembled(db, "SELECT $1", DB_ARGS(DB_TEXT(BYTES("secret\0x"))), &result, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(strstr(err.text, "secret") == NULL);
    CHECK(
        !db_run_assembled(db, "SELECT $1::int", DB_ARGS(DB_TEXT(BYTES("secret"))), &result, &err));
    CHECK(strstr(err.text, "secret") == NULL);
    CHECK(!db_run_assembled(db, "SELECT $1", DB_ARGS(DB_TEXT(BYTES("\xff"))), &result, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}
