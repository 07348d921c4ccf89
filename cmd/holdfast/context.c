/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/append.h"
#include "base/fd.h"
#include "holdfast/cli.h"
#include "operate/user.h"

#include <stdarg.h>
#include <stdio.h>

bool cli_settle(struct cli *cli, unsigned services)
{
    unsigned wanted = 1u << OPERATE_HOLDFASTD | operate_programs_of(services);

    /* First what perhaps only root may read. */
    return conf_load(cli->conf_path, &cli->conf, &cli->err) &&
           operate_keep_settings(cli->conf, cli->settings_path, &cli->settings_fd, &cli->err) &&
           operate_open_programs(wanted, &cli->programs, &cli->err) &&
           operate_settle(cli->conf, false, &cli->err);
}

bool cli_open(struct cli *cli, unsigned services)
{
    struct operate_session_request request = {
        .conf = cli->conf,
        .conf_path = cli->settings_path,
        .programs = &cli->programs,
        .services = services,
    };

    cli->services = services;
    return operate_open_session(&request, &cli->session, &cli->err);
}

bool cli_open_database(struct cli *cli)
{
    return cli_settle(cli, OPERATE_SERVICE_DATABASE) && cli_open(cli, OPERATE_SERVICE_DATABASE);
}

char *cli_packs_dir(struct cli *cli)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/packs", cli->conf->holdfast.data_dir);
    return arena_text(cli->arena, path);
}

bool cli_audit(struct cli *cli, enum audit_kind kind, int64_t account_id,
               const struct audit_field *fields)
{
    struct audit_event event = { .kind = kind, .account_id = account_id, .fields = fields };

    if (!audit_append_one(cli->session.db, &event, &cli->err))
        return err_wrap(&cli->err, "audit");
    return true;
}

/* It may quote a file, or a server. */
static void end_line(const char *text)
{
    cli_put_line(bytes_of_text(text), stderr);
    (void)fputc('\n', stderr);
}

int cli_fail(const struct cli *cli)
{
    (void)fflush(stdout);
    (void)fputs("holdfast: ", stderr);
    end_line(cli->err.text);
    return err_exit_status(cli->err.code);
}

static void print_command(const struct cli_command *c, FILE *out)
{
    (void)fprintf(out, "holdfast %s%s%s", c->group == NULL ? "" : c->group,
                  c->group == NULL ? "" : " ", c->name);
}

int cli_refuse(const struct cli *cli)
{
    print_command(cli->command, stderr);
    (void)fputs(": ", stderr);
    end_line(cli->err.text);
    return EXIT_USAGE;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[ERR_TEXT_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_command(cli->command, stderr);
    (void)fputs(": ", stderr);
    end_line(text);
    (void)fputs("usage: ", stderr);
    print_command(cli->command, stderr);
    (void)fprintf(stderr, " %s\n", cli->command->arguments);
    return EXIT_USAGE;
}
