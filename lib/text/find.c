/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/find.c - a needle in a haystack of megabytes, sixteen places at a time.
 *
 * Two octets of the needle, its rarest, are compared at all places of a block at once; where both
 * agree, the whole is. A haystack in which that happens too often (it may be made for it) is left to
 * memmem(3), whose time is linear.
 */
#include "text/internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    COMMON_FIRST = 64, /* wasted comparisons that are forgiven, and then one in … */
    COMMON_RATIO = 16, /* … octets of haystack */
};

/* How common an octet is in folded text: 0 rare … 3. */
static unsigned frequency(uint8_t c)
{
    static const char most[] = " etaoinsrh\r\n";
    static const char many[] = "ldcumfpgwyb.,-=/<>:\"";

    if (memchr(most, c, sizeof most - 1) != NULL)
        return 3;
    if (memchr(many, c, sizeof many - 1) != NULL)
        return 2;
    return c >= 0x80 ? 2 : 1; /* leading octets of a script are common in its texts */
}

struct text_finder text_make_finder(struct bytes needle)
{
    struct text_finder finder = { .needle = needle };
    size_t last = needle.len == 0 ? 0 : needle.len - 1;

    finder.second = last;
    for (size_t i = 0; i < needle.len; i++)
        if (frequency(needle.ptr[i]) < frequency(needle.ptr[finder.first]))
            finder.first = i;
    if (finder.second == finder.first)
        finder.second = 0;
    for (size_t i = 0; i < needle.len; i++)
        if (i != finder.first && needle.ptr[i] != needle.ptr[finder.first] &&
            frequency(needle.ptr[i]) < frequency(needle.ptr[finder.second]))
            finder.second = i;
    return finder;
}

static ssize_t find_linear(struct bytes needle, struct bytes haystack, size_t from)
{
    const uint8_t *at = memmem(haystack.ptr + from, haystack.len - from, needle.ptr, needle.len);

    return at == NULL ? -1 : at - haystack.ptr;
}

#ifdef __SSE2__
/* Of the sixteen places from at on, those where both octets agree, as bits. */
static uint32_t candidates(const struct text_finder *finder, const uint8_t *at)
{
    const uint8_t *needle = finder->needle.ptr;
    __m128i first = _mm_loadu_si128((const __m128i *)(const void *)(at + finder->first));
    __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(at + finder->second));

    first = _mm_cmpeq_epi8(first, _mm_set1_epi8((char)needle[finder->first]));
    second = _mm_cmpeq_epi8(second, _mm_set1_epi8((char)needle[finder->second]));
    return (uint32_t)_mm_movemask_epi8(_mm_and_si128(first, second));
}

ssize_t text_find(const struct text_finder *finder, struct bytes haystack)
{
    struct bytes needle = finder->needle;
    size_t wasted = 0;
    size_t at = 0;

    if (needle.len == 0 || needle.len > haystack.len)
        return needle.len == 0 ? 0 : -1;
    for (; at + needle.len + 15 <= haystack.len; at += 16) {
        for (uint32_t bits = candidates(finder, haystack.ptr + at); bits != 0; bits &= bits - 1) {
            size_t place = at + (size_t)__builtin_ctz(bits);

            if (memcmp(haystack.ptr + place, needle.ptr, needle.len) == 0)
                return (ssize_t)place;
            wasted += 1 + needle.len / 64; /* how far memcmp may have gone */
        }
        if (wasted > COMMON_FIRST + at / COMMON_RATIO)
            break;
    }
    return find_linear(needle, haystack, at);
}
#else
ssize_t text_find(const struct text_finder *finder, struct bytes haystack)
{
    if (finder->needle.len == 0 || finder->needle.len > haystack.len)
        return finder->needle.len == 0 ? 0 : -1;
    return find_linear(finder->needle, haystack, 0);
}
#endif
