/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/internal.h - the query as search keeps it, the table of its keys, and who decides what.
 *
 *   key.c      the table of keys
 *   tree.c     sets and texts resolved; what the leaves that are known make of the tree
 *   needle.c   texts to UTF-8
 *   sql.c      the statement
 *   column.c   what the columns of message_index would say, by the octets
 *   text.c     messages that SQL leaves over
 *   search.c   pages
 */
#pragma once

#include "base/buf.h"
#include "db/db.h"
#include "mime/parser.h"
#include "mime/summary.h"
#include "search/search.h"
#include "text/match.h"

enum search_arg {
    SEARCH_ARG_NONE,
    SEARCH_ARG_FLAG,
    SEARCH_ARG_KEYWORD,
    SEARCH_ARG_SET,
    SEARCH_ARG_DATE,
    SEARCH_ARG_NUMBER,
    SEARCH_ARG_HASH,
    SEARCH_ARG_CHILDREN,
    SEARCH_ARG_SENT,   /* by message_index; without a row, by the octets */
    SEARCH_ARG_COLUMN, /* the same */
    SEARCH_ARG_PARTS,  /* the same */
    SEARCH_ARG_TEXT,   /* by the text alone */
};

struct search_key_row {
    const char *name;
    enum search_arg arg;
    const char *fragment;       /* "?" is an argument; NULL: written by sql.c */
    const char *empty_fragment; /* SEARCH_ARG_COLUMN: of the empty text */
};

/* The row of a kind; every kind has one. */
const struct search_key_row *search_key_row(enum imap_search_kind kind);

/* Three-valued (Kleene), as SQL's true, false and NULL. */
enum search_truth {
    SEARCH_NO,
    SEARCH_YES,
    SEARCH_ASK, /* not known here */
};

enum {
    SEARCH_NOWHERE = -1
};

/* A key with its sets and texts resolved. */
struct search_node {
    const struct imap_search_key *key;
    const struct vault_uid_range *ranges; /* SEARCH_ARG_SET */
    size_t range_count;
    struct bytes needle; /* SEARCH_ARG_COLUMN: folded */
    int32_t bit;         /* among the leaves that SQL decides, or SEARCH_NOWHERE */
    int32_t text;        /* among those that the text may have to decide, or SEARCH_NOWHERE */
    bool may_ask;        /* SQL may not know it */
    const struct search_node *children;
    const struct search_node *next;
};

struct search_candidates;
struct search_scan;

struct search {
    struct search_scope scope;
    struct arena *arena;
    const struct search_node *root;
    const struct search_node **texts; /* by their numbers */
    size_t text_count, bit_count;
    uint32_t after_uid;   /* hits up to it were given, or are in the page */
    uint32_t through_uid; /* none is beyond */
    bool is_pure;         /* UIDs alone decide: no SQL */
    const char *sql;
    struct db_value *values; /* owned; after_uid is the third */
    size_t value_count, value_room;
    size_t page_rows;               /* of the statement's LIMIT */
    struct search_candidates *page; /* owned; only where the root may ask */
    struct search_scan *scan;       /* owned; the same */
    struct search_tally tally;
};

/* ---- tree.c ------------------------------------------------------------------------------------ */

/* Sets root, texts, and the counts. */
MUST_USE bool search_resolve(struct search *search, const struct imap_search_key *key,
                             struct err *err);

/* What is known without the database, or not; ASK does not depend on the UID. */
enum search_truth search_truth_of(const struct search_scope *scope, const struct search_node *node,
                                  uint32_t uid);

/* What is known about one message. */
struct search_facts {
    const struct search_scope *scope;
    uint32_t uid;
    const uint8_t *bits; /* '0', '1', '2' (not known) by number; NULL: there are none */
    /* Decides one of search->texts; NULL: none can be. */
    enum search_truth (*ask)(void *context, const struct search_node *node);
    void *context;
};
enum search_truth search_decide(const struct search_facts *facts, const struct search_node *node);

/* ---- sql.c: sets sql, values and page_rows. ------------------------------------------------------ */

MUST_USE bool search_assemble(struct search *search, struct err *err);

/* ---- column.c ------------------------------------------------------------------------------------ */

/* What message_index would say of a message that was parsed, and not cut. All in the arena, which is
 * emptied first. */
void search_summarise(const struct mime_part *root, const struct mime_parser *parser,
                      struct arena *arena, struct mime_summary *out);

/* SEARCH_ARG_COLUMN, _SENT and _PARTS: what the SQL of key.c would say. */
bool search_column_has(const struct search_node *node, const struct mime_part *root,
                       const struct mime_summary *summary);

/* ---- text.c -------------------------------------------------------------------------------------- */

MUST_USE bool search_open_scan(struct search *search, struct err *err);
void search_close_scan(struct search_scan **scan);

/* A candidate: the root is ASK as far as SQL knows. */
struct search_candidate {
    int64_t message_id;
    uint32_t uid;
    uint8_t truth; /* enum search_truth; ASK: its octets are to be read */
};

struct search_candidates {
    struct search_candidate *rows; /* ascending UIDs */
    uint8_t *bits;                 /* bit_count of each row */
    size_t count;
    size_t at; /* rows before it were given */
};

/* Decides all rows of the page that have a record. */
MUST_USE bool search_scan_records(struct search *search, struct err *err);

/* Decides the row at page->at by its octets; rows behind it are fetched along with it. */
MUST_USE bool search_scan_octets(struct search *search, struct err *err);
