/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of FETCH. RFC 9051 §6.4.5, §9 (fetch-att, section). */
#include "base/limits.h"
#include "imap/internal.h"
#include "imap/token.h"
#include "imap/write.h"

enum {
    SECTION_FIELDS_MAX = 1000
}; /* Thunderbird asks for 20 */

static const struct {
    struct bytes name;
    enum imap_fetch_kind kind;
} items[] = {
    { BYTES_INIT("UID"), IMAP_FETCH_UID },
    { BYTES_INIT("FLAGS"), IMAP_FETCH_FLAGS },
    { BYTES_INIT("INTERNALDATE"), IMAP_FETCH_INTERNALDATE },
    { BYTES_INIT("RFC822.SIZE"), IMAP_FETCH_RFC822_SIZE },
    { BYTES_INIT("ENVELOPE"), IMAP_FETCH_ENVELOPE },
    { BYTES_INIT("BODY"), IMAP_FETCH_BODY },
    { BYTES_INIT("BODYSTRUCTURE"), IMAP_FETCH_BODYSTRUCTURE },
    { BYTES_INIT("RFC822"), IMAP_FETCH_RFC822 },
    { BYTES_INIT("RFC822.HEADER"), IMAP_FETCH_RFC822_HEADER },
    { BYTES_INIT("RFC822.TEXT"), IMAP_FETCH_RFC822_TEXT },
    { BYTES_INIT("MODSEQ"), IMAP_FETCH_MODSEQ },
};

static const struct {
    struct bytes name;
    size_t count;
    enum imap_fetch_kind kinds[6];
} macros[] = {
    { BYTES_INIT("ALL"),
      4,
      { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_RFC822_SIZE, IMAP_FETCH_ENVELOPE } },
    { BYTES_INIT("FAST"),
      3,
      { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_RFC822_SIZE } },
    { BYTES_INIT("FULL"),
      5,
      { IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE, IMAP_FETCH_RFC822_SIZE, IMAP_FETCH_ENVELOPE,
        IMAP_FETCH_BODY } },
};

/* The longer name first where one begins the other. */
static const struct {
    struct bytes name;
    enum imap_section_text text;
} section_texts[] = {
    { BYTES_INIT("HEADER.FIELDS.NOT"), IMAP_SECTION_HEADER_FIELDS_NOT },
    { BYTES_INIT("HEADER.FIELDS"), IMAP_SECTION_HEADER_FIELDS },
    { BYTES_INIT("HEADER"), IMAP_SECTION_HEADER },
    { BYTES_INIT("TEXT"), IMAP_SECTION_TEXT },
    { BYTES_INIT("MIME"), IMAP_SECTION_MIME },
};

static bool is_item_char(uint8_t c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == '-';
}

/* *wants_text: what was read ends in "."; otherwise a text may only follow when nothing was read. */
static bool read_parts(struct bytes *in, struct arena *arena, struct imap_section *out,
                       bool *wants_text, struct err *err)
{
    uint32_t *parts = NULL;
    size_t room = 0;

    *wants_text = false;
    while (in->len > 0 && ascii_is_digit(in->ptr[0])) {
        if (!imap_grow_items(arena, &parts, sizeof *parts, out->part_count, &room,
                             IMAP_SECTION_PARTS_MAX, err) ||
            !imap_read_nz_number(in, &parts[out->part_count], err))
            return false;
        out->part_count++;
        out->parts = parts;
        *wants_text = scan_byte(in, '.');
        if (!*wants_text)
            return true;
    }
    return true;
}

static bool read_fields(struct bytes *in, struct arena *arena, struct imap_section *out,
                        struct err *err)
{
    struct bytes *fields = NULL;
    size_t room = 0;

    if (!imap_read_space(in, err))
        return false;
    if (!imap_open_list(in))
        return err_fail(err, ERR_SYNTAX, "field names expected");
    do {
        if (!imap_grow_items(arena, &fields, sizeof *fields, out->field_count, &room,
                             SECTION_FIELDS_MAX, err) ||
            !imap_read_astring(in, arena, &fields[out->field_count], err))
            return false;
        out->field_count++;
    } while (imap_has_next(in));
    out->fields = fields;
    return scan_byte(in, ')') || err_fail(err, ERR_SYNTAX, "field names not closed");
}

