/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/grants.h"

#include <string.h>

/* The grant is refused and the text names `word`. */
static void check_refused(json_t *json, const char *word)
{
    struct err err;

    CHECK(read_grant(json, &err) == NULL);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    if (strstr(err.text, word) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not name %s", err.text, word);
    CHECK(strstr(err.text, "hush") == NULL);
}

TEST(each_kind_of_grant_is_read_and_gives_its_members)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *client = must_read_grant(client_credentials());
    CLEANUP(oauth_free_grant) struct oauth_grant *service = must_read_grant(service_account());
    CLEANUP(oauth_free_grant)
    struct oauth_grant *device = must_read_grant(
        json_pack("{s:s, s:s, s:s, s:s}", "grant", "device", "token_url", "http://127.0.0.1:1/t",
                  "device_url", "http://localhost/d", "client_id", "c"));

    CHECK_EQ_U64(oauth_grant_kind(client), OAUTH_CLIENT_CREDENTIALS);
    CHECK_STR(oauth_get_field(client, OAUTH_CLIENT_ID), "c1");
    CHECK(oauth_get_field(client, OAUTH_SCOPE) == NULL);
    CHECK_EQ_U64(oauth_grant_kind(service), OAUTH_SERVICE_ACCOUNT);
    CHECK_EQ_U64(oauth_grant_kind(device), OAUTH_DEVICE);
    CHECK(oauth_get_field(device, OAUTH_REFRESH_TOKEN_TEXT) == NULL);
}

TEST(a_consent_in_a_browser_needs_the_address_to_open)
{
    CLEANUP(oauth_free_grant)
    struct oauth_grant *code = must_read_grant(
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "grant", "authorization-code", "token_url",
                  "https://l/t", "authorization_url", "https://l/a?x=y", "redirect_url",
                  "http://localhost", "client_id", "c"));

    CHECK_EQ_U64(oauth_grant_kind(code), OAUTH_AUTHORIZATION_CODE);
    CHECK(oauth_asks_human(OAUTH_AUTHORIZATION_CODE) && oauth_asks_human(OAUTH_DEVICE));
    CHECK(!oauth_asks_human(OAUTH_REFRESH_TOKEN) && !oauth_asks_human(OAUTH_SERVICE_ACCOUNT));
    check_refused(json_pack("{s:s, s:s, s:s}", "grant", "authorization-code", "token_url",
                            "https://l/t", "client_id", "c"),
                  "\"authorization_url\" is missing");
    check_refused(json_pack("{s:s, s:s, s:s, s:s}", "grant", "authorization-code", "token_url",
                            "https://l/t", "client_id", "c", "authorization_url", "https://l/a#b"),
                  "\"#\"");
    check_refused(with(client_credentials(), "redirect_url", "http://localhost"),
                  "\"redirect_url\" does not");
}

TEST(what_is_missing_unknown_or_of_another_kind_is_named)
{
    check_refused(without(client_credentials(), "grant"), "\"grant\"");
    check_refused(with(client_credentials(), "grant", "password"), "\"grant\"");
    check_refused(without(client_credentials(), "token_url"), "\"token_url\" is missing");
    check_refused(without(client_credentials(), "client_id"), "\"client_id\" is missing");
    check_refused(without(client_credentials(), "client_secret"), "\"client_secret\" is missing");
    check_refused(with(client_credentials(), "tokenurl", "x"), "\"tokenurl\" is not known");
    check_refused(with(client_credentials(), "refresh_token", "x"), "\"refresh_token\" does not");
    check_refused(with(client_credentials(), "grant", "refresh-token"),
                  "\"refresh_token\" is missing");
    check_refused(without(service_account(), "issuer"), "\"issuer\" is missing");
    check_refused(
        json_pack("{s:s, s:s, s:i}", "grant", "device", "device_url", "https://d/", "token_url", 7),
        "\"token_url\": a text");
}

TEST(a_url_is_https_or_of_this_machine_and_holds_no_password)
{
    check_refused(with(client_credentials(), "token_url", "http://login.example/token"),
                  "https://");
    check_refused(with(client_credentials(), "token_url", "ftp://login.example/"), "https://");
    check_refused(with(client_credentials(), "token_url", "not a url"), "https://");
    check_refused(with(client_credentials(), "token_url", "https:/login.example/token"),
                  "https://");
    check_refused(with(client_credentials(), "token_url", "https:///login.example/token"),
                  "https://");
    check_refused(with(client_credentials(), "token_url", "https://login.example/\xc3\xa9"),
                  "ASCII");
    check_refused(with(client_credentials(), "token_url", "https://u:p@login.example/"),
                  "password");
    check_refused(with(client_credentials(), "token_url", "http://127.0.0.1@evil.example/"),
                  "password");
    check_refused(with(client_credentials(), "token_url", "http://127.evil.example/"), "https://");
}

