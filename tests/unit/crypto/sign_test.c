/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "crypto/sign.h"
#include "fixture.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct crypto_signer *make_signer(const char *name)
{
    const char *path = fixture_path(name);
    struct crypto_signer *signer = NULL;
    struct err err = { 0 };

    CHECK(crypto_create_signing_key_file(path, &err));
    CHECK(crypto_load_signing_key_file(path, &signer, &err));
    return signer;
}

TEST(a_signature_verifies_and_any_change_is_found)
{
    CLEANUP(crypto_free_signer) struct crypto_signer *signer = make_signer("a.pem");
    struct crypto_public_key key = crypto_get_public_key(signer);
    struct crypto_signature signature;
    struct err err = { 0 };

    CHECK(crypto_sign(signer, BYTES("the chain"), &signature, &err));
    CHECK(crypto_verify(&key, BYTES("the chain"), &signature, &err));
    CHECK(!crypto_verify(&key, BYTES("the chaim"), &signature, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    for (size_t i = 0; i < sizeof signature.octets; i++) {
        signature.octets[i] ^= 1;
        CHECK(!crypto_verify(&key, BYTES("the chain"), &signature, &err));
        signature.octets[i] ^= 1;
    }
    key.octets[0] ^= 1;
    CHECK(!crypto_verify(&key, BYTES("the chain"), &signature, &err));
}

TEST(nothing_can_be_signed_too)
{
    CLEANUP(crypto_free_signer) struct crypto_signer *signer = make_signer("empty.pem");
    struct crypto_public_key key = crypto_get_public_key(signer);
    struct crypto_signature signature;
    struct err err = { 0 };

    CHECK(crypto_sign(signer, BYTES(""), &signature, &err));
    CHECK(crypto_verify(&key, BYTES(""), &signature, &err));
}

TEST(a_signature_of_rfc_8032_verifies)
{
    struct crypto_public_key key = {
        /* RFC 8032 §7.1, TEST 2 */
        { 0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a,
          0xa7, 0x4d, 0x1b, 0x7e, 0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4,
          0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4, 0x66, 0x0c }
    };
    struct crypto_signature signature = {
        { 0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
          0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76,
          0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08, 0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99,
          0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae,
          0xb4, 0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00 }
    };
    struct err err = { 0 };

    CHECK(crypto_verify(&key, BYTES("\x72"), &signature, &err));
}

TEST(a_public_key_survives_pem)
{
    CLEANUP(crypto_free_signer) struct crypto_signer *signer = make_signer("pem.pem");
    struct crypto_public_key key = crypto_get_public_key(signer);
    struct crypto_public_key back = { { 0 } };
    CLEANUP(buf_free) struct buf pem = buf_create(1000);
    struct err err = { 0 };

    crypto_write_public_key(&pem, &key);
    CHECK(crypto_read_public_key(buf_bytes(&pem), &back, &err));
    CHECK_BYTES(bytes_of(back.octets, 32), bytes_of(key.octets, 32));
    CHECK(!crypto_read_public_key(BYTES("-----BEGIN PUBLIC KEY-----\n"), &back, &err));
    CHECK_EQ_U64(err.code, ERR_SYNTAX);
    CHECK(!crypto_read_public_key(BYTES(""), &back, &err));
}

static int run(const char *const *arguments)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);

        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WEXITSTATUS(status);
}

TEST(the_openssl_command_verifies_our_signatures)
{
    CLEANUP(crypto_free_signer) struct crypto_signer *signer = make_signer("tool.pem");
    struct crypto_public_key key = crypto_get_public_key(signer);
    struct crypto_signature signature;
    CLEANUP(buf_free) struct buf pem = buf_create(1000);
    const char *key_path = fixture_path("tool.pub");
    const char *text_path = fixture_path("tool.txt");
    const char *signature_path = fixture_path("tool.sig");
    const char *command[] = { "openssl", "pkeyutl", "-verify", "-pubin",   "-inkey",       key_path,
                              "-rawin",  "-in",     text_path, "-sigfile", signature_path, NULL };
    struct err err = { 0 };

    CHECK(crypto_sign(signer, BYTES("manifest"), &signature, &err));
    crypto_write_public_key(&pem, &key);
    CHECK(file_write_atomic(key_path, buf_bytes(&pem), 0644, &err));
    CHECK(file_write_atomic(signature_path, bytes_of(signature.octets, 64), 0644, &err));
    fixture_write(text_path, "manifest", 0644);
    CHECK_EQ_I64(run(command), 0);
    fixture_write(text_path, "manifesT", 0644);
    CHECK(run(command) != 0);
}

TEST(a_signing_key_file_is_private_and_never_replaced)
{
    const char *path = fixture_path("private.pem");
    struct crypto_signer *signer = NULL;
    struct stat st;
    struct err err = { 0 };

    CHECK(crypto_create_signing_key_file(path, &err));
    CHECK(stat(path, &st) == 0);
    CHECK_EQ_U64(st.st_mode & 07777, 0600);
    CHECK(!crypto_create_signing_key_file(path, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    CHECK(chmod(path, 0644) == 0);
    CHECK(!crypto_load_signing_key_file(path, &signer, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
    fixture_write(path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600);
    CHECK(!crypto_load_signing_key_file(path, &signer, &err));
    CHECK_EQ_U64(err.code, ERR_CORRUPT);
    CHECK(signer == NULL);
}
