/* SPDX-License-Identifier: Apache-2.0 */
#include "export/mbox.h"

#include "base/clock.h"

static const struct bytes from = BYTES_INIT("From ");

struct export_quoter export_begin_quoting(export_write_fn *write, void *context)
{
    return (struct export_quoter){ .write = write, .context = context, .last = '\n' };
}

static bool put(struct export_quoter *quoter, struct bytes octets, struct err *err)
{
    quoter->written += octets.len;
    return octets.len == 0 || quoter->write(quoter->context, octets, err);
}

/* Writes the start of a line that was held, quoted or not. */
static bool release(struct export_quoter *quoter, struct err *err)
{
    static const struct bytes signs = BYTES_INIT(">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>");
    uint64_t count = quoter->held_signs;
    size_t letters = quoter->held_letters;

    if (letters == from.len) {
        quoter->quoted_lines++;
        count++;
    }
    quoter->held_signs = 0;
    quoter->held_letters = 0;
    quoter->is_inside_line = true;
    while (count > 0) {
        struct bytes some = bytes_slice(signs, 0, count > signs.len ? signs.len : (size_t)count);

        if (!put(quoter, some, err))
            return false;
        count -= some.len;
    }
    return put(quoter, bytes_slice(from, 0, letters), err);
}

/* At the start of a line: takes what belongs to ">>>From " from *octets into what is held. True: it is
 * known now what the line is. */
static bool hold(struct export_quoter *quoter, struct bytes *octets)
{
    size_t at = 0;

    while (at < octets->len && quoter->held_letters < from.len) {
        uint8_t c = octets->ptr[at];

        if (c == '>' && quoter->held_letters == 0)
            quoter->held_signs++;
        else if (c == from.ptr[quoter->held_letters])
            quoter->held_letters++;
        else
            break;
        at++;
    }
    if (at > 0)
        quoter->last = octets->ptr[at - 1];
    *octets = bytes_slice(*octets, at, SIZE_MAX);
    return octets->len > 0 || quoter->held_letters == from.len;
}

/* How many octets from here on need no thought: up to a line that begins with ">" or "F". */
static size_t plain_run(const struct export_quoter *quoter, struct bytes octets)
{
    size_t at = 0;

    if (!quoter->is_inside_line && (octets.ptr[0] == '>' || octets.ptr[0] == 'F'))
        return 0;
    while (at < octets.len) {
        const uint8_t *lf = memchr(octets.ptr + at, '\n', octets.len - at);

        if (lf == NULL)
            return octets.len;
        at = (size_t)(lf - octets.ptr) + 1;
        if (at < octets.len && (octets.ptr[at] == '>' || octets.ptr[at] == 'F'))
            return at;
    }
    return at;
}

bool export_quote(struct export_quoter *quoter, struct bytes octets, struct err *err)
{
    while (octets.len > 0) {
        size_t run = 0;

        if (quoter->held_signs == 0 && quoter->held_letters == 0)
            run = plain_run(quoter, octets);
        if (run > 0) {
            quoter->last = octets.ptr[run - 1];
            quoter->is_inside_line = quoter->last != '\n';
            if (!put(quoter, bytes_slice(octets, 0, run), err))
                return false;
            octets = bytes_slice(octets, run, SIZE_MAX);
            continue;
        }
        if (hold(quoter, &octets) && !release(quoter, err))
            return false;
    }
    return true;
}

bool export_end_quoting(struct export_quoter *quoter, struct err *err)
{
    return (quoter->held_signs == 0 && quoter->held_letters == 0) || release(quoter, err);
}

void export_write_separator(int64_t internal_usec, struct buf *out)
{
    static const char days[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct civil civil = civil_from_usec(internal_usec);
    int64_t day = civil_to_days(civil.year, civil.month, civil.day) % 7;

    buf_text(out, "From MAILER-DAEMON ");
    buf_text(out, days[day < 0 ? day + 7 : day]);
    buf_byte(out, ' ');
    buf_text(out, months[civil.month - 1]);
    buf_text(out, civil.day < 10 ? "  " : " ");
    buf_u64(out, civil.day);
    buf_byte(out, ' ');
    buf_u64_padded(out, civil.hour, 2);
    buf_byte(out, ':');
    buf_u64_padded(out, civil.minute, 2);
    buf_byte(out, ':');
    buf_u64_padded(out, civil.second, 2);
    buf_byte(out, ' ');
    buf_u64_padded(out, (uint64_t)civil.year, 4);
    buf_byte(out, '\n');
}
