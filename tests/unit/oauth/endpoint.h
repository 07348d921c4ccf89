/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/oauth/endpoint.h - a token endpoint on loopback that gives the answers it was told, one to a
 * connection, the last one again and again.
 */
#pragma once

#include "base/fd.h"
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct endpoint_answer {
    unsigned status;
    const char *headers; /* further lines, each with its CRLF; "" */
    const char *body;
};

struct endpoint {
    const struct endpoint_answer *answers;
    size_t count;
    int pause_ms; /* before each answer */
    int listener;
    char url[64];
    pthread_t thread;
    atomic_uint asked;
    char request[32 << 10]; /* the last one; to be read when its answer has come */
};

static inline bool endpoint_has_all(const char *request, size_t len)
{
    const char *end = memmem(request, len, "\r\n\r\n", 4);
    const char *length = memmem(request, len, "Content-Length: ", 16);
    struct bytes digits;
    uint64_t size;

    if (end == NULL || length == NULL)
        return false;
    digits = bytes_of(length + 16, (size_t)(end - length) - 16);
    return scan_u64(&digits, &size) && len >= (size_t)(end + 4 - request) + size;
}

static inline void endpoint_serve(struct endpoint *endpoint, int fd)
{
    unsigned number = atomic_fetch_add(&endpoint->asked, 1);
    const struct endpoint_answer *answer =
        &endpoint->answers[number < endpoint->count ? number : endpoint->count - 1];
    struct err ignored = { 0 };
    size_t len = 0;
    ssize_t got = 1;
    char head[512];

    while (got > 0 && !endpoint_has_all(endpoint->request, len)) {
        got = read(fd, endpoint->request + len, sizeof endpoint->request - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    endpoint->request[len] = '\0';
    (void)poll(NULL, 0, endpoint->pause_ms);
    (void)snprintf(head, sizeof head,
                   "HTTP/1.1 %u X\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
                   answer->status, answer->headers, strlen(answer->body));
    (void)!(fd_write_all(fd, bytes_of_text(head), &ignored) &&
            fd_write_all(fd, bytes_of_text(answer->body), &ignored));
}

static inline void *endpoint_run(void *context)
{
    struct endpoint *endpoint = context;
    int fd;

    while ((fd = accept(endpoint->listener, NULL, NULL)) >= 0) {
        endpoint_serve(endpoint, fd);
        (void)close(fd);
    }
    return NULL;
}

static inline void endpoint_open(struct endpoint *endpoint, const struct endpoint_answer *answers,
                                 size_t count)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;

    *endpoint = (struct endpoint){ .answers = answers, .count = count };
    (void)signal(SIGPIPE, SIG_IGN); /* of a client that does not wait for its answer */
    endpoint->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(endpoint->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(endpoint->listener, 64) == 0);
    CHECK(getsockname(endpoint->listener, (struct sockaddr *)&address, &size) == 0);
    (void)snprintf(endpoint->url, sizeof endpoint->url, "http://127.0.0.1:%u/token",
                   ntohs(address.sin_port));
    CHECK(pthread_create(&endpoint->thread, NULL, endpoint_run, endpoint) == 0);
}

static inline void endpoint_close(struct endpoint *endpoint)
{
    (void)shutdown(endpoint->listener, SHUT_RDWR);
    (void)pthread_join(endpoint->thread, NULL);
    (void)close(endpoint->listener);
}
