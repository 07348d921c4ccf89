-- SPDX-License-Identifier: Apache-2.0
--
-- What ingest writes: mailboxes, messages, placements, changes (vault/write.h). Each transaction
-- begins with vault_renew, and one that adds or changes placements then locks the mailbox row.
-- Look-ups by an array are LATERAL with OFFSET 0: one index step an item, whatever the statistics.

-- The fence: false means roll back.
-- name: vault_renew
-- args: job_id bigint, fence bigint, lease_ms bigint
SELECT renew_job($1, $2, $3::float8 * interval '1 millisecond', NULL);

-- name: vault_hold
-- args: job_id bigint, fence bigint
SELECT hold_job($1, $2);

-- name: vault_mailbox_lock
-- args: account_id bigint, mailbox_id bigint
SELECT uidnext, highestmodseq FROM mailbox WHERE account_id = $1 AND mailbox_id = $2
   FOR NO KEY UPDATE;

-- What a foreign key of source_uid would ask for each of its rows.
-- name: vault_epoch_find
-- args: account_id bigint, mailbox_id bigint, epoch integer
SELECT epoch FROM source_epoch WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3;

-- Tells the waiting sessions (vault/watch.h) once it is committed: a hint, which may be lost.
-- name: vault_mailbox_grow
-- args: account_id bigint, mailbox_id bigint, uidnext bigint, modseq bigint, messages bigint, unseen bigint, deleted bigint, octets bigint
WITH grown AS (
    UPDATE mailbox
       SET uidnext = $3, highestmodseq = $4, messages = messages + $5, unseen = unseen + $6,
           deleted = deleted + $7, octets = octets + $8
     WHERE account_id = $1 AND mailbox_id = $2
    RETURNING account_id, mailbox_id
)
SELECT pg_notify('holdfast_mailbox', account_id || ' ' || mailbox_id) FROM grown;

-- name: vault_keyword_numbers
-- args: account_id bigint, mailbox_id bigint
SELECT number, name FROM mailbox_keyword WHERE account_id = $1 AND mailbox_id = $2 ORDER BY number;

-- name: vault_keyword_add
-- args: account_id bigint, mailbox_id bigint, numbers integer[], names text[]
INSERT INTO mailbox_keyword (account_id, mailbox_id, number, name)
SELECT $1, $2, k.number, k.name FROM unnest($3, $4) AS k (number, name);

-- Hashes come sorted, so that two transactions that add the same ones do not wait in a circle.
-- What others have added since the statement began is in neither part.
-- name: vault_message_add
-- args: account_id bigint, sha256 bytea[], size_bytes bigint[]
WITH added AS (
    INSERT INTO message (account_id, sha256, size_bytes)
    SELECT $1, m.sha256, m.size_bytes FROM unnest($2, $3) AS m (sha256, size_bytes)
        ON CONFLICT (account_id, sha256) DO NOTHING
    RETURNING message_id, sha256
)
SELECT a.message_id, a.sha256, true AS is_new FROM added a
 UNION ALL
SELECT m.message_id, m.sha256, false
  FROM (SELECT w.sha256 FROM unnest($2) AS w (sha256)
         WHERE w.sha256 NOT IN (SELECT a.sha256 FROM added a)) w
 CROSS JOIN LATERAL (
       SELECT m.message_id, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.sha256 = w.sha256 OFFSET 0) m;

-- Those too.
-- name: vault_message_find
-- args: account_id bigint, sha256 bytea[]
SELECT m.message_id, m.sha256
  FROM unnest($2) AS w (sha256)
 CROSS JOIN LATERAL (
       SELECT m.message_id, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.sha256 = w.sha256 OFFSET 0) m;

-- UIDs that have a row, and whether it is all they get: a substitute that is there already is not placed again. Whether
-- they were taken for known once, and have a placement from that.
-- name: vault_source_uid_stored
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], doubts text[]
SELECT s.uid,
       s.state = 'stored' OR (coalesce(w.doubt IN ('reassembled', 'placeholder'), false)
                              AND s.substitute_uid IS NOT NULL),
       coalesce(s.recognised_by = 'denied', false)
  FROM unnest($4, $5) AS w (uid, doubt)
 CROSS JOIN LATERAL (
       SELECT s.uid, s.state, s.substitute_uid, s.recognised_by FROM source_uid s
        WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3 AND s.uid = w.uid
       OFFSET 0) s;

