/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/list.h"

#include "base/buf.h"
#include "base/limits.h"
#include "imap/list_args.h"
#include "imap/mailbox.h"
#include "ingest/login.h"
#include "ingest/rule.h"
#include "vault/write.h"

#include <stdlib.h>

enum {
    LIST_FIRST_ROWS = 64,
};

struct lister {
    struct ingest_client *client;
    const struct source_account_settings *account;
    struct arena *arena;
    struct ingest_namespaces namespaces;
    struct ingest_listed *rows;
    size_t count, cap;
    size_t unreadable; /* names that were left out */
    size_t id_at;      /* behind the row that got the last MAILBOXID */
};

int ingest_compare_paths(struct bytes a, struct bytes b)
{
    bool a_is_inbox = bytes_equal(a, BYTES("INBOX"));
    bool b_is_inbox = bytes_equal(b, BYTES("INBOX"));

    if (a_is_inbox != b_is_inbox)
        return a_is_inbox ? -1 : 1;
    return bytes_compare(a, b);
}

static enum source_left_out left_out_of(const struct lister *lister, struct ingest_listed *row)
{
    uint32_t namespaces = lister->account->namespaces;

    switch (ingest_owner_of(&lister->namespaces, row->wire_name)) {
    case INGEST_PERSONAL:
        break;
    case INGEST_OTHERS:
        if ((namespaces & SOURCE_NAMESPACE_OTHERS) == 0)
            return SOURCE_LEFT_OUT_OTHERS;
        break;
    case INGEST_SHARED:
        if ((namespaces & SOURCE_NAMESPACE_SHARED) == 0)
            return SOURCE_LEFT_OUT_SHARED;
        break;
    }
    return ingest_is_wanted(lister->account, row->path, row->attributes, &row->rule)
               ? SOURCE_NOT_LEFT_OUT
               : SOURCE_LEFT_OUT_BY_PATTERN;
}

static bool grow(struct lister *lister, struct err *err)
{
    size_t cap = lister->cap == 0 ? LIST_FIRST_ROWS : lister->cap * 2;
    void *rows;

    if (lister->count >= INGEST_MAILBOXES_MAX)
        return err_fail(err, ERR_LIMIT, "more than %d mailboxes", INGEST_MAILBOXES_MAX);
    if (!arena_try_alloc(lister->arena, cap, sizeof *lister->rows, &rows, err))
        return false;
    if (lister->count > 0)
        memcpy(rows, lister->rows, lister->count * sizeof *lister->rows);
    lister->rows = rows;
    lister->cap = cap;
    return true;
}

static bool add_listed(struct lister *lister, const struct imap_list_response *list,
                       struct err *err)
{
    CLEANUP(buf_free) struct buf path = buf_create(LIMIT_MAILBOX_NAME_BYTES * 4);
    struct bytes octets;
    struct ingest_listed *row;
    uint32_t unselectable = IMAP_MAILBOX_NOSELECT | IMAP_MAILBOX_NONEXISTENT;

    if (list->wire_name.len == 0) { /* the answer to LIST "" "": a delimiter, no mailbox */
        ingest_count_odd(lister->client);
        return true;
    }
    imap_path_from_source(list->wire_name, list->delimiter, &path);
    if (path.has_failed || path.len > INGEST_PATH_BYTES) {
        lister->unreadable++; /* one name that is too long does not stop the others */
        return true;
    }
    if (lister->count == lister->cap && !grow(lister, err))
        return false;
    row = &lister->rows[lister->count];
    *row = (struct ingest_listed){
        .delimiter = list->delimiter,
        .attributes = list->attributes,
        .is_noselect = (list->attributes & unselectable) != 0,
        .special_use = ingest_special_use_of(list->attributes),
    };
    if (!buf_done(&path, &octets, err) ||
        !arena_try_copy(lister->arena, octets, octets.len, &row->path, err) ||
        !arena_try_copy(lister->arena, list->wire_name, LIMIT_MAILBOX_NAME_BYTES, &row->wire_name,
                        err))
        return err_wrap(err, "mailbox %zu of the list", lister->count + 1);
    row->left_out = left_out_of(lister, row);
    lister->count++;
    return true;
}

static void set_status(struct ingest_listed *row, const struct imap_mailbox_status_response *status)
{
    row->status = status->has;
    row->messages = status->messages;
    row->uidnext = status->uidnext;
    row->uidvalidity = status->uidvalidity;
    row->highestmodseq = status->highestmodseq;
    row->size_bytes = status->size_bytes;
}

