/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast search: where messages are that a query means. Read by a child with an auditor's rights
 * (reader.c), with one audit row before the first line. Hits are printed as they are found, so memory
 * does not depend on how many there are.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "crypto/hash.h"
#include "holdfast/headline.h"
#include "holdfast/reader.h"
#include "imap/flag.h"
#include "search/everywhere.h"
#include "text/extract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LIMIT_DEFAULT = 100,
    ROWS_ARENA_BYTES = 64 << 20,
    ROWS_AT_ONCE = 100, /* each may have an index of VAULT_INDEX_PAGE_BYTES */
    ID_DIGITS = 12,     /* of the SHA-256: enough for `holdfast show` */
    DATE_COLUMNS = 16,
    GAP = 2,
    PROGRESS_MS = 500,
};

struct job {
    const char *text;
    struct search_query *query;
    struct cli_list accounts;
    uint64_t limit;
    bool is_json;
};

struct listing {
    struct cli_reader *reader;
    const struct job *job;
    struct arena *arena; /* rows of one batch */
    struct cli_marks marks;
    size_t width; /* of the terminal; 0: none */
    uint64_t shown;
    bool has_progress; /* a line of it stands on the terminal */
    bool shows_progress;
    int64_t next_progress_usec;
};

/* ---- one hit ------------------------------------------------------------------------------------- */

static const uint32_t from_kinds = 1u << IMAP_SEARCH_FROM | 1u << IMAP_SEARCH_TEXT;
static const uint32_t subject_kinds = 1u << IMAP_SEARCH_SUBJECT | 1u << IMAP_SEARCH_TEXT;

/* Columns of mailbox, from and subject: what the others leave, the subject the most. */
struct columns {
    size_t mailbox, from, subject;
};

static struct columns columns_of(size_t width)
{
    size_t rest;

    if (width == 0)
        return (struct columns){ 0, 0, 0 };
    rest = width - DATE_COLUMNS - ID_DIGITS - 4 * GAP;
    return (struct columns){ rest / 4, rest / 3, rest - rest / 4 - rest / 3 };
}

static void print_gap(const struct listing *listing)
{
    (void)fputs(listing->width == 0 ? "\t" : "  ", stdout);
}

static void print_header(const struct listing *listing)
{
    struct columns columns = columns_of(listing->width);

    if (listing->job->is_json) {
        (void)fputs("{\n  \"hits\": [", stdout);
        return;
    }
    if (listing->width == 0)
        return;
    cli_print_cell(BYTES("RECEIVED"), DATE_COLUMNS, NULL);
    print_gap(listing);
    cli_print_cell(BYTES("MAILBOX"), columns.mailbox, NULL);
    print_gap(listing);
    cli_print_cell(BYTES("FROM"), columns.from, NULL);
    print_gap(listing);
    cli_print_cell(BYTES("SUBJECT"), columns.subject, NULL);
    print_gap(listing);
    (void)fputs("ID\n", stdout);
}

static struct bytes write_place(struct listing *listing, const struct search_mailbox *mailbox)
{
    CLEANUP(buf_free) struct buf text = buf_create(2 * LIMIT_MAILBOX_NAME_BYTES);

    buf_append(&text, mailbox->account_name);
    buf_byte(&text, '/');
    buf_append(&text, mailbox->path);
    return cli_keep(listing->arena, &text);
}

static void print_row(struct listing *listing, const struct search_mailbox *mailbox,
                      const struct vault_placement *row, const struct cli_headline *headline)
{
    CLEANUP(buf_free) struct buf hex = buf_create(2 * CRYPTO_SHA256_BYTES);
    struct columns columns = columns_of(listing->width);
    struct cli_marks marks = listing->marks;
    char date[CLI_TEXT_BYTES];

    buf_hex(&hex, crypto_sha256_bytes(&row->sha256));
    (void)fputs(cli_write_local(row->internal_usec, row->internal_zone, date), stdout);
    print_gap(listing);
    cli_print_cell(write_place(listing, mailbox), columns.mailbox, NULL);
    print_gap(listing);
    marks.kinds = from_kinds;
    cli_print_cell(headline->from, columns.from, &marks);
    print_gap(listing);
    marks.kinds = subject_kinds;
    cli_print_cell(headline->subject, columns.subject, &marks);
    print_gap(listing);
    cli_print_cell(bytes_slice(buf_bytes(&hex), 0, ID_DIGITS), 0, NULL);
    (void)fputc('\n', stdout);
}

static json_t *make_flags(uint8_t flags)
{
    static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
                                         "\\Draft" };
    json_t *array = json_array();

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((flags >> i & 1) != 0)
            (void)json_array_append_new(array, json_string(names[i]));
    }
    return array;
}

