/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What catalogues tell besides mail, and a rebuild knows again (lib/store/README.md 11).
 */
#include "vault/rebuild_fixture.h"

static void put_in_doubt(struct rebuild_fixture *r, uint32_t source_uid, enum vault_doubt doubt,
                         struct bytes mail)
{
    struct vault_arrival arrival = { .source_uid = source_uid,
                                     .internal_usec = FIXTURE_DATE,
                                     .doubt = doubt };

    MUST(vault_begin_message(r->s.f.writer, mail.len, ERR));
    MUST(vault_write_message(r->s.f.writer, mail, ERR));
    MUST(vault_end_message(r->s.f.writer, &arrival, ERR));
}

/* A message put together, one without octets, one that cannot be had, one that was gone before it was fetched. */
static void add_doubtful(struct rebuild_fixture *r)
{
    fixture_begin(&r->s.f);
    put_in_doubt(r, 20, VAULT_REASSEMBLED, fixture_mail(&r->s.f, 900, 20));
    put_in_doubt(r, 21, VAULT_EMPTY, BYTES(""));
    (void)fixture_commit(&r->s.f);
    run_for_account(
        r, "INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, attempts, "
           "error, next_try_at, gone_at) SELECT $1::bigint, $2::bigint, 1, u.* FROM (VALUES "
           "(22, 'pending', 3, 'it is broken', now() + interval '1 day', NULL), "
           "(23, 'gone', 0, NULL, NULL, now())) u (uid, state, attempts, error, "
           "next_try_at, gone_at)");
}

#define WAITING_FOR_ORIGINAL                                                                         \
    "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint AND mailbox_id = $2::bigint AND " \
    "uid = 20 AND state = 'pending' AND doubt = 'reassembled' AND substitute_uid IS NOT NULL"

TEST(substitute_is_known_as_such_and_its_uid_still_waits_for_the_original)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    add_doubtful(&r);
    seal_next(&r);
    CHECK_EQ_I64(fixture_number(&r.s.f, WAITING_FOR_ORIGINAL), 1);
    check_made_again(&r);
    CHECK_EQ_I64(fixture_number(&r.s.f, WAITING_FOR_ORIGINAL), 1);
    close_rebuild(&r);
}

TEST(original_that_came_later_is_what_the_uid_stands_for)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    add_doubtful(&r);
    seal_next(&r);
    fixture_begin(&r.s.f);
    fixture_put(&r.s.f, 20, fixture_mail(&r.s.f, 1000, 120));
    fixture_put(&r.s.f, 22, fixture_mail(&r.s.f, 1000, 122));
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    check_made_again(&r);
    CHECK_EQ_I64(fixture_number(&r.s.f, WAITING_FOR_ORIGINAL), 0);
    close_rebuild(&r);
}

TEST(uid_given_up_is_sealed_without_any_mail)
{
    struct vault_sealed sealed;
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    run_for_account(&r,
                    "INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, gone_at) "
                    "VALUES ($1::bigint, $2::bigint, 1, 23, 'gone', clock_timestamp())");
    seal_next(&r);
    MUST(seal_try(&r.s, &sealed));
    CHECK(!sealed.is_made);
    check_made_again(&r);
    close_rebuild(&r);
}

TEST(uid_that_was_recognised_and_denied_since_is_to_come)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    run_for_account(
        &r, "UPDATE source_uid SET recognised_by = 'header' WHERE account_id = $1::bigint AND "
            "mailbox_id = $2::bigint AND state = 'stored'");
    seal_commit_run(&r.s, (size_t[]){ 400 }, 1);
    run_for_account(
        &r, "UPDATE source_uid SET recognised_by = 'header' WHERE account_id = $1::bigint AND "
            "mailbox_id = $2::bigint AND uid = 9");
    seal_next(&r);
    run_for_account(
        &r, "UPDATE source_uid SET state = 'pending', placement_uid = NULL, recognised_by = "
            "'denied' WHERE account_id = $1::bigint AND mailbox_id = $2::bigint AND uid = 9");
    run_for_account(&r,
                    "UPDATE source_uid SET recognised_by = NULL WHERE account_id = $1::bigint AND "
                    "mailbox_id = $2::bigint AND uid < 9");
    run_for_account(&r,
                    "UPDATE source_epoch SET refuted_at = now() WHERE account_id = $1::bigint AND "
                    "mailbox_id = $2::bigint");
    seal_commit_run(&r.s, (size_t[]){ 300 }, 1);
    seal_next(&r);
    check_made_again(&r);
    close_rebuild(&r);
}

