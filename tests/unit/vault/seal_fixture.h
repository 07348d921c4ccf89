/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault/seal_fixture.h - an account whose mail is sealed into a folder of the test's own,
 * and a table of system calls that fails one of them. Only for tests; static on purpose.
 */
#pragma once

#include "base/sys.h"
#include "vault/fixture.h"
#include "vault/pack.h"
#include "vault/seal.h"

#include <dirent.h>

struct seal_fixture {
    struct fixture f;
    struct db *keeper;
    char folder[64];
    char packs[80];
    struct vault_pack_opener opener;
    uint32_t next_uid;
};

/* A reader that opens packs. */
TEST_UNUSED static void seal_open_reader(struct seal_fixture *s)
{
    vault_close_reader(&s->f.reader);
    s->opener = (struct vault_pack_opener){ vault_open_pack_in_folder, s->packs };
    MUST(vault_open_reader(s->f.pool, s->f.token, &s->opener, &s->f.reader, ERR));
}

TEST_UNUSED static bool seal_open(struct seal_fixture *s)
{
    *s = (struct seal_fixture){ .next_uid = 1 };
    if (!fixture_open(&s->f))
        return false;
    s->keeper = test_db(DB_ROLE_KEEPER);
    test_make_dir(s->folder);
    (void)snprintf(s->packs, sizeof s->packs, "%.63s/packs", s->folder);
    seal_open_reader(s);
    return true;
}

TEST_UNUSED static void seal_close(struct seal_fixture *s)
{
    db_close(&s->keeper);
    test_remove_tree(s->folder);
    fixture_close(&s->f);
}

/* One commit, so one run (or more, if one of them is large). */
TEST_UNUSED static void seal_commit_run(struct seal_fixture *s, const size_t *sizes, size_t count)
{
    fixture_begin(&s->f);
    for (size_t i = 0; i < count; i++, s->next_uid++)
        fixture_put(&s->f, s->next_uid, fixture_mail(&s->f, sizes[i], s->next_uid));
    fixture_commit(&s->f);
}

/* Some of every kind: mail that trickles in, batches, a large message. */
TEST_UNUSED static void seal_fill(struct seal_fixture *s)
{
    static const size_t small[] = { 1200, 0, 40000, 300, 150000, 90000, 7 };
    static const size_t batch[] = { 3000, 500000, 100, 262144, 0 };
    static const size_t large[] = { 9000000 };

    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        seal_commit_run(s, &small[i], 1);
    seal_commit_run(s, batch, ARRAY_LEN(batch));
    seal_commit_run(s, large, 1);
    seal_commit_run(s, small, 1);
}

TEST_UNUSED static bool seal_try(struct seal_fixture *s, struct vault_sealed *out)
{
    struct vault_seal_order order = { .packs_dir = s->packs,
                                      .account_id = s->f.account_id,
                                      .pack_bytes = UINT64_C(64) << 20,
                                      .is_all = true };

    err_clear(&fixture_err);
    return vault_seal_account(s->keeper, &order, out, ERR);
}

/* Every message, by the hash of its placement, through a reader without memories. */
TEST_UNUSED static size_t seal_read_all(struct seal_fixture *s)
{
    struct vault_placement_page page = fixture_page(&s->f, s->f.mailbox_id);

    vault_trim_reader(s->f.reader);
    for (size_t i = 0; i < page.count; i++)
        MUST(vault_verify_octets(s->f.reader, &page.rows[i].octets, &page.rows[i].sha256, ERR));
    return page.count;
}

/* Files in the account's folder. */
TEST_UNUSED static size_t seal_count_files(struct seal_fixture *s)
{
    char path[160];
    DIR *folder;
    const struct dirent *entry;
    size_t count = 0;

    (void)snprintf(path, sizeof path, "%s/%jd", s->packs, (intmax_t)s->f.account_id);
    folder = opendir(path);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.' ? 1 : 0;
    if (folder != NULL)
        (void)closedir(folder);
    return count;
}

