/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/secret.h"
#include "imap/write.h"
#include "ingest/login.h"

#include <poll.h>
#include <stdlib.h>

enum {
    COMMAND_BYTES = 64 << 10,
    FILL_BYTES = 64 << 10,
    ARENA_BYTES = 4 << 20,         /* values of one response: lines are at most 1 MB */
    KEPT_LITERAL_BYTES = 64 << 10, /* names; a longer literal that is no message is dropped */
    LOGOUT_MS = 1000,
    SECRET_ROOM_BYTES = 25 << 10, /* a token in base64, or a password, with its command */
};

struct ingest_client {
    struct net_stream *stream;
    struct imap_receiver *receiver;
    struct arena *arena; /* of the current event */
    struct buf command;  /* may hold a password: wiped when sent */
    uint64_t tag;        /* of the last command begun */
    struct ingest_client_options options;
    struct deadline next_beat;
    struct deadline end; /* of all waits */
    bool has_heard;      /* octets, since the last beat */
    int64_t patience_ms; /* left of options.patience_ms */
    int64_t useful;      /* octets since it was given back; below 0: useless ones had counted */
    uint64_t answered;   /* commands */
    bool is_worn_out;
    size_t lent;   /* octets at the front of the stream's buffer that the caller still looks at */
    bool has_body; /* of the response that is being received */
    uint32_t capabilities;
    bool knows_capabilities;
    bool was_asked_qresync, has_qresync;
    struct ingest_rules rules;
    bool is_logged_in;
    bool was_stopped;
    bool was_refused;
    bool is_logging_out;
    uint64_t odd_responses;
    uint64_t unreadable_lists, unreadable_searches;
};

/* The operator's word on silence goes first. */
static int64_t patience_for(int64_t stall_ms)
{
    return stall_ms > INGEST_PATIENCE_MS ? stall_ms : INGEST_PATIENCE_MS;
}

bool ingest_open_client(struct net_stream **stream, const struct ingest_client_options *options,
                        struct ingest_client **out, struct err *err)
{
    struct ingest_client *client = calloc(1, sizeof *client);

    if (client == NULL) {
        net_close(stream);
        return err_errno(err, "connection to a source");
    }
    *client = (struct ingest_client){
        .stream = *stream,
        .receiver = imap_receiver_create(LIMIT_RESPONSE_LINE_BYTES),
        .arena = arena_create(ARENA_BYTES),
        .command = buf_create(COMMAND_BYTES),
        .options = *options,
        .end = deadline_never(),
        .rules = ingest_rules_for(&(struct ingest_peer){ .capabilities = 0 }),
    };
    if (client->options.stall_ms == 0)
        client->options.stall_ms = NET_STALL_DEFAULT_MS;
    if (client->options.beat_ms == 0)
        client->options.beat_ms = INGEST_BEAT_MS;
    if (client->options.patience_ms == 0)
        client->options.patience_ms = patience_for(client->options.stall_ms);
    client->patience_ms = client->options.patience_ms;
    client->next_beat = deadline_after_ms(client->options.beat_ms);
    (void)buf_reserve(&client->command, SECRET_ROOM_BYTES); /* so that no copy is left behind */
    *stream = NULL;
    *out = client;
    return true;
}

void ingest_close_client(struct ingest_client **client)
{
    if (*client == NULL)
        return;
    if ((*client)->command.ptr != NULL)
        secret_wipe((*client)->command.ptr, (*client)->command.cap);
    buf_free(&(*client)->command);
    imap_receiver_free(&(*client)->receiver);
    arena_free(&(*client)->arena);
    net_close(&(*client)->stream);
    free(*client);
    *client = NULL;
}

struct net_stream *ingest_stream(const struct ingest_client *client)
{
    return client->stream;
}

struct net_stream *ingest_take_stream(struct ingest_client **client)
{
    struct net_stream *stream = (*client)->stream;

