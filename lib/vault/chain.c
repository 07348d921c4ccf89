/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/chain.h"

#include "base/fd.h"
#include "store/line.h"
#include "vault/seal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum {
    HEAD_BYTES = 4096, /* the first line: numbers, two hashes, a name of at most 128 octets */
    HEAD_ARENA_BYTES = 1 << 20,
    LINKS_MAX = 1 << 20,
};

/* ---- one file --------------------------------------------------------------------------------------- */

struct head {
    struct buf line;
    bool is_whole;
};

/* store_octets_sink: up to the first line feed. */
static bool take_head(void *context, struct bytes octets, struct err *err)
{
    struct head *head = context;
    struct bytes line;

    (void)err;
    if (head->is_whole)
        return true;
    head->is_whole = scan_until_byte(&octets, '\n', &line);
    buf_append(&head->line, head->is_whole ? line : octets);
    return true;
}

static bool read_head_line(struct store_pack *pack, struct arena *arena, struct store_line *out,
                           struct err *err)
{
    struct head head = { .line = buf_create(HEAD_BYTES) };
    size_t run_frames;
    bool is_read = store_read_catalogue(pack, HEAD_BYTES, take_head, &head, &run_frames, err);

    if (is_read && !head.is_whole)
        is_read = err_fail(err, ERR_SYNTAX, "the catalogue does not begin with a line");
    is_read = is_read && store_read_line(buf_bytes(&head.line), arena, out, err);
    buf_free(&head.line);
    return is_read;
}

static void take_line(const struct store_line *line, int64_t account_id, struct vault_link *link)
{
    enum store_line_type wanted = account_id == 0 ? STORE_LINE_INSTALLATION : STORE_LINE_CATALOGUE;

    if (line->type != wanted) {
        link->state = VAULT_LINK_FOREIGN;
        link->what = "its catalogue is of another kind";
        return;
    }
    link->number = line->values[STORE_HEAD_NUMBER].number;
    link->sealed_usec = line->values[STORE_HEAD_SEALED_AT].number;
    if (wanted == STORE_LINE_CATALOGUE && !line->values[STORE_HEAD_INSTALLATION].is_null)
        link->installation = line->values[STORE_HEAD_INSTALLATION].number;
    link->has_previous = !line->values[STORE_HEAD_PREVIOUS].is_null;
    if (link->has_previous)
        memcpy(link->previous.octets, line->values[STORE_HEAD_PREVIOUS].octets.ptr,
               sizeof link->previous.octets);
    if (line->values[STORE_HEAD_ACCOUNT].number != account_id) {
        link->state = VAULT_LINK_FOREIGN;
        link->what = "it is of another account";
    }
}

/* Whatever is wrong with the file is a state; failure: its path. */
static bool read_link(const struct vault_pack_paths *paths, int64_t account_id, struct arena *arena,
                      struct vault_link *link, struct err *err)
{
    CLEANUP(arena_free) struct arena *scratch = arena_create(HEAD_ARENA_BYTES);
    CLEANUP(store_close_pack) struct store_pack *pack = NULL;
    CLEANUP(fd_close) int fd = -1;
    char path[PATH_MAX];
    uint64_t size_bytes;
    struct store_line line;
    struct err why = { 0 };

    if (!vault_make_pack_path(paths, &link->sha256, path, err))
        return false;
    if (vault_open_pack_file(path, &fd, &size_bytes, &pack, &why) &&
        read_head_line(pack, scratch, &line, &why)) {
        take_line(&line, account_id, link);
        return true;
    }
    link->state = VAULT_LINK_UNREADABLE;
    link->what = arena_text(arena, why.text);
    return true;
}

/* ---- all of a folder ---------------------------------------------------------------------------------- */

static bool read_links(const struct vault_pack_paths *paths, int64_t account_id, DIR *folder,
                       struct arena *arena, struct buf *links, struct err *err)
{
    const struct dirent *entry;

    while (errno = 0, (entry = readdir(folder)) != NULL) {
        struct vault_link link = { .state = VAULT_LINK_OUTSIDE };

        if (!vault_read_pack_name(entry->d_name, &link.sha256))
            continue;
        if (!read_link(paths, account_id, arena, &link, err))
            return false;
        buf_append(links, bytes_of(&link, sizeof link));
        if (links->has_failed)
            return err_fail(err, ERR_LIMIT, "more than %d packs in a folder", LINKS_MAX);
    }
    return errno == 0 || err_errno(err, "folder %s", paths->folder);
}

