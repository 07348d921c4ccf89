-- SPDX-License-Identifier: Apache-2.0
-- What SEARCH asks beside the one statement that it assembles.

-- Of these messages, first … last, those of which something cannot be searched. There are few: the
-- index is read from first to last, and not for each id (+ 0).
-- name: search_unsearched
-- args: account_id bigint, message_ids bigint[], first bigint, last bigint, notes integer
SELECT i.text_notes & $5 FROM message_index i
 WHERE i.account_id = $1 AND i.message_id BETWEEN $3 AND $4 AND i.text_notes <> 0
   AND i.text_notes & $5 <> 0 AND i.message_id + 0 = ANY ($2);
