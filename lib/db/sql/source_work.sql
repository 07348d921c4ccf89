-- SPDX-License-Identifier: Apache-2.0
--
-- Jobs as holdfast-ingest holds them, epochs, and what became of each UID (source/lease.h, mailbox.h).
-- Whatever changes something runs behind source_renew in the same transaction.

-- What this connection runs goes by keys. Plans are made once, and while the tables are still empty they
-- would be sequential scans, which the same prepared statement then keeps while millions of rows come.
-- name: source_go_by_keys
SELECT set_config('enable_seqscan', 'off', false);

-- name: source_claim
-- args: owner text, kinds text[], lease_seconds bigint, host_connections integer
SELECT job_id, account_id, coalesce(mailbox_id, 0), kind, fence, is_full
  FROM claim_job($1, $2, $3 * interval '1 second', $4);

-- name: source_release_dead
-- args: owner text
SELECT release_jobs($1);

-- name: source_mend_schedule
SELECT mend_schedule();

-- name: source_extend
-- args: job_id bigint, fence bigint, wanted integer, host_connections integer
SELECT extend_job($1, $2, $3, $4);

-- name: source_others_due
-- args: job_id bigint, kinds text[], patience_seconds bigint, host_connections integer
SELECT others_are_due($1, $2, $3 * interval '1 second', $4);

-- name: source_claim_watches
-- args: owner text, most integer, lease_seconds bigint, host_connections integer
SELECT job_id, account_id, fence, source_name
  FROM claim_watches($1, $2, $3 * interval '1 second', $4);

-- name: source_renew_watches
-- args: job_ids bigint[], fences bigint[], lease_seconds bigint
SELECT renew_watches($1, $2, $3 * interval '1 second');

-- name: source_wake
-- args: job_id bigint, fence bigint
SELECT wake_account($1, $2);

-- name: source_count_intake
-- args: job_id bigint, fence bigint, bytes bigint
SELECT count_intake($1, $2, $3),
       86400 - extract(epoch FROM date_trunc('second', now() AT TIME ZONE 'UTC')::time)::bigint;

-- name: source_sleep_host
-- args: job_id bigint, fence bigint, seconds bigint, why text
SELECT sleep_host($1, $2, $3 * interval '1 second', $4);

-- name: source_renew
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text
SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb),
       set_config('synchronous_commit', 'off', true);

-- A paused or removed account is not due again, whatever the worker thinks.
-- name: source_finish
-- args: job_id bigint, fence bigint, next_in_seconds bigint, outcome text, outcome_text text, progress text, rest text
SELECT finish_job($1, $2,
                  CASE WHEN EXISTS (SELECT FROM job j JOIN account a USING (account_id)
                                     WHERE j.job_id = $1 AND j.kind = 'sync'
                                       AND (a.is_paused OR a.removed_at IS NOT NULL)) THEN NULL
                       ELSE $3 * interval '1 second' END,
                  $4, $5, $6::jsonb, $7);

-- name: source_work
-- args: job_id bigint, fence bigint
SELECT n.name, a.host, a.port, a.login, a.tls, a.tls_ca, a.include, a.exclude, a.every_seconds,
       a.namespaces, a.tls_pins, a.tls_pin_only, a.login_as, a.is_paused, a.removed_at IS NOT NULL,
       j.attempts, j.started_at, j.progress::text, a.daily_bytes, coalesce(i.bytes, 0),
       a.kind = 'journal'
  FROM job j
  JOIN account a ON a.account_id = j.account_id
  JOIN account_name n ON n.account_id = j.account_id
  LEFT JOIN account_intake i
         ON i.account_id = j.account_id AND i.day = (now() AT TIME ZONE 'UTC')::date
 WHERE j.job_id = $1 AND j.fence = $2;

