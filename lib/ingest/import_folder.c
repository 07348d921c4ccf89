/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a folder, some at a time: which are known, which are mail, which are to be archived.
 */
#include "base/fd.h"
#include "crypto/hash.h"
#include "ingest/container.h"
#include "ingest/emlx.h"
#include "ingest/import_internal.h"

enum {
    JUDGE_BYTES = 4096, /* of a file are looked at to say what it is */
};

/* ---- what they are ------------------------------------------------------------------------------ */

static bool leave_out(struct import *import, const struct import_file *file, const char *why,
                      struct err *err)
{
    return ingest_tell_problem(import, file->facts.path, false, bytes_of_text(why), err);
}

static bool fail_file(struct import *import, const struct import_file *file, const char *why,
                      struct err *err)
{
    return ingest_tell_problem(import, file->facts.path, true, bytes_of_text(why), err);
}

static bool judge_emlx(struct import *import, struct import_file *file, struct bytes head,
                       struct err *err)
{
    struct err why = { 0 };

    if (ingest_is_partial_emlx(file->facts.name))
        return fail_file(import, file,
                         "its attachments lie apart from it: export it from Apple Mail", err);
    if (!ingest_read_emlx(head, file->facts.size_bytes, &file->offset, &file->bytes, &why))
        return fail_file(import, file, why.text, err);
    file->is_emlx = true;
    file->kind = IMPORT_MESSAGE;
    return true;
}

static bool judge(struct import *import, struct import_file *file, struct err *err)
{
    const struct ingest_container *container;
    struct err why = { 0 };
    struct bytes head;
    size_t got;

    if (file->facts.size_bytes == 0)
        return leave_out(import, file, "empty", err);
    if (!ingest_read_file(file->fd, 0, import->chunk,
                          file->is_maildir ? INGEST_CONTAINER_BYTES : JUDGE_BYTES, &got, &why))
        return fail_file(import, file, why.text, err);
    head = bytes_of(import->chunk, got);
    file->bytes = file->facts.size_bytes;
    container = ingest_find_container(head);
    if (container == NULL || !container->is_packed) {
        if (!file->is_maildir && ingest_is_emlx(file->facts.name))
            return judge_emlx(import, file, head, err);
        file->kind = file->is_maildir ? IMPORT_MESSAGE : ingest_judge_file(file->facts.name, head);
    }
    return file->kind != IMPORT_NOTHING ||
           ingest_tell_problem(import, file->facts.path, container != NULL && container->is_failure,
                               bytes_of_text(container != NULL ? container->why : "no mail"), err);
}

/* ---- what is known of them ---------------------------------------------------------------------- */

/* Of the message in it. */
static bool hash_file(struct import *import, const struct import_file *file,
                      struct crypto_sha256 *out, struct err *err)
{
    CLEANUP(crypto_free_hasher) struct crypto_hasher *hasher = crypto_create_hasher();
    uint64_t left = file->bytes;
    size_t got = 1;

    while (left > 0 && got > 0) {
        size_t size = left < IMPORT_CHUNK_BYTES ? (size_t)left : IMPORT_CHUNK_BYTES;

        if (!ingest_beat_import(import, err) ||
            !ingest_read_file(file->fd, file->offset + file->bytes - left, import->chunk, size,
                              &got, err))
            return false;
        crypto_update_hasher(hasher, bytes_of(import->chunk, got));
        left -= got;
    }
    *out = crypto_finish_hasher(hasher);
    return true;
}

static bool touch(struct import *import, const struct source_known_file *known,
                  const struct import_file *file, struct err *err)
{
    struct ingest_run *run = &import->run;

    return ingest_settle_import(import, err) &&
           ingest_archive(run,
                          source_touch_file(run->db, run->lease, known->file_id,
                                            file->facts.size_bytes, file->facts.modified_ns, err));
}

static void note_known(struct import *import, struct import_file *file)
{
    import->run.progress.files_known++;
    file->is_handled = true;
    file->kind = IMPORT_NOTHING;
}

static bool is_same_version(const struct source_known_file *known, const struct import_file *file)
{
    return known->size_bytes == file->facts.size_bytes &&
           known->modified_ns == file->facts.modified_ns;
}

/* A time in whole seconds was set by a program (tar, zip, git), perhaps the same for all files: it does not tell
 * two files of one name and size apart. */
static bool is_time_telling(const struct import_file *file)
{
    return file->facts.modified_ns % IMPORT_NS_A_SECOND != 0;
}

/* A version of this name that was never archived: the file has changed since, and takes its place. */
static const struct source_known_file *find_unread(const struct source_known_files *known,
                                                   const struct import_file *file)
{
    for (size_t i = 0; i < known->count; i++)
        if (bytes_equal(known->rows[i].name, file->facts.name) && !known->rows[i].is_stored)
            return &known->rows[i];
    return NULL;
}

