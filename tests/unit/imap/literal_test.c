/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/literal.h"
#include "test.h"

TEST(literal_header_says_size_and_whether_we_must_ask_for_it)
{
    struct bytes in = BYTES("{12}\r\nhello");
    struct imap_literal lit;
    struct err err = { 0 };

    CHECK(imap_read_literal(&in, 100, &lit, &err));
    CHECK_EQ_U64(lit.size_bytes, 12);
    CHECK(lit.awaits_continuation && !lit.may_hold_nul);
    CHECK_BYTES(in, BYTES("hello"));
}

TEST(literal_plus_and_literal8_are_told_apart)
{
    struct bytes in = BYTES("~{0+}\n");
    struct imap_literal lit;
    struct err err = { 0 };

    CHECK(imap_read_literal(&in, 0, &lit, &err));
    CHECK(!lit.awaits_continuation && lit.may_hold_nul);
    CHECK_EQ_U64(in.len, 0);
}

TEST(literal_over_the_limit_is_refused_and_nothing_is_consumed)
{
    struct bytes in = BYTES("{4097}\r\n");
    struct imap_literal lit;
    struct err err = { 0 };

    CHECK(!imap_read_literal(&in, 4096, &lit, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK_BYTES(in, BYTES("{4097}\r\n"));
}

TEST(things_that_only_look_like_a_literal_header_are_syntax_errors)
{
    static const char *const wrong[] = { "",
                                         "{",
                                         "{}\r\n",
                                         "{-1}\r\n",
                                         "{1 }\r\n",
                                         "{1}",
                                         "{1}\r",
                                         "{1}x\r\n",
                                         "{1++}\r\n",
                                         "{1-}\r\n",
                                         "~1}\r\n",
                                         "{+}\r\n",
                                         "{9223372036854775808}\r\n",
                                         "{99999999999999999999}\r\n" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct bytes in = bytes_of_text(wrong[i]);
        struct imap_literal lit;
        struct err err = { 0 };

        CHECK(!imap_read_literal(&in, UINT64_MAX, &lit, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        CHECK_EQ_U64(in.len, strlen(wrong[i]));
    }
}
