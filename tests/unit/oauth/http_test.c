/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/endpoint.h"
#include "oauth/grants.h"
#include "oauth/http.h"
#include "oauth/response.h"
#include "oauth/token.h"

static bool post(const struct endpoint *endpoint, int64_t ms, struct oauth_reply *reply,
                 struct err *err)
{
    bool was_sent;

    *reply = (struct oauth_reply){ 0 };
    *err = (struct err){ 0 };
    return oauth_post(endpoint->url, NULL, BYTES("a=b"), deadline_after_ms(ms), reply, &was_sent,
                      err);
}

TEST(a_form_is_percent_encoded_and_skips_what_is_not_given)
{
    CLEANUP(buf_free) struct buf form = buf_create(200);

    oauth_add_parameter(&form, "grant_type", "urn:x y");
    oauth_add_parameter(&form, "scope", NULL);
    oauth_add_octets(&form, "user", BYTES("j\xc3\xb6&=+~"));
    CHECK_BYTES(buf_bytes(&form), BYTES("grant_type=urn%3Ax%20y&user=j%C3%B6%26%3D%2B~"));
}

TEST(an_answer_comes_with_its_status_whatever_that_is)
{
    static const struct endpoint_answer answers[] = { { 418, "", "{\"error\":\"teapot\"}" } };
    CLEANUP(oauth_free_reply) struct oauth_reply reply;
    struct endpoint endpoint;
    struct err err;

    endpoint_open(&endpoint, answers, 1);
    CHECK(post(&endpoint, 5000, &reply, &err));
    CHECK_EQ_U64(reply.status, 418);
    CHECK_BYTES(buf_bytes(&reply.body), BYTES("{\"error\":\"teapot\"}"));
    CHECK(strncmp(endpoint.request, "POST /token HTTP/1.1\r\n", 22) == 0);
    CHECK(strstr(endpoint.request, "Content-Type: application/x-www-form-urlencoded\r\n") != NULL);
    CHECK(strstr(endpoint.request, "\r\n\r\na=b") != NULL);
    endpoint_close(&endpoint);
}

TEST(a_redirection_is_not_followed_with_our_secrets)
{
    static const struct endpoint_answer answers[] = { { 307, "Location: /elsewhere\r\n", "" } };
    CLEANUP(oauth_free_reply) struct oauth_reply reply;
    struct endpoint endpoint;
    struct err err;

    endpoint_open(&endpoint, answers, 1);
    CHECK(post(&endpoint, 5000, &reply, &err));
    CHECK_EQ_U64(reply.status, 307);
    CHECK_EQ_U64(atomic_load(&endpoint.asked), 1);
    endpoint_close(&endpoint);
}

