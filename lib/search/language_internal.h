/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search/language_internal.h - a parsed query, as the files of the language share it.
 */
#pragma once

#include "search/language.h"

/* How the value of a field is read. */
enum search_value {
    SEARCH_VALUE_TEXT,    /* any text, not empty */
    SEARCH_VALUE_HEADER,  /* NAME or NAME=text */
    SEARCH_VALUE_ID,      /* a Message-ID, with or without its angle brackets */
    SEARCH_VALUE_HASH,    /* the front of a SHA-256 */
    SEARCH_VALUE_DAY,     /* YYYY, YYYY-MM, YYYY-MM-DD */
    SEARCH_VALUE_SIZE,    /* 10k, 2M */
    SEARCH_VALUE_STATE,   /* is: */
    SEARCH_VALUE_HAS,     /* has: */
    SEARCH_VALUE_ACCOUNT, /* these three are decided per mailbox */
    SEARCH_VALUE_LEVELS,
    SEARCH_VALUE_PATH,
};

/* A field. To add one: its row in language_field.c, its line in README.md, a test. */
struct search_field {
    struct bytes name;
    enum search_value value;
    enum imap_search_kind kind; /* where the value alone does not say it */
};

/* NULL: there is none of this name; ASCII case ignored. */
const struct search_field *search_find_field(struct bytes name);

/* The field of bare words. */
const struct search_field *search_text_field(void);

/* "from, to, …" */
void search_write_field_names(struct buf *out);

/*
 * Makes the key of one value. name: of SEARCH_VALUE_HEADER, else empty. False: *mistake says what is
 * wrong with the value (words of ours).
 */
MUST_USE bool search_make_key(const struct search_field *field, struct bytes name,
                              struct bytes value, struct arena *arena, struct imap_search_key *key,
                              const char **mistake);

enum search_term_kind {
    SEARCH_TERM_KEY,
    SEARCH_TERM_ALL, /* "*" */
    SEARCH_TERM_PLACE,
    SEARCH_TERM_AND, /* two children or more */
    SEARCH_TERM_OR,  /* likewise */
    SEARCH_TERM_NOT, /* one child */
};

struct search_term {
    enum search_term_kind kind;
    const struct search_field *field; /* KEY, PLACE */
    struct bytes name, value;         /* as typed, without quotes */
    struct imap_search_key key;       /* KEY */
    struct bytes pattern;             /* PLACE: value folded */
    bool has_place;                   /* it or a child is decided per mailbox */
    const struct search_term *children;
    const struct search_term *next;
};

struct search_query {
    const struct search_term *root;
    const struct imap_search_key *key; /* for every mailbox, when no term has a place */
    const struct search_word *words;
    size_t word_count;
    bool is_mixed;
};

/* language_place.c. Names as they are compared: case folded, composed alike. */
struct bytes search_fold_name(struct bytes name, struct arena *arena);

/* The tree of a query in which no term has a place; NULL: nothing can match. */
const struct imap_search_key *search_build_key(const struct search_term *root, struct arena *arena);
