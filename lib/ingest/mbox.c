/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/mbox.h"

#include "base/arena.h"
#include "base/checked.h"
#include "mime/date.h"

#include <stdlib.h>

enum {
    WINDOW_BYTES = 256 << 10,
    END_OF_FILE = -1,
    LENGTH_LINE_BYTES = 64, /* of "Content-Length: 12345" */
    /* line ends between the octets that a Content-Length counts and a separator */
    FRAMING_LINES_MAX = 2,
    FIELD_NAME_BYTES = 128, /* in front of the colon of what is taken for a field */
};

static const struct bytes from = BYTES_INIT("From ");
static const struct bytes content_length = BYTES_INIT("Content-Length:");

struct ingest_mbox {
    enum ingest_mbox_format format;
    ingest_read_at_fn *read;
    void *context;
    bool has_begun;
    uint64_t next; /* where the next separator stands, or the end of the file */
    uint64_t window_start;
    size_t window_len;
    uint8_t line[INGEST_MBOX_LINE_BYTES];
    uint8_t window[WINDOW_BYTES];
};

static const struct bytes format_names[] = {
    [INGEST_MBOXRD] = BYTES_INIT("mboxrd"),
    [INGEST_MBOXO] = BYTES_INIT("mboxo"),
    [INGEST_MBOXCL] = BYTES_INIT("mboxcl"),
    [INGEST_MBOXCL2] = BYTES_INIT("mboxcl2"),
};

bool ingest_find_mbox_format(struct bytes name, enum ingest_mbox_format *out)
{
    for (size_t i = 0; i < ARRAY_LEN(format_names); i++)
        if (bytes_equal(name, format_names[i])) {
            *out = (enum ingest_mbox_format)i;
            return true;
        }
    return false;
}

struct bytes ingest_mbox_format_name(enum ingest_mbox_format format)
{
    return format_names[format];
}

struct ingest_mbox *ingest_open_mbox(enum ingest_mbox_format format, ingest_read_at_fn *read,
                                     void *context)
{
    struct ingest_mbox *mbox = calloc(1, sizeof *mbox);

    assert(mbox != NULL);
    mbox->format = format;
    mbox->read = read;
    mbox->context = context;
    return mbox;
}

