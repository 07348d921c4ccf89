/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/fake.h"

#include <unistd.h>

static struct fake_server *server;
static struct peer peer;

static const char *ask(const char *command)
{
    return peer_ask(&peer, command);
}

static void begin(void)
{
    server = fake_start(NULL);
    peer_open(server, &peer);
    peer_login(&peer);
    fake.modseq = 9;
    CHECK_HAS(ask("EXAMINE Accounts/alice/INBOX"), "* OK [HIGHESTMODSEQ 9]");
}

static void done(void)
{
    peer_close(&peer);
    fake_stop(&server);
}

static void check_enables(const char *command)
{
    begin();
    CHECK_LACKS(ask("FETCH 1 FLAGS"), "MODSEQ");
    CHECK_HAS(ask(command), "t OK");
    CHECK_STR(ask("FETCH 1 FLAGS"), "* 1 FETCH (FLAGS (\\Seen) MODSEQ (9))\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 1 UID"), "* 1 FETCH (UID 1)\r\nt OK Done\r\n");
    fake.modseq = 10;
    CHECK_STR(ask("NOOP"), "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (10))\r\nt OK Done\r\n");
    done();
}

TEST(modseq_is_told_after_any_command_that_enables_it)
{
    check_enables("ENABLE condstore");
    check_enables("EXAMINE Accounts/alice/INBOX (CONDSTORE)");
    check_enables("STATUS Accounts/alice/INBOX (HIGHESTMODSEQ)");
    check_enables("FETCH 2 (UID MODSEQ)");
    check_enables("FETCH 2 (FLAGS) (CHANGEDSINCE 3)");
}

TEST(enable_names_what_it_enabled_and_nothing_else)
{
    begin();
    CHECK_STR(ask("ENABLE X-UNKNOWN UTF8=ACCEPT"), "* ENABLED\r\nt OK Done\r\n");
    CHECK_STR(ask("ENABLE UTF8=ACCEPT CONDSTORE X"), "* ENABLED CONDSTORE\r\nt OK Done\r\n");
    done();
}

TEST(modseq_is_an_item_like_others)
{
    begin();
    CHECK_STR(ask("FETCH 1:2 (MODSEQ FLAGS)"),
              "* 1 FETCH (MODSEQ (9) FLAGS (\\Seen))\r\n"
              "* 2 FETCH (MODSEQ (1) FLAGS ($Forwarded _$GoneAtSource))\r\nt OK Done\r\n");
    done();
}

TEST(changed_since_gives_what_has_a_greater_modseq_within_the_set)
{
    begin();
    CHECK_STR(ask("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 8)"),
              "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (9))\r\nt OK Done\r\n");
    CHECK_STR(ask("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 9)"), "t OK Done\r\n");
    CHECK_STR(ask("FETCH 2:* (FLAGS) (CHANGEDSINCE 8)"), "t OK Done\r\n");
    CHECK_STR(ask("FETCH 1 (UID) (CHANGEDSINCE 0)"),
              "* 1 FETCH (UID 1 MODSEQ (9))\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 1 (UID) (CHANGEDSINCE 9223372036854775807)"), "t OK Done\r\n");
    CHECK_HAS(ask("FETCH 1:2 (BODY.PEEK[HEADER.FIELDS (To)]) (CHANGEDSINCE 8)"), "* 1 FETCH (BODY");
    CHECK_LACKS(peer.text, "* 2 FETCH");
    CHECK_HAS(peer.text, " MODSEQ (9))\r\n");
    done();
}

TEST(modifiers_that_are_not_offered_are_bad)
{
    begin();
    CHECK_HAS(ask("FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)"), "t BAD");
    CHECK_HAS(ask("FETCH 1 FLAGS (CHANGEDSINCE)"), "t BAD");
    CHECK_HAS(ask("FETCH 1 FLAGS (CHANGEDSINCE 5x)"), "t BAD");
    CHECK_HAS(ask("FETCH 1 FLAGS (CHANGEDSINCE 5 CHANGEDSINCE 6)"), "t BAD");
    CHECK_HAS(ask("UID FETCH 1 FLAGS (CHANGEDSINCE 5 VANISHED)"), "t BAD");
    CHECK_STR(ask("UID STORE 1 (UNCHANGEDSINCE 5) FLAGS ()"),
              "t NO [NOPERM] This archive is read-only\r\n");
    CHECK_HAS(ask("EXAMINE Accounts/alice/INBOX (CONDSTORE 5)"), "t BAD");
    CHECK_HAS(ask("FETCH 1 FLAGS"), "t BAD"); /* nothing is selected any more */
    done();
}
