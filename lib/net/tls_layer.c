/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection as a layer of a stream. */
#include "net/tls_internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

static struct net_tls_layer *tls_of(struct net_layer *layer)
{
    return (struct net_tls_layer *)(void *)layer;
}

/* ---- the layer below, as OpenSSL sees it ---- */

static int bio_result(BIO *bio, struct net_tls_layer *tls, enum net_progress progress)
{
    switch (progress) {
    case NET_DONE:
        return 1;
    case NET_WANT_READ:
        BIO_set_retry_read(bio);
        return -1;
    case NET_WANT_WRITE:
        BIO_set_retry_write(bio);
        return -1;
    case NET_ENDED:
        tls->below_has_ended = true;
        return 0;
    case NET_FAILED:
        return -1;
    }
    UNREACHABLE();
}

static int bio_read(BIO *bio, char *ptr, size_t size, size_t *got)
{
    struct net_tls_layer *tls = BIO_get_data(bio);
    struct net_layer *below = tls->layer.below;
    enum net_progress progress;

    BIO_clear_retry_flags(bio);
    progress = below->ops->read(below, ptr, size, got, &tls->below);
    if (progress == NET_DONE && !tls->has_received) {
        tls->has_received = true;
        tls->first_octet = (uint8_t)ptr[0];
    }
    return bio_result(bio, tls, progress);
}

static int bio_write(BIO *bio, const char *ptr, size_t size, size_t *put)
{
    struct net_tls_layer *tls = BIO_get_data(bio);
    struct net_layer *below = tls->layer.below;

    BIO_clear_retry_flags(bio);
    return bio_result(bio, tls, below->ops->write(below, ptr, size, put, &tls->below));
}

static long bio_control(BIO *bio, int command, long number, void *ptr)
{
    struct net_tls_layer *tls = BIO_get_data(bio);

    (void)number;
    (void)ptr;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    if (command == BIO_CTRL_EOF)
        return tls->below_has_ended;
    return 0;
}

BIO_METHOD *net_create_bio_method(void)
{
    /* A number of its own (BIO_get_new_index) for each context would run out after 127. */
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "holdfast stream");

    if (method == NULL)
        return NULL;
    if (BIO_meth_set_read_ex(method, bio_read) != 1 ||
        BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_ctrl(method, bio_control) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* ---- what went wrong ---- */

static enum net_progress fail(struct net_tls_layer *tls, struct err *err, enum err_code code,
                              const char *text, const char *detail)
{
    const char *who = tls->tls->is_server ? "the client" : tls->host;

    (void)err_fail(err, code, "%s %s%s%s%s", who, text, detail != NULL ? " (" : "",
                   detail != NULL ? detail : "", detail != NULL ? ")" : "");
    return NET_FAILED;
}

static enum net_progress explain_failure(struct net_tls_layer *tls, struct err *err)
{
    enum {
        HANDSHAKE_RECORD = 22,
        ALERT_RECORD = 21
    }; /* RFC 8446 §5.1 */
    int reason = ERR_GET_REASON(ERR_peek_last_error());

    if (tls->refusal.code != ERR_NONE) {
        *err = tls->refusal;
        return NET_FAILED;
    }
    if (!tls->is_established && tls->has_received && tls->first_octet != HANDSHAKE_RECORD &&
        tls->first_octet != ALERT_RECORD)
        return fail(tls, err, ERR_SYNTAX, "does not speak TLS on this port", NULL);
    if (tls->below.code != ERR_NONE) {
        *err = tls->below;
        return NET_FAILED;
    }
    if (tls->below_has_ended)
        return fail(tls, err, ERR_RETRY, "closed the connection during the TLS handshake", NULL);
    if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION ||
        reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_WRONG_SSL_VERSION)
        return fail(tls, err, ERR_SYNTAX, "offers no TLS version that is accepted (1.2 or later)",
                    net_tls_reason());
    return fail(tls, err, ERR_SYNTAX,
                tls->is_established ? "broke TLS" : "failed the TLS handshake", net_tls_reason());
}

static enum net_progress explain(struct net_tls_layer *tls, int result, struct err *err)
{
    int kind = SSL_get_error(tls->ssl, result);