    net_consume(stream, (*client)->lent);
    (*client)->stream = NULL;
    ingest_close_client(client);
    return stream;
}

bool ingest_was_stopped(const struct ingest_client *client)
{
    return client->was_stopped;
}

bool ingest_was_refused(const struct ingest_client *client)
{
    return client->was_refused;
}

bool ingest_is_worn_out(const struct ingest_client *client)
{
    return client->is_worn_out;
}

void ingest_note_refused(struct ingest_client *client)
{
    client->was_refused = true;
}

uint64_t ingest_odd_responses(const struct ingest_client *client)
{
    return client->odd_responses;
}

uint64_t ingest_unreadable_lists(const struct ingest_client *client)
{
    return client->unreadable_lists;
}

uint64_t ingest_unreadable_searches(const struct ingest_client *client)
{
    return client->unreadable_searches;
}

void ingest_count_odd(struct ingest_client *client)
{
    client->odd_responses++;
}

/* ---- capabilities ---- */

static const struct {
    struct bytes word;
    uint32_t bit;
} capability_words[] = {
    { BYTES_INIT("STARTTLS"), INGEST_STARTTLS },
    { BYTES_INIT("LOGINDISABLED"), INGEST_LOGINDISABLED },
    { BYTES_INIT("AUTH=PLAIN"), INGEST_AUTH_PLAIN },
    { BYTES_INIT("AUTH=LOGIN"), INGEST_AUTH_LOGIN },
    { BYTES_INIT("AUTH=CRAM-MD5"), INGEST_AUTH_CRAM_MD5 },
    { BYTES_INIT("AUTH=SCRAM-SHA-1"), INGEST_AUTH_SCRAM_SHA_1 },
    { BYTES_INIT("AUTH=SCRAM-SHA-1-PLUS"), INGEST_AUTH_SCRAM_SHA_1_PLUS },
    { BYTES_INIT("AUTH=SCRAM-SHA-256"), INGEST_AUTH_SCRAM_SHA_256 },
    { BYTES_INIT("AUTH=SCRAM-SHA-256-PLUS"), INGEST_AUTH_SCRAM_SHA_256_PLUS },
    { BYTES_INIT("AUTH=OAUTHBEARER"), INGEST_AUTH_OAUTHBEARER },
    { BYTES_INIT("AUTH=XOAUTH2"), INGEST_AUTH_XOAUTH2 },
    { BYTES_INIT("AUTH=EXTERNAL"), INGEST_AUTH_EXTERNAL },
    { BYTES_INIT("SASL-IR"), INGEST_SASL_IR },
    { BYTES_INIT("LITERAL+"), INGEST_LITERAL_PLUS },
    { BYTES_INIT("LITERAL-"), INGEST_LITERAL_MINUS },
    { BYTES_INIT("LIST-STATUS"), INGEST_LIST_STATUS },
    { BYTES_INIT("LIST-EXTENDED"), INGEST_LIST_EXTENDED },
    { BYTES_INIT("STATUS=SIZE"), INGEST_STATUS_SIZE },
    { BYTES_INIT("CONDSTORE"), INGEST_CONDSTORE },
    { BYTES_INIT("QRESYNC"), INGEST_CONDSTORE | INGEST_QRESYNC }, /* RFC 7162: implies it */
    { BYTES_INIT("COMPRESS=DEFLATE"), INGEST_COMPRESS_DEFLATE },
    { BYTES_INIT("IDLE"), INGEST_IDLE },
    { BYTES_INIT("SPECIAL-USE"), INGEST_SPECIAL_USE },
    { BYTES_INIT("NAMESPACE"), INGEST_NAMESPACE },
    { BYTES_INIT("IMAP4rev2"), INGEST_NAMESPACE }, /* RFC 9051 §6.3.10: part of it */
    { BYTES_INIT("ID"), INGEST_ID },
    { BYTES_INIT("OBJECTID"), INGEST_OBJECTID },
    { BYTES_INIT("X-GM-EXT-1"), INGEST_GMAIL },
};