static bool is_named(const struct ingest_listed *row, struct bytes wire_name)
{
    return bytes_equal(row->wire_name, wire_name) ||
           (bytes_equal_nocase(wire_name, BYTES("INBOX")) &&
            bytes_equal(row->path, BYTES("INBOX")));
}

/* LIST-STATUS puts the numbers right behind their mailbox: look from the end. */
static void take_status(struct lister *lister, const struct imap_mailbox_status_response *status)
{
    for (size_t i = lister->count; i-- > 0;)
        if (is_named(&lister->rows[i], status->wire_name)) {
            set_status(&lister->rows[i], status);
            return;
        }
}

static bool take_list(void *context, const struct imap_response *response, struct err *err)
{
    struct lister *lister = context;

    if (response->kind == IMAP_RESPONSE_LIST)
        return add_listed(lister, &response->list, err);
    if (response->kind == IMAP_RESPONSE_MAILBOX_STATUS)
        take_status(lister, &response->mailbox_status);
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    const struct ingest_listed *x = a;
    const struct ingest_listed *y = b;
    int order = ingest_compare_paths(x->path, y->path);

    return order != 0 ? order : bytes_compare(x->wire_name, y->wire_name);
}

/* "INBOX" and "inbox" are one (RFC 9051 §5.1), "INBOX.a" and "Inbox.a" need not be. */
static bool is_same_mailbox(const struct ingest_listed *a, const struct ingest_listed *b)
{
    return bytes_equal(a->path, BYTES("INBOX")) || bytes_equal(a->wire_name, b->wire_name);
}

static bool is_fetched(const struct ingest_listed *row)
{
    return row->left_out == SOURCE_NOT_LEFT_OUT && !row->is_noselect;
}

/* Sorts, and drops what is listed twice; of two rows of one mailbox, the one that leaves it out. */
static void settle(struct lister *lister, struct ingest_listing *out)
{
    size_t kept = 0;
    size_t doubles = 0;

    if (lister->count > 1)
        qsort(lister->rows, lister->count, sizeof *lister->rows, compare_rows);
    for (size_t i = 0; i < lister->count; i++) {
        if (kept == 0 || !bytes_equal(lister->rows[kept - 1].path, lister->rows[i].path)) {
            lister->rows[kept++] = lister->rows[i];
        } else {
            bool is_same = is_same_mailbox(&lister->rows[kept - 1], &lister->rows[i]);

            ingest_count_odd(lister->client);
            doubles += !is_same && is_fetched(&lister->rows[i]);
            if (is_same && !is_fetched(&lister->rows[kept - 1]))
                lister->rows[kept - 1] = lister->rows[i];
        }
    }
    *out = (struct ingest_listing){
        .rows = lister->rows,
        .count = kept,
        .unusable = doubles + lister->unreadable,
        .unusable_why = doubles > 0              ? "two names of the source give the same path"
                        : lister->unreadable > 0 ? "a name is too long or cannot be read"
                                                 : "",
    };
}

/* The parts of RETURN, most first; a server that refuses one has another chance with less. */
enum returns {
    RETURN_NOTHING,
    RETURN_USES,
    RETURN_NUMBERS, /* and uses */
};

static enum returns returns_of(const struct lister *lister, enum ingest_list_ask ask)
{
    const uint32_t uses = INGEST_SPECIAL_USE | INGEST_LIST_EXTENDED;
    uint32_t can = ingest_capabilities(lister->client);

    if (ask != INGEST_ASK_NAMES && (can & INGEST_LIST_STATUS) != 0)
        return RETURN_NUMBERS;
    return (can & uses) == uses ? RETURN_USES : RETURN_NOTHING;
}

/* Without uses, rules that name them would choose other mailboxes. */
static enum returns less_than(const struct lister *lister, enum returns returns)
{
    return returns == RETURN_NUMBERS ? returns_of(lister, INGEST_ASK_NAMES) : RETURN_NOTHING;
}

