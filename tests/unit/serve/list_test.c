/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/fake.h"

static struct fake_server *server;
static struct peer peer;

static const char *ask(const char *command)
{
    if (server == NULL) {
        server = fake_start(NULL);
        peer_open(server, &peer);
        peer_login(&peer);
    }
    return peer_ask(&peer, command);
}

static void done(void)
{
    peer_close(&peer);
    fake_stop(&server);
}

TEST(list_shows_inbox_accounts_and_missing_parents)
{
    CHECK_STR(ask("LIST \"\" *"),
              "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"
              "* LIST (\\HasChildren \\Noselect) \"/\" \"Accounts\"\r\n"
              "* LIST (\\HasChildren \\Noselect) \"/\" \"Accounts/alice\"\r\n"
              "* LIST (\\HasNoChildren) \"/\" \"Accounts/alice/INBOX\"\r\n"
              "* LIST (\\HasChildren \\Noselect) \"/\" \"Accounts/alice/Projects\"\r\n"
              "* LIST (\\HasNoChildren) \"/\" \"Accounts/alice/Projects/2001\"\r\n"
              "* LIST (\\HasNoChildren) \"/\" \"Accounts/alice/&ANw-ber\"\r\n"
              "t OK Done\r\n");
    done();
}

TEST(list_patterns_stop_where_they_should)
{
    CHECK_STR(ask("LIST \"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\nt OK Done\r\n");
    CHECK_STR(ask("LIST \"\" %"), "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\n"
                                  "* LIST (\\HasChildren \\Noselect) \"/\" \"Accounts\"\r\n"
                                  "t OK Done\r\n");
    CHECK_STR(ask("LIST Accounts/ %"),
              "* LIST (\\HasChildren \\Noselect) \"/\" \"Accounts/alice\"\r\nt OK Done\r\n");
    CHECK_STR(ask("LIST \"\" inbox"), "* LIST (\\HasNoChildren) \"/\" \"INBOX\"\r\nt OK Done\r\n");
    CHECK_STR(ask("LIST \"\" Trash"), "t OK Done\r\n");
    CHECK_STR(ask("LIST \"\" Accounts/alice/&*"),
              "* LIST (\\HasNoChildren) \"/\" \"Accounts/alice/&ANw-ber\"\r\nt OK Done\r\n");
    CHECK_STR(ask("LIST \"\" Accounts/bob/*"), "t OK Done\r\n");
    done();
}

TEST(list_extended_returns_what_was_asked)
{
    CHECK_HAS(ask("LIST \"\" (INBOX Accounts/alice/INBOX) RETURN (SUBSCRIBED STATUS (MESSAGES "
                  "UIDNEXT UNSEEN RECENT))"),
              "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"Accounts/alice/INBOX\"\r\n"
              "* STATUS \"Accounts/alice/INBOX\" (MESSAGES 30 RECENT 0 UIDNEXT 31 UNSEEN 1)\r\n");
    CHECK_HAS(peer.text, "* STATUS \"INBOX\" (MESSAGES 0 RECENT 0 UIDNEXT 1 UNSEEN 0)\r\n");
    CHECK_HAS(ask("LIST (SUBSCRIBED) \"\" *"), "(\\HasNoChildren \\Subscribed) \"/\" \"INBOX\"");
    CHECK_HAS(ask("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %"),
              "\"Accounts\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n");
    done();
}

TEST(beyond_200_mailboxes_only_accounts_count_as_subscribed)
{
    CHECK_HAS(ask("LSUB \"\" *"), "* LSUB (\\HasNoChildren) \"/\" \"Accounts/alice/INBOX\"\r\n");
    fake.mailboxes = 300;
    CHECK_STR(ask("LSUB \"\" *"), "* LSUB (\\HasNoChildren) \"/\" \"INBOX\"\r\n"
                                  "* LSUB (\\HasChildren \\Noselect) \"/\" \"Accounts\"\r\n"
                                  "* LSUB (\\HasChildren \\Noselect) \"/\" \"Accounts/alice\"\r\n"
                                  "t OK Done\r\n");
    CHECK_LACKS(ask("LIST (SUBSCRIBED) \"\" *"), "many");
    done();
}

TEST(list_over_many_pages_gives_each_mailbox_once)
{
    const char *at;
    size_t count = 0;

    CHECK_HAS(ask("NOOP"), "OK");
    fake.mailboxes = 1200;
    at = ask("LIST \"\" Accounts/alice/many/1*");
    for (; (at = strstr(at, "* LIST")) != NULL; at++)
        count++;
    CHECK_EQ_U64(count, 203); /* 1000 … 1202 */
    CHECK_HAS(ask("LIST \"\" Accounts/alice/many"), "(\\HasChildren \\Noselect)");
    done();
}

TEST(names_that_do_not_exist_answer_alike)
{
    CHECK_STR(ask("STATUS Accounts/bob/INBOX (MESSAGES)"),
              "t NO [NONEXISTENT] No such mailbox or message\r\n");
    CHECK_STR(ask("STATUS Accounts/alice/nothing (MESSAGES)"),
              "t NO [NONEXISTENT] No such mailbox or message\r\n");
    CHECK_STR(ask("EXAMINE Accounts"), "t NO [NONEXISTENT] No such mailbox or message\r\n");
    CHECK_STR(ask("EXAMINE Accounts/alice"), "t NO [NONEXISTENT] No such mailbox or message\r\n");
    CHECK_STR(ask("EXAMINE elsewhere"), "t NO [NONEXISTENT] No such mailbox or message\r\n");
    CHECK_HAS(ask("EXAMINE \"Accounts/%61lice/INBOX\""), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("EXAMINE \"Accounts/%00/INBOX\""), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("MYRIGHTS \"Accounts/alice%00\""), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("STATUS Accounts/alice/&ANw-ber (MESSAGES)"),
              "* STATUS \"Accounts/alice/&ANw-ber\" (MESSAGES 0)\r\n");
    done();
}

TEST(rights_are_read_only_everywhere)
{
    CHECK_STR(ask("MYRIGHTS INBOX"), "* MYRIGHTS \"INBOX\" lr\r\nt OK Done\r\n");
    CHECK_HAS(ask("MYRIGHTS Accounts"), "* MYRIGHTS \"Accounts\" lr\r\n");
    CHECK_HAS(ask("MYRIGHTS Accounts/alice"), "* MYRIGHTS \"Accounts/alice\" lr\r\n");
    CHECK_HAS(ask("MYRIGHTS Accounts/alice/INBOX"), "lr\r\n");
    CHECK_HAS(ask("MYRIGHTS Accounts/bob"), "t NO [NONEXISTENT]");
    CHECK_HAS(ask("GETACL INBOX"), "t NO [NOPERM]");
    CHECK_HAS(ask("LISTRIGHTS INBOX auditor"), "t NO [NOPERM]");
    done();
}

TEST(small_commands_answer_as_clients_expect)
{
    CHECK_STR(ask("NAMESPACE"), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\nt OK Done\r\n");
    CHECK_STR(ask("ENABLE UTF8=ACCEPT"), "* ENABLED\r\nt OK Done\r\n");
    CHECK_HAS(ask("ID (\"name\" \"Thunderbird\")"), "* ID (\"name\" \"Holdfast\")\r\nt OK");
    CHECK_HAS(ask("SUBSCRIBE INBOX"), "t OK");
    done();
}
