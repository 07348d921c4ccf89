/* SPDX-License-Identifier: Apache-2.0 */
#include "store/line.h"
#include "test.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct fixture {
    struct arena *arena;
    struct store_line line;
    struct err err;
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){ .arena = arena_create((size_t)64 << 20) };
}

static bool read(struct fixture *f, const char *text)
{
    err_clear(&f->err);
    f->line = (struct store_line){ .type = STORE_LINE_UNKNOWN };
    return store_read_line(bytes_of_text(text), f->arena, &f->line, &f->err);
}

#define REFUSED(f, text)                                                                           \
    do {                                                                                           \
        CHECK(!read(f, text));                                                                     \
        CHECK_EQ_U64((f)->err.code, ERR_SYNTAX);                                                   \
        CHECK_EQ_U64((f)->line.type, STORE_LINE_UNKNOWN);                                          \
    } while (0)

#define EVENT(flags, keywords)                                                                     \
    "{\"type\":\"event\",\"mailbox\":3,\"uid\":7,\"modseq\":9,"                                    \
    "\"at\":\"2026-11-22T22:17:55.5+00:00\",\"flags\":" flags ",\"keywords\":" keywords            \
    ",\"is_gone\":true}"

TEST(line_gives_its_fields_in_the_order_of_its_format)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, EVENT("[\"\\\\Seen\",\"\\\\Draft\"]", "[\"a\",\"\xc3\xbc\"]")));
    CHECK_EQ_U64(f.line.type, STORE_LINE_EVENT);
    CHECK_EQ_I64(f.line.values[0].number, 3);
    CHECK_EQ_I64(f.line.values[1].number, 7);
    CHECK_EQ_I64(f.line.values[2].number, 9);
    CHECK_EQ_I64(f.line.values[3].number, INT64_C(1795385875500000));
    CHECK_EQ_I64(f.line.values[4].number, 17);
    CHECK_BYTES(f.line.values[5].octets, BYTES("[\"a\",\"\xc3\xbc\"]"));
    CHECK_EQ_I64(f.line.values[6].number, 1);
    arena_free(&f.arena);
}

TEST(null_or_absent_is_taken_only_where_the_format_allows_it)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, "{\"type\":\"installation\",\"version\":1,\"previous\":null,\"number\":1,"
                   "\"sealed_at\":\"2026-01-01T00:00:00Z\"}"));
    CHECK(f.line.values[STORE_HEAD_PREVIOUS].is_null && f.line.values[STORE_HEAD_ACCOUNT].is_null);
    CHECK(!f.line.values[STORE_HEAD_NUMBER].is_null);
    REFUSED(&f, "{\"type\":\"installation\",\"version\":1,\"number\":null,"
                "\"sealed_at\":\"2026-01-01T00:00:00Z\"}");
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":1,\"epoch\":1,\"uid\":1}");
    arena_free(&f.arena);
}

TEST(unknown_types_and_fields_are_passed_over)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, "{\"type\":\"tomorrow\",\"x\":[1,{}]}"));
    CHECK_EQ_U64(f.line.type, STORE_LINE_UNKNOWN);
    CHECK(read(&f, "{\"type\":\"source\",\"new\":{},\"mailbox\":1,\"epoch\":1,\"uid\":1,"
                   "\"placement\":2}"));
    CHECK_EQ_U64(f.line.type, STORE_LINE_SOURCE);
    arena_free(&f.arena);
}

TEST(what_is_not_json_or_not_a_line_is_refused)
{
    static const char *const lines[] = {
        "",
        "{",
        "null",
        "[]",
        "\"event\"",
        "{}",
        "{\"type\":7}",
        "{\"type\":\"event\"}",
        "{\"type\":\"source\",\"type\":\"source\",\"mailbox\":1,\"epoch\":1,\"uid\":1,"
        "\"placement\":2}",
        "{\"type\":\"ev\\u0000ent\"}",
        "{\"type\":\"\xff\"}",
    };
    struct fixture f;

    open_fixture(&f);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        REFUSED(&f, lines[i]);
    arena_free(&f.arena);
}

