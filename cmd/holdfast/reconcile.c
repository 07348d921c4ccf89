/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast reconcile, failures: what the source holds against what is archived, and what is not yet.
 */
#include "base/clock.h"
#include "holdfast/cli.h"
#include "source/account.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    JSON = 256,
    RETRY,
    OCTETS,
    FAILURES_MAX = 20000, /* of one account */
    PAGE_ROWS = 1000,     /* after which a table is printed, so that its length costs no memory */
};

/* ---- reconcile ------------------------------------------------------------------------------- */

/*
 * UIDs that the source held at its last enumeration and that are in none of the classes (above 0),
 * or the other way round. Anything but 0 is a gap in the proof.
 */
static int64_t unexplained(const struct source_mailbox_facts *m)
{
    return (int64_t)m->exists - (int64_t)(m->stored - m->stored_gone + m->pending + m->skipped);
}

/* Does the source list it now, as one that can have messages? One that could never be opened is told too: nothing is
 * known of it. */
static bool is_counted(const struct source_mailbox_facts *m)
{
    return !m->is_noselect && m->gone_usec == 0;
}

struct sums {
    uint64_t mailboxes, exists, archived, recognised, pending, skipped;
    uint64_t unexplained;
    uint64_t left_out; /* mailboxes that are not among them, by rule */
};

static void add_up(struct sums *sums, const struct source_mailbox_facts *m)
{
    sums->mailboxes++;
    sums->exists += m->exists;
    sums->archived += m->stored - m->stored_gone;
    sums->recognised += m->recognised;
    sums->pending += m->pending;
    sums->skipped += m->skipped;
    sums->unexplained += (uint64_t)llabs(unexplained(m));
}

/* To the minute: "3d 4h", "2h 10m", "5m". */
static const char *write_gap(int64_t usec, char text[CLI_TEXT_BYTES])
{
    int64_t minutes = usec / 60000000;

    if (minutes >= 24 * 60)
        (void)snprintf(text, CLI_TEXT_BYTES, "%jdd %jdh", (intmax_t)(minutes / (24 * 60)),
                       (intmax_t)(minutes / 60 % 24));
    else if (minutes >= 60)
        (void)snprintf(text, CLI_TEXT_BYTES, "%jdh %jdm", (intmax_t)(minutes / 60),
                       (intmax_t)(minutes % 60));
    else
        (void)snprintf(text, CLI_TEXT_BYTES, minutes == 0 ? "<1m" : "%jdm", (intmax_t)minutes);
    return text;
}

static void add_row(struct cli_table *table, const struct cli_run *account,
                    const struct source_mailbox_facts *m)
{
    char text[CLI_TEXT_BYTES];

    cli_add_cell(table, account->name);
    cli_add_number(table, m->exists);
    cli_add_number(table, m->stored - m->stored_gone);
    cli_add_number(table, m->recognised);
    cli_add_number(table, m->pending);
    cli_add_number(table, m->skipped);
    (void)snprintf(text, sizeof text, "%jd", (intmax_t)unexplained(m));
    cli_add_text(table, text);
    cli_add_number(table, m->stored_gone);
    cli_add_number(table, m->gone);
    cli_add_text(table, write_gap(m->longest_gap_usec, text));
    cli_add_text(table, cli_write_time(m->enumerated_usec, text));
    cli_add_cell(table, m->path);
}

static json_t *json_row(const struct source_mailbox_facts *m)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:o}",
                     "path", cli_json_text(m->path), "former_path",
                     m->former_path.len > 0 ? cli_json_text(m->former_path) : json_null(), "exists",
                     (json_int_t)m->exists, "archived", (json_int_t)(m->stored - m->stored_gone),
                     "recognised", (json_int_t)m->recognised, "pending", (json_int_t)m->pending,
                     "skipped", (json_int_t)m->skipped, "unexplained", (json_int_t)unexplained(m),
                     "gone_at_source", (json_int_t)m->stored_gone, "gone_before_fetch",
                     (json_int_t)m->gone, "epoch", (int)m->epoch, "uidvalidity",
                     (json_int_t)m->uidvalidity, "longest_gap_seconds",
                     (json_int_t)(m->longest_gap_usec / 1000000), "enumerated_at",
                     cli_json_time(m->enumerated_usec));
}

