/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "store/member.h"
#include "store/pack.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PARTS_MAX = 64,
    FILE_MAX = 32 << 20,
};

/* A pack in memory, while it is made and when it is read. */
struct fixture {
    struct buf file;
    struct store_pack_writer *writer;
    struct buf spill; /* catalogue */
    struct store_frame_facts parts[PARTS_MAX];
    size_t part_count;
    struct store_pack_facts facts;
    /* what a walk told */
    size_t members, broken, damaged;
    struct buf catalogue;
    struct store_member last;
};

static bool keep_octets(void *context, struct bytes octets, struct err *err)
{
    (void)err;
    buf_append(context, octets);
    return true;
}

static bool put_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct fixture *f = context;

    return store_put_pack_frame(f->writer, &frame->facts, frame->stored, NULL, err);
}

static bool spill_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct fixture *f = context;

    (void)err;
    CHECK(f->part_count < PARTS_MAX);
    f->parts[f->part_count++] = frame->facts;
    buf_append(&f->spill, frame->stored);
    return true;
}

static void begin_pack(struct fixture *f)
{
    *f = (struct fixture){ .file = buf_create(FILE_MAX),
                           .spill = buf_create(FILE_MAX),
                           .catalogue = buf_create(FILE_MAX) };
    f->writer = store_create_pack_writer(keep_octets, &f->file);
}

static void put_run(struct fixture *f, const size_t *sizes, size_t count)
{
    struct store_run_writer *run = store_create_run_writer(put_frame, f);
    struct err err = { 0 };
    uint64_t offset;

    store_begin_run(run);
    for (size_t i = 0; i < count; i++) {
        uint8_t *mail = malloc(sizes[i] + 1);
        struct crypto_sha256 hash;

        CHECK(mail != NULL);
        for (size_t k = 0; k < sizes[i]; k++)
            mail[k] = (uint8_t)('a' + (k * (i + 3) / 7) % 26);
        hash = crypto_hash(bytes_of(mail, sizes[i]));
        CHECK(store_put_member(run, &hash, bytes_of(mail, sizes[i]), &offset, &err));
        free(mail);
    }
    CHECK(store_end_run(run, &err));
    store_free_run_writer(&run);
}

static void put_catalogue(struct fixture *f, size_t lines)
{
    struct store_catalogue *catalogue = store_create_catalogue(spill_frame, f);
    struct store_frame header;
    struct err err = { 0 };
    size_t at = 0;

    for (size_t i = 0; i < lines; i++) {
        char line[64];

        (void)snprintf(line, sizeof line, "{\"type\":\"placement\",\"uid\":%zu}", i);
        CHECK(store_put_line(catalogue, bytes_of_text(line), &err));
    }
    CHECK(store_end_catalogue(catalogue, &header, &err));
    CHECK_EQ_U64(header.facts.raw_bytes, STORE_BLOCK_BYTES);
    CHECK(store_put_pack_frame(f->writer, &header.facts, header.stored, NULL, &err));
    for (size_t i = 0; i < f->part_count; i++) {
        struct bytes stored = bytes_of(f->spill.ptr + at, f->parts[i].stored_bytes);

        CHECK(store_put_pack_frame(f->writer, &f->parts[i], stored, NULL, &err));
        at += stored.len;
    }
    store_free_catalogue(&catalogue);
}

static void end_pack(struct fixture *f)
{
    struct err err = { 0 };

    CHECK(store_end_pack(f->writer, &f->facts, &err));
    store_free_pack_writer(&f->writer);
    CHECK_EQ_U64(f->file.len, f->facts.stored_bytes);
}

static void make_pack(struct fixture *f)
{
    static const size_t first[] = { 100, 0, 70000, 600000, 512 };
    static const size_t second[] = { 33 };

    begin_pack(f);
    put_run(f, first, ARRAY_LEN(first));
    put_run(f, second, ARRAY_LEN(second));
    put_catalogue(f, 20000);
    end_pack(f);
}

