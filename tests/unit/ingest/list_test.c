/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/list_args.h"
#include "ingest/list.h"
#include "peer.h"

struct listed {
    struct peer peer;
    struct ingest_client *client;
    struct arena *arena;
    struct ingest_listing listing;
    struct err err;
};

static bool list(struct listed *l, struct bytes script, const char *capabilities,
                 const struct source_account_settings *account)
{
    memset(l, 0, sizeof *l);
    l->arena = arena_create(1 << 20);
    l->client = peer_connect(&l->peer, script, false, capabilities);
    return ingest_list(l->client, account, INGEST_ASK_SIZES, l->arena, &l->listing, &l->err);
}

static void drop(struct listed *l)
{
    ingest_close_client(&l->client);
    peer_close(&l->peer);
    arena_free(&l->arena);
}

static const struct source_account_settings everything = { .name = BYTES_INIT("a") };

TEST(names_come_as_atoms_strings_and_literals)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST (\\HasNoChildren) \".\" {9}\r\nTo\"do.\\x\xe9\r\n"
                     "* LIST (\\Noselect) \".\" Lists\r\n"
                     "* LIST () \".\" NIL\r\n"
                     "* LIST (\\Sent) \".\" \"Sent Items\"\r\n"
                     "* LIST (\\NonExistent) \".\" Lists.gone\r\n"
                     "* LIST () \".\" inbox\r\n"
                     "h1 OK done\r\n"),
               "IMAP4rev1", &everything));
    CHECK_EQ_U64(l.listing.count, 6);
    CHECK_BYTES(l.listing.rows[0].path, BYTES("INBOX"));
    CHECK_BYTES(l.listing.rows[0].wire_name, BYTES("inbox"));
    CHECK_BYTES(l.listing.rows[1].path, BYTES("Lists"));
    CHECK(l.listing.rows[1].is_noselect);
    CHECK(l.listing.rows[2].is_noselect);
    CHECK_BYTES(l.listing.rows[3].path, BYTES("NIL"));
    CHECK_BYTES(l.listing.rows[4].special_use, BYTES("\\Sent"));
    CHECK_BYTES(l.listing.rows[5].wire_name, BYTES("To\"do.\\x\xe9"));
    drop(&l);
}

TEST(a_mailbox_that_is_listed_twice_counts_once)
{
    struct listed l;

    CHECK(list(&l, BYTES("* LIST () NIL \"INBOX\"\r\n* LIST () NIL inbox\r\nh1 OK done\r\n"),
               "IMAP4rev1", &everything));
    CHECK_EQ_U64(l.listing.count, 1);
    CHECK_EQ_U64(ingest_odd_responses(l.client), 1);
    drop(&l);
}

TEST(a_mailbox_that_is_listed_as_a_mere_name_too_is_a_mailbox)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST (\\Noselect) NIL inbox\r\n* LIST () NIL INBOX\r\n"
                     "* LIST (\\Noselect) NIL a\r\n* LIST () NIL a\r\n"
                     "* LIST () NIL b\r\n* LIST (\\Noselect) NIL b\r\nh1 OK done\r\n"),
               "IMAP4rev1", &everything));
    CHECK_EQ_U64(l.listing.count, 3);
    for (size_t i = 0; i < l.listing.count; i++)
        CHECK(!l.listing.rows[i].is_noselect);
    CHECK_EQ_U64(l.listing.unusable, 0);
    drop(&l);
}

TEST(names_that_cannot_be_archived_are_counted_and_the_others_stay)
{
    CLEANUP(buf_free) struct buf script = buf_create(1 << 20);
    struct listed l;

    buf_text(&script, "* LIST () \".\" Inbox.a\r\n* LIST () \".\" INBOX.a\r\n"
                      "* LIST () \"/\" x/y\r\n* LIST () \".\" x.y\r\n"
                      "* LIST () \".\" b\r\n* LIST () \".\" b\r\n* LIST () NIL ");
    for (size_t i = 0; i < INGEST_PATH_BYTES; i++)
        buf_byte(&script, 'f');
    buf_text(&script, "\r\n* LIST () NIL ");
    for (size_t i = 0; i <= INGEST_PATH_BYTES; i++)
        buf_byte(&script, 'l');
    buf_text(&script, "\r\n* LIST () NIL {5000}\r\n");
    for (size_t i = 0; i < 5000; i++)
        buf_byte(&script, 'l');
    buf_text(&script, "\r\nh1 OK done\r\n");
    CHECK(list(&l, buf_bytes(&script), "IMAP4rev1", &everything));
    CHECK_EQ_U64(l.listing.count, 4);
    CHECK_BYTES(l.listing.rows[0].path, BYTES("INBOX/a"));
    CHECK_BYTES(l.listing.rows[0].wire_name, BYTES("INBOX.a"));
    CHECK_EQ_U64(l.listing.unusable, 4);
    CHECK_STR(l.listing.unusable_why, "two names of the source give the same path");
    drop(&l);
}

