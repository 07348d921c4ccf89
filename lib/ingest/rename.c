/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/rename.h"

#include <stdlib.h>

enum {
    ROUNDS_MAX = 50 /* of drop_blocked: a chain of mailboxes, each renamed to the next one's name */
};

/* ---- by id ---- */

static int compare_known(const void *a, const void *b)
{
    const struct source_mailbox *const *x = a;
    const struct source_mailbox *const *y = b;

    return bytes_compare((*x)->object_id, (*y)->object_id);
}

static int compare_listed(const void *a, const void *b)
{
    const struct ingest_listed *const *x = a;
    const struct ingest_listed *const *y = b;

    return bytes_compare((*x)->object_id, (*y)->object_id);
}

static const struct source_mailbox **sort_known(const struct source_mailbox_list *known,
                                                struct arena *arena, size_t *count)
{
    const struct source_mailbox **sorted =
        arena_new_array(arena, const struct source_mailbox *, known->count);

    *count = 0;
    for (size_t i = 0; i < known->count; i++)
        if (known->rows[i].object_id.len > 0)
            sorted[(*count)++] = &known->rows[i];
    if (*count > 0)
        qsort(sorted, *count, sizeof *sorted, compare_known);
    return sorted;
}

static const struct ingest_listed **sort_listed(const struct ingest_listing *listing,
                                                struct arena *arena, size_t *count)
{
    const struct ingest_listed **sorted =
        arena_new_array(arena, const struct ingest_listed *, listing->count);

    *count = 0;
    for (size_t i = 0; i < listing->count; i++)
        if (listing->rows[i].object_id.len > 0)
            sorted[(*count)++] = &listing->rows[i];
    if (*count > 0)
        qsort(sorted, *count, sizeof *sorted, compare_listed);
    return sorted;
}

/* ---- by path ---- */

static int compare_with_path(const void *path, const void *row)
{
    const struct ingest_listed *mailbox = row;

    return ingest_compare_paths(*(const struct bytes *)path, mailbox->path);
}

static const struct ingest_listed *find_listed(const struct ingest_listing *listing,
                                               struct bytes path)
{
    return listing->count == 0 ? NULL
                               : bsearch(&path, listing->rows, listing->count,
                                         sizeof *listing->rows, compare_with_path);
}

static bool is_inbox(struct bytes path)
{
    return bytes_equal(path, BYTES("INBOX"));
}

/* Has it another name now, one under which it is archived? */
static bool is_renamed(const struct source_mailbox *known, const struct ingest_listed *listed,
                       const struct ingest_listing *listing)
{
    const struct ingest_listed *there = find_listed(listing, known->path);

    return !bytes_equal(known->path, listed->path) && !is_inbox(known->path) &&
           !is_inbox(listed->path) && !listed->is_noselect &&
           listed->left_out == SOURCE_NOT_LEFT_OUT &&
           /* its former name is another mailbox's now, or nobody's */
           (there == NULL || there->object_id.len > 0);
}

/* ---- both ---- */

/* Ids that only one has, on either side. */
static size_t pair_by_id(const struct ingest_listing *listing,
                         const struct source_mailbox_list *known, struct arena *arena,
                         struct ingest_rename *renames)
{
    size_t known_count;
    size_t listed_count;
    const struct source_mailbox **k = sort_known(known, arena, &known_count);
    const struct ingest_listed **l = sort_listed(listing, arena, &listed_count);
    size_t count = 0;

    for (size_t i = 0, at = 0; i < known_count; i++) {
        bool is_double = (i > 0 && bytes_equal(k[i - 1]->object_id, k[i]->object_id)) ||
                         (i + 1 < known_count && bytes_equal(k[i + 1]->object_id, k[i]->object_id));

        while (at < listed_count && bytes_compare(l[at]->object_id, k[i]->object_id) < 0)
            at++;
        if (at == listed_count || !bytes_equal(l[at]->object_id, k[i]->object_id))
            continue;
        is_double |= at + 1 < listed_count && bytes_equal(l[at + 1]->object_id, k[i]->object_id);
        if (!is_double && is_renamed(k[i], l[at], listing))
            renames[count++] = (struct ingest_rename){ k[i], l[at] };
    }
    return count;
}

static int compare_by_former(const void *a, const void *b)
{
    const struct ingest_rename *x = a;
    const struct ingest_rename *y = b;

    return ingest_compare_paths(x->known->path, y->known->path);
}

static bool has_path(const struct source_mailbox_list *known, struct bytes path)
{
    size_t low = 0;
    size_t high = known->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ingest_compare_paths(known->rows[middle].path, path);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Is the mailbox that is archived under this path renamed itself? By former path, sorted. */
static bool moves_away(const struct ingest_rename *renames, size_t count, struct bytes path)
{
    struct source_mailbox there = { .path = path };
    struct ingest_rename wanted = { &there, NULL };

    return count > 0 && bsearch(&wanted, renames, count, sizeof wanted, compare_by_former) != NULL;
}

/* Those whose new path stays another mailbox's are dropped, until each of the rest finds its place. Of chains so
 * long that this does not end, none is renamed. */
static size_t drop_blocked(const struct source_mailbox_list *known, struct ingest_rename *renames,
                           size_t count)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        size_t before = count;

        count = 0;
        for (size_t i = 0; i < before; i++) {
            struct bytes path = renames[i].listed->path;

            /* Behind `count` stand those of this round that were not looked at yet, and earlier ones. */
            if (!has_path(known, path) || moves_away(renames + i, before - i, path) ||
                moves_away(renames, count, path))
                renames[count++] = renames[i];
        }
        if (count == before)
            return count;
    }
    return 0;
}

size_t ingest_find_renames(const struct ingest_listing *listing,
                           const struct source_mailbox_list *known, struct arena *arena,
                           const struct ingest_rename **renames)
{
    struct ingest_rename *found = arena_new_array(arena, struct ingest_rename, known->count);
    size_t count = pair_by_id(listing, known, arena, found);

    if (count > 0)
        qsort(found, count, sizeof *found, compare_by_former);
    *renames = found;
    return drop_blocked(known, found, count);
}
