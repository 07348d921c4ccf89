/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/enumerate.h"
#include "peer.h"

struct bench {
    struct peer peer;
    struct ingest_client *client;
    struct arena *arena;
    struct ingest_selected selected;
    struct ingest_names names;
    struct ingest_enumeration out;
    struct err err;
};

static void start_with(struct bench *b, struct bytes script, const char *capabilities)
{
    memset(b, 0, sizeof *b);
    b->arena = arena_create(1 << 20);
    b->names.arena = b->arena;
    b->client = peer_connect(&b->peer, script, true, capabilities);
}

static void start(struct bench *b, struct bytes script)
{
    start_with(b, script, "IMAP4rev1");
}

static void drop(struct bench *b)
{
    ingest_close_client(&b->client);
    peer_close(&b->peer);
    arena_free(&b->arena);
}

static bool enumerate(struct bench *b, uint32_t first, uint32_t last)
{
    return ingest_enumerate(b->client, first, last, false, &b->selected, &b->names, b->arena,
                            &b->out, &b->err);
}

TEST(examine_tells_the_epoch_and_never_selects)
{
    struct bench b;

    start(&b, BYTES("* FLAGS (\\Seen)\r\n* 3 EXISTS\r\n* OK [UIDVALIDITY 1700000000] x\r\n"
                    "* OK [UIDNEXT 42] x\r\n* OK [HIGHESTMODSEQ 9223372036854775807] x\r\n"
                    "h1 OK [READ-ONLY] done\r\n"));
    CHECK(ingest_examine(b.client, BYTES("a b"), &b.selected, &b.err));
    CHECK_STR(peer_heard(&b.peer), "h1 EXAMINE \"a b\"\r\n");
    CHECK_EQ_U64(b.selected.exists, 3);
    CHECK_EQ_U64(b.selected.uidvalidity, 1700000000);
    CHECK_EQ_U64(b.selected.uidnext, 42);
    CHECK_EQ_U64(b.selected.highestmodseq, INT64_MAX);
    drop(&b);
}