uint32_t ingest_capabilities(const struct ingest_client *client)
{
    return client->capabilities;
}

bool ingest_knows_capabilities(const struct ingest_client *client)
{
    return client->knows_capabilities;
}

void ingest_set_capabilities(struct ingest_client *client, const struct imap_words *words)
{
    client->capabilities = 0;
    for (size_t i = 0; i < ARRAY_LEN(capability_words); i++)
        if (imap_words_have(words, capability_words[i].word))
            client->capabilities |= capability_words[i].bit;
    client->knows_capabilities = true;
}

void ingest_forget_capabilities(struct ingest_client *client)
{
    client->capabilities = 0;
    client->knows_capabilities = false;
}

static void note_capabilities(struct ingest_client *client, const struct imap_response *response)
{
    if (response->kind == IMAP_RESPONSE_CAPABILITY)
        ingest_set_capabilities(client, &response->words);
    else if (response->kind == IMAP_RESPONSE_STATUS &&
             response->status.code == IMAP_CODE_CAPABILITY)
        ingest_set_capabilities(client, &response->status.words);
    else if (response->kind == IMAP_RESPONSE_ENABLED &&
             imap_words_have(&response->words, BYTES("QRESYNC")))
        client->has_qresync = true;
}

void ingest_set_end(struct ingest_client *client, struct deadline end)
{
    client->end = end;
}

bool ingest_has_qresync(const struct ingest_client *client)
{
    return client->has_qresync;
}

const struct ingest_rules *ingest_rules(const struct ingest_client *client)
{
    return &client->rules;
}

void ingest_set_rules(struct ingest_client *client, const struct ingest_rules *rules)
{
    client->rules = *rules;
}

void ingest_note_login(struct ingest_client *client)
{
    client->is_logged_in = true;
}

void ingest_set_stall(struct ingest_client *client, int64_t stall_ms)
{
    client->options.stall_ms = stall_ms == 0 ? NET_STALL_DEFAULT_MS : stall_ms;
    net_set_stall(client->stream, client->options.stall_ms);
}

/* ---- waiting ---- */

bool ingest_is_silent(const struct ingest_client *client)
{
    return !client->has_heard;
}

static bool beat(struct ingest_client *client, struct err *err)
{
    bool goes_on;

    if (client->options.beat == NULL || !deadline_has_passed(client->next_beat))
        return true;
    client->next_beat = deadline_after_ms(client->options.beat_ms);
    goes_on = client->options.beat(client->options.context, err);
    client->has_heard = false;
    return goes_on;
}

static void give_patience_back(struct ingest_client *client)
{
    client->useful = 0;
    client->patience_ms = client->options.patience_ms;
}

/* So far as is known: see weigh. */
static void note_use(struct ingest_client *client, size_t octets)
{
    client->useful += (int64_t)octets;
    if (client->useful >= INGEST_PATIENCE_BYTES)
        give_patience_back(client);
}

/* A tagged response ends one of our commands, or is one too many. */
static void note_answer(struct ingest_client *client)
{
    if (client->answered == client->tag)
        return;
    client->answered++;
    give_patience_back(client);
}

static bool wear_out(struct ingest_client *client, struct err *err)
{
    client->is_worn_out = true;
    return err_fail(
        err, ERR_RETRY,
        "time-out: the source drips: less than %d octets of an answer in %jd s of waiting",
        INGEST_PATIENCE_BYTES, (intmax_t)(client->options.patience_ms / 1000));
}

