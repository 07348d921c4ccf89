-- SPDX-License-Identifier: Apache-2.0
--
-- What any connection needs. To add a statement: a block "-- name:", "-- args:", SQL, in the file of
-- its topic. Types of args: boolean smallint integer bigint text bytea timestamptz date, each
-- also with []. Other types are cast in the SQL: $1::text::inet, $1::text[]::jsonb[],
-- $1::bigint * interval '1 microsecond'; and out: host(remote), lsn::text. A column of jsonb may stay.

-- name: session_begin_read_committed
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: session_begin_repeatable_read
BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;

-- name: session_begin_repeatable_read_only
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: session_begin_serializable
BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE;

-- name: session_commit
COMMIT;

-- name: session_savepoint
SAVEPOINT nested;

-- name: session_savepoint_release
RELEASE SAVEPOINT nested;

-- The reader's token, for the row-level policies; ends with the transaction.
-- name: session_set_token
-- args: token text
SELECT set_config('holdfast.token', $1, true);

-- name: session_now
SELECT now();

-- name: session_schema_version
SELECT version FROM schema_version ORDER BY version DESC LIMIT 1;
