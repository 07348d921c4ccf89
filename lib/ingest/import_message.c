/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message of a file: its octets, its date, its flags.
 */
#include "ingest/import_internal.h"
#include "mime/date.h"
#include "mime/header.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS_MAX                                                                                \
    (INT64_MAX / IMPORT_NS_A_SECOND - 1) /* the year 2262; file systems have later ones */

/* ---- pure -------------------------------------------------------------------------------------- */

static void take_date(struct import_header *out, struct bytes text)
{
    struct mime_date date;

    if (!mime_read_date(text, &date) || !vault_is_date(date.usec, date.zone_minutes))
        return;
    out->has_date = true;
    out->date = (struct imap_date_time){ date.usec, date.zone_minutes };
}

/* Where a Received field has its date; the whole value when it has no semicolon. */
static struct bytes behind_last_semicolon(struct bytes value)
{
    ssize_t at;

    while ((at = bytes_find_byte(value, ';')) >= 0)
        value = bytes_slice(value, (size_t)at + 1, SIZE_MAX);
    return value;
}

/* "RO", "AFDT": of the mail programs that keep an mbox. */
static uint8_t read_status(struct bytes letters)
{
    static const struct {
        char letter;
        uint8_t flag;
    } flags[] = { { 'R', VAULT_FLAG_SEEN },
                  { 'A', VAULT_FLAG_ANSWERED },
                  { 'F', VAULT_FLAG_FLAGGED },
                  { 'D', VAULT_FLAG_DELETED },
                  { 'T', VAULT_FLAG_DRAFT } };
    uint8_t found = 0;

    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (bytes_find_byte(letters, (uint8_t)flags[i].letter) >= 0)
            found |= flags[i].flag;
    return found;
}