    if (kind == SSL_ERROR_WANT_READ)
        return NET_WANT_READ;
    if (kind == SSL_ERROR_WANT_WRITE)
        return NET_WANT_WRITE;
    if (kind == SSL_ERROR_ZERO_RETURN)
        return NET_ENDED;
    tls->has_failed = true;
    if (tls->is_established && tls->below_has_ended && tls->below.code == ERR_NONE)
        return NET_ENDED;
    return explain_failure(tls, err);
}

/* ---- the layer ---- */

static enum net_progress tls_handshake(struct net_layer *layer, struct err *err)
{
    struct net_tls_layer *tls = tls_of(layer);
    enum net_progress progress;
    int result;

    if (tls->is_established)
        return NET_DONE;
    ERR_clear_error();
    result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->is_established = true;
        return NET_DONE;
    }
    progress = explain(tls, result, err);
    if (progress == NET_ENDED)
        return fail(tls, err, ERR_RETRY, "closed the connection during the TLS handshake", NULL);
    return progress;
}

static enum net_progress tls_read(struct net_layer *layer, void *ptr, size_t size, size_t *done,
                                  struct err *err)
{
    struct net_tls_layer *tls = tls_of(layer);
    enum net_progress progress = tls_handshake(layer, err);
    int result;

    if (progress != NET_DONE)
        return progress;
    ERR_clear_error();
    result = SSL_read_ex(tls->ssl, ptr, size, done);
    return result == 1 ? NET_DONE : explain(tls, result, err);
}

static enum net_progress tls_write(struct net_layer *layer, const void *ptr, size_t size,
                                   size_t *done, struct err *err)
{
    struct net_tls_layer *tls = tls_of(layer);
    enum net_progress progress = tls_handshake(layer, err);
    int result;

    if (progress != NET_DONE)
        return progress;
    ERR_clear_error();
    result = SSL_write_ex(tls->ssl, ptr, size, done);
    return result == 1 ? NET_DONE : explain(tls, result, err);
}

static bool tls_has_buffered(const struct net_layer *layer)
{
    const struct net_tls_layer *tls = (const struct net_tls_layer *)(const void *)layer;

    return SSL_pending(tls->ssl) > 0;
}

static void tls_close(struct net_layer *layer)
{
    struct net_tls_layer *tls = tls_of(layer);

    if (tls->ssl != NULL && tls->is_established && !tls->has_failed)
        (void)SSL_shutdown(tls->ssl); /* says close_notify, does not wait for the answer */
    SSL_free(tls->ssl);
    ERR_clear_error();
    net_free_tls(&tls->tls);
    free(tls->host);
    free(tls);
}

static const struct net_layer_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .has_buffered = tls_has_buffered,
    .close = tls_close,
};

/* ---- starting ---- */

static void free_layer(struct net_tls_layer **layer)
{
    if (*layer != NULL)
        tls_close(&(*layer)->layer);
    *layer = NULL;
}

static bool create_layer(struct net_tls *tls, struct net_layer *below, const char *host,
                         struct net_tls_layer **out, struct err *err)
{
    CLEANUP(free_layer) struct net_tls_layer *layer = calloc(1, sizeof *layer);
    BIO *bio = NULL;

    if (layer == NULL)
        return err_errno(err, "TLS");
    ERR_clear_error();
    layer->layer = (struct net_layer){ .ops = &tls_ops, .below = below };
    layer->tls = net_hold_tls(tls);
    layer->host = strdup(host);
    layer->ssl = SSL_new(tls->ctx);
    bio = layer->ssl != NULL ? BIO_new(tls->bio_method) : NULL;
    if (bio == NULL || layer->host == NULL) {
        BIO_free(bio);
        return err_fail(err, ERR_SYSTEM, "no memory for TLS");
    }
    BIO_set_data(bio, layer);
    BIO_set_init(bio, 1);
    SSL_set_bio(layer->ssl, bio, bio);
    *out = layer;
    layer = NULL;
    return true;
}

static bool put_on_stream(struct net_stream *stream, struct net_tls *tls, const char *host,
                          struct err *err)
{
    CLEANUP(free_layer) struct net_tls_layer *layer = NULL;

