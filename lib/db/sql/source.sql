-- SPDX-License-Identifier: Apache-2.0
--
-- Accounts as the operator manages them, and runs as he asks for them (source/account.h, run.h).

-- name: source_account_insert
-- args: host text, port integer, login text, tls text, tls_ca text, include text[], exclude text[], every_seconds integer, namespaces text[], is_paused boolean, kind text, tls_pins text[], tls_pin_only boolean, login_as text
INSERT INTO account (host, port, login, tls, tls_ca, include, exclude, every_seconds, namespaces, is_paused,
                     kind, tls_pins, tls_pin_only, login_as)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING account_id;

-- name: source_name_lock
LOCK TABLE account_name IN SHARE ROW EXCLUSIVE MODE;

-- name: source_name_insert
-- args: account_id bigint, name text
INSERT INTO account_name (account_id, name) VALUES ($1, $2);

-- name: source_secret_save
-- args: account_id bigint, kind text, sealed bytea, key_id bigint, credential_id bigint
INSERT INTO account_secret (account_id, kind, sealed, key_id, credential_id)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (account_id) DO UPDATE
   SET kind = EXCLUDED.kind, sealed = EXCLUDED.sealed, key_id = EXCLUDED.key_id,
       credential_id = EXCLUDED.credential_id, updated_at = now();

-- name: source_secret_find
-- args: account_id bigint
SELECT s.kind, s.sealed, s.credential_id, c.name
  FROM account_secret s
  LEFT JOIN credential c USING (credential_id)
 WHERE s.account_id = $1;

-- name: source_secret_delete
-- args: account_id bigint
DELETE FROM account_secret WHERE account_id = $1;

-- An account that never archived anything, as if it had not been. Others stay: messages refer to them.
-- name: source_account_forget
-- args: account_id bigint
WITH doomed AS (
    SELECT account_id FROM account a
     WHERE a.account_id = $1 AND NOT EXISTS (SELECT FROM mailbox m WHERE m.account_id = $1)
), names AS (DELETE FROM account_name n USING doomed d WHERE n.account_id = d.account_id
), secrets AS (DELETE FROM account_secret s USING doomed d WHERE s.account_id = d.account_id
), jobs AS (DELETE FROM job j USING doomed d WHERE j.account_id = d.account_id
)
DELETE FROM account a USING doomed d WHERE a.account_id = d.account_id;

-- name: source_job_insert
-- args: account_id bigint
INSERT INTO job (account_id, kind, host)
SELECT a.account_id, 'sync', lower(a.host) FROM account a WHERE a.account_id = $1;

-- NULL leaves a column as it is; tls_ca, which may be NULL itself, has a flag.
-- name: source_account_update
-- args: account_id bigint, host text, port integer, login text, tls text, set_tls_ca boolean, tls_ca text, include text[], exclude text[], every_seconds integer, namespaces text[], tls_pins text[], tls_pin_only boolean, login_as text
UPDATE account
   SET host = coalesce($2, host), port = coalesce($3, port), login = coalesce($4, login),
       tls = coalesce($5, tls), tls_ca = CASE WHEN $6 THEN $7 ELSE tls_ca END,
       include = coalesce($8, include), exclude = coalesce($9, exclude),
       every_seconds = coalesce($10, every_seconds), namespaces = coalesce($11, namespaces),
       tls_pins = coalesce($12, tls_pins), tls_pin_only = coalesce($13, tls_pin_only),
       login_as = coalesce($14, login_as)
 WHERE account_id = $1 AND removed_at IS NULL;

-- name: source_name_update
-- args: account_id bigint, name text
UPDATE account_name SET name = $2 WHERE account_id = $1;

-- name: source_account_settings
-- args: name text
SELECT a.account_id, a.removed_at IS NOT NULL, a.host, a.port, a.login, a.tls, a.tls_ca, a.include,
       a.exclude, a.every_seconds, a.namespaces, a.tls_pins, a.tls_pin_only, a.login_as, a.kind
  FROM account_name n
  JOIN account a USING (account_id)
 WHERE n.name = $1;

-- name: source_account_find
-- args: name text
SELECT account_id FROM account_name WHERE name = $1;

-- FOR SHARE, not FOR UPDATE: a worker that holds the job's row takes KEY SHARE on the account's by
-- foreign keys, and whoever asks here takes the job's row next.
-- name: source_account_state
-- args: account_id bigint
SELECT is_paused, removed_at IS NOT NULL, kind = 'import' FROM account
 WHERE account_id = $1 FOR SHARE;

