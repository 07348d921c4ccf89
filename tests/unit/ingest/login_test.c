/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "ingest/login.h"
#include "peer.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

static const struct source_account_settings plain_account = {
    .name = BYTES_INIT("alice"),
    .host = BYTES_INIT("127.0.0.1"),
    .port = 143,
    .login = BYTES_INIT("alice"),
    .tls = SOURCE_TLS_NONE,
};

/* Plays the script; returns whether the login worked. */
static bool log_in(struct peer *peer, const struct source_account_settings *account,
                   struct bytes password, struct bytes script, struct err *err)
{
    CLEANUP(source_free_identity) struct source_identity identity = { .proof = SOURCE_BY_PASSWORD };
    struct ingest_login login = { .account = account, .identity = &identity };
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct net_stream *stream = peer_play(peer, script, false);
    struct ingest_client_options options = { .stop_fd = -1, .stall_ms = 300 };
    bool is_in;

    CHECK(secret_create(password, &identity.secret, err));
    is_in = ingest_greet_and_log_in(&stream, &login, &options, &client, err);
    (void)peer_heard(peer);
    peer_close(peer);
    return is_in;
}

TEST(login_is_used_where_sasl_is_not_offered)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("p\"w\\ 1"),
                 BYTES("* OK [CAPABILITY IMAP4rev1] hi\r\n"
                       "h1 OK [CAPABILITY IMAP4rev1 CONDSTORE] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 LOGIN alice \"p\\\"w\\\\ 1\"\r\n");
}

TEST(capabilities_are_asked_again_after_login_when_not_told)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("pw"),
                 BYTES("* OK hi\r\n* CAPABILITY IMAP4rev1\r\nh1 OK\r\nh2 OK in\r\n"
                       "* CAPABILITY IMAP4rev1 LIST-STATUS\r\nh3 OK done\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 CAPABILITY\r\nh2 LOGIN alice pw\r\nh3 CAPABILITY\r\n");
}

TEST(a_password_beyond_ascii_travels_as_a_literal_that_waits)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("p\xc3\xa4ss"),
                 BYTES("* OK [CAPABILITY IMAP4rev1] hi\r\n+ go\r\nh1 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 LOGIN alice {5}\r\np\xc3\xa4ss\r\n");
}

TEST(sasl_plain_is_sent_at_once_when_the_server_takes_it_so)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("pw"),
                 BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n"
                       "h1 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 AUTHENTICATE PLAIN AGFsaWNlAHB3\r\n");
}

TEST(a_login_for_another_carries_both_names_and_never_goes_by_a_way_that_has_one)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.login_as = BYTES("master");
    CHECK(log_in(&peer, &account, BYTES("pw"),
                 BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=CRAM-MD5 AUTH=PLAIN] hi\r\n"
                       "h1 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 AUTHENTICATE PLAIN YWxpY2UAbWFzdGVyAHB3\r\n");
    memset(&peer, 0, sizeof peer);
    CHECK(!log_in(&peer, &account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=LOGIN] hi\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "");
}

TEST(sasl_plain_waits_for_the_plus_otherwise)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("pw"),
                 BYTES("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED] hi\r\n+ \r\n"
                       "h1 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 AUTHENTICATE PLAIN\r\nAGFsaWNlAHB3\r\n");
}

TEST(cram_md5_is_answered_as_rfc_2195_says)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.login = BYTES("tim");
    CHECK(log_in(&peer, &account, BYTES("tanstaaftanstaaf"),
                 BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR LOGINDISABLED AUTH=CRAM-MD5] hi\r\n"
                       "+ PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n"
                       "h1 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK_STR(peer.said, "h1 AUTHENTICATE CRAM-MD5\r\n"
                         "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n");
}

TEST(an_ok_before_the_server_proved_itself_is_no_login)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n"
                        "h1 OK [CAPABILITY X] in\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(err.text, "without having proved") != NULL);
}

TEST(a_challenge_that_makes_no_sense_is_cancelled)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256] hi\r\n+ \r\n+ !!!\r\n"
                        "h1 BAD cancelled\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(peer.said, "\r\n*\r\n") != NULL);
}

