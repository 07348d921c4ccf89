/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/client.h - one IMAP connection to a source server: commands out, responses in.
 *
 *     ingest_begin_command(client, "UID FETCH ");
 *     ingest_add_bytes(client, set);
 *     ingest_add_text(client, " (UID FLAGS)");
 *     ingest_send_command(client, &tag, err) &&
 *     ingest_finish_command(client, tag, take_response, context, &reply, err)
 *
 * or, to pipeline and to stream, ingest_next_event in a loop. Only a tagged OK ends anything; what
 * fails otherwise has taught nothing (ingest/README 1).
 *
 * Every wait ends after stall_ms without one octet, at ingest_set_end, when patience is worn out (below), and at once
 * when stop_fd becomes readable. All
 * failures of this module are ERR_RETRY (connection, stall, BYE, stop), ERR_SYNTAX (the peer speaks
 * something else) or ERR_LIMIT (a line over 1 MB): the connection is then of no more use.
 * One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "imap/response.h"
#include "ingest/provider.h"
#include "net/stream.h"

struct ingest_client;

enum { /* capabilities that change what we do */
    INGEST_STARTTLS = 1,
    INGEST_LOGINDISABLED = 2,
    INGEST_AUTH_PLAIN = 4,
    INGEST_SASL_IR = 8,
    INGEST_LITERAL_PLUS = 16,
    INGEST_LITERAL_MINUS = 32,
    INGEST_LIST_STATUS = 64,
    INGEST_CONDSTORE = 128,
    INGEST_SPECIAL_USE = 256,
    INGEST_AUTH_LOGIN = 512,
    INGEST_AUTH_CRAM_MD5 = 1 << 10,
    INGEST_AUTH_SCRAM_SHA_1 = 1 << 11,
    INGEST_AUTH_SCRAM_SHA_1_PLUS = 1 << 12,
    INGEST_AUTH_SCRAM_SHA_256 = 1 << 13,
    INGEST_AUTH_SCRAM_SHA_256_PLUS = 1 << 14,
    INGEST_AUTH_OAUTHBEARER = 1 << 15,
    INGEST_AUTH_XOAUTH2 = 1 << 16,
    INGEST_AUTH_EXTERNAL = 1 << 17,
    INGEST_QRESYNC = 1 << 20,
    INGEST_COMPRESS_DEFLATE = 1 << 21,
    INGEST_IDLE = 1 << 23,
    INGEST_NAMESPACE = 1 << 24,
    INGEST_ID = 1 << 25,
    INGEST_OBJECTID = 1 << 26,
    INGEST_GMAIL = 1 << 27, /* X-GM-EXT-1 */
    INGEST_LIST_EXTENDED = 1 << 28,
    INGEST_STATUS_SIZE = 1 << 29,
};

enum {
    INGEST_REPLY_TEXT_BYTES = 200,
    INGEST_CHALLENGE_MAX = 8 << 10, /* octets of a SASL challenge, in base64 */
    INGEST_BEAT_MS = 15000,         /* how often the beat is called while octets are awaited */

    /*
     * A source that drips would hold a worker for ever: it is never silent for the stall time. So this much of waiting
     * may pass until so many octets have come, or the end of a command. Untagged OK, NO and BAD are no such octets, nor
     * is what cannot be read. A server may think for ten minutes, and say so; a link of 300 octets a second is enough.
     */
    INGEST_PATIENCE_MS = 15 * 60 * 1000,
    INGEST_PATIENCE_BYTES = 256 << 10,
};

struct ingest_client_options {
    int stop_fd;      /* -1: none */
    int64_t stall_ms; /* 0: NET_STALL_DEFAULT_MS */
    /* Called about every beat_ms during long exchanges; false ends them. NULL: nothing. */
    bool (*beat)(void *context, struct err *err);
    void *context;
    int64_t beat_ms;     /* 0: INGEST_BEAT_MS */
    int64_t patience_ms; /* 0: INGEST_PATIENCE_MS, or stall_ms if that is longer */
};

/* Takes the stream over, also on failure. */
MUST_USE bool ingest_open_client(struct net_stream **stream,
                                 const struct ingest_client_options *options,
                                 struct ingest_client **out, struct err *err);
void ingest_close_client(struct ingest_client **client);

struct net_stream *ingest_stream(const struct ingest_client *client); /* borrowed, for STARTTLS */

/* The connection alone, between two commands; the rest is freed. */
struct net_stream *ingest_take_stream(struct ingest_client **client);
uint32_t ingest_capabilities(const struct ingest_client *client);
bool ingest_knows_capabilities(const struct ingest_client *client);
void ingest_set_capabilities(struct ingest_client *client, const struct imap_words *words);
void ingest_forget_capabilities(struct ingest_client *client); /* STARTTLS, login */

/* How this server wants to be asked: general until ingest_set_rules. */
const struct ingest_rules *ingest_rules(const struct ingest_client *client);
void ingest_set_rules(struct ingest_client *client, const struct ingest_rules *rules);

/* From now on, that the token has expired is the end of the session, not a refusal. */
void ingest_note_login(struct ingest_client *client);

