/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/bytes.h - borrowed octets, and readers that take from their front.
 *
 * Whatever came from a socket, a pack or SQL is a struct bytes: a borrowed pointer and a length,
 * never NUL-terminated. Readers (scan_*) take from the front of *in and leave it where it was when
 * they return false. Nothing here allocates; any thread may call it.
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct bytes {
    const uint8_t *ptr; /* may be NULL only when len is 0 */
    size_t len;
};

#define BYTES_INIT(text)                                                                           \
    {                                                                                              \
        (const uint8_t *)("" text), sizeof("" text) - 1                                            \
    }                                                /* in tables */
#define BYTES(text) ((struct bytes)BYTES_INIT(text)) /* in expressions */

static inline struct bytes bytes_of(const void *ptr, size_t len)
{
    return (struct bytes){ ptr, len };
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static inline bool bytes_is_empty(struct bytes b)
{
    return b.len == 0;
}

/* The octets from `from` on, at most max_len of them; empty when `from` is past the end. */
static inline struct bytes bytes_slice(struct bytes b, size_t from, size_t max_len)
{
    size_t left;

    if (from >= b.len)
        return (struct bytes){ NULL, 0 };
    left = b.len - from;
    return (struct bytes){ b.ptr + from, left < max_len ? left : max_len };
}

bool bytes_equal(struct bytes a, struct bytes b);

/* ASCII letters compare equal in either case; all other octets exactly (no locale). */
bool bytes_equal_nocase(struct bytes a, struct bytes b);

/* As memcmp, a shorter prefix first: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);

bool bytes_start_with(struct bytes b, struct bytes prefix);
bool bytes_start_with_nocase(struct bytes b, struct bytes prefix);
bool bytes_end_with_nocase(struct bytes b, struct bytes suffix);

/* Index of the first occurrence, or -1. */
ssize_t bytes_find(struct bytes b, struct bytes needle);
ssize_t bytes_find_byte(struct bytes b, uint8_t byte);

/* Takes exactly this byte, or this text; the _nocase form ignores ASCII case. */
MUST_USE bool scan_byte(struct bytes *in, uint8_t byte);
MUST_USE bool scan_text(struct bytes *in, struct bytes text);
MUST_USE bool scan_text_nocase(struct bytes *in, struct bytes text);

/* Takes 1*DIGIT that fits; leading zeros are accepted, a sign is not. */
MUST_USE bool scan_u64(struct bytes *in, uint64_t *out);
MUST_USE bool scan_u32(struct bytes *in, uint32_t *out);

/* Takes exactly `count` decimal digits (at most 9 of them). */
MUST_USE bool scan_digits(struct bytes *in, size_t count, uint32_t *out);

/* Takes exactly count octets. */
MUST_USE bool scan_octets(struct bytes *in, size_t count, struct bytes *out);

/* Takes everything up to (not with) the first `stop`; false when it does not occur. */
MUST_USE bool scan_until_byte(struct bytes *in, uint8_t stop, struct bytes *out);

/* ASCII only, whatever the locale says. */
static inline uint8_t ascii_lower(uint8_t c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static inline uint8_t ascii_upper(uint8_t c)
{
    return (uint8_t)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
}

static inline bool ascii_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(uint8_t c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

enum {
    ASCII_NO_HEX = 255
};

/* 0 … 15, of a digit in either case; ASCII_NO_HEX: it is none. */
static inline uint8_t ascii_hex_value(uint8_t c)
{
    if (ascii_is_digit(c))
        return (uint8_t)(c - '0');
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10) : ASCII_NO_HEX;
}
