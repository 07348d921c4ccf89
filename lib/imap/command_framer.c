/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/command_framer.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/secret.h"
#include "imap/internal.h"
#include "imap/token.h"

#include <stdlib.h>

/*
 *   BEGIN --feed--> LINE --header--> DECIDE --accept--> LITERAL --all octets--> LINE
 *                   LINE --line end--> BEGIN (COMMAND)
 *   DECIDE --refuse--> REFUSED --feed, {n}--> BEGIN (REFUSED)
 *   REFUSED --feed, {n+}--> DROP_LITERAL --> DROP_LINE --line end--> BEGIN (REFUSED)
 *   LINE --over command_bytes--> DROP_LINE
 *   DROP_LINE --{n+}--> DROP_LITERAL; --{n}--> BEGIN (REFUSED)
 *   DROP_* --over what is worth dropping--> CLOSED
 */
enum state {
    BEGIN,        /* between commands; text is what the last one left */
    LINE,         /* text grows up to a line end */
    DECIDE,       /* the caller accepts or refuses the literal */
    LITERAL,      /* literal_left octets go to text */
    REFUSED,      /* the caller refused the literal; the next feed goes on from there */
    DROP_LINE,    /* octets go nowhere, up to a line end */
    DROP_LITERAL, /* literal_left octets go nowhere */
    CLOSED,
};

enum {
    TAIL_BYTES = 64
}; /* longest literal header that is recognised in a dropped line */

struct imap_framer {
    enum state state;
    struct imap_framer_limits limits;
    struct buf text;
    size_t line_start; /* of the current line within text */
    bool is_bare_line; /* feed_line was called for it */
    bool holds_secret;
    struct imap_literal literal;
    uint64_t literal_left;
    enum imap_framer_fault fault;
    uint64_t dropped_line_bytes;
    uint64_t dropped_octet_bytes;
    uint8_t tail[TAIL_BYTES]; /* end of the dropped line */
    size_t tail_len;
    uint8_t tag[IMAP_TAG_BYTES];
    size_t tag_len;
    uint8_t name[IMAP_COMMAND_NAME_BYTES];
    size_t name_len;
    bool is_uid;
};

struct imap_framer_limits imap_limits_before_login(void)
{
    return (struct imap_framer_limits){
        .command_bytes = LIMIT_COMMAND_UNAUTH_BYTES,
        .literal_bytes = LIMIT_LITERAL_UNAUTH_BYTES,
        .dropped_line_bytes = LIMIT_COMMAND_BYTES,
        .dropped_octet_bytes = LIMIT_LITERAL_UNAUTH_BYTES,
    };
}

struct imap_framer_limits imap_limits_after_login(void)
{
    return (struct imap_framer_limits){
        .command_bytes = LIMIT_COMMAND_BYTES,
        .literal_bytes = LIMIT_COMMAND_BYTES,
        .dropped_line_bytes = LIMIT_RESPONSE_LINE_BYTES,
        .dropped_octet_bytes = LIMIT_REFUSED_LITERAL_BYTES,
    };
}

struct imap_framer *imap_framer_create(struct imap_framer_limits limits)
{
    struct imap_framer *framer = malloc(sizeof *framer);

    assert(framer != NULL);
    *framer = (struct imap_framer){ .limits = limits, .text = buf_create(limits.command_bytes) };
    return framer;
}

static void empty_text(struct imap_framer *framer)
{
    if (framer->holds_secret)
        secret_wipe(framer->text.ptr, framer->text.cap);
    framer->holds_secret = false;
    buf_reset(&framer->text, 1024);
    framer->text.max_bytes = framer->limits.command_bytes;
    framer->line_start = 0;
}

void imap_framer_free(struct imap_framer **framer)
{
    if (*framer == NULL)
        return;
    secret_wipe((*framer)->text.ptr, (*framer)->text.cap);
    buf_free(&(*framer)->text);
    free(*framer);
    *framer = NULL;
}

void imap_framer_set_limits(struct imap_framer *framer, struct imap_framer_limits limits)
{
    assert(framer->state == BEGIN);
    framer->limits = limits;
}

void imap_framer_shrink(struct imap_framer *framer)
{
    assert(framer->state == BEGIN);
    empty_text(framer);
    buf_free(&framer->text);
}

static void begin(struct imap_framer *framer, bool is_bare_line)
{
    empty_text(framer);
    framer->state = LINE;
    framer->is_bare_line = is_bare_line;
    framer->holds_secret = is_bare_line; /* an answer to a SASL challenge */
    framer->literal = (struct imap_literal){ 0 };
    framer->fault = IMAP_FAULT_NONE;
    framer->dropped_line_bytes = 0;
    framer->dropped_octet_bytes = 0;
    framer->tail_len = 0;
    framer->tag_len = 0;
    framer->name_len = 0;
    framer->is_uid = false;
}

static bool is_name_char(uint8_t c)
{
    return imap_is_astring_char(c);
}