struct report {
    struct cli_table *table;    /* NULL: JSON */
    struct cli_table *left_out; /* likewise */
    struct arena *arena;        /* of what was not printed yet */
    size_t rows, accounts;
    struct sums sums;
};

static const char *const left_out_reasons[SOURCE_LEFT_OUT_REASONS] = {
    [SOURCE_LEFT_OUT_BY_PATTERN] = "no --include matches it",
    [SOURCE_LEFT_OUT_OTHERS] = "another user's: --namespace others would archive it",
    [SOURCE_LEFT_OUT_SHARED] = "shared: --namespace shared would archive it",
};

static const char *why_left_out(struct cli *cli, const struct source_left_out_mailbox *m)
{
    CLEANUP(buf_free) struct buf text = buf_create(CLI_ARENA_BYTES);

    if (m->rule.len == 0)
        return left_out_reasons[m->reason];
    buf_text(&text, "--exclude ");
    buf_append(&text, m->rule);
    buf_byte(&text, '\0');
    return arena_text(cli->arena, (const char *)text.ptr);
}

/* Mailboxes of the source that nobody counts, by rule. */
static json_t *json_left_out(struct cli *cli, const struct source_left_out_list *found)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < found->count; i++)
        (void)json_array_append_new(rows, json_pack("{s:o, s:s, s:o}", "path",
                                                    cli_json_text(found->rows[i].path), "why",
                                                    why_left_out(cli, &found->rows[i]), "since",
                                                    cli_json_time(found->rows[i].since_usec)));
    return rows;
}

static json_t *json_counted(const struct source_mailbox_facts_list *mailboxes)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < mailboxes->count; i++)
        if (is_counted(&mailboxes->rows[i]))
            (void)json_array_append_new(rows, json_row(&mailboxes->rows[i]));
    return rows;
}

/* What is known of an account by now. */
struct account_report {
    struct source_account account;
    struct source_mailbox_facts_list mailboxes;
    struct source_left_out_list left_out;
};

static void add_rows(struct cli *cli, const struct cli_run *run, const struct account_report *found,
                     struct report *report)
{
    for (size_t i = 0; i < found->mailboxes.count; i++)
        if (is_counted(&found->mailboxes.rows[i]))
            add_row(report->table, run, &found->mailboxes.rows[i]);
    for (size_t i = 0; i < found->left_out.count; i++) {
        cli_add_cell(report->left_out, run->name);
        cli_add_cell(report->left_out, found->left_out.rows[i].path);
        cli_add_text(report->left_out, why_left_out(cli, &found->left_out.rows[i]));
    }
    report->rows += found->mailboxes.count;
    if (report->rows < PAGE_ROWS)
        return;
    cli_print_table(report->table);
    report->rows = 0;
    arena_reset(report->arena);
}

static bool print_account(struct cli *cli, const struct cli_run *run,
                          const struct account_report *found, struct report *report)
{
    bool is_printed = cli_print_json_item(
        cli,
        json_pack("{s:o, s:s, s:o, s:o, s:o}", "account", cli_json_text(run->name), "outcome",
                  err_code_name(found->account.run.outcome), "outcome_text",
                  cli_json_message(found->account.run.outcome_text), "mailboxes",
                  json_counted(&found->mailboxes), "left_out",
                  json_left_out(cli, &found->left_out)),
        report->accounts == 0);

    arena_reset(report->arena);
    return is_printed;
}

static bool report_account(struct cli *cli, const struct cli_run *run, struct report *report)
{
    struct account_report found;

    if (!source_show_account(cli->session.db, run->account_id, report->arena, &found.account,
                             &cli->err) ||
        !source_list_mailbox_facts(cli->session.db, run->account_id, report->arena,
                                   &found.mailboxes, &cli->err) ||
        !source_list_left_out(cli->session.db, run->account_id, cli->arena, &found.left_out,
                              &cli->err))
        return false;
    for (size_t i = 0; i < found.mailboxes.count; i++)
        if (is_counted(&found.mailboxes.rows[i]))
            add_up(&report->sums, &found.mailboxes.rows[i]);
    report->sums.left_out += found.left_out.count;
    if (report->table != NULL)
        add_rows(cli, run, &found, report);
    else if (!print_account(cli, run, &found, report))
        return false;
    report->accounts++;
    return true;
}

