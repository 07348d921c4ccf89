/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/window.c - the frames that a reader holds: stored, and the one that was decoded last.
 *
 * Stored octets of the spool are borrowed from the result they came in; those of packs are read
 * when they are needed. Nothing is decoded, let alone given out, before its hash was compared.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "vault/internal.h"

#include <errno.h>
#include <stdlib.h>

enum {
    PACKS_OPEN_MAX = 4,
    /* A stored frame is hardly longer than its raw octets, however random they are. */
    STORED_BYTES_MAX = LIMIT_FRAME_RAW_BYTES + (64 << 10),
};

struct open_pack {
    int64_t account_id, pack_id;
    int fd;
};

struct vault_window {
    struct vault_frame *frames;
    size_t count;
    struct db_result *result;
    struct store_decoder *decoder;
    uint8_t *raw; /* the decoded frame */
    size_t raw_cap;
    struct vault_frame decoded; /* raw_bytes 0: none */
    struct open_pack packs[PACKS_OPEN_MAX];
    size_t next_pack; /* to be replaced */
};

/* Columns of vault_frame_range, in vault_read.sql. */
enum {
    COL_RUN_ID,
    COL_RAW_START,
    COL_RAW_BYTES,
    COL_STORED_BYTES,
    COL_STORED_SHA256,
    COL_KEY_ID,
    COL_PACK_ID,
    COL_PACK_OFFSET,
    COL_PACK_SHA256,
    COL_OCTETS,
};

static struct vault_window *need_window(struct vault_reader *reader)
{
    struct vault_window *window = reader->window;

    if (window != NULL)
        return window;
    window = calloc(1, sizeof *window);
    assert(window != NULL);
    window->decoder = store_create_decoder();
    for (size_t i = 0; i < PACKS_OPEN_MAX; i++)
        window->packs[i].fd = -1;
    reader->window = window;
    return window;
}

static void drop_frames(struct vault_window *window)
{
    for (size_t i = 0; i < window->count; i++)
        free(window->frames[i].owned);
    free(window->frames);
    window->frames = NULL;
    window->count = 0;
    db_result_free(&window->result);
}

void vault_free_window(struct vault_window **window)
{
    if (*window == NULL)
        return;
    drop_frames(*window);
    for (size_t i = 0; i < PACKS_OPEN_MAX; i++)
        fd_close(&(*window)->packs[i].fd);
    store_free_decoder(&(*window)->decoder);
    free((*window)->raw);
    free(*window);
    *window = NULL;
}

static bool holds(const struct vault_frame *frame, int64_t account_id, int64_t run_id,
                  uint64_t raw_at)
{
    return frame->account_id == account_id && frame->run_id == run_id &&
           raw_at >= frame->raw_start && raw_at - frame->raw_start < frame->facts.raw_bytes;
}

struct vault_frame *vault_find_frame(struct vault_reader *reader, int64_t account_id,
                                     int64_t run_id, uint64_t raw_at)
{
    struct vault_window *window = reader->window;

    for (size_t i = 0; window != NULL && i < window->count; i++)
        if (holds(&window->frames[i], account_id, run_id, raw_at))
            return &window->frames[i];
    return NULL;
}

bool vault_window_is_empty(const struct vault_reader *reader)
{
    return reader->window == NULL || reader->window->count == 0;
}

static bool read_hash(struct bytes octets, struct crypto_sha256 *out)
{
    if (octets.len != sizeof out->octets)
        return false;
    memcpy(out->octets, octets.ptr, octets.len);
    return true;
}

static bool read_frame(const struct db_result *rows, size_t row, int64_t account_id,
                       struct vault_frame *out, struct err *err)
{
    bool is_packed = !db_is_null(rows, row, COL_PACK_ID);

