/* SPDX-License-Identifier: Apache-2.0 */
#include "export/choice.h"

#include <stdlib.h>

struct export_search {
    struct search_walk *walk;
    struct search_page page; /* the one that comes next */
    bool has_page;
    int64_t mailbox_id; /* that is open */
};

static bool look_ahead(struct export_search *search, struct err *err)
{
    return search_next_page(search->walk, &search->page, &search->has_page, err) ||
           err_wrap(err, "query");
}

static bool is_of(const struct export_search *search, int64_t mailbox_id)
{
    return search->has_page && search->page.mailbox->mailbox_id == mailbox_id;
}

static bool open_mailbox(void *context, const struct vault_position_mailbox *mailbox,
                         bool *has_none, struct err *err)
{
    struct export_search *search = context;

    (void)err;
    search->mailbox_id = mailbox->mailbox_id;
    *has_none = !is_of(search, mailbox->mailbox_id);
    return true;
}

static bool next_uids(void *context, uint32_t uids[LIMIT_PAGE_ROWS], size_t *count, bool *is_last,
                      struct err *err)
{
    struct export_search *search = context;

    static_assert((int)SEARCH_PAGE_HITS <= (int)LIMIT_PAGE_ROWS, "a page of hits fits");
    assert(is_of(search, search->mailbox_id));
    *count = search->page.count;
    memcpy(uids, search->page.uids, search->page.count * sizeof *uids);
    if (!look_ahead(search, err))
        return false;
    *is_last = !is_of(search, search->mailbox_id);
    return true;
}

/* Hits that nobody took would be missing from the export. */
static bool finish(void *context, uint64_t *searched, uint64_t *unsearched, struct err *err)
{
    const struct export_search *search = context;
    struct search_counts counts = search_walk_counts(search->walk);

    *searched = counts.searched;
    *unsearched = counts.tally.unsearched;
    return !search->has_page ||
           err_fail(err, ERR_SYSTEM, "the query found messages in mailbox %jd out of its turn",
                    (intmax_t)search->page.mailbox->mailbox_id);
}

bool export_open_search(const struct search_walk_request *request, struct export_search **out,
                        struct err *err)
{
    CLEANUP(export_close_search) struct export_search *search = calloc(1, sizeof *search);

    if (search == NULL)
        return err_errno(err, "query");
    if (!search_open_walk(request, &search->walk, err) || !look_ahead(search, err))
        return false;
    *out = search;
    search = NULL;
    return true;
}

void export_close_search(struct export_search **search)
{
    if (*search == NULL)
        return;
    search_close_walk(&(*search)->walk);
    free(*search);
    *search = NULL;
}

struct export_choice export_choose_by(struct export_search *search)
{
    return (struct export_choice){ open_mailbox, next_uids, finish, search };
}
