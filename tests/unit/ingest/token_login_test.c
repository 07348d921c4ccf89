/* SPDX-License-Identifier: Apache-2.0 */
/* Logins by OAuth token and by certificate, against scripted peers. */
#include "ingest/login.h"
#include "peer.h"

static const struct source_account_settings account = {
    .name = BYTES_INIT("alice"),
    .host = BYTES_INIT("127.0.0.1"),
    .port = 143,
    .login = BYTES_INIT("alice"),
    .tls = SOURCE_TLS_NONE,
};

struct attempt {
    struct peer peer;
    struct err err;
    bool is_in, was_refused;
};

/* Plays the script against a login by "tok". */
static struct attempt log_in(const struct source_account_settings *settings,
                             enum source_proof proof, const char *script)
{
    CLEANUP(source_free_identity) struct source_identity identity = { .proof = proof };
    CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
    struct ingest_login login = { .account = settings, .identity = &identity };
    struct ingest_client_options options = { .stop_fd = -1, .stall_ms = 300 };
    struct attempt attempt = { .is_in = false };
    struct net_stream *stream = peer_play(&attempt.peer, bytes_of_text(script), false);

    CHECK(secret_create(BYTES("tok"), &identity.secret, &attempt.err));
    attempt.is_in = ingest_greet_and_log_in(&stream, &login, &options, &client, &attempt.err);
    attempt.was_refused = login.was_refused;
    (void)peer_heard(&attempt.peer);
    peer_close(&attempt.peer);
    return attempt;
}

/* user=alice^Aauth=Bearer tok^A^A */
#define XOAUTH2_MESSAGE "dXNlcj1hbGljZQFhdXRoPUJlYXJlciB0b2sBAQ=="

TEST(xoauth2_travels_as_initial_response_where_the_server_takes_one)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=PLAIN] hi\r\n"
                              "h1 OK [CAPABILITY IMAP4rev1] in\r\n");

    CHECK(a.is_in && !a.was_refused);
    CHECK_STR(a.peer.said, "h1 AUTHENTICATE XOAUTH2 " XOAUTH2_MESSAGE "\r\n");
}

TEST(xoauth2_waits_for_the_turn_where_it_does_not)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n+ \r\n"
                              "h1 OK [CAPABILITY IMAP4rev1] in\r\n");

    CHECK(a.is_in);
    CHECK_STR(a.peer.said, "h1 AUTHENTICATE XOAUTH2\r\n" XOAUTH2_MESSAGE "\r\n");
}

/* RFC 7628 §3.1: n,a=al=2Ci=3Dce,^Ahost=127.0.0.1^Aport=143^Aauth=Bearer tok^A^A */
TEST(oauthbearer_is_preferred_and_quotes_the_name)
{
    struct source_account_settings odd = account;

    odd.login = BYTES("al,i=ce");
    struct attempt a =
        log_in(&odd, SOURCE_BY_TOKEN,
               "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi\r\n"
               "h1 OK [CAPABILITY IMAP4rev1] in\r\n");

    CHECK(a.is_in);
    CHECK_STR(
        a.peer.said,
        "h1 AUTHENTICATE OAUTHBEARER "
        "bixhPWFsPTJDaT0zRGNlLAFob3N0PTEyNy4wLjAuMQFwb3J0PTE0MwFhdXRoPUJlYXJlciB0b2sBAQ==\r\n");
}

TEST(a_refused_xoauth2_token_is_acknowledged_by_an_empty_line_and_told_with_its_reason)
{
    struct attempt a =
        log_in(&account, SOURCE_BY_TOKEN,
               "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"
               "+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=\r\n"
               "h1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");

    CHECK(!a.is_in && a.was_refused);
    CHECK_EQ_U64(a.err.code, ERR_DENIED);
    CHECK_STR(a.peer.said, "h1 AUTHENTICATE XOAUTH2 " XOAUTH2_MESSAGE "\r\n\r\n");
    CHECK(strstr(a.err.text, "\"status\":\"401\"") != NULL);
    CHECK(strstr(a.err.text, "\"scope\":\"mail\"") != NULL);
}

TEST(a_refused_oauthbearer_token_is_acknowledged_by_one_control_a)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] hi\r\n"
                              "+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\nh1 NO no\r\n");

    CHECK(!a.is_in && a.was_refused);
    CHECK(strstr(a.peer.said, "\r\nAQ==\r\n") != NULL);
    CHECK(strstr(a.err.text, "invalid_token") != NULL);
}

TEST(unavailable_says_nothing_about_the_token)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"
                              "h1 NO [UNAVAILABLE] Temporary authentication failure.\r\n");

    CHECK(!a.is_in && !a.was_refused);
    CHECK_EQ_U64(a.err.code, ERR_RETRY);
}

