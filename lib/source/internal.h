/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source/internal.h - what the files of source share.
 */
#pragma once

#include "db/db.h"
#include "source/lease.h"
#include "source/run.h"
#include "source/secret.h"

enum {
    SOURCE_STEP_UIDS = 100000 /* in one statement: about a second */
};

/* Copies a column into the arena; NULL gives no octets. */
MUST_USE bool source_copy_column(const struct db_result *rows, size_t row, size_t col,
                                 struct arena *arena, struct bytes *out, struct err *err);

/* Likewise the items of an array. */
MUST_USE bool source_copy_texts(const struct db_result *rows, size_t row, size_t col,
                                struct arena *arena, const struct bytes **out, size_t *count,
                                struct err *err);

/* A time column; 0 for NULL. */
int64_t source_time(const struct db_result *rows, size_t row, size_t col);

/* The 12 columns of a run, from `col` on (source.sql: source_job_watch). */
enum {
    SOURCE_RUN_COLUMNS = 12
};
MUST_USE bool source_read_run(const struct db_result *rows, size_t row, size_t col,
                              struct arena *arena, struct source_run *out, struct err *err);

/* Host, port, login, tls, tls_ca, include, exclude, every_seconds, namespaces, tls_pins,
 * tls_pin_only, login_as: the 12 columns from `col` on. */
MUST_USE bool source_read_settings(const struct db_result *rows, size_t row, size_t col,
                                   struct arena *arena, struct source_account_settings *out,
                                   struct err *err);

/* edit: which members count. ERR_SYNTAX. */
MUST_USE bool source_check_settings(const struct source_account_settings *account, uint32_t edit,
                                    struct err *err);

/* A namespace as the column has it: bit 1 << index. */
enum {
    SOURCE_NAMESPACES = 2
};
struct bytes source_namespace_name(size_t index);

struct bytes source_left_out_name(enum source_left_out reason);
enum source_left_out source_left_out_of(struct bytes name); /* of such a name */

struct bytes source_job_kind_name(enum source_job_kind kind);

/* Runs a statement whose first column says whether the lease is held. ERR_DENIED: it is not.
 * out: NULL, or the row. */
MUST_USE bool source_run_leased(struct db *db, const struct source_lease *lease,
                                enum db_statement statement, struct db_args args,
                                struct db_result **out, struct err *err);

/* The same of a statement whose first column is NULL when the lease is lost. */
MUST_USE bool source_ask_leased(struct db *db, const struct source_lease *lease,
                                enum db_statement statement, struct db_args args,
                                struct db_result **out, struct err *err);

/* The first four arguments of a statement that renews the lease. progress: text, or NULL. */
#define SOURCE_LEASE_ARGS(lease)                                                                   \
    DB_I64((lease)->job_id), DB_I64((lease)->fence), DB_I64(SOURCE_LEASE_SECONDS)

/* Of an account or a credential: ERR_SYNTAX. */
MUST_USE bool source_check_name(struct bytes name, struct err *err);

/* Under the caller's transaction. */
MUST_USE bool source_save_secret(struct db *db, int64_t account_id, const struct crypto_key *master,
                                 const struct source_secret *secret, struct err *err);
