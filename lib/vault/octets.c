/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/octets.c - any range of a message's octets, checked before they are given out.
 */
#include "vault/internal.h"

/* Raw octets that one round trip brings while streaming; ranges of expected messages fill it up. */
#define PREFETCH_BYTES ((uint64_t)2 << 20)

/* A part of one message in its run's raw stream. */
struct span {
    int64_t account_id, message_id, run_id;
    uint64_t raw_offset; /* of the message */
    uint64_t at, end;    /* positions; nothing is left when they are equal */
};

static struct span span_of(const struct vault_octets *octets, uint64_t offset, uint64_t length)
{
    uint64_t size = octets->size_bytes;

    if (offset > size)
        offset = size;
    if (length > size - offset)
        length = size - offset;
    /* run_id 0: of a brief page; `load` finds nothing there and asks where they are. */
    assert((octets->run_id != 0 || octets->message_id != 0 || length == 0) &&
           "a placement read without VAULT_WITH_LOCATOR");
    return (struct span){ .account_id = octets->account_id,
                          .message_id = octets->message_id,
                          .raw_offset = octets->raw_offset,
                          .run_id = octets->run_id,
                          .at = octets->raw_offset + offset,
                          .end = octets->raw_offset + offset + length };
}

void vault_expect_octets(struct vault_reader *reader, const struct vault_octets *items,
                         size_t count)
{
    reader->expected = items;
    reader->expected_count = count;
    reader->expected_at = 0;
}

/* Where the expected messages go on behind the one that holds this position. */
static size_t find_expected(struct vault_reader *reader, const struct span *span)
{
    for (size_t i = 0; i < reader->expected_count; i++) {
        size_t at = (reader->expected_at + i) % reader->expected_count;
        const struct vault_octets *item = &reader->expected[at];

        if (item->account_id == span->account_id && item->run_id == span->run_id &&
            span->at >= item->raw_offset && span->at - item->raw_offset < item->size_bytes) {
            reader->expected_at = at;
            return at + 1;
        }
    }
    return reader->expected_count;
}

/* Adds a message: to the last range when it lies near, so that no frame comes twice. */
static void add_range(struct vault_raw_range *ranges, size_t *count, struct vault_raw_range range)
{
    struct vault_raw_range *last = &ranges[*count - 1];

    if (last->run_id == range.run_id && range.first >= last->first &&
        range.first <= last->last + LIMIT_FRAME_RAW_BYTES) {
        if (range.last > last->last)
            last->last = range.last;
        return;
    }
    ranges[(*count)++] = range;
}

/* Loads the frames of the span, and of what is expected next as far as there is room. */
static bool load_ranges(struct vault_reader *reader, const struct span *span, struct err *err)
{
    struct vault_raw_range ranges[VAULT_RANGES_MAX];
    uint64_t total = span->end - span->at;
    size_t count = 1;

    ranges[0] = (struct vault_raw_range){ span->run_id, span->at, span->end - 1 };
    for (size_t i = find_expected(reader, span); i < reader->expected_count; i++) {
        const struct vault_octets *item = &reader->expected[i];

        if (item->account_id != span->account_id || item->run_id == 0 ||
            item->size_bytes > PREFETCH_BYTES || total + item->size_bytes > PREFETCH_BYTES ||
            count == VAULT_RANGES_MAX)
            break;
        if (item->size_bytes == 0)
            continue;
        total += item->size_bytes + 1; /* so that empty ones end too */
        add_range(ranges, &count,
                  (struct vault_raw_range){ item->run_id, item->raw_offset,
                                            item->raw_offset + item->size_bytes - 1 });
    }
    return vault_load_window(reader, span->account_id, ranges, count, err);
}

/*
 * The keeper joins small runs, and their locators move with them (vault/seal.h): a span that was
 * located before is located again. True with *has_moved false: it is where it was.
 */
static bool relocate(struct vault_reader *reader, struct span *span, bool *has_moved,
                     struct err *err)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;
    int64_t run_id;
    uint64_t raw_offset;

    *has_moved = false;
    if (!vault_run_queries(
            reader,
            &(struct vault_query){ DB_VAULT_LOCATOR,
                                   DB_ARGS(DB_I64(span->account_id), DB_I64(span->message_id)) },
            1, &rows, err))
        return false;
    if (db_rows(rows) == 0)
        return true;
    run_id = db_i64(rows, 0, 0);
    raw_offset = (uint64_t)db_i64(rows, 0, 1);
    *has_moved = run_id != span->run_id || raw_offset != span->raw_offset;
    span->at = raw_offset + (span->at - span->raw_offset);
    span->end = raw_offset + (span->end - span->raw_offset);
    span->run_id = run_id;
    span->raw_offset = raw_offset;
    return true;
}

static bool load(struct vault_reader *reader, struct span *span, struct err *err)
{
    bool has_moved;

    if (!load_ranges(reader, span, err))
        return false;
    if (vault_find_frame(reader, span->account_id, span->run_id, span->at) != NULL)
        return true;
    if (!relocate(reader, span, &has_moved, err))
        return false;
    return !has_moved || load_ranges(reader, span, err);
}

