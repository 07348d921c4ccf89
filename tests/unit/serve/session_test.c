/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "serve/fake.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct serve_settings quick(int64_t login_ms, int64_t idle_ms, int64_t command_ms)
{
    return (struct serve_settings){
        .active_threads = 4,
        .allows_plain_loopback = true,
        .limits = { .login_ms = login_ms, .idle_ms = idle_ms, .command_ms = command_ms },
    };
}

TEST(a_session_is_greeted_with_its_capabilities)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    CHECK_STR(peer.text, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN ID ENABLE LITERAL- SASL-IR] "
                         "Holdfast ready\r\n");
    CHECK_HAS(peer_ask(&peer, "CAPABILITY"), "* CAPABILITY IMAP4rev1 AUTH=PLAIN ID ENABLE "
                                             "LITERAL- SASL-IR\r\nt OK ");
    peer_close(&peer);
    fake_stop(&server);
}

TEST(without_tls_login_is_refused_and_its_literal_not_asked_for)
{
    struct serve_settings settings = { .active_threads = 4 };
    struct fake_server *server = fake_start(&settings);
    struct peer peer;

    peer_open(server, &peer);
    CHECK_HAS(peer.text, "LOGINDISABLED");
    CHECK_LACKS(peer.text, "AUTH=PLAIN");
    CHECK_HAS(peer_ask(&peer, "LOGIN auditor secret"), "t NO [PRIVACYREQUIRED]");
    CHECK_HAS(peer_ask(&peer, "LOGIN auditor {6}"), "t NO [PRIVACYREQUIRED]");
    CHECK_HAS(peer_ask(&peer, "AUTHENTICATE PLAIN"), "t NO [PRIVACYREQUIRED]");
    CHECK_HAS(peer_ask(&peer, "STARTTLS"), "t BAD");
    peer_close(&peer);
    fake_stop(&server);
}

TEST(logins_by_every_way_that_is_offered)
{
    static const char *const ways[] = {
        "t LOGIN auditor secret\r\n",
        "t LOGIN \"auditor\" \"secret\"\r\n",
        "t LOGIN {7+}\r\nauditor {6+}\r\nsecret\r\n",
        "t AUTHENTICATE PLAIN AGF1ZGl0b3IAc2VjcmV0\r\n",
        "t authenticate plain\r\nAGF1ZGl0b3IAc2VjcmV0\r\n",
        "t AUTHENTICATE PLAIN YXVkaXRvcgBhdWRpdG9yAHNlY3JldA==\r\n",
    };
    struct fake_server *server = fake_start(NULL);

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct peer peer;

        peer_open(server, &peer);
        peer_send(&peer, ways[i]);
        CHECK_HAS(peer_until(&peer, "t "), "t OK [CAPABILITY IMAP4rev1");
        CHECK_HAS(peer.text, "ACL RIGHTS=texk");
        CHECK_LACKS(peer.text, "AUTH=PLAIN");
        CHECK_HAS(peer_ask(&peer, "LOGIN auditor secret"), "t BAD");
        CHECK_HAS(peer_ask(&peer, "LOGOUT"), "* BYE Logging out\r\nt OK ");
        CHECK(peer_is_closed(&peer));
        peer_close(&peer);
    }
    fake_stop(&server);
    CHECK_EQ_U64(fake.logouts, ARRAY_LEN(ways));
}

TEST(synchronising_literals_are_asked_for_one_by_one)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    peer_send(&peer, "t LOGIN {7}\r\n");
    CHECK_STR(peer_until(&peer, "+ "), "+ OK\r\n");
    peer_send(&peer, "auditor {6}\r\n");
    CHECK_STR(peer_until(&peer, "+ "), "+ OK\r\n");
    peer_send(&peer, "secret\r\n");
    CHECK_HAS(peer_until(&peer, "t "), "t OK ");
    peer_close(&peer);
    fake_stop(&server);
}

