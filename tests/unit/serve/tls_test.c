/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"
#include "net/tls.h"
#include "serve/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct net_tls *server_tls;
static struct net_tls *client_tls;

static void make_contexts(void)
{
    char dir[] = "/tmp/holdfast-serve-tls-XXXXXX";
    char cert[64];
    char key[64];
    struct err err = { 0 };

    if (server_tls != NULL)
        return;
    CHECK(mkdtemp(dir) != NULL);
    (void)snprintf(cert, sizeof cert, "%s/crt", dir);
    (void)snprintf(key, sizeof key, "%s/key", dir);
    CHECK(crypto_make_certificate(NULL, 0, cert, key, &err));
    CHECK(net_create_tls_server(cert, key, &server_tls, &err));
    CHECK(net_create_tls_client(cert, &client_tls, &err));
    CHECK(unlink(cert) == 0 && unlink(key) == 0 && rmdir(dir) == 0);
}

static struct fake_server *start(void)
{
    struct serve_settings settings = { .active_threads = 4 };

    make_contexts();
    settings.tls = server_tls;
    return fake_start(&settings);
}

static struct net_stream *join(struct fake_server *server, bool is_tls)
{
    struct net_stream *stream = NULL;
    struct err err = { 0 };
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(serve_add_connection(fake_get(server), &fds[1], is_tls, &err));
    CHECK(net_open_fd(&fds[0], NULL, &stream, &err));
    if (is_tls)
        CHECK(net_start_tls_client(stream, client_tls, "localhost", &err));
    return stream;
}

static void say(struct net_stream *stream, const char *text)
{
    struct err err = { 0 };

    CHECK(net_write(stream, bytes_of_text(text), &err) && net_flush(stream, &err));
}

/* Everything up to and with the next line; the part is in it. */
static void hear(struct net_stream *stream, const char *part)
{
    struct err err = { 0 };
    ssize_t end;

    while ((end = bytes_find_byte(net_peek(stream), '\n')) < 0)
        CHECK(net_fill(stream, &err));
    CHECK(bytes_find(bytes_slice(net_peek(stream), 0, (size_t)end), bytes_of_text(part)) >= 0);
    net_consume(stream, (size_t)end + 1);
}

TEST(implicit_tls_offers_login_and_no_starttls)
{
    struct fake_server *server = start();
    struct net_stream *stream = join(server, true);

    hear(stream, "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN ID ENABLE LITERAL- SASL-IR]");
    say(stream, "a STARTTLS\r\nb LOGIN auditor secret\r\n");
    hear(stream, "a BAD");
    hear(stream, "b OK [CAPABILITY");
    net_close(&stream);
    fake_stop(&server);
}

TEST(starttls_begins_anew_and_then_offers_login)
{
    struct fake_server *server = start();
    struct net_stream *stream = join(server, false);
    struct err err = { 0 };

    hear(stream, "STARTTLS LOGINDISABLED ");
    say(stream, "a STARTTLS\r\n");
    hear(stream, "a OK");
    CHECK(net_start_tls_client(stream, client_tls, "localhost", &err));
    say(stream, "b CAPABILITY\r\n");
    hear(stream, "* CAPABILITY IMAP4rev1 AUTH=PLAIN ID ENABLE LITERAL- SASL-IR\r");
    hear(stream, "b OK");
    say(stream, "c LOGIN auditor secret\r\n");
    hear(stream, "c OK");
    net_close(&stream);
    fake_stop(&server);
}

TEST(octets_behind_starttls_never_run)
{
    struct fake_server *server = start();
    struct net_stream *stream = join(server, false);
    struct err err = { 0 };

    hear(stream, "STARTTLS");
    say(stream, "a STARTTLS\r\nb NOOP\r\n");
    hear(stream, "a OK");
    CHECK(!net_fill(stream, &err));
    CHECK(net_has_ended(stream));
    net_close(&stream);
    fake_stop(&server);
}

TEST(a_handshake_that_never_comes_holds_no_thread)
{
    struct fake_server *server = start();
    int fds[8][2];
    struct err err = { 0 };
    struct net_stream *stream;

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) == 0);
        CHECK(serve_add_connection(fake_get(server), &fds[i][1], true, &err));
        CHECK(write(fds[i][0], "\x16\x03\x01\x02", 4) == 4); /* the beginning of one */
    }
    CHECK(fake_wait_parked(server, ARRAY_LEN(fds)));
    stream = join(server, true);
    hear(stream, "* OK ");
    net_close(&stream);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        CHECK(close(fds[i][0]) == 0);
    fake_stop(&server);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS 0 /* the sanitizer's allocator keeps what was freed */
#else
#define MEMORY_IS_OURS 1
#endif

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    CHECK(file != NULL);
    CHECK(fscanf(file, "%*u %zu", &pages) == 1);
    CHECK(fclose(file) == 0);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* DESIGN 11: 64 KiB, TLS included. The client's ends lie in the same process and are allowed as much. */
TEST(a_parked_tls_session_is_small)
{
    enum {
        SESSIONS = 300
    };
    struct fake_server *server = start();
    struct net_stream *streams[SESSIONS];
    size_t before = 0;

    for (size_t i = 0; i < SESSIONS; i++) {
        streams[i] = join(server, true);
        hear(streams[i], "* OK ");
        say(streams[i], "a LOGIN auditor secret\r\nb EXAMINE Accounts/alice/INBOX\r\n");
        hear(streams[i], "a OK");
        for (int line = 0; line < 9; line++)
            hear(streams[i], line == 8 ? "b OK" : "* ");
        if (i == 99) {
            CHECK(fake_wait_parked(server, i + 1));
            before = resident_bytes(); /* libraries and threads are warm */
        }
    }
    CHECK(fake_wait_parked(server, SESSIONS));
    if (MEMORY_IS_OURS) {
        size_t each = (resident_bytes() - before) / (SESSIONS - 100);

        printf("a parked TLS session, both ends: %zu KiB\n", each >> 10);
        CHECK(each < 2 * (64 << 10));
    }
    for (size_t i = 0; i < SESSIONS; i++)
        net_close(&streams[i]);
    fake_stop(&server);
}
