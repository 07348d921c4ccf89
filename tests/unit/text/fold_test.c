/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/fold.h"
#include "text/internal.h"

#include <stdlib.h>
#include <utf8proc.h>

static void check_fold(const char *text, const char *want)
{
    for (size_t chunk = 1; chunk < 20; chunk++) {
        CLEANUP(buf_free) struct buf out = buf_create(10000);
        struct bytes in = bytes_of_text(text);
        struct text_folder folder = { 0 };

        for (size_t at = 0; at < in.len; at += chunk)
            text_fold_chunk(&folder, bytes_slice(in, at, chunk), &out);
        text_finish_fold(&folder, &out);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
        buf_reset(&out, SIZE_MAX);
        text_fold(in, &out);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
    }
}

TEST(ascii_letters_become_small_and_all_else_of_ascii_stays)
{
    check_fold("The Quick BROWN fox @[`{ AZ az 09 \t\r\n \x08\x1f\x7f end",
               "the quick brown fox @[`{ az az 09 \t\r\n \x08\x1f\x7f end");
}

TEST(letters_of_other_scripts_fold_to_one_case)
{
    check_fold("ПРИВЕТ Привет", "привет привет");
    check_fold("ΣΊΣΥΦΟΣ ς", "σι\xcc\x81συφοσ σ");
    check_fold("漢字 中文", "漢字 中文");
}

TEST(accents_are_kept_and_their_two_spellings_are_one)
{
    check_fold("\xc3\x84 A\xcc\x88 \xc3\xa4", "a\xcc\x88 a\xcc\x88 a\xcc\x88");
    check_fold("한", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");
    check_fold("が", "か\xe3\x82\x99");
}

TEST(compatibility_characters_fold_to_what_they_stand_for)
{
    check_fold("ﬁ Ⅳ ① ａＢ ½ \xc2\xa0x", "fi iv 1 ab 1\xe2\x81\x84"
                                         "2  x");
}

TEST(a_run_of_bad_octets_marks_and_replacements_is_one_replacement)
{
    check_fold("a\xff\xfe\x80z", "a\xef\xbf\xbdz");
    check_fold("a\x01\x07\xef\xbf\xbd\xffz", "a\xef\xbf\xbdz");
    check_fold("\xff \xff", "\xef\xbf\xbd \xef\xbf\xbd");
    check_fold("\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\x80 \xf0\x82\x82\xac",
               "\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd");
    check_fold("cut \xe2\x82", "cut \xef\xbf\xbd");
    check_fold("\xe2\x82x\xe2\x28\xa1", "\xef\xbf\xbdx\xef\xbf\xbd(\xef\xbf\xbd");
}

TEST(nul_is_a_replacement)
{
    CLEANUP(buf_free) struct buf out = buf_create(100);

    text_fold(bytes_of("a\0\0b", 4), &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("a\xef\xbf\xbd"
                                       "b"));
}

/* Folded octet by octet, so that nothing is done in runs. The text lies at the end of its memory. */
static void check_runs(struct bytes text)
{
    CLEANUP(buf_free) struct buf singly = buf_create(1000);
    CLEANUP(buf_free) struct buf whole = buf_create(1000);
    struct text_folder folder = { 0 };
    uint8_t *copy = malloc(text.len);

    CHECK(copy != NULL);
    memcpy(copy, text.ptr, text.len);
    text_fold(bytes_of(copy, text.len), &whole);
    for (size_t i = 0; i < text.len; i++)
        text_fold_chunk(&folder, bytes_of(copy + i, 1), &singly);
    text_finish_fold(&folder, &singly);
    CHECK_BYTES(buf_bytes(&whole), buf_bytes(&singly));
    free(copy);
}

TEST(runs_of_ascii_fold_as_their_octets_do_wherever_something_else_stands)
{
    static const char *const others[] = { "",         "\x01",     "\x7f",         "\x80",
                                          "\xc3\x84", "\xe6\x96", "\xf0\x9f\x98", "\xef\xac\x81" };
    static const char letters[] = "@AZ[`az{ Qq09~\x08\x1f";
    uint8_t text[64];

    for (size_t o = 0; o < ARRAY_LEN(others); o++) {
        struct bytes other = bytes_of_text(others[o]);

        for (size_t len = other.len + 1; len < 52; len++) {
            for (size_t at = 0; at + other.len <= len; at++) {
                for (size_t i = 0; i < len; i++)
                    text[i] = (uint8_t)letters[(i + at) % (sizeof letters - 1)];
                if (other.len > 0)
                    memcpy(text + at, other.ptr, other.len);
                check_runs(bytes_of(text, len));
            }
        }
    }
}

TEST(folding_twice_changes_nothing_and_no_character_grows_beyond_the_limit)
{
    CLEANUP(buf_free) struct buf once = buf_create(100);
    CLEANUP(buf_free) struct buf twice = buf_create(400);

    for (uint32_t c = 8; c < 0x110000; c++) {
        uint8_t octets[4];
        size_t len = text_encode(c, octets);

        if (!utf8proc_codepoint_valid((utf8proc_int32_t)c))
            continue;
        buf_reset(&once, SIZE_MAX);
        buf_reset(&twice, SIZE_MAX);
        text_fold(bytes_of(octets, len), &once);
        text_fold(buf_bytes(&once), &twice);
        CHECK(once.len > 0 && once.len <= TEXT_FOLD_GROWTH_MAX * len);
        CHECK(once.ptr[0] >= 8);
        CHECK_BYTES(buf_bytes(&once), buf_bytes(&twice));
    }
}

/* RFC 5051 §2: titlecase, then decomposition, again and again. What that makes equal stays equal. */
TEST(characters_that_are_equal_in_unicode_casemap_fold_alike)
{
    CLEANUP(buf_free) struct buf mapped = buf_create(400);
    CLEANUP(buf_free) struct buf ours = buf_create(400);

    for (uint32_t c = 8; c < 0x110000; c++) {
        utf8proc_int32_t parts[40];
        utf8proc_ssize_t count;
        uint8_t octets[4];
        CLEANUP(buf_free) struct buf casemap = buf_create(400);

        if (!utf8proc_codepoint_valid((utf8proc_int32_t)c))
            continue;
        count = utf8proc_decompose_char(utf8proc_totitle((utf8proc_int32_t)c), parts, 40,
                                        UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE, NULL);
        for (utf8proc_ssize_t i = 0; i < count; i++)
            buf_append(&casemap, bytes_of(octets, text_encode((uint32_t)parts[i], octets)));
        buf_reset(&mapped, SIZE_MAX);
        buf_reset(&ours, SIZE_MAX);
        text_fold(buf_bytes(&casemap), &mapped);
        text_fold(bytes_of(octets, text_encode(c, octets)), &ours);
        CHECK_BYTES(buf_bytes(&ours), buf_bytes(&mapped));
    }
}

TEST(a_line_has_one_space_for_each_run_of_blanks)
{
    CLEANUP(buf_free) struct buf out = buf_create(100);

    text_fold_line(BYTES(" Re:\t\t A \r\n B\xc2\xa0 c  "), &out);
    CHECK_BYTES(buf_bytes(&out), BYTES(" re: a b c "));
}

TEST(a_text_over_the_ceiling_marks_the_buffer_and_one_that_fits_does_not)
{
    CLEANUP(buf_free) struct buf out = buf_create(4);

    text_fold(BYTES("ABCD"), &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("abcd"));
    CHECK(!out.has_failed);
    text_fold(BYTES("E"), &out);
    CHECK(out.has_failed);
}
