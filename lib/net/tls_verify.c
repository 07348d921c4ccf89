/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a server's certificate is accepted, and if not, a text that says why and what to do. */
#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum {
    NAMES_TEXT_BYTES = 200,
    NAMES_SHOWN = 4,
    DATE_TEXT_BYTES = 16
};

static void append_text(char *text, size_t size, const char *more, size_t more_len)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < more_len && len + 1 < size; i++)
        text[len++] = more[i] > 0x20 && more[i] < 0x7f ? more[i] : '?';
    text[len] = '\0';
}

static void append_name(char *text, const GENERAL_NAME *name)
{
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, NULL);
    char address[INET6_ADDRSTRLEN] = "";
    int len = ASN1_STRING_length(value);

    if (name->type == GEN_IPADD) {
        if (len == 4 || len == 16) /* whoever made the certificate may have put anything there */
            (void)inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), address,
                            sizeof address);
        append_text(text, NAMES_TEXT_BYTES, address, strlen(address));
        return;
    }
    append_text(text, NAMES_TEXT_BYTES, (const char *)ASN1_STRING_get0_data(value), (size_t)len);
}

/* The names that the certificate is for: "a.example, b.example". */
static void list_names(const X509 *certificate, char text[NAMES_TEXT_BYTES])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int shown = 0;

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && shown < NAMES_SHOWN; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        if (shown++ > 0)
            (void)snprintf(text + strlen(text), NAMES_TEXT_BYTES - strlen(text), ", ");
        append_name(text, name);
    }
    GENERAL_NAMES_free(names);
    if (shown == 0)
        (void)snprintf(text, NAMES_TEXT_BYTES, "no host name at all");
}

static void format_date(const ASN1_TIME *when, char text[DATE_TEXT_BYTES])
{
    struct tm tm;

    (void)snprintf(text, DATE_TEXT_BYTES, "?");
    if (when != NULL && ASN1_TIME_to_tm(when, &tm) == 1)
        (void)strftime(text, DATE_TEXT_BYTES, "%Y-%m-%d", &tm);
}

static void refuse_untrusted(struct net_tls_layer *layer, int code, struct err *err)
{
    const char *remedy = layer->tls->has_own_ca ? "the file given with --tls-ca is not its CA"
                                                : "give its CA with --tls-ca FILE";

    (void)err_fail(err, ERR_DENIED, "certificate of %s is not trusted (%s); %s", layer->host,
                   X509_verify_cert_error_string(code), remedy);
}

static void refuse_name(struct net_tls_layer *layer, const X509 *certificate, struct err *err)
{
    char names[NAMES_TEXT_BYTES];

    list_names(certificate, names);
    (void)err_fail(err, ERR_DENIED,
                   "certificate of %s is for another host name: it names %s; "
                   "use the name that the certificate has",
                   layer->host, names);
}

static void refuse_date(struct net_tls_layer *layer, const X509 *certificate, bool has_expired,
                        struct err *err)
{
    char date[DATE_TEXT_BYTES];

    if (has_expired) {
        format_date(X509_get0_notAfter(certificate), date);
        (void)err_fail(
            err, ERR_DENIED,
            "certificate of %s has expired on %s; whoever runs that server must renew it",
            layer->host, date);
        return;
    }
    format_date(X509_get0_notBefore(certificate), date);
    (void)err_fail(err, ERR_DENIED,
                   "certificate of %s is not valid before %s; is this machine's clock right?",
                   layer->host, date);
}

static void refuse(struct net_tls_layer *layer, X509_STORE_CTX *store, struct err *err)
{
    const X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int code = X509_STORE_CTX_get_error(store);

    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        refuse_date(layer, certificate, code == X509_V_ERR_CERT_HAS_EXPIRED, err);
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        refuse_name(layer, certificate, err);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        refuse_untrusted(layer, code, err);
        return;
    default:
        (void)err_fail(err, ERR_DENIED, "certificate of %s is refused (%s)", layer->host,
                       X509_verify_cert_error_string(code));
    }
}

/* OpenSSL asks at each finding; the first that is not good decides. */
static int on_verified(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct net_tls_layer *layer = SSL_get_app_data(ssl);

    if (!is_good && layer->refusal.code == ERR_NONE)
        refuse(layer, store, &layer->refusal);
    return is_good;
}

bool net_expect_host(struct net_tls_layer *layer, struct err *err)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(layer->ssl);
    struct in6_addr address;
    size_t len = strlen(layer->host);
    bool is_address = inet_pton(AF_INET, layer->host, &address) == 1 ||
                      inet_pton(AF_INET6, layer->host, &address) == 1;
    bool is_set;

    if (len > 0 && layer->host[len - 1] == '.') /* "mail.example." is the same name */
        layer->host[--len] = '\0';
    if (len == 0)
        return err_fail(err, ERR_SYNTAX, "TLS needs a host name to verify");
    (void)SSL_set_app_data(layer->ssl, layer);
    SSL_set_verify(layer->ssl, SSL_VERIFY_PEER, on_verified);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address)
        is_set = X509_VERIFY_PARAM_set1_ip_asc(param, layer->host) == 1;
    else
        is_set = X509_VERIFY_PARAM_set1_host(param, layer->host, len) == 1 &&
                 SSL_set_tlsext_host_name(layer->ssl, layer->host) == 1;
    if (!is_set)
        return err_fail(err, ERR_SYNTAX, "%s is not a host name", layer->host);
    return true;
}
