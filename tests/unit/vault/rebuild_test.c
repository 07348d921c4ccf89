/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"
#include "vault/rebuild_fixture.h"

#include <fcntl.h>
#include <unistd.h>

/* ---- the chain ------------------------------------------------------------------------------------- */

static struct vault_chain read_chain(struct rebuild_fixture *r)
{
    struct vault_chain chain;

    MUST(vault_read_chain(r->s.packs, r->s.f.account_id, NULL, r->s.f.arena, &chain, ERR));
    return chain;
}

static void check_link(const struct rebuild_fixture *r, const struct vault_link *link,
                       enum vault_link_state state, size_t number)
{
    CHECK_EQ_U64(link->state, state);
    CHECK_BYTES(crypto_sha256_bytes(&link->sha256), crypto_sha256_bytes(&r->packs[number]));
    CHECK_EQ_I64(link->number, (int64_t)number + 1);
}

TEST(packs_come_in_the_order_in_which_they_were_sealed)
{
    struct rebuild_fixture r;
    struct vault_chain chain;

    if (!open_rebuild(&r))
        return;
    chain = read_chain(&r);
    CHECK_EQ_U64(chain.count, 3);
    CHECK_EQ_U64(chain.in_chain, 3);
    for (size_t i = 0; i < 3; i++)
        check_link(&r, &chain.links[i], VAULT_LINK_GOOD, i);
    close_rebuild(&r);
}

TEST(pack_that_is_missing_is_named_by_the_one_behind_it)
{
    struct rebuild_fixture r;
    struct vault_chain chain;
    char path[300];

    if (!open_rebuild(&r))
        return;
    pack_path(&r, 1, path);
    CHECK(unlink(path) == 0);
    chain = read_chain(&r);
    CHECK_EQ_U64(chain.count, 3);
    check_link(&r, &chain.links[0], VAULT_LINK_GOOD, 0);
    check_link(&r, &chain.links[1], VAULT_LINK_MISSING, 1);
    check_link(&r, &chain.links[2], VAULT_LINK_GOOD, 2);
    close_rebuild(&r);
}

TEST(pack_that_cannot_be_read_keeps_its_place_if_the_next_one_names_it)
{
    struct rebuild_fixture r;
    struct vault_chain chain;

    if (!open_rebuild(&r))
        return;
    cut_pack(&r, 0);
    cut_pack(&r, 2);
    chain = read_chain(&r);
    CHECK_EQ_U64(chain.count, 3);
    CHECK_EQ_U64(chain.in_chain, 2);
    check_link(&r, &chain.links[0], VAULT_LINK_UNREADABLE, 0);
    check_link(&r, &chain.links[1], VAULT_LINK_GOOD, 1);
    CHECK_EQ_U64(chain.links[2].state, VAULT_LINK_UNREADABLE); /* the newest: nobody names it */
    CHECK_EQ_I64(chain.links[2].number, 0);
    close_rebuild(&r);
}

TEST(packs_of_another_account_are_foreign_and_other_files_are_nothing)
{
    struct rebuild_fixture r;
    struct vault_chain chain;
    char from[300], to[300];
    const int64_t *ids;
    size_t count;

    if (!open_rebuild(&r))
        return;
    pack_path(&r, 0, from);
    (void)snprintf(to, sizeof to, "%s/%jd", r.s.packs, (intmax_t)r.s.f.account_id + 1);
    CHECK(mkdir(to, 0755) == 0);
    (void)snprintf(to + strlen(to), sizeof to - strlen(to), "%s", strrchr(from, '/'));
    CHECK(link(from, to) == 0);
    *strrchr(to, '/') = '\0';
    (void)strcat(to, "/notes.txt");
    fd_close(&(int){ open(to, O_CREAT | O_WRONLY, 0600) });
    MUST(vault_read_chain(r.s.packs, r.s.f.account_id + 1, NULL, r.s.f.arena, &chain, ERR));
    CHECK_EQ_U64(chain.count, 1);
    CHECK_EQ_U64(chain.in_chain, 0);
    CHECK_EQ_U64(chain.links[0].state, VAULT_LINK_FOREIGN);
    MUST(vault_find_pack_folders(r.s.packs, r.s.f.arena, &ids, &count, ERR));
    CHECK_EQ_U64(count, 2);
    CHECK_EQ_I64(ids[0], r.s.f.account_id);
    close_rebuild(&r);
}

/* ---- rows --------------------------------------------------------------------------------------------- */

