-- SPDX-License-Identifier: Apache-2.0
-- What SEARCH asks beside the one statement that it assembles.

-- Of these messages, those of which something cannot be searched.
-- name: search_unsearched
-- args: account_id bigint, message_ids bigint[], notes integer
SELECT i.text_notes & $3 FROM message_index i
 WHERE i.account_id = $1 AND i.message_id = ANY ($2) AND i.text_notes <> 0
   AND i.text_notes & $3 <> 0;
