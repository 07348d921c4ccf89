/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process/sandbox.c - Landlock by its system calls (there is no library of it in Debian), seccomp by libseccomp.
 */
#include "process/sandbox.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The headers of Debian 12 know Landlock of Linux 6.1. Bits and structure are the kernel's for ever. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0)
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif

#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#endif

/* What a ruleset denies, unless a rule allows it. A kernel takes a longer one than its own if the rest is 0. */
struct denied {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

enum {
    ABI_REFER = 2, /* versions of Landlock that brought these */
    ABI_TRUNCATE = 3,
    ABI_NET = 4,
    ABI_SCOPE = 6,
};

static const uint64_t changing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

/* Modules of iconv and of the resolver, time zones, certificates; names of hosts and users. */
static const char *const readable_folders[] = {
    "/usr", "/lib", "/lib64", "/etc", "/run/systemd/resolve",
};

/* How this was built (sandbox.h). */
#if defined(HOLDFAST_COVERAGE)
enum {
    KEEPS_ALL = true,
    KEEPS_MOST = true
};
#elif defined(HOLDFAST_SANITIZED)
enum {
    KEEPS_ALL = false,
    KEEPS_MOST = true
};
#else
enum {
    KEEPS_ALL = false,
    KEEPS_MOST = false
};
#endif

unsigned sandbox_rights_of_libpq(const struct conf *conf)
{
    return conf->database.url[0] == '\0' ? 0 : SANDBOX_READS_ALL | SANDBOX_CONNECTS;
}

/* ---- Landlock ------------------------------------------------------------------------------------------ */

static struct denied deny(unsigned rights, long abi)
{
    struct denied denied = { .fs = changing };

    if (abi >= ABI_REFER)
        denied.fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= ABI_TRUNCATE)
        denied.fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (KEEPS_MOST)
        return denied;
    denied.fs |= LANDLOCK_ACCESS_FS_EXECUTE;
    if ((rights & SANDBOX_READS_ALL) == 0)
        denied.fs |= reading;
    if (abi >= ABI_NET && (rights & SANDBOX_CONNECTS) == 0)
        denied.net |= LANDLOCK_ACCESS_NET_CONNECT_TCP;
    if (abi >= ABI_NET && (rights & SANDBOX_LISTENS) == 0)
        denied.net |= LANDLOCK_ACCESS_NET_BIND_TCP;
    if (abi >= ABI_SCOPE)
        denied.scoped |= LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET;
    return denied;
}

/* A folder, or a file. What this system does not have needs no rule. */
static bool let_read(int ruleset, const char *path, struct err *err)
{
    CLEANUP(fd_close) int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = { .allowed_access = reading, .parent_fd = fd };
    struct stat facts;

    if (fd < 0)
        return errno == ENOENT || err_errno(err, "sandbox: %s", path);
    if (fstat(fd, &facts) != 0)
        return err_errno(err, "sandbox: %s", path);
    if (!S_ISDIR(facts.st_mode))
        rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 ||
           err_errno(err, "sandbox: rule for %s", path);
}

static void free_text(char **text)
{
    free(*text);
}

/* What manages the network keeps it elsewhere (/run/NetworkManager, /run/resolvconf, /mnt/wsl). The folder, since the
 * file is replaced by another; but of a folder at the root, which holds everything else too, the file. */
static bool let_read_resolver(int ruleset, struct err *err)
{
    CLEANUP(free_text) char *path = realpath("/etc/resolv.conf", NULL);
    char *end = path == NULL ? NULL : strrchr(path, '/');

    if (end == NULL)
        return true;
    if (strchr(path + 1, '/') != end)
        *end = '\0';
    return let_read(ruleset, path, err);
}

/* OpenSSL's variables: a file, and folders with ":" between them. */
static bool let_read_certificates(int ruleset, struct err *err)
{
    static const char *const names[] = { "SSL_CERT_FILE", "SSL_CERT_DIR" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *list = getenv(names[i]);

        while (list != NULL && *list != '\0') {
            size_t len = strcspn(list, ":");
            CLEANUP(free_text) char *path = strndup(list, len);

            if (path == NULL)
                return err_errno(err, "sandbox: %s", names[i]);
            if (len > 0 && !let_read(ruleset, path, err))
                return false;
            list += len + (list[len] == ':');
        }
    }
    return true;
}

