-- SPDX-License-Identifier: Apache-2.0
--
-- Credentials that many accounts share (source/secret.h).

-- name: source_credential_next
SELECT nextval(pg_get_serial_sequence('holdfast.credential', 'credential_id'));

-- name: source_credential_insert
-- args: credential_id bigint, name text, sealed bytea, key_id bigint
INSERT INTO credential (credential_id, name, sealed, key_id)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4);

-- name: source_credential_update
-- args: credential_id bigint, sealed bytea, key_id bigint
UPDATE credential SET sealed = $2, key_id = $3, updated_at = now() WHERE credential_id = $1;

-- Makes the accounts that use it due, their back-off forgotten.
-- name: source_credential_wake
-- args: credential_id bigint
UPDATE job j
   SET attempts = 0, requested_at = clock_timestamp(),
       due_at = CASE WHEN j.lease_owner IS NULL THEN least(j.due_at, now()) ELSE j.due_at END
  FROM account_secret s, account a
 WHERE s.credential_id = $1 AND a.account_id = s.account_id AND j.account_id = s.account_id
   AND j.kind = 'sync' AND j.is_active AND NOT a.is_paused AND a.removed_at IS NULL;

-- How many accounts use it; only when none does is it deleted.
-- name: source_credential_delete
-- args: credential_id bigint
WITH users AS (SELECT count(*) AS accounts FROM account_secret WHERE credential_id = $1),
     gone AS (DELETE FROM credential c USING users u
               WHERE c.credential_id = $1 AND u.accounts = 0 RETURNING c.credential_id)
SELECT accounts FROM users;

-- name: source_credential_find
-- args: name text
SELECT credential_id FROM credential WHERE name = $1;

-- name: source_credential_sealed
-- args: credential_id bigint
SELECT sealed FROM credential WHERE credential_id = $1;

-- name: source_credential_list
-- args: max bigint
SELECT c.credential_id, c.name,
       (SELECT count(*) FROM account_secret s WHERE s.credential_id = c.credential_id),
       c.created_at, c.updated_at
  FROM credential c
 ORDER BY c.name COLLATE "C"
 LIMIT $1;
