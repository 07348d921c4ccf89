/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <ftw.h>
#include <limits.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SECONDS_PER_DAY = 86400
};

static char folder[] = "/tmp/holdfast-net-XXXXXX";

static void must(bool is_fine)
{
    if (!is_fine)
        abort();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_folder(void)
{
    static bool is_made;

    if (!is_made) {
        must(mkdtemp(folder) != NULL);
        is_made = true;
        (void)atexit(remove_folder);
    }
    return folder;
}

const char *fixture_path(const char *name)
{
    static char paths[256][128];
    static size_t count;

    must(count < 256);
    (void)snprintf(paths[count], sizeof paths[count], "%s/%s", fixture_folder(), name);
    return paths[count++];
}

void fixture_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    must(file != NULL && fputs(text, file) >= 0);
    must(fclose(file) == 0);
}

static const char *path_of(const char *name, const char *ending)
{
    char file[100];

    (void)snprintf(file, sizeof file, "%s.%s", name, ending);
    return fixture_path(file);
}

static void read_issuer(const char *name, X509 **certificate, EVP_PKEY **key)
{
    FILE *file = fopen(path_of(name, "crt"), "r");

    must(file != NULL);
    *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    file = fopen(path_of(name, "key"), "r");
    must(file != NULL);
    *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    must(*certificate != NULL && *key != NULL);
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void write_pair(const char *name, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(path_of(name, "crt"), "w");

    must(file != NULL && PEM_write_X509(file, certificate) == 1);
    (void)fclose(file);
    file = fopen(path_of(name, "key"), "w");
    must(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    (void)fclose(file);
}

void fixture_certificate(const char *name, const char *names, long from_day, long to_day,
                         const char *issuer)
{
    static long serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    EVP_PKEY *issuer_key = NULL;
    X509 *issuer_certificate = NULL;
    X509_NAME *subject;

    must(key != NULL && certificate != NULL);
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_day * SECONDS_PER_DAY);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), to_day * SECONDS_PER_DAY);
    (void)X509_set_pubkey(certificate, key);
    subject = X509_get_subject_name(certificate);
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1,
                                    0) == 1);
    add_extension(certificate, NID_basic_constraints, issuer == NULL ? "CA:TRUE" : "CA:FALSE");
    if (names != NULL)
        add_extension(certificate, NID_subject_alt_name, names);
    if (issuer != NULL)
        read_issuer(issuer, &issuer_certificate, &issuer_key);
    (void)X509_set_issuer_name(
        certificate, issuer != NULL ? X509_get_subject_name(issuer_certificate) : subject);
    must(X509_sign(certificate, issuer != NULL ? issuer_key : key, EVP_sha256()) != 0);
    write_pair(name, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(issuer_certificate);
    EVP_PKEY_free(issuer_key);
}

struct net_tls *fixture_server(const char *name)
{
    struct net_tls *tls = NULL;
    struct err err = { 0 };

    if (!net_create_tls_server(path_of(name, "crt"), path_of(name, "key"), &tls, &err))
        (void)fprintf(stderr, "%s\n", err.text);
    must(tls != NULL);
    return tls;
}

void fixture_pin(const char *name, struct net_pin *out)
{
    char command[3 * PATH_MAX];
    FILE *pipe;

    (void)snprintf(
        command, sizeof command,
        "openssl x509 -in '%s/%s.crt' -pubkey -noout | openssl pkey -pubin -outform DER | "
        "openssl dgst -sha256 -binary",
        fixture_folder(), name);
    pipe = popen(command, "r");
    if (pipe == NULL || fread(out->sha256, 1, NET_PIN_BYTES, pipe) != NET_PIN_BYTES)
        abort();
    (void)pclose(pipe);
}

struct net_tls *fixture_client(const char *ca_name)
{
    struct net_tls *tls = NULL;
    struct err err = { 0 };

    if (!net_create_tls_client(path_of(ca_name, "crt"), &tls, &err))
        (void)fprintf(stderr, "%s\n", err.text);
    must(tls != NULL);
    return tls;
}

void fixture_pair(const struct net_options *options, struct net_stream **a, struct net_stream **b)
{
    struct net_options patient = { .stall_ms = 5000 };
    struct err err = { 0 };
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    must(net_open_fd(&fds[0], options != NULL ? options : &patient, a, &err));
    must(net_open_fd(&fds[1], &patient, b, &err));
}

static void *run_peer(void *argument)
{
    struct peer *peer = argument;

    peer->run(peer);
    return NULL;
}

void peer_start(struct peer *peer)
{
    must(pthread_create(&peer->thread, NULL, run_peer, peer) == 0);
}

void peer_join(struct peer *peer)
{
    must(pthread_join(peer->thread, NULL) == 0);
    net_close(&peer->stream);
}

void peer_shake_hands(struct peer *peer)
{
    if (!net_start_tls_server(peer->stream, peer->tls, &peer->err) ||
        !net_handshake(peer->stream, &peer->err))
        return;
    peer->is_content = true;
    while (net_fill(peer->stream, &peer->err))
        net_consume(peer->stream, net_peek(peer->stream).len);
}

void peer_echo(struct peer *peer)
{
    if (peer->tls != NULL && (!net_start_tls_server(peer->stream, peer->tls, &peer->err) ||
                              !net_handshake(peer->stream, &peer->err)))
        return;
    while (net_fill(peer->stream, &peer->err)) {
        if (!net_write(peer->stream, net_peek(peer->stream), &peer->err) ||
            !net_flush(peer->stream, &peer->err))
            return;
        net_consume(peer->stream, net_peek(peer->stream).len);
    }
    peer->is_content = net_has_ended(peer->stream);
}
