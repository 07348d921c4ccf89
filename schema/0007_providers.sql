-- SPDX-License-Identifier: Apache-2.0
--
-- 0007_providers: what differs between providers: whose mailboxes are archived, and which are not;
-- messages that are known again by what their source calls them.

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
    rule       text,                                      -- the exclude that says no; NULL: no include says yes
    PRIMARY KEY (account_id, path)
);
ALTER TABLE mailbox_left_out ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON mailbox_left_out TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);

REVOKE ALL ON mailbox_left_out FROM PUBLIC;
GRANT SELECT, INSERT ON mailbox_left_out TO holdfast_ingest;
GRANT UPDATE (reason, since, ended_at, rule) ON mailbox_left_out TO holdfast_ingest;

---------------------------------------------------------------------------------------------------
-- Known messages
---------------------------------------------------------------------------------------------------

-- Where ids of one kind mean the same: one login at one host. An id that turned out to stand for two
-- messages ends the trust in all of its scope, for good.
CREATE TABLE identity_scope (
    account_id    bigint      NOT NULL REFERENCES account (account_id),
    scope         int         NOT NULL CHECK (scope > 0),
    kind          text        NOT NULL CHECK (kind IN ('X-GM-MSGID', 'EMAILID')),
    host          text        NOT NULL,
    login         text        NOT NULL,
    placed        bigint      NOT NULL DEFAULT 0,         -- messages that were placed without a download
    distrusted_at timestamptz,
    PRIMARY KEY (account_id, scope),
    UNIQUE (account_id, kind, host, login)
);

-- What the source called a message whose octets came from it; its thread and labels, as they were then.
-- No foreign key to message: a row without one finds nothing.
CREATE TABLE message_identity (
    account_id bigint NOT NULL,
    scope      int    NOT NULL,
    identity   text   NOT NULL CHECK (octet_length(identity) BETWEEN 1 AND 255),
    message_id bigint NOT NULL,
    thread     text,
    labels     text[],
    PRIMARY KEY (account_id, scope, identity),
    FOREIGN KEY (account_id, scope) REFERENCES identity_scope (account_id, scope)
);

-- By what is unique over accounts (README 5).
CREATE INDEX message_identity_message ON message_identity (message_id);

-- NULL: the octets of every UID of this epoch were seen. When the trust in the scope ends, the mailbox is
-- read again in a new epoch.
ALTER TABLE source_epoch ADD COLUMN identity_scope int;

-- Why the octets of a stored UID were taken for archived ones instead of being downloaded
-- (ingest/README 17, 25): 'id': what the source calls it; 'header': its header, size and date. NULL: they
-- came. 'denied': they were taken so, and are to come after all; only while the UID is pending.
ALTER TABLE source_uid
    ADD COLUMN recognised_by text CHECK (recognised_by IN ('id', 'header', 'denied'));
CREATE INDEX source_uid_recognised ON source_uid (account_id, mailbox_id, epoch)
    WHERE recognised_by IS NOT NULL;

GRANT UPDATE (recognised_by) ON source_uid TO holdfast_ingest;
GRANT SELECT (recognised_by) ON source_uid TO holdfast_reader;

REVOKE ALL ON identity_scope, message_identity FROM PUBLIC;
GRANT SELECT, INSERT ON identity_scope, message_identity TO holdfast_ingest;
GRANT UPDATE (placed, distrusted_at) ON identity_scope TO holdfast_ingest;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['identity_scope', 'message_identity'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
END
$$;
