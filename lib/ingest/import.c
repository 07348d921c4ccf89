/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/import.h"

#include "base/fd.h"
#include "base/limits.h"
#include "imap/mailbox.h"
#include "ingest/import_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ORDER_MS = 60000,
    /* a worker that was killed holds it so long */
    CLAIM_WAIT_MS = (SOURCE_LEASE_SECONDS + 5) * 1000,
    CLAIM_LOOK_MS = 200,
    ARENA_BYTES = 1 << 20, /* names of the run */
};

/* ---- what its parts ask for ---------------------------------------------------------------------- */

static bool is_asked_to_stop(struct import *import, int wait_ms)
{
    if (fd_wait(import->run.settings->stop_fd, wait_ms))
        import->run.was_stopped = true;
    return import->run.was_stopped;
}

bool ingest_beat_import(struct import *import, struct err *err)
{
    if (is_asked_to_stop(import, 0))
        return err_fail(err, ERR_RETRY, "asked to stop");
    if (import->is_dry || !deadline_has_passed(import->next_beat))
        return true;
    import->next_beat = deadline_after_ms(IMPORT_BEAT_MS);
    return ingest_prolong_lease(&import->run, err);
}

bool ingest_settle_import(struct import *import, struct err *err)
{
    return ingest_settle(&import->run, err);
}

bool ingest_commit_import(struct import *import, struct err *err)
{
    return import->batch.mailbox_id == 0 || ingest_commit(&import->run, err);
}

bool ingest_tell_problem(struct import *import, struct bytes path, bool is_failure,
                         struct bytes why, struct err *err)
{
    struct ingest_run *run = &import->run;

    run->progress.files_failed += is_failure;
    run->progress.files_left_out += !is_failure;
    if (is_failure && run->first_failure[0] == '\0')
        (void)snprintf(run->first_failure, sizeof run->first_failure, "%.*s: %.*s",
                       (int)bytes_slice(path, 0, 200).len, (const char *)path.ptr,
                       (int)bytes_slice(why, 0, 200).len, (const char *)why.ptr);
    if (import->is_dry)
        return true;
    import->has_problems |= is_failure;
    return ingest_settle_import(import, err) &&
           ingest_archive(run,
                          source_note_problem(run->db, run->lease, path, is_failure, why, err));
}

/* ---- mailboxes ------------------------------------------------------------------------------------ */

/* A path that the database takes: UTF-8 without controls; any other octet is %XX, and "%" too in such a
 * name. */
static void write_path(struct buf *out, struct bytes text)
{
    bool is_clean = imap_is_utf8(text);

    for (size_t i = 0; i < text.len; i++)
        is_clean = is_clean && text.ptr[i] >= 0x20 && text.ptr[i] != 0x7f;
    while (!is_clean && text.len > 0) {
        uint8_t c = text.ptr[0];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (c < 0x20 || c == 0x7f || c == '%' || len > text.len ||
            !imap_is_utf8(bytes_slice(text, 0, len))) {
            buf_byte(out, '%');
            buf_hex(out, bytes_slice(text, 0, 1));
            len = 1;
        } else {
            buf_append(out, bytes_slice(text, 0, len));
        }
        text = bytes_slice(text, len, SIZE_MAX);
    }
    buf_append(out, text);
}

static void add_levels(struct buf *out, struct bytes levels)
{
    if (levels.len == 0)
        return;
    if (out->len > 0)
        buf_byte(out, '/');
    buf_append(out, levels);
}

