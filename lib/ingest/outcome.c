/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/outcome.h"

#include "base/buf.h"
#include "imap/mailbox.h"
#include "ingest/provider.h"

#include <stdio.h>

/* Length of the UTF-8 sequence in front, 0: none, or a control character. */
static size_t printable_length(struct bytes text)
{
    uint8_t first = text.ptr[0];
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (first < 0x20 || first == 0x7f || (first == 0xc2 && text.len > 1 && text.ptr[1] < 0xa0))
        return 0;
    return len <= text.len && imap_is_utf8(bytes_slice(text, 0, len)) ? len : 0;
}

/* Names and errors were cut on their way here, perhaps within a character; the database takes whole
 * ones only, and without its outcome a job would never end. */
static void finish(struct buf *line, char text[INGEST_OUTCOME_BYTES])
{
    struct bytes octets = buf_bytes(line);
    size_t at = 0;

    while (octets.len > 0) {
        size_t len = printable_length(octets);

        if (at + (len == 0 ? 1 : len) > INGEST_OUTCOME_BYTES - 1)
            break;
        if (len == 0)
            text[at++] = '?';
        for (size_t i = 0; i < len; i++)
            text[at++] = (char)octets.ptr[i];
        octets = bytes_slice(octets, len == 0 ? 1 : len, SIZE_MAX);
    }
    text[at] = '\0';
    buf_free(line);
}

static struct buf start(struct bytes name)
{
    struct buf line = buf_create(INGEST_OUTCOME_BYTES * 4);

    buf_text(&line, "account ");
    buf_append(&line, name);
    buf_text(&line, ": ");
    return line;
}

/* 3,412 */
static void add_number(struct buf *line, uint64_t value)
{
    if (value >= 1000) {
        add_number(line, value / 1000);
        buf_text(line, ",");
        buf_u64_padded(line, value % 1000, 3);
    } else {
        buf_u64(line, value);
    }
}

static void add_count(struct buf *line, uint64_t value, const char *one, const char *many)
{
    add_number(line, value);
    buf_text(line, " ");
    buf_text(line, value == 1 ? one : many);
}

/* What the run brought. */
static void add_gains(struct buf *line, const struct source_progress *progress)
{
    add_count(line, progress->mailboxes, "mailbox", "mailboxes");
    if (progress->skipped > 0) {
        buf_text(line, " (");
        add_number(line, progress->skipped);
        buf_text(line, " more are left out by rule)");
    }
    if (progress->fetched == 0 && progress->flag_changes == 0 && progress->gone == 0 &&
        progress->recognised == 0) {
        buf_text(line, ", nothing new");
        return;
    }
    buf_text(line, ", ");
    add_count(line, progress->fetched, "new message", "new messages");
    if (progress->flag_changes > 0) {
        buf_text(line, ", ");
        add_count(line, progress->flag_changes, "change of flags", "changes of flags");
    }
    if (progress->gone > 0) {
        buf_text(line, ", ");
        add_number(line, progress->gone);
        buf_text(line, " gone at the source");
    }
    if (progress->recognised > 0) {
        buf_text(line, ", ");
        add_number(line, progress->recognised);
        buf_text(line, " known without a download");
    }
    if (progress->refuted > 0) {
        buf_text(line, ", all downloaded of ");
        add_count(line, progress->refuted, "mailbox", "mailboxes");
        buf_text(line, " where samples were not what they were taken for");
    }
}

void ingest_write_complete(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                           const struct source_progress *progress)
{
    struct buf line = start(name);

    buf_text(&line, "complete: ");
    add_gains(&line, progress);
    finish(&line, text);
}

void ingest_write_incomplete(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                             const struct source_progress *progress, const char *first)
{
    struct buf line = start(name);

    buf_text(&line, "not complete: ");
    if (progress->pending > 0) {
        add_count(&line, progress->pending, "message", "messages");
        buf_text(&line, " could not be fetched yet (holdfast failures shows why)");
    }
    if (progress->mailboxes_failed > 0) {
        buf_text(&line, progress->pending > 0 ? "; " : "");
        add_number(&line, progress->mailboxes_failed);
        buf_text(&line, " of ");
        add_count(&line, progress->mailboxes, "mailbox", "mailboxes");
        buf_text(&line, " could not be read, the first: ");
        buf_append(&line, bytes_slice(bytes_of_text(first), 0, 300));
    }
    buf_text(&line, "; tried again at the next run; so far ");
    add_gains(&line, progress);
    finish(&line, text);
}

void ingest_write_budget(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                         const struct source_progress *progress, uint64_t daily_bytes)
{
    struct buf line = start(name);

    buf_text(&line, "the day's budget of ");
    add_number(&line, daily_bytes / 1000000);
    buf_text(&line,
             " MB is spent (holdfast account edit --daily-bytes); goes on tomorrow (UTC); so far ");
    add_gains(&line, progress);
    finish(&line, text);
}

void ingest_warn_of_view(char text[INGEST_OUTCOME_BYTES], const char *provider, struct bytes path,
                         uint64_t messages, uint64_t more)
{
    struct buf line = buf_create(INGEST_OUTCOME_BYTES * 4);

    buf_text(&line, text);
    buf_text(&line, "; possibly truncated: ");
    buf_append(&line, bytes_slice(path, 0, 100));
    buf_text(&line, " shows exactly ");
    add_count(&line, messages, "message", "messages");
    buf_text(&line, ", the most that ");
    buf_text(&line, provider);
    buf_text(&line, " may show of one");
    if (more > 0) {
        buf_text(&line, " (");
        add_number(&line, more);
        buf_text(&line, more == 1 ? " other mailbox too)" : " other mailboxes too)");
    }
    finish(&line, text);
}

