-- SPDX-License-Identifier: Apache-2.0
--
-- The keeper's housekeeping (lib/keep).

-- The Mondays of the weeks that shall be ready: this one and those ahead.
-- name: keep_spool_wanted
-- args: ahead integer
SELECT (date_trunc('week', now()) + n * interval '1 week')::date FROM generate_series(0, $1) AS n;

-- Weeks that are over and of which there is a partition, of octets or of text, oldest first.
-- name: keep_spool_finished
SELECT DISTINCT w.monday
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 CROSS JOIN LATERAL (SELECT CASE WHEN c.relname ~ '^(text_)?spool_[0-9]{8}$'
                                 THEN to_date(right(c.relname::text, 8), 'YYYYMMDD') END)
            w (monday)
 WHERE i.inhparent IN ('holdfast.spool'::regclass, 'holdfast.text_spool'::regclass)
   AND w.monday < date_trunc('week', now())::date
 ORDER BY w.monday;

-- name: keep_lock_timeout
-- args: timeout text
SELECT set_config('lock_timeout', $1, true);

-- name: keep_spool_add_week
-- args: day date
SELECT spool_add_week($1);

-- name: keep_spool_drop_week
-- args: day date
SELECT spool_drop_week($1);