static bool make_report(struct cli *cli, const struct cli_run *runs, size_t count,
                        struct report *report)
{
    for (size_t i = 0; i < count; i++)
        if (!report_account(cli, &runs[i], report))
            return false;
    return cli_audit(cli, AUDIT_RECONCILE, 0,
                     AUDIT_FIELDS(AUDIT_I64("mailboxes", (int64_t)report->sums.mailboxes),
                                  AUDIT_I64("exists", (int64_t)report->sums.exists),
                                  AUDIT_I64("pending", (int64_t)report->sums.pending),
                                  AUDIT_I64("unexplained", (int64_t)report->sums.unexplained)));
}

static void print_sums(const struct sums *sums)
{
    (void)printf("\n%ju mailboxes, %ju messages at the source: %ju archived, %ju left out by rule, "
                 "%ju pending, %ju unexplained\n",
                 (uintmax_t)sums->mailboxes, (uintmax_t)sums->exists, (uintmax_t)sums->archived,
                 (uintmax_t)sums->skipped, (uintmax_t)sums->pending, (uintmax_t)sums->unexplained);
    if (sums->recognised > 0)
        (void)printf(
            "%ju of the archived were known without a download; holdfast reconcile --octets "
            "downloads them too\n",
            (uintmax_t)sums->recognised);
    if (sums->pending > 0)
        (void)puts("What is pending, and why: holdfast failures");
}

/* What the run is to try, whenever it was due. */
static bool make_due(struct cli *cli, const struct cli_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t affected;

        if (!source_retry_failures(cli->session.db, runs[i].account_id, &affected, &cli->err))
            return false;
    }
    return true;
}

/* What was recognised is to come after all; *denied: how much. */
static bool deny_recognised(struct cli *cli, const struct cli_run *runs, size_t count,
                            uint64_t *denied)
{
    *denied = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t some;

        if (!source_deny_recognised(cli->session.db, runs[i].account_id, &some, &cli->err))
            return false;
        *denied += some;
    }
    return true;
}

/* Looks at the source. with_octets: once more if that recognised something anew, in a mailbox that was numbered
 * anew just then, say. */
static int look(struct cli *cli, const struct cli_run *runs, size_t count, bool with_octets,
                bool is_json)
{
    uint64_t denied = 0;
    int status;

    if (!make_due(cli, runs, count) || (with_octets && !deny_recognised(cli, runs, count, &denied)))
        return cli_fail(cli);
    status = cli_follow(cli, runs, count, SOURCE_JOB_RECONCILE, is_json);
    if (!with_octets || status == CLI_INTERRUPTED || cli->err.code != ERR_NONE)
        return status;
    if (!deny_recognised(cli, runs, count, &denied))
        return cli_fail(cli);
    return denied == 0 ? status : cli_follow(cli, runs, count, SOURCE_JOB_RECONCILE, is_json);
}

static bool print_report(struct cli *cli, const struct cli_run *runs, size_t count,
                         struct report *report)
{
    static const char *const header[] = { "ACCOUNT",     "AT SOURCE",   "ARCHIVED",    "RECOGNISED",
                                          "PENDING",     "BY RULE",     "UNEXPLAINED", "GONE SINCE",
                                          "GONE BEFORE", "LONGEST GAP", "LOOKED AT",   "MAILBOX" };
    static const char *const left_header[] = { "ACCOUNT", "LEFT OUT", "WHY" };

    (void)fputc('\n', stdout);
    report->table = cli_create_table(cli, header, ARRAY_LEN(header));
    report->left_out = cli_create_table(cli, left_header, ARRAY_LEN(left_header));
    cli_set_table_arena(report->table, report->arena);
    if (!make_report(cli, runs, count, report))
        return false;
    cli_print_table(report->table);
    if (report->sums.left_out > 0) {
        (void)fputc('\n', stdout);
        cli_print_table(report->left_out);
    }
    print_sums(&report->sums);
    return true;
}

