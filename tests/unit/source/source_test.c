/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts, runs, leases, epochs and UIDs against a real PostgreSQL, each side with its own role.
 */
#include "base/clock.h"
#include "crypto/seal.h"
#include "db/test_server.h"
#include "source/mailbox.h"
#include "test.h"

struct bench {
    struct db *owner, *ingest;
    struct arena *arena;
    struct crypto_key *master;
    struct secret *password;
    struct source_secret login;
    int64_t account_id;
    struct err err;
};

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if (!(call))                                                                               \
            test_fail(__FILE__, __LINE__, "%s: %s", #call, b->err.text);                           \
    } while (0)

static struct source_account_settings settings_of(const char *name)
{
    return (struct source_account_settings){
        .name = bytes_of_text(name),
        .host = BYTES("mail.example.org"),
        .port = 993,
        .login = BYTES("alice"),
        .tls = SOURCE_TLS_IMPLICIT,
        .every_seconds = 300,
    };
}

/* An account of this name, and no other job that is due or holds connections. False: there is no PostgreSQL. */
static bool add_account(struct bench *b, const struct source_account_settings *settings,
                        int64_t *id)
{
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    return db_begin(b->owner, DB_READ_COMMITTED, &tx, &b->err) &&
           source_add_account(b->owner, settings, b->master, &b->login, id, &b->err) &&
           db_commit(&tx, &b->err);
}

static bool begin(struct bench *b, const char *name)
{
    struct source_account_settings settings = settings_of(name);
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    memset(b, 0, sizeof *b);
    b->owner = test_db(DB_ROLE_OWNER);
    if (b->owner == NULL)
        return false;
    b->ingest = test_db(DB_ROLE_INGEST);
    b->arena = arena_create(1 << 22);
    MUST(db_run_assembled(b->owner,
                          "UPDATE job SET is_active = false, lease_owner = NULL, connections = 0",
                          DB_NO_ARGS, &rows, &b->err));
    MUST(crypto_generate_key(&b->master, &b->err));
    MUST(secret_create(BYTES("pw"), &b->password, &b->err));
    b->login = (struct source_secret){ .octets = b->password };
    MUST(add_account(b, &settings, &b->account_id));
    return true;
}

static void end(struct bench *b)
{
    db_close(&b->owner);
    db_close(&b->ingest);
    arena_free(&b->arena);
    crypto_free_key(&b->master);
    secret_free(&b->password);
}

static struct source_lease claim(struct bench *b)
{
    struct source_lease lease;
    bool has_one = false;

    MUST(source_claim_job(b->ingest, BYTES("test"), 8, &lease, &has_one, &b->err));
    CHECK(has_one);
    CHECK_EQ_I64(lease.account_id, b->account_id);
    return lease;
}

static void execute(struct bench *b, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(b->owner, sql, DB_ARGS(DB_I64(b->account_id)), &rows, &b->err));
}

static int64_t make_mailbox(struct bench *b)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(b->owner,
                          "INSERT INTO mailbox (account_id, source_name, path, uidvalidity) "
                          "VALUES ($1, 'INBOX', 'INBOX', 1) RETURNING mailbox_id",
                          DB_ARGS(DB_I64(b->account_id)), &rows, &b->err));
    return db_i64(rows, 0, 0);
}