/* Until the socket is ready, it is time to beat, or somebody asked to stop. */
static bool wait_ready(struct ingest_client *client, enum net_progress progress,
                       struct deadline stall, struct err *err)
{
    struct pollfd fds[2] = {
        { .fd = net_fd(client->stream), .events = progress == NET_WANT_WRITE ? POLLOUT : POLLIN },
        { .fd = client->options.stop_fd, .events = POLLIN },
    };
    struct deadline worn_out = deadline_after_ms(client->patience_ms);
    struct deadline until = deadline_earlier(deadline_earlier(stall, client->end), worn_out);

    if (client->options.beat != NULL)
        until = deadline_earlier(until, client->next_beat);
    if (poll(fds, 2, deadline_poll_ms(until)) > 0 && (fds[1].revents & POLLIN) != 0) {
        client->was_stopped = true;
        return err_fail(err, ERR_RETRY, "asked to stop");
    }
    client->patience_ms = deadline_poll_ms(worn_out); /* our own pauses do not count */
    if (deadline_has_passed(stall) && (fds[0].revents & (POLLIN | POLLOUT | POLLHUP)) == 0)
        return err_fail(err, ERR_RETRY, "time-out: the source was silent for %jd s",
                        (intmax_t)(client->options.stall_ms / 1000));
    if (client->patience_ms == 0)
        return wear_out(client, err);
    return beat(client, err);
}

/* Waits for at least one octet more. */
static bool fill(struct ingest_client *client, struct err *err)
{
    struct deadline stall = deadline_after_ms(client->options.stall_ms);

    for (;;) {
        enum net_progress progress;
        size_t had = net_peek(client->stream).len;

        if (deadline_has_passed(client->end))
            return err_fail(err, ERR_RETRY, "time-out: the source says much and does not answer");
        progress = net_try_fill(client->stream, FILL_BYTES, err);
        switch (progress) {
        case NET_DONE:
            client->has_heard = true;
            note_use(client, net_peek(client->stream).len - had);
            return beat(client, err);
        case NET_WANT_READ:
        case NET_WANT_WRITE:
            if (!wait_ready(client, progress, stall, err))
                return false;
            break;
        case NET_ENDED:
            return err_fail(err, ERR_RETRY, "the source closed the connection");
        case NET_FAILED:
            return false;
        }
    }
}

/* ---- commands ---- */

void ingest_begin_command(struct ingest_client *client, const char *text)
{
    buf_reset(&client->command, COMMAND_BYTES);
    client->tag++;
    buf_text(&client->command, "h");
    buf_u64(&client->command, client->tag);
    buf_text(&client->command, " ");
    buf_text(&client->command, text);
}

void ingest_begin_line(struct ingest_client *client)
{
    buf_reset(&client->command, COMMAND_BYTES);
}

void ingest_add_text(struct ingest_client *client, const char *text)
{
    buf_text(&client->command, text);
}

void ingest_add_bytes(struct ingest_client *client, struct bytes octets)
{
    buf_append(&client->command, octets);
}

static bool flush_command(struct ingest_client *client, struct err *err)
{
    struct bytes octets;
    bool is_sent = buf_done(&client->command, &octets, err) &&
                   net_write(client->stream, octets, err) && net_flush(client->stream, err);

    if (client->command.ptr != NULL)
        secret_wipe(client->command.ptr, client->command.len);
    buf_reset(&client->command, COMMAND_BYTES);
    return is_sent;
}

static bool may_send_at_once(const struct ingest_client *client, size_t size)
{
    return (client->capabilities & INGEST_LITERAL_PLUS) != 0 ||
           ((client->capabilities & INGEST_LITERAL_MINUS) != 0 && size <= 4096);
}

bool ingest_add_string(struct ingest_client *client, struct bytes value, struct err *err)
{
    struct ingest_reply reply;

    if (imap_try_write_inline(&client->command, value))
        return true;
    buf_text(&client->command, "{");
    buf_u64(&client->command, value.len);
    if (may_send_at_once(client, value.len)) {
        buf_text(&client->command, "+}\r\n");
    } else {
        buf_text(&client->command, "}\r\n");
        if (!flush_command(client, err) || !ingest_await_continuation(client, &reply, err))
            return false;
    }
    buf_append(&client->command, value);
    return true;
}

