-- SPDX-License-Identifier: Apache-2.0
--
-- The audit trail (lib/audit).

-- Any role that may execute audit_append(). One array element an event; a token NULL: the process.
-- name: audit_append
-- args: tokens text[], events text[], account_ids bigint[], mailbox_ids bigint[], details text[]
SELECT audit_append($1, $2, $3, $4, $5::jsonb[]);

-- The owner's. A page, oldest first; NULL: no condition.
-- name: audit_list
-- args: after bigint, since timestamptz, until timestamptz, auditor text, account bigint, event text, max_rows bigint
SELECT e.event_id, e.at, e.process, e.session_id, e.auditor_id, a.name, e.event, e.account_id,
       e.mailbox_id, e.detail::text
  FROM audit_event e
  LEFT JOIN auditor a USING (auditor_id)
 WHERE e.event_id > $1
   AND ($2 IS NULL OR e.at >= $2)
   AND ($3 IS NULL OR e.at < $3)
   AND ($4 IS NULL OR a.name = $4)
   AND ($5 IS NULL OR e.account_id = $5)
   AND ($6 IS NULL OR e.event = $6)
 ORDER BY e.event_id
 LIMIT $7;
