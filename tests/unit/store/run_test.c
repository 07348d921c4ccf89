/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "store/member.h"
#include "store/run.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FRAMES_MAX = 64
};

/* What a run gave: facts of its frames, their stored octets in a row, their raw octets by position. */
struct made {
    struct store_frame frames[FRAMES_MAX];
    size_t count;
    struct buf stored;
    uint8_t *raw; /* 16 MiB */
    uint64_t raw_end;
    struct store_decoder *decoder;
    size_t fail_at; /* the sink refuses this frame; 0: none */
};

static void made_open(struct made *made)
{
    *made = (struct made){ .stored = buf_create(64u << 20) };
    made->raw = calloc(1, 16u << 20);
    made->decoder = store_create_decoder();
    CHECK(made->raw != NULL);
}

static void made_close(struct made *made)
{
    buf_free(&made->stored);
    free(made->raw);
    store_free_decoder(&made->decoder);
}

static bool keep(void *context, const struct store_frame *frame, struct err *err)
{
    struct made *made = context;
    struct store_checked_frame checked;

    CHECK(made->count < FRAMES_MAX);
    made->frames[made->count++] = *frame;
    if (made->fail_at == made->count)
        return err_fail(err, ERR_RETRY, "refused");
    buf_append(&made->stored, frame->stored);
    CHECK(frame->raw_start + frame->facts.raw_bytes <= 16u << 20);
    CHECK(store_check_frame(&frame->facts, frame->stored, &checked, err));
    CHECK(store_decode_frame(made->decoder, checked, made->raw + frame->raw_start, err));
    if (frame->raw_start + frame->facts.raw_bytes > made->raw_end)
        made->raw_end = frame->raw_start + frame->facts.raw_bytes;
    return true;
}

static uint8_t *make_mail(size_t len, uint32_t seed)
{
    uint8_t *mail = malloc(len + 1);

    CHECK(mail != NULL);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        mail[i] = i % 72 == 71 ? (uint8_t)'\n' : (uint8_t)('a' + (seed >> 24) % 24);
    }
    return mail;
}

/* Puts members of these sizes; each must be found at the offset that was told. */
static void put_members(struct store_run_writer *run, struct made *made, const size_t *sizes,
                        size_t count)
{
    uint64_t offsets[FRAMES_MAX];
    struct err err = { 0 };

    store_begin_run(run);
    for (size_t i = 0; i < count; i++) {
        uint8_t *mail = make_mail(sizes[i], (uint32_t)i);
        struct crypto_sha256 hash = crypto_hash(bytes_of(mail, sizes[i]));

        CHECK(store_put_member(run, &hash, bytes_of(mail, sizes[i]), &offsets[i], &err));
        free(mail);
    }
    CHECK(store_end_run(run, &err));
    for (size_t i = 0; i < count; i++) {
        uint8_t *mail = make_mail(sizes[i], (uint32_t)i);

        CHECK_EQ_U64(offsets[i] % STORE_BLOCK_BYTES, 0);
        CHECK_BYTES(bytes_of(made->raw + offsets[i], sizes[i]), bytes_of(mail, sizes[i]));
        free(mail);
    }
}

/* Frames follow each other without gap or overlap. */
static void check_row(const struct made *made)
{
    uint64_t at = 0;

    for (size_t i = 0; i < made->count; i++) {
        CHECK_EQ_U64(made->frames[i].ordinal, i);
        CHECK_EQ_U64(made->frames[i].raw_start, at);
        CHECK(made->frames[i].facts.raw_bytes <= LIMIT_FRAME_TARGET_BYTES);
        at += made->frames[i].facts.raw_bytes;
    }
    CHECK_EQ_U64(at, made->raw_end);
}

TEST(small_members_share_a_frame_which_ends_at_a_member_border)
{
    static const size_t sizes[] = { 100000, 100000, 100000, 0, 1, 512 };
    struct made made;
    struct store_run_writer *run;

    made_open(&made);
    run = store_create_run_writer(keep, &made);
    put_members(run, &made, sizes, ARRAY_LEN(sizes));
    check_row(&made);
    CHECK_EQ_U64(made.count, 2);
    CHECK_EQ_U64(made.frames[0].facts.raw_bytes, 2 * store_member_bytes(100000));
    store_free_run_writer(&run);
    made_close(&made);
}

TEST(member_over_the_target_begins_a_fresh_frame_and_its_tail_is_shared)
{
    static const size_t sizes[] = { 1000, 700000, 1000, 1000 };
    struct made made;
    struct store_run_writer *run;

    made_open(&made);
    run = store_create_run_writer(keep, &made);
    put_members(run, &made, sizes, ARRAY_LEN(sizes));
    check_row(&made);
    CHECK_EQ_U64(made.count, 4);
    CHECK_EQ_U64(made.frames[0].facts.raw_bytes, store_member_bytes(1000));
    CHECK_EQ_U64(made.frames[1].facts.raw_bytes, LIMIT_FRAME_TARGET_BYTES);
    CHECK_EQ_U64(made.frames[2].facts.raw_bytes, LIMIT_FRAME_TARGET_BYTES);
    CHECK_EQ_U64(made.frames[3].facts.raw_bytes, store_member_bytes(700000) -
                                                     2 * LIMIT_FRAME_TARGET_BYTES +
                                                     2 * store_member_bytes(1000));
    store_free_run_writer(&run);
    made_close(&made);
}

