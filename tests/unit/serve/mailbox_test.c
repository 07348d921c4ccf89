/* SPDX-License-Identifier: Apache-2.0 */
#include "mime/parser.h"
#include "serve/fake.h"

#include <stdio.h>
#include <unistd.h>

static struct fake_server *server;
static struct peer peer;

static const char *ask(const char *command)
{
    return peer_ask(&peer, command);
}

static void begin(const struct serve_settings *settings)
{
    server = fake_start(settings);
    peer_open(server, &peer);
    peer_login(&peer);
    CHECK_HAS(ask("EXAMINE Accounts/alice/INBOX"), "t OK [READ-ONLY]");
}

static void done(void)
{
    peer_close(&peer);
    fake_stop(&server);
}

static const char opened[] =
    "* FLAGS (\\Seen \\Answered \\Flagged \\Draft $Forwarded _$GoneAtSource $SourceDeleted "
    "$GoneAtSource)\r\n"
    "* OK [PERMANENTFLAGS ()] Read-only mailbox\r\n"
    "* 30 EXISTS\r\n"
    "* 0 RECENT\r\n"
    "* OK [UNSEEN 2] First unseen\r\n"
    "* OK [UIDVALIDITY 77] UIDs valid\r\n"
    "* OK [UIDNEXT 31] Predicted next UID\r\n"
    "* OK [HIGHESTMODSEQ 1] Highest\r\n"
    "t OK [READ-ONLY] Done\r\n";

/* ---- SELECT ------------------------------------------------------------------------------------- */

TEST(select_is_answered_as_examine_and_both_are_recorded)
{
    begin(NULL);
    CHECK_HAS(strchr(ask("EXAMINE Accounts/alice/INBOX"), 'F'), "PERMANENTFLAGS ()");
    CHECK_EQ_U64(fake.events[AUDIT_EXAMINE], 2);
    CHECK_HAS(ask("SELECT Accounts/alice/INBOX"), "* 30 EXISTS\r\n");
    CHECK_HAS(peer.text, strstr(opened, "* OK [PERM"));
    CHECK_EQ_U64(fake.events[AUDIT_EXAMINE], 3);
    done();
}

TEST(inbox_is_there_and_empty)
{
    begin(NULL);
    CHECK_HAS(ask("SELECT inbox"), "* 0 EXISTS\r\n");
    CHECK_HAS(peer.text, "[UIDVALIDITY 1]");
    CHECK_LACKS(peer.text, "UNSEEN");
    CHECK_STR(ask("UID FETCH 1:* FLAGS"), "t OK Done\r\n");
    CHECK_HAS(ask("FETCH 1 FLAGS"), "t BAD");
    CHECK_STR(ask("SEARCH ALL"), "* SEARCH\r\nt OK Done\r\n");
    CHECK_STR(ask("NOOP"), "t OK Done\r\n");
    done();
}

TEST(a_failed_select_leaves_nothing_selected)
{
    begin(NULL);
    CHECK_HAS(ask("SELECT nowhere"), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("FETCH 1 FLAGS"), "t BAD");
    CHECK_HAS(ask("EXAMINE Accounts/alice/INBOX (QRESYNC (77 5))"), "t BAD");
    done();
}

TEST(without_audit_no_mailbox_and_no_content)
{
    begin(NULL);
    fake.audit_fails = true;
    CHECK_STR(ask("FETCH 1 BODY.PEEK[]"), "t NO [UNAVAILABLE] Try again later\r\n");
    CHECK_STR(ask("SEARCH ALL"), "t NO [UNAVAILABLE] Try again later\r\n");
    CHECK_HAS(ask("FETCH 1 FLAGS"), "* 1 FETCH (FLAGS (\\Seen))\r\nt OK");
    CHECK_STR(ask("SELECT Accounts/alice/INBOX"), "t NO [UNAVAILABLE] Try again later\r\n");
    CHECK_HAS(ask("FETCH 1 FLAGS"), "t BAD");
    done();
}

/* ---- FETCH -------------------------------------------------------------------------------------- */

TEST(fetch_shows_flags_dates_and_sizes)
{
    begin(NULL);
    CHECK_STR(ask("FETCH 1:4 (UID FLAGS)"),
              "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"
              "* 2 FETCH (UID 2 FLAGS ($Forwarded _$GoneAtSource))\r\n"
              "* 3 FETCH (UID 3 FLAGS ($SourceDeleted))\r\n"
              "* 4 FETCH (UID 4 FLAGS ($GoneAtSource))\r\nt OK Done\r\n");
    CHECK_STR(ask("UID FETCH 30 FAST"),
              "* 30 FETCH (UID 30 FLAGS () INTERNALDATE \"09-Sep-2001 03:46:40 +0200\" "
              "RFC822.SIZE 400)\r\nt OK Done\r\n");
    done();
}

