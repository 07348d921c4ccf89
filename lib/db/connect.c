/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/connect.c - making, losing and making again a connection.
 */
#include "base/fd.h"
#include "db/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_MAX_BYTES ((size_t)300 << 20) /* above what db_encode accepts */

/* ---- the target ---------------------------------------------------------------------------- */

void db_free_target(struct db_target *target)
{
    struct secret *password = (struct secret *)target->password;

    if (target->url != NULL)
        secret_wipe((char *)target->url, strlen(target->url)); /* may hold a password */
    free((char *)target->url);
    free((char *)target->socket_dir);
    free((char *)target->database);
    free((char *)target->role);
    free((char *)target->application_name);
    secret_free(&password);
    *target = (struct db_target){ .url = NULL };
}

static bool copy_text(const char *from, const char **out, struct err *err)
{
    if (from == NULL)
        return true;
    *out = strdup(from);
    return *out != NULL || err_fail(err, ERR_SYSTEM, "database target: no memory");
}

bool db_copy_target(const struct db_target *from, struct db_target *out, struct err *err)
{
    CLEANUP(db_free_target)
    struct db_target copy = {
        .statement_timeout_ms = from->statement_timeout_ms,
        .connect_timeout_ms = from->connect_timeout_ms,
        .transaction_idle_ms = from->transaction_idle_ms,
    };
    struct secret *password = NULL;

    if (!copy_text(from->url, &copy.url, err) ||
        !copy_text(from->socket_dir, &copy.socket_dir, err) ||
        !copy_text(from->database, &copy.database, err) ||
        !copy_text(from->role, &copy.role, err) ||
        !copy_text(from->application_name, &copy.application_name, err))
        return false;
    if (from->password != NULL && !secret_create(secret_bytes(from->password), &password, err))
        return false;
    copy.password = password;
    *out = copy;
    copy = (struct db_target){ .url = NULL }; /* the caller's now */
    return true;
}

/* ---- connecting ---------------------------------------------------------------------------- */

enum {
    PARAMS_MAX = 20
};

struct params {
    const char *keys[PARAMS_MAX + 1];
    const char *values[PARAMS_MAX + 1];
    size_t count;
    char options[512];
    char timeout[16];
    char password[SECRET_MAX_BYTES + 1]; /* wiped by free_params */
};

static void free_params(struct params *params)
{
    secret_wipe(params, sizeof *params);
}

static void add_param(struct params *params, const char *key, const char *value)
{
    if (value == NULL)
        return;
    assert(params->count < PARAMS_MAX);
    params->keys[params->count] = key;
    params->values[params->count++] = value;
}

static bool add_password(struct params *params, const struct secret *password, struct err *err)
{
    struct bytes octets;

    if (password == NULL)
        return true;
    octets = secret_bytes(password);
    if (bytes_find_byte(octets, 0) >= 0)
        return err_fail(err, ERR_DENIED, "database password holds a NUL");
    memcpy(params->password, octets.ptr, octets.len);
    params->password[octets.len] = '\0';
    add_param(params, "password", params->password);
    return true;
}

/* The URL overrides what stands before it, and is overridden by what stands behind (libpq). */
static bool fill_params(const struct db_target *target, struct params *params, struct err *err)
{
    uint32_t timeout_ms = target->connect_timeout_ms > 0 ? target->connect_timeout_ms : 10000;

    (void)snprintf(params->timeout, sizeof params->timeout, "%u",
                   timeout_ms < 2000 ? 2 : (timeout_ms + 999) / 1000);
    (void)snprintf(
        params->options, sizeof params->options,
        "-c search_path=holdfast -c timezone=UTC -c jit=off "
        "-c client_min_messages=warning -c statement_timeout=%u "
        "-c idle_in_transaction_session_timeout=%u "
        "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_user_timeout=60000 "
        "-c default_transaction_isolation=read\\ committed",
        target->statement_timeout_ms, target->transaction_idle_ms);
    add_param(params, "connect_timeout", params->timeout);
    /* Whoever has vanished is noticed in a minute: the server by us, and (above) we by the server. */
    add_param(params, "keepalives_idle", "30");
    add_param(params, "keepalives_interval", "10");
    add_param(params, "tcp_user_timeout", "60000");
    add_param(params, "gssencmode", "disable"); /* tried first otherwise, by every connection */
    add_param(params, "host", target->socket_dir);
    add_param(params, "dbname", target->url);
    add_param(params, "dbname", target->database);
    add_param(params, "user", target->role);
    add_param(params, "application_name", target->application_name);
    add_param(params, "client_encoding", "UTF8");
    add_param(params, "options", params->options);
    return add_password(params, target->password, err);
}

