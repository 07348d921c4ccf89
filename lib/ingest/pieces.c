/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/pieces.h"

#include "base/buf.h"
#include "ingest/login.h"
#include "mime/parser.h"

#include <stdio.h>

enum {
    SECTION_BYTES = 32,
};

/* What one command asks for, and where it goes. */
struct piece {
    struct ingest_client *client;
    uint32_t uid;
    struct bytes section; /* empty: no octets, only what is known of the message */
    struct bytes front;   /* octets that go before those of the piece */
    struct buf *kept;     /* into memory, behind what is there … */
    size_t kept_from;
    const struct ingest_sink *sink; /* … or to the sink, with the message; one of the two */
    bool is_open;                   /* the sink has begun a message */
    bool has_come;
};

static bool is_of_message(const struct err *err)
{
    return err->code == ERR_SYNTAX || err->code == ERR_LIMIT;
}

/* The sink refuses this one message: then it has not come. */
static bool pass_over_refusal(struct err *err)
{
    if (!is_of_message(err))
        return false;
    err_clear(err);
    return true;
}

static void close_message(struct piece *piece)
{
    if (piece->is_open)
        piece->sink->abort(piece->sink->context);
    piece->is_open = false;
}

static bool begin(struct piece *piece, uint64_t announced_bytes, struct err *err)
{
    if (piece->kept != NULL) {
        piece->kept->len = piece->kept_from; /* one before it came to nothing */
        buf_append(piece->kept, piece->front);
        return true;
    }
    if (!piece->sink->begin(piece->sink->context, piece->front.len + announced_bytes, err))
        return pass_over_refusal(err);
    piece->is_open = true;
    if (piece->front.len == 0 || piece->sink->octets(piece->sink->context, piece->front, err))
        return true;
    close_message(piece);
    return false;
}

static bool give(struct piece *piece, struct bytes octets, struct err *err)
{
    if (piece->kept != NULL)
        buf_append(piece->kept, octets);
    else if (piece->is_open && octets.len > 0 &&
             !piece->sink->octets(piece->sink->context, octets, err)) {
        close_message(piece);
        return false;
    }
    return true;
}

static bool end(struct piece *piece, const struct imap_fetch_response *message, struct err *err)
{
    piece->has_come = piece->kept == NULL ? piece->is_open : !piece->kept->has_failed;
    if (!piece->is_open)
        return true;
    piece->is_open = false;
    if (piece->sink->end(piece->sink->context, message, err))
        return true;
    piece->has_come = false;
    return pass_over_refusal(err);
}

static bool is_asked_for(const struct piece *piece, const struct imap_fetch_response *message)
{
    return bytes_equal_nocase(message->section, piece->section) && !piece->has_come &&
           ((message->has & IMAP_HAS_UID) == 0 || message->uid.n == piece->uid);
}

/* Octets of the piece, or of something else, which is read over. */
static bool take_body(struct piece *piece, const struct ingest_event *event, struct err *err)
{
    bool is_ours =
        piece->section.len > 0 && !piece->is_open && is_asked_for(piece, &event->body_of);
    struct bytes octets;

    if (is_ours && !begin(piece, event->body_bytes, err))
        return false;
    do {
        if (!ingest_read_body(piece->client, &octets, err) ||
            (is_ours && !give(piece, octets, err))) {
            close_message(piece);
            return false;
        }
    } while (octets.len > 0);
    return true;
}

/* The response is whole: octets that streamed came just before it. */
static bool take_message(struct piece *piece, const struct imap_fetch_response *message,
                         struct err *err)
{
    bool has_text = message->body_kind == IMAP_BODY_TEXT;

    if ((message->has & IMAP_HAS_UID) == 0 || !is_asked_for(piece, message))
        return true;
    if (piece->section.len == 0)
        return begin(piece, 0, err) && end(piece, message, err);
    if ((message->has & IMAP_HAS_BODY) == 0 || message->body_kind == IMAP_BODY_NIL)
        return true;
    if (has_text) {
        close_message(piece); /* a second body of this response */
        if (!begin(piece, message->body_bytes, err) || !give(piece, message->body, err))
            return false;
    }
    return end(piece, message, err);
}

static bool send_fetch(const struct piece *piece, struct ingest_tag *tag, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(256);

    buf_u64(&text, piece->uid);
    buf_text(&text, " (UID FLAGS INTERNALDATE");
    if (piece->section.len > 0) {
        buf_text(&text, " BODY.PEEK[");
        buf_append(&text, piece->section);
        buf_text(&text, "]");
    }
    buf_text(&text, ")");
    ingest_begin_command(piece->client, "UID FETCH ");
    ingest_add_bytes(piece->client, buf_bytes(&text));
    return ingest_send_command(piece->client, tag, err);
}

static bool judge_end(struct piece *piece, const struct imap_status_response *status,
                      struct err *err)
{
    struct ingest_reply reply;

    close_message(piece);
    if (status->condition == IMAP_OK)
        return true;
    ingest_take_reply(status, &reply);
    if (!ingest_speaks_of_load(&reply))
        return true;
    ingest_note_refused(piece->client);
    return err_fail(err, ERR_RETRY, "UID FETCH is refused for now: %s", reply.text);
}

