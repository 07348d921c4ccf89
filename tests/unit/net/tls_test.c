/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "net/tls.h"
#include "test.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void make_certificates(void)
{
    static bool is_done;

    if (is_done)
        return;
    is_done = true;
    fixture_certificate("ca", NULL, -1, 100, NULL);
    fixture_certificate("other-ca", NULL, -1, 100, NULL);
    fixture_certificate("good", "DNS:mail.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1", -1, 100,
                        "ca");
    fixture_certificate("expired", "DNS:mail.example", -10, -2, "ca");
    fixture_certificate("future", "DNS:mail.example", 5, 10, "ca");
    fixture_certificate("self", "DNS:mail.example", -1, 100, NULL);
    fixture_certificate("nameless", NULL, -1, 100, "ca");
}

/* One handshake: a server with the certificate `server`, a client that trusts `ca` and wants host. */
static bool shake_hands(const char *server, const char *ca, const char *host, struct err *err)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = peer_shake_hands };
    bool is_fine;

    make_certificates();
    client_tls = fixture_client(ca);
    server_tls = fixture_server(server);
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    is_fine = net_start_tls_client(client, client_tls, host, err);
    CHECK(net_is_encrypted(client) == is_fine);
    net_close(&client);
    peer_join(&peer);
    return is_fine;
}

TEST(a_certificate_with_the_right_name_and_ca_is_accepted)
{
    struct err err = { 0 };

    CHECK(shake_hands("good", "ca", "mail.example", &err));
    CHECK(shake_hands("good", "ca", "MAIL.example.", &err));
    CHECK(shake_hands("good", "ca", "imap.wild.example", &err));
}

