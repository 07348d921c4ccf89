/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/rebuild.h"

#include "base/fd.h"
#include "vault/internal.h"
#include "vault/pack.h"
#include "vault/rebuild_internal.h"
#include "vault/rebuild_lines.h"
#include "vault/seal_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FRAMES_AT_ONCE = 1000,
    TEXT_BYTES = 1024,
    MAILBOXES_AT_ONCE = 100,
};

/* ---- what is told ---------------------------------------------------------------------------------- */

static void tell(const struct rebuilding *r, const char *text)
{
    r->order->on_loss(r->order->context, r->account_id, text);
}

static void name_of(const struct vault_link *link, char out[VAULT_PACK_NAME_BYTES])
{
    vault_write_pack_name(&link->sha256, out);
}

static void tell_bad(struct rebuilding *r, const struct vault_link *link, const char *what,
                     const char *consequence)
{
    char name[VAULT_PACK_NAME_BYTES], text[TEXT_BYTES], number[32] = "";

    name_of(link, name);
    if (link->number > 0)
        (void)snprintf(number, sizeof number, " (number %jd)", (intmax_t)link->number);
    (void)snprintf(text, sizeof text, "pack %s%s %s; %s", name, number, what, consequence);
    r->counts->bad_packs++;
    tell(r, text);
}

#define LOST "mail and changes that it alone holds are not in the database"

static void tell_link(struct rebuilding *r, const struct vault_link *link)
{
    char what[TEXT_BYTES];

    switch (link->state) {
    case VAULT_LINK_GOOD:
        return;
    case VAULT_LINK_MISSING:
        tell_bad(r, link, "is missing", LOST);
        return;
    case VAULT_LINK_UNREADABLE:
        (void)snprintf(what, sizeof what, "cannot be read: %s", link->what);
        tell_bad(r, link, what, LOST);
        return;
    case VAULT_LINK_OUTSIDE:
        tell_bad(r, link, "is of a branch that is not followed", "it was left alone");
        return;
    case VAULT_LINK_FOREIGN:
        (void)snprintf(what, sizeof what, "does not belong here: %s", link->what);
        tell_bad(r, link, what, "it was left alone");
        return;
    }
    UNREACHABLE();
}

/* ---- one pack --------------------------------------------------------------------------------------- */

struct reading {
    struct rebuilding *r;
    const struct vault_link *link;
    struct store_pack *pack;
    int fd;
    uint64_t size_bytes;
    struct vault_lines lines;
    struct store_splitter splitter;
    int64_t pack_id;
    bool is_bad; /* after a failure: it is the pack's own */
};

static void close_reading(struct reading *reading)
{
    store_close_pack(&reading->pack);
    fd_close(&reading->fd);
    store_free_splitter(&reading->splitter);
    vault_close_lines(&reading->lines);
}

static bool open_reading(struct reading *reading, struct err *err)
{
    struct rebuilding *r = reading->r;
    struct vault_pack_paths paths;
    char path[PATH_MAX];

    vault_open_lines(&reading->lines, r->db);
    reading->lines.account_id = r->account_id;
    reading->lines.is_newer = reading->link->sealed_usec >= r->counts->installation_usec;
    reading->splitter = store_create_splitter(vault_take_line, &reading->lines);
    return vault_make_pack_paths(r->order->packs_dir, r->account_id, &paths, err) &&
           vault_make_pack_path(&paths, &reading->link->sha256, path, err) &&
           vault_open_pack_file(path, &reading->fd, &reading->size_bytes, &reading->pack, err);
}

/* store_octets_sink */
static bool take_catalogue(void *context, struct bytes octets, struct err *err)
{
    struct reading *reading = context;

    return store_split_lines(&reading->splitter, octets, err);
}

static bool read_lines(struct reading *reading, struct err *err)
{
    size_t run_frames;

    return store_read_catalogue(reading->pack, UINT64_MAX, take_catalogue, reading, &run_frames,
                                err) &&
           store_end_lines(&reading->splitter, err) && vault_flush_lines(&reading->lines, err);
}