/* i=4000000000: libgsasl would count for an hour, deaf to everything. */
TEST(scram_with_iterations_without_end_is_cancelled)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] hi\r\n"
                        "+ cj1hYmMscz1RU1hDUitRNnNlazhiZjkyLGk9NDAwMDAwMDAwMA==\r\n"
                        "h1 BAD cancelled\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(err.text, "iterations") != NULL);
    CHECK(strstr(peer.said, "\r\n*\r\n") != NULL);
}

TEST(what_scram_is_refused_plain_is_tried_once)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(
        &peer, &plain_account, BYTES("pw"),
        BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-1 AUTH=PLAIN AUTH=LOGIN] hi\r\n"
              "h1 NO [AUTHENTICATIONFAILED] no\r\nh2 OK [CAPABILITY X] in\r\n"),
        &err));
    CHECK(strstr(peer.said, "h2 AUTHENTICATE PLAIN AGFsaWNlAHB3\r\n") != NULL);
}

TEST(a_second_scram_is_not_tried_before_plain)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(log_in(&peer, &plain_account, BYTES("pw"),
                 BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1 "
                       "AUTH=PLAIN] hi\r\n"
                       "h1 NO [AUTHENTICATIONFAILED] no hash of this kind is kept\r\n"
                       "h2 OK [CAPABILITY X] in\r\n"),
                 &err));
    CHECK(strstr(peer.said, "h1 AUTHENTICATE SCRAM-SHA-256 ") != NULL);
    CHECK(strstr(peer.said, "h2 AUTHENTICATE PLAIN AGFsaWNlAHB3\r\n") != NULL);
}

TEST(a_second_scram_is_tried_where_nothing_else_is_offered)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1] "
                        "hi\r\nh1 NO no\r\nh2 NO no\r\n"),
                  &err));
    CHECK(strstr(peer.said, "h2 AUTHENTICATE SCRAM-SHA-1 ") != NULL);
}

/* LOGIN is answered by NO with this text. */
static void refuse(const char *answer, struct bytes secret, struct err *err)
{
    CLEANUP(buf_free) struct buf script = buf_create(1000);
    struct peer peer = { 0 };

    buf_text(&script, "* OK [CAPABILITY IMAP4rev1] hi\r\nh1 NO ");
    buf_text(&script, answer);
    buf_text(&script, "\r\n");
    CHECK(!log_in(&peer, &plain_account, secret, buf_bytes(&script), err));
}

/* Some repeat the line that they refuse. */
TEST(a_password_that_the_server_repeats_is_not_told)
{
    static const char *const answers[] = {
        "unknown: h1 LOGIN alice hush-hush, hush-hush", /* whole */
        /* and where the text is cut */
        "................................................................................"
        "................................................................................"
        "................................ hush-hush",
    };

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct err err = { 0 };

        refuse(answers[i], BYTES("hush-hush"), &err);
        CHECK_EQ_U64(err.code, ERR_DENIED);
        CHECK(strstr(err.text, "hush") == NULL);
        CHECK(strstr(err.text, i == 0 ? "LOGIN alice *********, *********)" : ". ****") != NULL);
    }
}

TEST(login_disabled_is_respected)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "");
}

TEST(a_wrong_password_says_what_to_do)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY IMAP4rev1] hi\r\n"
                        "h1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(err.text, "login to 127.0.0.1:143 refused ([AUTHENTICATIONFAILED] Authentication "
                        "failed.): check the user name and set the password with holdfast account "
                        "edit alice --password-file F");
}

TEST(a_login_that_fails_for_now_is_worth_another_try)
{
    static const char *const answers[] = {
        "[UNAVAILABLE] Temporary authentication failure.",
        "[ALERT] Too many simultaneous connections. (Failure)",
        "[LIMIT] x",
        "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
    };

    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct err err = { 0 };

        refuse(answers[i], BYTES("pw"), &err);
        CHECK_EQ_U64(err.code, ERR_RETRY);
    }
}

