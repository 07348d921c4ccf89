/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/pack_check.c - a pack compared with what the database says of it.
 *
 * Damage is collected in the report, the first thing in words. ERR_CORRUPT and ERR_ABSENT of the file
 * are damage; everything else that fails means that the check could not be made.
 */
#include "base/fd.h"
#include "store/member.h"
#include "text/signature.h"
#include "vault/internal.h"
#include "vault/pack.h"
#include "vault/seal_internal.h"

#include <stdio.h>

enum {
    MEMBERS_AT_ONCE = 500,
    VICTIMS_MAX = 1000,       /* told of a frame, or of a file that is lost */
    VICTIM_FRAMES_MAX = 1000, /* damaged frames that are traced to messages */
};

struct check {
    struct db *db;
    const struct vault_pack_check *order;
    const struct vault_pack_row *pack;
    struct arena *arena;
    struct vault_pack_report *report;
    struct store_pack *file;
    int fd;
    uint64_t rows;    /* frames that the database has in this pack */
    uint64_t located; /* messages that were found exactly where their locator says */
    size_t traced;
    size_t member_count; /* waiting to be looked up */
    struct store_member members[MEMBERS_AT_ONCE];
};

static void close_check(struct check *check)
{
    store_close_pack(&check->file);
    fd_close(&check->fd);
}

static void note_damage(struct check *check, const char *what)
{
    struct vault_pack_report *report = check->report;

    if (!report->is_damaged)
        (void)snprintf(report->what, sizeof report->what, "%.*s", (int)sizeof report->what - 1,
                       what);
    report->is_damaged = true;
}

/* True: the failure was damage, and is noted. */
static bool is_damage(struct check *check, struct err *err)
{
    if (err->code != ERR_CORRUPT && err->code != ERR_ABSENT)
        return false;
    note_damage(check, err->text);
    err_clear(err);
    return true;
}

/* Runs whose octets all lie in the spool still are pointed there again. place NULL: all of the pack. */
static bool heal(struct check *check, struct db_value place, uint64_t *healed, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;

    *healed = 0;
    if (!check->order->is_repair)
        return true;
    if (!db_run_one(check->db, DB_VAULT_PACK_HEAL,
                    DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id), place),
                    &row, err))
        return false;
    *healed = (uint64_t)db_i64(row, 0, 0);
    check->report->healed_frames += *healed;
    return true;
}

/* Messages that stay unreadable, each told. */
static bool tell_victims(struct check *check, struct db_value place, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    if (!check->order->is_repair || check->order->on_victim == NULL)
        return true;
    if (!db_run(check->db, DB_VAULT_PACK_VICTIMS,
                DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id), place,
                        DB_I64(VICTIMS_MAX)),
                &rows, err))
        return false;
    for (size_t i = 0; i < db_rows(rows); i++)
        check->order->on_victim(check->order->context, check->pack, db_bytes(rows, i, 0),
                                db_bytes(rows, i, 1), (uint32_t)db_i64(rows, i, 2));
    return true;
}

/* How many messages a frame takes with it, and one of them. */
static bool find_sample(struct check *check, uint64_t pack_offset, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_pack_report *report = check->report;

    if (!db_run(check->db, DB_VAULT_PACK_VICTIM,
                DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id),
                        DB_I64(pack_offset)),
                &rows, err))
        return false;
    if (db_rows(rows) == 0)
        return true; /* catalogue, or the end */
    report->victims += (uint64_t)db_i64(rows, 0, 3);
    if (report->sha256.len > 0)
        return true;
    report->uid = (uint32_t)db_i64(rows, 0, 2);
    return vault_copy_column(rows, 0, 0, check->arena, &report->sha256, err) &&
           vault_copy_column(rows, 0, 1, check->arena, &report->path, err);
}

/* Which messages a frame takes with it. */
static bool trace(struct check *check, uint64_t pack_offset, struct err *err)
{
    uint64_t healed;

    if (check->traced++ >= VICTIM_FRAMES_MAX)
        return true;
    if (!heal(check, DB_I64(pack_offset), &healed, err))
        return false;
    if (healed > 0)
        return true;
    return tell_victims(check, DB_I64(pack_offset), err) && find_sample(check, pack_offset, err);
}

/* ---- the file and its index ----------------------------------------------------------------------- */

static bool open_file(struct check *check, struct err *err)
{
    const struct vault_pack_row *pack = check->pack;
    struct vault_pack_paths paths;
    char path[PATH_MAX];
    uint64_t size_bytes = 0;

    if (!vault_make_pack_paths(check->order->packs_dir, pack->account_id, &paths, err) ||
        !vault_make_pack_path(&paths, &pack->sha256, path, err) ||
        !vault_open_pack_file(path, &check->fd, &size_bytes, &check->file, err))
        return false;
    if (size_bytes != pack->stored_bytes)
        return err_fail(err, ERR_CORRUPT, "the file has %ju octets, %ju are recorded",
                        (uintmax_t)size_bytes, (uintmax_t)pack->stored_bytes);
    if (store_pack_raw_bytes(check->file) != pack->raw_bytes)
        return err_fail(err, ERR_CORRUPT, "the index tells of %ju raw octets, %ju are recorded",
                        (uintmax_t)store_pack_raw_bytes(check->file), (uintmax_t)pack->raw_bytes);
    return true;
}

