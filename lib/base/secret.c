/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct secret {
    size_t len;
    uint8_t octets[]; /* only as many pages as it needs: sessions hold one each */
};

/* A mapping of its own: MADV_DONTDUMP works on pages, and nothing else lies on these. */
bool secret_create(struct bytes octets, struct secret **out, struct err *err)
{
    struct secret *secret;
    size_t size_bytes;

    if (octets.len > SECRET_MAX_BYTES)
        return err_fail(err, ERR_LIMIT, "secret of %zu bytes, at most %d accepted", octets.len,
                        (int)SECRET_MAX_BYTES);
    size_bytes = sizeof *secret + octets.len;
    secret = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED)
        return err_errno(err, "memory for a secret");
    (void)madvise(secret, size_bytes, MADV_DONTDUMP); /* best effort: old kernels */
    (void)mlock(secret, size_bytes);                  /* best effort: RLIMIT_MEMLOCK */
    secret->len = octets.len;
    if (octets.len > 0)
        memcpy(secret->octets, octets.ptr, octets.len);
    *out = secret;
    return true;
}

void secret_free(struct secret **secret)
{
    size_t size_bytes;

    if (*secret == NULL)
        return;
    size_bytes = sizeof **secret + (*secret)->len;
    secret_wipe(*secret, size_bytes);
    (void)munmap(*secret, size_bytes);
    *secret = NULL;
}

struct bytes secret_bytes(const struct secret *secret)
{
    return (struct bytes){ secret->octets, secret->len };
}

void secret_protect_process(void)
{
#ifndef HOLDFAST_SANITIZED /* the leak checker traces its own process */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void secret_wipe(void *ptr, size_t len)
{
    if (len > 0)
        explicit_bzero(ptr, len);
}

bool secret_equal(struct bytes a, struct bytes b)
{
    uint8_t difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.ptr[i] ^ b.ptr[i]));
    return difference == 0;
}
