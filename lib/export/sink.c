/* SPDX-License-Identifier: Apache-2.0 */
#include "export/sink.h"

#include "base/fd.h"
#include "export/tar.h"

#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum {
    JOB_BYTES =
        1 << 20, /* of one thread; with 2 MiB of window it costs about 4 % of the ratio of 8 */
    SKIPPABLE_HEAD = 8, /* magic and size */
    OUT_BYTES = 256 << 10,
};

struct export_sink {
    int fd;
    ZSTD_CCtx *zstd;
    bool is_inside_frame;
    off_t place; /* -1: none is open */
    ZSTD_outBuffer out;
};

static bool set(ZSTD_CCtx *zstd, ZSTD_cParameter parameter, int value, struct err *err)
{
    size_t result = ZSTD_CCtx_setParameter(zstd, parameter, value);

    return !ZSTD_isError(result) ||
           err_fail(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(result));
}

bool export_open_sink(int fd, int level, int threads, struct export_sink **out, struct err *err)
{
    CLEANUP(export_close_sink) struct export_sink *sink = calloc(1, sizeof *sink);

    if (sink == NULL)
        return err_errno(err, "compressor");
    sink->fd = fd;
    sink->place = -1;
    sink->zstd = ZSTD_createCCtx();
    sink->out = (ZSTD_outBuffer){ malloc(OUT_BYTES), OUT_BYTES, 0 };
    if (sink->zstd == NULL || sink->out.dst == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a compressor");
    if (!set(sink->zstd, ZSTD_c_compressionLevel, level, err) ||
        !set(sink->zstd, ZSTD_c_checksumFlag, 1, err))
        return false;
    /* A zstd that was built without threads refuses; then it compresses here. */
    if (threads > 0 &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(sink->zstd, ZSTD_c_nbWorkers, threads)) &&
        !set(sink->zstd, ZSTD_c_jobSize, JOB_BYTES, err))
        return false;
    *out = sink;
    sink = NULL;
    return true;
}

void export_close_sink(struct export_sink **sink)
{
    if (*sink == NULL)
        return;
    ZSTD_freeCCtx((*sink)->zstd);
    free((*sink)->out.dst);
    free(*sink);
    *sink = NULL;
}

static bool flush(struct export_sink *sink, struct err *err)
{
    struct bytes octets = bytes_of(sink->out.dst, sink->out.pos);

    sink->out.pos = 0;
    return fd_write_all(sink->fd, octets, err) || err_wrap(err, "export file");
}

/* *left: 0 when everything given is in the file, for flushing and ending. */
static bool step(struct export_sink *sink, ZSTD_inBuffer *in, ZSTD_EndDirective directive,
                 size_t *left, struct err *err)
{
    *left = ZSTD_compressStream2(sink->zstd, &sink->out, in, directive);
    if (ZSTD_isError(*left))
        return err_fail(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(*left));
    return sink->out.pos < sink->out.size / 2 || flush(sink, err);
}

bool export_write_sink(struct export_sink *sink, struct bytes octets, struct err *err)
{
    ZSTD_inBuffer in = { octets.ptr, octets.len, 0 };
    size_t left;

    if (octets.len > 0)
        sink->is_inside_frame = true;
    while (in.pos < in.size)
        if (!step(sink, &in, ZSTD_e_continue, &left, err))
            return false;
    return true;
}

static bool end_frame(struct export_sink *sink, struct err *err)
{
    ZSTD_inBuffer none = { NULL, 0, 0 };
    size_t left = sink->is_inside_frame ? 1 : 0;

    while (left > 0)
        if (!step(sink, &none, ZSTD_e_end, &left, err))
            return false;
    sink->is_inside_frame = false;
    return flush(sink, err);
}

bool export_leave_place(struct export_sink *sink, struct err *err)
{
    static const uint8_t nothing[EXPORT_PLACE_BYTES];

    assert(sink->place < 0);
    if (!end_frame(sink, err))
        return false;
    sink->place = lseek(sink->fd, 0, SEEK_CUR);
    if (sink->place < 0)
        return err_errno(err, "export file");
    return fd_write_all(sink->fd, bytes_of(nothing, sizeof nothing), err) ||
           err_wrap(err, "export file");
}

static void put_le32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

bool export_fill_place(struct export_sink *sink, struct bytes octets, struct err *err)
{
    uint8_t place[EXPORT_PLACE_BYTES] = { 0 };
    size_t size, rest;
    off_t back;

    assert(sink->place >= 0 && octets.len <= EXPORT_TAR_HEADER_BYTES);
    if (!end_frame(sink, err))
        return false;
    /* The parameters of the stream (checksum, level) hold here too. */
    size = ZSTD_compress2(sink->zstd, place, sizeof place - SKIPPABLE_HEAD, octets.ptr, octets.len);
    if (ZSTD_isError(size))
        return err_fail(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(size));
    rest = sizeof place - size - SKIPPABLE_HEAD;
    put_le32(place + size, ZSTD_MAGIC_SKIPPABLE_START);
    put_le32(place + size + 4, (uint32_t)rest);
    memset(place + size + SKIPPABLE_HEAD, 0, rest);
    back = lseek(sink->fd, 0, SEEK_CUR);
    if (back < 0 || lseek(sink->fd, sink->place, SEEK_SET) < 0)
        return err_errno(err, "export file");
    sink->place = -1;
    if (!fd_write_all(sink->fd, bytes_of(place, sizeof place), err))
        return err_wrap(err, "export file");
    return lseek(sink->fd, back, SEEK_SET) >= 0 || err_errno(err, "export file");
}

bool export_finish_sink(struct export_sink *sink, struct err *err)
{
    assert(sink->place < 0);
    return end_frame(sink, err);
}
