/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/base64.h"
#include "crypto/scram.h"
#include "test.h"

/* RFC 7677 §3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 iterations. */
#define RFC_7677_VERIFIER                                                                          \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"                                                 \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static struct crypto_scram read(const char *text)
{
    struct crypto_scram scram = { 0 };
    struct err err = { 0 };

    CHECK(crypto_read_scram(bytes_of_text(text), &scram, &err));
    return scram;
}

TEST(the_verifier_of_rfc_7677_knows_its_password)
{
    struct crypto_scram scram = read(RFC_7677_VERIFIER);

    CHECK_EQ_U64(scram.iterations, 4096);
    CHECK_EQ_U64(scram.salt_len, 16);
    CHECK(crypto_password_matches(&scram, BYTES("pencil")));
    CHECK(!crypto_password_matches(&scram, BYTES("Pencil")));
    CHECK(!crypto_password_matches(&scram, BYTES("pencil ")));
    CHECK(!crypto_password_matches(&scram, BYTES("")));
    CHECK(!crypto_password_matches(&scram, BYTES("pen\0cil")));
}

TEST(a_new_verifier_has_enough_iterations_and_survives_as_text)
{
    CLEANUP(buf_free) struct buf text = buf_create(CRYPTO_SCRAM_TEXT_BYTES);
    CLEANUP(buf_free) struct buf again = buf_create(CRYPTO_SCRAM_TEXT_BYTES);
    struct crypto_scram scram;
    struct crypto_scram back;
    struct err err = { 0 };

    CHECK(crypto_make_scram(BYTES("correct horse"), &scram, &err));
    CHECK(scram.iterations >= 100000);
    crypto_write_scram(&text, &scram);
    CHECK(bytes_start_with(buf_bytes(&text), BYTES("SCRAM-SHA-256$100000:")));
    CHECK(crypto_read_scram(buf_bytes(&text), &back, &err));
    CHECK(crypto_password_matches(&back, BYTES("correct horse")));
    CHECK(!crypto_password_matches(&back, BYTES("wrong horse")));
    crypto_write_scram(&again, &back);
    CHECK_BYTES(buf_bytes(&again), buf_bytes(&text));
}

TEST(the_same_password_gives_another_verifier_each_time)
{
    struct crypto_scram first;
    struct crypto_scram second;
    struct err err = { 0 };

    CHECK(crypto_make_scram(BYTES("x"), &first, &err));
    CHECK(crypto_make_scram(BYTES("x"), &second, &err));
    CHECK(!bytes_equal(bytes_of(first.salt, 16), bytes_of(second.salt, 16)));
    CHECK(!bytes_equal(crypto_sha256_bytes(&first.stored_key),
                       crypto_sha256_bytes(&second.stored_key)));
}

static void check_prepared(const char *password, const char *prepared)
{
    CLEANUP(secret_free) struct secret *secret = NULL;
    struct err err = { 0 };

    CHECK(crypto_prepare_password(bytes_of_text(password), &secret, &err));
    CHECK_BYTES(secret_bytes(secret), bytes_of_text(prepared));
}

TEST(passwords_are_prepared_as_rfc_4013_says)
{
    check_prepared("user", "user");
    check_prepared("USER", "USER");
    check_prepared("I\xc2\xadX", "IX");   /* soft hyphen */
    check_prepared("\xc2\xaa", "a");      /* feminine ordinal, NFKC */
    check_prepared("\xe2\x85\xa8", "IX"); /* roman numeral nine */
    check_prepared("a\xc2\xa0z", "a z");  /* no-break space */
}

TEST(utf8_that_saslprep_forbids_is_taken_as_it_is)
{
    check_prepared("a\tb", "a\tb");                 /* control character */
    check_prepared("\xd8\xa7\x31", "\xd8\xa7\x31"); /* RFC 4013 §3: bidirectional check */
    check_prepared("\xc2\xad", "\xc2\xad");         /* nothing would be left */
}

TEST(what_is_no_text_is_no_password)
{
    static const struct bytes wrong[] = {
        BYTES_INIT(""),           BYTES_INIT("\xff"),         BYTES_INIT("\xc0\x80"),
        BYTES_INIT("a\0b"),       BYTES_INIT("\xed\xa0\x80"), BYTES_INIT("\xf4\x90\x80\x80"),
        BYTES_INIT("ab\xe2\x82"), BYTES_INIT("\x80"),         BYTES_INIT("\xe2(\xa1"),
    };
    uint8_t longest[1025];
    struct secret *secret = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK(!crypto_prepare_password(wrong[i], &secret, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
    memset(longest, 'x', sizeof longest);
    CHECK(!crypto_prepare_password(bytes_of(longest, 1025), &secret, &err));
    CHECK_EQ_U64(err.code, ERR_LIMIT);
    CHECK(crypto_prepare_password(bytes_of(longest, 1024), &secret, &err));
    secret_free(&secret);
}

TEST(a_text_that_is_no_verifier_is_refused)
{
    static const char *const wrong[] = {
        "",
        "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$x:y",
        "SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$99999999:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        "SCRAM-SHA-256$4096:$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        RFC_7677_VERIFIER " ",
        RFC_7677_VERIFIER RFC_7677_VERIFIER,
    };
    struct crypto_scram scram = { .iterations = 7 };
    struct err err = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK(!crypto_read_scram(bytes_of_text(wrong[i]), &scram, &err));
        CHECK_EQ_U64(err.code, ERR_SYNTAX);
    }
    for (size_t len = 0; len < strlen(RFC_7677_VERIFIER); len++)
        CHECK(!crypto_read_scram(bytes_of(RFC_7677_VERIFIER, len), &scram, &err));
    CHECK_EQ_U64(scram.iterations, 7);
}

TEST(a_decoy_keeps_its_salt_and_knows_no_password)
{
    struct crypto_scram first = crypto_make_decoy_scram(BYTES("seed"), BYTES("nobody"));
    struct crypto_scram again = crypto_make_decoy_scram(BYTES("seed"), BYTES("nobody"));
    struct crypto_scram other = crypto_make_decoy_scram(BYTES("seed"), BYTES("somebody"));

    CHECK_BYTES(bytes_of(first.salt, 16), bytes_of(again.salt, 16));
    CHECK(!bytes_equal(bytes_of(first.salt, 16), bytes_of(other.salt, 16)));
    CHECK_EQ_U64(first.iterations, CRYPTO_SCRAM_ITERATIONS);
    CHECK(!crypto_password_matches(&first, BYTES("")));
    CHECK(!crypto_password_matches(&first, BYTES("x")));
}