-- Placements of these octets and dates that no UID of this epoch stands for yet.
-- name: vault_epoch_candidates
-- args: account_id bigint, mailbox_id bigint, epoch integer, sha256 bytea[], internal_at timestamptz[]
SELECT p.uid, m.message_id, p.internal_at, p.flags, p.keywords, p.is_gone
  FROM (SELECT DISTINCT w.sha256, w.internal_at FROM unnest($4, $5) AS w (sha256, internal_at)) w
  JOIN message m ON m.account_id = $1 AND m.sha256 = w.sha256
 CROSS JOIN LATERAL (
       SELECT p.uid, p.internal_at, p.flags, p.keywords, p.gone_at IS NOT NULL AS is_gone
         FROM (SELECT p.* FROM placement p
                WHERE p.account_id = $1 AND p.message_id = m.message_id OFFSET 0) p
        WHERE p.mailbox_id = $2 AND p.internal_at = w.internal_at
          AND NOT EXISTS (SELECT FROM source_uid s
                           WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3
                             AND s.epoch > 1 AND s.placement_uid = p.uid)
          AND NOT EXISTS (SELECT FROM source_uid s
                           WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3
                             AND s.substitute_uid = p.uid)
        ORDER BY p.uid LIMIT 500) p
 ORDER BY p.uid;

-- The same for a first epoch, in which only UIDs that were recognised and denied may have one already. The mailbox's
-- source UIDs are read once, whole: no index has them by placement.
-- name: vault_denied_candidates
-- args: account_id bigint, mailbox_id bigint, epoch integer, sha256 bytea[], internal_at timestamptz[]
SELECT p.uid, m.message_id, p.internal_at, p.flags, p.keywords, p.is_gone
  FROM (SELECT DISTINCT w.sha256, w.internal_at FROM unnest($4, $5) AS w (sha256, internal_at)) w
  JOIN message m ON m.account_id = $1 AND m.sha256 = w.sha256
 CROSS JOIN LATERAL (
       SELECT p.uid, p.internal_at, p.flags, p.keywords, p.gone_at IS NOT NULL AS is_gone
         FROM (SELECT p.* FROM placement p
                WHERE p.account_id = $1 AND p.message_id = m.message_id OFFSET 0) p
        WHERE p.mailbox_id = $2 AND p.internal_at = w.internal_at
          AND NOT p.uid <@ (SELECT coalesce(range_agg(int8range(v.uid, v.uid, '[]')), '{}')
                              FROM source_uid s
                             CROSS JOIN LATERAL (VALUES (s.placement_uid), (s.substitute_uid)) v (uid)
                             WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3
                               AND v.uid IS NOT NULL)
        ORDER BY p.uid LIMIT 500) p
 ORDER BY p.uid;

-- name: vault_run_next
SELECT nextval('run_id_seq');

-- name: vault_frame_add
-- args: account_id bigint, run_id bigint, ordinal integer, raw_start bigint, raw_bytes integer, stored_bytes integer, stored_sha256 bytea, octets bytea
WITH f AS (
    INSERT INTO frame (account_id, run_id, ordinal, raw_start, raw_bytes, stored_bytes,
                       stored_sha256, week)
    VALUES ($1, $2, $3, $4, $5, $6, $7, date_trunc('week', now())::date)
    RETURNING frame_id, week
)
INSERT INTO spool (account_id, frame_id, week, octets) SELECT $1, f.frame_id, f.week, $8 FROM f;

-- name: vault_locator_add
-- args: account_id bigint, run_id bigint, message_ids bigint[], raw_offsets bigint[]
INSERT INTO locator (account_id, message_id, run_id, raw_offset)
SELECT $1, l.message_id, $2, l.raw_offset FROM unnest($3, $4) AS l (message_id, raw_offset);