bool ingest_open_import_mailbox(struct import *import, struct bytes folder, struct bytes stem,
                                int64_t *mailbox_id, struct err *err)
{
    CLEANUP(buf_free) struct buf levels = buf_create(INGEST_PATH_BYTES);
    CLEANUP(buf_free) struct buf path = buf_create(INGEST_PATH_BYTES);
    struct ingest_run *run = &import->run;
    struct vault_listed listed = { .delimiter = BYTES("/") };

    add_levels(&levels, buf_bytes(&import->prefix));
    add_levels(&levels, folder);
    add_levels(&levels, stem);
    write_path(&path, levels.len == 0 ? BYTES("INBOX") : buf_bytes(&levels));
    if (levels.has_failed || path.has_failed)
        return err_fail(err, ERR_ABSENT, "the path of its mailbox is longer than %d octets",
                        INGEST_PATH_BYTES);
    run->progress.mailboxes++;
    run->progress.mailboxes_done++;
    *mailbox_id = 0;
    if (import->is_dry)
        return true;
    if (!ingest_commit_import(import, err))
        return false;
    listed.path = buf_bytes(&path);
    if (!ingest_archive(run, vault_open_mailbox(run->writer, &listed, mailbox_id, err)))
        return false;
    return *mailbox_id != 0 ||
           err_fail(err, ERR_ABSENT,
                    "its mailbox is one of the account's source: choose another with --mailbox");
}

/* ---- what is fed ---------------------------------------------------------------------------------- */

static bool close_folder(struct import *import, struct err *err)
{
    struct ingest_run *run = &import->run;

    if (!ingest_import_files(import, err))
        return false;
    if (import->is_folder_open && !import->is_dry &&
        (!ingest_commit_import(import, err) ||
         !ingest_archive(run, source_count_import(run->db, run->lease, import->messages.mailbox_id,
                                                  import->messages.epoch, 0, err))))
        return false;
    import->has_folder = false;
    import->is_folder_open = false;
    return true;
}

static bool open_folder(struct import *import, struct bytes folder, struct err *err)
{
    if (import->has_folder && bytes_equal(buf_bytes(&import->folder), folder))
        return true;
    if (!close_folder(import, err))
        return false;
    buf_reset(&import->folder, INGEST_FEED_TEXT_BYTES);
    buf_append(&import->folder, folder);
    import->has_folder = true;
    return true;
}

static bool copy_texts(struct import *import, const struct ingest_feed_record *record,
                       struct import_file *file, struct err *err)
{
    struct arena *arena = import->run.page_arena;

    return arena_try_copy(arena, record->name, SIZE_MAX, &file->facts.name, err) &&
           arena_try_copy(arena, record->path, SIZE_MAX, &file->facts.path, err) &&
           arena_try_copy(arena, record->stem, SIZE_MAX, &file->stem, err);
}

static bool add_file(struct import *import, const struct ingest_feed_record *record,
                     struct err *err)
{
    struct import_file *file;
    struct stat st;

