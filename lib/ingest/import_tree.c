/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/import_tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "imap/mailbox.h"
#include "ingest/import_feed.h"
#include "ingest/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ARENA_BYTES = INGEST_TREE_NAMES_BYTES + INGEST_TREE_NAMES * 16 + 4096,
};

struct walk;

/* A folder that is being walked; its parents are on the stack above. */
struct folder {
    const struct folder *parent;
    size_t depth;
    int fd;
    struct bytes mailbox; /* "" at the top */
    struct bytes path;
    dev_t device;
    ino_t inode;
    bool is_maildir;
    bool is_dot_mbox; /* called "X.mbox" */
    bool is_apples;   /* within "X.mbox/<UUID>" of Apple Mail, whose folders are of the mailbox X */
};

struct walk {
    int socket;
    struct err *err;
};

typedef bool entry_fn(struct walk *walk, const struct folder *folder, const char *name);

/* ---- telling ---------------------------------------------------------------------------------- */

/* "folder/name"; "name" at the top. In the arena of the buffer given. */
static struct bytes join(struct buf *out, struct bytes folder, struct bytes name)
{
    buf_append(out, folder);
    if (folder.len > 0)
        buf_byte(out, '/');
    buf_append(out, name);
    return buf_bytes(out);
}

static bool tell(struct walk *walk, enum ingest_feed_kind kind, const struct folder *folder,
                 const char *name, const char *why)
{
    CLEANUP(buf_free) struct buf path = buf_create(2 * INGEST_FEED_TEXT_BYTES);
    struct ingest_feed_record record = {
        .kind = kind,
        .name = bytes_of_text(why),
        .path = join(&path, folder->path, bytes_of_text(name)),
        .fd = -1,
    };

    return ingest_send_record(walk->socket, &record, walk->err);
}

static bool tell_errno(struct walk *walk, const struct folder *folder, const char *name)
{
    struct err why = { 0 };

    (void)err_errno(&why, "cannot be read");
    return tell(walk, INGEST_FEED_FAILED, folder, name, why.text);
}

/* ---- names ------------------------------------------------------------------------------------ */

static struct bytes without(struct bytes name, struct bytes ending)
{
    if (name.len > ending.len &&
        bytes_equal(bytes_slice(name, name.len - ending.len, SIZE_MAX), ending))
        return bytes_slice(name, 0, name.len - ending.len);
    return name;
}

static bool is_dot_mbox(struct bytes name)
{
    return without(name, BYTES(".mbox")).len < name.len;
}

/* A level of a mailbox as its name says it: decoded where it is modified UTF-7. */
static void add_level(struct buf *out, struct bytes name)
{
    CLEANUP(buf_free) struct buf decoded = buf_create(INGEST_FEED_TEXT_BYTES);
    struct err no_utf7 = { 0 };

    if (out->len > 0)
        buf_byte(out, '/');
    if (bytes_find_byte(name, '&') >= 0 && imap_decode_utf7(name, &decoded, &no_utf7) &&
        bytes_find_byte(buf_bytes(&decoded), '/') < 0)
        name = buf_bytes(&decoded);
    buf_append(out, name);
}

/* ".A.B" of Maildir++: levels A, B. */
static void add_dotted_levels(struct buf *out, struct bytes name)
{
    struct bytes level;

    name = bytes_slice(name, 1, SIZE_MAX);
    while (scan_until_byte(&name, '.', &level)) {
        name = bytes_slice(name, 1, SIZE_MAX);
        if (level.len > 0)
            add_level(out, level);
    }
    if (name.len > 0)
        add_level(out, name);
}

/* "cur/1234.M5P6.host:2,S" is known by "1234.M5P6.host", wherever it lies. */
static struct bytes maildir_key(struct bytes name)
{
    return bytes_slice(name, 0, ingest_find_maildir_info(name));
}

static struct bytes mbox_stem(const struct folder *folder, struct bytes name)
{
    bool is_apples = bytes_equal(name, BYTES("mbox")) && folder->is_dot_mbox;

