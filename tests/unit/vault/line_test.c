/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches that are prepared by several threads and committed in order by another.
 */
#include "base/limits.h"
#include "text_fixture.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    MAIL_BYTES = 20000,
    MAILS = 700, /* more batches than the line has room for */
};

/* What all derivers of a writer share. */
struct shared {
    atomic_size_t ended; /* messages that were derived */
    atomic_int derivers;
    struct bytes envelope; /* of every message */
};

struct line_deriver {
    struct text_deriver text; /* first: its functions take this too */
    struct shared *shared;
};

static void end_message(void *context, struct vault_index *out)
{
    struct line_deriver *deriver = context;

    text_end_message(&deriver->text, out);
    out->envelope = deriver->shared->envelope;
    atomic_fetch_add(&deriver->shared->ended, 1);
}

static struct vault_deriver make_deriver(const void *context);

static void free_deriver(void *context)
{
    struct line_deriver *deriver = context;

    buf_free(&deriver->text.record);
    atomic_fetch_sub(&deriver->shared->derivers, 1);
    free(deriver);
}

static struct vault_deriver use(struct shared *shared)
{
    struct line_deriver *deriver = calloc(1, sizeof *deriver);

    assert(deriver != NULL);
    deriver->text = (struct text_deriver){ .record = buf_create((size_t)4 << 20),
                                           .parser_version = MIME_PARSER_VERSION };
    deriver->shared = shared;
    atomic_fetch_add(&shared->derivers, 1);
    return (struct vault_deriver){ .context = deriver,
                                   .begin = text_begin_message,
                                   .octets = text_add_octets,
                                   .end = end_message,
                                   .make_another = make_deriver,
                                   .free_another = free_deriver };
}

static struct vault_deriver make_deriver(const void *context)
{
    const struct line_deriver *first = context;

    return use(first->shared);
}

struct line {
    struct fixture f;
    struct shared shared;
    struct vault_deriver deriver; /* the writer's */
};

static bool open_line(struct line *line)
{
    struct fixture *f = &line->f;
    struct vault_lease lease;

    *line = (struct line){ .shared.envelope = BYTES("(e)") };
    if (!fixture_open(f))
        return false;
    lease = (struct vault_lease){ f->account_id, f->job_id, f->fence, 60000 };
    vault_close_writer(&f->writer);
    line->deriver = use(&line->shared);
    MUST(vault_open_writer(f->ingest, &lease, &line->deriver, &f->writer, ERR));
    fixture_begin(f);
    return true;
}

static void close_line(struct line *line)
{
    vault_close_writer(&line->f.writer);
    free_deriver(line->deriver.context);
    CHECK_EQ_I64(atomic_load(&line->shared.derivers), 0);
    fixture_close(&line->f);
}

/* The texts of all messages are those of their octets. */
static void check_texts(struct line *line, size_t count)
{
    struct text_messages *messages = arena_new(line->f.arena, struct text_messages);

    text_list_messages(&line->f, messages);
    CHECK_EQ_U64(messages->count, count);
    CHECK_EQ_U64(text_read_all(&line->f, messages), count);
}

TEST(what_is_prepared_ahead_is_what_the_transaction_needs_and_in_its_order)
{
    struct line line;
    struct vault_placement_page page;
    struct vault_counts counts;
    uint32_t copies = 0;

    if (!open_line(&line))
        return;
    for (uint32_t i = 1; i <= MAILS; i++)
        fixture_put(&line.f, i, fixture_mail(&line.f, MAIL_BYTES + i, i));
    counts = fixture_commit(&line.f);
    CHECK_EQ_U64(counts.placed, MAILS);
    CHECK_EQ_U64(counts.new_messages, MAILS);
    CHECK_EQ_U64(atomic_load(&line.shared.ended), MAILS);
    page = fixture_page(&line.f, line.f.mailbox_id);
    CHECK_EQ_U64(page.count, MAILS);
    for (uint32_t i = 0; i < MAILS; i++) {
        CHECK_EQ_U64(page.rows[i].octets.size_bytes, MAIL_BYTES + i + 1); /* UIDs as they came */
        copies += fixture_reads_as(&line.f, &page.rows[i].octets, 0, UINT64_MAX,
                                   fixture_mail(&line.f, MAIL_BYTES + i + 1, i + 1));
    }
    CHECK_EQ_U64(copies, MAILS);
    CHECK_EQ_I64(fixture_number(&line.f, COUNT_OF("message_index") " AND envelope = '(e)'"), MAILS);
    check_texts(&line, MAILS);
    close_line(&line);
}

