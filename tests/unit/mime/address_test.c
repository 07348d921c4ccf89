/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "mime/address.h"

/* The list as "name|route|mailbox|domain", "+" for a group's start, "-" for its end. */
static void check(const char *value, const char *want)
{
    CLEANUP(buf_free)
    struct buf scratch = buf_create(mime_address_scratch_bytes(bytes_of_text(value)));
    CLEANUP(buf_free) struct buf got = buf_create(10000);
    struct mime_address_reader reader = mime_read_addresses(bytes_of_text(value), &scratch);
    struct mime_address address;

    while (mime_next_address(&reader, &address)) {
        if (got.len > 0)
            buf_byte(&got, ' ');
        if (address.kind == MIME_ADDRESS_GROUP_END) {
            buf_byte(&got, '-');
            continue;
        }
        if (address.kind == MIME_ADDRESS_GROUP_START) {
            buf_byte(&got, '+');
            buf_append(&got, address.mailbox);
            continue;
        }
        buf_append(&got, address.name);
        buf_byte(&got, '|');
        buf_append(&got, address.route);
        buf_byte(&got, '|');
        buf_append(&got, address.mailbox);
        buf_byte(&got, '|');
        buf_append(&got, address.domain);
    }
    CHECK_BYTES(buf_bytes(&got), bytes_of_text(want));
}

TEST(names_routes_and_quotes_are_taken_apart)
{
    check("Foo Bar <foo@bar>, \"a, b\" <c@d>", "Foo Bar||foo|bar a, b||c|d");
    check("<@a,@b:c@d>", "|@a,@b|c|d");
    check("\"x y\"@[1.2.3.4]", "||x y|[1.2.3.4]");
    check("a . b @ c . d", "a.  b||MISSING_MAILBOX|MISSING_DOMAIN");
}

TEST(a_comment_behind_an_address_is_its_name)
{
    check("a@b (A \\(B\\))", "A (B)||a|b");
}

TEST(groups_have_a_start_and_an_end)
{
    check("g: a@b, c@d;, e@f", "+g ||a|b ||c|d - ||e|f");
    check("undisclosed-recipients:;", "+undisclosed-recipients -");
    check("open: a@b", "+open ||a|b -");
}

TEST(what_is_missing_is_named)
{
    check("root", "||root|MISSING_DOMAIN");
    check("Foo Bar", "Foo Bar||MISSING_MAILBOX|MISSING_DOMAIN");
    check("<a@b", "||a|SYNTAX_ERROR");
    check("<>", "||MISSING_MAILBOX|MISSING_DOMAIN");
}

TEST(a_route_without_commas_fits_the_scratch_buffer)
{
    check("<@a@b@c@d@e@f@g@h@i@j@k@l@m@n@o@p@q@r@s@t@u@v@w@x@y@z@a@b@c@d@e@f@g@h@i@j@k@l@m@n@o@p@q@"
          "r@s:x@y>",
          "|@a,@b,@c,@d,@e,@f,@g,@h,@i,@j,@k,@l,@m,@n,@o,@p,@q,@r,@s,@t,@u,@v,@w,@x,@y,@z,@a,@b,@c,"
          "@d,"
          "@e,@f,@g,@h,@i,@j,@k,@l,@m,@n,@o,@p,@q,@r,@s|x|y");
}

TEST(dots_are_allowed_anywhere_in_local_parts_and_not_at_the_end_of_domains)
{
    check(".a..b.@c", "||.a..b.|c");
    check("a@b.", "||a|MISSING_DOMAIN");
}

TEST(nothing_is_no_address)
{
    check("", "");
    check("  (only a comment)", "");
}