/* db_row_fn: the index has the frame exactly as the row does. */
static bool compare_frame(void *context, const struct db_result *row, struct err *err)
{
    struct check *check = context;
    uint64_t offset = (uint64_t)db_i64(row, 0, 0);
    const struct store_pack_frame *frame = store_find_pack_frame(check->file, offset);
    struct bytes sha256 = db_bytes(row, 0, 3);

    check->rows++;
    if (frame == NULL || frame->facts.raw_bytes != (uint32_t)db_i32(row, 0, 1) ||
        frame->facts.stored_bytes != (uint32_t)db_i32(row, 0, 2) ||
        !bytes_equal(crypto_sha256_bytes(&frame->facts.stored_sha256), sha256))
        return err_fail(err, ERR_CORRUPT, "the index does not have the frame recorded at %ju",
                        (uintmax_t)offset);
    return true;
}

static bool check_structure(struct check *check, struct err *err)
{
    const struct vault_pack_row *pack = check->pack;

    return open_file(check, err) &&
           db_stream(check->db, DB_VAULT_PACK_FRAMES,
                     DB_ARGS(DB_I64(pack->account_id), DB_I64(pack->pack_id)), compare_frame, check,
                     err);
}

/* ---- every octet ------------------------------------------------------------------------------------ */

/* The frame that holds this position of the tar stream. */
static const struct store_pack_frame *frame_at(const struct store_pack *pack, uint64_t raw_at)
{
    size_t low = 0, high;
    const struct store_pack_frame *frames = store_pack_frames(pack, &high);

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (frames[middle].raw_start <= raw_at)
            low = middle;
        else
            high = middle;
    }
    return &frames[low];
}

/* Are the messages that were read where the locators say? By the frame that holds the first octet
 * behind the header; of an empty message that may be the next one, so the header's last octet. */
static bool look_up(struct check *check, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct bytes hashes[MEMBERS_AT_ONCE];
    int64_t places[MEMBERS_AT_ONCE], skips[MEMBERS_AT_ONCE], sizes[MEMBERS_AT_ONCE];
    size_t count = check->member_count;

    check->member_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct store_member *member = &check->members[i];
        const struct store_pack_frame *frame = frame_at(check->file, member->raw_offset - 1);

        hashes[i] = crypto_sha256_bytes(&member->sha256);
        places[i] = (int64_t)frame->stored_start;
        skips[i] = (int64_t)(member->raw_offset - frame->raw_start);
        sizes[i] = (int64_t)member->size_bytes;
    }
    if (!db_run_one(check->db, DB_VAULT_PACK_MEMBERS,
                    DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id),
                            DB_BYTEAS(hashes, count), DB_I64S(places, count), DB_I64S(skips, count),
                            DB_I64S(sizes, count)),
                    &row, err))
        return false;
    check->located += (uint64_t)db_i64(row, 0, 0);
    return true;
}

static bool on_damaged(void *context, const struct store_pack_frame *frame, const struct err *why,
                       struct err *err)
{
    struct check *check = context;

    note_damage(check, why->text);
    check->report->damaged_frames++;
    return trace(check, frame->stored_start, err);
}

static bool on_member(void *context, const struct store_member *member, bool is_intact,
                      struct err *err)
{
    struct check *check = context;

    if (member->is_catalogue)
        return true;
    if (!is_intact) {
        note_damage(check, "a message does not have the SHA-256 of its name");
        if (!trace(check, frame_at(check->file, member->raw_offset)->stored_start, err))
            return false;
    }
    check->members[check->member_count++] = *member;
    return check->member_count < MEMBERS_AT_ONCE || look_up(check, err);
}

static bool check_octets(struct check *check, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct store_pack_visitor visitor = { .context = check,
                                          .damaged = on_damaged,
                                          .member = on_member };

    if (!store_walk_pack(check->file, &check->pack->sha256, &visitor, err) ||
        !look_up(check, err) ||
        !db_run_one(check->db, DB_VAULT_PACK_LOCATED,
                    DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id)), &row,
                    err))
        return false;
    if (check->located != (uint64_t)db_i64(row, 0, 0))
        return err_fail(err, ERR_CORRUPT, "of %jd messages recorded in it %ju were found in place",
                        (intmax_t)db_i64(row, 0, 0), (uintmax_t)check->located);
    return true;
}

/* ---- search text ------------------------------------------------------------------------------------ */

struct text_check {
    struct store_pack *segment;
    struct store_text_reader *reader; /* of a full check, else NULL */
    struct text_signer *signer;       /* the same */
    uint64_t rows;
    bool is_whole;     /* every block has its row's place and hash */
    struct err damage; /* the first, within a block */
};

