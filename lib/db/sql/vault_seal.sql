-- SPDX-License-Identifier: Apache-2.0
--
-- Sealing: frames from the spool into a pack, and what its catalogue says (vault/seal.h). A catalogue
-- line is made by PostgreSQL, whole, as JSON (lib/store/README.md 11 names every field).

-- name: vault_seal_open
-- args: account_id bigint
INSERT INTO seal_account (account_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: vault_seal_chain
-- args: account_id bigint
SELECT last_sha256, pending_sha256 FROM seal_account WHERE account_id = $1;

-- Whoever is committing this account's pack right now is waited for.
-- name: vault_seal_chain_lock
-- args: account_id bigint
SELECT s.pending_sha256,
       EXISTS (SELECT FROM pack p WHERE p.account_id = $1 AND p.sha256 = s.pending_sha256)
  FROM seal_account s WHERE s.account_id = $1 FOR UPDATE OF s;

-- name: vault_seal_pending_set
-- args: account_id bigint, sha256 bytea, previous bytea
UPDATE seal_account SET pending_sha256 = $2
 WHERE account_id = $1 AND last_sha256 IS NOT DISTINCT FROM $3 AND pending_sha256 IS NULL;

-- name: vault_seal_pending_clear
-- args: account_id bigint
UPDATE seal_account SET pending_sha256 = NULL WHERE account_id = $1;

-- name: vault_seal_unfinished
SELECT account_id FROM seal_account ORDER BY account_id;

-- A stream takes as long as the disk that it is written to; each row of it still has a deadline.
-- name: vault_seal_patience
SELECT set_config('statement_timeout', '0', true);

-- The first runs until they are enough for a pack, the last of them included; how much waits in all.
-- name: vault_seal_choose
-- args: account_id bigint, pack_bytes bigint, max_frames bigint
SELECT max(w.run_id) FILTER (WHERE w.is_chosen), count(*) FILTER (WHERE NOT w.is_chosen),
       coalesce(sum(w.stored) FILTER (WHERE w.is_chosen), 0)::bigint
  FROM (SELECT r.run_id, r.stored,
               sum(r.stored) OVER earlier - r.stored < $2
               AND (sum(r.frames) OVER earlier <= $3 OR row_number() OVER earlier = 1) AS is_chosen
          FROM (SELECT run_id, sum(stored_bytes) AS stored, count(*) AS frames
                  FROM frame WHERE account_id = $1 AND week IS NOT NULL
                 GROUP BY run_id) r
        WINDOW earlier AS (ORDER BY r.run_id)) w;

-- One row at a time; whole runs, since one statement sees one state.
-- name: vault_seal_frames
-- args: account_id bigint, last_run bigint
SELECT f.run_id, f.ordinal, f.raw_start, f.raw_bytes, f.stored_bytes, f.stored_sha256, f.key_id,
       f.ordinal = 0 AND NOT EXISTS (SELECT FROM frame n
                                      WHERE n.account_id = $1 AND n.run_id = f.run_id
                                        AND n.ordinal = 1),
       s.octets
  FROM frame f
 CROSS JOIN LATERAL (
       SELECT s.octets FROM spool s
        WHERE s.account_id = $1 AND s.frame_id = f.frame_id AND s.week = f.week OFFSET 0) s
 WHERE f.account_id = $1 AND f.run_id <= $2 AND f.week IS NOT NULL
 ORDER BY f.run_id, f.ordinal;

-- Text in the spool: of these runs, and of some runs of text alone (of messages that are sealed already,
-- made anew). NULL octets: they are lost.
-- name: vault_seal_texts
-- args: account_id bigint, run_ids bigint[], alone_most bigint
SELECT b.run_id, b.ordinal, b.message_ids, b.parser_version, b.raw_bytes, b.stored_bytes,
       b.stored_sha256, b.key_id, s.octets
  FROM (SELECT u.run_id FROM unnest($2) AS u (run_id)
        UNION ALL
        (SELECT DISTINCT b.run_id FROM text_block b
          WHERE b.account_id = $1 AND b.week IS NOT NULL
            AND NOT EXISTS (SELECT FROM frame f WHERE f.account_id = $1 AND f.run_id = b.run_id)
          ORDER BY b.run_id LIMIT $3)) r
 CROSS JOIN LATERAL (
       SELECT b.* FROM text_block b
        WHERE b.account_id = $1 AND b.run_id = r.run_id AND b.week IS NOT NULL
        ORDER BY b.ordinal OFFSET 0) b
  LEFT JOIN LATERAL (
       SELECT s.octets FROM text_spool s
        WHERE s.account_id = $1 AND s.run_id = b.run_id AND s.ordinal = b.ordinal
          AND s.week = b.week OFFSET 0) s ON true
 ORDER BY r.run_id, b.ordinal;

-- How far a catalogue may tell, when these runs are in its pack: up to the first placement whose
-- octets still wait. UIDs and MODSEQs of a mailbox rise together, so an event never comes before its
-- placement.
-- name: vault_seal_cuts
-- args: account_id bigint, run_ids bigint[]
SELECT b.mailbox_id, coalesce(c.uid, 0), coalesce(c.modseq, 0), coalesce(c.source_epoch, 0),
       coalesce(c.source_uid, 0), coalesce(w.uid - 1, b.uidnext - 1),
       coalesce(w.appeared_modseq - 1, b.highestmodseq), coalesce(e.epoch, 0), coalesce(e.uid, 0),
       c.mailbox_id IS NULL
  FROM mailbox b
  LEFT JOIN seal_mailbox c ON c.account_id = b.account_id AND c.mailbox_id = b.mailbox_id
  LEFT JOIN LATERAL (
       SELECT p.uid, p.appeared_modseq
         FROM placement p
        WHERE p.account_id = $1 AND p.mailbox_id = b.mailbox_id AND p.uid > coalesce(c.uid, 0)
          AND (SELECT f.is_waiting AND l.run_id NOT IN (SELECT unnest($2))
                 FROM locator l
                CROSS JOIN LATERAL (
                      SELECT f.week IS NOT NULL AS is_waiting FROM frame f
                       WHERE f.account_id = $1 AND f.run_id = l.run_id AND f.ordinal = 0
                      OFFSET 0) f
                WHERE l.account_id = $1 AND l.message_id = p.message_id)
        ORDER BY p.uid LIMIT 1) w ON true
  LEFT JOIN LATERAL (
       SELECT s.epoch, s.uid FROM source_uid s
        WHERE s.account_id = $1 AND s.mailbox_id = b.mailbox_id
        ORDER BY s.epoch DESC, s.uid DESC LIMIT 1) e ON true
 WHERE b.account_id = $1
 ORDER BY b.mailbox_id;

-- name: vault_seal_line_head
-- args: account_id bigint, previous_sha256 bytea
SELECT row_to_json(t)::text
  FROM (SELECT 'catalogue' AS type, 1 AS version, a.account_id AS account, n.name,
               encode($2, 'hex') AS previous, s.packs + 1 AS number, now() AS sealed_at,
               (SELECT i.packs FROM seal_installation i WHERE i.packs > 0) AS installation
          FROM account a
          LEFT JOIN account_name n ON n.account_id = a.account_id
          JOIN seal_account s ON s.account_id = a.account_id
         WHERE a.account_id = $1) t;

-- name: vault_seal_line_account
-- args: account_id bigint
SELECT row_to_json(t)::text
  FROM (SELECT 'account' AS type, a.account_id AS account, n.name, a.kind, a.host, a.port, a.login,
               a.tls, a.tls_ca, a.include, a.exclude, a.every_seconds, a.is_paused, a.created_at,
               a.removed_at, a.namespaces, a.tls_pins, a.tls_pin_only, a.login_as,
               a.max_connections, a.daily_bytes, a.watch
          FROM account a LEFT JOIN account_name n ON n.account_id = a.account_id
         WHERE a.account_id = $1) t;

-- name: vault_seal_line_scope
-- args: account_id bigint
SELECT row_to_json(t)::text
  FROM (SELECT 'scope' AS type, i.scope, i.kind, i.host, i.login, i.placed, i.distrusted_at
          FROM identity_scope i WHERE i.account_id = $1 ORDER BY i.scope) t;

-- name: vault_seal_line_mailbox
-- args: account_id bigint
SELECT row_to_json(t)::text
  FROM (SELECT 'mailbox' AS type, b.mailbox_id AS mailbox, b.path,
               encode(b.source_name, 'hex') AS source_name, b.delimiter, b.uidvalidity, b.uidnext,
               b.highestmodseq, b.is_noselect, b.special_use, b.retention_class, b.created_at,
               b.gone_at,
               ARRAY(SELECT ARRAY[d.first_uid, d.last_uid] FROM mailbox_disposed d
                      WHERE d.account_id = $1 AND d.mailbox_id = b.mailbox_id
                      ORDER BY d.first_uid) AS disposed,
               ARRAY(SELECT ARRAY[d.first_uid, d.last_uid] FROM mailbox_disposed d
                      WHERE d.account_id = $1 AND d.mailbox_id = b.mailbox_id AND d.is_skipped
                      ORDER BY d.first_uid) AS skipped, b.object_id
          FROM mailbox b WHERE b.account_id = $1 ORDER BY b.mailbox_id) t;

-- name: vault_seal_line_former
-- args: account_id bigint
SELECT row_to_json(t)::text
  FROM (SELECT 'former' AS type, f.mailbox_id AS mailbox, f.path, f.until
          FROM mailbox_former f WHERE f.account_id = $1 ORDER BY f.mailbox_id, f.until) t;

-- name: vault_seal_line_epoch
-- args: account_id bigint
SELECT row_to_json(t)::text
  FROM (SELECT 'epoch' AS type, e.mailbox_id AS mailbox, e.epoch, e.uidvalidity, e.uidnext,
               e.highestmodseq, e.messages, e.opened_at, e.closed_at, e.enumerated_at,
               extract(epoch FROM e.longest_gap) AS longest_gap, e.listed_at, e.identity_scope,
               e.recognises, e.refuted_at
          FROM source_epoch e WHERE e.account_id = $1 ORDER BY e.mailbox_id, e.epoch) t;

-- bases: where the raw stream of each run begins in the tar stream of the pack.
-- name: vault_seal_line_message
-- args: account_id bigint, run_ids bigint[], bases bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT 'message' AS type, encode(m.sha256, 'hex') AS sha256, m.size_bytes AS size,
               r.base + l.raw_offset AS "offset", m.first_archived_at AS archived_at
          FROM unnest($2, $3) AS r (run_id, base)
         CROSS JOIN LATERAL (SELECT l.message_id, l.raw_offset FROM locator l
                              WHERE l.account_id = $1 AND l.run_id = r.run_id OFFSET 0) l
         CROSS JOIN LATERAL (SELECT m.* FROM message m
                              WHERE m.account_id = $1 AND m.message_id = l.message_id OFFSET 0) m
       ) t;

