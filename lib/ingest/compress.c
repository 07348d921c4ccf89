/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/compress.h"

#include "net/compress.h"

static bool is_worth_it(const struct ingest_client *client, enum conf_compress mode)
{
    if ((ingest_capabilities(client) & INGEST_COMPRESS_DEFLATE) == 0)
        return false;
    switch (mode) {
    case CONF_COMPRESS_AUTO:
        return net_get_round_trip_usec(ingest_stream(client)) >= INGEST_FAR_USEC;
    case CONF_COMPRESS_ON:
        return true;
    case CONF_COMPRESS_OFF:
        return false;
    }
    UNREACHABLE();
}

bool ingest_compress(struct ingest_client *client, enum conf_compress mode, struct err *err)
{
    struct ingest_reply reply;
    struct ingest_tag tag;

    if (!is_worth_it(client, mode))
        return true;
    ingest_begin_command(client, "COMPRESS DEFLATE");
    if (!ingest_send_command(client, &tag, err) ||
        !ingest_finish_command(client, tag, NULL, NULL, &reply, err))
        return false;
    return reply.condition != IMAP_OK || net_start_compress(ingest_stream(client), err);
}
