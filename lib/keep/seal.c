/* SPDX-License-Identifier: Apache-2.0 */
#include "keep/seal.h"

#include "audit/append.h"

enum {
    ROUND_ARENA_BYTES = 16 << 20,
    INSTALLATION_SECONDS = 24 * 3600, /* how old the last installation pack may be */
};

static bool audit_pack(struct db *db, int64_t account_id, const struct vault_sealed *pack,
                       struct err *err)
{
    struct audit_event event = {
        .kind = AUDIT_SEAL,
        .account_id = account_id,
        .fields = AUDIT_FIELDS(AUDIT_I64("pack", pack->pack_id),
                               AUDIT_I64("octets", (int64_t)pack->stored_bytes),
                               AUDIT_I64("frames", (int64_t)pack->frames)),
    };

    return audit_append_one(db, &event, err) || err_wrap(err, "audit");
}

/* Pack after pack. packs: raised by those made, also when it fails. */
static bool seal_account(struct db *db, const struct keep_seal *seal, int64_t account_id,
                         bool is_all, uint64_t *packs, struct err *err)
{
    struct vault_seal_order order = { .packs_dir = seal->packs_dir,
                                      .account_id = account_id,
                                      .pack_bytes = seal->seal_bytes,
                                      .is_all = is_all };
    struct vault_sealed made = { .has_more = true };

    while (made.has_more) {
        if (seal->must_stop(seal->context))
            return err_fail(err, ERR_RETRY, "stopped half-way; it will go on");
        if (!vault_seal_account(db, &order, &made, err))
            return false;
        if (!made.is_made)
            return true;
        ++*packs;
        seal->on_pack(seal->context, account_id, &made);
        if (!audit_pack(db, account_id, &made, err))
            return false;
    }
    return true;
}

/* True: other accounts may still be sealed. */
static bool may_go_on(const struct db *db, const struct err *err)
{
    return err->code != ERR_SYSTEM && !db_is_broken(db);
}

/* What is wrong with it does not keep accounts from being sealed. */
static bool seal_installation(struct db *db, const struct keep_seal *seal,
                              int64_t older_than_seconds, struct keep_seal_work *work,
                              struct err *err)
{
    struct err why = { 0 };
    bool is_made;

    if (vault_seal_installation(db, seal->packs_dir, older_than_seconds, &is_made, &why)) {
        work->installation_packs += is_made ? 1 : 0;
        return true;
    }
    work->failures++;
    seal->on_failure(seal->context, 0, &why);
    if (may_go_on(db, &why))
        return true;
    *err = why;
    return false;
}

bool keep_seal_due(struct db *db, const struct keep_seal *seal, struct keep_seal_work *out,
                   struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(ROUND_ARENA_BYTES);
    const struct vault_seal_due *due;
    struct keep_seal_work work = { 0 };
    size_t count;

    if (!seal_installation(db, seal, INSTALLATION_SECONDS, &work, err) ||
        !vault_find_due_seals(db, seal->seal_bytes, arena, &due, &count, err))
        return false;
    for (size_t i = 0; i < count && !seal->must_stop(seal->context); i++) {
        struct err why = { 0 };

        if (seal_account(db, seal, due[i].account_id, due[i].is_all, &work.packs, &why)) {
            work.has_cleared = work.has_cleared || due[i].is_all;
            continue;
        }
        work.failures++;
        seal->on_failure(seal->context, due[i].account_id, &why);
        if (!may_go_on(db, &why)) {
            *err = why;
            return false;
        }
    }
    *out = work;
    return true;
}

bool keep_seal_requests(struct db *db, const struct keep_seal *seal, struct keep_seal_work *out,
                        struct err *err)
{
    CLEANUP(arena_free) struct arena *arena = arena_create(ROUND_ARENA_BYTES);
    const struct vault_seal_request *requests;
    struct keep_seal_work work = { 0 };
    size_t count;

    if (!vault_find_seal_requests(db, arena, &requests, &count, err) ||
        (count > 0 && !seal_installation(db, seal, 0, &work, err)))
        return false;
    for (size_t i = 0; i < count && !seal->must_stop(seal->context); i++) {
        struct err why = { 0 };
        uint64_t packs = 0;

        if (!seal_account(db, seal, requests[i].account_id, true, &packs, &why)) {
            work.failures++;
            seal->on_failure(seal->context, requests[i].account_id, &why);
        }
        work.packs += packs;
        work.has_cleared = true;
        if (seal->must_stop(seal->context) && why.code == ERR_RETRY)
            break; /* the request stays, for the next start */
        if (!db_reset_if_broken(db, err) || !vault_answer_seal(db, &requests[i], packs, &why, err))
            return false;
    }
    *out = work;
    return true;
}