TEST(rows_are_made_again_as_they_were_and_octets_are_found)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    int64_t before;

    if (!open_rebuild(&r))
        return;
    before = fixture_number(&r.s.f, STATE);
    lose(&r);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.packs, 3);
    CHECK_EQ_U64(counts.bad_packs + counts.lost_lines, 0);
    CHECK_EQ_I64(fixture_number(&r.s.f, STATE), before);
    CHECK_EQ_U64(seal_read_all(&r.s), 8);
    CHECK_EQ_U64(seal_verify(&r.s, true, NULL), 0);
    /* Once more changes nothing. */
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK_EQ_U64(counts.known_packs, 3);
    CHECK_EQ_I64(fixture_number(&r.s.f, STATE), before);
    close_rebuild(&r);
}

TEST(lost_pack_costs_what_it_alone_holds_and_is_named)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;

    if (!open_rebuild(&r))
        return;
    lose(&r);
    cut_pack(&r, 0);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.packs, 2);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK(strstr(r.losses, "cannot be read") != NULL);
    CHECK(strstr(r.losses, "changes of messages that lay in packs which are not here") != NULL);
    CHECK_EQ_U64(seal_read_all(&r.s), 3); /* the empty one lay in the first */
    close_rebuild(&r);
}

TEST(role_of_the_rebuild_may_do_nothing_when_none_goes_on)
{
    struct rebuild_fixture r;
    struct vault_rebuild order;
    struct vault_rebuild_counts counts;

    if (!open_rebuild(&r))
        return;
    lose(&r);
    run_sql(&r, "UPDATE rebuild SET finished_at = now()");
    order = (struct vault_rebuild){
        .packs_dir = r.s.packs, .context = &r, .on_pack = on_pack, .on_loss = on_loss
    };
    err_clear(ERR);
    CHECK(!vault_rebuild(r.rebuild, &order, &counts, ERR));
    CHECK_EQ_U64(ERR->code, ERR_DENIED);
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("account")), 0);
    close_rebuild(&r);
}

TEST(value_that_the_database_refuses_costs_its_pack_and_no_other)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;

    if (!open_rebuild(&r))
        return;
    /* As if a later version had allowed it: sealed, and refused when it is to be read. */
    run_for_account(
        &r, "UPDATE mailbox SET special_use = repeat('x', 9000) WHERE account_id = $1::bigint "
            "AND mailbox_id = $2::bigint");
    run_sql(&r, "ALTER TABLE mailbox ALTER special_use TYPE text");
    seal_commit_run(&r.s, (size_t[]){ 100 }, 1);
    seal_next(&r);
    lose(&r);
    run_sql(&r, "ALTER TABLE mailbox ALTER special_use TYPE varchar(20)");
    counts = rebuild(&r);
    run_sql(&r, "ALTER TABLE mailbox ALTER special_use TYPE text");
    CHECK_EQ_U64(counts.packs, 3);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK(strstr(r.losses, "cannot be used") != NULL);
    close_rebuild(&r);
}

TEST(file_that_may_not_be_opened_costs_its_pack_and_no_other)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    char path[300];

    if (!open_rebuild(&r))
        return;
    lose(&r);
    pack_path(&r, 1, path);
    CHECK(unlink(path) == 0 && symlink("nowhere", path) == 0); /* ELOOP, of no kind that is known */
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.packs, 2);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK(strstr(r.losses, "cannot be read") != NULL);
    close_rebuild(&r);
}

/* The database as it was when the second pack was the last one, and then another third pack. */
static struct crypto_sha256 fork_chain(struct rebuild_fixture *r)
{
    struct vault_sealed sealed;

    run_for_account(
        r, "UPDATE seal_account SET packs = 2, last_sha256 = (SELECT previous_sha256 FROM pack "
           "WHERE account_id = $1::bigint AND $2::bigint IS NOT NULL ORDER BY pack_id DESC "
           "LIMIT 1) WHERE account_id = $1");
    seal_commit_run(&r->s, (size_t[]){ 500 }, 1);
    MUST(seal_try(&r->s, &sealed));
    return sealed.sha256;
}

