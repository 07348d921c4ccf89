/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an export: nameless until everything is in them. A child with the rights of who called
 * the command gives them their names at the end; when it is told nothing, nothing was there.
 */
#include "base/fd.h"
#include "base/sys.h"
#include "holdfast/export.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_BYTES = 256,
    SUMS_BYTES = 512
};

static const char *const suffixes[] = { ".sha256", ".sig", "" }; /* FILE itself comes last */

enum {
    NAMES = ARRAY_LEN(suffixes)
};

struct place {
    int folder;
    char name[NAME_BYTES];
    bool is_forced;
    char temporary
        [NAME_BYTES]; /* of FILE where the file system knows no nameless files; "" otherwise */
};

/* A file that got its name. */
struct placed {
    char name[NAME_BYTES];
    /* where the file of that name is until all have theirs; "": there was none */
    char replaced[NAME_BYTES];
};

struct order {
    size_t sums_len;
    uint8_t sums[SUMS_BYTES];
    struct crypto_signature signature;
};

struct export_files cli_export_files(const struct cli_placer *placer)
{
    const int *fds = placer->fds;

    return (struct export_files){ fds[0], fds[1], fds[2], fds[3], fds[4], fds[5] };
}

/* ---- the files ----------------------------------------------------------------------------------- */

/* temporary: its name, where it needs one. */
static bool make_file(const struct place *place, mode_t mode, char temporary[NAME_BYTES], int *out,
                      struct err *err)
{
    static unsigned count;

    temporary[0] = '\0';
    *out = openat(place->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (*out >= 0)
        return true;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return err_errno(err, "create a file beside %s", place->name);
    (void)snprintf(temporary, NAME_BYTES, ".holdfast-export.%jd.%u", (intmax_t)getpid(), count++);
    *out = openat(place->folder, temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    return *out >= 0 || err_errno(err, "create a file beside %s", place->name);
}

static void write_name(const struct place *place, const char *suffix, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%s%s", place->name, suffix);
}

/* Gives the name to a file that has another one, and keeps the file that had it, where there was one. */
static bool take_name(const struct place *place, const char *hidden, struct placed *out,
                      struct err *err)
{
    if (renameat2(place->folder, hidden, place->folder, out->name, RENAME_EXCHANGE) == 0) {
        (void)snprintf(out->replaced, sizeof out->replaced, "%s", hidden);
        return true;
    }
    /* There was none, or the file system cannot exchange two. */
    return renameat(place->folder, hidden, place->folder, out->name) == 0 ||
           err_errno(err, "%s", out->name);
}

/* Gives a file its name; replaces one only when forced. */
static bool link_file(const struct place *place, int fd, const char *temporary, struct placed *out,
                      struct err *err)
{
    static unsigned count;
    char path[64], hidden[NAME_BYTES];
    bool is_named = temporary[0] != '\0';
    const char *passing = is_named ? temporary : hidden;
    int result;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    (void)snprintf(hidden, sizeof hidden, ".holdfast-export.%jd.link.%u", (intmax_t)getpid(),
                   count++);
    if (place->is_forced) {
        if (!is_named && linkat(AT_FDCWD, path, place->folder, hidden, AT_SYMLINK_FOLLOW) != 0)
            return err_errno(err, "%s", out->name);
        if (take_name(place, passing, out, err))
            return true;
        (void)unlinkat(place->folder, passing, 0);
        return false;
    }
    result = is_named ? linkat(place->folder, temporary, place->folder, out->name, 0)
                      : linkat(AT_FDCWD, path, place->folder, out->name, AT_SYMLINK_FOLLOW);
    if (result != 0 && errno == EEXIST)
        return err_fail(err, ERR_DENIED, "%s exists: --force replaces it", out->name);
    return result == 0 || err_errno(err, "%s", out->name);
}

static bool place_one(const struct place *place, int fd, const char *temporary, struct placed *out,
                      struct err *err)
{
    if (sys()->fsync(fd) != 0)
        return err_errno(err, "sync %s", out->name);
    return link_file(place, fd, temporary, out, err);
}

static bool place_small(const struct place *place, struct bytes octets, struct placed *out,
                        struct err *err)
{
    CLEANUP(fd_close) int fd = -1;
    char temporary[NAME_BYTES];
    bool is_placed;

    if (!make_file(place, 0644, temporary, &fd, err))
        return false;
    is_placed = fd_write_all(fd, octets, err) && place_one(place, fd, temporary, out, err);
    if (temporary[0] != '\0' && out->replaced[0] == '\0')
        (void)unlinkat(place->folder, temporary, 0);
    return is_placed;
}

/* As it was before. */
static void take_back(const struct place *place, const struct placed *placed)
{
    if (placed->replaced[0] != '\0')
        (void)renameat(place->folder, placed->replaced, place->folder, placed->name);
    else
        (void)unlinkat(place->folder, placed->name, 0);
}

static bool place_all(const struct place *place, int out, const struct order *order,
                      struct err *err)
{
    struct bytes contents[] = { bytes_of(order->sums, order->sums_len),
                                bytes_of(order->signature.octets, sizeof order->signature.octets) };
    struct placed placed[NAMES] = { 0 };
    size_t count = 0;

    while (count < NAMES) {
        struct placed *next = &placed[count];

        write_name(place, suffixes[count], next->name);
        if (count < ARRAY_LEN(contents) ? !place_small(place, contents[count], next, err)
                                        : !place_one(place, out, place->temporary, next, err))
            break;
        count++;
    }
    if (count < NAMES) {
        while (count-- > 0)
            take_back(place, &placed[count]);
        return false;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (placed[i].replaced[0] != '\0')
            (void)unlinkat(place->folder, placed[i].replaced, 0);
    return sys()->fsync(place->folder) == 0 || err_errno(err, "sync the folder");
}

/* ---- the child ----------------------------------------------------------------------------------- */

static _Noreturn void run_placer(const struct place *place, int out, int orders, int answers)
{
    struct order order;
    struct err err = { .code = ERR_NONE };
    struct err unheard = { .code = ERR_NONE };
    int status = 0;

    /* Ctrl-C is for the command; we end when it has. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    if (cli_receive(orders, &order, sizeof order) && order.sums_len <= sizeof order.sums) {
        (void)place_all(place, out, &order, &err);
        if (!fd_write_all(answers, bytes_of(&err, sizeof err), &unheard))
            status = 1; /* the command has died meanwhile */
    }
    if (place->temporary[0] != '\0')
        (void)unlinkat(place->folder, place->temporary, 0);
    _exit(status);
}

/* ---- the command ---------------------------------------------------------------------------------- */

static bool open_folder(const char *file, struct place *place, struct err *err)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash == NULL ? file : slash + 1;
    char folder[PATH_MAX] = ".";

    if (slash != NULL && snprintf(folder, sizeof folder, "%.*s",
                                  slash == file ? 1 : (int)(slash - file), file) >= PATH_MAX)
        return err_fail(err, ERR_LIMIT, "the path of the export is too long");
    if (name[0] == '\0' || strlen(name) > NAME_BYTES - 32)
        return err_fail(err, ERR_SYNTAX, "'%s' is no name for a file", file);
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == '\\' || *c == 0x7f)
            return err_fail(err, ERR_SYNTAX,
                            "the name of the export holds a control character or \\");
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    place->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return place->folder >= 0 || err_errno(err, "folder %s", folder);
}

