/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/seal_fixture.h"
#include "vault/text_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static struct text_deriver deriver;

static bool open_texts(struct seal_fixture *s)
{
    if (!seal_open(s))
        return false;
    text_use_deriver(&s->f, &deriver);
    return true;
}

static void close_texts(struct seal_fixture *s)
{
    seal_close(s);
    buf_free(&deriver.record);
}

/* Messages with a record, as a reader without memories finds them. */
static size_t count_texts(struct seal_fixture *s)
{
    struct text_messages *messages = arena_new(s->f.arena, struct text_messages);

    vault_trim_reader(s->f.reader);
    text_list_messages(&s->f, messages);
    return text_read_all(&s->f, messages);
}

static struct vault_sealed seal(struct seal_fixture *s)
{
    struct vault_sealed sealed;

    MUST(seal_try(s, &sealed));
    CHECK(sealed.is_made);
    return sealed;
}

static void segment_path(const struct seal_fixture *s, const struct vault_sealed *sealed,
                         char out[240])
{
    int len = snprintf(out, 240, "%s/%jd/", s->packs, (intmax_t)s->f.account_id);

    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        len += snprintf(out + len, 240 - (size_t)len, "%02x", sealed->sha256.octets[i]);
    (void)snprintf(out + len, 240 - (size_t)len, ".text");
}

static void forget_spool(struct seal_fixture *s)
{
    (void)fixture_number(&s->f,
                         "WITH d AS (DELETE FROM text_spool WHERE account_id = $1::bigint AND "
                         "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM d");
}

/* The pack is well; is there a remark about its text? */
static void check_remark(struct seal_fixture *s, bool is_full, bool is_made)
{
    struct vault_pack_check check = { .packs_dir = s->packs, .is_full = is_full };
    struct vault_pack_report report;
    size_t count;
    const struct vault_pack_row *rows = seal_rows(s, &count);

    CHECK_EQ_U64(count, 1);
    MUST(vault_check_pack(s->f.owner, &check, rows, s->f.arena, &report, ERR));
    CHECK(!report.is_damaged);
    CHECK_EQ_I64(report.text_what[0] != '\0', is_made);
}

#define BLOCKS(condition) COUNT_OF("text_block") " AND " condition

TEST(search_text_is_read_from_its_segment_once_it_is_sealed)
{
    struct seal_fixture s;
    struct vault_sealed sealed;
    char path[240];

    if (!open_texts(&s))
        return;
    seal_fill(&s);
    CHECK_EQ_U64(count_texts(&s), 12); /* all but an equal one and the large one */
    sealed = seal(&s);
    segment_path(&s, &sealed, path);
    CHECK_EQ_I64(access(path, R_OK), 0);
    CHECK_EQ_I64(fixture_number(&s.f, BLOCKS("week IS NOT NULL")), 0);
    CHECK_EQ_I64(fixture_number(&s.f, BLOCKS("pack_id IS NOT NULL")) > 0, 1);
    forget_spool(&s);
    CHECK_EQ_U64(count_texts(&s), 12);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    check_remark(&s, true, false);
    (void)fixture_number(&s.f,
                         "WITH u AS (UPDATE text_block SET signature = set_byte(signature, 0, "
                         "get_byte(signature, 0) # 1) WHERE account_id = $1::bigint AND "
                         "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM u");
    check_remark(&s, true, true);
    check_remark(&s, false, false);
    close_texts(&s);
}

TEST(text_of_mail_that_trickles_in_is_joined_to_few_blocks)
{
    static const size_t sizes[] = { 300 };
    struct seal_fixture s;

    if (!open_texts(&s))
        return;
    for (int i = 0; i < 150; i++)
        seal_commit_run(&s, sizes, 1);
    CHECK_EQ_I64(fixture_number(&s.f, COUNT_OF("text_block")), 150);
    (void)seal(&s);
    CHECK_EQ_I64(fixture_number(&s.f, COUNT_OF("text_block")), 3);
    CHECK_EQ_I64(fixture_number(&s.f, BLOCKS("octet_length(signature) > 64")), 3);
    forget_spool(&s);
    CHECK_EQ_U64(count_texts(&s), 150);
    check_remark(&s, true, false);
    close_texts(&s);
}

