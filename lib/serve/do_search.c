/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_search.c - SEARCH and UID SEARCH; the answer streams. RFC 9051 §6.4.4, RFC 3501 §7.2.5.
 */
#include "net/stream.h"
#include "search/search.h"
#include "serve/internal.h"

enum {
    KEYS_TEXT_BYTES = 1000,
    PAGE_ARENA_BYTES = 4 << 20,
    TEXT_BYTES = 160, /* of the tagged OK */
};

struct hits {
    struct serve_session *session;
    struct search *search;
    const struct imap_command *command;
    uint32_t *uids; /* of one page */
    size_t count;
    bool is_last;
    uint64_t total;
    bool asks_modseq;
    uint64_t modseq; /* the highest of all hits */
};

/* ---- audit -------------------------------------------------------------------------------------- */

/* Before the first hit is told, and again behind the last when that was not the whole of it. */
static bool audit(const struct hits *hits, struct err *err)
{
    CLEANUP(buf_free) struct buf keys = buf_create(LIMIT_SEARCH_KEYS * 16);
    struct serve_session *session = hits->session;
    const struct search_tally *tally = search_tally(hits->search);
    struct bytes names;

    search_write_key_names(&hits->command->search.key, &keys);
    names = bytes_slice(buf_bytes(&keys), 0, KEYS_TEXT_BYTES);
    return serve_audit(session,
                       (struct audit_event){
                           .kind = AUDIT_SEARCH,
                           .account_id = session->view->mailbox.row.account_id,
                           .mailbox_id = session->view->mailbox.row.mailbox_id,
                           .fields = AUDIT_FIELDS(
                               AUDIT_TEXT("keys", names), AUDIT_I64("hits", (int64_t)hits->total),
                               AUDIT_BOOL("more_hits", !hits->is_last),
                               AUDIT_I64("searched", (int64_t)session->view->exists),
                               AUDIT_I64("unsearched", (int64_t)tally->unsearched)),
                       },
                       err);
}

/* ---- hits --------------------------------------------------------------------------------------- */

/* Has the client gone? What it has sent meanwhile waits in the stream. */
static bool has_client(void *context)
{
    struct serve_session *session = context;
    struct err ignored = { 0 };
    enum net_progress progress;

    if (atomic_load(&session->server->is_stopping))
        return false;
    if (net_has_buffered(session->stream))
        return true;
    progress = net_try_fill(session->stream, 1, &ignored);
    return progress != NET_ENDED && progress != NET_FAILED;
}

/*
 * The next hits, at least one unless there are no more. A long search looks after its login and its
 * client in between: each step is short (SEARCH_STEP_MS).
 */
static bool gather(struct hits *hits, bool is_first, struct err *err)
{
    for (bool is_step = is_first;; is_step = false) {
        if ((!is_step && !serve_ask_login(hits->session, err)) ||
            !search_next(hits->search, hits->uids, &hits->count, &hits->is_last, err))
            return false;
        hits->total += hits->count;
        if (hits->count > 0 || hits->is_last)
            break;
    }
    /* A login that ended meanwhile, or lost its grant, saw nothing, which would look like the end. */
    return !hits->is_last ||
           ((!search_asks_text(hits->search) || serve_ask_login(hits->session, err)) &&
            serve_ask_view(hits->session, err));
}

static bool write_hits(const struct hits *hits)
{
    struct serve_session *session = hits->session;

    for (size_t i = 0; i < hits->count; i++) {
        buf_byte(&session->out, ' ');
        buf_u64(&session->out, hits->command->is_uid ? hits->uids[i]
                                                     : vault_count_through_uid(
                                                           &session->view->mailbox, hits->uids[i]));
    }
    return serve_push(session);
}

/* A tree of LIMIT_COMMAND_NESTING at most. */
static bool asks_modseq(const struct imap_search_key *key)
{
    if (key->kind == IMAP_SEARCH_MODSEQ)
        return true;
    for (const struct imap_search_key *child = key->children; child != NULL; child = child->next)
        if (asks_modseq(child))
            return true;
    return false;
}

