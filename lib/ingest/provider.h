/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/provider.h - what a kind of server needs from its clients, as one struct of rules.
 *
 * Recognised by what the server says of itself (capabilities, ID answer, greeting) and by its host name,
 * never by the names of its mailboxes. Whoever is not recognised gets the general rules. How many
 * connections a host bears stands in the table source_provider, where claims are decided.
 * To add a provider: a row in provider.c, with the reason, and one in README.md's table.
 *
 * Pure; any thread may call it.
 */
#pragma once

#include "base/bytes.h"

enum {
    INGEST_VIEW_LIMITS = 4,
};

/* By which id of the source a message is known again without its octets (ingest/README 17). */
enum ingest_identity {
    INGEST_IDENTITY_NONE,
    INGEST_IDENTITY_GMAIL,    /* X-GM-MSGID; X-GM-THRID and X-GM-LABELS come with it (X-GM-EXT-1) */
    INGEST_IDENTITY_OBJECTID, /* EMAILID; THREADID comes with it (RFC 8474) */
};

struct ingest_rules {
    const char *provider; /* for the operator */

    uint64_t daily_bytes; /* octets to fetch from one account in 24 hours; 0: no limit is known */

    /* Offers SCRAM bound to the channel and refuses the binding that TLS 1.3 has (tls-exporter, RFC 9266). */
    bool is_binding_refused;

    /* FETCH commands in flight, at most INGEST_FETCH_DEPTH. (Their sets are for everybody as short as
     * Exchange needs them: set.h.) */
    size_t fetch_depth;

    /* IMAP_MAILBOX_* special uses that together hold every message: they are read first, and other
     * mailboxes mostly show the same messages again. 0: each mailbox has its own. */
    uint32_t bodies;
    enum ingest_identity identity;

    /* As many messages as one of these (0: no more of them), and the server may show only a part. */
    uint64_t view_limits[INGEST_VIEW_LIMITS];
};

struct ingest_peer {
    struct bytes host;
    struct bytes greeting; /* its text; empty: not heard yet */
    struct bytes id_name;  /* "name" of its answer to ID (RFC 2971); empty: none */
    uint32_t capabilities; /* INGEST_* (client.h) */
};

struct ingest_rules ingest_rules_for(const struct ingest_peer *peer);

/* The FETCH items that tell it, with thread and labels, each with a blank before it; "" for none. */
const char *ingest_identity_items(enum ingest_identity identity);

/* Are they those of a provider, rather than the general ones? */
bool ingest_is_recognised(const struct ingest_rules *rules);

/* Is this the number of messages at which the server cuts a mailbox off? */
bool ingest_is_view_full(const struct ingest_rules *rules, uint64_t exists);

/* What an operator should look at when a server says this, as the end of a sentence; NULL: the text
 * speaks for itself. */
const char *ingest_hint_for(struct bytes text);

/* Does it speak of this host as a whole (connections from one address), not of one account? */
bool ingest_speaks_of_host(struct bytes text);

/* How long the server asks to be left alone in this text, in seconds; 0: it does not say. At most a day. */
int64_t ingest_asked_to_wait(struct bytes text);