bool ingest_send_command(struct ingest_client *client, struct ingest_tag *tag, struct err *err)
{
    buf_text(&client->command, "\r\n");
    tag->number = client->tag;
    return flush_command(client, err);
}

bool ingest_enable_qresync(struct ingest_client *client, struct ingest_tag *tag, struct err *err)
{
    tag->number = 0;
    if (client->was_asked_qresync || (client->capabilities & INGEST_QRESYNC) == 0)
        return true;
    client->was_asked_qresync = true;
    ingest_begin_command(client, "ENABLE QRESYNC");
    return ingest_send_command(client, tag, err);
}

/* ---- responses ---- */

/* A literal that is neither message octets nor of a size that a name has. */
static bool drop_literal(struct ingest_client *client, struct err *err)
{
    struct bytes octets;

    do {
        if (!ingest_read_body(client, &octets, err))
            return false;
        client->useful -= (int64_t)octets.len;
    } while (octets.len > 0);
    client->odd_responses++;
    return true;
}

bool ingest_read_body(struct ingest_client *client, struct bytes *out, struct err *err)
{
    struct bytes in;

    net_consume(client->stream, client->lent);
    client->lent = 0;
    *out = (struct bytes){ NULL, 0 };
    if (imap_receiver_left(client->receiver) == 0)
        return true;
    if (net_peek(client->stream).len == 0 && !fill(client, err))
        return false;
    in = net_peek(client->stream);
    *out = imap_receive_octets(client->receiver, &in);
    client->lent = out->len;
    return true;
}

static enum imap_received_kind receive(struct ingest_client *client, struct err *err)
{
    struct bytes in = net_peek(client->stream);
    size_t had = in.len;
    enum imap_received_kind kind = imap_receive(client->receiver, &in, err);

    net_consume(client->stream, had - in.len);
    return kind;
}

/* True: a body begins, and *out says of what. */
static bool begin_body(struct ingest_client *client, struct ingest_event *out)
{
    struct imap_received received = imap_received(client->receiver);

    if (!imap_peek_fetch(&received, client->arena, &out->body_of))
        return false;
    out->kind = INGEST_EVENT_BODY;
    out->body_bytes = imap_receiver_literal(client->receiver).size_bytes;
    client->has_body = true;
    imap_receiver_stream(client->receiver);
    return true;
}

static bool keep_or_drop(struct ingest_client *client, struct err *err)
{
    if (imap_receiver_literal(client->receiver).size_bytes <= KEPT_LITERAL_BYTES) {
        imap_receiver_keep(client->receiver);
        return true;
    }
    imap_receiver_stream(client->receiver);
    return drop_literal(client, err);
}

/* "* OK Still here" says that there is a server, not that it comes to an end. */
static void weigh(struct ingest_client *client, size_t octets, const struct imap_response *response)
{
    if (response == NULL || (response->kind == IMAP_RESPONSE_STATUS && response->tag.len == 0))
        client->useful -= (int64_t)octets + 2; /* its line end */
    else if (response->kind == IMAP_RESPONSE_STATUS)
        note_answer(client);
}

/* As leniently as it would have been read: what hides behind it is told, or taken for absent. */
static bool begins_with(struct bytes text, struct bytes name)
{
    if (!scan_byte(&text, '*'))
        return false;
    while (scan_byte(&text, ' '))
        ;
    return bytes_start_with_nocase(text, name);
}