static bool let_read_all(int ruleset, const struct sandbox *sandbox, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(readable_folders); i++)
        if (!let_read(ruleset, readable_folders[i], err))
            return false;
    if (!let_read_resolver(ruleset, err) || !let_read_certificates(ruleset, err))
        return false;
    return sandbox->readable == NULL || let_read(ruleset, sandbox->readable, err);
}

static bool enter_landlock(const struct sandbox *sandbox, bool *has_landlock, struct err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct denied denied = deny(sandbox->rights, abi);
    CLEANUP(fd_close) int ruleset = -1;

    *has_landlock = abi > 0;
    if (abi <= 0)
        return true;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &denied, sizeof denied, 0);
    if (ruleset < 0)
        return err_errno(err, "sandbox: Landlock rules");
    if ((denied.fs & reading) != 0 && !let_read_all(ruleset, sandbox, err))
        return false;
    return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ||
           err_errno(err, "sandbox: Landlock");
}

/* ---- seccomp ------------------------------------------------------------------------------------------- */

/* Refused with EPERM. Names that libseccomp does not know are of systems that do not have them. */
static const char *const refused_calls[] = {
    /* programs */
    "execve",
    "execveat",
    "fork",
    "vfork",
    /* other processes */
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "tkill",
    "kcmp",
    "setpriority",
    /* files: what Landlock does not see */
    "truncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "link",
    "linkat",
    "open_by_handle_at",
    "name_to_handle_at",
    /* ways around this list, and large doors into the kernel */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "seccomp",
    /* the system */
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "swapon",
    "swapoff",
    "reboot",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "syslog",
    "iopl",
    "ioperm",
    "personality",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
};

static bool refuse(scmp_filter_ctx filter, const char *name)
{
    int number = seccomp_syscall_resolve_name(name);

    return number == __NR_SCMP_ERROR ||
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) == 0;
}

/* Of a command number the kernel reads 32 bits. */
static bool refuse_command(scmp_filter_ctx filter, int call, uint32_t command)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, command)) == 0;
}

/* Keys pressed for whoever sits at our terminal; signals sent to others for what happens at a descriptor. */
static bool refuse_commands(scmp_filter_ctx filter)
{
    static const uint32_t ioctls[] = { TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP };
    static const uint32_t fcntls[] = { F_SETOWN, F_SETOWN_EX, F_SETSIG };
    bool is_made = true;

    for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
        is_made = is_made && refuse_command(filter, SCMP_SYS(ioctl), ioctls[i]);
    for (size_t i = 0; i < ARRAY_LEN(fcntls); i++)
        is_made = is_made && refuse_command(filter, SCMP_SYS(fcntl), fcntls[i]);
    return is_made;
}

/* Signals to itself end it when an assertion fails; clone makes threads. The C library asks clone when there is no clone3,
 * whose flags a filter cannot see. Limits are its own: one on another's CPU time would kill that. */
static bool refuse_by_argument(scmp_filter_ctx filter)
{
    scmp_datum_t self = (scmp_datum_t)getpid();

    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1,
                            SCMP_A0(SCMP_CMP_NE, self)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_NE, self)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                            SCMP_A0(SCMP_CMP_NE, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

static bool enter_seccomp(struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool is_made = filter != NULL && refuse_by_argument(filter) && refuse_commands(filter);
    int status = 0;

    for (size_t i = 0; is_made && i < ARRAY_LEN(refused_calls); i++)
        is_made = refuse(filter, refused_calls[i]);
    if (is_made)
        status = seccomp_load(filter);
    if (filter != NULL)
        seccomp_release(filter);
    if (!is_made)
        return err_fail(err, ERR_SYSTEM, "sandbox: libseccomp cannot make the filter");
    errno = -status;
    return status == 0 || err_errno(err, "sandbox: seccomp");
}

/* -------------------------------------------------------------------------------------------------------- */

bool sandbox_enter(const struct sandbox *sandbox, bool *has_landlock, struct err *err)
{
    *has_landlock = true;
    if (KEEPS_ALL)
        return true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(err, "sandbox: no_new_privs");
    return enter_landlock(sandbox, has_landlock, err) && (KEEPS_MOST || enter_seccomp(err));
}
