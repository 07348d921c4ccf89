/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned keys (RFC 7469 §2.4): read, written, and looked for in a server's certificates. */
#include "net/tls_internal.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

enum {
    BASE64_BYTES = 44,  /* of 32 octets */
    DECODED_BYTES = 33, /* EVP_DecodeBlock counts the padding */
};

static const struct bytes prefix = BYTES_INIT("sha256/");

void net_write_pin(const struct net_pin *pin, char text[NET_PIN_TEXT_BYTES])
{
    unsigned char base64[BASE64_BYTES + 1];

    (void)EVP_EncodeBlock(base64, pin->sha256, NET_PIN_BYTES);
    (void)snprintf(text, NET_PIN_TEXT_BYTES, "sha256/%s", (const char *)base64);
}

bool net_read_pin(struct bytes text, struct net_pin *out, struct err *err)
{
    struct bytes rest = text;
    unsigned char octets[DECODED_BYTES];
    char again[NET_PIN_TEXT_BYTES];
    struct net_pin pin;

    if (scan_text(&rest, prefix) && rest.len == BASE64_BYTES &&
        EVP_DecodeBlock(octets, rest.ptr, BASE64_BYTES) == DECODED_BYTES) {
        memcpy(pin.sha256, octets, NET_PIN_BYTES);
        net_write_pin(&pin, again);
        if (bytes_equal(text, bytes_of_text(again))) {
            *out = pin;
            return true;
        }
    }
    return err_fail(err, ERR_SYNTAX,
                    "a pin is sha256/ and the base64 of the SHA-256 of a public key "
                    "(SubjectPublicKeyInfo)");
}

static bool get_pin(X509 *certificate, struct net_pin *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool is_hashed =
        len > 0 && EVP_Digest(der, (size_t)len, out->sha256, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return is_hashed;
}

static bool is_pinned(const struct net_tls *tls, X509 *certificate)
{
    struct net_pin pin;

    if (certificate == NULL || !get_pin(certificate, &pin))
        return false;
    for (size_t i = 0; i < tls->pin_count; i++)
        if (memcmp(pin.sha256, tls->pins[i].sha256, NET_PIN_BYTES) == 0)
            return true;
    return false;
}

static bool is_chain_pinned(const struct net_tls *tls, X509_STORE_CTX *store)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);

    for (int i = 0; i < sk_X509_num(chain); i++)
        if (is_pinned(tls, sk_X509_value(chain, i)))
            return true;
    return false;
}

static void refuse_key(struct net_tls_layer *layer, X509 *certificate)
{
    char text[NET_PIN_TEXT_BYTES] = "unreadable";
    struct net_pin pin;

    if (certificate != NULL && get_pin(certificate, &pin))
        net_write_pin(&pin, text);
    (void)err_fail(&layer->refusal, ERR_DENIED,
                   "certificate of %s has none of the keys given with --tls-pin: its key is %s; "
                   "give that only if whoever runs the server confirms it",
                   layer->host, text);
}

/* In place of X509_verify_cert, which is part of it unless the pin stands instead of the chain. */
static int on_verify(X509_STORE_CTX *store, void *context)
{
    const struct net_tls *tls = context;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    bool is_right;

    if (!tls->is_pin_instead_of_chain && X509_verify_cert(store) != 1)
        return 0;
    is_right =
        tls->is_pin_instead_of_chain ? is_pinned(tls, certificate) : is_chain_pinned(tls, store);
    if (!is_right) {
        refuse_key(SSL_get_app_data(ssl), certificate);
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

void net_pin_tls_client(struct net_tls *tls, const struct net_pin *pins, size_t count,
                        bool is_instead_of_chain)
{
    assert(!tls->is_server && count > 0 && count <= NET_PINS_MAX);
    memcpy(tls->pins, pins, count * sizeof *pins);
    tls->pin_count = count;
    tls->is_pin_instead_of_chain = is_instead_of_chain;
    SSL_CTX_set_cert_verify_callback(tls->ctx, on_verify, tls);
}
