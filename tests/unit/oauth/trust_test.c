/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "ca" is trusted instead of the system's certificates: in a mount namespace where the endpoint's own certificate is one
 * of these.
 */
#include "base/fd.h"
#include "oauth/grant.h"
#include "oauth/http.h"
#include "test.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM_FOLDER "/etc/ssl/certs"

struct issuer {
    EVP_PKEY *key;
    X509 *certificate;
    char pem[4096];
};

struct server {
    int listener;
    SSL_CTX *context;
    char url[64];
    pthread_t thread;
    bool was_trusted; /* somebody shook hands, and sent something */
};

/* What the child found out. */
enum {
    REFUSED = 10,
    TRUSTED,
    CANNOT_TELL,
};

static void make_issuer(struct issuer *issuer, const char *name)
{
    X509 *made = X509_new();
    BIO *pem = BIO_new(BIO_s_mem());
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");

    issuer->key = EVP_EC_gen("P-256");
    (void)X509_set_version(made, X509_VERSION_3);
    (void)X509_gmtime_adj(X509_getm_notBefore(made), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                                     (const uint8_t *)name, -1, -1, 0);
    (void)X509_set_issuer_name(made, X509_get_subject_name(made));
    (void)X509_set_pubkey(made, issuer->key);
    (void)X509_add_ext(made, names, -1);
    CHECK(X509_sign(made, issuer->key, EVP_sha256()) > 0 && PEM_write_bio_X509(pem, made) == 1);
    issuer->certificate = made;
    issuer->pem[BIO_read(pem, issuer->pem, sizeof issuer->pem - 1)] = '\0';
    X509_EXTENSION_free(names);
    BIO_free(pem);
}

static void free_issuer(struct issuer *issuer)
{
    X509_free(issuer->certificate);
    EVP_PKEY_free(issuer->key);
}

static void *serve_one(void *context)
{
    struct server *server = context;
    CLEANUP(fd_close) int fd = accept(server->listener, NULL, NULL);
    SSL *ssl = SSL_new(server->context);
    char octet;

    (void)SSL_set_fd(ssl, fd);
    server->was_trusted = SSL_accept(ssl) == 1 && SSL_read(ssl, &octet, 1) == 1;
    SSL_free(ssl);
    return NULL;
}

static void start_server(struct server *server, const struct issuer *issuer)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;

    *server = (struct server){ .context = SSL_CTX_new(TLS_server_method()) };
    (void)SSL_CTX_use_certificate(server->context, issuer->certificate);
    (void)SSL_CTX_use_PrivateKey(server->context, issuer->key);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)bind(server->listener, (const struct sockaddr *)&address, size);
    (void)listen(server->listener, 4);
    (void)getsockname(server->listener, (struct sockaddr *)&address, &size);
    (void)snprintf(server->url, sizeof server->url, "https://localhost:%u/",
                   ntohs(address.sin_port));
    (void)pthread_create(&server->thread, NULL, serve_one, server);
}

/* Is a server with this certificate sent a form by who trusts `ca`? */
static bool is_trusted(const struct issuer *issuer, const char *ca)
{
    CLEANUP(oauth_free_reply) struct oauth_reply reply = { 0 };
    struct server server;
    struct err err = { 0 };
    bool was_sent;

    start_server(&server, issuer);
    (void)!oauth_post(server.url, ca, BYTES("a=b"), deadline_after_ms(5000), &reply, &was_sent,
                      &err);
    (void)pthread_join(server.thread, NULL);
    (void)close(server.listener);
    SSL_CTX_free(server.context);
    return server.was_trusted;
}

static bool become_system(const struct issuer *issuer)
{
    char path[64];
    struct err err = { 0 };

    (void)snprintf(path, sizeof path, SYSTEM_FOLDER "/%08lx.0",
                   X509_NAME_hash_ex(X509_get_subject_name(issuer->certificate), NULL, NULL, NULL));
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", SYSTEM_FOLDER, "tmpfs", 0, NULL) == 0 &&
           file_write_atomic(path, bytes_of_text(issuer->pem), 0644, &err);
}

static int ask(const struct issuer *endpoint, const struct issuer *other)
{
    struct err err = { 0 };

    if (!become_system(endpoint) || !oauth_start(&err) || !is_trusted(endpoint, endpoint->pem))
        return CANNOT_TELL;
    return is_trusted(endpoint, other->pem) ? TRUSTED : REFUSED;
}

TEST(a_ca_of_its_own_is_trusted_instead_of_the_systems)
{
    struct issuer endpoint, other;
    int status = 0;
    pid_t child;

    make_issuer(&endpoint, "of the system");
    make_issuer(&other, "of its own");
    child = fork();
    if (child == 0)
        _exit(ask(&endpoint, &other));
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_TELL)
        printf("SKIP: no mount namespace of its own\n");
    else
        CHECK_EQ_I64(WEXITSTATUS(status), REFUSED);
    free_issuer(&endpoint);
    free_issuer(&other);
}
