-- SPDX-License-Identifier: Apache-2.0
--
-- 0014_announced: UIDs that an enumeration showed and that nothing more is known of, as ranges.

SET LOCAL search_path = holdfast, pg_temp;

-- Such a UID is pending and was never tried. It stands here or has a row in source_uid, never both; and it
-- leaves only by getting that row (settle_announced): nothing can be forgotten here.
CREATE TABLE source_announced (
    account_id   bigint      NOT NULL,
    mailbox_id   bigint      NOT NULL,
    epoch        int         NOT NULL,
    first_uid    bigint      NOT NULL CHECK (first_uid >= 1),
    last_uid     bigint      NOT NULL CHECK (last_uid BETWEEN first_uid AND 4294967295),
    announced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, mailbox_id, epoch, first_uid),
    FOREIGN KEY (account_id, mailbox_id, epoch)
        REFERENCES source_epoch (account_id, mailbox_id, epoch)
);
ALTER TABLE source_announced ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON source_announced TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);

-- All that is not archived yet, each row a range; of UIDs that were tried, one UID.
CREATE VIEW source_pending WITH (security_invoker = true) AS
SELECT u.account_id, u.mailbox_id, u.epoch, u.uid AS first_uid, u.uid AS last_uid, u.attempts, u.error,
       u.doubt, u.recognised_by, u.first_seen_at, u.next_try_at
  FROM source_uid u WHERE u.state = 'pending'
 UNION ALL
SELECT a.account_id, a.mailbox_id, a.epoch, a.first_uid, a.last_uid, 0, NULL, NULL, NULL, a.announced_at,
       NULL
  FROM source_announced a;

-- What of the ranges lies in first … last, ascending: ranges are disjoint, so that all but one of them
-- begin there.
CREATE FUNCTION announced_within(account bigint, mailbox bigint, of_epoch int, first bigint, last bigint)
RETURNS TABLE (first_uid bigint, last_uid bigint, announced_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT greatest(a.first_uid, first), least(a.last_uid, last), a.announced_at
      FROM holdfast.source_announced a
     WHERE a.account_id = account AND a.mailbox_id = mailbox AND a.epoch = of_epoch
       AND a.first_uid >= coalesce((SELECT max(b.first_uid) FROM holdfast.source_announced b
                                     WHERE b.account_id = account AND b.mailbox_id = mailbox
                                       AND b.epoch = of_epoch AND b.first_uid <= first), first)
       AND a.first_uid <= last AND a.last_uid >= first
     ORDER BY a.first_uid
$$;

-- The first max UIDs of these, ascending. No more of them are made than that and one range.
CREATE FUNCTION announced_uids(account bigint, mailbox bigint, of_epoch int, first bigint, last bigint,
                               max bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
    SELECT s.uid
      FROM (SELECT w.first_uid, w.last_uid,
                   sum(w.last_uid - w.first_uid + 1) OVER (ORDER BY w.first_uid) AS through
              FROM (SELECT * FROM holdfast.announced_within(account, mailbox, of_epoch, first, last)
                     LIMIT max) w) a
     CROSS JOIN LATERAL generate_series(a.first_uid, least(a.last_uid, a.first_uid + max - 1)) AS s (uid)
     WHERE a.through - (a.last_uid - a.first_uid + 1) < max
     ORDER BY s.uid LIMIT max
$$;

-- The UIDs of these ranges (firsts, lasts) are known one by one from now on: those that have no row in
-- source_uid yet get one, pending. The only way out of source_announced, for all roles. What was
-- announced together stays so, as ranges that are no more than needed; those that lie between are not touched:
-- several connections fetch from all over a page. Planned once a connection: the
-- planner thinks ill of each batch's plan, and would make another each time.
CREATE FUNCTION settle_announced(account bigint, mailbox bigint, of_epoch int, firsts bigint[],
                                 lasts bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    settled int8multirange := (SELECT range_agg(int8range(r.first, r.last, '[]'))
                                 FROM unnest(firsts, lasts) AS r (first, last));
BEGIN
    WITH touched AS (
        DELETE FROM source_announced a
         WHERE a.ctid = ANY (ARRAY(
               SELECT b.place FROM unnest(settled) AS r (uids)
                CROSS JOIN LATERAL (
                      SELECT b.ctid AS place FROM source_announced b
                       WHERE b.account_id = account AND b.mailbox_id = mailbox AND b.epoch = of_epoch
                         AND b.first_uid >= coalesce((SELECT max(c.first_uid) FROM source_announced c
                                                       WHERE c.account_id = account
                                                         AND c.mailbox_id = mailbox
                                                         AND c.epoch = of_epoch
                                                         AND c.first_uid <= lower(r.uids)),
                                                     lower(r.uids))
                         AND b.first_uid < upper(r.uids) AND b.last_uid >= lower(r.uids)
                      OFFSET 0) b))
        RETURNING a.first_uid, a.last_uid, a.announced_at
    ), together AS (
        SELECT t.announced_at, range_agg(int8range(t.first_uid, t.last_uid, '[]')) AS uids
          FROM touched t GROUP BY t.announced_at
    ), known AS (
        INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, first_seen_at)
        SELECT account, mailbox, of_epoch, s.uid, 'pending', t.announced_at
          FROM together t
         CROSS JOIN LATERAL unnest(t.uids * settled) AS r (uids)
         CROSS JOIN LATERAL generate_series(lower(r.uids), upper(r.uids) - 1) AS s (uid)
            ON CONFLICT DO NOTHING
    )
    INSERT INTO source_announced (account_id, mailbox_id, epoch, first_uid, last_uid, announced_at)
    SELECT account, mailbox, of_epoch, lower(r.uids), upper(r.uids) - 1, t.announced_at
      FROM together t
     CROSS JOIN LATERAL unnest(t.uids - settled) AS r (uids);
END
$$;

REVOKE ALL ON source_announced, source_pending FROM PUBLIC;
REVOKE ALL ON FUNCTION announced_within, announced_uids, settle_announced FROM PUBLIC;
GRANT SELECT, INSERT ON source_announced TO holdfast_ingest;
GRANT SELECT ON source_pending TO holdfast_ingest;
GRANT EXECUTE ON FUNCTION announced_within, announced_uids, settle_announced TO holdfast_ingest;
