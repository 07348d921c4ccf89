/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/container.h - files that keep mail, or may, in a form that an import does not read.
 *
 * Known by their first octets, so that they are told for what they are and not as "no mail". Pure.
 */
#pragma once

#include "base/bytes.h"

enum {
    INGEST_CONTAINER_BYTES = 16, /* that are looked at */
};

struct ingest_container {
    struct bytes start;
    size_t at;       /* where it stands */
    const char *why; /* for people */
    bool is_packed;  /* no message begins so, whatever the file is called */
    bool is_failure; /* it keeps mail, or nobody can tell that it does not */
};

/* NULL: none of them. */
const struct ingest_container *ingest_find_container(struct bytes head);
