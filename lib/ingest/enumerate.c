/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/enumerate.h"

#include "base/buf.h"
#include "base/limits.h"
#include "imap/write.h"
#include "ingest/login.h"
#include "ingest/set.h"
#include "vault/write.h"

#include <stdlib.h>

enum {
    SEEN_FIRST_ROWS = 256,
    VANISHED_FIRST_RANGES = 64,
};

static bool refuse(struct ingest_client *client, const struct ingest_reply *reply, const char *what,
                   struct err *err)
{
    bool is_load = ingest_speaks_of_load(reply);

    if (is_load)
        ingest_note_refused(client);
    return err_fail(err, is_load ? ERR_RETRY : ERR_ABSENT, "%s is refused: %s", what, reply->text);
}

/* EXISTS and EXPUNGE may come at any time. */
static void take_size(struct ingest_selected *selected, const struct imap_response *response)
{
    if (response->kind == IMAP_RESPONSE_EXISTS)
        selected->exists = response->number;
    else if (response->kind == IMAP_RESPONSE_EXPUNGE && selected->exists > 0)
        selected->exists--;
    else if (response->kind == IMAP_RESPONSE_VANISHED && !response->vanished.is_earlier) {
        uint64_t gone = imap_set_size(&response->vanished.uids);

        selected->exists -= gone < selected->exists ? gone : selected->exists;
    }
}

/* ---- EXAMINE ---- */

struct examination {
    struct ingest_selected selected;
    bool is_sticky;
    bool has_exists; /* no answer is not the answer 0 */
};

static bool take_examination(void *context, const struct imap_response *response, struct err *err)
{
    struct examination *examination = context;

    (void)err;
    take_size(&examination->selected, response);
    examination->has_exists = examination->has_exists || response->kind == IMAP_RESPONSE_EXISTS;
    if (response->kind != IMAP_RESPONSE_STATUS || response->status.condition != IMAP_OK)
        return true;
    if (response->status.code == IMAP_CODE_UIDVALIDITY && response->status.number <= UINT32_MAX)
        examination->selected.uidvalidity = (uint32_t)response->status.number;
    else if (response->status.code == IMAP_CODE_UIDNEXT && response->status.number <= UINT32_MAX)
        examination->selected.uidnext = (uint32_t)response->status.number;
    else if (response->status.code == IMAP_CODE_HIGHESTMODSEQ)
        examination->selected.highestmodseq = response->status.number;
    else if (response->status.code == IMAP_CODE_UIDNOTSTICKY)
        examination->is_sticky = false;
    return true;
}

/* enable->number 0: nothing is awaited, as afterwards. */
static bool await_enable(struct ingest_client *client, struct ingest_tag *enable, struct err *err)
{
    struct ingest_tag tag = *enable;
    struct ingest_reply ignored;

    enable->number = 0;
    return tag.number == 0 || ingest_finish_command(client, tag, NULL, NULL, &ignored, err);
}

/* Whoever waits for the "+" passes over all other answers. */
static bool goes_as_literal(struct bytes name)
{
    CLEANUP(buf_free) struct buf ignored = buf_create(SIZE_MAX);

    return !imap_try_write_inline(&ignored, name);
}

static bool send_examine(struct ingest_client *client, struct bytes wire_name, bool with_modseq,
                         struct examination *examination, struct ingest_reply *reply,
                         struct err *err)
{
    struct ingest_tag tag, enable;

    *examination = (struct examination){ .is_sticky = true };
    if (!ingest_enable_qresync(client, &enable, err) ||
        (goes_as_literal(wire_name) && !await_enable(client, &enable, err)))
        return false;
    ingest_begin_command(client, "EXAMINE ");
    if (!ingest_add_string(client, wire_name, err))
        return false;
    if (with_modseq)
        ingest_add_text(client, " (CONDSTORE)");
    return ingest_send_command(client, &tag, err) && await_enable(client, &enable, err) &&
           ingest_finish_command(client, tag, take_examination, examination, reply, err);
}

bool ingest_examine(struct ingest_client *client, struct bytes wire_name,
                    struct ingest_selected *out, struct err *err)
{
    bool with_modseq = (ingest_capabilities(client) & INGEST_CONDSTORE) != 0;
    struct examination examination;
    struct ingest_reply reply;

