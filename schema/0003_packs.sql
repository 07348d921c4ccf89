-- SPDX-License-Identifier: Apache-2.0
--
-- 0003_packs: how far each account is sealed, requests to seal, and the one way from spool to pack.

SET LOCAL search_path = holdfast, pg_temp;

---------------------------------------------------------------------------------------------------
-- Indexes that sealing needs
---------------------------------------------------------------------------------------------------

-- Frames that await the keeper, in commit order; what waits, and since when, comes from it alone.
DROP INDEX frame_week;
CREATE INDEX frame_spooled ON frame (account_id, run_id, ordinal) INCLUDE (week, stored_bytes)
    WHERE week IS NOT NULL;
CREATE INDEX frame_packed ON frame (account_id, pack_id, pack_offset) WHERE pack_id IS NOT NULL;
-- Not account_id first: README 5.
CREATE INDEX locator_run ON locator (run_id, account_id, raw_offset);

---------------------------------------------------------------------------------------------------
-- Positions and requests
---------------------------------------------------------------------------------------------------

-- The account's chain of packs. pending_sha256: a pack that is about to appear under its name; set
-- and committed before the file does, cleared by the transaction that adds its row. Found later, it
-- tells that the file (if there is one) belongs to no row, and that all it holds is in the database.
CREATE TABLE seal_account (
    account_id     bigint PRIMARY KEY REFERENCES account (account_id),
    packs          bigint      NOT NULL DEFAULT 0,
    last_sha256    bytea CHECK (octet_length(last_sha256) = 32),
    pending_sha256 bytea CHECK (octet_length(pending_sha256) = 32),
    sealed_at      timestamptz
);

-- What the catalogues of an account's packs have told: placements up to uid, events up to modseq,
-- what became of source UIDs up to (source_epoch, source_uid).
CREATE TABLE seal_mailbox (
    account_id   bigint NOT NULL,
    mailbox_id   bigint NOT NULL,
    uid          bigint NOT NULL,
    modseq       bigint NOT NULL,
    source_epoch int    NOT NULL,
    source_uid   bigint NOT NULL,
    PRIMARY KEY (account_id, mailbox_id),
    FOREIGN KEY (account_id, mailbox_id) REFERENCES mailbox (account_id, mailbox_id)
);

-- `holdfast seal`: the operator asks, the keeper does it and says how it ended.
CREATE TABLE seal_request (
    account_id   bigint PRIMARY KEY REFERENCES account (account_id),
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,                             -- before requested_at: not yet
    packs        bigint      NOT NULL DEFAULT 0,          -- made by it
    outcome      text,                                    -- NONE (done) or the err_code
    outcome_text text
);

---------------------------------------------------------------------------------------------------
-- From spool to pack
---------------------------------------------------------------------------------------------------

