/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mime/structure.h - the tree of parts as it is stored: message_index.structure.
 *
 * Holds everything of the tree but the envelopes. Compact: numbers of varying length, offsets
 * relative to the parent's, nothing for what is absent. Begins with a version octet.
 *
 * Pure. Reading trusts nothing: what it accepts is a tree whose parts lie within their parents, one
 * behind the other, within the limits of mime/part.h.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "mime/part.h"

void mime_write_structure(struct buf *buf, const struct mime_part *root);

/*
 * Values are borrowed from stored, the parts are in the arena (ERR_LIMIT over its ceiling).
 * ERR_CORRUPT: not what mime_write_structure writes.
 */
MUST_USE bool mime_read_structure(struct bytes stored, struct arena *arena,
                                  const struct mime_part **out, struct err *err);
