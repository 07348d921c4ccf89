/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/login.h - from a host name to an authenticated connection.
 *
 *   connect --> [TLS] --> greeting --> [STARTTLS, TLS] --> CAPABILITY --> AUTHENTICATE or LOGIN
 *
 * Nothing secret is sent before TLS unless the account says "none" (loopback only). STARTTLS, when
 * configured, is mandatory: not offered, refused, PREAUTH or octets behind its OK all end here.
 * Errors say what to do about them; codes as DESIGN 9 needs them: ERR_RETRY for what time may mend,
 * ERR_DENIED for password, certificate and host name, ERR_SYNTAX for a peer that speaks something
 * else. One thread.
 */
#pragma once

#include "ingest/client.h"
#include "source/lease.h"

struct ingest_login {
    const struct source_account_settings *account;
    const struct source_identity *identity;
    bool was_refused; /* set: the server does not take this password, token or certificate */
};

/* Connects, logs in, and knows the capabilities that hold after login. */
MUST_USE bool ingest_log_in(struct ingest_login *login, const struct ingest_client_options *options,
                            struct ingest_client **out, struct err *err);

/* The same from a connected stream, before its greeting (implicit TLS is up already). */
MUST_USE bool ingest_greet_and_log_in(struct net_stream **stream, struct ingest_login *login,
                                      const struct ingest_client_options *options,
                                      struct ingest_client **out, struct err *err);

/* What a NO, BAD or BYE means for the account: ERR_RETRY when the text or code speaks of load,
 * throttling or a passing state, otherwise `otherwise`. Pure. */
enum err_code ingest_classify_reply(const struct ingest_reply *reply, enum err_code otherwise);

/* Narrower: does it ask to be left alone? "[SERVERBUG] Internal error" and the like do not: with a
 * mailbox open they are mostly about that mailbox, or one message, for ever. Pure. */
bool ingest_speaks_of_load(const struct ingest_reply *reply);
