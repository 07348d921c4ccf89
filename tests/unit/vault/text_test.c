/* SPDX-License-Identifier: Apache-2.0 */
#include "store/text.h"
#include "text_fixture.h"

static bool open_texts(struct fixture *f, struct text_deriver *deriver)
{
    if (!fixture_open(f))
        return false;
    text_use_deriver(f, deriver);
    fixture_begin(f);
    return true;
}

static void close_texts(struct fixture *f, struct text_deriver *deriver)
{
    fixture_close(f);
    buf_free(&deriver->record);
}

/* Messages of about this size, `count` to a commit. */
static void put_batches(struct fixture *f, size_t batches, size_t count, size_t size)
{
    static uint32_t uid;

    for (size_t b = 0; b < batches; b++) {
        for (size_t i = 0; i < count; i++, uid++)
            fixture_put(f, uid + 1, fixture_mail(f, size + uid % 97, uid));
        fixture_commit(f);
    }
}

TEST(text_of_every_message_is_given_once_whatever_the_batches_were)
{
    struct text_deriver deriver;
    struct text_messages *messages;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    put_batches(&f, 1, 400, 900);
    put_batches(&f, 7, 1, 20);
    put_batches(&f, 2, 30, 40000);
    text_list_messages(&f, messages);
    CHECK_EQ_U64(messages->count, 467);
    CHECK_EQ_U64(text_read_all(&f, messages), 467);
    CHECK_EQ_U64(text_read_all(&f, messages), 467); /* with what the reader kept */
    vault_trim_reader(f.reader);
    CHECK_EQ_U64(text_read_all(&f, messages), 467);
    CHECK_EQ_I64(fixture_number(&f, "SELECT max(cardinality(message_ids))::bigint FROM text_block "
                                    "WHERE account_id = $1::bigint AND $2::bigint IS NOT NULL"),
                 64);
    close_texts(&f, &deriver);
}

TEST(any_choice_of_messages_is_found_with_two_round_trips_and_others_are_without_a_record)
{
    struct text_deriver deriver;
    struct text_messages *messages, *some;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    some = arena_new(f.arena, struct text_messages);
    put_batches(&f, 3, 100, 700);
    text_list_messages(&f, messages);
    for (size_t step = 1; step < 150; step = step * 3 + 1) {
        some->count = 0;
        for (size_t i = step / 2; i < messages->count; i += step) {
            some->ids[some->count] = messages->ids[i];
            some->hashes[some->count++] = messages->hashes[i];
        }
        CHECK_EQ_U64(text_read_all(&f, some), some->count);
    }
    /* One that does not exist, in front of all and behind all. */
    some->count = 2;
    some->ids[0] = 0;
    some->ids[1] = INT64_MAX;
    CHECK_EQ_U64(text_read_all(&f, some), 0);
    some->count = 0;
    CHECK_EQ_U64(text_read_all(&f, some), 0);
    close_texts(&f, &deriver);
}

TEST(a_message_without_a_record_or_with_one_too_large_is_given_without)
{
    struct text_deriver deriver;
    struct text_messages *messages;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    fixture_put(&f, 1, fixture_mail(&f, STORE_TEXT_RECORD_MAX - 8, 1));
    fixture_put(&f, 2, fixture_mail(&f, STORE_TEXT_RECORD_MAX - 7, 2));
    fixture_put(&f, 3, fixture_mail(&f, 5000000, 3));
    fixture_put(&f, 4, BYTES(""));
    fixture_put(&f, 5, fixture_mail(&f, LIMIT_BATCH_BYTES + 1, 4)); /* a run of its own */
    fixture_commit(&f);
    text_list_messages(&f, messages);
    CHECK_EQ_U64(messages->count, 5);
    CHECK_EQ_U64(text_read_all(&f, messages), 2);
    close_texts(&f, &deriver);
}

TEST(text_of_another_parser_version_counts_as_none)
{
    struct text_deriver deriver;
    struct text_messages *messages;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    put_batches(&f, 1, 10, 100);
    deriver.parser_version--;
    put_batches(&f, 1, 10, 100);
    text_list_messages(&f, messages);
    CHECK_EQ_U64(text_read_all(&f, messages), 10);
    close_texts(&f, &deriver);
}

