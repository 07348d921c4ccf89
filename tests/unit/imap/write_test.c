/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/token.h"
#include "imap/write.h"
#include "test.h"

static void check_astring(struct bytes value, const char *want)
{
    struct buf buf = buf_create(10000);

    imap_write_astring(&buf, value);
    CHECK_BYTES(buf_bytes(&buf), bytes_of_text(want));
    buf_free(&buf);
}

TEST(an_astring_is_written_in_the_plainest_form_that_holds_it)
{
    check_astring(BYTES("INBOX"), "INBOX");
    check_astring(BYTES("a b"), "\"a b\"");
    check_astring(BYTES(""), "\"\"");
    check_astring(BYTES("nil"), "\"nil\"");
    check_astring(BYTES("q\"\\"), "\"q\\\"\\\\\"");
    check_astring(BYTES("l\r\n"), "{3}\r\nl\r\n");
    check_astring(BYTES("\303\244"), "{2}\r\n\303\244");
}

TEST(over_long_strings_are_literals)
{
    uint8_t octets[1001];
    struct buf buf = buf_create(10000);

    memset(octets, 'x', sizeof octets);
    imap_write_string(&buf, bytes_of(octets, 1000));
    CHECK_EQ_U64(buf.ptr[0], '"');
    buf_reset(&buf, 0);
    imap_write_string(&buf, bytes_of(octets, 1001));
    CHECK(bytes_start_with(buf_bytes(&buf), BYTES("{1001}\r\nxx")));
    buf_free(&buf);
}

TEST(every_octet_survives_writing_and_reading)
{
    struct arena *arena = arena_create(100000);
    struct buf buf = buf_create(10000);
    struct err err = { 0 };

    for (unsigned c = 1; c < 256; c++) {
        uint8_t value[3] = { 'a', (uint8_t)c, 'b' };
        struct bytes in, out;

        buf_reset(&buf, 10000);
        imap_write_astring(&buf, bytes_of(value, 3));
        in = buf_bytes(&buf);
        CHECK(imap_read_astring(&in, arena, &out, &err));
        CHECK_EQ_U64(in.len, 0);
        CHECK_BYTES(out, bytes_of(value, 3));
    }
    buf_free(&buf);
    arena_free(&arena);
}

TEST(nothing_is_written_inline_that_needs_a_literal)
{
    struct buf buf = buf_create(100);

    CHECK(!imap_try_write_inline(&buf, BYTES("a\nb")));
    CHECK_EQ_U64(buf.len, 0);
    imap_write_nstring(&buf, NULL);
    CHECK_BYTES(buf_bytes(&buf), BYTES("NIL"));
    buf_free(&buf);
}