-- References of all rows stand behind one another; each row says where its own begin.
-- name: vault_index_add
-- args: account_id bigint, parser_version integer, message_ids bigint[], header_bytes bigint[], dates timestamptz[], days date[], message_id_texts text[], reference_firsts integer[], reference_counts integer[], reference_texts text[], subjects text[], froms text[], tos text[], ccs text[], bccs text[], structures bytea[], envelopes bytea[], bodystructures bytea[], notes text[], text_notes integer[], attachments boolean[], header_hashes bytea[]
INSERT INTO message_index (account_id, message_id, parser_version, header_bytes, header_sha256, date_at,
                           date_day, message_id_text, reference_texts, subject_folded, from_folded,
                           to_folded, cc_folded, bcc_folded, structure, envelope, bodystructure,
                           notes, text_notes, has_attachment)
SELECT $1, i.message_id, $2, i.header_bytes, i.header_sha256, i.date_at, i.date_day, i.message_id_text,
       CASE WHEN i.count > 0 THEN ($10::text[])[i.first : i.first + i.count - 1] END,
       i.subject, i.from_text, i.to_text, i.cc, i.bcc, i.structure, i.envelope, i.bodystructure,
       i.notes::jsonb, i.text_notes, i.has_attachment
  FROM unnest($3, $4, $5, $6, $7, $8, $9, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
              $21, $22)
       AS i (message_id, header_bytes, date_at, date_day, message_id_text, first, count, subject,
             from_text, to_text, cc, bcc, structure, envelope, bodystructure, notes, text_notes,
             has_attachment, header_sha256)
    ON CONFLICT (account_id, message_id) DO UPDATE
   SET parser_version = EXCLUDED.parser_version, header_bytes = EXCLUDED.header_bytes,
       header_sha256 = EXCLUDED.header_sha256, date_at = EXCLUDED.date_at,
       date_day = EXCLUDED.date_day, message_id_text = EXCLUDED.message_id_text, reference_texts = EXCLUDED.reference_texts,
       subject_folded = EXCLUDED.subject_folded, from_folded = EXCLUDED.from_folded,
       to_folded = EXCLUDED.to_folded, cc_folded = EXCLUDED.cc_folded,
       bcc_folded = EXCLUDED.bcc_folded, structure = EXCLUDED.structure,
       envelope = EXCLUDED.envelope, bodystructure = EXCLUDED.bodystructure,
       notes = EXCLUDED.notes, text_notes = EXCLUDED.text_notes,
       has_attachment = EXCLUDED.has_attachment
 WHERE message_index.parser_version <= EXCLUDED.parser_version;

-- Text blocks of a run. Ids of all stand behind one another; each says where its own begin.
-- name: vault_text_add
-- args: account_id bigint, run_id bigint, first_ordinal integer, parser_version integer, firsts bigint[], lasts bigint[], starts integer[], counts integer[], message_ids bigint[], raw_bytes integer[], stored_bytes integer[], stored_sha256 bytea[], signatures bytea[], octets bytea[]
WITH b AS (
    INSERT INTO text_block (account_id, run_id, ordinal, first_message_id, last_message_id,
                            message_ids, parser_version, raw_bytes, stored_bytes, stored_sha256,
                            signature, week)
    SELECT $1, $2, $3 + t.position - 1, t.first, t.last,
           ($9::bigint[])[t.start : t.start + t.count - 1], $4, t.raw_bytes, t.stored_bytes,
           t.stored_sha256, t.signature, date_trunc('week', now())::date
      FROM unnest($5, $6, $7, $8, $10, $11, $12, $13) WITH ORDINALITY
           AS t (first, last, start, count, raw_bytes, stored_bytes, stored_sha256, signature, position)
)
INSERT INTO text_spool (account_id, run_id, ordinal, week, octets)
SELECT $1, $2, $3 + t.position - 1, date_trunc('week', now())::date, t.octets
  FROM unnest($14) WITH ORDINALITY AS t (octets, position);

-- name: vault_placement_add
-- args: account_id bigint, mailbox_id bigint, modseq bigint, uids bigint[], message_ids bigint[], internal_at timestamptz[], zones smallint[], days date[], flags smallint[], keywords bytea[]
INSERT INTO placement (account_id, mailbox_id, uid, message_id, internal_at, internal_zone,
                       internal_day, flags, keywords, modseq, appeared_modseq)
