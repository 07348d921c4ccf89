/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/response.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static enum oauth_progress ask(unsigned status, const char *body, struct oauth_tokens *tokens,
                               struct err *err)
{
    *tokens = (struct oauth_tokens){ 0 };
    *err = (struct err){ 0 };
    return oauth_read_token_response(status, bytes_of_text(body), tokens, err);
}

TEST(a_token_is_taken_with_its_life_and_its_successor)
{
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    struct err err;

    CHECK_EQ_U64(ask(200,
                     "{\"access_token\":\"a.b-c_d~e+f/g==\",\"token_type\":\"bearer\","
                     "\"expires_in\":\"3599\",\"refresh_token\":\"r\",\"scope\":[1]}",
                     &tokens, &err),
                 OAUTH_DONE);
    CHECK_BYTES(secret_bytes(tokens.access), BYTES("a.b-c_d~e+f/g=="));
    CHECK_BYTES(secret_bytes(tokens.refresh), BYTES("r"));
    CHECK_EQ_I64(tokens.expires_in_seconds, 3599);
    oauth_free_tokens(&tokens);
    CHECK_EQ_U64(ask(200, "{\"access_token\":\"a\",\"refresh_token\":null}", &tokens, &err),
                 OAUTH_DONE);
    CHECK(tokens.refresh == NULL);
}

static int64_t life_of(const char *member)
{
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    char body[200];
    struct err err;

    (void)snprintf(body, sizeof body, "{\"access_token\":\"a\"%s}", member);
    CHECK_EQ_U64(ask(200, body, &tokens, &err), OAUTH_DONE);
    return tokens.expires_in_seconds;
}

TEST(a_life_is_bounded_whatever_is_said_of_it)
{
    CHECK_EQ_I64(life_of(""), OAUTH_EXPIRES_DEFAULT_SECONDS);
    CHECK_EQ_I64(life_of(",\"expires_in\":true"), OAUTH_EXPIRES_DEFAULT_SECONDS);
    CHECK_EQ_I64(life_of(",\"expires_in\":-7"), 1);
    CHECK_EQ_I64(life_of(",\"expires_in\":12.9"), 12);
    CHECK_EQ_I64(life_of(",\"expires_in\":1e300"), OAUTH_EXPIRES_MAX_SECONDS);
    CHECK_EQ_I64(life_of(",\"expires_in\":\"18446744073709551615\""), OAUTH_EXPIRES_MAX_SECONDS);
}

/* What the answer means, and a word of how it is told. */
static void check_failed(unsigned status, const char *body, enum err_code code, const char *word)
{
    struct oauth_tokens tokens;
    struct err err;

    CHECK_EQ_U64(ask(status, body, &tokens, &err),
                 status == 400 && strstr(body, "invalid_grant") != NULL ? OAUTH_INVALID
                                                                        : OAUTH_FAILED);
    CHECK(tokens.access == NULL && tokens.refresh == NULL);
    CHECK_EQ_U64(err.code, code);
    if (strstr(err.text, word) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", err.text, word);
}

TEST(what_needs_a_human_is_told_from_what_time_mends)
{
    check_failed(400,
                 "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS70008: expired\"}",
                 ERR_DENIED, "invalid_grant (AADSTS70008: expired): what stands for the consent");
    check_failed(401, "{\"error\":\"invalid_client\"}", ERR_DENIED, "secret or certificate");
    check_failed(401, "{\"error\":\"unauthorized_client\"}", ERR_DENIED, "delegate");
    check_failed(403, "{\"error\":\"something_new\"}", ERR_DENIED, "something_new");
    check_failed(400, "{\"error\":\"temporarily_unavailable\"}", ERR_RETRY, "later");
    check_failed(429, "{\"error\":\"invalid_grant\"}", ERR_RETRY, "429");
    check_failed(500, "{\"error\":\"server_error\"}", ERR_RETRY, "500");
    check_failed(503, "<html>busy</html>", ERR_RETRY, "503");
    check_failed(404, "<html>no</html>", ERR_DENIED, "is it the token endpoint?");
    check_failed(302, "", ERR_DENIED, "302");
    check_failed(200, "<html>log in to this hotel</html>", ERR_RETRY, "without a JSON object");
    check_failed(200, "{\"error\":\"invalid_scope\"}", ERR_DENIED, "check \"scope\"");
}

TEST(a_token_that_could_break_a_protocol_is_none)
{
    check_failed(200, "{}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"\"}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":7}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"a b\"}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"a\\r\\nb\"}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"a\\u0001\\u0001\"}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"\\u00e4\"}", ERR_RETRY, "access_token");
    check_failed(200, "{\"access_token\":\"a\",\"refresh_token\":\"\\n\"}", ERR_RETRY,
                 "refresh_token");
    check_failed(200, "{\"access_token\":\"a\",\"token_type\":\"mac\"}", ERR_DENIED, "bearer");
}

TEST(what_an_endpoint_says_reaches_a_terminal_only_as_printable_ascii)
{
    check_failed(400, "{\"error\":\"x\\u001b[2J\",\"error_description\":\"a\\nb\\u00fcc\"}",
                 ERR_DENIED, "x?[2J (a?b??c)");
}

TEST(an_answer_over_its_limit_is_none)
{
    char *long_body = malloc(OAUTH_RESPONSE_MAX_BYTES + 2);

    memset(long_body, ' ', OAUTH_RESPONSE_MAX_BYTES + 1);
    memcpy(long_body, "{\"access_token\":\"a\"}", 20);
    long_body[OAUTH_RESPONSE_MAX_BYTES + 1] = '\0';
    check_failed(200, long_body, ERR_RETRY, "without a JSON object");
    free(long_body);
}

TEST(the_steps_of_a_device_are_told_apart)
{
    struct oauth_tokens tokens;
    struct err err;

    CHECK_EQ_U64(ask(400, "{\"error\":\"authorization_pending\"}", &tokens, &err), OAUTH_PENDING);
    CHECK_EQ_U64(ask(400, "{\"error\":\"slow_down\"}", &tokens, &err), OAUTH_SLOW_DOWN);
    check_failed(400, "{\"error\":\"expired_token\"}", ERR_DENIED, "in time");
    check_failed(400, "{\"error\":\"access_denied\"}", ERR_DENIED, "declined");
}

TEST(a_device_is_shown_where_to_go_and_how_often_to_ask)
{
    CLEANUP(oauth_free_device) struct oauth_device device = { 0 };
    struct err err = { 0 };

    CHECK(oauth_read_device_response(
        200,
        BYTES("{\"device_code\":\"d\",\"user_code\":\"AB-CD\",\"verification_uri\":"
              "\"https://v.example/\",\"expires_in\":600,\"interval\":0}"),
        &device, &err));
    CHECK_BYTES(secret_bytes(device.code), BYTES("d"));
    CHECK_STR(device.user_code, "AB-CD");
    CHECK_STR(device.verification_uri, "https://v.example/");
    CHECK_EQ_I64(device.expires_in_seconds, 600);
    CHECK_EQ_I64(device.interval_seconds, 1);
    struct oauth_device none = { 0 };
    CHECK(!oauth_read_device_response(200, BYTES("{\"device_code\":\"d\"}"), &none, &err));
    CHECK(!oauth_read_device_response(400, BYTES("{\"error\":\"invalid_client\"}"), &none, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(none.code == NULL);
}