TEST(preauth_is_refused_and_nothing_is_sent)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.tls = SOURCE_TLS_STARTTLS;
    CHECK(!log_in(&peer, &account, BYTES("pw"),
                  BYTES("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "");
}

TEST(without_starttls_no_password_is_sent)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.tls = SOURCE_TLS_STARTTLS;
    CHECK(!log_in(&peer, &account, BYTES("pw"),
                  BYTES("* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nh1 OK\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "h1 CAPABILITY\r\n");
}

TEST(a_refused_starttls_ends_it)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.tls = SOURCE_TLS_STARTTLS;
    CHECK(!log_in(&peer, &account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY STARTTLS] hi\r\nh1 NO not now\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "h1 STARTTLS\r\n");
}

TEST(answers_injected_behind_starttls_end_it)
{
    struct source_account_settings account = plain_account;
    struct peer peer = { 0 };
    struct err err = { 0 };

    account.tls = SOURCE_TLS_STARTTLS;
    CHECK(!log_in(&peer, &account, BYTES("pw"),
                  BYTES("* OK [CAPABILITY STARTTLS] hi\r\nh1 OK go\r\n"
                        "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nh2 OK\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(peer.said, "h1 STARTTLS\r\n");
}

TEST(another_protocol_is_named)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"), BYTES("SSH-2.0-OpenSSH_9.2\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_STR(peer.said, "");
    memset(&peer, 0, sizeof peer);
    CHECK(!log_in(&peer, &plain_account, BYTES("pw"), BYTES("220 mail.example.org ESMTP ready\r\n"),
                  &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}

TEST(a_bye_as_greeting_is_worth_another_try)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"), BYTES("* BYE too busy\r\n"), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

TEST(a_silent_source_ends_by_the_stall_time)
{
    struct peer peer = { 0 };
    struct err err = { 0 };

    CHECK(!log_in(&peer, &plain_account, BYTES("pw"), BYTES("* OK [CAPA"), &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

/* ---- sources that talk and do not come to an end ---------------------------------------------------- */

enum {
    DRIP_MS = 50
};

static void drip(int fd, struct bytes octets)
{
    while (send(fd, octets.ptr, octets.len, MSG_NOSIGNAL) > 0) /* until nobody listens any more */
        (void)poll(NULL, 0, DRIP_MS);
}

static void *drip_lines(void *context)
{
    const struct peer *peer = context;

    drip(peer->fd, BYTES("* OK please wait\r\n"));
    return NULL;
}

/* A record of TLS whose 16 KiB come octet by octet. */
static void *drip_handshake(void *context)
{
    static const uint8_t record[] = { 0x16, 0x03, 0x03, 0x40, 0x00, 0x02 };
    const struct peer *peer = context;
    struct err err = { 0 };
    char heard[4096];

    CHECK(recv(peer->fd, heard, sizeof heard, 0) > 0); /* STARTTLS */
    CHECK(fd_write_all(peer->fd, BYTES("h1 OK begin\r\n"), &err));
    CHECK(recv(peer->fd, heard, sizeof heard, 0) > 0); /* ClientHello */
    CHECK(fd_write_all(peer->fd, bytes_of(record, sizeof record), &err));
    drip(peer->fd, BYTES("\0"));
    return NULL;
}

static void check_time_out(const struct source_account_settings *account, const char *greeting,
                           void *(*talk)(void *))
{
    CLEANUP(source_free_identity) struct source_identity identity = { .proof = SOURCE_BY_PASSWORD };
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct ingest_login login = { .account = account, .identity = &identity };
    struct ingest_client_options options = { .stop_fd = -1, .stall_ms = 300 };
    struct peer peer = { 0 };
    struct net_stream *stream = peer_play(&peer, bytes_of_text(greeting), false);
    struct err err = { 0 };
    pthread_t thread;

    CHECK(secret_create(BYTES("pw"), &identity.secret, &err));
    CHECK(pthread_create(&thread, NULL, talk, &peer) == 0);
    CHECK(!ingest_greet_and_log_in(&stream, &login, &options, &client, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(strstr(err.text, "time-out") != NULL);
    (void)pthread_join(thread, NULL);
    peer_close(&peer);
}

TEST(a_source_that_talks_without_an_answer_to_the_login_is_left)
{
    check_time_out(&plain_account, "* OK [CAPABILITY IMAP4rev1] hi\r\n", drip_lines);
}

TEST(a_handshake_that_comes_octet_by_octet_is_left)
{
    struct source_account_settings account = plain_account;

    account.tls = SOURCE_TLS_STARTTLS;
    check_time_out(&account, "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", drip_handshake);
}
