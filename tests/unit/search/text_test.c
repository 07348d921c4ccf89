/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that SQL leaves over: there are neither rows nor records here, only octets. */
#include "imap/command.h"
#include "search/internal.h"
#include "search/search.h"
#include "test.h"
#include "vault/fixture.h"

static unsigned questions_left; /* until goes_on says no */

static bool goes_on(void *context)
{
    (void)context;
    return questions_left > 0 && questions_left-- > 0;
}

static struct search *opened;
static struct arena *arena;

static struct search *open_search(struct fixture *f, const char *query)
{
    static struct vault_mailbox mailbox;
    struct search_scope scope = { .pool = f->pool,
                                  .token = f->token,
                                  .reader = f->reader,
                                  .mailbox = &mailbox,
                                  .goes_on = goes_on };
    const struct imap_search_key *key;
    struct imap_command command;

    search_close(&opened);
    arena_free(&arena);
    arena = arena_create(1 << 20);
    questions_left = 1000;
    MUST(vault_load_mailbox(f->reader, f->account_id, f->mailbox_id, f->arena, &mailbox, ERR));
    MUST(imap_parse_command(bytes_of_text(query), arena, &command, ERR));
    MUST(search_convert_key(&command.search.key, command.search.charset, arena, &key, ERR));
    MUST(search_open(&scope, key, arena, &opened, ERR));
    return opened;
}

static void check_hits(struct fixture *f, const char *query, const char *want)
{
    struct search *search = open_search(f, query);
    struct buf got = buf_create(1000);
    uint32_t uids[SEARCH_PAGE_HITS];
    bool is_last = false;
    size_t count;

    while (!is_last) {
        MUST(search_next(search, uids, &count, &is_last, ERR));
        for (size_t i = 0; i < count; i++) {
            buf_byte(&got, ' ');
            buf_u64(&got, uids[i]);
        }
    }
    CHECK_BYTES(buf_bytes(&got), bytes_of_text(want));
    buf_free(&got);
}

/* Each in a batch, so in a frame, of its own. */
static void put(struct fixture *f, uint32_t uid, const char *mail, uint8_t flags)
{
    fixture_begin(f);
    MUST(fixture_try_put(f, uid, bytes_of_text(mail), FIXTURE_DATE, flags, NULL));
    (void)fixture_commit(f);
}

static bool open_mailbox(struct fixture *f)
{
    if (!fixture_open(f))
        return false;
    put(f, 1,
        "Subject: =?utf-8?q?Caf=C3=A9?= first\r\nFrom: a@b.example\r\n"
        "Date: 1 Feb 2020 23:00:00 -0500\r\n\r\none body\r\n",
        0);
    put(f, 2,
        "Subject: second\r\nX-Mine: yes\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\ndHdvIGJvZHk=\r\n",
        VAULT_FLAG_SEEN);
    put(f, 3,
        "From: c@d.example\r\nContent-Type: multipart/encrypted; boundary=x\r\n"
        "MIME-Version: 1.0\r\n\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\n"
        "three\r\n--x--\r\n",
        0);
    put(f, 4,
        "Subject: second\r\nX-Mine: yes\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\ndHdvIGJvZHk=\r\n",
        VAULT_FLAG_FLAGGED); /* the octets of 2 */
    return true;
}

static void close_mailbox(struct fixture *f)
{
    search_close(&opened);
    arena_free(&arena);
    fixture_close(f);
}

TEST(a_message_without_row_and_record_is_searched_in_its_octets)
{
    struct fixture f;

    if (!open_mailbox(&f))
        return;
    check_hits(&f, "t SEARCH BODY \"TWO BODY\"", " 2 4");
    check_hits(&f, "t SEARCH BODY body", " 1 2 4");
    check_hits(&f, "t SEARCH TEXT second NOT FLAGGED", " 2");
    check_hits(&f, "t SEARCH HEADER x-mine \"\"", " 2 4");
    check_hits(&f, "t SEARCH SUBJECT {5}\r\ncaf\xc3\xa9", " 1");
    check_hits(&f, "t SEARCH SUBJECT \"\"", " 1 2 4");
    check_hits(&f, "t SEARCH NOT FROM example", " 2 4");
    check_hits(&f, "t SEARCH SENTON 1-Feb-2020", " 1");
    check_hits(&f, "t SEARCH SENTBEFORE 1-Feb-2020 SUBJECT second", " 2 4");
    check_hits(&f, "t SEARCH OR (SEEN BODY two) (FLAGGED NOT BODY two)", " 2");
    check_hits(&f, "t SEARCH OR BODY one OR HEADER X-Mine yes SUBJECT never", " 1 2 4");
    check_hits(&f, "t SEARCH OR OR SEEN FLAGGED OR BODY one FROM d.example", " 1 2 3 4");
    close_mailbox(&f);
}

