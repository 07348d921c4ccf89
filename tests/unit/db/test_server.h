/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/db/test_server.h - a private PostgreSQL for one test binary.
 *
 *     TEST(a_row_is_found_again)
 *     {
 *         CLEANUP(db_close) struct db *db = test_db(DB_ROLE_OWNER);
 *
 *         if (db == NULL)
 *             return;   // PostgreSQL is not installed: the reason was printed
 *
 * The server starts with the first call, in a temporary folder, with the migrated schema, and ends
 * with the test binary, however that ends. PostgreSQL refuses root, so it is run by a forked
 * supervisor, which then gives up its rights. Tests of other modules include this as
 * "db/test_server.h". Only for tests; every function is static on purpose.
 */
#pragma once

#include "db/cluster.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_UNUSED __attribute__((unused))

enum {
    TEST_NOBODY = 65534
};

struct test_server {
    bool is_started, is_absent;
    pid_t supervisor;
    int hold; /* the supervisor ends when this pipe does */
    char dir[64];
    char data_dir[80], runtime_dir[80];
    struct secret *passwords[DB_ROLE_COUNT];
};

static struct test_server test_server;

TEST_UNUSED static int test_remove_entry(const char *path, const struct stat *facts, int kind,
                                         struct FTW *where)
{
    (void)facts;
    (void)kind;
    (void)where;
    return remove(path);
}

TEST_UNUSED static void test_remove_tree(const char *path)
{
    (void)nftw(path, test_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A new folder that the unprivileged user owns. */
TEST_UNUSED static void test_make_dir(char dir[64])
{
    (void)snprintf(dir, 64, "/tmp/holdfast-test-XXXXXX");
    if (mkdtemp(dir) == NULL)
        test_fail(__FILE__, __LINE__, "mkdtemp: %s", strerror(errno));
    if (geteuid() == 0 && chown(dir, TEST_NOBODY, TEST_NOBODY) != 0)
        test_fail(__FILE__, __LINE__, "chown: %s", strerror(errno));
}

/* For a forked child: nobody's rights, if we are root. */
TEST_UNUSED static void test_drop_root(void)
{
    if (geteuid() == 0 &&
        (setgroups(0, NULL) != 0 || setgid(TEST_NOBODY) != 0 || setuid(TEST_NOBODY) != 0))
        _exit(99);
}

TEST_UNUSED static const char *const *test_fast_settings(void)
{
    static const char *const settings[] = {
        "fsync=off",           "full_page_writes=off",         "max_wal_size=256MB",
        "shared_buffers=32MB", "unix_socket_permissions=0777", NULL
    };

    return settings;
}

/* Says "ready" or the error on `report`, then waits for the end of `hold`. */
TEST_UNUSED static void test_supervise(const struct test_server *server, int report, int hold)
{
    CLEANUP(db_cluster_free) struct db_cluster *cluster = NULL;
    struct db_cluster_settings settings = { .data_dir = server->data_dir,
                                            .runtime_dir = server->runtime_dir,
                                            .extra = test_fast_settings() };
    struct err err = { 0 };
    uint8_t byte;

    test_drop_root();
    if (db_cluster_open(&settings, &cluster, &err) &&
        db_cluster_start(cluster, deadline_after_ms(60000), -1, &err) &&
        db_cluster_prepare(cluster, &err))
        (void)dprintf(report, "ready");
    else
        (void)dprintf(report, "%d%s", (int)err.code, err.text);
    (void)close(report);
    while (read(hold, &byte, 1) < 0 && errno == EINTR)
        ;
    db_cluster_free(&cluster);
    test_remove_tree(server->dir);
}

/* False: PostgreSQL is not installed. Anything else that fails ends the test. */
TEST_UNUSED static bool test_start_server(void)
{
    struct test_server *server = &test_server;
    char said[ERR_TEXT_BYTES + 16] = "";
    char programs[DB_PROGRAM_DIR_BYTES];
    struct err err = { 0 };
    int report[2], hold[2];
    size_t used = 0;
    ssize_t got;

    if (server->is_started || server->is_absent)
        return server->is_started;
    if (!db_find_programs(programs, &err)) {
        printf("SKIP: %s\n", err.text);
        server->is_absent = true;
        return false;
    }
    test_make_dir(server->dir);
    (void)snprintf(server->data_dir, sizeof server->data_dir, "%.63s/data", server->dir);
    (void)snprintf(server->runtime_dir, sizeof server->runtime_dir, "%.63s/run", server->dir);
    if (pipe2(report, O_CLOEXEC) != 0 || pipe2(hold, O_CLOEXEC) != 0)
        test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    (void)fflush(NULL);
    server->supervisor = fork();
    if (server->supervisor == 0) {
        (void)setpgid(0, 0); /* a signal to the tests' group must not stop it half-way */
        (void)close(report[0]);
        (void)close(hold[1]);
        test_supervise(server, report[1], hold[0]);
        _exit(0);
    }
    (void)close(report[1]);
    (void)close(hold[0]);
    server->hold = hold[1];
    while ((got = read(report[0], said + used, sizeof said - 1 - used)) > 0)
        used += (size_t)got;
    (void)close(report[0]);
    if (strcmp(said, "ready") != 0)
        test_fail(__FILE__, __LINE__, "private database: %s", said);
    for (size_t i = 0; i < DB_ROLE_COUNT; i++)
        if (!db_read_password(server->data_dir, (enum db_role)i, &server->passwords[i], &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
    server->is_started = true;
    return true;
}

__attribute__((destructor)) TEST_UNUSED static void test_stop_server(void)
{
    if (!test_server.is_started)
        return;
    (void)close(test_server.hold);
    (void)waitpid(test_server.supervisor, NULL, 0);
    for (size_t i = 0; i < DB_ROLE_COUNT; i++)
        secret_free(&test_server.passwords[i]);
}

/* Borrowed from the server; false when PostgreSQL is not installed. */
TEST_UNUSED static bool test_target(enum db_role role, struct db_target *out)
{
    if (!test_start_server())
        return false;
    *out = (struct db_target){ .socket_dir = test_server.runtime_dir,
                               .database = DB_CLUSTER_DATABASE,
                               .role = db_role_name(role),
                               .password = test_server.passwords[role],
                               .application_name = "holdfast-test" };
    return true;
}

/* A connection to the database "holdfast"; NULL when PostgreSQL is not installed. */
TEST_UNUSED static struct db *test_db(enum db_role role)
{
    struct db_target target;
    struct err err = { 0 };
    struct db *db = NULL;

    if (!test_target(role, &target))
        return NULL;
    if (!db_connect(&target, &db, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return db;
}

/* SQL that a test writes itself: tables of its own, broken states. */
TEST_UNUSED static void test_sql(struct db *db, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct err err = { 0 };

    if (!db_run_assembled(db, sql, DB_NO_ARGS, &result, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}
