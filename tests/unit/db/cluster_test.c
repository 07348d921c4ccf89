/* SPDX-License-Identifier: Apache-2.0 */
#include "db/cluster.h"
#include "db/test_server.h"

/*
 * Every test runs in a child that has given up root's rights and its own folder. EXPECT is CHECK
 * for there: it writes the reason to the pipe and ends the child.
 */
struct sandbox {
    char dir[64], data_dir[80], runtime_dir[80];
    int report;
};

static _Noreturn void give_up(const struct sandbox *box, int line, const char *text,
                              const struct err *err)
{
    (void)dprintf(box->report, "line %d: %s: %s", line, text, err->text);
    _exit(1);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            give_up(box, __LINE__, #condition, &err);                                              \
    } while (0)

static void in_sandbox(void (*run)(struct sandbox *box))
{
    struct sandbox box;
    char said[2048] = "";
    char programs[DB_PROGRAM_DIR_BYTES];
    struct err err = { 0 };
    size_t used = 0;
    ssize_t got;
    int ends[2], status;
    pid_t child;

    if (!db_find_programs(programs, &err)) {
        printf("SKIP: %s\n", err.text);
        return;
    }
    test_make_dir(box.dir);
    (void)snprintf(box.data_dir, sizeof box.data_dir, "%.63s/data", box.dir);
    (void)snprintf(box.runtime_dir, sizeof box.runtime_dir, "%.63s/run", box.dir);
    if (pipe2(ends, O_CLOEXEC) != 0)
        test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        box.report = ends[1];
        test_drop_root();
        run(&box);
        _exit(0);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], said + used, sizeof said - 1 - used)) > 0)
        used += (size_t)got;
    (void)close(ends[0]);
    (void)waitpid(child, &status, 0);
    test_remove_tree(box.dir);
    if (used > 0 || status != 0)
        test_fail(__FILE__, __LINE__, "status %d: %s", status, said);
}

static struct db_cluster_settings settings_of(const struct sandbox *box)
{
    return (struct db_cluster_settings){ .data_dir = box->data_dir,
                                         .runtime_dir = box->runtime_dir,
                                         .extra = test_fast_settings() };
}

static struct db_cluster *open_cluster(const struct sandbox *box)
{
    struct db_cluster_settings settings = settings_of(box);
    struct db_cluster *cluster = NULL;
    struct err err = { 0 };

    EXPECT(db_cluster_open(&settings, &cluster, &err));
    return cluster;
}

static struct deadline minute(void)
{
    return deadline_after_ms(60000);
}

static struct db *connect_as(const struct sandbox *box, const struct db_cluster *cluster,
                             enum db_role role)
{
    struct db_target target = db_cluster_target(cluster, role);
    struct db *db = NULL;
    struct err err = { 0 };

    EXPECT(db_connect(&target, &db, &err));
    return db;
}

/* test_sql ends a test, and the child is none. */
static void run_sql(const struct sandbox *box, struct db *db, const char *sql)
{
    struct db_result *result = NULL;
    struct err err = { 0 };

    EXPECT(db_run_assembled(db, sql, DB_NO_ARGS, &result, &err));
    db_result_free(&result);
}

static bool file_is_there(const struct sandbox *box, const char *name, mode_t *mode)
{
    struct stat facts;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", box->data_dir, name);
    if (stat(path, &facts) != 0)
        return false;
    if (mode != NULL)
        *mode = facts.st_mode & 07777;
    return true;
}

/* ---- tests --------------------------------------------------------------------------------- */

TEST(root_is_refused)
{
    const struct db_cluster_settings settings = { .data_dir = "/nonexistent",
                                                  .runtime_dir = "/nonexistent" };
    struct db_cluster *cluster = NULL;
    struct err err = { 0 };

    if (geteuid() != 0)
        return;
    CHECK(!db_cluster_open(&settings, &cluster, &err));
    CHECK_EQ_U64(err.code, ERR_DENIED);
}