-- name: vault_seal_line_placement
-- args: account_id bigint, mailbox_ids bigint[], uids_from bigint[], uids_to bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT 'placement' AS type, p.mailbox_id AS mailbox, p.uid,
               encode(m.sha256, 'hex') AS sha256, m.size_bytes AS size, p.internal_at,
               p.internal_zone, p.internal_day,
               array_remove(ARRAY[CASE WHEN p.flags & 1 <> 0 THEN '\Seen' END,
                                  CASE WHEN p.flags & 2 <> 0 THEN '\Answered' END,
                                  CASE WHEN p.flags & 4 <> 0 THEN '\Flagged' END,
                                  CASE WHEN p.flags & 8 <> 0 THEN '\Deleted' END,
                                  CASE WHEN p.flags & 16 <> 0 THEN '\Draft' END], NULL) AS flags,
               CASE WHEN p.keywords = '' THEN ARRAY[]::text[] ELSE
                    ARRAY(SELECT k.name FROM mailbox_keyword k
                           WHERE k.account_id = $1 AND k.mailbox_id = p.mailbox_id
                             AND k.number < 8 * octet_length(p.keywords)
                             AND get_bit(p.keywords, k.number) = 1
                           ORDER BY k.number) END AS keywords,
               p.modseq, p.appeared_modseq, p.archived_at, p.gone_at
          FROM unnest($2, $3, $4) AS c (mailbox_id, uid_from, uid_to)
         CROSS JOIN LATERAL (
               SELECT p.* FROM placement p
                WHERE p.account_id = $1 AND p.mailbox_id = c.mailbox_id
                  AND p.uid > c.uid_from AND p.uid <= c.uid_to
                ORDER BY p.uid OFFSET 0) p
         CROSS JOIN LATERAL (SELECT m.sha256, m.size_bytes FROM message m
                              WHERE m.account_id = $1 AND m.message_id = p.message_id
                             OFFSET 0) m) t;

