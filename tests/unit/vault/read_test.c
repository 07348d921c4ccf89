/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "vault/read.h"

/* ---- UIDs and sequence numbers: no database ------------------------------------------------- */

TEST(sequence_numbers_pass_over_disposed_uids)
{
    static const struct vault_uid_range gaps[] = { { 1, 2 }, { 5, 5 }, { 9, 1000 } };
    struct vault_mailbox mailbox = { .row.uidnext = 1003,
                                     .disposed = gaps,
                                     .disposed_count = ARRAY_LEN(gaps) };
    static const uint32_t uids[] = { 3, 4, 6, 7, 8, 1001, 1002 };

    CHECK_EQ_U64(vault_count_messages(&mailbox), ARRAY_LEN(uids));
    for (uint32_t i = 0; i < ARRAY_LEN(uids); i++) {
        CHECK_EQ_U64(vault_uid_at_seq(&mailbox, i + 1), uids[i]);
        CHECK_EQ_U64(vault_count_through_uid(&mailbox, uids[i]), i + 1);
        CHECK(vault_uid_exists(&mailbox, uids[i]));
    }
    CHECK_EQ_U64(vault_uid_at_seq(&mailbox, 0), 0);
    CHECK_EQ_U64(vault_uid_at_seq(&mailbox, 8), 0);
    CHECK_EQ_U64(vault_uid_at_seq(&mailbox, UINT32_MAX), 0);
    CHECK_EQ_U64(vault_count_through_uid(&mailbox, 2), 0);
    CHECK_EQ_U64(vault_count_through_uid(&mailbox, 500), 5);
    CHECK(!vault_uid_exists(&mailbox, 0) && !vault_uid_exists(&mailbox, 5) &&
          !vault_uid_exists(&mailbox, 1003));
}

TEST(empty_mailbox_and_the_fullest_one_count_right)
{
    struct vault_mailbox empty = { .row.uidnext = 1 };
    struct vault_mailbox full = { .row.uidnext = UINT64_C(1) << 32 };

    CHECK_EQ_U64(vault_count_messages(&empty), 0);
    CHECK_EQ_U64(vault_uid_at_seq(&empty, 1), 0);
    CHECK_EQ_U64(vault_count_messages(&full), UINT32_MAX);
    CHECK_EQ_U64(vault_uid_at_seq(&full, UINT32_MAX), UINT32_MAX);
    CHECK(vault_uid_exists(&full, UINT32_MAX));
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

static struct vault_mailbox load(struct fixture *f)
{
    struct vault_mailbox mailbox;

    MUST(vault_load_mailbox(f->reader, f->account_id, f->mailbox_id, f->arena, &mailbox, ERR));
    return mailbox;
}

TEST(mailbox_is_loaded_with_counters_first_unseen_and_disposed_ranges)
{
    struct fixture f;
    struct vault_mailbox mailbox;
    struct vault_mailbox_row polled;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    MUST(fixture_try_put(&f, 1, BYTES("one"), FIXTURE_DATE, VAULT_FLAG_SEEN, NULL));
    MUST(fixture_try_put(&f, 2, BYTES("four"), FIXTURE_DATE, VAULT_FLAG_DELETED, NULL));
    MUST(fixture_try_put(&f, 3, BYTES("three"), FIXTURE_DATE, 0, NULL));
    fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, "INSERT INTO mailbox_disposed VALUES ($1::bigint, $2::bigint, "
                                    "7, 8) RETURNING first_uid"),
                 7);
    mailbox = load(&f);
    CHECK_EQ_U64(mailbox.row.messages, 3);
    CHECK_EQ_U64(mailbox.row.unseen, 2);
    CHECK_EQ_U64(mailbox.row.deleted, 1);
    CHECK_EQ_U64(mailbox.row.octets, 12);
    CHECK_EQ_U64(mailbox.row.uidnext, 4);
    CHECK_EQ_U64(mailbox.first_unseen_uid, 2);
    CHECK_EQ_U64(mailbox.disposed_count, 1);
    CHECK_EQ_U64(mailbox.disposed[0].first, 7);
    CHECK_EQ_U64(mailbox.disposed[0].last, 8);
    CHECK_BYTES(mailbox.row.path, BYTES("INBOX"));
    CHECK(mailbox.row.uidvalidity > 1700000000);
    MUST(vault_poll_mailbox(f.reader, f.account_id, f.mailbox_id, &polled, ERR));
    CHECK_EQ_U64(polled.uidnext, 4);
    CHECK_EQ_U64(polled.highestmodseq, mailbox.row.highestmodseq);
    fixture_close(&f);
}