static void add_returns(struct lister *lister, enum returns returns, enum ingest_list_ask ask)
{
    uint32_t can = ingest_capabilities(lister->client);

    if (returns == RETURN_NOTHING)
        return;
    ingest_add_text(lister->client, " RETURN (");
    if ((can & INGEST_SPECIAL_USE) != 0)
        ingest_add_text(lister->client, returns == RETURN_USES ? "SPECIAL-USE" : "SPECIAL-USE ");
    if (returns == RETURN_NUMBERS) {
        ingest_add_text(lister->client, "STATUS (MESSAGES UIDNEXT UIDVALIDITY");
        if ((can & INGEST_CONDSTORE) != 0)
            ingest_add_text(lister->client, " HIGHESTMODSEQ");
        if (ask == INGEST_ASK_SIZES && (can & INGEST_STATUS_SIZE) != 0)
            ingest_add_text(lister->client, " SIZE");
        ingest_add_text(lister->client, ")");
    }
    ingest_add_text(lister->client, ")");
}

/* prefix: of a namespace, or empty: all that the server shows. Adds to what is listed. */
static bool run_list(struct lister *lister, struct bytes prefix, enum returns returns,
                     enum ingest_list_ask ask, struct ingest_reply *reply, struct err *err)
{
    CLEANUP(buf_free) struct buf pattern = buf_create(LIMIT_MAILBOX_NAME_BYTES + 1);
    uint64_t before = ingest_unreadable_lists(lister->client);
    struct ingest_tag tag;

    buf_append(&pattern, prefix);
    buf_text(&pattern, "*");
    ingest_begin_command(lister->client, "LIST \"\" ");
    if (!ingest_add_string(lister->client, buf_bytes(&pattern), err))
        return false;
    add_returns(lister, returns, ask);
    if (!ingest_send_command(lister->client, &tag, err) ||
        !ingest_finish_command(lister->client, tag, take_list, lister, reply, err))
        return false;
    lister->unreadable += ingest_unreadable_lists(lister->client) - before;
    return true;
}

static bool list_some(struct lister *lister, struct bytes prefix, enum ingest_list_ask ask,
                      struct err *err)
{
    enum returns returns = returns_of(lister, ask);
    struct ingest_reply reply;
    size_t count = lister->count;
    size_t unreadable = lister->unreadable;

    if (!run_list(lister, prefix, returns, ask, &reply, err))
        return false;
    while (reply.condition != IMAP_OK && returns != RETURN_NOTHING &&
           !ingest_speaks_of_load(&reply)) {
        lister->count = count;
        lister->unreadable = unreadable;
        returns = less_than(lister, returns);
        if (!run_list(lister, prefix, returns, ask, &reply, err))
            return false;
    }
    if (reply.condition != IMAP_OK)
        return err_fail(err, ingest_classify_reply(&reply, ERR_DENIED),
                        "the mailboxes cannot be listed: %s", reply.text);
    return true;
}

static bool is_shown(const struct lister *lister, struct bytes prefix)
{
    for (size_t i = 0; i < lister->count; i++)
        if (bytes_start_with(lister->rows[i].wire_name, prefix))
            return true;
    return false;
}

/* RFC 2342 §5: "*" need not show what is not the user's own. */
static bool list_hidden(struct lister *lister, enum ingest_list_ask ask, struct err *err)
{
    for (size_t i = 0; i < lister->namespaces.count; i++) {
        const struct ingest_namespace *space = &lister->namespaces.rows[i];
        bool is_wanted = (space->owner == INGEST_OTHERS &&
                          (lister->account->namespaces & SOURCE_NAMESPACE_OTHERS) != 0) ||
                         (space->owner == INGEST_SHARED &&
                          (lister->account->namespaces & SOURCE_NAMESPACE_SHARED) != 0);

        if (is_wanted && !is_shown(lister, space->prefix) &&
            !list_some(lister, space->prefix, ask, err))
            return false;
    }
    return true;
}

/* In the order of the list before, as a rule: looks on where it found the last one. */
static bool take_id(void *context, const struct imap_response *response, struct err *err)
{
    const struct imap_mailbox_status_response *status = &response->mailbox_status;
    struct lister *lister = context;

    if (response->kind != IMAP_RESPONSE_MAILBOX_STATUS ||
        (status->has & IMAP_STATUS_MAILBOXID) == 0 || !vault_is_identity(status->mailbox_id))
        return true;
    for (size_t i = 0; i < lister->count; i++) {
        struct ingest_listed *row = &lister->rows[(lister->id_at + i) % lister->count];

        if (!is_named(row, status->wire_name))
            continue;
        lister->id_at += i + 1;
        return arena_try_copy(lister->arena, status->mailbox_id, VAULT_IDENTITY_BYTES,
                              &row->object_id, err);
    }
    return true;
}

