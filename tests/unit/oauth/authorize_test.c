/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"
#include "oauth/authorize.h"
#include "oauth/endpoint.h"
#include "oauth/grants.h"
#include "oauth/jwt.h"
#include "oauth/token.h"

static json_t *code_grant(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "grant", "authorization-code", "token_url",
                     "https://login.example/token", "authorization_url",
                     "https://login.example/authorize", "client_id", "c 1", "scope", "mail all");
}

static struct oauth_authorization begin(json_t *json)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = must_read_grant(json);
    struct oauth_authorization made;
    struct err err = { 0 };

    CHECK(oauth_begin_authorization(grant, "http://127.0.0.1:7/", &made, &err));
    return made;
}

static const char *url_of(const struct oauth_authorization *made)
{
    CHECK(made->url.ptr[made->url.len - 1] == '\0');
    return (const char *)made->url.ptr;
}

TEST(the_address_asks_for_a_code_with_state_and_an_s256_challenge)
{
    CLEANUP(oauth_free_authorization) struct oauth_authorization made = begin(code_grant());
    struct crypto_sha256 hash = crypto_hash(secret_bytes(made.verifier));
    CLEANUP(buf_free) struct buf url = buf_create(4096);

    buf_text(&url,
             "https://login.example/authorize?response_type=code&client_id=c%201&redirect_uri="
             "http%3A%2F%2F127.0.0.1%3A7%2F&scope=mail%20all&state=");
    buf_text(&url, made.state);
    buf_text(&url, "&code_challenge=");
    oauth_write_base64url(&url, crypto_sha256_bytes(&hash));
    buf_text(&url, "&code_challenge_method=S256");
    CHECK_BYTES(bytes_of_text(url_of(&made)), buf_bytes(&url));
    CHECK_EQ_U64(secret_bytes(made.verifier).len, 43); /* RFC 7636 §4.1: at least that */
    CHECK_EQ_U64(strlen(made.state), OAUTH_STATE_BYTES - 1);
    CHECK(strstr(url_of(&made), (const char *)secret_bytes(made.verifier).ptr) == NULL);
}

TEST(no_two_requests_share_a_state_or_a_verifier)
{
    CLEANUP(oauth_free_authorization) struct oauth_authorization one = begin(code_grant());
    CLEANUP(oauth_free_authorization) struct oauth_authorization two = begin(code_grant());

    CHECK(strcmp(one.state, two.state) != 0);
    CHECK(!bytes_equal(secret_bytes(one.verifier), secret_bytes(two.verifier)));
}

TEST(a_query_of_the_endpoint_stays)
{
    CLEANUP(oauth_free_authorization)
    struct oauth_authorization made =
        begin(with(code_grant(), "authorization_url", "https://l.example/a?prompt=consent"));

    CHECK(strstr(url_of(&made), "https://l.example/a?prompt=consent&response_type=code&") ==
          url_of(&made));
}

static enum err_code read_code(const char *address, const char *want, const char *word)
{
    CLEANUP(secret_free) struct secret *code = NULL;
    struct err err = { 0 };