    if (!send_examine(client, wire_name, with_modseq, &examination, &reply, err))
        return false;
    if (reply.condition == IMAP_BAD && with_modseq &&
        !send_examine(client, wire_name, false, &examination, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "EXAMINE", err);
    if (!examination.has_exists)
        return err_fail(err, ERR_ABSENT, "EXAMINE was answered OK without a count of messages");
    *out = examination.selected;
    if (!examination.is_sticky)
        out->uidvalidity = 0;
    return true;
}

/* ---- UIDs and flags ---- */

struct enumerator {
    struct ingest_client *client;
    struct ingest_selected *selected;
    struct ingest_names *names;
    struct arena *arena;
    uint32_t first, last;
    struct ingest_seen *seen;
    size_t count, cap;
};

static bool grow(struct enumerator *enumerator, struct err *err)
{
    size_t cap = enumerator->cap == 0 ? SEEN_FIRST_ROWS : enumerator->cap * 2;
    void *rows;

    if (!arena_try_alloc(enumerator->arena, cap, sizeof *enumerator->seen, &rows, err))
        return false;
    if (enumerator->count > 0)
        memcpy(rows, enumerator->seen, enumerator->count * sizeof *enumerator->seen);
    enumerator->seen = rows;
    enumerator->cap = cap;
    return true;
}

static bool take_keywords(struct enumerator *enumerator, const struct imap_flags *flags,
                          struct ingest_seen *seen, struct err *err)
{
    CLEANUP(buf_free) struct buf name = buf_create(LIMIT_KEYWORD_BYTES);
    void *numbers;

    if (flags->keyword_count == 0)
        return true;
    if (!arena_try_alloc(enumerator->arena, flags->keyword_count, sizeof(uint16_t), &numbers, err))
        return false;
    seen->keywords = numbers;
    for (size_t i = 0; i < flags->keyword_count; i++) {
        buf_reset(&name, LIMIT_KEYWORD_BYTES);
        ingest_write_keyword(&name, flags->keywords[i]);
        if (ingest_number_of(enumerator->names, buf_bytes(&name),
                             &((uint16_t *)numbers)[seen->keyword_count], err))
            seen->keyword_count++;
        else if (err->code == ERR_LIMIT)
            err_clear(err); /* more names than a mailbox can have: the vault keeps fewer still */
        else
            return false;
    }
    return true;
}

bool ingest_has_date(const struct imap_fetch_response *message)
{
    return (message->has & IMAP_HAS_INTERNALDATE) != 0 &&
           vault_is_date(message->internaldate.usec, message->internaldate.zone_minutes);
}

static bool take_seen(void *context, const struct imap_response *response, struct err *err)
{
    struct enumerator *enumerator = context;
    const struct imap_fetch_response *fetch = &response->fetch;
    struct ingest_seen *seen;

    take_size(enumerator->selected, response);
    if (response->kind != IMAP_RESPONSE_FETCH)
        return true;
    /* Without UID it is somebody's change of flags; outside the range "n:*" gave the last one. */
    if ((fetch->has & IMAP_HAS_UID) == 0 || fetch->uid.n < enumerator->first ||
        (enumerator->last != 0 && fetch->uid.n > enumerator->last)) {
        if (enumerator->last != 0)
            ingest_count_odd(enumerator->client);
        return true;
    }
    if (enumerator->count == enumerator->cap && !grow(enumerator, err))
        return false;
    seen = &enumerator->seen[enumerator->count];
    *seen = (struct ingest_seen){
        .uid = fetch->uid.n,
        .has_flags = (fetch->has & IMAP_HAS_FLAGS) != 0,
        .flags = fetch->flags.system,
        .internal_usec = ingest_has_date(fetch) ? fetch->internaldate.usec : INT64_MIN,
    };
    if (seen->has_flags && !take_keywords(enumerator, &fetch->flags, seen, err))
        return false;
    enumerator->count++;
    return true;
}

static void add_range(struct ingest_client *client, uint32_t first, uint32_t last)
{
    CLEANUP(buf_free) struct buf set = buf_create(64);

    buf_u64(&set, first);
    buf_text(&set, ":");
    if (last == 0)
        buf_text(&set, "*");
    else
        buf_u64(&set, last);
    ingest_add_bytes(client, buf_bytes(&set));
}

bool ingest_enumerate(struct ingest_client *client, uint32_t first, uint32_t last, bool with_date,
                      struct ingest_selected *selected, struct ingest_names *names,
                      struct arena *arena, struct ingest_enumeration *out, struct err *err)
{
    struct enumerator enumerator = {
        .client = client,
        .selected = selected,
        .names = names,
        .arena = arena,
        .first = first,
        .last = last,
    };
    struct ingest_reply reply;
    struct ingest_tag tag;

    ingest_begin_command(client, "UID FETCH ");
    add_range(client, first, last);
    ingest_add_text(client, with_date ? " (UID FLAGS INTERNALDATE)" : " (UID FLAGS)");
    if (!ingest_send_command(client, &tag, err) ||
        !ingest_finish_command(client, tag, take_seen, &enumerator, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "the list of messages", err);
    *out = (struct ingest_enumeration){ enumerator.seen,
                                        ingest_sort_seen(enumerator.seen, enumerator.count) };
    return true;
}

/* ---- changes ---- */

struct change_collector {
    struct enumerator enumerator;
    struct imap_range *vanished;
    size_t vanished_count, vanished_cap;
};

static bool add_vanished(struct change_collector *collector, const struct imap_set *uids,
                         struct err *err)
{
    size_t needed = collector->vanished_count + uids->count;

