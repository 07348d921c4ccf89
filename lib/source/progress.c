/* SPDX-License-Identifier: Apache-2.0 */
#include "source/progress.h"

static const struct {
    const char *name;
    size_t offset;
} counters[] = {
    { "mailboxes", offsetof(struct source_progress, mailboxes) },
    { "mailboxes_done", offsetof(struct source_progress, mailboxes_done) },
    { "mailboxes_failed", offsetof(struct source_progress, mailboxes_failed) },
    { "skipped", offsetof(struct source_progress, skipped) },
    { "messages", offsetof(struct source_progress, messages) },
    { "fetched", offsetof(struct source_progress, fetched) },
    { "bytes", offsetof(struct source_progress, bytes) },
    { "recognised", offsetof(struct source_progress, recognised) },
    { "refuted", offsetof(struct source_progress, refuted) },
    { "flag_changes", offsetof(struct source_progress, flag_changes) },
    { "gone", offsetof(struct source_progress, gone) },
    { "pending", offsetof(struct source_progress, pending) },
    { "size_notes", offsetof(struct source_progress, size_notes) },
    { "files", offsetof(struct source_progress, files) },
    { "files_known", offsetof(struct source_progress, files_known) },
    { "files_failed", offsetof(struct source_progress, files_failed) },
    { "files_left_out", offsetof(struct source_progress, files_left_out) },
    { "odd_responses", offsetof(struct source_progress, odd_responses) },
    { "truncated", offsetof(struct source_progress, truncated) },
};

static uint64_t *counter_at(struct source_progress *progress, size_t i)
{
    return (uint64_t *)(void *)((uint8_t *)progress + counters[i].offset);
}

void source_write_progress(struct buf *out, const struct source_progress *progress)
{
    struct source_progress copy = *progress;

    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        buf_text(out, i == 0 ? "{\"" : ",\"");
        buf_text(out, counters[i].name);
        buf_text(out, "\":");
        buf_u64(out, *counter_at(&copy, i));
    }
    buf_text(out, "}");
}

static void skip_blanks(struct bytes *in)
{
    while (scan_byte(in, ' ') || scan_byte(in, '\n') || scan_byte(in, '\t'))
        ;
}

static bool scan_mark(struct bytes *in, uint8_t mark)
{
    skip_blanks(in);
    return scan_byte(in, mark);
}

static bool scan_member(struct bytes *in, struct source_progress *progress)
{
    struct bytes name;
    uint64_t value;

    if (!scan_mark(in, '"') || !scan_until_byte(in, '"', &name) || !scan_byte(in, '"') ||
        !scan_mark(in, ':'))
        return false;
    skip_blanks(in);
    if (!scan_u64(in, &value))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(counters); i++)
        if (bytes_equal(name, bytes_of_text(counters[i].name)))
            *counter_at(progress, i) = value;
    return true;
}

bool source_read_progress(struct bytes json, struct source_progress *out, struct err *err)
{
    struct source_progress progress = { 0 };

    if (!scan_mark(&json, '{'))
        return err_fail(err, ERR_SYNTAX, "progress: object expected");
    while (!scan_mark(&json, '}'))
        if (!scan_member(&json, &progress) ||
            (!scan_mark(&json, ',') && (json.len == 0 || json.ptr[0] != '}')))
            return err_fail(err, ERR_SYNTAX, "progress: counters expected");
    *out = progress;
    return true;
}
