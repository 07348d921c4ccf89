/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/sasl.h - AUTHENTICATE (RFC 9051 §6.2.2): libgsasl's mechanisms, and the two that carry tokens
 * (sasl_token.h).
 *
 * One exchange: challenges and responses until the tagged answer. A mechanism that proves the server
 * too (SCRAM, RFC 5802) has failed unless that proof came: an OK without it is ERR_DENIED.
 * One thread.
 */
#pragma once

#include "ingest/client.h"
#include "source/lease.h"

enum {
    INGEST_REFUSAL_BYTES = 160
};

/* Who logs in, and by what. Borrowed. */
struct ingest_subject {
    struct bytes login;
    /* authentication identity of a password, if not login's: RFC 4422 §3.4.1 */
    struct bytes login_as;
    const struct source_identity *identity;
    struct bytes host; /* as the account names it: OAUTHBEARER tells the server */
    uint16_t port;
};

/*
 * The next mechanism to try, best first, among what the server offers, `tried` (INGEST_AUTH_*) leaves, and
 * is for this kind of proof. A password: SCRAM bound to the TLS channel, SCRAM, PLAIN, then those that
 * older servers have. A token: OAUTHBEARER, XOAUTH2. A certificate: EXTERNAL. With login_as only those
 * that carry two names: SCRAM, PLAIN. Where SCRAM was tried and refused, the server may keep no hash for any
 * of its kinds: what is none of them comes first. 0: none.
 */
uint32_t ingest_choose_mechanism(const struct ingest_client *client,
                                 const struct ingest_subject *subject, uint32_t tried);

/*
 * *reply: the tagged answer, whatever it is; refusal: what the server said before it of a token, or "".
 * ERR_DENIED: the server could not prove who it is, or the mechanism cannot use this password. Others: as
 * ingest_next_event.
 */
MUST_USE bool ingest_authenticate(struct ingest_client *client, uint32_t mechanism,
                                  const struct ingest_subject *subject,
                                  char refusal[INGEST_REFUSAL_BYTES], struct ingest_reply *reply,
                                  struct err *err);
