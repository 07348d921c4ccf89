/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/pace.h"

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

    run->slice_end = deadline_after_ms(run->settings->slice_ms);
    run->daily_bytes =
        run->work.daily_bytes < 0 ? rules.daily_bytes : (uint64_t)run->work.daily_bytes;
    run->today_bytes = run->work.today_bytes;
    if (is_spent(run))
        run->rest = SOURCE_REST_BUDGET;
}

bool ingest_keep_pace(struct ingest_run *run, uint64_t octets, struct err *err)
{
    bool is_waited_for;

    run->uncounted_bytes += octets;
    if (is_spent(run))
        run->rest = SOURCE_REST_BUDGET;
    if (run->rest != SOURCE_REST_NONE || !deadline_has_passed(run->slice_end))
        return true;
    run->slice_end = deadline_after_ms(LOOK_MS);
    if (!ingest_prolong_lease(run, err) ||
        !ingest_archive(run, source_others_wait(run->db, &is_waited_for, err)))
        return false;
    if (is_waited_for)
        run->rest = SOURCE_REST_YIELDED;
    return true;
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

bool ingest_count_intake(struct ingest_run *run, struct err *err)
{
    if (run->uncounted_bytes == 0)
        return true;
    if (!ingest_archive(run, source_count_intake(run->db, run->lease, run->uncounted_bytes,
                                                 &run->today_bytes, err)))
        return false;
    run->uncounted_bytes = 0;
    return true;
}
