/* SPDX-License-Identifier: Apache-2.0 */
#include "export/manifest.h"

#include "base/clock.h"
#include "base/limits.h"
#include "export/message_id.h"

/* ---- texts ---------------------------------------------------------------------------------- */

/* Spreadsheets take these for the start of a formula; the last four are full-width forms. */
static bool looks_like_formula(struct bytes text)
{
    static const struct bytes starts[] = {
        BYTES_INIT("="),      BYTES_INIT("+"),      BYTES_INIT("-"),      BYTES_INIT("@"),
        BYTES_INIT("\t"),     BYTES_INIT("\r"),     BYTES_INIT("\n"),     BYTES_INIT("'"),
        BYTES_INIT("\uff1d"), BYTES_INIT("\uff0b"), BYTES_INIT("\uff0d"), BYTES_INIT("\uff20"),
    };

    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (bytes_start_with(text, starts[i]))
            return true;
    return false;
}

void export_write_csv_text(struct bytes text, struct buf *out)
{
    bool is_quoted = bytes_find_byte(text, '"') >= 0 || bytes_find_byte(text, ',') >= 0 ||
                     bytes_find_byte(text, '\r') >= 0 || bytes_find_byte(text, '\n') >= 0;

    if (is_quoted)
        buf_byte(out, '"');
    if (looks_like_formula(text))
        buf_byte(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"')
            buf_byte(out, '"');
        buf_byte(out, text.ptr[i]);
    }
    if (is_quoted)
        buf_byte(out, '"');
}

static void write_hex_octet(uint8_t octet, struct buf *out)
{
    buf_hex(out, bytes_of(&octet, 1));
}

void export_write_json_text(struct bytes text, struct buf *out)
{
    buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (c == '"' || c == '\\') {
            buf_byte(out, '\\');
            buf_byte(out, c);
        } else if (c < 0x20 || c == 0x7f) {
            buf_text(out, "\\u00");
            write_hex_octet(c, out);
        } else {
            buf_byte(out, c);
        }
    }
    buf_byte(out, '"');
}

void export_write_plain(struct bytes octets, struct buf *out)
{
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t c = octets.ptr[i];

        if (c >= 0x20 && c < 0x7f && c != '\\') {
            buf_byte(out, c);
            continue;
        }
        buf_text(out, "\\x");
        write_hex_octet(c, out);
    }
}

/* "2001-10-01T10:00:00+02:00": whole seconds, as INTERNALDATE has them. */
static void write_internaldate(int64_t usec, int16_t zone, struct buf *out)
{
    struct civil civil = civil_from_usec(usec + (int64_t)zone * 60 * 1000000);
    uint32_t minutes = (uint32_t)(zone < 0 ? -zone : zone);

    buf_u64_padded(out, (uint64_t)civil.year, 4);
    buf_byte(out, '-');
    buf_u64_padded(out, civil.month, 2);
    buf_byte(out, '-');
    buf_u64_padded(out, civil.day, 2);
    buf_byte(out, 'T');
    buf_u64_padded(out, civil.hour, 2);
    buf_byte(out, ':');
    buf_u64_padded(out, civil.minute, 2);
    buf_byte(out, ':');
    buf_u64_padded(out, civil.second, 2);
    buf_byte(out, zone < 0 ? '-' : '+');
    buf_u64_padded(out, minutes / 60, 2);
    buf_byte(out, ':');
    buf_u64_padded(out, minutes % 60, 2);
}

/* ---- columns -------------------------------------------------------------------------------- */

enum form {
    FORM_TEXT,
    FORM_NUMBER, /* nothing in the cell: empty, or null */
    FORM_LIST,   /* separated by single spaces in CSV, an array in JSON */
    FORM_BOOL,
};

/* To add one: its function, its row in the table below and in README.md; at the end, before a release. */
typedef void cell_fn(const struct export_row *row, struct buf *out);

static void put_file(const struct export_row *row, struct buf *out)
{
    buf_append(out, row->file);
}