    *out =
        (struct vault_frame){ .account_id = account_id,
                              .run_id = db_i64(rows, row, COL_RUN_ID),
                              .raw_start = (uint64_t)db_i64(rows, row, COL_RAW_START),
                              .facts.raw_bytes = (uint32_t)db_i32(rows, row, COL_RAW_BYTES),
                              .facts.stored_bytes = (uint32_t)db_i32(rows, row, COL_STORED_BYTES),
                              .key_id = db_i64(rows, row, COL_KEY_ID) };
    if (is_packed) {
        out->pack_id = db_i64(rows, row, COL_PACK_ID);
        out->pack_offset = (uint64_t)db_i64(rows, row, COL_PACK_OFFSET);
    } else if (!db_is_null(rows, row, COL_OCTETS)) {
        out->stored = vault_not_null(db_bytes(rows, row, COL_OCTETS));
    }
    if (!read_hash(db_bytes(rows, row, COL_STORED_SHA256), &out->facts.stored_sha256) ||
        (is_packed && !read_hash(db_bytes(rows, row, COL_PACK_SHA256), &out->pack_sha256)))
        return err_fail(err, ERR_CORRUPT, "frame of run %jd has no SHA-256", (intmax_t)out->run_id);
    return true;
}

bool vault_load_window(struct vault_reader *reader, int64_t account_id,
                       const struct vault_raw_range *ranges, size_t count, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    struct vault_window *window = need_window(reader);
    int64_t run_ids[VAULT_RANGES_MAX], firsts[VAULT_RANGES_MAX], lasts[VAULT_RANGES_MAX];

    assert(count <= VAULT_RANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        run_ids[i] = ranges[i].run_id;
        firsts[i] = (int64_t)ranges[i].first;
        lasts[i] = (int64_t)ranges[i].last;
    }
    drop_frames(window);
    if (!vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_FRAME_RANGE,
                                   DB_ARGS(DB_I64(account_id), DB_I64S(run_ids, count),
                                           DB_I64S(firsts, count), DB_I64S(lasts, count)) },
            1, &rows, err))
        return false;
    window->frames = calloc(db_rows(rows) + 1, sizeof *window->frames);
    if (window->frames == NULL)
        return err_errno(err, "frames");
    for (size_t i = 0; i < db_rows(rows); i++) {
        if (!read_frame(rows, i, account_id, &window->frames[i], err)) {
            drop_frames(window);
            return false;
        }
        window->count = i + 1;
    }
    window->result = rows;
    rows = NULL; /* the window's now: the stored octets are in it */
    return true;
}

/* ---- packs --------------------------------------------------------------------------------- */

/* A borrowed descriptor. */
static bool open_pack(struct vault_reader *reader, const struct vault_frame *frame, int *fd,
                      struct err *err)
{
    struct vault_window *window = reader->window;
    struct open_pack *pack;

    for (size_t i = 0; i < PACKS_OPEN_MAX; i++) {
        pack = &window->packs[i];
        if (pack->fd >= 0 && pack->account_id == frame->account_id &&
            pack->pack_id == frame->pack_id) {
            *fd = pack->fd;
            return true;
        }
    }
    if (reader->opener.open == NULL)
        return err_fail(err, ERR_ABSENT, "pack %jd: this process opens no packs",
                        (intmax_t)frame->pack_id);
    pack = &window->packs[window->next_pack];
    fd_close(&pack->fd);
    if (!reader->opener.open(reader->opener.context, VAULT_FILE_PACK, frame->account_id,
                             frame->pack_id, crypto_sha256_bytes(&frame->pack_sha256), &pack->fd,
                             err)) {
        pack->fd = -1;
        return err_wrap(err, "pack %jd", (intmax_t)frame->pack_id);
    }
    pack->account_id = frame->account_id;
    pack->pack_id = frame->pack_id;
    window->next_pack = (window->next_pack + 1) % PACKS_OPEN_MAX;
    *fd = pack->fd;
    return true;
}

