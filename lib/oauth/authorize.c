/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/authorize.h"

#include "crypto/random.h"
#include "oauth/http.h"
#include "oauth/internal.h"
#include "oauth/jwt.h"
#include "oauth/response.h"

#include <stdio.h>

enum {
    RANDOM_BYTES = 32,        /* RFC 7636 §7.1 */
    BASE64_BYTES = 48,        /* of them, or of a SHA-256, while it is written */
    URL_MAX_BYTES = 32 << 10, /* the endpoint, and scope and client_id percent-encoded */
};

/* ---- asking ------------------------------------------------------------------------------------- */

void oauth_free_authorization(struct oauth_authorization *authorization)
{
    secret_free(&authorization->verifier);
    buf_free(&authorization->url);
}

static void write_random(struct buf *out)
{
    uint8_t octets[RANDOM_BYTES];

    crypto_fill_random(octets, sizeof octets);
    oauth_write_base64url(out, bytes_of(octets, sizeof octets));
    secret_wipe(octets, sizeof octets);
}

static bool make_verifier(struct secret **out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf text = buf_create(BASE64_BYTES);
    struct bytes octets;

    if (buf_reserve(&text, BASE64_BYTES) != NULL)
        write_random(&text);
    return buf_done(&text, &octets, err) && secret_create(octets, out, err);
}

static bool make_state(char out[OAUTH_STATE_BYTES], struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(BASE64_BYTES);
    struct bytes octets;

    write_random(&text);
    buf_byte(&text, '\0');
    if (!buf_done(&text, &octets, err))
        return false;
    assert(octets.len == OAUTH_STATE_BYTES);
    memcpy(out, octets.ptr, octets.len);
    return true;
}

static void add_challenge(struct buf *query, const struct secret *verifier)
{
    CLEANUP(buf_free) struct buf text = buf_create(BASE64_BYTES);
    struct crypto_sha256 hash = crypto_hash(secret_bytes(verifier));

    oauth_write_base64url(&text, crypto_sha256_bytes(&hash));
    oauth_add_octets(query, "code_challenge", buf_bytes(&text));
    oauth_add_parameter(query, "code_challenge_method", "S256");
}

bool oauth_begin_authorization(const struct oauth_grant *grant, const char *redirect_url,
                               struct oauth_authorization *out, struct err *err)
{
    CLEANUP(oauth_free_authorization)
    struct oauth_authorization made = { .url = buf_create(URL_MAX_BYTES) };
    CLEANUP(buf_free) struct buf query = buf_create(URL_MAX_BYTES);
    const char *endpoint = oauth_get_field(grant, OAUTH_AUTHORIZATION_URL);
    struct bytes octets;

    if (!make_verifier(&made.verifier, err) || !make_state(made.state, err))
        return false;
    oauth_add_parameter(&query, "response_type", "code");
    oauth_add_parameter(&query, "client_id", oauth_get_field(grant, OAUTH_CLIENT_ID));
    oauth_add_parameter(&query, "redirect_uri", redirect_url);
    oauth_add_scope(&query, grant);
    oauth_add_parameter(&query, "state", made.state);
    add_challenge(&query, made.verifier);
    if (!buf_done(&query, &octets, err))
        return false;
    buf_text(&made.url, endpoint);
    buf_byte(&made.url, strchr(endpoint, '?') == NULL ? '?' : '&'); /* §3.1: its own query stays */
    buf_append(&made.url, octets);
    buf_byte(&made.url, '\0');
    if (!buf_done(&made.url, &octets, err))
        return false;
    *out = made;
    made = (struct oauth_authorization){ 0 }; /* the caller's now */
    return true;
}

/* ---- the answer --------------------------------------------------------------------------------- */

enum {
    STATE,
    CODE,
    ERROR,
    DESCRIPTION,
    PARAMETER_COUNT
};

static const struct bytes parameters[PARAMETER_COUNT] = {
    [STATE] = BYTES_INIT("state"),
    [CODE] = BYTES_INIT("code"),
    [ERROR] = BYTES_INIT("error"),
    [DESCRIPTION] = BYTES_INIT("error_description"),
};