static bool read_section_text(struct bytes *in, struct arena *arena, struct imap_section *out,
                              struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(section_texts); i++) {
        if (!scan_text_nocase(in, section_texts[i].name))
            continue;
        out->text = section_texts[i].text;
        if (out->text == IMAP_SECTION_MIME && out->part_count == 0)
            return err_fail(err, ERR_SYNTAX, "MIME needs a part number");
        if (out->text == IMAP_SECTION_HEADER_FIELDS || out->text == IMAP_SECTION_HEADER_FIELDS_NOT)
            return read_fields(in, arena, out, err);
        return true;
    }
    return err_fail(err, ERR_SYNTAX, "unknown section");
}

bool imap_read_section(struct bytes *in, struct arena *arena, struct imap_section *out,
                       struct err *err)
{
    struct bytes rest = *in;
    struct imap_section section = { 0 };
    bool wants_text;

    if (!read_parts(&rest, arena, &section, &wants_text, err))
        return false;
    if (section.part_count == 0)
        wants_text = rest.len > 0 && rest.ptr[0] != ']';
    if (wants_text && !read_section_text(&rest, arena, &section, err))
        return false;
    if (!scan_byte(&rest, ']'))
        return err_fail(err, ERR_SYNTAX, "section not closed");
    *in = rest;
    *out = section;
    return true;
}

static bool read_partial(struct bytes *in, struct imap_partial *out, struct err *err)
{
    if (!scan_byte(in, '<'))
        return true;
    out->is_set = true;
    if (!imap_read_number(in, &out->start, err))
        return false;
    if (!scan_byte(in, '.'))
        return err_fail(err, ERR_SYNTAX, "partial range needs a length");
    if (!imap_read_nz_number(in, &out->count, err))
        return false;
    return scan_byte(in, '>') || err_fail(err, ERR_SYNTAX, "partial range not closed");
}

static bool read_item(struct bytes *in, struct arena *arena, struct imap_fetch_item *out,
                      struct err *err)
{
    struct bytes name = imap_scan_while(in, is_item_char);
    bool is_peek = bytes_equal_nocase(name, BYTES("BODY.PEEK"));

    *out = (struct imap_fetch_item){ 0 };
    if ((is_peek || bytes_equal_nocase(name, BYTES("BODY"))) && scan_byte(in, '[')) {
        out->kind = IMAP_FETCH_SECTION;
        out->is_peek = is_peek;
        return imap_read_section(in, arena, &out->section, err) &&
               read_partial(in, &out->partial, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        if (bytes_equal_nocase(name, items[i].name)) {
            out->kind = items[i].kind;
            return true;
        }
    }
    return err_fail(err, ERR_SYNTAX, "unknown FETCH item");
}

static bool is_same_section(const struct imap_section *a, const struct imap_section *b)
{
    if (a->text != b->text || a->part_count != b->part_count || a->field_count != b->field_count)
        return false;
    for (size_t i = 0; i < a->part_count; i++)
        if (a->parts[i] != b->parts[i])
            return false;
    for (size_t i = 0; i < a->field_count; i++)
        if (!bytes_equal_nocase(a->fields[i], b->fields[i]))
            return false;
    return true;
}

/* Would they have one and the same answer? */
static bool is_same_item(const struct imap_fetch_item *a, const struct imap_fetch_item *b)
{
    return a->kind == b->kind && is_same_section(&a->section, &b->section) &&
           a->partial.is_set == b->partial.is_set && a->partial.start == b->partial.start &&
           a->partial.count == b->partial.count;
}

struct item_list {
    struct imap_fetch_item *items;
    size_t count;
    size_t room;
};

static bool add_item(struct item_list *list, struct arena *arena,
                     const struct imap_fetch_item *item, struct err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        if (is_same_item(&list->items[i], item)) {
            list->items[i].is_peek = list->items[i].is_peek && item->is_peek;
            return true;
        }
    }
    if (!imap_grow_items(arena, &list->items, sizeof *list->items, list->count, &list->room,
                         IMAP_FETCH_ITEMS_MAX, err))
        return false;
    list->items[list->count++] = *item;
    return true;
}