-- name: vault_seal_line_event
-- args: account_id bigint, mailbox_ids bigint[], modseqs_from bigint[], modseqs_to bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT 'event' AS type, f.mailbox_id AS mailbox, f.uid, f.modseq, f.at,
               array_remove(ARRAY[CASE WHEN f.flags & 1 <> 0 THEN '\Seen' END,
                                  CASE WHEN f.flags & 2 <> 0 THEN '\Answered' END,
                                  CASE WHEN f.flags & 4 <> 0 THEN '\Flagged' END,
                                  CASE WHEN f.flags & 8 <> 0 THEN '\Deleted' END,
                                  CASE WHEN f.flags & 16 <> 0 THEN '\Draft' END], NULL) AS flags,
               CASE WHEN f.keywords = '' THEN ARRAY[]::text[] ELSE
                    ARRAY(SELECT k.name FROM mailbox_keyword k
                           WHERE k.account_id = $1 AND k.mailbox_id = f.mailbox_id
                             AND k.number < 8 * octet_length(f.keywords)
                             AND get_bit(f.keywords, k.number) = 1
                           ORDER BY k.number) END AS keywords,
               f.is_gone
          FROM unnest($2, $3, $4) AS c (mailbox_id, modseq_from, modseq_to)
         CROSS JOIN LATERAL (
               SELECT f.* FROM flag_event f
                WHERE f.account_id = $1 AND f.mailbox_id = c.mailbox_id
                  AND f.modseq > c.modseq_from AND f.modseq <= c.modseq_to
                ORDER BY f.modseq, f.uid OFFSET 0) f) t;