-- name: source_mailboxes
-- args: account_id bigint
SELECT b.mailbox_id, b.source_name, b.path, b.is_noselect, b.gone_at IS NOT NULL,
       coalesce(e.epoch, 0), coalesce(e.uidvalidity, 0), coalesce(e.uidnext, 1),
       coalesce(e.highestmodseq, 0), coalesce(e.messages, 0), e.enumerated_at,
       coalesce(p.pending, 0), coalesce(p.due, 0), e.listed_at, i.distrusted_at IS NOT NULL,
       coalesce(e.recognises, false), coalesce(p.denied, 0), coalesce(b.object_id, ''),
       coalesce(e.is_settled, false), e.refuted_at IS NOT NULL, e.enumerated_in
  FROM mailbox b
  LEFT JOIN source_epoch e
         ON e.account_id = b.account_id AND e.mailbox_id = b.mailbox_id AND e.closed_at IS NULL
  LEFT JOIN identity_scope i ON i.account_id = e.account_id AND i.scope = e.identity_scope
  LEFT JOIN (SELECT u.mailbox_id, u.epoch, sum(u.last_uid - u.first_uid + 1)::bigint AS pending,
                    (sum(u.last_uid - u.first_uid + 1)
                        FILTER (WHERE u.next_try_at IS NULL OR u.next_try_at <= now()))::bigint AS due,
                    count(u.recognised_by) AS denied
               FROM source_pending u
              WHERE u.account_id = $1
              GROUP BY u.mailbox_id, u.epoch) p
         ON p.mailbox_id = e.mailbox_id AND p.epoch = e.epoch
 WHERE b.account_id = $1 AND octet_length(b.source_name) > 0
 ORDER BY b.path <> 'INBOX', b.path COLLATE "C";

-- What the list of mailboxes leaves out now; what does not stand here any more has ended.
-- name: source_left_out
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, paths text[], reasons text[], rules text[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), left_out AS (
    INSERT INTO mailbox_left_out AS o (account_id, path, reason, rule)
    SELECT $5, path, reason, nullif(rule, '')
      FROM held, unnest($6, $7, $8) AS l (path, reason, rule) WHERE is_held
        ON CONFLICT (account_id, path) DO UPDATE
       SET reason = EXCLUDED.reason, rule = EXCLUDED.rule, ended_at = NULL,
           since = CASE WHEN o.ended_at IS NULL THEN o.since ELSE EXCLUDED.since END
     WHERE o.ended_at IS NOT NULL OR o.reason <> EXCLUDED.reason
        OR o.rule IS DISTINCT FROM EXCLUDED.rule
), ended AS (
    UPDATE mailbox_left_out o SET ended_at = now() FROM held
     WHERE is_held AND o.account_id = $5 AND o.ended_at IS NULL AND o.path <> ALL ($6)
)
SELECT is_held FROM held;

-- Some of what a test saw; the fence tells this test's rows from those of an earlier one.
-- name: source_listing_save
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, first bigint, paths text[], uses text[], noselects bigint[], reasons text[], rules text[], messages bigint[], octets bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held
), saved AS (
    INSERT INTO account_listing (account_id, ordinal, fence, path, special_use, is_noselect, left_out,
                                 rule, messages, octets)
    SELECT $5, $6 + l.number, $2, l.path, l.uses, l.noselect <> 0, nullif(l.reason, ''),
           nullif(l.rule, ''), nullif(l.messages, -1), nullif(l.octets, -1)
      FROM held,
           unnest($7, $8, $9, $10, $11, $12, $13) WITH ORDINALITY
               AS l (path, uses, noselect, reason, rule, messages, octets, number)
     WHERE is_held
        ON CONFLICT (account_id, ordinal) DO UPDATE
       SET fence = EXCLUDED.fence, path = EXCLUDED.path, special_use = EXCLUDED.special_use,
           is_noselect = EXCLUDED.is_noselect, left_out = EXCLUDED.left_out, rule = EXCLUDED.rule,
           messages = EXCLUDED.messages, octets = EXCLUDED.octets
)
SELECT is_held FROM held;

-- Finds or makes the scope of the account as it is now. Another worker may make it at the same time: then
-- there is none for this once.
-- name: source_identity_open
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, kind text
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), found AS (
    SELECT s.scope, s.placed, s.distrusted_at
      FROM account a
      JOIN identity_scope s ON s.account_id = a.account_id AND s.kind = $6 AND s.host = a.host
                           AND s.login = a.login
     WHERE a.account_id = $5
), made AS (
    INSERT INTO identity_scope (account_id, scope, kind, host, login)
    SELECT $5, 1 + coalesce((SELECT max(s.scope) FROM identity_scope s WHERE s.account_id = $5), 0),
           $6, a.host, a.login
      FROM held, account a
     WHERE is_held AND a.account_id = $5 AND NOT EXISTS (SELECT FROM found)
        ON CONFLICT DO NOTHING
    RETURNING scope
)
SELECT is_held, coalesce(f.scope, m.scope, 0), coalesce(f.placed, 0), f.distrusted_at IS NULL,
       EXISTS (SELECT FROM message_identity i WHERE i.account_id = $5 AND i.scope = f.scope)
  FROM held LEFT JOIN found f ON true LEFT JOIN made m ON true;