TEST(known_octets_get_no_second_text)
{
    struct text_deriver deriver;
    struct fixture f;
    int64_t before;

    if (!open_texts(&f, &deriver))
        return;
    fixture_put(&f, 1, BYTES("the same"));
    fixture_put(&f, 2, BYTES("the same"));
    fixture_commit(&f);
    before = fixture_number(&f, COUNT_OF("text_block"));
    fixture_put(&f, 3, BYTES("the same"));
    fixture_commit(&f);
    CHECK_EQ_I64(before, 1);
    CHECK_EQ_I64(fixture_number(&f, COUNT_OF("text_block")), 1);
    CHECK_EQ_I64(fixture_number(&f, "SELECT cardinality(message_ids)::bigint FROM text_block "
                                    "WHERE account_id = $1::bigint AND $2::bigint IS NOT NULL"),
                 1);
    close_texts(&f, &deriver);
}

TEST(damaged_text_makes_its_messages_ones_without_a_record_and_nothing_else)
{
    static const char *const damages[] = {
        "UPDATE text_spool SET octets = set_byte(octets, 50, get_byte(octets, 50) # 1)",
        "DELETE FROM text_spool",
        "UPDATE text_spool SET octets = octets || '\\x00'",
        "UPDATE text_block SET message_ids = message_ids || 1::bigint",
        "UPDATE text_block SET raw_bytes = raw_bytes + 1",
        "UPDATE text_block SET key_id = 7",
    };
    struct text_deriver deriver;
    struct text_messages *messages;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        char sql[300];

        put_batches(&f, 2, 10, 300);
        text_list_messages(&f, messages);
        CHECK_EQ_U64(text_read_all(&f, messages), 10 * (i + 2));
        (void)snprintf(sql, sizeof sql,
                       "WITH d AS (%s WHERE account_id = $1::bigint AND run_id = (SELECT max("
                       "run_id) FROM text_block WHERE account_id = $1::bigint AND $2::bigint IS "
                       "NOT NULL) RETURNING 1) SELECT count(*) FROM d",
                       damages[i]);
        CHECK_EQ_I64(fixture_number(&f, sql), 1);
        vault_trim_reader(f.reader);
        CHECK_EQ_U64(text_read_all(&f, messages), 10 * (i + 1));
    }
    close_texts(&f, &deriver);
}

TEST(a_scan_ends_with_the_error_of_its_function)
{
    struct text_deriver deriver;
    struct text_messages *messages;
    struct text_given *given;
    struct fixture f;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    given = arena_new(f.arena, struct text_given);
    put_batches(&f, 1, 10, 100);
    text_list_messages(&f, messages);
    given->fail_at = 4;
    given->reader = f.reader;
    CHECK(!vault_read_texts(f.reader, &TEXT_QUERY(f.account_id, messages), text_note, given, ERR));
    CHECK_EQ_U64(fixture_err.code, ERR_ABSENT);
    CHECK_EQ_U64(given->count, 4);
    close_texts(&f, &deriver);
}

enum {
    WORDS = 600, /* messages, each with a word of its own */
    WORDS_BATCH = 200,
    WORDS_MAIL_BYTES = 120,
};

static struct bytes word_mail(struct fixture *f, uint32_t number)
{
    char *text = arena_alloc(f->arena, WORDS_MAIL_BYTES);
    int len =
        snprintf(text, WORDS_MAIL_BYTES, "Subject: as in every message\r\n\r\nword x%xz%uy\r\n",
                 number * 40503u, number);

    return bytes_of(text, (size_t)len);
}

static void put_word_mails(struct fixture *f)
{
    for (uint32_t number = 0; number < WORDS; number++) {
        fixture_put(f, number + 1, word_mail(f, number));
        if (number % WORDS_BATCH == WORDS_BATCH - 1)
            fixture_commit(f);
    }
}