-- name: vault_seal_line_source
-- args: account_id bigint, mailbox_ids bigint[], epochs_from integer[], uids_from bigint[], epochs_to integer[], uids_to bigint[], placements_from bigint[], placements_to bigint[]
SELECT json_strip_nulls(row_to_json(t))::text
  FROM (SELECT 'source' AS type, s.mailbox_id AS mailbox, s.epoch, s.uid,
               s.placement_uid AS placement, s.recognised_by AS recognised
          FROM seal_sources($1, $2, $3, $4, $5, $6, $7, $8) s) t;

-- UIDs of sources (not of imports, whose files are asked again) that are not simply stored: all that were tried
-- in vain, or are to come although a pack may have told them as recognised; all in doubt; and those given up
-- since the last pack. What they refer to must be told already.
-- name: vault_seal_line_uid
-- args: account_id bigint, mailbox_ids bigint[], placements_to bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT 'uid' AS type, u.mailbox_id AS mailbox, u.epoch, u.uid, u.state, u.doubt,
               u.placement_uid AS placement, u.substitute_uid AS substitute, u.attempts, u.error,
               u.next_try_at, u.first_seen_at, u.gone_at, u.recognised_by AS recognised
          FROM (SELECT s.* FROM source_uid s
                 WHERE s.account_id = $1 AND s.state = 'pending'
                   AND (s.attempts > 0 OR s.recognised_by = 'denied')
                UNION
                SELECT s.* FROM source_uid s
                 WHERE s.account_id = $1 AND (s.doubt IS NOT NULL OR s.substitute_uid IS NOT NULL)
                UNION
                SELECT s.* FROM source_uid s
                 WHERE s.account_id = $1 AND s.state = 'gone'
                   AND s.gone_at > coalesce((SELECT a.sealed_at - interval '1 hour'
                                               FROM seal_account a WHERE a.account_id = $1),
                                            '-infinity')) u
          JOIN mailbox b ON b.account_id = $1 AND b.mailbox_id = u.mailbox_id
                        AND octet_length(b.source_name) > 0
          JOIN unnest($2, $3) AS c (mailbox_id, placement_to) ON c.mailbox_id = u.mailbox_id
         WHERE greatest(u.placement_uid, u.substitute_uid, 0) <= c.placement_to
         ORDER BY u.mailbox_id, u.epoch, u.uid) t;