TEST_UNUSED static const struct vault_pack_row *seal_rows(struct seal_fixture *s, size_t *count)
{
    const struct vault_pack_row *rows;
    const struct vault_pack_row before = { .account_id = s->f.account_id };

    MUST(vault_list_packs(s->f.owner, &before, 100, s->f.arena, &rows, count, ERR));
    return rows;
}

/* Damaged packs. */
TEST_UNUSED static size_t seal_verify(struct seal_fixture *s, bool is_full,
                                      struct vault_pack_report *last)
{
    struct vault_pack_check check = { .packs_dir = s->packs, .is_full = is_full };
    struct vault_pack_report report;
    size_t count, damaged = 0;
    const struct vault_pack_row *rows = seal_rows(s, &count);

    for (size_t i = 0; i < count; i++) {
        MUST(vault_check_pack(s->f.owner, &check, &rows[i], s->f.arena, &report, ERR));
        check.expected_previous = crypto_sha256_bytes(&rows[i].sha256);
        damaged += report.is_damaged ? 1 : 0;
        if (report.is_damaged && last != NULL)
            *last = report;
    }
    return damaged;
}

/* ---- failing system calls --------------------------------------------------------------------- */

struct seal_faults {
    uint64_t calls;
    uint64_t fail_at; /* this call fails; 0: none */
    bool is_death;    /* the process ends there instead, before the call; _after: behind it */
    bool is_death_after;
};

static struct seal_faults seal_faults;
static const struct sys *seal_real;

/* True: this is the call that shall not work. */
TEST_UNUSED static bool seal_fails(void)
{
    if (++seal_faults.calls != seal_faults.fail_at)
        return false;
    if (seal_faults.is_death)
        _exit(77);
    errno = ENOSPC;
    return true;
}

TEST_UNUSED static int seal_after(int result)
{
    if (seal_faults.calls == seal_faults.fail_at && seal_faults.is_death_after)
        _exit(77);
    return result;
}

static int seal_sys_open(const char *path, int flags, mode_t mode)
{
    return !seal_faults.is_death_after && seal_fails() ? -1 : seal_real->open(path, flags, mode);
}

static ssize_t seal_sys_read(int fd, void *buf, size_t len)
{
    return seal_real->read(fd, buf, len);
}

static ssize_t seal_sys_pread(int fd, void *buf, size_t len, off_t offset)
{
    return !seal_faults.is_death_after && seal_fails() ? -1
                                                       : seal_real->pread(fd, buf, len, offset);
}

/* Half of it is written before it fails. */
static ssize_t seal_sys_write(int fd, const void *buf, size_t len)
{
    if (seal_faults.is_death_after || !seal_fails())
        return seal_real->write(fd, buf, len);
    if (seal_real->write(fd, buf, len / 2) < 0)
        return -1;
    errno = ENOSPC;
    return -1;
}

static int seal_sys_fsync(int fd)
{
    if (seal_faults.is_death_after) {
        seal_faults.calls++;
        return seal_after(seal_real->fsync(fd));
    }
    return seal_fails() ? -1 : seal_real->fsync(fd);
}

static int seal_sys_close(int fd)
{
    return seal_real->close(fd);
}

static int seal_sys_rename(const char *from, const char *to)
{
    if (seal_faults.is_death_after) {
        seal_faults.calls++;
        return seal_after(seal_real->rename(from, to));
    }
    return seal_fails() ? -1 : seal_real->rename(from, to);
}

static int seal_sys_unlink(const char *path)
{
    if (seal_faults.is_death_after) {
        seal_faults.calls++;
        return seal_after(seal_real->unlink(path));
    }
    return seal_fails() ? -1 : seal_real->unlink(path);
}

TEST_UNUSED static void seal_break(struct seal_faults faults)
{
    static const struct sys broken = {
        .open = seal_sys_open,
        .read = seal_sys_read,
        .pread = seal_sys_pread,
        .write = seal_sys_write,
        .fsync = seal_sys_fsync,
        .close = seal_sys_close,
        .rename = seal_sys_rename,
        .unlink = seal_sys_unlink,
    };

    if (seal_real == NULL)
        seal_real = sys();
    seal_faults = faults;
    sys_replace(&broken);
}

TEST_UNUSED static void seal_mend(void)
{
    sys_replace(NULL);
}
