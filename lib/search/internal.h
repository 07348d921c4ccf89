/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/internal.h - the query as search keeps it, and the table of its keys.
 */
#pragma once

#include "base/buf.h"
#include "db/db.h"
#include "search/search.h"

enum search_arg {
    SEARCH_ARG_NONE,
    SEARCH_ARG_FLAG,
    SEARCH_ARG_KEYWORD,
    SEARCH_ARG_SET,
    SEARCH_ARG_DATE,
    SEARCH_ARG_NUMBER,
    SEARCH_ARG_CHILDREN,
    SEARCH_ARG_LATER, /* not offered yet */
};

struct search_key_row {
    const char *name;
    enum search_arg arg;
    const char *fragment; /* "?" is the argument; NULL: written by sql.c */
};

/* The row of a kind; every kind has one. */
const struct search_key_row *search_key_row(enum imap_search_kind kind);

/* A key with its sets resolved. */
struct search_node {
    const struct imap_search_key *key;
    const struct vault_uid_range *ranges; /* SEARCH_ARG_SET */
    size_t range_count;
    const struct search_node *children;
    const struct search_node *next;
};

struct search {
    struct search_scope scope;
    struct arena *arena;
    const struct search_node *root;
    uint32_t after_uid;   /* hits up to it were given */
    uint32_t through_uid; /* none is beyond */
    bool is_pure;         /* UIDs alone decide: no SQL */
    const char *sql;
    struct db_value *values; /* after_uid is the third */
    size_t value_count;
};

/* What is known without the database, or not. */
enum search_truth {
    SEARCH_NO,
    SEARCH_YES,
    SEARCH_ASK,
};
enum search_truth search_truth_of(const struct search_scope *scope, const struct search_node *node,
                                  uint32_t uid);

/* sql.c: sets sql and values. */
MUST_USE bool search_assemble(struct search *search, struct err *err);