void ingest_close_mbox(struct ingest_mbox **mbox)
{
    free(*mbox);
    *mbox = NULL;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* What the window holds from this place on, filling it when that is nothing. Empty: the end. */
static bool look(struct ingest_mbox *mbox, uint64_t at, struct bytes *out, struct err *err)
{
    size_t skip;

    if (at < mbox->window_start || at >= mbox->window_start + mbox->window_len) {
        size_t got = 0;

        mbox->window_len = 0;
        if (!mbox->read(mbox->context, at, mbox->window, WINDOW_BYTES, &got, err))
            return false;
        mbox->window_start = at;
        mbox->window_len = got;
    }
    skip = (size_t)(at - mbox->window_start);
    *out = bytes_of(mbox->window + skip, mbox->window_len - skip);
    return true;
}

static bool peek(struct ingest_mbox *mbox, uint64_t at, int *octet, struct err *err)
{
    struct bytes here;

    if (!look(mbox, at, &here, err))
        return false;
    *octet = here.len == 0 ? END_OF_FILE : here.ptr[0];
    return true;
}

/* At most size octets from this place on. */
static bool take(struct ingest_mbox *mbox, uint64_t at, uint8_t *room, size_t size, size_t *got,
                 struct err *err)
{
    struct bytes here;

    *got = 0;
    while (*got < size) {
        if (!look(mbox, at + *got, &here, err))
            return false;
        if (here.len == 0)
            return true;
        here = bytes_slice(here, 0, size - *got);
        memcpy(room + *got, here.ptr, here.len);
        *got += here.len;
    }
    return true;
}

/* *next: behind the LF of the line that goes on here, or the end of the file. */
static bool find_line_end(struct ingest_mbox *mbox, uint64_t at, uint64_t *next, bool *has_lf,
                          struct err *err)
{
    for (;;) {
        struct bytes here;
        ssize_t lf;

        if (!look(mbox, at, &here, err))
            return false;
        lf = bytes_find_byte(here, '\n');
        *has_lf = lf >= 0;
        *next = at + (lf >= 0 ? (uint64_t)lf + 1 : here.len);
        if (*has_lf || here.len == 0)
            return true;
        at = *next;
    }
}

/* *length: 1 or 2 for LF or CRLF here, 0 for anything else. */
static bool read_empty_line(struct ingest_mbox *mbox, uint64_t at, uint64_t *length,
                            struct err *err)
{
    int octet;

    *length = 0;
    if (!peek(mbox, at, &octet, err))
        return false;
    if (octet == '\n')
        *length = 1;
    if (octet != '\r')
        return true;
    if (!peek(mbox, at + 1, &octet, err))
        return false;
    if (octet == '\n')
        *length = 2;
    return true;
}

/* ---- separators ------------------------------------------------------------------------------ */

static bool has_time_of_day(struct bytes line)
{
    for (size_t i = 1; i + 2 < line.len; i++)
        if (line.ptr[i] == ':' && ascii_is_digit(line.ptr[i - 1]) &&
            ascii_is_digit(line.ptr[i + 1]) && ascii_is_digit(line.ptr[i + 2]))
            return true;
    return false;
}

static struct bytes cut_line_end(struct bytes text)
{
    ssize_t lf = bytes_find_byte(text, '\n');

    if (lf < 0)
        return text;
    return bytes_slice(text, 0, (size_t)lf - (lf > 0 && text.ptr[lf - 1] == '\r' ? 1 : 0));
}

/* The start of the line here, in mbox->line. */
static bool read_line(struct ingest_mbox *mbox, uint64_t at, struct bytes *out, struct err *err)
{
    size_t got;

    if (!take(mbox, at, mbox->line, sizeof mbox->line, &got, err))
        return false;
    *out = cut_line_end(bytes_of(mbox->line, got));
    return true;
}

bool ingest_read_separator_date(struct bytes separator, int64_t *usec, int16_t *zone_minutes)
{
    struct bytes rest = bytes_slice(separator, from.len, SIZE_MAX);
    struct bytes word;
    struct mime_date date;

    /* The sender may hold blanks: the date is what can be read as one from some word on. */
    while (scan_until_byte(&rest, ' ', &word) && scan_byte(&rest, ' ')) {
        if (!has_time_of_day(rest))
            return false;
        if (mime_read_date(rest, &date)) {
            *usec = date.usec;
            *zone_minutes = date.has_zone ? date.zone_minutes : 0;
            return true;
        }
    }
    return false;
}

/* Does it begin as the header of a message does: with a field, or a separator that was quoted? */
static bool begins_header(struct bytes text)
{
    struct bytes name = bytes_slice(text, 0, FIELD_NAME_BYTES);
    size_t len = 0;

    while (len < name.len && name.ptr[len] > ' ' && name.ptr[len] < 0x7f && name.ptr[len] != ':')
        len++;
    return bytes_start_with(text, BYTES(">From ")) ||
           (len > 0 && len < name.len && name.ptr[len] == ':');
}

static bool find_header(struct ingest_mbox *mbox, uint64_t at, bool *is, struct err *err)
{
    uint8_t room[FIELD_NAME_BYTES];
    size_t got;

    if (!take(mbox, at, room, sizeof room, &got, err))
        return false;
    *is = begins_header(bytes_of(room, got));
    return true;
}

/* What some programs write in front of the first separator: a byte order mark, empty lines. */
static size_t measure_preamble(struct bytes head)
{
    struct bytes rest = head;

    (void)!scan_text(&rest, BYTES("\xef\xbb\xbf"));
    while (scan_text(&rest, BYTES("\r\n")) || scan_byte(&rest, '\n'))
        ;
    return head.len - rest.len;
}

bool ingest_begins_mbox(struct bytes head)
{
    struct bytes line;
    ssize_t lf;
    int64_t usec;
    int16_t zone_minutes;

    head =
        bytes_slice(head, measure_preamble(bytes_slice(head, 0, INGEST_MBOX_LINE_BYTES)), SIZE_MAX);
    line = cut_line_end(bytes_slice(head, 0, INGEST_MBOX_LINE_BYTES));
    lf = bytes_find_byte(head, '\n');
    return bytes_start_with(head, from) &&
           (ingest_read_separator_date(line, &usec, &zone_minutes) ||
            (lf >= 0 && begins_header(bytes_slice(head, (size_t)lf + 1, SIZE_MAX))));
}

static bool is_blank(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != ' ')
            return false;
    return true;
}

