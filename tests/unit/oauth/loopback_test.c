/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fd.h"
#include "oauth/loopback.h"
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 10000
};

static struct oauth_loopback *open_at(const char *url)
{
    struct oauth_loopback *loopback = NULL;
    struct err err = { 0 };

    if (!oauth_open_loopback(url, &loopback, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return loopback;
}

static unsigned port_of(const struct oauth_loopback *loopback)
{
    const char *colon = strrchr(oauth_loopback_url(loopback), ':');
    struct bytes digits = bytes_of_text(colon + 1);
    uint64_t port;

    CHECK(scan_u64(&digits, &port) && port > 0);
    return (unsigned)port;
}

/* A browser that asks for a path and has not read what it gets. */
static int browse(const struct oauth_loopback *loopback, const char *path)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port_of(loopback)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct err err = { 0 };
    char *request = NULL;

    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(asprintf(&request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path) > 0);
    CHECK(fd_write_all(fd, bytes_of_text(request), &err));
    free(request);
    return fd;
}

/* Serves until the browser has been answered; what it shows. Closes fd. */
static void read_page(struct oauth_loopback *loopback, int *fd, char page[1024],
                      struct secret **code, struct err *err)
{
    struct deadline end = deadline_after_ms(PATIENCE_MS);
    bool is_served = true;
    size_t len = 0;
    ssize_t got = -1;

    while (got != 0 && !deadline_has_passed(end)) {
        struct pollfd fds[] = { { .fd = *fd, .events = POLLIN },
                                { .fd = oauth_loopback_fd(loopback), .events = POLLIN } };

        (void)poll(fds, ARRAY_LEN(fds), 100);
        if (is_served && *code == NULL)
            is_served = oauth_serve_loopback(loopback, "s-1", code, err);
        got = recv(*fd, page + len, 1023 - len, MSG_DONTWAIT);
        len += got > 0 ? (size_t)got : 0;
    }
    page[len] = '\0';
    fd_close(fd);
}

TEST(a_redirect_url_keeps_its_octets_and_gets_the_port_that_is_listened_at)
{
    static const char *const urls[][2] = { { "http://localhost", "http://localhost:%u" },
                                           { "http://127.0.0.1/a?b", "http://127.0.0.1:%u/a?b" },
                                           { "http://[::1]/", "http://[::1]:%u/" } };
    CLEANUP(oauth_close_loopback) struct oauth_loopback *taken = open_at("http://127.0.0.1");
    struct oauth_loopback *second = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        CLEANUP(oauth_close_loopback) struct oauth_loopback *loopback = open_at(urls[i][0]);
        const char *hole = strstr(urls[i][1], "%u");
        size_t before = (size_t)(hole - urls[i][1]);
        struct bytes rest = bytes_of_text(oauth_loopback_url(loopback) + before);
        uint64_t port;

        CHECK(strncmp(oauth_loopback_url(loopback), urls[i][1], before) == 0);
        CHECK(scan_u64(&rest, &port) && port > 0);
        CHECK_BYTES(rest, bytes_of_text(hole + 2));
    }
    CHECK(!oauth_open_loopback(oauth_loopback_url(taken), &second, &err)); /* that port is in use */
    CHECK_EQ_U64(err.code, ERR_SYSTEM);
}

TEST(only_http_to_this_machine_is_listened_for)
{
    CHECK(oauth_is_loopback("http://127.0.0.1:80/x"));
    CHECK(oauth_is_loopback(OAUTH_LOOPBACK_URL));
    CHECK(!oauth_is_loopback("https://127.0.0.1/"));
    CHECK(!oauth_is_loopback("https://holdfast.example/consent"));
    CHECK(!oauth_is_loopback("http://127.0.0.1.example/"));
    CHECK(!oauth_is_loopback("urn:ietf:wg:oauth:2.0:oob"));
    CHECK(!oauth_is_loopback("http:/127.0.0.1/")); /* libcurl would take them */
    CHECK(!oauth_is_loopback("http:///127.0.0.1/"));
}

TEST(a_stranger_ends_nothing_and_the_browser_with_the_state_is_told_that_it_is_done)
{
    CLEANUP(oauth_close_loopback) struct oauth_loopback *loopback = open_at("http://127.0.0.1");
    CLEANUP(secret_free) struct secret *code = NULL;
    struct err err = { 0 };
    char page[1024];
    int stranger = browse(loopback, "/?code=evil&state=guess");
    int browser;

    read_page(loopback, &stranger, page, &code, &err);
    CHECK(strncmp(page, "HTTP/1.1 404 ", 13) == 0 && code == NULL && err.code == ERR_NONE);
    CHECK(strstr(page, "s-1") == NULL);
    browser = browse(loopback, "/?code=a%2Fb&state=s-1");
    read_page(loopback, &browser, page, &code, &err);
    CHECK(strncmp(page, "HTTP/1.1 200 ", 13) == 0 && strstr(page, "can be closed") != NULL);
    CHECK(code != NULL);
    CHECK_BYTES(secret_bytes(code), BYTES("a/b"));
}

TEST(a_refusal_that_the_browser_brings_ends_the_waiting)
{
    CLEANUP(oauth_close_loopback) struct oauth_loopback *loopback = open_at("http://127.0.0.1");
    struct secret *code = NULL;
    struct err err = { 0 };
    char page[1024];
    int browser = browse(loopback, "/?error=access_denied&state=s-1");

    read_page(loopback, &browser, page, &code, &err);
    CHECK(strstr(page, "not given") != NULL);
    CHECK(code == NULL);
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

TEST(what_is_no_http_harms_nobody)
{
    CLEANUP(oauth_close_loopback) struct oauth_loopback *loopback = open_at("http://127.0.0.1");
    CLEANUP(secret_free) struct secret *code = NULL;
    struct err err = { 0 };
    char page[1024];
    char *path = malloc(OAUTH_REDIRECT_MAX_BYTES * 4);
    int noise = browse(loopback, "\x01\xff \r\n\r\nHTTP");
    int flood, browser;

    read_page(loopback, &noise, page, &code, &err);
    memset(path, 'x', OAUTH_REDIRECT_MAX_BYTES * 4 - 1);
    path[0] = '/';
    path[OAUTH_REDIRECT_MAX_BYTES * 4 - 1] = '\0';
    flood = browse(loopback, path);
    free(path);
    read_page(loopback, &flood, page, &code, &err);
    CHECK(code == NULL && err.code == ERR_NONE);
    browser = browse(loopback, "/?code=x&state=s-1");
    read_page(loopback, &browser, page, &code, &err);
    CHECK(code != NULL);
}
