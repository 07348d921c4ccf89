/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/manifest.h - one row for each message, as CSV and as JSON.
 *
 * Columns and rules stand in README.md ("manifest.csv", "manifest.jsonl"). Both are made from the same
 * table of columns, in the same order. Pure; any thread.
 */
#pragma once

#include "base/buf.h"
#include "vault/position.h"

struct export_row {
    const struct vault_position_mailbox *mailbox;
    const struct vault_placement *placement;
    const struct bytes *keyword_names; /* by number */
    size_t keyword_count;
    struct bytes file;   /* in the export; empty: not exported */
    const char *problem; /* "", or why it is not: "damaged", "unreadable" */
    bool is_quoted;      /* in an mbox: offset and quoted_lines mean something */
    uint64_t offset;     /* of the message's first octet in the file */
    uint64_t length;     /* octets in the file, quoting included, an added line feed not */
    uint64_t quoted_lines;
    bool has_added_lf;
    uint32_t source_uidvalidity; /* 0: the source gave none */
    uint32_t source_uid;         /* 0: not known */
    uint32_t source_epoch;
    enum vault_recognition recognised; /* how the octets are known to be those of that UID */
    struct bytes message_id;           /* as in the header, unfolded */
};

void export_write_csv_header(struct buf *out);
void export_write_csv_row(const struct export_row *row, struct buf *out);
void export_write_json_row(const struct export_row *row, struct buf *out);

/* One cell: quoted where RFC 4180 asks for it, with ' in front where a spreadsheet would take it for a
 * formula (or where it begins with ' itself). */
void export_write_csv_text(struct bytes text, struct buf *out);

/* A JSON string, quotes included. text: UTF-8. */
void export_write_json_text(struct bytes text, struct buf *out);

/* Octets as printable ASCII: all others, and the backslash, as \xHH. */
void export_write_plain(struct bytes octets, struct buf *out);
