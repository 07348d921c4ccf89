/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/html.h"

enum {
    RENDERED_MAX = 64 << 20,
};

static bool render(struct bytes in, size_t chunk, struct buf *out)
{
    CLEANUP(text_free_html) struct text_html *html = text_create_html(RENDERED_MAX);

    for (size_t at = 0; at < in.len; at += chunk)
        (void)text_render_html(html, bytes_slice(in, at, chunk), out);
    return text_finish_html(html, out);
}

static void check_octets(struct bytes in, const char *want)
{
    for (size_t chunk = 1; chunk < 40; chunk++) {
        CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

        CHECK(render(in, chunk, &out));
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
    }
}

static void check_html(const char *source, const char *want)
{
    check_octets(bytes_of_text(source), want);
}

/* What begins with head, goes on with count times unit, and ends with tail. */
static bool render_long(const char *head, const char *unit, size_t count, const char *tail,
                        struct buf *out)
{
    CLEANUP(buf_free) struct buf in = buf_create(RENDERED_MAX);

    buf_text(&in, head);
    for (size_t i = 0; i < count; i++)
        buf_text(&in, unit);
    buf_text(&in, tail);
    CHECK(!in.has_failed);
    buf_reset(out, SIZE_MAX);
    return render(buf_bytes(&in), SIZE_MAX / 2, out);
}

TEST(tags_within_words_leave_nothing_and_others_a_space)
{
    check_html("<p>Hel<b>lo</b> W<SPAN class='x'>or</SPAN>ld</p>\r\n<div>next<br/>line</div>end",
               "Hello World next line end");
    check_html("a<o:p></o:p>b<td>c<unknown>d", "ab c d");
    check_html("<table><tr><td>a<td>b<tr><td>c</table>d<ul><li>e<li>f</ul>g", "a b c d e f g");
}

TEST(blanks_become_one_space_and_none_stands_at_the_ends)
{
    check_html(" \r\n\t a \n\n b&nbsp; \xc2\xa0 c  ", "a b c");
}

TEST(character_references_are_decoded)
{
    check_html("caf&eacute; &lt;b&gt; &amp;amp; &#65;&#x42; &euro; &#8364; &#128; &apos;",
               "caf\xc3\xa9 <b> &amp; AB \xe2\x82\xac \xe2\x82\xac \xe2\x82\xac '");
    check_html("R&D AT&T; a&b=c 1 & &; &nosuch; x&am", "R&D AT&T; a&b=c 1 & &; &nosuch; x&am");
    check_html("don&#146;t", "don\xe2\x80\x99t");
    check_html("&averyveryveryveryverylongnamethatisnone;",
               "&averyveryveryveryverylongnamethatisnone;");
}

TEST(references_to_what_is_no_character_leave_nothing)
{
    check_html("a &#0; &#xd800; &#99999999999; b", "a b");
}

TEST(comments_and_declarations_are_left_out)
{
    check_html("<!DOCTYPE html>a<!-- x > <b> -- -->b<!-- --!>c<?php f ?>d", "abcd");
    check_html("a<!-- never closed", "a");
    check_html("<?xml version='1.0'?><html>a</html>", "a");
}

TEST(script_style_and_template_are_left_out)
{
    check_html("a<script>if (x < y) '</b>' </scrip</script >b<STYLE>p > b {}</style\n>c", "a b c");
    check_html("a<template>b<p>c</p><template>d</template>e</template>f", "a f");
    check_html("<p>a<script>x</p>b</script>c", "a c");
}

TEST(attributes_are_not_text_and_may_hold_anything)
{
    check_html("<a href=\"x>y\" title='<b>'>link</a><a b=c>d</a><a b = \"e\"f>g</a>", "linkdg");
    check_html("<img alt=it's>after", "after");
}

TEST(what_only_looks_like_markup_is_text)
{
    check_html("1 < 2 and 3 <4> x", "1 < 2 and 3 <4> x");
}

TEST(text_behind_the_end_of_the_document_is_rendered)
{
    check_html(
        "<html lang=en><head><title>t</title></head><body>a</body>b</html>\r\nc<p>footer</html> d",
        "t a b c footer d");
}

TEST(characters_that_nobody_sees_do_not_hide_a_word)
{
    check_html("pass\xc2\xadw&shy;o\xe2\x80\x8br\xef\xbb\xbf"
               "d&#8203;s \xe2\x82\xac",
               "passwords \xe2\x82\xac");
}

TEST(a_charset_that_the_document_names_is_not_looked_at)
{
    check_html("\xc3\xa9<meta charset=iso-8859-1>\xc3\xa9"
               "<meta http-equiv=content-type content='text/html; charset=koi8-r'>\xc3\xa9",
               "\xc3\xa9 \xc3\xa9 \xc3\xa9");
}

TEST(octets_zero_hide_nothing_behind_them)
{
    static const char source[] = "a\0b<p>\0c</p>\0<b>d</b>\0";

    check_octets(bytes_of(source, sizeof source - 1), "a b c d");
}

/* 80 octets, enough to go past libxml2. */
#define LONG_TEXT                                                                                  \
    "many words of a text that is long enough, 1 line of it, and so on to its very end"