static bool is_separator(struct ingest_mbox *mbox, uint64_t at, bool is_behind_empty_line, bool *is,
                         struct err *err)
{
    struct bytes line;
    int64_t usec;
    int16_t zone_minutes;
    uint64_t next;
    int octet;
    bool has_date, has_lf;

    *is = false;
    if (!peek(mbox, at, &octet, err))
        return false;
    if (octet != 'F')
        return true;
    if (!read_line(mbox, at, &line, err))
        return false;
    if (!bytes_start_with(line, from))
        return true;
    has_date = ingest_read_separator_date(line, &usec, &zone_minutes);
    *is = has_date && is_behind_empty_line;
    if (*is ||
        (!has_date && !(is_behind_empty_line && (has_time_of_day(line) ||
                                                 is_blank(bytes_slice(line, from.len, SIZE_MAX))))))
        return true;
    /* Without a date it is none that is longer: many a Content-Length may lead to one line without an end. */
    if (line.len == sizeof mbox->line)
        return true;
    return find_line_end(mbox, at, &next, &has_lf, err) && find_header(mbox, next, is, err);
}

/* ---- one message ------------------------------------------------------------------------------ */

struct scan {
    struct ingest_mbox *mbox;
    struct ingest_mbox_message message;
    uint64_t at;           /* start of a line */
    uint64_t empty_bytes;  /* of the line before it, when that is empty */
    uint64_t quoted_lines; /* that lose a ">" */
    uint64_t length;       /* what Content-Length says */
    /* the end that it says and that is not followed, by the format; 0: none */
    uint64_t claimed;
    bool has_length;
    bool is_in_body;
    /* where Content-Length says that the message ends, and a separator follows; 0: none */
    uint64_t stop;
    uint64_t stop_next;
};

/* At a ">" at the start of a line: will the line lose it? */
static bool count_quoting(struct scan *scan, struct err *err)
{
    struct ingest_mbox *mbox = scan->mbox;
    uint64_t at = scan->at;
    uint8_t letters[8];
    size_t got;
    int octet = '>';

    if (mbox->format == INGEST_MBOXCL2)
        return true;
    while (octet == '>')
        if (!peek(mbox, ++at, &octet, err))
            return false;
    if (octet != 'F' || (mbox->format != INGEST_MBOXRD && at - scan->at > 1) ||
        (scan->stop != 0 && at + from.len > scan->stop))
        return true;
    if (!take(mbox, at, letters, from.len, &got, err))
        return false;
    if (bytes_equal(bytes_of(letters, got), from))
        scan->quoted_lines++;
    return true;
}

static bool read_length(struct scan *scan, struct err *err)
{
    uint8_t text[LENGTH_LINE_BYTES];
    struct bytes line;
    size_t got;

    if (scan->has_length)
        return true;
    if (!take(scan->mbox, scan->at, text, sizeof text, &got, err))
        return false;
    line = cut_line_end(bytes_of(text, got));
    if (!scan_text_nocase(&line, content_length))
        return true;
    while (scan_byte(&line, ' ') || scan_byte(&line, '\t'))
        ;
    scan->has_length = scan_u64(&line, &scan->length);
    scan->message.has_bad_length = !scan->has_length && scan->mbox->format >= INGEST_MBOXCL;
    return true;
}

/* Does a separator, or the end of the file, follow here, behind line ends? *next: where. */
static bool is_border(struct ingest_mbox *mbox, uint64_t at, uint64_t *next, bool *is,
                      struct err *err)
{
    int octet;

    *is = false;
    for (int lines = 0; lines <= FRAMING_LINES_MAX; lines++) {
        uint64_t length;

        if (!peek(mbox, at, &octet, err) || !is_separator(mbox, at, true, is, err))
            return false;
        *is = *is || octet == END_OF_FILE;
        *next = at;
        if (*is)
            return true;
        if (!read_empty_line(mbox, at, &length, err))
            return false;
        if (length == 0)
            return true;
        at += length;
    }
    return true;
}

