/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/header.h"

#include "base/buf.h"
#include "ingest/login.h"
#include "ingest/set.h"

struct header_reader {
    struct ingest_client *client;
    const uint32_t *uids;
    size_t count;
    struct ingest_header *headers;
    struct crypto_hasher *hasher; /* of the octets that came last */
};

static bool is_header(const struct imap_fetch_response *message)
{
    return bytes_equal_nocase(message->section, BYTES("HEADER"));
}

/* Whose they are the response tells that follows. */
static bool hash_body(struct header_reader *reader, struct err *err)
{
    struct bytes octets;

    (void)crypto_finish_hasher(reader->hasher); /* of an answer that came to nothing */
    do {
        if (!ingest_read_body(reader->client, &octets, err))
            return false;
        crypto_update_hasher(reader->hasher, octets);
    } while (octets.len > 0);
    return true;
}

static void take_message(struct header_reader *reader, const struct ingest_event *event)
{
    const struct imap_fetch_response *message = &event->response.fetch;
    size_t index = (message->has & IMAP_HAS_UID) == 0
                       ? SIZE_MAX
                       : ingest_find_uid(reader->uids, reader->count, message->uid.n);

    if ((message->has & IMAP_HAS_BODY) == 0 || index == SIZE_MAX || !is_header(message))
        return;
    if (message->body_kind == IMAP_BODY_STREAMED && event->has_body)
        reader->headers[index] =
            (struct ingest_header){ true, crypto_finish_hasher(reader->hasher) };
    else if (message->body_kind == IMAP_BODY_TEXT)
        reader->headers[index] = (struct ingest_header){ true, crypto_hash(message->body) };
}

/* *is_done false: it was refused. */
static bool judge_end(struct header_reader *reader, const struct imap_status_response *status,
                      bool *is_done, struct err *err)
{
    struct ingest_reply reply;

    *is_done = status->condition == IMAP_OK;
    if (*is_done)
        return true;
    ingest_take_reply(status, &reply);
    if (!ingest_speaks_of_load(&reply))
        return true;
    ingest_note_refused(reader->client);
    return err_fail(err, ERR_RETRY, "UID FETCH is refused for now: %s", reply.text);
}

static bool read_some(struct header_reader *reader, size_t at, size_t *taken, bool *is_done,
                      struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    struct ingest_event event;
    struct ingest_tag tag;

    *taken = ingest_write_set(&set, reader->uids + at, reader->count - at, INGEST_SET_UIDS);
    ingest_begin_command(reader->client, "UID FETCH ");
    ingest_add_bytes(reader->client, buf_bytes(&set));
    ingest_add_text(reader->client, " (UID BODY.PEEK[HEADER])");
    if (!ingest_send_command(reader->client, &tag, err))
        return false;
    for (;;) {
        if (!ingest_next_event(reader->client, &event, err))
            return false;
        if (event.kind == INGEST_EVENT_BODY) {
            if (!hash_body(reader, err))
                return false;
        } else if (ingest_event_ends(&event, tag)) {
            return judge_end(reader, &event.response.status, is_done, err);
        } else if (event.response.kind == IMAP_RESPONSE_FETCH) {
            take_message(reader, &event);
        }
    }
}

bool ingest_hash_headers(struct ingest_client *client, const uint32_t *uids, size_t count,
                         struct ingest_header *headers, struct err *err)
{
    struct header_reader reader = {
        .client = client,
        .uids = uids,
        .count = count,
        .headers = headers,
        .hasher = crypto_create_hasher(),
    };
    bool goes_on = true;
    bool is_done = true;

    for (size_t i = 0; i < count; i++)
        headers[i].has_come = false;
    for (size_t at = 0, taken; goes_on && is_done && at < count; at += taken)
        is_done = read_some(&reader, at, &taken, &goes_on, err);
    crypto_free_hasher(&reader.hasher);
    return is_done;
}
