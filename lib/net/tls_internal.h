/* SPDX-License-Identifier: Apache-2.0 */
/* net/tls_internal.h - what the files tls*.c share; the only OpenSSL in lib/net. */
#pragma once

#include "net/internal.h"
#include "net/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

struct net_tls {
    atomic_uint holders;
    SSL_CTX *ctx;
    BIO_METHOD *bio_method; /* octets of the layer below */
    bool is_server;
    bool has_own_ca; /* trusts a file instead of the system's store */
    struct net_pin pins[NET_PINS_MAX];
    size_t pin_count; /* 0: any key */
    bool is_pin_instead_of_chain;
};

struct net_tls_layer {
    struct net_layer layer; /* first: the ops cast */
    struct net_tls *tls;    /* held */
    SSL *ssl;
    struct err below;   /* why the layer below failed, if it did */
    struct err refusal; /* why the peer's certificate was refused, if it was */
    bool below_has_ended;
    bool has_received;   /* first_octet is set */
    uint8_t first_octet; /* tells whether the peer speaks TLS at all */
    bool is_established;
    bool has_failed; /* no close_notify then */
    char *host;      /* owned; client: whom the certificate must name */
};

struct net_tls *net_hold_tls(struct net_tls *tls);
BIO_METHOD *net_create_bio_method(void);

/* Text of OpenSSL's last error in this thread. Borrowed, constant. */
const char *net_tls_reason(void);

/* tls_verify.c: asks OpenSSL to verify chain and name, refusals to be told in layer->refusal. */
MUST_USE bool net_expect_host(struct net_tls_layer *layer, struct err *err);