static void end_text_check(struct text_check *check)
{
    store_close_pack(&check->segment);
    store_free_text_reader(&check->reader);
    text_free_signer(&check->signer);
}

/* Opens it; its signature, if it has one, is that of its records. */
static bool check_block(struct text_check *check, const struct store_pack_frame *frame,
                        struct bytes signature, struct err *err)
{
    struct store_text_block block;

    if (!store_read_segment(check->segment, frame, check->reader, &block, err))
        return false;
    for (size_t i = 0; i < block.count; i++)
        text_sign(check->signer, block.records[i].octets);
    return bytes_equal(text_end_signature(check->signer), signature) || signature.ptr == NULL ||
           err_fail(err, ERR_CORRUPT, "text block at %ju has another signature than its records",
                    (uintmax_t)frame->stored_start);
}

/* db_row_fn */
static bool compare_block(void *context, const struct db_result *row, struct err *err)
{
    struct text_check *check = context;
    const struct store_pack_frame *frame =
        check->segment == NULL ? NULL
                               : store_find_pack_frame(check->segment, (uint64_t)db_i64(row, 0, 0));

    (void)err;
    check->rows++;
    check->is_whole =
        check->is_whole && frame != NULL &&
        bytes_equal(crypto_sha256_bytes(&frame->facts.stored_sha256), db_bytes(row, 0, 1));
    if (check->is_whole && check->reader != NULL && check->damage.code == ERR_NONE)
        (void)check_block(check, frame, db_bytes(row, 0, 2), &check->damage);
    return true;
}

/* Whatever is wrong with the text is a remark. Failure: the database. */
static bool check_text(const struct check *check, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    CLEANUP(end_text_check) struct text_check text = { .is_whole = true };
    const struct vault_pack_row *pack = check->pack;
    struct vault_pack_paths paths;
    char path[PATH_MAX];
    struct err found = { 0 };

    if (!vault_make_pack_paths(check->order->packs_dir, pack->account_id, &paths, err) ||
        !vault_make_segment_path(&paths, &pack->sha256, path, err))
        return false;
    if (check->order->is_full) {
        text.reader = store_create_text_reader();
        text.signer = text_create_signer();
    }
    if (!vault_open_segment_file(path, &fd, &text.segment, &found))
        text.segment = NULL; /* `found` says why */
    if (!db_stream(check->db, DB_VAULT_PACK_TEXTS,
                   DB_ARGS(DB_I64(pack->account_id), DB_I64(pack->pack_id)), compare_block, &text,
                   err))
        return false;
    if (text.rows == 0)
        return true; /* there was nothing to be searched, or it was made before there was text */
    if (text.segment != NULL && !text.is_whole)
        (void)err_fail(&found, ERR_CORRUPT, "it does not have the blocks that are recorded");
    else if (text.segment != NULL)
        found = text.damage;
    if (found.code != ERR_NONE)
        (void)snprintf(check->report->text_what, sizeof check->report->text_what, "%.*s",
                       (int)sizeof check->report->text_what - 1, found.text);
    return true;
}

/* ---- one pack ---------------------------------------------------------------------------------------- */

static void check_previous(struct check *check)
{
    const struct vault_pack_row *pack = check->pack;
    struct bytes previous = pack->has_previous ? crypto_sha256_bytes(&pack->previous) : BYTES("");

    if (!bytes_equal(previous, check->order->expected_previous))
        note_damage(check, "it does not name the account's pack before it");
}

/* A file that cannot be used takes all its messages with it. */
static bool count_all(struct check *check, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    uint64_t healed;

    if (!heal(check, DB_NULL, &healed, err) || !tell_victims(check, DB_NULL, err) ||
        !find_sample(check, 0, err) ||
        !db_run_one(check->db, DB_VAULT_PACK_LOCATED,
                    DB_ARGS(DB_I64(check->pack->account_id), DB_I64(check->pack->pack_id)), &row,
                    err))
        return false;
    check->report->victims = (uint64_t)db_i64(row, 0, 0);
    return true;
}

bool vault_check_pack(struct db *db, const struct vault_pack_check *order,
                      const struct vault_pack_row *pack, struct arena *arena,
                      struct vault_pack_report *out, struct err *err)
{
    struct vault_pack_report report = { 0 };
    CLEANUP(close_check)
    struct check check = {
        .db = db, .order = order, .pack = pack, .arena = arena, .report = &report, .fd = -1
    };

    if (!check_structure(&check, err)) {
        if (!is_damage(&check, err) || !count_all(&check, err))
            return false;
    } else if (order->is_full && !check_octets(&check, err) && !is_damage(&check, err)) {
        return false;
    }
    check_previous(&check);
    if (!check_text(&check, err))
        return false;
    /* What a look at size and index does not find may be there all the same. */
    if ((report.is_damaged || order->is_full) &&
        !db_run_ok(
            db, DB_VAULT_PACK_MARK,
            DB_ARGS(DB_I64(pack->account_id), DB_I64(pack->pack_id), DB_BOOL(report.is_damaged)),
            err))
        return false;
    *out = report;
    return true;
}
