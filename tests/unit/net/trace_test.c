/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "net/trace.h"
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A client and a server; the server's side is traced into a file. */
struct scene {
    struct net_stream *client, *server;
    int fd;
    char text[8192];
    bool by_octets;
};

static void open_scene(struct scene *scene, bool by_octets)
{
    *scene = (struct scene){ .by_octets = by_octets };
    fixture_pair(NULL, &scene->server, &scene->client);
    scene->fd = open(fixture_path("trace"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(scene->fd >= 0);
    net_start_trace(scene->server, scene->fd, NET_SIDE_SERVER, 7);
}

static void client_says(struct scene *scene, const char *text)
{
    size_t step = scene->by_octets ? 1 : strlen(text);
    struct err err = { 0 };

    for (size_t at = 0; at < strlen(text); at += step) {
        CHECK(net_write(scene->client, bytes_of(text + at, step), &err));
        CHECK(net_flush(scene->client, &err));
        CHECK(net_fill(scene->server, &err));
    }
    net_consume(scene->server, net_peek(scene->server).len);
}

static void server_says(struct scene *scene, const char *text)
{
    size_t step = scene->by_octets ? 1 : strlen(text);
    struct err err = { 0 };

    for (size_t at = 0; at < strlen(text); at += step)
        CHECK(net_write(scene->server, bytes_of(text + at, step), &err));
    CHECK(net_flush(scene->server, &err));
}

/* The trace without its times of day: "C: …\nS: …\n". */
static const char *close_scene(struct scene *scene)
{
    char raw[8192];
    ssize_t len = pread(scene->fd, raw, sizeof raw - 1, 0);
    char *save = NULL;

    CHECK(len >= 0);
    raw[len] = '\0';
    for (char *line = strtok_r(raw, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        (void)snprintf(scene->text + strlen(scene->text), sizeof scene->text - strlen(scene->text),
                       "%s\n", strlen(line) > 18 ? line + 18 : line);
    (void)close(scene->fd);
    net_close(&scene->client);
    net_close(&scene->server);
    return scene->text;
}

TEST(a_trace_shows_both_sides_line_by_line)
{
    struct scene scene;

    open_scene(&scene, true);
    client_says(&scene, "a1 NOOP\r\n");
    server_says(&scene, "* 3 EXISTS\r\na1 OK done\r\n");
    CHECK_STR(close_scene(&scene), "C: a1 NOOP\nS: * 3 EXISTS\nS: a1 OK done\n");
}

TEST(arguments_of_login_are_masked_in_every_form)
{
    struct scene scene;

    open_scene(&scene, false);
    client_says(&scene, "a1 LOGIN alice \"secret\"\r\n");
    server_says(&scene, "a1 NO wrong\r\n");
    client_says(&scene, "a2  login {5}\r\n");
    server_says(&scene, "+ go\r\n");
    client_says(&scene, "alice \"secret\"\r\n");
    server_says(&scene, "a2 OK\r\n");
    client_says(&scene, "a3 LOGIN {5+}\r\nalice {6+}\r\nsecret\r\na4 NOOP\r\n");
    CHECK_STR(close_scene(&scene), "C: a1 LOGIN ***\nS: a1 NO wrong\n"
                                   "C: a2  login ***\nS: + go\nC: <literal of 5 octets>\nC: ***\n"
                                   "S: a2 OK\n"
                                   "C: a3 LOGIN ***\nC: <literal of 5 octets>\nC: ***\n"
                                   "C: <literal of 6 octets>\nC: ***\nC: a4 NOOP\n");
}

TEST(an_authenticate_exchange_is_masked_until_its_tagged_answer)
{
    struct scene scene;

    open_scene(&scene, true);
    client_says(&scene, "a1 AUTHENTICATE PLAIN AGEAYg==\r\n");
    server_says(&scene, "+ c2VjcmV0\r\n");
    client_says(&scene, "AGFsaWNlAHNlY3JldA==\r\n");
    server_says(&scene, "a1 OK in\r\n");
    client_says(&scene, "a2 NOOP\r\n");
    CHECK_STR(close_scene(&scene), "C: a1 AUTHENTICATE ***\nS: +***\nC: ***\nS: a1 OK in\n"
                                   "C: a2 NOOP\n");
}

TEST(what_is_tagged_otherwise_does_not_unmask_a_login_that_goes_on)
{
    struct scene scene;

    open_scene(&scene, false);
    client_says(&scene, "a1 LOGIN {5}\r\n");
    server_says(&scene, "x NO\r\n+ go\r\n");
    client_says(&scene, "alice \"secret\"\r\n");
    CHECK_STR(close_scene(&scene), "C: a1 LOGIN ***\nS: x NO\nS: + go\n"
                                   "C: <literal of 5 octets>\nC: ***\n");
}

TEST(what_is_tagged_otherwise_does_not_unmask_an_authenticate_exchange)
{
    struct scene scene;

    open_scene(&scene, false);
    client_says(&scene, "a1 AUTHENTICATE PLAIN\r\n");
    server_says(&scene, "a10 OK in\r\nx OK in\r\n+ \r\n");
    client_says(&scene, "AGFsaWNlAHNlY3JldA==\r\n");
    server_says(&scene, "a1 NO\r\n");
    CHECK_STR(close_scene(&scene), "C: a1 AUTHENTICATE ***\nS: a10 OK in\nS: x OK in\nS: +***\n"
                                   "C: ***\nS: a1 NO\n");
}

TEST(a_refused_literal_does_not_unmask_the_login_that_follows)
{
    struct scene scene;

    open_scene(&scene, false);
    client_says(&scene, "a1 APPEND x {9}\r\n");
    server_says(&scene, "a1 NO [NOPERM] read-only\r\n");
    client_says(&scene, "a2 LOGIN alice secret\r\n");
    CHECK_STR(close_scene(&scene),
              "C: a1 APPEND x {9}\nS: a1 NO [NOPERM] read-only\nC: a2 LOGIN ***\n");
}

TEST(octets_of_literals_are_counted_and_not_shown)
{
    struct scene scene;

    open_scene(&scene, true);
    server_says(&scene, "* 1 FETCH (BODY[] {6}\r\nab\r\ncd)\r\n* 2 FETCH (BODY[] {0}\r\n)\r\n");
    CHECK_STR(close_scene(&scene), "S: * 1 FETCH (BODY[] {6}\nS: <literal of 6 octets>\nS: )\n"
                                   "S: * 2 FETCH (BODY[] {0}\nS: )\n");
}

TEST(a_long_line_is_cut_and_control_octets_are_escaped)
{
    char line[NET_TRACE_LINE_BYTES + 100];
    struct scene scene;
    const char *text;

    memset(line, 'x', sizeof line);
    memcpy(line, "a1 \x1b[2J", 7);
    memcpy(line + sizeof line - 3, "\r\n", 3);
    open_scene(&scene, false);
    client_says(&scene, line);
    text = close_scene(&scene);
    CHECK(strstr(text, "C: a1 \\x1b[2Jxxx") == text);
    CHECK(strstr(text, "xxx...\n") != NULL);
    CHECK(strlen(text) < NET_TRACE_LINE_BYTES + 20);
}
