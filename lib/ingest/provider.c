/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/provider.h"

#include "base/cleanup.h"
#include "imap/response.h"
#include "ingest/client.h"
#include "ingest/fetch.h"

enum {
    HOSTS_MAX = 6,
    TEXT_BYTES = 1024, /* of what a server says, as far as we look */
    DAY_SECONDS = 24 * 60 * 60,
};

#define MB UINT64_C(1000000)

static const struct ingest_rules general = {
    .provider = "this server",
    .fetch_depth = INGEST_FETCH_DEPTH,
};

/* Any of its marks is enough. Of rules, what is 0 is the general one's. The first that fits counts. */
struct provider {
    uint32_t capability;           /* INGEST_* */
    struct bytes id_name;          /* how it begins */
    struct bytes greeting;         /* stands in it */
    struct bytes hosts[HOSTS_MAX]; /* domains */
    struct ingest_rules rules;
};

// clang-format off
static const struct provider providers[] = {
    /* 15 connections, then "Too many simultaneous connections"; 2,500 MB a day, then the account is
     * locked. "All Mail" holds all but trash and spam; every label shows the same messages again. Users
     * may limit mailboxes to these sizes. */
    { .capability = INGEST_GMAIL, .id_name = BYTES_INIT("GImap"), .greeting = BYTES_INIT("Gimap "),
      .hosts = { BYTES_INIT("gmail.com"), BYTES_INIT("googlemail.com") },
      .rules = { .provider = "Gmail", .daily_bytes = 2000 * MB,
                 .bodies = IMAP_MAILBOX_ALL | IMAP_MAILBOX_TRASH | IMAP_MAILBOX_JUNK,
                 .view_limits = { 1000, 2000, 5000, 10000 } } },

    /* Ends the connection after ten refused commands, and throttles by commands at work: few at once. */
    { .id_name = BYTES_INIT("Microsoft.Exchange"), .greeting = BYTES_INIT("Microsoft Exchange"),
      .hosts = { BYTES_INIT("office365.com"), BYTES_INIT("outlook.com"), BYTES_INIT("office365.us"),
                 BYTES_INIT("outlook.cn") },
      .rules = { .provider = "Exchange", .fetch_depth = 1 } },

    /* Shows 10,000 messages of a mailbox; "[LIMIT] Rate limit hit" to whoever comes twice at once. */
    { .greeting = BYTES_INIT("imapgate"),
      .hosts = { BYTES_INIT("yahoo.com"), BYTES_INIT("yahoo.co.jp"), BYTES_INIT("yahoodns.net"),
                 BYTES_INIT("aol.com"), BYTES_INIT("att.net") },
      .rules = { .provider = "Yahoo", .fetch_depth = 1, .view_limits = { 10000 } } },

    /* A failed login costs 3 s, so the one that must fail is not tried. */
    { .greeting = BYTES_INIT("Cyrus IMAP 3."),
      .rules = { .provider = "Cyrus", .is_binding_refused = true } },
};
// clang-format on

/* The domain itself, or a host in it. */
static bool is_in_domain(struct bytes host, struct bytes domain)
{
    size_t before = host.len - domain.len;

    return host.len >= domain.len &&
           bytes_equal_nocase(bytes_slice(host, before, SIZE_MAX), domain) &&
           (before == 0 || host.ptr[before - 1] == '.');
}

static bool is_provider(const struct provider *provider, const struct ingest_peer *peer)
{
    if ((peer->capabilities & provider->capability) != 0)
        return true;
    if (provider->id_name.len > 0 && bytes_start_with_nocase(peer->id_name, provider->id_name))
        return true;
    if (provider->greeting.len > 0 && bytes_find(peer->greeting, provider->greeting) >= 0)
        return true;
    for (size_t i = 0; i < HOSTS_MAX && provider->hosts[i].len > 0; i++)
        if (is_in_domain(peer->host, provider->hosts[i]))
            return true;
    return false;
}

struct ingest_rules ingest_rules_for(const struct ingest_peer *peer)
{
    struct ingest_rules rules = general;

    for (size_t i = 0; i < ARRAY_LEN(providers); i++)
        if (is_provider(&providers[i], peer)) {
            rules = providers[i].rules;
            break;
        }
    if (rules.fetch_depth == 0)
        rules.fetch_depth = general.fetch_depth;
    if ((peer->capabilities & INGEST_GMAIL) != 0)
        rules.identity = INGEST_IDENTITY_GMAIL;
    else if ((peer->capabilities & INGEST_OBJECTID) != 0)
        rules.identity = INGEST_IDENTITY_OBJECTID;
    return rules;
}

