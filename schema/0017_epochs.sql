-- SPDX-License-Identifier: Apache-2.0
--
-- 0017_epochs: messages that a new source epoch shows again; mailboxes that their source renamed.

SET LOCAL search_path = holdfast, pg_temp;

-- recognises: the epoch shows what another one showed before, and is not whole yet.
-- refuted_at: a sample of what was recognised turned out to be other octets, so that all of it came.
-- is_settled, of an epoch that is not the first: it was whole once, and what earlier ones had and it has not is
-- marked as gone.
-- enumerated_in: job.started_at of the run that last enumerated it. That run does not look again after it gave way
-- to others; which one it was is told by equality, since clocks are set back. NULL: none that may rest on it, for
-- some of what it showed was given up since.
ALTER TABLE source_epoch
    ADD COLUMN recognises boolean NOT NULL DEFAULT false,
    ADD COLUMN refuted_at timestamptz,
    ADD COLUMN is_settled boolean NOT NULL DEFAULT false,
    ADD COLUMN enumerated_in timestamptz;

---------------------------------------------------------------------------------------------------
-- Renamed mailboxes
---------------------------------------------------------------------------------------------------

-- What the source calls the mailbox, whatever its name (MAILBOXID, RFC 8474); NULL: nothing.
ALTER TABLE mailbox
    ADD COLUMN object_id text CHECK (octet_length(object_id) BETWEEN 1 AND 255);

-- Paths that mailboxes had until their source renamed them.
CREATE TABLE mailbox_former (
    account_id bigint      NOT NULL,
    mailbox_id bigint      NOT NULL,
    path       text        NOT NULL,
    until      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, mailbox_id, until),
    FOREIGN KEY (account_id, mailbox_id) REFERENCES mailbox (account_id, mailbox_id)
);
ALTER TABLE mailbox_former ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON mailbox_former TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);
CREATE POLICY rebuild ON mailbox_former TO holdfast_rebuild
    USING ((SELECT rebuild_is_running())) WITH CHECK ((SELECT rebuild_is_running()));

REVOKE ALL ON mailbox_former FROM PUBLIC;
GRANT SELECT, INSERT ON mailbox_former TO holdfast_ingest, holdfast_rebuild;
GRANT SELECT ON mailbox_former TO holdfast_keeper;
GRANT UPDATE (path, source_name, delimiter, object_id) ON mailbox TO holdfast_ingest;