void ingest_write_distrust(char text[INGEST_OUTCOME_BYTES], struct bytes name)
{
    struct buf line = start(name);

    buf_text(&line, "not complete: the source gives one id (X-GM-MSGID, EMAILID) to different "
                    "messages: its ids are not trusted any more, and mailboxes that were filled by "
                    "them are read again in the next run");
    finish(&line, text);
}

static void add_left_out(struct buf *line, const struct ingest_left_out *left_out)
{
    static const char *const reasons[SOURCE_LEFT_OUT_REASONS] = {
        [SOURCE_LEFT_OUT_BY_PATTERN] = "by --include and --exclude",
        [SOURCE_LEFT_OUT_OTHERS] = "as other users' (--namespace others)",
        [SOURCE_LEFT_OUT_SHARED] = "as shared (--namespace shared)",
    };

    for (size_t i = SOURCE_NOT_LEFT_OUT + 1; i < SOURCE_LEFT_OUT_REASONS; i++) {
        if (left_out->counts[i] == 0)
            continue;
        buf_text(line, "; left out ");
        buf_text(line, reasons[i]);
        buf_text(line, ": ");
        add_count(line, left_out->counts[i], "mailbox", "mailboxes");
        buf_text(line, left_out->counts[i] == 1 ? ", " : ", the first ");
        buf_append(line, bytes_slice(left_out->firsts[i], 0, 100));
    }
}

void ingest_write_test(char text[INGEST_OUTCOME_BYTES], struct bytes name, uint64_t mailboxes,
                       uint64_t messages, bool is_all_counted,
                       const struct ingest_left_out *left_out, const struct bytes *unmatched)
{
    struct buf line = start(name);

    buf_text(&line, "login ok, ");
    add_count(&line, mailboxes, "mailbox", "mailboxes");
    buf_text(&line, is_all_counted ? ", " : ", at least ");
    add_count(&line, messages, "message", "messages");
    add_left_out(&line, left_out);
    if (unmatched != NULL) {
        buf_text(&line, "; no mailbox matches the pattern ");
        buf_append(&line, bytes_slice(*unmatched, 0, 100));
    }
    finish(&line, text);
}

void ingest_write_import(char text[INGEST_OUTCOME_BYTES], struct bytes name,
                         const struct source_progress *progress, bool is_dry, const char *first)
{
    struct buf line = start(name);
    uint64_t failed = progress->files_failed + progress->pending;

    buf_text(&line, is_dry       ? "would import: "
                    : failed > 0 ? "import not complete: "
                                 : "import complete: ");
    add_count(&line, progress->mailboxes, "mailbox", "mailboxes");
    buf_text(&line, ", ");
    if (is_dry)
        add_count(&line, progress->messages, "message", "messages");
    else
        add_count(&line, progress->fetched, "new message", "new messages");
    if (progress->files_known > 0) {
        buf_text(&line, "; ");
        add_count(&line, progress->files_known, "file", "files");
        buf_text(&line, " known from before");
    }
    if (progress->files_left_out > 0) {
        buf_text(&line, "; ");
        add_count(&line, progress->files_left_out, "file", "files");
        buf_text(&line, " left out");
    }
    if (failed > 0) {
        buf_text(&line, "; ");
        add_number(&line, failed);
        buf_text(&line, " could not be read (holdfast failures shows why), the first: ");
        buf_append(&line, bytes_slice(bytes_of_text(first), 0, 300));
    }
    finish(&line, text);
}

void ingest_write_failure(char text[INGEST_OUTCOME_BYTES], struct bytes name, const struct err *err)
{
    struct buf line = start(name);
    const char *hint = ingest_hint_for(bytes_of_text(err->text));

    buf_text(&line, err->text);
    if (hint != NULL) {
        buf_text(&line, "; ");
        buf_text(&line, hint);
    }
    finish(&line, text);
}

void ingest_write_reason(char text[INGEST_OUTCOME_BYTES], const struct err *err)
{
    struct buf line = buf_create(ERR_TEXT_BYTES);

    buf_text(&line, err->text);
    finish(&line, text);
}

int64_t ingest_retry_seconds(const struct err *err, int32_t attempts, uint64_t jitter)
{
    int64_t seconds = INGEST_RETRY_MAX_SECONDS;
    int64_t asked = ingest_asked_to_wait(bytes_of_text(err->text));
    int64_t quarter;

    if (err->code == ERR_RETRY && attempts < 7)
        seconds = INGEST_RETRY_FIRST_SECONDS << (attempts < 0 ? 0 : attempts);
    if (seconds > INGEST_RETRY_MAX_SECONDS)
        seconds = INGEST_RETRY_MAX_SECONDS;
    quarter = seconds / 4;
    seconds -= quarter - (int64_t)(jitter % (uint64_t)(quarter + 1));
    return asked > seconds ? asked : seconds;
}

int64_t ingest_next_seconds(int32_t every_seconds, uint64_t jitter)
{
    int64_t tenth = every_seconds / 10;

    return every_seconds - tenth / 2 + (int64_t)(jitter % (uint64_t)(tenth + 1));
}

int64_t ingest_next_day_seconds(int64_t left_seconds, uint64_t jitter)
{
    return left_seconds + (int64_t)(jitter % 600);
}