-- name: source_account_set_paused
-- args: account_id bigint, is_paused boolean
UPDATE account SET is_paused = $2 WHERE account_id = $1 AND removed_at IS NULL;

-- name: source_account_set_removed
-- args: account_id bigint
UPDATE account SET removed_at = coalesce(removed_at, now()) WHERE account_id = $1;

-- Takes the jobs away from whoever holds them: the fence makes their next commit fail. A run that gave way does not go
-- on after it either: what it was done with is old by then.
-- name: source_job_stop
-- args: account_id bigint, why text
UPDATE job
   SET is_active = false, fence = fence + 1,
       finished_at = CASE WHEN lease_owner IS NULL THEN finished_at ELSE clock_timestamp() END,
       outcome = CASE WHEN lease_owner IS NULL THEN outcome ELSE 'DENIED' END,
       outcome_text = CASE WHEN lease_owner IS NULL THEN outcome_text ELSE $2 END,
       lease_owner = NULL, rest = NULL
 WHERE account_id = $1;

-- Takes what is under way from its worker, which knows the account as it was; it begins anew, and who waits for
-- its end goes on waiting.
-- name: source_job_take_back
-- args: account_id bigint
UPDATE job
   SET fence = fence + 1, lease_owner = NULL, connections = 0, due_at = now()
 WHERE account_id = $1 AND kind IN ('sync', 'test') AND lease_owner IS NOT NULL;

-- Makes the sync job due, its back-off forgotten; a run that is going on ends first and another follows, one that gave
-- way begins anew: the account is another now. A watch is taken away from its watcher and begins anew.
-- name: source_job_start_unless_paused
-- args: account_id bigint
UPDATE job j
   SET is_active = j.kind = 'sync' OR a.watch <> '{}', requested_at = clock_timestamp(),
       attempts = 0, rest = NULL, host = lower(a.host), fence = j.fence + (j.kind = 'watch')::int,
       lease_owner = CASE WHEN j.kind = 'watch' THEN NULL ELSE j.lease_owner END,
       due_at = CASE WHEN j.lease_owner IS NULL OR j.kind = 'watch' THEN least(j.due_at, now())
                     ELSE j.due_at END
  FROM account a
 WHERE j.account_id = $1 AND j.kind IN ('sync', 'watch') AND a.account_id = $1
   AND NOT a.is_paused AND a.removed_at IS NULL;

-- name: source_queue
-- args: host_connections integer
WITH closed AS (
    SELECT h.host FROM source_host h WHERE h.sleeps_until > now()
     UNION
    SELECT j.host
      FROM job j CROSS JOIN LATERAL account_limits(j.account_id, $1) l
     WHERE j.lease_owner IS NOT NULL AND j.due_at > now()
     GROUP BY j.host HAVING sum(j.connections) >= min(l.host_connections)
), stated AS (
    SELECT j.connections, j.due_at, j.kind,
           CASE WHEN j.kind = 'watch' THEN 'watch'
                WHEN j.lease_owner IS NOT NULL AND j.due_at > now() THEN 'running'
                WHEN j.due_at <= now() AND j.host IN (SELECT host FROM closed) THEN 'host'
                WHEN j.due_at <= now() THEN 'due'
                WHEN j.rest IN ('budget', 'throttled') THEN 'budget'
                WHEN j.attempts > 0 THEN 'back-off'
                ELSE 'later' END AS state
      FROM job j WHERE j.is_active
)
SELECT count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'due'),
       count(*) FILTER (WHERE state = 'host'), count(*) FILTER (WHERE state = 'budget'),
       count(*) FILTER (WHERE state = 'back-off'), count(*) FILTER (WHERE state = 'later'),
       coalesce(sum(connections) FILTER (WHERE state = 'watch' AND due_at > now()), 0)::bigint,
       min(due_at) FILTER (WHERE state IN ('due', 'host') AND kind <> 'test')
  FROM stated;

-- NULL leaves as it is; -1: as the provider bears.
-- name: source_limits_set
-- args: account_id bigint, max_connections integer, daily_bytes bigint, watch text[]
UPDATE account
   SET max_connections = CASE WHEN $2 IS NULL THEN max_connections ELSE nullif($2, -1) END,
       daily_bytes = CASE WHEN $3 IS NULL THEN daily_bytes ELSE nullif($3, -1) END,
       watch = coalesce($4, watch)
 WHERE account_id = $1 AND removed_at IS NULL;

