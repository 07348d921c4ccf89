/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/client.h"

#include "auth/auditor.h"
#include "base/fd.h"
#include "gate/client.h"

#include <stdio.h>

bool auth_init_client(const char *runtime_dir, struct auth_client *out, struct err *err)
{
    struct auth_client client;
    int len = snprintf(client.socket_path, sizeof client.socket_path, "%s/%s", runtime_dir,
                       GATE_IMAPD_SOCKET);

    if (len < 0 || (size_t)len >= sizeof client.socket_path)
        return err_fail(err, ERR_LIMIT, "%s is too long for a socket", runtime_dir);
    *out = client;
    return true;
}

void auth_free_login(struct auth_login *login)
{
    secret_free(&login->token);
    *login = (struct auth_login){ 0 };
}

static bool ask(const struct auth_client *client, const struct gate_request *request,
                struct gate_datagram *store, struct gate_reply *reply, int *fd,
                struct deadline deadline, struct err *err)
{
    return gate_call(client->socket_path, request, store, reply, fd, deadline, err) &&
           gate_check_done(reply, err);
}

bool auth_log_in(const struct auth_client *client, struct bytes name, const struct secret *password,
                 const char *remote, bool is_tls, struct deadline deadline, struct auth_login *out,
                 struct err *err)
{
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    CLEANUP(auth_free_login) struct auth_login login = { 0 };
    struct bytes from = bytes_of_text(remote);
    struct gate_reply reply;
    struct gate_request request = {
        .kind = GATE_LOG_IN,
        .log_in = { .name = name,
                    .password = secret_bytes(password),
                    .remote = bytes_equal(from, BYTES("unix")) ? BYTES("") : from,
                    .is_tls = is_tls },
    };

    if (name.len > GATE_NAME_MAX_BYTES || request.log_in.password.len > GATE_PASSWORD_MAX_BYTES)
        return err_fail(err, ERR_DENIED, "nobody has such a long name or password");
    if (!ask(client, &request, &store, &reply, NULL, deadline, err) ||
        !secret_create(reply.logged_in.token, &login.token, err))
        return err_wrap(err, "login");
    login.auditor_id = reply.logged_in.auditor_id;
    login.session_id = reply.logged_in.session_id;
    login.expires_at_usec = reply.logged_in.expires_at_usec;
    *out = login;
    login.token = NULL; /* the caller's now */
    return true;
}

bool auth_log_out(const struct auth_client *client, const struct secret *token,
                  struct deadline deadline, struct err *err)
{
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    struct gate_request request = { .kind = GATE_LOG_OUT, .log_out = { secret_bytes(token) } };
    struct gate_reply reply;

    return ask(client, &request, &store, &reply, NULL, deadline, err) || err_wrap(err, "logout");
}

bool auth_open_pack(const struct auth_client *client, const struct secret *token,
                    int64_t account_id, int64_t pack_id, bool is_text, struct deadline deadline,
                    int *fd, struct err *err)
{
    CLEANUP(gate_wipe) struct gate_datagram store = { 0 };
    CLEANUP(fd_close) int passed = -1;
    struct gate_reply reply;
    struct gate_request request = {
        .kind = GATE_OPEN_PACK,
        .open_pack = { secret_bytes(token), account_id, pack_id, is_text },
    };

    if (!ask(client, &request, &store, &reply, &passed, deadline, err))
        return err_wrap(err, "pack %jd of account %jd", (intmax_t)pack_id, (intmax_t)account_id);
    *fd = fd_take(&passed);
    return true;
}
