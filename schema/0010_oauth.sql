-- SPDX-License-Identifier: Apache-2.0
--
-- 0010_oauth: logins without a password of their own: OAuth grants, client certificates, and
-- credentials that stand for many accounts of one tenant.

SET LOCAL search_path = holdfast, pg_temp;

-- A grant (lib/oauth/grant.h) under a name, for any number of accounts. Sealed under the master key
-- with the text "credential <id> secret". Global: it belongs to no account.
CREATE TABLE credential (
    credential_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text        NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 128),
    sealed        bytea       NOT NULL,
    key_id        bigint      NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- Of kind 'credential' the sealed octets are the id in decimal: what stands in the column cannot be
-- changed to another credential by who has not the master key. Never a foreign key: account tables
-- refer to no global one.
ALTER TABLE account_secret
    ADD COLUMN credential_id bigint,
    DROP CONSTRAINT account_secret_kind_check,
    ADD CONSTRAINT account_secret_kind_check
        CHECK (kind IN ('password', 'oauth', 'certificate', 'credential')),
    ADD CHECK ((kind = 'credential') = (credential_id IS NOT NULL));
CREATE INDEX account_secret_credential ON account_secret (credential_id)
    WHERE credential_id IS NOT NULL;

-- Access tokens until they expire, shared by all workers. cache_key: an HMAC, under the master key, of what
-- the token is for (auth/bearer.c); two accounts may share one. The row is also the lock of who fetches the next
-- one; sealed NULL: none was fetched yet. The aad is "token <cache_key in hex>".
CREATE TABLE oauth_token (
    cache_key   bytea PRIMARY KEY CHECK (octet_length(cache_key) = 32),
    sealed      bytea,
    key_id      bigint,
    obtained_at timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((sealed IS NULL) = (key_id IS NULL))
);

REVOKE ALL ON credential, oauth_token FROM PUBLIC;

GRANT SELECT ON credential TO holdfast_gate, holdfast_keeper;
GRANT UPDATE (sealed, key_id, updated_at) ON credential TO holdfast_gate;
GRANT SELECT, DELETE ON oauth_token TO holdfast_gate;
GRANT INSERT (cache_key) ON oauth_token TO holdfast_gate;
GRANT UPDATE (sealed, key_id, obtained_at, expires_at) ON oauth_token TO holdfast_gate;

GRANT SELECT, INSERT, UPDATE ON credential TO holdfast_rebuild;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['credential', 'oauth_token'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY process ON %I TO holdfast_ingest, holdfast_keeper, '
                       'holdfast_gate USING (true) WITH CHECK (true)', t);
    END LOOP;
    CREATE POLICY rebuild ON credential TO holdfast_rebuild
        USING ((SELECT rebuild_is_running())) WITH CHECK ((SELECT rebuild_is_running()));
END
$$;
