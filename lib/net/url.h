/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/url.h - the URL of an account at a source server (a part of RFC 5092). Pure.
 *
 *     imaps://USER@HOST[:PORT]/        TLS from the first octet, port 993
 *     imap://USER@HOST[:PORT]/         STARTTLS, without which nothing is sent; port 143
 *     imap+plain://USER@HOST[:PORT]/   no TLS: loopback hosts only; port 143
 *
 * USER is percent-encoded ("jo%40example.org"); a plain "@" in it is accepted too, the last "@"
 * counts. HOST is a name or an address, IPv6 in brackets. The final "/" may be missing. A password
 * in the URL is refused: URLs are shown and logged.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum net_security {
    NET_SECURITY_TLS,
    NET_SECURITY_STARTTLS,
    NET_SECURITY_NONE
};

enum {
    NET_URL_USER_BYTES = 256,
    NET_URL_HOST_BYTES = 256
};

struct net_url {
    enum net_security security;
    char user[NET_URL_USER_BYTES]; /* decoded UTF-8, NUL-terminated, never empty */
    char host[NET_URL_HOST_BYTES]; /* lower case; without brackets */
    uint16_t port;                 /* never 0 */
};

/* Reads the whole text. ERR_SYNTAX says what is wrong and gives the form; ERR_DENIED: imap+plain
 * to a host that is not loopback, or a password. */
MUST_USE bool net_read_url(struct bytes text, struct net_url *out, struct err *err);

/* Appends the canonical form: percent-encoded, port only when it is not the usual one, final "/". */
void net_write_url(struct buf *out, const struct net_url *url);

/* "localhost", "127.x.x.x", "::1". */
bool net_is_loopback_host(const char *host);
