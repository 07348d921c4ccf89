/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/show.h - one message, as the files of `holdfast show` share it.
 */
#pragma once

#include "holdfast/reader.h"
#include "mime/part.h"

enum show_form {
    SHOW_READABLE,
    SHOW_RAW,     /* the octets */
    SHOW_HEADERS, /* the header, line for line */
    SHOW_JSON,
};

/* One message, the places where it lies, and what is known of it. In the command's arena. */
struct show_message {
    const struct vault_found *places; /* the first is the one asked for */
    size_t place_count;
    bool has_more_places;
    struct vault_placement row;   /* of the first, VAULT_WITH_INDEX */
    struct vault_mailbox mailbox; /* of the first: for its keywords */
    struct vault_message_notes notes;
    struct bytes header;          /* its octets, as much of them as MIME_HEADER_KEPT_MAX */
    const struct mime_part *root; /* NULL: its structure cannot be known */
};

/* show_find.c: hash, place or Message-ID. Found and loaded, nothing of its content. */
struct show_wanted {
    struct bytes hash;          /* or: */
    struct bytes message_id;    /* without brackets; or: */
    struct bytes account, path; /* a place */
    uint32_t uid;
    enum show_form form;
};
MUST_USE bool show_read_id(const char *text, struct show_wanted *out, struct err *err);
MUST_USE bool show_find(struct cli_reader *reader, const struct show_wanted *wanted,
                        struct show_message *out);

/* show_text.c: header and structure. ERR_CORRUPT: damaged. */
MUST_USE bool show_load_content(struct cli_reader *reader, struct show_message *message);

/* Is it shown as text of the message? Texts within messages within it are not. */
bool show_is_text(const struct mime_part *part);

/* Gets decoded text, UTF-8, whole characters, lines ending with LF; HTML as lines of words. */
typedef bool show_text_fn(void *context, struct bytes text);

/* All parts of the message that are shown as text, one behind the other. False: cli->err. */
MUST_USE bool show_read_texts(struct cli_reader *reader, const struct show_message *message,
                              size_t width, show_text_fn *fn, void *context);

/* "1.2", as IMAP numbers parts; "" is the message itself when it has parts. */
void show_write_section(const struct mime_part *part, struct buf *out);

/* The file name, decoded; empty: it has none. */
struct bytes show_file_name(const struct mime_part *part, struct arena *arena);

/* The value of a field, decoded, on one line. */
struct bytes show_decode_field(struct bytes value, struct arena *arena);

/* "text/plain" */
void show_write_type(const struct mime_part *part, struct buf *out);

/* show_print.c */
MUST_USE bool show_print_readable(struct cli_reader *reader, const struct show_message *message);
MUST_USE bool show_print_json(struct cli_reader *reader, const struct show_message *message);