static bool read_packed(struct vault_reader *reader, struct vault_frame *frame, struct err *err)
{
    uint32_t size = frame->facts.stored_bytes;
    size_t done = 0;
    int fd = -1;

    if (size > STORED_BYTES_MAX)
        return err_fail(err, ERR_CORRUPT, "frame is recorded with %u stored bytes", size);
    if (!open_pack(reader, frame, &fd, err))
        return false;
    if (frame->owned == NULL)
        frame->owned = malloc(size);
    if (frame->owned == NULL)
        return err_errno(err, "frame of %u bytes", size);
    while (done < size) {
        ssize_t got =
            sys()->pread(fd, frame->owned + done, size - done, (off_t)(frame->pack_offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read pack %jd", (intmax_t)frame->pack_id);
        if (got == 0)
            return err_fail(err, ERR_CORRUPT, "pack %jd ends at %ju", (intmax_t)frame->pack_id,
                            (uintmax_t)(frame->pack_offset + done));
        done += (size_t)got;
    }
    frame->stored = bytes_of(frame->owned, size);
    return true;
}

/* ---- checked, decoded ---------------------------------------------------------------------- */

static bool check(const struct vault_frame *frame, struct store_checked_frame *checked,
                  struct err *err)
{
    return store_check_frame(&frame->facts, frame->stored, checked, err) ||
           err_wrap(err, "run %jd at %ju", (intmax_t)frame->run_id, (uintmax_t)frame->raw_start);
}

bool vault_check_frame(struct vault_reader *reader, struct vault_frame *frame, struct err *err)
{
    struct store_checked_frame checked;

    if (frame->is_checked)
        return true;
    if (frame->key_id != 0)
        return err_fail(err, ERR_SYSTEM, "run %jd is encrypted: this version cannot read it",
                        (intmax_t)frame->run_id);
    if (frame->stored.ptr == NULL && frame->pack_id == 0)
        return err_fail(err, ERR_CORRUPT, "run %jd at %ju: no octets in the spool",
                        (intmax_t)frame->run_id, (uintmax_t)frame->raw_start);
    if (frame->stored.ptr == NULL && !read_packed(reader, frame, err))
        return false;
    if (!check(frame, &checked, err))
        return false;
    frame->is_checked = true;
    return true;
}

struct bytes vault_decoded(struct vault_reader *reader, int64_t account_id, int64_t run_id,
                           uint64_t raw_at, uint64_t *raw_start)
{
    const struct vault_window *window = reader->window;

    if (window == NULL || !holds(&window->decoded, account_id, run_id, raw_at))
        return bytes_of(NULL, 0);
    *raw_start = window->decoded.raw_start;
    return bytes_of(window->raw, window->decoded.facts.raw_bytes);
}

static bool make_room(struct vault_window *window, size_t need, struct err *err)
{
    uint8_t *room;

    if (need <= window->raw_cap)
        return true;
    if (need < LIMIT_FRAME_TARGET_BYTES)
        need = LIMIT_FRAME_TARGET_BYTES;
    room = realloc(window->raw, need);
    if (room == NULL)
        return err_errno(err, "frame of %zu bytes", need);
    window->raw = room;
    window->raw_cap = need;
    return true;
}

bool vault_decode_frame(struct vault_reader *reader, struct vault_frame *frame, struct bytes *raw,
                        struct err *err)
{
    struct vault_window *window = reader->window;
    struct store_checked_frame checked;

    if (!vault_check_frame(reader, frame, err))
        return false;
    /* is_checked says that nobody could have changed our copy since: no second hash. */
    checked = (struct store_checked_frame){ frame->stored, frame->facts.raw_bytes };
    if (!make_room(window, frame->facts.raw_bytes, err))
        return false;
    window->decoded.facts.raw_bytes = 0;
    if (!store_decode_frame(window->decoder, checked, window->raw, err))
        return err_wrap(err, "run %jd at %ju", (intmax_t)frame->run_id,
                        (uintmax_t)frame->raw_start);
    window->decoded = *frame;
    window->decoded.owned = NULL;
    *raw = bytes_of(window->raw, frame->facts.raw_bytes);
    return true;
}