TEST(a_list_response_that_cannot_be_read_is_counted_however_it_is_spaced)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST () NIL INBOX\r\n*  LIST () NIL \"a\r\n* LIST(\\Sent NIL b\r\n"
                     "* XLIST () NIL\r\n* LIST () \"\xe9\" c\r\nh1 OK done\r\n"),
               "IMAP4rev1", &everything));
    CHECK_EQ_U64(l.listing.count, 1);
    CHECK_EQ_U64(l.listing.unusable, 4);
    drop(&l);
}

TEST(numbers_come_with_the_list_where_that_is_offered)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST () \"/\" INBOX\r\n"
                     "* STATUS inbox (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 77 HIGHESTMODSEQ 5)\r\n"
                     "* LIST () \"/\" a\r\nh1 OK done\r\n"),
               "LIST-STATUS CONDSTORE", &everything));
    CHECK_STR(peer_heard(&l.peer), "h1 LIST \"\" \"*\" RETURN (STATUS (MESSAGES UIDNEXT "
                                   "UIDVALIDITY HIGHESTMODSEQ))\r\n");
    CHECK_EQ_U64(l.listing.rows[0].messages, 3);
    CHECK_EQ_U64(l.listing.rows[0].uidvalidity, 77);
    CHECK_EQ_U64(l.listing.rows[1].status, 0);
    drop(&l);
}

TEST(a_refused_extension_falls_back_to_the_plain_list)
{
    struct listed l;

    CHECK(list(&l, BYTES("h1 BAD what\r\n* LIST () \"/\" INBOX\r\nh2 OK done\r\n"), "LIST-STATUS",
               &everything));
    CHECK_EQ_U64(l.listing.count, 1);
    drop(&l);
}

TEST(special_uses_are_asked_for_although_numbers_are_refused)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST () \"/\" Spam\r\nh1 NO one of them is broken\r\n"
                     "* LIST (\\Junk) \"/\" Spam\r\nh2 OK done\r\n"),
               "LIST-STATUS SPECIAL-USE LIST-EXTENDED", &everything));
    CHECK(strstr(peer_heard(&l.peer), "h2 LIST \"\" \"*\" RETURN (SPECIAL-USE)\r\n") != NULL);
    CHECK_EQ_U64(l.listing.count, 1);
    CHECK((l.listing.rows[0].attributes & IMAP_MAILBOX_JUNK) != 0);
    drop(&l);
    CHECK(list(&l, BYTES("h1 NO\r\nh2 BAD\r\n* LIST () \"/\" Spam\r\nh3 OK done\r\n"),
               "LIST-STATUS SPECIAL-USE LIST-EXTENDED", &everything));
    CHECK(strstr(peer_heard(&l.peer), "h3 LIST \"\" \"*\"\r\n") != NULL);
    CHECK_EQ_U64(l.listing.count, 1);
    drop(&l);
}

TEST(special_uses_are_asked_for_and_sizes_where_the_server_has_them)
{
    struct listed l;

    CHECK(list(&l, BYTES("* LIST (\\Junk) \"/\" Spam\r\nh1 OK done\r\n"),
               "SPECIAL-USE LIST-EXTENDED", &everything));
    CHECK_STR(peer_heard(&l.peer), "h1 LIST \"\" \"*\" RETURN (SPECIAL-USE)\r\n");
    CHECK((l.listing.rows[0].attributes & IMAP_MAILBOX_JUNK) != 0);
    drop(&l);
    CHECK(list(
        &l, BYTES("* LIST () \"/\" INBOX\r\n* STATUS INBOX (MESSAGES 3 SIZE 99)\r\nh1 OK done\r\n"),
        "LIST-STATUS SPECIAL-USE STATUS=SIZE", &everything));
    CHECK((l.listing.rows[0].status & IMAP_STATUS_SIZE) != 0);
    CHECK_EQ_U64(l.listing.rows[0].size_bytes, 99);
    drop(&l);
}

