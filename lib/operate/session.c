/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/session.h"

#include "base/child.h"
#include "base/fd.h"
#include "db/cluster.h"
#include "operate/install.h"
#include "operate/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OPEN_MS = 180000, /* initdb and a first start on a slow machine */
    STOP_MS = 120000,
    RETRY_MS = 100,
    REPLY_BYTES = ERR_TEXT_BYTES + 64,
    LOG_MAX_BYTES = 4 << 20, /* then the log of passing services begins anew */
    STATEMENT_TIMEOUT_MS = 120000,
};

struct db_target operate_session_target(const struct operate_session *session, const char *role,
                                        const struct secret *password)
{
    const char *url = session->conf->database.url;
    bool is_private = url[0] == '\0';

    return (struct db_target){
        .url = is_private ? NULL : url,
        .socket_dir = is_private ? session->runtime.dir : NULL,
        .database = is_private ? DB_CLUSTER_DATABASE : NULL,
        .role = role,
        .password = password,
        .application_name = "holdfast",
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
    };
}

/* As the owner: of the private database by its password file, otherwise as the url says. */
static bool connect_owner(struct operate_session *session, struct err *err)
{
    CLEANUP(secret_free) struct secret *password = NULL;
    const struct conf *conf = session->conf;
    bool is_private = conf->database.url[0] == '\0';
    struct db_target target;

    if (is_private && (!conf_find_runtime_dir(conf, &session->runtime, err) ||
                       !db_read_password(conf->holdfast.data_dir, DB_ROLE_OWNER, &password, err)))
        return false;
    target =
        operate_session_target(session, is_private ? db_role_name(DB_ROLE_OWNER) : NULL, password);
    return db_connect(&target, &session->db, err) && db_check_schema(session->db, err);
}

/* ---- a holdfastd of our own ------------------------------------------------------------------------ */

int operate_open_log(const struct conf *conf)
{
    char path[PATH_MAX];
    struct err ignored = { 0 };
    struct stat st;
    int fd = -1;

    if (operate_get_path(conf, "holdfast.log", path, &ignored))
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fstat(fd, &st) == 0 && st.st_size > LOG_MAX_BYTES && ftruncate(fd, 0) != 0)
        return fd; /* then it grows */
    return fd;
}

static void become_holdfastd(const struct operate_session_request *request, int ready_fd,
                             int log_fd, pid_t parent)
{
    char services[OPERATE_SERVICES_TEXT_BYTES];
    char descriptors[OPERATE_PROGRAMS_TEXT_BYTES];
    char number[16];
    char *argv[10];
    size_t count = 0;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent)
        child_give_up();
    (void)setpgid(0, 0); /* a Ctrl-C is for the command */
    (void)dup2(nowhere, STDIN_FILENO);
    (void)dup2(nowhere, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)fcntl(ready_fd, F_SETFD, 0);
    operate_pass_programs(request->programs);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);

    operate_write_services(request->services, services);
    (void)snprintf(number, sizeof number, "%d", ready_fd);
    argv[count++] = (char *)(uintptr_t) "holdfastd";
    if (request->conf_path[0] != '\0') {
        argv[count++] = (char *)(uintptr_t) "-c";
        argv[count++] = (char *)(uintptr_t)request->conf_path;
    }
    argv[count++] = (char *)(uintptr_t) "--services";
    argv[count++] = services;
    argv[count++] = (char *)(uintptr_t) "--ready-fd";
    argv[count++] = number;
    operate_write_programs(request->programs, descriptors);
    argv[count++] = (char *)(uintptr_t) "--programs";
    argv[count++] = descriptors;
    argv[count] = NULL;
    operate_exec(request->programs, OPERATE_HOLDFASTD, argv);
    (void)dprintf(ready_fd, "failed SYSTEM holdfastd could not be started (error %d)\n", errno);
    child_give_up();
}

/* Reads the one line of holdfastd. "" when it ended without a word. */
static void read_reply(int fd, char reply[REPLY_BYTES])
{
    size_t len = 0;

    while (len < REPLY_BYTES - 1) {
        ssize_t got = read(fd, reply + len, REPLY_BYTES - 1 - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
        if (memchr(reply, '\n', len) != NULL)
            break;
    }
    reply[len] = '\0';
    reply[strcspn(reply, "\n")] = '\0';
}

static bool take_reply(const char *reply, struct err *err)
{
    struct bytes rest = bytes_of_text(reply);
    struct bytes word;

    if (bytes_start_with(rest, BYTES("ready")))
        return true;
    if (!scan_text(&rest, BYTES("failed ")) || !scan_until_byte(&rest, ' ', &word))
        return err_fail(
            err, ERR_SYSTEM,
            "the services could not be started: see holdfast.log in the data directory");
    for (int code = ERR_SYNTAX; code <= (int)ERR_SYSTEM; code++) {
        if (bytes_equal(word, bytes_of_text(err_code_name((enum err_code)code))))
            return err_fail(err, (enum err_code)code, "%s", (const char *)rest.ptr + 1);
    }
    return err_fail(err, ERR_SYSTEM, "%s", (const char *)rest.ptr + 1);
}

static bool start_holdfastd(const struct operate_session_request *request,
                            struct operate_session *session, struct err *err)
{
    CLEANUP(fd_close) int hear = -1;
    CLEANUP(fd_close) int say = -1;
    CLEANUP(fd_close) int log_fd = operate_open_log(request->conf);
    char reply[REPLY_BYTES];
    pid_t parent = getpid();
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, "pipe");
    hear = ends[0];
    say = ends[1];
    pid = fork();
    if (pid < 0)
        return err_errno(err, "start holdfastd");
    if (pid == 0)
        become_holdfastd(request, say, log_fd, parent);
    fd_close(&say);
    session->holdfastd_pid = (int)pid;
    session->holdfastd_fd = pidfd_open(pid, 0);
    read_reply(hear, reply);
    return take_reply(reply, err);
}