/* From now on. */
void ingest_set_stall(struct ingest_client *client, int64_t stall_ms);

/* Nothing is waited for beyond it, also not while octets come; deadline_never(), as at first: no such end. */
void ingest_set_end(struct ingest_client *client, struct deadline end);

bool ingest_has_qresync(const struct ingest_client *client); /* it said ENABLED QRESYNC */

/* For the beat: not one octet has come since the last one, or since the connection was opened. */
bool ingest_is_silent(const struct ingest_client *client);

bool ingest_was_stopped(const struct ingest_client *client); /* by stop_fd */
bool ingest_was_refused(const struct ingest_client *client); /* asked to come back later */
bool ingest_is_worn_out(const struct ingest_client *client); /* our patience: it drips */
void ingest_note_refused(struct ingest_client *client);
uint64_t ingest_odd_responses(const struct ingest_client *client); /* unusable or not asked for */
/* Of these, LIST responses: each is a mailbox that nobody will see. */
uint64_t ingest_unreadable_lists(const struct ingest_client *client);
/* And SEARCH and ESEARCH responses: what they named is not absent. */
uint64_t ingest_unreadable_searches(const struct ingest_client *client);
void ingest_count_odd(struct ingest_client *client);

/* ---- commands ---- */

struct ingest_tag {
    uint64_t number;
};

void ingest_begin_command(struct ingest_client *client, const char *text);
void ingest_begin_line(struct ingest_client *client); /* an answer to "+": no tag of its own */
void ingest_add_text(struct ingest_client *client, const char *text);
void ingest_add_bytes(struct ingest_client *client, struct bytes octets);

/* As atom, quoted string or literal, whichever fits (a literal waits for the "+"). ERR_DENIED: the
 * server refused the literal. */
MUST_USE bool ingest_add_string(struct ingest_client *client, struct bytes value, struct err *err);

/* Sends the line and wipes our copy. */
MUST_USE bool ingest_send_command(struct ingest_client *client, struct ingest_tag *tag,
                                  struct err *err);

/* Sends ENABLE QRESYNC, once on a connection whose server offers it, and does not wait for the answer;
 * before the first EXAMINE (RFC 5161 §3.1). tag->number 0: nothing was sent. */
MUST_USE bool ingest_enable_qresync(struct ingest_client *client, struct ingest_tag *tag,
                                    struct err *err);

/* ---- responses ---- */

enum ingest_event_kind {
    INGEST_EVENT_RESPONSE, /* response: whole */
    INGEST_EVENT_BODY,     /* message octets follow: ingest_read_body until it gives none */
};

/* Borrowed until the next event. */
struct ingest_event {
    enum ingest_event_kind kind;
    struct imap_response response;
    bool has_body; /* RESPONSE: a BODY of it came before; of others nothing more comes */
    struct imap_fetch_response body_of; /* BODY: the items that came before the octets */
    uint64_t body_bytes;                /* BODY: as announced */
};

/* An unusable response is counted and passed over; an untagged BYE is a failure with its text. */
MUST_USE bool ingest_next_event(struct ingest_client *client, struct ingest_event *out,
                                struct err *err);

/* The next octets, borrowed until the next call; empty at the end. The response they belong to
 * follows as an event. */
MUST_USE bool ingest_read_body(struct ingest_client *client, struct bytes *out, struct err *err);

/* A status response as text: "[CODE] text", printable ASCII. */
struct ingest_reply {
    enum imap_condition condition;
    enum imap_code code;
    uint64_t number; /* of the code */
    char text[INGEST_REPLY_TEXT_BYTES];
};
void ingest_take_reply(const struct imap_status_response *status, struct ingest_reply *out);

bool ingest_is_tag(struct bytes text, struct ingest_tag tag);

/* Is it the end of this command? */
bool ingest_event_ends(const struct ingest_event *event, struct ingest_tag tag);

/*
 * Gives every untagged response to take (may be NULL) until the tagged one. Bodies are read and
 * dropped. Capabilities in an OK are noted.
 */
typedef bool ingest_take_fn(void *context, const struct imap_response *response, struct err *err);
MUST_USE bool ingest_finish_command(struct ingest_client *client, struct ingest_tag tag,
                                    ingest_take_fn *take, void *context, struct ingest_reply *reply,
                                    struct err *err);

/* Waits for the server's turn in a dialogue: the text behind its "+", borrowed until the next event, or
 * the tagged answer. Other responses are passed over. */
MUST_USE bool ingest_await_turn(struct ingest_client *client, struct bytes *text, bool *has_ended,
                                struct ingest_reply *reply, struct err *err);

/* Waits for the "+"; other responses are passed over. ERR_DENIED: a tagged answer came instead, which
 * *reply tells. */
MUST_USE bool ingest_await_continuation(struct ingest_client *client, struct ingest_reply *reply,
                                        struct err *err);

/* The server's first word. */
MUST_USE bool ingest_read_greeting(struct ingest_client *client, struct ingest_reply *out,
                                   struct err *err);

/* Says LOGOUT and does not wait longer than a second for its end. Nothing where octets of a message were still to
 * come, or what came could not be read: nobody would find the answer. */
void ingest_log_out(struct ingest_client *client);
