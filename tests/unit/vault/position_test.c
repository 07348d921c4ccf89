/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "vault/position.h"

static struct vault_position take(struct fixture *f)
{
    struct vault_position position;

    MUST(vault_take_position(f->owner, &f->account_id, 1, &position, ERR));
    return position;
}

static const struct vault_position_mailbox *list_one(struct fixture *f, int64_t position_id)
{
    const struct vault_position_mailbox *rows;
    size_t count;

    MUST(vault_list_position(f->reader, position_id, 0, 10, f->arena, &rows, &count, ERR));
    CHECK_EQ_U64(count, 1);
    return rows;
}

static struct vault_placement_page page_at(struct fixture *f,
                                           const struct vault_position_mailbox *mailbox)
{
    struct vault_uid_range range = { 1, (uint32_t)(mailbox->uidnext - 1) };
    struct vault_placement_query query = { .account_id = mailbox->account_id,
                                           .mailbox_id = mailbox->mailbox_id,
                                           .ranges = &range,
                                           .range_count = 1,
                                           .columns = VAULT_WITH_LOCATOR,
                                           .as_of_modseq = mailbox->highestmodseq,
                                           .limit = LIMIT_PAGE_ROWS };
    struct vault_placement_page page;

    MUST(vault_read_placements(f->reader, &query, f->arena, &page, ERR));
    return page;
}

TEST(position_is_the_same_until_something_happens)
{
    struct fixture f;
    struct vault_position first, again, later, found;
    int64_t both[2];

    if (!fixture_open(&f))
        return;
    first = take(&f);
    again = take(&f);
    CHECK_EQ_I64(first.position_id, again.position_id);
    CHECK_EQ_I64(first.taken_usec, again.taken_usec);
    CHECK_EQ_U64(first.mailboxes, 1);
    fixture_begin(&f);
    fixture_put(&f, 1, BYTES("one"));
    fixture_commit(&f);
    later = take(&f);
    CHECK(later.position_id != first.position_id);
    MUST(vault_find_position(f.owner, first.position_id, &f.account_id, 1, &found, ERR));
    CHECK_EQ_I64(found.taken_usec, first.taken_usec);
    CHECK(!vault_find_position(f.owner, 999999999, NULL, 0, &found, ERR));
    CHECK(fixture_err.code == ERR_ABSENT);
    err_clear(ERR);
    both[0] = f.account_id;
    both[1] = 999999999;
    CHECK(!vault_find_position(f.owner, first.position_id, both, 2, &found, ERR));
    CHECK(fixture_err.code == ERR_ABSENT);
    fixture_close(&f);
}

TEST(later_mail_flags_and_disappearance_do_not_change_what_a_position_says)
{
    struct fixture f;
    const struct vault_position_mailbox *mailbox;
    struct vault_placement_page page;
    struct bytes keyword = BYTES("later");
    struct vault_change first_changes[] = { { .uid = 2, .flags = VAULT_FLAG_FLAGGED },
                                            { .uid = 3, .is_gone = true } };
    struct vault_change later_changes[] = {
        { .uid = 1, .flags = VAULT_FLAG_SEEN, .keywords = &keyword, .keyword_count = 1 },
        { .uid = 2, .is_gone = true },
        { .uid = 3, .flags = VAULT_FLAG_DRAFT },
    };

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    MUST(fixture_try_put(&f, 1, BYTES("one"), FIXTURE_DATE, VAULT_FLAG_ANSWERED, "early"));
    fixture_put(&f, 2, BYTES("two"));
    fixture_put(&f, 3, BYTES("three"));
    fixture_commit(&f);
    MUST(vault_record_changes(f.writer, f.mailbox_id, first_changes, 2, NULL, ERR));
    mailbox = list_one(&f, take(&f).position_id);
    CHECK_BYTES(mailbox->path, BYTES("INBOX"));
    CHECK_EQ_U64(mailbox->uidnext, 4);
    MUST(vault_record_changes(f.writer, f.mailbox_id, later_changes, 3, NULL, ERR));
    fixture_begin(&f);
    fixture_put(&f, 4, BYTES("four"));
    fixture_commit(&f);

    page = page_at(&f, mailbox);
    CHECK_EQ_U64(page.count, 3);
    CHECK_EQ_U64(page.rows[0].flags, VAULT_FLAG_ANSWERED);
    CHECK(vault_has_keyword(&page.rows[0], 0) && !vault_has_keyword(&page.rows[0], 1));
    CHECK_EQ_U64(page.rows[1].flags, VAULT_FLAG_FLAGGED);
    CHECK(!page.rows[1].is_gone);
    CHECK(page.rows[2].is_gone && page.rows[2].gone_usec > FIXTURE_DATE);
    CHECK(fixture_reads_as(&f, &page.rows[2].octets, 0, 5, BYTES("three")));

    page = page_at(&f, list_one(&f, take(&f).position_id));
    CHECK_EQ_U64(page.count, 4);
    CHECK_EQ_U64(page.rows[0].flags, VAULT_FLAG_SEEN);
    CHECK(page.rows[1].is_gone && !page.rows[2].is_gone);
    fixture_close(&f);
}

