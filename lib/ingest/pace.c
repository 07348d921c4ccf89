/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/pace.h"

#include "ingest/outcome.h"
#include "ingest/provider.h"

enum {
    LOOK_MS = 2000, /* between two questions whether others wait, when the slice is over */
};

static bool is_spent(const struct ingest_run *run)
{
    return run->daily_bytes > 0 && run->today_bytes + run->uncounted_bytes >= run->daily_bytes;
}

void ingest_start_pace(struct ingest_run *run)
{
    struct ingest_rules rules =
        ingest_rules_for(&(struct ingest_peer){ .host = run->work.account.host });

    run->daily_bytes =
        run->work.daily_bytes < 0 ? rules.daily_bytes : (uint64_t)run->work.daily_bytes;
    run->today_bytes = run->work.today_bytes;
    if (is_spent(run))
        run->rest = SOURCE_REST_BUDGET;
}

/* When the slice is over, and no more often than every LOOK_MS. */
static bool look_for_others(struct ingest_run *run, bool *are_waiting, struct err *err)
{
    bool is_known;

    *are_waiting = false;
    if (!deadline_has_passed(run->slice_end))
        return true;
    run->slice_end = deadline_after_ms(LOOK_MS);
    if (!ingest_take_connection(run, err))
        return false;
    is_known =
        ingest_report(run, true, err) &&
        ingest_archive(run, source_others_wait(run->db, run->lease, run->settings->host_connections,
                                               are_waiting, err));
    ingest_give_connection(run);
    return is_known;
}

bool ingest_keep_pace(struct ingest_run *run, uint64_t octets, struct err *err)
{
    bool are_waiting;

    run->uncounted_bytes += octets;
    run->has_come = run->has_come || octets > 0;
    if (is_spent(run))
        run->rest = SOURCE_REST_BUDGET;
    if (run->rest != SOURCE_REST_NONE)
        return true;
    if (!look_for_others(run, &are_waiting, err))
        return false;
    if (are_waiting)
        run->rest = SOURCE_REST_YIELDED;
    return true;
}

bool ingest_bear_with(struct ingest_run *run, const struct ingest_client *client, struct err *err)
{
    bool are_waiting;

    if (!ingest_prolong_lease(run, err))
        return false;
    if (client == NULL || !ingest_is_silent(client) || run->is_in_large)
        return true;
    if (!look_for_others(run, &are_waiting, err))
        return false;
    if (!are_waiting)
        return true;
    run->is_given_up = true;
    if (run->has_come)
        run->rest = SOURCE_REST_YIELDED;
    return err_fail(err, ERR_RETRY, "time-out: the source is silent, and others wait for a worker");
}

bool ingest_may_go_on(void *context, struct err *why)
{
    const struct ingest_run *run = context;

    if (run->rest == SOURCE_REST_NONE)
        return true;
    return err_fail(why, ERR_RETRY, "%s",
                    run->rest == SOURCE_REST_BUDGET ? "the day's budget is spent"
                                                    : "others wait for a worker");
}

static bool count_intake(struct ingest_run *run, struct source_day *today, struct err *err)
{
    if (!ingest_archive(run,
                        source_count_intake(run->db, run->lease, run->uncounted_bytes, today, err)))
        return false;
    run->today_bytes = today->bytes;
    run->uncounted_bytes = 0;
    return true;
}

bool ingest_count_intake(struct ingest_run *run, struct err *err)
{
    struct source_day today;

    return run->uncounted_bytes == 0 || count_intake(run, &today, err);
}

bool ingest_end_of_rest(struct ingest_run *run, int64_t *in_seconds, struct err *err)
{
    struct source_day today;

    if (!count_intake(run, &today, err))
        return false;
    *in_seconds =
        is_spent(run) ? ingest_next_day_seconds(today.left_seconds, (uint64_t)clock_now_usec()) : 0;
    return true;
}
