/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/show_print.c - a message for people, and as JSON.
 */
#include "base/clock.h"
#include "holdfast/headline.h"
#include "holdfast/show.h"
#include "imap/flag.h"
#include "mime/header.h"
#include "text/extract.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TEXT_MAX = 4 << 20, /* of the text in JSON */
    TEXT_COLUMNS = 80,  /* of HTML, at most */
    FLAGS_BYTES = 64 << 10,
    PLACE_BYTES = 8 << 10,
    PARTS_SHOWN = 200,
};

/* ---- what both need ---------------------------------------------------------------------------------- */

static struct bytes write_place(const struct vault_found *place, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(PLACE_BYTES);

    buf_append(&text, place->account_name);
    buf_byte(&text, '/');
    buf_append(&text, place->path);
    buf_text(&text, ";UID=");
    buf_u64(&text, place->placement.uid);
    return cli_keep(arena, &text);
}

static struct bytes write_hash(const struct show_message *message, struct arena *arena)
{
    CLEANUP(buf_free) struct buf text = buf_create(2 * CRYPTO_SHA256_BYTES);

    buf_hex(&text, crypto_sha256_bytes(&message->row.sha256));
    return cli_keep(arena, &text);
}

/* The name of flag or keyword number i; empty: there is none, or the message does not have it. */
static struct bytes name_of_flag(const struct show_message *message, size_t i)
{
    static const struct bytes names[] = { BYTES_INIT("\\Seen"), BYTES_INIT("\\Answered"),
                                          BYTES_INIT("\\Flagged"), BYTES_INIT("\\Deleted"),
                                          BYTES_INIT("\\Draft") };

    if (i < ARRAY_LEN(names))
        return (message->row.flags >> i & 1) != 0 ? names[i] : bytes_of(NULL, 0);
    i -= ARRAY_LEN(names);
    return vault_has_keyword(&message->row, i) ? message->mailbox.keywords[i] : bytes_of(NULL, 0);
}

static size_t count_flags(const struct show_message *message)
{
    return 5 + message->mailbox.keyword_count;
}

/* The names of what was noted when it was indexed; an array of strings. */
static json_t *read_notes(const struct show_message *message)
{
    json_t *array =
        json_loadb((const char *)message->notes.names.ptr, message->notes.names.len, 0, NULL);

    if (json_is_array(array))
        return array;
    json_decref(array);
    return json_array();
}

/* ---- for people --------------------------------------------------------------------------------------- */

static void print_line(const char *label, struct bytes text)
{
    (void)printf("%-12s", label);
    cli_print_cell(text, 0, NULL);
    (void)fputc('\n', stdout);
}

static void print_field(const struct show_message *message, const char *label, struct bytes name,
                        struct arena *arena)
{
    struct bytes rest = message->header;
    struct mime_field field;

    while (mime_read_field(&rest, &field)) {
        if (bytes_equal_nocase(field.name, name))
            print_line(label, show_decode_field(field.value, arena));
    }
}

static void print_place(const struct vault_found *place, struct arena *arena)
{
    CLEANUP(buf_free) struct buf line = buf_create(2 * PLACE_BYTES);
    char text[CLI_TEXT_BYTES];

    buf_append(&line, write_place(place, arena));
    if (place->placement.is_gone) {
        buf_text(&line, "  gone from the source since ");
        buf_text(&line, cli_write_time(place->placement.gone_usec, text));
        buf_text(&line, " UTC");
    }
    print_line("Place:", buf_bytes(&line));
}

static void print_time(const char *label, int64_t usec, int16_t zone)
{
    char text[CLI_TEXT_BYTES];

    print_line(label, bytes_of_text(cli_write_rfc3339(usec, zone, text)));
}

static void print_flags(const struct show_message *message)
{
    CLEANUP(buf_free) struct buf text = buf_create(FLAGS_BYTES);

    for (size_t i = 0; i < count_flags(message); i++) {
        struct bytes name = name_of_flag(message, i);

        if (name.len == 0)
            continue;
        buf_text(&text, text.len > 0 ? " " : "");
        buf_append(&text, name);
    }
    if (text.len > 0)
        print_line("Flags:", buf_bytes(&text));
}