/* Is that where a message can end? *next: where the separator behind it stands. */
static bool is_end(struct ingest_mbox *mbox, uint64_t stop, uint64_t *next, bool *is,
                   struct err *err)
{
    int before;

    *is = false;
    /* Past the end of the file a read gives nothing, as at its end: something must stand before. */
    return peek(mbox, stop - 1, &before, err) &&
           (before == END_OF_FILE || is_border(mbox, stop, next, is, err));
}

/* The header is over, the body begins at `body`. */
static bool follow_length(struct scan *scan, uint64_t body, struct err *err)
{
    uint64_t stop;
    bool is_known, is = false;

    scan->is_in_body = true;
    if (!scan->has_length)
        return true;
    is_known = checked_add(body, scan->length, &stop) && stop <= INT64_MAX;
    if (scan->mbox->format < INGEST_MBOXCL) {
        scan->claimed = is_known ? stop : 0;
        return true;
    }
    if (is_known && !is_end(scan->mbox, stop, &scan->stop_next, &is, err))
        return false;
    scan->stop = is ? stop : 0;
    scan->message.has_bad_length = !is;
    return true;
}

/* A separator was found here, and the length that is not followed leads over it: to another? */
static bool doubt_separator(struct scan *scan, struct err *err)
{
    uint64_t ignored;

    return scan->claimed <= scan->at ||
           is_end(scan->mbox, scan->claimed, &ignored, &scan->message.is_doubtful, err);
}

static void end_message(struct scan *scan, uint64_t end, uint64_t next)
{
    struct ingest_mbox_message *message = &scan->message;

    message->bytes = end - message->offset;
    message->size_bytes = message->bytes - scan->quoted_lines;
    scan->mbox->next = next;
}

/* One line. *is_over: the message ends with it, or before it. */
static bool scan_line(struct scan *scan, bool *is_over, struct err *err)
{
    struct ingest_mbox *mbox = scan->mbox;
    uint64_t next, empty;
    bool is_next = false, has_lf;
    int octet;

    *is_over = true;
    if (!peek(mbox, scan->at, &octet, err) || !read_empty_line(mbox, scan->at, &empty, err) ||
        (octet == 'F' && scan->stop == 0 &&
         !is_separator(mbox, scan->at, scan->empty_bytes > 0, &is_next, err)) ||
        (is_next && !doubt_separator(scan, err)))
        return false;
    if (is_next || octet == END_OF_FILE) {
        end_message(scan, scan->at - scan->empty_bytes, scan->at);
        return true;
    }
    if (octet == '>' && !count_quoting(scan, err))
        return false;
    if (!scan->is_in_body && empty == 0 && !read_length(scan, err))
        return false;
    if (!scan->is_in_body && empty > 0 && !follow_length(scan, scan->at + empty, err))
        return false;
    if (!find_line_end(mbox, scan->at, &next, &has_lf, err))
        return false;
    if (scan->stop != 0 && next >= scan->stop) {
        end_message(scan, scan->stop, scan->stop_next);
        return true;
    }
    scan->message.is_cut = !has_lf;
    scan->empty_bytes = empty;
    scan->at = next;
    *is_over = false;
    return true;
}

static bool scan_message(struct ingest_mbox *mbox, struct scan *scan, struct err *err)
{
    struct bytes line;
    bool is_over = false, has_lf;

    *scan = (struct scan){ .mbox = mbox, .message.line_offset = mbox->next };
    if (!find_line_end(mbox, mbox->next, &scan->at, &has_lf, err))
        return false;
    scan->message.offset = scan->at;
    scan->message.is_cut = !has_lf;
    while (!is_over)
        if (!scan_line(scan, &is_over, err))
            return false;
    /* Now: the look-outs above use the same room. */
    if (!read_line(mbox, scan->message.line_offset, &line, err))
        return false;
    scan->message.separator = line;
    return true;
}

/* To the first separator. */
static bool begin(struct ingest_mbox *mbox, struct err *err)
{
    struct bytes line;
    size_t got;

    if (!take(mbox, 0, mbox->line, sizeof mbox->line, &got, err))
        return false;
    mbox->next = measure_preamble(bytes_of(mbox->line, got));
    if (!read_line(mbox, mbox->next, &line, err))
        return false;
    return bytes_start_with(line, from) ||
           err_fail(err, ERR_SYNTAX, "an mbox begins with \"From \"");
}