-- name: source_watch_insert
-- args: account_id bigint
INSERT INTO job (account_id, kind, host, is_active)
SELECT a.account_id, 'watch', lower(a.host), false FROM account a
 WHERE a.account_id = $1 AND a.watch <> '{}'
    ON CONFLICT (account_id, kind, coalesce(mailbox_id, 0)) DO NOTHING;

-- name: source_limits
-- args: account_id bigint
SELECT l.account_connections, a.max_connections IS NOT NULL, connections_of_account(a.account_id),
       coalesce(a.daily_bytes, -1),
       coalesce((SELECT i.bytes FROM account_intake i
                  WHERE i.account_id = a.account_id AND i.day = (now() AT TIME ZONE 'UTC')::date), 0)
  FROM account a CROSS JOIN LATERAL account_limits(a.account_id, 1) l
 WHERE a.account_id = $1;

-- name: source_watched
-- args: account_id bigint
SELECT watch FROM account WHERE account_id = $1;

-- name: source_distrust
-- args: account_id bigint
SELECT kind, host, login, distrusted_at FROM identity_scope
 WHERE account_id = $1 AND distrusted_at IS NOT NULL ORDER BY scope;

-- A test takes a moment, and somebody waits for it: it goes before all that is due, however long.
-- Idle workers listen: a hint, they look once a second anyway. Not waited for on disk, which thousands of accounts would
-- notice: a request that a crash takes back was of somebody whose connection broke with it.
-- What the job did while the clock was ahead was before all the same: it answers nothing that is asked for now.
-- name: source_job_request
-- args: account_id bigint, kind text, is_full boolean
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO job (account_id, kind, requested_at, wants_full, due_at)
SELECT $1, $2, clock_timestamp(), $3,
       now() - CASE WHEN $2 = 'test' THEN interval '1 day' ELSE interval '0' END
  FROM quick
    ON CONFLICT (account_id, kind, coalesce(mailbox_id, 0)) DO UPDATE
   SET is_active = true, requested_at = clock_timestamp(), wants_full = job.wants_full OR $3,
       started_at = CASE WHEN job.started_at > clock_timestamp() THEN now()
                         ELSE job.started_at END,
       finished_at = CASE WHEN job.finished_at > clock_timestamp() THEN now()
                          ELSE job.finished_at END,
       ended_started_at = CASE WHEN job.ended_started_at > clock_timestamp() THEN now()
                               ELSE job.ended_started_at END,
       due_at = CASE WHEN job.lease_owner IS NULL THEN least(job.due_at, EXCLUDED.due_at)
                     ELSE job.due_at END
RETURNING job_id, requested_at, pg_notify('holdfast_job', '')::text;

-- name: source_job_begun
-- args: account_id bigint, since timestamptz
SELECT coalesce(max(job_id), 0)::bigint FROM job
 WHERE account_id = $1 AND kind = 'sync' AND mailbox_id IS NULL
   AND started_at BETWEEN $2 AND now() AND coalesce(ended_started_at <= now(), true);

-- A run that began after the request and has ended is told as it ended, though the next may be going on. One
-- that will never begin, since the account was paused or removed meanwhile, has ended too.
-- name: source_job_watch
-- args: job_id bigint, requested_at timestamptz
SELECT job_id, is_active, lease_owner IS NOT NULL AND due_at > now(), has_ended OR NOT is_active,
       due_at, attempts, requested_at, started_at, finished_at,
       CASE WHEN has_ended OR is_active THEN outcome ELSE 'DENIED' END,
       CASE WHEN has_ended OR is_active THEN outcome_text
            ELSE 'stopped: the account was paused or removed' END,
       CASE WHEN has_another THEN ended_progress ELSE progress END::text
  FROM job
 CROSS JOIN LATERAL (SELECT coalesce(ended_started_at >= $2, false) AS has_another) a
 CROSS JOIN LATERAL (
       SELECT coalesce(has_another OR lease_owner IS NULL AND started_at >= $2
                                      AND finished_at >= started_at, false) AS has_ended) e
 WHERE job_id = $1;

-- Those of many requests (job_id 0: none) whose run goes on or has ended, or whose job is no more.
-- name: source_jobs_moved
-- args: job_ids bigint[], requested_ats timestamptz[]
SELECT w.ordinal - 1
  FROM unnest($1, $2) WITH ORDINALITY AS w (job_id, requested_at, ordinal)
  LEFT JOIN job j ON j.job_id = w.job_id
 WHERE w.job_id <> 0
   AND (j.job_id IS NULL OR NOT j.is_active OR j.lease_owner IS NOT NULL
        OR j.started_at >= w.requested_at OR j.ended_started_at >= w.requested_at)
 ORDER BY w.ordinal;

