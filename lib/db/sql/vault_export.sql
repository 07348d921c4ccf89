-- SPDX-License-Identifier: Apache-2.0
--
-- Positions of the archive, and what was there at one (vault/position.h).

-- The owner's. accounts NULL: all. One statement, so one snapshot. The same state again is the same
-- position.
-- name: vault_position_take
-- args: accounts bigint[]
WITH place AS (
    SELECT m.account_id, m.mailbox_id, n.name, m.path, m.special_use, m.uidvalidity, m.uidnext,
           m.highestmodseq,
           row_number() OVER (ORDER BY n.name COLLATE "C", m.path COLLATE "C") AS ordinal
      FROM mailbox m JOIN account_name n USING (account_id)
     WHERE $1 IS NULL OR m.account_id = ANY ($1)
), total AS (
    SELECT count(DISTINCT account_id) AS accounts, count(*) AS mailboxes,
           sha256(convert_to(coalesce(string_agg(
               format('%s %s %s %s %L %L %L', account_id, mailbox_id, uidnext, highestmodseq, name,
                      path, special_use), E'\n' ORDER BY ordinal), ''), 'UTF8')) AS digest
      FROM place
), known AS (
    SELECT p.position_id, p.taken_at, p.accounts, p.mailboxes
      FROM export_position p JOIN total t USING (digest)
), added AS (
    INSERT INTO export_position (accounts, mailboxes, digest)
    SELECT accounts, mailboxes, digest FROM total WHERE NOT EXISTS (SELECT FROM known)
    RETURNING position_id, taken_at, accounts, mailboxes
), detail AS (
    INSERT INTO export_position_mailbox (account_id, position_id, mailbox_id, ordinal, account_name,
                                         path, special_use, uidvalidity, uidnext, highestmodseq)
    SELECT p.account_id, a.position_id, p.mailbox_id, p.ordinal, p.name, p.path, p.special_use,
           p.uidvalidity, p.uidnext, p.highestmodseq
      FROM place p CROSS JOIN added a
)
SELECT position_id, taken_at, accounts, mailboxes FROM known
 UNION ALL SELECT position_id, taken_at, accounts, mailboxes FROM added;

-- The owner's. The last column: accounts asked for that have nothing in it though they had mailboxes by then.
-- name: vault_position_find
-- args: position_id bigint, accounts bigint[]
SELECT p.position_id, p.taken_at, p.accounts, p.mailboxes,
       (SELECT count(*) FROM unnest($2) AS a (id)
         WHERE NOT EXISTS (SELECT FROM export_position_mailbox m
                            WHERE m.account_id = a.id AND m.position_id = $1)
           AND (EXISTS (SELECT FROM mailbox b
                         WHERE b.account_id = a.id AND b.created_at <= p.taken_at)
                OR NOT EXISTS (SELECT FROM account o WHERE o.account_id = a.id)))
  FROM export_position p WHERE p.position_id = $1;

-- name: vault_position_mailboxes
-- args: position_id bigint, after bigint, page bigint
SELECT ordinal, account_id, mailbox_id, account_name, path, coalesce(special_use, ''), uidvalidity,
       uidnext, highestmodseq
  FROM export_position_mailbox
 WHERE position_id = $1 AND ordinal > $2
 ORDER BY ordinal LIMIT $3;

-- The columns of a placement (vault_read.sql) as they were at a MODSEQ: by the last event up to it,
-- where there is a later one. A message whose locator is missing is told, with run 0.
-- name: vault_placement_page_at
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], modseq bigint, page bigint
SELECT p.uid, coalesce(e.flags, p.flags), p.internal_at, p.internal_zone, p.archived_at,
       CASE WHEN e.modseq IS NULL THEN p.gone_at WHEN e.is_gone THEN e.at END,
       coalesce(e.modseq, p.modseq), p.appeared_modseq, coalesce(e.keywords, p.keywords),
       p.message_id, m.size_bytes, m.sha256, coalesce(l.run_id, 0), coalesce(l.raw_offset, 0)
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
        ORDER BY uid LIMIT $6) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
  LEFT JOIN LATERAL (
       SELECT l.run_id, l.raw_offset FROM locator l
        WHERE l.account_id = $1 AND l.message_id = p.message_id OFFSET 0) l ON true
  LEFT JOIN LATERAL (
       SELECT e.modseq, e.at, e.flags, e.keywords, e.is_gone FROM flag_event e
        WHERE e.account_id = $1 AND e.mailbox_id = $2 AND e.uid = p.uid AND e.modseq <= $5
          AND p.modseq > $5
        ORDER BY e.modseq DESC LIMIT 1) e ON true
 ORDER BY p.uid;

-- name: vault_epoch_list
-- args: account_id bigint, mailbox_id bigint
SELECT epoch, coalesce(uidvalidity, 0) FROM source_epoch
 WHERE account_id = $1 AND mailbox_id = $2 ORDER BY epoch DESC;

-- name: vault_origin_page
-- args: account_id bigint, mailbox_id bigint, epoch integer, after bigint, page bigint
SELECT uid, coalesce(placement_uid, 0), coalesce(recognised_by, '') FROM source_uid
 WHERE account_id = $1 AND mailbox_id = $2 AND epoch = $3 AND uid > $4
 ORDER BY uid LIMIT $5;
