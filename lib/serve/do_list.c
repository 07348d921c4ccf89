/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/do_list.c - LIST and LSUB. RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, RFC 5819.
 *
 * Rows come from the vault in pages, account after account; the mailboxes of one account are held
 * together, ordered by component, so that parents stand before their children. Parents that are no
 * mailbox of their own (Accounts, Accounts/<account>, gaps) are shown as \Noselect.
 */
#include "imap/mailbox.h"
#include "imap/write.h"
#include "serve/internal.h"

#include <stdlib.h>

enum {
    GROUP_ARENA_BYTES = 64 << 20, /* rows of the mailboxes of one account */
    SUBSCRIBED_MAX = 200,         /* beyond it only accounts are "subscribed" (DESIGN 5) */
};

struct lister {
    struct serve_session *session;
    const struct imap_list_args *args;
    struct bytes *patterns; /* joined with the reference */
    size_t pattern_count;
    const char *word; /* LIST or LSUB */
    bool accounts_only;
    struct buf path;    /* of the name at hand */
    struct buf encoded; /* the same, as patterns see it */
};

struct entry {
    const struct vault_mailbox_row *row; /* NULL: only a parent */
    bool is_inbox;
    bool has_children;
};

/* ---- one name ----------------------------------------------------------------------------------- */

static bool matches(struct lister *lister, struct bytes path)
{
    struct err err = { 0 };

    buf_reset(&lister->encoded, SIZE_MAX);
    if (!imap_encode_utf7(path, &lister->encoded, &err))
        return false;
    for (size_t i = 0; i < lister->pattern_count; i++)
        if (imap_list_matches(lister->patterns[i], buf_bytes(&lister->encoded)))
            return true;
    return false;
}

static bool is_selectable(const struct entry *entry)
{
    return entry->is_inbox || (entry->row != NULL && !entry->row->is_noselect);
}

static void write_attributes(struct lister *lister, const struct entry *entry)
{
    struct buf *out = &lister->session->out;
    uint32_t wants = lister->args->select | lister->args->returns;

    buf_text(out, entry->has_children ? "(\\HasChildren" : "(\\HasNoChildren");
    if (!is_selectable(entry))
        buf_text(out, " \\Noselect");
    if ((wants & IMAP_LIST_SUBSCRIBED) != 0)
        buf_text(out, " \\Subscribed");
    buf_byte(out, ')');
}

static bool is_recursive(const struct lister *lister)
{
    return (lister->args->select & IMAP_LIST_RECURSIVEMATCH) != 0;
}

