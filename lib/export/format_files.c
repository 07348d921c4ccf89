/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export/format_files.c - EML and Maildir: a file for each message, its exact octets.
 */
#include "base/clock.h"
#include "export/internal.h"

static bool pass_on(void *context, struct bytes octets, struct err *err)
{
    return export_write_member(context, octets, err);
}

/* place->member is its name. */
static bool add_file(struct export_place *place, const struct export_message *message,
                     struct export_row *row, struct err *err)
{
    uint64_t size = message->row->placement->size_bytes;
    struct bytes name;

    place->is_open = true;
    if (!buf_done(&place->member, &name, err) ||
        !export_begin_sized(place->writer, name, 0644, size, err))
        return false;
    if (message->octets.ptr != NULL
            ? !export_write_member(place->writer, message->octets, err)
            : !message->stream(message->context, pass_on, place->writer, err))
        return false;
    row->file = name;
    row->length = size;
    return export_end_member(place->writer, err);
}

static struct buf *begin_name(struct export_place *place)
{
    buf_reset(&place->member, 1024);
    buf_append(&place->member, buf_bytes(&place->name));
    buf_byte(&place->member, '/');
    return &place->member;
}

bool export_add_eml(struct export_place *place, const struct export_message *message,
                    struct export_row *row, struct err *err)
{
    struct buf *name = begin_name(place);

    buf_u64_padded(name, message->row->placement->uid, 10);
    buf_text(name, ".eml");
    return add_file(place, message, row, err);
}

static bool write_folders(struct export_place *place, struct err *err)
{
    static const char *const folders[] = { "cur/", "new/", "tmp/" };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        struct buf *name = begin_name(place);

        buf_text(name, folders[i]);
        if (!export_write_folder(place->writer, buf_bytes(name), err))
            return false;
    }
    return true;
}

/* Letters of https://cr.yp.to/proto/maildir.html, in ASCII order; \Deleted is T as everywhere. */
static void write_info(uint8_t flags, struct buf *out)
{
    static const struct {
        uint8_t flag;
        char letter;
    } letters[] = { { VAULT_FLAG_DRAFT, 'D' },
                    { VAULT_FLAG_FLAGGED, 'F' },
                    { VAULT_FLAG_ANSWERED, 'R' },
                    { VAULT_FLAG_SEEN, 'S' },
                    { VAULT_FLAG_DELETED, 'T' } };

    buf_text(out, ":2,");
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if ((flags & letters[i].flag) != 0)
            buf_byte(out, (uint8_t)letters[i].letter);
}

bool export_add_maildir(struct export_place *place, const struct export_message *message,
                        struct export_row *row, struct err *err)
{
    const struct vault_placement *placement = message->row->placement;
    struct buf *name;

    if (!place->is_open && !write_folders(place, err))
        return false;
    name = begin_name(place);
    buf_text(name, "cur/");
    buf_i64(name, placement->internal_usec / 1000000);
    buf_text(name, ".M");
    buf_i64(name, place->mailbox->mailbox_id);
    buf_byte(name, 'U');
    buf_u64(name, placement->uid);
    buf_text(name, ".holdfast");
    write_info(placement->flags, name);
    return add_file(place, message, row, err);
}

bool export_end_folder(struct export_place *place, struct err *err)
{
    (void)place;
    (void)err;
    return true;
}