TEST(octets_that_are_archived_or_on_their_way_are_not_derived_again)
{
    struct line line;
    struct vault_counts counts;

    if (!open_line(&line))
        return;
    for (uint32_t i = 1; i <= 20; i++)
        fixture_put(&line.f, i, fixture_mail(&line.f, MAIL_BYTES, i));
    (void)fixture_commit(&line.f);
    for (uint32_t i = 1; i <= MAILS; i++) /* each seed twice: far apart, and next to one another */
        fixture_put(&line.f, 1000 + i,
                    fixture_mail(&line.f, MAIL_BYTES,
                                 i % 3 == 0   ? i / 2
                                 : i % 3 == 1 ? i
                                              : i - 1));
    counts = fixture_commit(&line.f);
    CHECK_EQ_U64(counts.placed, MAILS);
    CHECK(counts.new_messages < MAILS);
    CHECK_EQ_U64(atomic_load(&line.shared.ended), counts.new_messages + 20);
    check_texts(&line, counts.new_messages + 20);
    close_line(&line);
}

/* Until somebody waits for a lock. */
static void await_waiting(struct fixture *f)
{
    while (fixture_number(f, "SELECT count(*) FROM pg_stat_activity WHERE usename = "
                             "'holdfast_ingest' AND wait_event_type = 'Lock' AND "
                             "$1::bigint + $2::bigint IS NOT NULL") == 0)
        (void)poll(NULL, 0, 10);
}

TEST(octets_that_another_job_adds_meanwhile_are_left_out_though_they_were_prepared)
{
    CLEANUP(db_close) struct db *other = NULL;
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct line line;
    struct fixture *f = &line.f;
    struct crypto_sha256 hash;
    struct vault_placement_page page;
    struct vault_counts counts;

    if (!open_line(&line))
        return;
    other = test_db(DB_ROLE_OWNER);
    hash = crypto_hash(fixture_mail(f, MAIL_BYTES, 7));
    test_sql(other, "BEGIN");
    MUST(db_run_assembled(
        other,
        "WITH l AS (SELECT FROM mailbox WHERE account_id = $1 FOR UPDATE) "
        "INSERT INTO message (account_id, sha256, size_bytes) SELECT $1, $2, $3 "
        "FROM (SELECT count(*) FROM l) c",
        DB_ARGS(DB_I64(f->account_id), DB_BYTEA(crypto_sha256_bytes(&hash)), DB_I64(MAIL_BYTES)),
        &rows, ERR));
    for (uint32_t i = 1; i <= 100; i++)
        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
    MUST(vault_send_batch(f->writer, ERR));
    await_waiting(f); /* all are prepared, and the transaction waits for the mailbox */
    CHECK_EQ_U64(atomic_load(&line.shared.ended), 100);
    test_sql(other, "COMMIT");
    counts = fixture_commit(f);
    CHECK_EQ_U64(counts.placed, 100);
    CHECK_EQ_U64(counts.new_messages, 99);
    CHECK_EQ_I64(fixture_number(f, COUNT_OF("locator")), 99);
    page = fixture_page(f, f->mailbox_id);
    for (size_t i = 0; i < page.count; i++)
        if (memcmp(&page.rows[i].sha256, &hash, sizeof hash) != 0)
            MUST(vault_verify_octets(f->reader, &page.rows[i].octets, &page.rows[i].sha256, ERR));
    close_line(&line);
}

