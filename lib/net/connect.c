/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connect.h"

#include "base/fd.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PORT_TEXT_BYTES = 8,
    BACKLOG = 1024
};

static void free_addresses(struct addrinfo **list)
{
    if (*list != NULL)
        freeaddrinfo(*list);
    *list = NULL;
}

static bool resolve(const char *host, uint16_t port, int flags, struct addrinfo **out,
                    struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    char service[PORT_TEXT_BYTES];
    int failure;

    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    failure = getaddrinfo(host, service, &hints, out);
    if (failure == EAI_SYSTEM)
        return err_fail(err, ERR_RETRY, "host name %s cannot be resolved: %s",
                        host != NULL ? host : "*", strerrordesc_np(errno));
    if (failure != 0)
        return err_fail(err, ERR_RETRY, "host name %s cannot be resolved: %s",
                        host != NULL ? host : "*", gai_strerror(failure));
    return true;
}

/* ---- connecting ---- */

/* Errno of the attempt; 0: connected; ECANCELED: asked to stop. */
static int wait_connected(int fd, int stop_fd, struct deadline deadline)
{
    struct pollfd polls[2] = { { .fd = fd, .events = POLLOUT },
                               { .fd = stop_fd, .events = POLLIN } };
    socklen_t len = sizeof(int);
    int failure = 0;
    int ready;

    do
        ready = poll(polls, 2, deadline_poll_ms(deadline));
    while ((ready < 0 && errno == EINTR) || (ready == 0 && !deadline_has_passed(deadline)));
    if (ready > 0 && polls[1].revents != 0)
        return ECANCELED;
    if (ready == 0)
        return ETIMEDOUT;
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0)
        return errno;
    return failure;
}

static int try_address(const struct addrinfo *address, int stop_fd, struct deadline deadline,
                       int *out)
{
    CLEANUP(fd_close)
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failure = 0;

    if (fd < 0)
        return errno;
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        failure =
            errno == EINPROGRESS || errno == EINTR ? wait_connected(fd, stop_fd, deadline) : errno;
    if (failure == 0)
        *out = fd_take(&fd);
    return failure;
}

static bool say_failure(const struct net_target *target, int64_t connect_ms, int failure,
                        struct err *err)
{
    unsigned port = target->port;

    if (failure == ETIMEDOUT)
        return err_fail(err, ERR_RETRY, "connection to %s port %u: time-out after %jd ms",
                        target->host, port, (intmax_t)connect_ms);
    if (failure == ECANCELED)
        return err_fail(err, ERR_RETRY, "connection to %s port %u: asked to stop", target->host,
                        port);
    if (failure == ECONNREFUSED)
        return err_fail(err, ERR_RETRY, "connection to %s port %u refused: nothing listens there",
                        target->host, port);
    return err_fail(err, ERR_RETRY, "connection to %s port %u failed: %s", target->host, port,
                    strerrordesc_np(failure));
}

/* What is left of the time for all addresses, in equal parts for those that have not been tried. */
static int64_t part_of(struct deadline all, const struct addrinfo *untried, int64_t most_ms)
{
    int64_t count = 0;
    int64_t part_ms;

    for (; untried != NULL; untried = untried->ai_next)
        count++;
    part_ms = deadline_poll_ms(all) / count;
    return part_ms < most_ms ? part_ms : most_ms;
}

/* Why none is connected: of the first, which is preferred by RFC 6724, it is the telling one. */
static int try_addresses(const struct net_target *target, const struct addrinfo *list,
                         int64_t *first_ms, int *fd)
{
    int64_t most_ms = target->connect_ms > 0 ? target->connect_ms : NET_CONNECT_DEFAULT_MS;
    int stop_fd = target->options.stop_fd != NULL ? *target->options.stop_fd : -1;
    struct deadline all = deadline_after_ms(NET_CONNECT_PARTS * most_ms);
    int failure = 0;

    *first_ms = part_of(all, list, most_ms);
    for (const struct addrinfo *address = list; address != NULL && *fd < 0;
         address = address->ai_next) {
        int this_failure =
            try_address(address, stop_fd, deadline_after_ms(part_of(all, address, most_ms)), fd);

        if (failure == 0 || this_failure == ECANCELED)
            failure = this_failure;
        if (failure == ECANCELED)
            break;
    }
    return failure;
}

