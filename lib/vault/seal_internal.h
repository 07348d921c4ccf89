/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/seal_internal.h - what the files that make and read packs share.
 */
#pragma once

#include "base/buf.h"
#include "store/text.h"
#include "vault/seal.h"

#include <limits.h>
#include <sys/types.h>

enum {
    VAULT_PACK_RUN_FRAMES = STORE_PACK_FRAMES_MAX / 2, /* of runs; the rest is for the catalogue */
    VAULT_PACK_NAME_BYTES = 2 * CRYPTO_SHA256_BYTES + sizeof ".tar.zst",
};

/* ---- pack_file.c: packs in the file system ------------------------------------------------------ */

struct vault_pack_paths {
    char packs[PATH_MAX];     /* the folder of all accounts */
    char folder[PATH_MAX];    /* of this account */
    char temporary[PATH_MAX]; /* of the pack that is being written */
    char catalogue[PATH_MAX]; /* of its catalogue until the size is known */
    char text[PATH_MAX];      /* of its text segment until the pack's hash is known */
};

/* account_id 0: of the installation's packs. ERR_LIMIT: too long. */
MUST_USE bool vault_make_pack_paths(const char *packs_dir, int64_t account_id,
                                    struct vault_pack_paths *out, struct err *err);
MUST_USE bool vault_make_pack_path(const struct vault_pack_paths *paths,
                                   const struct crypto_sha256 *sha256, char out[PATH_MAX],
                                   struct err *err);

/* Of the text segment beside it: "<sha256>.text". */
MUST_USE bool vault_make_segment_path(const struct vault_pack_paths *paths,
                                      const struct crypto_sha256 *sha256, char out[PATH_MAX],
                                      struct err *err);

/* False: it is not the name of a pack. */
MUST_USE bool vault_read_pack_name(const char *name, struct crypto_sha256 *out);

void vault_write_pack_name(const struct crypto_sha256 *sha256, char out[VAULT_PACK_NAME_BYTES]);

/* Makes the folders, durably. */
MUST_USE bool vault_make_pack_folders(const struct vault_pack_paths *paths, struct err *err);

/* The file or nothing; true when there was none. */
MUST_USE bool vault_remove_file(const char *path, struct err *err);

MUST_USE bool vault_sync_folder(const char *folder, struct err *err);

/* context of the next two: an int *, the descriptor. */
MUST_USE bool vault_write_pack_octets(void *context, struct bytes octets, struct err *err);
MUST_USE bool vault_read_pack_octets(void *context, uint64_t offset, uint8_t *out, size_t len,
                                     struct err *err);

/* Opens a file and its index. *fd must last as long as the pack. ERR_ABSENT: no such file. */
MUST_USE bool vault_open_pack_file(const char *path, int *fd, uint64_t *size_bytes,
                                   struct store_pack **out, struct err *err);

/* Likewise a text segment. */
MUST_USE bool vault_open_segment_file(const char *path, int *fd, struct store_pack **out,
                                      struct err *err);

/* ---- a sealing in progress ----------------------------------------------------------------------- */

/* A frame of a run, as it lies in the pack. */
struct vault_packed_frame {
    int64_t run_id;
    int64_t raw_start;
    int64_t pack_offset;
    int32_t ordinal;
    struct store_frame_facts facts;
};

/* A run of the spool: where its raw stream begins in the tar stream of the pack, and which run it
 * became a part of, if it was joined. */
struct vault_packed_run {
    int64_t run_id;
    int64_t base;
    int64_t target; /* 0: not joined */
    int64_t shift;
};

/* How far the catalogue tells of a mailbox (vault_seal_cuts). */
struct vault_cut {
    int64_t mailbox_id;
    int64_t uid_from, modseq_from, source_uid_from;
    int64_t uid_to, modseq_to, source_uid_to;
    int32_t epoch_from, epoch_to;
    bool is_new; /* told for the first time */
};

/* A text block that lies in the segment as it was committed. */
struct vault_kept_text {
    int64_t run_id;
    int64_t offset;
    int32_t ordinal;
};

/* A new one, made of neighbours. */
struct vault_joined_text {
    int64_t run_id;
    int64_t offset;
    int32_t ordinal;
    int32_t parser_version;
    int32_t id_count;        /* of joined_ids */
    size_t signature_octets; /* of joined_signatures; 0: none */
    struct store_frame_facts facts;
};