SELECT $1, $2, p.uid, p.message_id, p.internal_at, p.zone, p.day, p.flags, p.keywords, $3, $3
  FROM unnest($4, $5, $6, $7, $8, $9, $10)
       AS p (uid, message_id, internal_at, zone, day, flags, keywords);

-- The original of UIDs that have no row yet: most of all, and without a search for one a third cheaper. What is matched
-- although a UID behind it is known, a pack may have passed over.
-- name: vault_source_uid_add
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], placement_uids bigint[], doubts text[], matched boolean[]
INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, placement_uid, doubt, matched_at)
SELECT $1, $2, $3, s.uid, 'stored', s.placement_uid, s.doubt,
       CASE WHEN s.is_matched
                 AND EXISTS (SELECT FROM source_uid u
                              WHERE u.account_id = $1 AND u.mailbox_id = $2
                                AND (u.epoch, u.uid) > ($3, s.uid))
            THEN clock_timestamp() END
  FROM unnest($4, $5, $6, $7) AS s (uid, placement_uid, doubt, is_matched);

-- All others. What stands in for the original leaves the UID pending.
-- name: vault_source_uid_store
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], placement_uids bigint[], doubts text[], matched boolean[]
INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, placement_uid, doubt, substitute_uid,
                        matched_at)
SELECT $1, $2, $3, s.uid, CASE WHEN w.is_substitute THEN 'pending' ELSE 'stored' END,
       CASE WHEN NOT w.is_substitute THEN s.placement_uid END, s.doubt,
       CASE WHEN w.is_substitute THEN s.placement_uid END,
       CASE WHEN s.is_matched THEN clock_timestamp() END
  FROM unnest($4, $5, $6, $7) AS s (uid, placement_uid, doubt, is_matched)
 CROSS JOIN LATERAL (SELECT coalesce(s.doubt IN ('reassembled', 'placeholder'), false)) w (is_substitute)
    ON CONFLICT (account_id, mailbox_id, epoch, uid) DO UPDATE
   SET state = EXCLUDED.state, placement_uid = EXCLUDED.placement_uid, gone_at = NULL,
       recognised_by = NULL,
       error = CASE EXCLUDED.state WHEN 'pending' THEN source_uid.error END,
       next_try_at = CASE EXCLUDED.state WHEN 'pending' THEN source_uid.next_try_at END,
       doubt = EXCLUDED.doubt, matched_at = EXCLUDED.matched_at,
       substitute_uid = coalesce(EXCLUDED.substitute_uid, source_uid.substitute_uid)
 WHERE source_uid.state <> 'stored';

-- They have rows now.
-- name: vault_source_uid_settle
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[]
SELECT settle_announced($1, $2, $3, $4, $4)::text;

-- name: vault_identity_find
-- args: account_id bigint, scope integer, identities text[]
SELECT w.position, m.sha256, m.size_bytes
  FROM unnest($3) WITH ORDINALITY AS w (identity, position)
 CROSS JOIN LATERAL (
       SELECT i.message_id FROM message_identity i
        WHERE i.account_id = $1 AND i.scope = $2 AND i.identity = w.identity OFFSET 0) i
 CROSS JOIN LATERAL (
       SELECT m.sha256, m.size_bytes FROM message m
        WHERE m.account_id = $1 AND m.message_id = i.message_id OFFSET 0) m;

-- What came under an id that stands for other octets already ends the trust in the scope.
-- name: vault_identity_add
-- args: account_id bigint, scope integer, identities text[], message_ids bigint[], threads text[], labels text[]
WITH given AS MATERIALIZED (
    SELECT g.* FROM unnest($3, $4, $5, $6) AS g (identity, message_id, thread, labels)
), distrust AS (
    UPDATE identity_scope s SET distrusted_at = now()
     WHERE s.account_id = $1 AND s.scope = $2 AND s.distrusted_at IS NULL
       AND (EXISTS (SELECT FROM given g
                      JOIN message_identity i ON i.account_id = $1 AND i.scope = $2
                                             AND i.identity = g.identity
                     WHERE i.message_id <> g.message_id)
            OR EXISTS (SELECT FROM given g GROUP BY g.identity
                       HAVING min(g.message_id) <> max(g.message_id)))
)
INSERT INTO message_identity (account_id, scope, identity, message_id, thread, labels)
SELECT $1, $2, g.identity, g.message_id, g.thread, string_to_array(g.labels, E'\n')
  FROM given g ORDER BY g.identity
    ON CONFLICT DO NOTHING;