-- name: source_keywords
-- args: account_id bigint, mailbox_id bigint
SELECT number, name FROM mailbox_keyword WHERE account_id = $1 AND mailbox_id = $2 ORDER BY number;

-- Each write of a unit of its own is one statement: the fence (renew_job) is its first part, and what
-- follows happens only while the lease is held. It gives is_held.
-- None of them waits for the disk: what a crash takes back is found again by the next enumeration, and
-- a later commit of the vault, which waits, makes all before it durable too (WAL is in order).

-- Behind source_mailbox_abandon. The next one recognises what this mailbox had, or one that is gone by now and had the same
-- UIDVALIDITY: it may have been renamed.
-- name: source_epoch_open
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, uidvalidity bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), closed AS (
    UPDATE source_epoch e SET closed_at = now() FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.closed_at IS NULL
), opened AS (
    INSERT INTO source_epoch (account_id, mailbox_id, epoch, uidvalidity, recognises)
    SELECT $5, $6, 1 + coalesce(l.epoch, 0), $7,
           l.epoch IS NOT NULL
           OR EXISTS (SELECT FROM source_epoch e JOIN mailbox b USING (account_id, mailbox_id)
                       WHERE e.account_id = $5 AND e.uidvalidity = $7 AND b.gone_at IS NOT NULL)
      FROM held
     CROSS JOIN LATERAL (SELECT max(e.epoch) AS epoch FROM source_epoch e
                          WHERE e.account_id = $5 AND e.mailbox_id = $6) l
     WHERE is_held
    RETURNING epoch, recognises
)
SELECT is_held, coalesce((SELECT epoch FROM opened), 0),
       coalesce((SELECT recognises FROM opened), false)
  FROM held;

-- Nothing of the epoch is taken for what is archived.
-- name: source_epoch_octets
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_epoch e SET recognises = false FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7 AND e.recognises
)
SELECT is_held FROM held;

-- The epoch is whole, if nothing has become pending meanwhile: what comes later is downloaded.
-- name: source_epoch_whole
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_epoch e SET recognises = false, is_settled = true FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7
       AND NOT EXISTS (SELECT FROM source_pending p
                        WHERE p.account_id = $5 AND p.mailbox_id = $6 AND p.epoch = $7)
)
SELECT is_held FROM held;

-- A sample was not what it was taken for: all that was taken so in this epoch is to come, max UIDs with each
-- statement. Gives how many there were.
-- name: source_epoch_refute
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, max bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held
), done AS (
    UPDATE source_epoch e
       SET recognises = false, is_settled = false, refuted_at = coalesce(e.refuted_at, now())
      FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7
), denied AS (
    UPDATE source_uid u SET state = 'pending', placement_uid = NULL, recognised_by = 'denied'
      FROM held
     WHERE is_held AND u.ctid = ANY (ARRAY(
           SELECT r.ctid FROM source_uid r
            WHERE r.account_id = $5 AND r.mailbox_id = $6 AND r.epoch = $7
              AND r.recognised_by = 'header' AND r.gone_at IS NULL LIMIT $8))
    RETURNING 1
)
SELECT is_held, (SELECT count(*) FROM denied) FROM held;

-- The gap before the first enumeration of an epoch is counted from the last one of the epoch before.
-- name: source_epoch_enumerated
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, uidnext bigint, messages bigint, highestmodseq bigint, is_listed boolean
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_epoch e
       SET uidnext = greatest(e.uidnext, $8), messages = $9, highestmodseq = $10,
           longest_gap = greatest(e.longest_gap, now() - coalesce(e.enumerated_at,
               (SELECT max(b.enumerated_at) FROM source_epoch b
                 WHERE b.account_id = $5 AND b.mailbox_id = $6 AND b.epoch < $7), now())),
           enumerated_at = now(), listed_at = CASE WHEN $11 THEN now() ELSE e.listed_at END,
           enumerated_in = (SELECT j.started_at FROM job j WHERE j.job_id = $1)
      FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7
)
SELECT is_held FROM held;

-- name: source_epoch_unchanged
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_ids bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_epoch e
       SET longest_gap = greatest(e.longest_gap, now() - e.enumerated_at), enumerated_at = now(),
           enumerated_in = (SELECT j.started_at FROM job j WHERE j.job_id = $1)
      FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = ANY ($6) AND e.closed_at IS NULL
       AND e.enumerated_at IS NOT NULL
)
SELECT is_held FROM held;