static void drop_pack(struct fixture *f)
{
    store_free_pack_writer(&f->writer);
    buf_free(&f->file);
    buf_free(&f->spill);
    buf_free(&f->catalogue);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool read_at(void *context, uint64_t offset, uint8_t *out, size_t len, struct err *err)
{
    const struct bytes *file = context;

    if (offset > file->len || len > file->len - offset)
        return err_fail(err, ERR_CORRUPT, "the file ends");
    memcpy(out, file->ptr + offset, len);
    return true;
}

static bool on_catalogue(void *context, struct bytes octets, struct err *err)
{
    struct fixture *f = context;

    (void)err;
    buf_append(&f->catalogue, octets);
    return true;
}

static bool on_member(void *context, const struct store_member *member, bool is_intact,
                      struct err *err)
{
    struct fixture *f = context;

    (void)err;
    f->members++;
    f->broken += is_intact ? 0 : 1;
    f->last = *member;
    return true;
}

static bool on_damaged(void *context, const struct store_pack_frame *frame, const struct err *why,
                       struct err *err)
{
    struct fixture *f = context;

    (void)err;
    CHECK(frame != NULL && why->code == ERR_CORRUPT);
    f->damaged++;
    return true;
}

/* Opens and walks; ERR_NONE: all is well. */
static enum err_code verify(struct fixture *f, struct bytes file)
{
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    struct store_pack_source source = { read_at, &file, file.len };
    struct store_pack_visitor visitor = { f, on_damaged, on_catalogue, on_member };
    struct err err = { 0 };

    f->members = f->broken = f->damaged = 0;
    buf_reset(&f->catalogue, SIZE_MAX);
    if (store_open_pack(&source, &pack, &err))
        (void)!store_walk_pack(pack, &f->facts.sha256, &visitor, &err);
    return err.code;
}

TEST(pack_is_read_back_whole_by_its_index_and_by_its_tar_stream)
{
    struct fixture f;

    make_pack(&f);
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_NONE);
    CHECK_EQ_U64(f.members, 7);
    CHECK_EQ_U64(f.broken, 0);
    CHECK(f.last.is_catalogue);
    CHECK_EQ_U64(f.last.size_bytes, f.catalogue.len);
    CHECK(bytes_start_with(buf_bytes(&f.catalogue), BYTES("{\"type\":\"placement\",\"uid\":0}\n")));
    CHECK_EQ_U64(f.catalogue.ptr[f.catalogue.len - 1], '\n');
    drop_pack(&f);
}

TEST(pack_with_nothing_but_a_catalogue_is_one)
{
    struct fixture f;

    begin_pack(&f);
    put_catalogue(&f, 1);
    end_pack(&f);
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_NONE);
    CHECK_EQ_U64(f.members, 1);
    drop_pack(&f);
}

TEST(pack_is_the_same_octets_every_time)
{
    struct fixture a, b;

    make_pack(&a);
    make_pack(&b);
    CHECK(bytes_equal(buf_bytes(&a.file), buf_bytes(&b.file)));
    drop_pack(&a);
    drop_pack(&b);
}

TEST(every_truncation_is_found_when_the_pack_is_opened)
{
    struct fixture f;

    make_pack(&f);
    for (size_t len = 0; len < f.file.len; len += len < f.file.len - 2000 ? 97 : 1)
        CHECK_EQ_U64(verify(&f, bytes_of(f.file.ptr, len)), ERR_CORRUPT);
    drop_pack(&f);
}

TEST(octets_behind_the_end_are_found)
{
    struct fixture f;

    make_pack(&f);
    buf_byte(&f.file, 0);
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_CORRUPT);
    drop_pack(&f);
}

TEST(every_flipped_bit_is_found_and_no_broken_message_passes_for_whole)
{
    struct fixture f;
    uint32_t seed = 7;

    make_pack(&f);
    for (size_t i = 0; i < 300; i++) {
        size_t at;

        seed = seed * 1664525u + 1013904223u;
        at = (size_t)((uint64_t)seed * f.file.len >> 32);
        f.file.ptr[at] ^= (uint8_t)(1u << (seed & 7));
        CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_CORRUPT);
        CHECK_EQ_U64(f.broken, 0);
        f.file.ptr[at] ^= (uint8_t)(1u << (seed & 7));
    }
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_NONE);
    drop_pack(&f);
}

/* ---- packs that are well-formed and wrong ------------------------------------------------------- */

static void put_raw(struct fixture *f, struct bytes raw)
{
    struct store_encoder *encoder = store_create_encoder();
    struct store_frame frame = { 0 };
    struct err err = { 0 };

    CHECK(store_encode_frame(encoder, raw, &frame.stored, &frame.facts, &err));
    CHECK(put_frame(f, &frame, &err));
    store_free_encoder(&encoder);
}

TEST(message_without_the_hash_of_its_name_is_told_and_found)
{
    struct crypto_sha256 wrong = crypto_hash(BYTES("another"));
    uint8_t member[1024] = { 0 };
    struct fixture f;
    struct err err = { 0 };

    begin_pack(&f);
    CHECK(store_write_member_header(&wrong, 4, member, &err));
    memcpy(member + 512, "mail", 4);
    put_raw(&f, bytes_of(member, sizeof member));
    put_catalogue(&f, 1);
    end_pack(&f);
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_CORRUPT);
    CHECK_EQ_U64(f.members, 2);
    CHECK_EQ_U64(f.broken, 1);
    drop_pack(&f);
}