TEST(text_that_was_made_anew_goes_into_the_segment_of_the_next_pack)
{
    static const size_t sizes[] = { 300, 70000 };
    struct seal_fixture s;

    if (!open_texts(&s))
        return;
    seal_commit_run(&s, sizes, ARRAY_LEN(sizes));
    (void)seal(&s);
    /* As reindex leaves it: back in the spool, under a run that has no frames. */
    (void)fixture_number(&s.f, "WITH d AS (UPDATE text_block SET week = date_trunc('week', "
                               "now())::date, pack_id = NULL, segment_offset = NULL, run_id = "
                               "1000000 + run_id WHERE account_id = $1::bigint AND $2::bigint IS "
                               "NOT NULL RETURNING 1) SELECT count(*) FROM d");
    (void)fixture_number(&s.f, "WITH d AS (UPDATE text_spool SET run_id = 1000000 + run_id WHERE "
                               "account_id = $1::bigint AND $2::bigint IS NOT NULL RETURNING 1) "
                               "SELECT count(*) FROM d");
    CHECK_EQ_U64(count_texts(&s), 2);
    seal_commit_run(&s, sizes, ARRAY_LEN(sizes));
    (void)seal(&s);
    CHECK_EQ_I64(fixture_number(&s.f, BLOCKS("week IS NOT NULL")), 0);
    forget_spool(&s);
    CHECK_EQ_U64(count_texts(&s), 4);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    close_texts(&s);
}

TEST(blocks_of_different_parser_versions_are_not_joined)
{
    static const size_t sizes[] = { 300 };
    struct seal_fixture s;

    if (!open_texts(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    seal_commit_run(&s, sizes, 1);
    deriver.parser_version--;
    seal_commit_run(&s, sizes, 1);
    seal_commit_run(&s, sizes, 1);
    (void)seal(&s);
    CHECK_EQ_I64(fixture_number(&s.f, COUNT_OF("text_block")), 2);
    CHECK_EQ_U64(count_texts(&s), 2);
    close_texts(&s);
}

TEST(text_that_is_damaged_in_the_spool_is_left_out_and_the_mail_is_sealed)
{
    static const size_t sizes[] = { 300 };
    static const size_t batch[] = { 90000, 91000, 92000 };
    struct seal_fixture s;

    if (!open_texts(&s))
        return;
    for (int i = 0; i < 5; i++)
        seal_commit_run(&s, sizes, 1);
    seal_commit_run(&s, batch, ARRAY_LEN(batch));
    seal_commit_run(&s, batch, ARRAY_LEN(batch));
    (void)fixture_number(&s.f, "WITH d AS (UPDATE text_spool SET octets = set_byte(octets, 9, "
                               "get_byte(octets, 9) # 1) WHERE account_id = $1::bigint AND "
                               "$2::bigint IS NOT NULL AND run_id IN (SELECT min(run_id) FROM "
                               "text_spool WHERE account_id = $1::bigint UNION SELECT max(run_id) "
                               "FROM text_spool WHERE account_id = $1::bigint) RETURNING 1) "
                               "SELECT count(*) FROM d");
    (void)seal(&s);
    CHECK_EQ_I64(fixture_number(&s.f, BLOCKS("week IS NOT NULL")), 0);
    CHECK_EQ_U64(count_texts(&s), 11 - 1 - 3);
    CHECK_EQ_U64(seal_read_all(&s), 11);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    close_texts(&s);
}

TEST(a_segment_that_is_missing_or_damaged_costs_its_text_and_nothing_else)
{
    struct seal_fixture s;
    struct vault_sealed sealed;
    char path[240];
    FILE *file;
    int octet;

    if (!open_texts(&s))
        return;
    seal_fill(&s);
    sealed = seal(&s);
    forget_spool(&s);
    segment_path(&s, &sealed, path);
    CHECK_EQ_I64(chmod(path, 0600), 0);

    file = fopen(path, "r+");
    CHECK(file != NULL && fseek(file, 100, SEEK_SET) == 0 && (octet = fgetc(file)) != EOF);
    CHECK(fseek(file, 100, SEEK_SET) == 0 && fputc(octet ^ 1, file) != EOF && fclose(file) == 0);
    CHECK(count_texts(&s) < 12);
    check_remark(&s, false, false);
    check_remark(&s, true, true);
    CHECK_EQ_U64(seal_read_all(&s), 14);

    CHECK_EQ_I64(truncate(path, 0), 0);
    CHECK_EQ_U64(count_texts(&s), 0);
    check_remark(&s, false, true);
    CHECK_EQ_I64(unlink(path), 0);
    CHECK_EQ_U64(count_texts(&s), 0);
    CHECK_EQ_U64(seal_read_all(&s), 14);
    check_remark(&s, false, true);
    close_texts(&s);
}

TEST(mail_without_text_is_sealed_without_a_segment)
{
    struct seal_fixture s;

    if (!seal_open(&s))
        return;
    seal_fill(&s);
    (void)seal(&s);
    CHECK_EQ_U64(seal_count_files(&s), 1);
    close_texts(&s);
}
