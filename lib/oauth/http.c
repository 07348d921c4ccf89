/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/http.h"

#include "base/secret.h"
#include "oauth/grant.h"
#include "oauth/internal.h"
#include "oauth/response.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>

enum {
    CONNECT_MS = 5000,
};

/* ---- process-wide ------------------------------------------------------------------------------- */

static void wipe_and_free(void *ptr)
{
    if (ptr != NULL)
        secret_wipe(ptr, malloc_usable_size(ptr));
    free(ptr);
}

bool oauth_start(struct err *err)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ||
           err_fail(err, ERR_SYSTEM, "libcurl cannot be used");
}

/* ---- URLs and forms ------------------------------------------------------------------------------- */

static void free_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

/* Names other than this one can lead anywhere. */
bool oauth_is_local_host(const char *host)
{
    struct in_addr address;

    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* libcurl also takes "https:/host" and "https:///host": nobody means that, and others read it otherwise. */
static bool has_two_slashes(const char *text, const char *scheme)
{
    const char *rest = text + strlen(scheme);

    return strncmp(rest, "://", 3) == 0 && rest[3] != '/';
}

static bool is_ascii(const char *text)
{
    while (*text > 0x20 && *text < 0x7f)
        text++;
    return *text == '\0';
}

/* *is_local: to this machine, to which http will do. */
static bool read_url(const char *text, bool *is_local, struct err *err)
{
    CLEANUP(free_url) CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL;
    bool has_parts = url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
                     curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                     curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                     has_two_slashes(text, scheme);
    bool has_user = has_parts && curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK;
    bool is_https = has_parts && strcmp(scheme, "https") == 0;
    bool is_http = has_parts && strcmp(scheme, "http") == 0;

    *is_local = has_parts && oauth_is_local_host(host);
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    if (has_user)
        return err_fail(err, ERR_SYNTAX, "no user or password in a URL");
    return is_https || (is_http && *is_local) ||
           err_fail(err, ERR_SYNTAX, "a URL that begins with https:// expected");
}

bool oauth_check_url(const char *url, struct err *err)
{
    bool is_local;

    return read_url(url, &is_local, err) &&
           (is_ascii(url) || err_fail(err, ERR_SYNTAX, "nothing but ASCII in a URL")) &&
           (strchr(url, '#') == NULL || err_fail(err, ERR_SYNTAX, "no \"#\" in a URL"));
}

static void add_encoded(struct buf *form, struct bytes octets)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < octets.len; i++) {
        uint8_t c = octets.ptr[i];

        if (ascii_is_alpha(c) || ascii_is_digit(c) || memchr("-._~", c, 4) != NULL) {
            buf_byte(form, c);
        } else {
            buf_byte(form, '%');
            buf_byte(form, (uint8_t)digits[c >> 4]);
            buf_byte(form, (uint8_t)digits[c & 15]);
        }
    }
}

void oauth_add_octets(struct buf *form, const char *name, struct bytes value)
{
    if (form->len > 0)
        buf_byte(form, '&');
    add_encoded(form, bytes_of_text(name));
    buf_byte(form, '=');
    add_encoded(form, value);
}

void oauth_add_parameter(struct buf *form, const char *name, const char *value)
{
    if (value != NULL)
        oauth_add_octets(form, name, bytes_of_text(value));
}

/* ---- the exchange --------------------------------------------------------------------------------- */

void oauth_free_reply(struct oauth_reply *reply)
{
    oauth_wipe_buf(&reply->body);
}

static void free_curl(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void free_list(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

/* Anything but `size` ends the transfer. */
static size_t take_body(char *octets, size_t unit, size_t count, void *context)
{
    struct buf *body = context;

    buf_append(body, bytes_of(octets, unit * count));
    return body->has_failed ? 0 : unit * count;
}

static bool set_options(CURL *curl, const char *url, const char *ca, struct bytes form,
                        struct deadline deadline, struct buf *body, struct err *err)
{
    struct curl_blob blob = { .data = (void *)(uintptr_t)ca, .len = ca == NULL ? 0 : strlen(ca) };
    long left_ms = deadline_poll_ms(deadline);
    bool is_local;
    bool is_set;

    if (!read_url(url, &is_local, err))
        return false;
    if (left_ms <= 0)
        return err_fail(err, ERR_RETRY, "no time is left to ask the token endpoint");
    is_set =
        curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, is_local ? "http,https" : "https") ==
            CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                         left_ms < CONNECT_MS ? left_ms : (long)CONNECT_MS) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)form.len) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)form.ptr) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK;
    if (is_set && is_local) /* a proxy that the environment names is for other machines */
        is_set = curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK;
    if (is_set && ca != NULL) /* the folder of the system's would be trusted besides */
        is_set = curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return is_set || err_fail(err, ERR_SYSTEM, "libcurl does not take its options");
}

static bool fail_curl(CURLcode code, const struct buf *body, struct err *err)
{
    if (body->has_failed)
        return err_fail(err, ERR_LIMIT, "the answer is longer than %d octets",
                        OAUTH_RESPONSE_MAX_BYTES);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return err_fail(err, ERR_DENIED,
                        "the certificate of the token endpoint is not trusted, or not for this "
                        "host: \"ca\" names another authority");
    return err_fail(err, ERR_RETRY, "%s", curl_easy_strerror(code));
}

bool oauth_post(const char *url, const char *ca, struct bytes form, struct deadline deadline,
                struct oauth_reply *out, bool *was_sent, struct err *err)
{
    CLEANUP(free_curl) CURL *curl = curl_easy_init();
    CLEANUP(free_list)
    struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
    CLEANUP(oauth_free_reply)
    struct oauth_reply reply = { .body = buf_create(OAUTH_RESPONSE_MAX_BYTES) };
    long status = 0, sent_bytes = 0;
    curl_off_t wait_seconds = 0;
    CURLcode code;

    *was_sent = false;
    if (curl == NULL || headers == NULL ||
        buf_reserve(&reply.body, OAUTH_RESPONSE_MAX_BYTES) == NULL ||
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
        return err_fail(err, ERR_SYSTEM, "token endpoint: no memory");
    if (!set_options(curl, url, ca, form, deadline, &reply.body, err))
        return false;
    code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &sent_bytes);
    *was_sent = sent_bytes > 0;
    if (code != CURLE_OK)
        return fail_curl(code, &reply.body, err);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait_seconds);
    reply.status = (unsigned)status;
    reply.retry_after_seconds = wait_seconds > 0 ? wait_seconds : 0;
    *out = reply;
    reply.body = (struct buf){ 0 }; /* the caller's now */
    return true;
}
