/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault/rebuild_fixture.h - an account with packs whose database is lost, and made again. Only for
 * tests; static on purpose.
 */
#pragma once

#include "vault/chain.h"
#include "vault/rebuild.h"
#include "vault/seal_fixture.h"

#include <unistd.h>

/* An account with three packs: messages, a changed flag, more messages. */
struct rebuild_fixture {
    struct seal_fixture s;
    struct db *rebuild;
    struct crypto_sha256 packs[3];
    char losses[4096], questions[4096];
    struct vault_tips tips;
    bool takes_old_installation;
};

TEST_UNUSED static void run_sql(struct rebuild_fixture *r, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;

    MUST(db_run_assembled(r->s.f.owner, sql, DB_NO_ARGS, &result, ERR));
}

/* INTERNALDATE at the borders of what a server can give: 1 January 0001 and 31 December 9999, in the zones
 * +9959 and -9959. */
TEST_UNUSED static void spread_dates(struct rebuild_fixture *r)
{
    char sql[400];

    (void)snprintf(
        sql, sizeof sql,
        "UPDATE placement SET internal_zone = CASE uid WHEN 1 THEN 5999 ELSE -5999 END,"
        " internal_at = CASE uid WHEN 1 THEN timestamptz '0001-12-27 20:01:00+00 BC'"
        " ELSE timestamptz '10000-01-05 03:58:59+00' END,"
        " internal_day = CASE uid WHEN 1 THEN date '0001-01-01' ELSE date '9999-12-31' END"
        " WHERE account_id = %jd AND uid < 3",
        (intmax_t)r->s.f.account_id);
    run_sql(r, sql);
}

TEST_UNUSED static bool open_rebuild(struct rebuild_fixture *r)
{
    static const size_t sizes[] = { 3000, 0, 70000, 1200 };
    struct vault_change change = { .uid = 2, .flags = VAULT_FLAG_SEEN };
    struct vault_sealed sealed;

    *r = (struct rebuild_fixture){ .losses = "" };
    if (!seal_open(&r->s))
        return false;
    r->rebuild = test_db(DB_ROLE_REBUILD);
    for (size_t i = 0; i < 3; i++) {
        if (i == 1)
            MUST(vault_record_changes(r->s.f.writer, r->s.f.mailbox_id, &change, 1, NULL, ERR));
        else
            seal_commit_run(&r->s, sizes, ARRAY_LEN(sizes));
        if (i == 0)
            spread_dates(r);
        MUST(seal_try(&r->s, &sealed));
        CHECK(sealed.is_made);
        r->packs[i] = sealed.sha256;
    }
    return true;
}

TEST_UNUSED static void close_rebuild(struct rebuild_fixture *r)
{
    run_sql(r, "DELETE FROM rebuild");
    db_close(&r->rebuild);
    seal_close(&r->s);
}

TEST_UNUSED static void name_pack(const struct rebuild_fixture *r,
                                  const struct crypto_sha256 *sha256, char out[300])
{
    (void)snprintf(out, 300, "%s/%jd/", r->s.packs, (intmax_t)r->s.f.account_id);
    for (size_t i = 0; i < CRYPTO_SHA256_BYTES; i++)
        (void)snprintf(out + strlen(out), 3, "%02x", sha256->octets[i]);
    (void)strcat(out, ".tar.zst");
}

TEST_UNUSED static void pack_path(const struct rebuild_fixture *r, size_t number, char out[300])
{
    name_pack(r, &r->packs[number], out);
}

TEST_UNUSED static void cut_pack(const struct rebuild_fixture *r, size_t number)
{
    char path[300];

    pack_path(r, number, path);
    CHECK(chmod(path, 0644) == 0 && truncate(path, 1000) == 0);
}

TEST_UNUSED static void on_pack(void *context, int64_t account_id, const struct vault_link *link,
                                const struct vault_rebuild_counts *counts)
{
    (void)context;
    (void)account_id;
    (void)link;
    (void)counts;
}

TEST_UNUSED static void on_loss(void *context, int64_t account_id, const char *text)
{
    struct rebuild_fixture *r = context;

    (void)account_id;
    (void)snprintf(r->losses + strlen(r->losses), sizeof r->losses - strlen(r->losses), "%s\n",
                   text);
}

TEST_UNUSED static void on_question(void *context, int64_t account_id, const char *text)
{
    struct rebuild_fixture *r = context;

    (void)account_id;
    (void)snprintf(r->questions + strlen(r->questions), sizeof r->questions - strlen(r->questions),
                   "%s\n", text);
}

#define FORGET_INSTALLATION                                                                        \
    "UPDATE seal_installation SET packs = 0, last_sha256 = NULL, pending_sha256 = NULL, sealed_at = NULL"

