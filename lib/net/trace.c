/* SPDX-License-Identifier: Apache-2.0 */
#include "net/trace.h"

#include "base/clock.h"
#include "net/internal.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    TAIL_BYTES = 32,
    TAG_BYTES = 64, /* a longer one is never seen again: all stays masked */
};

/* One direction. */
struct half {
    const char *mark; /* "C: " or "S: " */
    uint8_t line[NET_TRACE_LINE_BYTES];
    size_t len;               /* of line */
    uint64_t total;           /* of the line, also what did not fit */
    uint8_t tail[TAIL_BYTES]; /* its last octets: a literal header would be there */
    size_t tail_len;
    uint64_t literal_bytes; /* size of the literal we are in, 0: in a line */
    uint64_t literal_left;
    bool literal_waits; /* {n}: comes only after the server's "+" */
    bool goes_on;       /* the line before ended in a literal of the same command */
    bool is_masked;     /* until the command ends, over its literals */
};

struct net_trace {
    int fd;
    uint64_t label;
    enum net_side side;
    struct half client, server;
    bool is_authenticating; /* from AUTHENTICATE to its tagged answer */
    uint8_t tag[TAG_BYTES]; /* of the client's last command */
    size_t tag_len;
};

void net_start_trace(struct net_stream *stream, int fd, enum net_side side, uint64_t label)
{
    struct net_trace *trace = calloc(1, sizeof *trace);

    if (trace == NULL)
        return; /* no trace is no failure */
    trace->fd = fd;
    trace->side = side;
    trace->label = label;
    trace->client.mark = " C: ";
    trace->server.mark = " S: ";
    net_free_trace(&stream->trace);
    stream->trace = trace;
}

void net_free_trace(struct net_trace **trace)
{
    if (*trace != NULL)
        explicit_bzero(*trace, sizeof **trace); /* lines with passwords passed through */
    free(*trace);
    *trace = NULL;
}

/* ---- showing ---- */

static struct buf begin_line(const struct net_trace *trace, const struct half *half)
{
    struct buf out = buf_create(NET_TRACE_LINE_BYTES * 4 + 256);
    char when[CLOCK_TEXT_BYTES];

    clock_format_rfc3339(clock_now_usec(), when);
    buf_append(&out, bytes_slice(bytes_of_text(when), 11, 15)); /* the time of day */
    buf_byte(&out, ' ');
    buf_u64(&out, trace->label);
    buf_text(&out, half->mark);
    return out;
}

static void show_octets(struct buf *out, struct bytes octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        if (octets.ptr[i] >= 0x20 && octets.ptr[i] != 0x7f) {
            buf_byte(out, octets.ptr[i]);
            continue;
        }
        buf_text(out, "\\x");
        buf_hex(out, bytes_slice(octets, i, 1));
    }
}

static void end_line(const struct net_trace *trace, struct buf *out)
{
    ssize_t ignored;

    buf_byte(out, '\n');
    ignored = write(trace->fd, out->ptr, out->len);
    (void)ignored;
    buf_free(out);
}

static void show_literal(const struct net_trace *trace, const struct half *half)
{
    struct buf out = begin_line(trace, half);

    buf_text(&out, "<literal of ");
    buf_u64(&out, half->literal_bytes);
    buf_text(&out, " octets>");
    end_line(trace, &out);
}

static void show_line(const struct net_trace *trace, const struct half *half, size_t shown)
{
    struct buf out = begin_line(trace, half);

    show_octets(&out, bytes_of(half->line, shown < half->len ? shown : half->len));
    if (half->is_masked)
        buf_text(&out, "***");
    else if (half->total > half->len)
        buf_text(&out, "...");
    end_line(trace, &out);
}

/* ---- understanding just enough ---- */

/* "{n}" or "{n+}" at the end of a line. */
static bool tail_announces_literal(const struct half *half, uint64_t *size, bool *waits)
{
    struct bytes tail = bytes_of(half->tail, half->tail_len);
    size_t at = tail.len;

    while (at > 0 && tail.ptr[at - 1] != '{')
        at--;
    if (at == 0)
        return false;
    tail = bytes_slice(tail, at, SIZE_MAX);
    if (!scan_u64(&tail, size))
        return false;
    *waits = !scan_byte(&tail, '+');
    return scan_byte(&tail, '}') && tail.len == 0;
}

static void note_tag(struct net_trace *trace)
{
    struct bytes line = bytes_of(trace->client.line, trace->client.len);
    ssize_t space = bytes_find_byte(line, ' ');

    trace->tag_len = space > 0 && space <= TAG_BYTES ? (size_t)space : 0;
    memcpy(trace->tag, line.ptr, trace->tag_len);
}