    return is_apples ? BYTES("") : without(name, BYTES(".mbox"));
}

/* ---- entries of a folder, sorted, in portions ------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* *count 0: there are no more. */
static bool read_portion(DIR *stream, struct arena *arena, char **names, size_t *count)
{
    bool is_whole = true;
    size_t octets = 0;

    *count = 0;
    while (*count < INGEST_TREE_NAMES && octets < INGEST_TREE_NAMES_BYTES - NAME_MAX) {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(stream);
        is_whole = entry != NULL || errno == 0;
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names[(*count)++] = arena_text(arena, entry->d_name);
        octets += strlen(entry->d_name) + 1;
    }
    qsort(names, *count, sizeof *names, compare_names);
    return is_whole;
}

static bool each_portion(struct walk *walk, const struct folder *folder, DIR *stream, entry_fn *fn)
{
    struct arena *arena = arena_create(ARENA_BYTES);
    char **names = calloc(INGEST_TREE_NAMES, sizeof *names);
    bool is_ok = names != NULL || err_errno(walk->err, "names of a folder");
    size_t count = 1;

    while (is_ok && count > 0) {
        arena_reset(arena);
        if (!read_portion(stream, arena, names, &count))
            is_ok = tell_errno(walk, folder, ".");
        for (size_t i = 0; is_ok && i < count; i++)
            is_ok = fn(walk, folder, names[i]);
    }
    free(names);
    arena_free(&arena);
    return is_ok;
}

static bool each_entry(struct walk *walk, const struct folder *folder, entry_fn *fn)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    bool is_ok;

    if (stream == NULL) {
        is_ok = tell_errno(walk, folder, ".");
        fd_close(&fd);
        return is_ok;
    }
    is_ok = each_portion(walk, folder, stream, fn);
    (void)closedir(stream);
    return is_ok;
}

/* ---- files ------------------------------------------------------------------------------------ */

static bool feed_open_file(struct walk *walk, const struct folder *folder, const char *name, int fd)
{
    CLEANUP(buf_free) struct buf path = buf_create(2 * INGEST_FEED_TEXT_BYTES);
    struct bytes key = bytes_of_text(name);
    struct ingest_feed_record record = {
        .kind = folder->is_maildir ? INGEST_FEED_MAILDIR : INGEST_FEED_FILE,
        .folder = folder->mailbox,
        .name = folder->is_maildir ? maildir_key(key) : key,
        .stem = mbox_stem(folder, key),
        .path = join(&path, folder->path, key),
        .fd = fd,
    };

    return ingest_send_record(walk->socket, &record, walk->err);
}

static const char *what_is(mode_t mode)
{
    return S_ISLNK(mode)    ? "a symbolic link: not followed"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISDIR(mode)  ? "a folder where only messages belong"
                            : "a device";
}