static void print_notes(const struct show_message *message)
{
    json_t *notes = read_notes(message);
    json_t *note;
    size_t i;

    if (!message->notes.is_parsed)
        print_line("Note:", BYTES("not in the search index yet"));
    json_array_foreach(notes, i, note)
    {
        if (json_is_string(note))
            print_line("Note:", bytes_of_text(json_string_value(note)));
    }
    if ((message->notes.text_notes & TEXT_NOTES_UNSEARCHED) != 0)
        print_line("Note:", BYTES("search cannot see all of it"));
    json_decref(notes);
}

static void print_facts(const struct show_message *message, struct arena *arena)
{
    char size[CLI_TEXT_BYTES];
    CLEANUP(buf_free) struct buf octets = buf_create(100);

    print_time("Received:", message->row.internal_usec, message->row.internal_zone);
    print_time("Archived:", message->row.archived_usec, 0);
    print_line("SHA-256:", write_hash(message, arena));
    buf_u64(&octets, message->row.size_bytes);
    buf_text(&octets, " bytes");
    if (message->row.size_bytes >= 1000) {
        buf_text(&octets, " (");
        buf_text(&octets, cli_write_size(message->row.size_bytes, size));
        buf_byte(&octets, ')');
    }
    print_line("Size:", buf_bytes(&octets));
    for (size_t i = 0; i < message->place_count; i++)
        print_place(&message->places[i], arena);
    if (message->has_more_places)
        print_line("", BYTES("and more"));
    print_flags(message);
    print_notes(message);
}

static void print_fields(const struct show_message *message, struct arena *arena)
{
    static const struct {
        const char *label;
        struct bytes name;
    } fields[] = {
        { "From:", BYTES_INIT("From") },
        { "Sender:", BYTES_INIT("Sender") },
        { "Reply-To:", BYTES_INIT("Reply-To") },
        { "To:", BYTES_INIT("To") },
        { "Cc:", BYTES_INIT("Cc") },
        { "Bcc:", BYTES_INIT("Bcc") },
        { "Date:", BYTES_INIT("Date") },
        { "Subject:", BYTES_INIT("Subject") },
        { "Message-ID:", BYTES_INIT("Message-ID") },
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        print_field(message, fields[i].label, fields[i].name, arena);
}

static void print_parts(struct cli_reader *reader, const struct show_message *message)
{
    static const char *const header[] = { "PART", "TYPE", "BYTES", "NAME" };
    struct cli *cli = reader->cli;
    struct cli_table *table;
    size_t count = 0;

    if (message->root->children == NULL && show_is_text(message->root))
        return;
    table = cli_create_table(cli, header, ARRAY_LEN(header));
    for (const struct mime_part *part = message->root; part != NULL && count < PARTS_SHOWN;
         part = mime_next_part(part)) {
        CLEANUP(buf_free) struct buf section = buf_create(2048);
        CLEANUP(buf_free) struct buf type = buf_create(4096);

        if (part->is_multipart)
            continue;
        count++;
        show_write_section(part, &section);
        show_write_type(part, &type);
        cli_add_cell(table, cli_keep(cli->arena, &section));
        cli_add_cell(table, cli_keep(cli->arena, &type));
        cli_add_number(table, part->body_bytes);
        cli_add_cell(table, show_file_name(part, cli->arena));
    }
    (void)fputc('\n', stdout);
    cli_print_table(table);
    if (count == PARTS_SHOWN)
        (void)fputs("and perhaps more: --json lists all\n", stdout);
}

/* Whether the last octet that was printed ended a line. */
struct printing {
    bool is_inside_line;
    bool has_text;
};

static bool print_text(void *context, struct bytes text)
{
    struct printing *printing = context;

    cli_print_text(text);
    printing->is_inside_line = text.ptr[text.len - 1] != '\n';
    printing->has_text = true;
    return true;
}

bool show_print_readable(struct cli_reader *reader, const struct show_message *message)
{
    struct arena *arena = reader->cli->arena;
    struct show_message loaded = *message;
    struct printing printing = { .is_inside_line = false };
    size_t width = cli_terminal_width();
    bool is_read;

    if (!show_load_content(reader, &loaded)) {
        print_facts(message, arena);
        return false;
    }
    print_fields(&loaded, arena);
    print_facts(&loaded, arena);
    print_parts(reader, &loaded);
    (void)fputc('\n', stdout);
    is_read =
        show_read_texts(reader, &loaded, width == 0 || width > TEXT_COLUMNS ? TEXT_COLUMNS : width,
                        print_text, &printing);
    if (printing.is_inside_line)
        (void)fputc('\n', stdout);
    if (is_read && !printing.has_text)
        (void)fputs("(no text)\n", stdout);
    return is_read;
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static json_t *make_places(const struct show_message *message)
{
    json_t *array = json_array();

    for (size_t i = 0; i < message->place_count; i++) {
        const struct vault_found *place = &message->places[i];

        (void)json_array_append_new(array, json_pack("{s:o,s:o,s:I,s:b,s:o}", "account",
                                                     cli_json_text(place->account_name), "mailbox",
                                                     cli_json_text(place->path), "uid",
                                                     (json_int_t)place->placement.uid, "gone",
                                                     (int)place->placement.is_gone, "gone_at",
                                                     cli_json_time(place->placement.gone_usec)));
    }
    return array;
}

static json_t *make_flags(const struct show_message *message)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count_flags(message); i++) {
        struct bytes name = name_of_flag(message, i);

        if (name.len > 0)
            (void)json_array_append_new(array, cli_json_text(name));
    }
    return array;
}

