/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"
#include "fixture.h"
#include "test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

static X509 *read_certificate(const char *path)
{
    FILE *file = fopen(path, "r");
    X509 *certificate;

    CHECK(file != NULL);
    certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    CHECK(certificate != NULL);
    return certificate;
}

TEST(a_certificate_is_for_this_machine_and_the_names_given)
{
    static const char *const names[] = { "archive.example", "192.0.2.7", "LOCALHOST" };
    const char *cert_path = fixture_path("tls.crt");
    const char *key_path = fixture_path("tls.key");
    X509 *certificate;
    GENERAL_NAMES *all;
    EVP_PKEY *key;
    FILE *file;
    struct stat st;
    struct err err = { 0 };

    CHECK(crypto_make_certificate(names, ARRAY_LEN(names), cert_path, key_path, &err));
    CHECK(stat(key_path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    certificate = read_certificate(cert_path);
    CHECK(X509_check_host(certificate, "localhost", 0, 0, NULL) == 1);
    CHECK(X509_check_host(certificate, "archive.example", 0, 0, NULL) == 1);
    CHECK(X509_check_host(certificate, "other.example", 0, 0, NULL) == 0);
    CHECK(X509_check_ip_asc(certificate, "127.0.0.1", 0) == 1);
    CHECK(X509_check_ip_asc(certificate, "::1", 0) == 1);
    CHECK(X509_check_ip_asc(certificate, "192.0.2.7", 0) == 1);
    all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    CHECK(sk_GENERAL_NAME_num(all) <= 6); /* LOCALHOST is not named twice */
    GENERAL_NAMES_free(all);
    CHECK(X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0);
    CHECK(X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0);
    file = fopen(key_path, "r");
    key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    (void)fclose(file);
    CHECK(X509_check_private_key(certificate, key) == 1);
    CHECK(X509_verify(certificate, key) == 1);
    EVP_PKEY_free(key);
    X509_free(certificate);
}

TEST(existing_files_are_kept)
{
    const char *cert_path = fixture_path("kept.crt");
    const char *key_path = fixture_path("kept.key");
    struct err err = { 0 };
    struct stat st;

    fixture_write(cert_path, "mine", 0644);
    CHECK(!crypto_make_certificate(NULL, 0, cert_path, key_path, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(stat(key_path, &st) != 0);
    fixture_write(key_path, "mine", 0600);
    CHECK(!crypto_make_certificate(NULL, 0, fixture_path("new.crt"), key_path, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}