/* As `holdfast show` takes it. */
static json_t *write_id(struct listing *listing, const struct search_mailbox *mailbox, uint32_t uid)
{
    CLEANUP(buf_free) struct buf id = buf_create(2 * LIMIT_MAILBOX_NAME_BYTES);

    buf_append(&id, write_place(listing, mailbox));
    buf_text(&id, ";UID=");
    buf_u64(&id, uid);
    return cli_json_text(buf_bytes(&id));
}

static bool print_object(struct listing *listing, const struct search_mailbox *mailbox,
                         const struct vault_placement *row, const struct cli_headline *headline)
{
    CLEANUP(buf_free) struct buf hex = buf_create(2 * CRYPTO_SHA256_BYTES);
    char received[CLI_TEXT_BYTES];
    json_t *object;
    char *text;

    buf_hex(&hex, crypto_sha256_bytes(&row->sha256));
    object = json_pack(
        "{s:o,s:o,s:o,s:I,s:I,s:o,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:b}", "id",
        write_id(listing, mailbox, row->uid), "account", cli_json_text(mailbox->account_name),
        "mailbox", cli_json_text(mailbox->path), "uid", (json_int_t)row->uid, "uidvalidity",
        (json_int_t)mailbox->uidvalidity, "sha256", cli_json_text(buf_bytes(&hex)), "size",
        (json_int_t)row->size_bytes, "received",
        cli_write_rfc3339(row->internal_usec, row->internal_zone, received), "from",
        cli_json_text(headline->from), "to", cli_json_text(headline->to), "cc",
        cli_json_text(headline->cc), "subject", cli_json_text(headline->subject), "message_id",
        cli_json_text(headline->message_id), "flags", make_flags(row->flags), "gone",
        (int)row->is_gone, "damaged", (int)headline->is_damaged);
    text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (text == NULL)
        return err_fail(&listing->reader->cli->err, ERR_SYSTEM, "out of memory for JSON");
    (void)printf("%s\n    %s", listing->shown == 0 ? "" : ",", text);
    free(text);
    return true;
}

/* ---- progress ------------------------------------------------------------------------------------- */

static void clear_progress(struct listing *listing)
{
    if (listing->has_progress)
        (void)fputs("\r\033[K", stderr);
    listing->has_progress = false;
}

static void show_progress(struct listing *listing, const struct search_walk *walk)
{
    struct search_counts counts = search_walk_counts(walk);
    int64_t now = clock_now_usec();

    if (!listing->shows_progress || now < listing->next_progress_usec)
        return;
    listing->next_progress_usec = now + PROGRESS_MS * 1000;
    (void)fflush(stdout);
    (void)fprintf(stderr, "\rsearching: %ju of %ju messages in %ju mailboxes match so far\033[K",
                  (uintmax_t)counts.hits, (uintmax_t)counts.searched, (uintmax_t)counts.mailboxes);
    listing->has_progress = true;
}

/* ---- pages of hits -------------------------------------------------------------------------------- */

static bool print_hit(struct listing *listing, const struct search_mailbox *mailbox,
                      const struct vault_placement *row)
{
    struct cli *cli = listing->reader->cli;
    struct cli_headline headline;

    if (!cli_read_headline(listing->reader->vault, row, listing->arena, &headline, &cli->err))
        return false;
    if (listing->shown == 0)
        print_header(listing);
    if (!listing->job->is_json)
        print_row(listing, mailbox, row, &headline);
    else if (!print_object(listing, mailbox, row, &headline))
        return false;
    listing->shown++;
    return true;
}

/* uids: at most ROWS_AT_ONCE. */
static bool print_batch(struct listing *listing, const struct search_mailbox *mailbox,
                        const uint32_t *uids, size_t count)
{
    struct cli *cli = listing->reader->cli;
    struct vault_uid_range ranges[ROWS_AT_ONCE];
    struct vault_placement_page page = { .is_last = false };
    struct vault_placement_query query = {
        .account_id = mailbox->account_id,
        .mailbox_id = mailbox->mailbox_id,
        .ranges = ranges,
        .columns = VAULT_WITH_INDEX,
        .limit = ROWS_AT_ONCE,
    };

    for (size_t i = 0; i < count; i++) {
        if (query.range_count > 0 && ranges[query.range_count - 1].last + 1 == uids[i])
            ranges[query.range_count - 1].last = uids[i];
        else
            ranges[query.range_count++] = (struct vault_uid_range){ uids[i], uids[i] };
    }
    while (!page.is_last) {
        arena_reset(listing->arena);
        if (!vault_read_placements(listing->reader->vault, &query, listing->arena, &page,
                                   &cli->err))
            return false;
        for (size_t i = 0; i < page.count; i++) {
            if (!print_hit(listing, mailbox, &page.rows[i]))
                return false;
        }
        query.after_uid = page.through_uid;
    }
    return true;
}

