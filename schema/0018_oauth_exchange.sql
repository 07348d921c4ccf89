-- SPDX-License-Identifier: Apache-2.0
--
-- 0018_oauth_exchange: what is known of a refresh token that was sent to its endpoint.

SET LOCAL search_path = holdfast, pg_temp;

-- Refresh tokens whose exchange was begun and is not known to have ended (lib/auth/exchange.h). The row is
-- committed before the endpoint is asked, and deleted with what it answered; one that is found there later tells
-- that an answer, and perhaps a rotated refresh token, was lost with the process or the connection that waited
-- for it. token_key: an HMAC of the refresh token under the master key, so that a new consent has nothing to
-- do with an old row.
CREATE TABLE oauth_exchange (
    token_key  bytea PRIMARY KEY CHECK (octet_length(token_key) = 32),
    number     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE, -- by which people speak of it
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    asked      integer     NOT NULL DEFAULT 1, -- how often, in vain
    refused_at timestamptz -- by the endpoint, when it was asked again
);

REVOKE ALL ON oauth_exchange FROM PUBLIC;

GRANT SELECT, DELETE ON oauth_exchange TO holdfast_gate;
GRANT INSERT (token_key) ON oauth_exchange TO holdfast_gate;
GRANT UPDATE (asked, refused_at) ON oauth_exchange TO holdfast_gate;

ALTER TABLE oauth_exchange ENABLE ROW LEVEL SECURITY;
CREATE POLICY process ON oauth_exchange TO holdfast_ingest, holdfast_keeper, holdfast_gate
    USING (true) WITH CHECK (true);