TEST(a_sasl_exchange_can_be_cancelled_and_garbage_in_it_is_bad)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    peer_send(&peer, "t AUTHENTICATE PLAIN\r\n");
    CHECK_STR(peer_until(&peer, "+"), "+ \r\n");
    peer_send(&peer, "*\r\n");
    CHECK_HAS(peer_until(&peer, "t "), "t BAD");
    peer_send(&peer, "u AUTHENTICATE PLAIN\r\n%%%\r\n");
    CHECK_HAS(peer_until(&peer, "u "), "u BAD");
    CHECK_HAS(peer_ask(&peer, "AUTHENTICATE PLAIN ="), "t BAD");
    CHECK_HAS(peer_ask(&peer, "AUTHENTICATE CRAM-MD5"), "t NO");
    CHECK_HAS(peer_ask(&peer, "AUTHENTICATE PLAIN Ym9iAGF1ZGl0b3IAc2VjcmV0"),
              "t NO [AUTHORIZATIONFAILED]");
    peer_login(&peer);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(wrong_passwords_say_nothing_and_end_the_session)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    for (int i = 0; i < SERVE_LOGIN_TRIES_MAX - 1; i++)
        CHECK_STR(peer_ask(&peer, "LOGIN auditor wrong"),
                  "t NO [AUTHENTICATIONFAILED] Name or password is wrong\r\n");
    CHECK_HAS(peer_ask(&peer, "LOGIN nobody secret"), "* BYE ");
    CHECK(peer_is_closed(&peer));
    peer_close(&peer);
    fake_stop(&server);
}

TEST(commands_may_come_octet_by_octet_and_in_one_piece)
{
    static const char text[] = "a NOOP\r\nb LOGIN auditor {6+}\r\nsecret\r\nc NOOP\r\nd ID NIL\r\n";
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char octet[2] = { text[i], '\0' };

        peer_send(&peer, octet);
        if (i % 5 == 0)
            CHECK(usleep(500) == 0);
    }
    CHECK_HAS(peer_until(&peer, "d "), "a OK Done\r\nb OK ");
    peer_send(&peer, "e NOOP\r\nf XYZZY\r\ng ID NIL\r\nh NOOP\r\n");
    CHECK_STR(peer_until(&peer, "h "),
              "e OK Done\r\nf BAD Unknown command\r\n"
              "* ID (\"name\" \"Holdfast\")\r\ng OK Done\r\nh OK Done\r\n");
    peer_close(&peer);
    fake_stop(&server);
}

TEST(commands_out_of_their_state_are_bad)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    CHECK_HAS(peer_ask(&peer, "LIST \"\" *"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "SELECT INBOX"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "ENABLE X"), "t BAD");
    peer_login(&peer);
    CHECK_HAS(peer_ask(&peer, "FETCH 1 FLAGS"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "SEARCH ALL"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "CLOSE"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "UID NOOP"), "t BAD");
    CHECK_HAS(peer_ask(&peer, "EXAMINE INBOX"), "t OK [READ-ONLY]");
    CHECK_HAS(peer_ask(&peer, "CLOSE"), "t OK");
    CHECK_HAS(peer_ask(&peer, "UNSELECT"), "t BAD");
    peer_close(&peer);
    fake_stop(&server);
}

TEST(garbage_is_bad_and_too_much_of_it_ends_the_session)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    peer_send(&peer, "\r\n");
    CHECK_HAS(peer_until(&peer, "* "), "* BAD");
    CHECK_HAS(peer_ask(&peer, ""), "t BAD");
    CHECK_HAS(peer_ask(&peer, "NOOP x"), "t BAD");
    peer_send(&peer, "\x01\xff\r\n");
    CHECK_HAS(peer_until(&peer, "* "), "* BAD");
    CHECK_HAS(peer_ask(&peer, "NOOP"), "t OK");
    for (int i = 4; i < SERVE_BAD_MAX; i++) /* good ones do not make up for them before login */
        CHECK_HAS(peer_ask(&peer, "XYZZY"), "t BAD");
    CHECK_HAS(peer_until(&peer, "* "), "* BYE Too many errors");
    CHECK(peer_is_closed(&peer));
    peer_close(&peer);
    fake_stop(&server);
}

