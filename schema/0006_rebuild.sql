-- SPDX-License-Identifier: Apache-2.0
--
-- 0006_rebuild: installation packs, making the database again from packs, renewing what is derived.

SET LOCAL search_path = holdfast, pg_temp;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['holdfast_rebuild', 'holdfast_reindex'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT '
                           'NOREPLICATION NOBYPASSRLS', role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA holdfast TO holdfast_rebuild, holdfast_reindex;
GRANT SELECT ON schema_version TO holdfast_rebuild, holdfast_reindex;

---------------------------------------------------------------------------------------------------
-- Tables
---------------------------------------------------------------------------------------------------

-- The chain of installation packs, as seal_account is for an account; and the last audit event told.
CREATE TABLE seal_installation (
    is_only        boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    packs          bigint NOT NULL DEFAULT 0,
    last_sha256    bytea CHECK (octet_length(last_sha256) = 32),
    pending_sha256 bytea CHECK (octet_length(pending_sha256) = 32),
    sealed_at      timestamptz,
    event_id       bigint NOT NULL DEFAULT 0
);
INSERT INTO seal_installation DEFAULT VALUES;

-- The rebuild that is going on or was the last. Only while it is going on the role of its reading
-- child may do anything at all (policies below).
CREATE TABLE rebuild (
    is_only     boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

---------------------------------------------------------------------------------------------------
-- What the reading child of `holdfast rebuild` calls
---------------------------------------------------------------------------------------------------

CREATE FUNCTION rebuild_is_running() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT EXISTS (SELECT FROM rebuild WHERE finished_at IS NULL)
$$;

-- The bitmap of these keywords (a JSON list), which all have a number already.
CREATE FUNCTION rebuild_keywords(account bigint, mailbox bigint, names text) RETURNS bytea
LANGUAGE plpgsql STABLE SET search_path = holdfast, pg_temp AS $$
DECLARE
    bits bytea := '';
    n    int;
BEGIN
    IF names = '[]' THEN
        RETURN bits;
    END IF;
    FOR n IN SELECT k.number FROM mailbox_keyword k
              WHERE k.account_id = account AND k.mailbox_id = mailbox
                AND k.name IN (SELECT jsonb_array_elements_text(names::jsonb))
              ORDER BY k.number DESC LOOP
        IF bits = '' THEN
            bits := decode(repeat('00', n / 8 + 1), 'hex');
        END IF;
        bits := set_bit(bits, n, 1);
    END LOOP;
    RETURN bits;
END
$$;

---------------------------------------------------------------------------------------------------
-- The owner's part: before and after
---------------------------------------------------------------------------------------------------

-- Begins, or goes on with one that was interrupted. False: there is something in the database.
-- Audit events of the new database stand aside until rebuild_end, since those to come have numbers.
CREATE FUNCTION rebuild_begin() RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = holdfast, pg_temp AS $$
DECLARE
    aside CONSTANT bigint := 1::bigint << 61;
BEGIN
    IF rebuild_is_running() THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM account) OR EXISTS (SELECT FROM message) OR EXISTS (SELECT FROM auditor)
       OR EXISTS (SELECT FROM matter) THEN
        RETURN false;
    END IF;
    DELETE FROM rebuild;
    INSERT INTO rebuild DEFAULT VALUES;
    -- A keeper may have sealed that there is nothing.
    UPDATE seal_installation
       SET packs = 0, last_sha256 = NULL, pending_sha256 = NULL, sealed_at = NULL, event_id = 0;
    WITH old AS (DELETE FROM audit_event RETURNING *)
    INSERT INTO audit_event (event_id, at, process, session_id, auditor_id, event, account_id,
                             mailbox_id, detail) OVERRIDING SYSTEM VALUE
    SELECT o.event_id + aside, o.at, o.process, o.session_id, o.auditor_id, o.event, o.account_id,
           o.mailbox_id, o.detail
      FROM old o;
    PERFORM setval(pg_get_serial_sequence('holdfast.audit_event', 'event_id'),
                   greatest((SELECT max(event_id) FROM audit_event), aside));
    RETURN true;
END
$$;

-- A mailbox as its packs told it gets its counters. No UID or MODSEQ that a client may have seen is
-- given again: both go up by 2^20 (UIDs by half of what is left, if that is less), and every UID that
-- has no message counts as disposed. lost: UIDs that were given out before and have no message here.
CREATE FUNCTION rebuild_finish_mailbox(account bigint, mailbox bigint)
RETURNS TABLE (lost bigint, raised bigint)
LANGUAGE plpgsql VOLATILE SET search_path = holdfast, pg_temp AS $$
DECLARE
    told   mailbox;
    now_at record;
    known  int8multirange;
    gone   int8multirange;
    skipped int8multirange;
    upto   bigint;
BEGIN
    SELECT * INTO told FROM mailbox b
     WHERE b.account_id = account AND b.mailbox_id = mailbox FOR UPDATE;

    SELECT count(*) AS messages, coalesce(max(p.uid), 0) AS uid, coalesce(max(p.modseq), 1) AS modseq,
           count(*) FILTER (WHERE p.flags & 1 = 0) AS unseen,
           count(*) FILTER (WHERE p.flags & 8 <> 0) AS deleted,
           coalesce(sum(m.size_bytes), 0) AS octets
      INTO now_at
      FROM placement p
      JOIN message m ON m.account_id = account AND m.message_id = p.message_id
     WHERE p.account_id = account AND p.mailbox_id = mailbox;
    told.uidnext := greatest(told.uidnext, now_at.uid + 1);
    told.highestmodseq := greatest(told.highestmodseq, now_at.modseq);
    raised := least(1::bigint << 20, ((1::bigint << 32) - told.uidnext) / 2);
    upto := told.uidnext + raised;
    -- Ranges of several packs may overlap, and hold messages: a rebuild counted as disposed what lay in a
    -- pack that was missing then and is here now. What is here stays.
    SELECT coalesce(range_agg(int8range(d.first_uid, d.last_uid, '[]')), '{}'),
           coalesce(range_agg(int8range(d.first_uid, d.last_uid, '[]')) FILTER (WHERE d.is_skipped),
                    '{}') + int8multirange(int8range(told.uidnext, upto))
      INTO known, skipped
      FROM mailbox_disposed d WHERE d.account_id = account AND d.mailbox_id = mailbox;
    lost := told.uidnext - 1 - now_at.messages
            - (SELECT coalesce(sum(upper(k) - lower(k)), 0) FROM unnest(known) k)
            + (SELECT count(*) FROM placement p
                WHERE p.account_id = account AND p.mailbox_id = mailbox AND p.uid <@ known);

    SELECT coalesce(range_agg(int8range(g.uid + 1, g.following)), '{}') INTO gone
      FROM (SELECT u.uid, lead(u.uid, 1, upto) OVER (ORDER BY u.uid) AS following
              FROM (SELECT 0::bigint AS uid
                    UNION ALL
                    SELECT p.uid FROM placement p
                     WHERE p.account_id = account AND p.mailbox_id = mailbox) u) g
     WHERE g.following > g.uid + 1;
    DELETE FROM mailbox_disposed d WHERE d.account_id = account AND d.mailbox_id = mailbox;
    INSERT INTO mailbox_disposed (account_id, mailbox_id, first_uid, last_uid, is_skipped)
    SELECT account, mailbox, lower(r), upper(r) - 1, false FROM unnest(gone - skipped) AS r
     UNION ALL
    SELECT account, mailbox, lower(r), upper(r) - 1, true FROM unnest(gone * skipped) AS r;
    UPDATE mailbox b
       SET uidnext = upto, highestmodseq = told.highestmodseq + (1::bigint << 20),
           messages = now_at.messages, unseen = now_at.unseen, deleted = now_at.deleted,
           octets = now_at.octets
     WHERE b.account_id = account AND b.mailbox_id = mailbox;

    -- The next run looks at everything anew: what was not sealed is not here.
    UPDATE source_epoch e SET highestmodseq = 0
     WHERE e.account_id = account AND e.mailbox_id = mailbox AND e.closed_at IS NULL;
    UPDATE source_uid s SET gone_at = p.gone_at
      FROM placement p
     WHERE s.account_id = account AND s.mailbox_id = mailbox AND p.account_id = account
       AND p.mailbox_id = mailbox AND p.uid = s.placement_uid AND p.gone_at IS NOT NULL;

    -- Catalogues have told what is here; they have not told of the UIDs skipped now.
    INSERT INTO seal_mailbox (account_id, mailbox_id, uid, modseq, source_epoch, source_uid)
    SELECT account, mailbox, now_at.uid, told.highestmodseq, coalesce(e.epoch, 0), coalesce(e.uid, 0)
      FROM (VALUES (1)) one
      LEFT JOIN LATERAL (SELECT s.epoch, s.uid FROM source_uid s
                          WHERE s.account_id = account AND s.mailbox_id = mailbox
                          ORDER BY s.epoch DESC, s.uid DESC LIMIT 1) e ON true;
    RETURN NEXT;
END
$$;

-- The end, once every mailbox is finished: numbers go on behind those that are there, accounts that
-- can log in get their jobs, and every account asks to be sealed, so that its packs tell of the
-- UIDs that were skipped. Accounts whose secret is not here, or sealed under another master key, come
-- back paused.
CREATE FUNCTION rebuild_end(master_key bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = holdfast, pg_temp AS $$
DECLARE
    aside CONSTANT bigint := 1::bigint << 61;
    t     record;
    top   bigint;
BEGIN
    UPDATE account a SET is_paused = true
     WHERE a.removed_at IS NULL AND a.kind <> 'import'
       AND NOT EXISTS (SELECT FROM account_secret s
                        WHERE s.account_id = a.account_id AND s.key_id = master_key);
    INSERT INTO job (account_id, kind, is_active)
    SELECT a.account_id, k.kind, NOT a.is_paused
      FROM account a CROSS JOIN (VALUES ('sync'), ('watch')) AS k (kind)
     WHERE a.kind <> 'import' AND a.removed_at IS NULL AND (k.kind = 'sync' OR a.watch <> '{}')
        ON CONFLICT DO NOTHING;
    INSERT INTO seal_request (account_id) SELECT s.account_id FROM seal_account s
        ON CONFLICT DO NOTHING;

    SELECT coalesce(max(event_id), 0) INTO top FROM audit_event WHERE event_id < aside;
    WITH new AS (DELETE FROM audit_event WHERE event_id >= aside RETURNING *)
    INSERT INTO audit_event (event_id, at, process, session_id, auditor_id, event, account_id,
                             mailbox_id, detail) OVERRIDING SYSTEM VALUE
    SELECT top + row_number() OVER (ORDER BY n.event_id), n.at, n.process, n.session_id,
           n.auditor_id, n.event, n.account_id, n.mailbox_id, n.detail
      FROM new n;
    FOR t IN SELECT * FROM (VALUES ('account', 'account_id'), ('mailbox', 'mailbox_id'),
                                   ('auditor', 'auditor_id'), ('matter', 'matter_id'),
                                   ('access_grant', 'grant_id'), ('hold', 'hold_id'),
                                   ('retention_rule', 'rule_id'), ('credential', 'credential_id'),
                                   ('audit_event', 'event_id'))
                       AS x (name, id) LOOP
        EXECUTE format('SELECT coalesce(max(%I), 0) FROM %I', t.id, t.name) INTO top;
        -- What was lost had numbers too.
        IF t.name IN ('account', 'mailbox') THEN
            top := top + (1::bigint << 20);
        END IF;
        PERFORM setval(pg_get_serial_sequence('holdfast.' || t.name, t.id), top + 1, false);
    END LOOP;
    SELECT coalesce(max(session_id), 0) INTO top FROM audit_event;
    PERFORM setval(pg_get_serial_sequence('holdfast.login_session', 'session_id'),
                   greatest(top, (SELECT coalesce(max(session_id), 0) FROM login_session)) + 1,
                   false);
    UPDATE rebuild SET finished_at = now();
END
$$;

---------------------------------------------------------------------------------------------------
-- `verify --repair`
---------------------------------------------------------------------------------------------------

-- Runs of a pack (of the frame at this place; NULL: all) whose stored octets all lie in the spool still,
-- hash by hash, are pointed there again, to be sealed anew. Returns how many frames. Nothing is deleted.
CREATE FUNCTION heal_from_spool(account bigint, pack bigint, place bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    healed bigint;
BEGIN
    UPDATE frame f SET week = s.week, pack_id = NULL, pack_offset = NULL
      FROM spool s
     WHERE f.account_id = account AND f.pack_id = pack AND s.account_id = account
       AND s.frame_id = f.frame_id
       AND f.run_id IN (
           SELECT r.run_id
             FROM (SELECT DISTINCT g.run_id FROM frame g
                    WHERE g.account_id = account AND g.pack_id = pack
                      AND (place IS NULL OR g.pack_offset = place)) r
            WHERE NOT EXISTS (
                  SELECT FROM frame g
                    LEFT JOIN spool t ON t.account_id = account AND t.frame_id = g.frame_id
                   WHERE g.account_id = account AND g.run_id = r.run_id
                     AND sha256(t.octets) IS DISTINCT FROM g.stored_sha256));
    GET DIAGNOSTICS healed = ROW_COUNT;
    RETURN healed;
END
$$;
REVOKE ALL ON FUNCTION heal_from_spool FROM PUBLIC;
GRANT EXECUTE ON FUNCTION heal_from_spool TO holdfast_keeper;

REVOKE ALL ON FUNCTION rebuild_is_running, rebuild_keywords, rebuild_begin, rebuild_finish_mailbox,
                       rebuild_end FROM PUBLIC;
REVOKE ALL ON seal_installation, rebuild FROM PUBLIC;

---------------------------------------------------------------------------------------------------
-- Rights
---------------------------------------------------------------------------------------------------

-- The keeper writes installation packs: secrets stay sealed under the master key, which it has not.
GRANT SELECT ON account_secret, account_key, auditor, auditor_verifier, access_grant,
                seal_installation
    TO holdfast_keeper;
GRANT UPDATE ON seal_installation TO holdfast_keeper;
-- And nothing is sealed while a rebuild goes on.
GRANT EXECUTE ON FUNCTION rebuild_is_running TO holdfast_keeper;

-- The reading child of `holdfast rebuild`: adds, while one is going on.
GRANT SELECT, INSERT, UPDATE ON account, account_name, account_secret, account_key, mailbox,
                mailbox_disposed, source_epoch, placement, pack, seal_account, auditor,
                auditor_verifier, matter, access_grant, hold, retention_rule, seal_installation,
                locator
    TO holdfast_rebuild;
GRANT SELECT, INSERT ON mailbox_keyword, source_uid, message, frame, flag_event, audit_event
    TO holdfast_rebuild;
GRANT SELECT ON text_block TO holdfast_rebuild;
GRANT USAGE ON SEQUENCE run_id_seq TO holdfast_rebuild;
GRANT EXECUTE ON FUNCTION rebuild_is_running, rebuild_keywords TO holdfast_rebuild;

-- The reading child of `holdfast reindex`: reads what its token may see, renews what is derived of it.
GRANT SELECT ON message, locator, frame, spool, pack, message_index TO holdfast_reindex;
GRANT INSERT, UPDATE ON message_index TO holdfast_reindex;
GRANT INSERT ON text_block, text_spool TO holdfast_reindex;
GRANT USAGE ON SEQUENCE run_id_seq TO holdfast_reindex;
GRANT EXECUTE ON FUNCTION session_accounts(), session_state() TO holdfast_reindex;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['seal_installation', 'rebuild'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['account', 'account_name', 'account_secret', 'account_key', 'mailbox',
                             'mailbox_disposed', 'source_epoch', 'placement', 'pack', 'seal_account',
                             'auditor', 'auditor_verifier', 'matter', 'access_grant', 'hold',
                             'retention_rule', 'seal_installation', 'mailbox_keyword', 'source_uid',
                             'message', 'locator', 'frame', 'flag_event', 'audit_event',
                             'text_block'] LOOP
        EXECUTE format('CREATE POLICY rebuild ON %I TO holdfast_rebuild '
                       'USING ((SELECT rebuild_is_running())) '
                       'WITH CHECK ((SELECT rebuild_is_running()))', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['message', 'locator', 'frame', 'spool', 'pack', 'message_index',
                             'text_block', 'text_spool'] LOOP
        EXECUTE format('CREATE POLICY reindex ON %I TO holdfast_reindex '
                       'USING (account_id = ANY ((SELECT session_accounts())::bigint[])) '
                       'WITH CHECK (account_id = ANY ((SELECT session_accounts())::bigint[]))', t);
    END LOOP;
END
$$;
