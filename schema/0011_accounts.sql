-- SPDX-License-Identifier: Apache-2.0
--
-- 0011_accounts: whom an account trusts and as whom it logs in; what its last test saw at the source.

SET LOCAL search_path = holdfast, pg_temp;

ALTER TABLE account
    ADD COLUMN tls_pins     text[]  NOT NULL DEFAULT '{}' CHECK (cardinality(tls_pins) <= 8),
    ADD COLUMN tls_pin_only boolean NOT NULL DEFAULT false, -- instead of CA, name and dates
    ADD COLUMN login_as     text    NOT NULL DEFAULT '',    -- whose password it is, if not the login's
    ADD CHECK (NOT tls_pin_only OR cardinality(tls_pins) > 0);

-- The mailboxes of one test, in its order; rows of the highest fence are those of the last one. What a
-- longer list left behind them is of no meaning.
CREATE TABLE account_listing (
    account_id  bigint  NOT NULL REFERENCES account (account_id) ON DELETE CASCADE,
    ordinal     int     NOT NULL,
    fence       bigint  NOT NULL,                         -- of the test's job
    path        text    NOT NULL,
    special_use text    NOT NULL,                         -- '\Sent'; more than one: with blanks between
    is_noselect boolean NOT NULL,
    left_out    text CHECK (left_out IN ('pattern', 'others', 'shared')), -- NULL: would be archived
    rule        text,                                     -- the --exclude pattern that leaves it out
    messages    bigint,                                   -- NULL: not known
    octets      bigint,
    PRIMARY KEY (account_id, ordinal)
);
ALTER TABLE account_listing ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON account_listing TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);

REVOKE ALL ON account_listing FROM PUBLIC;
GRANT SELECT, INSERT ON account_listing TO holdfast_ingest;
GRANT UPDATE (fence, path, special_use, is_noselect, left_out, rule, messages, octets)
   ON account_listing TO holdfast_ingest;
