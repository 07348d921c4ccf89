/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/fake.h"

#include <stdio.h>
#include <unistd.h>

enum {
    MANY = 60,
    SOON_MS = 50,
    LATE_MS = 60 * 60 * 1000,
};

static struct fake_server *server;
static struct peer peer;

static const char *ask(const char *command)
{
    return peer_ask(&peer, command);
}

static void begin(struct serve_limits limits)
{
    struct serve_settings settings = { .active_threads = 4,
                                       .allows_plain_loopback = true,
                                       .limits = limits };

    server = fake_start(&settings);
    peer_open(server, &peer);
    peer_login(&peer);
    CHECK_HAS(ask("EXAMINE Accounts/alice/INBOX"), "* 30 EXISTS");
}

static void done(void)
{
    peer_close(&peer);
    fake_stop(&server);
}

static void idle(struct peer *who)
{
    peer_send(who, "i IDLE\r\n");
    CHECK_STR(peer_until(who, "+ "), "+ idling\r\n");
    CHECK(fake_wait_parked(server, serve_counts(fake_get(server)).sessions));
}

/* Hints only, or looks only: what waits for the other one fails by time. */
static const struct serve_limits hints_only = { .watch_ms = LATE_MS, .alive_ms = LATE_MS };
static const struct serve_limits looks_only = { .watch_ms = SOON_MS, .alive_ms = LATE_MS };

/* ---- news --------------------------------------------------------------------------------------- */

TEST(idle_tells_what_is_new_when_a_hint_comes)
{
    begin(hints_only);
    idle(&peer);
    fake.messages = 32;
    fake.modseq = 5;
    fake_hint();
    CHECK_STR(peer_until(&peer, "* 1 FETCH"),
              "* 32 EXISTS\r\n* 0 RECENT\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n");
    fake.modseq = 6;
    fake_hint();
    CHECK_STR(peer_until(&peer, "* 1 FETCH"), "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n");
    peer_send(&peer, "DONE\r\n");
    CHECK_STR(peer_until(&peer, "i "), "i OK Done\r\n");
    CHECK_HAS(ask("FETCH 32 UID"), "* 32 FETCH (UID 32)");
    done();
}

TEST(idle_tells_what_is_new_also_when_the_hint_is_lost)
{
    begin(looks_only);
    idle(&peer);
    fake.messages = 31;
    CHECK_STR(peer_until(&peer, "* 0 RECENT"), "* 31 EXISTS\r\n* 0 RECENT\r\n");
    done();
}

TEST(what_changed_before_idle_is_told_before_it_begins)
{
    begin(hints_only);
    fake.messages = 31;
    peer_send(&peer, "i IDLE\r\n");
    CHECK_STR(peer_until(&peer, "+ "), "* 31 EXISTS\r\n* 0 RECENT\r\n+ idling\r\n");
    done();
}

TEST(disposed_messages_are_expunged_from_the_highest_down)
{
    begin(hints_only);
    idle(&peer);
    fake.disposed = 3;
    fake.messages = 31;
    fake_hint();
    CHECK_STR(peer_until(&peer, "* 0 RECENT"),
              "* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n* 28 EXISTS\r\n* 0 RECENT\r\n");
    peer_send(&peer, "DONE\r\n");
    (void)peer_until(&peer, "i ");
    CHECK_HAS(ask("FETCH 1 UID"), "* 1 FETCH (UID 4)");
    done();
}

TEST(news_come_behind_other_commands_but_not_those_that_move_numbers)
{
    begin((struct serve_limits){ .watch_ms = LATE_MS, .refresh_ms = 1 });
    fake.messages = 31;
    CHECK(usleep(5000) == 0);
    CHECK_STR(ask("FETCH 30 UID"),
              "* 30 FETCH (UID 30)\r\n* 31 EXISTS\r\n* 0 RECENT\r\nt OK Done\r\n");
    fake.disposed = 1;
    CHECK(usleep(5000) == 0);
    CHECK_STR(ask("FETCH 31 UID"), "* 31 FETCH (UID 31)\r\nt OK Done\r\n");
    CHECK_STR(ask("SEARCH 31"), "* SEARCH 31\r\nt OK Done\r\n");
    CHECK_STR(ask("STORE 1 FLAGS ()"), "t NO [NOPERM] This archive is read-only\r\n");
    CHECK(usleep(5000) == 0);
    CHECK_STR(ask("UID FETCH 31 UID"), "* 31 FETCH (UID 31)\r\n* 1 EXPUNGE\r\nt OK Done\r\n");
    CHECK_STR(ask("FETCH 30 UID"), "* 30 FETCH (UID 31)\r\nt OK Done\r\n");
    done();
}

/* ---- how it ends -------------------------------------------------------------------------------- */

TEST(done_may_come_in_any_case_in_pieces_and_with_commands_behind_it)
{
    begin(hints_only);
    idle(&peer);
    peer_send(&peer, "do");
    CHECK(fake_wait_parked(server, 1));
    peer_send(&peer, "Ne\r\nn NOOP\r\nj IDLE\r\nDONE\r\n");
    CHECK_STR(peer_until(&peer, "j OK"), "i OK Done\r\nn OK Done\r\n+ idling\r\nj OK Done\r\n");
    done();
}