-- Ids of the messages that these source UIDs stand for. By the number of the message alone, which is unique over
-- accounts: with the account beside it, a table without statistics is read by its primary key, whole for each
-- message (300,000 ids, 3,000 of them told: 100 s instead of 0.4).
-- name: vault_seal_line_identity
-- args: account_id bigint, mailbox_ids bigint[], epochs_from integer[], uids_from bigint[], epochs_to integer[], uids_to bigint[], placements_from bigint[], placements_to bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT DISTINCT ON (i.scope, i.identity)
               'identity' AS type, i.scope, i.identity, encode(m.sha256, 'hex') AS sha256, i.thread,
               i.labels
          FROM seal_sources($1, $2, $3, $4, $5, $6, $7, $8) s
         CROSS JOIN LATERAL (
               SELECT p.message_id FROM placement p
                WHERE p.account_id = $1 AND p.mailbox_id = s.mailbox_id AND p.uid = s.placement_uid
               OFFSET 0) p
         CROSS JOIN LATERAL (
               SELECT i.* FROM message_identity i
                WHERE i.message_id = p.message_id OFFSET 0) i
         CROSS JOIN LATERAL (
               SELECT m.sha256 FROM message m
                WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
         WHERE EXISTS (SELECT FROM identity_scope o WHERE o.account_id = $1)
         ORDER BY i.scope, i.identity) t;

-- Files that were imported: those that are one of these source UIDs; versions of mboxes, of which every message is
-- told (an interrupted one is read again, and its octets are known); problems since the last pack.
-- name: vault_seal_line_file
-- args: account_id bigint, mailbox_ids bigint[], epochs_from integer[], uids_from bigint[], epochs_to integer[], uids_to bigint[], placements_from bigint[], placements_to bigint[]
SELECT row_to_json(t)::text
  FROM (SELECT 'file' AS type, f.mailbox_id AS mailbox, f.epoch, f.uid, encode(f.name, 'hex') AS name,
               encode(f.path, 'hex') AS path, f.size_bytes AS size, f.modified_ns, f.state, f.note,
               f.noted_at
          FROM (SELECT f.*
                  FROM seal_sources($1, $2, $3, $4, $5, $6, $7, $8) s
                 CROSS JOIN LATERAL (
                       SELECT f.* FROM import_file f
                        WHERE f.mailbox_id = s.mailbox_id AND f.epoch = s.epoch AND f.uid = s.uid
                          AND f.account_id = $1 OFFSET 0) f
                UNION ALL
                SELECT f.*
                  FROM unnest($2, $8) AS c (mailbox_id, placement_to)
                  JOIN mailbox b ON b.account_id = $1 AND b.mailbox_id = c.mailbox_id
                                AND b.uidnext - 1 = c.placement_to
                  JOIN import_file f ON f.mailbox_id = c.mailbox_id AND f.account_id = $1
                                    AND f.uid IS NULL AND f.state = 'read'
                 WHERE NOT EXISTS (SELECT FROM source_uid u
                                    WHERE u.account_id = $1 AND u.mailbox_id = f.mailbox_id
                                      AND u.epoch = f.epoch AND u.state = 'pending')
                   AND NOT EXISTS (SELECT FROM source_uid u
                                    WHERE u.account_id = $1 AND u.mailbox_id = f.mailbox_id
                                      AND u.epoch = f.epoch AND u.state = 'gone')
                UNION ALL
                SELECT f.* FROM import_file f
                 WHERE f.account_id = $1 AND f.state IN ('failed', 'left_out', 'settled')
                   AND f.noted_at > coalesce((SELECT a.sealed_at - interval '1 hour'
                                                FROM seal_account a WHERE a.account_id = $1),
                                             '-infinity')) f
         WHERE EXISTS (SELECT FROM import_file o WHERE o.account_id = $1)
         ORDER BY f.file_id) t;

