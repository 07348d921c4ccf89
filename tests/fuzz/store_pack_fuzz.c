/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/store_pack_fuzz.c - hostile packs: opened and walked within bounds, right or ERR_CORRUPT.
 *
 * Input, by its first octet: 0 the whole file; otherwise a pack is made whose frames hold the rest (raw
 * octets cut every 2^(first octet & 15)), so that what lies behind hashes and zstd is reached: the tar
 * stream. Bit 16 adds a catalogue and the end.
 */
#include "base/buf.h"
#include "store/pack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_at(void *context, uint64_t offset, uint8_t *out, size_t len, struct err *err)
{
    const struct bytes *file = context;

    assert(len <= (size_t)STORE_PACK_FRAMES_MAX * 64);
    if (offset > file->len || len > file->len - offset)
        return err_fail(err, ERR_CORRUPT, "the file ends");
    memcpy(out, file->ptr + offset, len);
    return true;
}

struct seen {
    uint64_t end; /* of the last member */
    bool has_catalogue;
    bool is_broken;
};

static bool on_member(void *context, const struct store_member *member, bool is_intact,
                      struct err *err)
{
    struct seen *seen = context;

    (void)err;
    assert(!seen->has_catalogue);
    assert(member->raw_offset % 512 == 0 && member->raw_offset >= seen->end + 512);
    seen->end = member->raw_offset + member->size_bytes;
    seen->has_catalogue = member->is_catalogue;
    seen->is_broken = seen->is_broken || !is_intact;
    return true;
}

static bool count_octets(void *context, struct bytes octets, struct err *err)
{
    uint64_t *total = context;

    (void)err;
    *total += octets.len;
    return true;
}

/* The catalogue alone: at most as many octets as asked for. */
static void read_catalogue(struct store_pack *pack)
{
    uint64_t total = 0;
    struct err err = { 0 };
    size_t run_frames, count;

    (void)store_pack_frames(pack, &count);
    if (store_read_catalogue(pack, 100, count_octets, &total, &run_frames, &err))
        assert(run_frames + 2 <= count);
    else
        assert(err.code == ERR_CORRUPT);
    assert(total <= 100);
}

static void walk(struct bytes file)
{
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    struct store_pack_source source = { read_at, &file, file.len };
    struct seen seen = { 0 };
    struct store_pack_visitor visitor = { .context = &seen, .member = on_member };
    struct err err = { 0 };
    size_t count;

    if (!store_open_pack(&source, &pack, &err)) {
        assert(err.code == ERR_CORRUPT && pack == NULL);
        return;
    }
    (void)store_pack_frames(pack, &count);
    assert(count > 0);
    read_catalogue(pack);
    if (store_walk_pack(pack, NULL, &visitor, &err))
        assert(seen.has_catalogue && !seen.is_broken && seen.end <= store_pack_raw_bytes(pack));
    else
        assert(err.code == ERR_CORRUPT);
}

static bool keep(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

static bool put_frame(void *context, const struct store_frame *frame, struct err *err)
{
    return store_put_pack_frame(context, &frame->facts, frame->stored, NULL, err);
}

static void walk_made(uint8_t how, struct bytes raw)
{
    struct buf file = buf_create(64u << 20);
    struct store_pack_writer *writer = store_create_pack_writer(keep, &file);
    struct store_encoder *encoder = store_create_encoder();
    struct store_catalogue *catalogue = store_create_catalogue(put_frame, writer);
    struct store_pack_facts facts;
    struct store_frame frame = { 0 };
    struct err err = { 0 };
    size_t cut = (size_t)1 << (how & 15);

    for (size_t at = 0, frames = 0; at < raw.len && frames < 1000; at += cut, frames++) {
        if (!store_encode_frame(encoder, bytes_slice(raw, at, cut), &frame.stored, &frame.facts,
                                &err) ||
            !put_frame(writer, &frame, &err))
            assert(0);
    }
    /* An empty catalogue is its header alone. */
    if ((how & 16) != 0 &&
        (!store_end_catalogue(catalogue, &frame, &err) || !put_frame(writer, &frame, &err)))
        assert(0);
    if (!store_end_pack(writer, &facts, &err))
        assert(0);
    walk(buf_bytes(&file));
    store_free_catalogue(&catalogue);
    store_free_encoder(&encoder);
    store_free_pack_writer(&writer);
    buf_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 0)
        walk(bytes_of(data + 1, size - 1));
    else
        walk_made(data[0], bytes_of(data + 1, size - 1));
    return 0;
}