TEST(forked_packs_are_not_followed_before_the_operator_has_said_which)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    struct crypto_sha256 other;
    char path[300];
    const char *digits = path;

    if (!open_rebuild(&r))
        return;
    other = fork_chain(&r);
    lose(&r);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 1);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK(strstr(r.questions, "--follow") != NULL);
    for (size_t i = 0; i < 2; i++) {
        const struct crypto_sha256 *tip = i == 0 ? &other : &r.packs[2];

        (void)snprintf(path, sizeof path, "%02x%02x%02x%02x%02x%02x (number 3", tip->octets[0],
                       tip->octets[1], tip->octets[2], tip->octets[3], tip->octets[4],
                       tip->octets[5]);
        CHECK(strstr(r.questions, path) != NULL);
    }
    path[12] = '\0'; /* the old branch */
    r.tips = (struct vault_tips){ &digits, 1 };
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 0);
    CHECK_EQ_U64(counts.packs, 3);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK(strstr(r.losses, "a branch that is not followed") != NULL);
    CHECK_EQ_U64(seal_read_all(&r.s), 8);
    close_rebuild(&r);
}

/* A name's first digits, as the operator writes them. */
static const char *digits_of(const struct crypto_sha256 *sha256, char out[13])
{
    for (size_t i = 0; i < 6; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", sha256->octets[i]);
    return out;
}

/* 1 - 2 - 3, and behind 1 another 2 - 3 - 4, of which 2 and 3 are lost: the first 2 must not stand for the second. */
TEST(branch_is_not_mixed_with_another_behind_a_hole)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    struct vault_sealed sealed;
    char end[13], before[13], path[300];
    const char *digits[2];

    if (!open_rebuild(&r))
        return;
    run_for_account(
        &r, "UPDATE seal_account SET packs = 1, last_sha256 = (SELECT sha256 FROM pack WHERE "
            "account_id = $1::bigint AND $2::bigint IS NOT NULL ORDER BY pack_id LIMIT 1) "
            "WHERE account_id = $1");
    for (size_t i = 0; i < 3; i++) {
        seal_commit_run(&r.s, (size_t[]){ 600 }, 1);
        MUST(seal_try(&r.s, &sealed));
        name_pack(&r, &sealed.sha256, path);
        CHECK(i == 2 || unlink(path) == 0);
    }
    digits[0] = digits_of(&sealed.sha256, end);
    lose(&r);
    r.tips = (struct vault_tips){ digits, 1 };
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 1);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK(strstr(r.questions, "name that one too") != NULL);
    CHECK(strstr(r.questions, digits_of(&r.packs[1], before)) != NULL);
    digits[1] = digits_of(&r.packs[0], before);
    r.tips.count = 2;
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 0);
    CHECK_EQ_U64(counts.packs, 2);
    CHECK(strstr(r.losses, "is missing") != NULL);
    lose(&r);
    digits[1] = digits_of(&r.packs[2], before); /* the ends of both branches: no answer */
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 1);
    close_rebuild(&r);
}

TEST(tip_of_which_there_is_no_pack_is_asked_about)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    char text[13];
    const char *digits = text;

    if (!open_rebuild(&r))
        return;
    lose(&r);
    (void)digits_of(&r.packs[2], text);
    text[11] = text[11] == '0' ? '1' : '0';
    r.tips = (struct vault_tips){ &digits, 1 };
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 1);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK(strstr(r.questions, text) != NULL);
    (void)digits_of(&r.packs[2], text);
    CHECK_EQ_U64(rebuild(&r).packs, 3);
    close_rebuild(&r);
}

/* ---- one that was interrupted ----------------------------------------------------------------------- */

TEST(interrupted_rebuild_does_not_go_on_with_another_branch)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    struct crypto_sha256 other;
    char text[13];
    const char *digits = text;

    if (!open_rebuild(&r))
        return;
    other = fork_chain(&r);
    lose(&r);
    r.tips = (struct vault_tips){ &digits, 1 };
    (void)digits_of(&r.packs[2], text);
    CHECK_EQ_U64(rebuild(&r).packs, 3);
    (void)digits_of(&other, text);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 1);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK(strstr(r.questions, "empty database") != NULL);
    (void)digits_of(&r.packs[2], text);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.questions, 0);
    CHECK_EQ_U64(counts.known_packs, 3);
    close_rebuild(&r);
}

/* Away, then back, with a rebuild before and one after. */
static struct vault_rebuild_counts put_back(struct rebuild_fixture *r, size_t number,
                                            bool is_finishing)
{
    struct vault_rebuild_counts counts;
    char path[300], aside[300];

    pack_path(r, number, path);
    (void)snprintf(aside, sizeof aside, "%.200s/aside", r->s.packs);
    lose(r);
    CHECK(rename(path, aside) == 0);
    counts = rebuild(r);
    CHECK_EQ_U64(counts.packs, 2);
    if (is_finishing)
        run_for_account(r, "SELECT rebuild_finish_mailbox($1, $2)");
    CHECK(rename(aside, path) == 0);
    return rebuild(r);
}