/* It was told as stored; that its octets were to come after all was in no pack, but that they never came. */
TEST(uid_that_was_recognised_denied_and_gone_before_it_came_is_not_archived)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    seal_commit_run(&r.s, (size_t[]){ 400 }, 1);
    run_for_account(&r,
                    "UPDATE source_uid SET recognised_by = 'id' WHERE account_id = $1::bigint AND "
                    "mailbox_id = $2::bigint AND uid = 9");
    seal_next(&r);
    run_for_account(
        &r, "UPDATE source_uid SET state = 'gone', placement_uid = NULL, recognised_by = NULL, "
            "gone_at = clock_timestamp() WHERE account_id = $1::bigint AND mailbox_id = "
            "$2::bigint AND uid = 9");
    seal_next(&r);
    check_made_again(&r);
    close_rebuild(&r);
}

TEST(uid_that_was_denied_and_downloaded_is_not_placed_twice)
{
    struct rebuild_fixture r;
    struct bytes mail;

    if (!open_rebuild(&r))
        return;
    mail = fixture_mail(&r.s.f, 1000, 99);
    fixture_begin(&r.s.f);
    fixture_put(&r.s.f, 30, mail);
    (void)fixture_commit(&r.s.f);
    run_for_account(
        &r, "UPDATE source_uid SET state = 'pending', placement_uid = NULL, recognised_by = "
            "'denied' WHERE account_id = $1::bigint AND mailbox_id = $2::bigint AND uid = 30");
    fixture_begin(&r.s.f);
    fixture_put(&r.s.f, 30, mail);
    CHECK_EQ_U64(fixture_commit(&r.s.f).placed, 0);
    close_rebuild(&r);
}

/* Placed without its octets, as a new epoch shows it again. */
static void recognise(struct rebuild_fixture *r, uint32_t source_uid, struct bytes mail)
{
    struct vault_arrival arrival = { .source_uid = source_uid, .internal_usec = FIXTURE_DATE };
    struct vault_known known = {
        .is_known = true, .by = VAULT_BY_HEADER, .sha256 = crypto_hash(mail), .size_bytes = mail.len
    };

    MUST(vault_place_known(r->s.f.writer, &known, &arrival, ERR));
}

/* Two messages that are sealed, and an epoch that is going to show them again. */
static bool open_second_epoch(struct rebuild_fixture *r, struct bytes mail[2])
{
    if (!open_rebuild(r))
        return false;
    mail[0] = fixture_mail(&r->s.f, 1000, 99);
    mail[1] = fixture_mail(&r->s.f, 1000, 98);
    fixture_begin(&r->s.f);
    for (uint32_t i = 0; i < 2; i++)
        fixture_put(&r->s.f, 30 + i, mail[i]);
    (void)fixture_commit(&r->s.f);
    fixture_open_epoch(&r->s.f, r->s.f.mailbox_id, 2);
    return true;
}

static void begin_second(struct rebuild_fixture *r)
{
    MUST(vault_begin_batch(r->s.f.writer, r->s.f.mailbox_id, 2, ERR));
}

TEST(uid_told_as_pending_that_turns_out_to_be_a_sealed_message_is_told_again)
{
    struct rebuild_fixture r;
    struct bytes mail[2];

    if (!open_second_epoch(&r, mail))
        return;
    run_for_account(
        &r, "INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, attempts, error) "
            "VALUES ($1::bigint, $2::bigint, 2, 5, 'pending', 1, 'not now')");
    seal_next(&r);
    begin_second(&r);
    fixture_put(&r.s.f, 5, mail[0]);
    CHECK_EQ_U64(fixture_commit(&r.s.f).matched, 1);
    seal_next(&r);
    check_made_again(&r);
    close_rebuild(&r);
}

/* Connections that help bring messages out of order. */
TEST(uid_that_is_matched_behind_a_later_one_that_was_told_is_told)
{
    struct rebuild_fixture r;
    struct bytes mail[2];

    if (!open_second_epoch(&r, mail))
        return;
    begin_second(&r);
    fixture_put(&r.s.f, 7, mail[1]);
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    begin_second(&r);
    recognise(&r, 6, mail[0]);
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    check_made_again(&r);
    close_rebuild(&r);
}

TEST(octets_that_came_after_all_are_told_as_seen)
{
    struct rebuild_fixture r;
    struct bytes mail[2];

    if (!open_second_epoch(&r, mail))
        return;
    begin_second(&r);
    recognise(&r, 5, mail[0]);
    recognise(&r, 6, mail[1]);
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    run_for_account(
        &r, "UPDATE source_uid SET state = 'pending', placement_uid = NULL, recognised_by = "
            "'denied' WHERE account_id = $1::bigint AND mailbox_id = $2::bigint AND epoch = 2 AND "
            "uid = 5");
    begin_second(&r);
    fixture_put(&r.s.f, 5, mail[0]);
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    check_made_again(&r);
    CHECK_EQ_I64(fixture_number(&r.s.f,
                                "SELECT count(*) FROM source_uid WHERE account_id = $1::bigint AND "
                                "mailbox_id = $2::bigint AND recognised_by IS NOT NULL"),
                 1);
    close_rebuild(&r);
}

