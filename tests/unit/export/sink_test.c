/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/fd.h"
#include "export/sink.h"
#include "export/tar.h"
#include "export/writer.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

static int make_file(void)
{
    int fd = memfd_create("export", MFD_CLOEXEC);

    CHECK(fd >= 0);
    return fd;
}

/* What any zstd makes of the file. */
static struct buf decode(int fd)
{
    struct buf out = buf_create((size_t)64 << 20);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *stored = malloc((size_t)size + 1);
    ZSTD_inBuffer in = { stored, (size_t)size, 0 };
    uint8_t chunk[65536];
    size_t left = 0;

    CHECK(pread(fd, stored, (size_t)size, 0) == size);
    while (in.pos < in.size) {
        ZSTD_outBuffer piece = { chunk, sizeof chunk, 0 };

        left = ZSTD_decompressStream(zstd, &piece, &in);
        CHECK(!ZSTD_isError(left));
        buf_append(&out, bytes_of(chunk, piece.pos));
    }
    while (left > 0) {
        ZSTD_outBuffer piece = { chunk, sizeof chunk, 0 };

        left = ZSTD_decompressStream(zstd, &piece, &in);
        CHECK(!ZSTD_isError(left) && (piece.pos > 0 || left == 0));
        buf_append(&out, bytes_of(chunk, piece.pos));
    }
    ZSTD_freeDCtx(zstd);
    free(stored);
    return out;
}

TEST(places_are_read_before_what_was_written_behind_them)
{
    for (int threads = 0; threads < 3; threads++) {
        struct export_sink *sink = NULL;
        struct err err = { 0 };
        int fd = make_file();
        struct buf out;

        CHECK(export_open_sink(fd, 3, threads, &sink, &err));
        CHECK(export_write_sink(sink, BYTES("one "), &err));
        CHECK(export_leave_place(sink, &err));
        CHECK(export_write_sink(sink, BYTES("three "), &err));
        CHECK(export_fill_place(sink, BYTES("two "), &err));
        CHECK(export_leave_place(sink, &err));
        CHECK(export_fill_place(sink, BYTES("four "), &err));
        CHECK(export_write_sink(sink, BYTES("five"), &err));
        CHECK(export_finish_sink(sink, &err));
        export_close_sink(&sink);
        out = decode(fd);
        CHECK_BYTES(buf_bytes(&out), BYTES("one two three four five"));
        buf_free(&out);
        fd_close(&fd);
    }
}

TEST(members_small_and_large_sized_or_not_are_the_same_tar)
{
    size_t sizes[] = { 0, 1, 511, 512, 513, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20 };
    struct buf tars[2];

    for (int is_sized = 0; is_sized < 2; is_sized++) {
        struct export_sink *sink = NULL;
        struct export_writer *writer = NULL;
        struct err err = { 0 };
        int fd = make_file(), sums_fd = make_file();
        struct export_spool sums = export_begin_spool(sums_fd);
        uint8_t *octets = calloc(1, 5 << 20);

        for (size_t i = 0; i < (size_t)5 << 20; i++)
            octets[i] = (uint8_t)(i * 31 >> 3);
        CHECK(export_open_sink(fd, 1, 1, &sink, &err));
        CHECK(export_create_writer(sink, &sums, 1000000000, &writer, &err));
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            char name[300];

            (void)snprintf(name, sizeof name, "mail/%0*zu.mbox", i % 2 == 0 ? 1 : 250, i);
            CHECK(is_sized ? export_begin_sized(writer, bytes_of_text(name), 0644, sizes[i], &err)
                           : export_begin_member(writer, bytes_of_text(name), 0644, &err));
            for (size_t at = 0; at < sizes[i]; at += 100000)
                CHECK(export_write_member(
                    writer, bytes_of(octets + at, sizes[i] - at < 100000 ? sizes[i] - at : 100000),
                    &err));
            CHECK_EQ_U64(export_member_size(writer), sizes[i]);
            CHECK(export_end_member(writer, &err));
        }
        CHECK(export_write_folder(writer, BYTES("mail/new/"), &err));
        CHECK(export_end_tar(writer, &err));
        tars[is_sized] = decode(fd);
        CHECK(tars[is_sized].len % EXPORT_TAR_BLOCK_BYTES == 0);
        export_free_writer(&writer);
        export_close_sink(&sink);
        export_free_spool(&sums);
        free(octets);
        fd_close(&fd);
        fd_close(&sums_fd);
    }
    CHECK(bytes_equal(buf_bytes(&tars[0]), buf_bytes(&tars[1])));
    buf_free(&tars[0]);
    buf_free(&tars[1]);
}

TEST(header_of_a_member_over_8_gib_needs_no_more_than_its_place)
{
    struct buf out = buf_create(EXPORT_TAR_HEADER_BYTES);
    struct err err = { 0 };
    char name[400];
    struct export_member member = {
        .name = name, .size_bytes = UINT64_C(1) << 40, .mode = 0644, .mtime = 1
    };

    (void)snprintf(name, sizeof name, "a/%0390d", 1);
    CHECK(export_write_tar_header(&member, &out, &err));
    CHECK(out.len > EXPORT_TAR_BLOCK_BYTES && out.len % EXPORT_TAR_BLOCK_BYTES == 0);
    CHECK(bytes_find(buf_bytes(&out), BYTES(" size=1099511627776\n")) > 0);
    buf_free(&out);
}
