-- SPDX-License-Identifier: Apache-2.0
--
-- 0007_providers: what differs between providers: whose mailboxes are archived, and which are not.

SET LOCAL search_path = holdfast, pg_temp;

-- Archived besides the account's own mailboxes (RFC 2342).
ALTER TABLE account
    ADD COLUMN namespaces text[] NOT NULL DEFAULT '{}'
    CHECK (namespaces <@ ARRAY['others', 'shared']);

-- Mailboxes that the source lists and that are not archived, by rule; ended_at: no longer left out, or
-- no longer listed. reason: include and exclude, or a namespace that nobody asked for.
CREATE TABLE mailbox_left_out (
    account_id bigint      NOT NULL REFERENCES account (account_id),
    path       text        NOT NULL,
    reason     text        NOT NULL CHECK (reason IN ('pattern', 'others', 'shared')),
    since      timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    PRIMARY KEY (account_id, path)
);
ALTER TABLE mailbox_left_out ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON mailbox_left_out TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);

REVOKE ALL ON mailbox_left_out FROM PUBLIC;
GRANT SELECT, INSERT ON mailbox_left_out TO holdfast_ingest;
GRANT UPDATE (reason, since, ended_at) ON mailbox_left_out TO holdfast_ingest;
