/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/loopback.h - where a browser on this machine brings the answer of an authorization (RFC 8252 §7.3).
 *
 * One listening socket of 127.0.0.1, or ::1, for as long as a human needs (libmicrohttpd). Whoever else on
 * this machine comes by learns nothing and ends nothing: an answer counts by its state alone. One thread.
 */
#pragma once

#include "oauth/authorize.h"

#define OAUTH_LOOPBACK_URL "http://127.0.0.1" /* where a grant has no "redirect_url" */

struct oauth_loopback;

/* True: a browser on this machine would come to us; http:// to a loopback address. Others are for pasting. */
bool oauth_is_loopback(const char *redirect_url);

/* Listens where the URL says; without a port in it at any free one. ERR_SYSTEM: the port is taken. */
MUST_USE bool oauth_open_loopback(const char *redirect_url, struct oauth_loopback **out,
                                  struct err *err);
void oauth_close_loopback(struct oauth_loopback **loopback);

/* The redirect URL with the port that it has; borrowed. */
const char *oauth_loopback_url(const struct oauth_loopback *loopback);

/* Readable: oauth_serve_loopback has something to do. It wants to be called once a second, too. */
int oauth_loopback_fd(const struct oauth_loopback *loopback);

/*
 * Serves whoever has come, without waiting.
 *
 * Success     *code is set when the browser has brought it and was told so; otherwise nobody has yet.
 * ERR_DENIED, ERR_RETRY  it brought a refusal.
 */
MUST_USE bool oauth_serve_loopback(struct oauth_loopback *loopback, const char *state,
                                   struct secret **code, struct err *err);