static void life(struct sandbox *box)
{
    struct db_cluster *cluster = open_cluster(box);
    struct db_result *result = NULL;
    struct err err = { 0 };
    struct db *db;
    mode_t mode = 0;

    EXPECT(!db_cluster_is_running(cluster));
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    EXPECT(db_cluster_is_ours(cluster) && db_cluster_pid(cluster) > 0);
    EXPECT(db_cluster_prepare(cluster, &err));
    EXPECT(db_cluster_prepare(cluster, &err));
    for (size_t i = 0; i < DB_ROLE_COUNT; i++) {
        db = connect_as(box, cluster, (enum db_role)i);
        db_close(&db);
    }
    EXPECT(file_is_there(box, "keys/db-reader.password", &mode) && mode == 0600);
    EXPECT(file_is_there(box, "keys/db-owner.password", &mode) && mode == 0600);
    EXPECT(file_is_there(box, "postgres.log", &mode) && mode == 0600);

    db = connect_as(box, cluster, DB_ROLE_OWNER);
    EXPECT(db_run_assembled(db,
                            "SELECT current_setting('listen_addresses'), "
                            "current_setting('data_checksums'), pg_encoding_to_char(encoding), "
                            "datcollate, current_setting('wal_compression'), "
                            "current_setting('log_min_messages') "
                            "FROM pg_database WHERE datname = current_database()",
                            DB_NO_ARGS, &result, &err));
    EXPECT(bytes_equal(db_bytes(result, 0, 0), BYTES("")));
    EXPECT(bytes_equal(db_bytes(result, 0, 1), BYTES("on")));
    EXPECT(bytes_equal(db_bytes(result, 0, 2), BYTES("UTF8")));
    EXPECT(bytes_equal(db_bytes(result, 0, 3), BYTES("C.UTF-8")));
    EXPECT(bytes_equal(db_bytes(result, 0, 4), BYTES("lz4")));
    EXPECT(bytes_equal(db_bytes(result, 0, 5), BYTES("log")));
    run_sql(box, db, "CREATE TABLE kept (n int)");
    db_result_free(&result);
    db_close(&db);

    EXPECT(db_cluster_stop(cluster, minute(), &err));
    EXPECT(!db_cluster_is_running(cluster) && !db_cluster_is_ours(cluster));
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db = connect_as(box, cluster, DB_ROLE_OWNER);
    run_sql(box, db, "SELECT * FROM kept");
    db_close(&db);
    db_cluster_free(&cluster);

    cluster = open_cluster(box); /* the files are there: passwords and cluster stay */
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db = connect_as(box, cluster, DB_ROLE_READER);
    db_close(&db);
    db_cluster_free(&cluster);
}

TEST(a_cluster_is_made_started_prepared_stopped_and_started_again)
{
    in_sandbox(life);
}

static void closed_doors(struct sandbox *box)
{
    struct db_cluster *cluster = open_cluster(box);
    struct db_target target;
    struct db *db = NULL;
    struct err err = { 0 };

    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    EXPECT(db_cluster_prepare(cluster, &err));
    target = db_cluster_target(cluster, DB_ROLE_OWNER);
    target.password = NULL;
    EXPECT(!db_connect(&target, &db, &err) && err.code != ERR_NONE);
    target = db_cluster_target(cluster, DB_ROLE_READER);
    target.database = "postgres";
    EXPECT(!db_connect(&target, &db, &err) && err.code == ERR_DENIED);
    target.database = "template1";
    EXPECT(!db_connect(&target, &db, &err) && err.code == ERR_DENIED);
    db_cluster_free(&cluster);
}

TEST(nobody_gets_in_without_a_password_and_process_roles_reach_one_database_only)
{
    in_sandbox(closed_doors);
}

