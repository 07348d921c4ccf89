/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/view.c - the selected mailbox as a session sees it, and how it learns what changed.
 */
#include "imap/flag.h"
#include "search/search.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
    VIEW_ARENA_BYTES = 16 << 20, /* disposed ranges and keywords of one mailbox */
    PAGE_ARENA_BYTES = 16 << 20,
};

/* ---- opening ----------------------------------------------------------------------------------- */

bool serve_open_view(struct serve_session *session, const struct vault_mailbox_row *row,
                     struct serve_view **out, struct err *err)
{
    CLEANUP(serve_close_view) struct serve_view *view = calloc(1, sizeof *view);

    if (view == NULL)
        return err_errno(err, "view");
    view->arena = arena_create(VIEW_ARENA_BYTES);
    if (row->mailbox_id == 0)
        view->mailbox = (struct vault_mailbox){ .row = *row };
    else if (!vault_load_mailbox(session->reader, row->account_id, row->mailbox_id, view->arena,
                                 &view->mailbox, err))
        return false;
    view->exists = vault_count_messages(&view->mailbox);
    view->modseq = view->mailbox.row.highestmodseq;
    *out = view;
    view = NULL;
    return true;
}

void serve_close_view(struct serve_view **view)
{
    if (*view == NULL)
        return;
    arena_free(&(*view)->arena);
    free(*view);
    *view = NULL;
}

/* ---- flags -------------------------------------------------------------------------------------- */

/* A source's keyword that looks like one of ours is shown escaped. */
static struct bytes shown_keyword(struct serve_session *session, struct bytes keyword)
{
    CLEANUP(buf_free) struct buf escaped = buf_create(2 * LIMIT_KEYWORD_BYTES);
    struct bytes copy;
    struct err err = { 0 };

    if (!imap_keyword_is_escaped(keyword))
        return keyword;
    imap_escape_keyword(keyword, &escaped);
    if (!arena_try_copy(session->scratch, buf_bytes(&escaped), SIZE_MAX, &copy, &err))
        return keyword;
    return copy;
}

static size_t add_keyword(struct bytes *keywords, size_t count, struct bytes keyword)
{
    keywords[count] = keyword;
    return count + 1;
}

/*
 * \Deleted becomes a keyword: clients search with UNDELETED and would hide such mail (DESIGN 5).
 * Keywords that were numbered after the view was opened are told with its next refresh.
 */
void serve_write_flags(struct serve_session *session, const struct vault_placement *placement)
{
    const struct vault_mailbox *mailbox = &session->view->mailbox;
    size_t bits = placement->keywords.len * 8;
    size_t max = mailbox->keyword_count < bits ? mailbox->keyword_count : bits;
    struct bytes few[8];
    struct bytes *keywords = few;
    size_t count = 0;

    arena_reset(session->scratch);
    if (max + 2 > ARRAY_LEN(few))
        keywords = arena_new_array(session->scratch, struct bytes, max + 2);
    for (size_t i = 0; i < max; i++)
        if (vault_has_keyword(placement, i) && mailbox->keywords[i].len > 0)
            count = add_keyword(keywords, count, shown_keyword(session, mailbox->keywords[i]));
    if ((placement->flags & VAULT_FLAG_DELETED) != 0)
        count = add_keyword(keywords, count, BYTES(IMAP_KEYWORD_SOURCE_DELETED));
    if (placement->is_gone)
        count = add_keyword(keywords, count, BYTES(IMAP_KEYWORD_GONE_AT_SOURCE));
    imap_write_flags(&session->out,
                     &(struct imap_flags){
                         .system = session->server->settings.shows_all_seen
                                       ? (uint8_t)(placement->flags | VAULT_FLAG_SEEN) &
                                             (uint8_t)~VAULT_FLAG_DELETED
                                       : placement->flags & (uint8_t)~VAULT_FLAG_DELETED,
                         .keywords = keywords,
                         .keyword_count = count,
                     });
}

void serve_write_modseq(struct serve_session *session, const struct vault_placement *placement)
{
    buf_text(&session->out, "MODSEQ (");
    buf_u64(&session->out, placement->modseq);
    buf_byte(&session->out, ')');
}