static bool print_hits(struct listing *listing, const struct search_page *page)
{
    uint64_t room = listing->job->limit - listing->shown;
    size_t count = room < page->count ? (size_t)room : page->count;

    if (count > 0)
        clear_progress(listing);
    for (size_t i = 0; i < count; i += ROWS_AT_ONCE) {
        size_t batch = count - i < ROWS_AT_ONCE ? count - i : ROWS_AT_ONCE;

        if (!print_batch(listing, page->mailbox, page->uids + i, batch))
            return false;
    }
    return true;
}

/* ---- the end --------------------------------------------------------------------------------------- */

/* "; 3 could not be searched: 2 encrypted, 1 damaged" */
static void print_unsearched(const struct search_tally *tally)
{
    const char *gap = ": ";

    if (tally->unsearched == 0)
        return;
    (void)printf("; %ju could not be searched wholly", (uintmax_t)tally->unsearched);
    for (uint32_t bit = 0; bit < SEARCH_NOTES; bit++) {
        if (tally->notes[bit] == 0)
            continue;
        (void)printf("%s%ju %s", gap, (uintmax_t)tally->notes[bit], text_note_name(1u << bit));
        gap = ", ";
    }
    if (tally->damaged > 0)
        (void)printf("%s%ju damaged", gap, (uintmax_t)tally->damaged);
}

static json_t *make_reasons(const struct search_tally *tally)
{
    json_t *object = json_object();

    for (uint32_t bit = 0; bit < SEARCH_NOTES; bit++) {
        if (tally->notes[bit] > 0)
            (void)json_object_set_new(object, text_note_name(1u << bit),
                                      json_integer((json_int_t)tally->notes[bit]));
    }
    if (tally->damaged > 0)
        (void)json_object_set_new(object, "damaged", json_integer((json_int_t)tally->damaged));
    return object;
}

static void print_json_end(const struct listing *listing, const struct search_counts *counts)
{
    json_t *reasons = make_reasons(&counts->tally);
    char *text = json_dumps(reasons, JSON_COMPACT);

    (void)printf("%s],\n  \"matches\": %ju,\n  \"shown\": %ju,\n  \"searched\": %ju,\n"
                 "  \"unsearched\": %ju,\n  \"why_unsearched\": %s,\n  \"mailboxes\": %ju,\n"
                 "  \"accounts\": %ju\n}\n",
                 listing->shown == 0 ? "" : "\n  ", (uintmax_t)counts->hits,
                 (uintmax_t)listing->shown, (uintmax_t)counts->searched,
                 (uintmax_t)counts->tally.unsearched, text == NULL ? "{}" : text,
                 (uintmax_t)counts->mailboxes, (uintmax_t)counts->accounts);
    free(text);
    json_decref(reasons);
}

static void print_summary(struct listing *listing, const struct search_walk *walk)
{
    struct search_counts counts = search_walk_counts(walk);

    clear_progress(listing);
    if (listing->job->is_json) {
        if (listing->shown == 0)
            print_header(listing);
        print_json_end(listing, &counts);
        return;
    }
    if (listing->shown > 0 && listing->width > 0)
        (void)fputc('\n', stdout);
    (void)printf("%ju of %ju messages match", (uintmax_t)counts.hits, (uintmax_t)counts.searched);
    if (listing->shown < counts.hits)
        (void)printf("; the first %ju are shown (--limit)", (uintmax_t)listing->shown);
    print_unsearched(&counts.tally);
    (void)fputc('\n', stdout);
}

static bool list_hits(struct listing *listing)
{
    struct cli *cli = listing->reader->cli;
    CLEANUP(search_close_walk) struct search_walk *walk = NULL;
    struct search_walk_request request = {
        .pool = listing->reader->pool,
        .token = listing->reader->token,
        .reader = listing->reader->vault,
        .query = listing->job->query,
    };
    struct search_page page;
    bool has_page = true;

    if (!search_open_walk(&request, &walk, &cli->err))
        return false;
    while (has_page) {
        if (!search_next_page(walk, &page, &has_page, &cli->err) ||
            (has_page && !print_hits(listing, &page))) {
            clear_progress(listing);
            return false;
        }
        show_progress(listing, walk);
    }
    print_summary(listing, walk);
    if (search_walk_counts(walk).tally.damaged > 0) {
        cli->err = search_walk_counts(walk).tally.problem;
        return err_wrap(&cli->err, "not everything could be read, first");
    }
    return true;
}

