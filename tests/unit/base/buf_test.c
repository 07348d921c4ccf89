/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "test.h"

TEST(an_append_past_the_ceiling_is_told_once_at_the_end)
{
    CLEANUP(buf_free) struct buf buf = buf_create(4);
    struct bytes out = BYTES("untouched");
    struct err err = { 0 };

    buf_text(&buf, "abc");
    buf_text(&buf, "de");
    buf_text(&buf, "f"); /* would fit, but the buffer has failed */
    CHECK(!buf_done(&buf, &out, &err));
    CHECK(err.code == ERR_LIMIT);
    CHECK_BYTES(out, BYTES("untouched"));
    CHECK_BYTES(buf_bytes(&buf), BYTES("abc"));
}

TEST(a_buffer_may_be_filled_to_its_ceiling)
{
    CLEANUP(buf_free) struct buf buf = buf_create(300);
    struct bytes out;
    struct err err = { 0 };

    for (int i = 0; i < 300; i++)
        buf_byte(&buf, 'x');
    CHECK(buf_done(&buf, &out, &err));
    CHECK_EQ_U64(out.len, 300);
}

TEST(reset_forgives_and_empties)
{
    CLEANUP(buf_free) struct buf buf = buf_create(2);
    struct bytes out;
    struct err err = { 0 };

    buf_text(&buf, "abc");
    buf_reset(&buf, 0);
    buf_text(&buf, "ab");
    CHECK(buf_done(&buf, &out, &err));
    CHECK_BYTES(out, BYTES("ab"));
}

TEST(numbers_are_written_in_full_range)
{
    CLEANUP(buf_free) struct buf buf = buf_create(200);

    buf_u64(&buf, 0);
    buf_byte(&buf, ' ');
    buf_u64(&buf, UINT64_MAX);
    buf_byte(&buf, ' ');
    buf_i64(&buf, INT64_MIN);
    buf_byte(&buf, ' ');
    buf_u64_padded(&buf, 7, 3);
    buf_u64_padded(&buf, 1234, 3);
    CHECK_BYTES(buf_bytes(&buf), BYTES("0 18446744073709551615 -9223372036854775808 0071234"));
}

TEST(hex_is_lower_case)
{
    CLEANUP(buf_free) struct buf buf = buf_create(10);

    buf_hex(&buf, BYTES("\x00\xaf\xff"));
    CHECK_BYTES(buf_bytes(&buf), BYTES("00afff"));
}

TEST(consuming_the_front_keeps_the_rest)
{
    CLEANUP(buf_free) struct buf buf = buf_create(10);

    buf_text(&buf, "abcdef");
    buf_consume(&buf, 2);
    CHECK_BYTES(buf_bytes(&buf), BYTES("cdef"));
    buf_consume(&buf, 4);
    CHECK_EQ_U64(buf.len, 0);
}
