/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/server.c - running the private server.
 *
 * A server that runs already is found by postmaster.pid: its first line is the process id, its
 * fifth the socket folder. The process is ours only if its working folder is the cluster, since ids
 * are used again.
 */
#include "base/fd.h"
#include "db/cluster.h"
#include "db/cluster_internal.h"
#include "db/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 10
#define QUIT_MS 5000   /* after SIGQUIT, before SIGKILL */
#define ORPHANS_MS 100 /* between two starts while a killed server's processes still end */
#define ORPHANS_LIVE "pre-existing shared memory block"

/* ---- somebody's server --------------------------------------------------------------------- */

struct postmaster {
    pid_t pid; /* 0: none runs */
    char socket_dir[CLUSTER_PATH_BYTES];
};

static bool scan_line(struct bytes *in, struct bytes *line)
{
    if (!scan_until_byte(in, '\n', line))
        return false;
    *in = bytes_slice(*in, 1, in->len);
    return true;
}

enum owner {
    OWNER_NOBODY,
    OWNER_SERVER,
    OWNER_OTHER
};

/* Whose process id that is. PostgreSQL makes the cluster its working folder; without /proc every
 * living process counts as the server. */
static enum owner owner_of(const struct db_cluster *cluster, pid_t pid)
{
    char link[64], folder[CLUSTER_PATH_BYTES];
    ssize_t len;

    if (kill(pid, 0) != 0)
        return errno == EPERM ? OWNER_OTHER : OWNER_NOBODY; /* the server has our user */
    (void)snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    len = readlink(link, folder, sizeof folder - 1);
    if (len < 0) /* one that has ended but was not waited for has no folder */
        return access("/proc/self", F_OK) == 0 ? OWNER_NOBODY : OWNER_SERVER;
    folder[len] = '\0';
    return strcmp(folder, cluster->files) == 0 ? OWNER_SERVER : OWNER_OTHER;
}

static void read_pid_file(const struct bytes file, struct postmaster *out)
{
    struct bytes rest = file, line = { NULL, 0 };
    uint32_t pid = 0;

    if (!scan_line(&rest, &line) || !scan_u32(&line, &pid) || pid > INT32_MAX)
        return;
    for (int n = 2; n <= 5; n++)
        if (!scan_line(&rest, &line))
            line = (struct bytes){ NULL, 0 };
    out->pid = (pid_t)pid;
    if (line.len > 0 && line.len < sizeof out->socket_dir) {
        memcpy(out->socket_dir, line.ptr, line.len);
        out->socket_dir[line.len] = '\0';
    }
}

/* A file left behind by a crash is removed when its id now belongs to another program: the server
 * would take that for itself and refuse to start. */
static void find_postmaster(const struct db_cluster *cluster, struct postmaster *out)
{
    CLEANUP(buf_free) struct buf file = buf_create(4096);
    char path[CLUSTER_PATH_BYTES];
    struct err ignored = { 0 };

    *out = (struct postmaster){ .pid = 0 };
    if (!db_join_path(path, cluster->files, "postmaster.pid", &ignored) ||
        !file_read(path, 4000, &file, &ignored))
        return;
    read_pid_file(buf_bytes(&file), out);
    if (out->pid == 0)
        return;
    switch (owner_of(cluster, out->pid)) {
    case OWNER_SERVER:
        return;
    case OWNER_OTHER:
        (void)unlink(path);
        break;
    case OWNER_NOBODY: /* PostgreSQL sees by itself that the file is stale */
        break;
    }
    out->pid = 0;
}

static PGPing ping(const char *socket_dir)
{
    const char *const keys[] = { "host", "dbname", "connect_timeout", "gssencmode", NULL };
    const char *const values[] = { socket_dir, "postgres", "2", "disable", NULL };

    if (socket_dir[0] == '\0')
        return PQPING_NO_RESPONSE;
    return PQpingParams(keys, values, 0);
}

/* *is_found: a server that runs and accepts connections. Waits for one that starts or stops. */
static bool join_running(struct db_cluster *cluster, struct deadline deadline, bool *is_found,
                         struct err *err)
{
    struct postmaster server;

