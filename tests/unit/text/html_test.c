/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "text/html.h"

static void check_html(const char *source, const char *want)
{
    struct bytes in = bytes_of_text(source);

    for (size_t chunk = 1; chunk < 40; chunk++) {
        CLEANUP(buf_free) struct buf out = buf_create(100000);
        struct text_html html = { 0 };

        for (size_t at = 0; at < in.len; at += chunk)
            text_render_html(&html, bytes_slice(in, at, chunk), &out);
        text_finish_html(&html, &out);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(want));
    }
}

TEST(tags_within_words_leave_nothing_and_others_a_space)
{
    check_html("<p>Hel<b>lo</b> W<SPAN class='x'>or</SPAN>ld</p>\r\n<div>next<br/>line</div>end",
               "Hello World next line end");
    check_html("a<o:p></o:p>b<td>c<unknown>d", "ab c d");
}

TEST(blanks_become_one_space_and_none_stands_at_the_ends)
{
    check_html(" \r\n\t a \n\n b&nbsp; \xc2\xa0 c  ", "a b c");
}

TEST(character_references_are_decoded)
{
    check_html("caf&eacute; &lt;b&gt; &amp;amp; &#65;&#x42; &euro; &#8364; &#128; &apos;",
               "caf\xc3\xa9 <b> &amp; AB \xe2\x82\xac \xe2\x82\xac \xe2\x82\xac '");
    check_html("R&D AT&T; a&b=c &copy 1 & &; &#; &#x; &#xg; &nosuch;",
               "R&D AT&T; a&b=c \xc2\xa9 1 & &; &#; &#x; &#xg; &nosuch;");
    check_html("&#0; &#xd800; &#99999999999;", "\xef\xbf\xbd \xef\xbf\xbd \xef\xbf\xbd");
    check_html("&averyveryveryveryverylongnamethatisnone;",
               "&averyveryveryveryverylongnamethatisnone;");
}

TEST(comments_declarations_script_and_style_are_left_out)
{
    check_html("<!DOCTYPE html>a<!-- x > <b> -- --><!-->b<!--->c<!-- --!>d<![if !mso]>e<?php f ?>g",
               "abcdeg");
    check_html("a<script>if (x < y) '</b>' </scrip</script >b<STYLE>p > b {}</style\n>c", "a b c");
    check_html("a<!-- never closed", "a");
}

TEST(attributes_are_not_text_and_may_hold_anything)
{
    check_html("<a href=\"x>y\" title='<b>'>link</a><a b=c>d</a><a b = \"e\"f>g</a>", "linkdg");
    check_html("<img alt=it's>after", "after");
}

TEST(what_only_looks_like_markup_is_text)
{
    check_html("1 < 2 and 3 <4> x<", "1 < 2 and 3 <4> x<");
    check_html("a</>b</ c>d", "abd");
}

TEST(characters_that_nobody_sees_do_not_hide_a_word)
{
    check_html("pass\xc2\xadw&shy;o\xe2\x80\x8br\xef\xbb\xbf"
               "d&#8203;s \xe2\x82\xac",
               "passwords \xe2\x82\xac");
}

TEST(octets_that_are_no_utf8_are_passed_on)
{
    check_html("a\xff\x80z\xe2", "a\xff\x80z\xe2");
}