/* Sets tag and name from what there is of the command. A name that is not whole is none. */
static void read_head(struct imap_framer *framer)
{
    struct bytes in = buf_bytes(&framer->text);
    struct bytes tag, name;
    struct err ignored;

    if (framer->tag_len > 0 || !imap_read_tag(&in, &tag, &ignored))
        return;
    if (in.len > 0 && in.ptr[0] != ' ' && in.ptr[0] != '\r' && in.ptr[0] != '\n')
        return;
    memcpy(framer->tag, tag.ptr, tag.len);
    framer->tag_len = tag.len;
    if (!scan_byte(&in, ' '))
        return;
    name = imap_scan_while(&in, is_name_char);
    framer->is_uid = bytes_equal_nocase(name, BYTES("UID")) && scan_byte(&in, ' ');
    if (framer->is_uid)
        name = imap_scan_while(&in, is_name_char);
    if (name.len > sizeof framer->name || in.len == 0)
        return;
    for (size_t i = 0; i < name.len; i++)
        framer->name[i] = ascii_upper(name.ptr[i]);
    framer->name_len = name.len;
    name = bytes_of(framer->name, framer->name_len);
    framer->holds_secret =
        bytes_equal(name, BYTES("LOGIN")) || bytes_equal(name, BYTES("AUTHENTICATE"));
}

/* Takes the octets of a line up to and with its LF. */
static struct bytes take_line_part(struct bytes *in)
{
    ssize_t end = bytes_find_byte(*in, '\n');
    struct bytes part = { in->ptr, end < 0 ? in->len : (size_t)end + 1 };

    *in = bytes_of(in->ptr + part.len, in->len - part.len);
    return part;
}

static bool ends_line(struct bytes part)
{
    return part.len > 0 && part.ptr[part.len - 1] == '\n';
}

static void remember_tail(struct imap_framer *framer, struct bytes part)
{
    size_t keep;

    if (part.len > TAIL_BYTES)
        part = bytes_slice(part, part.len - TAIL_BYTES, TAIL_BYTES);
    keep = framer->tail_len < TAIL_BYTES - part.len ? framer->tail_len : TAIL_BYTES - part.len;
    memmove(framer->tail, framer->tail + framer->tail_len - keep, keep);
    if (part.len > 0)
        memcpy(framer->tail + keep, part.ptr, part.len);
    framer->tail_len = keep + part.len;
}

static void start_dropping(struct imap_framer *framer, enum imap_framer_fault fault)
{
    struct bytes text = buf_bytes(&framer->text);

    read_head(framer);
    framer->fault = fault;
    framer->tail_len = 0;
    remember_tail(framer, bytes_slice(text, framer->line_start, SIZE_MAX));
    empty_text(framer);
    framer->state = DROP_LINE;
}

static enum imap_frame close_framer(struct imap_framer *framer)
{
    framer->state = CLOSED;
    return IMAP_FRAME_CLOSE;
}

static enum imap_frame end_refused(struct imap_framer *framer)
{
    empty_text(framer);
    framer->state = BEGIN;
    return IMAP_FRAME_REFUSED;
}

/* The command is refused, and framer->literal is what comes next of it. */
static enum imap_frame drop_literal(struct imap_framer *framer)
{
    uint64_t room = framer->limits.dropped_octet_bytes - framer->dropped_octet_bytes;

    if (framer->literal.awaits_continuation)
        return end_refused(framer);
    if (framer->literal.size_bytes > room)
        return close_framer(framer);
    framer->dropped_octet_bytes += framer->literal.size_bytes;
    framer->literal_left = framer->literal.size_bytes;
    framer->tail_len = 0;
    framer->state = DROP_LITERAL;
    return IMAP_FRAME_MORE;
}

/* Which fault, if any, has the literal whose header stands at the end of the text? */
static enum imap_framer_fault check_literal(const struct imap_framer *framer)
{
    const struct imap_literal *lit = &framer->literal;

    if (!lit->awaits_continuation && lit->size_bytes > IMAP_LITERAL_MINUS_BYTES)
        return IMAP_FAULT_LITERAL_MINUS;
    if (lit->size_bytes > framer->limits.literal_bytes ||
        lit->size_bytes > framer->limits.command_bytes - framer->text.len)
        return IMAP_FAULT_LITERAL_TOO_LONG;
    return IMAP_FAULT_NONE;
}

static enum imap_frame end_line(struct imap_framer *framer)
{
    struct bytes line = bytes_slice(buf_bytes(&framer->text), framer->line_start, SIZE_MAX);
    enum imap_framer_fault fault;
    bool is_too_large = false;
    size_t header_bytes;

    if (!framer->is_bare_line)
        read_head(framer);
    if (framer->is_bare_line ||
        !imap_find_literal_header(line, &framer->literal, &is_too_large, &header_bytes)) {
        framer->text.len = imap_trim_line_end(buf_bytes(&framer->text)).len;
        framer->state = BEGIN;
        return framer->is_bare_line ? IMAP_FRAME_LINE : IMAP_FRAME_COMMAND;
    }
    if (is_too_large)
        framer->literal.size_bytes = UINT64_MAX;
    fault = check_literal(framer);
    if (fault == IMAP_FAULT_NONE) {
        framer->state = DECIDE;
        return IMAP_FRAME_LITERAL;
    }
    start_dropping(framer, fault);
    return drop_literal(framer);
}