-- name: vault_identity_placed
-- args: account_id bigint, mailbox_id bigint, epoch integer, scope integer, placed bigint
WITH marked AS (
    UPDATE source_epoch e SET identity_scope = $4
     WHERE e.account_id = $1 AND e.mailbox_id = $2 AND e.epoch = $3
       AND e.identity_scope IS DISTINCT FROM $4
)
UPDATE identity_scope s SET placed = s.placed + $5 WHERE s.account_id = $1 AND s.scope = $4;

-- These UIDs are stored without their octets, which were not seen this time.
-- name: vault_source_uid_recognised
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], ways text[]
UPDATE source_uid s SET recognised_by = r.way
  FROM unnest($4, $5) AS r (uid, way)
 WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3 AND s.uid = r.uid
   AND s.state = 'stored';

-- What a new source epoch may show again: messages of this mailbox, and of all that ever had this
-- UIDVALIDITY, which a renamed one may keep. Only what its header names, and what is the original.
-- name: vault_alike_walk
-- args: account_id bigint, mailbox_id bigint, uidvalidity bigint, first_at timestamptz, last_at timestamptz
SELECT p.internal_at, m.size_bytes, m.sha256, i.header_sha256
  FROM (SELECT $2::bigint AS mailbox_id
        UNION SELECT e.mailbox_id FROM source_epoch e
               WHERE e.account_id = $1 AND e.uidvalidity = $3) b
 CROSS JOIN LATERAL (
       SELECT p.message_id, p.internal_at FROM placement p
        WHERE p.account_id = $1 AND p.mailbox_id = b.mailbox_id
          AND p.internal_at BETWEEN $4 AND $5
          AND NOT EXISTS (SELECT FROM source_uid s
                           WHERE s.substitute_uid = p.uid AND s.account_id = $1
                             AND s.mailbox_id = b.mailbox_id)
       OFFSET 0) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 CROSS JOIN LATERAL (
       SELECT i.header_sha256 FROM message_index i
        WHERE i.account_id = $1 AND i.message_id = p.message_id
          AND i.header_sha256 IS NOT NULL AND i.message_id_text IS NOT NULL OFFSET 0) i;

-- name: vault_placement_states
-- args: account_id bigint, mailbox_id bigint, uids bigint[]
SELECT p.uid, p.flags, p.keywords, p.is_gone
  FROM (SELECT DISTINCT w.uid FROM unnest($3) AS w (uid)) w
 CROSS JOIN LATERAL (
       SELECT p.uid, p.flags, p.keywords, p.gone_at IS NOT NULL AS is_gone FROM placement p
        WHERE p.account_id = $1 AND p.mailbox_id = $2 AND p.uid = w.uid OFFSET 0) p
 ORDER BY p.uid;

-- The state in which a placement appeared, recorded when it changes for the first time.
-- name: vault_flag_event_first
-- args: account_id bigint, mailbox_id bigint, uids bigint[]
INSERT INTO flag_event (account_id, mailbox_id, modseq, uid, at, flags, keywords, is_gone)
SELECT $1, $2, p.appeared_modseq, p.uid, p.archived_at, p.flags, p.keywords, false
  FROM unnest($3) AS w (uid)
 CROSS JOIN LATERAL (
       SELECT p.* FROM placement p
        WHERE p.account_id = $1 AND p.mailbox_id = $2 AND p.uid = w.uid OFFSET 0) p
 WHERE p.modseq = p.appeared_modseq;

-- name: vault_flag_event_add
-- args: account_id bigint, mailbox_id bigint, modseq bigint, uids bigint[], flags smallint[], keywords bytea[], is_gone boolean[]
INSERT INTO flag_event (account_id, mailbox_id, modseq, uid, flags, keywords, is_gone)
SELECT $1, $2, $3, c.uid, c.flags, c.keywords, c.is_gone
  FROM unnest($4, $5, $6, $7) AS c (uid, flags, keywords, is_gone);

