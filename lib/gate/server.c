/* SPDX-License-Identifier: Apache-2.0 */
#include "gate/server.h"

#include "base/fd.h"
#include "gate/internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removes the socket of a dead predecessor. What is no socket, or still answers, is left alone. */
static bool clear_path(const char *path, const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    CLEANUP(fd_close) int probe = -1;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? true : err_errno(err, "gate socket %s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_fail(err, ERR_DENIED, "gate socket %s: there is something else", path);
    probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return err_errno(err, "gate socket %s", path);
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
        return err_fail(err, ERR_DENIED, "gate socket %s: another holdfast-gate serves it", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return err_errno(err, "gate socket %s", path);
    return true;
}

bool gate_listen(const char *path, int backlog, int *out, struct err *err)
{
    struct sockaddr_un address;
    CLEANUP(fd_close) int fd = -1;

    if (!gate_set_address(path, &address, err) || !clear_path(path, &address, err))
        return false;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, "gate socket %s", path);
    /* The mode of the descriptor becomes that of the file: never open to others, not for a moment. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, S_IRUSR | S_IWUSR) != 0 || listen(fd, backlog) != 0)
        return err_errno(err, "gate socket %s", path);
    *out = fd_take(&fd);
    return true;
}

bool gate_accept(int listener, uid_t allowed_uid, int *out, struct err *err)
{
    CLEANUP(fd_close) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer = { 0 };
    socklen_t size = sizeof peer;

    if (fd < 0) {
        if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
            return err_fail(err, ERR_ABSENT, "gate: nobody waits");
        return err_errno(err, "gate: accept");
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return err_errno(err, "gate: who the peer is");
    if (peer.uid != allowed_uid)
        return err_fail(err, ERR_DENIED, "gate: the peer is user %ju, only %ju may ask",
                        (uintmax_t)peer.uid, (uintmax_t)allowed_uid);
    *out = fd_take(&fd);
    return true;
}

bool gate_receive(int fd, struct gate_datagram *store, struct gate_request *request,
                  struct deadline deadline, struct err *err)
{
    CLEANUP(fd_close) int unwanted = -1;

    return gate_receive_datagram(fd, store, &unwanted, deadline, err) &&
           gate_read_request(gate_datagram_bytes(store), request, err);
}

bool gate_send(int fd, const struct gate_reply *reply, int passed_fd, struct deadline deadline,
               struct err *err)
{
    CLEANUP(gate_wipe) struct gate_datagram datagram = { 0 };

    return gate_write_reply(reply, &datagram, err) &&
           gate_send_datagram(fd, &datagram, passed_fd, deadline, err);
}
