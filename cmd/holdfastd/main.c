/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfastd - starts Holdfast's processes on one machine, and its PostgreSQL, and keeps them running.
 *
 * Holds no database connection while it runs, parses nothing, listens to nobody (lib/operate).
 */
#include "base/fd.h"
#include "operate/install.h"
#include "operate/supervise.h"
#include "operate/user.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    EXIT_USAGE = 2,
    WORKERS_MAX = 256,
};

struct options {
    const char *conf_path;
    uint32_t workers; /* 0: as the settings say */
    unsigned services;
    int ready_fd;
    const char *programs; /* NULL: to be found beside this one */
    bool is_help;
};

static const char help[] =
    "usage: holdfastd [-c FILE] [--workers N]\n"
    "\n"
    "Runs the archive in the foreground: PostgreSQL (unless [database] url is set), "
    "holdfast-gate,\n"
    "-keeper, -ingest and -imapd. Makes or upgrades the installation first. Writes one line "
    "\"ready ...\"\n"
    "to standard output when everything serves, and its log to standard error. SIGTERM ends all.\n"
    "\n"
    "  -c FILE         settings; else $HOLDFAST_CONFIG, else " CONF_DEFAULT_FILE "\n"
    "  --workers N     how many holdfast-ingest, instead of [ingest] workers\n"
    "  --ready-fd N    write the line to this descriptor and close it, instead of standard "
    "output;\n"
    "                  or \"failed CODE TEXT\"\n"
    "  --services LIST only these: database,gate,keeper,ingest,imapd,watch (what `holdfast sync` "
    "uses;\n"
    "                  the database is always one of them)\n"
    "  --programs LIST open descriptors of the other programs (from `holdfast`)\n";

static bool read_number(const char *option, const char *text, uint32_t max, uint32_t *out,
                        struct err *err)
{
    struct bytes rest = bytes_of_text(text);

    if (!scan_u32(&rest, out) || rest.len > 0 || *out > max)
        return err_fail(err, ERR_SYNTAX, "%s %s: give a number of at most %u", option, text, max);
    return true;
}

static bool read_options(int argc, char **argv, struct options *out, struct err *err)
{
    enum {
        WORKERS = 256,
        SERVICES,
        READY_FD,
        PROGRAMS,
        HELP
    };
    static const struct option known[] = {
        { "workers", required_argument, NULL, WORKERS },
        { "services", required_argument, NULL, SERVICES },
        { "ready-fd", required_argument, NULL, READY_FD },
        { "programs", required_argument, NULL, PROGRAMS },
        { "help", no_argument, NULL, HELP },
        { NULL, 0, NULL, 0 },
    };
    struct options options = { .services = OPERATE_SERVICE_ALL, .ready_fd = STDOUT_FILENO };
    uint32_t number;
    int option;

    while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.conf_path = optarg;
            break;
        case WORKERS:
            if (!read_number("--workers", optarg, WORKERS_MAX, &options.workers, err))
                return false;
            if (options.workers == 0)
                return err_fail(err, ERR_SYNTAX, "--workers 0: at least one is needed");
            break;
        case SERVICES:
            if (!operate_read_services(optarg, &options.services, err))
                return err_wrap(err, "--services");
            break;
        case READY_FD:
            if (!read_number("--ready-fd", optarg, 1023, &number, err))
                return false;
            options.ready_fd = (int)number;
            break;
        case PROGRAMS:
            options.programs = optarg;
            break;
        case HELP:
            options.is_help = true;
            break;
        default: /* getopt has said what is wrong */
            return err_fail(err, ERR_SYNTAX, "see holdfastd --help");
        }
    }
    if (optind < argc)
        return err_fail(err, ERR_SYNTAX, "unknown argument '%s': see holdfastd --help",
                        argv[optind]);
    options.services |= OPERATE_SERVICE_DATABASE;
    *out = options;
    return true;
}

static bool find_programs(const struct options *options, struct operate_programs *out,
                          struct err *err)
{
    if (options->programs != NULL)
        return operate_adopt_programs(options->programs, out, err);
    return operate_open_programs(operate_programs_of(options->services), out, err);
}

static bool run(const struct options *options, struct err *err)
{
    CLEANUP(conf_free) struct conf *conf = NULL;
    CLEANUP(operate_close_programs) struct operate_programs programs = OPERATE_NO_PROGRAMS;
    CLEANUP(fd_close) int settings_fd = -1;
    CLEANUP(fd_close) int lock_fd = -1;
    char settings_path[PATH_MAX];
    struct log log = { .fd = STDERR_FILENO, .process = "holdfastd" };

    /* First what perhaps only root may read. */
    if (!conf_load(options->conf_path, &conf, err) ||
        !operate_keep_settings(conf, settings_path, &settings_fd, err) ||
        !find_programs(options, &programs, err) || !operate_settle(conf, true, err))
        return false;
    log.level = conf->holdfast.log_level;
    if (!operate_take_lock(conf->holdfast.data_dir, options->services, &lock_fd, err) ||
        !operate_make_keys(conf, err))
        return false;
    return operate_supervise(
        &(struct operate_plan){
            .conf = conf,
            .conf_path = settings_path,
            .programs = &programs,
            .services = options->services,
            .workers = options->workers > 0 ? options->workers : conf->ingest.workers,
            .ready_fd = options->ready_fd,
            .is_passing = options->services != OPERATE_SERVICE_ALL,
            .log = &log,
        },
        err);
}

/* Who gave us a descriptor of its own (holdfast sync) tells the operator in its own words. */
static void report(const struct options *options, const struct err *err)
{
    if (options->ready_fd <= STDERR_FILENO)
        (void)fprintf(stderr, "holdfastd: %s\n", err->text);
    else
        (void)dprintf(options->ready_fd, "failed %s %s\n", err_code_name(err->code), err->text);
}

int main(int argc, char **argv)
{
    struct options options = { .ready_fd = -1 };
    struct err err = { 0 };

    (void)prctl(PR_SET_NAME, "holdfastd", 0, 0, 0); /* started by descriptor it has a number */
    if (!read_options(argc, argv, &options, &err)) {
        (void)fprintf(stderr, "holdfastd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (options.is_help) {
        (void)fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    if (!run(&options, &err)) {
        report(&options, &err);
        return err_exit_status(err.code);
    }
    return EXIT_SUCCESS;
}
