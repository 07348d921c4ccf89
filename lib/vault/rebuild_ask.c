/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/rebuild_ask.c - what the operator has to decide before a rebuild (rebuild.h).
 */
#include "base/clock.h"
#include "vault/internal.h"
#include "vault/rebuild_internal.h"
#include "vault/seal_internal.h"

#include <stdio.h>

enum {
    TEXT_BYTES = 1200,
    TIPS_TOLD = 5,
    DIGITS_TOLD = 12, /* of a pack's name */
};

static void ask(struct rebuilding *r, const char *text)
{
    r->counts->questions++;
    r->order->on_question(r->order->context, r->account_id, text);
}

/* "0123456789ab (number 7, sealed 2026-11-23T08:00:00Z)" */
static void add_pack(struct buf *text, const struct vault_link *link)
{
    char name[VAULT_PACK_NAME_BYTES], number[64], time[CLOCK_TEXT_BYTES];

    vault_write_pack_name(&link->sha256, name);
    clock_format_rfc3339(link->sealed_usec, time);
    (void)snprintf(number, sizeof number, " (number %jd, sealed ", (intmax_t)link->number);
    buf_append(text, bytes_of((const uint8_t *)name, DIGITS_TOLD));
    buf_text(text, number);
    buf_text(text, time);
    buf_text(text, ")");
}

void vault_ask_fork(struct rebuilding *r, const struct vault_chain *chain)
{
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_BYTES);
    bool has_guess = false;
    size_t told = 0;

    if (!chain->is_forked)
        return;
    buf_text(
        &text,
        "its packs are forked: two databases have sealed it, one of them restored from a backup. "
        "Each of these ends a branch: ");
    for (size_t i = 0; i < chain->count && told < TIPS_TOLD; i++) {
        const struct vault_link *link = &chain->links[i];
        bool is_end = i + 1 == chain->in_chain || i >= chain->in_chain;

        has_guess = has_guess || link->is_guess;
        if (!link->is_guess && (!link->is_tip || !is_end))
            continue;
        buf_text(&text, told++ > 0 ? ", " : "");
        add_pack(&text, link);
    }
    buf_text(&text, ". Say which one to follow: `holdfast rebuild --follow ");
    buf_text(&text, "DIGITS`. What only another branch tells stays in its files");
    if (has_guess)
        buf_text(
            &text,
            ". Packs are missing where the branches part, so nothing says which of the older ones came "
            "before: name that one too, with an option of its own");
    buf_byte(&text, '\0');
    ask(r, (const char *)text.ptr);
}

void vault_ask_old_installation(struct rebuilding *r, const struct vault_link *link)
{
    CLEANUP(buf_free) struct buf text = buf_create(TEXT_BYTES);

    buf_text(&text, "the newest installation pack that can be read is ");
    add_pack(&text, link);
    buf_text(
        &text,
        ", and there was a newer one. With it auditors, their passwords and grants come back as they "
        "were then, also those that were revoked since. Put the newer one back, or, if that is what you "
        "want: `holdfast rebuild --old-installation`, and look through `holdfast auditor list` before "
        "anybody may log in");
    buf_byte(&text, '\0');
    ask(r, (const char *)text.ptr);
}

void vault_ask_stray(struct rebuilding *r, const struct crypto_sha256 *stray)
{
    char name[VAULT_PACK_NAME_BYTES], text[TEXT_BYTES];

    vault_write_pack_name(stray, name);
    (void)snprintf(
        text, sizeof text,
        "the interrupted rebuild has read pack %.*s, which is not in the chain that is to be followed "
        "now. Say what was said then (and put the file back if it is gone), or begin again with an "
        "empty database",
        DIGITS_TOLD, name);
    ask(r, text);
}

bool vault_find_read_before(const struct rebuilding *r, const struct vault_chain *chain,
                            struct arena *arena, struct vault_read_before *out, struct err *err)
{
    CLEANUP(db_result_free) struct db_result *row = NULL;
    struct bytes *hashes = arena_new_array(arena, struct bytes, chain->in_chain);

    for (size_t i = 0; i < chain->in_chain; i++)
        hashes[i] = crypto_sha256_bytes(&chain->links[i].sha256);
    if (!db_run_one(r->db, DB_REBUILD_READ_BEFORE,
                    DB_ARGS(DB_I64(r->account_id), DB_BYTEAS(hashes, chain->in_chain)), &row, err))
        return false;
    out->has_stray = !db_is_null(row, 0, 0);
    if (out->has_stray)
        memcpy(out->stray.octets, db_bytes(row, 0, 0).ptr, sizeof out->stray.octets);
    out->links = db_bool(row, 0, 2) ? chain->in_chain : (size_t)db_i64(row, 0, 1);
    return true;
}

static void note_tips(struct rebuilding *r, const struct vault_chain *chain)
{
    const struct vault_tips *tips = &r->order->tips;
    char name[VAULT_PACK_NAME_BYTES];

    for (size_t i = 0; i < chain->count; i++) {
        if (chain->links[i].state != VAULT_LINK_GOOD && chain->links[i].state != VAULT_LINK_OUTSIDE)
            continue;
        vault_write_pack_name(&chain->links[i].sha256, name);
        for (size_t k = 0; k < tips->count; k++)
            if (bytes_start_with(bytes_of_text(name), bytes_of_text(tips->digits[k])))
                r->has_tip[k] = true;
    }
}

/* An answer that means nothing is not an answer: perhaps a digit is wrong. */
static bool ask_unknown_tips(struct rebuilding *r, struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(VAULT_CHAIN_ARENA_BYTES);
    const struct vault_tips *tips = &r->order->tips;
    struct vault_chain chain;
    char text[TEXT_BYTES];

    if (tips->count == 0)
        return true;
    r->account_id = 0;
    if (!vault_read_chain(r->order->packs_dir, 0, tips, arena, &chain, err))
        return false;
    note_tips(r, &chain);
    for (size_t i = 0; i < tips->count; i++) {
        if (r->has_tip[i])
            continue;
        (void)snprintf(text, sizeof text,
                       "no pack that can be read has a name that begins with %.64s: "
                       "look at what follows --follow",
                       tips->digits[i]);
        ask(r, text);
    }
    return true;
}

static bool survey_chain(struct rebuilding *r, struct arena *arena, struct err *err)
{
    struct vault_read_before before;
    struct vault_chain chain;
    struct err ignored = { 0 }; /* told when the account is read */

    if (!vault_read_chain(r->order->packs_dir, r->account_id, &r->order->tips, arena, &chain,
                          &ignored))
        return true;
    if (!vault_find_read_before(r, &chain, arena, &before, err))
        return false;
    for (size_t i = 0; i < chain.count; i++)
        if (chain.links[i].installation > r->newest_installation)
            r->newest_installation = chain.links[i].installation;
    note_tips(r, &chain);
    vault_ask_fork(r, &chain);
    if (before.has_stray && !chain.is_forked)
        vault_ask_stray(r, &before.stray);
    return true;
}

bool vault_survey_chains(struct rebuilding *r, const int64_t *accounts, size_t count,
                         struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(arena_free) struct arena *arena = arena_create(VAULT_CHAIN_ARENA_BYTES);

        r->account_id = accounts[i];
        if (!survey_chain(r, arena, err))
            return err_wrap(err, "account %jd", (intmax_t)accounts[i]);
    }
    return ask_unknown_tips(r, err);
}