struct origins {
    uint32_t uids[8];
    uint32_t uidvalidity[8];
};

static bool keep_origins(void *context, int32_t epoch, uint32_t uidvalidity,
                         const struct vault_origin *rows, size_t count, struct err *err)
{
    struct origins *origins = context;

    (void)epoch;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        origins->uids[rows[i].placement_uid] = rows[i].source_uid;
        origins->uidvalidity[rows[i].placement_uid] = uidvalidity;
    }
    return true;
}

TEST(origins_end_with_the_epoch_a_message_was_archived_under)
{
    struct fixture f;
    struct origins origins = { { 0 }, { 0 } };

    if (!fixture_open(&f))
        return;
    fixture_begin(&f);
    fixture_put(&f, 11, BYTES("one"));
    fixture_put(&f, 12, BYTES("two"));
    fixture_commit(&f);
    fixture_open_epoch(&f, f.mailbox_id, 2);
    MUST(vault_begin_batch(f.writer, f.mailbox_id, 2, ERR));
    fixture_put(&f, 1, BYTES("two"));
    fixture_put(&f, 2, BYTES("three"));
    fixture_commit(&f);
    MUST(vault_walk_origins(f.reader, f.account_id, f.mailbox_id, keep_origins, &origins, ERR));
    CHECK_EQ_U64(origins.uids[1], 11);
    CHECK_EQ_U64(origins.uids[2], 12);
    CHECK_EQ_U64(origins.uids[3], 2);
    CHECK_EQ_U64(origins.uidvalidity[3], 77);
    fixture_close(&f);
}

TEST(position_shows_nothing_to_a_token_of_another_account)
{
    struct fixture f, other;
    const struct vault_position_mailbox *rows;
    size_t count = 9;

    if (!fixture_open(&f) || !fixture_open(&other))
        return;
    MUST(vault_list_position(other.reader, take(&f).position_id, 0, 10, other.arena, &rows, &count,
                             ERR));
    CHECK_EQ_U64(count, 0);
    fixture_close(&other);
    fixture_close(&f);
}

TEST(account_without_mailboxes_is_covered_by_every_position)
{
    static const char with_mailbox[] =
        "INSERT INTO mailbox (account_id, source_name, path, uidvalidity, created_at) VALUES ($1, 'x', 'x', 1, "
        "'2000-01-01')";
    struct fixture f;
    struct vault_position taken, found;
    int64_t both[2];

    if (!fixture_open(&f))
        return;
    both[0] = f.account_id;
    both[1] = fixture_number(
        &f, "INSERT INTO account (host, port, login, tls) SELECT 'h', 993, 'l', 'implicit' "
            "WHERE $1::bigint + $2::bigint > 0 RETURNING account_id");
    MUST(vault_take_position(f.owner, both, 2, &taken, ERR));
    MUST(vault_find_position(f.owner, taken.position_id, both, 2, &found, ERR));
    CHECK_EQ_U64(found.mailboxes, 1);
    /* One that has mailboxes which the position does not tell of is none of its own. */
    {
        CLEANUP(db_result_free) struct db_result *none = NULL;

        MUST(db_run_assembled(f.owner, with_mailbox, DB_ARGS(DB_I64(both[1])), &none, ERR));
    }
    CHECK(!vault_find_position(f.owner, taken.position_id, both, 2, &found, ERR));
    fixture_close(&f);
}