/* Such a token is replaced, while one that expires later ends the session only. */
TEST(a_token_that_has_expired_is_refused_at_the_login)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"
                              "h1 NO AUTHENTICATE failed: AccessTokenExpired\r\n");

    CHECK(!a.is_in && a.was_refused);
    CHECK_EQ_U64(a.err.code, ERR_DENIED);
}

TEST(a_challenge_that_is_no_json_or_no_base64_hurts_nobody)
{
    static const char *const challenges[] = {
        "", "!!!", "AAEC/w==",
        "G1syShtbMkobWzJKG1syShtbMkobWzJKG1syShtbMkobWzJKG1syShtbMkobWzJKG1syShtbMkobWzJKG1syShtbMk"
        "obWzJKG1syShtbMko="
    };

    for (size_t i = 0; i < ARRAY_LEN(challenges); i++) {
        CLEANUP(buf_free) struct buf script = buf_create(4096);

        buf_text(&script, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n+ ");
        buf_text(&script, challenges[i]);
        buf_text(&script, "\r\nh1 NO no\r\n");
        buf_byte(&script, '\0');
        struct attempt a = log_in(&account, SOURCE_BY_TOKEN, (const char *)script.ptr);

        CHECK(!a.is_in && a.was_refused);
        for (const char *c = a.err.text; *c != '\0'; c++)
            CHECK(*c >= 0x20 && *c < 0x7f);
    }
}

TEST(challenges_without_end_are_left)
{
    CLEANUP(buf_free) struct buf script = buf_create(4096);

    buf_text(&script, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n");
    for (int i = 0; i < 20; i++)
        buf_text(&script, "+ e30=\r\n");
    buf_byte(&script, '\0');
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN, (const char *)script.ptr);

    CHECK(!a.is_in);
    CHECK_EQ_U64(a.err.code, ERR_SYNTAX);
}

TEST(a_token_is_never_sent_as_a_password)
{
    struct attempt a = log_in(&account, SOURCE_BY_TOKEN,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=LOGIN] hi\r\n");

    CHECK(!a.is_in && !a.was_refused);
    CHECK_EQ_U64(a.err.code, ERR_DENIED);
    CHECK_STR(a.peer.said, "");
    CHECK(strstr(a.err.text, "OAUTHBEARER") != NULL);
}

TEST(a_certificate_logs_in_by_external_with_the_name_of_the_mailbox)
{
    struct attempt a = log_in(&account, SOURCE_BY_CERTIFICATE,
                              "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=EXTERNAL] hi\r\n"
                              "h1 OK [CAPABILITY IMAP4rev1] in\r\n");

    CHECK(a.is_in);
    CHECK_STR(a.peer.said, "h1 AUTHENTICATE EXTERNAL YWxpY2U=\r\n");
    a = log_in(&account, SOURCE_BY_CERTIFICATE,
               "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hi\r\n");
    CHECK(!a.is_in && strstr(a.err.text, "EXTERNAL") != NULL);
}

TEST(a_session_whose_token_has_expired_is_over_also_when_the_server_says_no)
{
    static const char *const ends[] = {
        "h2 NO Session invalidated - AccessTokenExpired\r\n",
        "* BYE Session invalidated - AccessTokenExpired\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        CLEANUP(source_free_identity)
        struct source_identity identity = { .proof = SOURCE_BY_TOKEN };
        CLEANUP(ingest_close_client) struct ingest_client *client = NULL;
        CLEANUP(buf_free) struct buf script = buf_create(1000);
        struct ingest_login login = { .account = &account, .identity = &identity };
        struct ingest_client_options options = { .stop_fd = -1, .stall_ms = 300 };
        struct net_stream *stream;
        struct ingest_reply reply;
        struct ingest_tag tag;
        struct peer peer;
        struct err err = { 0 };

        buf_text(&script, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n"
                          "h1 OK [CAPABILITY IMAP4rev1] in\r\n");
        buf_text(&script, ends[i]);
        stream = peer_play(&peer, buf_bytes(&script), false);
        CHECK(secret_create(BYTES("tok"), &identity.secret, &err));
        CHECK(ingest_greet_and_log_in(&stream, &login, &options, &client, &err));
        ingest_begin_command(client, "NOOP");
        CHECK(ingest_send_command(client, &tag, &err));
        CHECK(!ingest_finish_command(client, tag, NULL, NULL, &reply, &err));
        CHECK_EQ_U64(err.code, ERR_RETRY);
        peer_close(&peer);
    }
}
