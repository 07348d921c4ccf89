-- SPDX-License-Identifier: Apache-2.0
--
-- 0008_schedule: whose turn it is. Limits of hosts and accounts, daily budgets, rest without failure,
-- watchers; and the functions by which workers take jobs and give them back.
--
-- A job holds connections as long as its lease lasts: what a host has open is counted from the leased
-- jobs, so that nothing is left over when a worker dies. Who takes some locks the host's row first:
-- claims at one host stand in line, and a cap holds over all processes and machines.

SET LOCAL search_path = holdfast, pg_temp;

---------------------------------------------------------------------------------------------------
-- Limits
---------------------------------------------------------------------------------------------------

-- What providers are known to bear, by the end of the host's name; the operator may add rows and
-- change them. host_connections NULL: as [ingest] host_connections says.
CREATE TABLE source_provider (
    suffix              text PRIMARY KEY CHECK (suffix = lower(suffix)),
    host_connections    int CHECK (host_connections > 0),
    account_connections int NOT NULL CHECK (account_connections > 0)
);

-- Google and Microsoft count by account; Yahoo refuses who comes twice at once; of Zoho nothing is known but
-- time-outs under load.
INSERT INTO source_provider (suffix, host_connections, account_connections) VALUES
    ('gmail.com',         1000, 3),
    ('googlemail.com',    1000, 3),
    ('office365.com',     1000, 2),
    ('office365.us',      1000, 2),
    ('outlook.com',       1000, 2),
    ('outlook.cn',        1000, 2),
    ('yahoo.com',         NULL, 1),
    ('yahoo.co.jp',       NULL, 1),
    ('yahoodns.net',      NULL, 1),
    ('aol.com',           NULL, 1),
    ('att.net',           NULL, 1),
    ('zoho.com',          NULL, 1),
    ('zoho.eu',           NULL, 1),
    ('zoho.in',           NULL, 1),
    ('zohomail.com',      NULL, 1);

-- A source host that has been claimed at. connections: the operator's word, before the provider's.
-- sleeps_until: it asked to be left alone, by all.
CREATE TABLE source_host (
    host         text PRIMARY KEY CHECK (host = lower(host)),
    connections  int CHECK (connections > 0),
    sleeps_until timestamptz,
    sleeps_why   text
);
CREATE INDEX source_host_sleeping ON source_host (sleeps_until) WHERE sleeps_until IS NOT NULL;

ALTER TABLE account
    ADD COLUMN max_connections int CHECK (max_connections > 0),   -- NULL: as the provider bears
    ADD COLUMN daily_bytes bigint CHECK (daily_bytes >= 0),       -- NULL: the same; 0: no budget
    ADD COLUMN watch text[] NOT NULL DEFAULT '{}';                -- mailboxes held in IDLE

-- Octets of messages that came over the wire, by UTC day.
CREATE TABLE account_intake (
    account_id bigint NOT NULL REFERENCES account (account_id),
    day        date   NOT NULL,
    bytes      bigint NOT NULL,
    PRIMARY KEY (account_id, day)
);

