/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/neighbour.c - how many sessions that have not logged in come from one network, so that one
 * machine does not take all places of strangers; and how many of their refused writes are recorded.
 */
#include "net/stream.h"
#include "serve/internal.h"

#include <stdlib.h>

struct serve_neighbour {
    struct serve_neighbour *next;
    uint8_t network[NET_NETWORK_BYTES];
    size_t strangers; /* it lives while there are any */
};

/* Strangers are SERVE_STRANGERS_MAX at most: chains stay short whatever addresses they choose. */
static struct serve_neighbour **find(struct serve_server *server, const uint8_t *network)
{
    size_t hash = 0;
    struct serve_neighbour **at;

    for (size_t i = 0; i < NET_NETWORK_BYTES; i++)
        hash = hash * 31 + network[i];
    at = &server->neighbours[hash % SERVE_NEIGHBOUR_BUCKETS];
    while (*at != NULL && memcmp((*at)->network, network, NET_NETWORK_BYTES) != 0)
        at = &(*at)->next;
    return at;
}

bool serve_join_neighbours_locked(struct serve_session *session, struct err *err)
{
    uint8_t network[NET_NETWORK_BYTES];
    struct serve_neighbour **at;

    if (!net_get_peer_network(session->stream, network))
        return true; /* a Unix socket */
    at = find(session->server, network);
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at == NULL)
            return err_errno(err, "session");
        memcpy((*at)->network, network, sizeof network);
    }
    if ((*at)->strangers >= SERVE_STRANGERS_PER_NETWORK_MAX)
        return err_fail(err, ERR_LIMIT, "%zu sessions of one network have not logged in",
                        (*at)->strangers);
    (*at)->strangers++;
    session->neighbour = *at;
    return true;
}

void serve_leave_neighbours_locked(struct serve_session *session)
{
    struct serve_neighbour *left = session->neighbour;
    struct serve_neighbour **at;

    session->neighbour = NULL;
    if (left == NULL || --left->strangers > 0)
        return;
    at = find(session->server, left->network);
    *at = left->next;
    free(left);
}

/* Rows of the audit stay for ever, and whoever is cut off comes again. */
uint64_t serve_count_refusal(struct serve_server *server)
{
    const int64_t second = 1000000;
    int64_t now = deadline_after_ms(0).at_usec;
    uint64_t count = 0;

    serve_lock(server);
    server->unrecorded_refusals++;
    if (server->refusals_until_usec < now)
        server->refusals_until_usec = now;
    if (server->refusals_until_usec - now < SERVE_REFUSALS_BURST * second) {
        server->refusals_until_usec += second;
        count = server->unrecorded_refusals;
        server->unrecorded_refusals = 0;
    }
    serve_unlock(server);
    return count;
}
