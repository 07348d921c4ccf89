/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/fetch.h"

#include "base/buf.h"
#include "ingest/login.h"
#include "ingest/set.h"

#include <stdio.h>

enum {
    RESTS_MAX = 64,  /* halving 3,200 UIDs takes 12 steps; INGEST_FETCH_DEPTH sets at once */
    QUICK_MS = 1000, /* a set that is done in less is followed by one of twice the size */
    FAILURE_TEXT_BYTES = 300,
    REFUSALS_MAX = 3, /* single messages in a row: then it is the mailbox that cannot be read */
    DROP_MAX_BYTES = 64 << 20, /* a longer one that is refused: to connect again costs less */
};

static const char *const form_items[INGEST_FORMS] = {
    [INGEST_BY_PEEK] = " BODY.PEEK[])",
    [INGEST_BY_BODY] = " BODY[])",
    [INGEST_BY_RFC822] = " RFC822)",
};

/* What a refused set left, to be asked for in sets of at most `limit`. */
struct rest {
    struct ingest_span span;
    size_t limit;
};

struct flight {
    struct ingest_tag tag;   /* 0: free */
    struct ingest_span span; /* where the UIDs lie that were asked for */
    size_t waiting;          /* how many of them have not come */
    struct deadline quick;   /* to be done by then is to be quick */
};

/*
 *   IDLE --begin_body--> TAKING --take_message--> IDLE
 *   IDLE --begin_body, not wanted or refused--> DROPPING --take_message--> IDLE
 */
enum body_state {
    BODY_IDLE,
    BODY_TAKING,
    BODY_DROPPING
};

struct fetch {
    struct ingest_client *client;
    struct ingest_share *share;
    uint8_t who; /* takes from it; only INGEST_FIRST says that a message cannot be had */
    enum ingest_form form;
    const struct ingest_sink *sink;
    struct arena *arena; /* of failures; NULL for a helper */
    struct ingest_fetch_result *result;
    struct rest rests[RESTS_MAX]; /* a stack: the last one is next, before more of the share */
    size_t rest_count;
    size_t set_uids; /* in one command */
    struct flight flights[INGEST_FETCH_DEPTH];
    enum body_state body;
    size_t refusals;                  /* of single messages, since one was had */
    struct err ended;                 /* nothing more is asked for, and this is why */
    char refusal[FAILURE_TEXT_BYTES]; /* why begin refused the message that is being dropped */
};

/* ---- what became of a UID ---- */

/* By index, or SIZE_MAX. */
static size_t find_awaited(const struct fetch *fetch, uint32_t uid)
{
    size_t index = ingest_find_uid(fetch->share->uids, fetch->share->count, uid);

    return index != SIZE_MAX && ingest_awaits(fetch->share, fetch->who, index) ? index : SIZE_MAX;
}

static size_t find_first_awaited(const struct fetch *fetch)
{
    for (size_t i = 0; i < fetch->share->count; i++)
        if (ingest_awaits(fetch->share, fetch->who, i))
            return i;
    return SIZE_MAX;
}

/* It is no more waited for. */
static void count_off(struct fetch *fetch, size_t index)
{
    for (size_t i = 0; i < INGEST_FETCH_DEPTH; i++) {
        struct flight *flight = &fetch->flights[i];

        if (flight->tag.number != 0 && index >= flight->span.first &&
            index - flight->span.first < flight->span.count && flight->waiting > 0)
            flight->waiting--;
    }
}

static void settle(struct fetch *fetch, size_t index, enum ingest_fetched state)
{
    ingest_settle_uid(fetch->share, index, state);
    count_off(fetch, index);
}

static bool is_helper(const struct fetch *fetch)
{
    return fetch->who != INGEST_FIRST;
}

static void leave_to_first(struct fetch *fetch, size_t index)
{
    ingest_leave_uid(fetch->share, index);
    count_off(fetch, index);
}

/* It cannot be had; a helper only leaves it. */
static bool add_failure(struct fetch *fetch, size_t index, const char *text, bool is_ours,
                        struct err *err)
{
    struct ingest_failure *failure;

