/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/writer.h - the tar of an export: members one behind the other, and SHA256SUMS of them.
 *
 *     begin_member(name, mode)   write …   end_member        size not known before
 *     begin_sized(name, mode, n) write n   end_member
 *
 * Every regular member but SHA256SUMS and its signature gets a line "<hash>  <name>" in `sums`. One
 * thread at a time.
 */
#pragma once

#include "export/sink.h"
#include "export/spool.h"

#define EXPORT_FOLDER "holdfast-export/" /* everything in the tar lies in it */

struct export_writer;

/* All borrowed. mtime: of every member, seconds. */
MUST_USE bool export_create_writer(struct export_sink *sink, struct export_spool *sums,
                                   int64_t mtime, struct export_writer **out, struct err *err);
void export_free_writer(struct export_writer **writer);

/* name: below EXPORT_FOLDER, from export/name.h or our own; borrowed until the end of the member. */
MUST_USE bool export_begin_member(struct export_writer *writer, struct bytes name, unsigned mode,
                                  struct err *err);
MUST_USE bool export_begin_sized(struct export_writer *writer, struct bytes name, unsigned mode,
                                 uint64_t size_bytes, struct err *err);
MUST_USE bool export_write_member(struct export_writer *writer, struct bytes octets,
                                  struct err *err);
uint64_t export_member_size(const struct export_writer *writer); /* so far */
MUST_USE bool export_end_member(struct export_writer *writer, struct err *err);

MUST_USE bool export_write_folder(struct export_writer *writer, struct bytes name, struct err *err);

/* A member from a spool, from memory. is_listed: in the sums. */
MUST_USE bool export_write_spooled(struct export_writer *writer, const char *name,
                                   struct export_spool *spool, bool is_listed, struct err *err);
MUST_USE bool export_write_whole(struct export_writer *writer, const char *name, unsigned mode,
                                 struct bytes octets, bool is_listed, struct err *err);

/* The end of the tar. */
MUST_USE bool export_end_tar(struct export_writer *writer, struct err *err);