static bool check_free(const struct place *place, struct err *err)
{
    struct stat st;
    char name[NAME_BYTES];

    for (size_t i = 0; i < NAMES; i++) {
        write_name(place, suffixes[i], name);
        if (fstatat(place->folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (!S_ISREG(st.st_mode))
            return err_fail(err, ERR_DENIED, "%s exists and is no file", name);
        if (!place->is_forced)
            return err_fail(err, ERR_DENIED, "%s exists: --force replaces it", name);
    }
    return true;
}

/* Only the first keeps a name, if it has one at all. */
static bool make_files(struct place *place, struct cli_placer *placer, struct err *err)
{
    for (size_t i = 0; i < EXPORT_FILE_COUNT; i++) {
        char temporary[NAME_BYTES];

        if (!make_file(place, 0600, temporary, &placer->fds[i], err))
            return false;
        if (i == 0)
            (void)snprintf(place->temporary, sizeof place->temporary, "%s", temporary);
        else if (temporary[0] != '\0')
            (void)unlinkat(place->folder, temporary, 0);
    }
    return true;
}

static bool start_child(const struct place *place, struct cli_placer *placer, struct err *err)
{
    struct cli_child child;

    if (!cli_fork(&child, err))
        return false;
    if (child.pid == 0)
        run_placer(place, placer->fds[0], child.orders, child.answers);
    placer->child = child;
    return true;
}

bool cli_start_placer(const char *file, bool is_forced, struct cli_placer *out, struct err *err)
{
    struct place place = { .folder = -1, .is_forced = is_forced };
    struct cli_placer placer = CLI_NO_PLACER;
    bool is_started = open_folder(file, &place, err) && check_free(&place, err) &&
                      make_files(&place, &placer, err) && start_child(&place, &placer, err);

    if (!is_started) {
        if (place.temporary[0] != '\0')
            (void)unlinkat(place.folder, place.temporary, 0);
        cli_end_placer(&placer);
    } else {
        *out = placer;
    }
    fd_close(&place.folder);
    return is_started;
}

bool cli_place_files(struct cli_placer *placer, struct bytes sums,
                     const struct crypto_signature *signature, struct err *err)
{
    struct order order = { .sums_len = sums.len, .signature = *signature };
    struct err answer;

    assert(sums.len <= sizeof order.sums);
    memcpy(order.sums, sums.ptr, sums.len);
    if (!fd_write_all(placer->child.orders, bytes_of(&order, sizeof order), err))
        return false;
    if (!cli_receive(placer->child.answers, &answer, sizeof answer))
        return err_fail(err, ERR_SYSTEM, "the child that names the files has died");
    if (answer.code == ERR_NONE)
        return true;
    *err = answer;
    return false;
}

void cli_end_placer(struct cli_placer *placer)
{
    for (size_t i = 0; i < EXPORT_FILE_COUNT; i++)
        fd_close(&placer->fds[i]);
    cli_end_child(&placer->child);
}