-- name: source_account_list
-- args: account_id bigint, with_removed boolean
SELECT a.account_id, n.name, a.kind, a.host, a.port, a.login, a.tls, a.tls_ca, a.include, a.exclude,
       a.every_seconds, a.namespaces, a.tls_pins, a.tls_pin_only, a.login_as, a.is_paused,
       EXISTS (SELECT FROM account_secret s WHERE s.account_id = a.account_id),
       a.created_at, a.removed_at,
       m.mailboxes, m.messages, m.octets, p.pending, e.enumerated_at, e.longest_gap_usec,
       coalesce(j.job_id, 0), coalesce(j.is_active, false),
       coalesce(j.lease_owner IS NOT NULL AND j.due_at > now(), false), false,
       j.due_at, coalesce(j.attempts, 0), j.requested_at, j.started_at, j.finished_at, j.outcome,
       j.outcome_text, coalesce(j.progress, '{}')::text
  FROM account a
  JOIN account_name n ON n.account_id = a.account_id
  LEFT JOIN job j ON j.account_id = a.account_id AND j.mailbox_id IS NULL
             AND j.kind = CASE a.kind WHEN 'import' THEN 'import' ELSE 'sync' END
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE NOT b.is_noselect) AS mailboxes,
              coalesce(sum(b.messages), 0)::bigint AS messages,
              coalesce(sum(b.octets), 0)::bigint AS octets
         FROM mailbox b WHERE b.account_id = a.account_id) m
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(u.last_uid - u.first_uid + 1), 0)::bigint AS pending
         FROM source_pending u WHERE u.account_id = a.account_id) p
 CROSS JOIN LATERAL (
       SELECT CASE WHEN bool_and(o.enumerated_at IS NOT NULL) THEN min(o.enumerated_at) END
                  AS enumerated_at,
              coalesce(max(extract(epoch FROM o.longest_gap)) * 1000000, 0)::bigint
                  AS longest_gap_usec
         FROM source_epoch o
         JOIN mailbox b ON b.account_id = o.account_id AND b.mailbox_id = o.mailbox_id
        WHERE o.account_id = a.account_id AND o.closed_at IS NULL AND b.gone_at IS NULL) e
 WHERE ($1 = 0 OR a.account_id = $1) AND ($2 OR a.removed_at IS NULL)
 ORDER BY n.name COLLATE "C";

-- A mailbox of imports (empty source_name) has several epochs that count; of others the open one does. What the
-- source has: what the last complete enumeration counted, less what went since, and what an enumeration showed that
-- goes on, or did not come to its end.
-- name: source_facts_list
-- args: account_id bigint
SELECT b.mailbox_id, b.path, b.is_noselect, b.gone_at, b.messages, b.octets,
       coalesce(e.epoch, 0), coalesce(e.uidvalidity, 0),
       o.messages + CASE WHEN octet_length(b.source_name) > 0 AND e.enumerated_at IS NOT NULL
                         THEN u.fresh + n.fresh - u.went ELSE 0 END,
       u.stored, u.pending + n.announced, u.gone, u.skipped, u.stored_gone, e.enumerated_at,
       (coalesce(extract(epoch FROM e.longest_gap), 0) * 1000000)::bigint, u.recognised,
       coalesce((SELECT f.path FROM mailbox_former f
                  WHERE f.account_id = b.account_id AND f.mailbox_id = b.mailbox_id
                  ORDER BY f.until DESC LIMIT 1), '')
  FROM mailbox b
  LEFT JOIN source_epoch e
         ON e.account_id = b.account_id AND e.mailbox_id = b.mailbox_id AND e.closed_at IS NULL
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(o.messages), 0)::bigint AS messages FROM source_epoch o
        WHERE o.account_id = b.account_id AND o.mailbox_id = b.mailbox_id
          AND (o.epoch = e.epoch OR octet_length(b.source_name) = 0)) o
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE s.state = 'stored') AS stored,
              count(*) FILTER (WHERE s.state = 'pending') AS pending,
              count(*) FILTER (WHERE s.state = 'gone') AS gone,
              count(*) FILTER (WHERE s.state = 'skipped') AS skipped,
              count(*) FILTER (WHERE s.state = 'stored' AND s.gone_at IS NOT NULL) AS stored_gone,
              count(*) FILTER (WHERE s.recognised_by IN ('id', 'header') AND s.gone_at IS NULL)
                  AS recognised,
              count(*) FILTER (WHERE s.uid < e.uidnext AND s.gone_at > e.enumerated_at) AS went,
              count(*) FILTER (WHERE s.uid >= e.uidnext AND s.gone_at IS NULL) AS fresh
         FROM source_uid s
        WHERE s.account_id = b.account_id AND s.mailbox_id = b.mailbox_id
          AND (s.epoch = e.epoch OR octet_length(b.source_name) = 0)) u
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(n.last_uid - n.first_uid + 1), 0)::bigint AS announced,
              coalesce(sum(greatest(n.last_uid - greatest(n.first_uid, e.uidnext) + 1, 0)), 0)::bigint
                  AS fresh
         FROM source_announced n
        WHERE n.account_id = b.account_id AND n.mailbox_id = b.mailbox_id
          AND n.epoch = e.epoch) n
 WHERE b.account_id = $1
 ORDER BY b.path COLLATE "C";

