/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holdfast key: the public key that exports are signed with, for whoever must check one.
 */
#include "export/export.h"
#include "holdfast/cli.h"
#include "operate/install.h"

#include <stdio.h>
#include <stdlib.h>

static bool print_key(struct cli *cli)
{
    CLEANUP(crypto_free_signer) struct crypto_signer *signer = NULL;
    CLEANUP(buf_free) struct buf text = buf_create(4096);
    struct crypto_public_key key;
    struct crypto_sha256 fingerprint;
    char path[PATH_MAX];
    struct bytes octets;

    if (!operate_get_path(cli->conf, OPERATE_SIGNING_KEY_FILE, path, &cli->err) ||
        !crypto_load_signing_key_file(path, &signer, &cli->err))
        return false;
    key = crypto_get_public_key(signer);
    fingerprint = crypto_fingerprint(&key);
    crypto_write_public_key(&text, &key);
    buf_text(&text, "fingerprint (SHA-256): ");
    buf_hex(&text, crypto_sha256_bytes(&fingerprint));
    buf_byte(&text, '\n');
    if (!buf_done(&text, &octets, &cli->err))
        return false;
    (void)fwrite(octets.ptr, 1, octets.len, stdout);
    return true;
}

int cmd_key(struct cli *cli, int argc, char **argv)
{
    struct bytes script = export_verify_script();
    bool wants_script = false;
    int status;

    if (!cli_take_flag(cli, argc, argv, "verify-script", &wants_script, &status) ||
        !cli_take_nothing(cli, argc, argv, &status))
        return status;
    if (wants_script) {
        (void)fwrite(script.ptr, 1, script.len, stdout);
        return EXIT_SUCCESS;
    }
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || !print_key(cli))
        return cli_fail(cli);
    return EXIT_SUCCESS;
}
