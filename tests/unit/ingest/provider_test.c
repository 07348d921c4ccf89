/* SPDX-License-Identifier: Apache-2.0 */
#include "imap/response.h"
#include "ingest/client.h"
#include "ingest/fetch.h"
#include "ingest/provider.h"
#include "test.h"

static struct ingest_rules of_host(const char *host)
{
    return ingest_rules_for(&(struct ingest_peer){ .host = bytes_of_text(host) });
}

static struct ingest_rules of_greeting(const char *greeting)
{
    return ingest_rules_for(&(struct ingest_peer){ .host = BYTES("mail.example"),
                                                   .greeting = bytes_of_text(greeting) });
}

TEST(a_server_that_nobody_knows_gets_the_general_rules)
{
    struct ingest_rules rules = of_host("mail.example");

    CHECK_STR(rules.provider, "this server");
    CHECK_EQ_U64(rules.fetch_depth, INGEST_FETCH_DEPTH);
    CHECK_EQ_U64(rules.daily_bytes, 0);
    CHECK_EQ_U64(rules.bodies, 0);
    CHECK(rules.identity == INGEST_IDENTITY_NONE);
    CHECK(!ingest_is_view_full(&rules, 1000) && !ingest_is_view_full(&rules, 0));
}

TEST(gmail_is_known_by_its_extension_whatever_its_name)
{
    struct ingest_rules rules = ingest_rules_for(
        &(struct ingest_peer){ .host = BYTES("mail.example"), .capabilities = INGEST_GMAIL });

    CHECK_STR(rules.provider, "Gmail");
    CHECK_EQ_U64(rules.bodies, IMAP_MAILBOX_ALL | IMAP_MAILBOX_TRASH | IMAP_MAILBOX_JUNK);
    CHECK(rules.identity == INGEST_IDENTITY_GMAIL);
    CHECK_EQ_U64(rules.daily_bytes, 2000000000);
    CHECK(ingest_is_view_full(&rules, 1000) && ingest_is_view_full(&rules, 10000));
    CHECK(!ingest_is_view_full(&rules, 999) && !ingest_is_view_full(&rules, 0));
}

TEST(a_host_name_tells_the_limits_before_anything_is_heard)
{
    CHECK_EQ_U64(of_host("imap.gmail.com").daily_bytes, 2000000000);
    CHECK(of_host("imap.gmail.com").identity == INGEST_IDENTITY_NONE); /* not offered yet */
    CHECK_STR(of_host("Outlook.Office365.COM").provider, "Exchange");
    CHECK_EQ_U64(of_host("export.imap.mail.yahoo.com").fetch_depth, 1);
}

TEST(a_host_that_only_ends_alike_is_not_the_provider)
{
    CHECK_STR(of_host("notgmail.com").provider, "this server");
    CHECK_STR(of_host("gmail.com.example").provider, "this server");
    CHECK_STR(of_host("com").provider, "this server");
}

TEST(a_greeting_tells_who_it_is)
{
    CHECK_STR(of_greeting("The Microsoft Exchange IMAP4 service is ready. [TABQ]").provider,
              "Exchange");
    CHECK_EQ_U64(of_greeting("The Microsoft Exchange IMAP4 service is ready.").fetch_depth, 1);
    CHECK_STR(of_greeting("[CAPABILITY] IMAP4rev1 imapgate-0.7.68_11_1.471660 imap413").provider,
              "Yahoo");
    CHECK_STR(
        of_greeting("Courier-IMAP ready. Copyright 1998-2023 Double Precision, Inc.").provider,
        "this server");
    CHECK_STR(of_greeting("Gimap ready for requests from 192.0.2.1 a1").provider, "Gmail");
    CHECK(of_greeting("host Cyrus IMAP 3.6.1-Debian-3.6.1-4 server ready").is_binding_refused);
    CHECK(!of_greeting("Dovecot (Debian) ready.").is_binding_refused);
}

TEST(objectid_gives_an_identity_to_whoever_has_it)
{
    struct ingest_rules rules =
        ingest_rules_for(&(struct ingest_peer){ .capabilities = INGEST_OBJECTID });

    CHECK(rules.identity == INGEST_IDENTITY_OBJECTID);
    CHECK_EQ_U64(rules.bodies, 0);
    rules =
        ingest_rules_for(&(struct ingest_peer){ .capabilities = INGEST_OBJECTID | INGEST_GMAIL });
    CHECK(rules.identity == INGEST_IDENTITY_GMAIL);
}

TEST(a_back_off_that_exchange_names_is_kept_to_the_second)
{
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("h4 BAD Request is throttled. Suggested Backoff Time: "
                                            "299961 milliseconds")),
                 300);
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("Suggested Backoff Time: 99999999999 milliseconds")),
                 86400);
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("Suggested Backoff Time: 18446744073709551616 "
                                            "milliseconds")),
                 0);
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("Suggested Backoff Time: soon")), 0);
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("Suggested Backoff Time: ")), 0);
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("")), 0);
}

TEST(a_daily_limit_that_is_used_up_lasts_a_day)
{
    CHECK_EQ_I64(ingest_asked_to_wait(BYTES("UID FETCH is refused for now: [OVERQUOTA] Account "
                                            "exceeded command or bandwidth limits.")),
                 86400);
}

TEST(what_a_server_says_in_riddles_is_explained)
{
    CHECK(strstr(ingest_hint_for(BYTES("BAD User is authenticated but not connected.")),
                 "FullAccess") != NULL);
    CHECK(strstr(ingest_hint_for(BYTES("[ALERT] Too many simultaneous connections. (Failure)")),
                 "other programs") != NULL);
    CHECK(strstr(ingest_hint_for(BYTES("time-out: the source drips: less than 262144 octets")),
                 "[ingest] stall") != NULL);
    CHECK(ingest_hint_for(BYTES("no such mailbox")) == NULL);
    CHECK(ingest_hint_for(BYTES("")) == NULL);
}

TEST(what_is_said_of_an_address_concerns_every_account_of_the_host)
{
    CHECK(ingest_speaks_of_host(BYTES("[UNAVAILABLE] Too many connections from your IP")));
    CHECK(ingest_speaks_of_host(BYTES("Connection limit per IP reached")));
    CHECK(!ingest_speaks_of_host(BYTES(
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections)")));
    CHECK(!ingest_speaks_of_host(BYTES("Too many simultaneous connections")));
}