-- By ctid, which stands still while we hold the mailbox row: a plain join may read the whole mailbox.
-- name: vault_placement_change
-- args: account_id bigint, mailbox_id bigint, modseq bigint, uids bigint[], flags smallint[], keywords bytea[], is_gone boolean[]
UPDATE placement p
   SET flags = c.flags, keywords = c.keywords, modseq = $3,
       gone_at = CASE WHEN c.is_gone THEN coalesce(p.gone_at, now()) END
  FROM unnest($4, $5, $6, $7) AS c (uid, flags, keywords, is_gone)
 CROSS JOIN LATERAL (
       SELECT q.ctid AS place FROM placement q
        WHERE q.account_id = $1 AND q.mailbox_id = $2 AND q.uid = c.uid OFFSET 0) q
 WHERE p.ctid = q.place;

---------------------------------------------------------------------------------------------------

-- name: vault_listed_find
-- args: account_id bigint, paths text[]
SELECT mailbox_id, path, coalesce(special_use, ''), is_noselect, gone_at IS NOT NULL,
       octet_length(source_name) = 0, coalesce(object_id, '')
  FROM mailbox WHERE account_id = $1 AND path = ANY ($2)
 ORDER BY path COLLATE "C";

-- UIDVALIDITY: seconds since 1970, and over all that the account has had.
-- name: vault_listed_add
-- args: account_id bigint, source_names bytea[], delimiters text[], paths text[], special_uses text[], is_noselect boolean[], object_ids text[]
INSERT INTO mailbox (account_id, source_name, delimiter, path, special_use, is_noselect, object_id,
                     uidvalidity)
SELECT $1, l.source_name, l.delimiter, l.path, l.special_use, l.is_noselect, l.object_id,
       greatest(extract(epoch FROM now())::bigint,
                (SELECT max(m.uidvalidity) FROM mailbox m WHERE m.account_id = $1)) + l.position
  FROM unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY
       AS l (source_name, delimiter, path, special_use, is_noselect, object_id, position)
    ON CONFLICT (account_id, path) DO NOTHING;

-- name: vault_listed_change
-- args: account_id bigint, mailbox_ids bigint[], special_uses text[], is_noselect boolean[], object_ids text[]
UPDATE mailbox m
   SET special_use = l.special_use, is_noselect = l.is_noselect, gone_at = NULL,
       object_id = coalesce(l.object_id, m.object_id)
  FROM unnest($2, $3, $4, $5) AS l (mailbox_id, special_use, is_noselect, object_id)
 WHERE m.account_id = $1 AND m.mailbox_id = l.mailbox_id;

-- An id is one mailbox's: of another that had it, it is not any more.
-- name: vault_object_ids_settle
-- args: account_id bigint, mailbox_ids bigint[], object_ids text[]
UPDATE mailbox m SET object_id = NULL
  FROM unnest($2, $3) AS l (mailbox_id, object_id)
 WHERE m.account_id = $1 AND m.object_id = l.object_id AND m.mailbox_id <> l.mailbox_id;

-- Renaming is two statements, so that mailboxes may change their names with one another.
-- name: vault_mailbox_unname
-- args: account_id bigint, mailbox_ids bigint[]
WITH noted AS (
    INSERT INTO mailbox_former (account_id, mailbox_id, path)
    SELECT m.account_id, m.mailbox_id, m.path FROM mailbox m
     WHERE m.account_id = $1 AND m.mailbox_id = ANY ($2)
)
UPDATE mailbox m SET path = chr(1) || m.mailbox_id
 WHERE m.account_id = $1 AND m.mailbox_id = ANY ($2);

-- name: vault_mailbox_rename
-- args: account_id bigint, mailbox_ids bigint[], source_names bytea[], delimiters text[], paths text[]
UPDATE mailbox m SET source_name = l.source_name, delimiter = l.delimiter, path = l.path
  FROM unnest($2, $3, $4, $5) AS l (mailbox_id, source_name, delimiter, path)
 WHERE m.account_id = $1 AND m.mailbox_id = l.mailbox_id;

-- name: vault_unlisted_mark
-- args: account_id bigint, listed_ids bigint[]
UPDATE mailbox SET gone_at = now()
 WHERE account_id = $1 AND gone_at IS NULL AND mailbox_id <> ALL ($2)
   AND octet_length(source_name) > 0;
