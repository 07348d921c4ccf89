/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages that do not fit a batch, and processes that are killed.
 */
#include "fixture.h"
#include "store/run.h"
#include "vault/internal.h"

#include <sys/resource.h>

#define LARGE_BYTES ((size_t)9 << 20)

#define FRAMES COUNT_OF("frame")
#define SPOOL COUNT_OF("spool")

TEST(large_message_is_a_run_of_its_own_with_its_header_in_frame_0)
{
    struct fixture f;
    struct vault_counts counts;
    struct vault_placement_page page;
    struct bytes large, small;

    if (!fixture_open(&f))
        return;
    small = fixture_mail(&f, 100, 1);
    large = fixture_mail(&f, LARGE_BYTES + 1, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, small);
    fixture_put(&f, 2, large); /* commits both */
    CHECK_EQ_U64(vault_batch_messages(f.writer), 0);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 2);
    fixture_put(&f, 3, BYTES("behind it"));
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 3);
    CHECK_EQ_U64(counts.new_messages, 3);
    CHECK_EQ_U64(counts.new_octets, 100 + large.len + 9);

    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.rows[1].octets.raw_offset, STORE_LARGE_RAW_OFFSET);
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, large));
    MUST(vault_verify_octets(f.reader, &page.rows[1].octets, &page.rows[1].sha256, ERR));
    CHECK_EQ_I64(fixture_number(&f, "SELECT raw_bytes::bigint FROM frame WHERE account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL AND ordinal = 0 AND "
                                    "run_id = (SELECT run_id FROM locator l JOIN placement p USING "
                                    "(account_id, message_id) WHERE uid = 2 AND "
                                    "l.account_id = $1::bigint)"),
                 512);
    fixture_close(&f);
}

TEST(large_message_that_is_known_is_only_placed)
{
    struct fixture f;
    struct vault_counts counts;
    struct vault_placement_page page;
    struct bytes large;
    int64_t frames;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, large);
    fixture_commit(&f);
    frames = fixture_number(&f, FRAMES);
    fixture_put(&f, 2, large);
    fixture_put(&f, 1, large); /* that UID is stored */
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.placed, 1);
    CHECK_EQ_U64(counts.repeated, 1);
    CHECK_EQ_U64(counts.new_messages, 0);
    CHECK_EQ_U64(counts.stored_octets, 0);
    CHECK_EQ_I64(fixture_number(&f, FRAMES), frames);
    CHECK_EQ_I64(fixture_number(&f, SPOOL), frames);
    page = fixture_page(&f, f.mailbox_id);
    CHECK_EQ_U64(page.count, 2);
    CHECK(fixture_reads_as(&f, &page.rows[1].octets, 0, UINT64_MAX, large));
    fixture_close(&f);
}

TEST(large_message_that_breaks_off_leaves_nothing)
{
    struct fixture f;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("before"));
    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR)); /* commits what was before */
    MUST(vault_write_message(f.writer, bytes_slice(large, 0, (size_t)7 << 20), ERR));
    vault_abort_message(f.writer);
    CHECK_EQ_I64(fixture_number(&f, FRAMES), 1);
    fixture_put(&f, 2, BYTES("after"));
    CHECK_EQ_U64(fixture_commit(&f).placed, 2);
    CHECK_EQ_I64(fixture_number(&f, FRAMES), 2);
    CHECK_EQ_I64(fixture_number(&f, SPOOL), 2);

    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR));
    MUST(vault_write_message(f.writer, bytes_slice(large, 0, (size_t)7 << 20), ERR));
    fixture_begin(&f); /* dropped with its batch */
    fixture_put(&f, 3, large);
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), 3);
    fixture_close(&f);
}

/* Then alone it counts how long we are silent: a worker that is stopped loses its locks. */
TEST(between_the_octets_of_a_large_message_the_server_awaits_a_command)
{
    struct fixture f;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR));
    for (size_t at = 0; at < LARGE_BYTES / 2; at += 1 << 20) {
        MUST(vault_write_message(f.writer, bytes_slice(large, at, 1 << 20), ERR));
        CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) FROM pg_stat_activity WHERE usename = "
                                        "'holdfast_ingest' AND state = 'idle in transaction'"),
                     1);
    }
    vault_abort_message(f.writer);
    fixture_close(&f);
}

/* The second half of `large` comes; what was done to the writer since the first ends the message. */
static void fail_second_half(struct fixture *f, struct bytes large, enum err_code code)
{
    struct vault_arrival arrival = { .source_uid = 1, .internal_usec = FIXTURE_DATE };

    if (vault_write_message(f->writer, bytes_slice(large, LARGE_BYTES / 2, SIZE_MAX), ERR))
        CHECK(!vault_end_message(f->writer, &arrival, ERR));
    CHECK_EQ_U64(fixture_err.code, code);
    vault_abort_message(f->writer);
    CHECK_EQ_I64(fixture_number(f, FRAMES), 0);
}

