-- SPDX-License-Identifier: Apache-2.0
--
-- What readers read (vault/read.h), under row-level security. Columns that stand in a function's
-- way as an index condition must be compared with leakproof operators only (int8, text, bytea: all
-- are); joins are LATERAL with OFFSET 0, so that no estimate ever turns a page into a hash join.

-- name: vault_account_list
-- args: after text, page bigint
SELECT account_id, name FROM account_name WHERE name > $1 ORDER BY name LIMIT $2;

-- The columns of a mailbox: the same in the next five.
-- name: vault_mailbox_list
-- args: after_account text, after_path text, page bigint
SELECT m.account_id, m.mailbox_id, m.uidvalidity, m.uidnext, m.highestmodseq, m.messages, m.unseen,
       m.deleted, m.octets, m.is_noselect, m.gone_at IS NOT NULL, n.name, m.path, m.source_name,
       coalesce(m.special_use, '')
  FROM account_name n JOIN mailbox m ON m.account_id = n.account_id
 WHERE n.name >= $1 AND (n.name > $1 OR m.path > $2)
 ORDER BY n.name, m.path LIMIT $3;

-- name: vault_mailbox_list_account
-- args: account text, after_path text, page bigint
SELECT m.account_id, m.mailbox_id, m.uidvalidity, m.uidnext, m.highestmodseq, m.messages, m.unseen,
       m.deleted, m.octets, m.is_noselect, m.gone_at IS NOT NULL, n.name, m.path, m.source_name,
       coalesce(m.special_use, '')
  FROM account_name n JOIN mailbox m ON m.account_id = n.account_id
 WHERE n.name = $1 AND m.path > $2
 ORDER BY m.path LIMIT $3;

-- name: vault_mailbox_find
-- args: account text, path text
SELECT m.account_id, m.mailbox_id, m.uidvalidity, m.uidnext, m.highestmodseq, m.messages, m.unseen,
       m.deleted, m.octets, m.is_noselect, m.gone_at IS NOT NULL, n.name, m.path, m.source_name,
       coalesce(m.special_use, '')
  FROM account_name n JOIN mailbox m ON m.account_id = n.account_id
 WHERE n.name = $1 AND m.path = $2;

-- name: vault_mailbox_load
-- args: account_id bigint, mailbox_id bigint
SELECT m.account_id, m.mailbox_id, m.uidvalidity, m.uidnext, m.highestmodseq, m.messages, m.unseen,
       m.deleted, m.octets, m.is_noselect, m.gone_at IS NOT NULL, n.name, m.path, m.source_name,
       coalesce(m.special_use, '')
  FROM mailbox m JOIN account_name n ON n.account_id = m.account_id
 WHERE m.account_id = $1 AND m.mailbox_id = $2;

-- name: vault_mailbox_poll
-- args: account_id bigint, mailbox_id bigint
SELECT account_id, mailbox_id, uidvalidity, uidnext, highestmodseq, messages, unseen, deleted,
       octets, is_noselect, gone_at IS NOT NULL
  FROM mailbox WHERE account_id = $1 AND mailbox_id = $2;

-- name: vault_mailbox_disposed
-- args: account_id bigint, mailbox_id bigint
SELECT first_uid, last_uid, is_skipped FROM mailbox_disposed WHERE account_id = $1 AND mailbox_id = $2
 ORDER BY first_uid;

-- By the partial index placement_unseen: one step however large the mailbox.
-- name: vault_mailbox_first_unseen
-- args: account_id bigint, mailbox_id bigint
SELECT uid FROM placement
 WHERE account_id = $1 AND mailbox_id = $2 AND (flags & 1) = 0
 ORDER BY uid LIMIT 1;

-- The ranges are either one, or together no wider than a page. The columns of a placement: the same
-- in the next five.
-- name: vault_placement_page
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], page bigint
SELECT p.*
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
        ORDER BY uid LIMIT $5) p
 ORDER BY p.uid;

-- name: vault_placement_page_size
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], page bigint
SELECT p.*, m.size_bytes, m.sha256
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
        ORDER BY uid LIMIT $5) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 ORDER BY p.uid;

-- One range, of which little is wanted: no sort, and no look-up that nobody asked for. The columns of each
-- are the first of the next.
-- name: vault_placement_flags
-- args: account_id bigint, mailbox_id bigint, first bigint, last bigint, page bigint
SELECT uid, flags, gone_at IS NOT NULL, keywords
  FROM placement
 WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4
 ORDER BY uid LIMIT $5;

-- name: vault_placement_sizes
-- args: account_id bigint, mailbox_id bigint, first bigint, last bigint, page bigint
SELECT p.uid, p.flags, p.is_gone, p.keywords, p.internal_at, p.internal_zone, p.message_id,
       m.size_bytes
  FROM (SELECT uid, flags, gone_at IS NOT NULL AS is_gone, keywords, internal_at, internal_zone,
               message_id
          FROM placement
         WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4
         ORDER BY uid LIMIT $5) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 ORDER BY p.uid;

