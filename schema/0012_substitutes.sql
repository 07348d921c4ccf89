-- SPDX-License-Identifier: Apache-2.0
--
-- 0012_substitutes: what is archived for a UID whose original octets the source does not give.

SET LOCAL search_path = holdfast, pg_temp;

-- doubt: why what is archived may not be the original. 'reassembled': put together from the pieces that the
-- source gave; 'placeholder': a text that the server made in its place; 'empty': the source says again
-- and again that it has no octets, though it counts some.
-- substitute_uid: the placement of the first two. The UID stays pending, for the original is still
-- missing, and is tried again at long intervals; once the original is stored, doubt is NULL again.
ALTER TABLE source_uid
    ADD COLUMN doubt text CHECK (doubt IN ('reassembled', 'placeholder', 'empty')),
    ADD COLUMN substitute_uid bigint,
    ADD FOREIGN KEY (account_id, mailbox_id, substitute_uid)
        REFERENCES placement (account_id, mailbox_id, uid);
CREATE INDEX source_uid_substitute ON source_uid (substitute_uid, account_id, mailbox_id, epoch)
    WHERE substitute_uid IS NOT NULL;
-- They are few, and every pack tells of them.
CREATE INDEX source_uid_doubted ON source_uid (account_id, mailbox_id, epoch)
    WHERE doubt IS NOT NULL OR substitute_uid IS NOT NULL;

GRANT UPDATE (doubt, substitute_uid) ON source_uid TO holdfast_ingest;
