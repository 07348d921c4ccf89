/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/harness/text_find.c - what lib/text finds, for comparison with a server:
 * test_text_differential.py.
 *
 * Standard input is commands, each a line and octets behind it:
 *     message SIZE             takes a message; nothing is answered
 *     record NUMBER            answers "SIZE", LF, the record's octets, LF
 *     strange                  answers a line of message numbers: those with a Content-Type that is
 *                              none, or an unknown transfer encoding
 *     search KEY FIELD SIZE    needle; answers a line of message numbers, those that match; KEY is
 *                              TEXT, BODY, HEADER, SUBJECT, FROM, TO, CC or BCC
 */
#include "mime/summary.h"
#include "mime/transfer.h"
#include "text/extract.h"
#include "text/fold.h"
#include "text/match.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MESSAGES_MAX = 100000,
    ARENA_BYTES = 1 << 20,
};

static const char *const column_names[] = { "SUBJECT", "FROM", "TO", "CC", "BCC" };

struct message {
    struct bytes octets;
    struct bytes record;
    bool is_whole;
    bool is_strange;
    struct bytes columns[ARRAY_LEN(column_names)]; /* ptr NULL: no such field */
};

static struct message messages[MESSAGES_MAX];
static size_t message_count;
static struct text_extractor *extractor;

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "text_find: %s\n", why);
    exit(2);
}

static struct bytes read_octets(size_t size)
{
    uint8_t *octets = malloc(size + 1);

    if (octets == NULL || fread(octets, 1, size, stdin) != size)
        give_up("octets expected");
    return bytes_of(octets, size);
}

static struct bytes copy(struct bytes from)
{
    uint8_t *octets = malloc(from.len + 1);

    if (octets == NULL)
        give_up("no memory");
    if (from.len > 0)
        memcpy(octets, from.ptr, from.len);
    return bytes_of(octets, from.len);
}

static struct bytes fold_column(struct bytes text)
{
    CLEANUP(buf_free) struct buf folded = buf_create(SIZE_MAX);

    text_fold_line(text, &folded);
    return text.ptr == NULL ? text : copy(buf_bytes(&folded));
}

static void fill_columns(struct message *message, const struct mime_part *root)
{
    struct arena *arena = arena_create(ARENA_BYTES);
    struct mime_summary summary;
    struct bytes texts[ARRAY_LEN(column_names)];

    mime_summarise(root->envelope, mime_parser_header(text_parser(extractor)), arena, &summary);
    texts[0] = summary.subject;
    texts[1] = summary.from;
    texts[2] = summary.to;
    texts[3] = summary.cc;
    texts[4] = summary.bcc;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        message->columns[i] = fold_column(texts[i]);
    arena_free(&arena);
}

static bool is_strange(const struct mime_part *part)
{
    for (; part != NULL; part = mime_next_part(part)) {
        bool is_known;

        (void)mime_transfer_of(part->content.encoding, &is_known);
        if (!is_known || (part->content.type != NULL && part->content.type->len == 0) ||
            (part->content.type != NULL && part->content.subtype.len == 0))
            return true;
    }
    return false;
}

static void take_message(size_t size)
{
    struct mime_part *root;
    struct text_record_writer *writer = text_create_record();
    struct text_sink sink = text_record_sink(writer);
    struct message *message = &messages[message_count++];
    struct bytes record;

    if (message_count == MESSAGES_MAX)
        give_up("too many messages");
    message->octets = read_octets(size);
    text_begin(extractor, &sink, 1);
    text_feed(extractor, message->octets);
    root = text_end(extractor);
    fill_columns(message, root);
    message->is_strange = is_strange(root);
    message->is_whole = text_record(writer, &record);
    if (message->is_whole)
        message->record = copy(record);
    text_free_record(&writer);
}

static bool match_octets(struct text_matcher *matcher, struct bytes octets)
{
    struct text_sink sink = text_match_sink(matcher);

    text_reset_matcher(matcher);
    text_begin(extractor, &sink, 1);
    text_feed(extractor, octets);
    (void)text_end(extractor);
    return text_has_matched(matcher);
}

static void search_records(enum text_scope scope, struct bytes field, struct bytes needle)
{
    struct text_matcher *matcher;
    struct err err = { 0 };

    if (!text_create_matcher(scope, field, needle, &matcher, &err))
        give_up(err.text);
    for (size_t i = 0; i < message_count; i++)
        if (messages[i].is_whole ? text_match_record(matcher, messages[i].record)
                                 : match_octets(matcher, messages[i].octets))
            printf(" %zu", i + 1);
    text_free_matcher(&matcher);
}

static void search_column(size_t column, struct bytes needle)
{
    struct bytes folded = fold_column(needle);

    for (size_t i = 0; i < message_count; i++) {
        struct bytes text = messages[i].columns[column];

        if (text.ptr != NULL && bytes_find(text, folded) >= 0)
            printf(" %zu", i + 1);
    }
    free((void *)(uintptr_t)folded.ptr);
}

static void search(const char *key, const char *field, struct bytes needle)
{
    static const char *const scopes[] = { "TEXT", "BODY", "HEADER" };

    for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
        if (strcmp(key, scopes[i]) == 0)
            search_records((enum text_scope)i, bytes_of_text(field), needle);
    for (size_t i = 0; i < ARRAY_LEN(column_names); i++)
        if (strcmp(key, column_names[i]) == 0)
            search_column(i, needle);
    putchar('\n');
}

static void print_record(size_t number)
{
    struct bytes record;

    if (number == 0 || number > message_count)
        give_up("no such message");
    record = messages[number - 1].record;
    printf("%zu\n", record.len);
    fwrite(record.ptr, 1, record.len, stdout);
    putchar('\n');
}

static void print_strange(void)
{
    for (size_t i = 0; i < message_count; i++)
        if (messages[i].is_strange)
            printf(" %zu", i + 1);
    putchar('\n');
}

int main(void)
{
    char line[4096], key[64], field[2048];
    size_t size;

    extractor = text_create_extractor();
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "message %zu", &size) == 1) {
            take_message(size);
        } else if (sscanf(line, "record %zu", &size) == 1) {
            print_record(size);
        } else if (strcmp(line, "strange\n") == 0) {
            print_strange();
        } else if (sscanf(line, "search %63s %2047s %zu", key, field, &size) == 3) {
            struct bytes needle = read_octets(size);

            search(key, field, needle);
            free((void *)(uintptr_t)needle.ptr);
        } else {
            give_up("unknown command");
        }
        fflush(stdout);
    }
    return 0;
}
