/* SPDX-License-Identifier: Apache-2.0 */
#include "operate/lock.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "db/migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    RETRY_MS = 50,
    HOLDER_TEXT_BYTES = OPERATE_SERVICES_TEXT_BYTES + 64,
    RETRY_FOR_MS = 500, /* one who only looks (operate_find_holder) holds the lock for an instant */
};

static const struct {
    const char *name;
    unsigned bit;
} service_names[] = {
    { "database", OPERATE_SERVICE_DATABASE }, { "gate", OPERATE_SERVICE_GATE },
    { "keeper", OPERATE_SERVICE_KEEPER },     { "ingest", OPERATE_SERVICE_INGEST },
    { "imapd", OPERATE_SERVICE_IMAPD },       { "watch", OPERATE_SERVICE_WATCH },
};

void operate_write_services(unsigned services, char text[OPERATE_SERVICES_TEXT_BYTES])
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(service_names); i++) {
        if ((services & service_names[i].bit) == 0)
            continue;
        len += (size_t)snprintf(text + len, OPERATE_SERVICES_TEXT_BYTES - len, "%s%s",
                                len > 0 ? "," : "", service_names[i].name);
        assert(len < OPERATE_SERVICES_TEXT_BYTES);
    }
}

static unsigned find_service(struct bytes word)
{
    for (size_t i = 0; i < ARRAY_LEN(service_names); i++) {
        if (bytes_equal(word, bytes_of_text(service_names[i].name)))
            return service_names[i].bit;
    }
    return 0;
}

bool operate_read_services(const char *text, unsigned *out, struct err *err)
{
    struct bytes rest = bytes_of_text(text);
    unsigned services = 0;

    for (;;) {
        struct bytes word;
        unsigned bit;

        if (!scan_until_byte(&rest, ',', &word)) {
            word = rest;
            rest = bytes_slice(rest, rest.len, 0);
        }
        bit = find_service(word);
        if (bit == 0)
            return err_fail(err, ERR_SYNTAX,
                            "'%.*s' is no service: give some of database,gate,keeper,ingest,imapd,"
                            "watch",
                            (int)word.len, (const char *)word.ptr);
        services |= bit;
        if (!scan_byte(&rest, ','))
            break;
    }
    *out = services;
    return true;
}

static bool open_lock(const char *data_dir, const char *name, int *out, struct err *err)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", data_dir, name) >= sizeof path)
        return err_fail(err, ERR_LIMIT, "data directory: the path is too long");
    *out = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*out < 0)
        return err_errno(err, "open %s", path);
    return true;
}

/* ERR_RETRY: still locked otherwise at the deadline. */
static bool lock_until(int fd, int operation, struct deadline deadline, struct err *err)
{
    while (flock(fd, operation | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_errno(err, "lock");
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "locked by another process");
        (void)poll(NULL, 0, RETRY_MS);
    }
    return true;
}

static void read_holder(int fd, struct operate_holder *out)
{
    char text[HOLDER_TEXT_BYTES];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    struct err unreadable = { 0 };
    struct bytes rest, second;
    uint32_t pid;
    size_t end;

    if (len <= 0)
        return;
    text[len] = '\0';
    end = strcspn(text, "\n");
    second = bytes_of_text(text[end] == '\0' ? "" : text + end + 1);
    text[end] = '\0';
    rest = bytes_of_text(text);
    if (!scan_text(&second, BYTES("schema ")) || !scan_u32(&second, &out->schema))
        out->schema = 0;
    if (!scan_u32(&rest, &pid) || !scan_byte(&rest, ' ') ||
        !operate_read_services((const char *)rest.ptr, &out->services, &unreadable))
        return;
    out->pid = (int)pid;
}

bool operate_take_lock(const char *data_dir, unsigned services, int *out, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    char names[OPERATE_SERVICES_TEXT_BYTES];
    char text[HOLDER_TEXT_BYTES];
    struct operate_holder holder = { 0 };

    if (!open_lock(data_dir, "holdfastd.lock", &fd, err))
        return false;
    if (!lock_until(fd, LOCK_EX, deadline_after_ms(RETRY_FOR_MS), err)) {
        if (err->code != ERR_RETRY)
            return false;
        read_holder(fd, &holder);
        return err_fail(err, ERR_DENIED,
                        "holdfastd runs already on %s, as process %d: stop it first, or give "
                        "another [holdfast] data_dir",
                        data_dir, holder.pid);
    }
    operate_write_services(services, names);
    (void)snprintf(text, sizeof text, "%d %s\nschema %zu\n", (int)getpid(), names,
                   db_migrations().count);
    if (ftruncate(fd, 0) != 0)
        return err_errno(err, "write %s/holdfastd.lock", data_dir);
    if (!fd_write_all(fd, bytes_of_text(text), err))
        return err_wrap(err, "%s/holdfastd.lock", data_dir);
    *out = fd_take(&fd);
    return true;
}

bool operate_find_holder(const char *data_dir, struct operate_holder *out, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    struct operate_holder holder = { 0 };

    if (!open_lock(data_dir, "holdfastd.lock", &fd, err))
        return false;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_errno(err, "lock %s/holdfastd.lock", data_dir);
        holder.is_running = true;
        read_holder(fd, &holder);
    }
    *out = holder;
    return true;
}

bool operate_take_share(const char *data_dir, int *out, struct err *err)
{
    CLEANUP(fd_close) int fd = -1;

    if (!open_lock(data_dir, "commands.lock", &fd, err) ||
        !lock_until(fd, LOCK_SH, deadline_after_ms(RETRY_FOR_MS), err))
        return err_wrap(err, "%s/commands.lock", data_dir);
    *out = fd_take(&fd);
    return true;
}

void operate_await_shares(const char *data_dir, struct deadline deadline)
{
    CLEANUP(fd_close) int fd = -1;
    struct err late = { 0 };

    /* Whoever is left at the deadline sees a lost connection: ERR_RETRY. */
    if (open_lock(data_dir, "commands.lock", &fd, &late) &&
        lock_until(fd, LOCK_EX, deadline, &late))
        return;
    err_clear(&late);
}

bool operate_holder_is_older(const struct operate_holder *holder)
{
    return holder->is_running && holder->pid != 0 && holder->schema < db_migrations().count;
}
