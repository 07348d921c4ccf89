/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/export.h - what the parts of `holdfast export` share.
 *
 *     command   settings, database as owner, audit, signature      (export.c)
 *       |-- placer   the rights of who called; makes the files appear   (export_place.c)
 *       '-- reader   the reader's role; reads mail, writes the tar      (export_read.c)
 *
 * Neither child has the signing key; the placer sees nothing of the mail, the reader no file name.
 */
#pragma once

#include "export/export.h"
#include "holdfast/child.h"

/* ---- export_place.c ---------------------------------------------------------------------------- */

struct cli_placer {
    int fds[EXPORT_FILE_COUNT]; /* as struct export_files; the first becomes FILE */
    struct cli_child child;
};

#define CLI_NO_PLACER ((struct cli_placer){ { -1, -1, -1, -1, -1, -1 }, CLI_NO_CHILD })

struct export_files cli_export_files(const struct cli_placer *placer);

/* Before cli_settle. ERR_DENIED: FILE (or what belongs beside it) exists and is_forced is not set. */
MUST_USE bool cli_start_placer(const char *file, bool is_forced, struct cli_placer *out,
                               struct err *err);

/* FILE, FILE.sha256 and FILE.sig appear, synced: all or, as far as the file system lets us, none. */
MUST_USE bool cli_place_files(struct cli_placer *placer, struct bytes sums,
                              const struct crypto_signature *signature, struct err *err);

/* Without cli_place_files nothing stays behind. */
void cli_end_placer(struct cli_placer *placer);

/* ---- export_read.c ----------------------------------------------------------------------------- */

struct search_query;

struct cli_export {
    struct bytes query;                /* as typed */
    const struct search_query *parsed; /* NULL: everything */
    const char *format;
    struct cli_list accounts;
    struct cli_placer placer;
};

/* To the reader, behind its order. */
struct cli_export_order {
    struct vault_position position;
    struct crypto_public_key key;
};

/* From the reader: wants SHA256SUMS signed (sums_bytes of it), or is done. */
struct cli_export_ask {
    bool is_done;
    uint64_t sums_bytes;
    struct export_counts counts;
};

/* To the reader. */
struct cli_export_answer {
    bool is_signed;
    struct crypto_signature signature;
};

/* The child's errand; its context is a struct cli_export. */
bool cli_read_for_export(struct cli *cli, const struct cli_errand *errand);
