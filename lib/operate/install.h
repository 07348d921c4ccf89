/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operate/install.h - makes or upgrades an installation; safe to repeat, keeps what is there.
 *
 *     <data_dir>/keys/master.key               seals source passwords; gate and operator only
 *     <data_dir>/keys/signing.key              signs the audit chain; keeper and operator only
 *     <data_dir>/keys/imapd.crt, imapd.key     self-signed, unless [imapd] tls_cert is set
 *     <data_dir>/keys/db-<role>.password       passwords of the database roles
 *
 * After operate_settle. One thread.
 */
#pragma once

#include "conf/conf.h"
#include "db/cluster.h"

#include <limits.h>

/* Names under data_dir. */
#define OPERATE_MASTER_KEY_FILE "keys/master.key"
#define OPERATE_SIGNING_KEY_FILE "keys/signing.key"
#define OPERATE_CERTIFICATE_FILE "keys/imapd.crt"
#define OPERATE_TLS_KEY_FILE "keys/imapd.key"

/* data_dir/name. ERR_LIMIT: too long. */
MUST_USE bool operate_get_path(const struct conf *conf, const char *name, char path[PATH_MAX],
                               struct err *err);

/* The files. A missing master key beside an existing database is ERR_CORRUPT: a new one would open
 * none of the secrets in it. */
MUST_USE bool operate_make_keys(const struct conf *conf, struct err *err);

/*
 * Migrates the database of [database] url. *has_passwords: whether the url's user could give the
 * roles the passwords of keys/; otherwise libpq's own means (peer, certificates, passfile) apply.
 */
MUST_USE bool operate_prepare_server(const struct conf *conf, bool *has_passwords, struct err *err);
