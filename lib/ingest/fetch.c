/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/fetch.h"

#include "base/buf.h"
#include "ingest/login.h"
#include "ingest/set.h"

#include <stdio.h>

enum {
    SPANS_MAX = 64, /* halving 3,200 UIDs takes 12 steps; INGEST_FETCH_DEPTH sets at once */
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

/* UIDs first … first+count-1 of the list, to be asked for in sets of at most `limit` and fetch->set_uids. */
struct span {
    size_t first, count;
    size_t limit;
};

struct flight {
    struct ingest_tag tag; /* 0: free */
    struct span span;      /* the UIDs that were asked for, by index */
    size_t waiting;        /* how many of them have not come */
    struct deadline quick; /* to be done by then is to be quick */
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
    const uint32_t *uids;
    size_t count;
    enum ingest_form form;
    const struct ingest_sink *sink;
    struct arena *arena;
    struct ingest_fetch_result *result;
    struct span spans[SPANS_MAX]; /* a stack: the last one is next */
    size_t span_count;
    size_t set_uids; /* in one command */
    struct flight flights[INGEST_FETCH_DEPTH];
    enum body_state body;
    size_t refusals;                  /* of single messages, since one was had */
    struct err ended;                 /* nothing more is asked for, and this is why */
    char refusal[FAILURE_TEXT_BYTES]; /* why begin refused the message that is being dropped */
};

/* ---- what became of a UID ---- */

static void settle(struct fetch *fetch, size_t index, enum ingest_fetched state)
{
    fetch->result->states[index] = state;
    for (size_t i = 0; i < INGEST_FETCH_DEPTH; i++) {
        struct flight *flight = &fetch->flights[i];

        if (flight->tag.number != 0 && index >= flight->span.first &&
            index - flight->span.first < flight->span.count && flight->waiting > 0)
            flight->waiting--;
    }
}

static bool add_failure(struct fetch *fetch, size_t index, const char *text, bool is_ours,
                        struct err *err)
{
    struct ingest_failure *failure = &fetch->result->failures[fetch->result->failure_count];

    if (!arena_try_copy(fetch->arena, bytes_of_text(text), FAILURE_TEXT_BYTES * 2, &failure->text,
                        err))
        return false;
    failure->uid = fetch->uids[index];
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

static void push_span(struct fetch *fetch, struct span span)
{
    if (span.count > 0) {
        assert(fetch->span_count < SPANS_MAX);
        fetch->spans[fetch->span_count++] = span;
    }
}

static struct flight *find_free(struct fetch *fetch)
{
    size_t depth = ingest_rules(fetch->client)->fetch_depth;