TEST(all_is_seen_where_the_operator_says_so)
{
    struct serve_settings settings = { .active_threads = 4,
                                       .allows_plain_loopback = true,
                                       .shows_all_seen = true };

    begin(&settings);
    CHECK_LACKS(ask("EXAMINE Accounts/alice/INBOX"), "UNSEEN");
    CHECK_HAS(ask("FETCH 3 FLAGS"), "* 3 FETCH (FLAGS (\\Seen $SourceDeleted))\r\n");
    CHECK_HAS(ask("STATUS Accounts/alice/INBOX (UNSEEN)"), "(UNSEEN 0)");
    CHECK_STR(ask("SEARCH UNSEEN"), "* SEARCH\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH 1:3 SEEN"), "* SEARCH 1 2 3\r\nt OK Done\r\n");
    done();
}

TEST(sets_mean_what_the_rfc_says)
{
    begin(NULL);
    CHECK_STR(ask("UID FETCH 99999:* UID"), "* 30 FETCH (UID 30)\r\nt OK Done\r\n");
    CHECK_STR(ask("UID FETCH 500 FLAGS"), "t OK Done\r\n");
    CHECK_STR(ask("FETCH 3,2:1,2 UID"),
              "* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n* 3 FETCH (UID 3)\r\nt OK Done\r\n");
    CHECK_HAS(ask("FETCH 31 UID"), "t BAD");
    CHECK_HAS(ask("FETCH 1:31 UID"), "t BAD");
    CHECK_HAS(ask("FETCH 0 UID"), "t BAD");
    CHECK_HAS(ask("FETCH 4294967296 UID"), "t BAD");
    CHECK_HAS(ask("FETCH $ UID"), "t BAD");
    CHECK_HAS(ask("FETCH 1 ()"), "t BAD");
    done();
}

TEST(sections_and_partial_ranges_give_exactly_their_octets)
{
    begin(NULL);
    CHECK_STR(
        ask("FETCH 7 BODY.PEEK[HEADER]"),
        "* 7 FETCH (BODY[HEADER] {72}\r\nSubject: number 007\r\nFROM: a@example.org\r\n folded"
        "\r\nTo: b@example.org\r\n\r\n)\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 7 BODY[HEADER.FIELDS (to \"From\")]"),
              "* 7 FETCH (BODY[HEADER.FIELDS (TO FROM)] {51}\r\nFROM: a@example.org\r\n folded\r\n"
              "To: b@example.org\r\n\r\n)\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 7 BODY[HEADER.FIELDS.NOT (from subject)]<2.6>"),
              "* 7 FETCH (BODY[HEADER.FIELDS.NOT (FROM SUBJECT)]<2> {6}\r\n: b@ex)\r\n"
              "t OK Done\r\n");
    CHECK_STR(ask("FETCH 7 BODY[HEADER.FIELDS (X)]"),
              "* 7 FETCH (BODY[HEADER.FIELDS (X)] {2}\r\n\r\n)\r\nt OK Done\r\n");
    CHECK_STR(ask("UID FETCH 7 BODY[]<0.8>"),
              "* 7 FETCH (UID 7 BODY[]<0> {8}\r\nSubject:)\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 7 BODY[]<396.100>"),
              "* 7 FETCH (BODY[]<396> {4}\r\nno\r\n)\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 7 BODY[]<9999.100>"), "* 7 FETCH (BODY[]<9999> {0}\r\n)\r\nt OK Done\r\n");
    CHECK_HAS(ask("FETCH 7 BODY[TEXT]"), "* 7 FETCH (BODY[TEXT] {328}\r\n");
    CHECK_HAS(ask("FETCH 7 RFC822"), "* 7 FETCH (RFC822 {400}\r\nSubject: number 007\r\n");
    CHECK_HAS(ask("FETCH 7 (RFC822.HEADER RFC822.TEXT)"), " RFC822.TEXT {328}\r\n");
    CHECK_HAS(ask("FETCH 7 BODY[]<0.0>"), "t BAD");
    done();
}

TEST(one_fetch_is_one_record_with_its_range)
{
    begin(NULL);
    (void)ask("UID FETCH 3:9,12 (FLAGS BODY.PEEK[] BODY[HEADER.FIELDS (DATE)])");
    CHECK_EQ_U64(fake.events[AUDIT_FETCH], 1);
    CHECK_STR(fake.last_detail, "uids=3:9,12;items=BODY[] HEADER.FIELDS;");
    (void)ask("UID FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE)");
    CHECK_EQ_U64(fake.events[AUDIT_FETCH], 1);
    done();
}