/* Of the versions known by this name: the one that the file is; NULL: none. */
static bool find_version(struct import *import, const struct source_known_files *known,
                         struct import_file *file, const struct source_known_file **found,
                         struct err *err)
{
    struct crypto_sha256 hash;
    bool has_hash = false;

    *found = NULL;
    for (size_t i = 0; i < known->count; i++)
        if (bytes_equal(known->rows[i].name, file->facts.name) &&
            is_same_version(&known->rows[i], file) &&
            (is_time_telling(file) || known->rows[i].sha256.len == 0))
            *found = &known->rows[i];
    for (size_t i = 0; i < known->count && *found == NULL; i++) {
        const struct source_known_file *row = &known->rows[i];

        if (!bytes_equal(row->name, file->facts.name) || row->sha256.len == 0)
            continue;
        if (!has_hash && !hash_file(import, file, &hash, err))
            return false;
        has_hash = true;
        if (bytes_equal(row->sha256, crypto_sha256_bytes(&hash)))
            *found = row;
    }
    if (*found == NULL)
        *found = find_unread(known, file);
    return true;
}

/* What the name of an archived file says now: nothing, when it has keywords without a name. A copy without
 * dovecot-keywords is no proof that they were taken away. */
static bool note_flags(struct import *import, const struct source_known_file *known,
                       const struct import_file *file, struct vault_change *changes, size_t *count,
                       struct err *err)
{
    struct vault_change *change = &changes[*count];
    struct ingest_maildir_flags read;
    struct imap_flags flags;

    ingest_read_maildir_flags(file->facts.path, &import->keywords, &read);
    if (read.has_unnamed)
        return true;
    flags = (struct imap_flags){ .keywords = read.keywords, .keyword_count = read.keyword_count };
    *change = (struct vault_change){ .uid = known->placement_uid,
                                     .flags = read.system,
                                     .keyword_count = read.keyword_count };
    if (!ingest_copy_keywords(&flags, false, import->run.page_arena, &change->keywords, err))
        return false;
    (*count)++;
    return true;
}

/* Flags that were changed since the last import. */
static bool record_flags(struct import *import, const struct vault_change *changes, size_t count,
                         struct err *err)
{
    struct ingest_run *run = &import->run;
    uint64_t changed = 0;

    if (count == 0)
        return true;
    if (!ingest_settle_import(import, err) ||
        !ingest_archive(run, vault_record_changes(run->writer, import->messages.mailbox_id, changes,
                                                  count, &changed, err)))
        return false;
    run->progress.flag_changes += changed;
    return true;
}

/* A known file is passed over, or takes the UID that still waits for it; a new one takes the next. Of a
 * Maildir what is passed over adds to changes. */
static bool settle_uid(struct import *import, const struct source_known_files *known,
                       struct import_file *file, struct vault_change *changes, size_t *count,
                       struct err *err)
{
    const struct source_known_file *version;

    if (!find_version(import, known, file, &version, err))
        return false;
    if (version == NULL) {
        if (import->next_uid == 0)
            return err_fail(err, ERR_LIMIT, "the mailbox has no UID left");
        file->facts.uid = import->next_uid++;
        return true;
    }
    if (!is_same_version(version, file) && !touch(import, version, file, err))
        return false;
    if (!version->is_stored) {
        file->facts.uid = version->uid;
        return true;
    }
    note_known(import, file);
    return !file->is_maildir || version->placement_uid == 0 ||
           note_flags(import, version, file, changes, count, err);
}

static bool load_known(struct import *import, struct source_known_files *known, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct bytes names[IMPORT_PAGE_FILES];
    size_t count = 0;

    for (size_t i = 0; i < import->file_count; i++)
        if (import->files[i].kind == IMPORT_MESSAGE)
            names[count++] = import->files[i].facts.name;
    return ingest_settle_import(import, err) &&
           ingest_archive(run, source_find_files(run->db, run->lease, import->messages.mailbox_id,
                                                 names, count, run->page_arena, known, err));
}

/* ---- archiving them ----------------------------------------------------------------------------- */

static bool open_folder(struct import *import, struct err *err)
{
    struct ingest_run *run = &import->run;

    if (import->is_folder_open)
        return true;
    if (!ingest_open_import_mailbox(import, buf_bytes(&import->folder), BYTES(""),
                                    &import->messages.mailbox_id, err))
        return false;
    if (!import->is_dry &&
        !ingest_archive(run, source_open_folder(run->db, run->lease, import->messages.mailbox_id,
                                                &import->messages.epoch, &import->next_uid, err)))
        return false;
    import->is_folder_open = true;
    return true;
}

/* Those that got a new UID, from `first` on. */
static bool announce(struct import *import, uint32_t first, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct source_file fresh[IMPORT_PAGE_FILES];
    size_t count = 0;

    for (size_t i = 0; i < import->file_count; i++)
        if (import->files[i].kind == IMPORT_MESSAGE) {
            run->progress.messages++;
            if (import->files[i].facts.uid >= first)
                fresh[count++] = import->files[i].facts;
        }
    return count == 0 ||
           (ingest_settle_import(import, err) &&
            ingest_archive(run, source_announce_files(
                                    run->db, run->lease, import->messages.mailbox_id,
                                    import->messages.epoch, fresh, count, &run->progress, err)));
}