bool net_connect(const struct net_target *target, struct net_stream **out, struct err *err)
{
    CLEANUP(free_addresses) struct addrinfo *list = NULL;
    CLEANUP(fd_close) int fd = -1;
    int64_t first_ms;
    int failure = 0;

    if (!resolve(target->host, target->port, AI_ADDRCONFIG, &list, err)) {
        err_clear(err); /* a machine with loopback alone has no address that AI_ADDRCONFIG counts */
        if (!resolve(target->host, target->port, 0, &list, err))
            return false;
    }
    failure = try_addresses(target, list, &first_ms, &fd);
    if (fd < 0)
        return say_failure(target, first_ms, failure, err);
    return net_open_fd(&fd, &target->options, out, err);
}

static bool set_unix_path(const char *path, struct sockaddr_un *out, struct err *err)
{
    size_t len = strlen(path);

    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (len >= sizeof out->sun_path)
        return err_fail(err, ERR_LIMIT, "socket path over %zu bytes: %s", sizeof out->sun_path - 1,
                        path);
    memcpy(out->sun_path, path, len + 1);
    return true;
}

bool net_connect_unix(const char *path, const struct net_options *options, struct net_stream **out,
                      struct err *err)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;

    if (fd < 0)
        return err_errno(err, "socket");
    if (!set_unix_path(path, &address, err))
        return false;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return err_errno(err, "connect to %s", path);
    return net_open_fd(&fd, options, out, err);
}

/* ---- listening ---- */

static bool listen_address(const struct addrinfo *address, const char *host, uint16_t port,
                           int *out, struct err *err)
{
    CLEANUP(fd_close)
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;

    if (fd < 0)
        return err_errno(err, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (address->ai_family == AF_INET6) /* IPv4 has a socket of its own */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        if (errno == EADDRINUSE)
            return err_fail(err, ERR_RETRY, "listen on %s port %u: already in use", host,
                            (unsigned)port);
        return err_errno(err, "listen on %s port %u", host, (unsigned)port);
    }
    *out = fd_take(&fd);
    return true;
}

/* With port 0 the first socket chooses for all. */
static void set_port(struct addrinfo *address, uint16_t port)
{
    if (address->ai_family == AF_INET)
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons(port);
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons(port);
}

bool net_listen(const char *host, uint16_t port, int fds[NET_LISTEN_MAX], size_t *count,
                struct err *err)
{
    CLEANUP(free_addresses) struct addrinfo *list = NULL;
    bool is_any = host[0] == '\0' || strcmp(host, "*") == 0;
    struct err first = { 0 };
    size_t made = 0;

    if (!resolve(is_any ? NULL : host, port, AI_PASSIVE, &list, err))
        return false;
    for (struct addrinfo *address = list; address != NULL && made < NET_LISTEN_MAX;
         address = address->ai_next) {
        struct err this_err = { 0 };

        if (made > 0 && port == 0)
            set_port(address, net_get_port(fds[0]));
        if (listen_address(address, is_any ? "*" : host, port, &fds[made], &this_err)) {
            made++;
            continue;
        }
        /* A kernel without IPv6 is no failure as long as one address works. */
        if (first.code == ERR_NONE && this_err.code != ERR_SYSTEM)
            first = this_err;
        if (first.code == ERR_NONE && made == 0 && address->ai_next == NULL)
            first = this_err;
    }
    if (first.code != ERR_NONE || made == 0) {
        while (made > 0)
            fd_close(&fds[--made]);
        *err = first;
        return false;
    }
    *count = made;
    return true;
}

bool net_listen_unix(const char *path, unsigned mode, int *out, struct err *err)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    struct stat st;

    if (fd < 0)
        return err_errno(err, "socket");
    if (!set_unix_path(path, &address, err))
        return false;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        CLEANUP(fd_close) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (connect(probe, (const struct sockaddr *)&address, sizeof address) == 0)
            return err_fail(err, ERR_RETRY, "listen on %s: already in use", path);
        (void)unlink(path);
    }
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0)
        return err_errno(err, "listen on %s", path);
    *out = fd_take(&fd);
    return true;
}

uint16_t net_get_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } address = { 0 };
    socklen_t len = sizeof address;

    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    if (address.any.sa_family == AF_INET)
        return ntohs(address.v4.sin_port);
    return address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port) : 0;
}

enum net_progress net_accept(int listen_fd, const struct net_options *options,
                             struct net_stream **out, struct err *err)
{
    CLEANUP(fd_close) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0)
        return net_open_fd(&fd, options, out, err) ? NET_DONE : NET_FAILED;
    switch (errno) {
    case EBADF: /* these mean that we are wrong or the machine is full; */
    case EFAULT:
    case EINVAL:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case ENOTSOCK:
    case EOPNOTSUPP:
        (void)err_errno(err, "accept");
        return NET_FAILED;
    default: /* all others that this one connection is gone: accept(2), "Error handling" */
        return NET_WANT_READ;
    }
}