/* False: the response is of no use, go on to the next. */
static bool parse(struct ingest_client *client, struct ingest_event *out)
{
    struct imap_received received = imap_received(client->receiver);
    struct err ignored = { 0 };

    arena_reset(client->arena);
    out->has_body = client->has_body;
    client->has_body = false;
    if (!imap_parse_response(&received, client->arena, &out->response, &ignored)) {
        client->odd_responses++;
        client->unreadable_lists +=
            begins_with(received.text, BYTES("LIST")) || begins_with(received.text, BYTES("XLIST"));
        client->unreadable_searches += begins_with(received.text, BYTES("SEARCH")) ||
                                       begins_with(received.text, BYTES("ESEARCH"));
        weigh(client, received.text.len, NULL);
        return false;
    }
    out->kind = INGEST_EVENT_RESPONSE;
    note_capabilities(client, &out->response);
    weigh(client, received.text.len, &out->response);
    return true;
}

static bool is_bye(const struct imap_response *response)
{
    return response->kind == IMAP_RESPONSE_STATUS && response->tag.len == 0 &&
           response->status.condition == IMAP_BYE;
}

/*
 * Exchange Online ends a session whose OAuth token has expired in the middle of anything, mostly with BYE.
 * A NO of this kind is about the connection too, not about what was asked for: the next login brings a
 * fresh token. (At the login itself it is the token's refusal.)
 */
static bool is_token_expired(const struct ingest_client *client,
                             const struct imap_response *response)
{
    struct bytes text = response->status.text;

    if (!client->is_logged_in || response->kind != IMAP_RESPONSE_STATUS ||
        response->status.condition == IMAP_OK)
        return false;
    while (text.len > 0) {
        if (bytes_start_with_nocase(text, BYTES("AccessTokenExpired")))
            return true;
        text = bytes_slice(text, 1, SIZE_MAX);
    }
    return false;
}

/* Yahoo: "BYE + NO [LIMIT] Rate limit hit". To connect again at once would be what it complains of. */
static bool fail_bye(struct ingest_client *client, const struct imap_response *response,
                     struct err *err)
{
    struct ingest_reply reply;

    ingest_take_reply(&response->status, &reply);
    client->was_refused = client->was_refused || ingest_speaks_of_load(&reply);
    return err_fail(err, ERR_RETRY, "the source ended the connection: BYE %s", reply.text);
}

bool ingest_next_event(struct ingest_client *client, struct ingest_event *out, struct err *err)
{
    arena_reset(client->arena);
    net_consume(client->stream, client->lent);
    client->lent = 0;
    for (;;) {
        switch (receive(client, err)) {
        case IMAP_RECEIVED_MORE:
            if (!fill(client, err))
                return false;
            break;
        case IMAP_RECEIVED_LITERAL:
            if (begin_body(client, out))
                return true;
            if (!keep_or_drop(client, err))
                return false;
            break;
        case IMAP_RECEIVED_RESPONSE:
            if (!parse(client, out))
                break;
            if (is_bye(&out->response) && !client->is_logging_out)
                return fail_bye(client, &out->response, err);
            if (is_token_expired(client, &out->response))
                return err_fail(err, ERR_RETRY, "the token of this session has expired");
            return true;
        case IMAP_RECEIVED_FAILED:
            return false;
        }
    }
}

void ingest_take_reply(const struct imap_status_response *status, struct ingest_reply *out)
{
    CLEANUP(buf_free) struct buf text = buf_create(INGEST_REPLY_TEXT_BYTES * 8);
    struct bytes all;

    if (status->code_name.len > 0) {
        buf_text(&text, "[");
        buf_append(&text, bytes_slice(status->code_name, 0, 64));
        buf_text(&text, "] ");
    }
    buf_append(&text, bytes_slice(status->text, 0, INGEST_REPLY_TEXT_BYTES));
    all = buf_bytes(&text);
    if (all.len > sizeof out->text - 1)
        all.len = sizeof out->text - 1;
    out->condition = status->condition;
    out->code = status->code;
    out->number = status->number;
    for (size_t i = 0; i < all.len; i++)
        out->text[i] = (char)(all.ptr[i] >= 0x20 && all.ptr[i] < 0x7f ? all.ptr[i] : '?');
    out->text[all.len] = '\0';
}