static int by_hash(const void *a, const void *b)
{
    const struct vault_link *x = a, *y = b;

    return memcmp(x->sha256.octets, y->sha256.octets, sizeof x->sha256.octets);
}

static struct vault_link *find_link(struct vault_link *links, size_t count,
                                    const struct crypto_sha256 *sha256)
{
    struct vault_link key = { .sha256 = *sha256 };

    return count == 0 ? NULL : bsearch(&key, links, count, sizeof *links, by_hash);
}

/* The newest of those that nothing leads to, older than `below`; NULL: none. */
static struct vault_link *find_newest(struct vault_link *links, size_t count, int64_t below)
{
    struct vault_link *newest = NULL;

    for (size_t i = 0; i < count; i++) {
        struct vault_link *link = &links[i];

        if (link->state == VAULT_LINK_OUTSIDE && link->number < below &&
            (newest == NULL || link->number > newest->number ||
             (link->number == newest->number && link->sealed_usec > newest->sealed_usec)))
            newest = link;
    }
    return newest;
}

static void find_tips(struct vault_link *links, size_t count)
{
    for (size_t i = 0; i < count; i++)
        links[i].is_tip = links[i].state == VAULT_LINK_OUTSIDE;
    for (size_t i = 0; i < count; i++) {
        struct vault_link *previous = links[i].has_previous && links[i].state == VAULT_LINK_OUTSIDE
                                          ? find_link(links, count, &links[i].previous)
                                          : NULL;

        if (previous != NULL && previous->number < links[i].number)
            previous->is_tip = false;
    }
}

static bool is_wanted(const struct vault_link *link, const struct vault_tips *tips)
{
    char name[VAULT_PACK_NAME_BYTES];

    vault_write_pack_name(&link->sha256, name);
    for (size_t i = 0; tips != NULL && i < tips->count; i++)
        if (strncmp(name, tips->digits[i], strlen(tips->digits[i])) == 0)
            return true;
    return false;
}

/* The newest that the operator wants of those that nothing leads to yet, older than `below`; NULL: none. */
static struct vault_link *find_wanted(struct vault_link *links, size_t count, int64_t below,
                                      const struct vault_tips *tips)
{
    struct vault_link *newest = NULL;

    for (size_t i = 0; i < count; i++) {
        struct vault_link *link = &links[i];

        if (link->state == VAULT_LINK_OUTSIDE && link->number < below &&
            (newest == NULL || link->number > newest->number) && is_wanted(link, tips))
            newest = link;
    }
    return newest;
}

/* Which one goes on behind a hole, that has this number. */
static struct vault_link *cross(struct vault_link *links, size_t count, int64_t hole,
                                const struct vault_tips *tips)
{
    struct vault_link *wanted = find_wanted(links, count, hole, tips);
    struct vault_link *next = wanted != NULL ? wanted : find_newest(links, count, hole);

    if (next != NULL)
        next->is_guess = wanted == NULL;
    return next;
}

/* Follows `previous` from this one on; chain gets them newest first. */
static void follow(struct vault_link *links, size_t count, const struct vault_tips *tips,
                   struct vault_link *at, struct buf *chain)
{
    while (at != NULL) {
        int64_t number = at->number;
        struct vault_link hole = { .state = VAULT_LINK_MISSING, .number = number - 1 };

        at->state = VAULT_LINK_GOOD;
        buf_append(chain, bytes_of(at, sizeof *at));
        if (!at->has_previous)
            return;
        hole.sha256 = at->previous;
        at = find_link(links, count, &hole.sha256);
        if (at != NULL && at->state == VAULT_LINK_OUTSIDE && at->number < number)
            continue;
        if (at != NULL && at->state == VAULT_LINK_UNREADABLE) {
            at->number = number - 1;
            buf_append(chain, bytes_of(at, sizeof *at));
            at->state = VAULT_LINK_MISSING; /* told */
        } else {
            buf_append(chain, bytes_of(&hole, sizeof hole));
        }
        at = cross(links, count, number - 1, tips);
    }
}

/* The first one behind a hole is no guess if it ends a branch, and no other could stand there. */
static void settle_guesses(struct vault_link *links, size_t in_chain, int64_t lowest_outside)
{
    for (size_t i = 0; i + 1 < in_chain; i++)
        links[i].is_guess =
            links[i].is_guess && (!links[i].is_tip || lowest_outside < links[i + 1].number);
}

static void lay_out(const struct buf *chain, const struct vault_link *links, size_t count,
                    struct arena *arena, struct vault_chain *out)
{
    size_t in_chain = vault_count(chain, sizeof *links);
    const struct vault_link *newest_first = (const struct vault_link *)(const void *)chain->ptr;
    struct vault_link *all = arena_new_array(arena, struct vault_link, in_chain + count);
    int64_t lowest_outside = INT64_MAX;

