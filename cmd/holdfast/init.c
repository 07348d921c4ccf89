/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast init: keys, database, migrations; what holdfastd also does at its start.
 */
#include "holdfast/cli.h"
#include "operate/install.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option no_options[] = { { NULL, 0, NULL, 0 } };

/* A holdfastd, running or started for this, has migrated a private database when it is ready. */
static bool make_everything(struct cli *cli)
{
    bool has_passwords;

    if (!operate_make_keys(cli->conf, &cli->err))
        return false;
    return cli->conf->database.url[0] == '\0' ||
           operate_prepare_server(cli->conf, &has_passwords, &cli->err);
}

int cmd_init(struct cli *cli, int argc, char **argv)
{
    int status;

    if (cli_next_option(cli, argc, argv, no_options, &status) == CLI_STOP)
        return status;
    if (!cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || !make_everything(cli) ||
        !cli_open(cli, OPERATE_SERVICE_DATABASE) || !cli_audit(cli, AUDIT_INIT, 0, NULL))
        return cli_fail(cli);
    (void)printf("data directory: %s\n", cli->conf->holdfast.data_dir);
    (void)printf("database:       %s\n", cli->conf->database.url[0] == '\0'
                                             ? "private PostgreSQL in the data directory"
                                             : "that of [database] url");
    (void)printf(
        "certificate:    %s%s\n",
        cli->conf->imapd.tls_cert[0] == '\0' ? cli->conf->holdfast.data_dir
                                             : cli->conf->imapd.tls_cert,
        cli->conf->imapd.tls_cert[0] == '\0' ? "/" OPERATE_CERTIFICATE_FILE " (self-signed)" : "");
    (void)printf("master key:     %s/" OPERATE_MASTER_KEY_FILE
                 " (keep a copy: without it the accounts' passwords are lost)\n",
                 cli->conf->holdfast.data_dir);
    return EXIT_SUCCESS;
}
