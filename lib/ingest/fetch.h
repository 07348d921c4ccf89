/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/fetch.h - message octets from the selected mailbox, pipelined and streamed.
 *
 * Asks for the UIDs in sets of INGEST_SET_UIDS and, while each is done within a second, of up to
 * INGEST_SET_UIDS_MAX. The next command is sent when the last message of the one before begins to arrive:
 * hardly a round trip is lost on a near source and few on a far one, and of one connection the archive gets its
 * messages in the order of their UIDs. (Sent earlier, Dovecot 2.3 runs both at once and mixes their answers, for UID
 * FETCH is not ambiguous to it; tests/integration/test_octets.py shows it.) Each message is
 * given to the sink as its octets arrive; nothing of it is held here. Order of messages
 * and of the items of one is the server's. Whatever was not asked for is counted and passed over.
 * A set that is refused is halved until the one message that spoils it stands alone; also when the
 * refusal speaks of an error that may pass, for that may be the message's too, and for ever. After three of
 * those in a row, asked for by peeking, the mailbox is left (ERR_ABSENT). Only what speaks of load ends the fetch at once. One thread.
 */
#pragma once

#include "ingest/client.h"
#include "ingest/share.h"

enum {
    INGEST_FETCH_DEPTH = 2, /* commands in flight */
    /* UIDs of one call; behind it everything is committed and waited for */
    INGEST_FETCH_PAGE = 20000,
};

/*
 * Where messages go: begin, octets (any number of times), then end or abort. begin and end may refuse
 * the one message with ERR_SYNTAX or ERR_LIMIT; every other failure ends the fetch.
 */
struct ingest_sink {
    void *context;
    bool (*begin)(void *context, uint64_t announced_bytes, struct err *err);
    bool (*octets)(void *context, struct bytes octets, struct err *err);
    bool (*end)(void *context, const struct imap_fetch_response *message, struct err *err);
    void (*abort)(void *context);
    /* Asked before each set; false, with the reason: what was asked for is still taken, then the fetch
     * fails with it. NULL: always. */
    bool (*may_go_on)(void *context, struct err *why);
};

/* The failure of a message that has no octets, though its size is not 0. */
#define INGEST_EMPTY_TEXT "the source sent no octets, and not the size 0 either"

struct ingest_failure {
    uint32_t uid;
    struct bytes text; /* in the arena */
    bool is_ours;      /* the archive refused it: to ask for it in another form is no use */
};

struct ingest_fetch_result {
    enum ingest_fetched *states; /* of each UID, in the order of `uids` */
    struct ingest_failure *failures;
    size_t failure_count;
    uint64_t size_notes; /* RFC822.SIZE was not the size of the octets */
    uint32_t broken_uid; /* connection lost: the message that was then arriving; 0: none was */
    bool was_refused;    /* for now, by a NO or BAD that speaks of load: come back later */
};

/* How the octets are asked for. Under EXAMINE none of them changes the source (RFC 9051 §6.4.5); what one
 * does not give, another sometimes does. */
enum ingest_form {
    INGEST_BY_PEEK,   /* BODY.PEEK[] */
    INGEST_BY_BODY,   /* BODY[] */
    INGEST_BY_RFC822, /* RFC822 */
    INGEST_FORMS,
};

/* Of a share of which nothing was fetched yet. */
struct ingest_fetch_result ingest_start_result(const struct ingest_share *share,
                                               struct arena *arena);

/*
 * All of the share that no helper fetches, as the first connection. At most INGEST_FETCH_PAGE UIDs. *result
 * is added to, in its arena, and on failure its states tell what the sink has got before.
 */
MUST_USE bool ingest_fetch(struct ingest_client *client, struct ingest_share *share,
                           enum ingest_form form, const struct ingest_sink *sink,
                           struct arena *arena, struct ingest_fetch_result *result,
                           struct err *err);

/*
 * By peeking, as the helper of this number, which has joined the share: until nothing is open. What cannot be had
 * is left to the first connection, whatever the reason, and a failure is this connection's alone; the caller
 * leaves the share. size_notes: added to.
 */
MUST_USE bool ingest_help_fetch(struct ingest_client *client, struct ingest_share *share,
                                uint8_t who, const struct ingest_sink *sink, uint64_t *size_notes,
                                struct err *err);