/* Rows of the frames before the catalogue: one run, whose raw stream is the tar stream. */
static bool add_frames(const struct reading *reading, size_t count, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(1 << 20);
    size_t all;
    const struct store_pack_frame *frames = store_pack_frames(reading->pack, &all);

    for (size_t at = 0; at < count; at += FRAMES_AT_ONCE) {
        size_t n = count - at < FRAMES_AT_ONCE ? count - at : FRAMES_AT_ONCE;
        int64_t *numbers = arena_new_array(arena, int64_t, 5 * n);
        struct bytes *hashes = arena_new_array(arena, struct bytes, n);

        for (size_t i = 0; i < n; i++) {
            const struct store_pack_frame *frame = &frames[at + i];

            numbers[i] = (int64_t)(at + i);
            numbers[n + i] = (int64_t)frame->raw_start;
            numbers[2 * n + i] = frame->facts.raw_bytes;
            numbers[3 * n + i] = frame->facts.stored_bytes;
            numbers[4 * n + i] = (int64_t)frame->stored_start;
            hashes[i] = crypto_sha256_bytes(&frame->facts.stored_sha256);
        }
        if (!db_run_ok(reading->r->db, DB_REBUILD_FRAME_ADD,
                       DB_ARGS(DB_I64(reading->r->account_id), DB_I64(reading->lines.run_id),
                               DB_I64(reading->pack_id), DB_I64S(numbers, n),
                               DB_I64S(numbers + n, n), DB_I64S(numbers + 2 * n, n),
                               DB_I64S(numbers + 3 * n, n), DB_BYTEAS(hashes, n),
                               DB_I64S(numbers + 4 * n, n)),
                       err))
            return false;
        arena_reset(arena);
    }
    return true;
}

static struct db_value previous_of(const struct vault_link *link)
{
    return db_null_unless(link->has_previous, DB_BYTEA(crypto_sha256_bytes(&link->previous)));
}

/* The account first, to which all else belongs: it stands in the catalogue's second line. */
static bool add_pack(struct reading *reading, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *run = NULL;
    CLEANUP(db_result_free) struct db_result *row = NULL;
    const struct vault_link *link = reading->link;
    int64_t account_id = reading->r->account_id;

    if (!db_run_one(reading->r->db, DB_VAULT_RUN_NEXT, DB_NO_ARGS, &run, err))
        return false;
    reading->lines.run_id = db_i64(run, 0, 0);
    if (!read_lines(reading, err) ||
        !db_run_one(reading->r->db, DB_REBUILD_PACK_ADD,
                    DB_ARGS(DB_I64(account_id), DB_BYTEA(crypto_sha256_bytes(&link->sha256)),
                            previous_of(link), DB_I64(reading->size_bytes),
                            DB_I64(store_pack_raw_bytes(reading->pack)),
                            DB_TIME(link->sealed_usec)),
                    &row, err))
        return false;
    reading->pack_id = db_i64(row, 0, 0);
    return db_run_ok(reading->r->db, DB_REBUILD_CHAIN_SET,
                     DB_ARGS(DB_I64(account_id), DB_BYTEA(crypto_sha256_bytes(&link->sha256)),
                             DB_I64(link->number), DB_TIME(link->sealed_usec)),
                     err);
}

/* Every octet of the file, and every message at its place. A frame that is damaged takes its messages
 * with it and is told; anything else means that the pack is not what its catalogue says. */
static bool check_all(const struct reading *reading, struct vault_pack_report *report,
                      struct arena *arena, struct err *err)
{
    const struct vault_link *link = reading->link;
    struct vault_pack_row row = {
        .account_id = reading->r->account_id,
        .pack_id = reading->pack_id,
        .sha256 = link->sha256,
        .has_previous = link->has_previous,
        .previous = link->previous,
        .stored_bytes = reading->size_bytes,
        .raw_bytes = store_pack_raw_bytes(reading->pack),
    };
    struct vault_pack_check check = {
        .packs_dir = reading->r->order->packs_dir,
        .is_full = true,
        .expected_previous = link->has_previous ? crypto_sha256_bytes(&link->previous) : BYTES(""),
    };

