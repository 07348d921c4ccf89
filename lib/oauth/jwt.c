/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/jwt.h"

#include "crypto/base64.h"
#include "crypto/random.h"
#include "oauth/internal.h"

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum {
    RSA_MIN_BITS = 2048, /* RFC 7518 §3.3 */
    SIGNATURE_MAX_BYTES = 2048,
    JTI_BYTES = 16,
};

/* ---- keys and certificates ------------------------------------------------------------------------ */

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key); /* OpenSSL wipes it */
}

static void free_certificate(X509 **certificate)
{
    X509_free(*certificate);
}

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

/* A key with a passphrase must fail, not ask on the terminal. */
static int refuse_passphrase(char *buf, int size, int is_writing, void *user)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

static EVP_PKEY *read_key(struct bytes pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);

    ERR_clear_error();
    return key;
}

static X509 *read_certificate(struct bytes pem)
{
    CLEANUP(free_bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

    ERR_clear_error();
    return certificate;
}

bool oauth_check_key(struct bytes pem, struct err *err)
{
    CLEANUP(free_key) EVP_PKEY *key = read_key(pem);

    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(key) < RSA_MIN_BITS)
        return err_fail(err, ERR_SYNTAX,
                        "an RSA private key in PEM, of %d bits or more and without passphrase, "
                        "expected",
                        RSA_MIN_BITS);
    return true;
}

bool oauth_check_certificate(struct bytes pem, struct err *err)
{
    CLEANUP(free_certificate) X509 *certificate = read_certificate(pem);

    return certificate != NULL || err_fail(err, ERR_SYNTAX, "a certificate in PEM expected");
}

bool oauth_check_pair(struct bytes certificate, struct bytes key, struct err *err)
{
    CLEANUP(free_certificate) X509 *read = read_certificate(certificate);
    CLEANUP(free_key) EVP_PKEY *private = read_key(key);
    bool fits = read != NULL && private != NULL && X509_check_private_key(read, private) == 1;

    ERR_clear_error();
    return fits || err_fail(err, ERR_SYNTAX, "\"private_key\" does not belong to \"certificate\"");
}

/* ---- signing -------------------------------------------------------------------------------------- */

void oauth_wipe_buf(struct buf *buf)
{
    secret_wipe(buf->ptr, buf->cap);
    buf_free(buf);
}

void oauth_write_base64url(struct buf *out, struct bytes octets)
{
    size_t from = out->len;

    crypto_write_base64(out, octets);
    if (out->has_failed)
        return;
    while (out->len > from && out->ptr[out->len - 1] == '=')
        out->len--;
    for (size_t i = from; i < out->len; i++) {
        if (out->ptr[i] == '+')
            out->ptr[i] = '-';
        else if (out->ptr[i] == '/')
            out->ptr[i] = '_';
    }
}

static bool sign(EVP_PKEY *key, struct bytes text, struct buf *out, struct err *err)
{
    CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t signature[SIGNATURE_MAX_BYTES];
    size_t len = sizeof signature;

    if (context == NULL || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &len, text.ptr, text.len) != 1) {
        ERR_clear_error();
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot sign with this key");
    }
    oauth_write_base64url(out, bytes_of(signature, len));
    return true;
}

bool oauth_sign_jwt(struct bytes key, struct bytes header, struct bytes payload, struct buf *out,
                    struct err *err)
{
    CLEANUP(free_key) EVP_PKEY *private = read_key(key);
    CLEANUP(buf_free) struct buf text = buf_create(OAUTH_JWT_MAX_BYTES);
    struct bytes octets;

    if (private == NULL)
        return err_fail(err, ERR_SYNTAX, "not a private key");
    oauth_write_base64url(&text, header);
    buf_byte(&text, '.');
    oauth_write_base64url(&text, payload);
    if (!buf_done(&text, &octets, err))
        return err_wrap(err, "JWT");
    buf_append(out, octets);
    buf_byte(out, '.');
    return sign(private, octets, out, err) && buf_done(out, &octets, err);
}

/* ---- the two assertions ----------------------------------------------------------------------------- */

