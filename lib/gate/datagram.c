/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate/datagram.c - one datagram over a Unix socket, within a deadline, with SCM_RIGHTS.
 */
#include "base/fd.h"
#include "gate/internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
    PASSED_FDS_MAX = 8
}; /* taken from a peer in order to be closed */

/* Room for descriptors, aligned as the macros want it. */
union control {
    struct cmsghdr header;
    uint8_t room[CMSG_SPACE(PASSED_FDS_MAX * sizeof(int))];
};

bool gate_set_address(const char *path, struct sockaddr_un *out, struct err *err)
{
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof out->sun_path)
        return err_fail(err, ERR_LIMIT, "gate: a socket path of %zu octets, at most %zu", len,
                        sizeof out->sun_path - 1);
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(out->sun_path, path, len + 1);
    return true;
}

static bool await(int fd, short events, struct deadline deadline, struct err *err)
{
    struct pollfd pfd = { .fd = fd, .events = events };

    for (;;) {
        int ready = poll(&pfd, 1, deadline_poll_ms(deadline));

        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return err_errno(err, "gate: poll");
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "gate: nothing came before the deadline");
    }
}

bool gate_send_datagram(int fd, const struct gate_datagram *datagram, int passed_fd,
                        struct deadline deadline, struct err *err)
{
    struct gate_datagram *body =
        (struct gate_datagram *)(uintptr_t)datagram; /* iovec is not const */
    struct iovec iov = { .iov_base = body->octets, .iov_len = body->len };
    union control control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (passed_fd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = CMSG_SPACE(sizeof passed_fd);
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof passed_fd);
        memcpy(CMSG_DATA(header), &passed_fd, sizeof passed_fd);
    }
    for (;;) {
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent >= 0)
            return true;
        if (errno == EAGAIN) {
            if (!await(fd, POLLOUT, deadline, err))
                return false;
        } else if (errno != EINTR) {
            return err_errno(err, "gate: send");
        }
    }
}

/* The first descriptor of the message goes to *kept, all others are closed. */
static void take_descriptors(struct msghdr *msg, int *kept)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h != NULL; h = CMSG_NXTHDR(msg, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (*kept < 0)
                *kept = fd_take(&fd);
            fd_close(&fd);
        }
    }
}

bool gate_receive_datagram(int fd, struct gate_datagram *out, int *passed_fd,
                           struct deadline deadline, struct err *err)
{
    struct iovec iov = { .iov_base = out->octets, .iov_len = sizeof out->octets };
    union control control = { 0 };
    struct msghdr msg;
    ssize_t got;
    CLEANUP(fd_close) int kept = -1;

    do {
        if (!await(fd, POLLIN, deadline, err))
            return false;
        msg = (struct msghdr){ .msg_iov = &iov,
                               .msg_iovlen = 1,
                               .msg_control = control.room,
                               .msg_controllen = sizeof control.room };
        got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got < 0)
        return err_errno(err, "gate: receive");

    take_descriptors(&msg, &kept);
    if (got == 0)
        return err_fail(err, ERR_RETRY, "gate: the other side closed the connection");
    if ((msg.msg_flags & MSG_TRUNC) != 0)
        return err_fail(err, ERR_LIMIT, "gate: a datagram over %d octets", GATE_DATAGRAM_BYTES);
    out->len = (size_t)got;
    *passed_fd = fd_take(&kept);
    return true;
}