static enum imap_frame feed_line(struct imap_framer *framer, struct bytes *in)
{
    size_t room = framer->limits.command_bytes - framer->text.len;
    struct bytes part = take_line_part(in);

    if (part.len <= room) {
        buf_append(&framer->text, part);
        if (framer->text.has_failed)
            return close_framer(framer); /* no memory */
        return ends_line(part) ? end_line(framer) : IMAP_FRAME_MORE;
    }
    if (framer->is_bare_line)
        return close_framer(framer);
    buf_append(&framer->text, bytes_slice(part, 0, room)); /* the tag may be in it */
    *in = bytes_of(part.ptr + room, in->len + part.len - room);
    start_dropping(framer, IMAP_FAULT_COMMAND_TOO_LONG);
    return IMAP_FRAME_MORE;
}

static enum imap_frame feed_dropped_line(struct imap_framer *framer, struct bytes *in)
{
    struct bytes part = take_line_part(in);
    bool is_too_large = false;
    size_t header_bytes;

    framer->dropped_line_bytes += part.len;
    if (framer->dropped_line_bytes > framer->limits.dropped_line_bytes)
        return close_framer(framer);
    remember_tail(framer, part);
    if (!ends_line(part))
        return IMAP_FRAME_MORE;
    if (!imap_find_literal_header(bytes_of(framer->tail, framer->tail_len), &framer->literal,
                                  &is_too_large, &header_bytes))
        return end_refused(framer);
    if (is_too_large)
        framer->literal.size_bytes = UINT64_MAX;
    return drop_literal(framer);
}

static enum imap_frame feed_literal(struct imap_framer *framer, struct bytes *in)
{
    size_t size = framer->literal_left < in->len ? (size_t)framer->literal_left : in->len;

    if (framer->state == LITERAL) {
        buf_append(&framer->text, bytes_slice(*in, 0, size));
        if (framer->text.has_failed)
            return close_framer(framer); /* no memory */
        framer->line_start = framer->text.len;
    }
    framer->literal_left -= size;
    *in = bytes_of(size == 0 ? in->ptr : in->ptr + size, in->len - size);
    if (framer->literal_left == 0)
        framer->state = framer->state == LITERAL ? LINE : DROP_LINE;
    return IMAP_FRAME_MORE;
}

static enum imap_frame step(struct imap_framer *framer, struct bytes *in)
{
    switch (framer->state) {
    case LINE:
        return feed_line(framer, in);
    case LITERAL:
    case DROP_LITERAL:
        return feed_literal(framer, in);
    case REFUSED:
        return drop_literal(framer);
    case DROP_LINE:
        return feed_dropped_line(framer, in);
    case BEGIN:
    case DECIDE:
    case CLOSED:
        break;
    }
    UNREACHABLE();
}

static enum imap_frame feed(struct imap_framer *framer, struct bytes *in)
{
    enum imap_frame frame = IMAP_FRAME_MORE;

    while (frame == IMAP_FRAME_MORE && framer->state == REFUSED)
        frame = step(framer, in);
    while (frame == IMAP_FRAME_MORE && in->len > 0)
        frame = step(framer, in);
    return frame;
}

enum imap_frame imap_framer_feed(struct imap_framer *framer, struct bytes *in)
{
    assert(framer->state != DECIDE && framer->state != CLOSED);
    if (framer->state == BEGIN && in->len > 0)
        begin(framer, false);
    assert(!framer->is_bare_line || framer->state == BEGIN);
    return framer->state == BEGIN ? IMAP_FRAME_MORE : feed(framer, in);
}

enum imap_frame imap_framer_feed_line(struct imap_framer *framer, struct bytes *in)
{
    assert(framer->state == BEGIN || (framer->state == LINE && framer->is_bare_line));
    if (framer->state == BEGIN && in->len > 0)
        begin(framer, true);
    return framer->state == BEGIN ? IMAP_FRAME_MORE : feed(framer, in);
}

void imap_framer_accept(struct imap_framer *framer)
{
    assert(framer->state == DECIDE);
    framer->literal_left = framer->literal.size_bytes;
    framer->line_start = framer->text.len;
    framer->state = framer->literal_left == 0 ? LINE : LITERAL;
}

void imap_framer_refuse(struct imap_framer *framer)
{
    assert(framer->state == DECIDE);
    empty_text(framer);
    framer->state = REFUSED;
}

struct imap_literal imap_framer_literal(const struct imap_framer *framer)
{
    return framer->literal;
}

struct imap_frame_head imap_framer_head(const struct imap_framer *framer)
{
    return (struct imap_frame_head){
        .tag = bytes_of(framer->tag, framer->tag_len),
        .name = bytes_of(framer->name, framer->name_len),
        .is_uid = framer->is_uid,
    };
}

enum imap_framer_fault imap_framer_fault(const struct imap_framer *framer)
{
    return framer->fault;
}

struct bytes imap_framer_text(const struct imap_framer *framer)
{
    return buf_bytes(&framer->text);
}
