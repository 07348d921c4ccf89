/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast pack cat: a pack as the plain .tar.zst that it is, to standard output.
 *
 * The whole file is read and checked before there is a connection; then its reading is recorded, and then
 * its octets go out, unparsed, and compared once more on the way.
 */
#include "audit/append.h"
#include "base/fd.h"
#include "holdfast/cli.h"
#include "vault/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    HASH_DIGITS_MIN = 8,
    HASH_DIGITS = 2 * CRYPTO_SHA256_BYTES,
};

static bool is_hash(const char *text)
{
    size_t len = strlen(text);

    return len >= HASH_DIGITS_MIN && len <= HASH_DIGITS &&
           strspn(text, "0123456789abcdefABCDEF") == len;
}

static void write_hex(const struct crypto_sha256 *hash, char text[HASH_DIGITS + 1])
{
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", hash->octets[i]);
}

/* ---- which one ------------------------------------------------------------------------------------ */

struct search {
    const char *digits;
    size_t found;
    char path[PATH_MAX];
};

/* vault_pack_file_fn */
static bool look_at(void *context, const char *path, const struct crypto_sha256 *sha256)
{
    struct search *search = context;
    char hex[HASH_DIGITS + 1];

    write_hex(sha256, hex);
    if (strncasecmp(hex, search->digits, strlen(search->digits)) != 0)
        return true;
    search->found++;
    (void)snprintf(search->path, sizeof search->path, "%s", path);
    return search->found < 2;
}

static bool find_pack(struct cli *cli, const char *digits, char path[PATH_MAX])
{
    struct search search = { .digits = digits };

    if (!vault_each_pack_file(cli_packs_dir(cli), look_at, &search, &cli->err))
        return false;
    if (search.found == 0)
        return err_fail(&cli->err, ERR_ABSENT, "no pack has this SHA-256: `holdfast pack list`");
    if (search.found > 1)
        return err_fail(&cli->err, ERR_LIMIT, "more than one pack begins so: give more digits");
    memcpy(path, search.path, PATH_MAX);
    return true;
}

/* ---- octets --------------------------------------------------------------------------------------- */

static bool copy_out(int fd, const struct crypto_sha256 *sha256, struct err *err)
{
    uint8_t part[64 << 10];
    struct crypto_hasher *hasher = crypto_create_hasher();
    struct crypto_sha256 hash;
    ssize_t got;
    bool is_out = lseek(fd, 0, SEEK_SET) == 0;

    while (is_out && (got = read(fd, part, sizeof part)) != 0) {
        if (got < 0) {
            (void)err_errno(err, "read the pack");
            crypto_free_hasher(&hasher);
            return false;
        }
        crypto_update_hasher(hasher, bytes_of(part, (size_t)got));
        is_out = fwrite(part, 1, (size_t)got, stdout) == (size_t)got;
    }
    hash = crypto_finish_hasher(hasher);
    crypto_free_hasher(&hasher);
    if (!is_out || fflush(stdout) != 0)
        return err_errno(err, "standard output");
    return memcmp(&hash, sha256, sizeof hash) == 0 ||
           err_fail(err, ERR_CORRUPT,
                    "the file changed while it was written: do not use what came out");
}

/* digits: what its name begins with; NULL: it has none. */
static int cat(struct cli *cli, int fd, const char *digits)
{
    struct crypto_sha256 sha256;
    char hex[HASH_DIGITS + 1];

    if (!vault_check_pack_file(fd, &sha256, &cli->err))
        return cli_fail(cli);
    write_hex(&sha256, hex);
    if (digits != NULL && strncasecmp(hex, digits, strlen(digits)) != 0) {
        (void)err_fail(&cli->err, ERR_CORRUPT, "the file does not have the SHA-256 of its name");
        return cli_fail(cli);
    }
    /* First the record, then the content. */
    if (digits != NULL &&
        (!cli_open(cli, OPERATE_SERVICE_DATABASE) ||
         !cli_audit(cli, AUDIT_EXPORT, 0, AUDIT_FIELDS(AUDIT_TEXT("pack", bytes_of_text(hex))))))
        return cli_fail(cli);
    return copy_out(fd, &sha256, &cli->err) ? EXIT_SUCCESS : cli_fail(cli);
}

int cmd_pack_cat(struct cli *cli, int argc, char **argv)
{
    static const struct option known[] = { { NULL, 0, NULL, 0 } };
    CLEANUP(fd_close) int fd = -1;
    char path[PATH_MAX];
    const char *name;
    bool is_ours;
    int status;

    if (cli_next_option(cli, argc, argv, known, &status) == CLI_STOP)
        return status;
    name = cli_take_name(cli, argc, argv, "SHA|PATH", &status);
    if (name == NULL)
        return status;
    if (isatty(STDOUT_FILENO) != 0)
        return cli_usage(
            cli, "a pack is not for a terminal: write it to a file, or into `tar --zstd -t`");
    is_ours = is_hash(name);
    if (!is_ours && (fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0) {
        (void)err_errno(&cli->err, "open %s", name);
        return cli_fail(cli);
    }
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || (is_ours && !find_pack(cli, name, path)))
        return cli_fail(cli);
    if (is_ours && (fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)) < 0) {
        (void)err_errno(&cli->err, "open %s", path);
        return cli_fail(cli);
    }
    return cat(cli, fd, is_ours ? name : NULL);
}