TEST(large_message_whose_lease_or_connection_is_lost_leaves_nothing)
{
    struct fixture f;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR));
    MUST(vault_write_message(f.writer, bytes_slice(large, 0, LARGE_BYTES / 2), ERR));
    test_sql(f.owner,
             "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = "
             "'holdfast_ingest'");
    fail_second_half(&f, large, ERR_RETRY);
    MUST(db_reset_if_broken(f.ingest, ERR));
    fixture_put(&f, 1, large);
    CHECK_EQ_U64(fixture_commit(&f).placed, 1);
    fixture_close(&f);
}

TEST(a_job_is_taken_away_while_a_large_message_comes_and_the_message_is_forgotten)
{
    struct fixture f;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR));
    MUST(vault_write_message(f.writer, bytes_slice(large, 0, LARGE_BYTES / 2), ERR));
    test_sql(f.owner, "UPDATE job SET fence = fence + 1"); /* nobody waits for the worker */
    fail_second_half(&f, large, ERR_DENIED);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), 0);
    fixture_close(&f);
}

TEST(a_job_that_is_taken_away_is_missed_although_octets_come_without_a_pause)
{
    struct fixture f;
    struct bytes octets;

    if (!fixture_open(&f))
        return;
    octets = fixture_mail(&f, 1 << 20, 2); /* several frames */
    fixture_begin(&f);
    MUST(vault_begin_message(f.writer, LARGE_BYTES, ERR));
    test_sql(f.owner, "UPDATE job SET fence = fence + 1");
    MUST(vault_write_message(f.writer, octets, ERR));
    f.writer->ask_by = deadline_after_ms(0); /* VAULT_LARGE_ASK_MS later */
    CHECK(!vault_write_message(f.writer, octets, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    vault_abort_message(f.writer);
    fixture_close(&f);
}

/* A known large message in a later epoch takes its old placement, too. */
TEST(large_message_is_matched_after_a_uidvalidity_change)
{
    struct fixture f;
    struct vault_counts counts;
    struct bytes large;

    if (!fixture_open(&f))
        return;
    large = fixture_mail(&f, LARGE_BYTES, 2);
    fixture_begin(&f);
    fixture_put(&f, 1, large);
    fixture_commit(&f);
    fixture_open_epoch(&f, f.mailbox_id, 2);
    MUST(vault_begin_batch(f.writer, f.mailbox_id, 2, ERR));
    fixture_put(&f, 8, large);
    counts = fixture_commit(&f);
    CHECK_EQ_U64(counts.matched, 1);
    CHECK_EQ_U64(counts.placed, 0);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("messages")), 1);
    fixture_close(&f);
}

/* ---- memory -------------------------------------------------------------------------------- */

static bool has_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
}

/* In a child: stores a message of this size piece by piece and reads it. Its greatest memory in KiB. */
static void work_in_child(const struct fixture *parent, uint64_t size, int report)
{
    struct fixture f = *parent;
    struct vault_arrival arrival = { .source_uid = 1, .internal_usec = FIXTURE_DATE };
    struct vault_placement_page page;
    struct vault_lease lease = { f.account_id, f.job_id, f.fence, 60000 };
    struct rusage usage;
    uint8_t piece[65536];
    struct err err = { 0 };

    f.ingest = test_db(DB_ROLE_INGEST);
    f.arena = arena_create(1 << 20);
    f.reader = NULL;
    if (!vault_open_writer(f.ingest, &lease, NULL, &f.writer, &err) ||
        !vault_begin_batch(f.writer, f.mailbox_id, 1, &err) ||
        !vault_begin_message(f.writer, size, &err))
        _exit(1);
    for (uint64_t done = 0; done < size; done += sizeof piece) {
        fixture_fill(piece, sizeof piece, (uint32_t)done);
        if (!vault_write_message(f.writer, bytes_of(piece, sizeof piece), &err))
            _exit(2);
    }
    if (!vault_end_message(f.writer, &arrival, &err) ||
        !vault_open_reader(parent->pool, parent->token, NULL, &f.reader, &err))
        _exit(3);
    page = fixture_page(&f, f.mailbox_id);
    if (!vault_check_octets(f.reader, &page.rows[0].octets, 0, size, &err) ||
        !vault_verify_octets(f.reader, &page.rows[0].octets, &page.rows[0].sha256, &err))
        _exit(4);
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)dprintf(report, "%ld", usage.ru_maxrss);
    _exit(0);
}