TEST(a_missing_or_wrong_uidvalidity_is_none)
{
    struct bench b;

    start(&b, BYTES("* 1 EXISTS\r\n* OK [UIDVALIDITY 99999999999] x\r\nh1 OK done\r\n"
                    "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNOTSTICKY] x\r\n"
                    "h2 OK done\r\n"));
    CHECK(ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_EQ_U64(b.selected.uidvalidity, 0);
    CHECK(ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_EQ_U64(b.selected.uidvalidity, 0);
    drop(&b);
}

TEST(a_mailbox_that_cannot_be_opened_is_its_own_failure)
{
    struct bench b;

    start(&b, BYTES("h1 NO [NOPERM] no\r\nh2 NO [SERVERBUG] Internal error\r\n"
                    "h3 NO [LIMIT] later\r\n"));
    CHECK(!ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_EQ_U64(b.err.code, ERR_ABSENT);
    CHECK(!ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_EQ_U64(b.err.code, ERR_ABSENT);
    CHECK(!ingest_was_refused(b.client));
    CHECK(!ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK(ingest_was_refused(b.client));
    drop(&b);
}

TEST(examine_without_a_count_is_not_an_empty_mailbox)
{
    struct bench b;

    start(&b, BYTES("* 99999999999 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nh1 OK done\r\n"
                    "* OK [UIDVALIDITY 7] x\r\nh2 OK done\r\n"));
    for (int i = 0; i < 2; i++) {
        CHECK(!ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
        CHECK_EQ_U64(b.err.code, ERR_ABSENT);
        err_clear(&b.err);
    }
    drop(&b);
}

TEST(answers_come_in_any_order_and_what_was_not_asked_for_is_passed_over)
{
    struct bench b;

    start(&b, BYTES("* 3 FETCH (FLAGS (\\Seen Work) UID 30)\r\n"
                    "* 1 FETCH (FLAGS (\\Deleted))\r\n" /* unsolicited: no UID */
                    "* 1 FETCH (UID 10 FLAGS ())\r\n"
                    "* 9 FETCH (UID 999 FLAGS ())\r\n"
                    "* 2 FETCH (UID 0 FLAGS ())\r\n"
                    "* 4 EXISTS\r\n* 1 EXPUNGE\r\n"
                    "h1 OK done\r\n"));
    b.selected.exists = 3;
    CHECK(enumerate(&b, 10, 40));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 10:40 (UID FLAGS)\r\n");
    CHECK_EQ_U64(b.out.count, 2);
    CHECK_EQ_U64(b.out.seen[0].uid, 10);
    CHECK_EQ_U64(b.out.seen[1].uid, 30);
    CHECK_EQ_U64(b.out.seen[1].flags, IMAP_FLAG_SEEN);
    CHECK_EQ_U64(b.out.seen[1].keyword_count, 1);
    CHECK_BYTES(b.names.names[b.out.seen[1].keywords[0]], BYTES("Work"));
    CHECK_EQ_U64(b.selected.exists, 3);
    drop(&b);
}

TEST(an_open_range_that_gives_the_last_message_again_gives_nothing)
{
    struct bench b;

    start(&b, BYTES("* 3 FETCH (UID 30 FLAGS ())\r\nh1 OK done\r\n"));
    CHECK(enumerate(&b, 31, 0));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 31:* (UID FLAGS)\r\n");
    CHECK_EQ_U64(b.out.count, 0);
    CHECK_EQ_U64(ingest_odd_responses(b.client), 0);
    drop(&b);
}

TEST(only_a_tagged_ok_ends_an_enumeration)
{
    struct bench b;

    start(&b, BYTES("* 1 FETCH (UID 1 FLAGS ())\r\nh1 NO [SERVERBUG] oops\r\n"));
    CHECK(!enumerate(&b, 1, 0));
    CHECK_EQ_U64(b.err.code, ERR_ABSENT);
    drop(&b);
    start(&b, BYTES("* 1 FETCH (UID 1 FLAGS ())\r\n"));
    CHECK(!enumerate(&b, 1, 0));
    CHECK_EQ_U64(b.err.code, ERR_RETRY);
    CHECK_EQ_U64(b.out.count, 0);
    drop(&b);
}

TEST(what_is_still_there_is_confirmed_by_search_in_either_form)
{
    const uint32_t uids[] = { 2, 3, 4, 9 };
    uint32_t present[4];
    size_t count;
    struct bench b;

    start(&b, BYTES("* SEARCH 9 3 77 0\r\nh1 OK done\r\n"
                    "* ESEARCH (TAG \"h2\") UID ALL 2:3,1000:4294967295\r\nh2 OK done\r\n"
                    "* SEARCH\r\nh3 OK done\r\n"
                    "* SEARCH 2 2 2\r\n* SEARCH 2 3 4 9\r\nh4 OK done\r\n"
                    "h5 OK done\r\n"));
    CHECK(ingest_confirm(b.client, uids, 4, &b.selected, present, &count, &b.err));
    CHECK_STR(peer_heard(&b.peer), "h1 UID SEARCH UID 2:4,9\r\n");
    CHECK_EQ_U64(count, 2);
    CHECK_EQ_U64(present[0], 3);
    CHECK(ingest_confirm(b.client, uids, 4, &b.selected, present, &count, &b.err));
    CHECK_EQ_U64(count, 2);
    CHECK(ingest_confirm(b.client, uids, 4, &b.selected, present, &count, &b.err));
    CHECK_EQ_U64(count, 0);
    /* said twice is still there, and takes nobody's room */
    CHECK(ingest_confirm(b.client, uids, 4, &b.selected, present, &count, &b.err));
    CHECK_EQ_U64(count, 4);
    /* an OK without a list proves nothing */
    CHECK(!ingest_confirm(b.client, uids, 4, &b.selected, present, &count, &b.err));
    drop(&b);
}

/* What such an answer would have named is not gone. */
TEST(an_answer_that_cannot_be_read_or_is_to_another_question_confirms_nothing)
{
    static const struct bytes answers[] = {
        BYTES_INIT("* SEARCH 2\r\n* SEARCH 3 4x\r\nh1 OK done\r\n"),
        BYTES_INIT("* SEARCH 2\r\n* ESEARCH (TAG \"h1\") UID ALL 3,*\r\nh1 OK done\r\n"),
        BYTES_INIT("* ESEARCH (TAG \"h0\") UID ALL 2\r\nh1 OK done\r\n"),
        BYTES_INIT("* ESEARCH (TAG \"h1\") ALL 1:2\r\nh1 OK done\r\n"),
        BYTES_INIT("* ESEARCH (TAG \"h1\") UID COUNT 2\r\nh1 OK done\r\n"),
    };
    const uint32_t uids[] = { 2, 3 };
    uint32_t present[2];
    size_t count;
    struct bench b;

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        start(&b, answers[i]);
        CHECK(!ingest_confirm(b.client, uids, 2, &b.selected, present, &count, &b.err));
        CHECK_EQ_U64(b.err.code, ERR_ABSENT);
        drop(&b);
    }
    start(&b, BYTES("* ESEARCH (TAG \"h1\") UID\r\nh1 OK done\r\n"));
    CHECK(ingest_confirm(b.client, uids, 2, &b.selected, present, &count, &b.err));
    CHECK_EQ_U64(count, 0);
    drop(&b);
}

static const char offers_qresync[] = "IMAP4rev1 ENABLE CONDSTORE QRESYNC";

TEST(a_name_that_goes_as_a_literal_waits_for_qresync)
{
    struct bench b;

    start_with(&b,
               BYTES("* ENABLED QRESYNC\r\nh1 OK done\r\n+ go on\r\n* 3 EXISTS\r\nh2 OK done\r\n"),
               offers_qresync);
    CHECK(ingest_examine(b.client, BYTES("\xe4"), &b.selected, &b.err));
    CHECK_STR(peer_heard(&b.peer), "h1 ENABLE QRESYNC\r\nh2 EXAMINE {1}\r\n\xe4 (CONDSTORE)\r\n");
    CHECK_EQ_U64(b.selected.exists, 3);
    drop(&b);
}

static bool ask_changes(struct bench *b, struct ingest_changes *changes)
{
    return ingest_ask_changes(b->client, 17, &b->selected, &b->names, b->arena, changes, &b->err);
}

TEST(qresync_is_enabled_once_before_the_first_mailbox_is_opened)
{
    struct bench b;

    start_with(&b,
               BYTES("* ENABLED QRESYNC\r\nh1 OK done\r\n* 3 EXISTS\r\nh2 OK done\r\n"
                     "* 4 EXISTS\r\nh3 OK done\r\n"),
               offers_qresync);
    CHECK(ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK_STR(peer_heard(&b.peer), "h1 ENABLE QRESYNC\r\nh2 EXAMINE a (CONDSTORE)\r\n");
    CHECK(ingest_has_qresync(b.client));
    CHECK_EQ_U64(b.selected.exists, 3);
    CHECK(ingest_examine(b.client, BYTES("b"), &b.selected, &b.err));
    CHECK_EQ_U64(b.selected.exists, 4);
    drop(&b);
}

TEST(changes_are_what_was_seen_and_what_vanished_however_often_it_is_said)
{
    struct ingest_changes changes;
    struct bench b;

    start_with(&b,
               BYTES("* ENABLED QRESYNC\r\nh1 OK done\r\n* 3 EXISTS\r\nh2 OK done\r\n"
                     "* VANISHED (EARLIER) 300:310,4\r\n* VANISHED (EARLIER) 5:6,305:320\r\n"
                     "* 2 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (19))\r\n"
                     "* 1 FETCH (UID 2 FLAGS () MODSEQ (18))\r\n* VANISHED 8\r\n"
                     "h3 OK done\r\n"),
               offers_qresync);
    CHECK(ingest_examine(b.client, BYTES("a"), &b.selected, &b.err));
    CHECK(ask_changes(&b, &changes));
    CHECK(strstr(peer_heard(&b.peer), "h3 UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE 17 "
                                      "VANISHED)\r\n") != NULL);
    CHECK_EQ_U64(changes.seen.count, 2);
    CHECK_EQ_U64(changes.seen.seen[0].uid, 2);
    CHECK_EQ_U64(changes.seen.seen[1].flags, IMAP_FLAG_SEEN);
    CHECK_EQ_U64(changes.vanished.count, 3);
    CHECK_EQ_U64(imap_set_size(&changes.vanished), 3 + 1 + 21);
    CHECK_EQ_U64(b.selected.exists, 2); /* "EARLIER" was not in the count any more */
    CHECK(!changes.is_doubtful);
    drop(&b);
}

TEST(changes_of_which_some_cannot_be_read_are_doubtful_and_refused_ones_are_none)
{
    struct ingest_changes changes;
    struct bench b;

    start(&b, BYTES("* 1 FETCH (UID 2 FLAGS wrong\r\nh1 OK done\r\nh2 BAD what\r\n"));
    CHECK(ask_changes(&b, &changes));
    CHECK_STR(peer_heard(&b.peer), "h1 UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE 17)\r\n");
    CHECK(changes.is_doubtful);
    CHECK(!ask_changes(&b, &changes));
    CHECK_EQ_U64(b.err.code, ERR_ABSENT);
    drop(&b);
}