TEST(a_line_that_stands_still_keeps_all_and_goes_on_where_it_stopped)
{
    struct line line;
    struct vault_placement_page page;
    struct fixture *f = &line.f;
    uint32_t put = 0;

    if (!open_line(&line))
        return;
    fixture_refuse_commits(f);
    while (put < MAILS && fixture_try_put(f, put + 1, fixture_mail(f, MAIL_BYTES + put, put),
                                          FIXTURE_DATE, 0, NULL))
        put++;
    CHECK(put < MAILS); /* told by what comes next */
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK_EQ_U64(vault_batch_messages(f->writer), put);
    MUST(db_run_ok(f->ingest, DB_SESSION_NOW, DB_NO_ARGS, ERR)); /* the connection is ours */
    CHECK(!vault_settle_batch(f->writer, ERR));
    fixture_accept_commits(f);
    for (; put < MAILS; put++)
        fixture_put(f, put + 1, fixture_mail(f, MAIL_BYTES + put, put));
    CHECK_EQ_U64(fixture_commit(f).placed, MAILS);
    CHECK_EQ_U64(atomic_load(&line.shared.ended), MAILS); /* what was prepared served again */
    page = fixture_page(f, f->mailbox_id);
    for (uint32_t i = 0; i < MAILS; i++)
        CHECK_EQ_U64(page.rows[i].octets.size_bytes, MAIL_BYTES + i);
    close_line(&line);
}

TEST(a_line_that_stands_still_is_forgotten_by_another_batch)
{
    struct line line;
    struct fixture *f = &line.f;

    if (!open_line(&line))
        return;
    fixture_refuse_commits(f);
    for (uint32_t i = 1; i <= 200; i++)
        if (!fixture_try_put(f, i, fixture_mail(f, MAIL_BYTES, i), FIXTURE_DATE, 0, NULL))
            break;
    CHECK(!vault_settle_batch(f->writer, ERR));
    fixture_accept_commits(f);
    fixture_begin(f);
    CHECK_EQ_U64(vault_batch_messages(f->writer), 0);
    fixture_put(f, 1, fixture_mail(f, MAIL_BYTES, 1));
    CHECK_EQ_U64(fixture_commit(f).placed, 1);
    CHECK_EQ_I64(fixture_number(f, COUNT_OF("placement")), 1);
    close_line(&line);
}

TEST(what_was_being_filled_behind_a_line_that_stands_still_is_forgotten_too)
{
    struct line line;
    struct fixture *f = &line.f;
    uint32_t put = 0;

    if (!open_line(&line))
        return;
    fixture_refuse_commits(f);
    while (put < MAILS &&
           fixture_try_put(f, put + 1, fixture_mail(f, MAIL_BYTES, put), FIXTURE_DATE, 0, NULL))
        put++;
    CHECK(put < MAILS); /* batches wait, and one is full */
    fixture_accept_commits(f);
    fixture_begin(f);
    for (uint32_t i = 0; i < MAILS; i++)
        fixture_put(f, 10000 + i, fixture_mail(f, MAIL_BYTES, 10000 + i));
    CHECK_EQ_U64(fixture_commit(f).placed, MAILS);
    CHECK_EQ_I64(fixture_number(f, COUNT_OF("source_uid") " AND uid < 10000"), 0);
    close_line(&line);
}

/* What is too small to be prepared waits in the line too. */
TEST(a_small_batch_waits_ahead_of_one_that_is_prepared)
{
    CLEANUP(db_close) struct db *other = NULL;
    struct line line;
    struct fixture *f = &line.f;

    if (!open_line(&line))
        return;
    other = test_db(DB_ROLE_OWNER);
    test_sql(other, "BEGIN");
    test_sql(other, "LOCK TABLE mailbox");
    fixture_put(f, 1, fixture_mail(f, MAIL_BYTES, 1));
    MUST(vault_send_batch(f->writer, ERR));
    await_waiting(f); /* its transaction waits for the mailbox */
    fixture_put(f, 2, fixture_mail(f, MAIL_BYTES, 2));
    MUST(vault_send_batch(f->writer, ERR));
    fixture_put(f, 3, fixture_mail(f, MAIL_BYTES, 2));
    for (uint32_t i = 4; i <= 100; i++)
        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
    MUST(vault_send_batch(f->writer, ERR));
    test_sql(other, "COMMIT");
    CHECK_EQ_U64(fixture_commit(f).placed, 100);
    CHECK_EQ_U64(atomic_load(&line.shared.ended), 99); /* the small one is looked into */
    check_texts(&line, 99);
    close_line(&line);
}