TEST(a_line_without_end_ends_the_session)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;
    char block[4001];

    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    peer_open(server, &peer);
    for (int i = 0; i < 30; i++)
        (void)!send(peer.fd, block, sizeof block - 1, MSG_NOSIGNAL);
    CHECK_HAS(peer_until(&peer, "* BYE"), "* BYE");
    CHECK(peer_is_closed(&peer));
    peer_close(&peer);
    fake_stop(&server);
}

TEST(strangers_are_ended_after_their_time_whatever_they_send)
{
    struct serve_settings settings = quick(1200, 0, 0);
    struct fake_server *server = fake_start(&settings);
    struct peer silent;
    struct peer busy;

    peer_open(server, &silent);
    peer_open(server, &busy);
    peer_send(&busy, "a NOOP\r\n");
    CHECK_HAS(peer_until(&silent, "* BYE"), "* BYE Idle for too long");
    CHECK_HAS(peer_until(&busy, "* BYE"), "* BYE Idle for too long");
    CHECK(peer_is_closed(&silent) && peer_is_closed(&busy));
    peer_close(&silent);
    peer_close(&busy);
    fake_stop(&server);
}

TEST(a_stranger_who_does_not_read_holds_his_thread_no_longer_than_his_time)
{
    struct serve_settings settings = quick(700, 0, 0);
    struct fake_server *server = fake_start(&settings);
    struct peer peer;

    peer_open(server, &peer);
    for (int i = 0; i < 100000 && serve_counts(fake_get(server)).sessions == 1; i++)
        if (send(peer.fd, "a CAPABILITY\r\n", 14, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            CHECK(usleep(100) == 0);
    CHECK_EQ_U64(serve_counts(fake_get(server)).sessions, 0);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(a_stranger_who_never_pauses_is_ended_after_his_time)
{
    struct serve_settings settings = quick(700, 0, 0);
    struct fake_server *server = fake_start(&settings);
    struct deadline too_late = deadline_after_ms(5000);
    struct peer peer;
    bool is_open = true;

    peer_open(server, &peer);
    while (is_open && !deadline_has_passed(too_late)) {
        char octets[4096];

        for (int k = 0; k < 50; k++)
            (void)!send(peer.fd, "a NOOP\r\n", 8, MSG_NOSIGNAL | MSG_DONTWAIT);
        is_open = recv(peer.fd, octets, sizeof octets, 0) > 0;
    }
    CHECK(!is_open);
    peer_close(&peer);
    fake_stop(&server);
}

TEST(one_too_many_is_told_so)
{
    struct fake_server *server = fake_start(NULL);
    struct peer *peers = calloc(SERVE_STRANGERS_MAX, sizeof *peers);
    struct peer refused = { 0 };
    struct err err = { 0 };
    int fds[2];

    for (size_t i = 0; i < SERVE_STRANGERS_MAX; i++)
        peer_open(server, &peers[i]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(!serve_add_connection(fake_get(server), &fds[1], false, &err));
    refused.fd = fds[0];
    CHECK_STR(peer_until(&refused, "* BYE"), "* BYE [UNAVAILABLE] Too many connections\r\n");
    CHECK(peer_is_closed(&refused));
    peer_close(&refused);
    for (size_t i = 0; i < SERVE_STRANGERS_MAX; i++)
        peer_close(&peers[i]);
    free(peers);
    fake_stop(&server);
}

TEST(idle_logins_and_unfinished_commands_are_ended)
{
    struct serve_settings settings = quick(0, 1500, 700);
    struct fake_server *server = fake_start(&settings);
    struct peer idle;
    struct peer half;

    peer_open(server, &idle);
    peer_login(&idle);
    peer_open(server, &half);
    peer_login(&half);
    peer_send(&half, "a NO");
    CHECK_HAS(peer_until(&half, "* BYE"), "* BYE");
    CHECK_HAS(peer_ask(&idle, "NOOP"), "t OK");
    CHECK_HAS(peer_until(&idle, "* BYE"), "* BYE Idle for too long");
    peer_close(&idle);
    peer_close(&half);
    fake_stop(&server);
    CHECK_EQ_U64(fake.logouts, 2);
}

TEST(a_revoked_login_ends_at_its_next_command)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peer;

    peer_open(server, &peer);
    peer_login(&peer);
    CHECK_HAS(peer_ask(&peer, "EXAMINE Accounts/alice/INBOX"), "t OK");
    fake.is_revoked = true;
    CHECK_HAS(peer_ask(&peer, "FETCH 1 BODY.PEEK[]"), "* BYE [EXPIRED]");
    CHECK_LACKS(peer.text, "BODY[]");
    CHECK(peer_is_closed(&peer));
    peer_close(&peer);
    fake_stop(&server);
}

TEST(stopping_says_bye_to_everybody)
{
    struct fake_server *server = fake_start(NULL);
    struct peer peers[3];

    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_open(server, &peers[i]);
    peer_login(&peers[1]);
    peer_send(&peers[2], "a NO");
    CHECK(fake_wait_parked(server, ARRAY_LEN(peers)));
    fake_stop(&server);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        CHECK_HAS(peer_until(&peers[i], "* BYE"), "* BYE [UNAVAILABLE]");
        CHECK(peer_is_closed(&peers[i]));
        peer_close(&peers[i]);
    }
}

TEST(idle_sessions_hold_no_thread)
{
    struct fake_server *server = fake_start(NULL);
    struct peer *peers = calloc(100, sizeof *peers);

    for (size_t i = 0; i < 100; i++) {
        peer_open(server, &peers[i]);
        peer_login(&peers[i]);
        CHECK_HAS(peer_ask(&peers[i], "EXAMINE Accounts/alice/INBOX"), "t OK");
        peer_send(&peers[i], "x NOO"); /* half a command is idle too */
    }
    CHECK(fake_wait_parked(server, 100));
    CHECK(serve_counts(fake_get(server)).threads <= 4);
    for (size_t i = 0; i < 100; i++) {
        peer_send(&peers[i], "P\r\n");
        CHECK_HAS(peer_until(&peers[i], "x "), "x OK");
        peer_close(&peers[i]);
    }
    free(peers);
    fake_stop(&server);
}

/* Four threads are a quarter of sixteen: more of one auditor wait, and others go on. */
TEST(beyond_the_cap_a_session_waits_and_is_told_so)
{
    struct serve_settings settings = { .active_threads = 5,
                                       .allows_plain_loopback = true,
                                       .limits = { .wait_notice_ms = 300 } };
    struct fake_server *server = fake_start(&settings);
    struct peer peers[5];

    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        peer_open(server, &peers[i]);
        peer_login(&peers[i]);
        CHECK_HAS(peer_ask(&peers[i], "EXAMINE Accounts/alice/INBOX"), "t OK");
    }
    CHECK(fake_wait_parked(server, ARRAY_LEN(peers)));
    fake.page_ms = 3000;
    for (size_t i = 0; i < 4; i++)
        peer_send(&peers[i], "a FETCH 1 FLAGS\r\n");
    CHECK(usleep(200000) == 0);
    peer_send(&peers[4], "a NOOP\r\n");
    CHECK_HAS(peer_until(&peers[4], "a "), "* OK Waiting for a free slot");
    CHECK_HAS(peers[4].text, "a OK Done");
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_close(&peers[i]);
    fake_stop(&server);
}

/* They log in as strangers, of whom six may have a thread. */
TEST(what_is_pipelined_behind_a_login_counts_under_its_auditor)
{
    struct serve_settings settings = { .active_threads = 8, .allows_plain_loopback = true };
    struct fake_server *server = fake_start(&settings);
    struct peer peers[6];

    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_open(server, &peers[i]);
    fake.login_ms = 300;
    fake.page_ms = 1500;
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_send(&peers[i], "a LOGIN auditor secret\r\nb EXAMINE Accounts/alice/INBOX\r\n"
                             "c FETCH 1 FLAGS\r\n");
    CHECK(usleep(1000000) == 0);
    CHECK_EQ_U64(fake.pages, 4);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        CHECK_HAS(peer_until(&peers[i], "c "), "c OK");
        peer_close(&peers[i]);
    }
    fake_stop(&server);
}