/* Its lines would hold over those of the packs behind it, and the next pack would follow it. */
TEST(pack_that_is_put_back_while_a_rebuild_is_interrupted_does_not_come_after_later_ones)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;

    if (!open_rebuild(&r))
        return;
    counts = put_back(&r, 1, false);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK(strstr(r.losses, "later ones") != NULL);
    CHECK_EQ_I64(fixture_number(&r.s.f,
                                "SELECT packs FROM seal_account WHERE account_id = $1::bigint AND "
                                "$2::bigint IS NOT NULL"),
                 3);
    close_rebuild(&r);
}

TEST(pack_that_is_put_back_when_uids_were_raised_comes_too_late)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;

    if (!open_rebuild(&r))
        return;
    counts = put_back(&r, 2, true);
    CHECK_EQ_U64(counts.packs, 0);
    CHECK_EQ_U64(counts.bad_packs, 1);
    CHECK_EQ_U64(seal_read_all(&r.s), 4);
    close_rebuild(&r);
}

TEST(rebuild_that_goes_on_does_not_take_an_account_back_to_its_installation_pack)
{
    struct rebuild_fixture r;
    bool is_made;

    if (!open_rebuild(&r))
        return;
    run_sql(&r, FORGET_INSTALLATION);
    run_sql(&r, "INSERT INTO audit_event (process, event) VALUES ('holdfast', 'login')");
    MUST(vault_seal_installation(r.s.keeper, r.s.packs, 0, &is_made, ERR));
    CHECK(is_made);
    run_for_account(
        &r, "UPDATE account SET every_seconds = 77 WHERE account_id = $1::bigint AND $2::bigint "
            "IS NOT NULL");
    seal_commit_run(&r.s, (size_t[]){ 100 }, 1);
    seal_next(&r);
    lose(&r);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ_U64(rebuild(&r).questions, 0);
        CHECK_EQ_I64(fixture_number(&r.s.f,
                                    "SELECT every_seconds::bigint FROM account WHERE account_id = "
                                    "$1::bigint AND $2::bigint IS NOT NULL"),
                     77);
    }
    close_rebuild(&r);
}

/* What the keeper would begin with: 1 for what is due, 2 for what was asked for, 4 for the installation. */
static unsigned keeper_begins(struct rebuild_fixture *r)
{
    const struct vault_seal_due *due;
    const struct vault_seal_request *asked;
    size_t due_count, asked_count;
    bool is_made;

    MUST(vault_find_due_seals(r->s.keeper, UINT64_MAX >> 1, r->s.f.arena, &due, &due_count, ERR));
    MUST(vault_find_seal_requests(r->s.keeper, r->s.f.arena, &asked, &asked_count, ERR));
    MUST(vault_seal_installation(r->s.keeper, r->s.packs, 0, &is_made, ERR));
    return (due_count > 0 ? 1u : 0) | (asked_count > 0 ? 2u : 0) | (is_made ? 4u : 0);
}

TEST(nothing_is_sealed_while_a_rebuild_goes_on)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    lose(&r);
    CHECK_EQ_U64(rebuild(&r).packs, 3);
    run_sql(&r, "UPDATE seal_account SET sealed_at = now() - interval '8 days'");
    run_sql(&r, "INSERT INTO audit_event (process, event) VALUES ('holdfast', 'rebuild')");
    MUST(vault_ask_seal(r.s.f.owner, r.s.f.account_id, ERR));
    CHECK_EQ_U64(keeper_begins(&r), 0);
    run_sql(&r, "UPDATE rebuild SET finished_at = now()");
    CHECK_EQ_U64(keeper_begins(&r), 7);
    run_sql(&r, "DELETE FROM seal_request");
    close_rebuild(&r);
}