-- Is there something to tell of files, of UIDs that have no placement or one that was told before, of mailboxes that
-- went or were renamed, and of epochs that are empty?
-- name: vault_seal_has_notes
-- args: account_id bigint
SELECT EXISTS (SELECT FROM source_uid s
                WHERE s.account_id = $1 AND s.state = 'gone' AND s.gone_at > a.sealed_at)
       OR EXISTS (SELECT FROM source_uid s WHERE s.account_id = $1 AND s.matched_at > a.sealed_at)
       OR EXISTS (SELECT FROM mailbox b WHERE b.account_id = $1 AND b.gone_at > a.sealed_at)
       OR EXISTS (SELECT FROM mailbox_former f WHERE f.account_id = $1 AND f.until > a.sealed_at)
       OR EXISTS (SELECT FROM source_epoch e WHERE e.account_id = $1 AND e.opened_at > a.sealed_at)
       OR EXISTS (SELECT FROM import_file f
                   WHERE f.account_id = $1 AND f.state IN ('failed', 'left_out', 'settled')
                     AND f.noted_at > a.sealed_at)
  FROM (SELECT coalesce(max(s.sealed_at), '-infinity') AS sealed_at FROM seal_account s
         WHERE s.account_id = $1) a;

-- name: vault_seal_commit
-- args: account_id bigint, sha256 bytea, previous bytea, stored_bytes bigint, raw_bytes bigint, run_ids bigint[], ordinals integer[], raw_starts bigint[], raw_sizes integer[], stored_sizes integer[], hashes bytea[], offsets bigint[], moved_runs bigint[], target_runs bigint[], shifts bigint[], mailbox_ids bigint[], uids bigint[], modseqs bigint[], epochs integer[], source_uids bigint[]
SELECT seal_commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                   $19, $20);