TEST(one_auditor_leaves_database_connections_to_the_others)
{
    struct serve_settings settings = { .active_threads = 16,
                                       .read_connections = 4,
                                       .allows_plain_loopback = true };
    struct fake_server *server = fake_start(&settings);
    struct peer peers[4];

    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        peer_open(server, &peers[i]);
        peer_login(&peers[i]);
        CHECK_HAS(peer_ask(&peers[i], "EXAMINE Accounts/alice/INBOX"), "t OK");
    }
    CHECK(fake_wait_parked(server, ARRAY_LEN(peers)));
    fake.page_ms = 1500;
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_send(&peers[i], "a FETCH 1 FLAGS\r\n");
    CHECK(usleep(1000000) == 0);
    CHECK_EQ_U64(fake.pages, 3);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        CHECK_HAS(peer_until(&peers[i], "a "), "a OK");
        peer_close(&peers[i]);
    }
    fake_stop(&server);
}

static void wait_for_pages(unsigned pages)
{
    while (fake.pages < pages)
        CHECK(usleep(1000) == 0);
}

/* Four connections: three for all auditors together, the last one for whoever has none. */
TEST(two_auditors_cannot_lock_out_a_third)
{
    struct serve_settings settings = { .active_threads = 16,
                                       .read_connections = 4,
                                       .allows_plain_loopback = true };
    struct fake_server *server = fake_start(&settings);
    enum {
        OF_ONE = 3,
        PEERS = 2 * OF_ONE + 1
    };
    struct peer peers[PEERS];

    for (unsigned i = 0; i < PEERS; i++) {
        fake.auditor = i / OF_ONE;
        peer_open(server, &peers[i]);
        peer_login(&peers[i]);
        CHECK_HAS(peer_ask(&peers[i], "EXAMINE Accounts/alice/INBOX"), "t OK");
    }
    CHECK(fake_wait_parked(server, PEERS));
    fake.holds_pages = true;
    for (size_t i = 0; i < OF_ONE; i++) {
        peer_send(&peers[i], "a FETCH 1 FLAGS\r\n");
        wait_for_pages((unsigned)i + 1);
    }
    for (size_t i = OF_ONE; i < PEERS; i++)
        peer_send(&peers[i], "a FETCH 1 FLAGS\r\n");
    wait_for_pages(OF_ONE + 2); /* one of the second auditor, and the third's */
    CHECK(usleep(100000) == 0);
    CHECK_EQ_U64(fake.pages, OF_ONE + 2);
    fake.holds_pages = false;
    for (size_t i = 0; i < PEERS; i++) {
        CHECK_HAS(peer_until(&peers[i], "a "), "a OK");
        peer_close(&peers[i]);
    }
    CHECK_EQ_U64(fake.pages, PEERS);
    fake_stop(&server);
}