static bool search(struct cli_reader *reader, void *context)
{
    const struct job *job = context;
    struct crypto_sha256 hash = crypto_hash(bytes_of_text(job->text));
    CLEANUP(buf_free) struct buf hex = buf_create(2 * CRYPTO_SHA256_BYTES);
    CLEANUP(arena_free) struct arena *arena = arena_create(ROWS_ARENA_BYTES);
    struct listing listing = {
        .reader = reader,
        .job = job,
        .arena = arena,
        .width = job->is_json ? 0 : cli_terminal_width(),
        .shows_progress = isatty(STDERR_FILENO) != 0,
        .next_progress_usec = clock_now_usec() + PROGRESS_MS * 1000,
    };

    buf_hex(&hex, crypto_sha256_bytes(&hash));
    listing.marks.words = search_query_words(job->query, &listing.marks.count);
    /* First the record, then the content. */
    return cli_append_audit(
               reader,
               &(struct audit_event){
                   .kind = AUDIT_SEARCH,
                   .fields = AUDIT_FIELDS(AUDIT_TEXT("query", bytes_of_text(job->text)),
                                          AUDIT_TEXT("query_sha256", buf_bytes(&hex)),
                                          AUDIT_I64("accounts", (int64_t)job->accounts.count)),
               }) &&
           list_hits(&listing);
}

/* ---- the parent -------------------------------------------------------------------------------------- */

static bool read_limit(struct cli *cli, const char *text, uint64_t *out)
{
    struct bytes rest = bytes_of_text(text);

    if (strcmp(text, "all") == 0) {
        *out = UINT64_MAX;
        return true;
    }
    return (scan_u64(&rest, out) && rest.len == 0) ||
           err_fail(&cli->err, ERR_SYNTAX, "'%s' is neither a number nor \"all\"", text);
}

int cli_refuse_query(struct cli *cli, struct bytes text, const struct search_mistake *mistake)
{
    CLEANUP(buf_free) struct buf lines = buf_create(1 << 12);

    if (mistake->text[0] == '\0')
        return cli_refuse(cli);
    (void)fprintf(stderr, "holdfast %s: the query is wrong at column %zu\n", cli->command->name,
                  mistake->column + 1);
    search_write_mistake(text, mistake, &lines);
    (void)fwrite(lines.ptr, 1, lines.len, stderr);
    return EXIT_USAGE;
}

void cli_say_reading(const struct search_query *query)
{
    CLEANUP(buf_free) struct buf text = buf_create(1 << 20);

    if (!search_query_is_mixed(query))
        return;
    search_write_query(query, &text);
    (void)fprintf(stderr, "read as: %.*s\n", (int)text.len, (const char *)text.ptr);
}

void cli_protect_query(struct cli *cli, int argc, char **argv, const char *letters)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        size_t len = strlen(argv[i]);
        char *copy;

        if (len <= 2 || argv[i][0] != '-' || argv[i][1] == '-' ||
            strchr(letters, argv[i][1]) != NULL)
            continue;
        copy = arena_alloc(cli->arena, len + 2);
        copy[0] = ' ';
        memcpy(copy + 1, argv[i], len);
        argv[i] = copy;
    }
}

int cmd_search(struct cli *cli, int argc, char **argv)
{
    enum {
        ACCOUNT = 256,
        LIMIT,
        JSON
    };
    static const struct option known[] = {
        { "account", required_argument, NULL, ACCOUNT },
        { "limit", required_argument, NULL, LIMIT },
        { "json", no_argument, NULL, JSON },
        { NULL, 0, NULL, 0 },
    };
    struct job job = { .limit = LIMIT_DEFAULT };
    struct search_mistake mistake;
    int status, option;

    cli_protect_query(cli, argc, argv, "");
    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        if (option == JSON)
            job.is_json = true;
        else if (option == LIMIT ? !read_limit(cli, optarg, &job.limit)
                                 : !cli_add_item(cli, &job.accounts, optarg))
            return cli_refuse(cli);
    }
    job.text = cli_take_name(cli, argc, argv, "QUERY", &status);
    if (job.text == NULL)
        return status;
    job.text += strspn(job.text, " ");
    if (!search_parse_query(bytes_of_text(job.text), cli->arena, &job.query, &mistake, &cli->err))
        return cli_refuse_query(cli, bytes_of_text(job.text), &mistake);
    cli_say_reading(job.query);
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE))
        return cli_fail(cli);
    return cli_read_by_child(cli, &job.accounts, search, &job);
}
