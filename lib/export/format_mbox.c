/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/format_mbox.c - one mboxrd file for each mailbox.
 */
#include "export/internal.h"
#include "export/mbox.h"

enum {
    SEPARATOR_BYTES = 128
};

static bool pass_on(void *context, struct bytes octets, struct err *err)
{
    return export_write_member(context, octets, err);
}

static bool quote(void *context, struct bytes octets, struct err *err)
{
    return export_quote(context, octets, err);
}

static bool write_separator(struct export_place *place, int64_t internal_usec, struct err *err)
{
    CLEANUP(buf_free) struct buf line = buf_create(SEPARATOR_BYTES);
    struct bytes octets;

    export_write_separator(internal_usec, &line);
    return buf_done(&line, &octets, err) && export_write_member(place->writer, octets, err);
}

bool export_add_mbox(struct export_place *place, const struct export_message *message,
                     struct export_row *row, struct err *err)
{
    struct export_quoter quoter = export_begin_quoting(pass_on, place->writer);

    if (!place->is_open && !export_begin_member(place->writer, buf_bytes(&place->name), 0644, err))
        return false;
    place->is_open = true;
    if (!write_separator(place, message->row->placement->internal_usec, err))
        return false;
    row->file = buf_bytes(&place->name);
    row->is_quoted = true;
    row->offset = export_member_size(place->writer);
    if (message->octets.ptr != NULL ? !export_quote(&quoter, message->octets, err)
                                    : !message->stream(message->context, quote, &quoter, err))
        return false;
    if (!export_end_quoting(&quoter, err))
        return false;
    row->length = quoter.written;
    row->quoted_lines = quoter.quoted_lines;
    row->has_added_lf = quoter.last != '\n';
    /* The line feed that ends the last line, and the empty line in front of the next separator. */
    return export_write_member(place->writer, row->has_added_lf ? BYTES("\n\n") : BYTES("\n"), err);
}

bool export_end_mbox(struct export_place *place, struct err *err)
{
    return export_end_member(place->writer, err);
}
