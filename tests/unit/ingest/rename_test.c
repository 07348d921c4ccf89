/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/rename.h"
#include "test.h"

#include <stdio.h>

/* "path id" each; both in the order of paths. */
struct fixture {
    struct arena *arena;
    struct ingest_listed listed[8];
    struct source_mailbox known[8];
    struct ingest_listing listing;
    struct source_mailbox_list list;
    const struct ingest_rename *renames;
};

static void split(const char *line, struct bytes *path, struct bytes *id)
{
    struct bytes rest = bytes_of_text(line);

    CHECK(scan_until_byte(&rest, ' ', path));
    CHECK(scan_byte(&rest, ' '));
    *id = rest;
}

static size_t find(struct fixture *f, const char *const *known, const char *const *listed)
{
    *f = (struct fixture){ .arena = arena_create(1 << 20) };
    for (; known[f->list.count] != NULL; f->list.count++)
        split(known[f->list.count], &f->known[f->list.count].path,
              &f->known[f->list.count].object_id);
    for (; listed[f->listing.count] != NULL; f->listing.count++)
        split(listed[f->listing.count], &f->listed[f->listing.count].path,
              &f->listed[f->listing.count].object_id);
    f->list.rows = f->known;
    f->listing.rows = f->listed;
    return ingest_find_renames(&f->listing, &f->list, f->arena, &f->renames);
}

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void check_none(const char *const *known, const char *const *listed)
{
    struct fixture f;

    CHECK_EQ_U64(find(&f, known, listed), 0);
    arena_free(&f.arena);
}

TEST(a_mailbox_is_found_under_its_new_name)
{
    struct fixture f;

    CHECK_EQ_U64(find(&f, LINES("INBOX 0", "A 1", "B 2"), LINES("INBOX 0", "A 1", "C 2")), 1);
    CHECK_BYTES(f.renames[0].known->path, BYTES("B"));
    CHECK_BYTES(f.renames[0].listed->path, BYTES("C"));
    arena_free(&f.arena);
    /* Another mailbox has its former name by now. */
    CHECK_EQ_U64(find(&f, LINES("A 1"), LINES("A 9", "B 1")), 1);
    arena_free(&f.arena);
}

TEST(names_may_go_round)
{
    struct fixture f;

    CHECK_EQ_U64(find(&f, LINES("A 1", "B 2"), LINES("A 2", "B 1")), 2);
    arena_free(&f.arena);
    CHECK_EQ_U64(find(&f, LINES("A 1", "B 2", "C 3"), LINES("B 1", "C 2", "D 3")), 3);
    arena_free(&f.arena);
}

TEST(a_path_that_an_archived_mailbox_keeps_is_not_taken_from_it)
{
    struct fixture f;

    /* B was deleted, and stays in the archive */
    check_none(LINES("A 1", "B 2"), LINES("B 1"));
    check_none(LINES("A 1", "B 2", "C 3"), LINES("B 1", "C 2")); /* so B cannot make room either */
    CHECK_EQ_U64(find(&f, LINES("A 1", "B 2", "C 3"), LINES("B 1", "D 3")), 1);
    CHECK_BYTES(f.renames[0].listed->path, BYTES("D"));
    arena_free(&f.arena);
}

TEST(ids_that_are_not_one_mailboxs_are_not_believed)
{
    struct fixture f;

    check_none(LINES("A 1", "B 1"), LINES("C 1"));
    check_none(LINES("A 1"), LINES("B 1", "C 1"));
    check_none(LINES("A 1"), LINES("A 1", "B 1"));
    check_none(LINES("A "), LINES("B "));
    check_none(LINES("A 1"), LINES("B 2"));
    /* What is called A now did not say who it is: it may be the same. */
    CHECK_EQ_U64(find(&f, LINES("A 1"), LINES("A ", "B 1")), 0);
    arena_free(&f.arena);
}

TEST(inbox_and_what_is_left_out_are_not_renamed)
{
    struct fixture f;

    check_none(LINES("INBOX 1"), LINES("A 1"));
    check_none(LINES("A 1"), LINES("INBOX 1"));
    (void)find(&f, LINES("A 1"), LINES("B 1"));
    f.listed[0].left_out = SOURCE_LEFT_OUT_BY_PATTERN;
    CHECK_EQ_U64(ingest_find_renames(&f.listing, &f.list, f.arena, &f.renames), 0);
    arena_free(&f.arena);
}
