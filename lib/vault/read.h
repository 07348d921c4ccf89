/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/read.h - the one way out: mailboxes, placements and octets, as a token may see them.
 *
 * Every unit of work is one REPEATABLE READ READ ONLY transaction on a connection borrowed from the
 * pool for just that long, and sets the token first: the row-level policies decide what exists. What
 * a token may not see is ERR_ABSENT, exactly as what is not there. A session that is over sees nothing.
 *
 * A reader belongs to one thread at a time. Opening one costs no round trip and little memory; it
 * keeps frames between calls until vault_trim_reader. Rows live in the caller's arena.
 *
 * Codes: ERR_RETRY (database, pool), ERR_ABSENT, ERR_CORRUPT (a frame fails its check: nothing of it
 * was given out), ERR_LIMIT (the arena's ceiling).
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"
#include "store/frame.h"
#include "vault/flag.h"

struct db_pool;
struct vault_reader;

/* What lies beside one another under the hash of a pack. */
enum vault_file {
    VAULT_FILE_PACK,
    VAULT_FILE_TEXT, /* its segment of search text: derived, may be missing */
};

/*
 * Opens a pack for reading, or its text segment; *fd is then the reader's, which keeps a few open. A
 * pack of another account than asked for must fail.
 */
struct vault_pack_opener {
    bool (*open)(void *context, enum vault_file file, int64_t account_id, int64_t pack_id,
                 struct bytes sha256, int *fd, struct err *err);
    void *context;
};

/*
 * token: text, as the gate gave it; copied. NULL: none, for roles that need none (owner, keeper).
 * opener: copied. NULL: frames in packs fail with ERR_ABSENT.
 */
MUST_USE bool vault_open_reader(struct db_pool *pool, const struct secret *token,
                                const struct vault_pack_opener *opener, struct vault_reader **out,
                                struct err *err);
void vault_close_reader(struct vault_reader **reader);

/* Gives all memory and descriptors for frames back, for a session that is parked: under 1 KiB stays. */
void vault_trim_reader(struct vault_reader *reader);

/* ---- accounts and mailboxes ---------------------------------------------------------------- */

struct vault_account {
    int64_t account_id;
    struct bytes name;
};

/* The accounts that may be seen, behind `after` (empty: from the first), at most limit of them. The
 * order is the database's, good for paging only. */
MUST_USE bool vault_list_accounts(struct vault_reader *reader, struct bytes after, size_t limit,
                                  struct arena *arena, const struct vault_account **rows,
                                  size_t *count, struct err *err);

struct vault_mailbox_row {
    int64_t account_id;
    int64_t mailbox_id;
    struct bytes account_name;
    struct bytes path;        /* "/" between levels */
    struct bytes source_name; /* as on the source's wire */
    struct bytes special_use; /* "\Sent"; empty: none */
    uint32_t uidvalidity;
    uint64_t uidnext; /* up to 2^32 */
    uint64_t highestmodseq;
    uint64_t messages;
    uint64_t unseen;
    uint64_t deleted; /* with the captured \Deleted */
    uint64_t octets;
    bool is_noselect;
    bool is_gone; /* no longer listed by the source */
};

/*
 * One keyset page. after: the last row of the page before (its account_name and path), NULL: the
 * first page. account: only this one's mailboxes; empty: all. limit: 1 … LIMIT_PAGE_ROWS.
 */
MUST_USE bool vault_list_mailboxes(struct vault_reader *reader, struct bytes account,
                                   const struct vault_mailbox_row *after, size_t limit,
                                   struct arena *arena, const struct vault_mailbox_row **rows,
                                   size_t *count, struct err *err);

MUST_USE bool vault_find_mailbox(struct vault_reader *reader, struct bytes account,
                                 struct bytes path, struct arena *arena,
                                 struct vault_mailbox_row *out, struct err *err);

struct vault_uid_range {
    uint32_t first;
    uint32_t last; /* >= first */
};

/* A mailbox as one transaction saw it. Costs the same with a thousand or ten million messages. */
struct vault_mailbox {
    struct vault_mailbox_row row;
    uint32_t first_unseen_uid;    /* 0: none */
    const struct bytes *keywords; /* by number; empty: that number is not in use */
    size_t keyword_count;
    const struct vault_uid_range *disposed; /* ascending; UIDs that are not, or no longer, there */
    size_t disposed_count;
    /* of these ranges those that no message ever had (README 35) */
    const struct vault_uid_range *skipped;
    size_t skipped_count;
};

MUST_USE bool vault_load_mailbox(struct vault_reader *reader, int64_t account_id,
                                 int64_t mailbox_id, struct arena *arena, struct vault_mailbox *out,
                                 struct err *err);

/* The counters alone, for polling: the strings of *out are empty. */
MUST_USE bool vault_poll_mailbox(struct vault_reader *reader, int64_t account_id,
                                 int64_t mailbox_id, struct vault_mailbox_row *out,
                                 struct err *err);

/* ---- UIDs and sequence numbers: pure, by the disposed ranges -------------------------------- */

/* How many messages there are: EXISTS. */
uint32_t vault_count_messages(const struct vault_mailbox *mailbox);

/* How many have a UID of at most uid. If uid is there, that is its sequence number. */
uint32_t vault_count_through_uid(const struct vault_mailbox *mailbox, uint32_t uid);

bool vault_uid_exists(const struct vault_mailbox *mailbox, uint32_t uid);

/* The UID at a sequence number; 0 when there are fewer messages, or seq is 0. */
uint32_t vault_uid_at_seq(const struct vault_mailbox *mailbox, uint32_t seq);

/* ---- placements ---------------------------------------------------------------------------- */

/* Where the octets of a message are: what the octet functions take. A plain value. */
struct vault_octets {
    int64_t account_id;
    int64_t message_id;  /* should the keeper have moved them since: see vault_stream_octets */
    int64_t run_id;      /* 0: not asked for */
    uint64_t raw_offset; /* of the first octet in the run's raw stream */
    uint64_t size_bytes;
};

/* Which columns are needed beside those of the placement itself. */
enum vault_columns {
    VAULT_WITH_SIZE = 1,    /* size_bytes, sha256 */
    VAULT_WITH_LOCATOR = 3, /* and octets */
    VAULT_WITH_INDEX = 7,   /* and index */
};

enum {
    VAULT_INDEX_PAGE_BYTES =
        32 << 10, /* of the index of one message in a page; larger is not given */
    VAULT_BRIEF_INDEX_BYTES = 16 << 10, /* of a brief page, which has more rows */
};

/* What was derived from a message (vault/write.h). Where a value is missing, the caller parses. */
struct vault_index_row {
    int32_t parser_version; /* 0: no row, or it is over VAULT_INDEX_PAGE_BYTES */
    struct bytes envelope, bodystructure, structure; /* ptr NULL: not stored */
};

struct vault_placement {
    uint32_t uid;
    uint8_t flags; /* VAULT_FLAG_*, as the source said last */
    bool is_gone;  /* vanished at the source */
    int16_t internal_zone;
    int64_t internal_usec;
    int64_t archived_usec; /* SAVEDATE */
    int64_t gone_usec;     /* when is_gone */
    uint64_t modseq;
    uint64_t appeared_modseq;
    struct bytes keywords; /* bitmap: vault_has_keyword */
    int64_t message_id;
    uint64_t size_bytes;          /* VAULT_WITH_SIZE */
    struct crypto_sha256 sha256;  /* VAULT_WITH_SIZE */
    struct vault_octets octets;   /* VAULT_WITH_LOCATOR */
    struct vault_index_row index; /* VAULT_WITH_INDEX */
};

static inline bool vault_has_keyword(const struct vault_placement *placement, size_t number)
{
    return number / 8 < placement->keywords.len &&
           (placement->keywords.ptr[number / 8] >> (number % 8) & 1) != 0;
}

struct vault_placement_query {
    int64_t account_id;
    int64_t mailbox_id;
    const struct vault_uid_range *ranges; /* ascending, apart; `last` may be far past UIDNEXT */
    size_t range_count;
    uint32_t after_uid;     /* 0, then through_uid of the page before */
    uint64_t changed_since; /* only rows whose MODSEQ is greater, without index; 0: all */
    uint64_t as_of_modseq;  /* flags, keywords and disappearance as of then, and VAULT_WITH_LOCATOR
                               (octets.run_id 0: the locator is missing); 0: as now */
    unsigned columns;       /* enum vault_columns, or 0 */
    /*
     * A hint: only uid, flags, keywords and is_gone are wanted; with VAULT_WITH_SIZE also INTERNALDATE
     * and size_bytes; with VAULT_WITH_INDEX also envelope and bodystructure up to
     * VAULT_BRIEF_INDEX_BYTES, and octets, which cost a look-up when they are read after all. The other
     * members may be 0, or not.
     */
    bool is_brief;
    size_t limit; /* 1 … LIMIT_PAGE_ROWS; when brief and without index LIMIT_BRIEF_ROWS */
};

struct vault_placement_page {
    const struct vault_placement *rows; /* ascending UIDs */
    size_t count;                       /* may be 0 on a page that is not the last */
    uint32_t through_uid; /* everything asked for up to and with this UID has been given */
    bool is_last;
};

/* One keyset page; about a millisecond for 1,000 rows. */
MUST_USE bool vault_read_placements(struct vault_reader *reader,
                                    const struct vault_placement_query *query, struct arena *arena,
                                    struct vault_placement_page *out, struct err *err);

enum {
    VAULT_CHANGED_MAX = 65536 /* UIDs that vault_find_changed names one by one */
};

/*
 * UIDs of all messages whose MODSEQ is greater than changed_since, as ascending ranges, the last of
 * which may end at UINT32_MAX. Others may be among them (all, where very many changed): the MODSEQ of
 * a row decides. Costs steps for what changed and what is new, not for the mailbox.
 */
MUST_USE bool vault_find_changed(struct vault_reader *reader, int64_t account_id,
                                 int64_t mailbox_id, uint64_t changed_since, struct arena *arena,
                                 const struct vault_uid_range **out, size_t *count,
                                 struct err *err);

/* What was noted of a message when its index was made. */
struct vault_message_notes {
    bool is_parsed;      /* there is an index, of whatever parser */
    struct bytes names;  /* JSON, an array of names */
    uint32_t text_notes; /* TEXT_NOTE_* (text/extract.h): what of it cannot be searched */
};
MUST_USE bool vault_read_notes(struct vault_reader *reader, int64_t account_id, int64_t message_id,
                               struct arena *arena, struct vault_message_notes *out,
                               struct err *err);

/* A placement found by the hash of its octets, or the Message-ID that message_index has for it. */
struct vault_found {
    int64_t account_id;
    int64_t mailbox_id;
    struct bytes account_name;
    struct bytes path;
    struct vault_placement placement; /* VAULT_WITH_LOCATOR */
};

/* hex: 4 to 64 hexadecimal digits, the front of a SHA-256. ERR_SYNTAX: something else. */
MUST_USE bool vault_find_hash(struct vault_reader *reader, struct bytes hex, size_t limit,
                              struct arena *arena, const struct vault_found **rows, size_t *count,
                              struct err *err);

/* message_id: without angle brackets; found with and without. What was not parsed yet, and what has
 * another one in its header too, is not found so. */
MUST_USE bool vault_find_message_id(struct vault_reader *reader, struct bytes message_id,
                                    size_t limit, struct arena *arena,
                                    const struct vault_found **rows, size_t *count,
                                    struct err *err);

/* ---- octets -------------------------------------------------------------------------------- */

#define VAULT_CHECKED_BYTES (8u << 20) /* stored octets that are checked ahead and kept */

/*
 * Says which messages will be asked for next, in this order, so that their frames come in few round
 * trips (of at most 2 MiB). Only a hint; items: borrowed until the next call or vault_trim_reader.
 */
void vault_expect_octets(struct vault_reader *reader, const struct vault_octets *items,
                         size_t count);

/*
 * Before a literal is announced: fetches the frames that octets offset … offset+length-1 of the
 * message need and checks their hashes, up to VAULT_CHECKED_BYTES of them, and keeps them for the
 * next vault_stream_octets. A range past the end is cut. ERR_CORRUPT: answer NO.
 */
MUST_USE bool vault_check_octets(struct vault_reader *reader, const struct vault_octets *octets,
                                 uint64_t offset, uint64_t length, struct err *err);

/* Gets the next octets, borrowed, at most 1 MiB at once. No database connection is held meanwhile. A
 * sink must not use the reader. */
typedef bool vault_sink_fn(void *context, struct bytes octets, struct err *err);

/*
 * Gives exactly these octets to the sink, in order; a range past the end is cut. Each frame is
 * checked before any of it is given out. Failure: the error of the sink, or ours; what was given
 * until then is right. Octets that were sealed into another run meanwhile are found again.
 */
MUST_USE bool vault_stream_octets(struct vault_reader *reader, const struct vault_octets *octets,
                                  uint64_t offset, uint64_t length, vault_sink_fn *sink,
                                  void *context, struct err *err);

/* Reads the whole message and compares its SHA-256. ERR_CORRUPT: they differ. */
MUST_USE bool vault_verify_octets(struct vault_reader *reader, const struct vault_octets *octets,
                                  const struct crypto_sha256 *sha256, struct err *err);
