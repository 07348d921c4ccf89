/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "vault/write.h"

static void open_scope(struct fixture *f)
{
    CHECK_EQ_I64(fixture_number(f, "INSERT INTO identity_scope (account_id, scope, kind, host, "
                                   "login) SELECT $1::bigint, 1, 'EMAILID', 'h', 'l' WHERE "
                                   "$2::bigint IS NOT NULL RETURNING scope::bigint"),
                 1);
    vault_use_identities(f->writer, 1);
}

static bool is_trusted(struct fixture *f)
{
    return fixture_number(f,
                          "SELECT (distrusted_at IS NULL)::int::bigint FROM identity_scope WHERE "
                          "account_id = $1::bigint AND $2::bigint IS NOT NULL") == 1;
}

static struct vault_arrival arrival_of(uint32_t source_uid, const char *id)
{
    return (struct vault_arrival){ .source_uid = source_uid,
                                   .internal_usec = FIXTURE_DATE,
                                   .identity = { .id = bytes_of_text(id),
                                                 .thread = BYTES("T1"),
                                                 .labels = BYTES("\\Inbox\nWork") } };
}

static void put_as(struct fixture *f, uint32_t source_uid, const char *id, struct bytes mail)
{
    struct vault_arrival arrival = arrival_of(source_uid, id);

    MUST(vault_begin_message(f->writer, mail.len, ERR));
    MUST(vault_write_message(f->writer, mail, ERR));
    MUST(vault_end_message(f->writer, &arrival, ERR));
}

TEST(a_message_is_placed_by_its_id_without_its_octets)
{
    const struct bytes ids[] = { BYTES_INIT("M2"), BYTES_INIT("none"), BYTES_INIT("M1") };
    struct vault_known known[3];
    struct vault_arrival arrival;
    struct vault_placement_page page;
    struct vault_counts counts;
    struct fixture f;
    int64_t other;

    if (!fixture_open(&f))
        return;
    open_scope(&f);
    fixture_begin(&f);
    put_as(&f, 1, "M1", fixture_mail(&f, 1000, 1));
    put_as(&f, 2, "M2", fixture_mail(&f, 2000, 2));
    (void)fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM message_identity WHERE account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL AND thread = 'T1' AND "
                                    "labels = ARRAY['\\Inbox', 'Work']"),
                 2);

    other = fixture_open_mailbox(&f, "Work");
    fixture_open_epoch(&f, other, 1);
    MUST(vault_begin_batch(f.writer, other, 1, ERR));
    MUST(vault_find_known(f.writer, ids, 3, known, ERR));
    CHECK(known[0].is_known && !known[1].is_known && known[2].is_known);
    CHECK_EQ_U64(known[0].size_bytes, 2000);
    arrival = arrival_of(7, "M2");
    MUST(vault_place_known(f.writer, &known[0], &arrival, ERR));
    put_as(&f, 8, "M3", fixture_mail(&f, 3000, 3)); /* octets beside it are its own */
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 2);
    CHECK_EQ_U64(counts.new_messages, 1);
    page = fixture_page(&f, other);
    CHECK_EQ_U64(page.count, 2);
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, fixture_mail(&f, 2000, 2)));
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, fixture_mail(&f, 3000, 3)));
    CHECK_EQ_I64(fixture_number(&f, "SELECT placed FROM identity_scope WHERE account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL"),
                 1);
    CHECK_EQ_I64(fixture_number(&f,
                                "SELECT count(*) FROM source_epoch WHERE account_id = $1::bigint "
                                "AND mailbox_id <> $2::bigint AND identity_scope = 1"),
                 1);
    CHECK(is_trusted(&f));
    fixture_close(&f);
}

TEST(a_message_given_up_behind_one_placed_by_its_id_leaves_the_batch_whole)
{
    const struct bytes id = BYTES("M1");
    struct vault_arrival arrival = arrival_of(3, "M1");
    struct vault_placement_page page;
    struct vault_known known;
    struct fixture f;

    if (!fixture_open(&f))
        return;
    open_scope(&f);
    fixture_begin(&f);
    put_as(&f, 1, "M1", fixture_mail(&f, 5000, 1));
    (void)fixture_commit(&f);
    put_as(&f, 2, "M2", fixture_mail(&f, 100, 2));
    MUST(vault_find_known(f.writer, &id, 1, &known, ERR));
    MUST(vault_place_known(f.writer, &known, &arrival, ERR));
    MUST(vault_begin_message(f.writer, 900, ERR));
    MUST(vault_write_message(f.writer, fixture_mail(&f, 50, 9), ERR));
    vault_abort_message(f.writer);
    put_as(&f, 4, "M4", fixture_mail(&f, 200, 4));
    CHECK_EQ_U64(fixture_commit(&f).placed, 3);
    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.count, 4);
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, fixture_mail(&f, 100, 2)));
    CHECK(fixture_reads_as(&f, &page.rows[2].octets, 0, UINT64_MAX, fixture_mail(&f, 5000, 1)));
    CHECK(fixture_reads_as(&f, &page.rows[3].octets, 0, UINT64_MAX, fixture_mail(&f, 200, 4)));
    fixture_close(&f);
}

TEST(other_octets_under_a_known_id_end_the_trust)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    open_scope(&f);
    fixture_begin(&f);
    put_as(&f, 1, "M1", fixture_mail(&f, 1000, 1));
    (void)fixture_commit(&f);
    put_as(&f, 2, "M1", fixture_mail(&f, 1000, 1)); /* the same again is the proof of it */
    (void)fixture_commit(&f);
    CHECK(is_trusted(&f));
    put_as(&f, 3, "M1", fixture_mail(&f, 1000, 3));
    CHECK_EQ_U64(fixture_commit(&f).placed, 1); /* and nothing is lost */
    CHECK(!is_trusted(&f));
    fixture_close(&f);
}

TEST(two_messages_of_one_batch_under_one_id_end_the_trust)
{
    struct fixture f;

    if (!fixture_open(&f))
        return;
    open_scope(&f);
    fixture_begin(&f);
    put_as(&f, 1, "M1", fixture_mail(&f, 1000, 1));
    put_as(&f, 2, "M1", fixture_mail(&f, 1000, 2));
    CHECK_EQ_U64(fixture_commit(&f).placed, 2);
    CHECK(!is_trusted(&f));
    fixture_close(&f);
}

TEST(an_id_is_1_to_255_visible_characters)
{
    uint8_t longest[256];

    memset(longest, 'x', sizeof longest);
    CHECK(vault_is_identity(BYTES("M6d99ac3275bb4e")));
    CHECK(vault_is_identity(bytes_of(longest, 255)));
    CHECK(!vault_is_identity(bytes_of(longest, 256)));
    CHECK(!vault_is_identity(BYTES("")) && !vault_is_identity(BYTES("a b")));
    CHECK(!vault_is_identity(BYTES("a\x7f")) && !vault_is_identity(BYTES("\xc3\xa4")));
}