TEST(change_of_rights_is_in_an_installation_pack_after_minutes_not_a_day)
{
    struct rebuild_fixture r;
    bool is_made;

    if (!open_rebuild(&r))
        return;
    run_sql(&r, "INSERT INTO audit_event (process, event) VALUES ('holdfast', 'login')");
    MUST(vault_seal_installation(r.s.keeper, r.s.packs, 0, &is_made, ERR));
    CHECK(is_made);
    run_sql(&r, "INSERT INTO audit_event (process, event) VALUES ('holdfast', 'revoke')");
    MUST(vault_seal_installation(r.s.keeper, r.s.packs, 86400, &is_made, ERR));
    CHECK(!is_made);
    run_sql(&r, "UPDATE seal_installation SET sealed_at = sealed_at - interval '6 minutes'");
    MUST(vault_seal_installation(r.s.keeper, r.s.packs, 86400, &is_made, ERR));
    CHECK(is_made);
    run_sql(&r, "INSERT INTO audit_event (process, event) VALUES ('holdfast', 'login')");
    run_sql(&r, "UPDATE seal_installation SET sealed_at = sealed_at - interval '6 minutes'");
    MUST(vault_seal_installation(r.s.keeper, r.s.packs, 86400, &is_made, ERR));
    CHECK(!is_made);
    close_rebuild(&r);
}

/* ---- the end ------------------------------------------------------------------------------------------ */

static int64_t finish_at(struct rebuild_fixture *r, int64_t uidnext)
{
    CLEANUP(db_result_free) struct db_result *set = NULL;
    CLEANUP(db_result_free) struct db_result *done = NULL;
    struct db_args args = DB_ARGS(DB_I64(r->s.f.account_id), DB_I64(r->s.f.mailbox_id));

    MUST(db_run_assembled(
        r->s.f.owner, "UPDATE mailbox SET uidnext = $3 WHERE account_id = $1 AND mailbox_id = $2",
        DB_ARGS(args.values[0], args.values[1], DB_I64(uidnext)), &set, ERR));
    MUST(db_run_assembled(r->s.f.owner, "SELECT raised FROM rebuild_finish_mailbox($1, $2)", args,
                          &done, ERR));
    return db_i64(done, 0, 0);
}

#define DISPOSED(which)                                                                            \
    "SELECT first_uid * 10000000 + last_uid FROM mailbox_disposed WHERE account_id = $1::bigint "  \
    "AND mailbox_id = $2::bigint AND " which

TEST(skipped_uids_count_as_disposed_and_near_their_end_fewer_are_skipped)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    run_sql(&r, "DELETE FROM seal_mailbox");
    CHECK_EQ_I64(finish_at(&r, 12), VAULT_REBUILD_RAISE);
    CHECK_EQ_I64(fixture_number(&r.s.f, OF_MAILBOX("uidnext")), 12 + VAULT_REBUILD_RAISE);
    CHECK_EQ_I64(fixture_number(&r.s.f, OF_MAILBOX("messages")), 8);
    CHECK_EQ_I64(fixture_number(&r.s.f, OF_MAILBOX("unseen")), 7);
    CHECK_EQ_I64(fixture_number(&r.s.f, DISPOSED("NOT is_skipped")), 9 * INT64_C(10000000) + 11);
    CHECK_EQ_I64(fixture_number(&r.s.f, DISPOSED("is_skipped")),
                 12 * INT64_C(10000000) + 11 + VAULT_REBUILD_RAISE);
    run_sql(&r, "DELETE FROM seal_mailbox");
    run_sql(&r, "DELETE FROM mailbox_disposed");
    CHECK_EQ_I64(finish_at(&r, (INT64_C(1) << 32) - 100), 50);
    CHECK_EQ_I64(fixture_number(&r.s.f, OF_MAILBOX("uidnext")), (INT64_C(1) << 32) - 50);
    close_rebuild(&r);
}

/* `rebuild` says: put it back and rebuild again. Meanwhile the account was sealed. */
TEST(pack_that_comes_back_after_a_rebuild_without_it_gives_its_mail_back)
{
    struct rebuild_fixture r;
    struct vault_rebuild_counts counts;
    struct vault_sealed sealed;
    char path[300], aside[310];

    if (!open_rebuild(&r))
        return;
    pack_path(&r, 0, path);
    (void)snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK(rename(path, aside) == 0);
    lose(&r);
    CHECK_EQ_U64(rebuild(&r).bad_packs, 1);
    CHECK_EQ_I64(finish_at(&r, 9), VAULT_REBUILD_RAISE);
    MUST(seal_try(&r.s, &sealed));
    CHECK(sealed.is_made);
    run_sql(&r, "DELETE FROM rebuild");

    CHECK(rename(aside, path) == 0);
    lose(&r);
    counts = rebuild(&r);
    CHECK_EQ_U64(counts.packs, 4);
    CHECK_EQ_U64(counts.bad_packs, 0);
    CHECK_EQ_I64(fixture_number(&r.s.f, "SELECT raised * 1000 + lost FROM rebuild_finish_mailbox("
                                        "$1::bigint, $2::bigint)"),
                 INT64_C(1000) * VAULT_REBUILD_RAISE);
    CHECK_EQ_I64(fixture_number(&r.s.f, OF_MAILBOX("messages")), 8);
    CHECK_EQ_I64(fixture_number(&r.s.f,
                                "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint "
                                "AND mailbox_id = $2::bigint AND state = 'stored'"),
                 8);
    CHECK_EQ_I64(fixture_number(&r.s.f, DISPOSED("is_skipped")),
                 9 * INT64_C(10000000) + 8 + 2 * VAULT_REBUILD_RAISE);
    CHECK_EQ_I64(fixture_number(&r.s.f, "SELECT count(*) FROM mailbox_disposed WHERE account_id = "
                                        "$1::bigint AND mailbox_id = $2::bigint"),
                 1);
    CHECK_EQ_U64(seal_read_all(&r.s), 8);
    close_rebuild(&r);
}

