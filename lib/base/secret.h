/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/secret.h - passwords, keys and tokens: kept apart from ordinary text, wiped after use.
 *
 * No log or format helper accepts a struct secret; the octets are reached only by secret_bytes(),
 * which is easy to find in a review. The memory is excluded from core dumps where the kernel can.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    SECRET_MAX_BYTES = 12 << 10
}; /* also OAuth tokens, keys with their certificates */

struct secret;

/* Copies the octets; the caller wipes its own copy (secret_wipe). ERR_LIMIT over SECRET_MAX_BYTES. */
MUST_USE bool secret_create(struct bytes octets, struct secret **out, struct err *err);
void secret_free(struct secret **secret); /* wipes */

struct bytes secret_bytes(const struct secret *secret); /* borrowed */

/* Overwrites memory in a way that the compiler may not remove. */
void secret_wipe(void *ptr, size_t len);

/* For the start of a process that holds secrets: no core file, and no other process of the same user may
 * trace it or open what is below its /proc. Processes that are forked from it are so, too. */
void secret_protect_process(void);

/* Compares in time that depends on the lengths only. */
bool secret_equal(struct bytes a, struct bytes b);