static int end_status(const struct report *report, int status)
{
    return status == 0 && report->sums.pending + report->sums.unexplained > 0 ? EXIT_FAILURE
                                                                              : status;
}

static bool print_json_report(struct cli *cli, const struct cli_run *runs, size_t count,
                              struct report *report, int status)
{
    (void)fputs("{\n\"accounts\": [", stdout);
    if (!make_report(cli, runs, count, report))
        return false;
    (void)printf("\n],\n\"complete\": %s\n}\n", end_status(report, status) == 0 ? "true" : "false");
    return true;
}

static int reconcile(struct cli *cli, const struct cli_run *runs, size_t count, bool with_octets,
                     bool is_json)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(CLI_ARENA_BYTES);
    struct report report = { .arena = arena };
    int status;

    status = look(cli, runs, count, with_octets, is_json);
    if (status == CLI_INTERRUPTED || cli->err.code != ERR_NONE)
        return status;
    if (!(is_json ? print_json_report(cli, runs, count, &report, status)
                  : print_report(cli, runs, count, &report)))
        return cli_fail(cli);
    return end_status(&report, status);
}

int cmd_reconcile(struct cli *cli, int argc, char **argv)
{
    const unsigned needed = OPERATE_SERVICE_GATE | OPERATE_SERVICE_KEEPER | OPERATE_SERVICE_INGEST;
    static const struct option known[] = {
        { "json", no_argument, NULL, JSON },
        { "octets", no_argument, NULL, OCTETS },
        { NULL, 0, NULL, 0 },
    };
    struct cli_run *runs;
    size_t count;
    bool is_json = false, with_octets = false;
    int status, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        is_json |= option == JSON;
        with_octets |= option == OCTETS;
    }
    cli_defer_interrupts();
    if (!cli_settle(cli, needed) || !cli_open(cli, needed) ||
        !cli_choose_accounts(cli, argc - optind, argv + optind,
                             is_json ? CLI_LEAVE_PAUSED : CLI_TELL_PAUSED, &runs, &count))
        return cli_fail(cli);
    return reconcile(cli, runs, count, with_octets, is_json);
}

/* ---- failures -------------------------------------------------------------------------------- */

static void add_failure(struct cli_table *table, const struct source_failure *f)
{
    char text[CLI_TEXT_BYTES];

    cli_add_cell(table, f->account_name);
    cli_add_number(table, f->uid);
    cli_add_number(table, (uint64_t)f->attempts);
    cli_add_text(table, cli_write_time(f->first_seen_usec, text));
    cli_add_text(table, f->next_try_usec == 0 ? "now" : cli_write_time(f->next_try_usec, text));
    cli_add_cell(table, f->path);
    cli_add_cell(table, f->error.len > 0 ? f->error : BYTES("not tried yet"));
}

static json_t *json_failure(const struct source_failure *f)
{
    return json_pack(
        "{s:o, s:o, s:i, s:I, s:i, s:o, s:o, s:o}", "account", cli_json_text(f->account_name),
        "path", cli_json_message(f->path), "epoch", (int)f->epoch, "uid", (json_int_t)f->uid,
        "attempts", (int)f->attempts, "error", cli_json_message(f->error), "first_seen_at",
        cli_json_time(f->first_seen_usec), "next_try_at", cli_json_time(f->next_try_usec));
}

struct listing {
    struct cli_table *table; /* NULL: JSON */
    struct arena *arena;     /* of what was not printed yet */
    size_t rows;             /* that were not */
    size_t listed;
};