TEST(headers_that_are_not_ours_padding_that_is_not_zero_and_a_missing_catalogue_are_refused)
{
    struct crypto_sha256 hash = crypto_hash(BYTES("mail"));
    static const size_t places[] = { 0, 100, 124, 148, 156, 257, 511, 600, 1023 };
    struct err err = { 0 };

    for (size_t i = 0; i <= ARRAY_LEN(places); i++) {
        uint8_t member[1024] = { 0 };
        struct fixture f;

        begin_pack(&f);
        CHECK(store_write_member_header(&hash, 4, member, &err));
        memcpy(member + 512, "mail", 4);
        if (i < ARRAY_LEN(places))
            member[places[i]] ^= 1;
        put_raw(&f, bytes_of(member, sizeof member));
        if (i < ARRAY_LEN(places))
            put_catalogue(&f, 1);
        end_pack(&f);
        CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_CORRUPT);
        drop_pack(&f);
    }
}

TEST(tar_stream_that_breaks_off_inside_a_message_is_refused)
{
    struct crypto_sha256 hash = crypto_hash(BYTES("mail"));
    uint8_t member[1024] = { 0 };
    struct fixture f;
    struct err err = { 0 };

    begin_pack(&f);
    CHECK(store_write_member_header(&hash, 100000, member, &err));
    put_raw(&f, bytes_of(member, sizeof member));
    end_pack(&f);
    CHECK_EQ_U64(verify(&f, buf_bytes(&f.file)), ERR_CORRUPT);
    CHECK_EQ_U64(f.members, 0);
    drop_pack(&f);
}

TEST(frames_are_found_by_their_place_in_the_file)
{
    struct fixture f;
    struct bytes file;
    struct store_pack *pack = NULL;
    struct err err = { 0 };
    size_t count;

    make_pack(&f);
    file = buf_bytes(&f.file);
    CHECK(store_open_pack(&(struct store_pack_source){ read_at, &file, file.len }, &pack, &err));
    for (size_t i = 0; i < f.facts.frame_count; i++) {
        const struct store_pack_frame *frames = store_pack_frames(pack, &count);

        CHECK(store_find_pack_frame(pack, frames[i].stored_start) == &frames[i]);
        CHECK(store_find_pack_frame(pack, frames[i].stored_start + 1) == NULL);
    }
    CHECK_EQ_U64(count, f.facts.frame_count);
    store_close_pack(&pack);
    drop_pack(&f);
}

/* ---- the catalogue alone ---------------------------------------------------------------------- */

static bool read_catalogue(struct fixture *f, struct bytes file, uint64_t max_bytes,
                           size_t *run_frames, struct err *err)
{
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    struct store_pack_source source = { read_at, &file, file.len };

    buf_reset(&f->catalogue, 0);
    err_clear(err);
    CHECK(store_open_pack(&source, &pack, err));
    return store_read_catalogue(pack, max_bytes, keep_octets, &f->catalogue, run_frames, err);
}

TEST(catalogue_is_found_from_the_end_without_reading_messages)
{
    struct fixture f;
    struct err err = { 0 };
    size_t run_frames = 0, whole;

    make_pack(&f);
    f.file.ptr[10] ^= 1; /* of a message */
    CHECK(read_catalogue(&f, buf_bytes(&f.file), UINT64_MAX, &run_frames, &err));
    CHECK_EQ_U64(run_frames, f.facts.frame_count - 2 - f.part_count);
    whole = f.catalogue.len;
    CHECK(bytes_find(buf_bytes(&f.catalogue), BYTES("\"uid\":19999}\n")) ==
          (ssize_t)whole - (ssize_t)strlen("\"uid\":19999}\n"));
    CHECK(read_catalogue(&f, buf_bytes(&f.file), 10, &run_frames, &err));
    CHECK_BYTES(buf_bytes(&f.catalogue), BYTES("{\"type\":\"p"));
    drop_pack(&f);
}

TEST(catalogue_as_short_as_its_header_and_one_of_a_pack_without_messages_are_found)
{
    struct fixture f;
    struct err err = { 0 };
    size_t run_frames = 7;

    begin_pack(&f);
    put_catalogue(&f, 1);
    end_pack(&f);
    CHECK(read_catalogue(&f, buf_bytes(&f.file), UINT64_MAX, &run_frames, &err));
    CHECK_EQ_U64(run_frames, 0);
    CHECK_BYTES(buf_bytes(&f.catalogue), BYTES("{\"type\":\"placement\",\"uid\":0}\n"));
    drop_pack(&f);
}

TEST(damaged_or_missing_catalogue_is_told)
{
    static const size_t sizes[] = { 100 };
    struct fixture f;
    struct err err = { 0 };
    size_t run_frames;

    make_pack(&f);
    f.file.ptr[f.file.len - f.facts.frame_count * 56 - 64 - 8 - 60] ^= 1; /* its last frame */
    CHECK(!read_catalogue(&f, buf_bytes(&f.file), UINT64_MAX, &run_frames, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    drop_pack(&f);

    begin_pack(&f);
    put_run(&f, sizes, 1);
    end_pack(&f);
    CHECK(!read_catalogue(&f, buf_bytes(&f.file), UINT64_MAX, &run_frames, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    drop_pack(&f);
}