TEST(mailboxes_and_accounts_are_listed_in_pages)
{
    struct fixture f;
    struct vault_listed listed[25];
    int64_t ids[25];
    const struct vault_mailbox_row *rows;
    const struct vault_account *accounts;
    struct vault_mailbox_row after;
    size_t count = 0, total = 0;
    char name[40];

    if (!fixture_open(&f))
        return;
    (void)snprintf(name, sizeof name, "account %jd", (intmax_t)f.account_id);
    for (size_t i = 0; i < 25; i++) {
        char path[16];

        (void)snprintf(path, sizeof path, "A%02zu", i);
        listed[i] = (struct vault_listed){ .source_name = BYTES("x"), .path = BYTES("") };
        listed[i].path = bytes_of_text(arena_text(f.arena, path));
    }
    MUST(vault_open_mailboxes(f.writer, listed, 25, ids, ERR));
    for (bool is_first = true; is_first || count > 0; is_first = false) {
        MUST(vault_list_mailboxes(f.reader, BYTES(""), is_first ? NULL : &after, 7, f.arena, &rows,
                                  &count, ERR));
        for (size_t i = 0; i < count; i++) {
            CHECK(total == 0 || bytes_compare(after.path, rows[i].path) < 0);
            CHECK_BYTES(rows[i].account_name, bytes_of_text(name));
            after = rows[i];
            total++;
        }
    }
    CHECK_EQ_U64(total, 26);
    MUST(vault_list_mailboxes(f.reader, bytes_of_text(name), NULL, 1000, f.arena, &rows, &count,
                              ERR));
    CHECK_EQ_U64(count, 26);
    MUST(vault_list_mailboxes(f.reader, BYTES("nobody"), NULL, 1000, f.arena, &rows, &count, ERR));
    CHECK_EQ_U64(count, 0);
    MUST(vault_list_accounts(f.reader, BYTES(""), 1000, f.arena, &accounts, &count, ERR));
    CHECK_EQ_U64(count, 1);
    CHECK_EQ_I64(accounts[0].account_id, f.account_id);
    fixture_close(&f);
}

