/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/tar.h - the headers of a tar, by libarchive ("restricted pax": ustar, and pax records only
 * for a member that needs them). What follows a header is the caller's: data, zeros up to a whole
 * block, and two blocks of zeros at the end of all.
 *
 * Owner and group 0 without names, so that the octets depend on nothing but what is given here. Any
 * thread.
 */
#pragma once

#include "base/buf.h"

enum {
    EXPORT_TAR_BLOCK_BYTES = 512,
    EXPORT_TAR_HEADER_BYTES = 2048, /* the most for a name of at most 500 octets */
};

struct export_member {
    const char *name; /* ASCII */
    uint64_t size_bytes;
    unsigned mode;
    bool is_folder;
    int64_t mtime; /* seconds */
};

/* Appends the header block, with a pax header in front where the name or the size needs one. */
MUST_USE bool export_write_tar_header(const struct export_member *member, struct buf *out,
                                      struct err *err);

/* Zeros that fill the last block of so many octets. */
struct bytes export_tar_padding(uint64_t size_bytes);