TEST(members_that_fill_a_frame_exactly_leave_no_empty_one)
{
    static const size_t sizes[] = { LIMIT_FRAME_TARGET_BYTES - 512, 131072 - 512, 131072 - 1023 };
    struct made made;
    struct store_run_writer *run;

    made_open(&made);
    run = store_create_run_writer(keep, &made);
    put_members(run, &made, sizes, ARRAY_LEN(sizes));
    check_row(&made);
    CHECK_EQ_U64(made.count, 2);
    CHECK_EQ_U64(made.raw_end, 2 * LIMIT_FRAME_TARGET_BYTES);
    store_free_run_writer(&run);
    made_close(&made);
}

TEST(run_without_members_has_no_frame)
{
    struct made made;
    struct store_run_writer *run;
    struct err err = { 0 };

    made_open(&made);
    run = store_create_run_writer(keep, &made);
    store_begin_run(run);
    CHECK(store_end_run(run, &err));
    CHECK_EQ_U64(made.count, 0);
    store_free_run_writer(&run);
    made_close(&made);
}

static void write_large(struct store_run_writer *run, struct bytes mail, size_t piece,
                        struct crypto_sha256 *hash)
{
    struct err err = { 0 };
    uint64_t size = 0;

    store_begin_large(run);
    for (size_t at = 0; at < mail.len; at += piece)
        CHECK(store_write_large(run, bytes_slice(mail, at, piece), &err));
    CHECK(store_finish_large(run, hash, &size, &err));
    CHECK_EQ_U64(size, mail.len);
}

TEST(large_message_is_a_run_of_its_own_whose_header_frame_comes_last)
{
    static const size_t sizes[] = { 1, 262144, 262145, 9000000, 9000448 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t *mail = make_mail(sizes[i], 3);
        uint8_t header[STORE_BLOCK_BYTES];
        struct crypto_sha256 hash;
        struct made made;
        struct store_run_writer *run;
        struct err err = { 0 };
        uint64_t at = STORE_LARGE_RAW_OFFSET;

        made_open(&made);
        run = store_create_run_writer(keep, &made);
        write_large(run, bytes_of(mail, sizes[i]), 100003, &hash);
        CHECK(store_put_large_header(run, &err));
        for (size_t n = 0; n + 1 < made.count; n++) {
            CHECK_EQ_U64(made.frames[n].ordinal, n + 1);
            CHECK_EQ_U64(made.frames[n].raw_start, at);
            at += made.frames[n].facts.raw_bytes;
            if (n + 2 < made.count)
                CHECK_EQ_U64(made.frames[n].facts.raw_bytes, LIMIT_FRAME_TARGET_BYTES);
        }
        CHECK_EQ_U64(made.frames[made.count - 1].ordinal, 0);
        CHECK_EQ_U64(made.frames[made.count - 1].raw_start, 0);
        CHECK_EQ_U64(made.raw_end, store_member_bytes(sizes[i]));
        hash = crypto_hash(bytes_of(mail, sizes[i]));
        CHECK(store_write_member_header(&hash, sizes[i], header, &err));
        CHECK_BYTES(bytes_of(made.raw, sizeof header), bytes_of(header, sizeof header));
        CHECK(memcmp(made.raw + STORE_LARGE_RAW_OFFSET, mail, sizes[i]) == 0);
        store_free_run_writer(&run);
        made_close(&made);
        free(mail);
    }
}

TEST(large_message_that_broke_off_leaves_nothing_in_the_next_one)
{
    uint8_t *mail = make_mail(600000, 8);
    struct crypto_sha256 hash, want = crypto_hash(bytes_of(mail, 500000));
    struct made made;
    struct store_run_writer *run;
    struct err err = { 0 };

    made_open(&made);
    run = store_create_run_writer(keep, &made);
    store_begin_large(run);
    CHECK(store_write_large(run, bytes_of(mail, 600000), &err));
    made.count = 0;
    write_large(run, bytes_of(mail, 500000), 4096, &hash);
    CHECK(memcmp(hash.octets, want.octets, sizeof hash.octets) == 0);
    CHECK_EQ_U64(made.frames[0].ordinal, 1);
    CHECK_EQ_U64(made.frames[0].raw_start, STORE_LARGE_RAW_OFFSET);
    store_free_run_writer(&run);
    made_close(&made);
    free(mail);
}