TEST(what_a_token_may_not_see_is_absent_in_every_way)
{
    struct fixture f, other;
    struct vault_mailbox mailbox;
    struct vault_mailbox_row row;
    struct vault_placement_page page;
    struct fixture_sink sink = { .octets = buf_create(1000) };
    const struct vault_found *found;
    size_t count;
    char name[40];
    struct buf hex = buf_create(100);

    if (!fixture_open(&f))
        return;
    CHECK(fixture_open(&other));
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("hidden from the other"));
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    (void)snprintf(name, sizeof name, "account %jd", (intmax_t)f.account_id);

    CHECK(!vault_load_mailbox(other.reader, f.account_id, f.mailbox_id, f.arena, &mailbox, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK(!vault_poll_mailbox(other.reader, f.account_id, f.mailbox_id, &row, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK(
        !vault_find_mailbox(other.reader, bytes_of_text(name), BYTES("INBOX"), f.arena, &row, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK(
        !vault_stream_octets(other.reader, &page.rows[0].octets, 0, 9, fixture_gather, &sink, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK(!vault_check_octets(other.reader, &page.rows[0].octets, 0, 9, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK_EQ_U64(sink.calls, 0);
    buf_hex(&hex, crypto_sha256_bytes(&page.rows[0].sha256));
    MUST(vault_find_hash(other.reader, buf_bytes(&hex), 10, f.arena, &found, &count, ERR));
    CHECK_EQ_U64(count, 0);
    /* A session that has ended sees nothing from the next call on. */
    CHECK_EQ_I64(fixture_number(&f, "UPDATE login_session SET revoked_at = now() WHERE "
                                    "account_scope = ARRAY[$1::bigint] AND $2::bigint IS NOT NULL "
                                    "RETURNING 1::bigint"),
                 1);
    CHECK(!vault_poll_mailbox(f.reader, f.account_id, f.mailbox_id, &row, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    buf_free(&hex);
    buf_free(&sink.octets);
    fixture_close(&f);
    fixture_close(&other);
}

/* ---- placements ---------------------------------------------------------------------------- */

/* Reads all pages and checks that exactly these UIDs come. */
static void check_uids(struct fixture *f, const struct vault_uid_range *ranges, size_t range_count,
                       size_t limit, unsigned columns, uint64_t changed_since, const uint32_t *want,
                       size_t want_count)
{
    struct vault_placement_query query = { .account_id = f->account_id,
                                           .mailbox_id = f->mailbox_id,
                                           .ranges = ranges,
                                           .range_count = range_count,
                                           .changed_since = changed_since,
                                           .columns = columns,
                                           .limit = limit };
    struct vault_placement_page page = { .is_last = false };
    size_t at = 0, pages = 0;

    while (!page.is_last) {
        MUST(vault_read_placements(f->reader, &query, f->arena, &page, ERR));
        CHECK(page.count <= limit);
        CHECK(pages++ < 100);
        for (size_t i = 0; i < page.count; i++) {
            CHECK(at < want_count);
            CHECK_EQ_U64(page.rows[i].uid, want[at++]);
        }
        query.after_uid = page.through_uid;
    }
    CHECK_EQ_U64(at, want_count);
}

TEST(placements_come_in_pages_over_any_set_of_ranges)
{
    static const struct vault_uid_range all[] = { { 1, UINT32_MAX } };
    static const struct vault_uid_range some[] = { { 2, 2 }, { 4, 9 }, { 20, 20 }, { 28, 400 } };
    static const struct vault_uid_range past[] = { { 31, UINT32_MAX } };
    static const uint32_t some_uids[] = { 2, 4, 5, 6, 7, 8, 9, 20, 28, 29, 30 };
    static const unsigned columns[] = { 0, VAULT_WITH_SIZE, VAULT_WITH_LOCATOR };
    struct vault_change change = { .uid = 17, .flags = VAULT_FLAG_SEEN };
    static const uint32_t changed[] = { 17 };
    struct fixture f;
    uint32_t uids[30];

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 0; i < 30; i++) {
        uids[i] = i + 1;
        fixture_put(&f, i + 1, fixture_mail(&f, 50, i));
    }
    fixture_commit(&f);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
        for (size_t limit = 1; limit < 33; limit += 5) {
            check_uids(&f, all, 1, limit, columns[c], 0, uids, 30);
            check_uids(&f, some, ARRAY_LEN(some), limit, columns[c], 0, some_uids,
                       ARRAY_LEN(some_uids));
            check_uids(&f, past, 1, limit, columns[c], 0, NULL, 0);
            check_uids(&f, NULL, 0, limit, columns[c], 0, NULL, 0);
        }
    }
    MUST(vault_record_changes(f.writer, f.mailbox_id, &change, 1, NULL, ERR));
    check_uids(&f, all, 1, 10, 0, 2, changed, 1);
    fixture_close(&f);
}

TEST(brief_pages_say_what_whole_ones_say)
{
    static const struct vault_uid_range sets[][2] = { { { 1, UINT32_MAX } },
                                                      { { 2, 5 }, { 7, 9 } } };
    static const unsigned columns[] = { 0, VAULT_WITH_SIZE, VAULT_WITH_INDEX };
    CLEANUP(arena_free) struct arena *arena = arena_create(8 << 20);
    struct vault_change gone = { .uid = 3, .is_gone = true };
    struct fixture f;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 0; i < 9; i++)
        MUST(fixture_try_put(&f, i + 1, fixture_mail(&f, 50 + i, i), INT64_C(1000000) * i, 60,
                             i % 2 == 0 ? NULL : "k"));
    fixture_commit(&f);
    MUST(vault_record_changes(f.writer, f.mailbox_id, &gone, 1, NULL, ERR));
    for (unsigned i = 0; i < 6; i++) {
        struct vault_placement_query query = { .account_id = f.account_id,
                                               .mailbox_id = f.mailbox_id,
                                               .ranges = sets[i / 3],
                                               .range_count = i / 3 + 1,
                                               .columns = columns[i % 3],
                                               .limit = LIMIT_PAGE_ROWS };
        struct vault_placement_page whole, brief;

        MUST(vault_read_placements(f.reader, &query, arena, &whole, ERR));
        query.is_brief = true;
        query.limit = i % 3 == 2 ? LIMIT_PAGE_ROWS : LIMIT_BRIEF_ROWS;
        MUST(vault_read_placements(f.reader, &query, arena, &brief, ERR));
        CHECK_EQ_U64(brief.count, i / 3 == 0 ? 9 : 7);
        CHECK_EQ_U64(brief.count, whole.count);
        CHECK(brief.is_last && whole.is_last);
        for (size_t row = 0; row < brief.count; row++) {
            const struct vault_placement *a = &brief.rows[row], *b = &whole.rows[row];

            CHECK(a->uid == b->uid && a->flags == b->flags && a->is_gone == b->is_gone);
            CHECK_BYTES(a->keywords, b->keywords);
            CHECK_EQ_U64(a->size_bytes, b->size_bytes);
            CHECK(query.columns == 0 ||
                  (a->internal_usec == b->internal_usec && a->internal_zone == b->internal_zone));
            CHECK(query.columns != VAULT_WITH_INDEX ||
                  fixture_reads_as(&f, &b->octets, 0, UINT64_MAX,
                                   fixture_mail(&f, 49 + b->uid, b->uid - 1)));
        }
    }
    fixture_close(&f);
}

TEST(message_is_found_by_the_front_of_its_hash)
{
    struct fixture f;
    struct vault_placement_page page;
    const struct vault_found *found;
    struct buf hex = buf_create(100);
    size_t count;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 1; i < 20; i++)
        fixture_put(&f, i, fixture_mail(&f, 50, i));
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    buf_hex(&hex, crypto_sha256_bytes(&page.rows[7].sha256));
    for (size_t digits = 9; digits <= 64; digits++) {
        MUST(vault_find_hash(f.reader, bytes_slice(buf_bytes(&hex), 0, digits), 10, f.arena, &found,
                             &count, ERR));
        CHECK_EQ_U64(count, 1);
        CHECK_EQ_U64(found[0].placement.uid, 8);
        CHECK_BYTES(found[0].path, BYTES("INBOX"));
        CHECK_EQ_I64(found[0].mailbox_id, f.mailbox_id);
    }
    CHECK(!vault_find_hash(f.reader, BYTES("123"), 10, f.arena, &found, &count, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_SYNTAX);
    CHECK(!vault_find_hash(f.reader, BYTES("12g4"), 10, f.arena, &found, &count, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_SYNTAX);
    buf_free(&hex);
    fixture_close(&f);
}

/* ---- octets -------------------------------------------------------------------------------- */

TEST(any_range_is_exact_at_and_around_every_frame_border)
{
    struct fixture f;
    struct vault_placement_page page;
    struct bytes mails[4];
    static const size_t sizes[] = { 100, 700000, 40000, 9500000 };

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 0; i < 4; i++) {
        mails[i] = fixture_mail(&f, sizes[i], i);
        fixture_put(&f, i + 1, mails[i]);
    }
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    for (size_t i = 0; i < 4; i++) {
        const struct vault_octets *octets = &page.rows[i].octets;

        for (uint64_t at = 0; at <= sizes[i] + 1; at += 131072) {
            /* A border lies where the raw position is a multiple of the frame size, or near. */
            static const int64_t around[] = { -513, -512, -1, 0, 1, 512 };

            for (size_t n = 0; n < ARRAY_LEN(around); n++) {
                int64_t from = (int64_t)at + around[n];
                uint64_t length = 1 + n * 200;

                if (from < 0)
                    continue;
                MUST(vault_check_octets(f.reader, octets, (uint64_t)from, length, ERR));
                CHECK(fixture_reads_as(&f, octets, (uint64_t)from, length,
                                       bytes_slice(mails[i], (size_t)from, (size_t)length)));
            }
        }
        CHECK(fixture_reads_as(&f, octets, 0, UINT64_MAX, mails[i]));
        CHECK(fixture_reads_as(&f, octets, sizes[i] - 1, 100,
                               bytes_slice(mails[i], sizes[i] - 1, 1)));
        CHECK(fixture_reads_as(&f, octets, sizes[i], 100, BYTES("")));
        CHECK(fixture_reads_as(&f, octets, UINT64_MAX, UINT64_MAX, BYTES("")));
        CHECK(fixture_reads_as(&f, octets, 5, 0, BYTES("")));
    }
    fixture_close(&f);
}

TEST(consecutive_small_messages_are_read_whole_with_and_without_expectation)
{
    enum {
        COUNT = 150
    };
    struct fixture f;
    struct vault_placement_page page;
    struct vault_octets items[COUNT];

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    for (uint32_t i = 0; i < COUNT; i++) {
        fixture_put(&f, i + 1, fixture_mail(&f, 1 + i * 400, i));
        if (i % 10 == 0)
            fixture_commit(&f); /* many small runs, as trickling mail leaves them */
    }
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        items[i] = page.rows[i].octets;
    for (unsigned round = 0; round < 3; round++) {
        if (round > 0)
            vault_expect_octets(f.reader, items, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            size_t at = round < 2 ? i : COUNT - 1 - i; /* also against what was expected */
            struct bytes want = fixture_mail(&f, 1 + at * 400, (uint32_t)at);

            MUST(vault_check_octets(f.reader, &items[at], 0, UINT64_MAX, ERR));
            CHECK(fixture_reads_as(&f, &items[at], 0, UINT64_MAX, want));
            arena_reset(f.arena);
        }
        vault_trim_reader(f.reader);
    }
    fixture_close(&f);
}

static bool refuse(void *context, struct bytes octets, struct err *err)
{
    size_t *left = context;

    (void)octets;
    if (*left == 0)
        return err_fail(err, ERR_RETRY, "the client is gone");
    (*left)--;
    return true;
}

TEST(error_of_the_sink_ends_the_stream_and_the_reader_goes_on)
{
    struct fixture f;
    struct vault_placement_page page;
    struct bytes mail;
    size_t left = 2;

    if (!fixture_open(&f))
        return;
    mail = fixture_mail(&f, 2000000, 1);
    fixture_begin(&f);
    fixture_put(&f, 1, mail);
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    CHECK(!vault_stream_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, refuse, &left, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK(strstr(fixture_err.text, "the client is gone") != NULL);
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, mail));
    fixture_close(&f);
}

/* ---- damage -------------------------------------------------------------------------------- */

/* Turns one bit of the stored octets of a frame. */
static void flip(struct fixture *f, int64_t ordinal, const char *where)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE spool s SET octets = set_byte(octets, %s, get_byte(octets, %s) # 1) "
                   "FROM frame f WHERE f.account_id = $1::bigint AND $2::bigint IS NOT NULL AND "
                   "s.account_id = f.account_id AND s.frame_id = f.frame_id AND f.ordinal = %jd "
                   "RETURNING 1::bigint",
                   where, where, (intmax_t)ordinal);
    CHECK_EQ_I64(fixture_number(f, sql), 1);
}

TEST(damage_in_the_spool_is_found_before_any_octet_of_the_frame_is_given_out)
{
    static const char *const places[] = { "0", "5", "length(octets) / 2", "length(octets) - 1" };
    struct fixture f;
    struct vault_placement_page page;
    struct bytes mail;

    if (!fixture_open(&f))
        return;
    mail = fixture_mail(&f, 1000000, 1);
    fixture_begin(&f);
    fixture_put(&f, 1, mail);
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct fixture_sink sink = { .octets = buf_create(2000000) };

        flip(&f, 2, places[i]);
        vault_trim_reader(f.reader);
        CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, ERR));
        CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
        vault_trim_reader(f.reader);
        CHECK(!vault_stream_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, fixture_gather,
                                   &sink, ERR));
        CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
        /* Frames 0 and 1 were right; their 512-octet header is not the message's. */
        CHECK_BYTES(buf_bytes(&sink.octets), bytes_slice(mail, 0, 2 * 262144 - 512));
        /* A range that does not need the frame is served. */
        MUST(vault_check_octets(f.reader, &page.rows[0].octets, 0, 500000, ERR));
        CHECK(fixture_reads_as(&f, &page.rows[0].octets, 900000, 50000,
                               bytes_slice(mail, 900000, 50000)));
        flip(&f, 2, places[i]);
        buf_free(&sink.octets);
    }
    vault_trim_reader(f.reader);
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, mail));
    fixture_close(&f);
}