TEST(a_pattern_that_matches_no_mailbox_is_found)
{
    const struct bytes include[] = { BYTES_INIT("INBOX"), BYTES_INIT("Work*") };
    const struct bytes exclude[] = { BYTES_INIT("\\Junk"), BYTES_INIT("Works/*") };
    const struct source_account_settings some = {
        .include = include, .include_count = 2, .exclude = exclude, .exclude_count = 2
    };
    struct listed l;

    CHECK(list(&l,
               BYTES("* LIST (\\Junk) \"/\" Spam\r\n* LIST () \"/\" inbox\r\n"
                     "* LIST () \"/\" Work/a\r\nh1 OK done\r\n"),
               "IMAP4rev1", &some));
    CHECK(ingest_find_unmatched(&some, &l.listing) == &exclude[1]);
    CHECK(ingest_find_unmatched(&everything, &l.listing) == NULL);
    CHECK_EQ_U64(l.listing.rows[1].left_out, SOURCE_LEFT_OUT_BY_PATTERN);
    CHECK_BYTES(l.listing.rows[1].rule, exclude[0]);
    drop(&l);
}

TEST(a_list_that_breaks_off_has_taught_nothing)
{
    struct listed l;

    CHECK(!list(&l, BYTES("* LIST () \"/\" INBOX\r\n* BYE shutting down\r\n"), "", &everything));
    CHECK_EQ_U64(l.err.code, ERR_RETRY);
    CHECK_EQ_U64(l.listing.count, 0);
    drop(&l);
}

#define NAMESPACES                                                                                 \
    "* ID (\"name\" \"Cyrus\")\r\nh1 OK\r\n"                                                       \
    "* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"\" \".\"))\r\nh2 OK\r\n"

#define ALL_LISTED                                                                                 \
    "* LIST () \".\" INBOX\r\n* LIST () \".\" INBOX.Sent\r\n* LIST () \".\" user.bob\r\n"          \
    "* LIST () \".\" Announcements\r\nh3 OK\r\n"

TEST(mailboxes_of_others_and_shared_ones_are_left_out)
{
    struct ingest_left_out left_out;
    struct listed l;

    CHECK(list(&l, BYTES(NAMESPACES ALL_LISTED), "IMAP4rev1 ID NAMESPACE", &everything));
    CHECK_EQ_U64(l.listing.count, 4);
    CHECK(l.listing.rows[0].left_out == SOURCE_NOT_LEFT_OUT);
    CHECK(l.listing.rows[1].left_out == SOURCE_LEFT_OUT_SHARED);
    CHECK(l.listing.rows[2].left_out == SOURCE_NOT_LEFT_OUT);
    CHECK(l.listing.rows[3].left_out == SOURCE_LEFT_OUT_OTHERS);
    left_out = ingest_sum_left_out(&l.listing);
    CHECK_EQ_U64(left_out.counts[SOURCE_LEFT_OUT_SHARED], 1);
    CHECK_BYTES(left_out.firsts[SOURCE_LEFT_OUT_OTHERS], BYTES("user/bob"));
    CHECK_STR(peer_heard(&l.peer), "h1 ID (\"name\" \"Holdfast\")\r\nh2 NAMESPACE\r\n"
                                   "h3 LIST \"\" \"*\"\r\n");
    drop(&l);
}

TEST(of_several_answers_to_namespace_the_first_counts)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* NAMESPACE NIL NIL ((\"\" \".\"))\r\n* NAMESPACE NIL NIL NIL\r\nh1 OK\r\n"
                     "* LIST () \".\" INBOX\r\n* LIST () \".\" Announcements\r\nh2 OK\r\n"),
               "IMAP4rev1 NAMESPACE", &everything));
    CHECK(l.listing.rows[1].left_out == SOURCE_LEFT_OUT_SHARED);
    drop(&l);
}

TEST(a_namespace_that_is_asked_for_is_archived)
{
    struct source_account_settings account = everything;
    struct listed l;

    account.namespaces = SOURCE_NAMESPACE_OTHERS;
    CHECK(list(&l, BYTES(NAMESPACES ALL_LISTED), "IMAP4rev1 ID NAMESPACE", &account));
    CHECK(l.listing.rows[1].left_out == SOURCE_LEFT_OUT_SHARED);
    CHECK(l.listing.rows[3].left_out == SOURCE_NOT_LEFT_OUT);
    drop(&l);
}