    assert(stream->tls == NULL && !net_has_output(stream));
    if (net_has_buffered(stream))
        return err_fail(err, ERR_DENIED, "%s sent %zu bytes in plain text where TLS should begin",
                        tls->is_server ? "the client" : host, net_peek(stream).len);
    if (!create_layer(tls, stream->top, host, &layer, err))
        return false;
    if (tls->is_server)
        SSL_set_accept_state(layer->ssl);
    else
        SSL_set_connect_state(layer->ssl);
    if (!tls->is_server && !net_expect_host(layer, err))
        return false;
    stream->top = &layer->layer;
    stream->tls = layer;
    layer = NULL;
    return true;
}

bool net_start_tls_client(struct net_stream *stream, struct net_tls *tls, const char *host,
                          struct err *err)
{
    assert(!tls->is_server);
    return put_on_stream(stream, tls, host, err) && net_handshake(stream, err);
}

bool net_start_tls_server(struct net_stream *stream, struct net_tls *tls, struct err *err)
{
    assert(tls->is_server);
    return put_on_stream(stream, tls, "", err);
}

/* ---- facts ---- */

bool net_is_encrypted(const struct net_stream *stream)
{
    return stream->tls != NULL && stream->tls->is_established;
}

void net_describe_tls(const struct net_stream *stream, char text[NET_TLS_TEXT_BYTES])
{
    if (!net_is_encrypted(stream))
        (void)snprintf(text, NET_TLS_TEXT_BYTES, "plain");
    else
        (void)snprintf(text, NET_TLS_TEXT_BYTES, "%s %s", SSL_get_version(stream->tls->ssl),
                       SSL_get_cipher_name(stream->tls->ssl));
}

/* RFC 9266 §4.2: under TLS 1.2 only with the extended master secret. */
static bool get_exporter(SSL *ssl, uint8_t *out, size_t *out_len, struct err *err)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    enum {
        EXPORTER_BYTES = 32
    };

    if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
        return err_fail(err, ERR_ABSENT, "tls-exporter is not defined for this connection");
    if (SSL_export_keying_material(ssl, out, EXPORTER_BYTES, label, sizeof label - 1, NULL, 0, 0) !=
        1)
        return err_fail(err, ERR_SYSTEM, "tls-exporter: %s", net_tls_reason());
    *out_len = EXPORTER_BYTES;
    return true;
}

/* RFC 5929 §4.1: the hash of the certificate's signature, MD5 and SHA-1 replaced by SHA-256. */
static bool get_end_point(SSL *ssl, uint8_t *out, size_t *out_len, struct err *err)
{
    X509 *certificate =
        SSL_is_server(ssl) ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
    int hash_nid = NID_undef;
    const EVP_MD *hash;
    unsigned len = NET_BINDING_MAX_BYTES;

    if (certificate == NULL ||
        OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &hash_nid, NULL) != 1)
        return err_fail(err, ERR_ABSENT, "tls-server-end-point is not defined for this connection");
    if (hash_nid == NID_md5 || hash_nid == NID_sha1)
        hash_nid = NID_sha256;
    hash = EVP_get_digestbynid(hash_nid);
    if (hash == NULL) /* EdDSA and PSS name none */
        return err_fail(err, ERR_ABSENT,
                        "tls-server-end-point is not defined for this certificate");
    if (X509_digest(certificate, hash, out, &len) != 1)
        return err_fail(err, ERR_SYSTEM, "tls-server-end-point: %s", net_tls_reason());
    *out_len = len;
    return true;
}

bool net_get_channel_binding(const struct net_stream *stream, enum net_binding kind,
                             uint8_t out[NET_BINDING_MAX_BYTES], size_t *out_len, struct err *err)
{
    if (!net_is_encrypted(stream))
        return err_fail(err, ERR_ABSENT, "no TLS, no channel binding");
    ERR_clear_error();
    switch (kind) {
    case NET_BINDING_EXPORTER:
        return get_exporter(stream->tls->ssl, out, out_len, err);
    case NET_BINDING_END_POINT:
        return get_end_point(stream->tls->ssl, out, out_len, err);
    }
    UNREACHABLE();
}
