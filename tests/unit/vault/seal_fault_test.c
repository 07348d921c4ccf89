/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/seal_fixture.h"
#include "vault/text_fixture.h"

enum {
    ATTEMPTS_MAX = 2000
};

static struct text_deriver deriver;

/* Runs for a quick round: joined ones, a batch of several frames. All have text. */
static void fill(struct seal_fixture *s)
{
    static const size_t small[] = { 1200, 0, 40000, 300 };
    static const size_t batch[] = { 3000, 500000, 100 };

    text_use_deriver(&s->f, &deriver);
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        seal_commit_run(s, &small[i], 1);
    seal_commit_run(s, batch, ARRAY_LEN(batch));
}

static void close_filled(struct seal_fixture *s)
{
    seal_close(s);
    buf_free(&deriver.record);
}

static size_t count_texts(struct seal_fixture *s)
{
    struct text_messages *messages = arena_new(s->f.arena, struct text_messages);

    vault_trim_reader(s->f.reader);
    text_list_messages(&s->f, messages);
    return text_read_all(&s->f, messages);
}

/* Nothing lost, nothing unreadable; and once the keeper has started, nothing left behind: beside each
 * pack its text. */
static void check_state(struct seal_fixture *s, size_t messages)
{
    size_t packs;

    CHECK_EQ_U64(seal_read_all(s), messages);
    MUST(db_reset_if_broken(s->keeper, ERR));
    MUST(vault_seal_recover(s->keeper, s->packs, ERR));
    CHECK_EQ_U64(seal_read_all(s), messages);
    (void)seal_rows(s, &packs);
    CHECK_EQ_U64(seal_count_files(s), 2 * packs);
    CHECK_EQ_U64(count_texts(s), messages);
    CHECK_EQ_U64(seal_verify(s, true, NULL), 0);
}

TEST(any_system_call_of_sealing_may_fail_and_nothing_is_lost_or_left_behind)
{
    struct seal_fixture s;
    struct vault_sealed sealed;
    uint64_t n = 0;
    bool is_done = false;

    if (!seal_open(&s))
        return;
    fill(&s);
    while (!is_done) {
        CHECK(++n < ATTEMPTS_MAX);
        seal_break((struct seal_faults){ .fail_at = n });
        is_done = seal_try(&s, &sealed) && seal_faults.calls < n;
        seal_mend();
        arena_reset(s.f.arena);
        check_state(&s, 7);
        if (!is_done && seal_count_files(&s) > 0) {
            /* A failure that did not matter: on to the next one with new mail. */
            CHECK_EQ_U64(fixture_err.code, ERR_NONE);
            break;
        }
    }
    printf("%ju calls failed in turn\n", (uintmax_t)n - 1);
    CHECK(n > 20);
    CHECK(sealed.is_made);
    CHECK_EQ_U64(seal_count_files(&s), 2);
    close_filled(&s);
}

/* Seals in a child that ends at the n-th call; true: it did not come to that. */
static bool seal_and_die(struct seal_fixture *s, struct seal_faults faults)
{
    pid_t child;
    int status;

    (void)fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct db_target target;
        struct vault_sealed sealed;

        s->keeper = NULL;
        if (!test_target(DB_ROLE_KEEPER, &target) || !db_connect(&target, &s->keeper, ERR))
            _exit(78);
        seal_break(faults);
        _exit(seal_try(s, &sealed) ? 0 : 79);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    return WEXITSTATUS(status) == 0;
}

static void die_everywhere(bool is_after)
{
    struct seal_fixture s;
    bool is_done = false;

    if (!seal_open(&s))
        return;
    fill(&s);
    for (uint64_t n = 1; !is_done; n++) {
        CHECK(n < ATTEMPTS_MAX);
        is_done =
            seal_and_die(&s, (struct seal_faults){
                                 .fail_at = n, .is_death = !is_after, .is_death_after = is_after });
        arena_reset(s.f.arena);
        check_state(&s, 7);
    }
    CHECK_EQ_U64(seal_count_files(&s), 2);
    close_filled(&s);
}

TEST(sealing_may_die_before_any_system_call)
{
    die_everywhere(false);
}

TEST(sealing_may_die_behind_any_fsync_rename_or_unlink)
{
    die_everywhere(true);
}

TEST(pack_whose_commit_never_came_is_removed_and_sealed_anew)
{
    static const size_t sizes[] = { 3000 };
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    /* The commit is refused: the file lies in its place by then. */
    test_sql(s.f.owner, "REVOKE EXECUTE ON FUNCTION seal_commit FROM holdfast_keeper");
    CHECK(!seal_try(&s, &sealed));
    CHECK_EQ_U64(fixture_err.code, ERR_DENIED);
    CHECK_EQ_U64(seal_count_files(&s), 1);
    CHECK_EQ_U64(seal_read_all(&s), 1);
    test_sql(s.f.owner, "GRANT EXECUTE ON FUNCTION seal_commit TO holdfast_keeper");
    MUST(seal_try(&s, &sealed));
    CHECK_EQ_U64(seal_count_files(&s), 1);
    CHECK_EQ_U64(seal_read_all(&s), 1);
    CHECK_EQ_U64(seal_verify(&s, true, NULL), 0);
    seal_close(&s);
}

TEST(pack_that_somebody_else_committed_meanwhile_is_not_committed_twice)
{
    static const size_t sizes[] = { 3000 };
    struct seal_fixture s;
    struct vault_sealed sealed;

    if (!seal_open(&s))
        return;
    seal_commit_run(&s, sizes, 1);
    test_sql(s.f.owner, "REVOKE EXECUTE ON FUNCTION seal_commit FROM holdfast_keeper");
    CHECK(!seal_try(&s, &sealed));
    test_sql(s.f.owner, "GRANT EXECUTE ON FUNCTION seal_commit TO holdfast_keeper");
    /* Another pack is the account's last one now. */
    (void)fixture_number(&s.f, "WITH d AS (UPDATE seal_account SET last_sha256 = sha256('x'), "
                               "pending_sha256 = NULL WHERE account_id = $1::bigint AND "
                               "$2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM d");
    MUST(vault_seal_recover(s.keeper, s.packs, ERR));
    CHECK_EQ_U64(seal_count_files(&s), 1); /* not ours to judge: left alone */
    CHECK_EQ_U64(seal_read_all(&s), 1);
    seal_close(&s);
}
