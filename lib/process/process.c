/* SPDX-License-Identifier: Apache-2.0 */
#include "process/process.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "process/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    STATEMENT_TIMEOUT_MS = 60000, /* no statement of ours needs longer; a hung server is noticed */
    CONNECT_RETRY_MS = 200,
};

int process_take_number(const char *variable)
{
    const char *value = getenv(variable);
    struct bytes text = bytes_of_text(value == NULL ? "" : value);
    uint32_t number;
    int taken = -1;

    if (scan_u32(&text, &number) && text.len == 0 && number <= 1023)
        taken = (int)number;
    (void)unsetenv(variable);
    return taken;
}

static bool read_password(struct secret **out, struct err *err)
{
    CLEANUP(fd_close) int fd = process_take_number("HOLDFAST_PASSWORD_FD");
    uint8_t octets[256];
    size_t len = 0;
    bool is_made;

    if (fd < 0)
        return true;
    while (len < sizeof octets) {
        ssize_t got = read(fd, octets + len, sizeof octets - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "read the database password from descriptor %d", fd);
        if (got == 0)
            break;
        len += (size_t)got;
    }
    is_made = secret_create(bytes_of(octets, len), out, err);
    secret_wipe(octets, sizeof octets);
    return is_made;
}

static bool take_signals(int *stop_fd, struct err *err)
{
    sigset_t stops;

    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    if (sigprocmask(SIG_BLOCK, &stops, NULL) != 0)
        return err_errno(err, "block signals");
    *stop_fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    if (*stop_fd < 0)
        return err_errno(err, "signal descriptor");
    (void)signal(SIGPIPE, SIG_IGN);
    return true;
}

static bool parse_arguments(int argc, char **argv, const char **conf_path, struct err *err)
{
    int option;

    opterr = 0;
    while ((option = getopt(argc, argv, "c:")) != -1) {
        if (option != 'c')
            return err_fail(err, ERR_SYNTAX, "usage: %s [-c FILE]", argv[0]);
        *conf_path = optarg;
    }
    if (optind < argc)
        return err_fail(err, ERR_SYNTAX, "usage: %s [-c FILE]; unknown argument '%s'", argv[0],
                        argv[optind]);
    return true;
}

bool process_start(int argc, char **argv, const char *name, const char *role, struct process *out,
                   struct err *err)
{
    CLEANUP(process_end) struct process process = { .role = role, .stop_fd = -1 };
    const char *conf_path = NULL;
    int worker = process_take_number("HOLDFAST_WORKER");
    pid_t parent = getppid();
    char process_name[16]; /* of the kernel, which would show a descriptor's number */

    (void)snprintf(process_name, sizeof process_name, "holdfast-%s", name);
    (void)prctl(PR_SET_NAME, process_name, 0, 0, 0);

    secret_protect_process();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
        return err_errno(err, "ask for the end of holdfastd to be told");
    if (getppid() != parent)
        return err_fail(err, ERR_RETRY, "holdfastd has ended meanwhile");
    if (!take_signals(&process.stop_fd, err) || !parse_arguments(argc, argv, &conf_path, err) ||
        !read_password(&process.db_password, err) || !conf_load(conf_path, &process.conf, err))
        return false;
    if (!conf_find_runtime_dir(process.conf, &process.runtime, err))
        return err_wrap(err, "holdfast-%s is started by holdfastd", name);
    process.log = (struct log){
        .fd = STDERR_FILENO,
        .level = process.conf->holdfast.log_level,
        .process = name,
    };
    process.worker = worker;
    *out = process;
    process = (struct process){ .stop_fd = -1 };
    return true;
}

void process_end(struct process *process)
{
    conf_free(&process->conf);
    secret_free(&process->db_password);
    fd_close(&process->stop_fd);
}

bool process_enter_sandbox(const struct process *process, unsigned rights, struct err *err)
{
    struct sandbox sandbox = { .rights = rights | sandbox_rights_of_libpq(process->conf) };
    bool has_landlock;

    if (!sandbox_enter(&sandbox, &has_landlock, err))
        return false;
    if (!has_landlock)
        log_warn(&process->log,
                 "no Landlock in this kernel: file access is limited by the Unix user only");
    return true;
}

struct db_target process_db_target(const struct process *process)
{
    const char *url = process->conf->database.url;
    bool is_private = url[0] == '\0';

    return (struct db_target){
        .url = is_private ? NULL : url,
        .socket_dir = is_private ? process->runtime.dir : NULL,
        .database = is_private ? "holdfast" : NULL,
        .role = process->role,
        .password = process->db_password,
        .application_name = process->log.process,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
    };
}

bool process_connect(const struct process *process, int64_t timeout_ms, struct db **out,
                     struct err *err)
{
    struct db_target target = process_db_target(process);

    return process_connect_to(process, &target, timeout_ms, out, err);
}

bool process_connect_to(const struct process *process, const struct db_target *target,
                        int64_t timeout_ms, struct db **out, struct err *err)
{
    struct deadline deadline = deadline_after_ms(timeout_ms);

    while (!db_connect(target, out, err)) {
        if (err->code != ERR_RETRY || deadline_has_passed(deadline))
            return err_wrap(err, "connect to the database");
        if (process_wait(process, CONNECT_RETRY_MS))
            return err_fail(err, ERR_RETRY, "asked to stop before the database answered");
        err_clear(err);
    }
    return true;
}

void process_allow_descriptors(const struct process *process, uint64_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted)
        log_warn(&process->log, "few descriptors allowed", F_U64("limit", limit.rlim_max),
                 F_U64("wanted", wanted));
}

void process_ready(void)
{
    int fd = process_take_number("HOLDFAST_READY_FD");
    struct err unheard = { 0 };

    if (fd < 0)
        return;
    if (!fd_write_all(fd, BYTES("ready\n"), &unheard))
        err_clear(&unheard); /* nobody listens any more: then nobody needs to know */
    fd_close(&fd);
}

void process_write_owner(const struct process *process, char owner[PROCESS_OWNER_BYTES])
{
    char host[HOST_NAME_MAX + 1] = "";

    (void)gethostname(host, HOST_NAME_MAX);
    if (process->worker < 0)
        (void)snprintf(owner, PROCESS_OWNER_BYTES, "%s %s %jd", host, process->log.process,
                       (intmax_t)getpid());
    else
        (void)snprintf(owner, PROCESS_OWNER_BYTES, "%s %s %d of %jd", host, process->log.process,
                       process->worker, (intmax_t)getppid());
}

bool process_must_stop(const struct process *process)
{
    return process_wait(process, 0);
}

bool process_wait_for(const struct process *process, int fd, int64_t ms)
{
    struct pollfd polls[2] = { { .fd = process->stop_fd, .events = POLLIN },
                               { .fd = fd, .events = POLLIN } };
    struct deadline deadline = deadline_after_ms(ms);

    for (;;) {
        int ready = poll(polls, ARRAY_LEN(polls), deadline_poll_ms(deadline));

        if (ready > 0)
            return polls[0].revents != 0;
        if (ready == 0 || deadline_has_passed(deadline))
            return false;
    }
}

bool process_wait(const struct process *process, int64_t ms)
{
    return process_wait_for(process, -1, ms);
}