bool operate_session_lives(const struct operate_session *session)
{
    return session->holdfastd_pid == 0 || !fd_wait(session->holdfastd_fd, 0);
}

static void stop_holdfastd(struct operate_session *session)
{
    struct pollfd ended = { .fd = session->holdfastd_fd, .events = POLLIN };

    if (session->holdfastd_pid == 0)
        return;
    (void)kill(session->holdfastd_pid, SIGTERM);
    while (poll(&ended, 1, STOP_MS) < 0 && errno == EINTR)
        continue;
    if (ended.revents == 0)
        (void)kill(session->holdfastd_pid, SIGKILL);
    while (waitpid(session->holdfastd_pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    fd_close(&session->holdfastd_fd);
    session->holdfastd_pid = 0;
}

void operate_close_session(struct operate_session *session)
{
    db_close(&session->db);
    fd_close(&session->host_fd);
    fd_close(&session->share_fd); /* before: it waits for those that have a share */
    stop_holdfastd(session);
}

/* ---- whom to use --------------------------------------------------------------------------------- */

static bool needs_nobody(const struct operate_session_request *request)
{
    return request->conf->database.url[0] != '\0' &&
           (request->services & ~(unsigned)OPERATE_SERVICE_DATABASE) == 0;
}

/* The database of a url, which `holdfast init` may not have seen yet. */
static bool open_server(struct operate_session *session, struct err *err)
{
    bool has_passwords;

    if (connect_owner(session, err))
        return true;
    if (session->db == NULL || err->code != ERR_RETRY)
        return false;
    db_close(&session->db);
    err_clear(err);
    return operate_make_keys(session->conf, err) &&
           operate_prepare_server(session->conf, &has_passwords, err) &&
           connect_owner(session, err);
}

/* One try. ERR_RETRY: worth another one until the deadline. */
static bool try_to_open(const struct operate_session_request *request,
                        struct operate_session *session, struct err *err)
{
    const char *data_dir = request->conf->holdfast.data_dir;
    struct operate_holder holder;

    if (!operate_take_share(data_dir, &session->share_fd, err) ||
        !operate_find_holder(data_dir, &holder, err))
        return false;
    if (!holder.is_running)
        return start_holdfastd(request, session, err) && connect_owner(session, err);
    if ((holder.services & request->services) != request->services)
        return err_fail(err, ERR_RETRY,
                        "holdfastd (process %d) runs for another command with less than this one "
                        "needs: try again when that has ended",
                        holder.pid);
    session->host_fd = pidfd_open(holder.pid, 0);
    session->is_guest = (holder.services & OPERATE_SERVICE_IMAPD) == 0;
    if (connect_owner(session, err))
        return true;
    return err->code == ERR_RETRY && operate_holder_is_older(&holder)
               ? err_fail(
                     err, ERR_DENIED,
                     "holdfastd (process %d) is of an older version than this command: stop it "
                     "and start the new one",
                     holder.pid)
               : false;
}

/* A command that defers signals still wants to be stopped. */
static bool is_interrupted(void)
{
    sigset_t waiting;

    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGINT) == 1 || sigismember(&waiting, SIGTERM) == 1);
}

bool operate_open_session(const struct operate_session_request *request,
                          struct operate_session *out, struct err *err)
{
    CLEANUP(operate_close_session) struct operate_session session = OPERATE_NO_SESSION;
    struct operate_session_request full = *request;
    struct deadline deadline = deadline_after_ms(OPEN_MS);
    struct operate_holder holder;

    full.services |= OPERATE_SERVICE_DATABASE;
    session.conf = request->conf;
    if (needs_nobody(&full)) {
        if (!open_server(&session, err))
            return false;
    } else {
        while (!try_to_open(&full, &session, err)) {
            struct err unknown = { 0 };
            bool was_ours = session.holdfastd_pid != 0;

            operate_close_session(&session);
            /* Another command may have been quicker to start one. */
            if (was_ours &&
                operate_find_holder(request->conf->holdfast.data_dir, &holder, &unknown) &&
                !holder.is_running)
                return false;
            if (!was_ours && err->code != ERR_RETRY && err->code != ERR_ABSENT)
                return false;
            if (deadline_has_passed(deadline))
                return false;
            if (is_interrupted())
                return err_fail(err, ERR_RETRY, "interrupted while waiting for the services");
            err_clear(err);
            (void)poll(NULL, 0, RETRY_MS);
        }
    }
    *out = session;
    session = OPERATE_NO_SESSION;
    return true;
}
