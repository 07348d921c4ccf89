/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/summary.c - what the export is of, in words: query.txt, and its mailboxes in mailboxes.csv.
 */
#include "base/clock.h"
#include "base/version.h"
#include "export/internal.h"

void export_write_list_header(struct buf *out)
{
    buf_text(out, "account,mailbox,mailbox_id,uidvalidity,uidnext,highestmodseq,messages,file\r\n");
}

void export_write_list_row(const struct vault_position_mailbox *mailbox, struct bytes file,
                           uint64_t messages, struct buf *out)
{
    export_write_csv_text(mailbox->account_name, out);
    buf_byte(out, ',');
    export_write_csv_text(mailbox->path, out);
    buf_byte(out, ',');
    buf_i64(out, mailbox->mailbox_id);
    buf_byte(out, ',');
    buf_u64(out, mailbox->uidvalidity);
    buf_byte(out, ',');
    buf_u64(out, mailbox->uidnext);
    buf_byte(out, ',');
    buf_u64(out, mailbox->highestmodseq);
    buf_byte(out, ',');
    buf_u64(out, messages);
    buf_byte(out, ',');
    export_write_csv_text(file, out);
    buf_text(out, "\r\n");
}

static void put_line(struct buf *out, const char *name, struct bytes value)
{
    size_t from = out->len;

    buf_text(out, name);
    buf_byte(out, ':');
    while (out->len - from < 14 && !out->has_failed)
        buf_byte(out, ' ');
    buf_append(out, value);
    buf_byte(out, '\n');
}

static void put_number(struct buf *out, const char *name, uint64_t number)
{
    CLEANUP(buf_free) struct buf text = buf_create(24);

    buf_u64(&text, number);
    put_line(out, name, buf_bytes(&text));
}

void export_write_summary(const struct export_order *order, const struct export_counts *counts,
                          struct buf *out)
{
    CLEANUP(buf_free) struct buf query = buf_create(((size_t)4 * 64) << 10);
    char taken[CLOCK_TEXT_BYTES];

    export_write_plain(order->query, &query);
    clock_format_rfc3339(order->position->taken_usec, taken);
    buf_text(out, "Export of a Holdfast archive, format 1\n\n");
    put_line(out, "program", BYTES("holdfast " HOLDFAST_VERSION));
    put_line(out, "query", buf_bytes(&query));
    put_number(out, "position", (uint64_t)order->position->position_id);
    put_line(out, "taken at", bytes_of_text(taken));
    put_line(out, "format", bytes_of_text(order->format));
    put_number(out, "mailboxes", counts->mailboxes);
    put_number(out, "files", counts->files);
    put_number(out, "messages", counts->messages);
    put_number(out, "octets", counts->octets);
    put_number(out, "gone", counts->gone);
    put_number(out, "damaged", counts->damaged);
    put_number(out, "unreadable", counts->unreadable);
    put_number(out, "disposed", counts->disposed);
    put_number(out, "searched", counts->searched);
    put_number(out, "unsearched", counts->unsearched);
    buf_text(
        out,
        "\n"
        "mailboxes:  in scope; mailboxes.csv lists them, with UIDNEXT and HIGHESTMODSEQ at the "
        "position\n"
        "messages:   exported; manifest.csv and manifest.jsonl list them\n"
        "gone:       of these, no longer at the source at the position\n"
        "damaged:    chosen but not exported: the stored octets fail their check; listed in "
        "the manifests\n"
        "unreadable: chosen but not exported: the octets could not be read; listed in the "
        "manifests\n"
        "disposed:   UIDs below UIDNEXT, of mailboxes that were read, that the archive no longer "
        "holds\n"
        "searched:   messages that the query was asked about\n"
        "unsearched: of these, those whose text had to decide and could not be searched wholly: "
        "encrypted, undecodable, damaged\n");
}
