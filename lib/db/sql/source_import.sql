-- SPDX-License-Identifier: Apache-2.0
--
-- Imports as their worker holds them: files, and where messages lie in them (source/import.h). As in
-- source_work.sql, what changes something is one statement behind renew_job.

-- name: import_claim
-- args: job_id bigint, owner text, lease_seconds bigint
SELECT account_id, fence FROM claim_import($1, $2, $3 * interval '1 second');

-- The epoch of the files of a folder that are one message each, and the next UID in it.
-- name: import_folder_find
-- args: account_id bigint, mailbox_id bigint
SELECT f.epoch, (SELECT max(u.uid) FROM source_uid u
                  WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = f.epoch) + 1
  FROM import_file f
 WHERE f.account_id = $1 AND f.mailbox_id = $2 AND f.uid IS NOT NULL
 ORDER BY f.mailbox_id, f.epoch, f.uid LIMIT 1;

-- Several epochs of such a mailbox live on: only the newest is not closed, and none is abandoned by that.
-- name: import_epoch_open
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held
), closed AS (
    UPDATE source_epoch e SET closed_at = now() FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.closed_at IS NULL
), opened AS (
    INSERT INTO source_epoch (account_id, mailbox_id, epoch)
    SELECT $5, $6, 1 + coalesce((SELECT max(e.epoch) FROM source_epoch e
                                  WHERE e.account_id = $5 AND e.mailbox_id = $6), 0)
      FROM held WHERE is_held
    RETURNING epoch
)
SELECT is_held, coalesce((SELECT epoch FROM opened), 0) FROM held;

-- Whole keys, one row at a time, whatever the planner knows: tables that have just been filled are not analysed yet,
-- and a join by a part of the key reads the whole mailbox for each name.
-- name: import_known
-- args: account_id bigint, mailbox_id bigint, names bytea[]
SELECT f.name, f.uid, f.file_id, f.size_bytes, f.modified_ns, u.is_stored, p.sha256, coalesce(p.uid, 0)
  FROM (SELECT DISTINCT w.name FROM unnest($3) AS w (name)) w
 CROSS JOIN LATERAL (
       SELECT f.name, f.epoch, f.uid, f.file_id, f.size_bytes, f.modified_ns
         FROM import_file f
        WHERE f.name = w.name AND f.mailbox_id = $2 AND f.account_id = $1
       OFFSET 0) f
 CROSS JOIN LATERAL (
       SELECT u.state = 'stored' AS is_stored, u.placement_uid
         FROM source_uid u
        WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = f.epoch AND u.uid = f.uid
       OFFSET 0) u
  LEFT JOIN LATERAL (
       SELECT p.uid, (SELECT m.sha256 FROM message m
                       WHERE m.account_id = $1 AND m.message_id = p.message_id) AS sha256
         FROM placement p
        WHERE p.account_id = $1 AND p.mailbox_id = $2 AND p.uid = u.placement_uid
       OFFSET 0) p ON true
 ORDER BY f.file_id;

-- name: import_announce_files
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], names bytea[], paths bytea[], sizes bigint[], modified bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), uids AS (
    INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state)
    SELECT $5, $6, $7, uid, 'pending' FROM held, unnest($8) AS uid WHERE is_held
), files AS (
    INSERT INTO import_file (account_id, mailbox_id, epoch, uid, name, path, size_bytes, modified_ns,
                             state)
    SELECT $5, $6, $7, f.uid, f.name, f.path, f.size_bytes, f.modified_ns, 'read'
      FROM held, unnest($8, $9, $10, $11, $12) AS f (uid, name, path, size_bytes, modified_ns)
     WHERE is_held
)
SELECT is_held FROM held;

-- A file whose octets are known under another size or time of change: that is how they are known now.
-- name: import_touch
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, file_id bigint, size_bytes bigint, modified_ns bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE import_file f SET size_bytes = $7, modified_ns = $8 FROM held
     WHERE is_held AND f.account_id = $5 AND f.file_id = $6
)
SELECT is_held FROM held;

-- name: import_mbox_find
-- args: account_id bigint, mailbox_id bigint, name bytea, size_bytes bigint, modified_ns bigint, mbox_format text
SELECT f.file_id, f.epoch, f.state = 'read'
  FROM import_file f
 WHERE f.name = $3 AND f.mailbox_id = $2 AND f.account_id = $1 AND f.uid IS NULL
   AND f.size_bytes = $4 AND f.modified_ns = $5 AND coalesce(f.mbox_format, $6) = $6
   AND f.state IN ('reading', 'read')
 ORDER BY f.file_id LIMIT 1;