TEST(error_of_the_sink_ends_the_run)
{
    uint8_t *mail = make_mail(600000, 8);
    struct crypto_sha256 hash = crypto_hash(bytes_of(mail, 600000));
    struct made made;
    struct store_run_writer *run;
    struct err err = { 0 };
    uint64_t offset = 77;

    made_open(&made);
    made.fail_at = 2;
    run = store_create_run_writer(keep, &made);
    store_begin_run(run);
    CHECK(!store_put_member(run, &hash, bytes_of(mail, 600000), &offset, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_EQ_U64(offset, 77);
    store_free_run_writer(&run);
    made_close(&made);
    free(mail);
}

/* ---- other people's tools ------------------------------------------------------------------- */

/* Exit status of a program whose output and complaints go to a file; 127: there is no such program. */
static int run_tool(char *const *argv, const char *folder, const char *output)
{
    pid_t child = fork();
    int status = 0;

    CHECK(child >= 0);
    if (child == 0) {
        if (chdir(folder) != 0 || freopen(output, "w", stdout) == NULL ||
            dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
            _exit(126);
        execvp(argv[0], argv);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void write_file(const char *folder, const char *name, struct bytes octets)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fwrite(octets.ptr, 1, octets.len, file) == octets.len);
    CHECK(fclose(file) == 0);
}

/* The whole file, at most 16 MiB. */
static struct bytes read_file(const char *folder, const char *name, uint8_t *room)
{
    char path[160];
    FILE *file;
    size_t len;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r");
    CHECK(file != NULL);
    len = fread(room, 1, 16u << 20, file);
    fclose(file);
    return bytes_of(room, len);
}

static void check_extracted(const char *folder, struct bytes mail, uint8_t *room)
{
    struct crypto_sha256 hash = crypto_hash(mail);
    struct buf name = buf_create(100);

    buf_hex(&name, crypto_sha256_bytes(&hash));
    buf_text(&name, ".eml");
    buf_byte(&name, 0);
    CHECK(bytes_equal(read_file(folder, (const char *)name.ptr, room), mail));
    buf_free(&name);
}

TEST(frames_in_a_row_and_two_zero_blocks_are_a_tar_zst_that_other_tools_take_without_warning)
{
    static const size_t sizes[] = { 0, 1, 20000, 300000, 512, 262144, 40000 };
    static char *const test_argv[] = { "zstd", "-tq", "pack.tar.zst", NULL };
    static char *const tar_argv[] = { "tar", "--zstd", "-xf", "pack.tar.zst", NULL };
    static char *const rm_argv[] = { "rm", "-rf", NULL, NULL };
    char folder[] = "/tmp/holdfast-store-XXXXXX";
    uint8_t *large = make_mail(9000001, 99);
    uint8_t *room = malloc(16u << 20);
    struct made made;
    struct store_run_writer *run;
    struct store_encoder *encoder = store_create_encoder();
    struct store_frame_facts facts;
    struct crypto_sha256 hash;
    struct bytes stored;
    struct buf pack = buf_create(64u << 20);
    struct err err = { 0 };
    size_t large_at;
    int status;

    CHECK(room != NULL && mkdtemp(folder) != NULL);
    made_open(&made);
    run = store_create_run_writer(keep, &made);
    put_members(run, &made, sizes, ARRAY_LEN(sizes));

    /* A large run: in the pack its frames stand by ordinal. */
    large_at = made.stored.len;
    write_large(run, bytes_of(large, 9000001), 65536, &hash);
    buf_append(&pack, bytes_of(made.stored.ptr, large_at));
    {
        size_t before_header = made.stored.len;

        CHECK(store_put_large_header(run, &err));
        buf_append(&pack, bytes_slice(buf_bytes(&made.stored), before_header, SIZE_MAX));
        buf_append(&pack, bytes_of(made.stored.ptr + large_at, before_header - large_at));
    }
    CHECK(store_encode_end(encoder, &stored, &facts, &err));
    CHECK_EQ_U64(facts.raw_bytes, 1024);
    buf_append(&pack, stored);
    write_file(folder, "pack.tar.zst", buf_bytes(&pack));

    status = run_tool(test_argv, folder, "zstd.out");
    if (status == 127) {
        printf("SKIP: no zstd\n");
    } else {
        CHECK_EQ_I64(status, 0);
        CHECK_EQ_U64(read_file(folder, "zstd.out", room).len, 0);
        CHECK_EQ_I64(run_tool(tar_argv, folder, "tar.out"), 0);
        CHECK_BYTES(read_file(folder, "tar.out", room), BYTES(""));
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            uint8_t *mail = make_mail(sizes[i], (uint32_t)i);

            check_extracted(folder, bytes_of(mail, sizes[i]), room);
            free(mail);
        }
        check_extracted(folder, bytes_of(large, 9000001), room);
    }
    {
        char *argv[4];

        memcpy(argv, rm_argv, sizeof argv);
        argv[2] = folder;
        run_tool(argv, "/tmp", "/dev/null");
    }
    store_free_run_writer(&run);
    store_free_encoder(&encoder);
    made_close(&made);
    buf_free(&pack);
    free(large);
    free(room);
}
