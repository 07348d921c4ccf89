/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/fake.h"

#include <stdio.h>
#include <time.h>

static const char *const writes[] = {
    "STORE 1 +FLAGS (\\Seen)",
    "STORE 1 FLAGS.SILENT (\\Deleted)",
    "UID STORE 1:* -FLAGS (\\Seen)",
    "store 1 +flags (\\Seen)",
    "EXPUNGE",
    "UID EXPUNGE 1:*",
    "COPY 1 INBOX",
    "UID COPY 1 INBOX",
    "MOVE 1 INBOX",
    "UID MOVE 1 INBOX",
    "REPLACE 1 INBOX",
    "UID REPLACE 1 INBOX",
    "APPEND INBOX",
    "APPEND INBOX CATENATE (URL \"x\")",
    "CREATE new",
    "DELETE Accounts/alice/INBOX",
    "RENAME INBOX other",
    "UNSUBSCRIBE INBOX",
    "SETACL INBOX auditor lrswipkxtea",
    "DELETEACL INBOX auditor",
    "SETMETADATA INBOX (/private/comment \"x\")",
    "SETANNOTATION INBOX \"/comment\" (\"value.priv\" \"x\")",
    "SETQUOTA \"\" (STORAGE 1)",
    "RESETKEY INBOX",
    "STORE",
    "STORE nonsense (((",
};

static const char *const literals[] = { "APPEND INBOX",  "APPEND INBOX (\\Seen)",
                                        "CREATE",        "DELETE",
                                        "UID REPLACE 1", "COPY 1",
                                        "UNSUBSCRIBE",   "SETACL" };

static const char refusal[] = "t NO [NOPERM] This archive is read-only\r\n";

static unsigned refuse_all(struct peer *peer)
{
    char text[200];

    for (size_t i = 0; i < ARRAY_LEN(writes); i++)
        CHECK_STR(peer_ask(peer, writes[i]), refusal);
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        (void)snprintf(text, sizeof text, "%s {24}", literals[i]);
        CHECK_STR(peer_ask(peer, text), refusal); /* instead of "+" */
        (void)snprintf(text, sizeof text, "%s {24+}\r\ninj CREATE x\r\ninj NOOP\r\n {0+}\r\n",
                       literals[i]);
        CHECK_STR(peer_ask(peer, text), refusal);
        CHECK_STR(peer_ask(peer, "NOOP"),
                  "t OK Done\r\n"); /* nothing injected, nothing left over */
    }
    return ARRAY_LEN(writes) + 2 * ARRAY_LEN(literals);
}

TEST(every_write_is_refused_in_every_form_and_state_and_recorded)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;
    unsigned refused = 0;

    peer_open(server, &peer);
    peer_login(&peer);
    refused += refuse_all(&peer);
    CHECK_HAS(peer_ask(&peer, "SELECT Accounts/alice/INBOX"), "t OK [READ-ONLY]");
    refused += refuse_all(&peer);
    CHECK_HAS(peer_ask(&peer, "EXAMINE INBOX"), "t OK [READ-ONLY]");
    refused += refuse_all(&peer);
    CHECK_EQ_U64(fake.events[AUDIT_REFUSED_WRITE], refused);
    CHECK_EQ_U64(fake.waits, refused + 2); /* no client gets ahead of its rows */
    peer_close(&peer);
    fake_stop(&server);
}

TEST(before_login_writes_are_refused_too_and_count_as_errors)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    for (int i = 0; i < SERVE_BAD_MAX - 1; i++)
        CHECK_STR(peer_ask(&peer, writes[i]), refusal);
    CHECK_HAS(peer_ask(&peer, "APPEND INBOX {1000000}"), refusal);
    CHECK(peer_is_closed(&peer));
    CHECK_EQ_U64(fake.events[AUDIT_REFUSED_WRITE], SERVE_BAD_MAX);
    peer_close(&peer);
    fake_stop(&server);
}

/* Each makes a row: without an end a stranger could fill the audit. */
TEST(before_login_good_commands_do_not_make_up_for_refused_ones)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    for (int i = 0; i < SERVE_BAD_MAX - 1; i++) {
        CHECK_STR(peer_ask(&peer, "STORE 1 FLAGS ()"), refusal);
        CHECK_HAS(peer_ask(&peer, "NOOP"), "t OK");
    }
    CHECK_HAS(peer_ask(&peer, "STORE 1 FLAGS ()"), refusal);
    CHECK(peer_is_closed(&peer));
    CHECK_EQ_U64(fake.events[AUDIT_REFUSED_WRITE], SERVE_BAD_MAX);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(strangers_who_come_again_and_again_do_not_fill_the_audit)
{
    struct fake_server *server = fake_start(NULL);
    unsigned rounds = 2 * SERVE_REFUSALS_BURST / SERVE_BAD_MAX;
    time_t began = time(NULL);
    unsigned rows;

    for (unsigned i = 0; i < rounds; i++) {
        struct peer peer;

        peer_open(server, &peer);
        for (int k = 0; k < SERVE_BAD_MAX; k++)
            CHECK_HAS(peer_ask(&peer, "STORE 1 FLAGS ()"), refusal);
        peer_close(&peer);
    }
    rows = fake.events[AUDIT_REFUSED_WRITE];
    CHECK(rows >= SERVE_REFUSALS_BURST);
    CHECK(rows <= SERVE_REFUSALS_BURST + 2 + (unsigned)(time(NULL) - began));
    fake_stop(&server);
}

TEST(a_refused_literal_that_is_too_large_to_drop_ends_the_session)
{
    struct fake_server *server = fake_start(NULL);
    struct peer stranger;
    struct peer peer;

    peer_open(server, &stranger);
    peer_send(&stranger, "a APPEND INBOX {5000+}\r\n");
    CHECK_HAS(peer_until(&stranger, "* BYE"), "* BYE Too much input");
    CHECK(peer_is_closed(&stranger));
    peer_close(&stranger);
    peer_open(server, &peer);
    peer_login(&peer);
    peer_send(&peer, "a APPEND INBOX {99999999+}\r\n");
    CHECK_HAS(peer_until(&peer, "* BYE"), "* BYE Too much input");
    CHECK(peer_is_closed(&peer));
    CHECK_EQ_U64(fake.events[AUDIT_REFUSED_WRITE], 2);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(a_refusal_stands_also_when_it_cannot_be_recorded)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    peer_login(&peer);
    fake.audit_fails = true;
    CHECK_STR(peer_ask(&peer, "EXPUNGE"), refusal);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(a_literal_in_an_unknown_command_is_dropped)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;
    char octets[5001];

    peer_open(server, &peer);
    peer_login(&peer);
    CHECK_STR(peer_ask(&peer, "XYZZY {5}"), "t BAD Unknown command\r\n");
    CHECK_STR(peer_ask(&peer, "XYZZY {12+}\r\ninj LOGOUT\r\n"), "t BAD Unknown command\r\n");
    CHECK_STR(peer_ask(&peer, "FETCH {9+}\r\ninj NOOP\n"),
              "t BAD Command is not allowed in this state\r\n");
    memset(octets, 'x', sizeof octets - 1);
    octets[sizeof octets - 1] = '\0';
    peer_send(&peer, "t LIST \"\" {5000+}\r\n");
    peer_send(&peer, octets);
    peer_send(&peer, "\r\n");
    CHECK_HAS(peer_until(&peer, "t "), "t BAD [TOOBIG]");
    peer_close(&peer);
    fake_stop(&server);
}