-- Adds a pack that lies in its place, and points the frames of its runs to it.
--
-- Frames come as they lie in the pack. moved: runs of one frame each that became one run of one frame
-- (target: the first of them; shift: where the run's raw stream now begins in it). Everything else
-- must be there exactly as told, and still in the spool. No octet is dropped that is not in the pack:
-- joined frames are as long as those they are made of.
CREATE FUNCTION seal_commit(account bigint, new_sha256 bytea, expected_previous bytea,
                            new_stored_bytes bigint, new_raw_bytes bigint,
                            run_ids bigint[], ordinals int[], raw_starts bigint[],
                            raw_sizes int[], stored_sizes int[], hashes bytea[], offsets bigint[],
                            moved_runs bigint[], target_runs bigint[], shifts bigint[],
                            mailboxes bigint[], uids bigint[], modseqs bigint[], epochs int[],
                            source_uids bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    chain       seal_account;
    new_pack_id bigint;
    placed      bigint;
    joined      bigint;
BEGIN
    SELECT * INTO chain FROM seal_account s WHERE s.account_id = account FOR UPDATE;
    IF chain.last_sha256 IS DISTINCT FROM expected_previous
       OR chain.pending_sha256 IS DISTINCT FROM new_sha256 THEN
        RAISE EXCEPTION 'the account was sealed by somebody else meanwhile'
              USING ERRCODE = 'serialization_failure';
    END IF;

    INSERT INTO pack (account_id, sha256, previous_sha256, stored_bytes, raw_bytes)
    VALUES (account, new_sha256, expected_previous, new_stored_bytes, new_raw_bytes)
    RETURNING pack_id INTO new_pack_id;

    PERFORM
       FROM (SELECT m.target, sum(f.raw_bytes) AS size
               FROM unnest(moved_runs, target_runs) AS m (run_id, target)
               JOIN frame f ON f.account_id = account AND f.run_id = m.run_id
              WHERE f.week IS NOT NULL
              GROUP BY m.target) was
       FULL JOIN (SELECT n.run_id, n.ordinal, n.size
                    FROM unnest(run_ids, ordinals, raw_sizes) AS n (run_id, ordinal, size)
                   WHERE n.run_id IN (SELECT unnest(target_runs))) becomes
         ON becomes.run_id = was.target
      WHERE becomes.ordinal IS DISTINCT FROM 0 OR becomes.size IS DISTINCT FROM was.size;
    IF FOUND THEN
        RAISE EXCEPTION 'a joined frame is not as long as its parts'
              USING ERRCODE = 'data_corrupted';
    END IF;
    DELETE FROM spool s USING frame f, unnest(moved_runs) AS m (run_id)
     WHERE f.account_id = account AND f.run_id = m.run_id AND s.account_id = account
       AND s.frame_id = f.frame_id AND s.week = f.week;
    DELETE FROM frame f USING unnest(moved_runs) AS m (run_id)
     WHERE f.account_id = account AND f.run_id = m.run_id;
    UPDATE locator l SET run_id = m.target, raw_offset = l.raw_offset + m.shift
      FROM unnest(moved_runs, target_runs, shifts) AS m (run_id, target, shift)
     WHERE l.account_id = account AND l.run_id = m.run_id AND m.shift > 0;
    INSERT INTO frame (account_id, run_id, ordinal, raw_start, raw_bytes, stored_bytes,
                       stored_sha256, pack_id, pack_offset)
    SELECT account, n.run_id, 0, 0, n.raw_size, n.stored_size, n.hash, new_pack_id, n.place
      FROM unnest(run_ids, raw_sizes, stored_sizes, hashes, offsets)
           AS n (run_id, raw_size, stored_size, hash, place)
     WHERE n.run_id IN (SELECT unnest(target_runs));
    GET DIAGNOSTICS joined = ROW_COUNT;

    UPDATE frame f SET week = NULL, pack_id = new_pack_id, pack_offset = n.place
      FROM unnest(run_ids, ordinals, raw_starts, raw_sizes, stored_sizes, hashes, offsets)
           AS n (run_id, ordinal, raw_start, raw_size, stored_size, hash, place)
     WHERE f.account_id = account AND f.run_id = n.run_id AND f.ordinal = n.ordinal
       AND f.week IS NOT NULL AND f.raw_start = n.raw_start AND f.raw_bytes = n.raw_size
       AND f.stored_bytes = n.stored_size AND f.stored_sha256 = n.hash;
    GET DIAGNOSTICS placed = ROW_COUNT;
    IF placed + joined <> cardinality(run_ids)
       OR EXISTS (SELECT FROM unnest(run_ids) AS n (run_id)
                    JOIN frame f ON f.account_id = account AND f.run_id = n.run_id
                   WHERE f.week IS NOT NULL) THEN
        RAISE EXCEPTION 'the pack does not hold the runs as they are in the spool'
              USING ERRCODE = 'data_corrupted';
    END IF;

    UPDATE seal_account s
       SET packs = s.packs + 1, last_sha256 = new_sha256, pending_sha256 = NULL, sealed_at = now()
     WHERE s.account_id = account;
    INSERT INTO seal_mailbox AS b (account_id, mailbox_id, uid, modseq, source_epoch, source_uid)
    SELECT account, n.* FROM unnest(mailboxes, uids, modseqs, epochs, source_uids) AS n
        ON CONFLICT (account_id, mailbox_id) DO UPDATE
       SET uid = EXCLUDED.uid, modseq = EXCLUDED.modseq, source_epoch = EXCLUDED.source_epoch,
           source_uid = EXCLUDED.source_uid;
    RETURN new_pack_id;
END
$$;

---------------------------------------------------------------------------------------------------
-- Rights
---------------------------------------------------------------------------------------------------

REVOKE ALL ON seal_account, seal_mailbox, seal_request FROM PUBLIC;
REVOKE ALL ON FUNCTION seal_commit FROM PUBLIC;

-- Frames and packs change through seal_commit alone.
REVOKE UPDATE (week, pack_id, pack_offset) ON frame FROM holdfast_keeper;
REVOKE INSERT ON pack FROM holdfast_keeper;
GRANT EXECUTE ON FUNCTION seal_commit TO holdfast_keeper;
GRANT SELECT ON seal_account, seal_mailbox, seal_request TO holdfast_keeper;
GRANT INSERT (account_id), UPDATE (pending_sha256) ON seal_account TO holdfast_keeper;
GRANT UPDATE (finished_at, packs, outcome, outcome_text) ON seal_request TO holdfast_keeper;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['seal_account', 'seal_mailbox', 'seal_request'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
END
$$;
