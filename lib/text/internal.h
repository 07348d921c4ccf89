/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/internal.h - what the files of lib/text share.
 */
#pragma once

#include "base/buf.h"
#include "text/fold.h"

enum {
    TEXT_FIRST_KEPT = 0x08,         /* the octets below it are marks of the record */
    TEXT_FOLDED_CHARACTER_MAX = 40, /* octets that one character folds to: 33 for U+FDFA */
};

/* The folding of one character that is none of U+0000 to U+0007; returns its octets in UTF-8. */
size_t text_fold_character(uint32_t character, uint8_t out[TEXT_FOLDED_CHARACTER_MAX]);

/* Appends the UTF-8 of one character to out, which has room for 4; returns how many octets. */
size_t text_encode(uint32_t character, uint8_t *out);

/* The character in UTF-8 at the front, which is not ASCII; false: none, or a part of one. */
bool text_read_character(struct bytes in, uint32_t *character, size_t *len);

/* A needle prepared for many haystacks; needle is borrowed. */
struct text_finder {
    struct bytes needle;
    size_t first, second; /* private: places of its rarest octets */
};

struct text_finder text_make_finder(struct bytes needle);

/* Where the needle first is, or -1. An empty one is at 0. Linear in the haystack but for a factor that
 * does not depend on it. */
ssize_t text_find(const struct text_finder *finder, struct bytes haystack);