TEST(a_client_that_does_not_read_is_ended_and_its_work_stops)
{
    struct serve_settings settings = { .active_threads = 4,
                                       .allows_plain_loopback = true,
                                       .limits = { .stall_ms = 500 } };
    struct fake_server *server = fake_start(&settings);
    struct peer stuck;
    struct peer other;
    unsigned pages;

    peer_open(server, &stuck);
    peer_login(&stuck);
    fake.messages = 2000000;
    CHECK_HAS(peer_ask(&stuck, "EXAMINE Accounts/alice/INBOX"), "* 2000000 EXISTS");
    peer_send(&stuck, "a FETCH 1:* (UID FLAGS INTERNALDATE)\r\n");
    peer_open(server, &other);
    peer_login(&other);
    CHECK_HAS(peer_ask(&other, "NOOP"), "t OK");
    for (int i = 0; i < 400 && serve_counts(fake_get(server)).sessions == 2; i++)
        CHECK(usleep(10000) == 0);
    CHECK_EQ_U64(serve_counts(fake_get(server)).sessions, 1);
    pages = fake.pages;
    CHECK(pages < 100);
    CHECK_HAS(peer_ask(&other, "NOOP"), "t OK");
    CHECK_EQ_U64(fake.pages, pages);
    peer_close(&stuck);
    peer_close(&other);
    fake_stop(&server);
}