/* Values as they stand, percent-encoded; ptr NULL: not there. RFC 6749 §3.1: none may come twice. */
static bool find_values(struct bytes address, struct bytes values[PARAMETER_COUNT], struct err *err)
{
    struct bytes query, name, value, before;

    if (!scan_until_byte(&address, '?', &before) || !scan_byte(&address, '?'))
        return err_fail(err, ERR_SYNTAX, "an address with \"?\" and an answer expected");
    if (!scan_until_byte(&address, '#', &query))
        query = address;
    while (query.len > 0) {
        if (!scan_until_byte(&query, '&', &value)) {
            value = query;
            query.len = 0;
        } else {
            query = bytes_slice(query, 1, query.len);
        }
        if (!scan_until_byte(&value, '=', &name) || !scan_byte(&value, '='))
            continue;
        for (size_t i = 0; i < PARAMETER_COUNT; i++) {
            if (!bytes_equal(name, parameters[i]))
                continue;
            if (values[i].ptr != NULL)
                return err_fail(err, ERR_SYNTAX, "the address has two answers in it");
            values[i] = value;
        }
    }
    return true;
}

static bool read_hex(uint8_t c, uint8_t *out)
{
    if (ascii_is_digit(c))
        *out = (uint8_t)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        *out = (uint8_t)((c | 0x20) - 'a' + 10);
    else
        return false;
    return true;
}

/* application/x-www-form-urlencoded. False: it is not that, or longer than out may become. */
static bool decode(struct bytes text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t high, low;

        if (text.ptr[i] == '+') {
            buf_byte(out, ' ');
        } else if (text.ptr[i] != '%') {
            buf_byte(out, text.ptr[i]);
        } else if (text.len - i > 2 && read_hex(text.ptr[i + 1], &high) &&
                   read_hex(text.ptr[i + 2], &low)) {
            buf_byte(out, (uint8_t)(high << 4 | low));
            i += 2;
        } else {
            return false;
        }
    }
    return !out->has_failed;
}

static bool is_state(struct bytes value, const char *state)
{
    CLEANUP(buf_free) struct buf text = buf_create(OAUTH_STATE_BYTES);

    return decode(value, &text) && bytes_equal(buf_bytes(&text), bytes_of_text(state));
}

/* Cut; empty when it cannot be read. */
static void decode_shown(struct bytes value, char *out, size_t size)
{
    CLEANUP(buf_free) struct buf text = buf_create(OAUTH_REDIRECT_MAX_BYTES);

    oauth_copy_printable(decode(value, &text) ? buf_bytes(&text) : BYTES(""), out, size);
}

static bool take_code(struct bytes value, struct secret **out, struct err *err)
{
    CLEANUP(oauth_wipe_buf) struct buf text = buf_create(OAUTH_CODE_MAX_BYTES);
    struct bytes octets;
    bool is_good = buf_reserve(&text, OAUTH_CODE_MAX_BYTES) != NULL && decode(value, &text);

    octets = buf_bytes(&text);
    for (size_t i = 0; i < octets.len && is_good; i++) /* RFC 6749 appendix A.11 */
        is_good = octets.ptr[i] >= 0x20 && octets.ptr[i] < 0x7f;
    if (!is_good || octets.len == 0)
        return err_fail(err, ERR_SYNTAX, "the address has no \"code\" that could be one");
    return secret_create(octets, out, err);
}

bool oauth_read_redirect(struct bytes address, const char *state, struct secret **code,
                         struct err *err)
{
    struct bytes values[PARAMETER_COUNT] = { 0 };
    char error[OAUTH_ERROR_SHOWN_BYTES], description[OAUTH_DESCRIPTION_SHOWN_BYTES];

    if (address.len > OAUTH_REDIRECT_MAX_BYTES)
        return err_fail(err, ERR_SYNTAX, "an address of more than %d octets",
                        OAUTH_REDIRECT_MAX_BYTES);
    if (!find_values(address, values, err))
        return false;
    if (values[STATE].ptr == NULL || (values[CODE].ptr == NULL && values[ERROR].ptr == NULL))
        return err_fail(err, ERR_SYNTAX, "the address has no \"state\" or no \"code\" in it");
    if (!is_state(values[STATE], state)) /* RFC 6749 §10.12 */
        return err_fail(err, ERR_SYNTAX, "the address answers another request than this one");
    if (values[ERROR].ptr == NULL)
        return take_code(values[CODE], code, err);
    decode_shown(values[ERROR], error, sizeof error);
    decode_shown(values[DESCRIPTION], description, sizeof description);
    oauth_explain_refusal("the browser came back without a code", false, error, description, err);
    return false;
}