TEST(an_account_is_listed_with_what_was_said_of_it)
{
    struct bench bench, *b = &bench;
    const struct bytes include[] = { BYTES_INIT("INBOX"), BYTES_INIT("Work/*") };
    struct source_account_settings change = { .include = include, .include_count = 2 };
    struct source_account account;
    struct source_account_list list;
    int64_t found;

    if (!begin(b, "listed"))
        return;
    MUST(source_edit_account(b->owner, b->account_id, SOURCE_EDIT_INCLUDE, &change, NULL, NULL,
                             &b->err));
    MUST(source_show_account(b->owner, b->account_id, b->arena, &account, &b->err));
    CHECK_BYTES(account.settings.name, BYTES("listed"));
    CHECK_BYTES(account.settings.host, BYTES("mail.example.org"));
    CHECK_EQ_U64(account.settings.port, 993);
    CHECK_EQ_U64(account.settings.include_count, 2);
    CHECK_BYTES(account.settings.include[1], BYTES("Work/*"));
    CHECK(account.has_secret && !account.is_paused && account.run.is_active);
    CHECK_EQ_U64(account.messages, 0);
    MUST(source_list_accounts(b->owner, false, b->arena, &list, &b->err));
    CHECK(list.count >= 1);
    MUST(source_find_account(b->owner, BYTES("listed"), &found, &b->err));
    CHECK_EQ_I64(found, b->account_id);
    CHECK(!source_find_account(b->owner, BYTES("nobody"), &found, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_ABSENT);
    end(b);
}

TEST(a_name_is_taken_once_and_must_be_a_name)
{
    struct bench bench, *b = &bench;
    struct source_account_settings again = settings_of("taken");
    int64_t id;

    if (!begin(b, "taken"))
        return;
    CHECK(!add_account(b, &again, &id));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    again.name = BYTES("a/b");
    CHECK(!add_account(b, &again, &id));
    CHECK_EQ_U64(b->err.code, ERR_SYNTAX);
    end(b);
}

TEST(the_secret_is_sealed_for_its_account_alone)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_result_free) struct db_result *row = NULL;
    CLEANUP(secret_free) struct secret *opened = NULL;
    char text[SOURCE_AAD_BYTES];

    if (!begin(b, "sealed"))
        return;
    MUST(db_run_assembled(b->owner, "SELECT sealed FROM account_secret WHERE account_id = $1",
                          DB_ARGS(DB_I64(b->account_id)), &row, &b->err));
    CHECK(!crypto_open_secret(b->master, source_secret_aad(b->account_id + 1, text),
                              db_bytes(row, 0, 0), &opened, &b->err));
    MUST(crypto_open_secret(b->master, source_secret_aad(b->account_id, text), db_bytes(row, 0, 0),
                            &opened, &b->err));
    CHECK_BYTES(secret_bytes(opened), BYTES("pw"));
    end(b);
}

TEST(a_requested_run_is_watched_to_its_outcome)
{
    struct bench bench, *b = &bench;
    struct source_request request;
    struct source_run run;
    struct source_lease lease;
    struct source_progress progress = { .fetched = 3 };
    struct source_outcome outcome = { .code = ERR_RETRY,
                                      .text = "account x: no",
                                      .next_in_seconds = 300 };

    if (!begin(b, "watched"))
        return;
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished && !run.is_running && run.is_active);
    lease = claim(b);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished && run.is_running);
    MUST(source_renew(b->ingest, &lease, &progress, &b->err));
    MUST(source_finish(b->ingest, &lease, &outcome, &progress, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished && !run.is_running);
    CHECK_EQ_U64(run.outcome, ERR_RETRY);
    CHECK_BYTES(run.outcome_text, BYTES("account x: no"));
    CHECK_EQ_I64(run.attempts, 1);
    MUST(source_read_progress(run.progress, &progress, &b->err));
    CHECK_EQ_U64(progress.fetched, 3);
    end(b);
}

TEST(a_run_that_will_never_begin_has_ended)
{
    struct bench bench, *b = &bench;
    struct source_request requests[2] = { { 0 } }; /* the first one: none */
    struct source_run run;
    const size_t *moved;
    size_t count;

    if (!begin(b, "stopped"))
        return;
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &requests[1], &b->err));
    MUST(source_find_moved_runs(b->owner, requests, 2, b->arena, &moved, &count, &b->err));
    CHECK_EQ_U64(count, 0);
    MUST(source_pause_account(b->owner, b->account_id, &b->err));
    MUST(source_find_moved_runs(b->owner, requests, 2, b->arena, &moved, &count, &b->err));
    CHECK(count == 1 && moved[0] == 1);
    MUST(source_watch_run(b->owner, &requests[1], b->arena, &run, &b->err));
    CHECK(run.is_finished && !run.is_running);
    CHECK_EQ_U64(run.outcome, ERR_DENIED);
    end(b);
}