-- name: vault_placement_envelopes
-- args: account_id bigint, mailbox_id bigint, first bigint, last bigint, page bigint, most bigint
SELECT p.uid, p.flags, p.is_gone, p.keywords, p.internal_at, p.internal_zone, p.message_id,
       m.size_bytes, i.parser_version, i.envelope, i.bodystructure
  FROM (SELECT uid, flags, gone_at IS NOT NULL AS is_gone, keywords, internal_at, internal_zone,
               message_id
          FROM placement
         WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN $3 AND $4
         ORDER BY uid LIMIT $5) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
  LEFT JOIN LATERAL (
       SELECT i.parser_version, i.envelope, i.bodystructure FROM message_index i
        WHERE i.account_id = $1 AND i.message_id = p.message_id
          AND coalesce(octet_length(i.envelope), 0) + coalesce(octet_length(i.bodystructure), 0) <= $6
       OFFSET 0) i ON true
 ORDER BY p.uid;

-- name: vault_placement_page_locator
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], page bigint
SELECT p.*, m.size_bytes, m.sha256, l.run_id, l.raw_offset
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
        ORDER BY uid LIMIT $5) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 CROSS JOIN LATERAL (
       SELECT l.run_id, l.raw_offset FROM locator l
        WHERE l.account_id = $1 AND l.message_id = p.message_id OFFSET 0) l
 ORDER BY p.uid;

-- With what is derived, where that is small: a page must fit into memory. octet_length does not read
-- what TOAST has put elsewhere.
-- name: vault_placement_page_index
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], page bigint, most bigint
SELECT p.*, m.size_bytes, m.sha256, l.run_id, l.raw_offset, i.parser_version, i.envelope,
       i.bodystructure, i.structure
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
        ORDER BY uid LIMIT $5) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 CROSS JOIN LATERAL (
       SELECT l.run_id, l.raw_offset FROM locator l
        WHERE l.account_id = $1 AND l.message_id = p.message_id OFFSET 0) l
  LEFT JOIN LATERAL (
       SELECT i.parser_version, i.envelope, i.bodystructure, i.structure FROM message_index i
        WHERE i.account_id = $1 AND i.message_id = p.message_id
          AND coalesce(octet_length(i.envelope), 0) + coalesce(octet_length(i.bodystructure), 0) +
              coalesce(octet_length(i.structure), 0) <= $6 OFFSET 0) i ON true
 ORDER BY p.uid;

-- Of its own, so that the other pages are never tempted by the index on MODSEQ.
-- name: vault_placement_page_changed
-- args: account_id bigint, mailbox_id bigint, firsts bigint[], lasts bigint[], changed_since bigint, page bigint
SELECT p.*, m.size_bytes, m.sha256, l.run_id, l.raw_offset
  FROM unnest($3, $4) AS r (first, last)
 CROSS JOIN LATERAL (
       SELECT uid, flags, internal_at, internal_zone, archived_at, gone_at, modseq,
              appeared_modseq, keywords, message_id
         FROM placement
        WHERE account_id = $1 AND mailbox_id = $2 AND uid BETWEEN r.first AND r.last
          AND modseq > $5
        ORDER BY uid LIMIT $6) p
 CROSS JOIN LATERAL (
       SELECT m.size_bytes, m.sha256 FROM message m
        WHERE m.account_id = $1 AND m.message_id = p.message_id OFFSET 0) m
 CROSS JOIN LATERAL (
       SELECT l.run_id, l.raw_offset FROM locator l
        WHERE l.account_id = $1 AND l.message_id = p.message_id OFFSET 0) l
 ORDER BY p.uid;

-- UIDs of messages that changed after they had appeared: steps in the index placement_modseq.
-- name: vault_placement_touched
-- args: account_id bigint, mailbox_id bigint, changed_since bigint, most bigint
WITH touched AS MATERIALIZED (
    SELECT uid FROM placement
     WHERE account_id = $1 AND mailbox_id = $2 AND modseq > $3 AND modseq > appeared_modseq
     LIMIT $4)
SELECT uid FROM touched ORDER BY uid;

-- The last UID that was there at a MODSEQ (UIDs and appeared_modseq rise together): as many steps, from
-- the end, as messages appeared since.
-- name: vault_placement_last_at
-- args: account_id bigint, mailbox_id bigint, modseq bigint
SELECT uid FROM placement
 WHERE account_id = $1 AND mailbox_id = $2 AND appeared_modseq <= $3
 ORDER BY uid DESC LIMIT 1;

-- Sessions that wait for news, each by its token.
-- name: vault_watch_poll
-- args: tokens text[], account_ids bigint[], mailbox_ids bigint[], uidnexts bigint[], modseqs bigint[], counts bigint[]
SELECT place, is_live FROM sessions_with_news($1, $2, $3, $4, $5, $6);

