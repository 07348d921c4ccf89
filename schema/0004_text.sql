-- SPDX-License-Identifier: Apache-2.0
--
-- 0004_text: where the search text of messages is kept, in blocks (lib/store/README.md 14 to 17). All
-- of it is derived from octets: a missing row costs speed, never an answer.

SET LOCAL search_path = holdfast, pg_temp;

-- A block: the records of up to 64 messages of a run. It lies either in text_spool (week) or in the
-- segment beside a pack (pack_id, segment_offset). message_ids: in the order of its records; first
-- and last are the least and the greatest of them. Blocks of a batch overlap in their ids.
CREATE TABLE text_block (
    account_id       bigint   NOT NULL REFERENCES account (account_id),
    run_id           bigint   NOT NULL,
    ordinal          int      NOT NULL CHECK (ordinal >= 0),
    first_message_id bigint   NOT NULL,
    last_message_id  bigint   NOT NULL CHECK (last_message_id >= first_message_id),
    message_ids      bigint[] NOT NULL CHECK (cardinality(message_ids) BETWEEN 1 AND 64),
    parser_version   int      NOT NULL,
    raw_bytes        int      NOT NULL CHECK (raw_bytes BETWEEN 1 AND 1048576),
    stored_bytes     int      NOT NULL CHECK (stored_bytes > 0),
    stored_sha256    bytea    NOT NULL CHECK (octet_length(stored_sha256) = 32),
    signature        bytea,                               -- lib/text/signature.h; NULL: none
    key_id           bigint   NOT NULL DEFAULT 0,         -- 0: not encrypted
    week             date,
    pack_id          bigint,
    segment_offset   bigint,
    PRIMARY KEY (account_id, run_id, ordinal),
    FOREIGN KEY (account_id, pack_id) REFERENCES pack (account_id, pack_id),
    CHECK ((week IS NULL) <> (pack_id IS NULL)),
    CHECK ((pack_id IS NULL) = (segment_offset IS NULL))
);
ALTER TABLE text_block ALTER COLUMN signature SET STORAGE EXTERNAL;
-- By which readers go through them: those that may hold a message have it at or behind its id.
CREATE INDEX text_block_message ON text_block (account_id, last_message_id, run_id, ordinal);
-- What the keeper still has to put into segments.
CREATE INDEX text_block_spooled ON text_block (account_id, run_id, ordinal) INCLUDE (week)
    WHERE week IS NOT NULL;
CREATE INDEX text_block_packed ON text_block (account_id, pack_id, segment_offset)
    WHERE pack_id IS NOT NULL;

-- Octets of blocks that await the keeper; partitions live and die with those of the spool.
CREATE TABLE text_spool (
    account_id bigint NOT NULL,
    run_id     bigint NOT NULL,
    ordinal    int    NOT NULL,
    week       date   NOT NULL,
    octets     bytea  NOT NULL,
    PRIMARY KEY (account_id, run_id, ordinal, week)
) PARTITION BY RANGE (week);
ALTER TABLE text_spool ALTER COLUMN octets SET STORAGE EXTERNAL;

---------------------------------------------------------------------------------------------------
-- Weeks
---------------------------------------------------------------------------------------------------

