-- SPDX-License-Identifier: Apache-2.0
--
-- 0002_roles: the four process roles, what each may do, and what a reader sees.
--
-- The expectation that the tests are generated from stands in privileges.tsv: a grant changed here
-- is changed there, or the tests fail. Roles belong to the server, not to the database, so they may
-- exist already.

SET LOCAL search_path = holdfast, pg_temp;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['holdfast_ingest', 'holdfast_keeper', 'holdfast_gate',
                                'holdfast_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT '
                           'NOREPLICATION NOBYPASSRLS', role);
        END IF;
    END LOOP;
END
$$;

---------------------------------------------------------------------------------------------------
-- What PUBLIC has by default and nobody here needs
---------------------------------------------------------------------------------------------------

DO $$
DECLARE
    harmful regprocedure;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO holdfast_ingest, holdfast_keeper, '
                   'holdfast_gate, holdfast_reader', current_database());
    EXECUTE 'REVOKE ALL ON SCHEMA public FROM PUBLIC';
    FOR harmful IN
        SELECT p.oid FROM pg_proc p
         WHERE p.pronamespace = 'pg_catalog'::regnamespace
           AND (p.proname LIKE 'lo\_%'
                OR p.proname IN ('lowrite', 'loread', 'pg_logical_emit_message',
                                 'pg_current_xact_id', 'txid_current', 'pg_export_snapshot')
                OR p.proname LIKE 'pg\_advisory\_%' OR p.proname LIKE 'pg\_try\_advisory\_%')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', harmful);
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'TEMP, CREATE, large objects or advisory locks could not be taken from PUBLIC: '
                  'run the migration as a superuser once';
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA holdfast FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA holdfast FROM PUBLIC;
GRANT USAGE ON SCHEMA holdfast TO holdfast_ingest, holdfast_keeper, holdfast_gate, holdfast_reader;
GRANT SELECT ON schema_version TO holdfast_ingest, holdfast_keeper, holdfast_gate, holdfast_reader;

---------------------------------------------------------------------------------------------------
-- holdfast-ingest: adds; changes only what the source changes; deletes nothing, sees no secret
---------------------------------------------------------------------------------------------------

GRANT SELECT ON account, account_name, mailbox, mailbox_keyword, mailbox_disposed, source_epoch,
                source_uid, message, message_index, locator, frame, spool, placement, flag_event, job
    TO holdfast_ingest;
GRANT INSERT ON mailbox, mailbox_keyword, source_epoch, source_uid, message, message_index, locator,
                frame, spool, placement, flag_event
    TO holdfast_ingest;
GRANT UPDATE (uidnext, highestmodseq, messages, unseen, deleted, octets, is_noselect, special_use,
              gone_at) ON mailbox TO holdfast_ingest;
GRANT UPDATE ON source_epoch TO holdfast_ingest;
GRANT UPDATE (state, placement_uid, attempts, error, next_try_at, gone_at) ON source_uid
    TO holdfast_ingest;
GRANT UPDATE (flags, keywords, modseq, gone_at) ON placement TO holdfast_ingest;
GRANT UPDATE ON message_index TO holdfast_ingest;
GRANT USAGE ON SEQUENCE run_id_seq TO holdfast_ingest;
GRANT EXECUTE ON FUNCTION renew_job(bigint, bigint, interval, jsonb),
                          audit_append(text[], text[], bigint[], bigint[], jsonb[])
    TO holdfast_ingest;

---------------------------------------------------------------------------------------------------
-- holdfast-keeper: moves frames from the spool to packs, extends the chain
---------------------------------------------------------------------------------------------------

GRANT SELECT ON account, account_name, mailbox, mailbox_keyword, mailbox_disposed, source_epoch,
                source_uid, message, message_index, locator, frame, spool, placement, flag_event,
                pack, chain_entry, audit_event, hold, matter, retention_rule
    TO holdfast_keeper;