void serve_write_known_flags(struct serve_session *session)
{
    const struct vault_mailbox *mailbox = &session->view->mailbox;
    struct bytes *keywords;
    size_t count = 0;

    arena_reset(session->scratch);
    keywords = arena_new_array(session->scratch, struct bytes, mailbox->keyword_count + 2);
    for (size_t i = 0; i < mailbox->keyword_count; i++)
        if (mailbox->keywords[i].len > 0)
            count = add_keyword(keywords, count, shown_keyword(session, mailbox->keywords[i]));
    count = add_keyword(keywords, count, BYTES(IMAP_KEYWORD_SOURCE_DELETED));
    count = add_keyword(keywords, count, BYTES(IMAP_KEYWORD_GONE_AT_SOURCE));
    buf_text(&session->out, "* FLAGS ");
    imap_write_flags(&session->out, &(struct imap_flags){
                                        .system = IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED |
                                                  IMAP_FLAG_FLAGGED | IMAP_FLAG_DRAFT,
                                        .keywords = keywords,
                                        .keyword_count = count,
                                    });
    buf_text(&session->out, "\r\n");
}

/* ---- what changed ------------------------------------------------------------------------------- */

static bool write_number(struct serve_session *session, uint32_t number, const char *what)
{
    buf_text(&session->out, "* ");
    buf_u64(&session->out, number);
    buf_text(&session->out, what);
    return serve_push(session);
}

/* From the highest down, so that each number is right when the client applies them in order. */
static bool write_expunged(struct serve_session *session, const struct vault_mailbox *old,
                           const struct vault_mailbox *new)
{
    for (size_t i = new->disposed_count; i-- > 0;) {
        uint64_t uid = new->disposed[i].last;

        if (uid >= old->row.uidnext)
            uid = old->row.uidnext - 1;
        for (; uid >= new->disposed[i].first; uid--)
            if (vault_uid_exists(old, (uint32_t)uid) &&
                !write_number(session, vault_count_through_uid(old, (uint32_t)uid), " EXPUNGE\r\n"))
                return false;
    }
    return true;
}

static bool write_changed(struct serve_session *session, const struct vault_placement_page *page)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct vault_placement *row = &page->rows[i];

        if (row->modseq <= session->view->modseq)
            continue;
        buf_text(&session->out, "* ");
        buf_u64(&session->out, vault_count_through_uid(&session->view->mailbox, row->uid));
        buf_text(&session->out, " FETCH (UID ");
        buf_u64(&session->out, row->uid);
        buf_text(&session->out, " FLAGS ");
        serve_write_flags(session, row);
        if (session->has_condstore) {
            buf_byte(&session->out, ' ');
            serve_write_modseq(session, row);
        }
        buf_text(&session->out, ")\r\n");
        if (!serve_push(session))
            return false;
    }
    return true;
}

/* Flags that changed among the messages that were there before. */
static bool tell_flags(struct serve_session *session, uint32_t through_uid, struct err *err)
{
    struct serve_view *view = session->view;
    CLEANUP(arena_free) struct arena *arena = arena_create(PAGE_ARENA_BYTES);
    const struct vault_uid_range known = { .first = 1, .last = through_uid };
    struct vault_placement_query query = {
        .account_id = view->mailbox.row.account_id,
        .mailbox_id = view->mailbox.row.mailbox_id,
        .ranges = &known,
        .range_count = through_uid > 0 ? 1 : 0,
        .limit = LIMIT_PAGE_ROWS,
    };
    struct vault_placement_page page = { 0 };

    if (!serve_keep_changed(session, view->modseq, &query.ranges, &query.range_count, err))
        return false;
    while (!page.is_last && query.range_count > 0) {
        arena_reset(arena);
        query.after_uid = page.through_uid;
        if (!vault_read_placements(session->reader, &query, arena, &page, err))
            return false;
        if (!write_changed(session, &page))
            return true; /* broken: nobody is there to be told of an error */
    }
    return true;
}

static bool has_changed(const struct serve_view *view, const struct vault_mailbox_row *now)
{
    return now->uidnext != view->mailbox.row.uidnext || now->highestmodseq != view->modseq ||
           now->messages != view->mailbox.row.messages;
}

