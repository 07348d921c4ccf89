/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"

#include "base/fd.h"
#include "crypto/internal.h"
#include "crypto/random.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HOST_NAME_BYTES = 256,
    SERIAL_BYTES = 16,
    SECONDS_PER_HOUR = 3600,
    SECONDS_PER_DAY = 86400
};

struct names {
    const char *at[CRYPTO_CERTIFICATE_NAMES_MAX + 4]; /* borrowed; with our own */
    size_t count;
};

static void free_pkey(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
}

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
    *certificate = NULL;
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
    *bio = NULL;
}

static void free_general_names(GENERAL_NAMES **names)
{
    GENERAL_NAMES_free(*names);
    *names = NULL;
}

static void add_name(struct names *names, const char *name)
{
    if (name[0] == '\0')
        return;
    for (size_t i = 0; i < names->count; i++)
        if (bytes_equal_nocase(bytes_of_text(names->at[i]), bytes_of_text(name)))
            return;
    names->at[names->count++] = name;
}

static GENERAL_NAME *make_general_name(const char *name)
{
    struct in6_addr v6;
    bool is_address = inet_pton(AF_INET, name, &v6) == 1 || inet_pton(AF_INET6, name, &v6) == 1;

    /* a2i reads "IP:" and "DNS:" values; ours hold no commas, it takes them one by one. */
    return a2i_GENERAL_NAME(NULL, NULL, NULL, is_address ? GEN_IPADD : GEN_DNS, name, 0);
}

static bool add_alternative_names(X509 *certificate, const struct names *names, struct err *err)
{
    CLEANUP(free_general_names) GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();

    if (list == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a certificate");
    for (size_t i = 0; i < names->count; i++) {
        GENERAL_NAME *name = make_general_name(names->at[i]);

        if (name == NULL || sk_GENERAL_NAME_push(list, name) == 0) {
            GENERAL_NAME_free(name);
            return err_fail(err, ERR_SYNTAX, "certificate: %s is not a host name", names->at[i]);
        }
    }
    if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot add names to a certificate");
    return true;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool is_added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    is_added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool set_serial(X509 *certificate)
{
    uint8_t octets[SERIAL_BYTES];
    BIGNUM *number;
    bool is_set;

    crypto_fill_random(octets, sizeof octets);
    octets[0] &= 0x7f;
    number = BN_bin2bn(octets, sizeof octets, NULL);
    is_set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_set;
}

static bool build(EVP_PKEY *pkey, const struct names *names, X509 **out, struct err *err)
{
    CLEANUP(free_certificate) X509 *certificate = X509_new();
    X509_NAME *subject = certificate != NULL ? X509_get_subject_name(certificate) : NULL;
    bool is_built =
        subject != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        set_serial(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -SECONDS_PER_HOUR) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(certificate),
                        (long)CRYPTO_CERTIFICATE_DAYS * SECONDS_PER_DAY) != NULL &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)"Holdfast", -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(certificate, subject) == 1 &&
        X509_set_pubkey(certificate, pkey) == 1 &&
        /* Clients import it as a CA or as a server's certificate; it serves as both. */
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(certificate, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
        add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
        add_extension(certificate, NID_subject_key_identifier, "hash");

    if (!is_built)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot make a certificate");
    if (!add_alternative_names(certificate, names, err))
        return false;
    if (X509_sign(certificate, pkey, EVP_sha256()) == 0)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot sign a certificate");
    *out = certificate;
    certificate = NULL;
    return true;
}

static struct bytes bio_bytes(BIO *bio)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);

    return bytes_of(text, len > 0 ? (size_t)len : 0);
}

static bool write_files(EVP_PKEY *pkey, X509 *certificate, const char *cert_path,
                        const char *key_path, struct err *err)
{
    CLEANUP(free_bio) BIO *key_pem = BIO_new(BIO_s_secmem());
    CLEANUP(free_bio) BIO *cert_pem = BIO_new(BIO_s_mem());

    if (key_pem == NULL || cert_pem == NULL || PEM_write_bio_X509(cert_pem, certificate) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_pem, pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot write a certificate");
    if (!crypto_create_private_file(key_path, bio_bytes(key_pem), err))
        return false;
    if (!file_write_atomic(cert_path, bio_bytes(cert_pem), 0644, err)) {
        (void)unlink(key_path); /* or the next attempt would find half a pair */
        return false;
    }
    return true;
}

bool crypto_make_certificate(const char *const *names, size_t count, const char *cert_path,
                             const char *key_path, struct err *err)
{
    CLEANUP(free_pkey) EVP_PKEY *pkey = NULL;
    CLEANUP(free_certificate) X509 *certificate = NULL;
    char host_name[HOST_NAME_BYTES] = "";
    struct names all = { 0 };
    struct stat st;

    if (count > CRYPTO_CERTIFICATE_NAMES_MAX)
        return err_fail(err, ERR_LIMIT, "certificate for %zu names, at most %d", count,
                        CRYPTO_CERTIFICATE_NAMES_MAX);
    if (lstat(cert_path, &st) == 0)
        return err_fail(err, ERR_DENIED, "%s exists already and is not replaced", cert_path);
    (void)gethostname(host_name, sizeof host_name - 1);
    add_name(&all, "localhost");
    add_name(&all, "127.0.0.1");
    add_name(&all, "::1");
    add_name(&all, host_name);
    for (size_t i = 0; i < count; i++)
        add_name(&all, names[i]);
    pkey = EVP_EC_gen("P-256");
    if (pkey == NULL)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot make a P-256 key");
    return build(pkey, &all, &certificate, err) &&
           write_files(pkey, certificate, cert_path, key_path, err);
}