TEST(numbers_outside_their_range_are_refused)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, "{\"type\":\"source\",\"mailbox\":9223372036854775807,\"epoch\":2147483647,"
                   "\"uid\":4294967295,\"placement\":1}"));
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":0,\"epoch\":1,\"uid\":1,\"placement\":1}");
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":1,\"epoch\":1,\"uid\":4294967296,"
                "\"placement\":1}");
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":9223372036854775808,\"epoch\":1,\"uid\":1,"
                "\"placement\":1}");
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":1,\"epoch\":1,\"uid\":1.5,\"placement\":1}");
    REFUSED(&f, "{\"type\":\"source\",\"mailbox\":\"1\",\"epoch\":1,\"uid\":1,\"placement\":1}");
    /* One pack must not make the numbers of a whole mailbox overflow. */
    REFUSED(&f, "{\"type\":\"event\",\"mailbox\":1,\"uid\":1,\"modseq\":9223372036854775807,"
                "\"at\":\"2026-01-01T00:00:00Z\",\"flags\":[],\"keywords\":[],\"is_gone\":false}");
    arena_free(&f.arena);
}

#define MESSAGE(hash, at)                                                                          \
    "{\"type\":\"message\",\"sha256\":\"" hash                                                     \
    "\",\"size\":1,\"offset\":512,\"archived_at\":\"" at "\"}"

TEST(hashes_have_64_lower_case_digits)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, MESSAGE(HASH, "2026-01-01T00:00:00+00:00")));
    CHECK_EQ_U64(f.line.values[0].octets.len, 32);
    CHECK_EQ_U64(f.line.values[0].octets.ptr[1], 0x11);
    REFUSED(&f, MESSAGE("0011", "2026-01-01T00:00:00+00:00"));
    REFUSED(&f, MESSAGE("0" HASH, "2026-01-01T00:00:00+00:00"));
    REFUSED(&f, MESSAGE("AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                        "2026-01-01T00:00:00+00:00"));
    arena_free(&f.arena);
}

TEST(times_are_in_utc_and_of_days_that_there_are)
{
    static const char *const wrong[] = {
        MESSAGE(HASH, "2026-02-29T00:00:00Z"),
        MESSAGE(HASH, "2026-01-01T24:00:00Z"),
        MESSAGE(HASH, "2026-01-01 00:00:00Z"),
        MESSAGE(HASH, "2026-01-01T00:00:00+01:00"),
        MESSAGE(HASH, "2026-01-01T00:00:00.Z"),
        MESSAGE(HASH, "2026-01-01T00:00:00.1234567Z"),
        MESSAGE(HASH, "infinity"),
        MESSAGE(HASH, ""),
        MESSAGE(HASH, "2026-01-01T00:00:00+00:00x"),
    };
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, MESSAGE(HASH, "1969-12-31T23:59:59.999999Z")));
    CHECK_EQ_I64(f.line.values[3].number, -1);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        REFUSED(&f, wrong[i]);
    arena_free(&f.arena);
}

/* INTERNALDATE as a server may give it (RFC 3501, date-time), as PostgreSQL writes it in UTC. */
TEST(every_internal_date_that_is_archived_can_be_read_again)
{
#define PLACEMENT(at, zone, day)                                                                   \
    "{\"type\":\"placement\",\"mailbox\":1,\"uid\":1,\"sha256\":\"" HASH                           \
    "\",\"internal_at\":\"" at "\",\"internal_zone\":" zone ",\"internal_day\":\"" day             \
    "\",\"flags\":[],\"keywords\":[],"                                                             \
    "\"modseq\":1,\"appeared_modseq\":1,\"archived_at\":\"2026-01-01T00:00:00Z\"}"
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, PLACEMENT("0001-12-27T20:01:00+00:00 BC", "5999", "0001-01-01")));
    CHECK_EQ_I64(f.line.values[3].number, INT64_C(-62135596800000000) - INT64_C(5999) * 60000000);
    CHECK_EQ_I64(f.line.values[4].number, 5999);
    CHECK(read(&f, PLACEMENT("10000-01-05T03:58:59+00:00", "-5999", "9999-12-31")));
    CHECK_EQ_I64(f.line.values[3].number, INT64_C(253402300799000000) + INT64_C(5999) * 60000000);
    REFUSED(&f, PLACEMENT("2026-01-01T00:00:00Z", "6000", "2026-01-01"));
    REFUSED(&f, PLACEMENT("0000-01-01T00:00:00Z", "0", "2026-01-01"));
    REFUSED(&f, PLACEMENT("1000000-01-01T00:00:00Z", "0", "2026-01-01"));
    REFUSED(&f, PLACEMENT("026-01-01T00:00:00Z", "0", "2026-01-01"));
    REFUSED(&f, PLACEMENT("10001-02-29T00:00:00Z", "0", "2026-01-01"));
    REFUSED(&f, PLACEMENT("2026-01-01T00:00:00Z", "0", "2026-01-01x"));
    arena_free(&f.arena);
}