TEST(garbage_instead_of_done_is_bad_and_the_session_goes_on)
{
    begin(hints_only);
    idle(&peer);
    peer_send(&peer, "n NOOP\r\n");
    CHECK_STR(peer_until(&peer, "i "), "i BAD DONE expected; IDLE is over\r\n");
    CHECK_STR(ask("NOOP"), "t OK Done\r\n");
    idle(&peer);
    peer_send(&peer, "DONE {5}\r\n");
    CHECK_STR(peer_until(&peer, "i "), "i BAD DONE expected; IDLE is over\r\n");
    CHECK_STR(ask("IDLE now"), "t BAD no arguments expected\r\n");
    done();
}

TEST(a_line_without_end_in_idle_ends_the_session)
{
    char many[4097];

    begin(hints_only);
    idle(&peer);
    memset(many, 'D', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    for (int i = 0; i < 17; i++)
        peer_send(&peer, many);
    CHECK_HAS(peer_until(&peer, "* BYE"), "* BYE Too much input");
    done();
}

TEST(idle_without_a_mailbox_hears_nothing_but_its_end)
{
    begin(looks_only);
    CHECK_HAS(ask("UNSELECT"), "t OK");
    idle(&peer);
    fake.messages = 31;
    fake.is_revoked = true;
    CHECK_STR(peer_until(&peer, "* BYE"), "* BYE [EXPIRED] This session is over\r\n");
    CHECK(peer_is_closed(&peer));
    done();
}

TEST(a_login_that_is_over_ends_idle)
{
    begin(looks_only);
    idle(&peer);
    fake.is_revoked = true;
    CHECK_STR(peer_until(&peer, "* BYE"), "* BYE [EXPIRED] This session is over\r\n");
    CHECK(peer_is_closed(&peer));
    done(); /* the logout is recorded behind the connection's end */
    CHECK_EQ_U64(fake.logouts, 1);
}

TEST(idle_has_its_time_whatever_is_told_in_it)
{
    begin((struct serve_limits){ .idle_ms = 1500, .watch_ms = LATE_MS, .alive_ms = 200 });
    idle(&peer);
    fake.messages = 31;
    fake_hint();
    CHECK_HAS(peer_until(&peer, "* OK Still here"), "* 31 EXISTS\r\n");
    CHECK_HAS(peer_until(&peer, "* BYE"), "* BYE Idle for too long");
    CHECK(peer_is_closed(&peer));
    done();
}

TEST(a_client_that_goes_away_in_idle_is_logged_out)
{
    begin(hints_only);
    idle(&peer);
    peer_close(&peer);
    CHECK(fake_wait_parked(server, 0));
    for (int i = 0; i < 1000 && fake.logouts == 0; i++)
        CHECK(usleep(5000) == 0);
    CHECK_EQ_U64(fake.logouts, 1);
    fake_stop(&server);
}

TEST(stopping_says_bye_to_idle_sessions)
{
    begin(hints_only);
    idle(&peer);
    fake_stop(&server);
    CHECK_STR(peer_until(&peer, "* BYE"), "* BYE [UNAVAILABLE] Server is shutting down\r\n");
    CHECK(peer_is_closed(&peer));
    peer_close(&peer);
}

/* ---- what it costs ------------------------------------------------------------------------------ */

TEST(many_idle_sessions_take_one_look_and_no_thread)
{
    static struct peer peers[MANY];
    unsigned polls;

    begin(looks_only);
    for (int i = 0; i < MANY; i++) {
        peer_open(server, &peers[i]);
        peer_login(&peers[i]);
        CHECK_HAS(peer_ask(&peers[i], "EXAMINE Accounts/alice/INBOX"), "t OK");
        idle(&peers[i]);
    }
    polls = fake.polls;
    while (fake.polls < polls + 3)
        CHECK(usleep(1000) == 0);
    CHECK_EQ_U64(fake.waiting, MANY);
    CHECK_EQ_U64(serve_counts(fake_get(server)).parked, MANY + 1);
    CHECK_EQ_U64(serve_counts(fake_get(server)).queued, 0);
    fake.messages = 31;
    for (int i = 0; i < MANY; i++) {
        CHECK_STR(peer_until(&peers[i], "* 0 RECENT"), "* 31 EXISTS\r\n* 0 RECENT\r\n");
        peer_close(&peers[i]);
    }
    done();
}

TEST(a_database_that_cannot_be_asked_ends_no_idle)
{
    begin(looks_only);
    idle(&peer);
    fake.watch_fails = true;
    fake.messages = 31;
    CHECK(usleep(5 * SOON_MS * 1000) == 0);
    CHECK(fake_wait_parked(server, 1));
    fake.watch_fails = false;
    CHECK_STR(peer_until(&peer, "* 0 RECENT"), "* 31 EXISTS\r\n* 0 RECENT\r\n");
    done();
}