TEST(a_certificate_is_accepted_for_its_addresses_too)
{
    struct err err = { 0 };

    CHECK(shake_hands("good", "ca", "127.0.0.1", &err));
    CHECK(shake_hands("good", "ca", "::1", &err));
    CHECK(!shake_hands("good", "ca", "127.0.0.2", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

TEST(a_certificate_of_another_host_is_refused_with_the_names_it_has)
{
    struct err err = { 0 };

    CHECK(!shake_hands("good", "ca", "mail.evil.example", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(err.text,
              "certificate of mail.evil.example is for another host name: it names mail.example, "
              "*.wild.example, 127.0.0.1, ::1; use the name that the certificate has");
    CHECK(!shake_hands("nameless", "ca", "mail.example", &err));
    CHECK(strstr(err.text, "it names no host name at all") != NULL);
}

TEST(a_certificate_of_an_unknown_ca_is_refused_and_the_remedy_named)
{
    struct err err = { 0 };

    CHECK(!shake_hands("good", "other-ca", "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(err.text, "certificate of mail.example is not trusted (unable to get local issuer "
                        "certificate); the file given with --tls-ca is not its CA");
}

TEST(a_self_signed_certificate_is_refused_by_the_systems_store_and_accepted_when_given)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = peer_shake_hands };
    struct err err = { 0 };

    CHECK(shake_hands("self", "self", "mail.example", &err));
    CHECK(net_create_tls_client(NULL, &client_tls, &err));
    server_tls = fixture_server("self");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    CHECK(!net_start_tls_client(client, client_tls, "mail.example", &err));
    net_close(&client);
    peer_join(&peer);
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK_STR(err.text, "certificate of mail.example is not trusted (self-signed certificate); "
                        "give its CA with --tls-ca FILE");
    CHECK_EQ_U64(peer.err.code, ERR_SYNTAX);
}

TEST(a_servers_own_certificate_without_its_ca_is_enough_to_trust_it)
{
    struct err err = { 0 };

    CHECK(shake_hands("good", "good", "mail.example", &err));
}

/* As shake_hands, with the key of folder/PINNED.crt pinned. */
static bool shake_hands_pinned(const char *server, const char *ca, const char *host,
                               const char *pinned, bool is_instead_of_chain, struct err *err)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = peer_shake_hands };
    struct net_pin pins[2] = { { { 0 } } };
    bool is_fine;

    make_certificates();
    client_tls = fixture_client(ca);
    server_tls = fixture_server(server);
    fixture_pin(pinned, &pins[1]);
    net_pin_tls_client(client_tls, pins, 2, is_instead_of_chain);
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    is_fine = net_start_tls_client(client, client_tls, host, err);
    CHECK(net_is_encrypted(client) == is_fine);
    net_close(&client);
    peer_join(&peer);
    return is_fine;
}

TEST(a_pinned_key_of_the_chain_is_accepted_and_the_chain_is_verified_all_the_same)
{
    struct err err = { 0 };

    CHECK(shake_hands_pinned("good", "ca", "mail.example", "good", false, &err));
    CHECK(shake_hands_pinned("good", "ca", "mail.example", "ca", false, &err));
    CHECK(!shake_hands_pinned("good", "other-ca", "mail.example", "good", false, &err));
    CHECK(strstr(err.text, "is not trusted") != NULL);
    err_clear(&err);
    CHECK(!shake_hands_pinned("good", "ca", "mail.evil.example", "good", false, &err));
    CHECK(strstr(err.text, "is for another host name") != NULL);
}

TEST(a_key_that_is_not_pinned_is_refused_and_told)
{
    char text[NET_PIN_TEXT_BYTES];
    struct net_pin pin;
    struct err err = { 0 };

    CHECK(!shake_hands_pinned("good", "ca", "mail.example", "self", false, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    fixture_pin("good", &pin);
    net_write_pin(&pin, text);
    CHECK(strstr(err.text, text) != NULL);
    err_clear(&err);
    CHECK(!shake_hands_pinned("self", "self", "mail.example", "good", true, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

TEST(a_pin_instead_of_the_chain_needs_the_servers_own_key_and_nothing_else)
{
    struct err err = { 0 };

    CHECK(shake_hands_pinned("self", "other-ca", "mail.evil.example", "self", true, &err));
    CHECK(shake_hands_pinned("expired", "other-ca", "mail.example", "expired", true, &err));
    CHECK(!shake_hands_pinned("good", "ca", "mail.example", "ca", true, &err));
    CHECK(strstr(err.text, "none of the keys given with --tls-pin") != NULL);
}

TEST(a_pin_is_read_in_one_form_only)
{
    static const char *const wrong[] = {
        "",
        "sha256/",
        "sha1/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
        "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        "sha256/ AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",
    };
    char text[NET_PIN_TEXT_BYTES];
    struct net_pin pin = { { 0 } };
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK(!net_read_pin(bytes_of_text(wrong[i]), &pin, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
        err_clear(&err);
    }
    CHECK(net_read_pin(BYTES("sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), &pin, &err));
    CHECK_EQ_U64(pin.sha256[0], 0xe3);
    net_write_pin(&pin, text);
    CHECK_STR(text, "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

TEST(a_certificate_out_of_its_time_is_refused_with_the_date)
{
    struct err err = { 0 };

    CHECK(!shake_hands("expired", "ca", "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(err.text, "certificate of mail.example has expired on 20") != NULL);
    CHECK(!shake_hands("future", "ca", "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(strstr(err.text, "is not valid before 20") != NULL);
}

static void say_argument(struct peer *peer)
{
    peer->is_content = net_write(peer->stream, bytes_of_text(peer->argument), &peer->err) &&
                       net_flush(peer->stream, &peer->err);
    while (net_fill(peer->stream, &peer->err))
        net_consume(peer->stream, net_peek(peer->stream).len);
}

TEST(a_server_that_does_not_speak_tls_is_told_as_such)
{
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = say_argument, .argument = "* OK ready\r\n" };
    struct err err = { 0 };

    make_certificates();
    tls = fixture_client("ca");
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    CHECK(!net_start_tls_client(client, tls, "mail.example", &err));
    net_close(&client);
    peer_join(&peer);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_STR(err.text, "mail.example does not speak TLS on this port");
}

TEST(a_client_that_does_not_speak_tls_is_told_as_such)
{
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct err err = { 0 };

    make_certificates();
    tls = fixture_server("good");
    fixture_pair(NULL, &server, &client);
    CHECK(net_write(client, BYTES("a1 LOGIN x y\r\n"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_start_tls_server(server, tls, &err));
    CHECK(net_try_handshake(server, &err) == NET_FAILED);
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK_STR(err.text, "the client does not speak TLS on this port");
}

TEST(a_server_that_is_silent_or_closes_during_the_handshake_may_be_tried_again)
{
    struct net_options options = { .stall_ms = 50 };
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;
    struct net_stream *client = NULL;
    struct net_stream *server = NULL;
    struct err err = { 0 };

    make_certificates();
    tls = fixture_client("ca");
    fixture_pair(&options, &client, &server);
    CHECK(!net_start_tls_client(client, tls, "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "time-out: nothing received for 50 ms");
    net_close(&client);
    net_close(&server);

    fixture_pair(&options, &client, &server);
    CHECK(shutdown(net_fd(server), SHUT_WR) == 0);
    CHECK(!net_start_tls_client(client, tls, "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_RETRY);
    CHECK_STR(err.text, "mail.example closed the connection during the TLS handshake");
    net_close(&client);
    net_close(&server);
}

TEST(octets_in_plain_text_before_tls_begins_are_refused_on_both_sides)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    fixture_pair(NULL, &client, &server);
    CHECK(net_write(server, BYTES("a1 OK begin\r\n* CAPABILITY injected\r\n"), &err));
    CHECK(net_flush(server, &err));
    CHECK(net_fill(client, &err));
    net_consume(client, strlen("a1 OK begin\r\n"));
    CHECK(!net_start_tls_client(client, client_tls, "mail.example", &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);

    CHECK(net_write(client, BYTES("a1 STARTTLS\r\na2 LOGIN x y\r\n"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_fill(server, &err));
    net_consume(server, strlen("a1 STARTTLS\r\n"));
    CHECK(!net_start_tls_server(server, server_tls, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(!net_is_encrypted(server));
}

static void upgrade_then_echo(struct peer *peer)
{
    if (!net_fill(peer->stream, &peer->err))
        return;
    net_consume(peer->stream, net_peek(peer->stream).len);
    if (net_write(peer->stream, BYTES("a1 OK\r\n"), &peer->err) &&
        net_flush(peer->stream, &peer->err))
        peer_echo(peer);
}

TEST(a_plain_stream_is_upgraded_in_place)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = upgrade_then_echo };
    char text[NET_TLS_TEXT_BYTES];
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    net_describe_tls(client, text);
    CHECK_STR(text, "plain");
    peer_start(&peer);
    CHECK(net_write(client, BYTES("a1 STARTTLS\r\n"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_fill(client, &err));
    CHECK_BYTES(net_peek(client), BYTES("a1 OK\r\n"));
    net_consume(client, net_peek(client).len);
    CHECK(net_start_tls_client(client, client_tls, "mail.example", &err));
    net_describe_tls(client, text);
    CHECK(bytes_start_with(bytes_of_text(text), BYTES("TLSv1.3 ")));
    CHECK(net_write(client, BYTES("a2 NOOP\r\n"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_fill(client, &err));
    CHECK_BYTES(net_peek(client), BYTES("a2 NOOP\r\n"));
    net_close(&client);
    peer_join(&peer);
    CHECK(peer.is_content);
}

static void write_pattern(struct peer *peer)
{
    uint8_t chunk[9973];

    if (!net_start_tls_server(peer->stream, peer->tls, &peer->err) ||
        !net_handshake(peer->stream, &peer->err))
        return;
    for (size_t at = 0; at < 400; at++) {
        memset(chunk, (int)(at % 251), sizeof chunk);
        if (!net_write(peer->stream, bytes_of(chunk, 1 + at * 24), &peer->err))
            return;
    }
    peer->is_content = net_flush(peer->stream, &peer->err);
}

TEST(octets_of_any_sizes_arrive_in_order_through_tls)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = write_pattern };
    bool is_same = true;
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    CHECK(net_start_tls_client(client, client_tls, "mail.example", &err));
    for (size_t at = 0; at < 400; at++)
        for (size_t left = 1 + at * 24; left > 0;) {
            uint8_t piece[5000];
            size_t got = 0;

            CHECK(net_read_some(client, piece, left < sizeof piece ? left : sizeof piece, &got,
                                &err));
            for (size_t i = 0; i < got; i++)
                is_same = is_same && piece[i] == (uint8_t)(at % 251);
            left -= got;
        }
    CHECK(is_same);
    CHECK(!net_fill(client, &err) || net_peek(client).len == 0);
    peer_join(&peer);
    CHECK(peer.is_content);
}

/* Moves what lies in one socket to another, one octet, and says whether there was one. */
static bool move_octet(int from, int to)
{
    uint8_t octet;

    return recv(from, &octet, 1, MSG_DONTWAIT) == 1 && send(to, &octet, 1, 0) == 1;
}

static void connect_and_say(struct peer *peer)
{
    if (!net_start_tls_client(peer->stream, peer->tls, "mail.example", &peer->err))
        return;
    peer->is_content = net_write(peer->stream, BYTES("a1 NOOP\r\n"), &peer->err) &&
                       net_flush(peer->stream, &peer->err);
    while (net_fill(peer->stream, &peer->err))
        net_consume(peer->stream, net_peek(peer->stream).len);
}

TEST(a_server_handshake_fed_one_octet_at_a_time_resumes_without_waiting)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    struct peer peer = { .run = connect_and_say };
    enum net_progress progress = NET_WANT_READ;
    size_t steps = 0;
    struct err err = { 0 };
    int wires[2]; /* we stand between the two */
    int far[2];

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, wires) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, far) == 0);
    CHECK(net_open_fd(&wires[0], NULL, &server, &err));
    CHECK(net_open_fd(&far[0], NULL, &peer.stream, &err));
    peer.tls = client_tls;
    CHECK(net_start_tls_server(server, server_tls, &err));
    peer_start(&peer);
    while (net_peek(server).len < 9 && progress != NET_FAILED) {
        if (net_is_encrypted(server))
            progress = net_try_fill(server, 4096, &err);
        else
            progress = net_try_handshake(server, &err);
        while (move_octet(wires[1], far[1]))
            ;
        if (move_octet(far[1], wires[1]))
            steps++;
    }
    CHECK_STR(err.text, "");
    CHECK_BYTES(net_peek(server), BYTES("a1 NOOP\r\n"));
    CHECK(steps > 300);
    net_consume(server, 9);
    CHECK(net_try_fill(server, 4096, &err) == NET_WANT_READ);
    CHECK(!net_has_buffered(server));
    CHECK(close(far[1]) == 0);
    CHECK(close(wires[1]) == 0);
    peer_join(&peer);
}

TEST(octets_inside_tls_are_not_forgotten_when_less_is_taken)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *server = NULL;
    struct peer peer = { .run = connect_and_say };
    enum net_progress progress;
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = client_tls;
    fixture_pair(NULL, &server, &peer.stream);
    CHECK(net_start_tls_server(server, server_tls, &err));
    peer_start(&peer);
    CHECK(net_handshake(server, &err));
    do
        progress = net_try_fill(server, 3, &err);
    while (progress == NET_WANT_READ);
    CHECK(progress == NET_DONE);
    net_consume(server, 3);
    CHECK(net_has_buffered(server));
    while (net_try_fill(server, 3, &err) == NET_DONE)
        ;
    CHECK_BYTES(net_peek(server), BYTES("NOOP\r\n"));
    net_close(&server);
    peer_join(&peer);
}

TEST(an_end_without_close_notify_is_an_end)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = peer_shake_hands };
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    CHECK(net_start_tls_client(client, client_tls, "mail.example", &err));
    CHECK(shutdown(net_fd(client), SHUT_WR) == 0);
    peer_join(&peer);
    CHECK(peer.is_content);
    CHECK_STR(peer.err.text, "the peer closed the connection");
    CHECK(!net_fill(client, &err));
    CHECK(net_has_ended(client));
}

static void bind_channel(struct peer *peer)
{
    static uint8_t bound[2][NET_BINDING_MAX_BYTES];
    size_t len = 0;

    if (!net_start_tls_server(peer->stream, peer->tls, &peer->err) ||
        !net_handshake(peer->stream, &peer->err))
        return;
    peer->is_content =
        net_get_channel_binding(peer->stream, NET_BINDING_EXPORTER, bound[0], &len, &peer->err) &&
        net_get_channel_binding(peer->stream, NET_BINDING_END_POINT, bound[1], &len, &peer->err);
    peer->argument = bound;
}

TEST(both_sides_know_the_same_channel_bindings)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    CLEANUP(net_close) struct net_stream *client = NULL;
    struct peer peer = { .run = bind_channel };
    uint8_t bound[NET_BINDING_MAX_BYTES];
    const uint8_t *theirs;
    size_t len = 0;
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    CHECK(!net_get_channel_binding(client, NET_BINDING_EXPORTER, bound, &len, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    peer_start(&peer);
    CHECK(net_start_tls_client(client, client_tls, "mail.example", &err));
    peer_join(&peer);
    CHECK(peer.is_content);
    theirs = peer.argument;
    CHECK(net_get_channel_binding(client, NET_BINDING_EXPORTER, bound, &len, &err));
    CHECK_BYTES(bytes_of(bound, len), bytes_of(theirs, 32));
    CHECK(net_get_channel_binding(client, NET_BINDING_END_POINT, bound, &len, &err));
    CHECK_BYTES(bytes_of(bound, len), bytes_of(theirs + NET_BINDING_MAX_BYTES, 32));
}

TEST(files_that_make_no_server_context_are_named_in_the_error)
{
    const char *text_file = fixture_path("text.pem");
    const char *absent = fixture_path("absent.pem");
    struct net_tls *tls = NULL;
    struct err err = { 0 };

    make_certificates();
    fixture_write(text_file, "no certificate\n");
    CHECK(!net_create_tls_server(absent, absent, &tls, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(strstr(err.text, absent) != NULL);
    CHECK(!net_create_tls_server(text_file, text_file, &tls, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(strstr(err.text, text_file) != NULL);
    CHECK(!net_create_tls_server(fixture_path("good.crt"), text_file, &tls, &err));
    CHECK(strstr(err.text, "is not a PEM private key") != NULL);
    CHECK(!net_create_tls_server(fixture_path("good.crt"), fixture_path("ca.key"), &tls, &err));
    CHECK(strstr(err.text, "does not belong to certificate") != NULL);
    CHECK(!net_create_tls_client(absent, &tls, &err));
    CHECK_EQ_U64(err.code, ERR_ABSENT);
    CHECK(!net_create_tls_client(text_file, &tls, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(tls == NULL);
}

TEST(a_context_may_be_freed_while_its_streams_live)
{
    CLEANUP(net_close) struct net_stream *client = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    struct net_tls *client_tls;
    struct peer peer = { .run = peer_echo };
    struct err err = { 0 };

    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = server_tls;
    fixture_pair(NULL, &client, &peer.stream);
    peer_start(&peer);
    CHECK(net_start_tls_client(client, client_tls, "mail.example", &err));
    net_free_tls(&client_tls);
    CHECK(net_write(client, BYTES("still here"), &err));
    CHECK(net_flush(client, &err));
    CHECK(net_fill(client, &err));
    CHECK_BYTES(net_peek(client), BYTES("still here"));
    net_close(&client);
    peer_join(&peer);
}

/* ---- memory ---- */

enum {
    IDLE_SESSIONS = 64,
    IDLE_LIMIT_BYTES = 64 << 10
};

struct crowd {
    struct net_stream *at[IDLE_SESSIONS];
};

static void connect_crowd(struct peer *peer)
{
    struct crowd *crowd = (struct crowd *)(uintptr_t)peer->argument;

    for (size_t i = 0; i < IDLE_SESSIONS; i++) {
        if (!net_start_tls_client(crowd->at[i], peer->tls, "mail.example", &peer->err) ||
            !net_write(crowd->at[i], BYTES("a1 NOOP\r\n"), &peer->err) ||
            !net_flush(crowd->at[i], &peer->err) || !net_fill(crowd->at[i], &peer->err))
            return;
        net_close(&crowd->at[i]); /* so that only the servers' sides are counted */
    }
    peer->is_content = true;
}

TEST(an_idle_tls_session_costs_less_than_64_kb)
{
    CLEANUP(net_free_tls) struct net_tls *client_tls = NULL;
    CLEANUP(net_free_tls) struct net_tls *server_tls = NULL;
    struct crowd clients = { { NULL } };
    struct crowd servers = { { NULL } };
    struct peer peer = { .run = connect_crowd, .argument = &clients };
    size_t before;
    size_t each;
    struct err err = { 0 };

    if (SANITIZED)
        return; /* their allocators count differently */
    make_certificates();
    client_tls = fixture_client("ca");
    server_tls = fixture_server("good");
    peer.tls = client_tls;
    for (size_t i = 0; i < IDLE_SESSIONS; i++)
        fixture_pair(NULL, &servers.at[i], &clients.at[i]);
    before = mallinfo2().uordblks;
    peer_start(&peer);
    for (size_t i = 0; i < IDLE_SESSIONS; i++) {
        CHECK(net_start_tls_server(servers.at[i], server_tls, &err));
        CHECK(net_handshake(servers.at[i], &err));
        CHECK(net_fill(servers.at[i], &err));
        net_consume(servers.at[i], net_peek(servers.at[i]).len);
        CHECK(net_write(servers.at[i], BYTES("a1 OK done\r\n"), &err));
        CHECK(net_flush(servers.at[i], &err));
        CHECK(net_try_fill(servers.at[i], 4096, &err) != NET_FAILED);
    }
    peer_join(&peer);
    CHECK(peer.is_content);
    each = (mallinfo2().uordblks - before) / IDLE_SESSIONS;
    printf("idle TLS session: %zu bytes\n", each);
    CHECK(each < IDLE_LIMIT_BYTES / 2); /* the other half is the session's own */
    for (size_t i = 0; i < IDLE_SESSIONS; i++)
        net_close(&servers.at[i]);
}
