-- SPDX-License-Identifier: Apache-2.0
--
-- 0013_wire: what sources with MODSEQ (RFC 7162) said by their changes alone, and when all was listed.

SET LOCAL search_path = holdfast, pg_temp;

-- enumerated_at is also set when changes since the last time, and the number of messages, proved what
-- is there; listed_at only when every UID was shown.
ALTER TABLE source_epoch ADD COLUMN listed_at timestamptz;
