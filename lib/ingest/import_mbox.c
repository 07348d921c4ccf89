/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An mbox: first where its messages lie, all of them, then the octets of those that are not archived.
 */
#include "ingest/import_internal.h"

enum {
    DOUBTS_BYTES = 1024,
};

struct mbox {
    struct import *import;
    struct import_file *file;
    int64_t mailbox_id;
    struct source_mbox known;
    struct source_span *spans; /* that were found and not announced yet */
    size_t span_count;
    uint64_t messages;
    uint64_t doubtful; /* of them */
    uint64_t bad_lengths;
    bool is_cut;
};

static bool read_at(void *context, uint64_t offset, uint8_t *room, size_t size, size_t *got,
                    struct err *err)
{
    struct mbox *mbox = context;

    return ingest_beat_import(mbox->import, err) &&
           ingest_read_file(mbox->file->fd, offset, room, size, got, err);
}

static bool announce(struct mbox *mbox, struct err *err)
{
    struct import *import = mbox->import;
    struct ingest_run *run = &import->run;
    size_t count = mbox->span_count;

    mbox->span_count = 0;
    run->progress.messages += count;
    if (import->is_dry || count == 0)
        return true;
    return ingest_settle_import(import, err) &&
           ingest_archive(run,
                          source_announce_spans(run->db, run->lease, mbox->mailbox_id, &mbox->known,
                                                mbox->spans, count, &run->progress, err));
}

static bool add_span(struct mbox *mbox, const struct ingest_mbox_message *message, struct err *err)
{
    struct source_span *span = &mbox->spans[mbox->span_count];

    if (++mbox->messages > UINT32_MAX)
        return err_fail(err, ERR_LIMIT, "more messages than there are UIDs");
    *span = (struct source_span){
        .uid = (uint32_t)mbox->messages,
        .offset = message->offset,
        .bytes = message->bytes,
        .size_bytes = message->size_bytes,
    };
    span->has_date = ingest_read_separator_date(message->separator, &span->internal_usec,
                                                &span->internal_zone) &&
                     vault_is_date(span->internal_usec, span->internal_zone);
    mbox->is_cut = message->is_cut;
    mbox->doubtful += message->is_doubtful;
    mbox->bad_lengths += message->has_bad_length;
    mbox->import->run.progress.size_notes += message->has_bad_length;
    mbox->span_count++;
    return mbox->span_count < IMPORT_PAGE_SPANS || announce(mbox, err);
}

static bool scan(struct mbox *mbox, struct err *err)
{
    CLEANUP(ingest_close_mbox)
    struct ingest_mbox *reader = ingest_open_mbox(mbox->import->mbox_format, read_at, mbox);
    struct ingest_mbox_message message;
    bool has_one = true;

    while (has_one)
        if (!ingest_next_message(reader, &message, &has_one, err) ||
            (has_one && !add_span(mbox, &message, err)))
            return false;
    if (!announce(mbox, err))
        return false;
    return ingest_file_is_same(mbox->file) ||
           err_fail(err, ERR_ABSENT, "the file changed while it was read: import it again");
}

/* The messages that are pending, in the order of the file. */
static bool archive(struct mbox *mbox, struct err *err)
{
    struct import *import = mbox->import;
    struct ingest_run *run = &import->run;
    struct import_target target = { mbox->mailbox_id, mbox->known.epoch };
    const struct source_span *spans;
    size_t count = IMPORT_PAGE_SPANS;
    uint32_t after = 0;

    while (count == IMPORT_PAGE_SPANS) {
        arena_reset(run->window_arena);
        if (!ingest_settle_import(import, err) ||
            !ingest_archive(run, source_load_spans(run->db, run->lease, mbox->mailbox_id,
                                                   mbox->known.epoch, after, IMPORT_PAGE_SPANS,
                                                   run->window_arena, &spans, &count, err)))
            return false;
        for (size_t i = 0; i < count; i++) {
            struct import_message message = {
                .file = mbox->file,
                .uid = spans[i].uid,
                .offset = spans[i].offset,
                .bytes = spans[i].bytes,
                .size_bytes = spans[i].size_bytes,
                .has_date = spans[i].has_date,
                .date = { spans[i].internal_usec, spans[i].internal_zone },
                .format = import->mbox_format,
                .is_in_mbox = true,
            };

            after = spans[i].uid;
            if (!ingest_import_message(import, &target, &message, err))
                return false;
        }
    }
    return true;
}

/* False with *why set: the file's failure; with the archive's or a wish to stop, the import ends. */
static bool find_messages(struct mbox *mbox, struct err *why)
{
    struct import *import = mbox->import;
    struct ingest_run *run = &import->run;

    if (!ingest_open_import_mailbox(import, buf_bytes(&import->folder), mbox->file->stem,
                                    &mbox->mailbox_id, why))
        return false;
    if (import->is_dry)
        return scan(mbox, why);
    if (!ingest_archive(run, source_open_mbox(run->db, run->lease, mbox->mailbox_id,
                                              &mbox->file->facts, &mbox->known, why)))
        return false;
    if (mbox->known.is_read) {
        run->progress.files_known++;
        return true;
    }
    return scan(mbox, why) && ingest_settle_import(import, why) &&
           ingest_archive(run, source_count_import(run->db, run->lease, mbox->mailbox_id,
                                                   mbox->known.epoch, mbox->known.file_id, why));
}

/* What is archived, and perhaps not as it was. */
static bool tell_doubts(struct mbox *mbox, struct err *err)
{
    CLEANUP(buf_free) struct buf why = buf_create(DOUBTS_BYTES);

    if (mbox->is_cut)
        buf_text(
            &why,
            "ends within a line and may be cut; its last message is archived as far as it goes");
    if (mbox->doubtful > 0) {
        buf_text(&why, mbox->is_cut ? "; " : "");
        buf_u64(&why, mbox->doubtful);
        buf_text(&why,
                 " of its messages may go on behind the separator at their end, by their "
                 "Content-Length: if nothing in it is quoted, as in those of Dovecot, import it "
                 "again with --mbox-format mboxcl2");
    }
    if (mbox->bad_lengths > 0) {
        buf_text(&why, why.len > 0 ? "; " : "");
        buf_u64(&why, mbox->bad_lengths);
        buf_text(&why,
                 " of its messages have a Content-Length that leads to no separator: they are "
                 "archived up to the next one");
    }
    return why.len == 0 ||
           ingest_tell_problem(mbox->import, mbox->file->facts.path, true, buf_bytes(&why), err);
}

bool ingest_import_mbox(struct import *import, struct import_file *file, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct mbox mbox = { .import = import, .file = file };
    struct err why = { 0 };

    file->facts.mbox_format = ingest_mbox_format_name(import->mbox_format);
    arena_reset(run->window_arena);
    mbox.spans = arena_new_array(run->window_arena, struct source_span, IMPORT_PAGE_SPANS);
    if (!find_messages(&mbox, &why)) {
        *err = why;
        if (run->has_archive_failed || run->was_stopped)
            return false;
        err_clear(err);
        return ingest_tell_problem(import, file->facts.path, true, bytes_of_text(why.text), err);
    }
    if (!import->is_dry && !archive(&mbox, err))
        return false;
    file->is_handled = !mbox.known.is_read && !mbox.is_cut && mbox.doubtful + mbox.bad_lengths == 0;
    return tell_doubts(&mbox, err);
}