    if (needed > collector->vanished_cap) {
        size_t cap = needed * 2 + VANISHED_FIRST_RANGES;
        void *ranges;

        if (!arena_try_alloc(collector->enumerator.arena, cap, sizeof *collector->vanished, &ranges,
                             err))
            return false;
        if (collector->vanished_count > 0)
            memcpy(ranges, collector->vanished,
                   collector->vanished_count * sizeof *collector->vanished);
        collector->vanished = ranges;
        collector->vanished_cap = cap;
    }
    if (uids->count > 0)
        memcpy(collector->vanished + collector->vanished_count, uids->ranges,
               uids->count * sizeof *uids->ranges);
    collector->vanished_count = needed;
    return true;
}

static bool take_change(void *context, const struct imap_response *response, struct err *err)
{
    struct change_collector *collector = context;

    return take_seen(&collector->enumerator, response, err) &&
           (response->kind != IMAP_RESPONSE_VANISHED ||
            add_vanished(collector, &response->vanished.uids, err));
}

bool ingest_ask_changes(struct ingest_client *client, uint64_t since_modseq,
                        struct ingest_selected *selected, struct ingest_names *names,
                        struct arena *arena, struct ingest_changes *out, struct err *err)
{
    CLEANUP(buf_free) struct buf modseq = buf_create(32);
    struct change_collector collector = {
        .enumerator = { client, selected, names, arena, 1, UINT32_MAX, NULL, 0, 0 },
    };
    uint64_t odd = ingest_odd_responses(client);
    struct ingest_reply reply;
    struct ingest_tag tag;

