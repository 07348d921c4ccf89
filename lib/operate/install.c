/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/install.h"

#include "base/fd.h"
#include "crypto/certificate.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "crypto/sign.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PASSWORD_RANDOM_BYTES = 24
};

bool operate_get_path(const struct conf *conf, const char *name, char path[PATH_MAX],
                      struct err *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", conf->holdfast.data_dir, name) >= PATH_MAX)
        return err_fail(err, ERR_LIMIT, "data directory: the path is too long");
    return true;
}

/* *is_there: something of this name exists, whatever it is. */
static bool look_for(const struct conf *conf, const char *name, char path[PATH_MAX], bool *is_there,
                     struct err *err)
{
    struct stat st;

    if (!operate_get_path(conf, name, path, err))
        return false;
    *is_there = lstat(path, &st) == 0;
    if (!*is_there && errno != ENOENT)
        return err_errno(err, "look for %s", path);
    return true;
}

static bool make_master_key(const struct conf *conf, struct err *err)
{
    char path[PATH_MAX], database[PATH_MAX];
    bool is_there, has_database;

    if (!look_for(conf, OPERATE_MASTER_KEY_FILE, path, &is_there, err) ||
        !look_for(conf, "postgres/PG_VERSION", database, &has_database, err))
        return false;
    if (is_there)
        return true;
    if (has_database)
        return err_fail(
            err, ERR_CORRUPT,
            "%s is missing but the database exists: put the key back from its copy (the "
            "passwords of the accounts are sealed under it)",
            path);
    return crypto_create_key_file(path, err);
}

static bool make_signing_key(const struct conf *conf, struct err *err)
{
    char path[PATH_MAX];
    bool is_there;

    if (!look_for(conf, OPERATE_SIGNING_KEY_FILE, path, &is_there, err))
        return false;
    return is_there || crypto_create_signing_key_file(path, err);
}

static bool make_certificate(const struct conf *conf, struct err *err)
{
    const char *names[CONF_ADDRESSES_MAX];
    char cert[PATH_MAX], key[PATH_MAX];
    bool has_cert, has_key;
    size_t count = 0;

    if (conf->imapd.tls_cert[0] != '\0')
        return true;
    if (!look_for(conf, OPERATE_CERTIFICATE_FILE, cert, &has_cert, err) ||
        !look_for(conf, OPERATE_TLS_KEY_FILE, key, &has_key, err))
        return false;
    if (has_cert && has_key)
        return true;
    /* The key is written first: a key alone is what a start that broke off leaves. */
    if (has_key && unlink(key) != 0)
        return err_errno(err, "remove %s", key);
    if (has_cert && unlink(cert) != 0)
        return err_errno(err, "remove %s", cert);
    for (size_t i = 0; i < conf->imapd.listen_tls.count; i++) {
        const char *host = conf->imapd.listen_tls.at[i].host;

        if (host[0] != '\0' && host[0] != '*')
            names[count++] = host;
    }
    return crypto_make_certificate(names, count, cert, key, err);
}

bool operate_make_keys(const struct conf *conf, struct err *err)
{
    if (!make_master_key(conf, err))
        return err_wrap(err, "master key");
    if (!make_signing_key(conf, err))
        return err_wrap(err, "signing key");
    if (!make_certificate(conf, err))
        return err_wrap(err, "certificate of the IMAP endpoint");
    return true;
}

/* ---- a server that others run -------------------------------------------------------------------- */

static bool make_password_file(const struct conf *conf, enum db_role role, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(2 * PASSWORD_RANDOM_BYTES + 1);
    uint8_t octets[PASSWORD_RANDOM_BYTES];
    char name[64], path[PATH_MAX];
    struct bytes line;
    bool is_there, is_made;

    (void)snprintf(name, sizeof name, "keys/db-%s.password", db_role_nickname(role));
    if (!look_for(conf, name, path, &is_there, err))
        return false;
    if (is_there)
        return true;
    crypto_fill_random(octets, sizeof octets);
    buf_hex(&text, bytes_of(octets, sizeof octets));
    buf_byte(&text, '\n');
    secret_wipe(octets, sizeof octets);
    if (!buf_done(&text, &line, err))
        return false;
    is_made = file_write_atomic(path, line, 0600, err);
    secret_wipe(text.ptr, text.len);
    return is_made;
}

/* *may: false when the server does not let this user set passwords. */
static bool set_passwords(const struct conf *conf, struct db *owner, bool *may, struct err *err)
{
    *may = false;
    for (enum db_role role = DB_ROLE_INGEST; (int)role < (int)DB_ROLE_COUNT; role++) {
        CLEANUP(secret_free) struct secret *password = NULL;

        if (!make_password_file(conf, role, err) ||
            !db_read_password(conf->holdfast.data_dir, role, &password, err))
            return false;
        if (!db_set_password(owner, role, password, err)) {
            if (err->code != ERR_DENIED)
                return false;
            err_clear(err);
            return true;
        }
    }
    *may = true;
    return true;
}

bool operate_prepare_server(const struct conf *conf, bool *has_passwords, struct err *err)
{
    CLEANUP(db_close) struct db *owner = NULL;
    struct db_target target = { .url = conf->database.url, .application_name = "holdfastd" };

    if (!db_connect(&target, &owner, err))
        return err_wrap(err, "[database] url");
    if (!db_migrate(owner, NULL, NULL, err))
        return err_wrap(err, "migrate the database of [database] url");
    if (!set_passwords(conf, owner, has_passwords, err))
        return err_wrap(err, "passwords of the database roles");
    return true;
}