/* libpq quotes a URL that it cannot read, password and all: ask it first and say less. */
static bool check_url(const char *url, struct err *err)
{
    PQconninfoOption *options;
    char *ignored = NULL;

    if (url == NULL)
        return true;
    options = PQconninfoParse(url, &ignored);
    PQfreemem(ignored);
    if (options == NULL && (strchr(url, '=') != NULL || strstr(url, "://") != NULL))
        return err_fail(err, ERR_DENIED, "database url cannot be read");
    PQconninfoFree(options);
    return true;
}

/* "FATAL:  28P01: …": in verbose messages only, whatever the language. "" when there is none. */
static void find_sqlstate(const char *message, char out[6])
{
    out[0] = '\0';
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(out, at + 3, 5);
            out[5] = '\0';
            return;
        }
    }
}

/* One line, without libpq's prefix of host and port being lost. */
static void first_line(const char *message, char *out, size_t size)
{
    size_t len = strcspn(message, "\n");

    if (len >= size)
        len = size - 1;
    memcpy(out, message, len);
    out[len] = '\0';
}

/* A second try, only to learn the SQLSTATE: libpq has no other way to tell it. */
static bool connect_again(PGconn *pg, char sqlstate[6], struct err *err)
{
    char text[300];

    (void)PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    PQreset(pg);
    if (PQstatus(pg) == CONNECTION_OK) {
        (void)PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
        return true;
    }
    find_sqlstate(PQerrorMessage(pg), sqlstate);
    first_line(PQerrorMessage(pg), text, sizeof text);
    return err_fail(err, sqlstate[0] == '\0' ? ERR_RETRY : db_code_of_sqlstate(sqlstate),
                    "connect to the database: %s", text);
}

/* Between two statements also the server's last words come as a notice; all others say nothing. */
static void hear_notice(void *context, const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
        ((struct db *)context)->is_lost = true;
}

static bool open_connection(struct db *db, struct err *err)
{
    CLEANUP(free_params) struct params params = { .count = 0 };

    if (!check_url(db->target.url, err) || !fill_params(&db->target, &params, err))
        return false;
    db->pg = PQconnectdbParams(params.keys, params.values, 1);
    if (db->pg == NULL)
        return err_fail(err, ERR_SYSTEM, "connect to the database: no memory");
    if (PQstatus(db->pg) != CONNECTION_OK && !connect_again(db->pg, db->sqlstate, err))
        return false;
    (void)PQsetNoticeReceiver(db->pg, hear_notice, db);
    if (PQserverVersion(db->pg) < 150000)
        return err_fail(err, ERR_DENIED, "PostgreSQL 15 or later is needed, the server is %d.%d",
                        PQserverVersion(db->pg) / 10000, PQserverVersion(db->pg) % 10000);
    if (PQsetnonblocking(db->pg, 1) != 0)
        return db_fail_lost(db, "connect", err);
    return true;
}

bool db_connect(const struct db_target *target, struct db **out, struct err *err)
{
    CLEANUP(db_close) struct db *db = calloc(1, sizeof *db);

    if (db == NULL)
        return err_fail(err, ERR_SYSTEM, "connect to the database: no memory");
    db->scratch = buf_create(SCRATCH_MAX_BYTES);
    if (!db_copy_target(target, &db->target, err) || !open_connection(db, err))
        return false;
    *out = db;
    db = NULL; /* the caller's now */
    return true;
}

void db_close(struct db **db)
{
    if (*db == NULL)
        return;
    PQfinish((*db)->pg);
    db_free_target(&(*db)->target);
    buf_free(&(*db)->scratch);
    free((*db)->queue);
    free(*db);
    *db = NULL;
}

/* ---- a connection's health ----------------------------------------------------------------- */

bool db_is_broken(const struct db *db)
{
    return db->is_lost || PQstatus(db->pg) != CONNECTION_OK;
}

bool db_reset_if_broken(struct db *db, struct err *err)
{
    assert(!db->is_in_tx && "a transaction is open");
    if (!db_is_broken(db))
        return true;
    PQfinish(db->pg);
    db->pg = NULL; /* PQstatus of NULL is bad: broken until it works */
    db->is_lost = false;
    db->is_in_pipeline = false;
    memset(db->is_prepared, 0, sizeof db->is_prepared);
    if (!open_connection(db, err)) {
        db->is_lost = true;
        return false;
    }
    return true;
}

bool db_looks_alive(struct db *db)
{
    if (db_is_broken(db))
        return false;
    /* Between two statements only the end of the connection or a notice can arrive. */
    while (!db_is_broken(db) && fd_wait(PQsocket(db->pg), 0)) {
        if (PQconsumeInput(db->pg) == 0)
            db->is_lost = true;
        (void)PQisBusy(db->pg); /* reads what has arrived */
    }
    return !db_is_broken(db);
}

uint64_t db_round_trips(const struct db *db)
{
    return db->round_trips;
}