TEST(a_set_too_long_for_one_record_is_named_to_its_end_in_several)
{
    static char command[8192];
    size_t len = 0;

    begin(NULL);
    fake.messages = 1000;
    (void)ask("NOOP");
    len += (size_t)snprintf(command, sizeof command, "UID FETCH 1");
    for (int uid = 3; uid < 1000; uid += 2)
        len += (size_t)snprintf(command + len, sizeof command - len, ",%d", uid);
    (void)snprintf(command + len, sizeof command - len, " BODY.PEEK[]<0.1>");
    CHECK_HAS(ask(command), "t OK");
    CHECK_EQ_U64(fake.events[AUDIT_FETCH], 2);
    CHECK_HAS(fake.last_detail, ",997,999;");
    done();
}

TEST(structure_of_a_message_without_a_row_is_made_from_its_octets)
{
    begin(NULL);
    CHECK_HAS(ask("FETCH 7 ENVELOPE"), "* 7 FETCH (ENVELOPE (NIL \"number 007\" ");
    CHECK_HAS(ask("FETCH 7 (BODY BODYSTRUCTURE)"), "\"us-ascii\") NIL NIL \"7bit\" 328 1) BODYSTR");
    CHECK_HAS(peer.text, "\"7bit\" 328 1 NIL NIL NIL NIL))\r\nt OK");
    CHECK_HAS(ask("FETCH 7 FULL"), "RFC822.SIZE 400 ENVELOPE (");
    CHECK_HAS(peer.text, " BODY (");
    CHECK_HAS(ask("FETCH 7:8 ALL"), "* 8 FETCH (FLAGS ");
    CHECK_HAS(ask("FETCH 7 FAST"), "RFC822.SIZE 400)\r\nt OK");
    done();
}

TEST(structure_comes_from_the_row_of_this_parser_only)
{
    begin(NULL);
    fake.index_version = MIME_PARSER_VERSION;
    CHECK_STR(ask("FETCH 7 ENVELOPE"), "* 7 FETCH (ENVELOPE (stored envelope))\r\nt OK Done\r\n");
    CHECK_HAS(ask("FETCH 7 BODYSTRUCTURE"), "\"7bit\" 5 1 NIL NIL NIL NIL))\r\n");
    CHECK_HAS(ask("FETCH 7 BODY"), "\"7bit\" 5 1))\r\n");
    fake.index_version = MIME_PARSER_VERSION + 1;
    CHECK_HAS(ask("FETCH 7 ENVELOPE"), "number 007");
    done();
}

TEST(sections_of_parts_are_found_also_when_the_stored_tree_is_damaged)
{
    begin(NULL);
    for (int i = 0; i < 2; i++) {
        fake.index_version = i == 0 ? 0 : MIME_PARSER_VERSION;
        CHECK_HAS(ask("FETCH 7 BODY[1]"), "* 7 FETCH (BODY[1] {328}\r\n");
        CHECK_HAS(ask("FETCH 7 BODY[1.MIME]"),
                  "* 7 FETCH (BODY[1.MIME] {72}\r\nSubject: number 007");
        CHECK_STR(ask("FETCH 7 BODY[2]"), "* 7 FETCH (BODY[2] NIL)\r\nt OK Done\r\n");
        CHECK_STR(ask("FETCH 7 BODY[1.HEADER.FIELDS (TO)]"),
                  "* 7 FETCH (BODY[1.HEADER.FIELDS (TO)] NIL)\r\nt OK Done\r\n");
        CHECK_STR(ask("FETCH 7 BODY[1]<326.9>"),
                  "* 7 FETCH (BODY[1]<326> {2}\r\n\r\n)\r\nt OK Done\r\n");
    }
    done();
}

TEST(damage_leaves_out_only_the_message_that_cannot_be_parsed)
{
    begin(NULL);
    fake.breaks_uid = 2;
    CHECK_HAS(ask("FETCH 1:3 (UID ENVELOPE)"), "* 3 FETCH (UID 3 ENVELOPE");
    CHECK_LACKS(peer.text, "* 2 FETCH");
    CHECK_HAS(peer.text, "t NO [CORRUPTION]");
    done();
}

TEST(the_record_says_which_parts_were_read)
{
    begin(NULL);
    (void)ask("FETCH 3 (ENVELOPE BODY BODY.PEEK[1.2.MIME] BODY.PEEK[2]<0.5> BODYSTRUCTURE)");
    CHECK_STR(fake.last_detail, "uids=3;items=ENVELOPE BODY 1.2.MIME 2<> BODYSTRUCTURE;");
    done();
}

TEST(what_is_not_offered_yet_is_said_to_be_so)
{
    begin(NULL);
    CHECK_HAS(ask("SEARCH RETURN (COUNT) ALL"), "t BAD");
    done();
}