/* Position behind the frame. */
static uint64_t frame_end(const struct vault_frame *frame)
{
    return frame->raw_start + frame->facts.raw_bytes;
}

static bool is_decoded(struct vault_reader *reader, const struct span *span, uint64_t at,
                       uint64_t *end)
{
    uint64_t start = 0;
    struct bytes raw = vault_decoded(reader, span->account_id, span->run_id, at, &start);

    *end = start + raw.len;
    return raw.len > 0;
}

/* True: every frame of the span is in the window, or is the decoded one. */
static bool is_loaded(struct vault_reader *reader, const struct span *span)
{
    uint64_t end;

    for (uint64_t at = span->at; at < span->end; at = end) {
        const struct vault_frame *frame;

        if (is_decoded(reader, span, at, &end))
            continue;
        frame = vault_find_frame(reader, span->account_id, span->run_id, at);
        if (frame == NULL)
            return false;
        end = frame_end(frame);
    }
    return true;
}

/* The frame that holds a position which was just loaded. */
static bool get_frame(struct vault_reader *reader, const struct span *span, uint64_t at,
                      struct vault_frame **out, struct err *err)
{
    *out = vault_find_frame(reader, span->account_id, span->run_id, at);
    if (*out != NULL)
        return true;
    if (at == span->at && vault_window_is_empty(reader))
        return err_fail(err, ERR_ABSENT, "no such octets");
    return err_fail(err, ERR_CORRUPT, "run %jd has no frame at %ju", (intmax_t)span->run_id,
                    (uintmax_t)at);
}

bool vault_check_octets(struct vault_reader *reader, const struct vault_octets *octets,
                        uint64_t offset, uint64_t length, struct err *err)
{
    struct span span = span_of(octets, offset, length);
    uint64_t end;

    if (span.end - span.at > VAULT_CHECKED_BYTES)
        span.end = span.at + VAULT_CHECKED_BYTES;
    if (span.at == span.end)
        return true;
    if (!is_loaded(reader, &span) && !load(reader, &span, err))
        return false;
    for (uint64_t at = span.at; at < span.end; at = end) {
        struct vault_frame *frame;

        if (is_decoded(reader, &span, at, &end))
            continue;
        if (!get_frame(reader, &span, at, &frame, err) || !vault_check_frame(reader, frame, err))
            return false;
        end = frame_end(frame);
    }
    return true;
}

/* Loads no more of the span than one round trip should bring; the span itself may move. */
static bool load_next(struct vault_reader *reader, struct span *span, struct err *err)
{
    struct span next = *span;
    uint64_t left = span->end - span->at;

    if (left > PREFETCH_BYTES)
        next.end = next.at + PREFETCH_BYTES;
    if (!load(reader, &next, err))
        return false;
    span->run_id = next.run_id;
    span->raw_offset = next.raw_offset;
    span->at = next.at;
    span->end = next.at + left;
    return true;
}

/* The decoded octets from span->at to the end of their frame. */
static bool get_raw(struct vault_reader *reader, struct span *span, struct bytes *out,
                    struct err *err)
{
    uint64_t start = 0;
    struct bytes raw = vault_decoded(reader, span->account_id, span->run_id, span->at, &start);

    if (raw.len == 0) {
        struct vault_frame *frame =
            vault_find_frame(reader, span->account_id, span->run_id, span->at);

        if (frame == NULL &&
            (!load_next(reader, span, err) || !get_frame(reader, span, span->at, &frame, err)))
            return false;
        if (!vault_decode_frame(reader, frame, &raw, err))
            return false;
        start = frame->raw_start;
    }
    *out = bytes_slice(raw, (size_t)(span->at - start), SIZE_MAX);
    return true;
}

bool vault_stream_octets(struct vault_reader *reader, const struct vault_octets *octets,
                         uint64_t offset, uint64_t length, vault_sink_fn *sink, void *context,
                         struct err *err)
{
    struct span span = span_of(octets, offset, length);
    struct bytes raw;

    while (span.at < span.end) {
        if (!get_raw(reader, &span, &raw, err))
            return false;
        if (raw.len > span.end - span.at)
            raw.len = (size_t)(span.end - span.at);
        if (!sink(context, raw, err))
            return false;
        span.at += raw.len;
    }
    return true;
}

static bool hash_octets(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    crypto_update_hasher(context, octets);
    return true;
}

bool vault_verify_octets(struct vault_reader *reader, const struct vault_octets *octets,
                         const struct crypto_sha256 *sha256, struct err *err)
{
    CLEANUP(crypto_free_hasher) struct crypto_hasher *hasher = crypto_create_hasher();
    struct crypto_sha256 hash;

    if (!vault_stream_octets(reader, octets, 0, octets->size_bytes, hash_octets, hasher, err))
        return false;
    hash = crypto_finish_hasher(hasher);
    if (memcmp(hash.octets, sha256->octets, sizeof hash.octets) != 0)
        return err_fail(err, ERR_CORRUPT, "run %jd: octets at %ju do not match their SHA-256",
                        (intmax_t)octets->run_id, (uintmax_t)octets->raw_offset);
    return true;
}