static bool write_entry(struct lister *lister, struct bytes path, const struct entry *entry)
{
    struct serve_session *session = lister->session;
    struct buf *out = &session->out;
    struct vault_mailbox_row inbox = { .uidvalidity = 1, .uidnext = 1, .highestmodseq = 1 };
    const struct vault_mailbox_row *row = entry->is_inbox ? &inbox : entry->row;

    if ((lister->args->select & IMAP_LIST_SPECIAL_USE) != 0 || !matches(lister, path))
        return true;
    buf_text(out, "* ");
    buf_text(out, lister->word);
    buf_byte(out, ' ');
    write_attributes(lister, entry);
    buf_text(out, " \"/\" ");
    imap_write_mailbox(out, path);
    if (is_recursive(lister) && entry->has_children)
        buf_text(out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    buf_text(out, "\r\n");
    if ((lister->args->returns & IMAP_LIST_STATUS) != 0 && is_selectable(entry)) {
        buf_text(out, "* STATUS ");
        imap_write_mailbox(out, path);
        buf_byte(out, ' ');
        serve_write_status(session, lister->args->status_items, row);
        buf_text(out, "\r\n");
    }
    if ((lister->args->returns & IMAP_LIST_MYRIGHTS) != 0) {
        buf_text(out, "* MYRIGHTS ");
        imap_write_mailbox(out, path);
        buf_text(out, " lr\r\n");
    }
    return serve_push(session);
}

/* ---- the mailboxes of one account ----------------------------------------------------------------- */

/* As bytes_compare, with "/" before every other octet: a parent, its children, then the next. */
static int compare_paths(const void *left, const void *right)
{
    struct bytes a = ((const struct vault_mailbox_row *)left)->path;
    struct bytes b = ((const struct vault_mailbox_row *)right)->path;
    size_t common = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < common; i++) {
        int x = a.ptr[i] == '/' ? -1 : a.ptr[i];
        int y = b.ptr[i] == '/' ? -1 : b.ptr[i];

        if (x != y)
            return x - y;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_below(struct bytes path, struct bytes parent)
{
    return path.len > parent.len && path.ptr[parent.len] == '/' && bytes_start_with(path, parent);
}

static struct bytes full_path(struct lister *lister, struct bytes account, struct bytes path)
{
    buf_reset(&lister->path, SIZE_MAX);
    buf_text(&lister->path, SERVE_ROOT "/");
    serve_write_account(&lister->path, account);
    if (path.len > 0) {
        buf_byte(&lister->path, '/');
        buf_append(&lister->path, path);
    }
    return buf_bytes(&lister->path);
}

/* Parents of `path` that neither are mailboxes nor were shown for the path before it. */
static bool write_missing_parents(struct lister *lister, struct bytes account, struct bytes before,
                                  struct bytes path)
{
    const struct entry parent = { .has_children = true };

    for (size_t i = 0; i < path.len; i++) {
        struct bytes prefix = bytes_slice(path, 0, i);

        if (path.ptr[i] != '/' || bytes_equal(before, prefix) || is_below(before, prefix))
            continue;
        if (!write_entry(lister, full_path(lister, account, prefix), &parent))
            return false;
    }
    return true;
}

static bool write_group(struct lister *lister, struct vault_mailbox_row *rows, size_t count)
{
    const struct entry account = { .has_children = true };
    struct bytes before = { NULL, 0 };

    if (count == 0)
        return true;
    if (!write_entry(lister, full_path(lister, rows[0].account_name, BYTES("")), &account))
        return false;
    if (lister->accounts_only)
        return true;
    qsort(rows, count, sizeof *rows, compare_paths);
    for (size_t i = 0; i < count; i++) {
        struct entry entry = { .row = &rows[i] };

        entry.has_children = i + 1 < count && is_below(rows[i + 1].path, rows[i].path);
        if (!write_missing_parents(lister, rows[i].account_name, before, rows[i].path) ||
            !write_entry(lister, full_path(lister, rows[i].account_name, rows[i].path), &entry))
            return false;
        before = rows[i].path;
    }
    return true;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

/* Rows of one account, gathered over pages. */
struct group {
    struct arena *arena; /* of the texts */
    struct vault_mailbox_row *rows;
    size_t count, capacity;
};

static void free_group(struct group *group)
{
    arena_free(&group->arena);
    free(group->rows);
    *group = (struct group){ 0 };
}

static bool add_row(struct group *group, const struct vault_mailbox_row *row, struct err *err)
{
    struct vault_mailbox_row copy = *row;

    if (group->count == group->capacity) {
        size_t capacity = group->capacity == 0 ? 64 : 2 * group->capacity;
        struct vault_mailbox_row *rows = realloc(group->rows, capacity * sizeof *rows);

        if (rows == NULL)
            return err_errno(err, "mailboxes");
        group->rows = rows;
        group->capacity = capacity;
    }
    if (!arena_try_copy(group->arena, row->account_name, SIZE_MAX, &copy.account_name, err) ||
        !arena_try_copy(group->arena, row->path, SIZE_MAX, &copy.path, err))
        return false;
    group->rows[group->count++] = copy;
    return true;
}

/* True also when the client is gone: there is nothing to say then. */
static bool flush_group(struct lister *lister, struct group *group)
{
    bool goes_on = write_group(lister, group->rows, group->count);

    group->count = 0;
    arena_reset(group->arena);
    return goes_on;
}

static bool list_all(struct lister *lister, struct bytes account, struct err *err)
{
    struct serve_session *session = lister->session;
    CLEANUP(free_group) struct group group = { .arena = arena_create(GROUP_ARENA_BYTES) };
    CLEANUP(arena_free) struct arena *even = arena_create(GROUP_ARENA_BYTES);
    CLEANUP(arena_free) struct arena *odd = arena_create(GROUP_ARENA_BYTES);
    const struct vault_mailbox_row *after = NULL;
    size_t count = LIMIT_PAGE_ROWS;

    while (count == LIMIT_PAGE_ROWS) {
        const struct vault_mailbox_row *rows;
        struct arena *arena = even;

        even = odd; /* `after` still lies in the page before */
        odd = arena;
        arena_reset(arena);
        if (!vault_list_mailboxes(session->reader, account, after, LIMIT_PAGE_ROWS, arena, &rows,
                                  &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            if (group.count > 0 && !bytes_equal(group.rows[0].account_name, rows[i].account_name) &&
                !flush_group(lister, &group))
                return true;
            if (!add_row(&group, &rows[i], err))
                return false;
        }
        if (count > 0)
            after = &rows[count - 1];
    }
    (void)flush_group(lister, &group);
    return true;
}

/* ---- what the patterns need ------------------------------------------------------------------------ */

static struct bytes fixed_part(struct bytes pattern)
{
    size_t len = 0;

    while (len < pattern.len && pattern.ptr[len] != '*' && pattern.ptr[len] != '%')
        len++;
    return bytes_slice(pattern, 0, len);
}

/* Can a pattern match something below Accounts at all? Thunderbird asks for "Trash", "INBOX", … */
static bool reaches_accounts(const struct lister *lister)
{
    for (size_t i = 0; i < lister->pattern_count; i++) {
        struct bytes fixed = fixed_part(lister->patterns[i]);

        if (bytes_start_with(BYTES(SERVE_ROOT "/"), fixed) ||
            bytes_start_with(fixed, BYTES(SERVE_ROOT "/")))
            return true;
    }
    return false;
}

/* "%" and the like: names of one component only. */
static bool is_shallow(const struct lister *lister)
{
    for (size_t i = 0; i < lister->pattern_count; i++)
        if (bytes_find_byte(lister->patterns[i], '*') >= 0 ||
            bytes_find_byte(lister->patterns[i], '/') >= 0)
            return false;
    return true;
}

/* The account's name when there is one pattern and it begins with Accounts/<account>/. */
static struct bytes only_account(const struct lister *lister)
{
    struct bytes fixed = fixed_part(lister->patterns[0]);
    struct serve_name name;
    struct bytes root;
    struct err err = { 0 };
    size_t end = fixed.len;

    if (lister->pattern_count != 1 || !scan_text(&fixed, BYTES(SERVE_ROOT "/")) ||
        !scan_until_byte(&fixed, '/', &root))
        return BYTES("");
    end = end - fixed.len;
    if (!serve_read_name(lister->session, bytes_slice(lister->patterns[0], 0, end), &name, &err) ||
        name.kind != SERVE_NAME_ACCOUNT)
        return BYTES("");
    return name.account;
}

static bool join_patterns(struct lister *lister, struct err *err)
{
    const struct imap_list_args *args = lister->args;
    struct arena *arena = lister->session->command;

    lister->patterns = arena_new_array(arena, struct bytes, args->pattern_count);
    lister->pattern_count = args->pattern_count;
    for (size_t i = 0; i < args->pattern_count; i++) {
        size_t len = args->reference.len + args->patterns[i].len;
        uint8_t *joined;

        if (!arena_try_alloc(arena, len + 1, 1, (void **)&joined, err))
            return false;
        if (args->reference.len > 0)
            memcpy(joined, args->reference.ptr, args->reference.len);
        if (args->patterns[i].len > 0)
            memcpy(joined + args->reference.len, args->patterns[i].ptr, args->patterns[i].len);
        lister->patterns[i] = bytes_of(joined, len);
    }
    return true;
}

/* ---- the commands ---------------------------------------------------------------------------------- */

static bool count_rows(struct serve_session *session, size_t limit, size_t *count, struct err *err)
{
    const struct vault_mailbox_row *rows;

    return vault_list_mailboxes(session->reader, BYTES(""), NULL, limit, session->command, &rows,
                                count, err);
}

static bool list(struct lister *lister, bool is_subscribed, struct err *err)
{
    const struct entry inbox = { .is_inbox = true };
    const struct entry root = { .has_children = true };
    size_t limit = is_subscribed ? SUBSCRIBED_MAX + 1 : 1;
    size_t count = 0;

    if (!join_patterns(lister, err) || !count_rows(lister->session, limit, &count, err))
        return false;
    lister->accounts_only = is_subscribed && count > SUBSCRIBED_MAX;
    if (!write_entry(lister, BYTES("INBOX"), &inbox))
        return true;
    if (count == 0)
        return true;
    if (!write_entry(lister, BYTES(SERVE_ROOT), &root))
        return true;
    if (is_shallow(lister) || !reaches_accounts(lister))
        return true;
    return list_all(lister, only_account(lister), err);
}

static struct serve_reply run_list(struct serve_session *session,
                                   const struct imap_command *command, const char *word,
                                   bool is_subscribed)
{
    struct lister lister = {
        .session = session,
        .args = &command->list,
        .word = word,
        .path = buf_create(4 * LIMIT_MAILBOX_NAME_BYTES),
        .encoded = buf_create(16 * LIMIT_MAILBOX_NAME_BYTES),
    };
    struct err err = { 0 };
    bool is_done = list(&lister, is_subscribed, &err);

    buf_free(&lister.path);
    buf_free(&lister.encoded);
    return is_done ? serve_ok("Done") : serve_reply_for(session, &err);
}

struct serve_reply serve_do_list(struct serve_session *session, const struct imap_command *command)
{
    const struct imap_list_args *args = &command->list;

    if (!args->is_extended && args->patterns[0].len == 0) { /* asks for the separator */
        buf_text(&session->out, "* LIST (\\Noselect) \"/\" \"\"\r\n");
        return serve_ok("Done");
    }
    return run_list(session, command, "LIST", (args->select & IMAP_LIST_SUBSCRIBED) != 0);
}

struct serve_reply serve_do_lsub(struct serve_session *session, const struct imap_command *command)
{
    return run_list(session, command, "LSUB", true);
}