TEST(message_of_64_MiB_needs_no_more_memory_than_one_of_9)
{
    static const uint64_t sizes[] = { (uint64_t)9 << 20, (uint64_t)64 << 20 };
    uint64_t used_kb[2] = { 0 };

    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        char text[32] = "";
        struct bytes digits;
        int report[2], status = -1;
        pid_t child;

        if (!fixture_open(&f))
            return;
        CHECK(pipe(report) == 0);
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            work_in_child(&f, sizes[i], report[1]);
        (void)close(report[1]);
        CHECK(read(report[0], text, sizeof text - 1) > 0);
        (void)close(report[0]);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_EQ_I64(status, 0);
        digits = bytes_of_text(text);
        CHECK(scan_u64(&digits, &used_kb[i]));
        fixture_close(&f);
    }
    if (has_sanitizer())
        return;
    printf("  greatest memory: %ju KiB, %ju KiB\n", (uintmax_t)used_kb[0], (uintmax_t)used_kb[1]);
    CHECK(used_kb[1] < used_kb[0] + 4096);
    CHECK(used_kb[1] < 64 * 1024);
}

/* ---- kill -9 ------------------------------------------------------------------------------- */

enum {
    KILL_MESSAGES = 60
};

/* A worker that archives what is not stored yet: some small, some shared, one over a batch. */
static void ingest_rest(const struct fixture *parent)
{
    struct fixture f = *parent;
    struct db *ingest = test_db(DB_ROLE_INGEST);
    struct vault_lease lease = { f.account_id, f.job_id, f.fence, 60000 };
    struct vault_counts counts;
    struct err err = { 0 };

    f.arena = arena_create((size_t)16 << 20);
    if (!vault_open_writer(ingest, &lease, NULL, &f.writer, &err) ||
        !vault_begin_batch(f.writer, f.mailbox_id, 1, &err))
        _exit(1);
    for (uint32_t uid = 1; uid <= KILL_MESSAGES; uid++) {
        size_t len = uid == 30 ? LARGE_BYTES : 3000 + uid % 7 * 20000;

        if (!fixture_try_put(&f, uid, fixture_mail(&f, len, uid % 20), FIXTURE_DATE, 0, NULL) ||
            (uid % 8 == 0 && !vault_commit_batch(f.writer, &counts, &err)))
            _exit(1);
        arena_reset(f.arena);
    }
    _exit(vault_commit_batch(f.writer, &counts, &err) ? 0 : 1);
}

TEST(worker_killed_at_any_moment_and_started_again_archives_each_uid_once)
{
    struct fixture f;
    struct vault_placement_page page;
    bool is_done = false;

    if (!fixture_open(&f))
        return;
    for (unsigned round = 0; !is_done; round++) {
        int status = 0;
        pid_t child;

        CHECK(round < 500);
        fixture_claim(&f);
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            ingest_rest(&f);
        (void)usleep(3000 + 3000 * (round % 40));
        if (round < 40)
            (void)kill(child, SIGKILL);
        CHECK(waitpid(child, &status, 0) == child);
        is_done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        /* Counters, placements and source UIDs agree after every death. */
        CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) - (SELECT messages FROM mailbox WHERE "
                                        "account_id = $1::bigint AND mailbox_id = $2::bigint) FROM "
                                        "placement WHERE account_id = $1::bigint AND mailbox_id = "
                                        "$2::bigint"),
                     0);
        CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) - count(DISTINCT placement_uid) FROM "
                                        "source_uid WHERE account_id = $1::bigint AND mailbox_id = "
                                        "$2::bigint"),
                     0);
    }
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), KILL_MESSAGES);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("source_uid")), KILL_MESSAGES);
    CHECK_EQ_I64(fixture_number(&f, OF_MAILBOX("uidnext")), KILL_MESSAGES + 1);
    CHECK_EQ_I64(fixture_number(&f, "SELECT count(*) - (SELECT count(*) FROM locator WHERE "
                                    "account_id = $1::bigint AND $2::bigint IS NOT NULL) FROM "
                                    "message WHERE account_id = $1::bigint"),
                 0);
    page = fixture_page(&f, f.mailbox_id);
    for (size_t i = 0; i < page.count; i++)
        MUST(vault_verify_octets(f.reader, &page.rows[i].octets, &page.rows[i].sha256, ERR));
    fixture_close(&f);
}

/* ---- two jobs of an account at once ---------------------------------------------------------- */

enum {
    BOTH_MESSAGES = 400
};