TEST(a_long_text_is_rendered_as_a_short_one)
{
    check_html("<p>" LONG_TEXT "</p>" LONG_TEXT "<b>" LONG_TEXT "</b>" LONG_TEXT,
               LONG_TEXT " " LONG_TEXT LONG_TEXT LONG_TEXT);
    check_html("<p>" LONG_TEXT "  \r\n" LONG_TEXT " </p>", LONG_TEXT " " LONG_TEXT);
    check_html("<p>" LONG_TEXT "&eacute;" LONG_TEXT "\x01" LONG_TEXT,
               LONG_TEXT "\xc3\xa9" LONG_TEXT LONG_TEXT);
    check_html("<p>" LONG_TEXT "\xe2\x82\xac \xd1\x84\xc2\xa0" LONG_TEXT "\xef\xbf\xbe.",
               LONG_TEXT "\xe2\x82\xac \xd1\x84 " LONG_TEXT ".");
    check_html("<html>" LONG_TEXT "<b>x</b><head>" LONG_TEXT, LONG_TEXT "x " LONG_TEXT);
    check_html("<p>5 > 4 " LONG_TEXT " > 3", "5 > 4 " LONG_TEXT " > 3");
    check_html("<p>" LONG_TEXT "&", LONG_TEXT "&");
}

TEST(a_long_text_that_is_not_shown_stays_out)
{
    check_html("a<!-- > " LONG_TEXT "-->b<script>if (a > b) " LONG_TEXT "</script>c", "ab c");
    check_html("<a title='x > " LONG_TEXT "' name=\"> " LONG_TEXT "\">d</a>", "d");
    check_html("<a title=\"it's > " LONG_TEXT "\" href='y'>" LONG_TEXT "</a>e", LONG_TEXT "e");
    check_html("<template><p>" LONG_TEXT "</p></template><!DOCTYPE x> f", "f");
}

TEST(a_renderer_begins_anew_with_each_document)
{
    CLEANUP(text_free_html) struct text_html *html = text_create_html(8);
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(text_finish_html(html, &out));
    CHECK(text_render_html(html, BYTES("<p>a <script>b"), &out));
    text_reset_html(html);
    CHECK(text_render_html(html, BYTES("c <i>d"), &out));
    CHECK(text_finish_html(html, &out));
    CHECK(text_render_html(html, BYTES("e"), &out));
    CHECK(text_finish_html(html, &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("c de"));
}

TEST(rendering_stops_at_its_bound_and_says_so)
{
    CLEANUP(text_free_html) struct text_html *html = text_create_html(8);
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(text_render_html(html, BYTES("abc <b>def</b> <b>ghi</b> j"), &out));
    CHECK(!text_finish_html(html, &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("abc def"));
}

TEST(elements_nest_up_to_a_bound)
{
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(render_long("", "<b>", TEXT_HTML_DEPTH_MAX - 1, "x", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("x"));
    CHECK(!render_long("x<p>", "<b>", 2000000, "y", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("x"));
    CHECK(render_long("x", "<b></b>", 500000, "y", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("xy"));
}

TEST(an_attribute_of_megabytes_is_passed_over)
{
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(render_long("a<img src=\"", "0123456789", 990000, "\">b", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("a b"));
}

TEST(what_is_larger_than_a_token_may_be_stops_the_rendering)
{
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(!render_long("a<img src=\"", "0123456789", 1100000, "\">b", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("a"));
    CHECK(!render_long("", "text ", 3000000, "<p>b", &out));
    CHECK(out.len > TEXT_HTML_TOKEN_MAX - 10 && out.len < 3000000 * strlen("text "));
}

/* A tag with n different attributes costs libxml2 n * n comparisons. */
TEST(different_names_are_bounded)
{
    CLEANUP(buf_free) struct buf in = buf_create(RENDERED_MAX);
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    buf_text(&in, "a<a ");
    for (uint64_t i = 0; i < 400000; i++) {
        buf_text(&in, " n");
        buf_u64(&in, i);
    }
    buf_text(&in, ">b");
    CHECK(!render(buf_bytes(&in), SIZE_MAX / 2, &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("a"));
}

TEST(the_end_of_the_root_in_a_document_is_said)
{
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    CHECK(!render_long("a</holdfast:document>", "b", 1, "", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("a"));
    CHECK(render_long("a<", "", 0, "", &out));
    CHECK(!render_long("<a <\">a</holdfast:document>bb", "", 0, "", &out));
    CHECK_BYTES(buf_bytes(&out), BYTES("a"));
}

/* Each would take minutes if it were not linear. */
TEST(hostile_markup_costs_linear_time)
{
    static const char *const units[] = { "<",  "&",       "<!--", "<!-- -", "<?",
                                         "</", "<a b=\"", "</i",  ">",      ">" LONG_TEXT };
    CLEANUP(buf_free) struct buf out = buf_create(RENDERED_MAX);

    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        (void)render_long("", units[i], 500000, "", &out);
    (void)render_long("<script>", "</", 500000, "", &out);
    (void)render_long("<b><b><b><b>", "</i>", 500000, "", &out);
    (void)render_long("<a b=\"", ">" LONG_TEXT, 50000, "", &out);
}
