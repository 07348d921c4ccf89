/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text/signature.h - what rules a needle out of many records at once, without looking at them.
 *
 * A gram is four octets that stand side by side in a record. A signature is a bitmap in which the bits of
 * all grams of some records are set, by a hash. A needle that is in one of these records has all its
 * grams there; so where the bit of one is not set, no record holds it. The other way round nothing
 * is said. A needle shorter than a gram is never ruled out.
 *
 * Its length is a power of two: the whole one is halved as long as few of its bits are set, and bit h of
 * the whole is bit h mod n of one with n bits. Stored: whatever changes here raises
 * TEXT_RECORD_VERSION (text/record.h).
 *
 * Pure.
 */
#pragma once

#include "base/bytes.h"

enum {
    TEXT_GRAM_BYTES = 4,
    TEXT_SIGNATURE_MIN = 64, /* octets */
    TEXT_SIGNATURE_MAX = 8 << 10,
    TEXT_SIGNATURE_SPARSE = 8, /* halved while fewer than one bit in so many is set */
};

struct text_signer;

struct text_signer *text_create_signer(void); /* never NULL; 72 KiB */
void text_free_signer(struct text_signer **signer);

/* Adds the grams of a record. */
void text_sign(struct text_signer *signer, struct bytes record);

/* The signature of what was added, and begins the next. Borrowed until the next call of this. */
struct bytes text_end_signature(struct text_signer *signer);

/* Forgets what was added. */
void text_clear_signer(struct text_signer *signer);

/* False: none of the records holds this needle (folded, text/match.h: text_needle). Always true for what
 * is no signature. */
MUST_USE bool text_may_hold(struct bytes signature, struct bytes needle);