const char *ingest_identity_items(enum ingest_identity identity)
{
    switch (identity) {
    case INGEST_IDENTITY_NONE:
        return "";
    case INGEST_IDENTITY_GMAIL:
        return " X-GM-MSGID X-GM-THRID X-GM-LABELS";
    case INGEST_IDENTITY_OBJECTID:
        return " EMAILID THREADID";
    }
    UNREACHABLE();
}

bool ingest_is_recognised(const struct ingest_rules *rules)
{
    return rules->provider != general.provider;
}

bool ingest_is_view_full(const struct ingest_rules *rules, uint64_t exists)
{
    for (size_t i = 0; i < INGEST_VIEW_LIMITS && rules->view_limits[i] > 0; i++)
        if (rules->view_limits[i] == exists)
            return true;
    return false;
}

/* ---- what a server says ---- */

static struct bytes lower_case(struct bytes text, uint8_t copy[TEXT_BYTES])
{
    size_t len = text.len < TEXT_BYTES ? text.len : TEXT_BYTES;

    for (size_t i = 0; i < len; i++)
        copy[i] = ascii_lower(text.ptr[i]);
    return bytes_of(copy, len);
}

/* In lower case; the first that stands in the text counts. */
static const struct {
    struct bytes words;
    const char *hint;
} hints[] = {
    /* Exchange, after a login that it took: transient on outlook.com, lasting where a right is missing. */
    { BYTES_INIT("authenticated but not connected"),
      "the login is right, but its mailbox does not open; if that lasts, check that the mailbox "
      "exists "
      "and has a licence, that IMAP is on for it, and that this login may open it (an application "
      "needs FullAccess)" },
    { BYTES_INIT("accesstokenexpired"), "a new access token is fetched at the next login" },
    { BYTES_INIT("too many simultaneous connections"),
      "other programs use this account too; close some of them" },
    { BYTES_INIT("maximum number of connections"),
      "other programs use this account or address too; close some of them" },
    { BYTES_INIT("the source drips"),
      "one that answers at all, only later, gets more time by [ingest] stall above 15m" },
    { BYTES_INIT("overquota"),
      "the provider's daily limit for this account is used up, also by other programs" },
    { BYTES_INIT("bandwidth limit"),
      "the provider's daily limit for this account is used up, also by other programs" },
};

const char *ingest_hint_for(struct bytes text)
{
    uint8_t copy[TEXT_BYTES];
    struct bytes lower = lower_case(text, copy);

    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (bytes_find(lower, hints[i].words) >= 0)
            return hints[i].hint;
    return NULL;
}

bool ingest_speaks_of_host(struct bytes text)
{
    static const struct bytes words[] = {
        BYTES_INIT("from your ip"), BYTES_INIT("from this ip"),   BYTES_INIT("from the same ip"),
        BYTES_INIT("per ip"),       BYTES_INIT("from your host"),
    };
    uint8_t copy[TEXT_BYTES];
    struct bytes lower = lower_case(text, copy);

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (bytes_find(lower, words[i]) >= 0)
            return true;
    return false;
}

/* Exchange: "Request is throttled. Suggested Backoff Time: 299961 milliseconds". */
static int64_t read_backoff(struct bytes lower)
{
    static const struct bytes words = BYTES_INIT("suggested backoff time: ");
    ssize_t at = bytes_find(lower, words);
    uint64_t wait_ms;

    if (at < 0)
        return 0;
    lower = bytes_slice(lower, (size_t)at + words.len, SIZE_MAX);
    if (!scan_u64(&lower, &wait_ms) || !scan_text(&lower, BYTES(" milliseconds")))
        return 0;
    return wait_ms / 1000 >= DAY_SECONDS ? DAY_SECONDS : (int64_t)(wait_ms / 1000) + 1;
}

int64_t ingest_asked_to_wait(struct bytes text)
{
    uint8_t copy[TEXT_BYTES];
    struct bytes lower = lower_case(text, copy);

    /* Gmail: "[OVERQUOTA] Account exceeded command or bandwidth limits" lasts until the day is over. */
    if (bytes_find(lower, BYTES("[overquota]")) >= 0 ||
        bytes_find(lower, BYTES("bandwidth limit")) >= 0)
        return DAY_SECONDS;
    return read_backoff(lower);
}