/* Of the hits of this page, as they are now: "(MODSEQ n)" ends the answer (RFC 7162 §3.1.5). */
static bool find_modseq(struct hits *hits, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(PAGE_ARENA_BYTES);
    const struct vault_mailbox_row *row = &hits->session->view->mailbox.row;
    struct vault_uid_range *ranges = arena_new_array(arena, struct vault_uid_range, hits->count);
    struct vault_placement_query query = { .account_id = row->account_id,
                                           .mailbox_id = row->mailbox_id,
                                           .ranges = ranges,
                                           .range_count = hits->count,
                                           .limit = LIMIT_PAGE_ROWS };
    struct vault_placement_page page = { .is_last = hits->count == 0 };

    for (size_t i = 0; i < hits->count; i++)
        ranges[i] = (struct vault_uid_range){ hits->uids[i], hits->uids[i] };
    while (!page.is_last) {
        query.after_uid = page.through_uid;
        if (!vault_read_placements(hits->session->reader, &query, arena, &page, err))
            return false;
        for (size_t i = 0; i < page.count; i++)
            if (page.rows[i].modseq > hits->modseq)
                hits->modseq = page.rows[i].modseq;
    }
    return true;
}

/* After an error the line is ended all the same: it is a valid answer, and NO follows. */
static bool stream_hits(struct hits *hits, struct err *err)
{
    struct serve_session *session = hits->session;
    struct err ignored = { 0 };
    bool is_whole, goes_on;

    if (!gather(hits, true, err)) {
        (void)!audit(hits, &ignored); /* nothing was told; that it was asked is recorded */
        return false;
    }
    if (!audit(hits, err))
        return false;
    is_whole = hits->is_last;
    buf_text(&session->out, "* SEARCH");
    for (goes_on = true; goes_on && write_hits(hits) && !hits->is_last;)
        goes_on = (!hits->asks_modseq || find_modseq(hits, err)) && gather(hits, false, err);
    goes_on = goes_on && (!hits->asks_modseq || find_modseq(hits, err));
    if (hits->modseq > 0) {
        buf_text(&session->out, " (MODSEQ ");
        buf_u64(&session->out, hits->modseq);
        buf_byte(&session->out, ')');
    }
    buf_text(&session->out, "\r\n");
    return goes_on && (is_whole || audit(hits, err));
}

/* ---- the command -------------------------------------------------------------------------------- */

static struct serve_reply done(struct serve_session *session, const struct search *search)
{
    const struct search_tally *tally = search_tally(search);
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_BYTES);

    if (tally->damaged > 0)
        log_error(session->server->settings.log, "messages cannot be searched",
                  F_U64("messages", tally->damaged), F_ERR(&tally->problem));
    if (tally->unsearched == 0)
        return serve_ok("Done");
    buf_text(&text, "Done; ");
    buf_u64(&text, tally->unsearched);
    buf_text(&text, tally->unsearched == 1 ? " message" : " messages");
    buf_text(&text, " could not be searched, or not wholly: encrypted, undecodable or damaged");
    buf_byte(&text, 0);
    return serve_ok(arena_text(session->command, (const char *)text.ptr));
}

static struct serve_reply fail(struct serve_session *session, const struct err *err)
{
    if (err->code == ERR_DENIED)
        serve_say_bye(session, "EXPIRED", "This session is over");
    return serve_reply_for(session, err);
}

struct serve_reply serve_do_search(struct serve_session *session,
                                   const struct imap_command *command)
{
    CLEANUP(search_close) struct search *search = NULL;
    const struct imap_search_args *args = &command->search;
    const struct imap_search_key *key;
    struct search_scope scope = {
        .pool = session->server->settings.pool,
        .token = session->login.token,
        .reader = session->reader,
        .mailbox = &session->view->mailbox,
        .shows_all_seen = session->server->settings.shows_all_seen,
        .goes_on = has_client,
        .context = session,
    };
    struct hits hits = { .session = session, .command = command };
    struct err err = { 0 };

    if (args->has_return)
        return serve_bad("RETURN is not offered");
    if (!search_convert_key(&args->key, args->charset, session->command, &key, &err))
        return err.code == ERR_ABSENT ? serve_no("BADCHARSET (US-ASCII UTF-8)", "Unknown charset")
                                      : serve_reply_for(session, &err);
    if (!search_open(&scope, key, session->command, &search, &err))
        return serve_reply_for(session, &err);
    hits.search = search;
    hits.asks_modseq = asks_modseq(key);
    session->has_condstore = session->has_condstore || hits.asks_modseq;
    hits.uids = arena_new_array(session->command, uint32_t, SEARCH_PAGE_HITS);
    if (!stream_hits(&hits, &err))
        return fail(session, &err);
    return done(session, search);
}