-- default_host: [ingest] host_connections.
CREATE FUNCTION account_limits(account bigint, default_host int)
RETURNS TABLE (host text, host_connections int, account_connections int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT lower(a.host), coalesce(h.connections, p.host_connections, default_host),
           coalesce(a.max_connections, p.account_connections, 3)
      FROM account a
      LEFT JOIN source_host h ON h.host = lower(a.host)
      LEFT JOIN LATERAL (
           SELECT q.host_connections, q.account_connections FROM source_provider q
            WHERE lower(a.host) = q.suffix
               OR right(lower(a.host), length(q.suffix) + 1) = '.' || q.suffix
            ORDER BY length(q.suffix) DESC LIMIT 1) p ON true
     WHERE a.account_id = account
$$;

---------------------------------------------------------------------------------------------------
-- Jobs
---------------------------------------------------------------------------------------------------

-- host: the account's, as of the last look ('': not looked at yet); an ordering key, the account's own
-- word decides. rest: why it waits although nothing failed.
ALTER TABLE job
    ADD COLUMN host text NOT NULL DEFAULT '',
    ADD COLUMN connections int NOT NULL DEFAULT 0,                -- held with the lease
    ADD COLUMN rest text CHECK (rest IN ('yielded', 'budget', 'throttled')),
    DROP CONSTRAINT job_kind_check,
    ADD CONSTRAINT job_kind_check CHECK (kind IN ('sync', 'test', 'import', 'watch'));

-- Watches are claimed many at a time, by their own function, and are in nobody's way.
DROP INDEX job_due;
CREATE INDEX job_due ON job (due_at) WHERE is_active AND kind <> 'watch';
CREATE INDEX job_due_by_host ON job (host, due_at) WHERE is_active AND kind <> 'watch';
CREATE INDEX job_due_watch ON job (due_at) WHERE is_active AND kind = 'watch';
CREATE INDEX job_held ON job (host) WHERE lease_owner IS NOT NULL;
CREATE INDEX job_busy ON job (host) WHERE lease_owner IS NOT NULL AND kind <> 'watch';

CREATE FUNCTION connections_of_host(of_host text) RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT coalesce(sum(j.connections), 0)::int FROM job j
     WHERE j.host = of_host AND j.lease_owner IS NOT NULL AND j.due_at > now()
$$;

CREATE FUNCTION connections_of_account(account bigint) RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT coalesce(sum(j.connections), 0)::int FROM job j
     WHERE j.account_id = account AND j.lease_owner IS NOT NULL AND j.due_at > now()
$$;

-- Stands in line for the host, or does not wait. False: it sleeps, or another stands there. Who holds one
-- host and wants the next must not wait: two could wait for each other.
CREATE FUNCTION lock_host(of_host text, may_wait boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    sleeps timestamptz;
BEGIN
    INSERT INTO source_host (host) SELECT of_host
     WHERE NOT EXISTS (SELECT FROM source_host h WHERE h.host = of_host)
        ON CONFLICT DO NOTHING;
    IF may_wait THEN
        SELECT h.sleeps_until INTO sleeps FROM source_host h WHERE h.host = of_host FOR UPDATE;
    ELSE
        SELECT h.sleeps_until INTO sleeps FROM source_host h WHERE h.host = of_host
           FOR UPDATE SKIP LOCKED;
    END IF;
    RETURN FOUND AND (sleeps IS NULL OR sleeps <= now());
END
$$;

-- Hosts of jobs: one look at an index for each.
CREATE FUNCTION hosts_of_jobs() RETURNS SETOF text
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    WITH RECURSIVE known AS (
        (SELECT j.host FROM job j WHERE j.is_active AND j.kind <> 'watch' ORDER BY j.host LIMIT 1)
        UNION ALL
        SELECT (SELECT j.host FROM job j
                 WHERE j.is_active AND j.kind <> 'watch' AND j.host > k.host
                 ORDER BY j.host LIMIT 1)
          FROM known k WHERE k.host IS NOT NULL
    )
    SELECT k.host FROM known k WHERE k.host IS NOT NULL
$$;

-- The host, none of these, at which a job of these kinds is due longest. One look at an index, unless
-- that is one of these: then one look for each host.
CREATE FUNCTION next_host(kinds text[], passed text[]) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    found text;
BEGIN
    SELECT j.host INTO found FROM job j
     WHERE j.is_active AND j.kind <> 'watch' AND j.due_at <= now() AND j.kind = ANY (kinds)
     ORDER BY j.due_at LIMIT 1;
    IF found IS NULL OR found <> ALL (passed) THEN
        RETURN found;
    END IF;
    SELECT k.host INTO found
      FROM hosts_of_jobs() AS k (host)
     CROSS JOIN LATERAL (
           SELECT j.due_at FROM job j
            WHERE j.host = k.host AND j.is_active AND j.kind <> 'watch' AND j.due_at <= now()
              AND j.kind = ANY (kinds)
            ORDER BY j.due_at LIMIT 1) d
     WHERE k.host <> ALL (passed)
     ORDER BY d.due_at LIMIT 1;
    RETURN found;
END
$$;

-- Hosts that half of the busy workers or more are busy with.
CREATE FUNCTION crowded_hosts() RETURNS text[]
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT coalesce(array_agg(b.host), '{}')
      FROM (SELECT j.host, count(*) AS workers, sum(count(*)) OVER () AS of_all FROM job j
             WHERE j.lease_owner IS NOT NULL AND j.due_at > now() AND j.kind <> 'watch'
             GROUP BY j.host) b
     WHERE b.workers * 2 >= b.of_all
$$;

-- While a large message comes, its worker is within one transaction, in which nobody else would see the lease
-- renewed. Until that ends the job is held by a lock of its own, so that its row is free for those who want to stop
-- or request it. False: the lease is lost.
CREATE FUNCTION hold_job(job bigint, held_fence bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(job);
    RETURN EXISTS (SELECT FROM job j
                    WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL);
END
$$;

-- If nobody holds it so, nobody can before our transaction ends. Shared: others may ask at the same moment.
CREATE FUNCTION is_held(job bigint) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp COST 1000 AS $$
    SELECT NOT pg_try_advisory_xact_lock_shared(job)
$$;

-- Of a job that is claimed. Higher than the one before, and not to be guessed: the gate knows a worker by job and
-- fence, and a process that was taken over may reach the gate's socket, but never this table.
CREATE FUNCTION next_fence(fence bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    SELECT fence + 1 + ('x' || right(gen_random_uuid()::text, 9))::bit(36)::bigint
$$;

-- Claims the job that has been due longest, of one of these kinds; its connection is one. No row: nothing is
-- due, or no host that has something may be connected to.
-- Passed over are hosts that sleep or are full, and a host that half of the busy workers or more are busy with, as
-- long as another has something due: one that answers nobody does not keep all workers waiting. An account has
-- one sync job, so it takes one worker.
-- A job whose lease ran out is one whose worker died, unless it is held: that counts as an attempt, and after three
-- it waits like any other that fails.
-- A request that a clock made which was ahead is answered by this run, as any other: else none would answer it
-- (finish_job).
-- A run that gave way goes on, unless it is to look at everything by now: what it was done with it might have passed
-- over.
CREATE FUNCTION claim_job(owner text, kinds text[], lease interval, default_host_connections int)
RETURNS TABLE (job_id bigint, account_id bigint, mailbox_id bigint, kind text, fence bigint,
               is_full boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
#variable_conflict use_column
DECLARE
    passed  text[];
    crowded text[];
    chosen  text;
    picked record;
    may_wait boolean := true;
    minds_crowds boolean := true;
    is_open boolean;
BEGIN
    SELECT coalesce(array_agg(h.host), '{}') INTO passed FROM source_host h
     WHERE h.sleeps_until > now();
    crowded := crowded_hosts();
    LOOP
        chosen := next_host(kinds, passed || crowded);
        IF chosen IS NULL AND crowded <> '{}' THEN
            crowded := '{}';
            minds_crowds := false;
            CONTINUE;
        END IF;
        EXIT WHEN chosen IS NULL;
        IF chosen = '' THEN
            UPDATE job j SET host = lower(a.host) FROM account a
             WHERE a.account_id = j.account_id AND a.host <> ''
               AND j.job_id IN (SELECT n.job_id FROM job n
                                 WHERE n.host = '' AND n.is_active AND n.kind <> 'watch'
                                   FOR UPDATE SKIP LOCKED);
            IF NOT FOUND THEN
                passed := passed || ''::text;
            END IF;
            CONTINUE;
        END IF;
        is_open := lock_host(chosen, may_wait);
        may_wait := false;
        IF NOT is_open THEN
            passed := passed || chosen;
            CONTINUE;
        END IF;
        IF minds_crowds THEN -- others may have claimed there while we stood in line
            crowded := crowded || crowded_hosts();
            CONTINUE WHEN chosen = ANY (crowded);
        END IF;
        SELECT j.job_id, j.account_id, j.attempts, j.lease_owner IS NOT NULL AS has_died,
               l.host, l.host_connections INTO picked
          FROM job j CROSS JOIN LATERAL account_limits(j.account_id, default_host_connections) l
         WHERE j.host = chosen AND j.is_active AND j.kind <> 'watch' AND j.due_at <= now()
           AND j.kind = ANY (kinds)
           AND connections_of_account(j.account_id) < l.account_connections
         ORDER BY j.due_at LIMIT 1 FOR UPDATE OF j SKIP LOCKED;
        IF NOT FOUND OR connections_of_host(chosen) >= picked.host_connections THEN
            passed := passed || chosen;
        ELSIF picked.host <> chosen THEN
            UPDATE job j SET host = picked.host WHERE j.job_id = picked.job_id;
        ELSIF picked.has_died AND is_held(picked.job_id) THEN -- or the server has not noticed its end yet
            UPDATE job j SET due_at = now() + lease / 6 WHERE j.job_id = picked.job_id;
        ELSIF picked.has_died AND picked.attempts >= 3 THEN
            UPDATE job j
               SET fence = j.fence + 1, lease_owner = NULL, connections = 0,
                   attempts = j.attempts + 1, finished_at = clock_timestamp(), outcome = 'RETRY',
                   outcome_text = format('its worker ended in the middle of %s runs in a row',
                                         j.attempts),
                   due_at = now() + least(3600, 30 * 2 ^ least(j.attempts, 10)) * interval '1 s'
             WHERE j.job_id = picked.job_id;
        ELSE
            RETURN QUERY
            UPDATE job j
               SET fence = next_fence(j.fence), lease_owner = owner, due_at = now() + lease,
                   connections = 1, attempts = j.attempts + picked.has_died::int,
                   started_at = CASE WHEN goes_on THEN j.started_at ELSE now() END,
                   progress = CASE WHEN goes_on THEN j.progress ELSE '{}' END,
                   requested_at = CASE WHEN j.requested_at > clock_timestamp() THEN now()
                                       ELSE j.requested_at END,
                   rest = NULL, is_full = j.is_full OR j.wants_full, wants_full = false
              FROM (SELECT y.rest = 'yielded' AND NOT y.wants_full AS goes_on FROM job y
                     WHERE y.job_id = picked.job_id) y
             WHERE j.job_id = picked.job_id
            RETURNING j.job_id, j.account_id, j.mailbox_id, j.kind, j.fence, j.is_full;
            RETURN;
        END IF;
    END LOOP;
END
$$;

-- Asks for as many connections as `wanted` for a job that is held, or fewer than before. Returns how many it
-- has then, at least one; NULL: the lease is lost. Half of what the host has left stays for others; one that
-- asked to be left alone gets no more.
CREATE FUNCTION extend_job(job bigint, held_fence bigint, wanted int, default_host_connections int)
RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    held    record;
    is_open boolean;
    granted int;
BEGIN
    SELECT j.account_id, j.connections, l.* INTO held
      FROM job j CROSS JOIN LATERAL account_limits(j.account_id, default_host_connections) l
     WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    is_open := lock_host(held.host, true);
    granted := greatest(1, least(
        wanted, CASE WHEN NOT is_open THEN held.connections END,
        held.account_connections - connections_of_account(held.account_id) + held.connections,
        held.connections + (held.host_connections - connections_of_host(held.host)) / 2));
    UPDATE job j SET connections = granted
     WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL;
    RETURN granted;
END
$$;

-- Gives the job back: due again after next_in, or inactive when NULL. A request that came in after
-- the start makes it due at once. new_rest: NULL, or why it stops short without having failed;
-- 'yielded': the same run goes on when its turn comes again, behind all that are due now. One that was to look at
-- every mailbox and did is not to be repeated, though messages may be pending still.
CREATE FUNCTION finish_job(job bigint, held_fence bigint, next_in interval, new_outcome text,
                           new_outcome_text text, new_progress jsonb, new_rest text)
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    WITH finished AS (
        UPDATE job j
           SET due_at = CASE WHEN j.requested_at > j.started_at THEN now()
                             ELSE now() + coalesce(next_in, '0') END,
               is_active = next_in IS NOT NULL OR j.requested_at > j.started_at,
               lease_owner = NULL, connections = 0, rest = new_rest,
               finished_at = CASE WHEN new_rest = 'yielded' THEN j.finished_at
                                  ELSE clock_timestamp() END,
               attempts = CASE WHEN new_outcome = 'NONE' THEN 0
                               ELSE j.attempts + (new_rest IS NULL)::int END,
               outcome = CASE WHEN new_rest = 'yielded' THEN j.outcome ELSE new_outcome END,
               outcome_text = CASE WHEN new_rest = 'yielded' THEN j.outcome_text
                                   ELSE new_outcome_text END,
               is_full = j.is_full AND new_outcome <> 'NONE'
                         AND NOT coalesce(new_rest IS NULL
                                          AND (new_progress ->> 'mailboxes')::bigint > 0
                                          AND (new_progress ->> 'mailboxes_failed')::bigint = 0
                                          AND new_progress -> 'mailboxes_done'
                                              = new_progress -> 'mailboxes', false),
               progress = coalesce(new_progress, j.progress),
               ended_started_at = CASE WHEN new_rest = 'yielded' THEN j.ended_started_at
                                       ELSE j.started_at END,
               ended_progress = CASE WHEN new_rest = 'yielded' THEN j.ended_progress
                                     ELSE coalesce(new_progress, j.progress) END
         WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM finished)
$$;

-- Makes jobs due at once whose holder is known to be dead; after the first time in a row their lease runs
-- out first. Returns how many.
CREATE FUNCTION release_jobs(owner text) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    WITH released AS (
        UPDATE job j SET due_at = now()
         WHERE j.lease_owner = owner AND j.due_at > now() AND j.attempts = 0
        RETURNING 1
    )
    SELECT count(*) FROM released
$$;

-- What is due later than any rule says, or shall sleep longer, was put there while the clock was ahead; so was a
-- message that is to be tried again in more than a day (source_uid_failed). Returns how many jobs.
CREATE FUNCTION mend_schedule() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    WITH woken AS (
        UPDATE source_host h SET sleeps_until = NULL WHERE h.sleeps_until > now() + interval '2 days'
    ), tried AS (
        UPDATE source_uid u SET next_try_at = NULL
         WHERE u.state = 'pending' AND u.next_try_at > now() + interval '2 days'
    ), mended AS (
        UPDATE job j SET due_at = now() FROM account a
         WHERE a.account_id = j.account_id AND j.is_active AND j.due_at > now() + interval '2 days'
           AND j.due_at > now() + interval '2 days' + a.every_seconds * interval '1.1 s'
        RETURNING 1
    )
    SELECT count(*) FROM mended
$$;

-- Has something of these kinds been due for so long that every worker must be busy? What a large account asks
-- before it goes on. What waits for its host, which sleeps or is full, waits for no worker; at the host of the one
-- who asks there is room when it gives way. Nor does one that is held. One look at an index, unless something is due:
-- then one for each host.
CREATE FUNCTION others_are_due(job bigint, kinds text[], patience interval,
                               default_host_connections int) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM job j
                    WHERE j.is_active AND j.kind <> 'watch' AND j.due_at <= now() - patience
                      AND j.kind = ANY (kinds)) THEN
        RETURN false;
    END IF;
    RETURN EXISTS (
        SELECT FROM hosts_of_jobs() AS k (host)
         CROSS JOIN LATERAL (
               SELECT j.account_id FROM job j
                WHERE j.host = k.host AND j.is_active AND j.kind <> 'watch'
                  AND j.due_at <= now() - patience AND j.kind = ANY (kinds)
                  AND (j.lease_owner IS NULL OR NOT is_held(j.job_id))
                ORDER BY j.due_at LIMIT 1) d
         CROSS JOIN LATERAL account_limits(d.account_id, default_host_connections) l
         WHERE NOT EXISTS (SELECT FROM source_host h
                            WHERE h.host = l.host AND h.sleeps_until > now())
           AND (connections_of_host(l.host) < l.host_connections
                OR l.host = (SELECT lower(a.host) FROM account a
                              WHERE a.account_id = (SELECT own.account_id FROM job own
                                                     WHERE own.job_id = others_are_due.job))));
END
$$;

-- Adds to the day's octets of the account. Returns them; NULL: the lease is lost.
CREATE FUNCTION count_intake(job bigint, held_fence bigint, new_bytes bigint) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    INSERT INTO account_intake AS i (account_id, day, bytes)
    SELECT j.account_id, (now() AT TIME ZONE 'UTC')::date, new_bytes FROM job j
     WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL
        ON CONFLICT (account_id, day) DO UPDATE SET bytes = i.bytes + EXCLUDED.bytes
    RETURNING bytes
$$;

-- The host of the job wants to be left alone, by all. False: the lease is lost.
CREATE FUNCTION sleep_host(job bigint, held_fence bigint, duration interval, why text)
RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    WITH sleeping AS (
        UPDATE source_host h
           SET sleeps_until = greatest(h.sleeps_until, now() + duration), sleeps_why = why
          FROM job j
         WHERE j.job_id = job AND j.fence = held_fence AND j.lease_owner IS NOT NULL
           AND h.host = j.host
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM sleeping)
$$;

---------------------------------------------------------------------------------------------------
-- Watchers: connections that wait for news in IDLE
---------------------------------------------------------------------------------------------------

-- An account that is watched has a job of kind 'watch'. Its lease and fence are the watcher's right: the gate
-- gives the account's secret for it as for any other job, and its connections count.

-- Claims watches that are due; a row for each mailbox to be watched, by its name at the source. Watchers get at
-- most half of a host's connections and never an account's last one: those are for fetching. Where none is free,
-- the watch is looked at again in a minute.
CREATE FUNCTION claim_watches(owner text, most int, lease interval, default_host_connections int)
RETURNS TABLE (job_id bigint, account_id bigint, fence bigint, source_name bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
#variable_conflict use_column
DECLARE
    picked record;
    room   int;
    names  bytea[];
    may_wait boolean := true;
BEGIN
    FOR picked IN
        SELECT j.job_id, j.account_id, a.watch, l.host, l.host_connections, l.account_connections
          FROM job j
          JOIN account a ON a.account_id = j.account_id
         CROSS JOIN LATERAL account_limits(j.account_id, default_host_connections) l
         WHERE j.is_active AND j.kind = 'watch' AND j.due_at <= now()
           AND NOT a.is_paused AND a.removed_at IS NULL
         ORDER BY j.due_at LIMIT most FOR UPDATE OF j SKIP LOCKED
    LOOP
        IF lock_host(picked.host, may_wait) THEN
            room := least(picked.account_connections - 1 - connections_of_account(picked.account_id),
                          picked.host_connections - 1 - connections_of_host(picked.host),
                          picked.host_connections / 2
                          - (SELECT coalesce(sum(j.connections), 0) FROM job j
                              WHERE j.host = picked.host AND j.kind = 'watch'
                                AND j.lease_owner IS NOT NULL AND j.due_at > now()));
        ELSE
            room := 0;
        END IF;
        may_wait := false;
        SELECT array_agg(n.source_name) INTO names
          FROM (SELECT coalesce(m.source_name, 'INBOX') AS source_name
                  FROM unnest(picked.watch) WITH ORDINALITY AS w (path, place)
                  LEFT JOIN mailbox m ON m.account_id = picked.account_id AND m.path = w.path
                        AND m.gone_at IS NULL
                 WHERE m.source_name IS NOT NULL OR w.path = 'INBOX'
                 ORDER BY w.place LIMIT greatest(room, 0)) n;
        UPDATE job j
           SET fence = next_fence(j.fence), host = picked.host,
               connections = coalesce(cardinality(names), 0),
               lease_owner = CASE WHEN names IS NULL THEN NULL ELSE owner END,
               due_at = now() + CASE WHEN names IS NULL THEN interval '1 minute' ELSE lease END,
               started_at = now(), progress = '{}', attempts = 0
         WHERE j.job_id = picked.job_id;
        RETURN QUERY SELECT j.job_id, j.account_id, j.fence, n.source_name
                       FROM job j CROSS JOIN unnest(names) AS n (source_name)
                      WHERE j.job_id = picked.job_id;
    END LOOP;
END
$$;

-- Prolongs many leases; returns those that are still held.
CREATE FUNCTION renew_watches(jobs bigint[], fences bigint[], lease interval) RETURNS SETOF bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
    UPDATE job j SET due_at = now() + lease
      FROM unnest(jobs, fences) AS w (job_id, fence)
     WHERE j.job_id = w.job_id AND j.fence = w.fence AND j.kind = 'watch'
       AND j.lease_owner IS NOT NULL
    RETURNING j.job_id
$$;

-- There is news: the account's sync is due, unless it rests or backs off; one that is under way is followed by
-- another. False: its worker is in the middle of a transaction, perhaps a worker that was stopped, and is not waited
-- for: others have news too. NULL: the lease is lost.
CREATE FUNCTION wake_account(job bigint, held_fence bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = holdfast, pg_temp AS $$
DECLARE
    account bigint;
    sync    bigint;
BEGIN
    SELECT j.account_id INTO account FROM job j
     WHERE j.job_id = job AND j.fence = held_fence AND j.kind = 'watch'
       AND j.lease_owner IS NOT NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT j.job_id INTO sync FROM job j
     WHERE j.account_id = account AND j.kind = 'sync' FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NOT EXISTS (SELECT FROM job j WHERE j.account_id = account AND j.kind = 'sync');
    END IF;
    UPDATE job j
       SET requested_at = clock_timestamp(),
           due_at = CASE WHEN j.lease_owner IS NULL THEN least(j.due_at, now()) ELSE j.due_at END
     WHERE j.job_id = sync AND j.is_active AND j.rest IS NULL AND j.attempts = 0;
    IF FOUND THEN
        PERFORM pg_notify('holdfast_job', '');
    END IF;
    RETURN true;
END
$$;

---------------------------------------------------------------------------------------------------
-- Rights
---------------------------------------------------------------------------------------------------

REVOKE ALL ON source_provider, source_host, account_intake FROM PUBLIC;
REVOKE ALL ON FUNCTION account_limits, connections_of_host, connections_of_account, lock_host,
                       hosts_of_jobs, next_host, crowded_hosts, next_fence, hold_job, is_held, claim_job, extend_job, finish_job,
                       release_jobs, mend_schedule, others_are_due, count_intake, sleep_host, claim_watches, renew_watches, wake_account
    FROM PUBLIC;
GRANT SELECT ON account_intake TO holdfast_ingest;
GRANT EXECUTE ON FUNCTION hold_job, claim_job, extend_job, finish_job, release_jobs, mend_schedule,
                          others_are_due, count_intake, sleep_host, claim_watches,
                          renew_watches, wake_account
    TO holdfast_ingest;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['source_provider', 'source_host', 'account_intake'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
END
$$;