    *is_found = false;
    for (;;) {
        find_postmaster(cluster, &server);
        if (server.pid == 0)
            return true;
        if (ping(server.socket_dir) == PQPING_OK) {
            memcpy(cluster->socket_dir, server.socket_dir, sizeof cluster->socket_dir);
            *is_found = true;
            return true;
        }
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "the private database (process %d) does not answer",
                            (int)server.pid);
        if (!db_cluster_wait(cluster, POLL_MS, err))
            return false;
    }
}

/* ---- our server ---------------------------------------------------------------------------- */

bool db_cluster_is_ours(const struct db_cluster *cluster)
{
    return cluster->pid > 0;
}

int db_cluster_pid(const struct db_cluster *cluster)
{
    return (int)cluster->pid;
}

bool db_cluster_is_running(struct db_cluster *cluster)
{
    struct postmaster server;
    pid_t ended;

    if (cluster->pid <= 0) {
        find_postmaster(cluster, &server);
        return server.pid != 0;
    }
    ended = waitpid(cluster->pid, NULL, WNOHANG);
    if (ended == 0)
        return true;
    if (ended == cluster->pid || errno == ECHILD)
        cluster->pid = -1;
    return ended != cluster->pid && cluster->pid > 0;
}

/* What the server that we started last wrote into its log, its end when that is long. */
static struct bytes read_log(const struct db_cluster *cluster, char *tail, size_t size)
{
    char path[CLUSTER_PATH_BYTES];
    CLEANUP(fd_close) int fd = -1;
    struct err ignored = { 0 };
    off_t from;
    ssize_t len;

    if (!db_join_path(path, cluster->data_dir, "postgres.log", &ignored))
        return (struct bytes){ NULL, 0 };
    fd = open(path, O_RDONLY | O_CLOEXEC);
    from = fd < 0 ? -1 : lseek(fd, 0, SEEK_END) - (off_t)size;
    if (from < cluster->log_from)
        from = cluster->log_from;
    len = fd < 0 ? -1 : pread(fd, tail, size, from);
    return (struct bytes){ (const uint8_t *)tail, len < 0 ? 0 : (size_t)len };
}

/*
 * Why the server ended at its start, from its log. PostgreSQL refuses to start while a process of a
 * server that was killed lives: ERR_RETRY, since they end by themselves when they notice.
 */
static bool fail_at_start(const struct db_cluster *cluster, struct err *err)
{
    char tail[2048];
    struct bytes rest = read_log(cluster, tail, sizeof tail), line = { NULL, 0 }, last = line;
    enum err_code code = ERR_SYSTEM;

    while (scan_line(&rest, &line)) {
        if (line.len > 0)
            last = line;
        if (memmem(line.ptr, line.len, ORPHANS_LIVE, strlen(ORPHANS_LIVE)) != NULL) {
            last = line;
            code = ERR_RETRY;
            break;
        }
    }
    if (last.len == 0)
        last = BYTES("no log");
    return err_fail(err, code, "the private database ended at its start: %.*s",
                    last.len > 300 ? 300 : (int)last.len, (const char *)last.ptr);
}

static bool open_log(const struct db_cluster *cluster, int *out, struct err *err)
{
    char path[CLUSTER_PATH_BYTES];

    if (!db_join_path(path, cluster->data_dir, "postgres.log", err))
        return false;
    *out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return *out >= 0 || err_errno(err, "open %s", path);
}

static bool start_server(struct db_cluster *cluster, struct err *err)
{
    CLEANUP(fd_close) int log = -1;
    char program[CLUSTER_PATH_BYTES];
    const char *argv[8 + 2 * CLUSTER_EXTRA_MAX];
    size_t count = 0;

    if (!db_join_path(program, cluster->program_dir, "postgres", err) ||
        !open_log(cluster, &log, err))
        return false;
    argv[count++] = program;
    argv[count++] = "-D";
    argv[count++] = cluster->files;
    argv[count++] = "-k";
    argv[count++] = cluster->runtime_dir;
    for (size_t i = 0; cluster->extra[i] != NULL; i++) {
        argv[count++] = "-c";
        argv[count++] = cluster->extra[i];
    }
    argv[count] = NULL;
    memcpy(cluster->socket_dir, cluster->runtime_dir, sizeof cluster->socket_dir);
    cluster->log_from = lseek(log, 0, SEEK_END);
    return db_spawn(argv, log, &cluster->pid, err);
}