    for (size_t i = 0; i < depth; i++)
        if (fetch->flights[i].tag.number == 0)
            return &fetch->flights[i];
    return NULL;
}

/* Those of the span that are still waited for, at its front; they are one run after a refusal too,
 * for what is done is skipped. */
static size_t gather(const struct fetch *fetch, struct span *span, uint32_t *uids, size_t max)
{
    size_t gathered = 0;

    while (span->count > 0 && gathered < max) {
        if (fetch->result->states[span->first] == INGEST_WAITING)
            uids[gathered++] = fetch->uids[span->first];
        span->first++;
        span->count--;
    }
    return gathered;
}

static bool send_fetch(struct fetch *fetch, struct flight *flight, struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    struct span span = fetch->spans[--fetch->span_count];
    struct span rest = span;
    uint32_t uids[INGEST_SET_UIDS_MAX];
    size_t limit = span.limit < fetch->set_uids ? span.limit : fetch->set_uids;
    size_t gathered = gather(fetch, &rest, uids, limit);
    size_t taken = ingest_write_set(&set, uids, gathered, limit);

    if (taken == 0)
        return true; /* all of it was had meanwhile */
    rest.first = ingest_find_uid(fetch->uids, fetch->count, uids[taken - 1]) + 1;
    rest.count = span.first + span.count - rest.first;
    push_span(fetch, rest);
    flight->span = (struct span){ span.first, rest.first - span.first, span.limit };
    flight->waiting = taken;
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

    return fetch->span_count > 0 && fetch->ended.code == ERR_NONE && is_time_to_send(fetch) &&
           (sink->may_go_on == NULL || sink->may_go_on(sink->context, &fetch->ended));
}

static bool keep_sending(struct fetch *fetch, struct err *err)
{
    struct flight *flight;

    while (may_send(fetch) && (flight = find_free(fetch)) != NULL)
        if (!send_fetch(fetch, flight, err))
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
    size_t index;

    if (message->section.len > 0)
        return false; /* a piece, of which nobody spoke */
    if ((message->has & IMAP_HAS_UID) == 0)
        return true; /* it may follow the octets */
    index = ingest_find_uid(fetch->uids, fetch->count, message->uid.n);
    return index != SIZE_MAX && fetch->result->states[index] == INGEST_WAITING;
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
    bool has_uid = (message->has & IMAP_HAS_UID) != 0;
    struct err ignored = { 0 };

    if (has_uid && fetch->refusal[0] != '\0' &&
        add_failure(fetch, ingest_find_uid(fetch->uids, fetch->count, message->uid.n),
                    fetch->refusal, true, &ignored))
        return;
    if (has_uid) {
        fetch->result->broken_uid = message->uid.n;
        return;
    }
    for (size_t i = 0; i < fetch->count; i++)
        if (fetch->result->states[i] == INGEST_WAITING) {
            fetch->result->broken_uid = fetch->uids[i];
            return;
        }
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
    size_t index = (message->has & IMAP_HAS_UID) == 0
                       ? SIZE_MAX
                       : ingest_find_uid(fetch->uids, fetch->count, message->uid.n);
    const char *nothing;

    if ((message->has & IMAP_HAS_BODY) == 0 || message->section.len > 0) {
        abort_body(fetch);
        return true; /* a change of flags that somebody else made */
    }
    if (index == SIZE_MAX || fetch->result->states[index] != INGEST_WAITING) {
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

static bool refuse_set(struct fetch *fetch, struct span span, const struct ingest_reply *reply,
                       struct err *err)
{
    size_t waiting = 0;
    size_t last = 0;
    char text[FAILURE_TEXT_BYTES];

    for (size_t i = span.first; i < span.first + span.count; i++)
        if (fetch->result->states[i] == INGEST_WAITING) {
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
    span.limit = (waiting + 1) / 2;
    push_span(fetch, span);
    return true;
}

static bool end_flight(struct fetch *fetch, struct flight *flight,
                       const struct imap_status_response *status, struct err *err)
{
    struct span span = flight->span;
    struct ingest_reply reply;

    flight->tag.number = 0;
    if (status->condition == IMAP_OK) {
        for (size_t i = span.first; i < span.first + span.count; i++)
            if (fetch->result->states[i] == INGEST_WAITING)
                fetch->result->states[i] = INGEST_MISSING;
        if (!deadline_has_passed(flight->quick) && fetch->set_uids < INGEST_SET_UIDS_MAX)
            fetch->set_uids *= 2;
        return true;
    }
    fetch->set_uids = INGEST_SET_UIDS;
    ingest_take_reply(status, &reply);
    if (ingest_speaks_of_load(&reply)) {
        fetch->result->was_refused = true;
        return err_fail(err, ERR_RETRY, "UID FETCH is refused for now: %s", reply.text);
    }
    return refuse_set(fetch, span, &reply, err);
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

bool ingest_fetch(struct ingest_client *client, const uint32_t *uids, size_t count,
                  enum ingest_form form, const struct ingest_sink *sink, struct arena *arena,
                  struct ingest_fetch_result *result, struct err *err)
{
    struct fetch fetch = {
        .client = client,
        .uids = uids,
        .count = count,
        .form = form,
        .sink = sink,
        .arena = arena,
        .result = result,
        .set_uids = INGEST_SET_UIDS,
    };
    bool is_done;

    *result = (struct ingest_fetch_result){
        .states = arena_new_array(arena, enum ingest_fetched, count),
        .failures = arena_new_array(arena, struct ingest_failure, count),
    };
    push_span(&fetch, (struct span){ 0, count, INGEST_SET_UIDS_MAX });
    is_done = run(&fetch, err);
    abort_body(&fetch);
    return is_done;
}
