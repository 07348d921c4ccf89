/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/sign.h"

#include "base/secret.h"
#include "crypto/internal.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* The private key is OpenSSL's, under our name. */
static EVP_PKEY *pkey_of(const struct crypto_signer *signer)
{
    return (EVP_PKEY *)(uintptr_t)(const void *)signer;
}

static void free_pkey(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
    *bio = NULL;
}

static void free_digest(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
    *context = NULL;
}

static struct bytes bio_bytes(BIO *bio)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);

    return bytes_of(text, len > 0 ? (size_t)len : 0);
}

static int refuse_passphrase(char *buf, int size, int is_writing, void *user)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

bool crypto_create_signing_key_file(const char *path, struct err *err)
{
    CLEANUP(free_pkey) EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_secmem());

    if (pkey == NULL || bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot make an Ed25519 key");
    return crypto_create_private_file(path, bio_bytes(bio), err);
}

bool crypto_load_signing_key_file(const char *path, struct crypto_signer **out, struct err *err)
{
    CLEANUP(crypto_wipe_buf) struct buf pem = buf_create(8192);
    CLEANUP(free_bio) BIO *bio = NULL;
    CLEANUP(free_pkey) EVP_PKEY *pkey = NULL;

    if (!crypto_load_private_file(path, &pem, err))
        return err_wrap(err, "signing key");
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory for a key");
    pkey = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    ERR_clear_error();
    if (pkey == NULL || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        return err_fail(err, ERR_CORRUPT, "signing key: %s is not a PEM Ed25519 private key", path);
    *out = (struct crypto_signer *)(void *)pkey;
    pkey = NULL;
    return true;
}

void crypto_free_signer(struct crypto_signer **signer)
{
    EVP_PKEY_free(pkey_of(*signer)); /* OpenSSL wipes it */
    *signer = NULL;
}

static struct crypto_public_key public_of(const EVP_PKEY *pkey)
{
    struct crypto_public_key key;
    size_t len = sizeof key.octets;

    crypto_must(EVP_PKEY_get_raw_public_key(pkey, key.octets, &len));
    return key;
}

struct crypto_public_key crypto_get_public_key(const struct crypto_signer *signer)
{
    return public_of(pkey_of(signer));
}

bool crypto_sign(const struct crypto_signer *signer, struct bytes octets,
                 struct crypto_signature *out, struct err *err)
{
    CLEANUP(free_digest) EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct crypto_signature signature;
    size_t len = sizeof signature.octets;

    if (context == NULL || EVP_DigestSignInit(context, NULL, NULL, NULL, pkey_of(signer)) != 1 ||
        EVP_DigestSign(context, signature.octets, &len, octets.ptr, octets.len) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot sign");
    *out = signature;
    return true;
}

bool crypto_verify(const struct crypto_public_key *key, struct bytes octets,
                   const struct crypto_signature *signature, struct err *err)
{
    CLEANUP(free_pkey)
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->octets, sizeof key->octets);
    CLEANUP(free_digest) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (pkey == NULL || context == NULL ||
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) != 1)
        return err_fail(err, ERR_SYSTEM, "OpenSSL cannot verify signatures");
    if (EVP_DigestVerify(context, signature->octets, sizeof signature->octets, octets.ptr,
                         octets.len) != 1) {
        ERR_clear_error();
        return err_fail(err, ERR_CORRUPT, "the signature does not fit");
    }
    return true;
}

void crypto_write_public_key(struct buf *out, const struct crypto_public_key *key)
{
    CLEANUP(free_pkey)
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->octets, sizeof key->octets);
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());

    crypto_must(pkey != NULL && bio != NULL);
    crypto_must(PEM_write_bio_PUBKEY(bio, pkey));
    buf_append(out, bio_bytes(bio));
}

bool crypto_read_public_key(struct bytes pem, struct crypto_public_key *out, struct err *err)
{
    CLEANUP(free_bio) BIO *bio = NULL;
    CLEANUP(free_pkey) EVP_PKEY *pkey = NULL;

    if (pem.len > 0 && pem.len <= INT32_MAX)
        bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (bio != NULL)
        pkey = PEM_read_bio_PUBKEY(bio, NULL, refuse_passphrase, NULL);
    ERR_clear_error();
    if (pkey == NULL || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519)
        return err_fail(err, ERR_SYNTAX, "not a PEM Ed25519 public key");
    *out = public_of(pkey);
    return true;
}

struct crypto_sha256 crypto_fingerprint(const struct crypto_public_key *key)
{
    CLEANUP(free_pkey)
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->octets, sizeof key->octets);
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());

    crypto_must(pkey != NULL && bio != NULL);
    crypto_must(i2d_PUBKEY_bio(bio, pkey));
    return crypto_hash(bio_bytes(bio));
}
