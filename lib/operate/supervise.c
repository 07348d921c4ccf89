/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/supervise.h"

#include "base/fd.h"
#include "operate/install.h"
#include "operate/internal.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    /* recovery after a power cut, which begins anew when it is cut short */
    DATABASE_START_MS = 30 * 60 * 1000,
    DATABASE_STOP_MS = 60000,
    DATABASE_STEADY_MS = 60000,
    SHARES_WAIT_MS = 30000,
    KILL_WAIT_MS = 2000,
    SETTINGS_MAX_BYTES = 1 << 20,
};

struct supervisor {
    const struct operate_plan *plan;
    struct conf_runtime runtime;
    char conf_path[PATH_MAX];
    struct child_setup setup;
    struct db_cluster *cluster; /* NULL: [database] url */
    int database_fd;            /* readable when our PostgreSQL has ended; -1: not ours */
    int64_t database_backoff_ms;
    struct deadline database_restart_at;
    struct deadline database_steady_at;
    bool is_database_down;
    int signal_fd;
    struct child *children; /* in the order of start */
    size_t count;
    struct pollfd *polls; /* 2 + 2 * count */
};

/*
 * In the order of start. To add a service: a row here, its bit and name in lock.c, its program in
 * program.c.
 */
static const struct {
    unsigned service;
    enum operate_program program;
    enum db_role role;
} services[] = {
    { OPERATE_SERVICE_GATE, OPERATE_GATE, DB_ROLE_GATE },
    { OPERATE_SERVICE_KEEPER, OPERATE_KEEPER, DB_ROLE_KEEPER },
    { OPERATE_SERVICE_INGEST, OPERATE_INGEST, DB_ROLE_INGEST }, /* as many as there are workers */
    { OPERATE_SERVICE_WATCH, OPERATE_WATCH, DB_ROLE_INGEST },   /* unless [ingest] watch = off */
    { OPERATE_SERVICE_IMAPD, OPERATE_IMAPD, DB_ROLE_READER },
};

static const char *name_of(const struct child *child)
{
    return operate_program_name(child->program);
}

/* ---- the run-time folder ----------------------------------------------------------------------- */

/* Children get a copy that they can read, when the file is one that only root can. */
static bool copy_settings(struct supervisor *s, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(SETTINGS_MAX_BYTES);
    uint8_t chunk[4096];
    struct bytes octets, rest;
    uint32_t fd;
    ssize_t got;

    (void)snprintf(s->conf_path, sizeof s->conf_path, "%s", s->plan->conf_path);
    rest = bytes_of_text(s->conf_path);
    if (!scan_text(&rest, BYTES("/proc/self/fd/")) || !scan_u32(&rest, &fd))
        return true;
    for (off_t at = 0; (got = pread((int)fd, chunk, sizeof chunk, at)) > 0; at += got)
        buf_append(&text, bytes_of(chunk, (size_t)got));
    if (got < 0)
        return err_errno(err, "read the settings again");
    (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    (void)snprintf(s->conf_path, sizeof s->conf_path, "%s/holdfast.conf", s->runtime.dir);
    return buf_done(&text, &octets, err) && file_write_atomic(s->conf_path, octets, 0600, err);
}

static bool make_runtime(struct supervisor *s, struct err *err)
{
    const struct conf *conf = s->plan->conf;

    return conf_make_runtime_dir(conf, geteuid(), getegid(), &s->runtime, err) &&
           copy_settings(s, err);
}

/* Only the data directory stays. */
static void remove_runtime(struct supervisor *s)
{
    char link_path[PATH_MAX];
    struct err ignored = { 0 };
    DIR *entries;
    const struct dirent *entry;

    if (s->runtime.dir[0] == '\0')
        return;
    entries = opendir(s->runtime.dir);
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries != NULL)
        (void)closedir(entries);
    if (rmdir(s->runtime.dir) == 0 && operate_get_path(s->plan->conf, "run", link_path, &ignored))
        (void)unlink(link_path);
}

/* ---- the database -------------------------------------------------------------------------------- */

static bool start_cluster(struct supervisor *s, struct err *err)
{
    if (!db_cluster_start(s->cluster, deadline_after_ms(DATABASE_START_MS), s->signal_fd, err))
        return false;
    s->is_database_down = false;
    s->database_steady_at = deadline_after_ms(DATABASE_STEADY_MS);
    if (db_cluster_is_ours(s->cluster)) {
        s->database_fd = pidfd_open(db_cluster_pid(s->cluster), 0);
        if (s->database_fd < 0)
            return err_errno(err, "watch PostgreSQL");
    }
    return true;
}