TEST(between_two_commits_the_connection_is_free_although_batches_wait)
{
    struct line line;
    struct fixture *f = &line.f;
    struct vault_counts counts = { 0 };
    uint64_t placed = 0;

    if (!open_line(&line))
        return;
    for (uint32_t i = 1; i <= MAILS; i++) {
        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
        if (i % 50 != 0)
            continue;
        MUST(vault_pause_commits(f->writer, ERR));
        MUST(db_run_ok(f->ingest, DB_SESSION_NOW, DB_NO_ARGS, ERR));
        counts = vault_take_counts(f->writer);
        vault_resume_commits(f->writer);
        placed += counts.placed;
    }
    CHECK_EQ_U64(placed + fixture_commit(f).placed, MAILS);
    CHECK_EQ_I64(fixture_number(f, COUNT_OF("placement")), MAILS);
    fixture_refuse_commits(f);
    fixture_put(f, MAILS + 1, fixture_mail(f, MAIL_BYTES, MAILS + 1));
    MUST(vault_send_batch(f->writer, ERR));
    CHECK(!vault_settle_batch(f->writer, ERR));
    fixture_accept_commits(f);
    MUST(vault_pause_commits(f->writer, ERR)); /* it is tried again when the line is resumed */
    vault_resume_commits(f->writer);
    CHECK_EQ_U64(fixture_commit(f).placed, 1);
    close_line(&line);
}

TEST(a_mailbox_is_opened_when_what_was_sent_has_ended)
{
    struct line line;
    struct fixture *f = &line.f;
    int64_t other = 0;

    if (!open_line(&line))
        return;
    for (uint32_t i = 1; i <= MAILS; i++) {
        char path[32];

        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
        if (i % 100 != 0)
            continue;
        MUST(vault_send_batch(f->writer, ERR));
        (void)snprintf(path, sizeof path, "of %u", i);
        other = fixture_open_mailbox(f, path);
        CHECK(other != 0 && other != f->mailbox_id);
    }
    CHECK_EQ_U64(fixture_commit(f).placed, MAILS);
    CHECK_EQ_I64(fixture_number(f, COUNT_OF("mailbox") " AND path LIKE 'of %00'"), 7);
    close_line(&line);
}

/* Text that hardly gets smaller is held twice, in frames and in blocks. */
TEST(what_is_too_much_to_hold_is_made_in_the_transaction)
{
    struct line line;
    struct fixture *f = &line.f;

    if (!open_line(&line))
        return;
    line.shared.envelope = fixture_mail(f, 600000, 1);
    for (uint32_t i = 1; i <= 20; i++)
        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
    CHECK_EQ_U64(fixture_commit(f).placed, 20);
    CHECK_EQ_I64(
        fixture_number(f, COUNT_OF("message_index") " AND octet_length(envelope) = 600000"), 20);
    CHECK_EQ_U64(atomic_load(&line.shared.ended), 20);
    check_texts(&line, 20);
    line.shared.envelope = fixture_mail(f, 9000000, 1); /* of one message: all is made again */
    for (uint32_t i = 21; i <= 40; i++)
        fixture_put(f, i, fixture_mail(f, MAIL_BYTES, i));
    CHECK_EQ_U64(fixture_commit(f).placed, 20);
    CHECK(atomic_load(&line.shared.ended) > 40);
    check_texts(&line, 40);
    close_line(&line);
}
