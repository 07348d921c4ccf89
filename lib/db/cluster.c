/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/cluster.c - the files of the private cluster: passwords, initdb, settings.
 */
#include "db/cluster.h"

#include "base/fd.h"
#include "base/sys.h"
#include "db/cluster_internal.h"
#include "db/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_MS 120000 /* another process may be in the middle of initdb */
#define LOCK_POLL_MS 20
#define SOCKET_DIR_BYTES 90 /* sun_path holds 107 octets; "/.s.PGSQL.5432.lock" must fit */
#define PASSWORD_BYTES 24   /* of randomness; written as 48 hexadecimal digits */

/* Nothing that the server logs may quote mail: errors of statements go to the client alone. */
static const char settings_text[] =
    "# Written anew at every start; put your own settings into local.conf.\n"
    "cluster_name = 'holdfast'\n"
    "listen_addresses = ''\n"
    "password_encryption = 'scram-sha-256'\n"
    "shared_buffers = '128MB'\n"
    "max_wal_size = '2GB'\n"
    "min_wal_size = '256MB'\n"
    "checkpoint_timeout = '15min'\n"
    "wal_compression = 'lz4'\n"
    "wal_init_zero = off\n" /* a first import would write all of its WAL twice (README) */
    "jit = off\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "log_destination = 'stderr'\n"
    "logging_collector = off\n"
    "log_line_prefix = '%m [%p] '\n"
    "log_min_messages = log\n"
    "log_min_error_statement = panic\n"
    "log_error_verbosity = terse\n"
    "log_statement = 'none'\n"
    "log_parameter_max_length = 0\n"
    "log_parameter_max_length_on_error = 0\n"
    "log_checkpoints = off\n"
    "include_if_exists 'local.conf'\n";

static const char include_text[] = "\n# Holdfast\ninclude 'holdfast.conf'\n";

static const char hba_text[] = "# Holdfast: the Unix socket only, passwords only.\n"
                               "local all all scram-sha-256\n";

/* ---- paths and the lock -------------------------------------------------------------------- */

bool db_join_path(char out[CLUSTER_PATH_BYTES], const char *dir, const char *name, struct err *err)
{
    int len = snprintf(out, CLUSTER_PATH_BYTES, "%s/%s", dir, name);

    return (len >= 0 && len < CLUSTER_PATH_BYTES) ||
           err_fail(err, ERR_LIMIT, "path of the database too long");
}

static bool make_dir(const char *path, char absolute[CLUSTER_PATH_BYTES], struct err *err)
{
    return dir_create(path, 0700, err) &&
           (realpath(path, absolute) != NULL || err_errno(err, "folder %s", path));
}

bool db_cluster_wait(const struct db_cluster *cluster, int ms, struct err *err)
{
    return !fd_wait(cluster->stop_fd, ms) ||
           err_fail(err, ERR_RETRY, "asked to stop before the private database was ready");
}

bool db_lock_cluster(const struct db_cluster *cluster, struct deadline deadline, int *fd,
                     struct err *err)
{
    char path[CLUSTER_PATH_BYTES];
    CLEANUP(fd_close) int lock = -1;

    if (!db_join_path(path, cluster->data_dir, "postgres.lock", err))
        return false;
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return err_errno(err, "open %s", path);
    while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_errno(err, "lock %s", path);
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "lock %s: another process has it", path);
        if (!db_cluster_wait(cluster, LOCK_POLL_MS, err))
            return false;
    }
    *fd = fd_take(&lock);
    return true;
}

/* ---- passwords ----------------------------------------------------------------------------- */

static bool password_path(const char *data_dir, enum db_role role, char out[CLUSTER_PATH_BYTES],
                          struct err *err)
{
    char name[64];

    (void)snprintf(name, sizeof name, "keys/db-%s.password", db_role_nickname(role));
    return db_join_path(out, data_dir, name, err);
}

bool db_read_password(const char *data_dir, enum db_role role, struct secret **out, struct err *err)
{
    CLEANUP(buf_free) struct buf file = buf_create(256);
    char path[CLUSTER_PATH_BYTES];
    struct bytes octets;
    bool is_ok;

    if (!password_path(data_dir, role, path, err) || !file_read(path, 255, &file, err))
        return false;
    octets = buf_bytes(&file);
    while (octets.len > 0 && octets.ptr[octets.len - 1] == '\n')
        octets.len--;
    is_ok = secret_create(octets, out, err);
    secret_wipe(file.ptr, file.len);
    return is_ok;
}

