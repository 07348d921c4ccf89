/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/backoff.h"

#include <arpa/inet.h>
#include <stdio.h>

enum {
    USEC = 1000000,
    FIRST_WAIT_SECONDS = 2
};

struct rule {
    int64_t free_count;
    int64_t max_seconds;
};

static const struct rule pair_rule = { 5, 15 * 60 };
static const struct rule remote_rule = { 20, 15 * 60 };
static const struct rule auditor_rule = { 20, 60 };

static int64_t seconds_left(const struct auth_failures *f, struct rule rule, int64_t now_usec)
{
    int64_t seconds = FIRST_WAIT_SECONDS;
    int64_t left_usec;

    if (f->count < rule.free_count)
        return 0;
    for (int64_t i = rule.free_count; i < f->count && seconds < rule.max_seconds; i++)
        seconds *= 2;
    if (seconds > rule.max_seconds)
        seconds = rule.max_seconds;
    left_usec = f->last_usec + seconds * USEC - now_usec;
    if (left_usec <= 0)
        return 0;
    left_usec += USEC - 1; /* rounded up */
    return left_usec / USEC < rule.max_seconds ? left_usec / USEC : rule.max_seconds;
}

uint32_t auth_seconds_to_wait(const struct auth_history *history, int64_t now_usec)
{
    int64_t longest = seconds_left(&history->pair, pair_rule, now_usec);
    int64_t other = seconds_left(&history->remote, remote_rule, now_usec);

    if (other > longest)
        longest = other;
    other = seconds_left(&history->auditor, auditor_rule, now_usec);
    if (other > longest)
        longest = other;
    return (uint32_t)longest;
}

static void write_ipv4(const struct in_addr *address, struct auth_remote *out)
{
    out->is_known = true;
    (void)inet_ntop(AF_INET, address, out->address, sizeof out->address);
    (void)inet_ntop(AF_INET, address, out->counted, sizeof out->counted);
}

static void write_ipv6(const struct in6_addr *address, struct auth_remote *out)
{
    char prefix[INET6_ADDRSTRLEN];
    struct in6_addr network = *address;
    struct in_addr inner;

    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(&inner, &address->s6_addr[12], sizeof inner);
        write_ipv4(&inner, out);
        return;
    }
    memset(&network.s6_addr[8], 0, 8);
    out->is_known = true;
    (void)inet_ntop(AF_INET6, address, out->address, sizeof out->address);
    (void)inet_ntop(AF_INET6, &network, prefix, sizeof prefix);
    (void)snprintf(out->counted, sizeof out->counted, "%s/64", prefix);
}

struct auth_remote auth_read_remote(struct bytes text)
{
    struct auth_remote remote = { .counted = "0.0.0.0" };
    struct bytes rest = text, address = text;
    char copy[AUTH_REMOTE_TEXT_BYTES];
    struct in6_addr ipv6;
    struct in_addr ipv4;

    if (!scan_until_byte(&rest, '%', &address))
        address = text;
    if (address.len == 0 || address.len >= sizeof copy)
        return remote;
    memcpy(copy, address.ptr, address.len);
    copy[address.len] = '\0';
    if (bytes_find_byte(address, 0) >= 0)
        return remote;
    if (inet_pton(AF_INET, copy, &ipv4) == 1)
        write_ipv4(&ipv4, &remote);
    else if (inet_pton(AF_INET6, copy, &ipv6) == 1)
        write_ipv6(&ipv6, &remote);
    return remote;
}
