/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ingest/sasl.h - AUTHENTICATE (RFC 9051 §6.2.2) by libgsasl's mechanisms.
 *
 * One exchange: challenges and responses until the tagged answer. A mechanism that proves the server
 * too (SCRAM, RFC 5802) has failed unless that proof came: an OK without it is ERR_DENIED.
 * One thread.
 */
#pragma once

#include "base/secret.h"
#include "ingest/client.h"

/*
 * The next mechanism to try, best first, among what the server offers and `tried` (INGEST_AUTH_*)
 * leaves: SCRAM bound to the TLS channel, SCRAM, PLAIN, then those that older servers have. 0: none.
 */
uint32_t ingest_choose_mechanism(const struct ingest_client *client, uint32_t tried);

/*
 * *reply: the tagged answer, whatever it is. ERR_DENIED: the server could not prove who it is, or the
 * mechanism cannot use this password. Others: as ingest_next_event.
 */
MUST_USE bool ingest_authenticate(struct ingest_client *client, uint32_t mechanism,
                                  struct bytes login, const struct secret *password,
                                  struct ingest_reply *reply, struct err *err);