-- name: vault_placement_by_hash
-- args: first_sha256 bytea, last_sha256 bytea, page bigint
SELECT p.uid, p.flags, p.internal_at, p.internal_zone, p.archived_at, p.gone_at, p.modseq,
       p.appeared_modseq, p.keywords, p.message_id, m.size_bytes, m.sha256, l.run_id, l.raw_offset,
       m.account_id, p.mailbox_id, n.name, b.path
  FROM message m
  JOIN locator l ON l.account_id = m.account_id AND l.message_id = m.message_id
  JOIN placement p ON p.account_id = m.account_id AND p.message_id = m.message_id
  JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
  JOIN account_name n ON n.account_id = m.account_id
 WHERE m.sha256 >= $1 AND m.sha256 <= $2
 ORDER BY m.account_id, p.mailbox_id, p.uid LIMIT $3;

-- By what message_index has for their Message-ID, one of these spellings.
-- name: vault_placement_by_message_id
-- args: spellings text[], page bigint
SELECT p.uid, p.flags, p.internal_at, p.internal_zone, p.archived_at, p.gone_at, p.modseq,
       p.appeared_modseq, p.keywords, p.message_id, m.size_bytes, m.sha256, l.run_id, l.raw_offset,
       m.account_id, p.mailbox_id, n.name, b.path
  FROM message_index i
  JOIN message m ON m.account_id = i.account_id AND m.message_id = i.message_id
  JOIN locator l ON l.account_id = m.account_id AND l.message_id = m.message_id
  JOIN placement p ON p.account_id = m.account_id AND p.message_id = m.message_id
  JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
  JOIN account_name n ON n.account_id = m.account_id
 WHERE i.message_id_text = ANY ($1)
 ORDER BY m.account_id, p.mailbox_id, p.uid LIMIT $2;

-- name: vault_message_notes
-- args: account_id bigint, message_id bigint
SELECT notes::text, text_notes FROM message_index WHERE account_id = $1 AND message_id = $2;

-- Frames that hold raw octets first … last of runs, with their stored octets while in the spool.
-- name: vault_frame_range
-- args: account_id bigint, run_ids bigint[], firsts bigint[], lasts bigint[]
SELECT f.run_id, f.raw_start, f.raw_bytes, f.stored_bytes, f.stored_sha256, f.key_id, f.pack_id,
       f.pack_offset, k.sha256, s.octets
  FROM unnest($2, $3, $4) WITH ORDINALITY AS r (run_id, first, last, position)
 CROSS JOIN LATERAL (
       SELECT f.* FROM frame f
        WHERE f.account_id = $1 AND f.run_id = r.run_id AND f.raw_start <= r.last
          AND f.raw_start >= (SELECT b.raw_start FROM frame b
                               WHERE b.account_id = $1 AND b.run_id = r.run_id
                                 AND b.raw_start <= r.first
                               ORDER BY b.raw_start DESC LIMIT 1)
        ORDER BY f.raw_start OFFSET 0) f
  LEFT JOIN LATERAL (
       SELECT s.octets FROM spool s
        WHERE s.account_id = $1 AND s.frame_id = f.frame_id AND s.week = f.week OFFSET 0) s ON true
  LEFT JOIN LATERAL (
       SELECT k.sha256 FROM pack k
        WHERE k.account_id = $1 AND k.pack_id = f.pack_id OFFSET 0) k ON true
 ORDER BY r.position, f.raw_start;

-- name: vault_locator
-- args: account_id bigint, message_id bigint
SELECT run_id, raw_offset FROM locator WHERE account_id = $1 AND message_id = $2;

---------------------------------------------------------------------------------------------------
-- Search text
---------------------------------------------------------------------------------------------------

-- Blocks by their greatest message, behind that of the page before. Whether one is wanted, the reader
-- decides: a condition on the ids could not use an index.
-- Signatures of blocks that may hold a message up to signed_through.
-- name: vault_text_page
-- args: account_id bigint, after_message bigint, after_run bigint, after_ordinal integer, page bigint, signed_through bigint
SELECT b.run_id, b.ordinal, b.first_message_id, b.last_message_id, b.message_ids, b.parser_version,
       b.raw_bytes, b.stored_bytes, b.stored_sha256, b.key_id, b.week, b.pack_id, b.segment_offset,
       p.sha256, CASE WHEN b.first_message_id <= $6 THEN b.signature END
  FROM (SELECT * FROM text_block
         WHERE account_id = $1 AND (last_message_id, run_id, ordinal) > ($2, $3, $4)
         ORDER BY last_message_id, run_id, ordinal LIMIT $5) b
  LEFT JOIN LATERAL (SELECT p.sha256 FROM pack p
                      WHERE p.account_id = $1 AND p.pack_id = b.pack_id OFFSET 0) p ON true
 ORDER BY b.last_message_id, b.run_id, b.ordinal;

-- Rows of the spool stay as they are until their week is dropped, also behind the keeper's back.
-- name: vault_text_octets
-- args: account_id bigint, run_ids bigint[], ordinals integer[], weeks date[]
SELECT w.position, s.octets
  FROM unnest($2, $3, $4) WITH ORDINALITY AS w (run_id, ordinal, week, position)
 CROSS JOIN LATERAL (SELECT s.octets FROM text_spool s
                      WHERE s.account_id = $1 AND s.run_id = w.run_id AND s.ordinal = w.ordinal
                        AND s.week = w.week OFFSET 0) s
 ORDER BY w.position;
