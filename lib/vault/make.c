/* SPDX-License-Identifier: Apache-2.0 */
#include "text/signature.h"
#include "vault/internal.h"

#include <stdlib.h>

static bool pass_frame(void *context, const struct store_frame *frame, struct err *err)
{
    struct vault_maker *maker = context;

    return maker->outlet.frame(maker->outlet.context, frame, err);
}

struct vault_maker *vault_create_maker(const struct vault_deriver *deriver)
{
    struct vault_maker *maker = calloc(1, sizeof *maker);

    assert(maker != NULL);
    if (deriver != NULL)
        maker->deriver = *deriver;
    maker->run = store_create_run_writer(pass_frame, maker);
    maker->rows.arena = arena_create(SIZE_MAX);
    maker->blocks.arena = arena_create(SIZE_MAX);
    maker->blocks.block = store_create_text_writer();
    maker->blocks.signer = text_create_signer();
    return maker;
}

void vault_free_maker(struct vault_maker **maker)
{
    if (*maker == NULL)
        return;
    store_free_run_writer(&(*maker)->run);
    arena_free(&(*maker)->rows.arena);
    arena_free(&(*maker)->blocks.arena);
    store_free_text_writer(&(*maker)->blocks.block);
    text_free_signer(&(*maker)->blocks.signer);
    free(*maker);
    *maker = NULL;
}

void vault_begin_making(struct vault_maker *maker, struct vault_outlet outlet)
{
    maker->outlet = outlet;
    store_begin_run(maker->run);
    vault_clear_rows(&maker->rows);
    vault_clear_blocks(&maker->blocks);
}

bool vault_make(struct vault_maker *maker, size_t entry, const struct crypto_sha256 *sha256,
                struct bytes octets, uint64_t *raw_offset, struct err *err)
{
    const struct vault_deriver *deriver = &maker->deriver;

    if (!store_put_member(maker->run, sha256, octets, raw_offset, err))
        return false;
    if (deriver->begin == NULL)
        return true;
    deriver->begin(deriver->context);
    deriver->octets(deriver->context, octets);
    return vault_derive(maker, entry, sha256, err);
}

bool vault_end_making(struct vault_maker *maker, struct err *err)
{
    return store_end_run(maker->run, err) && vault_send_rows(maker, err) &&
           vault_send_blocks(maker, err);
}