/* RFC 7515 §4.1.7 and §4.1.8: hashes of the DER form. */
static bool add_thumbprint(json_t *header, const char *name, const X509 *certificate,
                           const EVP_MD *hash)
{
    CLEANUP(buf_free) struct buf text = buf_create(2 * EVP_MAX_MD_SIZE);
    uint8_t octets[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (X509_digest(certificate, hash, octets, &len) != 1)
        return false;
    oauth_write_base64url(&text, bytes_of(octets, len));
    return json_object_set_new(header, name, json_stringn((const char *)text.ptr, text.len)) == 0;
}

static json_t *make_header(const struct oauth_grant *grant)
{
    const char *pem = oauth_get_field(grant, OAUTH_CERTIFICATE);
    const char *key_id = oauth_get_field(grant, OAUTH_PRIVATE_KEY_ID);
    CLEANUP(free_certificate)
    X509 *certificate = pem == NULL ? NULL : read_certificate(bytes_of_text(pem));
    json_t *header = json_pack("{s:s, s:s, s:s*}", "alg", "RS256", "typ", "JWT", "kid", key_id);

    if (header != NULL && certificate != NULL &&
        (!add_thumbprint(header, "x5t", certificate, EVP_sha1()) ||
         !add_thumbprint(header, "x5t#S256", certificate, EVP_sha256()))) {
        json_decref(header);
        return NULL;
    }
    return header;
}

static void make_jti(char text[2 * JTI_BYTES + 1])
{
    uint8_t octets[JTI_BYTES];
    static const char digits[] = "0123456789abcdef";

    crypto_fill_random(octets, sizeof octets);
    for (size_t i = 0; i < sizeof octets; i++) {
        text[2 * i] = digits[octets[i] >> 4];
        text[2 * i + 1] = digits[octets[i] & 15];
    }
    text[2 * JTI_BYTES] = '\0';
}

static int append(const char *octets, size_t len, void *buf)
{
    buf_append(buf, bytes_of(octets, len));
    return 0;
}

/* Takes both values. */
static bool sign_json(const struct oauth_grant *grant, json_t *header, json_t *payload,
                      struct buf *out, struct err *err)
{
    CLEANUP(buf_free) struct buf head = buf_create(OAUTH_JWT_MAX_BYTES);
    CLEANUP(buf_free) struct buf body = buf_create(OAUTH_JWT_MAX_BYTES);
    bool is_made = header != NULL && payload != NULL &&
                   json_dump_callback(header, append, &head, JSON_COMPACT) == 0 &&
                   json_dump_callback(payload, append, &body, JSON_COMPACT) == 0;

    json_decref(header);
    json_decref(payload);
    if (!is_made)
        return err_fail(err, ERR_SYSTEM, "JWT: no memory, or a text that is not UTF-8");
    return oauth_sign_jwt(bytes_of_text(oauth_get_field(grant, OAUTH_PRIVATE_KEY)),
                          buf_bytes(&head), buf_bytes(&body), out, err);
}

static const char *audience_of(const struct oauth_grant *grant)
{
    const char *audience = oauth_get_field(grant, OAUTH_AUDIENCE);

    return audience != NULL ? audience : oauth_get_field(grant, OAUTH_TOKEN_URL);
}

bool oauth_make_client_assertion(const struct oauth_grant *grant, int64_t now_usec, struct buf *out,
                                 struct err *err)
{
    const char *client = oauth_get_field(grant, OAUTH_CLIENT_ID);
    json_int_t now = now_usec / 1000000;
    char jti[2 * JTI_BYTES + 1];

    make_jti(jti);
    return sign_json(grant, make_header(grant),
                     json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "iss", client, "sub", client,
                               "aud", audience_of(grant), "jti", jti, "iat", now, "nbf", now, "exp",
                               now + OAUTH_CLIENT_ASSERTION_SECONDS),
                     out, err);
}

bool oauth_make_mailbox_assertion(const struct oauth_grant *grant, struct bytes mailbox,
                                  int64_t now_usec, struct buf *out, struct err *err)
{
    const char *scope = oauth_get_field(grant, OAUTH_SCOPE);
    json_int_t now = now_usec / 1000000;

    return sign_json(grant, make_header(grant),
                     json_pack("{s:s, s:o, s:s*, s:s, s:I, s:I}", "iss",
                               oauth_get_field(grant, OAUTH_ISSUER), "sub",
                               json_stringn((const char *)mailbox.ptr, mailbox.len), "scope", scope,
                               "aud", audience_of(grant), "iat", now, "exp",
                               now + OAUTH_MAILBOX_ASSERTION_SECONDS),
                     out, err);
}
