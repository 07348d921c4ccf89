/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/user.h"

#include "base/child.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SETTINGS_MAX_BYTES = 1 << 20,
    FOLDER_MODE = 0700,
    PARENT_MODE = 0755,
};

struct user {
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* ---- the user -------------------------------------------------------------------------------- */

static bool look_up_user(const char *name, struct user *out)
{
    const struct passwd *entry = getpwnam(name);

    if (entry == NULL)
        return false;
    out->uid = entry->pw_uid;
    out->gid = entry->pw_gid;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    return true;
}

/* Runs useradd; true when it says that it worked. */
static bool make_user(const char *name)
{
    bool has_group = getgrnam(name) != NULL;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)dup2(nowhere, STDIN_FILENO);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        if (has_group)
            (void)execlp("useradd", "useradd", "--system", "--no-create-home", "--home-dir",
                         "/nonexistent", "--shell", "/usr/sbin/nologin", "--gid", name, name,
                         (char *)NULL);
        else
            (void)execlp("useradd", "useradd", "--system", "--no-create-home", "--home-dir",
                         "/nonexistent", "--shell", "/usr/sbin/nologin", "--user-group", name,
                         (char *)NULL);
        child_give_up();
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return false;
    }
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * One at a time on a machine: two useradd that both saw no such user give it two user ids in turn,
 * and the first stops existing under the process that became it. The lock is a file that only root can
 * open: of one that others can read they could keep us waiting.
 */
static bool look_up_or_make_user(const char *name, struct user *out)
{
    CLEANUP(fd_close) int lock = -1;

    if (look_up_user(name, out))
        return true;
    lock = open("/etc/.pwd.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        return false;
    return look_up_user(name, out) || (make_user(name) && look_up_user(name, out));
}

static bool find_user(const char *name, struct user *out, struct err *err)
{
    if (!look_up_or_make_user(name, out))
        return err_fail(err, ERR_DENIED,
                        "system user %s does not exist and useradd could not make it: make it, or "
                        "name another one as [holdfast] user",
                        name);
    if (out->uid == 0)
        return err_fail(
            err, ERR_DENIED,
            "[holdfast] user is %s: Holdfast and its PostgreSQL do not run as root; name "
            "an ordinary user",
            name);
    return true;
}

/* ---- the data directory ------------------------------------------------------------------------ */

/* Empty, or with the folder that every archive has. */
static bool may_become_ours(int folder)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    bool is_empty = true;
    bool is_archive = faccessat(folder, "keys", F_OK, AT_SYMLINK_NOFOLLOW) == 0;

    if (entries == NULL) {
        fd_close(&copy);
        return false;
    }
    while ((entry = readdir(entries)) != NULL)
        is_empty =
            is_empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    (void)closedir(entries);
    return is_empty || is_archive;
}

static bool give_data_dir(const char *path, const struct user *user, struct err *err)
{
    CLEANUP(fd_close) int folder = -1;
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat st;

    (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    if (parent[0] != '\0' && !dir_create(parent, PARENT_MODE, err))
        return false;
    if (!dir_create(path, FOLDER_MODE, err))
        return false;
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &st) != 0)
        return err_errno(err, "data directory %s", path);
    if (st.st_uid == user->uid)
        return true;
    if (!may_become_ours(folder))
        return err_fail(err, ERR_DENIED,
                        "%s is neither empty nor an archive: give another folder as [holdfast] "
                        "data_dir",
                        path);
    if (fchown(folder, user->uid, user->gid) != 0 || fchmod(folder, FOLDER_MODE) != 0)
        return err_errno(err, "give %s to user %s", path, user->name);
    return true;
}

/* As the user of the archive: that the directory is his, closed to others, and can be entered. */
static bool check_data_dir(const char *path, struct err *err)
{
    char part[PATH_MAX];
    struct stat st;

    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] != '/')
            continue;
        (void)snprintf(part, sizeof part, "%.*s", (int)i, path);
        if (access(part, X_OK) != 0 && errno == EACCES)
            return err_fail(
                err, ERR_DENIED,
                "uid %u, who runs the archive, may not enter %s: open it (chmod o+x), or "
                "give another folder as [holdfast] data_dir",
                (unsigned)geteuid(), part);
    }
    if (!dir_create(path, FOLDER_MODE, err))
        return err_wrap(err, "data directory");
    if (stat(path, &st) != 0)
        return err_errno(err, "data directory %s", path);
    if (st.st_uid != geteuid())
        return err_fail(err, ERR_DENIED,
                        "data directory %s belongs to uid %u: run this as that user or as root, or "
                        "give another folder as [holdfast] data_dir",
                        path, (unsigned)st.st_uid);
    if ((st.st_mode & 077) != 0 && chmod(path, FOLDER_MODE) != 0)
        return err_errno(err, "close %s to others", path);
    return true;
}

