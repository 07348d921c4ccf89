/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/tls.h - TLS 1.2 and later on a stream, client and server (OpenSSL 3).
 *
 * A context (struct net_tls) holds what many connections share: trusted CAs, or certificate and
 * key. It is counted: a stream keeps its context alive, so that a renewed certificate is a new
 * context for new connections while old ones finish with the old. Contexts may be shared between
 * threads. Implicit TLS is net_start_tls_* right after connect or accept; STARTTLS the same call
 * after the "OK".
 */
#pragma once

#include "net/stream.h"

struct net_tls;

/*
 * ca_file  PEM file whose certificates are trusted INSTEAD OF the system's store (a server's own
 *          self-signed certificate is enough); NULL: the system's store.
 */
MUST_USE bool net_create_tls_client(const char *ca_file, struct net_tls **out, struct err *err);

/*
 * Pins: SHA-256 of a key as its SubjectPublicKeyInfo (RFC 7469 §2.4), written "sha256/BASE64". With pins
 * a client accepts a certificate only when a key of its verified chain is pinned, or, with
 * is_instead_of_chain, when its own key is: then CA, host name and dates do not matter, the key is who
 * the server is. Before the context is shared.
 */
enum {
    NET_PINS_MAX = 8,
    NET_PIN_BYTES = 32,
    NET_PIN_TEXT_BYTES = 52, /* with the NUL */
};
struct net_pin {
    uint8_t sha256[NET_PIN_BYTES];
};
/* ERR_SYNTAX */
MUST_USE bool net_read_pin(struct bytes text, struct net_pin *out, struct err *err);
void net_write_pin(const struct net_pin *pin, char text[NET_PIN_TEXT_BYTES]);
void net_pin_tls_client(struct net_tls *tls, const struct net_pin *pins, size_t count,
                        bool is_instead_of_chain); /* at most NET_PINS_MAX */

/*
 * A client that proves who it is (RFC 4422 appendix A, EXTERNAL). pem: its certificate, then those of its
 * chain, and its private key. Before the context is shared. ERR_SYNTAX: they are none, or do not belong
 * together.
 */
MUST_USE bool net_identify_tls_client(struct net_tls *tls, struct bytes pem, struct err *err);

/* PEM files: the certificate with its chain, and its private key. ERR_ABSENT, ERR_DENIED or
 * ERR_SYNTAX with a text that names the file. To reload, create another context. */
MUST_USE bool net_create_tls_server(const char *cert_file, const char *key_file,
                                    struct net_tls **out, struct err *err);
void net_free_tls(struct net_tls **tls);

/*
 * Client: shakes hands, verifies the chain and that the certificate is for host (a name, or an IPv4
 * or IPv6 literal without brackets). Waits as the stream's other calls do.
 *
 * ERR_DENIED  the certificate is refused, or octets arrived before TLS began (an injected answer to
 *             a command). The text says which and what to do about it.
 * ERR_SYNTAX  the peer does not speak TLS on this port, or no version of it that we accept.
 * ERR_RETRY   the connection broke or stalled.
 */
MUST_USE bool net_start_tls_client(struct net_stream *stream, struct net_tls *tls, const char *host,
                                   struct err *err);

/*
 * Server: puts TLS on the stream. Does no I/O; then net_try_handshake until it says NET_DONE, or
 * net_handshake. ERR_DENIED when octets arrived behind STARTTLS (RFC 9051 §6.2.1).
 */
MUST_USE bool net_start_tls_server(struct net_stream *stream, struct net_tls *tls, struct err *err);
MUST_USE bool net_handshake(struct net_stream *stream, struct err *err); /* waits */

bool net_is_encrypted(const struct net_stream *stream); /* TLS, handshake over */

/* "TLSv1.3 TLS_AES_256_GCM_SHA384", "plain" without TLS; borrowed text copied into text. */
enum {
    NET_TLS_TEXT_BYTES = 96
};
void net_describe_tls(const struct net_stream *stream, char text[NET_TLS_TEXT_BYTES]);

/* Channel binding for SCRAM-*-PLUS. The exporter (RFC 9266) is 32 octets. */
enum net_binding {
    NET_BINDING_EXPORTER,  /* "tls-exporter", RFC 9266; also under TLS 1.2 with extended secret */
    NET_BINDING_END_POINT, /* "tls-server-end-point", RFC 5929 §4: hash of the certificate */
};
enum {
    NET_BINDING_MAX_BYTES = 64
};

/* ERR_ABSENT: the stream has no TLS, or this binding is not defined for it. */
MUST_USE bool net_get_channel_binding(const struct net_stream *stream, enum net_binding kind,
                                      uint8_t out[NET_BINDING_MAX_BYTES], size_t *out_len,
                                      struct err *err);