/* The mail of the message with this hash. */
static struct bytes find_mail(const struct bytes *mails, const struct crypto_sha256 *hash)
{
    for (size_t i = 0; i < WORDS; i++) {
        struct crypto_sha256 of_mail = crypto_hash(mails[i]);

        if (memcmp(of_mail.octets, hash->octets, sizeof hash->octets) == 0)
            return mails[i];
    }
    return bytes_of(NULL, 0);
}

/* How many records were given; all that hold the needle must be. */
static size_t read_for(struct fixture *f, const struct text_messages *messages,
                       const struct bytes *texts, struct bytes needle)
{
    struct text_given *given = arena_new(f->arena, struct text_given);
    struct vault_text_query query = TEXT_QUERY(f->account_id, messages);

    query.needles = &needle;
    query.needle_count = 1;
    given->reader = f->reader;
    given->may_be_empty = true;
    MUST(vault_read_texts(f->reader, &query, text_note, given, ERR));
    CHECK_EQ_U64(given->count, messages->count);
    for (size_t i = 0; i < given->count; i++) {
        size_t at = 0;

        while (messages->ids[at] != given->ids[i])
            at++;
        CHECK(given->has_record[i] || bytes_find(texts[at], needle) < 0);
    }
    return given->records;
}

TEST(a_block_stays_shut_only_when_none_of_its_records_holds_the_needle)
{
    struct text_deriver deriver;
    struct text_messages *messages;
    struct bytes *mails, *texts; /* by number; in the order of message ids */
    struct fixture f;
    size_t opened = 0;

    if (!open_texts(&f, &deriver))
        return;
    messages = arena_new(f.arena, struct text_messages);
    put_word_mails(&f);
    text_list_messages(&f, messages);
    CHECK_EQ_U64(messages->count, WORDS);
    mails = arena_new_array(f.arena, struct bytes, WORDS);
    texts = arena_new_array(f.arena, struct bytes, WORDS);
    for (uint32_t i = 0; i < WORDS; i++)
        mails[i] = word_mail(&f, i);
    for (size_t i = 0; i < WORDS; i++)
        texts[i] = find_mail(mails, &messages->hashes[i]);
    for (size_t i = 0; i < WORDS; i += 7) {
        struct bytes word = bytes_slice(texts[i], texts[i].len - 12, 10);
        size_t records = read_for(&f, messages, texts, word);

        CHECK(records > 0 && records < WORDS);
        opened += records;
        (void)read_for(&f, messages, texts, bytes_slice(texts[i], i % 40, i % 30));
    }
    CHECK(opened < WORDS / 7 * WORDS / 2);
    CHECK_EQ_U64(read_for(&f, messages, texts, BYTES("QJKVWZXPLMGBHFTD")), 0);
    CHECK_EQ_U64(read_for(&f, messages, texts, BYTES("qqq")), WORDS); /* shorter than a gram */
    (void)fixture_number(
        &f, "WITH u AS (UPDATE text_block SET signature = NULL WHERE account_id = "
            "$1::bigint AND $2::bigint IS NOT NULL RETURNING 1) SELECT count(*) FROM u");
    CHECK_EQ_U64(read_for(&f, messages, texts, BYTES("QJKVWZXPLMGBHFTD")), WORDS);
    close_texts(&f, &deriver);
}

TEST(text_of_another_account_is_not_seen)
{
    struct text_deriver deriver, other_deriver;
    struct text_messages *messages;
    struct text_given *given;
    struct fixture f, other;

    if (!open_texts(&f, &deriver))
        return;
    CHECK(open_texts(&other, &other_deriver));
    messages = arena_new(f.arena, struct text_messages);
    given = arena_new(f.arena, struct text_given);
    put_batches(&other, 1, 10, 100);
    text_list_messages(&other, messages);
    given->reader = f.reader;
    MUST(
        vault_read_texts(f.reader, &TEXT_QUERY(other.account_id, messages), text_note, given, ERR));
    CHECK_EQ_U64(given->count, 10);
    CHECK_EQ_U64(given->records, 0);
    close_texts(&other, &other_deriver);
    close_texts(&f, &deriver);
}