/* ---- rights -------------------------------------------------------------------------------------- */

static bool set_capabilities(uint32_t permitted, uint32_t inheritable)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = permitted, .permitted = permitted, .inheritable = inheritable },
    };

    return syscall(SYS_capset, &header, data) == 0;
}

void operate_allow_low_ports(void)
{
    const uint32_t low_ports = 1u << CAP_NET_BIND_SERVICE;

    /* Without it, listening itself will say so. */
    if (set_capabilities(low_ports, low_ports))
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
}

static bool become(const struct user *user, bool keep_low_ports, struct err *err)
{
    if (keep_low_ports)
        (void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (initgroups(user->name, user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return err_errno(err, "become user %s", user->name);
    (void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    /* After setresuid the effective set is empty; the permitted one may keep what KEEPCAPS left. */
    if (keep_low_ports && !set_capabilities(1u << CAP_NET_BIND_SERVICE, 0))
        (void)set_capabilities(0, 0);
    if (setuid(0) == 0)
        return err_fail(err, ERR_SYSTEM, "root rights could not be given up");
    /* These name places of root's. */
    (void)unsetenv("XDG_RUNTIME_DIR");
    (void)unsetenv("XDG_DATA_HOME");
    (void)setenv("HOME", "/nonexistent", 1);
    (void)setenv("USER", user->name, 1);
    (void)setenv("LOGNAME", user->name, 1);
    return true;
}

bool operate_settle(const struct conf *conf, bool keep_low_ports, struct err *err)
{
    const char *data_dir = conf->holdfast.data_dir;
    struct user user;
    char keys[PATH_MAX];

    (void)umask(022);
    if (geteuid() == 0 &&
        (!find_user(conf->holdfast.user, &user, err) || !give_data_dir(data_dir, &user, err) ||
         !become(&user, keep_low_ports, err)))
        return false;
    (void)umask(077);
    if (chdir("/") != 0)
        return err_errno(err, "enter /");
    if (!check_data_dir(data_dir, err))
        return false;
    if ((size_t)snprintf(keys, sizeof keys, "%s/keys", data_dir) >= sizeof keys)
        return err_fail(err, ERR_LIMIT, "data directory: the path is too long");
    if (!dir_create(keys, FOLDER_MODE, err))
        return false;
    if (setenv("HOLDFAST_HOLDFAST_DATA_DIR", data_dir, 1) != 0)
        return err_errno(err, "environment");
    return true;
}

bool operate_keep_settings(const struct conf *conf, char path[PATH_MAX], int *fd, struct err *err)
{
    CLEANUP(buf_free) struct buf text = buf_create(SETTINGS_MAX_BYTES);
    CLEANUP(fd_close) int copy = -1;
    struct bytes octets;

    *fd = -1;
    path[0] = '\0';
    if (conf->file[0] == '\0')
        return true;
    if (geteuid() != 0) {
        /* Inherited from a holdfast that was root: the file is gone, the descriptor is ours. */
        if (strncmp(conf->file, "/proc/self/fd/", 14) == 0)
            (void)snprintf(path, PATH_MAX, "%s", conf->file);
        else if (realpath(conf->file, path) == NULL)
            return err_errno(err, "settings file %s", conf->file);
        return true;
    }
    if (!file_read(conf->file, SETTINGS_MAX_BYTES, &text, err) || !buf_done(&text, &octets, err))
        return err_wrap(err, "settings");
    copy = memfd_create("holdfast.conf", 0);
    if (copy < 0)
        return err_errno(err, "copy of the settings");
    if (!fd_write_all(copy, octets, err))
        return err_wrap(err, "copy of the settings");
    (void)snprintf(path, PATH_MAX, "/proc/self/fd/%d", copy);
    *fd = fd_take(&copy);
    return true;
}
