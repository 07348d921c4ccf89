/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "vault/watch.h"

#include <poll.h>

static struct vault_watch *open_watch(void)
{
    struct vault_watch *watch = NULL;
    struct db_target target;
    bool is_new = false;

    CHECK(test_target(DB_ROLE_READER, &target));
    MUST(vault_create_watch(&target, &watch, ERR));
    MUST(vault_connect_watch(watch, &is_new, ERR));
    CHECK(is_new);
    MUST(vault_connect_watch(watch, &is_new, ERR));
    CHECK(!is_new);
    return watch;
}

static void put(struct fixture *f, uint32_t source_uid)
{
    fixture_begin(f);
    fixture_put(f, source_uid, fixture_mail(f, 100, source_uid));
    fixture_commit(f);
}

static void flag(struct fixture *f, uint32_t uid)
{
    struct vault_change change = { .uid = uid, .flags = VAULT_FLAG_FLAGGED };

    MUST(vault_record_changes(f->writer, f->mailbox_id, &change, 1, NULL, ERR));
}

static struct vault_waiting as_told(struct fixture *f)
{
    struct vault_mailbox_row row;

    MUST(vault_poll_mailbox(f->reader, f->account_id, f->mailbox_id, &row, ERR));
    return (struct vault_waiting){ .token = secret_bytes(f->token),
                                   .account_id = f->account_id,
                                   .mailbox_id = f->mailbox_id,
                                   .uidnext = row.uidnext,
                                   .highestmodseq = row.highestmodseq,
                                   .messages = row.messages };
}

static struct vault_news poll_one(struct vault_watch *watch, const struct vault_waiting *item,
                                  size_t want)
{
    struct vault_news news[1] = { { .index = 7 } };
    size_t count = 9;

    MUST(vault_poll_waiting(watch, item, 1, news, &count, ERR));
    CHECK_EQ_U64(count, want);
    return news[0];
}

/* ---- hints ------------------------------------------------------------------------------------- */

TEST(a_hint_names_a_mailbox_and_nothing_else_is_one)
{
    struct vault_hint hint;

    CHECK(vault_read_hint(BYTES("7 12"), &hint));
    CHECK_EQ_I64(hint.account_id, 7);
    CHECK_EQ_I64(hint.mailbox_id, 12);
    CHECK(!vault_read_hint(BYTES(""), &hint));
    CHECK(!vault_read_hint(BYTES("7"), &hint));
    CHECK(!vault_read_hint(BYTES("7 12 "), &hint));
    CHECK(!vault_read_hint(BYTES("7 -1"), &hint));
    CHECK(!vault_read_hint(BYTES("7 18446744073709551615"), &hint));
}

TEST(new_mail_and_changed_flags_send_a_hint_with_their_commit)
{
    struct fixture f;
    struct vault_watch *watch;
    struct vault_hint hint = { 0 };
    struct pollfd pollfd = { .events = POLLIN };
    bool has_one = false;

    if (!fixture_open(&f))
        return;
    watch = open_watch();
    for (uint32_t i = 1; i <= 2; i++) {
        if (i == 1)
            put(&f, 1);
        else
            flag(&f, 1);
        do { /* other tests share the server */
            pollfd.fd = vault_watch_fd(watch);
            CHECK(poll(&pollfd, 1, 5000) == 1);
            MUST(vault_take_hint(watch, &hint, &has_one, ERR));
        } while (!has_one || hint.account_id != f.account_id);
        CHECK_EQ_I64(hint.mailbox_id, f.mailbox_id);
    }
    vault_free_watch(&watch);
    fixture_close(&f);
}

/* ---- polling ----------------------------------------------------------------------------------- */

TEST(what_waits_has_news_when_its_mailbox_is_not_as_it_was_told)
{
    struct fixture f;
    struct vault_watch *watch;
    struct vault_waiting item;

    if (!fixture_open(&f))
        return;
    watch = open_watch();
    item = as_told(&f);
    (void)poll_one(watch, &item, 0);
    put(&f, 1);
    CHECK(!poll_one(watch, &item, 1).is_over);
    item = as_told(&f);
    (void)poll_one(watch, &item, 0);
    flag(&f, 1);
    CHECK_EQ_U64(poll_one(watch, &item, 1).index, 0);
    item.mailbox_id = 0;
    (void)poll_one(watch, &item, 0);
    vault_free_watch(&watch);
    fixture_close(&f);
}

