/* SPDX-License-Identifier: Apache-2.0 */
#include "gate/client.h"

#include "base/fd.h"
#include "gate/internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RECONNECT_PAUSE_MS = 10
};

/*
 * EAGAIN of a Unix socket means that the backlog is full: the gate is busy and poll(2) cannot wait
 * for that, so it is tried again until the deadline. ENOENT and ECONNREFUSED: not there; holdfastd
 * will start it, hence ERR_RETRY.
 */
static bool connect_to_gate(const char *socket_path, struct deadline deadline, int *out,
                            struct err *err)
{
    struct sockaddr_un address;
    CLEANUP(fd_close) int fd = -1;

    if (!gate_set_address(socket_path, &address, err))
        return false;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, "gate: socket");
    while (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return err_fail(err, ERR_RETRY, "gate: holdfast-gate is not running");
        if (errno != EAGAIN && errno != EINTR)
            return err_errno(err, "gate: connect");
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "gate: holdfast-gate is busy");
        (void)poll(NULL, 0, RECONNECT_PAUSE_MS);
    }
    *out = fd_take(&fd);
    return true;
}

static bool exchange(const char *socket_path, const struct gate_request *request,
                     struct gate_datagram *store, int *passed_fd, struct deadline deadline,
                     struct err *err)
{
    CLEANUP(fd_close) int fd = -1;

    if (!gate_write_request(request, store, err))
        return false;
    bool is_answered = connect_to_gate(socket_path, deadline, &fd, err) &&
                       gate_send_datagram(fd, store, -1, deadline, err);
    gate_wipe(store); /* it may hold a password */
    return is_answered && gate_receive_datagram(fd, store, passed_fd, deadline, err);
}

bool gate_call(const char *socket_path, const struct gate_request *request,
               struct gate_datagram *store, struct gate_reply *reply, int *fd,
               struct deadline deadline, struct err *err)
{
    CLEANUP(fd_close) int passed = -1;
    struct gate_reply answer;

    if (!exchange(socket_path, request, store, &passed, deadline, err) ||
        !gate_read_reply(gate_datagram_bytes(store), &answer, err))
        return false;
    if (answer.kind != request->kind)
        return err_fail(err, ERR_SYNTAX, "gate: the reply is to another request");
    if (request->kind == GATE_OPEN_PACK && answer.outcome == GATE_DONE && passed < 0)
        return err_fail(err, ERR_SYNTAX, "gate: the reply lacks its descriptor");
    if (fd != NULL)
        *fd = fd_take(&passed);
    *reply = answer;
    return true;
}

bool gate_check_done(const struct gate_reply *reply, struct err *err)
{
    switch (reply->outcome) {
    case GATE_DONE:
        return true;
    case GATE_DENIED:
        return err_fail(err, ERR_DENIED, "the gate denied it");
    case GATE_THROTTLED:
        return err_fail(err, ERR_LIMIT, "too many failed logins: wait %u s",
                        (unsigned)reply->wait_seconds);
    case GATE_ABSENT:
        return err_fail(err, ERR_ABSENT, "the gate has no such thing");
    case GATE_RETRY:
        return err_fail(err, ERR_RETRY, "the gate cannot do it just now");
    case GATE_CORRUPT:
        return err_fail(err, ERR_CORRUPT,
                        "the stored secret does not open: another master key, or damage");
    case GATE_REFUSED:
        return err_fail(err, ERR_DENIED, "the gate refused the request");
    case GATE_GRANT_DENIED:
        return err_fail(err, ERR_DENIED, "%.*s", (int)reply->text.len,
                        (const char *)reply->text.ptr);
    case GATE_GRANT_RETRY:
        return err_fail(err, ERR_RETRY, "%.*s", (int)reply->text.len,
                        (const char *)reply->text.ptr);
    }
    UNREACHABLE();
}