-- Each placement by its whole key. As a plain join, a table that was never analyzed is read once for each
-- row: the planner takes the whole mailbox to be one placement (20,000 rows: 18 s instead of 0.1 s).
-- name: source_window
-- args: account_id bigint, mailbox_id bigint, epoch integer, first bigint, last bigint, max bigint
(SELECT u.uid, u.state, u.gone_at IS NOT NULL, u.next_try_at IS NULL OR u.next_try_at <= now(),
       u.attempts, coalesce(u.placement_uid, u.substitute_uid), p.flags, p.keywords, p.internal_at
  FROM source_uid u
  LEFT JOIN LATERAL (
       SELECT flags, keywords, internal_at FROM placement
        WHERE account_id = u.account_id AND mailbox_id = u.mailbox_id AND uid = coalesce(u.placement_uid, u.substitute_uid)
        LIMIT 1) p ON true
 WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = $3 AND u.uid BETWEEN $4 AND $5
 ORDER BY u.uid LIMIT $6)
 UNION ALL
SELECT a.uid, 'pending', false, true, 0, NULL, NULL, NULL, NULL
  FROM announced_uids($1, $2, $3, $4, $5, $6) AS a (uid)
 ORDER BY uid LIMIT $6;

-- The same columns, for UIDs that are told.
-- name: source_known
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[]
SELECT u.uid, u.state, u.gone_at IS NOT NULL, u.next_try_at IS NULL OR u.next_try_at <= now(),
       u.attempts, coalesce(u.placement_uid, u.substitute_uid), p.flags, p.keywords, p.internal_at
  FROM source_uid u
  LEFT JOIN LATERAL (
       SELECT flags, keywords, internal_at FROM placement
        WHERE account_id = u.account_id AND mailbox_id = u.mailbox_id AND uid = coalesce(u.placement_uid, u.substitute_uid)
        LIMIT 1) p ON true
 WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = $3 AND u.uid = ANY ($4)
 UNION ALL
SELECT w.uid, 'pending', false, true, 0, NULL, NULL, NULL, NULL
  FROM unnest($4) AS w (uid)
 CROSS JOIN LATERAL announced_within($1, $2, $3, w.uid, w.uid) a
 ORDER BY uid;

-- UIDs within some ranges that the source has, as far as we know.
-- name: source_present
-- args: account_id bigint, mailbox_id bigint, epoch integer, firsts bigint[], lasts bigint[], after bigint, max bigint
SELECT u.uid, coalesce(u.placement_uid, 0)
  FROM unnest($4, $5) AS r (first, last)
 CROSS JOIN LATERAL (
       (SELECT s.uid, coalesce(s.placement_uid, s.substitute_uid) AS placement_uid
         FROM source_uid s
        WHERE s.account_id = $1 AND s.mailbox_id = $2 AND s.epoch = $3
          AND s.uid BETWEEN greatest(r.first, $6 + 1) AND r.last AND s.gone_at IS NULL
        ORDER BY s.uid LIMIT $7)
        UNION ALL
       SELECT a.uid, NULL
         FROM announced_uids($1, $2, $3, greatest(r.first, $6 + 1), r.last, $7) AS a (uid)
        ORDER BY uid LIMIT $7) u
 ORDER BY u.uid LIMIT $7;

-- How many those are in all.
-- name: source_present_count
-- args: account_id bigint, mailbox_id bigint, epoch integer
SELECT (SELECT count(*) FROM source_uid
         WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND gone_at IS NULL)
     + (SELECT coalesce(sum(last_uid - first_uid + 1), 0)::bigint FROM source_announced
         WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3);

-- The first and the last few messages of the epoch that we have and the source has.
-- name: source_sample
-- args: account_id bigint, mailbox_id bigint, epoch integer, max bigint
SELECT u.uid, p.internal_at, m.size_bytes
  FROM ((SELECT uid, placement_uid FROM source_uid
          WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND state = 'stored'
            AND gone_at IS NULL ORDER BY uid LIMIT $4 / 2)
        UNION
        (SELECT uid, placement_uid FROM source_uid
          WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND state = 'stored'
            AND gone_at IS NULL ORDER BY uid DESC LIMIT $4 / 2)) u
 CROSS JOIN LATERAL (
       SELECT internal_at, message_id FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid = u.placement_uid OFFSET 0) p
 CROSS JOIN LATERAL (
       SELECT size_bytes FROM message
        WHERE account_id = $1 AND message_id = p.message_id OFFSET 0) m
 ORDER BY u.uid;