static void put_problem(const struct export_row *row, struct buf *out)
{
    buf_text(out, row->problem);
}

static void put_offset(const struct export_row *row, struct buf *out)
{
    if (row->is_quoted)
        buf_u64(out, row->offset);
}

static void put_length(const struct export_row *row, struct buf *out)
{
    if (row->file.len > 0)
        buf_u64(out, row->length);
}

static void put_quoted_lines(const struct export_row *row, struct buf *out)
{
    if (row->is_quoted)
        buf_u64(out, row->quoted_lines);
}

static void put_added_lf(const struct export_row *row, struct buf *out)
{
    buf_text(out, row->has_added_lf ? "true" : "false");
}

static void put_sha256(const struct export_row *row, struct buf *out)
{
    buf_hex(out, crypto_sha256_bytes(&row->placement->sha256));
}

static void put_size(const struct export_row *row, struct buf *out)
{
    buf_u64(out, row->placement->size_bytes);
}

static void put_account(const struct export_row *row, struct buf *out)
{
    buf_append(out, row->mailbox->account_name);
}

static void put_mailbox(const struct export_row *row, struct buf *out)
{
    buf_append(out, row->mailbox->path);
}

static void put_mailbox_id(const struct export_row *row, struct buf *out)
{
    buf_i64(out, row->mailbox->mailbox_id);
}

static void put_uidvalidity(const struct export_row *row, struct buf *out)
{
    buf_u64(out, row->mailbox->uidvalidity);
}

static void put_uid(const struct export_row *row, struct buf *out)
{
    buf_u64(out, row->placement->uid);
}

static void put_known(uint32_t number, struct buf *out)
{
    if (number > 0)
        buf_u64(out, number);
}

static void put_source_uidvalidity(const struct export_row *row, struct buf *out)
{
    put_known(row->source_uidvalidity, out);
}

static void put_source_uid(const struct export_row *row, struct buf *out)
{
    put_known(row->source_uid, out);
}

static void put_source_epoch(const struct export_row *row, struct buf *out)
{
    put_known(row->source_epoch, out);
}

static void put_recognised(const struct export_row *row, struct buf *out)
{
    buf_append(out, vault_recognition_name(row->recognised));
}

static void put_internaldate(const struct export_row *row, struct buf *out)
{
    write_internaldate(row->placement->internal_usec, row->placement->internal_zone, out);
}

static void put_time(int64_t usec, struct buf *out)
{
    char text[CLOCK_TEXT_BYTES];

    clock_format_rfc3339(usec, text);
    buf_text(out, text);
}

static void put_archived(const struct export_row *row, struct buf *out)
{
    put_time(row->placement->archived_usec, out);
}

static void put_gone(const struct export_row *row, struct buf *out)
{
    if (row->placement->is_gone)
        put_time(row->placement->gone_usec, out);
}

static void put_flags(const struct export_row *row, struct buf *out)
{
    static const char *const names[] = { "\\Seen", "\\Answered", "\\Flagged", "\\Deleted",
                                         "\\Draft" }; /* by bit: vault/flag.h */
    const char *gap = "";

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((row->placement->flags >> i & 1) == 0)
            continue;
        buf_text(out, gap);
        buf_text(out, names[i]);
        gap = " ";
    }
}

/* Keywords hold no blank (RFC 9051, flag-keyword is an atom). */
static void put_keywords(const struct export_row *row, struct buf *out)
{
    bool is_first = true;

    for (size_t i = 0; i < row->keyword_count; i++) {
        if (!vault_has_keyword(row->placement, i))
            continue;
        if (!is_first)
            buf_byte(out, ' ');
        buf_append(out, row->keyword_names[i]);
        is_first = false;
    }
}

static void put_message_id(const struct export_row *row, struct buf *out)
{
    export_write_plain(row->message_id, out);
}

static void put_mih(const struct export_row *row, struct buf *out)
{
    export_write_mih(row->message_id, out);
}