static bool start_database(struct supervisor *s, bool *is_asked, struct err *err)
{
    const struct conf *conf = s->plan->conf;
    struct db_cluster_settings settings = {
        .data_dir = conf->holdfast.data_dir,
        .runtime_dir = s->runtime.dir,
    };

    if (conf->database.url[0] != '\0')
        return operate_prepare_server(conf, &s->setup.has_passwords, err);
    s->setup.has_passwords = true;
    if (!db_cluster_open(&settings, &s->cluster, err) || !start_cluster(s, err) ||
        !db_cluster_prepare(s->cluster, err)) {
        *is_asked = fd_wait(s->signal_fd, 0);
        return *is_asked || err_wrap(err, "private PostgreSQL");
    }
    return true;
}

static void note_database_end(struct supervisor *s)
{
    if (db_cluster_is_running(s->cluster))
        return;
    fd_close(&s->database_fd);
    if (s->database_backoff_ms == 0 || deadline_has_passed(s->database_steady_at))
        s->database_backoff_ms = CHILD_BACKOFF_FIRST_MS;
    s->is_database_down = true;
    s->database_restart_at = deadline_after_ms(s->database_backoff_ms);
    log_warn(s->plan->log, "PostgreSQL ended, starting it again",
             F_I64("in_ms", s->database_backoff_ms));
    s->database_backoff_ms *= 2;
    if (s->database_backoff_ms > CHILD_BACKOFF_MAX_MS)
        s->database_backoff_ms = CHILD_BACKOFF_MAX_MS;
}

static void restart_database(struct supervisor *s)
{
    struct err err = { 0 };

    if (start_cluster(s, &err)) {
        log_info(s->plan->log, "PostgreSQL is back");
        return;
    }
    log_error(s->plan->log, "PostgreSQL could not be started", F_ERR(&err));
    s->database_restart_at = deadline_after_ms(CHILD_BACKOFF_MAX_MS);
}

/* ---- children -------------------------------------------------------------------------------------- */

static uint32_t copies_of(const struct operate_plan *plan, enum operate_program program)
{
    if (program == OPERATE_INGEST)
        return plan->workers;
    return program != OPERATE_WATCH || (plan->conf->ingest.watch && plan->workers > 0);
}

static bool plan_children(struct supervisor *s, struct err *err)
{
    size_t max = ARRAY_LEN(services) + s->plan->workers;

    s->children = calloc(max, sizeof *s->children);
    s->polls = calloc(2 + 2 * max, sizeof *s->polls);
    if (s->children == NULL || s->polls == NULL)
        return err_errno(err, "memory for %zu services", max);
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        uint32_t copies = copies_of(s->plan, services[i].program);

        if ((s->plan->services & services[i].service) == 0)
            continue;
        for (uint32_t number = 0; number < copies; number++)
            s->children[s->count++] = (struct child){
                .program = services[i].program,
                .role = services[i].role,
                .number = number,
                .pidfd = -1,
                .ready_fd = -1,
            };
    }
    return true;
}

/* As poll(), of everything there is. Index 0: the signals, 1: the database, 2 + 2i and 3 + 2i: child i. */
static bool poll_all(struct supervisor *s, struct deadline until)
{
    s->polls[0] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
    s->polls[1] = (struct pollfd){ .fd = s->database_fd, .events = POLLIN };
    if (s->is_database_down)
        until = deadline_earlier(until, s->database_restart_at);
    for (size_t i = 0; i < s->count; i++) {
        const struct child *child = &s->children[i];

        s->polls[2 + 2 * i] = (struct pollfd){ .fd = child->pidfd, .events = POLLIN };
        s->polls[3 + 2 * i] = (struct pollfd){ .fd = child->ready_fd, .events = POLLIN };
        if (child->state == CHILD_WAITING)
            until = deadline_earlier(until, child->restart_at);
        else if (child->state == CHILD_STARTING)
            until = deadline_earlier(until, child->ready_until);
    }
    return poll(s->polls, 2 + 2 * s->count, deadline_poll_ms(until)) > 0;
}

static bool is_readable(const struct supervisor *s, size_t index)
{
    return s->polls[index].fd >= 0 && s->polls[index].revents != 0;
}