TEST(epoch_that_shows_only_what_is_sealed_is_sealed_too)
{
    struct vault_sealed sealed;
    struct rebuild_fixture r;
    struct bytes mail[2];

    if (!open_second_epoch(&r, mail))
        return;
    seal_next(&r);
    begin_second(&r);
    fixture_put(&r.s.f, 5, mail[0]);
    (void)fixture_commit(&r.s.f);
    seal_next(&r);
    MUST(seal_try(&r.s, &sealed));
    CHECK(!sealed.is_made);
    check_made_again(&r);
    close_rebuild(&r);
}

static void put_identified(struct rebuild_fixture *r, uint32_t source_uid, const char *id)
{
    struct bytes mail = fixture_mail(&r->s.f, 700, source_uid);
    struct vault_arrival arrival = { .source_uid = source_uid,
                                     .internal_usec = FIXTURE_DATE,
                                     .identity = { .id = bytes_of_text(id),
                                                   .thread = BYTES("T1"),
                                                   .labels = BYTES("\\Inbox\nGr\303\274n") } };

    MUST(vault_begin_message(r->s.f.writer, mail.len, ERR));
    MUST(vault_write_message(r->s.f.writer, mail, ERR));
    MUST(vault_end_message(r->s.f.writer, &arrival, ERR));
}

TEST(ids_labels_and_what_ended_the_trust_in_them_are_known_again)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    run_for_account(
        &r, "INSERT INTO identity_scope (account_id, scope, kind, host, login, distrusted_at) "
            "SELECT $1::bigint, n, 'EMAILID', 'h', 'l' || n, CASE n WHEN 2 THEN now() END "
            "FROM generate_series(1, 2) n WHERE $2::bigint IS NOT NULL");
    vault_use_identities(r.s.f.writer, 1);
    fixture_begin(&r.s.f);
    put_identified(&r, 30, "M1");
    put_identified(&r, 31, "M2");
    (void)fixture_commit(&r.s.f);
    run_for_account(
        &r, "UPDATE source_epoch SET identity_scope = 1, listed_at = now() WHERE account_id "
            "= $1::bigint AND mailbox_id = $2::bigint");
    seal_next(&r);
    check_made_again(&r);
    CHECK_EQ_I64(
        fixture_number(&r.s.f,
                       COUNT_OF("message_identity") " AND "
                                                    "labels = ARRAY['\\Inbox', 'Gr\303\274n']"),
        2);
    close_rebuild(&r);
}

TEST(mailboxes_that_changed_their_names_with_one_another_are_called_as_they_were_at_last)
{
    struct vault_listed listed[] = {
        { .source_name = BYTES("Other"), .path = BYTES("Other"), .object_id = BYTES("F1") },
        { .source_name = BYTES("Work"), .path = BYTES("Work"), .object_id = BYTES("F2") },
    };
    struct rebuild_fixture r;
    int64_t ids[2], ids_now[2];

    if (!open_rebuild(&r))
        return;
    MUST(vault_open_mailboxes(r.s.f.writer, listed, 2, ids, ERR));
    seal_commit_run(&r.s, (size_t[]){ 100 }, 1);
    seal_next(&r);
    MUST(vault_rename_mailboxes(r.s.f.writer, (int64_t[]){ ids[1], ids[0] }, listed, 2, ERR));
    MUST(vault_open_mailboxes(r.s.f.writer, listed, 2, ids_now, ERR));
    CHECK_EQ_I64(ids_now[0], ids[1]);
    CHECK_EQ_I64(ids_now[1], ids[0]);
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("mailbox") " AND (path, object_id) IN "
                                                            "(('Other', 'F1'), ('Work', 'F2'))"),
                 2);
    seal_commit_run(&r.s, (size_t[]){ 101 }, 1);
    seal_next(&r);
    check_made_again(&r);
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("mailbox_former")), 2);
    close_rebuild(&r);
}

TEST(limits_and_watched_mailboxes_of_an_account_come_back)
{
    struct rebuild_fixture r;

    if (!open_rebuild(&r))
        return;
    run_for_account(
        &r, "UPDATE account SET max_connections = 2, daily_bytes = 12345678901, watch = "
            "ARRAY['INBOX', 'a \"b'] WHERE account_id = $1::bigint AND $2::bigint IS NOT NULL");
    seal_commit_run(&r.s, (size_t[]){ 100 }, 1);
    seal_next(&r);
    check_made_again(&r);
    run_sql(&r, "SELECT rebuild_end(0)");
    CHECK_EQ_I64(fixture_number(&r.s.f, COUNT_OF("job") " AND kind IN "
                                                        "('sync', 'watch')"),
                 2);
    close_rebuild(&r);
}