-- name: source_pending
-- args: account_id bigint, mailbox_id bigint, epoch integer, after bigint, max bigint
(SELECT uid FROM source_uid
  WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND uid > $4 AND state = 'pending'
    AND (next_try_at IS NULL OR next_try_at <= now())
  ORDER BY uid LIMIT $5)
 UNION ALL
SELECT a.uid FROM announced_uids($1, $2, $3, $4 + 1, 4294967295, $5) AS a (uid)
 ORDER BY uid LIMIT $5;

-- Placements of the mailbox that are not known to be gone and that no UID of this epoch (never the first)
-- stands for, among the first max ones; behind them how far these go. Each is looked up by itself, for the
-- reason above (5,000 rows: 12 s as an anti-join). None while a UID is pending: it may stand for any.
-- name: source_orphans
-- args: account_id bigint, mailbox_id bigint, epoch integer, after bigint, max bigint
WITH page AS MATERIALIZED (
    SELECT p.uid, p.gone_at IS NULL AS is_here FROM placement p
     WHERE p.account_id = $1 AND p.mailbox_id = $2 AND p.uid > $4
     ORDER BY p.uid LIMIT $5
)
SELECT p.uid, true AS is_orphan FROM page p
 WHERE p.is_here
   AND (SELECT u.uid FROM source_uid u
         WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = $3 AND u.epoch > 1
           AND u.placement_uid = p.uid LIMIT 1) IS NULL
   AND (SELECT u.uid FROM source_uid u
         WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.epoch = $3
           AND u.substitute_uid = p.uid LIMIT 1) IS NULL
   AND NOT EXISTS (SELECT FROM source_pending w
                    WHERE w.account_id = $1 AND w.mailbox_id = $2 AND w.epoch = $3)
 UNION ALL
SELECT max(p.uid), false FROM page p HAVING count(*) > 0
 ORDER BY uid, is_orphan DESC;

-- Placements of substitutes whose originals are stored by now.
-- name: source_superseded
-- args: account_id bigint, mailbox_id bigint
SELECT p.uid FROM source_uid u
  JOIN placement p
    ON p.account_id = u.account_id AND p.mailbox_id = u.mailbox_id AND p.uid = u.substitute_uid
 WHERE u.account_id = $1 AND u.mailbox_id = $2 AND u.substitute_uid IS NOT NULL
   AND u.state = 'stored' AND u.substitute_uid <> u.placement_uid AND p.gone_at IS NULL
 ORDER BY p.uid LIMIT 1000;

-- Which of these UIDs failed with the same error the last time.
-- name: source_failed_alike
-- args: account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], error text
SELECT uid FROM source_uid
 WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND uid = ANY ($4)
   AND state = 'pending' AND error = $5
 ORDER BY uid;

-- Ranges, ascending: what of them is not known yet, whatever was announced of it before.
-- name: source_uid_announce
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, firsts bigint[], lasts bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), known AS (
    SELECT int8range(s.uid, s.uid, '[]') AS uids
      FROM unnest($8, $9) AS r (first, last)
     CROSS JOIN LATERAL (
           SELECT s.uid FROM source_uid s
            WHERE s.account_id = $5 AND s.mailbox_id = $6 AND s.epoch = $7
              AND s.uid BETWEEN r.first AND r.last OFFSET 0) s
     UNION ALL
    SELECT int8range(a.first_uid, a.last_uid, '[]')
      FROM announced_within($5, $6, $7, ($8)[1], ($9)[cardinality($9)]) a
), fresh AS (
    SELECT (SELECT range_agg(int8range(r.first, r.last, '[]')) FROM unnest($8, $9) AS r (first, last))
           - coalesce((SELECT range_agg(k.uids) FROM known k), '{}') AS uids
), done AS (
    INSERT INTO source_announced (account_id, mailbox_id, epoch, first_uid, last_uid)
    SELECT $5, $6, $7, lower(r.uids), upper(r.uids) - 1
      FROM held, fresh, unnest(fresh.uids) AS r (uids) WHERE is_held
)
SELECT is_held FROM held;

-- Ahead of what changes rows of UIDs that may be announced ones: they get them. By itself it changes
-- nothing of what is known.
-- name: source_uid_settle
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, firsts bigint[], lasts bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
)
SELECT is_held, CASE WHEN is_held THEN settle_announced($5, $6, $7, $8, $9) END::text FROM held;