GRANT INSERT ON pack, chain_entry TO holdfast_keeper;
GRANT UPDATE (week, pack_id, pack_offset) ON frame TO holdfast_keeper;
GRANT UPDATE (is_damaged, location) ON pack TO holdfast_keeper;
GRANT EXECUTE ON FUNCTION spool_add_week(date), spool_drop_week(date),
                          audit_append(text[], text[], bigint[], bigint[], jsonb[])
    TO holdfast_keeper;

---------------------------------------------------------------------------------------------------
-- holdfast-gate: verifiers, sealed secrets, login tokens; no mail
---------------------------------------------------------------------------------------------------

GRANT SELECT ON account, account_name, account_secret, account_key, auditor, auditor_verifier,
                access_grant, login_session, login_failure, job, pack
    TO holdfast_gate;
GRANT INSERT ON login_session, login_failure TO holdfast_gate;
GRANT UPDATE (revoked_at, expires_at) ON login_session TO holdfast_gate;
GRANT UPDATE (failures, last_at) ON login_failure TO holdfast_gate;
GRANT DELETE ON login_session, login_failure TO holdfast_gate;
GRANT UPDATE (sealed, key_id, updated_at) ON account_secret TO holdfast_gate;
GRANT EXECUTE ON FUNCTION session_accounts(), session_state(),
                          audit_append(text[], text[], bigint[], bigint[], jsonb[])
    TO holdfast_gate;

---------------------------------------------------------------------------------------------------
-- holdfast-imapd: reads, under row-level security; its one write is audit_append
---------------------------------------------------------------------------------------------------

GRANT SELECT ON account_name, mailbox, mailbox_keyword, mailbox_disposed, message, message_index,
                locator, frame, spool, pack, placement, flag_event, view, view_member,
                auditor_mailbox
    TO holdfast_reader;
GRANT SELECT (account_id, kind, created_at, removed_at) ON account TO holdfast_reader;
GRANT EXECUTE ON FUNCTION session_accounts(), session_state(),
                          sessions_with_news(text[], bigint[], bigint[], bigint[], bigint[],
                                             bigint[]),
                          audit_append(text[], text[], bigint[], bigint[], jsonb[])
    TO holdfast_reader;

-- Every table is closed to whoever has no policy. The sub-select makes session_accounts() an
-- InitPlan: evaluated once per query (measured: 1.0-1.4 ms a page of 1,000 rows, 5.4-33 ms without).
DO $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT c.relname FROM pg_class c
              WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p')
                AND NOT c.relispartition AND c.relname <> 'schema_version'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;

    FOREACH t IN ARRAY ARRAY['account', 'account_name', 'mailbox', 'mailbox_keyword',
                             'mailbox_disposed', 'message', 'message_index', 'locator', 'frame',
                             'spool', 'pack', 'placement', 'flag_event']
    LOOP
        EXECUTE format('CREATE POLICY reader ON %I FOR SELECT TO holdfast_reader '
                       'USING (account_id = ANY ((SELECT session_accounts())::bigint[]))', t);
    END LOOP;
END
$$;

-- Views and their members: only those that the session's auditor is served.
CREATE FUNCTION session_views() RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT coalesce(array_agg(m.view_id), '{}')
      FROM session_state() s JOIN auditor_mailbox m ON m.auditor_id = s.auditor_id
$$;
REVOKE ALL ON FUNCTION session_views() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_views() TO holdfast_reader;

CREATE POLICY reader ON view FOR SELECT TO holdfast_reader
    USING (view_id = ANY ((SELECT session_views())::bigint[]));
CREATE POLICY reader ON view_member FOR SELECT TO holdfast_reader
    USING (view_id = ANY ((SELECT session_views())::bigint[]));
CREATE POLICY reader ON auditor_mailbox FOR SELECT TO holdfast_reader
    USING (auditor_id = (SELECT s.auditor_id FROM session_state() s)
           AND view_id = ANY ((SELECT session_views())::bigint[]));