TEST(lists_hold_what_they_are_lists_of)
{
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, EVENT("[]", "[]")));
    CHECK_BYTES(f.line.values[5].octets, BYTES("[]"));
    REFUSED(&f, EVENT("[\"\\\\Recent\"]", "[]"));
    REFUSED(&f, EVENT("{}", "[]"));
    REFUSED(&f, EVENT("[1]", "[]"));
    REFUSED(&f, EVENT("[]", "[1]"));
    REFUSED(&f, EVENT("[]", "[[\"a\"]]"));
    REFUSED(&f, EVENT("[]", "\"a\""));
    arena_free(&f.arena);
}

TEST(disposed_ranges_are_pairs_of_uids)
{
#define MAILBOX(ranges)                                                                            \
    "{\"type\":\"mailbox\",\"mailbox\":1,\"path\":\"INBOX\",\"source_name\":\"494e\","             \
    "\"uidvalidity\":5,\"uidnext\":4294967296,\"highestmodseq\":3,\"is_noselect\":false,"          \
    "\"created_at\":\"2026-01-01T00:00:00Z\",\"disposed\":" ranges "}"
    struct fixture f;

    open_fixture(&f);
    CHECK(read(&f, MAILBOX("[[1,2],[7,7]]")));
    CHECK_BYTES(f.line.values[12].octets, BYTES("[[1,2],[7,7]]"));
    REFUSED(&f, MAILBOX("[[2,1]]"));
    REFUSED(&f, MAILBOX("[[0,1]]"));
    REFUSED(&f, MAILBOX("[[1,2,3]]"));
    REFUSED(&f, MAILBOX("[1,2]"));
    REFUSED(&f, MAILBOX("[[1,4294967296]]"));
    arena_free(&f.arena);
}

TEST(line_over_the_limit_is_refused_unread)
{
    struct fixture f;
    struct buf line = buf_create(STORE_LINE_BYTES + 100);

    open_fixture(&f);
    while (line.len <= STORE_LINE_BYTES)
        buf_text(&line, "                                                                ");
    CHECK(!store_read_line(buf_bytes(&line), f.arena, &f.line, &f.err));
    CHECK_EQ_U64(f.err.code, ERR_LIMIT);
    buf_free(&line);
    arena_free(&f.arena);
}

/* ---- splitting ----------------------------------------------------------------------------------- */

static bool gather(void *context, struct bytes line, struct err *err)
{
    (void)err;
    buf_byte(context, '<');
    buf_append(context, line);
    buf_byte(context, '>');
    return true;
}

TEST(lines_come_whole_however_the_octets_are_cut)
{
    static const char text[] = "one\n\ntwo two\nthree\n";

    for (size_t cut = 1; cut < sizeof text; cut++) {
        struct buf seen = buf_create(1000);
        struct store_splitter splitter = store_create_splitter(gather, &seen);
        struct err err = { 0 };

        for (size_t at = 0; at < sizeof text - 1; at += cut)
            CHECK(store_split_lines(&splitter, bytes_slice(bytes_of_text(text), at, cut), &err));
        CHECK(store_end_lines(&splitter, &err));
        CHECK_BYTES(buf_bytes(&seen), BYTES("<one><><two two><three>"));
        store_free_splitter(&splitter);
        buf_free(&seen);
    }
}

TEST(line_that_breaks_off_is_told_at_the_end)
{
    struct buf seen = buf_create(1000);
    struct store_splitter splitter = store_create_splitter(gather, &seen);
    struct err err = { 0 };

    CHECK(store_split_lines(&splitter, BYTES("one\ntw"), &err));
    CHECK_BYTES(buf_bytes(&seen), BYTES("<one>"));
    CHECK(!store_end_lines(&splitter, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    store_free_splitter(&splitter);
    buf_free(&seen);
}

TEST(endless_line_is_refused_within_bounds)
{
    static const uint8_t zeros[1 << 20];
    struct buf seen = buf_create(1000);
    struct store_splitter splitter = store_create_splitter(gather, &seen);
    struct err err = { 0 };
    size_t fed = 0;

    while (store_split_lines(&splitter, bytes_of(zeros, sizeof zeros), &err))
        CHECK(++fed <= STORE_LINE_BYTES / sizeof zeros);
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    store_free_splitter(&splitter);
    buf_free(&seen);
}