    if (is_helper(fetch)) {
        leave_to_first(fetch, index);
        return true;
    }
    failure = &fetch->result->failures[fetch->result->failure_count];
    if (!arena_try_copy(fetch->arena, bytes_of_text(text), FAILURE_TEXT_BYTES * 2, &failure->text,
                        err))
        return false;
    failure->uid = fetch->share->uids[index];
    failure->is_ours = is_ours;
    fetch->result->failure_count++;
    settle(fetch, index, INGEST_FAILED);
    return true;
}

static bool is_message_error(const struct err *err)
{
    return err->code == ERR_SYNTAX || err->code == ERR_LIMIT;
}

/* ---- sending ---- */

static void push_rest(struct fetch *fetch, struct rest rest)
{
    assert(fetch->rest_count < RESTS_MAX);
    fetch->rests[fetch->rest_count++] = rest;
}

static struct flight *find_free(struct fetch *fetch)
{
    size_t depth = ingest_rules(fetch->client)->fetch_depth;

    for (size_t i = 0; i < depth; i++)
        if (fetch->flights[i].tag.number == 0)
            return &fetch->flights[i];
    return NULL;
}

/* The next set of what was refused before; of it, what is done by now is passed over. */
static bool take_rest(struct fetch *fetch, struct buf *set, struct ingest_span *span, size_t *taken)
{
    uint32_t uids[INGEST_SET_UIDS_MAX];

    while (fetch->rest_count > 0) {
        struct rest rest = fetch->rests[--fetch->rest_count];
        size_t limit = rest.limit < fetch->set_uids ? rest.limit : fetch->set_uids;
        size_t end = rest.span.first + rest.span.count;
        size_t at = rest.span.first;
        size_t gathered = 0;

        for (; at < end && gathered < limit; at++)
            if (ingest_awaits(fetch->share, fetch->who, at))
                uids[gathered++] = fetch->share->uids[at];
        if (gathered == 0)
            continue;
        *taken = ingest_write_set(set, uids, gathered, limit);
        at = ingest_find_uid(fetch->share->uids, fetch->share->count, uids[*taken - 1]) + 1;
        if (at < end)
            push_rest(fetch, (struct rest){ { at, end - at }, rest.limit });
        *span = (struct ingest_span){ rest.span.first, at - rest.span.first };
        return true;
    }
    return false;
}

/* *is_sent false: there is nothing to be asked for. */
static bool send_fetch(struct fetch *fetch, struct flight *flight, bool *is_sent, struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);

    *is_sent = take_rest(fetch, &set, &flight->span, &flight->waiting) ||
               ingest_take_set(fetch->share, fetch->who, fetch->set_uids, &set, &flight->span,
                               &flight->waiting);
    if (!*is_sent)
        return true;
    flight->quick = deadline_after_ms(QUICK_MS);
    ingest_begin_command(fetch->client, "UID FETCH ");
    ingest_add_bytes(fetch->client, buf_bytes(&set));
    ingest_add_text(fetch->client, " (UID FLAGS INTERNALDATE RFC822.SIZE");
    ingest_add_text(fetch->client, ingest_identity_items(ingest_rules(fetch->client)->identity));
    ingest_add_text(fetch->client, form_items[fetch->form]);
    return ingest_send_command(fetch->client, &flight->tag, err);
}

/* Is the last message of all that was asked for on its way? Then the next command may follow. */
static bool is_time_to_send(const struct fetch *fetch)
{
    size_t waiting = 0;
    bool is_flying = false;

    for (size_t i = 0; i < INGEST_FETCH_DEPTH; i++)
        if (fetch->flights[i].tag.number != 0) {
            waiting += fetch->flights[i].waiting;
            is_flying = true;
        }
    return !is_flying || waiting == 0 || (waiting == 1 && fetch->body != BODY_IDLE);
}

static bool may_send(struct fetch *fetch)
{
    const struct ingest_sink *sink = fetch->sink;

    return fetch->ended.code == ERR_NONE && is_time_to_send(fetch) &&
           (fetch->rest_count > 0 || ingest_has_more(fetch->share, fetch->who)) &&
           (sink->may_go_on == NULL || sink->may_go_on(sink->context, &fetch->ended));
}

static bool keep_sending(struct fetch *fetch, struct err *err)
{
    struct flight *flight;
    bool is_sent = true;

    while (is_sent && may_send(fetch) && (flight = find_free(fetch)) != NULL)
        if (!send_fetch(fetch, flight, &is_sent, err))
            return false;
    return true;
}

