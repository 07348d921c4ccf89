/* SPDX-License-Identifier: Apache-2.0 */
#include "export/name.h"
#include "test.h"

static void check_level(struct bytes name, struct bytes want)
{
    struct buf out = buf_create(4096);

    export_write_level(name, 100, &out);
    CHECK_BYTES(buf_bytes(&out), want);
    buf_free(&out);
}

static void check_path(struct bytes path, struct bytes want)
{
    struct buf out = buf_create(4096);

    export_write_mailbox_name(BYTES("a@b"), path, 7, ".mbox", &out);
    CHECK_BYTES(buf_bytes(&out), want);
    buf_free(&out);
}

TEST(hostile_levels_become_harmless_and_can_be_read_back)
{
    check_level(BYTES("INBOX"), BYTES("INBOX"));
    check_level(BYTES(".."), BYTES("%2E%2E"));
    check_level(BYTES("."), BYTES("%2E"));
    check_level(BYTES(".hidden."), BYTES("%2Ehidden%2E"));
    check_level(BYTES("a.b"), BYTES("a.b"));
    check_level(BYTES(" a b "), BYTES("%20a b%20"));
    check_level(BYTES("-rf"), BYTES("%2Drf"));
    check_level(BYTES("a/b\\c:d*e?f\"g<h>i|j"), BYTES("a%2Fb%5Cc%3Ad%2Ae%3Ff%22g%3Ch%3Ei%7Cj"));
    check_level(BYTES("nul\0\n\x7f"), BYTES("nul%00%0A%7F"));
    check_level(BYTES("100%"), BYTES("100%25"));
    check_level(BYTES("\xc3\x9c"), BYTES("%C3%9C"));
    check_level(BYTES(""), BYTES("%_"));
    check_level(BYTES("CON"), BYTES("%43ON"));
    check_level(BYTES("nul.txt"), BYTES("%6Eul.txt"));
    check_level(BYTES("Lpt1"), BYTES("%4Cpt1"));
    check_level(BYTES("console"), BYTES("console"));
    check_level(BYTES("x.7.mbox"), BYTES("x.7%2Embox"));
    check_level(BYTES("X.EML"), BYTES("X%2EEML"));
}

TEST(mailbox_names_keep_their_levels_and_end_in_id_and_suffix)
{
    check_path(BYTES("INBOX"), BYTES("mail/a@b/INBOX.7.mbox"));
    check_path(BYTES("Lists/kernel"), BYTES("mail/a@b/Lists/kernel.7.mbox"));
    check_path(BYTES("../../etc/passwd"), BYTES("mail/a@b/%2E%2E/%2E%2E/etc/passwd.7.mbox"));
    check_path(BYTES("/a//b/"), BYTES("mail/a@b/%_/a/%_/b/%_.7.mbox"));
}

TEST(names_that_are_too_long_are_cut_and_stay_apart_by_their_id)
{
    uint8_t octets[4096];
    struct buf out = buf_create(4096), other = buf_create(4096);

    memset(octets, 0xff, sizeof octets);
    export_write_mailbox_name(bytes_of(octets, 128), bytes_of(octets, sizeof octets), 1, ".mbox",
                              &out);
    export_write_mailbox_name(bytes_of(octets, 128), bytes_of(octets, sizeof octets), 2, ".mbox",
                              &other);
    CHECK(out.len < 330);
    CHECK(bytes_find(buf_bytes(&out), BYTES("%~/")) > 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES("%~.1.mbox")) > 0);
    CHECK(!bytes_equal(buf_bytes(&out), buf_bytes(&other)));
    memset(octets, '/', sizeof octets);
    buf_reset(&out, 0);
    export_write_mailbox_name(BYTES("a"), bytes_of(octets, sizeof octets), 1, ".mbox", &out);
    CHECK(out.len < 500 && !out.has_failed);
    buf_free(&out);
    buf_free(&other);
}
