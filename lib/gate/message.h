/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/message.h - what holdfast-gate is asked and what it answers, as octets.
 *
 * One request is one datagram, one reply is one datagram, each at most GATE_DATAGRAM_BYTES:
 *
 *     offset  size  what
 *     0       1     version, GATE_VERSION
 *     1       1     kind of the request, in the reply too
 *     2       1     outcome in a reply, 0 in a request
 *     3       1     0
 *     4       …     the fields of the kind, in the order of the struct below: integers big endian of
 *                   4 or 8 octets, a truth value 1 octet (0 or 1), octets with a 2-octet length
 *
 * A reply has fields only when its outcome is GATE_DONE, GATE_THROTTLED, GATE_GRANT_DENIED or
 * GATE_GRANT_RETRY. Nothing may follow the last field. Pure: no I/O, no allocation; any thread. Read values borrow from the octets they were
 * read from; datagrams hold secrets and are wiped by their owner (gate_wipe).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum {
    GATE_VERSION = 1,
    GATE_DATAGRAM_BYTES = 16384,
    GATE_TOKEN_BYTES = 64,     /* hex of 32 random octets */
    GATE_NAME_MAX_BYTES = 128, /* as auditor.name */
    GATE_PASSWORD_MAX_BYTES = 1024,
    GATE_REMOTE_MAX_BYTES = 64, /* the text of an address */
    GATE_SECRET_MAX_BYTES = 12 << 10,
    GATE_TEXT_MAX_BYTES = 512,
    GATE_HASH_BYTES = 32,
};

enum gate_kind {
    GATE_LOG_IN = 1,        /* gate-imapd.sock */
    GATE_LOG_OUT = 2,       /* gate-imapd.sock */
    GATE_OPEN_PACK = 3,     /* gate-imapd.sock; the reply carries a descriptor */
    GATE_SOURCE_SECRET = 4, /* gate-ingest.sock */
};

struct gate_log_in {
    struct bytes name; /* of the auditor */
    struct bytes password;
    struct bytes remote; /* "192.0.2.7"; empty: not known (a Unix socket) */
    bool is_tls;
};

struct gate_log_out {
    struct bytes token;
};

struct gate_open_pack {
    struct bytes token;
    int64_t account_id;
    int64_t pack_id;
    bool is_text; /* its text segment, which lies beside it */
};

struct gate_source_secret {
    int64_t job_id;
    int64_t fence;
    struct bytes refused; /* SHA-256 of the token that the source did not take; empty: none */
};

struct gate_request {
    enum gate_kind kind; /* says which one of these counts */
    union {
        struct gate_log_in log_in;
        struct gate_log_out log_out;
        struct gate_open_pack open_pack;
        struct gate_source_secret source_secret;
    };
};

enum gate_outcome {
    GATE_DONE = 0,
    GATE_DENIED = 1,    /* wrong password, no such auditor, session or lease over: all the same */
    GATE_THROTTLED = 2, /* too many failed logins: wait_seconds */
    GATE_ABSENT = 3,    /* no such pack; this account has no secret */
    GATE_RETRY = 4,     /* the database cannot be reached or written just now */
    GATE_CORRUPT = 5,   /* the stored secret does not open: the wrong master key, or damage */
    GATE_REFUSED = 6,   /* not a request, or one that belongs to another socket */
    GATE_GRANT_DENIED = 7, /* the token endpoint gives no token, and a human must act: text */
    GATE_GRANT_RETRY = 8,  /* nor that, but time may mend it: text */
};

enum gate_secret_kind {
    GATE_SECRET_PASSWORD = 1,
    GATE_SECRET_TOKEN = 2,       /* an OAuth access token */
    GATE_SECRET_CERTIFICATE = 3, /* PEM: a client certificate with its chain, and its private key */
};

struct gate_logged_in {
    struct bytes token; /* GATE_TOKEN_BYTES of lower case hex */
    int64_t auditor_id;
    int64_t session_id;
    int64_t expires_at_usec;
};

struct gate_secret {
    enum gate_secret_kind kind;
    int64_t account_id;
    struct bytes octets;
};

struct gate_reply {
    enum gate_kind kind;
    enum gate_outcome outcome;
    union {
        uint32_t wait_seconds;           /* GATE_THROTTLED */
        struct bytes text;               /* GATE_GRANT_DENIED, GATE_GRANT_RETRY: for the operator */
        struct gate_logged_in logged_in; /* GATE_LOG_IN, GATE_DONE */
        struct gate_secret secret;       /* GATE_SOURCE_SECRET, GATE_DONE */
    };
};

struct gate_datagram {
    size_t len;
    uint8_t octets[GATE_DATAGRAM_BYTES];
};

static inline struct bytes gate_datagram_bytes(const struct gate_datagram *datagram)
{
    return bytes_of(datagram->octets, datagram->len);
}

/* For CLEANUP: overwrites all of it. */
void gate_wipe(struct gate_datagram *datagram);

/* ERR_LIMIT: a field is longer than its limit above; *out is then empty. */
MUST_USE bool gate_write_request(const struct gate_request *request, struct gate_datagram *out,
                                 struct err *err);
MUST_USE bool gate_write_reply(const struct gate_reply *reply, struct gate_datagram *out,
                               struct err *err);

/*
 * Reads a whole datagram. ERR_SYNTAX: not exactly one message of this version. ERR_LIMIT: a field
 * is over its limit. What was read is in its limits, tokens are GATE_TOKEN_BYTES of lower case hex,
 * and ids are positive. *out borrows from octets and is untouched on failure.
 */
MUST_USE bool gate_read_request(struct bytes octets, struct gate_request *out, struct err *err);
MUST_USE bool gate_read_reply(struct bytes octets, struct gate_reply *out, struct err *err);
