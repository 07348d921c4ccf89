-- SPDX-License-Identifier: Apache-2.0
--
-- What holdfast-gate asks and writes (lib/auth: verify.c, desk.c). Its role reads no mail.

-- One row, whoever it is: the auditor of this name, or the bucket of names that nobody has; whether
-- he may log in now (has a password, not disabled, not expired) and from there; and the failures of
-- the last minutes: of him from there, from there, of him. remote NULL: not known.
-- name: gate_login_look_up
-- args: name text, remote text, counted text, bucket bigint, minutes integer
WITH who AS (
    SELECT a.auditor_id, v.verifier,
           v.verifier IS NOT NULL AND a.disabled_at IS NULL
               AND (a.expires_at IS NULL OR a.expires_at > clock_timestamp()) AS is_valid,
           a.allowed_networks = '{}'
               OR EXISTS (SELECT FROM unnest(a.allowed_networks) n WHERE $2::inet <<= n) AS is_near
      FROM auditor a
      LEFT JOIN auditor_verifier v USING (auditor_id)
     WHERE a.name = $1
), key AS (
    SELECT coalesce((SELECT auditor_id FROM who), $4) AS auditor_id, $3::inet AS remote
)
SELECT k.auditor_id, w.verifier, coalesce(w.is_valid, false), coalesce(w.is_near, false),
       clock_timestamp(),
       coalesce(f.pair_count, 0), f.pair_last, coalesce(f.remote_count, 0), f.remote_last,
       coalesce(f.auditor_count, 0), f.auditor_last
  FROM key k
  LEFT JOIN who w USING (auditor_id)
 CROSS JOIN LATERAL (
    SELECT sum(l.failures) FILTER (WHERE l.remote = k.remote AND l.auditor_id = k.auditor_id)
               AS pair_count,
           max(l.last_at) FILTER (WHERE l.remote = k.remote AND l.auditor_id = k.auditor_id)
               AS pair_last,
           sum(l.failures) FILTER (WHERE l.remote = k.remote) AS remote_count,
           max(l.last_at) FILTER (WHERE l.remote = k.remote) AS remote_last,
           sum(l.failures) FILTER (WHERE l.auditor_id = k.auditor_id) AS auditor_count,
           max(l.last_at) FILTER (WHERE l.auditor_id = k.auditor_id) AS auditor_last
      FROM login_failure l
     WHERE l.minute > now() - $5 * interval '1 minute'
       AND (l.remote = k.remote OR l.auditor_id = k.auditor_id)) f;

-- name: gate_failure_count
-- args: counted text, auditor_id bigint
INSERT INTO login_failure (remote, minute, auditor_id)
VALUES ($1::inet, date_trunc('minute', clock_timestamp()), $2)
    ON CONFLICT (remote, minute, auditor_id) DO UPDATE
   SET failures = login_failure.failures + 1, last_at = clock_timestamp();

-- After a good login. The failures of others from the same address stay.
-- name: gate_failures_forget
-- args: counted text, auditor_id bigint
DELETE FROM login_failure WHERE remote = $1::inet AND auditor_id = $2;

-- name: gate_failures_forget_old
-- args: days integer
DELETE FROM login_failure WHERE minute < now() - $1 * interval '1 day';

-- What they did stands in audit_event. Each auditor's latest session stays: when he was last here.
-- name: gate_sessions_forget_old
-- args: days integer, most bigint
DELETE FROM login_session
 WHERE session_id IN (
       SELECT s.session_id FROM login_session s
        WHERE least(s.expires_at, s.revoked_at) < now() - $1 * interval '1 day'
          AND (s.auditor_id IS NULL
               OR EXISTS (SELECT FROM login_session later
                           WHERE later.auditor_id = s.auditor_id
                             AND later.session_id > s.session_id))
        LIMIT $2);

-- Only while the auditor is still as he was looked up. No row: he is not.
-- name: gate_session_insert
-- args: token_hash bytea, auditor_id bigint, remote text, verifier text, seconds bigint
INSERT INTO login_session (token_hash, auditor_id, remote, expires_at)
SELECT $1, a.auditor_id, $3::inet,
       least(clock_timestamp() + $5 * interval '1 second', a.expires_at)
  FROM auditor a
  JOIN auditor_verifier v USING (auditor_id)
 WHERE a.auditor_id = $2 AND v.verifier = $4 AND a.disabled_at IS NULL
   AND (a.expires_at IS NULL OR a.expires_at > clock_timestamp())
