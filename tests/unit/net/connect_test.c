/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "fixture.h"
#include "net/connect.h"
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint16_t listen_on(const char *host, int *fd)
{
    int fds[NET_LISTEN_MAX];
    size_t count = 0;
    struct err err = { 0 };

    CHECK(net_listen(host, 0, fds, &count, &err));
    for (size_t i = 1; i < count; i++)
        fd_close(&fds[i]);
    *fd = fds[0];
    return net_get_port(fds[0]);
}

static struct net_stream *accept_soon(int fd)
{
    struct net_stream *stream = NULL;
    struct err err = { 0 };

    for (int i = 0; i < 1000 && net_accept(fd, NULL, &stream, &err) == NET_WANT_READ; i++)
        usleep(1000);
    CHECK(stream != NULL);
    return stream;
}

TEST(a_client_connects_by_name_and_both_know_the_peer)
{
    CLEANUP(fd_close) int listener = -1;
    CLEANUP(net_close) struct net_stream *client = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    struct net_target target = { .host = "localhost" };
    char text[NET_ADDRESS_TEXT_BYTES];
    struct err err = { 0 };

    target.port = listen_on("127.0.0.1", &listener);
    CHECK(net_connect(&target, &client, &err)); /* ::1 is refused first, if there is one */
    server = accept_soon(listener);
    net_get_peer(server, text);
    CHECK_STR(text, "127.0.0.1");
    CHECK(net_peer_is_local(server));
    CHECK(net_write(client, BYTES("hello"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_fill(server, &err));
    CHECK_BYTES(net_peek(server), BYTES("hello"));
    CHECK_EQ_U64(net_get_counters(client).bytes_out, 5);
    CHECK_EQ_U64(net_get_counters(server).bytes_in, 5);
}

TEST(a_port_where_nothing_listens_is_refused_with_host_and_port)
{
    struct net_target target = { .host = "127.0.0.1" };
    struct net_stream *stream = NULL;
    char wanted[128];
    struct err err = { 0 };
    int listener = -1;

    target.port = listen_on("127.0.0.1", &listener);
    fd_close(&listener);
    CHECK(!net_connect(&target, &stream, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    (void)snprintf(wanted, sizeof wanted,
                   "connection to 127.0.0.1 port %u refused: nothing listens there",
                   (unsigned)target.port);
    CHECK_STR(err.text, wanted);
    CHECK(stream == NULL);
}

TEST(a_name_that_does_not_exist_is_a_resolver_failure)
{
    struct net_target target = { .host = "no-such-host.invalid", .port = 993 };
    struct net_stream *stream = NULL;
    struct err err = { 0 };

    CHECK(!net_connect(&target, &stream, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(strstr(err.text, "host name no-such-host.invalid cannot be resolved: ") == err.text);
}

TEST(a_host_that_does_not_answer_is_a_time_out_unless_asked_to_stop)
{
    struct net_target target = { .host = "127.0.0.1", .connect_ms = 60 };
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    CLEANUP(fd_close) int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct net_stream *streams[8] = { NULL };
    struct err err = { 0 };
    int asked[2];
    size_t i;

    /* A full queue of a listener that never accepts: the kernel drops further SYNs. */
    CHECK(bind(listener, (const struct sockaddr *)&any, sizeof any) == 0);
    CHECK(listen(listener, 0) == 0);
    target.port = net_get_port(listener);
    for (i = 0; i < ARRAY_LEN(streams) && net_connect(&target, &streams[i], &err); i++)
        ;
    CHECK(i < ARRAY_LEN(streams));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(strstr(err.text, ": time-out after 60 ms") != NULL);

    /* Whoever is asked to stop does not wait for it. */
    CHECK(pipe2(asked, O_CLOEXEC) == 0 && write(asked[1], "!", 1) == 1);
    target.connect_ms = 3600 * 1000;
    target.options.stop_fd = &asked[0];
    CHECK(!net_connect(&target, &streams[i], &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(strstr(err.text, "asked to stop") != NULL);
    fd_close(&asked[0]);
    fd_close(&asked[1]);
    while (i > 0)
        net_close(&streams[--i]);
}

TEST(all_addresses_share_the_port_that_was_chosen)
{
    int fds[NET_LISTEN_MAX];
    size_t count = 0;
    struct err err = { 0 };

    CHECK(net_listen("*", 0, fds, &count, &err));
    CHECK(count >= 1);
    for (size_t i = 1; i < count; i++)
        CHECK_EQ_U64(net_get_port(fds[i]), net_get_port(fds[0]));
    while (count > 0)
        fd_close(&fds[--count]);
}

TEST(a_port_in_use_is_told_with_host_and_port)
{
    CLEANUP(fd_close) int listener = -1;
    uint16_t port = listen_on("127.0.0.1", &listener);
    int fds[NET_LISTEN_MAX];
    size_t count = 0;
    char wanted[128];
    struct err err = { 0 };

    CHECK(!net_listen("127.0.0.1", port, fds, &count, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    (void)snprintf(wanted, sizeof wanted, "listen on 127.0.0.1 port %u: already in use",
                   (unsigned)port);
    CHECK_STR(err.text, wanted);
    CHECK_EQ_U64(count, 0);
}

TEST(an_accept_without_a_client_does_not_wait)
{
    CLEANUP(fd_close) int listener = -1;
    struct net_stream *stream = NULL;
    struct err err = { 0 };

    (void)listen_on("127.0.0.1", &listener);
    CHECK(net_accept(listener, NULL, &stream, &err) == NET_WANT_READ);
    CHECK(net_accept(-1, NULL, &stream, &err) == NET_FAILED);
    CHECK(stream == NULL);
}

TEST(a_unix_socket_left_by_a_dead_process_is_replaced_and_a_living_one_kept)
{
    const char *path = fixture_path("gate.sock");
    CLEANUP(net_close) struct net_stream *client = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    struct stat st;
    struct err err = { 0 };
    int first = -1;
    int second = -1;

    CHECK(!net_connect_unix(path, NULL, &client, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(net_listen_unix(path, 0600, &first, &err));
    CHECK(stat(path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    CHECK(!net_listen_unix(path, 0600, &second, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    fd_close(&first);
    CHECK(!net_connect_unix(path, NULL, &client, &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK(net_listen_unix(path, 0600, &second, &err));
    CHECK(net_connect_unix(path, NULL, &client, &err));
    server = accept_soon(second);
    CHECK(net_peer_is_local(server));
    fd_close(&second);
}

TEST(a_socket_path_that_does_not_fit_is_a_limit)
{
    char path[200];
    struct net_stream *client = NULL;
    struct err err = { 0 };

    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    CHECK(!net_connect_unix(path, NULL, &client, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
}
