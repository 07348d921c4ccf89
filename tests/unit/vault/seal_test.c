/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/seal_fixture.h"

/* ---- what sealing does --------------------------------------------------------------------------- */

TEST(sealed_messages_are_read_from_the_pack_octet_for_octet)
{
    struct seal_fixture s;
    struct vault_sealed sealed;
    struct stat facts;
    char path[200];
    size_t before;

    if (!seal_open(&s))
        return;
    seal_fill(&s);
    before = seal_read_all(&s);
    MUST(seal_try(&s, &sealed));
    CHECK(sealed.is_made && !sealed.has_more);
    CHECK_EQ_U64(sealed.runs, 10);
    CHECK_EQ_I64(fixture_number(&s.f, COUNT_OF("frame") " AND week IS NOT NULL"), 0);
    CHECK_EQ_U64(seal_read_all(&s), before);
    CHECK_EQ_U64(seal_count_files(&s), 1);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);

    (void)snprintf(path, sizeof path, "%s/%jd/", s.packs, (intmax_t)s.f.account_id);
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(path + strlen(path), 3, "%02x", sealed.sha256.octets[i]);
    (void)snprintf(path + strlen(path), 9, ".tar.zst");
    CHECK(stat(path, &facts) == 0);
    CHECK_EQ_U64(facts.st_mode & 0777, 0444);
    CHECK_EQ_U64((uint64_t)facts.st_size, sealed.stored_bytes);
    seal_close(&s);
}

TEST(octets_of_the_spool_are_not_needed_once_their_runs_are_sealed)
{
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    seal_fill(&s);
    MUST(seal_try(&s, &sealed));
    (void)fixture_number(&s.f, "WITH d AS (DELETE FROM spool WHERE account_id = $1::bigint AND "
                               "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM d");
    CHECK_EQ_U64(seal_read_all(&s), 14);
    seal_close(&s);
}

TEST(runs_of_one_small_frame_are_joined_up_to_one_target_frame)
{
    static const size_t sizes[] = { 100000, 100000, 100000, 1, 2, 3 };
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        seal_commit_run(&s, &sizes[i], 1);
    MUST(seal_try(&s, &sealed));
    CHECK_EQ_U64(sealed.runs, 6);
    /* Text of 100,000 octets is stored in more than 64 KiB or less, but two or more of them join. */
    CHECK(sealed.joined_runs >= 2);
    CHECK_EQ_I64(fixture_number(&s.f, COUNT_OF("frame")), (int64_t)(6 - sealed.joined_runs));
    CHECK_EQ_I64(fixture_number(&s.f, "SELECT max(raw_bytes)::bigint FROM frame WHERE account_id = "
                                      "$1::bigint AND $2::bigint IS NOT NULL") <=
                     (int64_t)LIMIT_FRAME_TARGET_BYTES,
                 true);
    CHECK_EQ_U64(seal_read_all(&s), 6);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    seal_close(&s);
}

TEST(reader_that_located_a_message_before_its_run_was_joined_still_reads_it)
{
    static const size_t sizes[] = { 500, 600, 700 };
    struct seal_fixture s;
    struct vault_sealed sealed;
    struct vault_placement_page page;

    if (!seal_open(&s))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        seal_commit_run(&s, &sizes[i], 1);
    page = fixture_page(&s.f, s.f.mailbox_id);
    MUST(seal_try(&s, &sealed));
    CHECK_EQ_U64(sealed.joined_runs, 2);
    for (size_t i = 0; i < page.count; i++) {
        MUST(vault_check_octets(s.f.reader, &page.rows[i].octets, 0, UINT64_MAX, ERR));
        MUST(vault_verify_octets(s.f.reader, &page.rows[i].octets, &page.rows[i].sha256, ERR));
        CHECK(
            fixture_reads_as(&s.f, &page.rows[i].octets, 100, 300,
                             bytes_slice(fixture_mail(&s.f, sizes[i], (uint32_t)i + 1), 100, 300)));
    }
    seal_close(&s);
}