static bool await_ready(struct db_cluster *cluster, struct deadline deadline, struct err *err)
{
    for (;;) {
        if (!db_cluster_is_running(cluster))
            return fail_at_start(cluster, err);
        if (ping(cluster->socket_dir) == PQPING_OK)
            return true;
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "the private database is not ready yet");
        if (!db_cluster_wait(cluster, POLL_MS, err))
            return false;
    }
}

static bool start_until_ready(struct db_cluster *cluster, struct deadline deadline, struct err *err)
{
    while (start_server(cluster, err)) {
        if (await_ready(cluster, deadline, err))
            return true;
        if (err->code != ERR_RETRY || deadline_has_passed(deadline))
            return false;
        err_clear(err);
        if (!db_cluster_wait(cluster, ORPHANS_MS, err))
            return false;
    }
    return false;
}

/* ---- its database -------------------------------------------------------------------------- */

static bool run_in_postgres(struct db_cluster *cluster, const char *sql, struct err *err)
{
    struct db_target target = db_cluster_target(cluster, DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *db = NULL;

    target.database = "postgres";
    return db_connect(&target, &db, err) && db_run_script(db, "private database", sql, err);
}

/* Nobody but the owner needs the databases that initdb makes. */
static bool make_database(struct db_cluster *cluster, struct err *err)
{
    struct db_target target = db_cluster_target(cluster, DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *db = NULL;

    if (db_connect(&target, &db, err))
        return true;
    if (err->code != ERR_ABSENT)
        return false;
    err_clear(err);
    return run_in_postgres(cluster, "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC",
                           err) &&
           run_in_postgres(cluster, "CREATE DATABASE " DB_CLUSTER_DATABASE, err);
}

bool db_cluster_start(struct db_cluster *cluster, struct deadline deadline, int stop_fd,
                      struct err *err)
{
    CLEANUP(fd_close) int lock = -1;
    struct err ignored = { 0 };
    bool is_found;

    cluster->stop_fd = stop_fd;
    if (cluster->pid > 0 && db_cluster_is_running(cluster))
        return await_ready(cluster, deadline, err);
    if (!db_lock_cluster(cluster, deadline, &lock, err) ||
        !join_running(cluster, deadline, &is_found, err))
        return false;
    if (is_found)
        return make_database(cluster, err);
    if (start_until_ready(cluster, deadline, err) && make_database(cluster, err))
        return true;
    (void)!db_cluster_stop(cluster, deadline_after_ms(QUIT_MS), &ignored);
    return false;
}

static bool await_end(struct db_cluster *cluster, struct deadline deadline)
{
    while (db_cluster_is_running(cluster)) {
        if (deadline_has_passed(deadline))
            return false;
        (void)poll(NULL, 0, POLL_MS);
    }
    return true;
}

bool db_cluster_stop(struct db_cluster *cluster, struct deadline deadline, struct err *err)
{
    if (cluster->pid <= 0 || !db_cluster_is_running(cluster))
        return true;
    (void)kill(cluster->pid, SIGINT);
    if (await_end(cluster, deadline))
        return true;
    (void)kill(cluster->pid, SIGQUIT);
    if (await_end(cluster, deadline_after_ms(QUIT_MS)))
        return true;
    (void)kill(-cluster->pid, SIGKILL);
    return await_end(cluster, deadline_after_ms(QUIT_MS)) ||
           err_fail(err, ERR_SYSTEM, "the private database (process %d) does not end",
                    (int)cluster->pid);
}

bool db_cluster_prepare(struct db_cluster *cluster, struct err *err)
{
    struct db_target target = db_cluster_target(cluster, DB_ROLE_OWNER);
    CLEANUP(db_close) struct db *db = NULL;

    if (!db_connect(&target, &db, err) || !db_migrate(db, NULL, NULL, err))
        return false;
    for (size_t i = DB_ROLE_INGEST; i < DB_ROLE_COUNT; i++)
        if (!db_set_password(db, (enum db_role)i, cluster->passwords[i], err))
            return false;
    return true;
}
