/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/idle.h"

#include "base/buf.h"
#include "imap/response.h"
#include "imap/response_framer.h"

enum {
    LINE_BYTES = 8 << 10,
    FILL_BYTES = 16 << 10,
};

const struct ingest_idle_pace ingest_idle_usual_pace = {
    .renew_ms = 9 * 60 * 1000,
    .answer_ms = 60 * 1000,
    .flood_bytes = 1 << 20,
};

/* ---- what we say ----------------------------------------------------------------------------------- */

/* Lines are short, and the socket's buffer is empty: what does not go out at once never will. */
static bool say(struct ingest_idle *idle, struct bytes line, struct err *err)
{
    enum net_progress progress;

    idle->deadline = deadline_after_ms(idle->pace->answer_ms);
    if (!net_write(idle->stream, line, err))
        return false;
    progress = net_try_flush(idle->stream, err);
    if (progress == NET_FAILED)
        return false;
    return progress == NET_DONE || err_fail(err, ERR_RETRY, "the source takes no octets");
}

static bool ask(struct ingest_idle *idle, struct err *err)
{
    CLEANUP(buf_free) struct buf line = buf_create(64);

    idle->tag++;
    buf_text(&line, "w");
    buf_u64(&line, idle->tag);
    buf_text(&line, " IDLE\r\n");
    idle->state = INGEST_IDLE_ASKED;
    return say(idle, buf_bytes(&line), err);
}

bool ingest_begin_idle(struct ingest_idle *idle, struct net_stream **stream,
                       const struct ingest_idle_pace *pace, struct err *err)
{
    *idle = (struct ingest_idle){ .stream = *stream, .pace = pace };
    *stream = NULL; /* ours now */
    return ask(idle, err);
}

bool ingest_keep_idle(struct ingest_idle *idle, struct err *err)
{
    if (idle->state != INGEST_IDLE_HELD)
        return err_fail(err, ERR_RETRY, "no answer to %s",
                        idle->state == INGEST_IDLE_ENDING ? "DONE" : "IDLE");
    idle->state = INGEST_IDLE_ENDING;
    return say(idle, BYTES("DONE\r\n"), err);
}

void ingest_end_idle(struct ingest_idle *idle)
{
    net_close(&idle->stream);
    idle->state = INGEST_IDLE_NONE;
}

/* ---- what the source says --------------------------------------------------------------------------- */

static void hold(struct ingest_idle *idle)
{
    int64_t early_ms = clock_now_usec() % (idle->pace->renew_ms / 10 + 1);

    if (idle->state != INGEST_IDLE_ASKED)
        return;
    idle->state = INGEST_IDLE_HELD;
    idle->deadline = deadline_after_ms(idle->pace->renew_ms - early_ms);
}

static bool take_tagged(struct ingest_idle *idle, const struct imap_response *response,
                        struct err *err)
{
    struct bytes in = response->tag;
    uint64_t number;

    if (!scan_byte(&in, 'w') || !scan_u64(&in, &number) || in.len > 0 || number != idle->tag)
        return true; /* nobody asked */
    if (idle->state == INGEST_IDLE_ENDING && response->status.condition == IMAP_OK)
        return ask(idle, err);
    return err_fail(err, ERR_RETRY, "IDLE is refused or was ended by the source");
}

static bool take_response(struct ingest_idle *idle, const struct imap_response *response,
                          struct err *err)
{
    switch ((int)response->kind) {
    case IMAP_RESPONSE_EXISTS:
    case IMAP_RESPONSE_EXPUNGE:
    case IMAP_RESPONSE_VANISHED:
    case IMAP_RESPONSE_FETCH:
        idle->has_news = true;
        return true;
    case IMAP_RESPONSE_CONTINUATION:
        hold(idle);
        return true;
    case IMAP_RESPONSE_STATUS:
        if (response->tag.len > 0)
            return take_tagged(idle, response, err);
        return response->status.condition != IMAP_BYE ||
               err_fail(err, ERR_RETRY, "the source ended the connection");
    default:
        return true;
    }
}

/* True: a line was taken, or there is none (*has_line). A response with a literal is no line; none that
 * comes in IDLE has one, and without its end the connection is of no use. */
static bool take_line(struct ingest_idle *idle, struct arena *scratch, bool *has_line,
                      struct err *err)
{
    struct bytes in = net_peek(idle->stream);
    ssize_t end = bytes_find(bytes_slice(in, 0, LINE_BYTES), BYTES("\r\n"));
    struct imap_received line = { .text = bytes_slice(in, 0, end < 0 ? 0 : (size_t)end) };
    struct imap_response response;
    struct err unread = { 0 };
    bool is_taken = true;

    *has_line = end >= 0;
    if (end < 0)
        return in.len < LINE_BYTES || err_fail(err, ERR_LIMIT, "line over %d octets", LINE_BYTES);
    if (line.text.len > 0 && line.text.ptr[line.text.len - 1] == '}')
        return err_fail(err, ERR_SYNTAX, "a literal where none is expected");
    arena_reset(scratch);
    if (imap_parse_response(&line, scratch, &response, &unread))
        is_taken = take_response(idle, &response, err);
    net_consume(idle->stream, (size_t)end + 2);
    return is_taken;
}

bool ingest_hear_idle(struct ingest_idle *idle, struct arena *scratch, struct err *err)
{
    size_t heard = 0;

    for (;;) {
        bool has_line = true;
        size_t kept;

        while (has_line)
            if (!take_line(idle, scratch, &has_line, err))
                return false;
        if (heard > idle->pace->flood_bytes)
            return err_fail(err, ERR_LIMIT, "over %zu octets without a pause", heard);
        kept = net_peek(idle->stream).len;
        switch (net_try_fill(idle->stream, FILL_BYTES, err)) {
        case NET_DONE:
            heard += net_peek(idle->stream).len - kept;
            break;
        case NET_WANT_READ:
        case NET_WANT_WRITE:
            return true;
        case NET_ENDED:
            return err_fail(err, ERR_RETRY, "the source closed the connection");
        case NET_FAILED:
            return false;
        }
    }
}
