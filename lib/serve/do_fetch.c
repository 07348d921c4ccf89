/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_fetch.c - FETCH and UID FETCH: rows page by page, octets frame by frame, nothing whole
 * in memory, no database connection held while the client reads. RFC 9051 §6.4.5, §6.4.9.
 */
#include "serve/internal.h"

enum {
    PAGE_ARENA_BYTES = 16 << 20,
    CONTENT_PAGE_ROWS = 200, /* with octets: rows are not what takes the time */
    INDEX_PAGE_ROWS = 400,   /* of VAULT_BRIEF_INDEX_BYTES they fit the arena */
    UIDS_TEXT_BYTES = 1000,  /* in one audit row; AUDIT_TEXT_BYTES cuts */
    RANGE_TEXT_BYTES = 22,   /* ",4294967295:4294967295" */
};

/* ---- audit -------------------------------------------------------------------------------------- */

/* As many ranges from the front as one row names; returns their count. */
static size_t write_uids(struct buf *buf, const struct vault_uid_range *ranges, size_t count)
{
    size_t i;

    for (i = 0; i < count && buf->len <= UIDS_TEXT_BYTES - RANGE_TEXT_BYTES; i++) {
        if (i > 0)
            buf_byte(buf, ',');
        buf_u64(buf, ranges[i].first);
        if (ranges[i].last != ranges[i].first) {
            buf_byte(buf, ':');
            buf_u64(buf, ranges[i].last);
        }
    }
    return i;
}

static uint64_t count_messages(const struct vault_mailbox *mailbox,
                               const struct vault_uid_range *ranges, size_t count)
{
    uint64_t messages = 0;

    for (size_t i = 0; i < count; i++)
        messages += vault_count_through_uid(mailbox, ranges[i].last) -
                    vault_count_through_uid(mailbox, ranges[i].first - 1);
    return messages;
}

/*
 * One row for the whole FETCH, however long it takes; more only when it does not hold the set, so
 * that every UID is named: nobody hides a message behind a thousand others. *ticket: the last row's,
 * before which the others are committed.
 */
static bool begin_audit(struct serve_fetch *fetch, const struct vault_placement_query *query,
                        struct audit_ticket *ticket, struct err *err)
{
    CLEANUP(buf_free) struct buf uids = buf_create(UIDS_TEXT_BYTES + 64);
    CLEANUP(buf_free) struct buf words = buf_create(IMAP_FETCH_ITEMS_MAX * 32);
    const struct vault_mailbox *mailbox = &fetch->session->view->mailbox;

    serve_write_content_words(fetch, &words);
    for (size_t at = 0, named; at < query->range_count; at += named) {
        struct audit_event event = { .kind = AUDIT_FETCH,
                                     .account_id = query->account_id,
                                     .mailbox_id = query->mailbox_id };

        buf_reset(&uids, SIZE_MAX);
        named = write_uids(&uids, &query->ranges[at], query->range_count - at);
        event.fields = AUDIT_FIELDS(
            AUDIT_TEXT("uids", buf_bytes(&uids)),
            AUDIT_I64("messages", (int64_t)count_messages(mailbox, &query->ranges[at], named)),
            AUDIT_TEXT("items", buf_bytes(&words)));
        if (!serve_begin_audit(fetch->session, event, ticket, err))
            return false;
    }
    return true;
}

/* ---- pages -------------------------------------------------------------------------------------- */

static void expect_octets(struct serve_fetch *fetch, const struct vault_placement_page *page,
                          struct arena *arena)
{
    struct vault_octets *expected = arena_new_array(arena, struct vault_octets, page->count);

    for (size_t i = 0; i < page->count; i++)
        expected[i] = page->rows[i].octets;
    vault_expect_octets(fetch->session->reader, expected, page->count);
}

/* Is it this message alone that cannot be had? Then the others still can. */
static bool is_local(enum err_code code)
{
    return code == ERR_CORRUPT || code == ERR_LIMIT || code == ERR_ABSENT;
}

/*
 * False: *err is the answer. skipped keeps the first error that concerned one message only: the rest
 * is given, and the tagged answer says NO in the end.
 */