-- The same for the first max UIDs that are announced in a mailbox. Gives how many epochs they are of: none,
-- nothing was left.
-- name: source_mailbox_settle
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, max bigint
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), ranges AS (
    SELECT a.*, sum(a.last_uid - a.first_uid + 1) OVER (ORDER BY a.epoch, a.first_uid)
                - (a.last_uid - a.first_uid + 1) AS uids_before
      FROM (SELECT * FROM source_announced WHERE account_id = $5 AND mailbox_id = $6
             ORDER BY epoch, first_uid LIMIT $7) a
), due AS MATERIALIZED (
    SELECT r.epoch, array_agg(r.first_uid) AS firsts,
           array_agg(least(r.last_uid, r.first_uid + $7 - 1)) AS lasts
      FROM ranges r WHERE r.uids_before < $7 GROUP BY r.epoch
)
SELECT is_held, (SELECT count(settle_announced($5, $6, d.epoch, d.firsts, d.lasts)) FROM due d
                  WHERE is_held)
  FROM held;

-- Behind that: the first max UIDs that are pending in the mailbox can be asked for no more. Gives how many
-- there were. Should the mailbox be listed again, it is not taken for unchanged, nor for one that this run is done
-- with: they are looked for.
-- name: source_mailbox_abandon
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, max bigint, error text
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), abandoned AS (
    UPDATE source_uid u SET state = 'gone', gone_at = now(), error = $8, next_try_at = NULL,
                            recognised_by = NULL
      FROM held
     WHERE is_held AND u.ctid = ANY (ARRAY(
           SELECT p.ctid FROM source_uid p
            WHERE p.account_id = $5 AND p.mailbox_id = $6 AND p.state = 'pending' LIMIT $7))
    RETURNING 1
), looked_at_anew AS (
    UPDATE source_epoch e SET highestmodseq = 0, enumerated_in = NULL
     WHERE e.account_id = $5 AND e.mailbox_id = $6 AND e.closed_at IS NULL
       AND (e.highestmodseq <> 0 OR e.enumerated_in IS NOT NULL)
       AND EXISTS (SELECT FROM abandoned)
)
SELECT is_held, (SELECT count(*) FROM abandoned) FROM held;

-- The last enumeration may have counted them: until the next one is complete, the mailbox is not taken for unchanged.
-- name: source_uid_gone
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, uids bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_uid u
       SET gone_at = coalesce(u.gone_at, now()), next_try_at = NULL,
           recognised_by = nullif(u.recognised_by, 'denied'),
           state = CASE u.state WHEN 'pending' THEN 'gone' ELSE u.state END
      FROM held
     WHERE is_held AND u.account_id = $5 AND u.mailbox_id = $6 AND u.epoch = $7
       AND u.uid = ANY ($8)
), looked_at_anew AS (
    UPDATE source_epoch e SET highestmodseq = 0 FROM held
     WHERE is_held AND e.account_id = $5 AND e.mailbox_id = $6 AND e.epoch = $7
       AND e.highestmodseq <> 0
)
SELECT is_held FROM held;

-- name: source_uid_back
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, uids bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_uid u
       SET gone_at = NULL, state = CASE u.state WHEN 'gone' THEN 'pending' ELSE u.state END
      FROM held
     WHERE is_held AND u.account_id = $5 AND u.mailbox_id = $6 AND u.epoch = $7
       AND u.uid = ANY ($8)
)
SELECT is_held FROM held;

-- The wait doubles with each attempt, up to a day.
-- name: source_uid_failed
-- args: job_id bigint, fence bigint, lease_seconds bigint, progress text, account_id bigint, mailbox_id bigint, epoch integer, uids bigint[], errors text[], retry_seconds bigint[]
WITH held AS MATERIALIZED (
    SELECT renew_job($1, $2, $3 * interval '1 second', $4::jsonb) AS is_held,
           set_config('synchronous_commit', 'off', true)
), done AS (
    UPDATE source_uid u
       SET attempts = u.attempts + 1, error = f.error,
           next_try_at = now() + least(f.seconds * power(2, least(u.attempts, 16)), 86400)
                                 * interval '1 second'
      FROM held, unnest($8, $9, $10) AS f (uid, error, seconds)
     WHERE is_held AND u.account_id = $5 AND u.mailbox_id = $6 AND u.epoch = $7
       AND u.uid = f.uid AND u.state = 'pending'
)
SELECT is_held FROM held;