    if (!vault_check_pack(reading->r->db, &check, &row, arena, report, err))
        return false;
    return !report->is_damaged || report->damaged_frames > 0 ||
           err_fail(err, ERR_CORRUPT, "%s", report->what);
}

static void count_lines(const struct reading *reading)
{
    struct vault_rebuild_counts *counts = reading->r->counts;
    const uint64_t *given = reading->lines.given, *stored = reading->lines.stored;

    counts->packs++;
    counts->octets += reading->size_bytes;
    counts->messages += stored[STORE_LINE_MESSAGE];
    counts->placements += stored[STORE_LINE_PLACEMENT];
    counts->events += stored[STORE_LINE_EVENT];
    counts->sources += stored[STORE_LINE_SOURCE];
    counts->lost_lines += given[STORE_LINE_PLACEMENT] - stored[STORE_LINE_PLACEMENT] +
                          given[STORE_LINE_EVENT] - stored[STORE_LINE_EVENT] +
                          given[STORE_LINE_SOURCE] - stored[STORE_LINE_SOURCE];
}

static void tell_lost_lines(const struct reading *reading)
{
    const uint64_t *given = reading->lines.given, *stored = reading->lines.stored;
    char name[VAULT_PACK_NAME_BYTES], text[TEXT_BYTES];
    uint64_t placements = given[STORE_LINE_PLACEMENT] - stored[STORE_LINE_PLACEMENT];
    uint64_t events = given[STORE_LINE_EVENT] - stored[STORE_LINE_EVENT];

    if (placements + events == 0)
        return;
    name_of(reading->link, name);
    (void)snprintf(text, sizeof text,
                   "pack %s tells of %ju placements and %ju changes of messages that lay in packs "
                   "which are not here",
                   name, (uintmax_t)placements, (uintmax_t)events);
    tell(reading->r, text);
}

static void tell_damage(const struct reading *reading, const struct vault_pack_report *report)
{
    char what[TEXT_BYTES], place[TEXT_BYTES / 2] = "";

    if (report->path.len > 0)
        (void)snprintf(place, sizeof place, ", among them %.*s;UID=%u", (int)report->path.len,
                       (const char *)report->path.ptr, report->uid);
    (void)snprintf(what, sizeof what, "is damaged (%.300s); %ju messages affected%.300s",
                   report->what, (uintmax_t)report->victims, place);
    tell_bad(reading->r, reading->link, what,
             "reads of them are refused until the file is put back from a copy");
}

/* True: the pack alone is bad; others may be good. So it is with what its lines broke in the database (a value,
 * a rule, a size) and with whatever the file system says; what else the database says stops all. */
static bool is_of_pack(const struct db *db, const struct err *why)
{
    static const char *const classes[] = { "21", "22", "23", "54" };
    const char *state = db_sqlstate(db);

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strncmp(state, classes[i], 2) == 0)
            return true;
    return state[0] == '\0' && !db_is_broken(db) && why->code != ERR_RETRY;
}

/* One transaction. reading->is_bad: the pack cannot be used; nothing of it is there. */
static bool read_pack(struct reading *reading, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(16 << 20);
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    struct vault_pack_report report = { 0 };
    size_t run_frames;

    if (!open_reading(reading, err) ||
        !store_read_catalogue(reading->pack, 0, take_catalogue, reading, &run_frames, err) ||
        !db_begin(reading->r->db, DB_READ_COMMITTED, &tx, err) || !add_pack(reading, err) ||
        !add_frames(reading, run_frames, err) || !check_all(reading, &report, arena, err) ||
        !db_commit(&tx, err)) {
        reading->is_bad = is_of_pack(reading->r->db, err);
        return false;
    }
    count_lines(reading);
    tell_lost_lines(reading);
    if (report.is_damaged)
        tell_damage(reading, &report);
    return true;
}

