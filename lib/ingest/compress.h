/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/compress.h - COMPRESS=DEFLATE with a source (RFC 4978), where it pays.
 *
 * It pays where the line is slower than the source deflates, some 50 MB/s of mail: not over loopback or
 * within a house, mostly farther away. 2,016 messages of the hard corpus, 14.5 MB: 6.3 MB on the wire, a
 * fifth more CPU here; over loopback 2.9 s instead of 1.8 s, for Dovecot deflates them first.
 */
#pragma once

#include "conf/conf.h"
#include "ingest/client.h"

enum {
    INGEST_FAR_USEC = 5000, /* a round trip from which on a source is far away */
};

/*
 * After login, before anything is in flight. auto: when the source offers it and is far away by TCP's
 * own measure. A refusal is no failure.
 */
MUST_USE bool ingest_compress(struct ingest_client *client, enum conf_compress mode,
                              struct err *err);
