/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/response_framer.h"

#include "base/buf.h"
#include "imap/internal.h"

#include <stdlib.h>

/*
 *   BEGIN --> LINE --header--> DECIDE --keep--> KEEP --all octets--> LINE
 *                              DECIDE --stream--> STREAM --all octets--> LINE
 *             LINE --line end--> BEGIN (RESPONSE)
 */
enum state {
    BEGIN,
    LINE,
    DECIDE,
    KEEP,
    STREAM,
    FAILED
};

struct imap_receiver {
    enum state state;
    struct buf text;
    size_t line_start;      /* of the current line within text */
    bool may_hold_literals; /* decided at the end of the first line */
    bool is_first_line;
    struct imap_literal literal;
    uint64_t left; /* of the literal */
    struct imap_streamed streamed[IMAP_STREAMED_MAX];
    size_t streamed_count;
    size_t literal_count; /* of the response, kept and streamed */
};

struct imap_receiver *imap_receiver_create(size_t line_bytes)
{
    struct imap_receiver *receiver = malloc(sizeof *receiver);

    assert(receiver != NULL);
    *receiver = (struct imap_receiver){ .text = buf_create(line_bytes) };
    return receiver;
}

void imap_receiver_free(struct imap_receiver **receiver)
{
    if (*receiver == NULL)
        return;
    buf_free(&(*receiver)->text);
    free(*receiver);
    *receiver = NULL;
}

static void begin(struct imap_receiver *receiver)
{
    buf_reset(&receiver->text, 64u << 10);
    receiver->state = LINE;
    receiver->line_start = 0;
    receiver->is_first_line = true;
    receiver->may_hold_literals = false;
    receiver->left = 0;
    receiver->streamed_count = 0;
    receiver->literal_count = 0;
}

static enum imap_received_kind fail(struct imap_receiver *receiver, struct err *err,
                                    enum err_code code, const char *text)
{
    receiver->state = FAILED;
    err_fail(err, code, "%s", text);
    return IMAP_RECEIVED_FAILED;
}

/* Untagged data may; status responses, tagged ones and "+" end in text for humans. */
static bool is_untagged_data(struct bytes line)
{
    struct bytes word;
    enum imap_condition ignored;

    if (!scan_text(&line, BYTES("* ")))
        return false;
    if (!scan_until_byte(&line, ' ', &word))
        return false;
    return !imap_word_to_condition(word, &ignored);
}

static bool is_behind_separator(struct bytes line, size_t header_bytes)
{
    size_t at = line.len - header_bytes;

    return at > 0 && (line.ptr[at - 1] == ' ' || line.ptr[at - 1] == '(');
}

static enum imap_received_kind end_line(struct imap_receiver *receiver, struct err *err)
{
    struct bytes line = bytes_slice(buf_bytes(&receiver->text), receiver->line_start, SIZE_MAX);
    bool is_too_large = false;
    size_t header_bytes;

    if (receiver->is_first_line)
        receiver->may_hold_literals = is_untagged_data(line);
    receiver->is_first_line = false;
    if (!receiver->may_hold_literals ||
        !imap_find_literal_header(line, &receiver->literal, &is_too_large, &header_bytes) ||
        !is_behind_separator(line, header_bytes)) {
        receiver->text.len = imap_trim_line_end(buf_bytes(&receiver->text)).len;
        receiver->state = BEGIN;
        return IMAP_RECEIVED_RESPONSE;
    }
    if (is_too_large)
        return fail(receiver, err, ERR_SYNTAX, "literal of more than 2^63-1 bytes announced");
    receiver->state = DECIDE;
    return IMAP_RECEIVED_LITERAL;
}

static enum imap_received_kind feed_line(struct imap_receiver *receiver, struct bytes *in,
                                         struct err *err)
{
    ssize_t end = bytes_find_byte(*in, '\n');
    struct bytes part = { in->ptr, end < 0 ? in->len : (size_t)end + 1 };

    buf_append(&receiver->text, part);
    if (receiver->text.has_failed)
        return fail(receiver, err, ERR_LIMIT, "response line over its limit");
    *in = bytes_of(in->ptr + part.len, in->len - part.len);
    return end < 0 ? IMAP_RECEIVED_MORE : end_line(receiver, err);
}

static enum imap_received_kind feed_kept(struct imap_receiver *receiver, struct bytes *in,
                                         struct err *err)
{
    buf_append(&receiver->text, imap_receive_octets(receiver, in));
    if (receiver->text.has_failed)
        return fail(receiver, err, ERR_LIMIT, "response literal over the line limit");
    receiver->line_start = receiver->text.len;
    return IMAP_RECEIVED_MORE;
}

bool imap_may_receive(const struct imap_receiver *receiver)
{
    return receiver->state != DECIDE && receiver->state != STREAM && receiver->state != FAILED;
}

enum imap_received_kind imap_receive(struct imap_receiver *receiver, struct bytes *in,
                                     struct err *err)
{
    enum imap_received_kind kind = IMAP_RECEIVED_MORE;

    assert(imap_may_receive(receiver));
    if (receiver->state == BEGIN && in->len > 0)
        begin(receiver);
    while (kind == IMAP_RECEIVED_MORE && in->len > 0)
        kind =
            receiver->state == KEEP ? feed_kept(receiver, in, err) : feed_line(receiver, in, err);
    if (kind == IMAP_RECEIVED_LITERAL && (receiver->streamed_count == IMAP_STREAMED_MAX ||
                                          ++receiver->literal_count > IMAP_LITERALS_MAX))
        return fail(receiver, err, ERR_LIMIT, "too many literals in one response");
    return kind;
}

struct imap_literal imap_receiver_literal(const struct imap_receiver *receiver)
{
    return receiver->literal;
}

void imap_receiver_keep(struct imap_receiver *receiver)
{
    assert(receiver->state == DECIDE);
    receiver->left = receiver->literal.size_bytes;
    receiver->line_start = receiver->text.len;
    receiver->state = receiver->left == 0 ? LINE : KEEP;
}

void imap_receiver_stream(struct imap_receiver *receiver)
{
    assert(receiver->state == DECIDE && receiver->streamed_count < IMAP_STREAMED_MAX);
    receiver->streamed[receiver->streamed_count++] =
        (struct imap_streamed){ receiver->text.len, receiver->literal.size_bytes };
    receiver->left = receiver->literal.size_bytes;
    receiver->line_start = receiver->text.len;
    receiver->state = receiver->left == 0 ? LINE : STREAM;
}

struct bytes imap_receive_octets(struct imap_receiver *receiver, struct bytes *in)
{
    struct bytes part = { in->ptr, in->len };

    if (receiver->left < part.len)
        part.len = (size_t)receiver->left;
    if (part.len == 0)
        return part;
    *in = bytes_of(in->ptr + part.len, in->len - part.len);
    receiver->left -= part.len;
    if (receiver->left == 0)
        receiver->state = LINE;
    return part;
}

uint64_t imap_receiver_left(const struct imap_receiver *receiver)
{
    return receiver->left;
}

struct imap_received imap_received(const struct imap_receiver *receiver)
{
    return (struct imap_received){ buf_bytes(&receiver->text), receiver->streamed,
                                   receiver->streamed_count };
}