    if (oauth_read_redirect(bytes_of_text(address), "s-1", &code, &err)) {
        CHECK(want != NULL);
        CHECK_BYTES(secret_bytes(code), bytes_of_text(want));
        return ERR_NONE;
    }
    CHECK(want == NULL && code == NULL);
    if (word != NULL && strstr(err.text, word) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", err.text, word);
    return err.code;
}

TEST(the_code_is_found_in_whatever_address_the_browser_ended_at)
{
    static const char *const addresses[] = {
        "http://127.0.0.1:7/?code=a/b%20c&state=s-1",
        "/?state=s%2D1&code=a%2fb+c",
        "http://localhost:7/x?iss=https%3A%2F%2Fl%2F&state=s-1&&code=a/b%20c&scope=x#fragment",
    };

    for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
        CHECK_EQ_U64(read_code(addresses[i], "a/b c", NULL), ERR_NONE);
}

TEST(what_is_no_answer_to_this_request_is_not_the_end_of_waiting)
{
    static const struct {
        const char *address, *word;
    } strangers[] = {
        { "", "expected" },
        { "/favicon.ico", "expected" },
        { "/?", "\"state\"" },
        { "/?code=x", "\"state\"" },
        { "/?state=s-1", "\"code\"" },
        { "/?code=x&state=s-2", "another request" },
        { "/?code=x&state=s-1x", "another request" },
        { "/?code=x&state=", "another request" },
        { "/?code=x&state=%", "another request" },
        { "/?error=access_denied&state=s-2", "another request" },
        { "/?code=x&state=s-1&code=y", "two answers" },
        { "/?code=&state=s-1", "\"code\"" },
        { "/?code=%zz&state=s-1", "\"code\"" },
        { "/?code=a%0d%0ab&state=s-1", "\"code\"" },
        { "/?code=%C3%B6&state=s-1", "\"code\"" },
        { "/#code=x&state=s-1", "expected" },
    };

    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        CHECK_EQ_U64(read_code(strangers[i].address, NULL, strangers[i].word), ERR_SYNTAX);
}

TEST(a_refusal_says_why_and_what_to_do)
{
    CHECK_EQ_U64(read_code("/?error=access_denied&error_description=not+now%0a&state=s-1", NULL,
                           "access_denied (not now?): somebody declined"),
                 ERR_DENIED);
    CHECK_EQ_U64(read_code("/?error=invalid_scope&state=s-1&code=x", NULL, "check \"scope\""),
                 ERR_DENIED);
    CHECK_EQ_U64(read_code("/?error=temporarily_unavailable&state=s-1", NULL, "later"), ERR_RETRY);
}

TEST(a_code_or_an_address_beyond_its_limit_is_none)
{
    CLEANUP(buf_free) struct buf address = buf_create(OAUTH_REDIRECT_MAX_BYTES + 2);
    CLEANUP(secret_free) struct secret *code = NULL;
    struct err err = { 0 };

    buf_text(&address, "/?state=s-1&code=");
    for (int i = 0; i < OAUTH_CODE_MAX_BYTES; i++)
        buf_byte(&address, 'x');
    CHECK(oauth_read_redirect(buf_bytes(&address), "s-1", &code, &err));
    CHECK_EQ_U64(secret_bytes(code).len, OAUTH_CODE_MAX_BYTES);
    secret_free(&code);
    buf_byte(&address, 'x');
    CHECK(!oauth_read_redirect(buf_bytes(&address), "s-1", &code, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    buf_reset(&address, OAUTH_REDIRECT_MAX_BYTES);
    buf_text(&address, "/?state=s-1&code=x&more=");
    while (address.len <= OAUTH_REDIRECT_MAX_BYTES)
        buf_byte(&address, 'x');
    CHECK(!oauth_read_redirect(buf_bytes(&address), "s-1", &code, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
}

TEST(a_code_is_redeemed_with_its_verifier_and_where_it_was_sent)
{
    static const struct endpoint_answer answers[] = {
        { 200, "", "{\"access_token\":\"a\",\"refresh_token\":\"r\"}" },
    };
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = NULL;
    CLEANUP(oauth_free_tokens) struct oauth_tokens tokens = { 0 };
    CLEANUP(secret_free) struct secret *code = NULL;
    CLEANUP(secret_free) struct secret *verifier = NULL;
    struct endpoint endpoint;
    struct err err = { 0 };

    endpoint_open(&endpoint, answers, 1);
    grant = must_read_grant(with(code_grant(), "token_url", endpoint.url));
    CHECK(secret_create(BYTES("c&d"), &code, &err) && secret_create(BYTES("v"), &verifier, &err));
    CHECK(oauth_redeem_code(grant, code, verifier, "http://127.0.0.1:7", deadline_after_ms(5000),
                            &tokens, &err));
    CHECK(strstr(endpoint.request,
                 "grant_type=authorization_code&code=c%26d&code_verifier=v&redirect_uri="
                 "http%3A%2F%2F127.0.0.1%3A7&client_id=c%201") != NULL);
    CHECK_BYTES(secret_bytes(tokens.refresh), BYTES("r"));
    endpoint_close(&endpoint);
}