TEST(frame_or_octets_that_are_missing_are_damage)
{
    struct fixture f;
    struct vault_placement_page page;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, fixture_mail(&f, 1000000, 1));
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_I64(fixture_number(&f, "DELETE FROM spool s USING frame f WHERE f.account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL AND s.account_id = "
                                    "f.account_id AND s.frame_id = f.frame_id AND f.ordinal = 2 "
                                    "RETURNING 1::bigint"),
                 1);
    CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    CHECK_EQ_I64(fixture_number(&f,
                                "DELETE FROM frame WHERE account_id = $1::bigint AND $2::bigint "
                                "IS NOT NULL AND ordinal = 2 RETURNING 1::bigint"),
                 1);
    vault_trim_reader(f.reader);
    CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    fixture_close(&f);
}

TEST(octets_that_are_not_those_of_the_hash_are_found_by_verify)
{
    struct fixture f;
    struct vault_placement_page page;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, fixture_mail(&f, 100, 1));
    fixture_put(&f, 2, fixture_mail(&f, 100, 2));
    fixture_commit(&f);
    page = fixture_page(&f, f.mailbox_id);
    MUST(vault_verify_octets(f.reader, &page.rows[0].octets, &page.rows[0].sha256, ERR));
    CHECK(!vault_verify_octets(f.reader, &page.rows[0].octets, &page.rows[1].sha256, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    fixture_close(&f);
}

TEST(encrypted_frame_is_not_taken_for_damage)
{
    struct fixture f;
    struct vault_placement_page page;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("m"));
    fixture_commit(&f);
    CHECK_EQ_I64(fixture_number(&f, "UPDATE frame SET key_id = 5 WHERE account_id = $1::bigint AND "
                                    "$2::bigint IS NOT NULL RETURNING key_id"),
                 5);
    page = fixture_page(&f, f.mailbox_id);
    CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, 1, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_SYSTEM);
    fixture_close(&f);
}