TEST(packs_name_the_one_before_and_nothing_new_makes_no_pack)
{
    static const size_t sizes[] = { 5000 };
    struct seal_fixture s;
    struct vault_sealed first, second, third;
    const struct vault_pack_row *rows;
    size_t count;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    MUST(seal_try(&s, &first));
    seal_commit_run(&s, sizes, 1);
    MUST(seal_try(&s, &second));
    MUST(seal_try(&s, &third));
    CHECK(first.is_made && second.is_made && !third.is_made);
    rows = seal_rows(&s, &count);
    CHECK_EQ_U64(count, 2);
    CHECK(!rows[0].has_previous && rows[1].has_previous);
    CHECK_BYTES(crypto_sha256_bytes(&rows[1].previous), crypto_sha256_bytes(&first.sha256));
    CHECK_EQ_U64(seal_count_files(&s), 2);
    seal_close(&s);
}

TEST(changed_flags_alone_are_sealed_too)
{
    static const size_t sizes[] = { 5000 };
    struct vault_change change = { .uid = 1, .flags = VAULT_FLAG_SEEN };
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    MUST(seal_try(&s, &sealed));
    MUST(vault_record_changes(s.f.writer, s.f.mailbox_id, &change, 1, NULL, ERR));
    MUST(seal_try(&s, &sealed));
    CHECK(sealed.is_made);
    CHECK_EQ_U64(sealed.runs, 0);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    seal_close(&s);
}

TEST(packs_end_at_the_run_that_fills_them_and_not_enough_is_left_waiting)
{
    static const size_t sizes[] = { 300000 };
    struct seal_fixture s;
    struct vault_seal_order order;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    order = (struct vault_seal_order){ .packs_dir = s.packs,
                                       .account_id = s.f.account_id,
                                       .pack_bytes = 300000 };
    for (size_t i = 0; i < 5; i++)
        seal_commit_run(&s, sizes, 1);
    MUST(vault_seal_account(s.keeper, &order, &sealed, ERR));
    CHECK(sealed.is_made && sealed.has_more);
    CHECK_EQ_U64(sealed.runs, 2);
    MUST(vault_seal_account(s.keeper, &order, &sealed, ERR));
    CHECK(sealed.is_made && sealed.has_more);
    MUST(vault_seal_account(s.keeper, &order, &sealed, ERR));
    CHECK(!sealed.is_made); /* one run is left: too little */
    CHECK_EQ_U64(seal_read_all(&s), 5);
    order.is_all = true;
    MUST(vault_seal_account(s.keeper, &order, &sealed, ERR));
    CHECK(sealed.is_made && !sealed.has_more);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    seal_close(&s);
}

TEST(damaged_octets_in_the_spool_are_never_sealed)
{
    static const size_t sizes[] = { 5000 };
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    (void)fixture_number(&s.f, "WITH d AS (UPDATE spool SET octets = set_byte(octets, 99, "
                               "get_byte(octets, 99) # 1) WHERE account_id = $1::bigint AND "
                               "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM d");
    CHECK(!seal_try(&s, &sealed));
    CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
    CHECK_EQ_U64(seal_count_files(&s), 0);
    seal_close(&s);
}

