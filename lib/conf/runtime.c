/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/runtime.h"

#include "base/fd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_NAME "run"
#define ROOT_FOLDER "/run/holdfast"

/* FNV-1a, 32 bit: a name, not a proof; two installations that collide are kept apart by their
 * records, and the second is told (make_folder). */
static uint32_t hash_text(const char *text)
{
    uint32_t hash = UINT32_C(2166136261);

    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT32_C(16777619);
    return hash;
}

static bool get_record_path(const struct conf *conf, char path[PATH_MAX], struct err *err)
{
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", conf->holdfast.data_dir, RECORD_NAME) >= PATH_MAX)
        return err_fail(err, ERR_LIMIT, "path too long: %s", conf->holdfast.data_dir);
    return true;
}

/* ---- finding ---- */

static bool check_folder(const struct conf *conf, const char *dir, struct err *err)
{
    struct stat st;
    struct stat data;

    if (lstat(dir, &st) != 0)
        return err_errno(err, "run-time folder %s", dir);
    if (stat(conf->holdfast.data_dir, &data) != 0)
        return err_errno(err, "data directory %s", conf->holdfast.data_dir);
    if (!S_ISDIR(st.st_mode))
        return err_fail(err, ERR_DENIED, "run-time folder %s is not a folder", dir);
    if (st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != data.st_uid)
        return err_fail(err, ERR_DENIED, "run-time folder %s belongs to another user (uid %u)", dir,
                        (unsigned)st.st_uid);
    if ((st.st_mode & 022) != 0)
        return err_fail(err, ERR_DENIED, "others may write to the run-time folder %s", dir);
    return true;
}

bool conf_find_runtime_dir(const struct conf *conf, struct conf_runtime *out, struct err *err)
{
    char record[PATH_MAX];
    char target[CONF_RUNTIME_DIR_BYTES];
    ssize_t len;

    if (!get_record_path(conf, record, err))
        return false;
    len = readlink(record, target, sizeof target);
    if (len < 0 && errno == ENOENT)
        return err_fail(err, ERR_ABSENT, "nothing of Holdfast runs with data directory %s",
                        conf->holdfast.data_dir);
    if (len < 0)
        return err_errno(err, "run-time folder of %s", conf->holdfast.data_dir);
    if (len == 0 || len >= (ssize_t)sizeof target || target[0] != '/')
        return err_fail(err, ERR_DENIED, "%s does not name a run-time folder", record);
    target[len] = '\0';
    if (!check_folder(conf, target, err))
        return false;
    memcpy(out->dir, target, (size_t)len + 1);
    return true;
}

/* ---- making ---- */

static bool is_own_folder(const char *dir)
{
    struct stat st;

    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static bool choose_dir(const struct conf *conf, char dir[CONF_RUNTIME_DIR_BYTES], struct err *err)
{
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    unsigned hash = hash_text(conf->holdfast.data_dir);
    int len = -1;

    if (geteuid() == 0) {
        if (!dir_create(ROOT_FOLDER, 0755, err))
            return false;
        (void)snprintf(dir, CONF_RUNTIME_DIR_BYTES, ROOT_FOLDER "/%08x", hash);
        return true;
    }
    if (xdg != NULL && xdg[0] == '/' && is_own_folder(xdg))
        len = snprintf(dir, CONF_RUNTIME_DIR_BYTES, "%s/holdfast-%08x", xdg, hash);
    if (len < 0 || len >= CONF_RUNTIME_DIR_BYTES)
        (void)snprintf(dir, CONF_RUNTIME_DIR_BYTES, "/tmp/holdfast-%u-%08x", (unsigned)geteuid(),
                       hash);
    return true;
}

static bool make_folder(const struct conf *conf, const char *dir, uid_t owner, gid_t group,
                        struct err *err)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_errno(err, "make run-time folder %s", dir);
    if (!check_folder(conf, dir, err))
        return false;
    /* In a folder that others may write to (/tmp) it was checked to be no link. */
    if (geteuid() == 0 && lchown(dir, owner, group) != 0)
        return err_errno(err, "give run-time folder %s to uid %u", dir, (unsigned)owner);
    return true;
}

/* The record appears whole: another name first, then rename. */
static bool record(const struct conf *conf, const char *dir, uid_t owner, gid_t group,
                   struct err *err)
{
    char path[PATH_MAX];
    char temporary[PATH_MAX + 32];

    if (!get_record_path(conf, path, err))
        return false;
    (void)snprintf(temporary, sizeof temporary, "%s.%jd", path, (intmax_t)getpid());
    (void)unlink(temporary);
    if (symlink(dir, temporary) != 0)
        return err_errno(err, "record run-time folder in %s", conf->holdfast.data_dir);
    if ((geteuid() == 0 && lchown(temporary, owner, group) != 0) || rename(temporary, path) != 0) {
        (void)err_errno(err, "record run-time folder in %s", conf->holdfast.data_dir);
        (void)unlink(temporary);
        return false;
    }
    return true;
}

bool conf_make_runtime_dir(const struct conf *conf, uid_t owner, gid_t group,
                           struct conf_runtime *out, struct err *err)
{
    struct conf_runtime runtime;
    struct err absent = { 0 };

    if (conf_find_runtime_dir(conf, &runtime, &absent)) {
        *out = runtime;
        return true;
    }
    if (!choose_dir(conf, runtime.dir, err) || !make_folder(conf, runtime.dir, owner, group, err) ||
        !record(conf, runtime.dir, owner, group, err))
        return false;
    *out = runtime;
    return true;
}

void conf_get_socket_path(const struct conf_runtime *runtime, const char *name,
                          char path[CONF_SOCKET_PATH_BYTES])
{
    assert(strlen(name) < CONF_SOCKET_NAME_BYTES);
    (void)snprintf(path, CONF_SOCKET_PATH_BYTES, "%s/%s", runtime->dir, name);
}
