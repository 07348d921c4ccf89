/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/vault/text_fixture.h - a deriver whose record of a message is "text of " and the message,
 * and a scan that notes what it is given. Only for tests; static on purpose.
 */
#pragma once

#include "mime/parser.h"
#include "vault/fixture.h"
#include "vault/text.h"

struct text_deriver {
    struct buf record;
    int32_t parser_version;
};

TEST_UNUSED static void text_begin_message(void *context)
{
    struct text_deriver *deriver = context;

    buf_reset(&deriver->record, (size_t)4 << 20);
    buf_append(&deriver->record, BYTES("text of "));
}

TEST_UNUSED static void text_add_octets(void *context, struct bytes octets)
{
    struct text_deriver *deriver = context;

    buf_append(&deriver->record, octets);
}

TEST_UNUSED static void text_end_message(void *context, struct vault_index *out)
{
    struct text_deriver *deriver = context;

    *out = (struct vault_index){ .parser_version = deriver->parser_version,
                                 .notes = BYTES("[]"),
                                 .text_notes = 3 };
    if (!deriver->record.has_failed) /* else like one that is too large: none */
        out->text = buf_bytes(&deriver->record);
}

/* The writer of the fixture anew, with the deriver. */
TEST_UNUSED static void text_use_deriver(struct fixture *f, struct text_deriver *deriver)
{
    struct vault_lease lease = { f->account_id, f->job_id, f->fence, 60000 };
    struct vault_deriver calls = { .context = deriver,
                                   .begin = text_begin_message,
                                   .octets = text_add_octets,
                                   .end = text_end_message };

    vault_close_writer(&f->writer);
    *deriver = (struct text_deriver){ .record = buf_create((size_t)4 << 20),
                                      .parser_version = MIME_PARSER_VERSION };
    MUST(vault_open_writer(f->ingest, &lease, &calls, &f->writer, ERR));
}

enum {
    TEXT_IDS_MAX = 4000
};

struct text_given {
    size_t count;   /* calls */
    size_t records; /* of them, with a record */
    int64_t ids[TEXT_IDS_MAX];
    struct crypto_sha256 hashes[TEXT_IDS_MAX]; /* of the record without "text of " */
    bool has_record[TEXT_IDS_MAX];
    const struct vault_reader *reader;
    size_t fail_at;    /* this call fails; 0: none */
    bool may_be_empty; /* in the place of one that holds no needle */
};

TEST_UNUSED static bool text_note(void *context, int64_t message_id, struct bytes record,
                                  struct err *err)
{
    struct text_given *given = context;
    size_t at = given->count++;

    CHECK(at < TEXT_IDS_MAX);
    given->ids[at] = message_id;
    given->has_record[at] = record.ptr != NULL && (record.len > 0 || !given->may_be_empty);
    CHECK_EQ_U64(vault_text_notes(given->reader), given->has_record[at] ? 3 : 0);
    if (given->has_record[at]) {
        CHECK(record.len >= 8 && memcmp(record.ptr, "text of ", 8) == 0);
        given->hashes[at] = crypto_hash(bytes_slice(record, 8, SIZE_MAX));
        given->records++;
    }
    return given->count != given->fail_at || err_fail(err, ERR_ABSENT, "enough");
}

/* Ids of the fixture's messages, ascending, and their hashes. */
struct text_messages {
    size_t count;
    int64_t ids[TEXT_IDS_MAX];
    struct crypto_sha256 hashes[TEXT_IDS_MAX];
};

TEST_UNUSED static void text_list_messages(struct fixture *f, struct text_messages *out)
{
    CLEANUP(db_result_free) struct db_result *rows = NULL;

    MUST(db_run_assembled(f->owner,
                          "SELECT message_id, sha256 FROM message WHERE account_id = $1 "
                          "ORDER BY message_id",
                          DB_ARGS(DB_I64(f->account_id)), &rows, ERR));
    out->count = db_rows(rows);
    CHECK(out->count <= TEXT_IDS_MAX);
    for (size_t i = 0; i < out->count; i++) {
        out->ids[i] = db_i64(rows, i, 0);
        memcpy(out->hashes[i].octets, db_bytes(rows, i, 1).ptr, CRYPTO_SHA256_BYTES);
    }
}

#define TEXT_QUERY(account, messages)                                                              \
    ((struct vault_text_query){                                                                    \
        .account_id = (account), .message_ids = (messages)->ids, .count = (messages)->count })

/* Reads the texts of all; every record must be that of its message, and each is given once. */
TEST_UNUSED static size_t text_read_all(struct fixture *f, const struct text_messages *messages)
{
    struct text_given *given = arena_new(f->arena, struct text_given);
    bool *seen = arena_new_array(f->arena, bool, messages->count);

    given->reader = f->reader;
    MUST(vault_read_texts(f->reader, &TEXT_QUERY(f->account_id, messages), text_note, given, ERR));
    CHECK_EQ_U64(given->count, messages->count);
    for (size_t i = 0; i < given->count; i++) {
        size_t at = 0;

        while (at < messages->count && messages->ids[at] != given->ids[i])
            at++;
        CHECK(at < messages->count && !seen[at]);
        seen[at] = true;
        if (given->has_record[i])
            CHECK_BYTES(crypto_sha256_bytes(&given->hashes[i]),
                        crypto_sha256_bytes(&messages->hashes[at]));
    }
    return given->records;
}
