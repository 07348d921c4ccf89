/* SPDX-License-Identifier: Apache-2.0 */
#include "source/lease.h"

#include "crypto/hash.h"
#include "db/db.h"
#include "gate/client.h"
#include "source/internal.h"

enum {
    PROGRESS_BYTES = 2048,
    PATIENCE_SECONDS = 2, /* an idle worker looks every second: what is due longer waits for one */
};

/* The kinds that a worker claims. */
static const struct bytes kinds[] = { BYTES_INIT("sync"), BYTES_INIT("test") };

bool source_claim_job(struct db *db, struct bytes owner, int32_t host_connections,
                      struct source_lease *out, bool *has_one, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_ok(db, DB_SOURCE_GO_BY_KEYS, DB_NO_ARGS, err) ||
        !db_run(db, DB_SOURCE_CLAIM,
                DB_ARGS(DB_TEXT(owner), DB_TEXTS(kinds, ARRAY_LEN(kinds)),
                        DB_I64(SOURCE_LEASE_SECONDS), DB_I32(host_connections)),
                &row, err))
        return false;
    *has_one = db_rows(row) > 0;
    if (*has_one)
        *out = (struct source_lease){
            .job_id = db_i64(row, 0, 0),
            .account_id = db_i64(row, 0, 1),
            .mailbox_id = db_i64(row, 0, 2),
            .kind =
                bytes_equal(db_bytes(row, 0, 3), BYTES("test")) ? SOURCE_JOB_TEST : SOURCE_JOB_SYNC,
            .fence = db_i64(row, 0, 4),
            .is_full = db_bool(row, 0, 5),
        };
    return true;
}

bool source_release_dead(struct db *db, struct bytes owner, int64_t *released, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_RELEASE_DEAD, DB_ARGS(DB_TEXT(owner)), &row, err))
        return false;
    *released = db_i64(row, 0, 0);
    return true;
}

bool source_mend_schedule(struct db *db, int64_t *mended, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_MEND_SCHEDULE, DB_NO_ARGS, &row, err))
        return false;
    *mended = db_i64(row, 0, 0);
    return true;
}

bool source_ask_leased(struct db *db, const struct source_lease *lease, enum db_statement statement,
                       struct db_args args, struct db_result **out, struct err *err)
{
    if (!db_run_one(db, statement, args, out, err))
        return err_wrap(err, "job %jd", (intmax_t)lease->job_id);
    if (db_is_null(*out, 0, 0))
        return err_fail(err, ERR_DENIED, "job %jd: lease lost", (intmax_t)lease->job_id);
    return true;
}

bool source_ask_connections(struct db *db, const struct source_lease *lease, int32_t wanted,
                            int32_t host_connections, int32_t *granted, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!source_ask_leased(db, lease, DB_SOURCE_EXTEND,
                           DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence), DB_I32(wanted),
                                   DB_I32(host_connections)),
                           &row, err))
        return false;
    *granted = db_i32(row, 0, 0);
    return true;
}

bool source_others_wait(struct db *db, const struct source_lease *lease, int32_t host_connections,
                        bool *is_waiting, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run_one(db, DB_SOURCE_OTHERS_DUE,
                    DB_ARGS(DB_I64(lease->job_id), DB_TEXTS(kinds, ARRAY_LEN(kinds)),
                            DB_I64(PATIENCE_SECONDS), DB_I32(host_connections)),
                    &row, err))
        return false;
    *is_waiting = db_bool(row, 0, 0);
    return true;
}

bool source_count_intake(struct db *db, const struct source_lease *lease, uint64_t bytes,
                         struct source_day *today, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!source_ask_leased(db, lease, DB_SOURCE_COUNT_INTAKE,
                           DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence), DB_I64(bytes)),
                           &row, err))
        return false;
    *today = (struct source_day){ (uint64_t)db_i64(row, 0, 0), db_i64(row, 0, 1) };
    return true;
}

bool source_sleep_host(struct db *db, const struct source_lease *lease, int64_t seconds,
                       struct bytes why, struct err *err)
{
    return source_run_leased(
        db, lease, DB_SOURCE_SLEEP_HOST,
        DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence), DB_I64(seconds), DB_TEXT(why)), NULL,
        err);
}

bool source_run_leased(struct db *db, const struct source_lease *lease, enum db_statement statement,
                       struct db_args args, struct db_result **out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    /* of new work: a worker that has some looks for more in any case, when it is done */
    db_drop_notices(db);
    if (!db_run_one(db, statement, args, &row, err))
        return err_wrap(err, "job %jd", (intmax_t)lease->job_id);
    if (!db_bool(row, 0, 0))
        return err_fail(err, ERR_DENIED, "job %jd: lease lost", (intmax_t)lease->job_id);
    if (out != NULL) {
        *out = row;
        row = NULL;
    }
    return true;
}