/* ---- verify --repair ---------------------------------------------------------------------------------- */

static void on_victim(void *context, const struct vault_pack_row *pack, struct bytes sha256_hex,
                      struct bytes path, uint32_t uid)
{
    uint64_t *told = context;

    CHECK(pack->stored_bytes > 0 && sha256_hex.len == 64 && path.len == 5 && uid > 0);
    ++*told;
}

static struct vault_pack_report repair(struct rebuild_fixture *r, size_t number, uint64_t *told)
{
    struct vault_pack_check check = { .packs_dir = r->s.packs,
                                      .is_repair = true,
                                      .is_full = true,
                                      .context = told,
                                      .on_victim = on_victim };
    struct vault_pack_report report;
    size_t count;
    const struct vault_pack_row *rows = seal_rows(&r->s, &count);

    if (number > 0)
        check.expected_previous = crypto_sha256_bytes(&rows[number - 1].sha256);
    *told = 0;
    MUST(vault_check_pack(r->s.keeper, &check, &rows[number], r->s.f.arena, &report, ERR));
    return report;
}

TEST(octets_that_still_lie_in_the_spool_heal_a_lost_pack)
{
    struct rebuild_fixture r;
    struct vault_pack_report report;
    struct vault_sealed sealed;
    uint64_t told;

    if (!open_rebuild(&r))
        return;
    cut_pack(&r, 2);
    report = repair(&r, 2, &told);
    CHECK(report.is_damaged);
    CHECK_EQ_U64(report.healed_frames, 1);
    CHECK_EQ_U64(report.victims + told, 0);
    CHECK_EQ_U64(seal_read_all(&r.s), 8);
    MUST(seal_try(&r.s, &sealed));
    CHECK(sealed.is_made);
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("frame") " AND week IS NOT NULL"), 0);
    CHECK_EQ_U64(seal_read_all(&r.s), 8);
    close_rebuild(&r);
}

TEST(what_cannot_be_healed_is_named_message_by_message_and_nothing_goes)
{
    struct rebuild_fixture r;
    struct vault_pack_report report;
    uint64_t told;

    if (!open_rebuild(&r))
        return;
    run_sql(&r, "DELETE FROM spool");
    cut_pack(&r, 2);
    report = repair(&r, 2, &told);
    CHECK(report.is_damaged);
    CHECK_EQ_U64(report.healed_frames, 0);
    CHECK_EQ_U64(report.victims, 3); /* the empty message lies in the first pack */
    CHECK_EQ_U64(told, 3);
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("pack")), 3);
    close_rebuild(&r);
}

TEST(mark_goes_when_the_file_is_put_back_and_a_quick_look_does_not_take_it)
{
    static const char marked[] = COUNT_OF("pack") " AND is_damaged";
    struct rebuild_fixture r;
    char path[300], kept[320];
    uint64_t told;

    if (!open_rebuild(&r))
        return;
    run_sql(&r, "DELETE FROM spool");
    pack_path(&r, 1, path);
    (void)snprintf(kept, sizeof kept, "%s.kept", path);
    CHECK(rename(path, kept) == 0);
    (void)repair(&r, 1, &told);
    CHECK_EQ_I64(fixture_number(&r.s.f, marked), 1);
    CHECK(rename(kept, path) == 0);
    CHECK_EQ_U64(seal_verify(&r.s, false, NULL), 0);
    CHECK_EQ_I64(fixture_number(&r.s.f, marked), 1);
    CHECK(!repair(&r, 1, &told).is_damaged);
    CHECK_EQ_I64(fixture_number(&r.s.f, marked), 0);
    close_rebuild(&r);
}