static bool is_flying(const struct fetch *fetch)
{
    for (size_t i = 0; i < INGEST_FETCH_DEPTH; i++)
        if (fetch->flights[i].tag.number != 0)
            return true;
    return false;
}

/* ---- octets ---- */

static void abort_body(struct fetch *fetch)
{
    if (fetch->body == BODY_TAKING)
        fetch->sink->abort(fetch->sink->context);
    fetch->body = BODY_IDLE;
    fetch->refusal[0] = '\0';
}

/* Sets the state that the octets are to be taken in. False: the fetch is over. */
static bool begin_message(struct fetch *fetch, uint64_t announced_bytes, struct err *err)
{
    fetch->body = BODY_TAKING;
    if (fetch->sink->begin(fetch->sink->context, announced_bytes, err))
        return true;
    fetch->body = BODY_DROPPING;
    if (!is_message_error(err))
        return false;
    (void)snprintf(fetch->refusal, sizeof fetch->refusal, "%.*s", FAILURE_TEXT_BYTES - 1,
                   err->text);
    err_clear(err);
    return true;
}

static bool is_wanted(const struct fetch *fetch, const struct imap_fetch_response *message)
{
    if (message->section.len > 0)
        return false; /* a piece, of which nobody spoke */
    if ((message->has & IMAP_HAS_UID) == 0)
        return true; /* it may follow the octets */
    return find_awaited(fetch, message->uid.n) != SIZE_MAX;
}

static bool stream_octets(struct fetch *fetch, struct err *err)
{
    struct bytes octets;

    for (;;) {
        if (!ingest_read_body(fetch->client, &octets, err))
            return false;
        if (octets.len == 0)
            return true;
        if (fetch->body == BODY_TAKING && !fetch->sink->octets(fetch->sink->context, octets, err)) {
            abort_body(fetch);
            return false;
        }
    }
}

/* Which message was arriving when the connection ended. A UID may come behind the octets: then it is
 * the first of those that are waited for. One that the archive refused is not suspected of anything. */
static void note_broken(struct fetch *fetch, const struct imap_fetch_response *message)
{
    size_t index = (message->has & IMAP_HAS_UID) != 0 ? find_awaited(fetch, message->uid.n)
                                                      : find_first_awaited(fetch);
    struct err ignored = { 0 };

    if (index == SIZE_MAX)
        return;
    if (fetch->refusal[0] != '\0' && (message->has & IMAP_HAS_UID) != 0 &&
        add_failure(fetch, index, fetch->refusal, true, &ignored))
        return;
    if (is_helper(fetch))
        leave_to_first(fetch, index);
    else
        fetch->result->broken_uid = fetch->share->uids[index];
}

static bool may_drop(const struct fetch *fetch, uint64_t announced_bytes, struct err *err)
{
    return fetch->body != BODY_DROPPING || announced_bytes <= DROP_MAX_BYTES ||
           err_fail(err, ERR_RETRY, "%ju octets that are not wanted are not waited for",
                    (uintmax_t)announced_bytes);
}

static bool take_body(struct fetch *fetch, const struct ingest_event *event, struct err *err)
{
    struct imap_fetch_response message = event->body_of; /* its members in the arena die now */

    if (fetch->body !=
        BODY_IDLE) { /* a second body in one response, or the first came to nothing */
        abort_body(fetch);
        ingest_count_odd(fetch->client);
    }
    if (!is_wanted(fetch, &message)) {
        ingest_count_odd(fetch->client);
        fetch->body = BODY_DROPPING;
    } else if (!begin_message(fetch, event->body_bytes, err)) {
        return false;
    }
    if (keep_sending(fetch, err) && may_drop(fetch, event->body_bytes, err) &&
        stream_octets(fetch, err))
        return true;
    note_broken(fetch, &message);
    abort_body(fetch);
    return false;
}

/* A quoted string, or a literal that was kept. */
static bool give_text(struct fetch *fetch, const struct imap_fetch_response *message,
                      struct err *err)
{
    abort_body(fetch); /* a second body of this response */
    if (!begin_message(fetch, message->body_bytes, err))
        return false;
    if (fetch->body != BODY_TAKING || message->body_bytes == 0 ||
        fetch->sink->octets(fetch->sink->context, message->body, err))
        return true;
    abort_body(fetch);
    return false;
}

