/* SPDX-License-Identifier: Apache-2.0 */
#include "export/mbox.h"
#include "test.h"

static bool gather(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

/* Quotes with the message cut into pieces of `piece` octets. */
static struct export_quoter quote(struct bytes message, size_t piece, struct buf *out)
{
    struct export_quoter quoter = export_begin_quoting(gather, out);
    struct err err = { 0 };

    for (size_t at = 0; at < message.len; at += piece)
        CHECK(export_quote(&quoter, bytes_slice(message, at, piece), &err));
    CHECK(export_end_quoting(&quoter, &err));
    return quoter;
}

/* As README.md says it, line by line; knows nothing of the quoter. */
static void unquote(struct bytes text, struct buf *out)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = at, signs = 0;

        while (end < text.len && text.ptr[end] != '\n')
            end++;
        if (end < text.len)
            end++;
        while (at + signs < end && text.ptr[at + signs] == '>')
            signs++;
        if (signs > 0 &&
            bytes_start_with(bytes_slice(text, at + signs, end - at - signs), BYTES("From ")))
            at++;
        buf_append(out, bytes_slice(text, at, end - at));
        at = end;
    }
}

static const struct bytes messages[] = {
    BYTES_INIT(""),
    BYTES_INIT("From "),
    BYTES_INIT("From"),
    BYTES_INIT("F"),
    BYTES_INIT(">"),
    BYTES_INIT(">>>From"),
    BYTES_INIT(">>>From "),
    BYTES_INIT("From a\r\nFrom: b\r\n\r\n>From c\r\n> From d\r\n>>From e\r\nFromage\r\n"),
    BYTES_INIT("\n\n\nFrom \n\nFrom \n"),
    BYTES_INIT("a\rFrom b\r\nFrom c\0d\r\n\0From e"),
    BYTES_INIT("FFrom \nFrFrom \nFromFrom \n>F\n>>\n>\nFr\n"),
    BYTES_INIT("x\nFrom"),
    BYTES_INIT("x\n>>From "),
    BYTES_INIT("\xff\xfe\nFrom \xe4\n"),
};

TEST(quoted_text_is_unquoted_to_the_same_octets_however_it_was_cut)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct buf whole = buf_create(4096);

        (void)quote(messages[i], SIZE_MAX / 2, &whole);
        for (size_t piece = 1; piece < 9; piece++) {
            struct buf cut = buf_create(4096), back = buf_create(4096);
            struct export_quoter quoter = quote(messages[i], piece, &cut);

            CHECK_BYTES(buf_bytes(&cut), buf_bytes(&whole));
            CHECK_EQ_U64(quoter.written, cut.len);
            CHECK_EQ_U64(quoter.written, messages[i].len + quoter.quoted_lines);
            CHECK(quoter.last ==
                  (messages[i].len == 0 ? '\n' : messages[i].ptr[messages[i].len - 1]));
            unquote(buf_bytes(&cut), &back);
            CHECK_BYTES(buf_bytes(&back), messages[i]);
            buf_free(&cut);
            buf_free(&back);
        }
        buf_free(&whole);
    }
}

TEST(no_line_of_a_quoted_message_is_a_separator)
{
    uint32_t seed = 7;

    for (size_t round = 0; round < 20000; round++) {
        static const char letters[] = ">>>FFrom \n\n\r:";
        uint8_t octets[64];
        struct bytes message = { octets, 0 };
        struct buf out = buf_create(256), back = buf_create(256);

        seed = seed * 1664525u + 1013904223u;
        message.len = seed >> 26;
        for (size_t i = 0; i < message.len; i++) {
            seed = seed * 1664525u + 1013904223u;
            octets[i] = (uint8_t)letters[(seed >> 16) % (sizeof letters - 1)];
        }
        (void)quote(message, 1 + round % 7, &out);
        CHECK(!bytes_start_with(buf_bytes(&out), BYTES("From ")));
        CHECK(bytes_find(buf_bytes(&out), BYTES("\nFrom ")) < 0);
        unquote(buf_bytes(&out), &back);
        CHECK_BYTES(buf_bytes(&back), message);
        buf_free(&out);
        buf_free(&back);
    }
}

TEST(separator_is_the_internaldate_in_utc)
{
    struct buf out = buf_create(256);

    export_write_separator(INT64_C(1001923200) * 1000000, &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("From MAILER-DAEMON Mon Oct  1 08:00:00 2001\n"));
    buf_reset(&out, 0);
    export_write_separator(-1, &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("From MAILER-DAEMON Wed Dec 31 23:59:59 1969\n"));
    buf_free(&out);
}