    buf_u64(&modseq, since_modseq);
    /* With "1:*" Cyrus does not tell of an expunged message that was the last one. */
    ingest_begin_command(client, "UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE ");
    ingest_add_bytes(client, buf_bytes(&modseq));
    ingest_add_text(client, ingest_has_qresync(client) ? " VANISHED)" : ")");
    if (!ingest_send_command(client, &tag, err) ||
        !ingest_finish_command(client, tag, take_change, &collector, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "the list of changes", err);
    *out = (struct ingest_changes){
        .seen = { collector.enumerator.seen,
                  ingest_sort_seen(collector.enumerator.seen, collector.enumerator.count) },
        .vanished = imap_normalise_ranges(collector.vanished, collector.vanished_count),
        .is_doubtful = ingest_odd_responses(client) != odd,
    };
    return true;
}

/* ---- a sample ---- */

struct comparer {
    struct ingest_selected *selected;
    const struct source_sample *sample;
    size_t same, other;
};

static bool take_sampled(void *context, const struct imap_response *response, struct err *err)
{
    const uint32_t needed = IMAP_HAS_UID | IMAP_HAS_RFC822_SIZE;
    struct comparer *comparer = context;
    const struct source_sample *sample = comparer->sample;
    const struct imap_fetch_response *fetch = &response->fetch;
    size_t at;

    (void)err;
    take_size(comparer->selected, response);
    if (response->kind != IMAP_RESPONSE_FETCH || (fetch->has & needed) != needed ||
        !ingest_has_date(fetch))
        return true;
    at = ingest_find_uid(sample->uids, sample->count, fetch->uid.n);
    if (at == SIZE_MAX)
        return true;
    if (fetch->internaldate.usec != sample->internal_usec[at] &&
        fetch->rfc822_size != sample->size_bytes[at])
        comparer->other++;
    else
        comparer->same++;
    return true;
}

bool ingest_compare_sample(struct ingest_client *client, const struct source_sample *sample,
                           struct ingest_selected *selected, size_t *same, size_t *other,
                           struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    struct comparer comparer = { .selected = selected, .sample = sample };
    struct ingest_reply reply;
    struct ingest_tag tag;

    (void)ingest_write_set(&set, sample->uids, sample->count, SIZE_MAX);
    ingest_begin_command(client, "UID FETCH ");
    ingest_add_bytes(client, buf_bytes(&set));
    ingest_add_text(client, " (UID INTERNALDATE RFC822.SIZE)");
    if (!ingest_send_command(client, &tag, err) ||
        !ingest_finish_command(client, tag, take_sampled, &comparer, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "a sample of messages", err);
    *same = comparer.same;
    *other = comparer.other;
    return true;
}

/* ---- the top ---- */

struct top_finder {
    struct ingest_selected *selected;
    uint32_t top;
};

static bool take_top(void *context, const struct imap_response *response, struct err *err)
{
    struct top_finder *finder = context;

    (void)err;
    take_size(finder->selected, response);
    if (response->kind == IMAP_RESPONSE_FETCH && (response->fetch.has & IMAP_HAS_UID) != 0 &&
        response->fetch.uid.n > finder->top)
        finder->top = response->fetch.uid.n;
    return true;
}

bool ingest_find_top(struct ingest_client *client, struct ingest_selected *selected, uint32_t *top,
                     struct err *err)
{
    struct top_finder finder = { .selected = selected };
    struct ingest_reply reply;
    struct ingest_tag tag;

    ingest_begin_command(client, "UID FETCH * (UID)");
    if (!ingest_send_command(client, &tag, err) ||
        !ingest_finish_command(client, tag, take_top, &finder, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "the last message", err);
    *top = finder.top;
    return true;
}

/* ---- what is still there ---- */

struct confirmer {
    struct ingest_selected *selected;
    const uint32_t *uids;
    size_t count;
    bool *is_present; /* of each */
    struct ingest_tag tag;
    bool was_answered; /* a SEARCH or ESEARCH came; an OK without one proves nothing */
};

/* Not what belongs to another command, nor numbers of messages. Without numbers nothing was found (RFC 4731 §3.1);
 * who names some and not all says nothing of the others. */
static bool is_answer(const struct confirmer *confirmer, const struct imap_search_response *search)
{
    return search->is_uid && (search->tag.len == 0 || ingest_is_tag(search->tag, confirmer->tag)) &&
           (search->has_all || (!search->has_min && !search->has_max && search->match_count == 0));
}

static void add_present(struct confirmer *confirmer, uint32_t uid)
{
    size_t index = ingest_find_uid(confirmer->uids, confirmer->count, uid);

    if (index != SIZE_MAX)
        confirmer->is_present[index] = true;
}

static bool take_present(void *context, const struct imap_response *response, struct err *err)
{
    struct confirmer *confirmer = context;

    (void)err;
    take_size(confirmer->selected, response);
    if (response->kind != IMAP_RESPONSE_SEARCH &&
        (response->kind != IMAP_RESPONSE_ESEARCH || !is_answer(confirmer, &response->search)))
        return true;
    confirmer->was_answered = true;
    for (size_t i = 0; response->kind == IMAP_RESPONSE_SEARCH && i < response->search.count; i++)
        add_present(confirmer, response->search.numbers[i]);
    if (response->kind == IMAP_RESPONSE_ESEARCH)
        for (size_t i = 0; i < confirmer->count; i++) /* ALL may be 1:4294967295 */
            confirmer->is_present[i] =
                confirmer->is_present[i] || imap_set_has(&response->search.all, confirmer->uids[i]);
    return true;
}

static bool confirm_some(struct ingest_client *client, struct confirmer *confirmer, size_t at,
                         size_t *taken, struct err *err)
{
    CLEANUP(buf_free) struct buf set = buf_create(INGEST_SET_BYTES + 64);
    uint64_t unreadable = ingest_unreadable_searches(client);
    struct ingest_reply reply;

    *taken = ingest_write_set(&set, confirmer->uids + at, confirmer->count - at, SIZE_MAX);
    confirmer->was_answered = false;
    ingest_begin_command(client, "UID SEARCH UID ");
    ingest_add_bytes(client, buf_bytes(&set));
    if (!ingest_send_command(client, &confirmer->tag, err) ||
        !ingest_finish_command(client, confirmer->tag, take_present, confirmer, &reply, err))
        return false;
    if (reply.condition != IMAP_OK)
        return refuse(client, &reply, "UID SEARCH", err);
    if (!confirmer->was_answered)
        return err_fail(err, ERR_ABSENT, "UID SEARCH was answered OK without a list");
    if (ingest_unreadable_searches(client) != unreadable)
        return err_fail(err, ERR_ABSENT, "the answer to UID SEARCH cannot be read");
    return true;
}

bool ingest_confirm(struct ingest_client *client, const uint32_t *uids, size_t count,
                    struct ingest_selected *selected, uint32_t *present, size_t *present_count,
                    struct err *err)
{
    struct confirmer confirmer = {
        .selected = selected,
        .uids = uids,
        .count = count,
        .is_present = calloc(count + 1, sizeof(bool)),
    };
    bool is_done = confirmer.is_present != NULL || err_errno(err, "%zu UIDs", count);
    size_t kept = 0;

    for (size_t at = 0, taken; is_done && at < count; at += taken)
        is_done = confirm_some(client, &confirmer, at, &taken, err);
    for (size_t i = 0; is_done && i < count; i++)
        if (confirmer.is_present[i])
            present[kept++] = uids[i];
    if (is_done)
        *present_count = kept;
    free(confirmer.is_present);
    return is_done;
}