-- Another version of an mbox: what is pending of the one before can be read no more.
-- name: import_mbox_open
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, name bytea, path bytea, size_bytes bigint, modified_ns bigint, mbox_format text, error text
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held
), before AS (
    SELECT f.epoch FROM import_file f, held
     WHERE is_held AND f.name = $8 AND f.mailbox_id = $6 AND f.account_id = $5 AND f.uid IS NULL
), abandoned AS (
    UPDATE source_uid u SET state = 'gone', gone_at = now(), error = $13, next_try_at = NULL
      FROM before b
     WHERE u.account_id = $5 AND u.mailbox_id = $6 AND u.epoch = b.epoch AND u.state = 'pending'
    RETURNING u.epoch
), counted AS (
    UPDATE source_epoch e SET messages = greatest(e.messages - a.count, 0)
      FROM (SELECT epoch, count(*) AS count FROM abandoned GROUP BY epoch) a
     WHERE e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = a.epoch
       AND e.enumerated_at IS NOT NULL
), opened AS (
    INSERT INTO import_file (account_id, mailbox_id, epoch, name, path, size_bytes, modified_ns,
                             mbox_format, state)
    SELECT $5, $6, $7, $8, $9, $10, $11, $12, 'reading' FROM held WHERE is_held
    RETURNING file_id
)
SELECT is_held, coalesce((SELECT file_id FROM opened), 0) FROM held;

-- This version is there again: another of the same name, from elsewhere, had taken its place.
-- name: import_mbox_revive
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_uid u SET state = 'pending', gone_at = NULL, error = NULL FROM held
     WHERE is_held AND u.account_id = $5 AND u.mailbox_id = $6 AND u.epoch = $7 AND u.state = 'gone'
)
SELECT is_held FROM held;

-- name: import_announce_spans
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, file_id bigint, uids bigint[], offsets bigint[], bytes bigint[], sizes bigint[], dates timestamptz[], zones smallint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), uids AS (
    INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state)
    SELECT $5, $6, $7, uid, 'pending' FROM held, unnest($9) AS uid WHERE is_held
        ON CONFLICT DO NOTHING
), spans AS (
    INSERT INTO import_span (account_id, mailbox_id, epoch, uid, file_id, file_offset, file_bytes,
                             size_bytes, internal_at, internal_zone)
    SELECT $5, $6, $7, s.uid, $8, s.file_offset, s.file_bytes, s.size_bytes, s.internal_at, s.zone
      FROM held, unnest($9, $10, $11, $12, $13, $14)
           AS s (uid, file_offset, file_bytes, size_bytes, internal_at, zone)
     WHERE is_held
        ON CONFLICT DO NOTHING
)
SELECT is_held FROM held;

-- By whole keys, as import_known.
-- name: import_spans
-- args: account_id bigint, mailbox_id bigint, epoch integer, after bigint, max bigint
SELECT u.uid, s.file_offset, s.file_bytes, s.size_bytes, s.internal_at, s.internal_zone
  FROM source_uid u
 CROSS JOIN LATERAL (
       SELECT s.file_offset, s.file_bytes, s.size_bytes, s.internal_at, s.internal_zone
         FROM import_span s
        WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3 AND s.uid = u.uid
       OFFSET 0) s
 WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = $3 AND u.uid > $4
   AND u.state = 'pending'
 ORDER BY u.uid LIMIT $5;

-- What an epoch of an import holds by now; is_read: of an mbox that was read to its end.
-- name: import_count
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, file_id bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_epoch e
       SET messages = u.count, uidnext = u.uidnext, enumerated_at = now()
      FROM held, (SELECT count(*) FILTER (WHERE s.state <> 'gone') AS count,
                          coalesce(max(s.uid), 0) + 1 AS uidnext
                    FROM source_uid s
                   WHERE s.account_id = $5 AND s.mailbox_id = $6 AND s.epoch = $7) u
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7
), finished AS (
    UPDATE import_file f SET state = 'read' FROM held
     WHERE is_held AND f.account_id = $5 AND f.file_id = $8 AND f.state = 'reading'
)
SELECT is_held FROM held;

-- One row for each path, however often it cannot be read.
-- name: import_note_problem
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, path bytea, state text, note text
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), known AS (
    UPDATE import_file f SET state = $7, note = $8, noted_at = now() FROM held
     WHERE is_held AND f.name = substr($6, 1, 500) AND f.mailbox_id IS NULL AND f.account_id = $5
       AND f.path = $6
    RETURNING f.file_id
), added AS (
    INSERT INTO import_file (account_id, name, path, size_bytes, modified_ns, state, note)
    SELECT $5, substr($6, 1, 500), $6, 0, 0, $7, $8 FROM held
     WHERE is_held AND NOT EXISTS (SELECT FROM known)
)
SELECT is_held FROM held;

-- name: import_has_problems
-- args: account_id bigint
SELECT EXISTS (SELECT FROM import_file WHERE account_id = $1 AND state = 'failed');

-- Paths that were read after all.
-- name: import_settle
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, paths bytea[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE import_file f SET state = 'settled', noted_at = now() FROM held, unnest($6) AS w (path)
     WHERE is_held AND f.name = substr(w.path, 1, 500) AND f.mailbox_id IS NULL
       AND f.account_id = $5 AND f.path = w.path AND f.state = 'failed'
)
SELECT is_held FROM held;

-- What the runs since then could not read or left out, for the operator: failures first.
-- name: import_problems
-- args: account_id bigint, since timestamptz, max bigint
SELECT path, state = 'failed', coalesce(note, ''), noted_at
  FROM import_file
 WHERE account_id = $1 AND state IN ('failed', 'left_out') AND noted_at >= $2
 ORDER BY state, path LIMIT $3;
