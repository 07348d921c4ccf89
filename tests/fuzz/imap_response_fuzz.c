/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source's octets: framing and response grammar. The first octet chooses which literals are
 * streamed and in which pieces the stream arrives.
 */
#include "imap/mailbox.h"
#include "imap/response.h"

#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum {
    LINE_BYTES = 4096
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
    struct imap_receiver *receiver;
    struct arena *arena;
    uint64_t stream_over; /* literals longer than this are streamed */
    uint64_t hash;
    bool is_streaming;
};

static void note(struct client *client, struct bytes octets)
{
    for (size_t i = 0; i < octets.len; i++)
        client->hash = client->hash * 1099511628211u + octets.ptr[i] + 1;
}

static void check_set(const struct imap_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        PROMISE(set->ranges[i].first > 0 && set->ranges[i].first <= set->ranges[i].last);
        PROMISE(i == 0 || set->ranges[i - 1].last < set->ranges[i].first - 1);
    }
}

static void check_fetch(const struct imap_fetch_response *fetch)
{
    struct buf out = buf_create(3 * LINE_BYTES);

    if ((fetch->has & IMAP_HAS_UID) != 0)
        PROMISE(fetch->uid.n != 0);
    if ((fetch->has & IMAP_HAS_BODY) != 0 && fetch->body_kind == IMAP_BODY_TEXT)
        PROMISE(fetch->body.len == fetch->body_bytes);
    if ((fetch->has & IMAP_HAS_BODY) != 0 && fetch->body_kind == IMAP_BODY_STREAMED)
        PROMISE(fetch->body.len == 0);
    if ((fetch->has & IMAP_HAS_INTERNALDATE) != 0)
        imap_write_date_time(&out, fetch->internaldate);
    imap_write_flags(&out, &fetch->flags);
    for (size_t i = 0; i < out.len; i++)
        PROMISE(out.ptr[i] >= ' ' && out.ptr[i] < 0x7f);
    buf_free(&out);
}

static void check_response(const struct imap_response *response)
{
    struct buf path = buf_create(4 * LINE_BYTES);

    if (response->kind == IMAP_RESPONSE_FETCH)
        check_fetch(&response->fetch);
    if (response->kind == IMAP_RESPONSE_ESEARCH)
        check_set(&response->search.all);
    if (response->kind == IMAP_RESPONSE_VANISHED)
        check_set(&response->vanished.uids);
    if (response->kind == IMAP_RESPONSE_LIST) {
        imap_path_from_source(response->list.wire_name, response->list.delimiter, &path);
        PROMISE(!path.has_failed && imap_is_utf8(buf_bytes(&path)));
    }
    buf_free(&path);
}

static void take_response(struct client *client)
{
    struct imap_received received = imap_received(client->receiver);
    struct imap_response response;
    struct err err = { 0 };

    PROMISE(received.text.len <= LINE_BYTES);
    note(client, received.text);
    if (imap_parse_response(&received, client->arena, &response, &err))
        check_response(&response);
    else
        PROMISE(err.code == ERR_SYNTAX || err.code == ERR_LIMIT);
    arena_reset(client->arena);
}

static void decide(struct client *client)
{
    struct imap_received received = imap_received(client->receiver);
    struct imap_fetch_response fetch;

    note(client, BYTES("literal"));
    if (imap_peek_fetch(&received, client->arena, &fetch))
        check_fetch(&fetch);
    if (imap_receiver_literal(client->receiver).size_bytes > client->stream_over) {
        imap_receiver_stream(client->receiver);
        client->is_streaming = true;
    } else {
        imap_receiver_keep(client->receiver);
    }
}

/* False when the connection is of no more use. */
static bool take_piece(struct client *client, struct bytes in)
{
    struct err err = { 0 };

    for (;;) {
        enum imap_received_kind kind;

        if (client->is_streaming) {
            note(client, imap_receive_octets(client->receiver, &in));
            client->is_streaming = imap_receiver_left(client->receiver) > 0;
            if (client->is_streaming) {
                PROMISE(in.len == 0);
                return true;
            }
        }
        kind = imap_receive(client->receiver, &in, &err);
        switch (kind) {
        case IMAP_RECEIVED_MORE:
            PROMISE(in.len == 0);
            return true;
        case IMAP_RECEIVED_LITERAL:
            decide(client);
            break;
        case IMAP_RECEIVED_RESPONSE:
            take_response(client);
            break;
        case IMAP_RECEIVED_FAILED:
            PROMISE(err.code == ERR_LIMIT || err.code == ERR_SYNTAX);
            return false;
        }
    }
}

static uint64_t run(struct bytes stream, uint8_t mode, size_t step)
{
    struct client client = {
        .receiver = imap_receiver_create(LINE_BYTES),
        .arena = arena_create(1u << 20),
        .stream_over = mode & 15,
    };
    bool is_open = true;

    for (size_t at = 0; at < stream.len && is_open; at += step)
        is_open = take_piece(&client, bytes_slice(stream, at, step));
    imap_receiver_free(&client.receiver);
    arena_free(&client.arena);
    return client.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t mode = size > 0 ? data[0] : 0;
    struct bytes stream = size > 0 ? bytes_of(data + 1, size - 1) : bytes_of(NULL, 0);

    PROMISE(run(stream, mode, stream.len + 1) == run(stream, mode, (size_t)(mode >> 4) + 1));
    return 0;
}
