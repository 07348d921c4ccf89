/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/run.c - the walk: mailboxes of the position, pages of placements, octets, rows.
 */
#include "base/clock.h"
#include "export/export.h"
#include "export/internal.h"
#include "export/message_id.h"
#include "export/name.h"
#include "export/tar.h"

#include <stdlib.h>

enum {
    HELD_BYTES = 2 << 20,   /* messages up to here are held whole, as vault fetches them ahead */
    ARENA_BYTES = 32 << 20, /* one mailbox's keywords, or one page */
    MAILBOX_PAGE = 200,
    LEVEL = 3,
    THREADS = 2,
    SUMMARY_BYTES = 1 << 20,
    PUBLIC_KEY_BYTES = 1024,
    PROGRESS_MESSAGES = 200,
};

#define PUBLIC_KEY_NAME "public-key.pem"

struct run {
    const struct export_order *order;
    const struct export_format *format;
    struct export_sink *sink;
    struct export_writer *writer;
    struct export_spool csv, json, list, sums;
    struct arena *mailboxes; /* one page of them */
    struct arena *mailbox;   /* of one */
    struct arena *page;      /* of placements */
    struct buf octets;       /* of the message at hand */
    struct buf message_id;
    struct crypto_hasher *hasher;
    struct export_counts counts;
};

/* The mailbox at hand. */
struct stay {
    struct run *run;
    struct export_place place;
    struct vault_mailbox facts; /* keywords */
    uint64_t messages;
    uint64_t seen; /* placements */
};

/* ---- one message ---------------------------------------------------------------------------- */