static bool read_one_item(struct bytes *in, struct arena *arena, struct item_list *list,
                          struct err *err)
{
    struct imap_fetch_item item;

    return read_item(in, arena, &item, err) && add_item(list, arena, &item, err);
}

/* Takes ALL, FAST or FULL; *is_macro false when none stands there. */
static bool read_macro(struct bytes *in, struct arena *arena, struct item_list *list,
                       bool *is_macro, struct err *err)
{
    struct bytes rest = *in;
    struct bytes name = imap_scan_while(&rest, is_item_char);

    *is_macro = false;
    for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
        if (!bytes_equal_nocase(name, macros[i].name))
            continue;
        *is_macro = true;
        *in = rest;
        for (size_t k = 0; k < macros[i].count; k++) {
            struct imap_fetch_item item = { .kind = macros[i].kinds[k] };

            if (!add_item(list, arena, &item, err))
                return false;
        }
    }
    return true;
}

static bool read_items(struct bytes *in, struct arena *arena, struct item_list *list,
                       struct err *err)
{
    bool is_macro;

    if (!imap_open_list(in)) {
        if (!read_macro(in, arena, list, &is_macro, err))
            return false;
        return is_macro || read_one_item(in, arena, list, err);
    }
    do {
        if (!read_one_item(in, arena, list, err))
            return false;
    } while (imap_has_next(in));
    return scan_byte(in, ')') || err_fail(err, ERR_SYNTAX, "FETCH items not closed");
}

bool imap_read_fetch_args(struct bytes *in, struct arena *arena, struct imap_command *out,
                          struct err *err)
{
    struct imap_fetch_args args = { 0 };
    struct item_list list = { 0 };

    if (!imap_read_set(in, LIMIT_SET_RANGES, arena, &args.set, err) || !imap_read_space(in, err) ||
        !read_items(in, arena, &list, err))
        return false;
    if (imap_has_next(in) && !imap_read_params(in, arena, &args.params, &args.param_count, err))
        return false;
    args.items = list.items;
    args.item_count = list.count;
    out->fetch = args;
    return true;
}

static void write_upper_astring(struct buf *buf, struct bytes name)
{
    CLEANUP(buf_free) struct buf upper = buf_create(name.len);

    for (size_t i = 0; i < name.len; i++)
        buf_byte(&upper, ascii_upper(name.ptr[i]));
    buf->has_failed = buf->has_failed || upper.has_failed;
    imap_write_astring(buf, buf_bytes(&upper));
}

static void write_section(struct buf *buf, const struct imap_section *section)
{
    for (size_t i = 0; i < section->part_count; i++) {
        if (i > 0)
            buf_byte(buf, '.');
        buf_u64(buf, section->parts[i]);
    }
    if (section->text == IMAP_SECTION_ALL)
        return;
    if (section->part_count > 0)
        buf_byte(buf, '.');
    for (size_t i = 0; i < ARRAY_LEN(section_texts); i++)
        if (section_texts[i].text == section->text)
            buf_append(buf, section_texts[i].name);
    if (section->field_count == 0)
        return;
    for (size_t i = 0; i < section->field_count; i++) {
        buf_text(buf, i == 0 ? " (" : " ");
        write_upper_astring(buf, section->fields[i]);
    }
    buf_byte(buf, ')');
}

void imap_write_fetch_item_name(struct buf *buf, const struct imap_fetch_item *item)
{
    if (item->kind != IMAP_FETCH_SECTION) {
        for (size_t i = 0; i < ARRAY_LEN(items); i++)
            if (items[i].kind == item->kind)
                buf_append(buf, items[i].name);
        return;
    }
    buf_text(buf, "BODY[");
    write_section(buf, &item->section);
    buf_byte(buf, ']');
    if (item->partial.is_set) {
        buf_byte(buf, '<');
        buf_u64(buf, item->partial.start);
        buf_byte(buf, '>');
    }
}