// clang-format off
static const struct {
    const char *name;
    enum form form;
    cell_fn *put;
} columns[] = {
    { "file",               FORM_TEXT,   put_file },
    { "offset",             FORM_NUMBER, put_offset },
    { "length",             FORM_NUMBER, put_length },
    { "quoted_lines",       FORM_NUMBER, put_quoted_lines },
    { "lf_added",           FORM_BOOL,   put_added_lf },
    { "sha256",             FORM_TEXT,   put_sha256 },
    { "size",               FORM_NUMBER, put_size },
    { "account",            FORM_TEXT,   put_account },
    { "mailbox",            FORM_TEXT,   put_mailbox },
    { "mailbox_id",         FORM_NUMBER, put_mailbox_id },
    { "uidvalidity",        FORM_NUMBER, put_uidvalidity },
    { "uid",                FORM_NUMBER, put_uid },
    { "source_uidvalidity", FORM_NUMBER, put_source_uidvalidity },
    { "source_uid",         FORM_NUMBER, put_source_uid },
    { "source_epoch",       FORM_NUMBER, put_source_epoch },
    { "recognised",         FORM_TEXT,   put_recognised },
    { "internaldate",       FORM_TEXT,   put_internaldate },
    { "archived_at",        FORM_TEXT,   put_archived },
    { "gone_at",            FORM_TEXT,   put_gone },
    { "flags",              FORM_LIST,   put_flags },
    { "keywords",           FORM_LIST,   put_keywords },
    { "message_id",         FORM_TEXT,   put_message_id },
    { "edrm_mih",           FORM_TEXT,   put_mih },
    { "problem",            FORM_TEXT,   put_problem },
};
// clang-format on

enum {
    CELL_BYTES = LIMIT_KEYWORDS_PER_MAILBOX * (LIMIT_KEYWORD_BYTES + 1) + (64 << 10)
};

void export_write_csv_header(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        buf_text(out, i == 0 ? "" : ",");
        buf_text(out, columns[i].name);
    }
    buf_text(out, "\r\n");
}

void export_write_csv_row(const struct export_row *row, struct buf *out)
{
    CLEANUP(buf_free) struct buf cell = buf_create(CELL_BYTES);

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        buf_text(out, i == 0 ? "" : ",");
        buf_reset(&cell, CELL_BYTES);
        columns[i].put(row, &cell);
        assert(!cell.has_failed);
        if (columns[i].form == FORM_NUMBER || columns[i].form == FORM_BOOL)
            buf_append(out, buf_bytes(&cell));
        else
            export_write_csv_text(buf_bytes(&cell), out);
    }
    buf_text(out, "\r\n");
}

static void write_json_list(struct bytes list, struct buf *out)
{
    struct bytes item;

    buf_byte(out, '[');
    while (list.len > 0) {
        if (!scan_until_byte(&list, ' ', &item)) {
            item = list;
            list.len = 0;
        }
        export_write_json_text(item, out);
        if (scan_byte(&list, ' '))
            buf_byte(out, ',');
    }
    buf_byte(out, ']');
}

void export_write_json_row(const struct export_row *row, struct buf *out)
{
    CLEANUP(buf_free) struct buf cell = buf_create(CELL_BYTES);

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        buf_text(out, i == 0 ? "{\"" : ",\"");
        buf_text(out, columns[i].name);
        buf_text(out, "\":");
        buf_reset(&cell, CELL_BYTES);
        columns[i].put(row, &cell);
        assert(!cell.has_failed);
        if (columns[i].form == FORM_LIST)
            write_json_list(buf_bytes(&cell), out);
        else if (columns[i].form == FORM_TEXT && cell.len > 0)
            export_write_json_text(buf_bytes(&cell), out);
        else if (cell.len > 0)
            buf_append(out, buf_bytes(&cell));
        else
            buf_text(out, "null");
    }
    buf_text(out, "}\n");
}