TEST(keeper_cannot_point_frames_elsewhere_by_itself)
{
    struct seal_fixture s;
    struct db_result *result = NULL;

    if (!seal_open(&s))
        return;
    CHECK(
        !db_run_assembled(s.keeper, "UPDATE frame SET pack_offset = 0", DB_NO_ARGS, &result, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK(!db_run_assembled(s.keeper, "DELETE FROM spool", DB_NO_ARGS, &result, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    seal_close(&s);
}

TEST(what_is_due_is_found)
{
    static const size_t sizes[] = { 300000 };
    struct seal_fixture s;
    const struct vault_seal_due *due;
    size_t count, found = 0;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    MUST(vault_find_due_seals(s.keeper, 100000, s.f.arena, &due, &count, ERR));
    for (size_t i = 0; i < count; i++)
        found += due[i].account_id == s.f.account_id && !due[i].is_all ? 1 : 0;
    CHECK_EQ_U64(found, 1);
    MUST(vault_find_due_seals(s.keeper, 10000000, s.f.arena, &due, &count, ERR));
    for (size_t i = 0; i < count; i++)
        CHECK(due[i].account_id != s.f.account_id);
    (void)fixture_number(&s.f, "WITH d AS (UPDATE frame SET week = week - 7 WHERE account_id = "
                               "$1::bigint AND $2::bigint IS NOT NULL RETURNING 1) SELECT "
                               "count(*) FROM d");
    MUST(vault_find_due_seals(s.keeper, 10000000, s.f.arena, &due, &count, ERR));
    found = 0;
    for (size_t i = 0; i < count; i++)
        found += due[i].account_id == s.f.account_id && due[i].is_all ? 1 : 0;
    CHECK_EQ_U64(found, 1);
    seal_close(&s);
}

TEST(request_is_answered_once_it_is_done)
{
    struct seal_fixture s;
    const struct vault_seal_request *requests;
    const struct vault_seal_answer *answers;
    struct err none = { 0 };
    size_t count;

    if (!seal_open(&s))
        return;
    MUST(vault_ask_seal(s.f.owner, s.f.account_id, ERR));
    MUST(vault_read_seal_answers(s.f.owner, &s.f.account_id, 1, s.f.arena, &answers, &count, ERR));
    CHECK_EQ_U64(count, 0);
    MUST(vault_find_seal_requests(s.keeper, s.f.arena, &requests, &count, ERR));
    CHECK_EQ_U64(count, 1);
    CHECK_EQ_I64(requests[0].account_id, s.f.account_id);
    MUST(vault_answer_seal(s.keeper, &requests[0], 3, &none, ERR));
    MUST(vault_read_seal_answers(s.f.owner, &s.f.account_id, 1, s.f.arena, &answers, &count, ERR));
    CHECK_EQ_U64(count, 1);
    CHECK_EQ_U64(answers[0].packs, 3);
    CHECK_BYTES(answers[0].outcome, BYTES("NONE"));
    seal_close(&s);
}

/* ---- verification ------------------------------------------------------------------------------- */

static void pack_path(struct seal_fixture *s, char path[200])
{
    size_t count;
    const struct vault_pack_row *rows = seal_rows(s, &count);

    CHECK_EQ_U64(count, 1);
    (void)snprintf(path, 200, "%s/%jd/", s->packs, (intmax_t)s->f.account_id);
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(path + strlen(path), 3, "%02x", rows[0].sha256.octets[i]);
    (void)snprintf(path + strlen(path), 9, ".tar.zst");
}

static void flip(const char *path, uint64_t at, uint8_t bits)
{
    int fd;
    uint8_t octet;

    CHECK(chmod(path, 0644) == 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &octet, 1, (off_t)at) == 1);
    octet ^= bits;
    CHECK(pwrite(fd, &octet, 1, (off_t)at) == 1);
    CHECK(close(fd) == 0);
}

/* Every message reads right or not at all; how many do. */
static size_t read_what_can_be(struct seal_fixture *s)
{
    struct vault_placement_page page = fixture_page(&s->f, s->f.mailbox_id);
    size_t good = 0;

    vault_trim_reader(s->f.reader);
    for (size_t i = 0; i < page.count; i++) {
        struct fixture_sink sink = { .octets = buf_create((size_t)64 << 20) };
        struct bytes want =
            /* as seal_fill made it */
            fixture_mail(&s->f, page.rows[i].size_bytes, page.rows[i].uid);

        err_clear(&fixture_err);
        if (vault_stream_octets(s->f.reader, &page.rows[i].octets, 0, UINT64_MAX, fixture_gather,
                                &sink, ERR)) {
            CHECK(bytes_equal(buf_bytes(&sink.octets), want));
            good++;
        } else {
            CHECK_EQ_U64(fixture_err.code, ERR_CORRUPT);
            CHECK(bytes_start_with(want, buf_bytes(&sink.octets)));
        }
        buf_free(&sink.octets);
    }
    return good;
}

TEST(flipped_bits_are_all_found_with_a_message_named_and_never_read)
{
    static const size_t sizes[] = { 3000, 50000, 100, 262144, 0 };
    struct seal_fixture s;
    struct vault_sealed sealed;
    struct vault_pack_report report;
    char path[200];
    uint32_t seed = 3;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, ARRAY_LEN(sizes));
    MUST(seal_try(&s, &sealed));
    pack_path(&s, path);
    for (size_t i = 0; i < 60; i++) {
        uint64_t at;

        seed = seed * 1664525u + 1013904223u;
        at = i == 0 ? 100 : (uint64_t)seed * sealed.stored_bytes >> 32;
        flip(path, at, (uint8_t)(1u << (i & 7)));
        CHECK_EQ_U64(seal_verify(&s, true, &report), 1);
        if (i == 0) {
            CHECK_EQ_U64(report.damaged_frames, 1);
            CHECK(report.victims >= 1 && report.sha256.len == 64);
            CHECK_BYTES(report.path, BYTES("INBOX"));
            CHECK(report.uid >= 1);
            CHECK(read_what_can_be(&s) < ARRAY_LEN(sizes));
        } else if (i % 10 == 0) {
            (void)read_what_can_be(&s);
        }
        flip(path, at, (uint8_t)(1u << (i & 7)));
    }
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    CHECK_EQ_U64(read_what_can_be(&s), ARRAY_LEN(sizes));
    seal_close(&s);
}

TEST(lost_and_shortened_files_and_files_without_a_row_are_found_without_reading_all)
{
    static const size_t sizes[] = { 3000, 50000 };
    struct seal_fixture s;
    struct vault_sealed sealed;
    struct vault_pack_report report;
    const struct bytes *strays;
    char path[200], aside[210];
    size_t count;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, ARRAY_LEN(sizes));
    MUST(seal_try(&s, &sealed));
    pack_path(&s, path);
    CHECK_EQ_U64(seal_verify(&s, false, NULL), 0);
    (void)snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK(rename(path, aside) == 0);
    CHECK_EQ_U64(seal_verify(&s, false, &report), 1);
    CHECK_EQ_U64(report.victims, 2);
    CHECK_BYTES(report.path, BYTES("INBOX"));
    CHECK(rename(aside, path) == 0);
    flip(path, sealed.stored_bytes - 100, 1); /* in the index */
    CHECK_EQ_U64(seal_verify(&s, false, &report), 1);
    flip(path, sealed.stored_bytes - 100, 1);
    CHECK_EQ_U64(seal_verify(&s, false, NULL), 0);

    MUST(vault_find_stray_packs(s.f.owner, s.packs, s.f.account_id, s.f.arena, &strays, &count,
                                ERR));
    CHECK_EQ_U64(count, 0);
    path[strlen(s.packs) + 8] = path[strlen(s.packs) + 8] == 'a' ? 'b' : 'a';
    {
        FILE *file = fopen(path, "w");

        CHECK(file != NULL && fclose(file) == 0);
    }
    MUST(vault_find_stray_packs(s.f.owner, s.packs, s.f.account_id, s.f.arena, &strays, &count,
                                ERR));
    CHECK_EQ_U64(count, 1);
    MUST(vault_seal_recover(s.keeper, s.packs, ERR)); /* leaves it alone */
    CHECK_EQ_U64(seal_count_files(&s), 2);
    CHECK(truncate(path, 1) == 0);
    seal_close(&s);
}
