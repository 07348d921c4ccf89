/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every setting, one row each; the manual, the sample file and the errors are made from it.
 *
 * To add one: a field in struct conf (conf/conf.h), a row here in the place where it should stand in
 * the manual, and a line in tests/unit/conf/conf_test.c.
 */
#include "conf/internal.h"

#define FIELD(name) offsetof(struct conf, name)
#define MIB (UINT64_C(1) << 20)

static const char *const log_levels[] = { "debug", "info", "warn", "error",
                                          NULL };                        /* enum log_level */
static const char *const flag_views[] = { "source", "seen", NULL };      /* enum conf_flags */
static const char *const compressions[] = { "auto", "on", "off", NULL }; /* enum conf_compress */

// clang-format off
const struct conf_setting conf_settings[] = {
    { "holdfast", "data_dir", CONF_PATH, FIELD(holdfast.data_dir), "", 0, 0, NULL,
      "Where packs, keys and the private database lie. Default: /var/lib/holdfast when run by root, "
      "otherwise ~/.local/share/holdfast." },
    { "holdfast", "user", CONF_TEXT, FIELD(holdfast.user), "holdfast", 0, 0, NULL,
      "The Unix user to become when started by root; made if absent." },
    { "holdfast", "log_level", CONF_CHOICE, FIELD(holdfast.log_level), "info", 0, 0, log_levels,
      "The least important kind of event that is logged." },

    { "database", "url", CONF_TEXT, FIELD(database.url), "", 0, 0, NULL,
      "PostgreSQL 15 or later, as postgresql://USER@HOST/NAME. Empty: holdfastd runs a private "
      "cluster in data_dir." },
    { "database", "read_url", CONF_TEXT, FIELD(database.read_url), "", 0, 0, NULL,
      "Where reading sessions connect: a standby. Empty: as url." },

    { "ingest", "workers", CONF_COUNT, FIELD(ingest.workers), "2", 0, 1024, NULL,
      "Processes that fetch mail; each works on one account at a time. 0: none on this machine." },
    { "ingest", "host_connections", CONF_COUNT, FIELD(ingest.host_connections), "8", 1, 100000, NULL,
      "Connections to one source host at a time, over all workers and machines, where neither the "
      "provider is known nor another number is set for the host." },
    { "ingest", "stall", CONF_DURATION, FIELD(ingest.stall_ms), "1m", 1000, 3600000, NULL,
      "A source that sends nothing for so long is left, and tried again later. Slow is not silent: every "
      "octet counts. One that only drips, or says again and again that it is still there, is left after "
      "15 minutes, or after this time if that is longer." },
    { "ingest", "slice", CONF_DURATION, FIELD(ingest.slice_ms), "30s", 1000, 86400000, NULL,
      "Work on one account after which it gives way to others that wait for a worker." },
    { "ingest", "compress", CONF_CHOICE, FIELD(ingest.compress), "auto", 0, 0, compressions,
      "Whether connections to sources are compressed (COMPRESS=DEFLATE) where it is offered: auto, to "
      "those from 5 ms away." },
    { "ingest", "recognise", CONF_BOOL, FIELD(ingest.recognise), "on", 0, 0, NULL,
      "Whether messages that are archived already are known without being downloaded again: by the "
      "source's ids for them, and, in a mailbox that was renumbered, renamed or made anew, by header, size and "
      "date; samples are downloaded and compared. off: every octet of every message comes." },
    { "ingest", "watch", CONF_BOOL, FIELD(ingest.watch), "on", 0, 0, NULL,
      "Whether this machine holds connections to mailboxes that are watched (account edit --watch), so that "
      "their mail comes at once." },

    { "imapd", "listen", CONF_ADDRESSES, FIELD(imapd.listen), "127.0.0.1:1143", 0, 0, NULL,
      "Addresses for IMAP with STARTTLS. Empty: none." },
    { "imapd", "listen_tls", CONF_ADDRESSES, FIELD(imapd.listen_tls), "127.0.0.1:1993", 0, 0, NULL,
      "Addresses for IMAP over TLS. Empty: none." },
    { "imapd", "tls_cert", CONF_PATH, FIELD(imapd.tls_cert), "", 0, 0, NULL,
      "PEM file of the certificate and its chain. Empty: a self-signed one, made in data_dir." },
    { "imapd", "tls_key", CONF_PATH, FIELD(imapd.tls_key), "", 0, 0, NULL,
      "PEM file of its private key, without passphrase." },
    { "imapd", "flags", CONF_CHOICE, FIELD(imapd.flags), "source", 0, 0, flag_views,
      "How messages are marked: as captured at the source, or all as seen." },
    { "imapd", "slice", CONF_COUNT, FIELD(imapd.slice_messages), "0", 0, UINT32_MAX, NULL,
      "Mailboxes with more messages than this are also offered by year. 0: never." },
    { "imapd", "active", CONF_COUNT, FIELD(imapd.active_threads), "64", 1, 4096, NULL,
      "Commands that may run at one time; further ones wait their turn." },
    { "imapd", "plain_loopback", CONF_BOOL, FIELD(imapd.plain_loopback), "off", 0, 0, NULL,
      "Whether clients on this machine may log in without TLS." },

    { "store", "url", CONF_TEXT, FIELD(store.url), "", 0, 0, NULL,
      "Where packs lie, as s3://BUCKET/PREFIX. Empty: in data_dir." },
    { "store", "encryption", CONF_BOOL, FIELD(store.encryption), "off", 0, 0, NULL,
      "Whether octets and search text are encrypted at rest, under a key for each account." },
    { "store", "seal_bytes", CONF_SIZE, FIELD(store.seal_bytes), "64MiB", MIB, 4096 * MIB, NULL,
      "How much of an account waits in the database before it is sealed as a pack." },

    { "metrics", "listen", CONF_ADDRESSES, FIELD(metrics.listen), "", 0, 0, NULL,
      "Addresses for metrics and health over HTTP. Empty: none." },
};
// clang-format on

