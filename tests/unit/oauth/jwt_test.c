/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/base64.h"
#include "oauth/grants.h"
#include "oauth/jwt.h"

#define NOW_USEC INT64_C(1800000000000000)

TEST(the_example_of_rfc_7515_appendix_a_2_is_signed_as_it_says)
{
    CLEANUP(buf_free) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);
    struct err err = { 0 };

    CHECK(oauth_sign_jwt(BYTES(TEST_RSA_KEY), BYTES("{\"alg\":\"RS256\"}"),
                         BYTES("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                               "\"http://example.com/is_root\":true}"),
                         &jwt, &err));
    CHECK_BYTES(
        buf_bytes(&jwt),
        BYTES(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
            "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu"
            "3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdi"
            "uB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--x"
            "i12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5A"
            "XLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"));
}

TEST(base64url_has_no_padding_and_two_other_letters)
{
    CLEANUP(buf_free) struct buf text = buf_create(64);

    oauth_write_base64url(&text, BYTES("\xfb\xff\xfe\xff"));
    CHECK_BYTES(buf_bytes(&text), BYTES("-__-_w"));
}

/* Part 0 (header) or 1 (payload) of a JWT, as JSON; the caller's. */
static json_t *part_of(const struct buf *jwt, int number)
{
    CLEANUP(buf_free) struct buf text = buf_create(OAUTH_JWT_MAX_BYTES);
    CLEANUP(buf_free) struct buf octets = buf_create(OAUTH_JWT_MAX_BYTES);
    struct bytes rest = buf_bytes(jwt), part;
    struct err err = { 0 };
    json_t *json;

    for (int i = 0; i <= number; i++) {
        CHECK(scan_until_byte(&rest, '.', &part));
        CHECK(scan_byte(&rest, '.'));
    }
    for (size_t i = 0; i < part.len; i++)
        buf_byte(&text, part.ptr[i] == '-' ? '+' : part.ptr[i] == '_' ? '/' : part.ptr[i]);
    while (text.len % 4 != 0)
        buf_byte(&text, '=');
    CHECK(crypto_read_base64(buf_bytes(&text), &octets, &err));
    json = json_loadb((const char *)octets.ptr, octets.len, 0, NULL);
    CHECK(json != NULL);
    return json;
}

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text == NULL ? "(none)" : text;
}

static json_int_t number_of(const json_t *json, const char *name)
{
    return json_integer_value(json_object_get(json, name));
}

TEST(a_client_with_a_certificate_asserts_what_rfc_7523_section_3_asks_for)
{
    CLEANUP(oauth_free_grant)
    struct oauth_grant *grant = must_read_grant(
        with(with(without(client_credentials(), "client_secret"), "private_key", TEST_RSA_KEY),
             "certificate", TEST_RSA_CERTIFICATE));
    CLEANUP(buf_free) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);
    CLEANUP(buf_free) struct buf another = buf_create(OAUTH_JWT_MAX_BYTES);
    struct err err = { 0 };
    json_t *header, *payload;

    CHECK(oauth_make_client_assertion(grant, NOW_USEC, &jwt, &err));
    CHECK(oauth_make_client_assertion(grant, NOW_USEC, &another, &err));
    CHECK(!bytes_equal(buf_bytes(&jwt), buf_bytes(&another))); /* jti */
    header = part_of(&jwt, 0);
    payload = part_of(&jwt, 1);
    CHECK_STR(text_of(header, "alg"), "RS256");
    CHECK_STR(text_of(header, "typ"), "JWT");
    CHECK_STR(text_of(header, "x5t"), "L4v0J4yIWrnAqsMV945IxH3K6Og");
    CHECK_STR(text_of(header, "x5t#S256"), "WFer44uLRTwC3W-ACGR2n62GQHj2FNt-3hmgWJiXDpA");
    CHECK_STR(text_of(payload, "iss"), "c1");
    CHECK_STR(text_of(payload, "sub"), "c1");
    CHECK_STR(text_of(payload, "aud"), "https://login.example/token");
    CHECK_EQ_I64(number_of(payload, "exp"), 1800000000 + OAUTH_CLIENT_ASSERTION_SECONDS);
    CHECK_EQ_I64(number_of(payload, "nbf"), 1800000000);
    json_decref(header);
    json_decref(payload);
}

TEST(a_service_account_asks_for_one_mailbox_for_an_hour_at_most)
{
    CLEANUP(oauth_free_grant)
    struct oauth_grant *grant = must_read_grant(with(
        with(service_account(), "private_key_id", "k7"), "audience", "https://audience.example/"));
    CLEANUP(buf_free) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);
    struct err err = { 0 };
    json_t *header, *payload;

    CHECK(oauth_make_mailbox_assertion(grant, BYTES("an\"na@example.org"), NOW_USEC, &jwt, &err));
    header = part_of(&jwt, 0);
    payload = part_of(&jwt, 1);
    CHECK_STR(text_of(header, "kid"), "k7");
    CHECK_STR(text_of(payload, "iss"), "sa@project.example");
    CHECK_STR(text_of(payload, "sub"), "an\"na@example.org");
    CHECK_STR(text_of(payload, "aud"), "https://audience.example/");
    CHECK_STR(text_of(payload, "scope"), "https://mail.example/");
    CHECK_EQ_I64(number_of(payload, "exp") - number_of(payload, "iat"), 3600);
    json_decref(header);
    json_decref(payload);
}

TEST(what_is_no_key_signs_nothing)
{
    CLEANUP(buf_free) struct buf jwt = buf_create(OAUTH_JWT_MAX_BYTES);
    struct err err = { 0 };

    CHECK(!oauth_sign_jwt(BYTES("no PEM"), BYTES("{}"), BYTES("{}"), &jwt, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_EQ_U64(jwt.len, 0);
}
