/* SPDX-License-Identifier: Apache-2.0 */
#include "net/url.h"
#include "test.h"

static struct net_url read(const char *text)
{
    struct net_url url = { 0 };
    struct err err = { 0 };

    if (!net_read_url(bytes_of_text(text), &url, &err))
        CHECK_STR(err.text, text);
    return url;
}

static void check_refused(const char *text, enum err_code code)
{
    struct net_url url = { .port = 7 };
    struct err err = { 0 };

    if (net_read_url(bytes_of_text(text), &url, &err))
        CHECK_STR(text, "refused");
    CHECK_EQ_U64(err.code, code);
    CHECK_EQ_U64(url.port, 7);
}

TEST(a_url_names_user_host_and_port)
{
    struct net_url url = read("imaps://alice@Mail.Example:1993/");

    CHECK(url.security == NET_SECURITY_TLS);
    CHECK_STR(url.user, "alice");
    CHECK_STR(url.host, "mail.example");
    CHECK_EQ_U64(url.port, 1993);
}

TEST(the_port_follows_from_the_scheme)
{
    CHECK_EQ_U64(read("imaps://a@h").port, 993);
    CHECK_EQ_U64(read("imap://a@h/").port, 143);
    CHECK(read("IMAP://a@h/").security == NET_SECURITY_STARTTLS);
}

TEST(a_user_name_is_percent_decoded_and_its_last_at_sign_ends_it)
{
    CHECK_STR(read("imaps://jo%40example.org@h/").user, "jo@example.org");
    CHECK_STR(read("imaps://jo@example.org@h/").user, "jo@example.org");
    CHECK_STR(read("imaps://a%3Ab%25@h/").user, "a:b%");
    CHECK_STR(read("imaps://%C3%BC@h/").user, "\xc3\xbc");
}

TEST(an_ipv6_address_stands_in_brackets)
{
    struct net_url url = read("imaps://a@[2001:DB8::1]:994/");

    CHECK_STR(url.host, "2001:db8::1");
    CHECK_EQ_U64(url.port, 994);
    check_refused("imaps://a@2001:db8::1/", ERR_SYNTAX);
    check_refused("imaps://a@[2001:db8::1/", ERR_SYNTAX);
    check_refused("imaps://a@[zz:1]/", ERR_SYNTAX);
    check_refused("imaps://a@[localhost]/", ERR_SYNTAX);
}

TEST(no_tls_is_for_loopback_only)
{
    CHECK(read("imap+plain://a@localhost/").security == NET_SECURITY_NONE);
    CHECK(read("imap+plain://a@127.8.9.1:1143/").security == NET_SECURITY_NONE);
    CHECK(read("imap+plain://a@[::1]/").security == NET_SECURITY_NONE);
    check_refused("imap+plain://a@mail.example/", ERR_DENIED);
    check_refused("imap+plain://a@127.0.0.1.evil.example/", ERR_DENIED);
    check_refused("imap+plain://a@localhost.evil.example/", ERR_DENIED);
}

TEST(a_password_in_a_url_is_refused)
{
    check_refused("imaps://alice:secret@h/", ERR_DENIED);
}

TEST(what_is_no_such_url_is_refused_and_nothing_is_stored)
{
    check_refused("", ERR_SYNTAX);
    check_refused("http://a@h/", ERR_SYNTAX);
    check_refused("imaps://h/", ERR_SYNTAX);
    check_refused("imaps://@h/", ERR_SYNTAX);
    check_refused("imaps://a@/", ERR_SYNTAX);
    check_refused("imaps://a@h:/", ERR_SYNTAX);
    check_refused("imaps://a@h:0/", ERR_SYNTAX);
    check_refused("imaps://a@h:65536/", ERR_SYNTAX);
    check_refused("imaps://a@h/INBOX", ERR_SYNTAX);
    check_refused("imaps://a%4@h/", ERR_SYNTAX);
    check_refused("imaps://a%zz@h/", ERR_SYNTAX);
    check_refused("imaps://a%00b@h/", ERR_SYNTAX);
    check_refused("imaps://a@h ost/", ERR_SYNTAX);
}

TEST(a_written_url_is_canonical_and_reads_back)
{
    static const char *const cases[][2] = {
        { "imaps://jo@example.org@H:993", "imaps://jo%40example.org@h/" },
        { "imap://a%3ab@[::1]:144/", "imap://a%3Ab@[::1]:144/" },
        { "imap+plain://x@localhost", "imap+plain://x@localhost/" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_free) struct buf out = buf_create(1024);
        struct net_url url = read(cases[i][0]);

        net_write_url(&out, &url);
        CHECK_BYTES(buf_bytes(&out), bytes_of_text(cases[i][1]));
        url = read(cases[i][1]);
    }
}

TEST(a_user_name_at_its_limit_fits_and_one_beyond_does_not)
{
    char text[NET_URL_USER_BYTES + 32] = "imaps://";

    memset(text + 8, 'u', NET_URL_USER_BYTES - 1);
    memcpy(text + 8 + NET_URL_USER_BYTES - 1, "@h/", 4);
    CHECK_EQ_U64(strlen(read(text).user), NET_URL_USER_BYTES - 1);
    memcpy(text + 8 + NET_URL_USER_BYTES - 1, "u@h/", 5);
    check_refused(text, ERR_SYNTAX);
}
