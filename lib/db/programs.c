/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db/programs.c - where initdb and postgres are.
 */
#include "db/cluster.h"
#include "db/cluster_internal.h"
#include "db/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where packages put them; Debian and Red Hat keep one folder for each major version. */
static const char *const places[] = { "/usr/lib/postgresql/%u/bin", "/usr/pgsql-%u/bin" };

enum {
    MAJOR_MIN = 15,
    MAJOR_MAX = 40
};

static bool has_programs(const char *dir)
{
    static const char *const names[] = { "initdb", "postgres" };
    char path[DB_PROGRAM_DIR_BYTES + 16];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (access(path, X_OK) != 0)
            return false;
    }
    return true;
}

/* What "postgres --version" says: "postgres (PostgreSQL) 15.20 (Debian …)"; 0: nothing useful. */
static uint32_t ask_major(const char *dir)
{
    CLEANUP(buf_free) struct buf output = buf_create(256);
    char path[DB_PROGRAM_DIR_BYTES + 16];
    const char *const argv[] = { path, "--version", NULL };
    struct err ignored = { 0 };
    struct bytes text;
    uint32_t major = 0;
    int status;

    (void)snprintf(path, sizeof path, "%s/postgres", dir);
    if (!db_run_program(argv, &output, &status, &ignored))
        return 0;
    text = buf_bytes(&output);
    if (!scan_text(&text, BYTES("postgres (PostgreSQL) ")) || !scan_u32(&text, &major))
        return 0;
    return major;
}

static bool is_wanted(const char *dir, uint32_t major)
{
    uint32_t found;

    if (!has_programs(dir))
        return false;
    found = ask_major(dir);
    return major == 0 ? found >= MAJOR_MIN : found == major;
}

static bool find_in_path(uint32_t major, char out[DB_PROGRAM_DIR_BYTES])
{
    const char *path = getenv("PATH");
    struct bytes rest = bytes_of_text(path == NULL ? "" : path), dir;

    while (!bytes_is_empty(rest)) {
        if (scan_until_byte(&rest, ':', &dir))
            rest = bytes_slice(rest, 1, rest.len);
        else {
            dir = rest;
            rest = (struct bytes){ NULL, 0 };
        }
        if (dir.len == 0 || dir.len >= DB_PROGRAM_DIR_BYTES || dir.ptr[0] != '/')
            continue;
        memcpy(out, dir.ptr, dir.len);
        out[dir.len] = '\0';
        if (is_wanted(out, major))
            return true;
    }
    return false;
}

static bool find_in_places(uint32_t major, char out[DB_PROGRAM_DIR_BYTES])
{
    uint32_t high = major == 0 ? MAJOR_MAX : major, low = major == 0 ? MAJOR_MIN : major;

    for (uint32_t n = high; n >= low; n--) {
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
            size_t prefix = strcspn(places[i], "%");

            (void)snprintf(out, DB_PROGRAM_DIR_BYTES, "%.*s%u%s", (int)prefix, places[i], n,
                           places[i] + prefix + 2);
            if (has_programs(out))
                return true;
        }
    }
    return false;
}

bool db_find_programs_of(uint32_t major, char out[DB_PROGRAM_DIR_BYTES], struct err *err)
{
    if (find_in_places(major, out) || find_in_path(major, out))
        return true;
    out[0] = '\0';
    if (major != 0)
        return err_fail(err, ERR_ABSENT,
                        "the cluster is of PostgreSQL %u, whose server programs are not installed",
                        major);
    return err_fail(err, ERR_ABSENT,
                    "no PostgreSQL server programs of version %d or later: install the package "
                    "\"postgresql\", or set [database] url",
                    (int)MAJOR_MIN);
}

bool db_find_programs(char out[DB_PROGRAM_DIR_BYTES], struct err *err)
{
    return db_find_programs_of(0, out, err);
}