    if (!open_folder(import, record->folder, err) ||
        (import->file_count == IMPORT_PAGE_FILES && !ingest_import_files(import, err)))
        return false;
    import->run.progress.files++;
    if (fstat(record->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ingest_tell_problem(import, record->path, false, BYTES("no file"), err);
    file = &import->files[import->file_count];
    *file = (struct import_file){
        .fd = -1,
        .is_maildir = record->kind == INGEST_FEED_MAILDIR,
        .facts.size_bytes = (uint64_t)st.st_size,
        .facts.modified_ns = ingest_modified_ns(st.st_mtim),
    };
    if (!copy_texts(import, record, file, err))
        return false;
    file->fd = dup(record->fd);
    if (file->fd < 0)
        return err_errno(err, "a file that was fed");
    import->file_count++;
    return true;
}

/* Those of a Maildir, whose files follow. Files that wait go by the ones before. */
static bool take_keywords(struct import *import, const struct ingest_feed_record *record,
                          struct err *err)
{
    struct err why = { 0 };
    size_t got = 0;

    if (!open_folder(import, record->folder, err) ||
        (import->file_count > 0 && !ingest_import_files(import, err)))
        return false;
    import->keywords = (struct ingest_maildir_keywords){ 0 };
    buf_reset(&import->keywords_file, INGEST_MAILDIR_KEYWORDS_BYTES);
    if (record->fd < 0)
        return true;
    if (!ingest_read_file(record->fd, 0, import->chunk, INGEST_MAILDIR_KEYWORDS_BYTES, &got, &why))
        return ingest_tell_problem(import, record->path, true, bytes_of_text(why.text), err);
    buf_append(&import->keywords_file, bytes_of(import->chunk, got));
    ingest_read_maildir_keywords(buf_bytes(&import->keywords_file), &import->keywords);
    return true;
}

static bool take_record(struct import *import, const struct ingest_feed_record *record,
                        struct err *err)
{
    switch (record->kind) {
    case INGEST_FEED_FILE:
    case INGEST_FEED_MAILDIR:
        return add_file(import, record, err);
    case INGEST_FEED_KEYWORDS:
        return take_keywords(import, record, err);
    case INGEST_FEED_FAILED:
        import->run.progress.files++;
        return ingest_tell_problem(import, record->path, true, record->name, err);
    case INGEST_FEED_LEFT_OUT:
        import->run.progress.files++;
        return ingest_tell_problem(import, record->path, false, record->name, err);
    case INGEST_FEED_END:
        return close_folder(import, err);
    case INGEST_FEED_ORDER:
        return err_fail(err, ERR_SYNTAX, "a second order");
    }
    UNREACHABLE();
}

static bool report_progress(struct import *import, struct err *err)
{
    return !deadline_has_passed(import->run.next_report) ||
           (ingest_settle_import(import, err) && ingest_report(&import->run, true, err));
}

static bool take_all(struct import *import, struct err *err)
{
    struct ingest_feed_record record = { .kind = INGEST_FEED_ORDER, .fd = -1 };

    while (record.kind != INGEST_FEED_END) {
        bool is_taken;

        if (!ingest_beat_import(import, err))
            return false;
        if (!ingest_receive_record(import->feed_fd, import->run.settings->stop_fd,
                                   deadline_after_ms(IMPORT_BEAT_MS), import->room, &record, err)) {
            if (err->code != ERR_RETRY)
                return false;
            err_clear(err); /* a long walk between two files, or a wish to stop */
            continue;
        }
        is_taken = take_record(import, &record, err);
        fd_close(&record.fd);
        if (!is_taken || !report_progress(import, err))
            return false;
    }
    return true;
}

/* ---- the job -------------------------------------------------------------------------------------- */

static bool finish(struct import *import, enum err_code code, const char *text, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct source_outcome outcome = { code, text, -1, SOURCE_REST_NONE };

    log_info(run->settings->log, "import finished", F_I64("account", run->lease->account_id),
             F_TEXT("outcome", err_code_name(code)), F_U64("files", run->progress.files),
             F_U64("fetched", run->progress.fetched), F_U64("bytes", run->progress.bytes),
             F_U64("files_failed", run->progress.files_failed));
    return ingest_archive(run, source_finish(run->db, run->lease, &outcome, &run->progress, err));
}

static bool finish_whole(struct import *import, struct err *err)
{
    struct ingest_run *run = &import->run;
    char text[INGEST_OUTCOME_BYTES];

    ingest_write_import(text, run->work.account.name, &run->progress, import->is_dry,
                        run->first_failure);
    return finish(import,
                  run->progress.files_failed + run->progress.pending > 0 ? ERR_ABSENT : ERR_NONE,
                  text, err);
}

/* It ended before its time. What the archive cannot be told is left to the lease. */
static bool finish_failed(struct import *import, const struct err *failure, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct err told = *failure;
    struct err ignored = { 0 };
    char text[INGEST_OUTCOME_BYTES];

    vault_close_writer(&run->writer); /* rolls back what is open */
    if (run->was_stopped)
        err_set(&told, ERR_RETRY, "stopped; the same command goes on where it was");
    else if (run->has_archive_failed)
        (void)err_wrap(&told, "the archive cannot be written");
    ingest_write_failure(text, run->work.account.name, &told);
    if (!run->has_archive_failed)
        return finish(import, told.code, text, err);
    if (failure->code != ERR_RETRY && failure->code != ERR_DENIED &&
        !finish(import, told.code, text, &ignored))
        err_clear(&ignored);
    *err = *failure;
    return false;
}

static bool run_import(struct import *import, struct err *err)
{
    struct ingest_run *run = &import->run;

    if (!ingest_archive(run, source_load_work(run->db, run->lease, run->arena, &run->work, err)))
        return false;
    if (run->work.is_removed)
        return err_fail(err, ERR_DENIED, "removed: nothing is imported");
    return ingest_open_writer(run, err) &&
           ingest_archive(run,
                          source_has_problems(run->db, run->lease, &import->has_problems, err)) &&
           take_all(import, err) && ingest_commit_import(import, err);
}

/* The job may still be a worker's that was killed: its lease ends soon. */
static bool claim(struct import *import, int64_t job_id, struct bytes owner, struct err *err)
{
    struct deadline deadline = deadline_after_ms(CLAIM_WAIT_MS);
    bool is_held = false;

    for (;;) {
        if (!source_claim_import(import->run.db, job_id, owner, &import->lease, &is_held, err))
            return false;
        if (is_held)
            return true;
        if (deadline_has_passed(deadline))
            return err_fail(err, ERR_RETRY, "another import into the account goes on");
        if (is_asked_to_stop(import, CLAIM_LOOK_MS))
            return err_fail(err, ERR_RETRY, "asked to stop");
    }
}

static bool take_order(struct import *import, int64_t *job_id, struct err *err)
{
    struct ingest_feed_record order;

    if (!ingest_receive_record(import->feed_fd, import->run.settings->stop_fd,
                               deadline_after_ms(ORDER_MS), import->room, &order, err))
        return err_wrap(err, "order of an import");
    if (order.kind != INGEST_FEED_ORDER) {
        fd_close(&order.fd);
        return err_fail(err, ERR_SYNTAX, "an import begins with its order");
    }
    import->mbox_format = order.mbox_format;
    import->is_dry = order.is_dry;
    buf_append(&import->prefix, order.folder);
    *job_id = order.job_id;
    return true;
}

static void clean_up(struct import *import)
{
    for (size_t i = 0; i < import->file_count; i++)
        fd_close(&import->files[i].fd);
    ingest_clean_up(&import->run);
    buf_free(&import->prefix);
    buf_free(&import->folder);
    buf_free(&import->keywords_file);
    free(import->chunk);
    free(import->room);
}

bool ingest_run_import(struct db *db, int feed_fd, struct bytes owner,
                       const struct ingest_settings *settings, struct err *err)
{
    CLEANUP(clean_up)
    struct import import = {
        .run = {
            .db = db,
            .settings = settings,
            .arena = arena_create(ARENA_BYTES),
            .window_arena = arena_create(INGEST_WINDOW_ARENA_BYTES),
            .page_arena = arena_create(INGEST_PAGE_ARENA_BYTES),
            .next_report = deadline_after_ms(INGEST_REPORT_MS),
            .next_commit = deadline_after_ms(INGEST_COMMIT_MS),
        },
        .feed_fd = feed_fd,
        .prefix = buf_create(INGEST_FEED_TEXT_BYTES),
        .folder = buf_create(INGEST_FEED_TEXT_BYTES),
        .keywords_file = buf_create(INGEST_MAILDIR_KEYWORDS_BYTES),
        .next_beat = deadline_after_ms(IMPORT_BEAT_MS),
        .chunk = malloc(IMPORT_CHUNK_BYTES),
        .room = malloc(INGEST_FEED_RECORD_BYTES),
    };
    struct err failure = { 0 };
    int64_t job_id;

    assert(import.chunk != NULL && import.room != NULL);
    import.run.lease = &import.lease;
    if (!take_order(&import, &job_id, err) || !claim(&import, job_id, owner, err))
        return false;
    log_info(settings->log, "import begins", F_I64("account", import.lease.account_id),
             F_I64("job", job_id), F_I64("fence", import.lease.fence));
    if (run_import(&import, &failure))
        return finish_whole(&import, err);
    return finish_failed(&import, &failure, err);
}
