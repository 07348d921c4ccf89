/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/secret.h"

#include "source/secret.h"

bool auth_seal_source_secret(const struct crypto_key *master, int64_t account_id,
                             const struct secret *secret, struct buf *out, struct err *err)
{
    char aad[SOURCE_AAD_BYTES];

    if (account_id <= 0)
        return err_fail(err, ERR_SYNTAX, "an account id is positive");
    return crypto_seal(master, source_secret_aad(account_id, aad), secret_bytes(secret), out, err);
}

bool auth_open_source_secret(const struct crypto_key *master, int64_t account_id,
                             struct bytes sealed, struct secret **out, struct err *err)
{
    char aad[SOURCE_AAD_BYTES];

    return crypto_open_secret(master, source_secret_aad(account_id, aad), sealed, out, err) ||
           err_wrap(err, "secret of account %jd", (intmax_t)account_id);
}
