-- SPDX-License-Identifier: Apache-2.0
--
-- 0017_epochs: messages that a new source epoch shows again, and which octets were not seen a second time.

SET LOCAL search_path = holdfast, pg_temp;

-- Why the octets of a stored UID were taken for archived ones instead of being downloaded
-- (ingest/README 17, 25): 'id': what the source calls it; 'header': its header, size and date. NULL: they
-- came. 'denied': they were taken so, and are to come after all; only while the UID is pending.
ALTER TABLE source_uid
    ADD COLUMN recognised_by text CHECK (recognised_by IN ('id', 'header', 'denied'));
CREATE INDEX source_uid_recognised ON source_uid (account_id, mailbox_id, epoch)
    WHERE recognised_by IS NOT NULL;

-- recognises: the epoch shows what another one showed before, and is not whole yet.
-- refuted_at: a sample of what was recognised turned out to be other octets, so that all of it came.
ALTER TABLE source_epoch
    ADD COLUMN recognises boolean NOT NULL DEFAULT false,
    ADD COLUMN refuted_at timestamptz;

GRANT UPDATE (recognised_by) ON source_uid TO holdfast_ingest;
GRANT SELECT (recognised_by) ON source_uid TO holdfast_reader;