static bool write_password(const char *path, struct err *err)
{
    uint8_t random[PASSWORD_BYTES], text[2 * PASSWORD_BYTES + 1];
    static const char digits[] = "0123456789abcdef";
    bool is_ok;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(err, "random password");
    for (size_t i = 0; i < sizeof random; i++) {
        text[2 * i] = (uint8_t)digits[random[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[random[i] & 15];
    }
    text[2 * PASSWORD_BYTES] = '\n';
    is_ok = file_write_atomic(path, bytes_of(text, sizeof text), 0600, err);
    secret_wipe(random, sizeof random);
    secret_wipe(text, sizeof text);
    return is_ok;
}

static bool load_passwords(struct db_cluster *cluster, struct err *err)
{
    char path[CLUSTER_PATH_BYTES];

    if (!db_join_path(path, cluster->data_dir, "keys", err) || !dir_create(path, 0700, err))
        return false;
    for (size_t i = 0; i < DB_ROLE_COUNT; i++) {
        enum db_role role = (enum db_role)i;

        if (!password_path(cluster->data_dir, role, path, err))
            return false;
        if (access(path, F_OK) != 0 && !write_password(path, err))
            return false;
        if (!db_read_password(cluster->data_dir, role, &cluster->passwords[i], err))
            return err_wrap(err, "password of %s", db_role_name(role));
    }
    return true;
}

/* ---- initdb -------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *where)
{
    (void)facts;
    (void)kind;
    (void)where;
    return remove(path);
}

static bool remove_tree(const char *path, struct err *err)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return err_errno(err, "remove %s", path);
    return true;
}

static bool is_without_sync(const struct db_cluster *cluster)
{
    for (size_t i = 0; cluster->extra[i] != NULL; i++)
        if (strcmp(cluster->extra[i], "fsync=off") == 0)
            return true;
    return false;
}

static bool run_initdb(const struct db_cluster *cluster, const char *dir, struct err *err)
{
    CLEANUP(buf_free) struct buf output = buf_create(16u << 10);
    char program[CLUSTER_PATH_BYTES], pwfile[CLUSTER_PATH_BYTES];
    char pwfile_arg[CLUSTER_PATH_BYTES + 16];
    // clang-format off
    const char *const argv[] = {
        program, "-D", dir, "-U", db_role_name(DB_ROLE_OWNER), "-A", "scram-sha-256", pwfile_arg,
        "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions",
        is_without_sync(cluster) ? "--no-sync" : NULL, NULL,
    };
    // clang-format on
    struct bytes said;
    int status;

    if (!db_join_path(program, cluster->program_dir, "initdb", err) ||
        !password_path(cluster->data_dir, DB_ROLE_OWNER, pwfile, err))
        return false;
    (void)snprintf(pwfile_arg, sizeof pwfile_arg, "--pwfile=%s", pwfile);
    if (!db_run_program(argv, &output, &status, err))
        return false;
    if (status == 0)
        return true;
    said = buf_bytes(&output);
    if (said.len > 300)
        said = bytes_slice(said, said.len - 300, 300); /* the reason comes last */
    return err_fail(err, ERR_SYSTEM, "initdb ended with %d: %.*s", status, (int)said.len,
                    (const char *)said.ptr);
}

static bool append_include(const char *dir, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(256u << 10);
    char path[CLUSTER_PATH_BYTES];
    struct bytes octets;

    if (!db_join_path(path, dir, "postgresql.conf", err) ||
        !file_read(path, 128u << 10, &text, err))
        return false;
    buf_text(&text, include_text);
    return buf_done(&text, &octets, err) && file_write_atomic(path, octets, 0600, err);
}

static bool write_text(const char *dir, const char *name, const char *text, struct err *err)
{
    char path[CLUSTER_PATH_BYTES];

    return db_join_path(path, dir, name, err) &&
           file_write_atomic(path, bytes_of_text(text), 0600, err);
}

/* Made under another name and renamed when whole, so a half-made one is never taken for a cluster. */
static bool make_cluster(const struct db_cluster *cluster, struct err *err)
{
    char dir[CLUSTER_PATH_BYTES];

    if (!db_join_path(dir, cluster->data_dir, "postgres.new", err) || !remove_tree(dir, err) ||
        !run_initdb(cluster, dir, err) || !append_include(dir, err) ||
        !write_text(dir, "pg_hba.conf", hba_text, err) ||
        !write_text(dir, "holdfast.conf", settings_text, err))
        return false;
    return sys()->rename(dir, cluster->files) == 0 || err_errno(err, "rename %s", dir);
}

/* 0: there is no cluster yet. */
static bool read_major(const struct db_cluster *cluster, uint32_t *major, struct err *err)
{
    CLEANUP(buf_free) struct buf file = buf_create(64);
    char path[CLUSTER_PATH_BYTES];
    struct bytes text;

    *major = 0;
    if (!db_join_path(path, cluster->files, "PG_VERSION", err))
        return false;
    if (!file_read(path, 32, &file, err)) {
        if (err->code != ERR_ABSENT || access(cluster->files, F_OK) == 0)
            return err_wrap(err, "cluster %s", cluster->files);
        err_clear(err);
        return true;
    }
    text = buf_bytes(&file);
    if (!scan_u32(&text, major))
        return err_fail(err, ERR_CORRUPT, "%s holds no version", path);
    return true;
}

/* ---- open and free ------------------------------------------------------------------------- */

static bool copy_settings(struct db_cluster *cluster, const struct db_cluster_settings *settings,
                          struct err *err)
{
    if (!make_dir(settings->data_dir, cluster->data_dir, err) ||
        !make_dir(settings->runtime_dir, cluster->runtime_dir, err) ||
        !db_join_path(cluster->files, cluster->data_dir, "postgres", err))
        return false;
    if (strlen(cluster->runtime_dir) > SOCKET_DIR_BYTES)
        return err_fail(err, ERR_LIMIT, "%s: too long for a socket, at most %d bytes",
                        cluster->runtime_dir, SOCKET_DIR_BYTES);
    if (strpbrk(cluster->runtime_dir, ",\"'") != NULL)
        return err_fail(err, ERR_SYNTAX, "%s: a comma or quote cannot be in a socket's path",
                        cluster->runtime_dir);
    memcpy(cluster->socket_dir, cluster->runtime_dir, sizeof cluster->socket_dir);
    for (size_t i = 0; settings->extra != NULL && settings->extra[i] != NULL; i++) {
        assert(i < CLUSTER_EXTRA_MAX);
        cluster->extra[i] = strdup(settings->extra[i]);
        if (cluster->extra[i] == NULL)
            return err_fail(err, ERR_SYSTEM, "no memory");
    }
    return true;
}

static bool choose_programs(struct db_cluster *cluster, const char *program_dir, uint32_t major,
                            struct err *err)
{
    if (program_dir == NULL)
        return db_find_programs_of(major, cluster->program_dir, err);
    if (strlen(program_dir) >= sizeof cluster->program_dir)
        return err_fail(err, ERR_LIMIT, "folder of PostgreSQL's programs: path too long");
    memcpy(cluster->program_dir, program_dir, strlen(program_dir) + 1);
    return true;
}

static bool open_files(struct db_cluster *cluster, const char *program_dir, struct err *err)
{
    CLEANUP(fd_close) int lock = -1;
    uint32_t major;

    if (!db_lock_cluster(cluster, deadline_after_ms(LOCK_MS), &lock, err) ||
        !load_passwords(cluster, err) || !read_major(cluster, &major, err) ||
        !choose_programs(cluster, program_dir, major, err))
        return false;
    if (major == 0)
        return make_cluster(cluster, err) || err_wrap(err, "make the private database");
    return write_text(cluster->files, "holdfast.conf", settings_text, err);
}

bool db_cluster_open(const struct db_cluster_settings *settings, struct db_cluster **out,
                     struct err *err)
{
    CLEANUP(db_cluster_free) struct db_cluster *cluster = NULL;

    if (geteuid() == 0)
        return err_fail(err, ERR_DENIED, "the private database does not run as root");
    cluster = calloc(1, sizeof *cluster);
    if (cluster == NULL)
        return err_fail(err, ERR_SYSTEM, "no memory");
    cluster->pid = -1;
    cluster->stop_fd = -1;
    if (!copy_settings(cluster, settings, err) || !open_files(cluster, settings->program_dir, err))
        return false;
    *out = cluster;
    cluster = NULL; /* the caller's now */
    return true;
}

void db_cluster_free(struct db_cluster **cluster)
{
    struct db_cluster *c = *cluster;
    struct err ignored = { 0 };

    if (c == NULL)
        return;
    (void)!db_cluster_stop(c, deadline_after_ms(10000), &ignored);
    for (size_t i = 0; i < DB_ROLE_COUNT; i++)
        secret_free(&c->passwords[i]);
    for (size_t i = 0; i < CLUSTER_EXTRA_MAX; i++)
        free(c->extra[i]);
    free(c);
    *cluster = NULL;
}

struct db_target db_cluster_target(const struct db_cluster *cluster, enum db_role role)
{
    return (struct db_target){
        .socket_dir = cluster->socket_dir,
        .database = DB_CLUSTER_DATABASE,
        .role = db_role_name(role),
        .password = cluster->passwords[role],
        .application_name = "holdfast",
    };
}
