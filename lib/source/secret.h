/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/secret.h - how accounts log in: secrets at rest, and credentials that many accounts share.
 *
 * For the CLI, on a connection of the owner's role, with the master key: what is given in is sealed
 * here, what comes out was opened here. Each call is one transaction. One connection, one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

struct crypto_key;
struct db;

enum source_secret_kind {
    SOURCE_SECRET_PASSWORD,
    SOURCE_SECRET_OAUTH,       /* a grant as JSON (oauth/grant.h) */
    SOURCE_SECRET_CERTIFICATE, /* PEM: a client certificate with its chain, and its private key */
    SOURCE_SECRET_CREDENTIAL,  /* the grant of a credential */
};

/* As account_secret.kind names it. ERR_CORRUPT: a kind that we do not know. */
MUST_USE bool source_find_secret_kind(struct bytes name, enum source_secret_kind *out,
                                      struct err *err);

struct source_secret {
    enum source_secret_kind kind;
    const struct secret *octets; /* borrowed; NULL: a credential's */
    int64_t credential_id;       /* SOURCE_SECRET_CREDENTIAL */
};

/* What an account has; for CLEANUP: source_free_secret_facts. */
struct source_secret_facts {
    enum source_secret_kind kind;
    struct secret *octets;        /* owned: of a CREDENTIAL its grant */
    int64_t credential_id;        /* 0: none */
    struct bytes credential_name; /* in the arena */
};
void source_free_secret_facts(struct source_secret_facts *facts);

/* ERR_ABSENT: the account has none (it was removed). ERR_DENIED: sealed under another master key. */
MUST_USE bool source_open_secret(struct db *db, int64_t account_id, const struct crypto_key *master,
                                 struct arena *arena, struct source_secret_facts *out,
                                 struct err *err);

/* What binds a sealed secret to its place (crypto/seal.h): "account 7 secret", "credential 7 secret". */
enum {
    SOURCE_AAD_BYTES = 48
};
struct bytes source_secret_aad(int64_t account_id, char text[SOURCE_AAD_BYTES]);
struct bytes source_credential_aad(int64_t credential_id, char text[SOURCE_AAD_BYTES]);

/* ---- credentials: one grant for many accounts of a tenant --------------------------------------- */

enum {
    SOURCE_CREDENTIALS_MAX = 10000
};

struct source_credential {
    int64_t credential_id;
    struct bytes name;
    uint64_t accounts; /* that use it */
    int64_t created_usec, updated_usec;
};

struct source_credential_list {
    const struct source_credential *rows; /* by name */
    size_t count;
};

/* ERR_DENIED: the name is taken. ERR_SYNTAX: it is no name (as of an account). */
MUST_USE bool source_add_credential(struct db *db, struct bytes name,
                                    const struct crypto_key *master, const struct secret *grant,
                                    int64_t *credential_id, struct err *err);

/* Another grant; the accounts that use it become due again. */
MUST_USE bool source_edit_credential(struct db *db, int64_t credential_id,
                                     const struct crypto_key *master, const struct secret *grant,
                                     struct err *err);

/* ERR_DENIED: accounts use it, the text says how many. */
MUST_USE bool source_remove_credential(struct db *db, int64_t credential_id, struct err *err);

/* ERR_ABSENT: the text names it and says how to list them. */
MUST_USE bool source_find_credential(struct db *db, struct bytes name, int64_t *credential_id,
                                     struct err *err);
MUST_USE bool source_open_credential(struct db *db, int64_t credential_id,
                                     const struct crypto_key *master, struct secret **out,
                                     struct err *err);
MUST_USE bool source_list_credentials(struct db *db, struct arena *arena,
                                      struct source_credential_list *out, struct err *err);