TEST(a_request_during_a_run_is_answered_by_the_next_one)
{
    struct bench bench, *b = &bench;
    struct source_request request;
    struct source_run run;
    struct source_lease lease;
    struct source_outcome outcome = { .text = "complete", .next_in_seconds = 300 };

    if (!begin(b, "twice"))
        return;
    lease = claim(b);
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    MUST(source_finish(b->ingest, &lease, &outcome, NULL, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished);
    lease = claim(b); /* due at once */
    MUST(source_finish(b->ingest, &lease, &outcome, NULL, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished);
    end(b);
}

TEST(a_run_of_a_clock_that_was_ahead_answers_no_request)
{
    struct bench bench, *b = &bench;
    struct source_request request;
    struct source_run run;
    struct source_lease lease;
    struct source_outcome outcome = { .text = "complete", .next_in_seconds = 300 };
    bool has_one;
    int64_t now = clock_now_usec();

    if (!begin(b, "ahead"))
        return;
    lease = claim(b);
    MUST(source_finish(b->ingest, &lease, &outcome, NULL, &b->err));
    execute(b, "UPDATE job SET requested_at = now() + interval '1 year', "
               "started_at = now() + interval '1 year', finished_at = now() + interval '1 year', "
               "ended_started_at = now() + interval '1 year' WHERE account_id = $1");
    MUST(source_find_begun_run(b->owner, b->account_id, now, &request, &b->err));
    CHECK_EQ_I64(request.job_id, 0);
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished);
    execute(b, "UPDATE job SET requested_at = now() + interval '1 year' WHERE account_id = $1");
    lease = claim(b);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished);
    MUST(source_finish(b->ingest, &lease, &outcome, NULL, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished);
    /* and is not followed by one run after the other until then */
    MUST(source_claim_job(b->ingest, BYTES("test"), 8, &lease, &has_one, &b->err));
    CHECK(!has_one);
    end(b);
}

TEST(a_run_that_has_ended_is_told_as_it_ended_though_the_next_one_is_going_on)
{
    struct bench bench, *b = &bench;
    struct source_request request;
    struct source_run run;
    struct source_lease lease;
    struct source_progress progress = { .fetched = 3 };
    struct source_outcome outcome = { .text = "complete", .next_in_seconds = 0 };

    if (!begin(b, "replaced"))
        return;
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    lease = claim(b);
    MUST(source_finish(b->ingest, &lease, &outcome, &progress, &b->err));
    lease = claim(b); /* due at once */
    progress.fetched = 0;
    MUST(source_renew(b->ingest, &lease, &progress, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished);
    CHECK_BYTES(run.outcome_text, BYTES("complete"));
    MUST(source_read_progress(run.progress, &progress, &b->err));
    CHECK_EQ_U64(progress.fetched, 3);
    end(b);
}

TEST(asking_for_a_run_does_not_wait_for_the_rows_of_a_worker)
{
    struct bench bench, *b = &bench;
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct source_request request;

    if (!begin(b, "unblocked"))
        return;
    execute(b, "SELECT set_config('lock_timeout', '2s', false) WHERE $1 > 0");
    MUST(db_begin(b->ingest, DB_READ_COMMITTED, &tx, &b->err));
    MUST(db_run_assembled(b->ingest,
                          "INSERT INTO message (account_id, sha256, size_bytes) "
                          "VALUES ($1, sha256(''), 0)",
                          DB_ARGS(DB_I64(b->account_id)), &rows, &b->err));
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    db_rollback(&tx);
    end(b);
}

TEST(a_paused_account_is_taken_from_its_worker_and_not_due_again)
{
    struct bench bench, *b = &bench;
    struct source_lease lease;
    struct source_request request;
    struct source_outcome outcome = { .text = "complete" };
    bool has_one;

    if (!begin(b, "paused"))
        return;
    lease = claim(b);
    MUST(source_pause_account(b->owner, b->account_id, &b->err));
    CHECK(!source_renew(b->ingest, &lease, NULL, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    CHECK(!source_finish(b->ingest, &lease, &outcome, NULL, &b->err));
    MUST(source_claim_job(b->ingest, BYTES("x"), 8, &lease, &has_one, &b->err));
    CHECK(!has_one);
    CHECK(!source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    MUST(source_resume_account(b->owner, b->account_id, &b->err));
    (void)claim(b);
    MUST(source_remove_account(b->owner, b->account_id, &b->err));
    CHECK(!source_request_run(b->owner, b->account_id, SOURCE_JOB_TEST, &request, &b->err));
    end(b);
}

/* When the run began that the lease is of. */
static int64_t began(struct bench *b, const struct source_lease *lease)
{
    struct source_work work;

    MUST(source_load_work(b->ingest, lease, b->arena, &work, &b->err));
    return work.started_usec;
}

TEST(a_run_that_yielded_begins_anew_when_it_is_to_look_at_everything)
{
    struct bench bench, *b = &bench;
    const struct source_outcome yields = { ERR_RETRY, "", 0, SOURCE_REST_YIELDED };
    const struct source_outcome ends = { .text = "complete", .next_in_seconds = 300 };
    struct source_request request;
    struct source_lease lease;
    struct source_run run;
    int64_t first;

    if (!begin(b, "yielded"))
        return;
    lease = claim(b);
    first = began(b, &lease);
    MUST(source_finish(b->ingest, &lease, &yields, NULL, &b->err));
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_RECONCILE, &request, &b->err));
    lease = claim(b);
    CHECK(lease.is_full);
    CHECK(began(b, &lease) > first);
    MUST(source_finish(b->ingest, &lease, &ends, NULL, &b->err));
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(run.is_finished);
    end(b);
}

TEST(a_run_that_yielded_begins_anew_after_a_pause_and_after_an_edit)
{
    struct bench bench, *b = &bench;
    const struct source_outcome yields = { ERR_RETRY, "", 0, SOURCE_REST_YIELDED };
    const struct source_account_settings every = { .every_seconds = 7200 };
    struct source_lease lease;
    int64_t first;

    if (!begin(b, "changed"))
        return;
    for (int is_edited = 0; is_edited <= 1; is_edited++) {
        lease = claim(b);
        first = began(b, &lease);
        MUST(source_finish(b->ingest, &lease, &yields, NULL, &b->err));
        if (is_edited)
            MUST(source_edit_account(b->owner, b->account_id, SOURCE_EDIT_EVERY, &every, NULL, NULL,
                                     &b->err));
        else
            MUST(source_pause_account(b->owner, b->account_id, &b->err) &&
                 source_resume_account(b->owner, b->account_id, &b->err));
        lease = claim(b);
        CHECK(began(b, &lease) > first);
        MUST(source_finish(b->ingest, &lease, &yields, NULL, &b->err));
    }
    end(b);
}

TEST(another_host_and_its_secret_are_not_for_a_run_that_knows_the_old_one)
{
    const struct bytes include[] = { BYTES_INIT("INBOX") };
    struct source_account_settings change = { .include = include, .include_count = 1 };
    struct bench bench, *b = &bench;
    struct source_lease lease, next;
    struct source_request request;
    struct source_run run;

    if (!begin(b, "moved"))
        return;
    MUST(source_request_run(b->owner, b->account_id, SOURCE_JOB_SYNC, &request, &b->err));
    lease = claim(b);
    MUST(source_edit_account(b->owner, b->account_id, SOURCE_EDIT_INCLUDE, &change, NULL, NULL,
                             &b->err));
    MUST(source_renew(b->ingest, &lease, NULL, &b->err));
    change.host = BYTES("elsewhere.example");
    change.port = 993;
    MUST(source_edit_account(b->owner, b->account_id, SOURCE_EDIT_HOST, &change, b->master,
                             &b->login, &b->err));
    CHECK(!source_renew(b->ingest, &lease, NULL, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    MUST(source_watch_run(b->owner, &request, b->arena, &run, &b->err));
    CHECK(!run.is_finished);
    next = claim(b);
    CHECK(next.fence > lease.fence);
    end(b);
}

TEST(a_fence_is_not_to_be_guessed_from_the_one_before)
{
    struct bench bench, *b = &bench;
    struct source_lease lease, next;

    if (!begin(b, "guessed"))
        return;
    lease = claim(b);
    execute(b, "UPDATE job SET due_at = now() WHERE account_id = $1");
    next = claim(b);
    CHECK(next.fence - lease.fence > 1000); /* one in 68 million is below */
    end(b);
}

TEST(every_uid_is_accounted_for_from_its_announcement_on)
{
    struct bench bench, *b = &bench;
    const uint32_t uids[] = { 4, 7, 9 };
    const struct source_uid_failure failure = { 7, BYTES_INIT("NIL"), 60 };
    const struct source_enumeration all = { .uidnext = 10, .exists = 3 };
    struct source_mailbox_list mailboxes;
    struct source_mailbox_facts_list facts;
    struct source_failure_list failures;
    struct source_window window;
    struct source_epoch epoch;
    struct source_lease lease;
    const uint32_t *due;
    size_t count;
    uint64_t affected;
    int64_t mailbox;

    if (!begin(b, "accounted"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    CHECK_EQ_I64(epoch.number, 1);
    MUST(source_announce(b->ingest, &lease, mailbox, 1, uids, 3, NULL, &b->err));
    MUST(source_announce(b->ingest, &lease, mailbox, 1, uids, 3, NULL, &b->err));
    MUST(source_finish_enumeration(b->ingest, &lease, mailbox, 1, &all, &b->err));
    MUST(source_mark_failed(b->ingest, &lease, mailbox, 1, &failure, 1, &b->err));
    MUST(source_mark_gone(b->ingest, &lease, mailbox, 1, &uids[2], 1, true, &b->err));
    MUST(source_load_window(b->ingest, &lease, mailbox, 1, 1, UINT32_MAX, 100, b->arena, &window,
                            &b->err));
    CHECK_EQ_U64(window.count, 3);
    CHECK_EQ_U64(window.rows[0].state, SOURCE_UID_PENDING);
    CHECK(window.rows[0].is_due && !window.rows[1].is_due);
    CHECK_EQ_I64(window.rows[1].attempts, 1);
    CHECK_EQ_U64(window.rows[2].state, SOURCE_UID_GONE);
    MUST(source_load_window(b->ingest, &lease, mailbox, 1, 5, 9, 1, b->arena, &window, &b->err));
    CHECK_EQ_U64(window.count, 1);
    CHECK_EQ_U64(window.rows[0].uid, 7);
    MUST(
        source_load_pending(b->ingest, &lease, mailbox, 1, 0, 10, b->arena, &due, &count, &b->err));
    CHECK_EQ_U64(count, 1);
    CHECK_EQ_U64(due[0], 4);
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK_EQ_U64(mailboxes.count, 1);
    CHECK_EQ_U64(mailboxes.rows[0].pending, 2);
    CHECK_EQ_U64(mailboxes.rows[0].pending_due, 1);
    CHECK_EQ_U64(mailboxes.rows[0].epoch.uidnext, 10);
    MUST(source_list_mailbox_facts(b->owner, b->account_id, b->arena, &facts, &b->err));
    CHECK_EQ_U64(facts.rows[0].pending, 2);
    CHECK_EQ_U64(facts.rows[0].gone, 1);
    MUST(source_list_failures(b->owner, b->account_id, 10, b->arena, &failures, &b->err));
    CHECK_EQ_U64(failures.count, 2);
    MUST(source_retry_failures(b->owner, b->account_id, &affected, &b->err));
    CHECK_EQ_U64(affected, 1);
    end(b);
}

/* One number of the account's. */
static int64_t number(struct bench *b, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(b->owner, sql, DB_ARGS(DB_I64(b->account_id)), &rows, &b->err));
    return db_i64(rows, 0, 0);
}

static void announce(struct bench *b, const struct source_lease *lease, int64_t mailbox,
                     uint32_t first, uint32_t last, uint32_t step)
{
    uint32_t *uids = arena_new_array(b->arena, uint32_t, last - first + 1);
    size_t count = 0;

    for (uint32_t uid = first; uid <= last; uid += step)
        uids[count++] = uid;
    MUST(source_announce(b->ingest, lease, mailbox, 1, uids, count, NULL, &b->err));
}

#define RANGES "SELECT count(*) FROM source_announced WHERE account_id = $1::bigint"
#define ROWS "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint"

TEST(announced_uids_are_ranges_until_more_is_known_of_one)
{
    struct bench bench, *b = &bench;
    const uint32_t gone[] = { 1, 2, 1400, 5001 };
    const struct source_uid_failure failures[] = { { 10, BYTES_INIT("NIL"), 60 },
                                                   { 5003, BYTES_INIT("NIL"), 60 } };
    const uint32_t asked[] = { 1, 3, 10, 4000, 5003, 5005 };
    const struct source_uid_range ranges[] = { { 9, 11 }, { 1500, 6000 } };
    struct source_window window;
    struct source_present present;
    struct source_epoch epoch;
    struct source_lease lease;
    const uint32_t *due;
    uint64_t there;
    size_t count;
    int64_t mailbox;

    if (!begin(b, "in ranges"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    announce(b, &lease, mailbox, 1, 1000, 1);
    announce(b, &lease, mailbox, 500, 1500, 1); /* those that are new: 1001 to 1500 */
    announce(b, &lease, mailbox, 5001, 5009, 2);
    CHECK_EQ_I64(number(b, RANGES), 2 + 5);
    CHECK_EQ_I64(number(b, ROWS), 0);
    MUST(source_mark_gone(b->ingest, &lease, mailbox, 1, gone, 4, true, &b->err));
    MUST(source_mark_failed(b->ingest, &lease, mailbox, 1, failures, 2, &b->err));
    CHECK_EQ_I64(number(b, RANGES), 2 + 2 + 3); /* 3-9 11-1000, 1001-1399 1401-1500, 5005 … */
    CHECK_EQ_I64(number(b, ROWS), 6);
    announce(b, &lease, mailbox, 1, 1500, 1); /* nothing is new */
    CHECK_EQ_I64(number(b, RANGES), 7);

    MUST(source_load_pending(b->ingest, &lease, mailbox, 1, 8, 3, b->arena, &due, &count, &b->err));
    CHECK_EQ_U64(count, 3);
    CHECK(due[0] == 9 && due[1] == 11 && due[2] == 12);
    MUST(source_load_pending(b->ingest, &lease, mailbox, 1, 1498, 9, b->arena, &due, &count,
                             &b->err));
    CHECK_EQ_U64(count, 5);
    CHECK(due[1] == 1500 && due[2] == 5005 && due[4] == 5009);
    MUST(source_load_window(b->ingest, &lease, mailbox, 1, 9, 11, 100, b->arena, &window, &b->err));
    CHECK_EQ_U64(window.count, 3);
    CHECK(window.rows[0].is_due && !window.rows[1].is_due && window.rows[2].is_due);
    CHECK_EQ_U64(window.rows[2].state, SOURCE_UID_PENDING);
    MUST(source_load_known(b->ingest, &lease, mailbox, 1, asked, 6, b->arena, &window, &b->err));
    CHECK_EQ_U64(window.count, 5); /* not 4000 */
    CHECK_EQ_U64(window.rows[0].state, SOURCE_UID_GONE);
    CHECK_EQ_U64(window.rows[4].uid, 5005);
    MUST(source_load_present(b->ingest, &lease, mailbox, 1, ranges, 2, 9, 5, b->arena, &present,
                             &b->err));
    CHECK_EQ_U64(present.count, 5);
    CHECK(present.uids[0] == 10 && present.uids[1] == 11 && present.uids[2] == 1500);
    CHECK(present.uids[3] == 5003 && present.uids[4] == 5005);
    MUST(source_count_present(b->ingest, &lease, mailbox, 1, &there, &b->err));
    CHECK_EQ_U64(there, 1505 - 4);
    end(b);
}

TEST(announced_ranges_between_those_of_a_batch_are_not_written_again)
{
    struct bench bench, *b = &bench;
    const uint32_t gone[] = { 1999, 1, 2000, 1001, 1 };
    const char *written = "SELECT xmin::text::bigint FROM source_announced "
                          "WHERE account_id = $1::bigint AND first_uid = 501";
    int64_t before;
    struct source_epoch epoch;
    struct source_lease lease;
    int64_t mailbox;

    if (!begin(b, "between"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    announce(b, &lease, mailbox, 1, 1999, 2);
    before = number(b, written);
    MUST(source_mark_gone(b->ingest, &lease, mailbox, 1, gone, 5, true, &b->err));
    CHECK_EQ_I64(number(b, RANGES), 997);
    CHECK_EQ_I64(number(b, ROWS), 3);
    CHECK_EQ_I64(number(b, written), before);
    end(b);
}

TEST(a_new_epoch_closes_the_old_and_abandons_what_was_pending)
{
    struct bench bench, *b = &bench;
    const uint32_t uid = 4;
    struct source_mailbox_list mailboxes;
    struct source_window window;
    struct source_epoch epoch;
    struct source_lease lease;
    int64_t mailbox;

    if (!begin(b, "epochs"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    MUST(source_announce(b->ingest, &lease, mailbox, 1, &uid, 1, NULL, &b->err));
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 0, &epoch, &b->err));
    CHECK_EQ_I64(epoch.number, 2);
    MUST(source_load_window(b->ingest, &lease, mailbox, 1, 1, 9, 10, b->arena, &window, &b->err));
    CHECK_EQ_U64(window.rows[0].state, SOURCE_UID_GONE);
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK_EQ_I64(mailboxes.rows[0].epoch.number, 2);
    CHECK_EQ_U64(mailboxes.rows[0].epoch.uidvalidity, 0);
    CHECK_EQ_U64(mailboxes.rows[0].pending, 0);
    end(b);
}

/* Should the mailbox be listed again in a later slice, its messages are looked for. */
TEST(a_run_is_not_done_with_a_mailbox_of_which_something_was_abandoned)
{
    struct bench bench, *b = &bench;
    const struct source_enumeration one = { .uidnext = 5, .exists = 1, .is_listed = true };
    const uint32_t uid = 4;
    struct source_mailbox_list mailboxes;
    struct source_epoch epoch;
    struct source_lease lease;
    struct source_work work;
    int64_t mailbox;

    if (!begin(b, "abandoned"))
        return;
    lease = claim(b);
    MUST(source_load_work(b->ingest, &lease, b->arena, &work, &b->err));
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    MUST(source_announce(b->ingest, &lease, mailbox, 1, &uid, 1, NULL, &b->err));
    MUST(source_finish_enumeration(b->ingest, &lease, mailbox, 1, &one, &b->err));
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK_EQ_I64(mailboxes.rows[0].epoch.enumerated_in_usec, work.started_usec);
    MUST(source_abandon_mailbox(b->ingest, &lease, mailbox, &b->err));
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK(mailboxes.rows[0].epoch.enumerated_usec > 0);
    CHECK_EQ_I64(mailboxes.rows[0].epoch.enumerated_in_usec, 0);
    end(b);
}

TEST(a_message_that_was_put_off_while_the_clock_was_ahead_is_due_again)
{
    struct bench bench, *b = &bench;
    const uint32_t uid = 4;
    struct source_mailbox_list mailboxes;
    struct source_epoch epoch;
    struct source_lease lease;
    int64_t mailbox, mended;

    if (!begin(b, "put off"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    MUST(source_announce(b->ingest, &lease, mailbox, 1, &uid, 1, NULL, &b->err));
    MUST(source_mark_gone(b->ingest, &lease, mailbox, 1, &uid, 1, false, &b->err)); /* one by one */
    execute(b, "UPDATE source_uid SET next_try_at = now() + interval '1 year' "
               "WHERE account_id = $1");
    MUST(source_mend_schedule(b->ingest, &mended, &b->err));
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK_EQ_U64(mailboxes.rows[0].pending_due, 1);
    end(b);
}

TEST(more_than_a_statement_may_take_is_abandoned_in_steps)
{
    struct bench bench, *b = &bench;
    struct source_epoch epoch;
    struct source_lease lease;
    int64_t mailbox, other;

    if (!begin(b, "in steps"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    announce(b, &lease, mailbox, 1, 3, 2);
    announce(b, &lease, mailbox, 5, 100004, 1); /* the first statement ends within */
    other = number(b, "INSERT INTO mailbox (account_id, source_name, path, uidvalidity) "
                      "VALUES ($1, 'other', 'other', 2) RETURNING mailbox_id");
    MUST(source_open_epoch(b->ingest, &lease, other, 77, &epoch, &b->err));
    announce(b, &lease, other, 1, 9, 1);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 78, &epoch, &b->err));
    CHECK_EQ_I64(epoch.number, 2);
    CHECK_EQ_I64(number(b, RANGES), 1);
    CHECK_EQ_I64(number(b, ROWS), 100002);
    CHECK_EQ_I64(
        number(b, ROWS " AND state = 'gone' AND gone_at IS NOT NULL AND error IS NOT NULL"),
        100002);
    end(b);
}

TEST(a_lease_is_prolonged_from_now_on_also_within_a_long_transaction)
{
    struct bench bench, *b = &bench;

    if (!begin(b, "long"))
        return;
    (void)claim(b);
    test_sql(b->owner, "BEGIN");
    CHECK_EQ_I64(number(b, "SELECT count(*) FROM job WHERE account_id = $1::bigint AND "
                           "renew_job(job_id, fence, interval '1 minute', NULL)"),
                 1);
    CHECK_EQ_I64(number(b, "SELECT count(*) FROM job WHERE account_id = $1::bigint AND "
                           "due_at > now() + interval '1 minute'"),
                 1);
    test_sql(b->owner, "ROLLBACK");
    end(b);
}

TEST(who_lost_the_lease_changes_nothing)
{
    struct bench bench, *b = &bench;
    const uint32_t uid = 4;
    struct source_window window;
    struct source_epoch epoch;
    struct source_lease lease, newer;
    int64_t mailbox;

    if (!begin(b, "fenced"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 77, &epoch, &b->err));
    execute(b, "UPDATE job SET due_at = now() WHERE account_id = $1");
    newer = claim(b);
    CHECK(newer.fence > lease.fence);
    CHECK(!source_announce(b->ingest, &lease, mailbox, 1, &uid, 1, NULL, &b->err));
    CHECK_EQ_U64(b->err.code, ERR_DENIED);
    CHECK(!source_open_epoch(b->ingest, &lease, mailbox, 78, &epoch, &b->err));
    MUST(source_load_window(b->ingest, &newer, mailbox, 1, 1, 9, 10, b->arena, &window, &b->err));
    CHECK_EQ_U64(window.count, 0);
    end(b);
}

TEST(mailboxes_come_inbox_first_and_unchanged_ones_keep_their_gap)
{
    struct bench bench, *b = &bench;
    struct source_mailbox_list mailboxes;
    struct source_epoch epoch;
    struct source_lease lease;
    const struct source_enumeration none = { .uidnext = 1 };
    int64_t mailbox;

    if (!begin(b, "ordered"))
        return;
    lease = claim(b);
    mailbox = make_mailbox(b);
    execute(b, "INSERT INTO mailbox (account_id, source_name, path, uidvalidity) "
               "VALUES ($1, 'A', 'A', 1), ($1, 'z', 'z', 1), ($1, 'b', 'b', 1)");
    MUST(source_open_epoch(b->ingest, &lease, mailbox, 7, &epoch, &b->err));
    MUST(source_finish_enumeration(b->ingest, &lease, mailbox, 1, &none, &b->err));
    MUST(source_finish_unchanged(b->ingest, &lease, &mailbox, 1, &b->err));
    MUST(source_load_mailboxes(b->ingest, &lease, b->arena, &mailboxes, &b->err));
    CHECK_EQ_U64(mailboxes.count, 4);
    CHECK_BYTES(mailboxes.rows[0].path, BYTES("INBOX"));
    CHECK_BYTES(mailboxes.rows[1].path, BYTES("A"));
    CHECK_BYTES(mailboxes.rows[3].path, BYTES("z"));
    CHECK(mailboxes.rows[0].epoch.enumerated_usec > 0);
    end(b);
}