static bool has_expunged(const struct serve_view *old, const struct serve_view *new)
{
    return old->exists > 0 &&
           vault_count_through_uid(&new->mailbox, (uint32_t)(old->mailbox.row.uidnext - 1)) <
               old->exists;
}

/* *out NULL: nothing has changed. */
static bool open_newer(struct serve_session *session, struct serve_view **out, struct err *err)
{
    const struct vault_mailbox_row *row = &session->view->mailbox.row;
    struct vault_mailbox_row now;

    *out = NULL;
    if (row->mailbox_id == 0)
        return true;
    return vault_poll_mailbox(session->reader, row->account_id, row->mailbox_id, &now, err) &&
           (!has_changed(session->view, &now) || serve_open_view(session, row, out, err));
}

bool serve_ask_view(struct serve_session *session, struct err *err)
{
    const struct vault_mailbox_row *row = &session->view->mailbox.row;
    struct vault_mailbox_row now;

    return row->mailbox_id == 0 ||
           vault_poll_mailbox(session->reader, row->account_id, row->mailbox_id, &now, err);
}

/* Sequence numbers of the old view are over once the first line is said. */
static bool tell_changes(struct serve_session *session, const struct serve_view *old,
                         struct err *err)
{
    struct serve_view *new = session->view;

    if (new->mailbox.keyword_count != old->mailbox.keyword_count)
        serve_write_known_flags(session);
    if (!write_expunged(session, &old->mailbox, &new->mailbox))
        return true;
    if (new->mailbox.row.uidnext != old->mailbox.row.uidnext) {
        if (!write_number(session, new->exists, " EXISTS\r\n"))
            return true;
        buf_text(&session->out, "* 0 RECENT\r\n");
    }
    if (new->mailbox.row.highestmodseq > new->modseq &&
        !tell_flags(session, (uint32_t)(old->mailbox.row.uidnext - 1), err))
        return false;
    new->modseq = new->mailbox.row.highestmodseq;
    return true;
}

bool serve_refresh_view(struct serve_session *session, bool may_expunge, struct err *err)
{
    CLEANUP(serve_close_view) struct serve_view *old = NULL;
    struct serve_view *new = NULL;

    session->refresh_at = deadline_after_ms(session->server->settings.limits.refresh_ms);
    if (!open_newer(session, &new, err))
        return false;
    if (new == NULL)
        return true;
    if (!may_expunge && has_expunged(session->view, new)) {
        serve_close_view(&new);
        return true;
    }
    old = session->view;
    session->view = new;
    new->modseq = old->modseq; /* until told */
    return tell_changes(session, old, err);
}

bool serve_keep_changed(struct serve_session *session, uint64_t since,
                        const struct vault_uid_range **ranges, size_t *count, struct err *err)
{
    const struct vault_mailbox_row *row = &session->view->mailbox.row;
    const struct vault_uid_range *changed = NULL;
    struct vault_uid_range *both;
    size_t changed_count = 0;
    size_t used = 0;
    void *room;

    if (*count == 0)
        return true;
    if (!vault_find_changed(session->reader, row->account_id, row->mailbox_id, since,
                            session->command, &changed, &changed_count, err) ||
        !arena_try_alloc(session->command, *count + changed_count, sizeof *both, &room, err))
        return false;
    both = room;
    for (size_t a = 0, b = 0; a < *count && b < changed_count;) {
        struct vault_uid_range x = (*ranges)[a];
        struct vault_uid_range y = changed[b];

        if (x.first <= y.last && y.first <= x.last)
            both[used++] = (struct vault_uid_range){ .first = x.first > y.first ? x.first : y.first,
                                                     .last = x.last < y.last ? x.last : y.last };
        if (x.last < y.last)
            a++;
        else
            b++;
    }
    *ranges = both;
    *count = used;
    return true;
}

/* ---- sets --------------------------------------------------------------------------------------- */

bool serve_resolve_uids(struct serve_session *session, const struct imap_sequence_set *set,
                        bool is_uid, const struct vault_uid_range **out, size_t *count,
                        struct err *err)
{
    bool beyond = false;

    if (!search_resolve_uids(&session->view->mailbox, set, is_uid, session->command, out, count,
                             &beyond, err))
        return false;
    if (beyond && !is_uid)
        return err_fail(err, ERR_SYNTAX, "no message with such a sequence number");
    return true;
}