TEST(a_damaged_message_is_left_out_and_the_answer_is_no)
{
    begin(NULL);
    fake.corrupt_uid = 2;
    CHECK_STR(ask("FETCH 1:3 (UID BODY[]<0.3>)"),
              "* 1 FETCH (UID 1 BODY[]<0> {3}\r\nSub)\r\n* 3 FETCH (UID 3 BODY[]<0> {3}\r\nSub)\r\n"
              "t NO [CORRUPTION] Stored data are damaged; the operator is told\r\n");
    CHECK_HAS(ask("FETCH 2 FLAGS"), "t OK");
    done();
}

TEST(damage_within_a_literal_ends_the_connection_without_padding)
{
    begin(NULL);
    fake.breaks_uid = 2;
    peer_send(&peer, "t FETCH 1:3 BODY[]\r\n");
    CHECK_HAS(peer_until(&peer, "t "), "* 1 FETCH (BODY[] {400}\r\n");
    CHECK_LACKS(peer.text, "t NO");
    CHECK_LACKS(peer.text, "* 3 FETCH");
    CHECK(peer.len < 400 + 300 + 100);
    CHECK(peer_is_closed(&peer));
    done();
}

TEST(fetch_over_many_pages_gives_everything_in_order)
{
    char line[64];
    const char *at;

    begin(NULL);
    fake.messages = 2500;
    CHECK_HAS(ask("NOOP"), "* 2500 EXISTS\r\n");
    at = ask("FETCH 1:* UID");
    for (unsigned i = 1; i <= 2500; i++) {
        (void)snprintf(line, sizeof line, "* %u FETCH (UID %u)\r\n", i, i);
        CHECK(strncmp(at, line, strlen(line)) == 0);
        at += strlen(line);
    }
    CHECK_STR(at, "t OK Done\r\n");
    done();
}

/* ---- SEARCH by what needs no database; the rest in tests/integration ------------------------------ */

TEST(search_by_sets_answers_in_numbers_or_uids)
{
    begin(NULL);
    CHECK_STR(ask("UID SEARCH UID 5:7,29:*"), "* SEARCH 5 6 7 29 30\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH 1 OR BODY \"\" HEADER \"\" x"), "* SEARCH 1\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH NOT 2:30"), "* SEARCH 1\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH OR 1 (3 UNDELETED)"), "* SEARCH 1 3\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH 1:3 DELETED"), "* SEARCH\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH 1:3 OLD"), "* SEARCH 1 2 3\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH RECENT"), "* SEARCH\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH CHARSET utf-8 1:2"), "* SEARCH 1 2\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH CHARSET KOI8-R 1:2"), "* SEARCH 1 2\r\nt OK Done\r\n");
    CHECK_HAS(ask("SEARCH CHARSET KLINGON ALL"), "t NO [BADCHARSET (US-ASCII UTF-8)]");
    CHECK_HAS(ask("SEARCH CHARSET UTF-8 SUBJECT {1+}\r\n\xe9"), "t BAD");
    CHECK_HAS(ask("SEARCH XYZZY"), "t BAD");
    CHECK_HAS(ask("SEARCH"), "t BAD");
    CHECK_STR(fake.last_detail, "keys=SEQ;");
    done();
}

/* "Nothing there" would be a wrong answer: it was not looked. */
TEST(without_its_grant_a_mailbox_answers_no_and_not_that_it_is_empty)
{
    begin(NULL);
    fake.is_withdrawn = true;
    CHECK_HAS(ask("FETCH 1:5 (UID FLAGS)"), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("UID FETCH 1:5 BODY.PEEK[]"), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("SEARCH 1:3"), "t NO [NONEXISTENT]");
    CHECK_LACKS(peer.text, "* SEARCH");
    CHECK_EQ_U64(fake.events[AUDIT_SEARCH], 1);
    done();
}

/* ---- what changes ------------------------------------------------------------------------------- */

TEST(new_mail_and_changed_flags_are_told_at_noop_only)
{
    begin(NULL);
    fake.messages = 33;
    fake.modseq = 9;
    CHECK_STR(ask("FETCH 30:* UID"), "* 30 FETCH (UID 30)\r\nt OK Done\r\n");
    CHECK_STR(ask("UID SEARCH 29:*"), "* SEARCH 29 30\r\nt OK Done\r\n");
    CHECK_STR(ask("NOOP"), "* 33 EXISTS\r\n* 0 RECENT\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"
                           "t OK Done\r\n");
    CHECK_STR(ask("NOOP"), "t OK Done\r\n");
    CHECK_STR(ask("CHECK"), "t OK Done\r\n");
    CHECK_STR(ask("FETCH 33 UID"), "* 33 FETCH (UID 33)\r\nt OK Done\r\n");
    done();
}