/* As a parameter; borrows from buf. */
static struct db_value progress_value(const struct source_progress *progress, struct buf *buf)
{
    if (progress == NULL)
        return DB_NULL;
    source_write_progress(buf, progress);
    return DB_TEXT(buf_bytes(buf));
}

bool source_renew(struct db *db, const struct source_lease *lease,
                  const struct source_progress *progress, struct err *err)
{
    CLEANUP(buf_free) struct buf json = buf_create(PROGRESS_BYTES);

    return source_run_leased(db, lease, DB_SOURCE_RENEW,
                             DB_ARGS(SOURCE_LEASE_ARGS(lease), progress_value(progress, &json)),
                             NULL, err);
}

/* As in job.rest. */
static struct db_value rest_value(enum source_rest rest)
{
    switch (rest) {
    case SOURCE_REST_NONE:
        return DB_NULL;
    case SOURCE_REST_YIELDED:
        return DB_TEXT(BYTES("yielded"));
    case SOURCE_REST_BUDGET:
        return DB_TEXT(BYTES("budget"));
    case SOURCE_REST_THROTTLED:
        return DB_TEXT(BYTES("throttled"));
    }
    UNREACHABLE();
}

bool source_finish(struct db *db, const struct source_lease *lease,
                   const struct source_outcome *outcome, const struct source_progress *progress,
                   struct err *err)
{
    CLEANUP(buf_free) struct buf json = buf_create(PROGRESS_BYTES);

    return source_run_leased(
        db, lease, DB_SOURCE_FINISH,
        DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence),
                db_null_unless(outcome->next_in_seconds >= 0, DB_I64(outcome->next_in_seconds)),
                DB_TEXT(bytes_of_text(err_code_name(outcome->code))),
                DB_TEXT(bytes_of_text(outcome->text)), progress_value(progress, &json),
                rest_value(outcome->rest)),
        NULL, err);
}

bool source_load_work(struct db *db, const struct source_lease *lease, struct arena *arena,
                      struct source_work *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct source_work work = { 0 };

    if (!db_run(db, DB_SOURCE_WORK, DB_ARGS(DB_I64(lease->job_id), DB_I64(lease->fence)), &row,
                err))
        return false;
    if (db_rows(row) == 0)
        return err_fail(err, ERR_DENIED, "job %jd: lease lost", (intmax_t)lease->job_id);
    work.is_paused = db_bool(row, 0, 13);
    work.is_removed = db_bool(row, 0, 14);
    work.attempts = db_i32(row, 0, 15);
    work.started_usec = source_time(row, 0, 16);
    if (!source_read_progress(db_bytes(row, 0, 17), &work.progress, err))
        return err_wrap(err, "job %jd", (intmax_t)lease->job_id);
    work.daily_bytes = db_is_null(row, 0, 18) ? -1 : db_i64(row, 0, 18);
    work.today_bytes = (uint64_t)db_i64(row, 0, 19);
    work.is_journal = db_bool(row, 0, 20);
    if (!source_copy_column(row, 0, 0, arena, &work.account.name, err) ||
        !source_read_settings(row, 0, 1, arena, &work.account, err))
        return false;
    *out = work;
    return true;
}

void source_free_identity(struct source_identity *identity)
{
    secret_free(&identity->secret);
}

static enum source_proof proof_of(enum gate_secret_kind kind)
{
    switch (kind) {
    case GATE_SECRET_PASSWORD:
        return SOURCE_BY_PASSWORD;
    case GATE_SECRET_TOKEN:
        return SOURCE_BY_TOKEN;
    case GATE_SECRET_CERTIFICATE:
        return SOURCE_BY_CERTIFICATE;
    }
    UNREACHABLE();
}

bool source_get_identity(const char *gate_socket, const struct source_lease *lease,
                         const struct secret *refused, struct source_identity *out, struct err *err)
{
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    struct crypto_sha256 hash = { { 0 } };
    struct gate_request request = {
        .kind = GATE_SOURCE_SECRET,
        .source_secret = { .job_id = lease->job_id, .fence = lease->fence },
    };
    struct gate_reply reply;

    if (refused != NULL) {
        hash = crypto_hash(secret_bytes(refused));
        request.source_secret.refused = crypto_sha256_bytes(&hash);
    }
    if (!gate_call(gate_socket, &request, &store, &reply, NULL, deadline_after_ms(GATE_CALL_MS),
                   err))
        return err_wrap(err, "secret of job %jd", (intmax_t)lease->job_id);
    if (!gate_check_done(&reply, err)) {
        if (reply.outcome == GATE_GRANT_DENIED || reply.outcome == GATE_GRANT_RETRY)
            return false; /* that text is whole */
        return err_wrap(err, "secret of job %jd", (intmax_t)lease->job_id);
    }
    if (!secret_create(reply.secret.octets, &out->secret, err))
        return false;
    out->proof = proof_of(reply.secret.kind);
    return true;
}
