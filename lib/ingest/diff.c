/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/diff.h"

#include "base/buf.h"
#include "base/limits.h"
#include "imap/mailbox.h"

#include <stdlib.h>

enum {
    NAMES_FIRST = 32
};

/* ---- keyword names ---- */

static bool add_name(struct ingest_names *names, struct bytes name, struct err *err)
{
    if (names->count == names->cap) {
        size_t cap = names->cap == 0 ? NAMES_FIRST : names->cap * 2;
        void *grown;

        if (!arena_try_alloc(names->arena, cap, sizeof *names->names, &grown, err))
            return false;
        if (names->count > 0)
            memcpy(grown, names->names, names->count * sizeof *names->names);
        names->names = grown;
        names->cap = cap;
    }
    if (!arena_try_copy(names->arena, name, LIMIT_KEYWORD_BYTES, &names->names[names->count], err))
        return false;
    names->count++;
    return true;
}

bool ingest_start_names(const struct source_keywords *known, struct arena *arena,
                        struct ingest_names *out, struct err *err)
{
    struct ingest_names names = { .arena = arena };

    for (size_t i = 0; i < known->count; i++)
        if (!add_name(&names, known->names[i], err))
            return false;
    names.known_count = names.count;
    *out = names;
    return true;
}

bool ingest_number_of(struct ingest_names *names, struct bytes name, uint16_t *out, struct err *err)
{
    for (size_t i = 0; i < names->count; i++)
        if (bytes_equal_nocase(names->names[i], name)) {
            *out = (uint16_t)i;
            return true;
        }
    if (names->count >= UINT16_MAX)
        return err_fail(err, ERR_LIMIT, "more than %u keywords", (unsigned)UINT16_MAX);
    if (!add_name(names, name, err))
        return false;
    *out = (uint16_t)(names->count - 1);
    return true;
}

void ingest_write_keyword(struct buf *out, struct bytes sent)
{
    size_t room = LIMIT_KEYWORD_BYTES;

    if (sent.len <= LIMIT_KEYWORD_BYTES && imap_is_utf8(sent) && bytes_find_byte(sent, 0) < 0) {
        buf_append(out, sent);
        return;
    }
    for (size_t i = 0; i < sent.len && room >= 2; i++) {
        uint8_t c = sent.ptr[i] == 0 ? '_' : sent.ptr[i];

        if (c < 0x80) {
            buf_byte(out, c);
            room--;
        } else {
            buf_byte(out, (uint8_t)(0xc0 | c >> 6));
            buf_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
            room -= 2;
        }
    }
}

/* ---- the walk ---- */

static int compare_seen(const void *a, const void *b)
{
    const struct ingest_seen *x = a;
    const struct ingest_seen *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

size_t ingest_sort_seen(struct ingest_seen *seen, size_t count)
{
    bool is_ascending = true;
    size_t kept = 0;

    for (size_t i = 1; i < count && is_ascending; i++)
        is_ascending = seen[i - 1].uid < seen[i].uid;
    if (is_ascending)
        return count; /* what nearly every server gives */
    qsort(seen, count, sizeof *seen, compare_seen);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && seen[kept - 1].uid == seen[i].uid)
            seen[kept - 1] = seen[i].has_flags ? seen[i] : seen[kept - 1];
        else
            seen[kept++] = seen[i];
    }
    return kept;
}

size_t ingest_count_bits(struct bytes bitmap)
{
    size_t bits = 0;

    for (size_t i = 0; i < bitmap.len; i++)
        bits += (size_t)__builtin_popcount(bitmap.ptr[i]);
    return bits;
}

static bool has_changed(const struct ingest_seen *seen, const struct source_known *known,
                        const struct ingest_names *names)
{
    if (!seen->has_flags)
        return false;
    if (seen->flags != known->flags || seen->keyword_count != ingest_count_bits(known->keywords))
        return true;
    for (size_t i = 0; i < seen->keyword_count; i++) {
        size_t number = seen->keywords[i];

        if (number >= names->known_count || number / 8 >= known->keywords.len ||
            (known->keywords.ptr[number / 8] >> (number % 8) & 1) == 0)
            return true;
    }
    return false;
}

static enum ingest_difference compare_both(const struct ingest_seen *seen,
                                           const struct source_known *known,
                                           const struct ingest_names *names)
{
    switch (known->state) {
    case SOURCE_UID_STORED:
        if (seen->internal_usec != INT64_MIN && seen->internal_usec != known->internal_usec)
            return INGEST_REPLACED;
        if (known->is_gone)
            return INGEST_BACK;
        return has_changed(seen, known, names) ? INGEST_CHANGED : INGEST_SAME;
    case SOURCE_UID_GONE:
        return INGEST_BACK;
    case SOURCE_UID_PENDING:
    case SOURCE_UID_SKIPPED:
        return INGEST_SAME;
    }
    UNREACHABLE();
}

static enum ingest_difference known_alone(const struct source_known *known)
{
    return !known->is_gone &&
                   (known->state == SOURCE_UID_STORED || known->state == SOURCE_UID_PENDING)
               ? INGEST_VANISHED
               : INGEST_SAME;
}

bool ingest_next_difference(struct ingest_diff *diff, const struct ingest_names *names,
                            enum ingest_difference *kind, const struct ingest_seen **seen,
                            const struct source_known **known)
{
    const struct ingest_seen *s = &diff->seen[diff->seen_at];
    const struct source_known *k = &diff->known[diff->known_at];

    if (diff->seen_at == diff->seen_count)
        s = NULL;
    if (diff->known_at == diff->known_count)
        k = NULL;
    if (s == NULL && k == NULL)
        return false;
    if (s != NULL && k != NULL && s->uid != k->uid) {
        if (s->uid < k->uid)
            k = NULL;
        else
            s = NULL;
    }
    diff->seen_at += s != NULL;
    diff->known_at += k != NULL;
    *kind = s == NULL ? known_alone(k) : k == NULL ? INGEST_FRESH : compare_both(s, k, names);
    *seen = s;
    *known = k;
    return true;
}