/* "0009": of Thunderbird, in hexadecimal; "expunged" is what waits to be compacted away. */
static uint8_t read_mozilla_status(struct bytes digits)
{
    static const struct {
        uint32_t bit;
        uint8_t flag;
    } flags[] = { { 0x1, VAULT_FLAG_SEEN },
                  { 0x2, VAULT_FLAG_ANSWERED },
                  { 0x4, VAULT_FLAG_FLAGGED },
                  { 0x8, VAULT_FLAG_DELETED } };
    uint32_t number = 0;
    uint8_t found = 0;

    for (size_t i = 0; i < digits.len; i++) {
        uint8_t value = ascii_hex_value(digits.ptr[i]);

        if (value == ASCII_NO_HEX)
            return 0;
        number = number << 4 | value;
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if ((number & flags[i].bit) != 0)
            found |= flags[i].flag;
    return found;
}

void ingest_read_import_header(struct bytes head, struct import_header *out)
{
    uint8_t room[1024];
    bool has_received = false, has_own_date = false;
    struct mime_field field;

    *out = (struct import_header){ 0 };
    while (mime_read_field(&head, &field)) {
        struct bytes value = bytes_slice(field.value, 0, sizeof room);

        value = bytes_of(room, mime_unfold(value, room));
        if (bytes_equal_nocase(field.name, BYTES("Received")) && !has_received) {
            has_received = true;
            take_date(out, behind_last_semicolon(value));
        } else if (bytes_equal_nocase(field.name, BYTES("Date")) && !has_own_date) {
            has_own_date = true;
            if (!out->has_date)
                take_date(out, value);
        } else if (bytes_equal_nocase(field.name, BYTES("Status")) ||
                   bytes_equal_nocase(field.name, BYTES("X-Status"))) {
            out->flags |= read_status(value);
        } else if (bytes_equal_nocase(field.name, BYTES("X-Mozilla-Status"))) {
            out->flags |= read_mozilla_status(value);
        }
    }
}

/* A header of mail: fields only, one of those that mail has. */
static bool is_mail(struct bytes head)
{
    static const struct bytes usual[] = {
        BYTES_INIT("from"),         BYTES_INIT("to"),           BYTES_INIT("subject"),
        BYTES_INIT("date"),         BYTES_INIT("received"),     BYTES_INIT("message-id"),
        BYTES_INIT("return-path"),  BYTES_INIT("mime-version"), BYTES_INIT("sender"),
        BYTES_INIT("delivered-to"), BYTES_INIT("content-type"),
    };
    struct mime_field field;

    while (mime_read_field(&head, &field)) {
        if (field.name.len == 0)
            return false;
        for (size_t i = 0; i < ARRAY_LEN(usual); i++)
            if (bytes_equal_nocase(field.name, usual[i]))
                return true;
    }
    return false;
}

enum import_kind ingest_judge_file(struct bytes name, struct bytes head)
{
    static const struct bytes eml = BYTES_INIT(".eml");

    if (head.len == 0)
        return IMPORT_NOTHING;
    if (name.len > eml.len && bytes_end_with_nocase(name, eml))
        return IMPORT_MESSAGE;
    if (ingest_begins_mbox(head))
        return IMPORT_MBOX;
    return is_mail(head) ? IMPORT_MESSAGE : IMPORT_NOTHING;
}

/* ---- the file ---------------------------------------------------------------------------------- */

bool ingest_read_file(int fd, uint64_t offset, uint8_t *room, size_t size, size_t *got,
                      struct err *err)
{
    *got = 0;
    while (*got < size && offset <= INT64_MAX - size) {
        ssize_t some = pread(fd, room + *got, size - *got, (off_t)(offset + *got));

        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return err_errno(err, "cannot be read");
        if (some == 0)
            break;
        *got += (size_t)some;
    }
    return true;
}

bool ingest_file_is_same(const struct import_file *file)
{
    struct stat st;

    return fstat(file->fd, &st) == 0 && (uint64_t)st.st_size == file->facts.size_bytes &&
           ingest_modified_ns(st.st_mtim) == file->facts.modified_ns;
}

int64_t ingest_modified_ns(struct timespec time)
{
    if (time.tv_sec > SECONDS_MAX || time.tv_sec < -SECONDS_MAX)
        return time.tv_sec < 0 ? -SECONDS_MAX * IMPORT_NS_A_SECOND
                               : SECONDS_MAX * IMPORT_NS_A_SECOND;
    return time.tv_sec * IMPORT_NS_A_SECOND + time.tv_nsec;
}

/* ---- into the vault ---------------------------------------------------------------------------- */

struct pouring {
    struct ingest_sink sink;
    struct buf head;
    uint64_t left; /* of what the sink was promised */
};

static bool pour(void *context, struct bytes octets, struct err *err)
{
    struct pouring *pouring = context;

    if (octets.len > pouring->left) /* fewer lines are quoted than were counted */
        return err_fail(err, ERR_ABSENT, "the file changed since its messages were found");
    pouring->left -= octets.len;
    if (pouring->head.len < IMPORT_HEAD_BYTES)
        buf_append(&pouring->head, bytes_slice(octets, 0, IMPORT_HEAD_BYTES - pouring->head.len));
    return pouring->sink.octets(pouring->sink.context, octets, err);
}

/* From the file through the un-quoter. */
static bool pour_file(struct import *import, const struct import_message *message,
                      struct pouring *pouring, struct err *err)
{
    struct ingest_unquoter unquoter = ingest_begin_unquoting(message->format, pour, pouring);
    uint64_t left = message->bytes;

    while (left > 0) {
        size_t size = left < IMPORT_CHUNK_BYTES ? (size_t)left : IMPORT_CHUNK_BYTES;
        size_t got;

        if (!ingest_beat_import(import, err) ||
            !ingest_read_file(message->file->fd, message->offset + message->bytes - left,
                              import->chunk, size, &got, err))
            return false;
        if (got < size)
            return err_fail(err, ERR_ABSENT, "the file became shorter while it was read");
        if (!ingest_unquote(&unquoter, bytes_of(import->chunk, got), err))
            return false;
        left -= size;
    }
    return ingest_end_unquoting(&unquoter, err);
}

static struct imap_date_time date_of(const struct import_message *message,
                                     const struct import_header *header)
{
    struct imap_date_time modified = { message->file->facts.modified_ns / 1000, 0 };

    if (message->has_date)
        return message->date;
    if (!message->file->is_maildir && header->has_date)
        return header->date;
    return vault_is_date(modified.usec, 0) ? modified : (struct imap_date_time){ 0, 0 };
}

static bool end_message(const struct import_message *message, struct pouring *pouring,
                        struct err *err)
{
    struct ingest_maildir_flags flags;
    struct import_header header;
    struct imap_fetch_response arrival = {
        .has = IMAP_HAS_UID | IMAP_HAS_FLAGS | IMAP_HAS_INTERNALDATE,
        .uid = { message->uid },
        .body_bytes = message->size_bytes,
    };

    ingest_read_import_header(buf_bytes(&pouring->head), &header);
    arrival.internaldate = date_of(message, &header);
    if (message->file->is_emlx) {
        arrival.flags.system = message->flags;
    } else if (message->is_in_mbox) {
        arrival.flags.system = header.flags;
    } else if (message->file->is_maildir) {
        ingest_read_maildir_flags(message->file->facts.path, message->keywords, &flags);
        arrival.flags.system = flags.system;
        arrival.flags.keywords = flags.keywords;
        arrival.flags.keyword_count = flags.keyword_count;
    }
    if (!ingest_file_is_same(message->file)) {
        pouring->sink.abort(pouring->sink.context);
        return err_fail(err, ERR_ABSENT, "the file changed while it was read");
    }
    return pouring->sink.end(pouring->sink.context, &arrival, err);
}

static bool put_message(struct import *import, const struct import_message *message,
                        struct err *err)
{
    CLEANUP(buf_free) struct buf head = buf_create(IMPORT_HEAD_BYTES);
    struct pouring pouring = {
        .sink = ingest_make_sink(&import->run),
        .head = head,
        .left = message->size_bytes,
    };
    bool is_done;

    if (!pouring.sink.begin(pouring.sink.context, message->size_bytes, err))
        return false;
    is_done = pour_file(import, message, &pouring, err);
    if (!is_done)
        pouring.sink.abort(pouring.sink.context);
    is_done = is_done && end_message(message, &pouring, err);
    head = pouring.head;
    return is_done;
}

static bool use_batch(struct import *import, const struct import_target *target, struct err *err)
{
    struct ingest_run *run = &import->run;

    if (import->batch.mailbox_id == target->mailbox_id && import->batch.epoch == target->epoch)
        return true;
    if (!ingest_commit_import(import, err))
        return false;
    import->batch = *target;
    return ingest_archive(run,
                          vault_begin_batch(run->writer, target->mailbox_id, target->epoch, err));
}

bool ingest_import_message(struct import *import, const struct import_target *target,
                           const struct import_message *message, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct source_uid_failure failure = { .uid = message->uid };
    struct err why = { 0 };

    if (!use_batch(import, target, err))
        return false;
    if (put_message(import, message, &why))
        return true;
    if (run->has_archive_failed || run->was_stopped) {
        *err = why;
        return false;
    }
    if (run->progress.pending++ == 0)
        (void)snprintf(run->first_failure, sizeof run->first_failure, "%s", why.text);
    failure.error = bytes_of_text(why.text);
    return ingest_settle_import(import, err) &&
           ingest_archive(run, source_mark_failed(run->db, run->lease, target->mailbox_id,
                                                  target->epoch, &failure, 1, err));
}
