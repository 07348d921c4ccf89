-- SPDX-License-Identifier: Apache-2.0
--
-- 0015_catalogue: what catalogues tell besides mail, so that a rebuild knows it again: what became of UIDs
-- whose octets are not (or not surely) archived, ids of known messages, imported files.

SET LOCAL search_path = holdfast, pg_temp;

-- When the UID was found to stand for a placement that had been there before, though it, or one behind it, was known
-- already: packs may have told it otherwise, or passed it over.
ALTER TABLE source_uid ADD COLUMN matched_at timestamptz;
CREATE INDEX source_uid_matched ON source_uid (account_id, mailbox_id, matched_at)
    WHERE matched_at IS NOT NULL;
GRANT UPDATE (matched_at) ON source_uid TO holdfast_ingest;

-- Source UIDs that the catalogue of a new pack tells: those of placements that it tells, of told ones those that
-- were found since (a new epoch), and those that were matched since. One pass over a mailbox that has any: no join,
-- whose plan would need statistics. The arrays are vault_seal_cuts.
CREATE FUNCTION seal_sources(account bigint, mailboxes bigint[], epochs_from int[], uids_from bigint[],
                             epochs_to int[], uids_to bigint[], placements_from bigint[],
                             placements_to bigint[])
RETURNS TABLE (mailbox_id bigint, epoch int, uid bigint, placement_uid bigint, recognised_by text)
LANGUAGE sql STABLE SET search_path = holdfast, pg_temp AS $$
    SELECT s.mailbox_id, s.epoch, s.uid, s.placement_uid, s.recognised_by
      FROM (SELECT coalesce(max(a.sealed_at) - interval '1 hour', '-infinity') AS since
              FROM seal_account a WHERE a.account_id = account) sealed
     CROSS JOIN unnest(mailboxes, epochs_from, uids_from, epochs_to, uids_to, placements_from,
                       placements_to)
           AS c (mailbox_id, epoch_from, uid_from, epoch_to, uid_to, placement_from, placement_to)
     CROSS JOIN LATERAL (
           SELECT s.* FROM source_uid s
            WHERE s.account_id = account AND s.mailbox_id = c.mailbox_id
              AND s.placement_uid <= c.placement_to
              AND (s.placement_uid > c.placement_from
                   OR ((s.epoch, s.uid) > (c.epoch_from, c.uid_from)
                       AND (s.epoch, s.uid) <= (c.epoch_to, c.uid_to))
                   OR s.matched_at > sealed.since)
            ORDER BY s.epoch, s.uid OFFSET 0) s
     WHERE c.placement_to > c.placement_from
        OR (c.epoch_to, c.uid_to) > (c.epoch_from, c.uid_from)
        OR EXISTS (SELECT FROM source_uid m
                    WHERE m.account_id = account AND m.mailbox_id = c.mailbox_id
                      AND m.matched_at > sealed.since)
$$;

-- Changes of who may see what and of what must stay: an installation pack should tell of them soon.
CREATE INDEX audit_event_rights ON audit_event (event_id)
    WHERE event IN ('auditor_add', 'auditor_passwd', 'grant', 'revoke', 'hold', 'retention');

REVOKE ALL ON FUNCTION seal_sources FROM PUBLIC;
GRANT EXECUTE ON FUNCTION seal_sources TO holdfast_keeper;
GRANT SELECT ON identity_scope, message_identity, import_file TO holdfast_keeper;
CREATE POLICY keeper ON import_file FOR SELECT TO holdfast_keeper USING (true);

-- Of an interrupted rebuild: were UIDs raised already?
GRANT SELECT ON seal_mailbox TO holdfast_rebuild;
CREATE POLICY rebuild ON seal_mailbox FOR SELECT TO holdfast_rebuild
    USING ((SELECT rebuild_is_running()));

GRANT SELECT, INSERT, UPDATE ON identity_scope, import_file TO holdfast_rebuild;
GRANT SELECT, INSERT ON message_identity TO holdfast_rebuild;
GRANT UPDATE (state, placement_uid, attempts, error, next_try_at, gone_at, doubt, substitute_uid,
              recognised_by)
   ON source_uid TO holdfast_rebuild;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['identity_scope', 'message_identity', 'import_file'] LOOP
        EXECUTE format('CREATE POLICY rebuild ON %I TO holdfast_rebuild '
                       'USING ((SELECT rebuild_is_running())) '
                       'WITH CHECK ((SELECT rebuild_is_running()))', t);
    END LOOP;
END
$$;