-- name: source_left_out_list
-- args: account_id bigint
SELECT path, reason, since, coalesce(rule, '') FROM mailbox_left_out
 WHERE account_id = $1 AND ended_at IS NULL ORDER BY path COLLATE "C";

-- name: source_listing_load
-- args: account_id bigint
SELECT path, special_use, is_noselect, coalesce(left_out, ''), coalesce(rule, ''),
       coalesce(messages, -1), coalesce(octets, -1)
  FROM account_listing
 WHERE account_id = $1
   AND fence = (SELECT max(fence) FROM account_listing WHERE account_id = $1)
 ORDER BY ordinal;

-- Files that an import could not read have no UID: 0.
-- name: source_failure_list
-- args: account_id bigint, max bigint
SELECT u.account_id, u.mailbox_id, n.name, convert_to(b.path, 'UTF8') AS path, u.epoch, s.uid,
       u.attempts, coalesce(u.error, '') || CASE u.doubt
           WHEN 'reassembled' THEN '; archived is what its pieces make together'
           WHEN 'placeholder' THEN '; archived is the text that the server gave in its place'
           ELSE '' END AS error,
       u.first_seen_at, u.next_try_at
  FROM source_pending u
 CROSS JOIN LATERAL generate_series(u.first_uid, least(u.last_uid, u.first_uid + $2 - 1)) AS s (uid)
  JOIN mailbox b ON b.account_id = u.account_id AND b.mailbox_id = u.mailbox_id
  JOIN account_name n ON n.account_id = u.account_id
 WHERE $1 = 0 OR u.account_id = $1
 UNION ALL
SELECT f.account_id, 0, n.name, f.path, 0, 0, 1, coalesce(f.note, ''), f.noted_at, NULL
  FROM import_file f
  JOIN account_name n ON n.account_id = f.account_id
 WHERE f.state = 'failed' AND ($1 = 0 OR f.account_id = $1)
 ORDER BY first_seen_at, account_id, mailbox_id, uid
 LIMIT $2;

-- name: source_failure_retry
-- args: account_id bigint
UPDATE source_uid SET next_try_at = NULL
 WHERE state = 'pending' AND next_try_at > now() AND ($1 = 0 OR account_id = $1);

-- name: source_recognised_count
SELECT count(*) FROM source_uid u
 WHERE u.recognised_by IN ('id', 'header') AND u.gone_at IS NULL
   AND EXISTS (SELECT FROM source_epoch e
                WHERE e.account_id = u.account_id AND e.mailbox_id = u.mailbox_id
                  AND e.epoch = u.epoch AND e.closed_at IS NULL);

-- What was recognised instead of downloaded, and is at the source still, is to come: max UIDs with each statement.
-- Gives how many there were.
-- name: source_deny_recognised
-- args: account_id bigint, max bigint
WITH denied AS (
    UPDATE source_uid u SET state = 'pending', placement_uid = NULL, recognised_by = 'denied'
     WHERE u.recognised_by IN ('id', 'header') AND u.gone_at IS NULL
       AND u.ctid = ANY (ARRAY(
           SELECT r.ctid
             FROM source_epoch e
             JOIN source_uid r ON r.account_id = e.account_id AND r.mailbox_id = e.mailbox_id
                              AND r.epoch = e.epoch
            WHERE e.account_id = $1 AND e.closed_at IS NULL
              AND r.recognised_by IN ('id', 'header') AND r.gone_at IS NULL LIMIT $2))
    RETURNING u.mailbox_id, u.epoch
), unsettled AS (
    UPDATE source_epoch e SET is_settled = false
      FROM (SELECT DISTINCT d.mailbox_id, d.epoch FROM denied d) d
     WHERE e.account_id = $1 AND e.mailbox_id = d.mailbox_id AND e.epoch = d.epoch
)
SELECT count(*) FROM denied;
