/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "test.h"

TEST(an_ending_is_found_in_either_case_and_may_be_all_there_is)
{
    CHECK(bytes_end_with_nocase(BYTES("12.EMLX"), BYTES(".emlx")));
    CHECK(bytes_end_with_nocase(BYTES(".emlx"), BYTES(".emlx")));
    CHECK(!bytes_end_with_nocase(BYTES("emlx"), BYTES(".emlx")));
    CHECK(!bytes_end_with_nocase(BYTES("12.emlx "), BYTES(".emlx")));
}

TEST(hexadecimal_digits_have_values_in_either_case_and_nothing_else_has)
{
    const struct bytes digits = BYTES("0123456789abcdefABCDEF");
    unsigned count = 0;

    for (size_t i = 0; i < digits.len; i++)
        CHECK_EQ_U64(ascii_hex_value(digits.ptr[i]), i < 16 ? i : i - 6);
    for (unsigned c = 0; c < 256; c++)
        count += ascii_hex_value((uint8_t)c) != ASCII_NO_HEX;
    CHECK_EQ_U64(count, digits.len);
}

TEST(slice_past_the_end_is_empty)
{
    CHECK_EQ_U64(bytes_slice(BYTES("abc"), 3, 5).len, 0);
    CHECK_EQ_U64(bytes_slice(BYTES("abc"), 99, 5).len, 0);
    CHECK_BYTES(bytes_slice(BYTES("abc"), 1, SIZE_MAX), BYTES("bc"));
}

TEST(nocase_comparison_folds_ascii_letters_only)
{
    CHECK(bytes_equal_nocase(BYTES("InBoX"), BYTES("INBOX")));
    CHECK(!bytes_equal_nocase(BYTES("\xe4"), BYTES("\xc4")));
    CHECK(!bytes_equal_nocase(BYTES("[a"), BYTES("{a")));
}

TEST(comparison_orders_a_prefix_before_the_longer)
{
    CHECK(bytes_compare(BYTES("ab"), BYTES("abc")) < 0);
    CHECK(bytes_compare(BYTES("b"), BYTES("abc")) > 0);
    CHECK(bytes_compare(BYTES(""), BYTES("")) == 0);
}

TEST(a_number_that_does_not_fit_consumes_nothing)
{
    struct bytes in = BYTES("18446744073709551616 x");
    uint64_t value = 7;

    CHECK(!scan_u64(&in, &value));
    CHECK_EQ_U64(value, 7);
    CHECK_BYTES(in, BYTES("18446744073709551616 x"));
    in = BYTES("18446744073709551615 x");
    CHECK(scan_u64(&in, &value));
    CHECK_EQ_U64(value, UINT64_MAX);
    CHECK_BYTES(in, BYTES(" x"));
}

TEST(a_32_bit_number_refuses_33_bits)
{
    struct bytes in = BYTES("4294967296");
    uint32_t value;

    CHECK(!scan_u32(&in, &value));
    CHECK_EQ_U64(in.len, 10);
}

TEST(a_sign_is_not_a_number)
{
    struct bytes in = BYTES("-1");
    uint64_t value;

    CHECK(!scan_u64(&in, &value));
    in = BYTES("+1");
    CHECK(!scan_u64(&in, &value));
}

TEST(fixed_digits_take_exactly_so_many)
{
    struct bytes in = BYTES("20011");
    uint32_t year;

    CHECK(scan_digits(&in, 4, &year));
    CHECK_EQ_U64(year, 2001);
    CHECK(!scan_digits(&in, 4, &year));
    CHECK_BYTES(in, BYTES("1"));
}

TEST(scanning_until_a_missing_byte_consumes_nothing)
{
    struct bytes in = BYTES("abc"), out = BYTES("untouched");

    CHECK(!scan_until_byte(&in, ';', &out));
    CHECK_BYTES(in, BYTES("abc"));
    CHECK_BYTES(out, BYTES("untouched"));
}