static void two_of_them(struct sandbox *box)
{
    struct db_cluster *first = open_cluster(box);
    struct db_cluster *second;
    struct err err = { 0 };
    struct db *db;

    EXPECT(db_cluster_start(first, minute(), -1, &err));
    second = open_cluster(box);
    EXPECT(db_cluster_is_running(second));
    EXPECT(db_cluster_start(second, minute(), -1, &err));
    EXPECT(!db_cluster_is_ours(second));
    db = connect_as(box, second, DB_ROLE_OWNER);
    EXPECT(db_cluster_stop(second, minute(), &err));
    run_sql(box, db, "SELECT 1");
    db_close(&db);
    db_cluster_free(&second);
    EXPECT(db_cluster_is_running(first));
    db_cluster_free(&first);
}

TEST(a_server_that_runs_is_shared_and_only_its_starter_stops_it)
{
    in_sandbox(two_of_them);
}

static void crash(struct sandbox *box)
{
    struct db_cluster *cluster = open_cluster(box);
    struct err err = { 0 };
    struct db *db;
    char path[256];

    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    EXPECT(db_cluster_prepare(cluster, &err));
    db = connect_as(box, cluster, DB_ROLE_OWNER);
    run_sql(box, db, "CREATE TABLE kept (n int)");
    db_close(&db);
    EXPECT(kill(db_cluster_pid(cluster), SIGKILL) == 0);
    while (db_cluster_is_running(cluster))
        (void)poll(NULL, 0, 5);
    EXPECT(file_is_there(box, "postgres/postmaster.pid", NULL));
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db = connect_as(box, cluster, DB_ROLE_OWNER);
    run_sql(box, db, "SELECT * FROM kept");
    db_close(&db);
    EXPECT(db_cluster_stop(cluster, minute(), &err));

    /* A pid file whose id belongs to somebody else by now: to this test. */
    (void)snprintf(path, sizeof path, "%s/postgres/postmaster.pid", box->data_dir);
    FILE *file = fopen(path, "w");
    EXPECT(file != NULL);
    (void)fprintf(file, "%d\n%s/postgres\n1\n5432\n%s\n\n", (int)getpid(), box->data_dir,
                  box->runtime_dir);
    (void)fclose(file);
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db_cluster_free(&cluster);
}

TEST(after_a_crash_the_server_starts_again_whatever_the_pid_file_says)
{
    in_sandbox(crash);
}

/* A process of the killed server that notices late: stopped, it cannot; let go on after a while. */
static void crash_with_straggler(struct sandbox *box)
{
    struct db_cluster *cluster = open_cluster(box);
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };
    struct db *db;
    pid_t straggler, waker;

    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db = connect_as(box, cluster, DB_ROLE_OWNER);
    EXPECT(db_run_assembled(db, "SELECT pg_backend_pid()::bigint", DB_NO_ARGS, &result, &err));
    straggler = (pid_t)db_i64(result, 0, 0);
    EXPECT(kill(straggler, SIGSTOP) == 0);
    EXPECT(kill(db_cluster_pid(cluster), SIGKILL) == 0);
    while (db_cluster_is_running(cluster))
        (void)poll(NULL, 0, 5);
    waker = fork();
    if (waker == 0) {
        (void)poll(NULL, 0, 500);
        (void)kill(straggler, SIGCONT);
        _exit(0);
    }
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    EXPECT(waitpid(waker, NULL, 0) == waker);
    db_close(&db);
    db_cluster_free(&cluster);
}

TEST(after_a_crash_the_start_waits_for_the_processes_of_the_old_server)
{
    in_sandbox(crash_with_straggler);
}

