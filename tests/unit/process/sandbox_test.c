/* SPDX-License-Identifier: Apache-2.0 */
/* Each attempt is made by a child of its own, since a sandbox is for good. */
#include "base/fd.h"
#include "process/sandbox.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HOLDFAST_SANITIZED
#define ON_RELEASE_BUILDS(attempt) (void)(attempt)
#else
#define ON_RELEASE_BUILDS(attempt) CHECK(attempt)
#endif

enum {
    ABI_OF_TCP_RULES = 4,
    ABI_OF_SCOPES = 6,
    NO_NAMESPACES = 77
};

static char folder[] = "/tmp/holdfast-sandbox-XXXXXX"; /* which is no folder of the system */
static char file[sizeof folder + sizeof "/file"];

/* An older kernel refuses less, and sandbox_enter says so: these tests are of a whole sandbox. */
__attribute__((constructor)) static void skip_without_landlock(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi >= ABI_OF_TCP_RULES)
        return;
    (void)printf("SKIP sandbox: the kernel has Landlock's ABI %ld, not %d\n"
                 "counts: 0 passed, 0 failed\n",
                 abi, ABI_OF_TCP_RULES);
    (void)fflush(stdout);
    _exit(0);
}

static void make_file(void)
{
    if (file[0] != '\0')
        return;
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(file, sizeof file, "%s/file", folder);
    CHECK(close(open(file, O_WRONLY | O_CREAT, 0600)) == 0);
}

__attribute__((destructor)) static void remove_file(void)
{
    if (file[0] != '\0')
        (void)(unlink(file) + rmdir(folder));
}

/* Of the attempt, in the sandbox: 0 or errno. */
static int attempt_with(const struct sandbox *sandbox, int (*what)(void))
{
    int status;
    pid_t pid;

    make_file();
    pid = fork();
    if (pid == 0) {
        struct err err = { 0 };
        bool has_landlock;

        if (!sandbox_enter(sandbox, &has_landlock, &err) || !has_landlock)
            _exit(255);
        errno = 0;
        _exit(what() == -1 ? errno : 0);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) != 255);
    return WEXITSTATUS(status);
}

static int attempt(unsigned rights, int (*what)(void))
{
    return attempt_with(&(struct sandbox){ .rights = rights }, what);
}

/* clang-format off */
static int write_it(void) { return open(file, O_WRONLY); }
static int cut_it(void) { return truncate(file, 0); }
static int read_it(void) { return open(file, O_RDONLY); }
static int remove_it(void) { return unlink(file); }
static int make_one(void) { return open(folder, O_WRONLY | O_TMPFILE, 0600); }
static int make_folder(void) { return mkdirat(AT_FDCWD, "/tmp/holdfast-sandbox-made", 0700); }
static int change_mode(void) { return chmod(file, 0666); }
static int change_times(void) { return utimensat(AT_FDCWD, file, NULL, 0); }
static int link_it(void) { return link(file, "/tmp/holdfast-sandbox-link"); }
static int read_host_names(void) { return open("/etc/hosts", O_RDONLY); }
static int run_program(void) { return execl("/bin/true", "true", (char *)NULL); }
static int signal_parent(void) { return kill(getppid(), 0); }
static int signal_itself(void) { return kill(getpid(), 0); }
static int trace_parent(void) { return (int)syscall(SYS_ptrace, 16, getppid(), 0, 0); }
static int leave_by_io_uring(void) { return (int)syscall(SYS_io_uring_setup, 1, NULL); }

static int press_key(void) { return ioctl(STDIN_FILENO, TIOCSTI, "x"); }
static int own_events(void) { return fcntl(STDIN_FILENO, F_SETOWN, getppid()); }
static int look_at_own_limit(void) { return getrlimit(RLIMIT_CPU, &(struct rlimit){ 0 }); }
/* clang-format on */

/* The kernel looks at the lower half of the number only. */
static int press_key_by_long_number(void)
{
    return (int)syscall(SYS_ioctl, STDIN_FILENO, (1UL << 32) | TIOCSTI, "x");
}

static int limit_parent(void)
{
    return prlimit(getppid(), RLIMIT_CPU, NULL, &(struct rlimit){ 0 });
}

static int fork_one(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid;
}

