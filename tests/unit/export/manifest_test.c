/* SPDX-License-Identifier: Apache-2.0 */
#include "export/export.h"
#include "export/manifest.h"
#include "export/message_id.h"
#include "test.h"

static void check_csv(struct bytes text, struct bytes want)
{
    struct buf out = buf_create(4096);

    export_write_csv_text(text, &out);
    CHECK_BYTES(buf_bytes(&out), want);
    buf_free(&out);
}

TEST(csv_cells_are_quoted_and_never_a_formula)
{
    check_csv(BYTES("plain"), BYTES("plain"));
    check_csv(BYTES(""), BYTES(""));
    check_csv(BYTES("a,b"), BYTES("\"a,b\""));
    check_csv(BYTES("a\"b"), BYTES("\"a\"\"b\""));
    check_csv(BYTES("a\r\nb"), BYTES("\"a\r\nb\""));
    check_csv(BYTES("=1+1"), BYTES("'=1+1"));
    check_csv(BYTES("@x"), BYTES("'@x"));
    check_csv(BYTES("-1"), BYTES("'-1"));
    check_csv(BYTES("+1"), BYTES("'+1"));
    check_csv(BYTES("\t=1"), BYTES("'\t=1"));
    check_csv(BYTES("'quoted"), BYTES("''quoted"));
    check_csv(BYTES("=a,\"b\""), BYTES("\"'=a,\"\"b\"\"\""));
    check_csv(BYTES("\xef\xbc\x9d"
                    "1"),
              BYTES("'\xef\xbc\x9d"
                    "1"));
}

TEST(json_strings_escape_what_json_forbids)
{
    struct buf out = buf_create(4096);

    export_write_json_text(BYTES("a\"\\\n\x01\x7f\xc3\x9c"), &out);
    CHECK_BYTES(buf_bytes(&out), BYTES("\"a\\\"\\\\\\u000a\\u0001\\u007f\xc3\x9c\""));
    buf_free(&out);
}

static void check_id(struct bytes message, struct bytes value, struct bytes hash)
{
    struct buf out = buf_create(EXPORT_MESSAGE_ID_BYTES), mih = buf_create(64);

    export_find_message_id(message, &out);
    CHECK_BYTES(buf_bytes(&out), value);
    export_write_mih(buf_bytes(&out), &mih);
    CHECK_BYTES(buf_bytes(&mih), hash);
    buf_free(&out);
    buf_free(&mih);
}

TEST(message_id_is_the_first_one_of_the_header_and_its_hash_that_of_the_id)
{
    /* printf '<a@b>' | md5sum */
    struct bytes hash = BYTES("88619DB570587F35A6761A4982138641");

    check_id(BYTES("Subject: x\r\nMESSAGE-ID: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n"), BYTES("<a@b>"),
             hash);
    check_id(BYTES("Message-ID:\r\n <a@b> (comment)\r\n\r\n"), BYTES("<a@b> (comment)"), hash);
    check_id(BYTES("Message-ID: none\r\n\r\n"), BYTES("none"), BYTES(""));
    check_id(BYTES("Message-ID: > <\r\n\r\n"), BYTES("> <"), BYTES(""));
    check_id(BYTES("Message-ID:\r\n\r\n"), BYTES(""), BYTES(""));
    check_id(BYTES("Subject: x\r\n\r\nMessage-ID: <a@b>\r\n"), BYTES(""), BYTES(""));
    check_id(BYTES(""), BYTES(""), BYTES(""));
}

TEST(both_rows_have_all_columns)
{
    struct bytes keywords[] = { BYTES("$Junk"), BYTES(""), BYTES("=x") };
    struct vault_position_mailbox mailbox = {
        .mailbox_id = 3, .account_name = BYTES("a"), .path = BYTES("=In,box"), .uidvalidity = 5
    };
    struct vault_placement placement = { .uid = 9,
                                         .flags = VAULT_FLAG_SEEN | VAULT_FLAG_DRAFT,
                                         .internal_usec = INT64_C(1001923200) * 1000000,
                                         .internal_zone = -150,
                                         .keywords = BYTES("\x05"),
                                         .size_bytes = 10 };
    struct export_row row = { .mailbox = &mailbox,
                              .placement = &placement,
                              .keyword_names = keywords,
                              .keyword_count = 3,
                              .file = BYTES("mail/f"),
                              .problem = "",
                              .is_quoted = true,
                              .length = 11,
                              .quoted_lines = 1,
                              .recognised = VAULT_BY_HEADER,
                              .message_id = BYTES("<\xff\\>") };
    struct buf out = buf_create(1 << 20);

    export_write_csv_row(&row, &out);
    CHECK(bytes_find(buf_bytes(&out), BYTES("mail/f,0,11,1,false,")) == 0);
    CHECK(bytes_find(buf_bytes(&out),
                     BYTES(",\"'=In,box\",3,5,9,,,,header,2001-10-01T05:30:00-02:30,")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES(",\\Seen \\Draft,$Junk =x,<\\xff\\x5c>,")) > 0);
    buf_reset(&out, 0);
    export_write_json_row(&row, &out);
    CHECK(bytes_find(buf_bytes(&out), BYTES("\"mailbox\":\"=In,box\"")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("\"flags\":[\"\\\\Seen\",\"\\\\Draft\"]")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("\"keywords\":[\"$Junk\",\"=x\"]")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("\"source_uid\":null")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("\"problem\":null}\n")) > 0);
    buf_free(&out);
}

TEST(only_lines_of_a_sha256sums_are_signed)
{
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    CHECK(export_is_sums(BYTES(HASH "  mail/a.1.mbox\n" HASH "  query.txt\n")));
    CHECK(!export_is_sums(BYTES("")));
    CHECK(!export_is_sums(BYTES(HASH "  a")));
    CHECK(!export_is_sums(BYTES(HASH " a\n")));
    CHECK(!export_is_sums(BYTES(HASH "  \n")));
    CHECK(!export_is_sums(BYTES(HASH "  /etc/passwd\n")));
    CHECK(!export_is_sums(BYTES(HASH "  a\\b\n")));
    CHECK(!export_is_sums(
        BYTES("0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef  a\n")));
    CHECK(!export_is_sums(BYTES(HASH "  a\nholdfast chain\n")));
}