/* may_read: none of those behind it was read before, by a rebuild that was interrupted. */
static bool take_pack(struct rebuilding *r, const struct vault_link *link, bool may_read,
                      struct err *err)
{
    CLEANUP(db_result_free) struct db_result *known = NULL;
    CLEANUP(close_reading) struct reading reading = { .r = r, .link = link, .fd = -1 };
    struct err why = { 0 };
    char what[TEXT_BYTES];

    if (!db_run_one(r->db, DB_REBUILD_PACK_KNOWN,
                    DB_ARGS(DB_I64(r->account_id), DB_BYTEA(crypto_sha256_bytes(&link->sha256))),
                    &known, err))
        return false;
    if (db_bool(known, 0, 0)) {
        r->counts->known_packs++;
        return true;
    }
    if (!may_read) {
        tell_bad(r, link, "could not be read when later ones were", LOST);
        return true;
    }
    if (!read_pack(&reading, &why)) {
        if (!reading.is_bad) {
            *err = why;
            return false;
        }
        (void)snprintf(what, sizeof what, "cannot be used: %s", why.text);
        tell_bad(r, link, what, LOST);
        return true;
    }
    r->order->on_pack(r->order->context, r->account_id, link, r->counts);
    return true;
}

static bool take_account(struct rebuilding *r, int64_t account_id, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(VAULT_CHAIN_ARENA_BYTES);
    struct vault_read_before before;
    struct vault_chain chain;
    struct err why = { 0 };

    r->account_id = account_id;
    if (!vault_read_chain(r->order->packs_dir, account_id, &r->order->tips, arena, &chain, &why)) {
        (void)err_wrap(&why, "nothing of it is in the database");
        r->counts->bad_packs++;
        tell(r, why.text);
        return true;
    }
    if (!vault_find_read_before(r, &chain, arena, &before, err))
        return err_wrap(err, "account %jd", (intmax_t)account_id);
    for (size_t i = 0; i < chain.count; i++) {
        if (chain.links[i].state != VAULT_LINK_GOOD)
            tell_link(r, &chain.links[i]);
        else if (!take_pack(r, &chain.links[i], i >= before.links, err))
            return err_wrap(err, "account %jd", (intmax_t)account_id);
    }
    r->counts->accounts++;
    return true;
}

/* ---- installation packs ---------------------------------------------------------------------------- */

/* One transaction. Of all packs the audit events; of the newest that can be read, the state. */
static bool read_installation(struct reading *reading, bool is_newest, struct err *err)
{
    static const struct store_pack_visitor nobody;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };
    const struct vault_link *link = reading->link;
    struct db *db = reading->r->db;

    bool is_read =
        open_reading(reading, err) && store_walk_pack(reading->pack, &link->sha256, &nobody, err);

    reading->lines.is_state_wanted = is_newest;
    is_read = is_read && db_begin(db, DB_READ_COMMITTED, &tx, err) && read_lines(reading, err) &&
              (!is_newest || db_run_ok(db, DB_REBUILD_INSTALLATION_SET,
                                       DB_ARGS(DB_BYTEA(crypto_sha256_bytes(&link->sha256)),
                                               DB_I64(link->number), DB_TIME(link->sealed_usec)),
                                       err)) &&
              db_commit(&tx, err);
    reading->is_bad = !is_read && is_of_pack(db, err);
    return is_read;
}

/* What follows from a link: the state is that of the first that can be read, the newest if no gap came before. */
struct installation {
    bool has_state;
    bool has_gap;   /* a newer one there was cannot be read */
    bool has_known; /* an interrupted rebuild has taken the state */
    struct crypto_sha256 known;
    int64_t known_usec;
};

