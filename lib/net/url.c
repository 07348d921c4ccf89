/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"

#include <arpa/inet.h>

#define FORM "expected imaps://USER@HOST[:PORT]/"

/* One row for each scheme. */
static const struct scheme {
    struct bytes name;
    enum net_security security;
    uint16_t port;
} schemes[] = {
    { BYTES_INIT("imaps://"), NET_SECURITY_TLS, 993 },
    { BYTES_INIT("imap://"), NET_SECURITY_STARTTLS, 143 },
    { BYTES_INIT("imap+plain://"), NET_SECURITY_NONE, 143 },
};

static bool scan_scheme(struct bytes *in, const struct scheme **out)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!scan_text_nocase(in, schemes[i].name))
            continue;
        *out = &schemes[i];
        return true;
    }
    return false;
}

static bool scan_hex_digit(struct bytes *in, uint8_t *value)
{
    uint8_t digit = in->len > 0 ? ascii_hex_value(in->ptr[0]) : ASCII_NO_HEX;

    if (digit == ASCII_NO_HEX)
        return false;
    *value = (uint8_t)(*value << 4 | digit);
    *in = bytes_slice(*in, 1, SIZE_MAX);
    return true;
}

static bool decode_user(struct bytes in, char out[NET_URL_USER_BYTES], struct err *err)
{
    size_t len = 0;

    while (in.len > 0) {
        uint8_t c = in.ptr[0];

        in = bytes_slice(in, 1, SIZE_MAX);
        if (c == ':')
            return err_fail(err, ERR_DENIED,
                            "URL: a password does not belong in it "
                            "(a \":\" in a user name is written %%3A)");
        if (c == '%') {
            c = 0;
            if (!scan_hex_digit(&in, &c) || !scan_hex_digit(&in, &c))
                return err_fail(err, ERR_SYNTAX, "URL: %% in the user name needs two hex digits");
        }
        if (c < 0x20 || c == 0x7f)
            return err_fail(err, ERR_SYNTAX, "URL: control character in the user name");
        if (len == NET_URL_USER_BYTES - 1)
            return err_fail(err, ERR_SYNTAX, "URL: user name over %d bytes",
                            NET_URL_USER_BYTES - 1);
        out[len++] = (char)c;
    }
    if (len == 0)
        return err_fail(err, ERR_SYNTAX, "URL: no user name; " FORM);
    out[len] = '\0';
    return true;
}

static bool scan_host(struct bytes *in, struct bytes *host)
{
    size_t len = 0;

    if (scan_byte(in, '['))
        return scan_until_byte(in, ']', host) && scan_byte(in, ']') &&
               bytes_find_byte(*host, ':') >= 0;
    while (len < in->len && (ascii_is_alpha(in->ptr[len]) || ascii_is_digit(in->ptr[len]) ||
                             memchr(".-_", in->ptr[len], 3) != NULL || in->ptr[len] >= 0x80))
        len++;
    return scan_octets(in, len, host);
}

static bool store_host(struct bytes host, char out[NET_URL_HOST_BYTES], struct err *err)
{
    struct in6_addr v6;

    if (host.len == 0)
        return err_fail(err, ERR_SYNTAX, "URL: no host; " FORM);
    if (host.len >= NET_URL_HOST_BYTES)
        return err_fail(err, ERR_SYNTAX, "URL: host over %d bytes", NET_URL_HOST_BYTES - 1);
    for (size_t i = 0; i < host.len; i++)
        out[i] = (char)ascii_lower(host.ptr[i]);
    out[host.len] = '\0';
    if (strchr(out, ':') != NULL && inet_pton(AF_INET6, out, &v6) != 1)
        return err_fail(err, ERR_SYNTAX, "URL: [%s] is not an IPv6 address", out);
    return true;
}

static bool scan_port(struct bytes *in, uint16_t usual, uint16_t *out, struct err *err)
{
    uint32_t port = usual;

    if (scan_byte(in, ':') && (!scan_u32(in, &port) || port == 0 || port > UINT16_MAX))
        return err_fail(err, ERR_SYNTAX, "URL: a port is a number from 1 to 65535");
    *out = (uint16_t)port;
    return true;
}

bool net_is_loopback_host(const char *host)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return bytes_equal_nocase(bytes_of_text(host), BYTES("localhost")) || strcmp(host, "::1") == 0;
}

bool net_read_url(struct bytes text, struct net_url *out, struct err *err)
{
    struct net_url url = { 0 };
    const struct scheme *scheme;
    struct bytes host;
    size_t at;

    if (!scan_scheme(&text, &scheme))
        return err_fail(err, ERR_SYNTAX, "URL: " FORM " or imap://USER@HOST[:PORT]/");
    url.security = scheme->security;
    for (at = text.len; at > 0 && text.ptr[at - 1] != '@'; at--)
        ;
    if (at == 0)
        return err_fail(err, ERR_SYNTAX, "URL: no user name; " FORM);
    if (!decode_user(bytes_slice(text, 0, at - 1), url.user, err))
        return false;
    text = bytes_slice(text, at, SIZE_MAX);
    if (!scan_host(&text, &host))
        return err_fail(err, ERR_SYNTAX, "URL: an IPv6 address stands in brackets; " FORM);
    if (!store_host(host, url.host, err) || !scan_port(&text, scheme->port, &url.port, err))
        return false;
    if (text.len > 0 && !bytes_equal(text, BYTES("/")))
        return err_fail(err, ERR_SYNTAX, "URL: unexpected text behind host and port; " FORM);
    if (url.security == NET_SECURITY_NONE && !net_is_loopback_host(url.host))
        return err_fail(err, ERR_DENIED,
                        "URL: imap+plain is for this machine only (localhost); "
                        "use imaps:// or imap:// (STARTTLS)");
    *out = url;
    return true;
}

/* RFC 3986 unreserved characters stand for themselves. */
static void write_encoded(struct buf *out, struct bytes text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];

        if (ascii_is_alpha(c) || ascii_is_digit(c) || memchr("-._~", c, 4) != NULL) {
            buf_byte(out, c);
            continue;
        }
        buf_byte(out, '%');
        buf_byte(out, (uint8_t)digits[c >> 4]);
        buf_byte(out, (uint8_t)digits[c & 15]);
    }
}

void net_write_url(struct buf *out, const struct net_url *url)
{
    bool is_v6 = strchr(url->host, ':') != NULL;

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (schemes[i].security != url->security)
            continue;
        buf_append(out, schemes[i].name);
        write_encoded(out, bytes_of_text(url->user));
        buf_text(out, is_v6 ? "@[" : "@");
        buf_text(out, url->host);
        buf_text(out, is_v6 ? "]" : "");
        if (url->port != schemes[i].port) {
            buf_byte(out, ':');
            buf_u64(out, url->port);
        }
        buf_byte(out, '/');
    }
}