TEST(a_namespace_that_is_wanted_and_not_shown_is_listed_by_its_prefix)
{
    struct source_account_settings account = everything;
    struct listed l;

    account.namespaces = SOURCE_NAMESPACE_SHARED;
    CHECK(
        list(&l,
             BYTES("* NAMESPACE ((\"\" \"/\")) ((\"~\" \"/\")) ((\"#shared/\" \"/\"))\r\nh1 OK\r\n"
                   "* LIST () \"/\" INBOX\r\nh2 OK\r\n"
                   "* LIST () \"/\" \"#shared/Team\"\r\nh3 OK\r\n"),
             "IMAP4rev1 NAMESPACE", &account));
    CHECK_EQ_U64(l.listing.count, 2);
    CHECK_BYTES(l.listing.rows[1].path, BYTES("#shared/Team"));
    CHECK(l.listing.rows[1].left_out == SOURCE_NOT_LEFT_OUT);
    CHECK(strstr(peer_heard(&l.peer), "h3 LIST \"\" \"#shared/*\"\r\n") != NULL);
    drop(&l);
}

TEST(a_server_that_refuses_namespace_lists_what_is_personal)
{
    struct listed l;

    CHECK(list(&l, BYTES("h1 BAD what\r\n* LIST () \"/\" user/x\r\nh2 OK\r\n"),
               "IMAP4rev1 NAMESPACE", &everything));
    CHECK(l.listing.rows[0].left_out == SOURCE_NOT_LEFT_OUT);
    drop(&l);
}

TEST(an_id_tells_which_rules_hold)
{
    struct listed l;

    CHECK(list(&l,
               BYTES("* ID (\"name\" \"GImap\")\r\nh1 OK\r\n* LIST () \"/\" INBOX\r\nh2 OK\r\n"),
               "IMAP4rev1 ID", &everything));
    CHECK_STR(ingest_rules(l.client)->provider, "Gmail");
    drop(&l);
}

TEST(the_longest_prefix_tells_whose_a_mailbox_is)
{
    static const struct ingest_namespace rows[] = {
        { BYTES_INIT(""), INGEST_PERSONAL },
        { BYTES_INIT("Other Users/"), INGEST_OTHERS },
        { BYTES_INIT(""), INGEST_SHARED },
        { BYTES_INIT("Other Users/all/"), INGEST_SHARED },
    };
    static const struct ingest_namespaces spaces = { rows, ARRAY_LEN(rows) };

    CHECK(ingest_owner_of(&spaces, BYTES("Work/2024")) == INGEST_PERSONAL);
    CHECK(ingest_owner_of(&spaces, BYTES("Other Users/bob")) == INGEST_OTHERS);
    CHECK(ingest_owner_of(&spaces, BYTES("Other Users")) == INGEST_OTHERS);
    CHECK(ingest_owner_of(&spaces, BYTES("Other Users2")) == INGEST_PERSONAL);
    CHECK(ingest_owner_of(&spaces, BYTES("Other Users/all/x")) == INGEST_SHARED);
    CHECK(ingest_owner_of(&spaces, BYTES("inbox")) == INGEST_PERSONAL);
}

TEST(what_mailboxes_are_called_by_id_is_known_only_when_the_answer_ends_in_ok)
{
    static const char list_ok[] = "* LIST () \"/\" a\r\n* LIST () \"/\" b\r\nh1 OK done\r\n"
                                  "* STATUS b (MAILBOXID (F2))\r\n";
    CLEANUP(buf_free) struct buf script = buf_create(1000);
    struct listed l;

    buf_text(&script, list_ok);
    buf_text(&script, "* STATUS a (MAILBOXID (F1))\r\nh2 OK done\r\n");
    CHECK(list(&l, buf_bytes(&script), "LIST-STATUS OBJECTID", &everything));
    CHECK_BYTES(l.listing.rows[0].object_id, BYTES("F1"));
    CHECK_BYTES(l.listing.rows[1].object_id, BYTES("F2"));
    drop(&l);
    buf_reset(&script, 1000);
    buf_text(&script, list_ok);
    buf_text(&script, "h2 NO [SERVERBUG] out of memory\r\n");
    CHECK(list(&l, buf_bytes(&script), "LIST-STATUS OBJECTID", &everything));
    CHECK_EQ_U64(l.listing.count, 2);
    CHECK_EQ_U64(l.listing.rows[1].object_id.len, 0);
    drop(&l);
}