static bool find_known(const struct rebuilding *r, struct installation *found, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    if (!db_run(r->db, DB_REBUILD_INSTALLATION_KNOWN, DB_NO_ARGS, &row, err))
        return false;
    found->has_known = db_rows(row) > 0;
    if (found->has_known) {
        memcpy(found->known.octets, db_bytes(row, 0, 0).ptr, sizeof found->known.octets);
        found->known_usec = db_time_usec(row, 0, 1);
    }
    return true;
}

static bool is_known(const struct installation *found, const struct vault_link *link)
{
    return found->has_known &&
           bytes_equal(crypto_sha256_bytes(&found->known), crypto_sha256_bytes(&link->sha256));
}

static bool is_in_chain(const struct installation *found, const struct vault_chain *chain)
{
    for (size_t i = 0; i < chain->in_chain; i++)
        if (is_known(found, &chain->links[i]))
            return true;
    return false;
}

static bool take_installation_pack(struct rebuilding *r, const struct vault_link *link,
                                   struct installation *found, struct err *err)
{
    CLEANUP(close_reading) struct reading reading = { .r = r, .link = link, .fd = -1 };
    struct err why = { 0 };

    if (!read_installation(&reading, !found->has_state, &why)) {
        if (!reading.is_bad) {
            *err = why;
            return err_wrap(err, "installation");
        }
        found->has_gap = true;
        tell_bad(r, link, why.text, "what it tells of the installation is not in the database");
        return true;
    }
    if (!found->has_state)
        r->counts->installation_usec = link->sealed_usec;
    found->has_state = true;
    r->counts->installations++;
    r->order->on_pack(r->order->context, 0, NULL, r->counts);
    return true;
}

/* Newest first, so that it is known which one gives the state. Packs of accounts say how many there were. */
static bool take_installation(struct rebuilding *r, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(VAULT_CHAIN_ARENA_BYTES);
    struct installation found = { .has_state = false };
    struct vault_chain chain;

    r->account_id = 0;
    if (!vault_read_chain(r->order->packs_dir, 0, &r->order->tips, arena, &chain, err) ||
        !find_known(r, &found, err))
        return false;
    vault_ask_fork(r, &chain);
    if (found.has_known && !chain.is_forked && !is_in_chain(&found, &chain))
        vault_ask_stray(r, &found.known);
    for (size_t i = chain.count; i-- > 0 && r->counts->questions == 0;) {
        const struct vault_link *link = &chain.links[i];

        if (is_known(&found, link) && !found.has_state) {
            found.has_state = true;
            r->counts->installation_usec = found.known_usec;
            continue;
        }
        if (link->state != VAULT_LINK_GOOD) {
            tell_link(r, link);
            found.has_gap = found.has_gap || link->state == VAULT_LINK_MISSING ||
                            link->state == VAULT_LINK_UNREADABLE;
            continue;
        }
        found.has_gap = found.has_gap || link->number < r->newest_installation;
        if (!found.has_state && found.has_gap && !r->order->takes_old_installation)
            vault_ask_old_installation(r, link);
        else if (!take_installation_pack(r, link, &found, err))
            return false;
    }
    if (!found.has_state && r->counts->questions == 0)
        tell(
            r,
            "there is no installation pack: auditors, grants, matters, holds, the audit log and the "
            "passwords of accounts are not restored");
    return true;
}

bool vault_rebuild(struct db *db, const struct vault_rebuild *order,
                   struct vault_rebuild_counts *counts, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(VAULT_CHAIN_ARENA_BYTES);
    struct rebuilding r = { .db = db, .order = order, .counts = counts };
    const int64_t *ids;
    size_t count;

    *counts = (struct vault_rebuild_counts){ 0 };
    r.has_tip = arena_new_array(arena, bool, order->tips.count);
    if (!vault_find_pack_folders(order->packs_dir, arena, &ids, &count, err) ||
        !db_run_ok(db, DB_SOURCE_GO_BY_KEYS, DB_NO_ARGS, err))
        return false;
    if (!vault_survey_chains(&r, ids, count, err) || !take_installation(&r, err))
        return false;
    for (size_t i = 0; i < count && counts->questions == 0; i++)
        if (!take_account(&r, ids[i], err))
            return false;
    return true;
}

