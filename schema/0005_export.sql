-- SPDX-License-Identifier: Apache-2.0
--
-- 0005_export: positions of the archive, at which an export can be made again; what a reader needs
-- beside the mail itself to say where each message came from.

SET LOCAL search_path = holdfast, pg_temp;

-- A moment of the archive: how far each mailbox of some accounts was. Never changed; two moments
-- between which nothing happened are one row (digest: over its rows below).
CREATE TABLE export_position (
    position_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    taken_at    timestamptz NOT NULL DEFAULT now(),
    accounts    bigint      NOT NULL,
    mailboxes   bigint      NOT NULL,
    digest      bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32)
);

-- All of a mailbox that an export names or depends on. ordinal: by account name and path, octet by
-- octet. position_id has no foreign key: account tables refer to no global one.
CREATE TABLE export_position_mailbox (
    account_id    bigint NOT NULL,
    position_id   bigint NOT NULL,
    mailbox_id    bigint NOT NULL,
    ordinal       bigint NOT NULL,
    account_name  text   NOT NULL,
    path          text   NOT NULL,
    special_use   text,
    uidvalidity   bigint NOT NULL,
    uidnext       bigint NOT NULL,
    highestmodseq bigint NOT NULL,
    PRIMARY KEY (account_id, position_id, mailbox_id),
    FOREIGN KEY (account_id, mailbox_id) REFERENCES mailbox (account_id, mailbox_id)
);
CREATE INDEX export_position_order ON export_position_mailbox (position_id, ordinal);

-- The state of a placement at a MODSEQ is one step; the foreign key to placement has its index too.
CREATE INDEX flag_event_uid ON flag_event (account_id, mailbox_id, uid, modseq);

REVOKE ALL ON export_position, export_position_mailbox FROM PUBLIC;
GRANT SELECT ON export_position_mailbox TO holdfast_reader;

-- Where a message came from: an export names source UIDs and their UIDVALIDITY.
GRANT SELECT (account_id, mailbox_id, epoch, uid, state, placement_uid) ON source_uid
    TO holdfast_reader;
GRANT SELECT (account_id, mailbox_id, epoch, uidvalidity) ON source_epoch TO holdfast_reader;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['export_position', 'export_position_mailbox'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['export_position_mailbox', 'source_uid', 'source_epoch'] LOOP
        EXECUTE format('CREATE POLICY reader ON %I FOR SELECT TO holdfast_reader '
                       'USING (account_id = ANY ((SELECT session_accounts())::bigint[]))', t);
    END LOOP;
END
$$;