/* While starting: true when the child is ready, or when we are to stop (*is_asked). */
static bool await_child(struct supervisor *s, size_t index, bool *is_asked, struct err *err)
{
    struct child *child = &s->children[index];
    char end[CHILD_END_BYTES];
    int exit_status;

    while (child->state == CHILD_STARTING) {
        struct pollfd polls[3] = {
            { .fd = s->signal_fd, .events = POLLIN },
            { .fd = child->ready_fd, .events = POLLIN },
            { .fd = child->pidfd, .events = POLLIN },
        };

        if (poll(polls, 3, deadline_poll_ms(child->ready_until)) < 0 && errno != EINTR)
            return err_errno(err, "wait for %s", name_of(child));
        if (polls[0].revents != 0) {
            *is_asked = true;
            return true;
        }
        if (child->ready_fd >= 0 && polls[1].revents != 0 && child_hear(child))
            break;
        if (polls[2].revents != 0) {
            child_reap(child, end, &exit_status);
            return err_fail(
                err, exit_status == 3 ? ERR_RETRY : ERR_SYSTEM,
                "%s did not start (%s); its own words stand in the log%s", name_of(child), end,
                s->plan->is_passing ? ", holdfast.log in the data directory" : " above");
        }
        if (deadline_has_passed(child->ready_until))
            return err_fail(err, ERR_RETRY, "%s was not ready within %d s", name_of(child),
                            CHILD_READY_MS / 1000);
    }
    return true;
}

static bool start_children(struct supervisor *s, bool *is_asked, struct err *err)
{
    for (size_t i = 0; i < s->count && !*is_asked; i++) {
        if (!child_launch(&s->children[i], &s->setup, err))
            return false;
        /* Workers start side by side. */
        if (s->children[i].program == OPERATE_INGEST && i + 1 < s->count &&
            s->children[i + 1].program == OPERATE_INGEST)
            continue;
        for (size_t k = 0; k <= i && !*is_asked; k++) {
            if (!await_child(s, k, is_asked, err))
                return false;
        }
    }
    return true;
}

static void tend_child(struct supervisor *s, size_t index)
{
    struct child *child = &s->children[index];
    char end[CHILD_END_BYTES];
    int exit_status;
    struct err err = { 0 };

    if (is_readable(s, 3 + 2 * index) && child->ready_fd >= 0 && child_hear(child))
        log_info(s->plan->log, "service is ready again", F_TEXT("service", name_of(child)),
                 F_I64("pid", child->pid));
    if (is_readable(s, 2 + 2 * index)) {
        int64_t pid = child->pid;

        child_reap(child, end, &exit_status);
        log_warn(s->plan->log, "service ended, starting it again",
                 F_TEXT("service", name_of(child)), F_I64("pid", pid), F_TEXT("by", end),
                 F_I64("in_ms", deadline_poll_ms(child->restart_at)));
        return;
    }
    if (child->state == CHILD_STARTING && deadline_has_passed(child->ready_until)) {
        log_warn(s->plan->log, "service is not ready, ending it",
                 F_TEXT("service", name_of(child)));
        child_signal(child, SIGKILL);
        child->ready_until = deadline_never();
    }
    if (child->state != CHILD_WAITING || !deadline_has_passed(child->restart_at))
        return;
    if (!child_launch(child, &s->setup, &err)) {
        log_error(s->plan->log, "service could not be started", F_ERR(&err));
        child->restart_at = deadline_after_ms(CHILD_BACKOFF_MAX_MS);
    }
}

static void run_until_asked(struct supervisor *s)
{
    for (;;) {
        bool is_ready = poll_all(s, deadline_never());

        if (!is_ready) {
            for (size_t i = 0; i < 2 + 2 * s->count; i++)
                s->polls[i].revents = 0;
        }
        if (is_readable(s, 0))
            return;
        if (is_readable(s, 1))
            note_database_end(s);
        if (s->is_database_down && deadline_has_passed(s->database_restart_at))
            restart_database(s);
        for (size_t i = 0; i < s->count; i++)
            tend_child(s, i);
    }
}

/* ---- the end ----------------------------------------------------------------------------------------- */

static bool is_chosen(const struct child *child, bool is_gate)
{
    return child->state != CHILD_WAITING && (child->program == OPERATE_GATE) == is_gate;
}