static json_t *make_headers(const struct show_message *message, struct arena *arena)
{
    json_t *array = json_array();
    struct bytes rest = message->header;
    struct mime_field field;

    while (mime_read_field(&rest, &field))
        (void)json_array_append_new(
            array, json_pack("[o,o]", cli_json_text(field.name),
                             cli_json_text(show_decode_field(field.value, arena))));
    return array;
}

static json_t *make_parts(const struct show_message *message, struct arena *arena)
{
    json_t *array = json_array();

    for (const struct mime_part *part = message->root; part != NULL; part = mime_next_part(part)) {
        CLEANUP(buf_free) struct buf section = buf_create(2048);
        CLEANUP(buf_free) struct buf type = buf_create(4096);
        struct bytes name = show_file_name(part, arena);

        show_write_section(part, &section);
        show_write_type(part, &type);
        (void)json_array_append_new(
            array,
            json_pack("{s:o,s:o,s:o,s:I,s:I,s:b}", "section", cli_json_text(buf_bytes(&section)),
                      "type", cli_json_text(buf_bytes(&type)), "name",
                      name.len == 0 ? json_null() : cli_json_text(name), "offset",
                      (json_int_t)mime_body_offset(part), "bytes", (json_int_t)part->body_bytes,
                      "attachment", (int)mime_is_attachment(part)));
    }
    return array;
}

static bool append_text(void *context, struct bytes text)
{
    struct buf *out = context;
    size_t room = TEXT_MAX - out->len;

    text = text.len > room ? bytes_slice(text, 0, room) : text;
    buf_append(out, text);
    return true;
}

/* A character of which only the beginning had room goes too: JSON takes whole ones only. */
static void end_whole(struct buf *text)
{
    size_t tail = 0; /* octets behind the first of the last character */
    uint8_t first;

    while (tail < 3 && tail + 1 < text->len && (text->ptr[text->len - 1 - tail] & 0xc0) == 0x80)
        tail++;
    if (text->len == 0)
        return;
    first = text->ptr[text->len - 1 - tail];
    if (first >= 0xc0 && tail < (first < 0xe0 ? 1u : first < 0xf0 ? 2u : 3u))
        text->len -= tail + 1;
}

bool show_print_json(struct cli_reader *reader, const struct show_message *message)
{
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_MAX);
    struct arena *arena = reader->cli->arena;
    struct show_message loaded = *message;
    char received[CLI_TEXT_BYTES];
    json_t *object;

    if (!show_load_content(reader, &loaded) ||
        !show_read_texts(reader, &loaded, TEXT_COLUMNS, append_text, &text))
        return false;
    end_whole(&text);
    object = json_pack(
        "{s:o,s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:b}", "sha256",
        cli_json_text(write_hash(&loaded, arena)), "size", (json_int_t)loaded.row.size_bytes,
        "received", cli_write_rfc3339(loaded.row.internal_usec, loaded.row.internal_zone, received),
        "archived", cli_json_time(loaded.row.archived_usec), "places", make_places(&loaded),
        "flags", make_flags(&loaded), "headers", make_headers(&loaded, arena), "parts",
        make_parts(&loaded, arena), "notes", read_notes(&loaded), "text",
        cli_json_text(buf_bytes(&text)), "text_cut", (int)(text.len + 4 > TEXT_MAX), "indexed",
        (int)loaded.notes.is_parsed, "searched_wholly",
        (int)((loaded.notes.text_notes & TEXT_NOTES_UNSEARCHED) == 0));
    return cli_print_json(reader->cli, object) == EXIT_SUCCESS;
}