/* ---- packs --------------------------------------------------------------------------------- */

struct packs {
    char path[80];
    size_t opened;
    int64_t account_id;
    bool refuses;
};

static bool open_pack(void *context, enum vault_file file, int64_t account_id, int64_t pack_id,
                      struct bytes sha256, int *fd, struct err *err)
{
    struct packs *packs = context;

    CHECK_EQ_I64(file, VAULT_FILE_PACK);
    (void)pack_id;
    CHECK_EQ_U64(sha256.len, 32);
    CHECK_EQ_I64(account_id, packs->account_id);
    if (packs->refuses)
        return err_fail(err, ERR_DENIED, "refused");
    packs->opened++;
    *fd = open(packs->path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 || err_errno(err, "open the pack");
}

/* Moves all frames of the account into one file, as the keeper will, with some octets in front. */
static void seal(struct fixture *f, const char *path)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    FILE *file = fopen(path, "w");
    int64_t pack_id, at = 13;

    CHECK(file != NULL && fwrite("octets before", 1, 13, file) == 13);
    pack_id = fixture_number(f, "INSERT INTO pack (account_id, sha256, stored_bytes, raw_bytes) "
                                "VALUES ($1::bigint, sha256(int8send($2::bigint)), 1, 1) RETURNING "
                                "pack_id");
    MUST(db_run_assembled(f->owner,
                          "SELECT frame_id, octets FROM frame JOIN spool USING (account_id, "
                          "frame_id) WHERE account_id = $1 ORDER BY run_id, ordinal",
                          DB_ARGS(DB_I64(f->account_id)), &rows, ERR));
    for (size_t i = 0; i < db_rows(rows); i++) {
        CLEANUP(db_result_free) struct db_result *moved = NULL;
        struct bytes octets = db_bytes(rows, i, 1);

        CHECK(fwrite(octets.ptr, 1, octets.len, file) == octets.len);
        MUST(db_run_assembled(
            f->owner,
            "UPDATE frame SET week = NULL, pack_id = $3, pack_offset = $4 WHERE "
            "account_id = $1 AND frame_id = $2",
            DB_ARGS(DB_I64(f->account_id), DB_I64(db_i64(rows, i, 0)), DB_I64(pack_id), DB_I64(at)),
            &moved, ERR));
        at += (int64_t)octets.len;
    }
    CHECK(fclose(file) == 0);
    (void)fixture_number(f, "WITH d AS (DELETE FROM spool WHERE account_id = $1::bigint AND "
                            "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM d");
}