    for (size_t i = 0; i < in_chain; i++)
        all[i] = newest_first[in_chain - 1 - i];
    out->in_chain = out->count = in_chain;
    for (size_t i = 0; i < count; i++)
        if (links[i].state != VAULT_LINK_GOOD && links[i].state != VAULT_LINK_MISSING) {
            all[out->count++] = links[i];
            if (links[i].state == VAULT_LINK_OUTSIDE && links[i].number < lowest_outside)
                lowest_outside = links[i].number;
        }
    settle_guesses(all, in_chain, lowest_outside);
    out->links = all;
}

/* Packs outside, and the operator has not said which ones to follow, or more than can be followed. */
static bool is_forked(const struct vault_chain *chain, const struct vault_tips *tips)
{
    bool has_outside = false;
    bool is_open = chain->in_chain > 0 && !is_wanted(&chain->links[chain->in_chain - 1], tips);

    for (size_t i = 0; i < chain->in_chain; i++)
        is_open = is_open || chain->links[i].is_guess;
    for (size_t i = chain->in_chain; i < chain->count; i++)
        if (chain->links[i].state == VAULT_LINK_OUTSIDE) {
            has_outside = true;
            is_open = is_open || is_wanted(&chain->links[i], tips);
        }
    return has_outside && is_open;
}

bool vault_read_chain(const char *packs_dir, int64_t account_id, const struct vault_tips *tips,
                      struct arena *arena, struct vault_chain *out, struct err *err)
{
    CLEANUP(buf_free) struct buf links = buf_create(LINKS_MAX * sizeof(struct vault_link));
    CLEANUP(buf_free) struct buf chain = buf_create(2 * LINKS_MAX * sizeof(struct vault_link));
    struct vault_pack_paths paths;
    struct vault_link *all, *wanted;
    size_t count;
    DIR *folder;
    bool is_read;

    if (!vault_make_pack_paths(packs_dir, account_id, &paths, err))
        return false;
    folder = opendir(paths.folder);
    if (folder == NULL && errno != ENOENT)
        return err_errno(err, "folder %s", paths.folder);
    is_read = folder == NULL || read_links(&paths, account_id, folder, arena, &links, err);
    if (folder != NULL)
        (void)closedir(folder);
    if (!is_read)
        return false;
    all = (struct vault_link *)(void *)links.ptr;
    count = vault_count(&links, sizeof *all);
    if (count > 0)
        qsort(all, count, sizeof *all, by_hash);
    find_tips(all, count);
    wanted = find_wanted(all, count, INT64_MAX, tips);
    if (wanted == NULL || !wanted->is_tip)
        wanted = find_newest(all, count, INT64_MAX);
    follow(all, count, tips, wanted, &chain);
    lay_out(&chain, all, count, arena, out);
    out->is_forked = is_forked(out, tips);
    return true;
}

/* ---- folders ------------------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y ? 1 : 0;
}

bool vault_find_pack_folders(const char *packs_dir, struct arena *arena, const int64_t **ids,
                             size_t *count, struct err *err)
{
    CLEANUP(buf_free) struct buf found = buf_create(LINKS_MAX * sizeof(int64_t));
    const struct dirent *entry;
    int64_t *copy;
    bool is_read;
    DIR *folder = opendir(packs_dir);

    if (folder == NULL && errno == ENOENT) {
        *count = 0;
        return true;
    }
    if (folder == NULL)
        return err_errno(err, "folder %s", packs_dir);
    while (errno = 0, (entry = readdir(folder)) != NULL) {
        struct bytes rest = bytes_of_text(entry->d_name);
        uint64_t id;
        int64_t number;

        if (entry->d_name[0] == '0' || !scan_u64(&rest, &id) || rest.len > 0 || id > INT64_MAX)
            continue;
        number = (int64_t)id;
        buf_append(&found, bytes_of(&number, sizeof number));
    }
    is_read = errno == 0 || err_errno(err, "folder %s", packs_dir);
    (void)closedir(folder);
    if (!is_read)
        return false;
    if (found.has_failed)
        return err_fail(err, ERR_LIMIT, "more than %d folders of accounts", LINKS_MAX);
    *count = vault_count(&found, sizeof *copy);
    copy = arena_new_array(arena, int64_t, *count);
    if (*count > 0)
        memcpy(copy, found.ptr, found.len);
    qsort(copy, *count, sizeof *copy, by_number);
    *ids = copy;
    return true;
}