/* A question of its own: beside other items Cyrus 3.6 answers MAILBOXID with octets of freed memory. */
static bool ask_ids(struct lister *lister, struct err *err)
{
    const uint32_t needed = INGEST_OBJECTID | INGEST_LIST_STATUS;
    struct ingest_reply reply;
    struct ingest_tag tag;

    if ((ingest_capabilities(lister->client) & needed) != needed)
        return true;
    ingest_begin_command(lister->client, "LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))");
    if (!ingest_send_command(lister->client, &tag, err) ||
        !ingest_finish_command(lister->client, tag, take_id, lister, &reply, err))
        return false;
    for (size_t i = 0; i < lister->count && reply.condition != IMAP_OK; i++)
        lister->rows[i].object_id = (struct bytes){ 0 }; /* nothing was learned (ingest/README 1) */
    return true;
}

bool ingest_list(struct ingest_client *client, const struct source_account_settings *account,
                 enum ingest_list_ask ask, struct arena *arena, struct ingest_listing *out,
                 struct err *err)
{
    struct lister lister = { .client = client, .account = account, .arena = arena };

    if (!ingest_ask_namespaces(client, arena, &lister.namespaces, err) ||
        !list_some(&lister, BYTES(""), ask, err) || !list_hidden(&lister, ask, err) ||
        !ask_ids(&lister, err))
        return false;
    settle(&lister, out);
    return true;
}

static const struct bytes *find_unmatched(const struct bytes *patterns, size_t count,
                                          const struct ingest_listing *listing)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < listing->count && !ingest_pattern_matches(patterns[i], listing->rows[at].path,
                                                              listing->rows[at].attributes))
            at++;
        if (at == listing->count)
            return &patterns[i];
    }
    return NULL;
}

const struct bytes *ingest_find_unmatched(const struct source_account_settings *account,
                                          const struct ingest_listing *listing)
{
    const struct bytes *include = find_unmatched(account->include, account->include_count, listing);

    return include != NULL ? include
                           : find_unmatched(account->exclude, account->exclude_count, listing);
}

struct ingest_left_out ingest_sum_left_out(const struct ingest_listing *listing)
{
    struct ingest_left_out sum = { .counts = { 0 } };

    for (size_t i = 0; i < listing->count; i++) {
        const struct ingest_listed *row = &listing->rows[i];

        if (row->left_out != SOURCE_NOT_LEFT_OUT && !row->is_noselect &&
            sum.counts[row->left_out]++ == 0)
            sum.firsts[row->left_out] = row->path;
    }
    return sum;
}

/* ---- STATUS ---- */

struct counter {
    struct ingest_listing *listing;
};

static bool take_count(void *context, const struct imap_response *response, struct err *err)
{
    struct counter *counter = context;

    (void)err;
    if (response->kind != IMAP_RESPONSE_MAILBOX_STATUS)
        return true;
    for (size_t i = 0; i < counter->listing->count; i++)
        if (is_named(&counter->listing->rows[i], response->mailbox_status.wire_name))
            set_status(&counter->listing->rows[i], &response->mailbox_status);
    return true;
}

bool ingest_count_messages(struct ingest_client *client, struct ingest_listing *listing, size_t max,
                           struct err *err)
{
    struct counter counter = { listing };
    struct ingest_reply reply;
    struct ingest_tag tag;
    bool has_size = (ingest_capabilities(client) & INGEST_STATUS_SIZE) != 0;
    uint32_t wanted = IMAP_STATUS_MESSAGES | (has_size ? IMAP_STATUS_SIZE : 0);

    for (size_t i = 0; i < listing->count && max > 0; i++) {
        struct ingest_listed *row = &listing->rows[i];

        if (row->is_noselect || row->left_out != SOURCE_NOT_LEFT_OUT ||
            (row->status & wanted) == wanted)
            continue;
        max--;
        ingest_begin_command(client, "STATUS ");
        if (!ingest_add_string(client, row->wire_name, err))
            return false;
        ingest_add_text(client, has_size ? " (MESSAGES SIZE)" : " (MESSAGES)");
        if (!ingest_send_command(client, &tag, err) ||
            !ingest_finish_command(client, tag, take_count, &counter, &reply, err))
            return false;
    }
    return true;
}