-- Behind vault_seal_commit, in its transaction.
-- name: vault_seal_text_rows
-- args: account_id bigint, pack_id bigint, sealed_runs bigint[], run_ids bigint[], ordinals integer[], offsets bigint[], joined_runs bigint[], joined_ordinals integer[], joined_counts integer[], joined_ids bigint[], joined_versions integer[], joined_raw_sizes integer[], joined_stored_sizes integer[], joined_hashes bytea[], joined_signatures bytea[], joined_offsets bigint[]
SELECT seal_text($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

---------------------------------------------------------------------------------------------------
-- What waits, for the keeper's policy
---------------------------------------------------------------------------------------------------

-- Accounts with enough waiting (false: only as far as whole packs go), with a week that is over, or
-- whose metadata changed and whose last pack is older than a week (true: all of it). None while a rebuild
-- goes on: what is half there must not be told as a state of the account.
-- name: vault_seal_due
-- args: seal_bytes bigint
WITH spooled AS (
    SELECT account_id, sum(stored_bytes) AS stored, min(week) AS week
      FROM frame WHERE week IS NOT NULL GROUP BY account_id)
SELECT account_id, bool_or(is_all)
  FROM (SELECT account_id, week < date_trunc('week', now())::date AS is_all FROM spooled
         WHERE stored >= $1 OR week < date_trunc('week', now())::date
        UNION ALL
        SELECT b.account_id, true
          FROM mailbox b
          LEFT JOIN seal_mailbox c ON c.account_id = b.account_id AND c.mailbox_id = b.mailbox_id
          LEFT JOIN seal_account s ON s.account_id = b.account_id
         WHERE coalesce(s.sealed_at, b.created_at) < now() - interval '7 days'
           AND (c.mailbox_id IS NULL OR b.uidnext - 1 > c.uid OR b.highestmodseq > c.modseq)) due
 WHERE NOT (SELECT rebuild_is_running())
 GROUP BY account_id
 ORDER BY account_id;

-- name: vault_seal_asked
SELECT account_id, requested_at FROM seal_request
 WHERE (finished_at IS NULL OR finished_at < requested_at) AND NOT (SELECT rebuild_is_running())
 ORDER BY requested_at;

-- name: vault_seal_ask
-- args: account_id bigint
INSERT INTO seal_request AS r (account_id) VALUES ($1)
    ON CONFLICT (account_id) DO UPDATE SET requested_at = clock_timestamp();

-- name: vault_seal_answer
-- args: account_id bigint, requested_at timestamptz, packs bigint, outcome text, outcome_text text
UPDATE seal_request SET finished_at = greatest(clock_timestamp(), $2), packs = $3, outcome = $4, outcome_text = $5
 WHERE account_id = $1 AND requested_at = $2;

-- name: vault_seal_answers
-- args: account_ids bigint[]
SELECT account_id, packs, outcome, coalesce(outcome_text, '')
  FROM seal_request
 WHERE account_id = ANY ($1) AND finished_at >= requested_at;

---------------------------------------------------------------------------------------------------
-- Packs as rows, for verification
---------------------------------------------------------------------------------------------------

-- name: vault_pack_page
-- args: account_id bigint, after_pack bigint, page bigint
SELECT p.account_id, p.pack_id, p.sha256, p.previous_sha256, p.stored_bytes, p.raw_bytes,
       p.sealed_at, p.is_damaged, coalesce(n.name, ''), p.location,
       (SELECT count(*) FROM frame f WHERE f.account_id = p.account_id AND f.pack_id = p.pack_id)
  FROM pack p LEFT JOIN account_name n ON n.account_id = p.account_id
 WHERE (p.account_id, p.pack_id) > ($1, $2)
 ORDER BY p.account_id, p.pack_id LIMIT $3;

-- name: vault_pack_frames
-- args: account_id bigint, pack_id bigint
SELECT f.pack_offset, f.raw_bytes, f.stored_bytes, f.stored_sha256, f.run_id, f.raw_start
  FROM frame f WHERE f.account_id = $1 AND f.pack_id = $2
 ORDER BY f.pack_offset;

-- name: vault_pack_texts
-- args: account_id bigint, pack_id bigint
SELECT b.segment_offset, b.stored_sha256, b.signature
  FROM text_block b WHERE b.account_id = $1 AND b.pack_id = $2
 ORDER BY b.segment_offset;

-- How many of these messages are located exactly where the pack has them. places: of the frame whose
-- first raw octet lies `skips` before the message. The locator by its message alone: after a rebuild a run
-- holds all messages of a pack.
-- name: vault_pack_members
-- args: account_id bigint, pack_id bigint, hashes bytea[], places bigint[], skips bigint[], sizes bigint[]
SELECT count(*)
  FROM unnest($3, $4, $5, $6) AS w (hash, place, skip, size)
 CROSS JOIN LATERAL (SELECT f.run_id, f.raw_start FROM frame f
                      WHERE f.account_id = $1 AND f.pack_id = $2 AND f.pack_offset = w.place
                     OFFSET 0) f
 CROSS JOIN LATERAL (SELECT m.message_id, m.size_bytes FROM message m
                      WHERE m.account_id = $1 AND m.sha256 = w.hash OFFSET 0) m
 CROSS JOIN LATERAL (SELECT l.run_id, l.raw_offset FROM locator l
                      WHERE l.account_id = $1 AND l.message_id = m.message_id OFFSET 0) l
 WHERE m.size_bytes = w.size AND l.run_id = f.run_id AND l.raw_offset = f.raw_start + w.skip;

-- name: vault_pack_located
-- args: account_id bigint, pack_id bigint
SELECT count(*)
  FROM (SELECT DISTINCT f.run_id FROM frame f WHERE f.account_id = $1 AND f.pack_id = $2) r
  JOIN locator l ON l.account_id = $1 AND l.run_id = r.run_id;

-- A message that has octets in the frame at this place, and where it is archived; how many there are.
-- name: vault_pack_victim
-- args: account_id bigint, pack_id bigint, place bigint
WITH f AS (SELECT run_id, raw_start, raw_bytes FROM frame
            WHERE account_id = $1 AND pack_id = $2 AND pack_offset = $3),
victim AS MATERIALIZED (
    SELECT m.message_id, m.sha256
      FROM f
      JOIN locator l ON l.account_id = $1 AND l.run_id = f.run_id
                    AND l.raw_offset < f.raw_start + f.raw_bytes
      JOIN message m ON m.account_id = $1 AND m.message_id = l.message_id
     WHERE l.raw_offset + m.size_bytes > f.raw_start)
SELECT encode(v.sha256, 'hex'), coalesce(b.path, ''), coalesce(p.uid, 0),
       (SELECT count(*) FROM victim)
  FROM victim v
  LEFT JOIN placement p ON p.account_id = $1 AND p.message_id = v.message_id
  LEFT JOIN mailbox b ON b.account_id = $1 AND b.mailbox_id = p.mailbox_id
 ORDER BY b.path, p.uid LIMIT 1;

-- All of them; place NULL: of the whole pack.
-- name: vault_pack_victims
-- args: account_id bigint, pack_id bigint, place bigint, page bigint
SELECT encode(m.sha256, 'hex'), coalesce(b.path, ''), coalesce(p.uid, 0)
  FROM (SELECT DISTINCT l.message_id
          FROM frame f
          JOIN locator l ON l.account_id = $1 AND l.run_id = f.run_id
                        AND l.raw_offset < f.raw_start + f.raw_bytes
          JOIN message n ON n.account_id = $1 AND n.message_id = l.message_id
         WHERE f.account_id = $1 AND f.pack_id = $2 AND ($3 IS NULL OR f.pack_offset = $3)
           AND l.raw_offset + n.size_bytes > f.raw_start
         ORDER BY l.message_id LIMIT $4) v
  JOIN message m ON m.account_id = $1 AND m.message_id = v.message_id
  LEFT JOIN placement p ON p.account_id = $1 AND p.message_id = v.message_id
  LEFT JOIN mailbox b ON b.account_id = $1 AND b.mailbox_id = p.mailbox_id
 ORDER BY b.path, p.uid;

-- name: vault_pack_heal
-- args: account_id bigint, pack_id bigint, place bigint
SELECT heal_from_spool($1, $2, $3);

-- name: vault_pack_mark
-- args: account_id bigint, pack_id bigint, is_damaged boolean
UPDATE pack SET is_damaged = $3 WHERE account_id = $1 AND pack_id = $2 AND is_damaged <> $3;

-- name: vault_pack_known
-- args: account_id bigint, hashes bytea[]
SELECT p.sha256 FROM pack p WHERE p.account_id = $1 AND p.sha256 = ANY ($2)
 UNION ALL
SELECT s.pending_sha256 FROM seal_account s WHERE s.account_id = $1 AND s.pending_sha256 IS NOT NULL;
