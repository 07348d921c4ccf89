-- SPDX-License-Identifier: Apache-2.0
--
-- 0009_import: files that were imported (lib/ingest/import.h); who reindexes knows journals.
--
-- A mailbox whose messages come from files has an empty source_name: no source lists it, so no sync
-- marks it gone or archives into it.

SET LOCAL search_path = holdfast, pg_temp;

-- A file that an import read, or could not. A file that is one message (Maildir, EML) has the source UID of
-- that message; a version of an mbox has a source epoch of its own, in which UIDs count its messages.
-- modified_ns: since 1970. state: reading, read; failed, left_out: what is no message of a mailbox, and
-- why; settled: failed once, read since.
CREATE TABLE import_file (
    account_id  bigint NOT NULL REFERENCES account (account_id),
    file_id     bigint GENERATED ALWAYS AS IDENTITY,
    mailbox_id  bigint,
    epoch       int,
    uid         bigint,
    name        bytea  NOT NULL,                          -- in its folder; of a Maildir without flags
    path        bytea  NOT NULL,                          -- below what the operator named
    size_bytes  bigint NOT NULL,
    modified_ns bigint NOT NULL,
    mbox_format text,                                     -- of an mbox: as which it was read; NULL: not known
    state       text   NOT NULL CHECK (state IN ('reading', 'read', 'failed', 'left_out', 'settled')),
    note        text,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, file_id),
    FOREIGN KEY (account_id, mailbox_id, epoch)
        REFERENCES source_epoch (account_id, mailbox_id, epoch)
);
-- Names differ, so that it does not rival the primary key (README 5).
CREATE INDEX import_file_name ON import_file (name, mailbox_id);
CREATE INDEX import_file_uid ON import_file (mailbox_id, epoch, uid) WHERE mailbox_id IS NOT NULL;
CREATE INDEX import_file_problem ON import_file (account_id, noted_at)
    WHERE state IN ('failed', 'left_out', 'settled');

-- Where a message lies in an mbox: its octets in the file, still quoted, and what they come to.
CREATE TABLE import_span (
    account_id    bigint NOT NULL,
    mailbox_id    bigint NOT NULL,
    epoch         int    NOT NULL,
    uid           bigint NOT NULL,
    file_id       bigint NOT NULL,
    file_offset   bigint NOT NULL CHECK (file_offset >= 0),
    file_bytes    bigint NOT NULL CHECK (file_bytes > 0),
    size_bytes    bigint NOT NULL CHECK (size_bytes > 0),
    internal_at   timestamptz,                            -- of its separator; NULL: it has no date
    internal_zone smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, mailbox_id, epoch, uid),
    FOREIGN KEY (account_id, mailbox_id, epoch, uid)
        REFERENCES source_uid (account_id, mailbox_id, epoch, uid),
    FOREIGN KEY (account_id, file_id) REFERENCES import_file (account_id, file_id)
);

-- Claims this import, unless another worker holds it. No row: one does, or it is not asked for.
CREATE FUNCTION claim_import(job bigint, owner text, lease interval)
RETURNS TABLE (account_id bigint, fence bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    UPDATE job j
       SET fence = next_fence(j.fence), lease_owner = owner, due_at = now() + lease,
           started_at = now(), progress = '{}'
     WHERE j.job_id = job AND j.kind = 'import' AND j.is_active
       AND (j.lease_owner IS NULL OR j.due_at <= now() AND NOT is_held(j.job_id))
    RETURNING j.account_id, j.fence
$$;
REVOKE ALL ON FUNCTION claim_import(bigint, text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_import(bigint, text, interval) TO holdfast_ingest;

GRANT SELECT, INSERT ON import_file, import_span TO holdfast_ingest;
GRANT UPDATE (size_bytes, modified_ns, state, note, noted_at) ON import_file TO holdfast_ingest;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['import_file', 'import_span'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest USING (true) WITH CHECK (true)',
                       t);
    END LOOP;
END
$$;

-- What is derived from a message depends on whether its account is a journal.
GRANT SELECT (account_id, kind) ON account TO holdfast_reindex;
CREATE POLICY reindex ON account FOR SELECT TO holdfast_reindex
    USING (account_id = ANY ((SELECT session_accounts())::bigint[]));