TEST(a_client_that_reads_an_octet_now_and_then_is_ended_too)
{
    struct serve_settings settings = { .active_threads = 4,
                                       .allows_plain_loopback = true,
                                       .limits = { .stall_ms = 60000, .slow_ms = 700 } };
    struct fake_server *server = fake_start(&settings);
    struct peer slow;
    char octet;

    peer_open(server, &slow);
    peer_login(&slow);
    fake.messages = 2000000;
    CHECK_HAS(peer_ask(&slow, "EXAMINE Accounts/alice/INBOX"), "* 2000000 EXISTS");
    peer_send(&slow, "a FETCH 1:* (UID FLAGS INTERNALDATE)\r\n");
    for (int i = 0; i < 1000 && serve_counts(fake_get(server)).sessions == 1; i++) {
        CHECK(read(slow.fd, &octet, 1) == 1);
        CHECK(usleep(20000) == 0);
    }
    CHECK_EQ_U64(serve_counts(fake_get(server)).sessions, 0);
    CHECK(fake.pages < 100);
    peer_close(&slow);
    fake_stop(&server);
}

static void dial(uint16_t port, struct peer *peer)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    *peer = (struct peer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    CHECK(connect(peer->fd, (struct sockaddr *)&address, sizeof address) == 0);
    (void)peer_until(peer, "* ");
}

TEST(one_network_takes_only_its_share_of_places_before_login)
{
    static struct peer peers[SERVE_STRANGERS_PER_NETWORK_MAX];
    static const struct conf_addresses listen = { .count = 1, .at = { { "127.0.0.1", 0 } } };
    struct serve_settings settings = { .active_threads = 4,
                                       .allows_plain_loopback = true,
                                       .listen = &listen };
    struct fake_server *server = fake_start(&settings);
    uint16_t port = serve_get_port(fake_get(server), false);
    struct peer more;
    struct peer local;

    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        dial(port, &peers[i]);
        CHECK_HAS(peers[i].text, "* OK");
    }
    dial(port, &more);
    CHECK_HAS(more.text, "* BYE [UNAVAILABLE] Too many connections");
    CHECK(peer_is_closed(&more));
    peer_close(&more);
    peer_open(server, &local); /* from elsewhere */
    peer_close(&local);
    peer_login(&peers[0]); /* is a stranger no longer */
    dial(port, &more);
    CHECK_HAS(more.text, "* OK");
    peer_close(&more);
    CHECK_HAS(peer_ask(&peers[1], "LOGOUT"), "* BYE");
    CHECK(peer_is_closed(&peers[1]));
    dial(port, &more);
    CHECK_HAS(more.text, "* OK");
    peer_close(&more);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_close(&peers[i]);
    fake_stop(&server);
}
