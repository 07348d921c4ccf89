-- SPDX-License-Identifier: Apache-2.0
--
-- 0017_epochs: messages that a new source epoch shows again.

SET LOCAL search_path = holdfast, pg_temp;

-- recognises: the epoch shows what another one showed before, and is not whole yet.
-- refuted_at: a sample of what was recognised turned out to be other octets, so that all of it came.
ALTER TABLE source_epoch
    ADD COLUMN recognises boolean NOT NULL DEFAULT false,
    ADD COLUMN refuted_at timestamptz;