static void orphan(struct sandbox *box)
{
    int ends[2];
    struct err err = { 0 };
    int pid = 0;
    pid_t starter;

    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    starter = fork();
    if (starter == 0) {
        struct db_cluster *cluster = open_cluster(box);

        EXPECT(db_cluster_start(cluster, minute(), -1, &err));
        pid = db_cluster_pid(cluster);
        EXPECT(write(ends[1], &pid, sizeof pid) == (ssize_t)sizeof pid);
        for (;;)
            (void)pause();
    }
    EXPECT(read(ends[0], &pid, sizeof pid) == (ssize_t)sizeof pid);
    EXPECT(pid > 0 && kill(pid, 0) == 0);
    EXPECT(kill(starter, SIGKILL) == 0 && waitpid(starter, NULL, 0) == starter);
    for (int i = 0; i < 3000 && file_is_there(box, "postgres/postmaster.pid", NULL); i++)
        (void)poll(NULL, 0, 10);
    EXPECT(!file_is_there(box, "postgres/postmaster.pid", NULL)); /* an orderly end */
}

TEST(a_server_does_not_outlive_the_program_that_started_it)
{
    in_sandbox(orphan);
}

static void half_made(struct sandbox *box)
{
    struct db_cluster *cluster = NULL;
    struct err err = { 0 };
    char path[256];

    EXPECT(mkdir(box->data_dir, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/postgres.new", box->data_dir);
    EXPECT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/postgres.new/PG_VERSION", box->data_dir);
    EXPECT(mkdir(path, 0700) == 0);
    cluster = open_cluster(box);
    EXPECT(!file_is_there(box, "postgres.new", NULL));
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db_cluster_free(&cluster);
}

TEST(a_half_made_cluster_is_removed_and_made_again)
{
    in_sandbox(half_made);
}

static void bad_settings(struct sandbox *box)
{
    static const char *const extra[] = { "fsync=off", "shared_buffers=nonsense", NULL };
    struct db_cluster_settings settings = settings_of(box);
    struct db_cluster *cluster = NULL;
    struct err err = { 0 };
    char deep[160];

    settings.extra = extra;
    EXPECT(db_cluster_open(&settings, &cluster, &err));
    EXPECT(!db_cluster_start(cluster, minute(), -1, &err));
    EXPECT(err.code == ERR_SYSTEM && strstr(err.text, "shared_buffers") != NULL);
    db_cluster_free(&cluster);

    (void)snprintf(deep, sizeof deep, "%s/%090d", box->dir, 7);
    settings.runtime_dir = deep;
    EXPECT(!db_cluster_open(&settings, &cluster, &err));
    EXPECT(err.code == ERR_LIMIT);
}

TEST(a_server_that_cannot_start_says_why)
{
    in_sandbox(bad_settings);
}

static void stop_while_starting(struct sandbox *box)
{
    struct db_cluster *cluster = open_cluster(box);
    struct err err = { 0 };
    int ends[2];

    EXPECT(pipe2(ends, O_CLOEXEC) == 0);
    EXPECT(write(ends[1], "!", 1) == 1);
    EXPECT(!db_cluster_start(cluster, minute(), ends[0], &err));
    EXPECT(err.code == ERR_RETRY);
    EXPECT(!db_cluster_is_running(cluster));
    err_clear(&err);
    EXPECT(db_cluster_start(cluster, minute(), -1, &err));
    db_cluster_free(&cluster);
}

TEST(a_start_that_is_asked_to_stop_ends_at_once)
{
    in_sandbox(stop_while_starting);
}

static void wrong_version(struct sandbox *box)
{
    struct db_cluster_settings settings = settings_of(box);
    struct db_cluster *cluster = open_cluster(box);
    struct err err = { 0 };
    char path[256];

    db_cluster_free(&cluster);
    (void)snprintf(path, sizeof path, "%s/postgres/PG_VERSION", box->data_dir);
    FILE *file = fopen(path, "w");
    EXPECT(file != NULL);
    (void)fprintf(file, "39\n");
    (void)fclose(file);
    EXPECT(!db_cluster_open(&settings, &cluster, &err));
    EXPECT(err.code == ERR_ABSENT && strstr(err.text, "39") != NULL);
}

TEST(a_cluster_of_a_version_that_is_not_installed_is_named)
{
    in_sandbox(wrong_version);
}
