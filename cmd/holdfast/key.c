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
    enum {
        SCRIPT = 256
    };
    static const struct option known[] = {
        { "verify-script", no_argument, NULL, SCRIPT },
        { NULL, 0, NULL, 0 },
    };
    struct bytes script = export_verify_script();
    bool wants_script = false;
    int option, status;

    while ((option = cli_next_option(cli, argc, argv, known, &status)) != -1) {
        if (option == CLI_STOP)
            return status;
        wants_script = true;
    }
    if (optind < argc)
        return cli_usage(cli, "'%s' is too much", argv[optind]);
    if (wants_script) {
        (void)fwrite(script.ptr, 1, script.len, stdout);
        return EXIT_SUCCESS;
    }
    if (!cli_settle(cli, OPERATE_SERVICE_DATABASE) || !print_key(cli))
        return cli_fail(cli);
    return EXIT_SUCCESS;
}