RETURNING session_id, expires_at;

-- No row: this lease is not held (any more). kind NULL: the account has no secret.
-- name: gate_source_secret
-- args: job_id bigint, fence bigint
SELECT j.account_id, s.kind, s.sealed, s.credential_id, c.sealed, a.login
  FROM job j
  JOIN account a USING (account_id)
  LEFT JOIN account_secret s USING (account_id)
  LEFT JOIN credential c USING (credential_id)
 WHERE j.job_id = $1 AND j.fence = $2 AND j.lease_owner IS NOT NULL
   AND j.due_at > clock_timestamp();

-- Of the transaction's token (session_set_token): whether the session lives, covers the account,
-- and where the pack is. The same rules as row-level security's.
-- name: gate_pack_find
-- args: account_id bigint, pack_id bigint
SELECT EXISTS (SELECT FROM session_state()), $1 = ANY (session_accounts()), p.sha256, p.location
  FROM (SELECT) nothing
  LEFT JOIN pack p ON p.account_id = $1 AND p.pack_id = $2;

-- Access tokens (auth/bearer.h). The row of a token is also the lock of who fetches the next one.
-- name: gate_token_find
-- args: cache_key bytea
SELECT sealed, obtained_at, expires_at FROM oauth_token WHERE cache_key = $1;

-- name: gate_token_ensure
-- args: cache_key bytea
INSERT INTO oauth_token (cache_key) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: gate_token_lock
-- args: cache_key bytea
SELECT sealed, obtained_at, expires_at FROM oauth_token WHERE cache_key = $1 FOR UPDATE;

-- name: gate_token_save
-- args: cache_key bytea, sealed bytea, key_id bigint, obtained_at timestamptz, expires_at timestamptz
UPDATE oauth_token SET sealed = $2, key_id = $3, obtained_at = $4, expires_at = $5
 WHERE cache_key = $1;

-- name: auth_token_delete
-- args: cache_key bytea
DELETE FROM oauth_token WHERE cache_key = $1;

-- Tokens that are of no use any more. Nobody waits for the lock of one that is being fetched.
-- name: gate_token_forget
DELETE FROM oauth_token
 WHERE cache_key IN (SELECT cache_key FROM oauth_token
                      WHERE expires_at < clock_timestamp() - interval '1 hour'
                        FOR UPDATE SKIP LOCKED);

-- Exchanges of refresh tokens (auth/exchange.h). Of one that did not end: as it was begun first.
-- name: gate_exchange_begin
-- args: token_key bytea
INSERT INTO oauth_exchange AS e (token_key) VALUES ($1)
    ON CONFLICT (token_key) DO UPDATE SET asked = e.asked + 1
RETURNING number, begun_at, asked, refused_at;

-- name: gate_exchange_refuse
-- args: token_key bytea
UPDATE oauth_exchange SET refused_at = clock_timestamp() WHERE token_key = $1;

-- name: gate_exchange_end
-- args: token_key bytea
DELETE FROM oauth_exchange WHERE token_key = $1;

-- name: gate_exchange_forget
-- args: days integer
DELETE FROM oauth_exchange WHERE begun_at < now() - $1 * interval '1 day';

-- The grant that a refresh token belongs to, locked until its successor is kept.
-- name: gate_grant_lock
-- args: account_id bigint
SELECT sealed FROM account_secret WHERE account_id = $1 AND kind = 'oauth' FOR UPDATE;

-- name: gate_grant_save
-- args: account_id bigint, sealed bytea, key_id bigint
UPDATE account_secret SET sealed = $2, key_id = $3, updated_at = now() WHERE account_id = $1;

-- name: gate_credential_lock
-- args: credential_id bigint
SELECT sealed FROM credential WHERE credential_id = $1 FOR UPDATE;

-- name: gate_credential_save
-- args: credential_id bigint, sealed bytea, key_id bigint
UPDATE credential SET sealed = $2, key_id = $3, updated_at = now() WHERE credential_id = $1;