TEST(keys_and_certificates_are_tried_at_once)
{
    json_t *pair =
        with(with(without(client_credentials(), "client_secret"), "private_key", TEST_RSA_KEY),
             "certificate", TEST_RSA_CERTIFICATE);
    CLEANUP(oauth_free_grant) struct oauth_grant *grant = must_read_grant(json_deep_copy(pair));

    CHECK(grant != NULL);
    check_refused(without(json_deep_copy(pair), "private_key"), "\"certificate\" needs");
    check_refused(with(json_deep_copy(pair), "client_secret", "hush"), "not both");
    check_refused(with(json_deep_copy(pair), "certificate", "no PEM"), "\"certificate\"");
    check_refused(with(json_deep_copy(pair), "private_key", TEST_RSA_CERTIFICATE),
                  "\"private_key\"");
    check_refused(with(pair, "ca", "no PEM"), "\"ca\"");
}

TEST(hostile_json_is_refused_without_quoting_it)
{
    static const char *const texts[] = {
        "",
        "[]",
        "null",
        "\"hush\"",
        "{",
        "{\"grant\":\"device\",\"grant\":\"device\"}",
        "{\"client_secret\":\"hush\\u0000\"}",
        "{\"client_secret\":\"hush}",
        "{\"grant\":{\"hush\":1}}",
    };
    static char deep[8192];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct oauth_grant *grant = NULL;
        struct err err = { 0 };

        CHECK(!oauth_read_grant(bytes_of_text(texts[i]), &grant, &err));
        CHECK(grant == NULL && err.code == ERR_SYNTAX && strstr(err.text, "hush") == NULL);
    }
    memset(deep, '[', sizeof deep);
    struct oauth_grant *grant = NULL;
    struct err err = { 0 };
    CHECK(!oauth_read_grant(bytes_of(deep, sizeof deep), &grant, &err));
    CHECK(!oauth_read_grant(bytes_of(deep, OAUTH_GRANT_MAX_BYTES + 1), &grant, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}

TEST(a_grant_that_was_written_reads_back_with_its_new_refresh_token)
{
    CLEANUP(oauth_free_grant)
    struct oauth_grant *grant = must_read_grant(
        json_pack("{s:s, s:s, s:s, s:s}", "grant", "refresh-token", "token_url",
                  "https://login.example/t", "client_id", "c", "refresh_token", "old"));
    CLEANUP(oauth_free_grant) struct oauth_grant *again = NULL;
    CLEANUP(secret_free) struct secret *token = NULL;
    CLEANUP(secret_free) struct secret *written = NULL;
    struct err err = { 0 };

    CHECK(secret_create(BYTES("new"), &token, &err));
    CHECK(oauth_renew_grant(grant, token, &written, &err));
    CHECK(oauth_read_grant(secret_bytes(written), &again, &err));
    CHECK_STR(oauth_get_field(again, OAUTH_REFRESH_TOKEN_TEXT), "new");
    CHECK_STR(oauth_get_field(again, OAUTH_CLIENT_ID), "c");
    CHECK_STR(oauth_get_field(grant, OAUTH_REFRESH_TOKEN_TEXT), "old");
}

static bool shares_tokens(json_t *a, const char *mailbox_a, json_t *b, const char *mailbox_b)
{
    CLEANUP(oauth_free_grant) struct oauth_grant *one = must_read_grant(a);
    CLEANUP(oauth_free_grant) struct oauth_grant *other = must_read_grant(b);
    struct crypto_sha256 x = oauth_cache_key(one, bytes_of_text(mailbox_a));
    struct crypto_sha256 y = oauth_cache_key(other, bytes_of_text(mailbox_b));

    return bytes_equal(crypto_sha256_bytes(&x), crypto_sha256_bytes(&y));
}

static json_t *refresh_token(void)
{
    return json_pack("{s:s, s:s, s:s}", "grant", "refresh-token", "token_url",
                     "https://login.example/t", "client_id", "c");
}

TEST(a_token_of_an_application_is_shared_and_one_of_a_mailbox_is_not)
{
    CHECK(shares_tokens(client_credentials(), "anna", client_credentials(), "ben"));
    CHECK(!shares_tokens(client_credentials(), "anna",
                         with(client_credentials(), "client_secret", "renewed"), "anna"));
    CHECK(shares_tokens(with(refresh_token(), "refresh_token", "old"), "anna",
                        with(refresh_token(), "refresh_token", "rotated"), "anna"));
    CHECK(!shares_tokens(client_credentials(), "anna",
                         with(client_credentials(), "client_id", "c2"), "anna"));
    CHECK(!shares_tokens(client_credentials(), "anna", with(client_credentials(), "scope", "s"),
                         "anna"));
    CHECK(!shares_tokens(with(client_credentials(), "mailbox_parameter", "login_hint"), "anna",
                         with(client_credentials(), "mailbox_parameter", "login_hint"), "ben"));
    CHECK(!shares_tokens(service_account(), "anna", service_account(), "ben"));
    CHECK(shares_tokens(service_account(), "anna", service_account(), "anna"));
}