TEST(a_session_that_is_over_is_told_and_one_without_a_grant_learns_nothing)
{
    struct fixture f;
    struct vault_watch *watch;
    struct vault_waiting items[3];
    struct vault_news news[3];
    size_t count = 0;

    if (!fixture_open(&f))
        return;
    watch = open_watch();
    items[0] = as_told(&f);
    items[1] = items[0];
    items[1].token = BYTES("nobody's");
    items[2] = items[0];
    items[2].uidnext = 99; /* differs */
    MUST(vault_poll_waiting(watch, items, 3, news, &count, ERR));
    CHECK_EQ_U64(count, 2);
    CHECK(news[0].index == 1 && news[0].is_over);
    CHECK(news[1].index == 2 && !news[1].is_over);
    CHECK_EQ_I64(fixture_number(&f, "UPDATE login_session SET account_scope = '{}' WHERE "
                                    "account_scope = ARRAY[$1::bigint] AND $2::bigint > 0 "
                                    "RETURNING 1::bigint"),
                 1);
    MUST(vault_poll_waiting(watch, items, 3, news, &count, ERR));
    CHECK_EQ_U64(count, 1);
    CHECK(news[0].is_over);
    vault_free_watch(&watch);
    fixture_close(&f);
}

TEST(a_lost_connection_is_an_error_once_and_then_made_anew)
{
    struct fixture f;
    struct vault_watch *watch;
    struct vault_waiting item;
    struct vault_news news[1];
    size_t count = 0;
    bool is_new = false;

    if (!fixture_open(&f))
        return;
    watch = open_watch();
    item = as_told(&f);
    CHECK(fixture_number(
              &f, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                  "query LIKE 'LISTEN holdfast%' AND $1::bigint > 0 AND $2::bigint > 0") > 0);
    if (!vault_poll_waiting(watch, &item, 1, news, &count, ERR))
        CHECK(ERR->code == ERR_RETRY);
    err_clear(ERR);
    MUST(vault_connect_watch(watch, &is_new, ERR));
    MUST(vault_poll_waiting(watch, &item, 1, news, &count, ERR));
    CHECK(vault_watch_fd(watch) >= 0);
    vault_free_watch(&watch);
    fixture_close(&f);
}

/* ---- changed since ------------------------------------------------------------------------------ */

static void check_changed(struct fixture *f, uint64_t since, const struct vault_uid_range *want,
                          size_t want_count)
{
    const struct vault_uid_range *ranges = NULL;
    size_t count = 0;

    MUST(vault_find_changed(f->reader, f->account_id, f->mailbox_id, since, f->arena, &ranges,
                            &count, ERR));
    CHECK_EQ_U64(count, want_count);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ_U64(ranges[i].first, want[i].first);
        CHECK_EQ_U64(ranges[i].last, want[i].last);
    }
}

TEST(changed_since_names_what_was_touched_and_what_is_new)
{
    struct fixture f;
    uint64_t told;

    if (!fixture_open(&f))
        return;
    check_changed(&f, 0, (struct vault_uid_range[]){ { 1, UINT32_MAX } }, 1);
    for (uint32_t i = 1; i <= 6; i++)
        put(&f, i);
    told = as_told(&f).highestmodseq;
    check_changed(&f, told, (struct vault_uid_range[]){ { 7, UINT32_MAX } }, 1);
    flag(&f, 2);
    flag(&f, 5);
    flag(&f, 4);
    put(&f, 7);
    check_changed(&f, told, (struct vault_uid_range[]){ { 2, 2 }, { 4, 5 }, { 7, UINT32_MAX } }, 3);
    flag(&f, 6); /* joins what is new */
    check_changed(&f, told, (struct vault_uid_range[]){ { 2, 2 }, { 4, UINT32_MAX } }, 2);
    check_changed(&f, 0, (struct vault_uid_range[]){ { 1, UINT32_MAX } }, 1);
    check_changed(&f, UINT64_MAX, (struct vault_uid_range[]){ { 8, UINT32_MAX } }, 1);
    fixture_close(&f);
}