static bool gather(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

/* Octets on their way out: counted and hashed once more. */
struct passing {
    struct run *run;
    const struct vault_placement *placement;
    export_write_fn *write;
    void *to;
};

static bool pass_on(void *context, struct bytes octets, struct err *err)
{
    const struct passing *passing = context;

    crypto_update_hasher(passing->run->hasher, octets);
    return passing->write(passing->to, octets, err);
}

static bool is_hash(const struct vault_placement *placement, struct crypto_sha256 hash)
{
    return memcmp(hash.octets, placement->sha256.octets, sizeof hash.octets) == 0;
}

static bool stream_message(void *context, export_write_fn *write, void *to, struct err *err)
{
    struct passing *passing = context;
    const struct vault_placement *placement = passing->placement;

    passing->write = write;
    passing->to = to;
    (void)crypto_finish_hasher(passing->run->hasher);
    if (!vault_stream_octets(passing->run->order->reader, &placement->octets, 0,
                             placement->size_bytes, pass_on, passing, err))
        return err_wrap(err, "a message that was right a moment ago");
    return is_hash(placement, crypto_finish_hasher(passing->run->hasher)) ||
           err_fail(err, ERR_CORRUPT, "a message that was right a moment ago has changed");
}

/* Small: into run->octets. Large: only proves that it can be read, and holds its front. */
static bool fetch(struct run *run, const struct vault_placement *placement, struct err *err)
{
    struct vault_reader *reader = run->order->reader;
    bool is_small = placement->size_bytes <= HELD_BYTES;

    buf_reset(&run->octets, HELD_BYTES);
    if (placement->octets.run_id == 0)
        return err_fail(err, ERR_CORRUPT, "it is not known where the octets are");
    if (!is_small)
        return vault_verify_octets(reader, &placement->octets, &placement->sha256, err) &&
               vault_stream_octets(reader, &placement->octets, 0, EXPORT_HEADER_BYTES, gather,
                                   &run->octets, err);
    return vault_stream_octets(reader, &placement->octets, 0, placement->size_bytes, gather,
                               &run->octets, err) &&
           ((!run->octets.has_failed && is_hash(placement, crypto_hash(buf_bytes(&run->octets)))) ||
            err_fail(err, ERR_CORRUPT, "the octets do not match their SHA-256"));
}

/* What was chosen and could not be read is a row of the manifest. True: it is one. */
static bool note_problem(struct stay *stay, struct export_row *row, const struct err *why)
{
    struct export_counts *counts = &stay->run->counts;

    switch (why->code) {
    case ERR_CORRUPT:
        row->problem = "damaged";
        counts->damaged++;
        break;
    case ERR_ABSENT:
    case ERR_DENIED:
    case ERR_SYSTEM:
        row->problem = "unreadable";
        counts->unreadable++;
        break;
    case ERR_NONE:
    case ERR_SYNTAX:
    case ERR_LIMIT:
    case ERR_RETRY:
        return false;
    }
    if (stay->run->order->tell != NULL)
        stay->run->order->tell(stay->run->order->context, row->mailbox, row->placement->uid, why);
    return true;
}

static bool write_rows(struct run *run, const struct export_row *row, struct err *err)
{
    export_write_csv_row(row, export_spool_buf(&run->csv));
    export_write_json_row(row, export_spool_buf(&run->json));
    return export_pass_spool(&run->csv, err) && export_pass_spool(&run->json, err);
}

static bool add_message(struct stay *stay, struct export_row *row, struct err *err)
{
    struct run *run = stay->run;
    struct passing passing = { .run = run, .placement = row->placement };
    struct export_message message = { .row = row, .stream = stream_message, .context = &passing };
    struct err why = { .code = ERR_NONE };

    if (!fetch(run, row->placement, &why)) {
        if (note_problem(stay, row, &why))
            return write_rows(run, row, err);
        *err = why;
        return false;
    }
    buf_reset(&run->message_id, EXPORT_MESSAGE_ID_BYTES);
    export_find_message_id(buf_bytes(&run->octets), &run->message_id);
    row->message_id = buf_bytes(&run->message_id);
    if (row->placement->size_bytes <= HELD_BYTES)
        message.octets = run->octets.len > 0 ? buf_bytes(&run->octets) : BYTES("");
    if (!run->format->add(&stay->place, &message, row, err))
        return false;
    stay->messages++;
    run->counts.messages++;
    run->counts.octets += row->placement->size_bytes;
    run->counts.gone += row->placement->is_gone ? 1 : 0;
    if (run->order->progress != NULL && run->counts.messages % PROGRESS_MESSAGES == 0)
        run->order->progress(run->order->context, &run->counts);
    return write_rows(run, row, err);
}

/* ---- one page of placements ----------------------------------------------------------------- */

/* In one read where the UIDs follow each other. */
static bool read_origins(struct run *run, const struct vault_placement *rows, size_t count,
                         struct export_origin *out, struct err *err)
{
    if (count > 0 && rows[count - 1].uid - rows[0].uid == count - 1)
        return export_read_origins(run->order, rows[0].uid, count, out, err);
    for (size_t i = 0; i < count; i++)
        if (!export_read_origins(run->order, rows[i].uid, 1, &out[i], err))
            return false;
    return true;
}

static void expect(struct run *run, const struct vault_placement *rows, size_t count)
{
    struct vault_octets *items = arena_new_array(run->page, struct vault_octets, count);
    size_t known = 0;

    for (size_t i = 0; i < count; i++)
        if (rows[i].octets.run_id != 0)
            items[known++] = rows[i].octets;
    vault_expect_octets(run->order->reader, items, known);
}

static bool add_page(struct stay *stay, const struct vault_placement_page *page, struct err *err)
{
    struct run *run = stay->run;
    struct export_origin *origins = arena_new_array(run->page, struct export_origin, page->count);

    if (!read_origins(run, page->rows, page->count, origins, err))
        return false;
    expect(run, page->rows, page->count);
    for (size_t i = 0; i < page->count; i++) {
        struct export_row row = { .mailbox = stay->place.mailbox,
                                  .placement = &page->rows[i],
                                  .keyword_names = stay->facts.keywords,
                                  .keyword_count = stay->facts.keyword_count,
                                  .problem = "",
                                  .source_uidvalidity = origins[i].uidvalidity,
                                  .source_uid = origins[i].uid,
                                  .source_epoch = origins[i].epoch,
                                  .recognised = origins[i].by };

        if (!add_message(stay, &row, err))
            return false;
    }
    stay->seen += page->count;
    vault_expect_octets(run->order->reader, NULL, 0);
    return true;
}

/* All messages of these ranges. */
static bool add_ranges(struct stay *stay, const struct vault_uid_range *ranges, size_t count,
                       struct err *err)
{
    const struct vault_position_mailbox *mailbox = stay->place.mailbox;
    struct vault_placement_query query = { .account_id = mailbox->account_id,
                                           .mailbox_id = mailbox->mailbox_id,
                                           .ranges = ranges,
                                           .range_count = count,
                                           .columns = VAULT_WITH_LOCATOR,
                                           .as_of_modseq = mailbox->highestmodseq,
                                           .limit = LIMIT_PAGE_ROWS };
    struct vault_placement_page page = { .is_last = false };

    while (!page.is_last) {
        arena_reset(stay->run->page);
        if (!vault_read_placements(stay->run->order->reader, &query, stay->run->page, &page, err) ||
            !add_page(stay, &page, err))
            return false;
        query.after_uid = page.through_uid;
    }
    return true;
}

/* ---- one mailbox ---------------------------------------------------------------------------- */

static bool add_chosen(struct stay *stay, struct err *err)
{
    const struct export_choice *choice = stay->run->order->choice;
    bool is_last = false;

    while (!is_last) {
        uint32_t uids[LIMIT_PAGE_ROWS];
        struct vault_uid_range ranges[LIMIT_PAGE_ROWS];
        size_t count = 0, used = 0;

        if (!choice->next(choice->context, uids, &count, &is_last, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (used > 0 && uids[i] == ranges[used - 1].last + 1)
                ranges[used - 1].last = uids[i];
            else
                ranges[used++] = (struct vault_uid_range){ uids[i], uids[i] };
        }
        if (used > 0 && !add_ranges(stay, ranges, used, err))
            return false;
    }
    return true;
}

static bool add_all(struct stay *stay, struct err *err)
{
    struct vault_uid_range all = { 1, (uint32_t)(stay->place.mailbox->uidnext - 1) };

    return all.last == 0 || add_ranges(stay, &all, 1, err);
}

static uint64_t count_below(const struct vault_uid_range *ranges, size_t range_count,
                            uint64_t uidnext)
{
    uint64_t count = 0;

    for (size_t i = 0; i < range_count && ranges[i].first < uidnext; i++) {
        uint64_t end = (uint64_t)ranges[i].last + 1;

        count += (end < uidnext ? end : uidnext) - ranges[i].first;
    }
    return count;
}

/* Of messages that there were: a rebuild skips UIDs too. */
static uint64_t count_disposed(const struct vault_mailbox *facts, uint64_t uidnext)
{
    return count_below(facts->disposed, facts->disposed_count, uidnext) -
           count_below(facts->skipped, facts->skipped_count, uidnext);
}

/* Whatever is chosen there. */
static bool stay_in(struct stay *stay, struct err *err)
{
    struct run *run = stay->run;
    const struct vault_position_mailbox *mailbox = stay->place.mailbox;
    const struct export_choice *choice = run->order->choice;
    bool has_none = mailbox->uidnext <= 1;

    arena_reset(run->mailbox);
    if (!has_none && choice != NULL && !choice->open(choice->context, mailbox, &has_none, err))
        return false;
    if (has_none)
        return true;
    if (!vault_load_mailbox(run->order->reader, mailbox->account_id, mailbox->mailbox_id,
                            run->mailbox, &stay->facts, err) ||
        !export_gather_origins(run->order, mailbox, err))
        return false;
    run->counts.disposed += count_disposed(&stay->facts, mailbox->uidnext);
    if (choice != NULL ? !add_chosen(stay, err) : !add_all(stay, err))
        return false;
    if (!stay->place.is_open)
        return true;
    run->counts.files++;
    return run->format->end(&stay->place, err);
}

static bool add_mailbox(struct run *run, const struct vault_position_mailbox *mailbox,
                        struct err *err)
{
    struct stay stay = { .run = run,
                         .place = { .writer = run->writer,
                                    .mailbox = mailbox,
                                    .name = buf_create(1024),
                                    .member = buf_create(1024) } };
    struct bytes name = { 0 };
    bool is_ok;

    export_write_mailbox_name(mailbox->account_name, mailbox->path, mailbox->mailbox_id,
                              run->format->suffix, &stay.place.name);
    is_ok = buf_done(&stay.place.name, &name, err) && stay_in(&stay, err);
    if (is_ok) {
        run->counts.mailboxes++;
        export_write_list_row(mailbox, stay.place.is_open ? name : BYTES(""), stay.messages,
                              export_spool_buf(&run->list));
        is_ok = export_pass_spool(&run->list, err);
    }
    buf_free(&stay.place.name);
    buf_free(&stay.place.member);
    return is_ok || err_wrap(err, "mailbox %jd", (intmax_t)mailbox->mailbox_id);
}

static bool add_mailboxes(struct run *run, struct err *err)
{
    const struct vault_position_mailbox *rows;
    uint64_t after = 0;
    size_t count = 1;

    while (count > 0) {
        arena_reset(run->mailboxes);
        if (!vault_list_position(run->order->reader, run->order->position->position_id, after,
                                 MAILBOX_PAGE, run->mailboxes, &rows, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (!add_mailbox(run, &rows[i], err))
                return false;
            after = rows[i].ordinal;
        }
    }
    return true;
}

/* ---- the rest of the files ------------------------------------------------------------------ */

static bool add_summary(struct run *run, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(SUMMARY_BYTES);
    const struct export_choice *choice = run->order->choice;
    struct bytes octets;

    if (choice == NULL)
        run->counts.searched = run->counts.messages + run->counts.damaged + run->counts.unreadable;
    else if (!choice->finish(choice->context, &run->counts.searched, &run->counts.unsearched, err))
        return false;
    export_write_summary(run->order, &run->counts, &text);
    return buf_done(&text, &octets, err) &&
           export_write_whole(run->writer, "query.txt", 0644, octets, true, err);
}

static bool add_signature(struct run *run, struct err *err)
{
    struct crypto_signature signature;

    /* All lines are in the file now: reading it for the member has flushed them. */
    return export_write_spooled(run->writer, "SHA256SUMS", &run->sums, false, err) &&
           run->order->signer.sign(run->order->signer.context, run->sums.size_bytes, &signature,
                                   err) &&
           export_write_whole(run->writer, "SHA256SUMS.sig", 0644,
                              bytes_of(signature.octets, sizeof signature.octets), false, err);
}

static bool add_rest(struct run *run, struct err *err)
{
    CLEANUP(buf_free) struct buf key = buf_create(PUBLIC_KEY_BYTES);

    crypto_write_public_key(&key, &run->order->signer.key);
    return export_write_spooled(run->writer, "manifest.csv", &run->csv, true, err) &&
           export_write_spooled(run->writer, "manifest.jsonl", &run->json, true, err) &&
           export_write_spooled(run->writer, "mailboxes.csv", &run->list, true, err) &&
           add_summary(run, err) &&
           export_write_whole(run->writer, PUBLIC_KEY_NAME, 0644, buf_bytes(&key), true, err) &&
           export_write_whole(run->writer, "verify.sh", 0755, export_verify_script(), true, err) &&
           add_signature(run, err) && export_end_tar(run->writer, err);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void end_run(struct run *run)
{
    export_free_writer(&run->writer);
    export_close_sink(&run->sink);
    export_free_spool(&run->csv);
    export_free_spool(&run->json);
    export_free_spool(&run->list);
    export_free_spool(&run->sums);
    arena_free(&run->mailboxes);
    arena_free(&run->mailbox);
    arena_free(&run->page);
    buf_free(&run->octets);
    buf_free(&run->message_id);
    crypto_free_hasher(&run->hasher);
}

bool export_run(const struct export_order *order, struct export_counts *out, struct err *err)
{
    struct run run = { .order = order,
                       .format = export_find_format(order->format),
                       .csv = export_begin_spool(order->files.csv),
                       .json = export_begin_spool(order->files.json),
                       .list = export_begin_spool(order->files.list),
                       .sums = export_begin_spool(order->files.sums),
                       .mailboxes = arena_create(ARENA_BYTES),
                       .mailbox = arena_create(ARENA_BYTES),
                       .page = arena_create(ARENA_BYTES),
                       .octets = buf_create(HELD_BYTES),
                       .message_id = buf_create(EXPORT_MESSAGE_ID_BYTES),
                       .hasher = crypto_create_hasher() };
    bool is_ok;

    assert(run.format != NULL);
    export_write_csv_header(export_spool_buf(&run.csv));
    export_write_list_header(export_spool_buf(&run.list));
    is_ok = export_open_sink(order->files.out, order->level == 0 ? LEVEL : order->level, THREADS,
                             &run.sink, err) &&
            export_create_writer(run.sink, &run.sums, order->position->taken_usec / 1000000,
                                 &run.writer, err) &&
            add_mailboxes(&run, err) && add_rest(&run, err);
    if (is_ok)
        *out = run.counts;
    end_run(&run);
    return is_ok;
}