-- Keeps the partitions ready that hold this day. True when it made one.
CREATE OR REPLACE FUNCTION spool_add_week(day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    monday  date := date_trunc('week', day)::date;
    parent  text;
    name    text;
    is_made boolean := false;
BEGIN
    FOREACH parent IN ARRAY ARRAY['spool', 'text_spool'] LOOP
        name := parent || '_' || to_char(monday, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('holdfast.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                       name, parent, monday, monday + 7);
        EXECUTE format('ALTER TABLE %I ALTER COLUMN octets SET STORAGE EXTERNAL', name);
        is_made := true;
    END LOOP;
    RETURN is_made;
END
$$;

-- Drops a finished week: its octets when no frame points into it any more, then its text when no block
-- does. True when the last of it went.
CREATE OR REPLACE FUNCTION spool_drop_week(day date) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    monday     date := date_trunc('week', day)::date;
    octets     text := 'spool_' || to_char(monday, 'YYYYMMDD');
    texts      text := 'text_spool_' || to_char(monday, 'YYYYMMDD');
    has_octets boolean := to_regclass('holdfast.' || octets) IS NOT NULL;
    has_texts  boolean := to_regclass('holdfast.' || texts) IS NOT NULL;
BEGIN
    IF monday >= date_trunc('week', now())::date OR NOT (has_octets OR has_texts) THEN
        RETURN false;
    END IF;
    IF has_octets THEN
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', octets);
        IF EXISTS (SELECT FROM frame f WHERE f.week >= monday AND f.week < monday + 7) THEN
            RETURN false;
        END IF;
        EXECUTE format('DROP TABLE %I', octets);
    END IF;
    IF has_texts THEN
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', texts);
        IF EXISTS (SELECT FROM text_block b WHERE b.week >= monday AND b.week < monday + 7) THEN
            RETURN false;
        END IF;
        EXECUTE format('DROP TABLE %I', texts);
    END IF;
    RETURN true;
END
$$;

-- The weeks that are there already.
SELECT spool_add_week(to_date(substr(c.relname::text, 7), 'YYYYMMDD'))
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'spool'::regclass AND c.relname ~ '^spool_[0-9]{8}$';

---------------------------------------------------------------------------------------------------
-- From the spool to a segment
---------------------------------------------------------------------------------------------------

-- In the transaction of seal_commit, behind it: the blocks of sealed_runs (those of the pack, and runs
-- of text alone, as reindex makes them) lie in the segment of the pack, verbatim at these offsets, or joined into these new ones (joined_counts: how many of
-- joined_ids belong to each). Those of sealed_runs that are in neither could not be read: they go.
CREATE FUNCTION seal_text(account bigint, pack bigint, sealed_runs bigint[], run_ids bigint[],
                          ordinals int[], offsets bigint[], joined_runs bigint[],
                          joined_ordinals int[], joined_counts int[], joined_ids bigint[],
                          joined_versions int[], joined_raw_sizes int[],
                          joined_stored_sizes int[], joined_hashes bytea[],
                          joined_signatures bytea[], joined_offsets bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
BEGIN
    UPDATE text_block b SET week = NULL, pack_id = pack, segment_offset = n.place
      FROM unnest(run_ids, ordinals, offsets) AS n (run_id, ordinal, place)
     WHERE b.account_id = account AND b.run_id = n.run_id AND b.ordinal = n.ordinal
       AND b.week IS NOT NULL AND n.run_id = ANY (sealed_runs);
    DELETE FROM text_block b USING unnest(sealed_runs) AS r (run_id)
     WHERE b.account_id = account AND b.run_id = r.run_id AND b.week IS NOT NULL;
    INSERT INTO text_block (account_id, run_id, ordinal, first_message_id, last_message_id,
                            message_ids, parser_version, raw_bytes, stored_bytes, stored_sha256,
                            signature, pack_id, segment_offset)
    SELECT account, j.run_id, j.ordinal, i.first, i.last, i.ids, j.version, j.raw_size,
           j.stored_size, j.hash, j.signature, pack, j.place
      FROM (SELECT *, sum(n.count) OVER (ORDER BY n.position) - n.count AS before
              FROM unnest(joined_runs, joined_ordinals, joined_counts, joined_versions,
                          joined_raw_sizes, joined_stored_sizes, joined_hashes,
                          joined_signatures, joined_offsets)
                   WITH ORDINALITY AS n (run_id, ordinal, count, version, raw_size, stored_size,
                                         hash, signature, place, position)) j
     CROSS JOIN LATERAL (
           SELECT min(m.id) AS first, max(m.id) AS last, array_agg(m.id ORDER BY m.position) AS ids
             FROM unnest(joined_ids[j.before + 1 : j.before + j.count])
                  WITH ORDINALITY AS m (id, position)) i;
END
$$;

---------------------------------------------------------------------------------------------------
-- Rights
---------------------------------------------------------------------------------------------------

REVOKE ALL ON text_block, text_spool FROM PUBLIC;
REVOKE ALL ON FUNCTION seal_text FROM PUBLIC;

GRANT INSERT ON text_block, text_spool TO holdfast_ingest;
GRANT SELECT ON text_block, text_spool TO holdfast_keeper, holdfast_reader;
GRANT EXECUTE ON FUNCTION seal_text TO holdfast_keeper;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['text_block', 'text_spool'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
        EXECUTE format('CREATE POLICY reader ON %I FOR SELECT TO holdfast_reader '
                       'USING (account_id = ANY ((SELECT session_accounts())::bigint[]))', t);
    END LOOP;
END
$$;
