/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/diff.h - what a source shows now, against what is known. Pure.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "imap/flag.h"
#include "source/mailbox.h"

/* Keyword names of a mailbox, numbered: first as the database has them, then those met since. */
struct ingest_names {
    struct arena *arena; /* as long-lived as the mailbox */
    struct bytes *names; /* empty: the number is not in use */
    size_t count, cap;
    size_t known_count; /* numbers below it are the database's */
};

MUST_USE bool ingest_start_names(const struct source_keywords *known, struct arena *arena,
                                 struct ingest_names *out, struct err *err);

/* The number of a name (ASCII case ignored), given to it now if it has none. */
MUST_USE bool ingest_number_of(struct ingest_names *names, struct bytes name, uint16_t *out,
                               struct err *err);

/*
 * A keyword as the database can hold it: UTF-8 without NUL, at most LIMIT_KEYWORD_BYTES. One that is
 * not is taken as Latin-1, cut. Appends.
 */
void ingest_write_keyword(struct buf *out, struct bytes sent);

/* A message as the enumeration showed it. */
struct ingest_seen {
    uint32_t uid;
    uint8_t flags; /* IMAP_FLAG_* */
    bool has_flags;
    uint16_t keyword_count;
    const uint16_t *keywords; /* numbers */
    int64_t internal_usec;    /* INT64_MIN: not asked for */
};

/* Sorts by UID; of doubles the one that came last stays. Returns how many are left. */
size_t ingest_sort_seen(struct ingest_seen *seen, size_t count);

/* How many keywords a placement's bitmap names. */
size_t ingest_count_bits(struct bytes bitmap);

enum ingest_difference {
    INGEST_SAME,
    INGEST_FRESH,    /* seen, not known */
    INGEST_VANISHED, /* known (stored or pending), not seen */
    INGEST_BACK,     /* known as gone, seen */
    INGEST_CHANGED,  /* flags or keywords */
    INGEST_REPLACED, /* the same UID with another INTERNALDATE: another message */
};

/* Walks over both ascending lists at once. */
struct ingest_diff {
    const struct ingest_seen *seen;
    size_t seen_count, seen_at;
    const struct source_known *known;
    size_t known_count, known_at;
};

/* The next UID of either list, ascending; *known or *seen is NULL where it is absent. False: end. */
MUST_USE bool ingest_next_difference(struct ingest_diff *diff, const struct ingest_names *names,
                                     enum ingest_difference *kind, const struct ingest_seen **seen,
                                     const struct source_known **known);
