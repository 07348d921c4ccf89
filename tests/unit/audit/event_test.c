/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "audit/event.h"
#include "audit/internal.h"

static struct bytes detail_of(const struct audit_field *fields, struct buf *store)
{
    struct err err = { 0 };
    struct bytes text;

    buf_reset(store, 0);
    CHECK(audit_write_detail(fields, store, &err));
    CHECK(buf_done(store, &text, &err));
    return text;
}

TEST(every_kind_has_a_name_of_its_own_and_is_found_by_it)
{
    for (int i = 0; i < AUDIT_KIND_COUNT; i++) {
        enum audit_kind found = AUDIT_KIND_COUNT;

        CHECK(audit_kind_name((enum audit_kind)i) != NULL);
        CHECK(audit_find_kind(bytes_of_text(audit_kind_name((enum audit_kind)i)), &found));
        CHECK_EQ_U64(found, i);
    }
    enum audit_kind found;
    CHECK(!audit_find_kind(BYTES("no_such_event"), &found));
    CHECK(!audit_find_kind(BYTES(""), &found));
}

TEST(fields_become_one_json_object)
{
    CLEANUP(buf_free) struct buf store = buf_create(AUDIT_DETAIL_BYTES);

    CHECK_BYTES(detail_of(NULL, &store), BYTES("{}"));
    CHECK_BYTES(detail_of(AUDIT_FIELDS(AUDIT_I64("messages", -3), AUDIT_BOOL("tls", true),
                                       AUDIT_TEXT("uids", BYTES("1:500,\"x\""))),
                          &store),
                BYTES("{\"messages\":-3,\"tls\":true,\"uids\":\"1:500,\\\"x\\\"\"}"));
}

TEST(text_is_cut_and_made_printable_so_that_the_database_takes_it)
{
    CLEANUP(buf_free) struct buf store = buf_create(AUDIT_DETAIL_BYTES);
    static uint8_t octets[AUDIT_TEXT_BYTES + 100];

    CHECK_BYTES(detail_of(AUDIT_FIELDS(AUDIT_TEXT("c", BYTES("a\0b\x1b[\xff\n"))), &store),
                BYTES("{\"c\":\"a?b?[??\"}"));
    memset(octets, '"', sizeof octets);
    CHECK_EQ_U64(
        detail_of(AUDIT_FIELDS(AUDIT_TEXT("c", bytes_of(octets, sizeof octets))), &store).len,
        2 * AUDIT_TEXT_BYTES + 8);
}

TEST(text_in_any_script_is_kept_and_controls_are_not)
{
    CLEANUP(buf_free) struct buf out = buf_create(1000);
    struct err err = { 0 };

    CHECK(audit_write_detail(AUDIT_FIELDS(AUDIT_TEXT("q", BYTES("subject:\xc3\x9c"
                                                                "bersicht \xc2\x9b x\x1b"))),
                             &out, &err));
    CHECK_BYTES(buf_bytes(&out), BYTES("{\"q\":\"subject:\xc3\x9c"
                                       "bersicht ?? x?\"}"));
}

TEST(fields_over_the_limit_are_refused)
{
    CLEANUP(buf_free) struct buf store = buf_create(2 * AUDIT_DETAIL_BYTES);
    static uint8_t octets[AUDIT_TEXT_BYTES];
    struct bytes text = bytes_of(octets, sizeof octets);
    struct err err = { 0 };

    memset(octets, 'x', sizeof octets);
    CHECK(!audit_write_detail(AUDIT_FIELDS(AUDIT_TEXT("a", text), AUDIT_TEXT("b", text),
                                           AUDIT_TEXT("c", text), AUDIT_TEXT("d", text)),
                              &store, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK_EQ_U64(store.len, 0);
}