struct vault_sealed_texts {
    struct buf kept;              /* of struct vault_kept_text */
    struct buf joined;            /* of struct vault_joined_text */
    struct buf joined_ids;        /* of int64_t: the messages of all that are joined */
    struct buf joined_signatures; /* octets of all, one behind the other */
    struct buf runs;              /* of int64_t: all whose text was taken, or could not be read */
    bool is_written;              /* there is a segment: paths.text, synced and read back */
};

struct vault_sealing {
    struct db *db; /* borrowed */
    const struct vault_seal_order *order;
    struct vault_pack_paths paths;
    int fd;       /* of the pack that is being written, -1 */
    int spill_fd; /* of the catalogue, -1 */
    struct store_pack_writer *writer;
    struct buf frames;  /* of struct vault_packed_frame */
    struct buf runs;    /* of struct vault_packed_run */
    struct buf cuts;    /* of struct vault_cut */
    struct buf parts;   /* of struct store_frame_facts: the catalogue in spill_fd */
    uint64_t raw_bytes; /* of the tar stream so far */
    bool has_previous;
    struct crypto_sha256 previous; /* the account's last pack */
    struct store_pack_facts facts; /* once it is written */
    struct vault_sealed_texts texts;
};

static inline size_t vault_count(const struct buf *buf, size_t item_bytes)
{
    return buf->len / item_bytes;
}

/* seal_frames.c: the runs up to last_run_id into the pack, small ones joined. */
MUST_USE bool vault_seal_frames(struct vault_sealing *sealing, int64_t last_run_id,
                                struct err *err);

/* seal_catalogue.c: the catalogue into the pack. *has_news: it tells anything that was not told yet;
 * otherwise nothing was written. */
MUST_USE bool vault_seal_catalogue(struct vault_sealing *sealing, bool *has_news, struct err *err);

/* seal_text.c: the text of the sealed runs into paths.text, if there is any. */
MUST_USE bool vault_seal_texts(struct vault_sealing *sealing, struct err *err);

/* Points the rows of text into the segment of the pack: in the transaction that adds it. */
MUST_USE bool vault_seal_text_rows(struct vault_sealing *sealing, int64_t pack_id,
                                   struct arena *arena, struct err *err);

/* seal_commit.c: the transaction. */
MUST_USE bool vault_seal_commit(struct vault_sealing *sealing, struct arena *arena,
                                int64_t *pack_id, struct err *err);

/* ---- steps that packs of every kind share (seal.c, seal_catalogue.c) -------------------------------- */

void vault_close_sealing(struct vault_sealing *sealing);

/* sealing->fd and writer, under the temporary name. */
MUST_USE bool vault_create_new_pack(struct vault_sealing *sealing, mode_t mode, struct err *err);

typedef bool vault_lines_fn(struct vault_sealing *sealing, struct store_catalogue *catalogue,
                            const void *context, struct err *err);

/* put gives the lines; then the catalogue's frames go into the pack. */
MUST_USE bool vault_put_catalogue(struct vault_sealing *sealing, vault_lines_fn *put,
                                  const void *context, struct err *err);

/* db_row_fn: column 0 is a line; context: struct store_catalogue. */
MUST_USE bool vault_put_line(void *context, const struct db_result *row, struct err *err);

/* End, index, fsync: sealing->facts. Then: reads everything back; then: it gets its name, durably. */
MUST_USE bool vault_end_new_pack(struct vault_sealing *sealing, struct err *err);
MUST_USE bool vault_check_new_pack(const struct vault_sealing *sealing, struct err *err);
MUST_USE bool vault_name_new_pack(const struct vault_sealing *sealing, struct err *err);

/* A SHA-256 or NULL. ERR_CORRUPT: neither. */
MUST_USE bool vault_read_hash(const struct db_result *rows, size_t row, size_t col, bool *has_one,
                              struct crypto_sha256 *out, struct err *err);

/* { NULL } when there is none. */
static inline struct db_value vault_previous_value(const struct vault_sealing *sealing)
{
    return db_null_unless(sealing->has_previous, DB_BYTEA(crypto_sha256_bytes(&sealing->previous)));
}
