/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast/account_csv.h - the rows of a list of accounts, with the files that they name.
 *
 * A child reads, forked before the command becomes the archive's user: the list, password files and
 * certificates may be readable to the caller alone. It holds one row; rows come over a pipe.
 */
#pragma once

#include "holdfast/cli.h"

enum account_column {
    ACCOUNT_NAME,
    ACCOUNT_URL,
    ACCOUNT_KIND,
    ACCOUNT_PASSWORD_FILE,
    ACCOUNT_PASSWORD_COMMAND,
    ACCOUNT_PASSWORD,
    ACCOUNT_CREDENTIAL,
    ACCOUNT_TLS_CA,
    ACCOUNT_TLS_PIN,
    ACCOUNT_LOGIN_AS,
    ACCOUNT_INCLUDE,
    ACCOUNT_EXCLUDE,
    ACCOUNT_NAMESPACE,
    ACCOUNT_EVERY,
    ACCOUNT_COLUMNS, /* how many; of what is wrong: no single one */
};

#define ACCOUNT_NO_LINE UINT64_MAX

/*
 * password_file, password_command and password come as ACCOUNT_PASSWORD, the password itself; tls_ca as its
 * PEM text; include and exclude, which may stand more than once, one pattern a line.
 */
struct account_row {
    uint64_t
        line; /* 0: there are no more; ACCOUNT_NO_LINE: the whole list is wrong, why says where */
    uint32_t columns; /* 1 << column: which the list has */
    struct bytes cells[ACCOUNT_COLUMNS];
    bool is_wrong;
    const char *column; /* of what is wrong; "": of no single one */
    struct bytes why;
};

const char *account_column_name(enum account_column column);

struct account_csv;

/* allow_plain: a column `password` is accepted, if nobody else can read the file. */
MUST_USE bool account_csv_open(struct cli *cli, const char *path, bool allow_plain,
                               struct account_csv **out);

/* The next row; its octets are borrowed until the next call. ERR_SYSTEM: the child failed. */
MUST_USE bool account_csv_next(struct account_csv *csv, struct account_row *out, struct err *err);

void account_csv_close(struct account_csv **csv); /* ends the child; wipes what it sent */