/* Everything of the account goes, as with a database that is lost. */
TEST_UNUSED static void lose(struct rebuild_fixture *r)
{
    static const char *const tables[] = { "seal_mailbox",
                                          "seal_account",
                                          "text_spool",
                                          "text_block",
                                          "message_identity",
                                          "locator",
                                          "import_file",
                                          "source_uid",
                                          "flag_event",
                                          "placement",
                                          "spool",
                                          "frame",
                                          "pack",
                                          "message",
                                          "identity_scope",
                                          "source_epoch",
                                          "mailbox_keyword",
                                          "mailbox_disposed",
                                          "mailbox_former",
                                          "mailbox",
                                          "job",
                                          "account_name",
                                          "account" };

    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        CLEANUP(db_result_free) struct db_result *result = NULL;
        char sql[128];

        (void)snprintf(sql, sizeof sql, "DELETE FROM %s WHERE account_id = $1", tables[i]);
        MUST(db_run_assembled(r->s.f.owner, sql, DB_ARGS(DB_I64(r->s.f.account_id)), &result, ERR));
    }
    run_sql(r, FORGET_INSTALLATION);
    run_sql(r, "DELETE FROM rebuild");
    run_sql(r, "INSERT INTO rebuild DEFAULT VALUES");
}

TEST_UNUSED static struct vault_rebuild_counts rebuild(struct rebuild_fixture *r)
{
    struct vault_rebuild order = { r->s.packs, r->tips,    r->takes_old_installation, r, on_pack,
                                   on_loss,    on_question };
    struct vault_rebuild_counts counts;

    r->losses[0] = r->questions[0] = '\0';
    MUST(vault_rebuild(r->rebuild, &order, &counts, ERR));
    return counts;
}

/* All that catalogues tell of an account, as one number. */
#define STATE                                                                                                            \
    "SELECT ('x' || substr(md5(string_agg(t, '|' ORDER BY t)), 1, 15))::bit(60)::bigint FROM ("                          \
    "SELECT concat_ws(' ', p.mailbox_id, p.uid, m.sha256, p.internal_at, p.internal_zone, p.flags,"                      \
    "p.modseq, p.appeared_modseq, p.archived_at, p.gone_at) AS t FROM placement p JOIN message m "                       \
    "USING (account_id, message_id) WHERE p.account_id = $1::bigint AND $2::bigint IS NOT NULL "                         \
    "UNION ALL SELECT concat_ws(' ', f.mailbox_id, f.uid, f.modseq, f.at, f.flags, f.is_gone) "                          \
    "FROM flag_event f WHERE f.account_id = $1 UNION ALL SELECT concat_ws(' ', mailbox_id, epoch,"                       \
    "uid, state, coalesce(placement_uid, 0), coalesce(doubt, '-'), coalesce(substitute_uid, 0),"                         \
    "attempts, coalesce(error, '-'), next_try_at, gone_at, recognised_by) FROM source_uid WHERE account_id = $1 "        \
    "UNION ALL SELECT concat_ws(' ', scope, kind, host, login, placed, distrusted_at) FROM "                             \
    "identity_scope WHERE account_id = $1 UNION ALL SELECT concat_ws(' ', i.scope, i.identity, "                         \
    "m.sha256, i.thread, i.labels) FROM message_identity i JOIN message m USING (account_id, "                           \
    "message_id) WHERE i.account_id = $1 UNION ALL SELECT concat_ws(' ', mailbox_id, epoch, "                            \
    "coalesce(identity_scope, 0), listed_at, recognises, refuted_at) FROM source_epoch WHERE account_id = $1 UNION ALL " \
    "SELECT concat_ws(' ', kind, login, max_connections, daily_bytes, watch) FROM account WHERE "                        \
    "account_id = $1 UNION ALL SELECT concat_ws(' ', coalesce(mailbox_id, 0), epoch, "                                   \
    "coalesce(uid, 0), name, path, size_bytes, modified_ns, state, note, noted_at) FROM "                                \
    "import_file WHERE account_id = $1 UNION ALL SELECT concat_ws(' ', mailbox_id, path, "                               \
    "source_name, object_id) FROM mailbox WHERE account_id = $1 UNION ALL SELECT concat_ws(' ', "                        \
    "mailbox_id, path, until) FROM mailbox_former WHERE account_id = $1) x"

TEST_UNUSED static void seal_next(struct rebuild_fixture *r)
{
    struct vault_sealed sealed;

    MUST(seal_try(&r->s, &sealed));
    CHECK(sealed.is_made);
}

/* What is there now is there again. */
TEST_UNUSED static void check_made_again(struct rebuild_fixture *r)
{
    int64_t before = fixture_number(&r->s.f, STATE);
    struct vault_rebuild_counts counts;

    lose(r);
    counts = rebuild(r);
    CHECK_EQ_U64(counts.bad_packs + counts.lost_lines, 0);
    CHECK_EQ_I64(fixture_number(&r->s.f, STATE), before);
}

TEST_UNUSED static void run_for_account(struct rebuild_fixture *r, const char *sql)
{
    CLEANUP(db_result_free) struct db_result *result = NULL;
    struct db_args args = DB_ARGS(DB_I64(r->s.f.account_id), DB_I64(r->s.f.mailbox_id));

    MUST(db_run_assembled(r->s.f.owner, sql, args, &result, ERR));
}