static int connect_by_tcp(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(1),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int listen_by_tcp(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return bind(fd, (struct sockaddr *)&at, sizeof at);
}

static void *do_nothing(void *context)
{
    return context;
}

/* What the libraries load only when it is needed. */
static int work(void)
{
    struct addrinfo *addresses = NULL;
    iconv_t charset = iconv_open("UTF-8", "EUC-JP");
    pthread_t thread;

    if (charset == (iconv_t)-1 || getaddrinfo("localhost", "143", NULL, &addresses) != 0 ||
        pthread_create(&thread, NULL, do_nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return -1;
    freeaddrinfo(addresses);
    return iconv_close(charset);
}

TEST(no_file_is_changed_made_or_removed)
{
    CHECK_EQ_I64(attempt(SANDBOX_READS_ALL, write_it), EACCES);
    CHECK_EQ_I64(attempt(SANDBOX_READS_ALL, remove_it), EACCES);
    CHECK_EQ_I64(attempt(SANDBOX_READS_ALL, make_one), EACCES);
    CHECK_EQ_I64(attempt(SANDBOX_READS_ALL, make_folder), EACCES);
    CHECK(attempt(SANDBOX_READS_ALL, cut_it) != 0);
    ON_RELEASE_BUILDS(attempt(SANDBOX_READS_ALL, change_mode) == EPERM);
    ON_RELEASE_BUILDS(attempt(SANDBOX_READS_ALL, change_times) == EPERM);
    ON_RELEASE_BUILDS(attempt(SANDBOX_READS_ALL, link_it) == EPERM);
}

TEST(files_that_are_not_of_the_system_are_read_by_right_only)
{
    ON_RELEASE_BUILDS(attempt(0, read_it) == EACCES);
    CHECK_EQ_I64(attempt(SANDBOX_READS_ALL, read_it), 0);
    CHECK_EQ_I64(attempt(0, read_host_names), 0);
    CHECK_EQ_I64(attempt_with(&(struct sandbox){ .readable = folder }, read_it), 0);
    CHECK_EQ_I64(attempt_with(&(struct sandbox){ .readable = folder }, write_it), EACCES);
    CHECK_EQ_I64(attempt_with(&(struct sandbox){ .readable = "/absent" }, read_host_names), 0);
}

TEST(certificates_are_read_where_the_environment_says_that_openssl_finds_them)
{
    char list[sizeof folder + sizeof "/absent:"];

    make_file();
    CHECK(setenv("SSL_CERT_FILE", file, 1) == 0);
    CHECK_EQ_I64(attempt(0, read_it), 0);
    CHECK_EQ_I64(attempt(0, write_it), EACCES);
    CHECK(unsetenv("SSL_CERT_FILE") == 0);
    (void)snprintf(list, sizeof list, "/absent:%s", folder);
    CHECK(setenv("SSL_CERT_DIR", list, 1) == 0);
    CHECK_EQ_I64(attempt(0, read_it), 0);
    CHECK(unsetenv("SSL_CERT_DIR") == 0);
}

TEST(no_program_and_no_process_is_started)
{
    ON_RELEASE_BUILDS(attempt(SANDBOX_READS_ALL, run_program) == EPERM);
    ON_RELEASE_BUILDS(attempt(SANDBOX_READS_ALL, fork_one) == EPERM);
}

TEST(other_processes_are_left_alone)
{
    ON_RELEASE_BUILDS(attempt(0, signal_parent) == EPERM);
    ON_RELEASE_BUILDS(attempt(0, trace_parent) == EPERM);
    ON_RELEASE_BUILDS(attempt(0, limit_parent) == EPERM);
    ON_RELEASE_BUILDS(attempt(0, own_events) == EPERM);
    CHECK_EQ_I64(attempt(0, look_at_own_limit), 0);
    CHECK_EQ_I64(attempt(0, signal_itself), 0);
}

TEST(nothing_is_typed_at_the_terminal)
{
    ON_RELEASE_BUILDS(attempt(0, press_key) == EPERM);
    ON_RELEASE_BUILDS(attempt(0, press_key_by_long_number) == EPERM);
}

static struct sockaddr_un abstract_name(socklen_t *size)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int len = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "holdfast-sandbox-%s",
                       folder + sizeof folder - 7);

    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    return name;
}

static int connect_by_abstract_name(void)
{
    socklen_t size;
    struct sockaddr_un name = abstract_name(&size);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    return connect(fd, (struct sockaddr *)&name, size);
}

TEST(sockets_that_have_but_a_name_are_not_reached)
{
    CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size;
    struct sockaddr_un name;

    make_file();
    name = abstract_name(&size);
    CHECK(bind(fd, (struct sockaddr *)&name, size) == 0 && listen(fd, 8) == 0);
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >=
        ABI_OF_SCOPES)
        ON_RELEASE_BUILDS(attempt(0, connect_by_abstract_name) == EPERM);
}

static bool write_proc(const char *path, const char *text)
{
    CLEANUP(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Of files of our own: root there is who we are here. */
static bool enter_namespaces(void)
{
    char users[64], groups[64];

    (void)snprintf(users, sizeof users, "0 %u 1", geteuid());
    (void)snprintf(groups, sizeof groups, "0 %u 1", getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_proc("/proc/self/uid_map", users) &&
           write_proc("/proc/self/setgroups", "deny") && write_proc("/proc/self/gid_map", groups);
}

/* /etc/resolv.conf leads to `file`, for us alone. */
static int read_moved_resolver(void)
{
    struct sandbox sandbox = { 0 };
    struct err err = { 0 };
    bool has_landlock;

    if (!enter_namespaces() || mount("none", "/etc", "tmpfs", 0, NULL) != 0)
        return NO_NAMESPACES;
    if (symlink(file, "/etc/resolv.conf") != 0 || !sandbox_enter(&sandbox, &has_landlock, &err))
        return EXIT_FAILURE;
    return open("/etc/resolv.conf", O_RDONLY) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

TEST(the_resolver_is_read_where_the_network_manager_keeps_it)
{
    int status;
    pid_t pid;

    make_file();
    pid = fork();
    if (pid == 0)
        _exit(read_moved_resolver());
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NAMESPACES)
        (void)printf("SKIP no namespaces for users here\n");
    else
        CHECK_EQ_I64(WEXITSTATUS(status), EXIT_SUCCESS);
}

TEST(the_filter_is_not_gone_around)
{
    ON_RELEASE_BUILDS(attempt(0, leave_by_io_uring) == EPERM);
}

TEST(tcp_is_for_who_has_the_right)
{
    ON_RELEASE_BUILDS(attempt(SANDBOX_LISTENS, connect_by_tcp) == EACCES);
    ON_RELEASE_BUILDS(attempt(SANDBOX_CONNECTS, listen_by_tcp) == EACCES);
    CHECK_EQ_I64(attempt(SANDBOX_CONNECTS, connect_by_tcp), ECONNREFUSED);
    CHECK_EQ_I64(attempt(SANDBOX_LISTENS, listen_by_tcp), 0);
}

TEST(character_sets_names_and_threads_work_as_before)
{
    CHECK_EQ_I64(attempt(0, work), 0);
}
