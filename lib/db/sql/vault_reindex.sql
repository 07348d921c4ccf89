-- SPDX-License-Identifier: Apache-2.0
--
-- Messages whose derived rows are missing or old (vault/reindex.h), under a token.

-- name: vault_reindex_accounts
SELECT a, coalesce((SELECT c.kind = 'journal' FROM account c WHERE c.account_id = a), false)
  FROM unnest(session_accounts()) AS a ORDER BY a;

-- name: vault_reindex_page
-- args: account_id bigint, after_message bigint, parser_version integer, page bigint
SELECT m.message_id, m.size_bytes, l.run_id, l.raw_offset, m.sha256
  FROM message m
 CROSS JOIN LATERAL (SELECT l.run_id, l.raw_offset FROM locator l
                      WHERE l.account_id = $1 AND l.message_id = m.message_id OFFSET 0) l
 WHERE m.account_id = $1 AND m.message_id > $2
   AND coalesce((SELECT i.parser_version FROM message_index i
                  WHERE i.account_id = $1 AND i.message_id = m.message_id), -1) < $3
 ORDER BY m.message_id LIMIT $4;