TEST(an_answer_beyond_the_limit_ends_the_exchange)
{
    static char body[OAUTH_RESPONSE_MAX_BYTES + 2];
    const struct endpoint_answer answers[] = { { 200, "", body } };
    struct oauth_reply reply;
    struct endpoint endpoint;
    struct err err;

    memset(body, 'x', OAUTH_RESPONSE_MAX_BYTES + 1);
    endpoint_open(&endpoint, answers, 1);
    CHECK(!post(&endpoint, 5000, &reply, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    endpoint_close(&endpoint);
}

TEST(silence_ends_with_the_deadline_and_may_be_tried_again)
{
    static const struct endpoint_answer answers[] = { { 200, "", "{}" } };
    struct oauth_reply reply;
    struct endpoint endpoint;
    struct err err;

    endpoint_open(&endpoint, answers, 1);
    endpoint.pause_ms = 400;
    CHECK(!post(&endpoint, 100, &reply, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(!post(&endpoint, 0, &reply, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    endpoint_close(&endpoint);
    CHECK(!post(&endpoint, 1000, &reply, &err)); /* nobody listens any more */
    CHECK_EQ_U64(err.code, ERR_RETRY);
}

static struct oauth_grant *device_grant(const struct endpoint *endpoint)
{
    return must_read_grant(json_pack("{s:s, s:s, s:s, s:s, s:s}", "grant", "device", "token_url",
                                     endpoint->url, "device_url", endpoint->url, "client_id", "c",
                                     "scope", "mail offline_access"));
}

TEST(a_device_asks_until_the_human_has_answered)
{
    static const struct endpoint_answer answers[] = {
        { 200, "",
          "{\"device_code\":\"d c\",\"user_code\":\"U\",\"verification_uri\":\"https://v/\"}" },
        { 200, "",
          "{\"device_code\":\"dc\",\"user_code\":\"U\",\"verification_uri\":\"https://v/\"}" },
        { 400, "", "{\"error\":\"authorization_pending\"}" },
        { 400, "", "{\"error\":\"slow_down\"}" },
        { 200, "", "{\"access_token\":\"a\",\"refresh_token\":\"r\"}" },
    };
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;
    CLEANUP(oauth_free_device) struct oauth_device device = { 0 };
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    struct deadline deadline = deadline_after_ms(10000);
    struct endpoint endpoint;
    struct err err = { 0 };

    endpoint_open(&endpoint, answers, ARRAY_LEN(answers));
    grant = device_grant(&endpoint);
    CHECK(!oauth_begin_device(grant, deadline, &device, &err)); /* no code that could be one */
    CHECK(oauth_begin_device(grant, deadline, &device, &err));
    CHECK(strstr(endpoint.request, "client_id=c&scope=mail%20offline_access") != NULL);
    CHECK_EQ_U64(oauth_poll_device(grant, &device, deadline, &tokens, &err), OAUTH_PENDING);
    CHECK_EQ_U64(oauth_poll_device(grant, &device, deadline, &tokens, &err), OAUTH_SLOW_DOWN);
    CHECK_EQ_U64(oauth_poll_device(grant, &device, deadline, &tokens, &err), OAUTH_DONE);
    CHECK(strstr(endpoint.request,
                 "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=dc&"
                 "client_id=c") != NULL);
    CHECK_BYTES(secret_bytes(tokens.refresh), BYTES("r"));
    endpoint_close(&endpoint);
}

TEST(a_grant_without_consent_asks_nobody)
{
    static const struct endpoint_answer answers[] = { { 200, "", "{}" } };
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;
    struct oauth_tokens tokens = { 0 };
    struct oauth_failure failure;
    struct endpoint endpoint;
    struct err err = { 0 };

    endpoint_open(&endpoint, answers, 1);
    grant = device_grant(&endpoint);
    CHECK(!oauth_fetch_tokens(grant, BYTES("anna"), deadline_after_ms(5000), &tokens, &failure,
                              &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_EQ_U64(atomic_load(&endpoint.asked), 0);
    endpoint_close(&endpoint);
}

TEST(each_grant_asks_in_its_own_form_and_the_error_names_the_endpoint)
{
    static const struct endpoint_answer answers[] = { { 400, "",
                                                        "{\"error\":\"invalid_grant\"}" } };
    CLEANUP(oauth_free_grant) struct oauth_grant *client = NULL;
    CLEANUP(oauth_free_grant) struct oauth_grant *service = NULL;
    CLEANUP(oauth_free_grant) struct oauth_grant *certified = NULL;
    struct oauth_tokens tokens = { 0 };
    struct oauth_failure failure;
    struct endpoint endpoint;
    struct err err = { 0 };

    endpoint_open(&endpoint, answers, 1);
    client = must_read_grant(with(with(client_credentials(), "token_url", endpoint.url),
                                  "mailbox_parameter", "login_hint"));
    service = must_read_grant(with(service_account(), "token_url", endpoint.url));
    certified = must_read_grant(
        with(with(with(without(client_credentials(), "client_secret"), "private_key", TEST_RSA_KEY),
                  "certificate", TEST_RSA_CERTIFICATE),
             "token_url", endpoint.url));
    CHECK(!oauth_fetch_tokens(client, BYTES("anna"), deadline_after_ms(5000), &tokens, &failure,
                              &err));
    CHECK(strstr(endpoint.request, "grant_type=client_credentials&login_hint=anna&client_id=c1&"
                                   "client_secret=hush") != NULL);
    CHECK(strncmp(err.text, endpoint.url, strlen(endpoint.url)) == 0);
    CHECK(strstr(err.text, "hush") == NULL);
    CHECK(!oauth_fetch_tokens(service, BYTES("anna"), deadline_after_ms(5000), &tokens, &failure,
                              &err));
    CHECK(strstr(endpoint.request, "jwt-bearer&assertion=eyJ") != NULL);
    CHECK(strstr(endpoint.request, "scope=") == NULL);
    CHECK(!oauth_fetch_tokens(certified, BYTES("anna"), deadline_after_ms(5000), &tokens, &failure,
                              &err));
    CHECK(strstr(endpoint.request, "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-"
                                   "assertion-type%3Ajwt-bearer&client_assertion=eyJ") != NULL);
    CHECK(strstr(endpoint.request, "client_secret") == NULL);
    endpoint_close(&endpoint);
}

TEST(a_failure_says_whether_tokens_may_have_been_given_and_how_long_to_rest)
{
    static const struct {
        struct endpoint_answer answer;
        bool may_have_rotated, is_invalid;
        int64_t rest;
    } cases[] = {
        { { 400, "", "{\"error\":\"invalid_grant\"}" }, false, true, 0 },
        { { 401, "", "{\"error\":\"invalid_client\"}" }, false, false, 0 },
        { { 429, "Retry-After: 77\r\n", "{\"error\":\"invalid_grant\"}" }, false, false, 77 },
        { { 429, "", "" }, false, false, OAUTH_REST_DEFAULT_SECONDS },
        { { 503, "Retry-After: 5\r\n", "busy" }, true, false, 5 },
        { { 504, "Retry-After: soon\r\n", "" }, true, false, 0 },
        { { 200, "", "{\"access_token\":" }, true, false, 0 }, /* broken off */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;
        struct oauth_tokens tokens = { 0 };
        struct oauth_failure failure;
        struct endpoint endpoint;
        struct err err = { 0 };

        endpoint_open(&endpoint, &cases[i].answer, 1);
        grant = must_read_grant(with(client_credentials(), "token_url", endpoint.url));
        CHECK(!oauth_fetch_tokens(grant, BYTES(""), deadline_after_ms(5000), &tokens, &failure,
                                  &err));
        CHECK_EQ_U64(failure.may_have_rotated, cases[i].may_have_rotated);
        CHECK_EQ_U64(failure.is_invalid, cases[i].is_invalid);
        CHECK_EQ_I64(failure.rest_seconds, cases[i].rest);
        endpoint_close(&endpoint);
        CHECK(!oauth_fetch_tokens(grant, BYTES(""), deadline_after_ms(5000), &tokens, &failure,
                                  &err)); /* nobody listens: nothing was sent */
        CHECK(!failure.may_have_rotated && !failure.is_invalid);
    }
}
