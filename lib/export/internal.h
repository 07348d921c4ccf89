/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/internal.h - what the files of export share.
 */
#pragma once

#include "base/arena.h"
#include "export/export.h"
#include "export/manifest.h"
#include "export/writer.h"

/* One message whose octets are known to be right. */
struct export_message {
    const struct export_row *row;
    struct bytes octets; /* ptr NULL: too large to hold, comes through `stream` */
    /* Gives all octets to a writer, and fails when they are not what they should be. */
    bool (*stream)(void *context, export_write_fn *write, void *to, struct err *err);
    void *context;
};

/* What a format writes for one mailbox. `state` of run.c is one of these at a time. */
struct export_place {
    struct export_writer *writer;
    const struct vault_position_mailbox *mailbox;
    struct buf name;   /* of the mailbox in the export */
    struct buf member; /* of the message, where each is a file */
    bool is_open;      /* something was written for this mailbox */
};

/* To add one: its row in format.c and its functions in format_<name>.c; a test that reads it with
 * another tool. */
struct export_format {
    const char *name;
    const char *suffix; /* of a mailbox's file or folder */
    /* Writes one message and says in *row where it is. */
    bool (*add)(struct export_place *place, const struct export_message *message,
                struct export_row *row, struct err *err);
    /* The mailbox is over; only called when is_open. */
    bool (*end)(struct export_place *place, struct err *err);
};

const struct export_format *export_find_format(const char *name);

bool export_add_mbox(struct export_place *place, const struct export_message *message,
                     struct export_row *row, struct err *err);
bool export_end_mbox(struct export_place *place, struct err *err);
bool export_add_eml(struct export_place *place, const struct export_message *message,
                    struct export_row *row, struct err *err);
bool export_add_maildir(struct export_place *place, const struct export_message *message,
                        struct export_row *row, struct err *err);
bool export_end_folder(struct export_place *place, struct err *err);

/* ---- origins.c: source UIDs of one mailbox, by archive UID, in a file ------------------------ */

struct export_origin {
    uint32_t uidvalidity, uid, epoch; /* uid 0: not known */
    uint32_t by;                      /* enum vault_recognition */
};

MUST_USE bool export_gather_origins(const struct export_order *order,
                                    const struct vault_position_mailbox *mailbox, struct err *err);
/* Of the UIDs first … first+count-1. */
MUST_USE bool export_read_origins(const struct export_order *order, uint32_t first, size_t count,
                                  struct export_origin *out, struct err *err);

/* ---- summary.c: query.txt and mailboxes.csv --------------------------------------------------- */

void export_write_list_header(struct buf *out);
void export_write_list_row(const struct vault_position_mailbox *mailbox, struct bytes file,
                           uint64_t messages, struct buf *out);
void export_write_summary(const struct export_order *order, const struct export_counts *counts,
                          struct buf *out);