static bool write_page(struct serve_fetch *fetch, const struct vault_placement_page *page,
                       struct err *skipped, struct err *err)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct vault_placement *row = &page->rows[i];
        struct err problem = { 0 };

        if (fetch->changed_since > 0 && row->modseq <= fetch->changed_since)
            continue;
        if (fetch->has_content && !serve_prepare_message(fetch, row, &problem)) {
            if (!is_local(problem.code)) {
                *err = problem;
                return false;
            }
            log_error(fetch->session->server->settings.log, "message cannot be read",
                      F_I64("message", row->message_id), F_ERR(&problem));
            if (skipped->code == ERR_NONE)
                *skipped = problem;
            continue;
        }
        if (!serve_write_message(fetch, row))
            return true; /* nobody is there any more */
    }
    return true;
}

static bool fetch_pages(struct serve_fetch *fetch, struct vault_placement_query *query,
                        struct arena *arena, struct err *skipped, struct err *err)
{
    struct serve_session *session = fetch->session;
    struct vault_placement_page page = { 0 };
    uint64_t seen = 0;

    for (bool is_first = true; !page.is_last && !session->is_broken; is_first = false) {
        arena_reset(arena);
        query->after_uid = page.through_uid;
        /* A login that is over sees no rows, which would look like the end of the mailbox. */
        if ((!is_first && !serve_check_login(session, err)) ||
            !vault_read_placements(session->reader, query, arena, &page, err))
            return false;
        if (fetch->has_octets)
            expect_octets(fetch, &page, arena);
        if (!write_page(fetch, &page, skipped, err))
            return false;
        vault_expect_octets(session->reader, NULL, 0); /* they lie in the arena of this page */
        seen += page.count;
    }
    /* Rows are missing: disposed of, or no longer granted, which would look like the same. */
    return session->is_broken ||
           seen >= count_messages(&session->view->mailbox, query->ranges, query->range_count) ||
           serve_ask_view(session, err);
}

static struct serve_reply run_fetch(struct serve_fetch *fetch, struct vault_placement_query *query)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(PAGE_ARENA_BYTES);
    struct audit_ticket ticket = { 0 };
    struct err skipped = { 0 };
    struct err err = { 0 };

    /* The first octet of content waits for the row. */
    if (fetch->has_content && (!begin_audit(fetch, query, &ticket, &err) ||
                               !serve_end_audit(fetch->session, ticket, &err)))
        return serve_reply_for(fetch->session, &err);
    if (!fetch_pages(fetch, query, arena, &skipped, &err))
        return serve_reply_for(fetch->session, &err);
    if (skipped.code != ERR_NONE)
        return serve_reply_for(fetch->session, &skipped);
    return serve_ok("Done");
}

static size_t choose_limit(const struct serve_fetch *fetch)
{
    if (fetch->has_octets || !fetch->is_brief)
        return fetch->has_content ? CONTENT_PAGE_ROWS : LIMIT_PAGE_ROWS;
    return fetch->has_content ? INDEX_PAGE_ROWS : LIMIT_BRIEF_ROWS;
}

struct serve_reply serve_do_fetch(struct serve_session *session, const struct imap_command *command)
{
    const struct imap_fetch_args *args = &command->fetch;
    const struct vault_mailbox_row *row = &session->view->mailbox.row;
    struct serve_fetch fetch = {
        .session = session,
        .items = args->items,
        .item_count = args->item_count,
        .adds_uid = command->is_uid,
    };
    struct vault_placement_query query = { .account_id = row->account_id,
                                           .mailbox_id = row->mailbox_id };
    struct serve_reply reply;
    struct err err = { 0 };

    if (!serve_read_fetch_params(session, args, &fetch, &err) ||
        !serve_resolve_uids(session, &args->set, command->is_uid, &query.ranges, &query.range_count,
                            &err) ||
        (fetch.changed_since > 0 && !serve_keep_changed(session, fetch.changed_since, &query.ranges,
                                                        &query.range_count, &err)))
        return serve_reply_for(session, &err);
    if (query.range_count == 0)
        return serve_ok("Done");
    serve_prepare_fetch(&fetch);
    query.columns = fetch.columns;
    query.is_brief = fetch.is_brief;
    query.limit = choose_limit(&fetch);
    reply = run_fetch(&fetch, &query);
    serve_end_fetch(&fetch);
    return reply;
}
