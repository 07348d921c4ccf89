/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/headline.h - what a listing says of a message: who wrote to whom about what.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct vault_reader;
struct vault_placement;

/* Decoded UTF-8 in the arena, empty where there is nothing. */
struct cli_headline {
    struct bytes from, to, cc; /* Name <a@b>, c@d */
    struct bytes subject;
    struct bytes message_id; /* with its brackets */
    bool is_damaged;         /* the message could not be read: nothing is known of it */
};

/* placement: VAULT_WITH_INDEX. What its index does not have is read from the message. */
bool cli_read_headline(struct vault_reader *reader, const struct vault_placement *placement,
                       struct arena *arena, struct cli_headline *out, struct err *err);

/* What is in the buffer, in the arena; empty over its ceiling. */
struct bytes cli_keep(struct arena *arena, const struct buf *buf);
