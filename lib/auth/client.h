/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth/client.h - what holdfast-imapd asks of holdfast-gate: logins, logouts and packs.
 *
 * Each call is one connection to the gate's socket. Constant after auth_init_client: threads may
 * share it.
 */
#pragma once

#include "base/clock.h"
#include "base/secret.h"

enum {
    AUTH_SOCKET_PATH_BYTES = 108
};

struct auth_client {
    char socket_path[AUTH_SOCKET_PATH_BYTES];
};

/* runtime_dir: the folder of sockets. ERR_LIMIT: too long for a socket. */
MUST_USE bool auth_init_client(const char *runtime_dir, struct auth_client *out, struct err *err);

struct auth_login {
    struct secret *token; /* owned: auth_free_login */
    int64_t auditor_id;
    int64_t session_id;
    int64_t expires_at_usec;
};
void auth_free_login(struct auth_login *login); /* for CLEANUP */

/*
 * remote: text of the peer's address, as net_get_peer gives it ("unix" counts as not known).
 *
 * ERR_DENIED: name or password is wrong, or this auditor may not log in now or from there; which
 * one it is nobody outside the gate learns. ERR_LIMIT: too many failures, the text says how long to
 * wait. ERR_RETRY: the gate or its database is not there.
 */
MUST_USE bool auth_log_in(const struct auth_client *client, struct bytes name,
                          const struct secret *password, const char *remote, bool is_tls,
                          struct deadline deadline, struct auth_login *out, struct err *err);

MUST_USE bool auth_log_out(const struct auth_client *client, const struct secret *token,
                           struct deadline deadline, struct err *err);

/*
 * A descriptor, O_RDONLY, of a pack of an account whose whole mailboxes the session may read; the
 * caller's to close. ERR_DENIED: the session is over or does not cover the account. ERR_ABSENT: no
 * such pack, or its file is gone. is_text: of its text segment instead, which lies beside it.
 */
MUST_USE bool auth_open_pack(const struct auth_client *client, const struct secret *token,
                             int64_t account_id, int64_t pack_id, bool is_text,
                             struct deadline deadline, int *fd, struct err *err);