const size_t conf_setting_count = ARRAY_LEN(conf_settings);

const struct conf_setting *conf_find_setting(struct bytes section, struct bytes key)
{
    for (size_t i = 0; i < conf_setting_count; i++)
        if (bytes_equal(bytes_of_text(conf_settings[i].section), section) &&
            bytes_equal(bytes_of_text(conf_settings[i].key), key))
            return &conf_settings[i];
    return NULL;
}

const struct conf_setting *conf_find_section(struct bytes section)
{
    for (size_t i = 0; i < conf_setting_count; i++)
        if (bytes_equal(bytes_of_text(conf_settings[i].section), section))
            return &conf_settings[i];
    return NULL;
}

/* ---- mistyped names ---- */

enum {
    NAME_MAX_BYTES = 32,
    FAR = NAME_MAX_BYTES
};

/* Levenshtein's distance without regard to case; FAR for long names. */
static size_t distance(struct bytes a, struct bytes b)
{
    size_t row[NAME_MAX_BYTES + 1];

    if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
        return FAR;
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 0; k < b.len; k++) {
            size_t cost = diagonal + (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[k]) ? 1 : 0);

            diagonal = row[k + 1];
            if (row[k + 1] + 1 < cost)
                cost = row[k + 1] + 1;
            if (row[k] + 1 < cost)
                cost = row[k] + 1;
            row[k + 1] = cost;
        }
    }
    return row[b.len];
}

/* At most a third of it mistyped, or a prefix of the other. */
static bool is_nearer(struct bytes typed, const char *name, size_t *best)
{
    struct bytes known = bytes_of_text(name);
    size_t far = distance(typed, known);
    bool is_prefix =
        typed.len >= 3 && (bytes_start_with(known, typed) || bytes_start_with(typed, known));

    if (is_prefix && far > 1)
        far = 1;
    if (far > (known.len + 2) / 3 || far >= *best)
        return false;
    *best = far;
    return true;
}

const char *conf_suggest_section(struct bytes section)
{
    const char *nearest = "";
    size_t best = FAR;

    for (size_t i = 0; i < conf_setting_count; i++)
        if (is_nearer(section, conf_settings[i].section, &best))
            nearest = conf_settings[i].section;
    return nearest;
}

const char *conf_suggest_key(struct bytes section, struct bytes key)
{
    const char *nearest = "";
    size_t best = FAR;

    for (size_t i = 0; i < conf_setting_count; i++)
        if (bytes_equal(bytes_of_text(conf_settings[i].section), section) &&
            is_nearer(key, conf_settings[i].key, &best))
            nearest = conf_settings[i].key;
    return nearest;
}
