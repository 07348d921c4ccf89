/* SPDX-License-Identifier: Apache-2.0 */
#include "export/writer.h"

#include "export/tar.h"

#include <stdlib.h>

enum {
    HELD_BYTES = 1 << 20, /* members up to here need no place of their own in the file */
    NAME_BYTES = 512,
};

struct export_writer {
    struct export_sink *sink;
    struct export_spool *sums;
    int64_t mtime;
    struct crypto_hasher *hasher;
    struct buf held; /* the start of a member whose size is not known yet */
    struct buf header;
    struct bytes name; /* borrowed */
    unsigned mode;
    uint64_t size_bytes;
    uint64_t announced; /* of a sized member */
    bool is_sized, is_placed, is_listed;
};

bool export_create_writer(struct export_sink *sink, struct export_spool *sums, int64_t mtime,
                          struct export_writer **out, struct err *err)
{
    struct export_writer *writer = calloc(1, sizeof *writer);

    if (writer == NULL)
        return err_errno(err, "export");
    writer->sink = sink;
    writer->sums = sums;
    writer->mtime = mtime;
    writer->hasher = crypto_create_hasher();
    writer->held = buf_create(HELD_BYTES);
    writer->header = buf_create(EXPORT_TAR_HEADER_BYTES);
    *out = writer;
    return true;
}

void export_free_writer(struct export_writer **writer)
{
    if (*writer == NULL)
        return;
    crypto_free_hasher(&(*writer)->hasher);
    buf_free(&(*writer)->held);
    buf_free(&(*writer)->header);
    free(*writer);
    *writer = NULL;
}

static bool make_header(struct export_writer *writer, struct bytes name, unsigned mode,
                        bool is_folder, uint64_t size_bytes, struct err *err)
{
    char path[NAME_BYTES];
    struct export_member member = { .name = path,
                                    .size_bytes = size_bytes,
                                    .mode = mode,
                                    .is_folder = is_folder,
                                    .mtime = writer->mtime };
    struct bytes header;
    size_t front = sizeof EXPORT_FOLDER - 1;

    assert(front + name.len < sizeof path);
    memcpy(path, EXPORT_FOLDER, front);
    memcpy(path + front, name.ptr, name.len);
    path[front + name.len] = '\0';
    buf_reset(&writer->header, EXPORT_TAR_HEADER_BYTES);
    return export_write_tar_header(&member, &writer->header, err) &&
           buf_done(&writer->header, &header, err);
}

static bool begin(struct export_writer *writer, struct bytes name, unsigned mode, bool is_sized,
                  uint64_t size_bytes, struct err *err)
{
    writer->name = name;
    writer->mode = mode;
    writer->size_bytes = 0;
    writer->announced = size_bytes;
    writer->is_sized = is_sized;
    writer->is_placed = false;
    writer->is_listed = true;
    buf_reset(&writer->held, HELD_BYTES);
    return !is_sized || (make_header(writer, name, mode, false, size_bytes, err) &&
                         export_write_sink(writer->sink, buf_bytes(&writer->header), err));
}

bool export_begin_member(struct export_writer *writer, struct bytes name, unsigned mode,
                         struct err *err)
{
    return begin(writer, name, mode, false, 0, err);
}

bool export_begin_sized(struct export_writer *writer, struct bytes name, unsigned mode,
                        uint64_t size_bytes, struct err *err)
{
    return begin(writer, name, mode, true, size_bytes, err);
}

uint64_t export_member_size(const struct export_writer *writer)
{
    return writer->size_bytes;
}

bool export_write_member(struct export_writer *writer, struct bytes octets, struct err *err)
{
    crypto_update_hasher(writer->hasher, octets);
    writer->size_bytes += octets.len;
    assert(!writer->is_sized || writer->size_bytes <= writer->announced);
    if (writer->is_sized || writer->is_placed)
        return export_write_sink(writer->sink, octets, err);
    if (writer->held.len + octets.len <= HELD_BYTES) {
        buf_append(&writer->held, octets);
        return true;
    }
    writer->is_placed = true;
    return export_leave_place(writer->sink, err) &&
           export_write_sink(writer->sink, buf_bytes(&writer->held), err) &&
           export_write_sink(writer->sink, octets, err);
}

static bool list_member(struct export_writer *writer, struct err *err)
{
    struct crypto_sha256 hash = crypto_finish_hasher(writer->hasher);
    struct buf *sums = export_spool_buf(writer->sums);

    if (!writer->is_listed)
        return true;
    buf_hex(sums, crypto_sha256_bytes(&hash));
    buf_text(sums, "  ");
    buf_append(sums, writer->name);
    buf_byte(sums, '\n');
    return export_pass_spool(writer->sums, err);
}

bool export_end_member(struct export_writer *writer, struct err *err)
{
    struct bytes padding = export_tar_padding(writer->size_bytes);

    assert(!writer->is_sized || writer->size_bytes == writer->announced);
    if (!writer->is_sized &&
        !make_header(writer, writer->name, writer->mode, false, writer->size_bytes, err))
        return false;
    if (!writer->is_sized && !writer->is_placed &&
        (!export_write_sink(writer->sink, buf_bytes(&writer->header), err) ||
         !export_write_sink(writer->sink, buf_bytes(&writer->held), err)))
        return false;
    if (!export_write_sink(writer->sink, padding, err))
        return false;
    if (writer->is_placed && !export_fill_place(writer->sink, buf_bytes(&writer->header), err))
        return false;
    return list_member(writer, err);
}

bool export_write_folder(struct export_writer *writer, struct bytes name, struct err *err)
{
    return make_header(writer, name, 0755, true, 0, err) &&
           export_write_sink(writer->sink, buf_bytes(&writer->header), err);
}

static bool pass_on(void *context, struct bytes octets, struct err *err)
{
    return export_write_member(context, octets, err);
}

bool export_write_spooled(struct export_writer *writer, const char *name,
                          struct export_spool *spool, bool is_listed, struct err *err)
{
    if (!export_begin_member(writer, bytes_of_text(name), 0644, err))
        return false;
    writer->is_listed = is_listed;
    return export_read_spool(spool, pass_on, writer, err) && export_end_member(writer, err);
}

bool export_write_whole(struct export_writer *writer, const char *name, unsigned mode,
                        struct bytes octets, bool is_listed, struct err *err)
{
    if (!export_begin_sized(writer, bytes_of_text(name), mode, octets.len, err))
        return false;
    writer->is_listed = is_listed;
    return export_write_member(writer, octets, err) && export_end_member(writer, err);
}

bool export_end_tar(struct export_writer *writer, struct err *err)
{
    static const uint8_t zeros[2 * EXPORT_TAR_BLOCK_BYTES];

    return export_write_sink(writer->sink, bytes_of(zeros, sizeof zeros), err) &&
           export_finish_sink(writer->sink, err);
}
