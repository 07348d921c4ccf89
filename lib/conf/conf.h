/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/conf.h - the settings of an installation, read once at start and constant afterwards.
 *
 * Each setting: environment HOLDFAST_<SECTION>_<KEY> over file over default. The file: the path
 * given (-c), else $HOLDFAST_CONFIG, else /etc/holdfast/holdfast.conf when it exists, else none.
 * What each setting means stands once, in the table of conf/settings.c; `conf_print_manual` makes the
 * manual from it. To add a setting: a field here and a row there.
 *
 * A struct conf may be shared between threads: nobody writes to it after conf_load.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

#define CONF_DEFAULT_FILE "/etc/holdfast/holdfast.conf"

struct conf_address {
    const char *host; /* name or literal, without brackets; "" for all addresses */
    uint16_t port;
};

enum {
    CONF_ADDRESSES_MAX = 16
};

struct conf_addresses {
    size_t count; /* 0: off */
    struct conf_address at[CONF_ADDRESSES_MAX];
};

enum conf_flags {
    CONF_FLAGS_SOURCE,
    CONF_FLAGS_SEEN
};

enum conf_compress { /* with sources */
    CONF_COMPRESS_AUTO,
    CONF_COMPRESS_ON,
    CONF_COMPRESS_OFF
};

/* Texts are never NULL; "" means not set. They belong to the struct conf. Paths are absolute. */
struct conf {
    const char *file; /* "" when no file was read */

    struct {
        const char *data_dir; /* absolute, without trailing slash */
        const char *user;     /* whom to become when started by root */
        enum log_level log_level;
    } holdfast;

    struct {
        const char *url;      /* "": holdfastd runs its own cluster in data_dir */
        const char *read_url; /* "": as url */
    } database;

    struct {
        uint32_t workers;
        uint32_t host_connections;
        int64_t stall_ms; /* longest silence of a source */
        int64_t slice_ms; /* on one account, when others wait */
        enum conf_compress compress;
        bool recognise; /* archived messages that a mailbox shows anew, without a download */
        bool watch;
    } ingest;

    struct {
        struct conf_addresses listen;     /* IMAP with STARTTLS */
        struct conf_addresses listen_tls; /* IMAP over TLS */
        const char *tls_cert;             /* "": a self-signed one in data_dir */
        const char *tls_key;
        enum conf_flags flags;
        uint32_t slice_messages; /* year views beyond so many; 0: never */
        uint32_t active_threads;
        bool plain_loopback;
    } imapd;

    struct {
        const char *url; /* "": packs lie in data_dir */
        bool encryption;
        uint64_t seal_bytes;
    } store;

    struct {
        struct conf_addresses listen;
    } metrics;

    struct arena *arena; /* owns the texts; nobody else's business */
};

/*
 * path  as given with -c, or NULL.
 *
 * ERR_ABSENT: the named file does not exist. ERR_SYNTAX: the text names file, line, key and what is
 * accepted, or the variable; for an unknown key the nearest known one.
 */
MUST_USE bool conf_load(const char *path, struct conf **out, struct err *err);
void conf_free(struct conf **conf);

/* As conf_load, from text instead of a file and without the environment; name stands in errors. */
MUST_USE bool conf_load_text(struct bytes text, const char *name, struct conf **out,
                             struct err *err);

/* Every setting with type, default, accepted values and help: as the comments of a sample file. */
void conf_print_manual(struct buf *out);

/* The effective settings as a file, for `holdfast doctor`; passwords in URLs are masked. */
void conf_print_settings(const struct conf *conf, struct buf *out);