TEST(octets_in_a_pack_are_read_and_checked_through_a_borrowed_descriptor)
{
    struct packs packs = { .opened = 0 };
    struct vault_pack_opener opener = { open_pack, &packs };
    struct fixture f;
    struct vault_placement_page page;
    struct vault_reader *reader = NULL;
    struct bytes mail, small;
    char folder[64];
    FILE *file;

    if (!fixture_open(&f))
        return;
    test_make_dir(folder);
    (void)snprintf(packs.path, sizeof packs.path, "%.63s/pack", folder);
    packs.account_id = f.account_id;
    mail = fixture_mail(&f, 3000000, 1);
    small = fixture_mail(&f, 1000, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, mail);
    fixture_put(&f, 2, small);
    fixture_commit(&f);
    seal(&f, packs.path);
    page = fixture_page(&f, f.mailbox_id);

    CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, 10, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT); /* this one opens no packs */
    reader = f.reader;
    f.reader = NULL;
    vault_close_reader(&reader);
    MUST(vault_open_reader(f.pool, f.token, &opener, &f.reader, ERR));
    MUST(vault_check_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, ERR));
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 0, UINT64_MAX, mail));
    CHECK(fixture_reads_as(&f, &page.rows[0].octets, 262144 - 600, 2000,
                           bytes_slice(mail, 262144 - 600, 2000)));
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, small));
    CHECK_EQ_U64(packs.opened, 1);

    /* One octet of the file is turned, and then its end is cut off. */
    file = fopen(packs.path, "r+");
    CHECK(file != NULL && fseek(file, 100, SEEK_SET) == 0 && fputc('?', file) == '?');
    CHECK(fclose(file) == 0);
    vault_trim_reader(f.reader);
    CHECK(!vault_check_octets(f.reader, &page.rows[0].octets, 0, UINT64_MAX, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    CHECK(truncate(packs.path, 1000000) == 0);
    CHECK(!vault_check_octets(f.reader, &page.rows[1].octets, 0, UINT64_MAX, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    vault_trim_reader(f.reader);
    packs.refuses = true;
    CHECK(!vault_check_octets(f.reader, &page.rows[1].octets, 0, UINT64_MAX, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    test_remove_tree(folder);
    fixture_close(&f);
}
