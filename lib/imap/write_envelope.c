/* SPDX-License-Identifier: Apache-2.0 */
/* ENVELOPE. RFC 9051 §7.5.2. */
#include "imap/internal.h"
#include "imap/structure.h"
#include "imap/write.h"
#include "mime/address.h"

enum {
    ESCAPES_MAX = 4,         /* more quotes and backslashes than these, and it is a literal */
    QUOTED_MAX_BYTES = 8000, /* RFC 2683 §3.2.1.5 asks that lines of this length be read */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Quoted if that is short and plain, or else a literal. NUL becomes U+FFFD: no string may hold it. */
void imap_write_plain_string(struct buf *buf, struct bytes value)
{
    size_t escapes = 0;
    size_t nuls = 0;
    bool is_plain = value.len <= QUOTED_MAX_BYTES;

    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];

        if (c == '\0')
            nuls++;
        else if (c == '"' || c == '\\')
            escapes++;
        else if (c == '\r' || c == '\n' || c >= 0x80)
            is_plain = false;
    }
    if (is_plain && nuls == 0 && escapes <= ESCAPES_MAX) {
        buf_byte(buf, '"');
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] == '"' || value.ptr[i] == '\\')
                buf_byte(buf, '\\');
            buf_byte(buf, value.ptr[i]);
        }
        buf_byte(buf, '"');
        return;
    }
    imap_write_literal_header(buf, value.len + 2 * nuls);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '\0')
            buf_text(buf, "\xef\xbf\xbd");
        else
            buf_byte(buf, value.ptr[i]);
    }
}

/* Line ends go; where no blank follows one, it becomes a blank. */
void imap_write_unfolded(struct buf *buf, const struct bytes *value)
{
    CLEANUP(buf_free) struct buf plain = buf_create(MIME_HEADER_KEPT_MAX);

    if (value == NULL) {
        buf_text(buf, "NIL");
        return;
    }
    if (bytes_find_byte(*value, '\n') < 0 && bytes_find_byte(*value, '\r') < 0) {
        imap_write_plain_string(buf, *value);
        return;
    }
    for (size_t i = 0; i < value->len; i++) {
        uint8_t c = value->ptr[i];

        if (c != '\r' && c != '\n')
            buf_byte(&plain, c);
        else if (i + 1 < value->len && !is_blank(value->ptr[i + 1]))
            buf_byte(&plain, ' ');
    }
    imap_write_plain_string(buf, buf_bytes(&plain));
}

/* For people: runs of blanks and line ends become one space, none at either end. What is not plain
 * text without quotes and backslashes is a literal. */
static void write_tidied(struct buf *buf, const struct bytes *value)
{
    CLEANUP(buf_free) struct buf tidy = buf_create(3 * (size_t)MIME_HEADER_KEPT_MAX);
    bool is_plain = true;
    bool is_behind_blank = true;
    struct bytes text;

    if (value == NULL) {
        buf_text(buf, "NIL");
        return;
    }
    for (size_t i = 0; i < value->len; i++) {
        uint8_t c = value->ptr[i];

        if (is_blank(c)) {
            is_plain = is_plain && c == ' ' && !is_behind_blank;
            if (!is_behind_blank)
                buf_byte(&tidy, ' ');
            is_behind_blank = true;
            continue;
        }
        is_behind_blank = false;
        is_plain = is_plain && c != '"' && c != '\\' && c < 0x80 && c != '\0';
        if (c == '\0')
            buf_text(&tidy, "\xef\xbf\xbd");
        else
            buf_byte(&tidy, c);
    }
    text = buf_bytes(&tidy);
    if (text.len > 0 && is_behind_blank) {
        text.len--;
        is_plain = false;
    }
    if (text.len > 0 && (!is_plain || text.len > QUOTED_MAX_BYTES)) {
        imap_write_literal(buf, text);
        return;
    }
    buf_byte(buf, '"');
    buf_append(buf, text);
    buf_byte(buf, '"');
}

static void write_nil_or_string(struct buf *buf, bool is_set, struct bytes value)
{
    if (is_set)
        imap_write_plain_string(buf, value);
    else
        buf_text(buf, "NIL");
}

static void write_address(struct buf *buf, const struct mime_address *address)
{
    bool is_mailbox = address->kind == MIME_ADDRESS_MAILBOX;

    buf_byte(buf, '(');
    write_tidied(buf, address->has_name ? &address->name : NULL);
    buf_byte(buf, ' ');
    write_nil_or_string(buf, address->has_route, address->route);
    buf_byte(buf, ' ');
    write_nil_or_string(buf, address->kind != MIME_ADDRESS_GROUP_END, address->mailbox);
    buf_byte(buf, ' ');
    write_nil_or_string(buf, is_mailbox, address->domain);
    buf_byte(buf, ')');
}

/* The addresses of one field behind `count` others of the list: "(" only in front of the first.
 * Returns how many there are now. */
static size_t write_addresses(struct buf *buf, struct bytes value, size_t count)
{
    CLEANUP(buf_free) struct buf scratch = buf_create(mime_address_scratch_bytes(value));
    struct mime_address_reader reader = mime_read_addresses(value, &scratch);
    struct mime_address address;
    bool is_in_group = false;

    while (count < IMAP_ENVELOPE_ADDRESSES_MAX && mime_next_address(&reader, &address)) {
        if (count++ == 0)
            buf_byte(buf, '(');
        is_in_group = address.kind == MIME_ADDRESS_GROUP_START ||
                      (is_in_group && address.kind == MIME_ADDRESS_MAILBOX);
        write_address(buf, &address);
    }
    if (is_in_group) /* cut off within */
        buf_text(buf, "(NIL NIL NIL NIL)");
    return count;
}

static size_t write_values(struct buf *buf, const struct mime_value *values)
{
    size_t count = 0;

    for (; values != NULL; values = values->next)
        count = write_addresses(buf, values->octets, count);
    return count;
}

/* ((name route mailbox host) …), NIL when there is none. */
static void write_list(struct buf *buf, const struct mime_value *values,
                       const struct mime_value *otherwise)
{
    buf_byte(buf, ' ');
    buf_text(buf, write_values(buf, values) > 0 || write_values(buf, otherwise) > 0 ? ")" : "NIL");
}

void imap_write_envelope(struct buf *buf, const struct mime_envelope *envelope)
{
    static const struct mime_envelope empty;

    if (envelope == NULL)
        envelope = &empty;
    buf_byte(buf, '(');
    imap_write_unfolded(buf, envelope->date);
    buf_byte(buf, ' ');
    write_tidied(buf, envelope->subject);
    write_list(buf, envelope->from, NULL);
    write_list(buf, envelope->sender, envelope->from);
    write_list(buf, envelope->reply_to, envelope->from);
    write_list(buf, envelope->to, NULL);
    write_list(buf, envelope->cc, NULL);
    write_list(buf, envelope->bcc, NULL);
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, envelope->in_reply_to);
    buf_byte(buf, ' ');
    imap_write_unfolded(buf, envelope->message_id);
    buf_byte(buf, ')');
}