/* True when all that are chosen have ended. */
static bool reap_until(struct supervisor *s, bool is_gate, struct deadline deadline)
{
    for (;;) {
        size_t left = 0;
        size_t count = 0;

        for (size_t i = 0; i < s->count; i++) {
            struct child *child = &s->children[i];
            struct pollfd ended = { .fd = child->pidfd, .events = POLLIN };
            char end[CHILD_END_BYTES];
            int exit_status;

            if (!is_chosen(child, is_gate))
                continue;
            if (poll(&ended, 1, 0) > 0) {
                child_reap(child, end, &exit_status);
                if (exit_status != 0)
                    log_warn(s->plan->log, "service did not end well",
                             F_TEXT("service", name_of(child)), F_TEXT("by", end));
                continue;
            }
            s->polls[count++] = ended;
            left++;
        }
        if (left == 0)
            return true;
        if (deadline_has_passed(deadline))
            return false;
        (void)poll(s->polls, count, deadline_poll_ms(deadline));
    }
}

static void stop_children(struct supervisor *s, bool is_gate)
{
    for (size_t i = 0; i < s->count; i++) {
        if (is_chosen(&s->children[i], is_gate))
            child_signal(&s->children[i], SIGTERM);
    }
    if (reap_until(s, is_gate, deadline_after_ms(PROCESS_STOP_MS)))
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (!is_chosen(&s->children[i], is_gate))
            continue;
        log_warn(s->plan->log, "service does not end, killing it",
                 F_TEXT("service", name_of(&s->children[i])));
        child_signal(&s->children[i], SIGKILL);
    }
    (void)reap_until(s, is_gate, deadline_after_ms(KILL_WAIT_MS));
}

static void end_everything(struct supervisor *s)
{
    struct err err = { 0 };

    /* The others still ask the gate while they finish what they have begun. */
    stop_children(s, false);
    stop_children(s, true);
    if (s->cluster != NULL &&
        !db_cluster_stop(s->cluster, deadline_after_ms(DATABASE_STOP_MS), &err))
        log_error(s->plan->log, "PostgreSQL did not end well", F_ERR(&err));
    db_cluster_free(&s->cluster);
    remove_runtime(s);
    fd_close(&s->database_fd);
    fd_close(&s->signal_fd);
    free(s->children);
    free(s->polls);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static bool take_signals(struct supervisor *s, struct err *err)
{
    sigset_t stops;

    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    (void)sigaddset(&stops, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &stops, NULL) != 0)
        return err_errno(err, "block signals");
    s->signal_fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd >= 0 || err_errno(err, "signal descriptor");
}

static void announce(const struct supervisor *s)
{
    CLEANUP(buf_free) struct buf line = buf_create(4096);
    const struct conf_addresses *tls = &s->plan->conf->imapd.listen_tls;
    struct err unheard = { 0 };
    int fd = s->plan->ready_fd;

    buf_text(&line, "ready");
    if ((s->plan->services & OPERATE_SERVICE_IMAPD) != 0) {
        for (size_t i = 0; i < tls->count; i++) {
            buf_text(&line, " imaps=");
            buf_text(&line, tls->at[i].host[0] == '\0' ? "*" : tls->at[i].host);
            buf_byte(&line, ':');
            buf_u64(&line, tls->at[i].port);
        }
    }
    buf_text(&line, " data_dir=");
    buf_text(&line, s->plan->conf->holdfast.data_dir);
    buf_byte(&line, '\n');
    log_info(s->plan->log, "ready", F_U64("services", s->count));
    if (fd < 0)
        return;
    if (!fd_write_all(fd, buf_bytes(&line), &unheard))
        log_debug(s->plan->log, "nobody hears that we are ready");
    if (fd > STDERR_FILENO)
        fd_close(&fd);
}

bool operate_supervise(const struct operate_plan *plan, struct err *err)
{
    struct supervisor s = {
        .plan = plan,
        .database_fd = -1,
        .signal_fd = -1,
        .setup = { .plan = plan },
    };
    bool is_asked = false;
    bool has_started;

    s.setup.conf_path = s.conf_path;
    has_started = take_signals(&s, err) && plan_children(&s, err) && make_runtime(&s, err) &&
                  start_database(&s, &is_asked, err) && start_children(&s, &is_asked, err);
    if (has_started && !is_asked) {
        announce(&s);
        run_until_asked(&s);
        if (plan->is_passing)
            operate_await_shares(plan->conf->holdfast.data_dir, deadline_after_ms(SHARES_WAIT_MS));
    }
    log_info(plan->log, "ending");
    end_everything(&s);
    return has_started;
}