/* No octets: NIL, or nothing where RFC822.SIZE does not agree that there is nothing. */
static const char *emptiness(const struct imap_fetch_response *message)
{
    if (message->body_kind == IMAP_BODY_NIL)
        return "the source has NIL for its octets";
    if (message->body_bytes == 0 &&
        ((message->has & IMAP_HAS_RFC822_SIZE) == 0 || message->rfc822_size != 0))
        return INGEST_EMPTY_TEXT;
    return NULL;
}

static bool end_message(struct fetch *fetch, const struct imap_fetch_response *message,
                        size_t index, struct err *err)
{
    if (fetch->body == BODY_DROPPING) {
        bool is_noted =
            fetch->refusal[0] == '\0' || add_failure(fetch, index, fetch->refusal, true, err);

        abort_body(fetch);
        return is_noted;
    }
    fetch->body = BODY_IDLE;
    if (fetch->sink->end(fetch->sink->context, message, err)) {
        settle(fetch, index, INGEST_FETCHED);
        fetch->refusals = 0;
        if ((message->has & IMAP_HAS_RFC822_SIZE) != 0 &&
            message->rfc822_size != message->body_bytes)
            fetch->result->size_notes++;
        return true;
    }
    if (!is_message_error(err))
        return false;
    if (!add_failure(fetch, index, err->text, true, err))
        return false;
    err_clear(err);
    return true;
}

static bool take_message(struct fetch *fetch, const struct imap_fetch_response *message,
                         struct err *err)
{
    size_t index =
        (message->has & IMAP_HAS_UID) == 0 ? SIZE_MAX : find_awaited(fetch, message->uid.n);
    const char *nothing;

    if ((message->has & IMAP_HAS_BODY) == 0 || message->section.len > 0) {
        abort_body(fetch);
        return true; /* a change of flags that somebody else made */
    }
    if (index == SIZE_MAX) {
        if (fetch->body != BODY_DROPPING)
            ingest_count_odd(fetch->client);
        abort_body(fetch);
        return true;
    }
    nothing = emptiness(message);
    if (nothing != NULL) {
        abort_body(fetch);
        return add_failure(fetch, index, nothing, false, err);
    }
    if (message->body_kind == IMAP_BODY_STREAMED && fetch->body == BODY_IDLE)
        return add_failure(fetch, index, "its octets came where none were expected", false, err);
    if (message->body_kind == IMAP_BODY_TEXT && !give_text(fetch, message, err))
        return false;
    return end_message(fetch, message, index, err);
}

/* ---- ends of commands ---- */

static bool refuse_set(struct fetch *fetch, struct ingest_span span,
                       const struct ingest_reply *reply, struct err *err)
{
    size_t waiting = 0;
    size_t last = 0;
    char text[FAILURE_TEXT_BYTES];

    for (size_t i = span.first; i < span.first + span.count; i++)
        if (ingest_awaits(fetch->share, fetch->who, i)) {
            waiting++;
            last = i;
        }
    if (waiting == 0)
        return true;
    if (waiting == 1 &&
        reply->code == IMAP_CODE_EXPUNGEISSUED) { /* RFC 5530: UID SEARCH will tell */
        settle(fetch, last, INGEST_MISSING);
        return true;
    }
    if (waiting == 1) {
        (void)snprintf(text, sizeof text, "UID FETCH was refused: %s", reply->text);
        if (++fetch->refusals == REFUSALS_MAX && fetch->form == INGEST_BY_PEEK &&
            ingest_classify_reply(reply, ERR_ABSENT) == ERR_RETRY)
            (void)err_fail(&fetch->ended, ERR_ABSENT, "%s", text);
        return add_failure(fetch, last, text, false, err);
    }
    push_rest(fetch, (struct rest){ span, (waiting + 1) / 2 });
    return true;
}

/* OK, and nothing came for them. */
static void settle_missing(struct fetch *fetch, struct ingest_span span)
{
    for (size_t i = span.first; i < span.first + span.count; i++)
        if (ingest_awaits(fetch->share, fetch->who, i))
            ingest_settle_uid(fetch->share, i, INGEST_MISSING);
}