/* ---- the owner's part ------------------------------------------------------------------------------- */

bool vault_is_rebuild_running(struct db *db, bool *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!db_run_one(db, DB_REBUILD_IS_RUNNING, DB_NO_ARGS, &result, err))
        return false;
    *out = db_bool(result, 0, 0);
    return true;
}

bool vault_begin_rebuild(struct db *owner, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    if (!db_run_one(owner, DB_REBUILD_BEGIN, DB_NO_ARGS, &result, err))
        return false;
    return db_bool(result, 0, 0) ||
           err_fail(
               err, ERR_DENIED,
               "the database is not empty: rebuild makes one anew from packs and never adds to "
               "another (for a private database move the folder \"postgres\" in the data "
               "directory away, otherwise name an empty one in [database] url)");
}

static bool finish_mailbox(struct db *owner, struct vault_rebuilt_mailbox *mailbox,
                           int64_t mailbox_id, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    CLEANUP(db_rollback) struct db_tx tx = { 0 };

    /* As long as it takes: one statement over all messages of the mailbox. */
    if (!db_begin(owner, DB_READ_COMMITTED, &tx, err) ||
        !db_run_ok(owner, DB_VAULT_SEAL_PATIENCE, DB_NO_ARGS, err) ||
        !db_run_one(owner, DB_REBUILD_FINISH_MAILBOX,
                    DB_ARGS(DB_I64(mailbox->account_id), DB_I64(mailbox_id)), &result, err) ||
        !db_commit(&tx, err))
        return err_wrap(err, "mailbox %jd", (intmax_t)mailbox_id);
    mailbox->lost = (uint64_t)db_i64(result, 0, 0);
    mailbox->raised = (uint64_t)db_i64(result, 0, 1);
    return true;
}

static bool finish_some(struct db *owner, vault_rebuilt_fn *visit, void *context, bool *has_more,
                        struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!db_run(owner, DB_REBUILD_UNFINISHED, DB_ARGS(DB_I64(MAILBOXES_AT_ONCE)), &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++) {
        struct vault_rebuilt_mailbox mailbox = { .account_id = db_i64(rows, i, 0),
                                                 .account_name = db_bytes(rows, i, 2),
                                                 .path = db_bytes(rows, i, 3) };

        if (!finish_mailbox(owner, &mailbox, db_i64(rows, i, 1), err))
            return false;
        visit(context, &mailbox);
    }
    *has_more = db_rows(rows) > 0;
    return true;
}

bool vault_finish_rebuild(struct db *owner, int64_t master_key, vault_rebuilt_fn *visit,
                          void *context, struct err *err)
{
    bool has_more = true;

    if (!db_run_ok(owner, DB_REBUILD_ANALYZE, DB_NO_ARGS, err))
        return false;
    while (has_more)
        if (!finish_some(owner, visit, context, &has_more, err))
            return false;
    return db_run_ok(owner, DB_REBUILD_END, DB_ARGS(DB_I64(master_key)), err);
}

bool vault_list_without_secret(struct db *owner, int64_t master_key, struct arena *arena,
                               const struct bytes **names, size_t *count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct bytes *found;

    if (!db_run(owner, DB_REBUILD_WITHOUT_SECRET, DB_ARGS(DB_I64(master_key)), &rows, err))
        return false;
    found = arena_new_array(arena, struct bytes, db_rows(rows));
    for (size_t i = 0; i < db_rows(rows); i++)
        if (!vault_copy_column(rows, i, 0, arena, &found[i], err))
            return false;
    *names = found;
    *count = db_rows(rows);
    return true;
}