/* Regular files; folders wait for their turn. */
static bool feed_file(struct walk *walk, const struct folder *folder, const char *name)
{
    CLEANUP(fd_close) int fd = -1;
    struct stat st;

    if (fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return tell_errno(walk, folder, name);
    if (S_ISDIR(st.st_mode) && !folder->is_maildir)
        return true;
    if (!S_ISREG(st.st_mode))
        return tell(walk, INGEST_FEED_LEFT_OUT, folder, name, what_is(st.st_mode));
    fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return tell_errno(walk, folder, name);
    if (!S_ISREG(st.st_mode))
        return tell(walk, INGEST_FEED_LEFT_OUT, folder, name, what_is(st.st_mode));
    return feed_open_file(walk, folder, name, fd);
}

/* ---- folders ---------------------------------------------------------------------------------- */

static bool walk_folder(struct walk *walk, struct folder *folder);

static bool is_folder(int parent, const char *name)
{
    struct stat st;

    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Copies leave empty folders out: does the name of a file in cur tell what it is of? */
static bool has_flagged_name(int fd)
{
    int cur = openat(fd, "cur", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = cur < 0 ? NULL : fdopendir(cur);
    const struct dirent *entry;
    bool has = false;

    if (stream == NULL) {
        fd_close(&cur);
        return false;
    }
    while (!has && (entry = readdir(stream)) != NULL) {
        struct bytes name = bytes_of_text(entry->d_name);

        has = bytes_start_with(bytes_slice(name, ingest_find_maildir_info(name) + 1, SIZE_MAX),
                               BYTES("2,"));
    }
    (void)closedir(stream);
    return has;
}

static bool is_maildir(int fd)
{
    return is_folder(fd, "cur") && (is_folder(fd, "new") || has_flagged_name(fd));
}

static bool is_within_itself(const struct folder *folder)
{
    for (const struct folder *f = folder->parent; f != NULL; f = f->parent)
        if (f->device == folder->device && f->inode == folder->inode)
            return true;
    return false;
}

/* 8-4-4-4-12 hexadecimal digits */
static bool is_uuid(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? name.ptr[i] != '-' : ascii_hex_value(name.ptr[i]) == ASCII_NO_HEX)
            return false;
    }
    return name.len == 36;
}

/* Is the folder `name` in this one Apple Mail's own, and no mailbox? "X.mbox/<UUID>/Data/1/2/Messages" */
static bool is_apples(const struct folder *parent, struct bytes name)
{
    return parent->is_apples || (parent->is_dot_mbox && is_uuid(name));
}

/* The level that a folder's name says: of "X.sbd" (Thunderbird), "X.mbox", ".X.directory" (KMail) X. */
static struct bytes level_of(struct bytes name)
{
    struct bytes inner = without(name, BYTES(".directory"));

    if (inner.len < name.len && inner.len > 1 && inner.ptr[0] == '.')
        return bytes_slice(inner, 1, SIZE_MAX);
    return without(without(name, BYTES(".sbd")), BYTES(".mbox"));
}

/* mailbox: of the folder `name` in this one. */
static bool enter(struct walk *walk, const struct folder *parent, const char *name,
                  struct bytes mailbox)
{
    CLEANUP(buf_free) struct buf path = buf_create(2 * INGEST_FEED_TEXT_BYTES);
    CLEANUP(fd_close)
    int fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct folder folder = {
        .parent = parent,
        .depth = parent->depth + 1,
        .fd = fd,
        .mailbox = mailbox,
        .path = join(&path, parent->path, bytes_of_text(name)),
        .is_dot_mbox = is_dot_mbox(bytes_of_text(name)),
        .is_apples = is_apples(parent, bytes_of_text(name)),
    };
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return tell_errno(walk, parent, name);
    folder.device = st.st_dev;
    folder.inode = st.st_ino;
    if (is_within_itself(&folder))
        return tell(walk, INGEST_FEED_LEFT_OUT, parent, name, "a folder within itself");
    if (folder.depth > INGEST_TREE_DEPTH || folder.path.len > INGEST_FEED_TEXT_BYTES - NAME_MAX ||
        mailbox.len > INGEST_FEED_TEXT_BYTES - NAME_MAX)
        return tell(walk, INGEST_FEED_FAILED, parent, name, "too many folders within one another");
    return walk_folder(walk, &folder);
}

/* cur and new of a Maildir: the mailbox is the Maildir's. */
static bool walk_messages(struct walk *walk, const struct folder *maildir, const char *name)
{
    CLEANUP(buf_free) struct buf path = buf_create(2 * INGEST_FEED_TEXT_BYTES);
    CLEANUP(fd_close)
    int fd = openat(maildir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct folder folder = {
        .fd = fd,
        .mailbox = maildir->mailbox,
        .path = join(&path, maildir->path, bytes_of_text(name)),
        .is_maildir = true,
    };

    if (fd < 0)
        return errno == ENOENT || tell_errno(walk, maildir, name);
    return each_entry(walk, &folder, feed_file);
}

/* A folder in one that is no Maildir. */
static bool enter_plain(struct walk *walk, const struct folder *folder, const char *name)
{
    CLEANUP(buf_free) struct buf mailbox = buf_create(2 * INGEST_FEED_TEXT_BYTES);

    if (!is_folder(folder->fd, name))
        return true;
    buf_append(&mailbox, folder->mailbox);
    if (!is_apples(folder, bytes_of_text(name)))
        add_level(&mailbox, level_of(bytes_of_text(name)));
    return enter(walk, folder, name, buf_bytes(&mailbox));
}

static bool is_maildir_at(int parent, const char *name)
{
    CLEANUP(fd_close)
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && is_maildir(fd);
}

/* A folder in a Maildir. */
static bool enter_maildirs(struct walk *walk, const struct folder *folder, const char *name)
{
    CLEANUP(buf_free) struct buf mailbox = buf_create(2 * INGEST_FEED_TEXT_BYTES);

    if (strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0)
        return true;
    if (name[0] != '.' || !is_maildir_at(folder->fd, name))
        return enter_plain(walk, folder, name);
    buf_append(&mailbox, folder->mailbox);
    add_dotted_levels(&mailbox, bytes_of_text(name));
    return enter(walk, folder, name, buf_bytes(&mailbox));
}

/* Its keywords by number, as Dovecot keeps them; without that file, none. */
static bool feed_keywords(struct walk *walk, const struct folder *maildir)
{
    static const char name[] = "dovecot-keywords";
    CLEANUP(buf_free) struct buf path = buf_create(2 * INGEST_FEED_TEXT_BYTES);
    CLEANUP(fd_close)
    int fd = openat(maildir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct ingest_feed_record record = {
        .kind = INGEST_FEED_KEYWORDS,
        .folder = maildir->mailbox,
        .path = join(&path, maildir->path, BYTES("dovecot-keywords")),
    };
    struct stat st;

    if (fd < 0 && errno != ENOENT && !tell_errno(walk, maildir, name))
        return false;
    record.fd = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fd : -1;
    return ingest_send_record(walk->socket, &record, walk->err);
}

/* What lies beside the folders of a Maildir: those who keep one have files of their own there. */
static bool feed_stray(struct walk *walk, const struct folder *folder, const char *name)
{
    static const struct bytes own[] = {
        BYTES_INIT("."),       BYTES_INIT("dovecot"), BYTES_INIT("maildir"), BYTES_INIT("courier"),
        BYTES_INIT("subscri"), BYTES_INIT("shared"),  BYTES_INIT("sieve"),   BYTES_INIT("quota"),
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (bytes_start_with(bytes_of_text(name), own[i]))
            return true;
    return feed_file(walk, folder, name);
}

static bool walk_folder(struct walk *walk, struct folder *folder)
{
    if (!is_maildir(folder->fd))
        return each_entry(walk, folder, feed_file) && each_entry(walk, folder, enter_plain);
    return feed_keywords(walk, folder) && walk_messages(walk, folder, "new") &&
           walk_messages(walk, folder, "cur") && each_entry(walk, folder, feed_stray) &&
           each_entry(walk, folder, enter_maildirs);
}

bool ingest_feed_tree(int root, const char *root_name, int socket, struct err *err)
{
    struct walk walk = { .socket = socket, .err = err };
    struct folder folder = { .fd = root, .is_dot_mbox = is_dot_mbox(bytes_of_text(root_name)) };
    struct ingest_feed_record end = { .kind = INGEST_FEED_END, .fd = -1 };
    struct stat st;

    if (fstat(root, &st) != 0)
        return err_errno(err, "%s", root_name);
    folder.device = st.st_dev;
    folder.inode = st.st_ino;
    if (S_ISDIR(st.st_mode) ? !walk_folder(&walk, &folder)
                            : !feed_open_file(&walk, &folder, root_name, root))
        return false;
    return ingest_send_record(socket, &end, err);
}