bool ingest_is_tag(struct bytes text, struct ingest_tag tag)
{
    uint64_t number;

    return scan_byte(&text, 'h') && scan_u64(&text, &number) && text.len == 0 &&
           number == tag.number;
}

bool ingest_event_ends(const struct ingest_event *event, struct ingest_tag tag)
{
    return event->kind == INGEST_EVENT_RESPONSE && event->response.kind == IMAP_RESPONSE_STATUS &&
           ingest_is_tag(event->response.tag, tag);
}

bool ingest_finish_command(struct ingest_client *client, struct ingest_tag tag,
                           ingest_take_fn *take, void *context, struct ingest_reply *reply,
                           struct err *err)
{
    struct ingest_event event;

    for (;;) {
        if (!ingest_next_event(client, &event, err))
            return false;
        if (event.kind == INGEST_EVENT_BODY) {
            if (!drop_literal(client, err))
                return false;
            continue;
        }
        if (ingest_event_ends(&event, tag)) {
            ingest_take_reply(&event.response.status, reply);
            return true;
        }
        if (event.response.tag.len > 0)
            client->odd_responses++;
        else if (take != NULL && !take(context, &event.response, err))
            return false;
    }
}

bool ingest_await_turn(struct ingest_client *client, struct bytes *text, bool *has_ended,
                       struct ingest_reply *reply, struct err *err)
{
    struct ingest_event event;

    for (;;) {
        if (!ingest_next_event(client, &event, err))
            return false;
        if (event.kind == INGEST_EVENT_BODY) {
            if (!drop_literal(client, err))
                return false;
            continue;
        }
        note_capabilities(client, &event.response);
        *has_ended = ingest_event_ends(&event, (struct ingest_tag){ client->tag });
        if (*has_ended)
            ingest_take_reply(&event.response.status, reply);
        else if (event.response.kind == IMAP_RESPONSE_CONTINUATION)
            *text = event.response.status.text;
        else
            continue;
        return true;
    }
}

bool ingest_await_continuation(struct ingest_client *client, struct ingest_reply *reply,
                               struct err *err)
{
    struct bytes text;
    bool has_ended;

    if (!ingest_await_turn(client, &text, &has_ended, reply, err))
        return false;
    return !has_ended || err_fail(err, ERR_DENIED, "refused: %s", reply->text);
}

bool ingest_read_greeting(struct ingest_client *client, struct ingest_reply *out, struct err *err)
{
    struct ingest_event event;
    uint64_t odd = client->odd_responses;

    if (!ingest_next_event(client, &event, err))
        return client->odd_responses > odd && err->code == ERR_RETRY && !client->was_stopped
                   ? err_fail(err, ERR_SYNTAX, "the peer does not speak IMAP")
                   : false;
    if (client->odd_responses > odd || event.kind != INGEST_EVENT_RESPONSE ||
        event.response.kind != IMAP_RESPONSE_STATUS || event.response.tag.len > 0)
        return err_fail(err, ERR_SYNTAX, "the peer does not speak IMAP");
    ingest_take_reply(&event.response.status, out);
    return true;
}

void ingest_log_out(struct ingest_client *client)
{
    struct ingest_reply reply;
    struct ingest_tag tag;
    struct err ignored = { 0 };

    if (!imap_may_receive(client->receiver))
        return;
    client->is_logging_out = true;
    client->options.beat = NULL;
    ingest_set_stall(client, LOGOUT_MS);
    ingest_set_end(client, deadline_after_ms(LOGOUT_MS)); /* though it go on talking */
    ingest_begin_command(client, "LOGOUT");
    if (!ingest_send_command(client, &tag, &ignored) ||
        !ingest_finish_command(client, tag, NULL, NULL, &reply, &ignored))
        err_clear(&ignored); /* the connection is closed either way */
}
