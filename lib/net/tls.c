/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: what many TLS connections share. The connection itself is tls_layer.c. */
#include "net/tls.h"

#include "net/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <unistd.h>

/* A key file with a passphrase must fail, not ask on the terminal. */
static int refuse_passphrase(char *buf, int size, int is_writing, void *user)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

static bool create_context(const SSL_METHOD *method, struct net_tls **out, struct err *err)
{
    CLEANUP(net_free_tls) struct net_tls *tls = calloc(1, sizeof *tls);

    ERR_clear_error();
    if (tls == NULL)
        return err_errno(err, "TLS context");
    atomic_init(&tls->holders, 1);
    tls->ctx = SSL_CTX_new(method);
    tls->bio_method = net_create_bio_method();
    if (tls->ctx == NULL || tls->bio_method == NULL ||
        SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot make a TLS context");
    (void)SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* An end without close_notify is common; a cut IMAP answer shows by itself. */
    (void)SSL_CTX_set_options(tls->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                            SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_default_passwd_cb(tls->ctx, refuse_passphrase);
    *out = tls;
    tls = NULL;
    return true;
}

bool net_create_tls_client(const char *ca_file, struct net_tls **out, struct err *err)
{
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;

    if (ca_file != NULL && euidaccess(ca_file, R_OK) != 0)
        return err_errno(err, "CA file %s", ca_file);
    if (!create_context(TLS_client_method(), &tls, err))
        return false;
    if (ca_file != NULL && SSL_CTX_load_verify_file(tls->ctx, ca_file) != 1)
        return err_fail(err, ERR_SYNTAX, "CA file %s holds no PEM certificate", ca_file);
    if (ca_file == NULL && SSL_CTX_set_default_verify_paths(tls->ctx) != 1)
        return err_fail(err, ERR_SYSTEM, "the system's store of CA certificates cannot be read");
    /* The file may hold the server's own certificate, without the CA that signed it. */
    if (ca_file != NULL)
        (void)X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls->ctx), X509_V_FLAG_PARTIAL_CHAIN);
    tls->has_own_ca = ca_file != NULL;
    /* Fewer, larger reads; a client never parks, so what lies inside TLS is no matter. */
    SSL_CTX_set_read_ahead(tls->ctx, 1);
    SSL_CTX_set_default_read_buffer_len(tls->ctx, 64 << 10);
    *out = tls;
    tls = NULL;
    return true;
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

/* The first certificate is the client's own, the others its chain. */
static bool use_certificates(SSL_CTX *ctx, struct bytes pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool is_used = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;

    X509_free(certificate);
    while (is_used && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        is_used = SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
        X509_free(certificate);
    }
    ERR_clear_error(); /* of the end */
    return is_used;
}

static bool use_key(SSL_CTX *ctx, struct bytes pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    bool is_used = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    ERR_clear_error();
    return is_used;
}

bool net_identify_tls_client(struct net_tls *tls, struct bytes pem, struct err *err)
{
    if (!use_certificates(tls->ctx, pem))
        return err_fail(err, ERR_SYNTAX, "no client certificate in PEM");
    return use_key(tls->ctx, pem) ||
           err_fail(err, ERR_SYNTAX,
                    "no private key in PEM that belongs to the client certificate");
}

static bool load_pair(SSL_CTX *ctx, const char *cert_file, const char *key_file, struct err *err)
{
    if (euidaccess(cert_file, R_OK) != 0)
        return err_errno(err, "TLS certificate %s", cert_file);
    if (euidaccess(key_file, R_OK) != 0)
        return err_errno(err, "TLS key %s", key_file);
    if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
        return err_fail(err, ERR_SYNTAX, "TLS certificate %s is not a PEM certificate (%s)",
                        cert_file, net_tls_reason());
    /* It also compares the two, once a certificate is there. */
    if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1)
        return true;
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH)
        return err_fail(err, ERR_SYNTAX, "TLS key %s does not belong to certificate %s", key_file,
                        cert_file);
    return err_fail(err, ERR_SYNTAX, "TLS key %s is not a PEM private key without passphrase (%s)",
                    key_file, net_tls_reason());
}

bool net_create_tls_server(const char *cert_file, const char *key_file, struct net_tls **out,
                           struct err *err)
{
    static const unsigned char name[] = "holdfast";
    CLEANUP(net_free_tls) struct net_tls *tls = NULL;

    if (!create_context(TLS_server_method(), &tls, err) ||
        !load_pair(tls->ctx, cert_file, key_file, err))
        return false;
    tls->is_server = true;
    /* Forward secrecy and AEAD only, under TLS 1.2 too. */
    if (SSL_CTX_set_cipher_list(tls->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL lacks the ciphers of a TLS server");
    (void)SSL_CTX_set_options(tls->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Sessions live in tickets with the client, not in our memory. */
    (void)SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(tls->ctx, name, sizeof name - 1);
    (void)SSL_CTX_set_num_tickets(tls->ctx, 1);
    *out = tls;
    tls = NULL;
    return true;
}

struct net_tls *net_hold_tls(struct net_tls *tls)
{
    (void)atomic_fetch_add(&tls->holders, 1);
    return tls;
}

void net_free_tls(struct net_tls **tls)
{
    struct net_tls *dead = *tls;

    *tls = NULL;
    if (dead == NULL || atomic_fetch_sub(&dead->holders, 1) != 1)
        return;
    SSL_CTX_free(dead->ctx);
    BIO_meth_free(dead->bio_method);
    free(dead);
}

const char *net_tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "unknown reason";
}