/* The server may say anything, also what has a tag and ends no command of ours. */
static bool ends_command(const struct net_trace *trace)
{
    struct bytes line = bytes_of(trace->server.line, trace->server.len);
    struct bytes tag = bytes_of(trace->tag, trace->tag_len);

    return tag.len > 0 && bytes_start_with(line, tag) && line.len > tag.len &&
           line.ptr[tag.len] == ' ';
}

/* Where the arguments begin that must not be shown; 0: all may be. */
static size_t find_credentials(struct net_trace *trace, const struct half *half)
{
    struct bytes rest = bytes_of(half->line, half->len);
    ssize_t space = bytes_find_byte(rest, ' ');
    bool is_login;

    if (space < 0)
        return 0;
    rest = bytes_slice(rest, (size_t)space, SIZE_MAX);
    while (scan_byte(&rest, ' '))
        ;
    is_login = scan_text_nocase(&rest, BYTES("LOGIN"));
    if (!is_login && !scan_text_nocase(&rest, BYTES("AUTHENTICATE")))
        return 0;
    if (rest.len > 0 && rest.ptr[0] != ' ')
        return 0;
    if (!is_login)
        trace->is_authenticating = true;
    return half->len - rest.len + (rest.len > 0 ? 1 : 0);
}

static void end_client_line(struct net_trace *trace)
{
    struct half *client = &trace->client;
    size_t shown = SIZE_MAX;

    if (trace->is_authenticating || client->is_masked) {
        client->is_masked = true;
        shown = 0;
    } else {
        size_t credentials = find_credentials(trace, client);

        if (!client->goes_on)
            note_tag(trace);
        client->is_masked = credentials > 0;
        shown = credentials > 0 ? credentials : SIZE_MAX;
    }
    show_line(trace, client, shown);
}

static void end_server_line(struct net_trace *trace)
{
    struct half *server = &trace->server;
    struct half *client = &trace->client;
    bool is_continuation = server->len > 0 && server->line[0] == '+';

    server->is_masked = trace->is_authenticating && is_continuation;
    show_line(trace, server, server->is_masked ? 1 : SIZE_MAX);
    server->is_masked = false;
    if (!ends_command(trace))
        return;
    trace->is_authenticating = false;
    /* A refused literal never comes: what follows is the next command, perhaps a LOGIN. */
    if (client->literal_waits && client->literal_left == client->literal_bytes) {
        client->literal_bytes = client->literal_left = 0;
        client->literal_waits = client->goes_on = client->is_masked = false;
    }
}

static void end_of_line(struct net_trace *trace, struct half *half)
{
    uint64_t size = 0;
    bool waits = false;
    bool has_literal = tail_announces_literal(half, &size, &waits);

    if (half == &trace->client)
        end_client_line(trace);
    else
        end_server_line(trace);
    half->len = 0;
    half->total = 0;
    half->tail_len = 0;
    half->literal_bytes = half->literal_left = has_literal ? size : 0;
    half->goes_on = has_literal;
    half->literal_waits = has_literal && waits && half == &trace->client;
    if (!has_literal)
        half->is_masked = false;
}

static void add_octet(struct half *half, uint8_t octet)
{
    half->total++;
    if (half->len < sizeof half->line)
        half->line[half->len++] = octet;
    if (half->tail_len == TAIL_BYTES)
        memmove(half->tail, half->tail + 1, --half->tail_len);
    half->tail[half->tail_len++] = octet;
}

void net_trace_octets(struct net_trace *trace, bool is_from_us, struct bytes octets)
{
    bool is_client = is_from_us == (trace->side == NET_SIDE_CLIENT);
    struct half *half = is_client ? &trace->client : &trace->server;

    for (size_t i = 0; i < octets.len; i++) {
        if (half->literal_left > 0) {
            size_t rest = octets.len - i;
            size_t skipped = half->literal_left < rest ? (size_t)half->literal_left : rest;

            half->literal_left -= skipped;
            half->literal_waits = false;
            i += skipped - 1;
            if (half->literal_left == 0)
                show_literal(trace, half);
            continue;
        }
        if (octets.ptr[i] == '\n') {
            if (half->tail_len > 0 && half->tail[half->tail_len - 1] == '\r') {
                half->tail_len--;
                half->len -= half->total == half->len ? 1 : 0;
                half->total--;
            }
            end_of_line(trace, half);
            continue;
        }
        add_octet(half, octets.ptr[i]);
    }
}