static bool fetch_piece(struct piece *piece, struct err *err)
{
    struct ingest_event event;
    struct ingest_tag tag;

    if (!send_fetch(piece, &tag, err))
        return false;
    for (;;) {
        if (!ingest_next_event(piece->client, &event, err)) {
            close_message(piece);
            return false;
        }
        if (event.kind == INGEST_EVENT_BODY || !event.has_body)
            close_message(piece); /* a response that came to nothing */
        if (event.kind == INGEST_EVENT_BODY) {
            if (!take_body(piece, &event, err))
                return false;
        } else if (ingest_event_ends(&event, tag)) {
            return judge_end(piece, &event.response.status, err);
        } else if (event.response.kind == IMAP_RESPONSE_FETCH &&
                   !take_message(piece, &event.response.fetch, err)) {
            return false;
        }
    }
}

static bool keep_piece(struct ingest_client *client, uint32_t uid, struct bytes section,
                       struct buf *kept, bool *has_come, struct err *err)
{
    struct piece piece = {
        .client = client, .uid = uid, .section = section, .kept = kept, .kept_from = kept->len
    };
    bool is_done = fetch_piece(&piece, err);

    *has_come = piece.has_come;
    return is_done;
}

/* ---- parts ---- */

static struct bytes name_section(char text[SECTION_BYTES], unsigned number, const char *what)
{
    int len = snprintf(text, SECTION_BYTES, "%u%s", number, what);

    return bytes_of(text, (size_t)len);
}

/* The boundary that the header names, copied; empty: not a multipart. */
static void find_boundary(struct bytes header, struct buf *out)
{
    struct mime_parser *parser = mime_create_parser();
    const struct mime_part *root;
    const struct mime_param *boundary;

    mime_feed_parser(parser, header);
    root = mime_finish_parser(parser);
    boundary = mime_find_param(root->content.params, root->content.param_count, BYTES("boundary"));
    if (mime_part_is(root, BYTES("multipart"), BYTES("")) && boundary != NULL)
        buf_append(out, boundary->value);
    mime_free_parser(&parser);
}

static void add_boundary(struct buf *whole, struct bytes boundary, const char *end)
{
    buf_text(whole, "--");
    buf_append(whole, boundary);
    buf_text(whole, end);
}

/* One part behind its boundary line. *has_come: at least its MIME header did. */
static bool add_part(struct ingest_client *client, uint32_t uid, unsigned number,
                     struct bytes boundary, struct buf *whole, bool *has_come, struct err *err)
{
    CLEANUP(buf_free) struct buf head = buf_create(INGEST_HEADER_PIECE_BYTES);
    char section[SECTION_BYTES];
    bool has_body;

    if (!keep_piece(client, uid, name_section(section, number, ".MIME"), &head, has_come, err))
        return false;
    if (!*has_come)
        return true;
    add_boundary(whole, boundary, "\r\n");
    buf_append(whole, buf_bytes(&head));
    if (!keep_piece(client, uid, name_section(section, number, ""), whole, &has_body, err))
        return false;
    buf_text(whole, "\r\n");
    return true;
}

static bool add_parts(struct ingest_client *client, uint32_t uid, struct bytes boundary,
                      struct buf *whole, struct err *err)
{
    bool has_come = true;

    if (boundary.len == 0)
        return keep_piece(client, uid, BYTES("1"), whole, &has_come, err);
    for (unsigned number = 1; has_come && number <= INGEST_PIECES_MAX; number++)
        if (!add_part(client, uid, number, boundary, whole, &has_come, err))
            return false;
    add_boundary(whole, boundary, "--\r\n");
    return true;
}

static bool fetch_parts(struct ingest_client *client, uint32_t uid, struct bytes header,
                        const struct ingest_sink *sink, bool *is_given, struct err *err)
{
    CLEANUP(buf_free) struct buf whole = buf_create(INGEST_PIECES_BYTES);
    CLEANUP(buf_free) struct buf boundary = buf_create(MIME_BOUNDARY_MAX);

    find_boundary(header, &boundary);
    buf_append(&whole, header);
    if (!add_parts(client, uid, boundary.has_failed ? BYTES("") : buf_bytes(&boundary), &whole,
                   err))
        return false;
    if (whole.has_failed)
        return true; /* too long to be held */
    return ingest_fetch_as(client, uid, buf_bytes(&whole), sink, is_given, err);
}

/* ---- both ---- */

bool ingest_fetch_as(struct ingest_client *client, uint32_t uid, struct bytes octets,
                     const struct ingest_sink *sink, bool *is_given, struct err *err)
{
    struct piece piece = { .client = client, .uid = uid, .front = octets, .sink = sink };
    bool is_done = fetch_piece(&piece, err);

    *is_given = piece.has_come;
    return is_done;
}

bool ingest_fetch_in_pieces(struct ingest_client *client, uint32_t uid,
                            const struct ingest_sink *sink, bool *is_given, struct err *err)
{
    CLEANUP(buf_free) struct buf header = buf_create(INGEST_HEADER_PIECE_BYTES);
    struct piece text = { .client = client, .uid = uid, .section = BYTES("TEXT"), .sink = sink };
    bool has_header;

    *is_given = false;
    if (!keep_piece(client, uid, BYTES("HEADER"), &header, &has_header, err))
        return false;
    if (!has_header || header.len == 0)
        return true;
    text.front = buf_bytes(&header);
    if (!fetch_piece(&text, err))
        return false;
    *is_given = text.has_come;
    return *is_given || fetch_parts(client, uid, buf_bytes(&header), sink, is_given, err);
}
