/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_search.c - SEARCH and UID SEARCH; the answer streams. RFC 9051 §6.4.4, RFC 3501 §7.2.5.
 */
#include "search/search.h"
#include "serve/internal.h"

enum {
    KEYS_TEXT_BYTES = 1000
};

static bool knows_charset(struct bytes charset)
{
    return charset.len == 0 || bytes_equal_nocase(charset, BYTES("UTF-8")) ||
           bytes_equal_nocase(charset, BYTES("US-ASCII"));
}

/* Hits are known here when they all fit the first page, which is had before anything is said. */
static bool audit(struct serve_session *session, const struct imap_search_key *key, size_t hits,
                  bool is_last, struct err *err)
{
    CLEANUP(buf_free) struct buf keys = buf_create(LIMIT_SEARCH_KEYS * 16);
    struct bytes names;

    search_write_key_names(key, &keys);
    names = bytes_slice(buf_bytes(&keys), 0, KEYS_TEXT_BYTES);
    return serve_audit(
        session,
        (struct audit_event){
            .kind = AUDIT_SEARCH,
            .account_id = session->view->mailbox.row.account_id,
            .mailbox_id = session->view->mailbox.row.mailbox_id,
            .fields = AUDIT_FIELDS(AUDIT_TEXT("keys", names), AUDIT_I64("hits", (int64_t)hits),
                                   AUDIT_BOOL("more_hits", !is_last),
                                   AUDIT_I64("searched", (int64_t)session->view->exists)),
        },
        err);
}

static bool write_hits(struct serve_session *session, const uint32_t *uids, size_t count,
                       bool is_uid)
{
    for (size_t i = 0; i < count; i++) {
        buf_byte(&session->out, ' ');
        buf_u64(&session->out,
                is_uid ? uids[i] : vault_count_through_uid(&session->view->mailbox, uids[i]));
    }
    return serve_push(session);
}

/* After an error the line is ended all the same: it is a valid answer, and NO follows. */
static bool stream_hits(struct serve_session *session, struct search *search,
                        const struct imap_command *command, struct err *err)
{
    uint32_t *uids = arena_new_array(session->command, uint32_t, SEARCH_PAGE_HITS);
    bool is_last = false;
    bool goes_on = true;
    size_t count = 0;

    if (!search_next(search, uids, &count, &is_last, err) ||
        !audit(session, &command->search.key, count, is_last, err))
        return false;
    buf_text(&session->out, "* SEARCH");
    for (;;) {
        if (!write_hits(session, uids, count, command->is_uid) || is_last)
            break;
        goes_on = serve_ask_login(session, err) && search_next(search, uids, &count, &is_last, err);
        if (!goes_on)
            break;
    }
    buf_text(&session->out, "\r\n");
    return goes_on;
}

struct serve_reply serve_do_search(struct serve_session *session,
                                   const struct imap_command *command)
{
    const struct imap_search_args *args = &command->search;
    struct search_scope scope = {
        .pool = session->server->settings.pool,
        .token = session->login.token,
        .mailbox = &session->view->mailbox,
        .shows_all_seen = session->server->settings.shows_all_seen,
    };
    struct search *search = NULL;
    struct err err = { 0 };

    if (args->has_return)
        return serve_bad("RETURN is not offered");
    if (!knows_charset(args->charset))
        return serve_no("BADCHARSET (US-ASCII UTF-8)", "Unknown charset");
    if (!search_open(&scope, &args->key, session->command, &search, &err))
        return err.code == ERR_ABSENT ? serve_no("CANNOT", "Search key is not offered yet")
                                      : serve_reply_for(session, &err);
    if (!stream_hits(session, search, command, &err)) {
        if (err.code == ERR_DENIED)
            serve_say_bye(session, "EXPIRED", "This session is over");
        return serve_reply_for(session, &err);
    }
    return serve_ok("Done");
}
