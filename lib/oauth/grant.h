/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oauth/grant.h - how an account gets its access tokens: what the operator configured, checked.
 *
 * A grant is a JSON object of texts, the same in the operator's file (where NAME_file and
 * NAME_command may stand for NAME, cmd/holdfast/oauth.c), sealed in the database, and here. "grant"
 * names the kind; the other members and the kinds they belong to are the table in grant.c, which is
 * also the operator's manual. One thread at a time; constant after oauth_read_grant.
 */
#pragma once

#include "base/secret.h"
#include "crypto/hash.h"

enum oauth_kind {
    OAUTH_CLIENT_CREDENTIALS, /* "client-credentials", RFC 6749 §4.4: secret, or RFC 7523 §2.2 */
    OAUTH_SERVICE_ACCOUNT,    /* "service-account", RFC 7523 §2.1: we sign for each mailbox */
    OAUTH_REFRESH_TOKEN,      /* "refresh-token", RFC 6749 §6 */
    OAUTH_DEVICE,             /* "device", RFC 8628: a refresh token once a human has consented */
    OAUTH_AUTHORIZATION_CODE, /* "authorization-code", RFC 6749 §4.1: the same, by a browser */
};

/* To add one: here and its row in grant.c. */
enum oauth_field {
    OAUTH_TOKEN_URL,
    OAUTH_DEVICE_URL,
    OAUTH_AUTHORIZATION_URL,
    OAUTH_REDIRECT_URL,
    OAUTH_CLIENT_ID,
    OAUTH_CLIENT_SECRET,
    OAUTH_CERTIFICATE,
    OAUTH_PRIVATE_KEY,
    OAUTH_PRIVATE_KEY_ID,
    OAUTH_ISSUER,
    OAUTH_AUDIENCE,
    OAUTH_SCOPE,
    OAUTH_RESOURCE,
    OAUTH_MAILBOX_PARAMETER,
    OAUTH_REFRESH_TOKEN_TEXT,
    OAUTH_CA,
    OAUTH_FIELD_COUNT,
};

enum {
    OAUTH_GRANT_MAX_BYTES = SECRET_MAX_BYTES,
};

struct oauth_grant;

/*
 * json: one object; its "grant" may be missing where the operator said the kind elsewhere.
 * ERR_SYNTAX: the text names the member and says what it should be; never its value.
 */
MUST_USE bool oauth_read_grant(struct bytes json, struct oauth_grant **out, struct err *err);
void oauth_free_grant(struct oauth_grant **grant);

/* For the database: everything, as JSON. */
MUST_USE bool oauth_write_grant(const struct oauth_grant *grant, struct secret **out,
                                struct err *err);

/* The same grant with another refresh token (rotation, consent). */
MUST_USE bool oauth_renew_grant(const struct oauth_grant *grant, const struct secret *refresh_token,
                                struct secret **out, struct err *err);

enum oauth_kind oauth_grant_kind(const struct oauth_grant *grant);
const char *oauth_kind_name(enum oauth_kind kind);
/* its refresh token comes of a consent that we ask for */
bool oauth_asks_human(enum oauth_kind kind);
MUST_USE bool oauth_find_kind(const char *name, enum oauth_kind *out);

/* Borrowed; NULL when the grant has none. Secret ones never reach a log. */
const char *oauth_get_field(const struct oauth_grant *grant, enum oauth_field field);
const char *oauth_field_name(enum oauth_field field); /* "token_url": of the JSON */
bool oauth_is_secret(enum oauth_field field);

/*
 * What a token of this grant for this mailbox is for: the hash over all members but the refresh token,
 * which rotates, and, where the request names it, the mailbox. Whoever changes a grant begins anew.
 * Secrets are hashed too: not to be stored as it is (auth/bearer.h).
 */
struct crypto_sha256 oauth_cache_key(const struct oauth_grant *grant, struct bytes mailbox);

/* Once per program, before its threads: libcurl and jansson, which then wipes what it frees. */
MUST_USE bool oauth_start(struct err *err);
