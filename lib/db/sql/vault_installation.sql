-- SPDX-License-Identifier: Apache-2.0
--
-- The installation pack: what no account's pack tells (vault/seal.h, lib/store/README.md 18). A line is
-- made by PostgreSQL, whole, as JSON. Secrets go out as they are stored: sealed under the master key.

-- Is there anything new, and is the last pack old enough? Every change of what it tells is audited; of rights a
-- rebuild must not know less than five minutes' worth, for it would revive what was revoked (the index is
-- audit_event_rights). Never
-- while a rebuild goes on, whose audit events do not have their numbers yet.
-- name: vault_installation_state
-- args: older_than_seconds bigint
SELECT s.last_sha256, s.pending_sha256,
       (coalesce(s.sealed_at <= now() - $1 * interval '1 second', true)
        OR (s.sealed_at <= now() - interval '5 minutes'
            AND EXISTS (SELECT FROM audit_event e
                         WHERE e.event_id > s.event_id
                           AND e.event IN ('auditor_add', 'auditor_passwd', 'grant', 'revoke',
                                           'hold', 'retention'))))
       AND EXISTS (SELECT FROM audit_event e WHERE e.event_id > s.event_id AND e.event <> 'seal')
       AND NOT (SELECT rebuild_is_running())
  FROM seal_installation s;

-- name: vault_installation_pending
-- args: sha256 bytea, previous bytea
UPDATE seal_installation SET pending_sha256 = $1 WHERE last_sha256 IS NOT DISTINCT FROM $2;

-- name: vault_installation_sealed
-- args: sha256 bytea, previous bytea, event_id bigint
UPDATE seal_installation
   SET packs = packs + 1, last_sha256 = $1, pending_sha256 = NULL, sealed_at = now(), event_id = $3
 WHERE last_sha256 IS NOT DISTINCT FROM $2 AND pending_sha256 = $1;

-- name: vault_installation_last_event
SELECT coalesce(max(event_id), 0) FROM audit_event;

-- name: vault_installation_line_head
SELECT row_to_json(t)::text
  FROM (SELECT 'installation' AS type, 1 AS version, encode(s.last_sha256, 'hex') AS previous,
               s.packs + 1 AS number, now() AS sealed_at
          FROM seal_installation s) t;

-- name: vault_installation_line_account
SELECT row_to_json(t)::text
  FROM (SELECT 'account' AS type, a.account_id AS account, n.name, a.kind, a.host, a.port, a.login,
               a.tls, a.tls_ca, a.include, a.exclude, a.every_seconds, a.is_paused, a.created_at,
               a.removed_at, a.namespaces, a.tls_pins, a.tls_pin_only, a.login_as,
               a.max_connections, a.daily_bytes, a.watch
          FROM account a LEFT JOIN account_name n ON n.account_id = a.account_id
         ORDER BY a.account_id) t;

-- name: vault_installation_line_secret
SELECT row_to_json(t)::text
  FROM (SELECT 'secret' AS type, s.account_id AS account, s.kind, encode(s.sealed, 'hex') AS sealed,
               s.key_id AS key, s.updated_at, s.credential_id AS credential
          FROM account_secret s ORDER BY s.account_id) t;

-- name: vault_installation_line_credential
SELECT row_to_json(t)::text
  FROM (SELECT 'credential' AS type, c.credential_id AS credential, c.name,
               encode(c.sealed, 'hex') AS sealed, c.key_id AS key, c.created_at, c.updated_at
          FROM credential c ORDER BY c.credential_id) t;

-- name: vault_installation_line_key
SELECT row_to_json(t)::text
  FROM (SELECT 'key' AS type, k.account_id AS account, k.key_id AS key,
               encode(k.wrapped, 'hex') AS wrapped, k.created_at, k.destroyed_at
          FROM account_key k ORDER BY k.account_id, k.key_id) t;

-- name: vault_installation_line_auditor
SELECT row_to_json(t)::text
  FROM (SELECT 'auditor' AS type, a.auditor_id AS auditor, a.name, a.expires_at,
               a.allowed_networks::text[] AS allowed_networks, a.disabled_at, a.created_at
          FROM auditor a ORDER BY a.auditor_id) t;

-- name: vault_installation_line_verifier
SELECT row_to_json(t)::text
  FROM (SELECT 'verifier' AS type, v.auditor_id AS auditor, v.verifier, v.updated_at
          FROM auditor_verifier v ORDER BY v.auditor_id) t;

-- name: vault_installation_line_matter
SELECT row_to_json(t)::text
  FROM (SELECT 'matter' AS type, m.matter_id AS matter, m.name, m.created_at, m.closed_at
          FROM matter m ORDER BY m.matter_id) t;

-- name: vault_installation_line_grant
SELECT row_to_json(t)::text
  FROM (SELECT 'grant' AS type, g.grant_id AS grant, g.auditor_id AS auditor,
               g.account_id AS account, g.matter_id AS matter, g.since, g.until, g.query,
               g.created_at, g.revoked_at
          FROM access_grant g ORDER BY g.grant_id) t;

-- name: vault_installation_line_hold
SELECT row_to_json(t)::text
  FROM (SELECT 'hold' AS type, h.hold_id AS hold, h.matter_id AS matter, h.query, h.placed_at,
               h.placed_by, h.released_at, h.released_by
          FROM hold h ORDER BY h.hold_id) t;

-- name: vault_installation_line_retention
SELECT row_to_json(t)::text
  FROM (SELECT 'retention' AS type, r.rule_id AS rule, r.retention_class AS class,
               r.keep_for::text AS keep_for, r.created_at, r.approved_at, r.ended_at
          FROM retention_rule r ORDER BY r.rule_id) t;

-- An event gets its number before its commit, so some of the last quarter of an hour may be new.
-- name: vault_installation_line_audit
SELECT row_to_json(t)::text
  FROM (SELECT 'audit' AS type, e.event_id AS event, e.at, e.process, e.session_id AS session,
               e.auditor_id AS auditor, e.event AS kind, e.account_id AS account,
               e.mailbox_id AS mailbox, e.detail
          FROM audit_event e, seal_installation s
         WHERE e.event_id > s.event_id
            OR (e.event_id > s.event_id - 100000 AND e.at > s.sealed_at - interval '15 minutes')
         ORDER BY e.event_id) t;