static bool add_failures(struct cli *cli, const struct source_failure *rows, size_t count,
                         struct listing *l)
{
    for (size_t i = 0; i < count; i++, l->listed++)
        if (l->table != NULL)
            add_failure(l->table, &rows[i]);
        else if (!cli_print_json_item(cli, json_failure(&rows[i]), l->listed == 0))
            return false;
    l->rows += count;
    if (l->table != NULL && l->rows >= PAGE_ROWS)
        cli_print_table(l->table);
    if (l->table == NULL || l->rows >= PAGE_ROWS) {
        arena_reset(l->arena);
        l->rows = 0;
    }
    return true;
}

static bool list_failures(struct cli *cli, const struct cli_run *run, struct listing *l)
{
    struct source_failure_list found;

    if (!source_list_failures(cli->session.db, run->account_id, FAILURES_MAX + 1, l->arena, &found,
                              &cli->err))
        return false;
    if (found.count <= FAILURES_MAX)
        return add_failures(cli, found.rows, found.count, l);
    (void)fflush(stdout);
    cli_put_line(run->name, stderr);
    (void)fprintf(stderr, ": more than %d are pending, of which so many are listed\n",
                  FAILURES_MAX);
    return add_failures(cli, found.rows, FAILURES_MAX, l);
}

/* Makes them due, asks for runs, and follows these. */
static int retry_failures(struct cli *cli, const struct cli_run *runs, size_t count, bool is_json)
{
    uint64_t uids = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t due;

        if (!source_retry_failures(cli->session.db, runs[i].account_id, &due, &cli->err))
            return cli_fail(cli);
        uids += due;
    }
    /* What a run does that began before is no answer: follow.c. */
    cli->began_usec = clock_now_usec();
    if (!cli_audit(cli, AUDIT_RETRY, 0, AUDIT_FIELDS(AUDIT_I64("uids", (int64_t)uids))))
        return cli_fail(cli);
    return cli_follow(cli, runs, count, SOURCE_JOB_SYNC, is_json);
}

static int failures(struct cli *cli, const struct cli_run *runs, size_t count, bool is_json)
{
    static const char *const header[] = { "ACCOUNT",  "UID",     "ATTEMPTS", "FIRST SEEN",
                                          "NEXT TRY", "MAILBOX", "WHY" };
    CLEANUP(arena_free) struct arena *arena = arena_create(CLI_ARENA_BYTES);
    struct listing listing = { .arena = arena };

    if (is_json) {
        (void)putchar('[');
    } else {
        listing.table = cli_create_table(cli, header, ARRAY_LEN(header));
        cli_set_table_arena(listing.table, arena);
    }
    for (size_t i = 0; i < count; i++)
        if (!list_failures(cli, &runs[i], &listing))
            return cli_fail(cli);
    if (is_json)
        (void)puts(listing.listed == 0 ? "]" : "\n]");
    else if (listing.listed == 0)
        (void)puts("Nothing is pending.");
    else if (listing.rows > 0)
        cli_print_table(listing.table);
    return EXIT_SUCCESS;
}

int cmd_failures(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = {
        { "json", no_argument, NULL, JSON },
        { "retry", no_argument, NULL, RETRY },
        { NULL, 0, NULL, 0 },
    };
    unsigned needed = OPERATE_SERVICE_DATABASE;
    bool is_json = false, is_retry = false;
    struct cli_run *runs;
    size_t count;
    int status, listed, option;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        is_json |= option == JSON;
        is_retry |= option == RETRY;
    }
    if (is_retry) {
        needed = OPERATE_SERVICE_GATE | OPERATE_SERVICE_KEEPER | OPERATE_SERVICE_INGEST;
        cli_defer_interrupts();
    }
    if (!cli_settle(cli, needed) || !cli_open(cli, needed) ||
        !cli_choose_accounts(cli, argc - optind, argv + optind,
                             !is_retry ? CLI_WITH_PAUSED
                             : is_json ? CLI_LEAVE_PAUSED
                                       : CLI_TELL_PAUSED,
                             &runs, &count))
        return cli_fail(cli);
    status = EXIT_SUCCESS;
    if (is_retry) {
        status = retry_failures(cli, runs, count, is_json);
        if (status == CLI_INTERRUPTED || cli->err.code != ERR_NONE)
            return status;
    }
    listed = failures(cli, runs, count, is_json);
    return listed != 0 ? listed : status;
}