TEST(what_could_not_be_searched_is_counted_where_it_matters)
{
    struct fixture f;

    if (!open_mailbox(&f))
        return;
    check_hits(&f, "t SEARCH BODY one", " 1");
    CHECK_EQ_U64(search_tally(opened)->examined, 4);
    CHECK_EQ_U64(search_tally(opened)->unsearched, 1);
    CHECK_EQ_U64(search_tally(opened)->damaged, 0);
    check_hits(&f, "t SEARCH TEXT d.example", " 3");
    CHECK_EQ_U64(search_tally(opened)->unsearched, 0);
    check_hits(&f, "t SEARCH FROM nobody", "");
    CHECK_EQ_U64(search_tally(opened)->unsearched, 0);
    check_hits(&f, "t SEARCH SEEN NOT TEXT nothing", " 2");
    CHECK_EQ_U64(search_tally(opened)->examined, 1);
    CHECK_EQ_U64(search_tally(opened)->unsearched, 0);
    close_mailbox(&f);
}

TEST(a_damaged_message_is_no_hit_and_told_and_the_others_are_found)
{
    struct fixture f;

    if (!open_mailbox(&f))
        return;
    (void)fixture_number(&f, "WITH hit AS (UPDATE spool s SET octets = set_byte(octets, 9, "
                             "get_byte(octets, 9) # 1) FROM frame f JOIN locator l USING "
                             "(account_id, run_id) JOIN placement p USING (account_id, message_id)"
                             " WHERE s.account_id = f.account_id AND s.frame_id = f.frame_id AND "
                             "p.account_id = $1::bigint AND p.mailbox_id = $2::bigint AND p.uid = 1"
                             " RETURNING 1) SELECT count(*) FROM hit");
    check_hits(&f, "t SEARCH OR BODY body SUBJECT first", " 2 4");
    CHECK_EQ_U64(search_tally(opened)->damaged, 1);
    CHECK_EQ_U64(search_tally(opened)->unsearched, 2); /* and the encrypted one */
    CHECK_EQ_U64(search_tally(opened)->problem.code, ERR_CORRUPT);
    check_hits(&f, "t SEARCH NOT BODY body", " 3");
    CHECK_EQ_U64(search_tally(opened)->damaged, 1);
    close_mailbox(&f);
}

static void check_is_given_up(struct search *search, unsigned questions)
{
    uint32_t uids[SEARCH_PAGE_HITS];
    bool is_last = false;
    size_t count = 0;

    questions_left = questions;
    err_clear(ERR);
    CHECK(!search_next(search, uids, &count, &is_last, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_RETRY);
    CHECK_EQ_U64(questions_left, 0);
}

TEST(a_search_that_nobody_waits_for_ends_also_within_a_large_message)
{
    struct fixture f;

    if (!open_mailbox(&f))
        return;
    check_is_given_up(open_search(&f, "t SEARCH BODY one"), 0);
    fixture_begin(&f);
    fixture_put(&f, 9, fixture_mail(&f, 6 << 20, 3));
    (void)fixture_commit(&f);
    check_is_given_up(open_search(&f, "t SEARCH BODY zyxnever"), 1);
    close_mailbox(&f);
}

TEST(a_session_that_is_over_finds_nothing)
{
    struct fixture f;
    uint32_t uids[SEARCH_PAGE_HITS];
    bool is_last = false;
    size_t count = 7;

    if (!open_mailbox(&f))
        return;
    (void)open_search(&f, "t SEARCH BODY body");
    (void)fixture_number(&f, "WITH over AS (UPDATE login_session SET revoked_at = now() WHERE "
                             "account_scope = ARRAY[$1::bigint] AND $2::bigint > 0 RETURNING 1) "
                             "SELECT count(*) FROM over");
    MUST(search_next(opened, uids, &count, &is_last, ERR));
    CHECK(count == 0 && is_last);
    close_mailbox(&f);
}
