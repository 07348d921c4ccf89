-- SPDX-License-Identifier: Apache-2.0
--
-- Auditors, what they may see, and their sessions (lib/auth). What the gate asks stands in gate.sql.

-- name: auth_auditor_insert
-- args: name text, expires_at timestamptz, networks text[]
INSERT INTO auditor (name, expires_at, allowed_networks)
VALUES ($1, $2, $3::cidr[])
RETURNING auditor_id;

-- Everything that changes an auditor takes turns here.
-- name: auth_auditor_lock
-- args: name text
SELECT auditor_id FROM auditor WHERE name = $1 FOR UPDATE;

-- name: auth_verifier_save
-- args: auditor_id bigint, verifier text
INSERT INTO auditor_verifier (auditor_id, verifier) VALUES ($1, $2)
    ON CONFLICT (auditor_id) DO UPDATE SET verifier = EXCLUDED.verifier, updated_at = now();

-- account_id NULL: all accounts. Gives the grant that is there already, too.
-- name: auth_grant_insert
-- args: auditor_id bigint, account_id bigint
WITH present AS (
    SELECT g.grant_id FROM access_grant g
     WHERE g.auditor_id = $1 AND g.account_id IS NOT DISTINCT FROM $2 AND g.revoked_at IS NULL
       AND g.matter_id IS NULL AND g.since IS NULL AND g.until IS NULL AND g.query IS NULL
     LIMIT 1
), added AS (
    INSERT INTO access_grant (auditor_id, account_id)
    SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM present)
    RETURNING grant_id
)
SELECT grant_id, true FROM added UNION ALL SELECT grant_id, false FROM present;

-- name: auth_grant_revoke
-- args: auditor_id bigint, is_everything boolean, account_id bigint
UPDATE access_grant g SET revoked_at = now()
 WHERE g.auditor_id = $1 AND g.revoked_at IS NULL
   AND ($2 OR (g.account_id IS NOT DISTINCT FROM $3
               AND g.matter_id IS NULL AND g.since IS NULL AND g.until IS NULL AND g.query IS NULL));

-- name: auth_grant_list
-- args: auditor_id bigint
SELECT g.grant_id, g.account_id, n.name, m.name, g.created_at
  FROM access_grant g
  LEFT JOIN account_name n USING (account_id)
  LEFT JOIN matter m USING (matter_id)
 WHERE g.auditor_id = $1 AND g.revoked_at IS NULL
 ORDER BY n.name NULLS FIRST, g.grant_id;

-- name: auth_auditor_list
-- args: name text
SELECT a.auditor_id, a.name, a.created_at, a.expires_at, a.disabled_at, a.allowed_networks::text[],
       (SELECT count(*) FROM login_session s
         WHERE s.auditor_id = a.auditor_id AND s.revoked_at IS NULL AND s.expires_at > now()),
       (SELECT max(s.created_at) FROM login_session s WHERE s.auditor_id = a.auditor_id),
       (SELECT count(*) FROM access_grant g
         WHERE g.auditor_id = a.auditor_id AND g.revoked_at IS NULL)
  FROM auditor a
 WHERE $1 IS NULL OR a.name = $1
 ORDER BY a.name;

-- name: auth_sessions_end
-- args: auditor_id bigint
UPDATE login_session SET revoked_at = clock_timestamp()
 WHERE auditor_id = $1 AND revoked_at IS NULL AND expires_at > clock_timestamp();

-- accounts NULL: all.
-- name: auth_operator_session_insert
-- args: token_hash bytea, accounts bigint[], seconds bigint
INSERT INTO login_session (token_hash, account_scope, expires_at)
VALUES ($1, $2, clock_timestamp() + $3 * interval '1 second');

-- name: auth_session_end
-- args: token_hash bytea
UPDATE login_session SET revoked_at = clock_timestamp() WHERE token_hash = $1 AND revoked_at IS NULL;

-- Of the transaction's token (session_set_token).
-- name: auth_session_state
SELECT session_id, auditor_id, expires_at FROM session_state();
