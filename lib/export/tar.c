/* SPDX-License-Identifier: Apache-2.0 */
#include "export/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

struct gathered {
    struct buf *out;
    bool is_over; /* what comes now is no header */
};

static la_ssize_t gather(struct archive *archive, void *context, const void *octets, size_t size)
{
    struct gathered *gathered = context;

    if (gathered->is_over) {
        /* Otherwise it would write as many zeros as the header has announced. */
        archive_set_error(archive, ECANCELED, "only the header is wanted");
        return -1;
    }
    buf_append(gathered->out, bytes_of(octets, size));
    return (la_ssize_t)size;
}

static void free_archive(struct archive **archive)
{
    if (*archive == NULL)
        return;
    (void)archive_write_free(*archive);
    *archive = NULL;
}

static void free_entry(struct archive_entry **entry)
{
    archive_entry_free(*entry);
    *entry = NULL;
}

bool export_write_tar_header(const struct export_member *member, struct buf *out, struct err *err)
{
    CLEANUP(free_archive) struct archive *archive = archive_write_new();
    CLEANUP(free_entry) struct archive_entry *entry = archive_entry_new();
    struct gathered gathered = { .out = out };
    bool is_written;

    if (archive == NULL || entry == NULL)
        return err_fail(err, ERR_SYSTEM, "libarchive is out of memory");
    archive_entry_set_pathname(entry, member->name);
    archive_entry_set_filetype(entry, member->is_folder ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(entry, (mode_t)member->mode);
    archive_entry_set_size(entry, (la_int64_t)member->size_bytes);
    archive_entry_set_mtime(entry, (time_t)member->mtime, 0);
    is_written = archive_write_set_format_pax_restricted(archive) == ARCHIVE_OK &&
                 archive_write_set_bytes_per_block(archive, 0) == ARCHIVE_OK &&
                 archive_write_open(archive, &gathered, NULL, gather, NULL) == ARCHIVE_OK &&
                 archive_write_header(archive, entry) == ARCHIVE_OK;
    gathered.is_over = true;
    if (!is_written)
        return err_fail(err, ERR_SYSTEM, "libarchive cannot write a tar header: %s",
                        archive_error_string(archive) == NULL ? "?"
                                                              : archive_error_string(archive));
    return true;
}

struct bytes export_tar_padding(uint64_t size_bytes)
{
    static const uint8_t zeros[EXPORT_TAR_BLOCK_BYTES];

    return bytes_of(zeros, (size_t)(-size_bytes % EXPORT_TAR_BLOCK_BYTES));
}