bool ingest_next_message(struct ingest_mbox *mbox, struct ingest_mbox_message *out, bool *has_one,
                         struct err *err)
{
    struct scan scan = { 0 };
    int octet;

    if (!mbox->has_begun && !begin(mbox, err))
        return false;
    mbox->has_begun = true;
    for (;;) {
        if (!peek(mbox, mbox->next, &octet, err))
            return false;
        *has_one = octet != END_OF_FILE;
        if (!*has_one)
            return true;
        if (!scan_message(mbox, &scan, err))
            return false;
        if (scan.message.bytes > 0)
            break;
    }
    *out = scan.message;
    return true;
}

/* ---- un-quoting ------------------------------------------------------------------------------ */

struct ingest_unquoter ingest_begin_unquoting(enum ingest_mbox_format format,
                                              ingest_write_fn *write, void *context)
{
    return (struct ingest_unquoter){ .format = format, .write = write, .context = context };
}

static bool put(struct ingest_unquoter *unquoter, struct bytes octets, struct err *err)
{
    return octets.len == 0 || unquoter->write(unquoter->context, octets, err);
}

/* Writes the start of a line that was held, without a ">" that belongs to the mbox. */
static bool release(struct ingest_unquoter *unquoter, struct err *err)
{
    static const struct bytes signs = BYTES_INIT(">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>");
    uint64_t count = unquoter->held_signs;
    size_t letters = unquoter->held_letters;

    if (letters == from.len && count > 0 && (unquoter->format == INGEST_MBOXRD || count == 1))
        count--;
    unquoter->held_signs = 0;
    unquoter->held_letters = 0;
    unquoter->is_inside_line = true;
    while (count > 0) {
        struct bytes some = bytes_slice(signs, 0, count > signs.len ? signs.len : (size_t)count);

        if (!put(unquoter, some, err))
            return false;
        count -= some.len;
    }
    return put(unquoter, bytes_slice(from, 0, letters), err);
}

/* At the start of a line: takes what belongs to ">>>From " into what is held. True: it is known now
 * what the line is. */
static bool hold(struct ingest_unquoter *unquoter, struct bytes *octets)
{
    while (octets->len > 0 && unquoter->held_letters < from.len) {
        uint8_t c = octets->ptr[0];

        if (c == '>' && unquoter->held_letters == 0)
            unquoter->held_signs++;
        else if (unquoter->held_signs > 0 && c == from.ptr[unquoter->held_letters])
            unquoter->held_letters++;
        else
            break;
        *octets = bytes_slice(*octets, 1, SIZE_MAX);
    }
    return octets->len > 0 || unquoter->held_letters == from.len;
}

/* Octets in front that need no thought: up to a line that begins with ">". */
static size_t plain_run(const struct ingest_unquoter *unquoter, struct bytes octets)
{
    size_t at = 0;

    if (!unquoter->is_inside_line && octets.ptr[0] == '>')
        return 0;
    while (at < octets.len) {
        ssize_t lf = bytes_find_byte(bytes_slice(octets, at, SIZE_MAX), '\n');

        if (lf < 0)
            return octets.len;
        at += (size_t)lf + 1;
        if (at < octets.len && octets.ptr[at] == '>')
            return at;
    }
    return at;
}

bool ingest_unquote(struct ingest_unquoter *unquoter, struct bytes octets, struct err *err)
{
    if (unquoter->format == INGEST_MBOXCL2)
        return put(unquoter, octets, err);
    while (octets.len > 0) {
        size_t run = unquoter->held_signs == 0 ? plain_run(unquoter, octets) : 0;

        if (run > 0) {
            unquoter->is_inside_line = octets.ptr[run - 1] != '\n';
            if (!put(unquoter, bytes_slice(octets, 0, run), err))
                return false;
            octets = bytes_slice(octets, run, SIZE_MAX);
        } else if (hold(unquoter, &octets) && !release(unquoter, err)) {
            return false;
        }
    }
    return true;
}

bool ingest_end_unquoting(struct ingest_unquoter *unquoter, struct err *err)
{
    return unquoter->held_signs == 0 || release(unquoter, err);
}