/* The same messages, in one order or the other, into a mailbox of its own. */
static void ingest_all(const struct fixture *parent, int64_t job_id, int64_t mailbox_id,
                       bool is_backward)
{
    struct fixture f = *parent;
    struct db *ingest = test_db(DB_ROLE_INGEST);
    struct vault_lease lease = { f.account_id, job_id, 1, 60000 };
    struct vault_counts counts;
    struct err err = { 0 };

    f.arena = arena_create((size_t)16 << 20);
    if (!vault_open_writer(ingest, &lease, NULL, &f.writer, &err) ||
        !vault_begin_batch(f.writer, mailbox_id, 1, &err))
        _exit(1);
    for (uint32_t i = 1; i <= BOTH_MESSAGES; i++) {
        uint32_t seed = is_backward ? BOTH_MESSAGES + 1 - i : i;

        if (!fixture_try_put(&f, i, fixture_mail(&f, 2000, seed), FIXTURE_DATE, 0, NULL) ||
            (i % 20 == 0 && !vault_commit_batch(f.writer, &counts, &err)))
            _exit(2);
        arena_reset(f.arena);
    }
    _exit(0);
}

TEST(two_jobs_that_meet_the_same_octets_store_them_once_and_do_not_wait_in_a_circle)
{
    struct fixture f;
    int64_t mailboxes[2], jobs[2];
    pid_t children[2];
    int status = -1;

    if (!fixture_open(&f))
        return;
    for (size_t i = 0; i < 2; i++) {
        mailboxes[i] = fixture_open_mailbox(&f, i == 0 ? "forward" : "backward");
        fixture_open_epoch(&f, mailboxes[i], 1);
        jobs[i] = fixture_number(&f, "INSERT INTO job (account_id, mailbox_id, kind, fence, "
                                     "lease_owner) SELECT $1::bigint, count(*) + $2::bigint * 0, "
                                     "'import', 1, 'test' FROM job RETURNING job_id");
    }
    for (size_t i = 0; i < 2; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0)
            ingest_all(&f, jobs[i], mailboxes[i], i == 1);
    }
    for (size_t i = 0; i < 2; i++) {
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK_EQ_I64(status, 0);
    }
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("message")), BOTH_MESSAGES);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("locator")), BOTH_MESSAGES);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("placement")), 2 * BOTH_MESSAGES);
    fixture_close(&f);
}

/* ---- other people's tools ------------------------------------------------------------------- */

static void write_frames(struct fixture *f, const char *path)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    CLEANUP(store_free_encoder) struct store_encoder *encoder = store_create_encoder();
    struct store_frame_facts facts;
    struct bytes end;
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    MUST(db_run_assembled(f->owner,
                          "SELECT octets FROM frame JOIN spool USING (account_id, frame_id) WHERE "
                          "account_id = $1 ORDER BY run_id, ordinal",
                          DB_ARGS(DB_I64(f->account_id)), &rows, ERR));
    for (size_t i = 0; i < db_rows(rows); i++) {
        struct bytes octets = db_bytes(rows, i, 0);

        CHECK(fwrite(octets.ptr, 1, octets.len, file) == octets.len);
    }
    MUST(store_encode_end(encoder, &end, &facts, ERR));
    CHECK(fwrite(end.ptr, 1, end.len, file) == end.len);
    CHECK(fclose(file) == 0);
}

TEST(frames_of_the_spool_in_a_row_are_a_tar_zst)
{
    static const char script[] =
        "command -v zstd >/dev/null || exit 77\n"
        "cd \"$1\" && zstd -tq pack.tar.zst 2>said && tar --zstd -xf pack.tar.zst 2>>said || exit "
        "1\n"
        "[ ! -s said ] && [ \"$(ls *.eml | wc -l)\" = 4 ] || exit 2\n"
        "for f in *.eml; do echo \"${f%.eml}  $f\"; done | sha256sum -c --quiet || exit 3\n";
    char folder[64], path[80];
    struct fixture f;
    int status = 0;
    pid_t child;

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 1, fixture_mail(&f, 0, 1));
    fixture_put(&f, 2, fixture_mail(&f, 400000, 2));
    fixture_put(&f, 3, fixture_mail(&f, LARGE_BYTES + 77, 3));
    fixture_put(&f, 4, fixture_mail(&f, 20000, 4));
    fixture_commit(&f);
    test_make_dir(folder);
    (void)snprintf(path, sizeof path, "%.63s/pack.tar.zst", folder);
    write_frames(&f, path);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", script, "sh", folder, (char *)NULL);
        _exit(77);
    }
    CHECK(waitpid(child, &status, 0) == child);
    test_remove_tree(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        printf("SKIP: no zstd\n");
    else
        CHECK_EQ_I64(status, 0);
    fixture_close(&f);
}
