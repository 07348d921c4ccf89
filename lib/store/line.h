/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/line.h - the lines of catalogues, read strictly (store/README.md 11 and 18).
 *
 * Hostile input: whatever the octets are, a line comes out as the fields that its format names, each of
 * its kind, or is refused with ERR_SYNTAX naming the field. Types and fields that are not known are
 * passed over. Texts are UTF-8 without NUL. Memory: one line, at most STORE_LINE_BYTES, and what is
 * made of it.
 *
 * To add a type or a field: its row in line.c, its paragraph in the README, and whoever stores it.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    STORE_LINE_BYTES = 16 << 20, /* certificates of an account, 1 MiB, escaped at the worst */
    STORE_FIELDS_MAX = 24,
};

enum store_line_type {
    STORE_LINE_UNKNOWN, /* a later version's: pass over it */
    /* of an account's pack */
    STORE_LINE_CATALOGUE,
    STORE_LINE_ACCOUNT,
    STORE_LINE_SCOPE,
    STORE_LINE_MAILBOX,
    STORE_LINE_FORMER,
    STORE_LINE_EPOCH,
    STORE_LINE_MESSAGE,
    STORE_LINE_PLACEMENT,
    STORE_LINE_EVENT,
    STORE_LINE_SOURCE,
    STORE_LINE_UID,
    STORE_LINE_IDENTITY,
    STORE_LINE_FILE,
    /* of an installation pack, and accounts */
    STORE_LINE_INSTALLATION,
    STORE_LINE_SECRET,
    STORE_LINE_KEY,
    STORE_LINE_AUDITOR,
    STORE_LINE_VERIFIER,
    STORE_LINE_MATTER,
    STORE_LINE_GRANT,
    STORE_LINE_HOLD,
    STORE_LINE_RETENTION,
    STORE_LINE_CREDENTIAL,
    STORE_LINE_AUDIT,
};

enum {
    STORE_LINE_TYPES = STORE_LINE_AUDIT + 1
};

enum store_kind {
    STORE_NUMBER,  /* an integer */
    STORE_SECONDS, /* any number of seconds from 0 on; value: microseconds */
    STORE_BOOL,
    STORE_TEXT,
    STORE_HEX,  /* value: the octets */
    STORE_HASH, /* likewise, 32 of them */
    STORE_TIME, /* RFC 3339 in UTC; value: microseconds since 1970 */
    STORE_DATE, /* value: days since 1970 */
    /* system flags; value: bits, 1 \Seen, 2 \Answered, 4 \Flagged, 8 \Deleted, 16 \Draft */
    STORE_FLAGS,
    STORE_TEXTS, /* value: the list as JSON, all of its items texts */
    /* value: the list as JSON, all of its items [first, last], 0 < first <= last < 2^32 */
    STORE_RANGES,
    STORE_OBJECT, /* value: as JSON */
};

struct store_field {
    const char *name; /* NULL: no more */
    enum store_kind kind;
    bool is_nullable; /* may be null, or absent */
    int64_t min, max; /* of a STORE_NUMBER */
};

struct store_line_format {
    const char *name; /* the value of "type" */
    struct store_field fields[STORE_FIELDS_MAX];
};

/* NULL for STORE_LINE_UNKNOWN. */
const struct store_line_format *store_line_format(enum store_line_type type);
size_t store_count_fields(enum store_line_type type);

struct store_value {
    bool is_null;
    int64_t number;      /* NUMBER, SECONDS, BOOL, TIME, DATE, FLAGS */
    struct bytes octets; /* the others; never with ptr NULL unless is_null */
};

struct store_line {
    enum store_line_type type;
    struct store_value values[STORE_FIELDS_MAX]; /* by the fields of the format */
};

/* Positions in the first line of a pack: STORE_LINE_CATALOGUE, STORE_LINE_INSTALLATION. */
enum {
    STORE_HEAD_VERSION,
    STORE_HEAD_ACCOUNT, /* 0 in an installation pack */
    STORE_HEAD_PREVIOUS,
    STORE_HEAD_NUMBER,
    STORE_HEAD_SEALED_AT,
    STORE_HEAD_NAME, /* this and the next not in an installation pack */
    STORE_HEAD_INSTALLATION,
};

/* A line without its line feed. Octets of *out are the arena's. ERR_SYNTAX: not as its format says.
 * ERR_LIMIT: over STORE_LINE_BYTES. */
MUST_USE bool store_read_line(struct bytes line, struct arena *arena, struct store_line *out,
                              struct err *err);

/* ---- lines from octets ----------------------------------------------------------------------------- */

/* Borrowed until it returns. False ends the feeding, its error is that of the feeding. */
typedef bool store_line_fn(void *context, struct bytes line, struct err *err);

struct store_splitter {
    struct buf rest; /* of a line that is not complete */
    store_line_fn *visit;
    void *context;
};

struct store_splitter store_create_splitter(store_line_fn *visit, void *context);
void store_free_splitter(struct store_splitter *splitter);

/* Any cut. ERR_LIMIT: a line over STORE_LINE_BYTES. */
MUST_USE bool store_split_lines(struct store_splitter *splitter, struct bytes octets,
                                struct err *err);

/* ERR_SYNTAX: the last line has no line feed. */
MUST_USE bool store_end_lines(const struct store_splitter *splitter, struct err *err);