static void leave_rest(struct fetch *fetch, struct ingest_span span)
{
    for (size_t i = span.first; i < span.first + span.count; i++)
        if (ingest_awaits(fetch->share, fetch->who, i))
            ingest_leave_uid(fetch->share, i);
}

static bool end_flight(struct fetch *fetch, struct flight *flight,
                       const struct imap_status_response *status, struct err *err)
{
    struct ingest_span span = flight->span;
    struct ingest_reply reply;
    bool is_ok = status->condition == IMAP_OK;

    flight->tag.number = 0;
    if (is_ok && !deadline_has_passed(flight->quick) && fetch->set_uids < INGEST_SET_UIDS_MAX)
        fetch->set_uids *= 2;
    if (!is_ok)
        fetch->set_uids = INGEST_SET_UIDS;
    ingest_take_reply(status, &reply);
    if (!is_ok && ingest_speaks_of_load(&reply)) {
        fetch->result->was_refused = true;
        ingest_note_refused(fetch->client);
        return err_fail(err, ERR_RETRY, "UID FETCH is refused for now: %s", reply.text);
    }
    if (is_helper(fetch))
        leave_rest(fetch, span);
    else if (is_ok)
        settle_missing(fetch, span);
    return is_ok || refuse_set(fetch, span, &reply, err);
}

static bool take_response(struct fetch *fetch, const struct ingest_event *event, struct err *err)
{
    if (!event->has_body)
        abort_body(fetch); /* a body whose response came to nothing */
    if (event->response.kind == IMAP_RESPONSE_FETCH)
        return take_message(fetch, &event->response.fetch, err);
    abort_body(fetch);
    for (size_t i = 0; i < INGEST_FETCH_DEPTH; i++)
        if (fetch->flights[i].tag.number != 0 && ingest_event_ends(event, fetch->flights[i].tag))
            return end_flight(fetch, &fetch->flights[i], &event->response.status, err);
    if (event->response.tag.len > 0)
        ingest_count_odd(fetch->client);
    return true;
}

static bool run(struct fetch *fetch, struct err *err)
{
    struct ingest_event event;

    for (;;) {
        if (!keep_sending(fetch, err))
            return false;
        if (!is_flying(fetch)) {
            *err = fetch->ended;
            return err->code == ERR_NONE;
        }
        if (!ingest_next_event(fetch->client, &event, err))
            return false;
        if (event.kind == INGEST_EVENT_BODY ? !take_body(fetch, &event, err)
                                            : !take_response(fetch, &event, err))
            return false;
    }
}

struct ingest_fetch_result ingest_start_result(const struct ingest_share *share,
                                               struct arena *arena)
{
    return (struct ingest_fetch_result){
        .states = share->states,
        .failures = arena_new_array(arena, struct ingest_failure, share->count),
    };
}

bool ingest_fetch(struct ingest_client *client, struct ingest_share *share, enum ingest_form form,
                  const struct ingest_sink *sink, struct arena *arena,
                  struct ingest_fetch_result *result, struct err *err)
{
    struct fetch fetch = {
        .client = client,
        .share = share,
        .who = INGEST_FIRST,
        .form = form,
        .sink = sink,
        .arena = arena,
        .result = result,
        .set_uids = INGEST_SET_UIDS,
    };
    bool is_done = run(&fetch, err);

    abort_body(&fetch);
    return is_done;
}

bool ingest_help_fetch(struct ingest_client *client, struct ingest_share *share, uint8_t who,
                       const struct ingest_sink *sink, uint64_t *size_notes, struct err *err)
{
    struct ingest_fetch_result result = { .states = share->states };
    struct fetch fetch = {
        .client = client,
        .share = share,
        .who = who,
        .form = INGEST_BY_PEEK,
        .sink = sink,
        .result = &result,
        .set_uids = INGEST_SET_UIDS,
    };
    bool is_done = run(&fetch, err);

    abort_body(&fetch);
    *size_notes += result.size_notes;
    if (!is_done && fetch.ended.code != ERR_NONE && !is_flying(&fetch)) { /* told to stop */
        err_clear(err);
        is_done = true;
    }
    return is_done;
}