/* What Apple Mail says of it, behind its octets; nothing, when that cannot be read. */
static void read_emlx_facts(struct import *import, const struct import_file *file,
                            struct import_message *message)
{
    struct ingest_emlx_facts facts;
    struct err ignored = { 0 };
    size_t got = 0;

    if (!ingest_read_file(file->fd, file->offset + file->bytes, import->chunk,
                          INGEST_EMLX_TAIL_BYTES, &got, &ignored))
        got = 0;
    ingest_read_emlx_facts(bytes_of(import->chunk, got), &facts);
    message->flags = facts.flags;
    message->has_date = facts.has_date;
    message->date = (struct imap_date_time){ facts.received_usec, 0 };
}

static bool archive_messages(struct import *import, struct err *err)
{
    for (size_t i = 0; i < import->file_count; i++) {
        struct import_file *file = &import->files[i];
        struct import_message message = {
            .file = file,
            .uid = file->facts.uid,
            .offset = file->offset,
            .bytes = file->bytes,
            .size_bytes = file->bytes,
            .format = INGEST_MBOXCL2, /* nothing is quoted */
            .keywords = &import->keywords,
        };
        uint64_t pending = import->run.progress.pending;

        if (file->kind != IMPORT_MESSAGE)
            continue;
        if (file->is_emlx)
            read_emlx_facts(import, file, &message);
        if (!ingest_import_message(import, &import->messages, &message, err))
            return false;
        file->is_handled = import->run.progress.pending == pending;
    }
    return true;
}

/* The mailbox of the folder cannot be had: each of its files fails. */
static bool fail_messages(struct import *import, const struct err *why, struct err *err)
{
    for (size_t i = 0; i < import->file_count; i++)
        if (import->files[i].kind == IMPORT_MESSAGE &&
            !ingest_tell_problem(import, import->files[i].facts.path, true,
                                 bytes_of_text(why->text), err))
            return false;
    return true;
}

static bool import_messages(struct import *import, struct err *err)
{
    struct vault_change changes[IMPORT_PAGE_FILES];
    struct source_known_files known;
    struct err why = { 0 };
    size_t changed = 0;
    uint32_t first;

    if (!open_folder(import, &why)) {
        *err = why;
        if (import->run.has_archive_failed || import->run.was_stopped)
            return false;
        err_clear(err);
        return fail_messages(import, &why, err);
    }
    if (import->is_dry)
        return true;
    first = import->next_uid;
    if (!load_known(import, &known, err))
        return false;
    for (size_t i = 0; i < import->file_count; i++) {
        struct import_file *file = &import->files[i];

        if (file->kind != IMPORT_MESSAGE ||
            settle_uid(import, &known, file, changes, &changed, &why))
            continue;
        *err = why;
        if (import->run.has_archive_failed || import->run.was_stopped)
            return false;
        err_clear(err);
        if (!ingest_tell_problem(import, file->facts.path, true, bytes_of_text(why.text), err))
            return false;
        file->kind = IMPORT_NOTHING;
        err_clear(&why);
    }
    return record_flags(import, changes, changed, err) && announce(import, first, err) &&
           archive_messages(import, err);
}

/* Paths that failed in an earlier run, perhaps, and did not in this one. */
static bool settle_problems(struct import *import, struct err *err)
{
    struct ingest_run *run = &import->run;
    struct bytes paths[IMPORT_PAGE_FILES];
    size_t count = 0;

    for (size_t i = 0; i < import->file_count && import->has_problems; i++)
        if (import->files[i].is_handled)
            paths[count++] = import->files[i].facts.path;
    return count == 0 ||
           (ingest_settle_import(import, err) &&
            ingest_archive(run, source_settle_problems(run->db, run->lease, paths, count, err)));
}

static bool import_files(struct import *import, struct err *err)
{
    bool has_messages = false;

    for (size_t i = 0; i < import->file_count; i++) {
        if (!judge(import, &import->files[i], err))
            return false;
        has_messages |= import->files[i].kind == IMPORT_MESSAGE;
        import->run.progress.messages += import->is_dry && import->files[i].kind == IMPORT_MESSAGE;
    }
    if (has_messages && !import_messages(import, err))
        return false;
    for (size_t i = 0; i < import->file_count; i++)
        if (import->files[i].kind == IMPORT_MBOX &&
            !ingest_import_mbox(import, &import->files[i], err))
            return false;
    return settle_problems(import, err);
}

bool ingest_import_files(struct import *import, struct err *err)
{
    bool is_done = import_files(import, err);

    for (size_t i = 0; i < import->file_count; i++)
        fd_close(&import->files[i].fd);
    import->file_count = 0;
    arena_reset(import->run.page_arena);
    return is_done;
}
