-- SPDX-License-Identifier: Apache-2.0
--
-- The database made again from packs (vault/rebuild.h). rebuild_line_<type>: lines of catalogues, many at
-- once, their fields in the order of store/line.c; the first argument is the account, or in those of an
-- installation 0. Each says, or affects, as many rows as there were lines that had a place.

-- name: rebuild_is_running
SELECT rebuild_is_running();

-- name: rebuild_begin
SELECT rebuild_begin();

-- name: rebuild_pack_known
-- args: account_id bigint, sha256 bytea
SELECT EXISTS (SELECT FROM pack p WHERE p.account_id = $1 AND p.sha256 = $2),
       EXISTS (SELECT FROM account a WHERE a.account_id = $1);

-- What an interrupted rebuild has read: a pack that is not in the chain of now; the last of the chain; whether UIDs were
-- raised already.
-- name: rebuild_read_before
-- args: account_id bigint, chain bytea[]
SELECT (SELECT p.sha256 FROM pack p WHERE p.account_id = $1 AND p.sha256 <> ALL ($2) LIMIT 1),
       (SELECT coalesce(max(c.place), 0)
          FROM unnest($2) WITH ORDINALITY AS c (sha256, place)
          JOIN pack p ON p.account_id = $1 AND p.sha256 = c.sha256),
       EXISTS (SELECT FROM seal_mailbox s WHERE s.account_id = $1);

-- The installation pack whose state is there; NULL: none.
-- name: rebuild_installation_known
SELECT last_sha256, sealed_at FROM seal_installation WHERE packs > 0;

-- name: rebuild_pack_add
-- args: account_id bigint, sha256 bytea, previous bytea, stored_bytes bigint, raw_bytes bigint, sealed_at timestamptz
INSERT INTO pack (account_id, sha256, previous_sha256, stored_bytes, raw_bytes, sealed_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING pack_id;

-- name: rebuild_chain_set
-- args: account_id bigint, sha256 bytea, number bigint, sealed_at timestamptz
INSERT INTO seal_account (account_id, packs, last_sha256, sealed_at) VALUES ($1, $3, $2, $4)
    ON CONFLICT (account_id) DO UPDATE
   SET packs = EXCLUDED.packs, last_sha256 = EXCLUDED.last_sha256, sealed_at = EXCLUDED.sealed_at;

-- name: rebuild_frame_add
-- args: account_id bigint, run_id bigint, pack_id bigint, ordinals bigint[], raw_starts bigint[], raw_sizes bigint[], stored_sizes bigint[], hashes bytea[], offsets bigint[]
INSERT INTO frame (account_id, run_id, ordinal, raw_start, raw_bytes, stored_bytes, stored_sha256,
                   pack_id, pack_offset)
SELECT $1, $2, f.ordinal, f.raw_start, f.raw_bytes, f.stored_bytes, f.sha256, $3, f.place
  FROM unnest($4, $5, $6, $7, $8, $9)
       AS f (ordinal, raw_start, raw_bytes, stored_bytes, sha256, place);

-- newer: 1 when the line is later than what may be there already.
-- name: rebuild_line_account
-- args: newer bigint, accounts bigint[], names text[], kinds text[], hosts text[], ports bigint[], logins text[], tls text[], tls_cas text[], includes text[], excludes text[], every_seconds bigint[], is_paused boolean[], created_at timestamptz[], removed_at timestamptz[], namespaces text[], tls_pins text[], tls_pin_only boolean[], login_as text[], max_connections bigint[], daily_bytes bigint[], watches text[]
WITH l AS MATERIALIZED (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                         $19, $20, $21, $22)
           AS l (account_id, name, kind, host, port, login, tls, tls_ca, include, exclude,
                 every_seconds, is_paused, created_at, removed_at, namespaces, tls_pins,
                 tls_pin_only, login_as, max_connections, daily_bytes, watch)
), a AS (
    INSERT INTO account AS a (account_id, kind, host, port, login, tls, tls_ca, include, exclude,
                              every_seconds, is_paused, created_at, removed_at, namespaces,
                              tls_pins, tls_pin_only, login_as, max_connections, daily_bytes,
                              watch)
    OVERRIDING SYSTEM VALUE
    SELECT l.account_id, l.kind, l.host, l.port, l.login, l.tls, l.tls_ca,
           ARRAY(SELECT jsonb_array_elements_text(l.include::jsonb)),
           ARRAY(SELECT jsonb_array_elements_text(l.exclude::jsonb)),
           l.every_seconds, l.is_paused, l.created_at, l.removed_at,
           ARRAY(SELECT jsonb_array_elements_text(coalesce(l.namespaces, '[]')::jsonb)),
           ARRAY(SELECT jsonb_array_elements_text(coalesce(l.tls_pins, '[]')::jsonb)),
           coalesce(l.tls_pin_only, false), coalesce(l.login_as, ''), l.max_connections,
           l.daily_bytes, ARRAY(SELECT jsonb_array_elements_text(coalesce(l.watch, '[]')::jsonb))
      FROM l
        ON CONFLICT (account_id) DO UPDATE
       SET kind = EXCLUDED.kind, host = EXCLUDED.host, port = EXCLUDED.port,
           login = EXCLUDED.login, tls = EXCLUDED.tls, tls_ca = EXCLUDED.tls_ca,
           include = EXCLUDED.include, exclude = EXCLUDED.exclude,
           every_seconds = EXCLUDED.every_seconds, is_paused = EXCLUDED.is_paused,
           created_at = EXCLUDED.created_at, removed_at = EXCLUDED.removed_at,
           namespaces = EXCLUDED.namespaces, tls_pins = EXCLUDED.tls_pins,
           tls_pin_only = EXCLUDED.tls_pin_only, login_as = EXCLUDED.login_as,
           max_connections = EXCLUDED.max_connections, daily_bytes = EXCLUDED.daily_bytes,
           watch = EXCLUDED.watch
     WHERE $1 = 1
)
INSERT INTO account_name AS n (account_id, name)
SELECT l.account_id,
       CASE WHEN l.name IS NULL
                 OR EXISTS (SELECT FROM account_name o
                             WHERE o.name = l.name AND o.account_id <> l.account_id)
            THEN left(coalesce(l.name, 'account'), 20) || ' (' || l.account_id || ')'
            ELSE l.name END
  FROM l
    ON CONFLICT (account_id) DO UPDATE SET name = EXCLUDED.name WHERE $1 = 1;

-- What ended the trust in a scope ends it for good.
-- name: rebuild_line_scope
-- args: account_id bigint, scopes bigint[], kinds text[], hosts text[], logins text[], placed bigint[], distrusted_at timestamptz[]
INSERT INTO identity_scope AS s (account_id, scope, kind, host, login, placed, distrusted_at)
SELECT $1, l.* FROM unnest($2, $3, $4, $5, $6, $7)
                 AS l (scope, kind, host, login, placed, distrusted_at)
    ON CONFLICT (account_id, scope) DO UPDATE
   SET placed = EXCLUDED.placed, distrusted_at = coalesce(s.distrusted_at, EXCLUDED.distrusted_at);

-- Other mailboxes that an earlier pack told under these paths: their own lines tell what they are called now.
-- name: rebuild_paths_free
-- args: account_id bigint, mailboxes bigint[], paths text[]
UPDATE mailbox b SET path = chr(1) || b.mailbox_id
  FROM unnest($2, $3) AS l (mailbox_id, path)
 WHERE b.account_id = $1 AND b.path = l.path AND b.mailbox_id <> l.mailbox_id;

-- name: rebuild_line_former
-- args: account_id bigint, mailboxes bigint[], paths text[], until timestamptz[]
INSERT INTO mailbox_former (account_id, mailbox_id, path, until)
SELECT $1, l.mailbox_id, l.path, l.until
  FROM unnest($2, $3, $4) AS l (mailbox_id, path, until)
 CROSS JOIN LATERAL (SELECT FROM mailbox b
                      WHERE b.account_id = $1 AND b.mailbox_id = l.mailbox_id OFFSET 0) b
    ON CONFLICT DO NOTHING;

-- name: rebuild_line_mailbox
-- args: account_id bigint, mailboxes bigint[], paths text[], source_names bytea[], delimiters text[], uidvalidities bigint[], uidnexts bigint[], highestmodseqs bigint[], is_noselect boolean[], special_uses text[], retention_classes text[], created_at timestamptz[], gone_at timestamptz[], disposed text[], skipped text[], object_ids text[]
WITH l AS MATERIALIZED (
    SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
           AS l (mailbox_id, path, source_name, delimiter, uidvalidity, uidnext, highestmodseq,
                 is_noselect, special_use, retention_class, created_at, gone_at, disposed, skipped,
                 object_id)
), b AS (
    INSERT INTO mailbox AS b (account_id, mailbox_id, path, source_name, delimiter, uidvalidity,
                              uidnext, highestmodseq, is_noselect, special_use, retention_class,
                              created_at, gone_at, object_id)
    OVERRIDING SYSTEM VALUE
    SELECT $1, l.mailbox_id, l.path, l.source_name, l.delimiter, l.uidvalidity, l.uidnext,
           l.highestmodseq, l.is_noselect, l.special_use, l.retention_class, l.created_at, l.gone_at,
           l.object_id
      FROM l
        ON CONFLICT (account_id, mailbox_id) DO UPDATE
       SET path = EXCLUDED.path, source_name = EXCLUDED.source_name,
           delimiter = EXCLUDED.delimiter, uidvalidity = EXCLUDED.uidvalidity,
           uidnext = greatest(b.uidnext, EXCLUDED.uidnext),
           highestmodseq = greatest(b.highestmodseq, EXCLUDED.highestmodseq),
           is_noselect = EXCLUDED.is_noselect, special_use = EXCLUDED.special_use,
           retention_class = EXCLUDED.retention_class, gone_at = EXCLUDED.gone_at,
           object_id = EXCLUDED.object_id
    RETURNING mailbox_id
), d AS (
    INSERT INTO mailbox_disposed AS d (account_id, mailbox_id, first_uid, last_uid, is_skipped)
    SELECT $1, l.mailbox_id, (r.pair ->> 0)::bigint, (r.pair ->> 1)::bigint,
           coalesce(l.skipped::jsonb @> jsonb_build_array(r.pair), false)
      FROM l CROSS JOIN LATERAL jsonb_array_elements(l.disposed::jsonb) AS r (pair)
        ON CONFLICT (account_id, mailbox_id, first_uid) DO UPDATE
       SET last_uid = greatest(d.last_uid, EXCLUDED.last_uid), is_skipped = EXCLUDED.is_skipped
)
SELECT count(*) FROM b;

-- name: rebuild_line_epoch
-- args: account_id bigint, mailboxes bigint[], epochs bigint[], uidvalidities bigint[], uidnexts bigint[], highestmodseqs bigint[], messages bigint[], opened_at timestamptz[], closed_at timestamptz[], enumerated_at timestamptz[], longest_gaps bigint[], listed_at timestamptz[], identity_scopes bigint[], recognises boolean[], refuted_at timestamptz[]
INSERT INTO source_epoch AS e (account_id, mailbox_id, epoch, uidvalidity, uidnext, highestmodseq,
                               messages, opened_at, closed_at, enumerated_at, longest_gap, listed_at,
                               identity_scope, recognises, refuted_at)
SELECT $1, l.mailbox_id, l.epoch, l.uidvalidity, l.uidnext, l.highestmodseq, l.messages,
       l.opened_at, l.closed_at, l.enumerated_at, l.longest_gap * interval '1 microsecond',
       l.listed_at, l.identity_scope, coalesce(l.recognises, false), l.refuted_at
  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
       AS l (mailbox_id, epoch, uidvalidity, uidnext, highestmodseq, messages, opened_at, closed_at,
             enumerated_at, longest_gap, listed_at, identity_scope, recognises, refuted_at)
    ON CONFLICT (account_id, mailbox_id, epoch) DO UPDATE
   SET uidvalidity = EXCLUDED.uidvalidity, uidnext = EXCLUDED.uidnext,
       highestmodseq = EXCLUDED.highestmodseq, messages = EXCLUDED.messages,
       opened_at = EXCLUDED.opened_at, closed_at = EXCLUDED.closed_at,
       enumerated_at = EXCLUDED.enumerated_at, longest_gap = EXCLUDED.longest_gap,
       listed_at = EXCLUDED.listed_at, identity_scope = EXCLUDED.identity_scope,
       recognises = EXCLUDED.recognises, refuted_at = EXCLUDED.refuted_at;

-- The run of a pack is its tar stream. Octets that an earlier pack has too stay where they are, unless
-- that one is damaged.
-- name: rebuild_line_message
-- args: account_id bigint, hashes bytea[], sizes bigint[], offsets bigint[], archived_at timestamptz[], run_id bigint
WITH m AS (
    INSERT INTO message AS m (account_id, sha256, size_bytes, first_archived_at)
    SELECT $1, l.sha256, l.size, l.archived_at
      FROM unnest($2, $3, $5) AS l (sha256, size, archived_at)
        ON CONFLICT (account_id, sha256) DO NOTHING
    RETURNING message_id, sha256
), moved AS (
    UPDATE locator o SET run_id = $6, raw_offset = l.place
      FROM unnest($2, $3, $4) AS l (sha256, size, place)
     CROSS JOIN LATERAL (SELECT m.message_id FROM message m
                          WHERE m.account_id = $1 AND m.sha256 = l.sha256
                            AND m.size_bytes = l.size OFFSET 0) m
     WHERE o.account_id = $1 AND o.message_id = m.message_id AND o.run_id <> $6
       AND EXISTS (SELECT FROM frame f JOIN pack p USING (account_id, pack_id)
                    WHERE f.account_id = $1 AND f.run_id = o.run_id AND f.ordinal = 0
                      AND p.is_damaged)
)
INSERT INTO locator (account_id, message_id, run_id, raw_offset)
SELECT $1, m.message_id, $6, l.place
  FROM m JOIN unnest($2, $4) AS l (sha256, place) ON l.sha256 = m.sha256;

-- Keywords that are new to their mailboxes, numbered as they come. lists: as JSON.
-- name: rebuild_keyword_add
-- args: account_id bigint, mailboxes bigint[], lists text[]
INSERT INTO mailbox_keyword (account_id, mailbox_id, number, name)
SELECT $1, w.mailbox_id,
       coalesce((SELECT max(k.number) + 1 FROM mailbox_keyword k
                  WHERE k.account_id = $1 AND k.mailbox_id = w.mailbox_id), 0)
       + row_number() OVER (PARTITION BY w.mailbox_id ORDER BY w.line, w.place) - 1,
       w.name
  FROM (SELECT l.mailbox_id, k.name, min(l.line) AS line, min(k.place) AS place
          FROM unnest($2, $3) WITH ORDINALITY AS l (mailbox_id, list, line)
         CROSS JOIN LATERAL jsonb_array_elements_text(l.list::jsonb) WITH ORDINALITY AS k (name, place)
         WHERE l.list <> '[]'
         GROUP BY l.mailbox_id, k.name) w
 WHERE NOT EXISTS (SELECT FROM mailbox_keyword k
                    WHERE k.account_id = $1 AND k.mailbox_id = w.mailbox_id AND k.name = w.name)
   AND EXISTS (SELECT FROM mailbox b WHERE b.account_id = $1 AND b.mailbox_id = w.mailbox_id);

-- name: rebuild_line_placement
-- args: account_id bigint, mailboxes bigint[], uids bigint[], hashes bytea[], internal_at timestamptz[], zones bigint[], days date[], flags bigint[], keywords text[], modseqs bigint[], appeared bigint[], archived_at timestamptz[], gone_at timestamptz[]
INSERT INTO placement (account_id, mailbox_id, uid, message_id, internal_at, internal_zone,
                       internal_day, flags, keywords, modseq, appeared_modseq, archived_at, gone_at)
SELECT $1, l.mailbox_id, l.uid, m.message_id, l.internal_at, l.zone, l.day, l.flags,
       CASE WHEN l.keywords = '[]' THEN '' ELSE rebuild_keywords($1, l.mailbox_id, l.keywords) END,
       l.modseq, l.appeared_modseq, l.archived_at, l.gone_at
  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
       AS l (mailbox_id, uid, sha256, internal_at, zone, day, flags, keywords, modseq,
             appeared_modseq, archived_at, gone_at)
 CROSS JOIN LATERAL (SELECT m.message_id FROM message m
                      WHERE m.account_id = $1 AND m.sha256 = l.sha256 OFFSET 0) m
 CROSS JOIN LATERAL (SELECT FROM mailbox b
                      WHERE b.account_id = $1 AND b.mailbox_id = l.mailbox_id OFFSET 0) b
    ON CONFLICT DO NOTHING;

-- An event changes a placement only if it is later than what its line told. The state in which the
-- placement appeared is made an event when the first change comes, as ingest does (vault/README.md 8).
-- name: rebuild_line_event
-- args: account_id bigint, mailboxes bigint[], uids bigint[], modseqs bigint[], at timestamptz[], flags bigint[], keywords text[], is_gone boolean[]
WITH e AS MATERIALIZED (
    SELECT l.*, p.place, p.flags AS old_flags, p.keywords AS old_keywords, p.modseq AS old_modseq,
           p.appeared_modseq, p.archived_at, p.gone_at,
           CASE WHEN l.names = '[]' THEN ''
                ELSE rebuild_keywords($1, l.mailbox_id, l.names) END AS bits,
           max(l.modseq) FILTER (WHERE NOT l.is_gone AND l.modseq > p.modseq)
               OVER (PARTITION BY l.mailbox_id, l.uid) AS last_back
      FROM unnest($2, $3, $4, $5, $6, $7, $8)
           AS l (mailbox_id, uid, modseq, at, flags, names, is_gone)
     CROSS JOIN LATERAL (
           SELECT q.ctid AS place, q.* FROM placement q
            WHERE q.account_id = $1 AND q.mailbox_id = l.mailbox_id AND q.uid = l.uid OFFSET 0) p
), first AS (
    INSERT INTO flag_event (account_id, mailbox_id, modseq, uid, at, flags, keywords, is_gone)
    SELECT DISTINCT ON (e.mailbox_id, e.uid)
           $1, e.mailbox_id, e.appeared_modseq, e.uid, e.archived_at, e.old_flags, e.old_keywords,
           false
      FROM e WHERE e.old_modseq = e.appeared_modseq AND e.modseq > e.appeared_modseq
        ON CONFLICT DO NOTHING
), added AS (
    INSERT INTO flag_event (account_id, mailbox_id, modseq, uid, at, flags, keywords, is_gone)
    SELECT $1, e.mailbox_id, e.modseq, e.uid, e.at, e.flags, e.bits, e.is_gone FROM e
        ON CONFLICT DO NOTHING
), changed AS (
    UPDATE placement p
       SET flags = c.flags, keywords = c.bits, modseq = c.modseq,
           gone_at = CASE WHEN NOT c.is_gone THEN NULL
                          WHEN c.last_back IS NULL THEN coalesce(c.gone_at, c.since)
                          ELSE c.since END
      FROM (SELECT DISTINCT ON (e.mailbox_id, e.uid) e.*,
                   min(e.at) FILTER (WHERE e.is_gone AND e.modseq > e.old_modseq
                                       AND e.modseq > coalesce(e.last_back, 0))
                       OVER (PARTITION BY e.mailbox_id, e.uid) AS since
              FROM e ORDER BY e.mailbox_id, e.uid, e.modseq DESC) c
     WHERE p.ctid = c.place AND c.modseq > c.old_modseq
)
SELECT count(*) FROM e;

-- What an earlier pack told as pending, gone or recognised is what a later one says.
-- name: rebuild_line_source
-- args: account_id bigint, mailboxes bigint[], epochs bigint[], uids bigint[], placements bigint[], recognised text[]
WITH l AS MATERIALIZED (
    SELECT l.*, p.archived_at
      FROM unnest($2, $3, $4, $5, $6) AS l (mailbox_id, epoch, uid, placement, recognised)
     CROSS JOIN LATERAL (SELECT p.archived_at FROM placement p
                          WHERE p.account_id = $1 AND p.mailbox_id = l.mailbox_id
                            AND p.uid = l.placement OFFSET 0) p
     CROSS JOIN LATERAL (SELECT FROM source_epoch e
                          WHERE e.account_id = $1 AND e.mailbox_id = l.mailbox_id
                            AND e.epoch = l.epoch OFFSET 0) e
), stored AS (
    INSERT INTO source_uid AS s (account_id, mailbox_id, epoch, uid, state, placement_uid,
                                 first_seen_at, recognised_by)
    SELECT $1, l.mailbox_id, l.epoch, l.uid, 'stored', l.placement, l.archived_at,
           CASE WHEN l.recognised IN ('id', 'header') THEN l.recognised END
      FROM l
        ON CONFLICT (account_id, mailbox_id, epoch, uid) DO UPDATE
       SET state = 'stored', placement_uid = EXCLUDED.placement_uid, error = NULL,
           next_try_at = NULL, gone_at = NULL, doubt = NULL,
           recognised_by = EXCLUDED.recognised_by
     WHERE s.state <> 'stored' OR s.placement_uid <> EXCLUDED.placement_uid
        OR s.recognised_by IS DISTINCT FROM EXCLUDED.recognised_by
)
SELECT count(*) FROM l;

-- Whose placement, or substitute, is in a pack that is not here is as if it had never been seen. What was
-- recognised, and stored by that, may have to come after all.
-- name: rebuild_line_uid
-- args: account_id bigint, mailboxes bigint[], epochs bigint[], uids bigint[], states text[], doubts text[], placements bigint[], substitutes bigint[], attempts bigint[], errors text[], next_try_at timestamptz[], first_seen_at timestamptz[], gone_at timestamptz[], recognised text[]
INSERT INTO source_uid AS s (account_id, mailbox_id, epoch, uid, state, doubt, placement_uid,
                             substitute_uid, attempts, error, next_try_at, first_seen_at, gone_at,
                             recognised_by)
SELECT $1, l.*
  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
       AS l (mailbox_id, epoch, uid, state, doubt, placement, substitute, attempts, error,
             next_try_at, first_seen_at, gone_at, recognised)
 CROSS JOIN LATERAL (SELECT FROM source_epoch e
                      WHERE e.account_id = $1 AND e.mailbox_id = l.mailbox_id
                        AND e.epoch = l.epoch OFFSET 0) e
 WHERE NOT EXISTS (SELECT FROM unnest(ARRAY[l.placement, l.substitute]) AS w (uid)
                    WHERE w.uid IS NOT NULL
                      AND NOT EXISTS (SELECT FROM placement p
                                       WHERE p.account_id = $1 AND p.mailbox_id = l.mailbox_id
                                         AND p.uid = w.uid))
    ON CONFLICT (account_id, mailbox_id, epoch, uid) DO UPDATE
   SET state = EXCLUDED.state, doubt = EXCLUDED.doubt, placement_uid = EXCLUDED.placement_uid,
       substitute_uid = EXCLUDED.substitute_uid, attempts = EXCLUDED.attempts,
       error = EXCLUDED.error, next_try_at = EXCLUDED.next_try_at, gone_at = EXCLUDED.gone_at,
       recognised_by = EXCLUDED.recognised_by
 WHERE s.state <> 'stored' OR EXCLUDED.state = 'stored' OR EXCLUDED.recognised_by = 'denied'
    OR s.recognised_by IS NOT NULL;

-- name: rebuild_line_identity
-- args: account_id bigint, scopes bigint[], identities text[], hashes bytea[], threads text[], labels text[]
INSERT INTO message_identity (account_id, scope, identity, message_id, thread, labels)
SELECT $1, l.scope, l.identity, m.message_id, l.thread,
       CASE WHEN l.labels IS NOT NULL
            THEN ARRAY(SELECT jsonb_array_elements_text(l.labels::jsonb)) END
  FROM unnest($2, $3, $4, $5, $6) AS l (scope, identity, sha256, thread, labels)
 CROSS JOIN LATERAL (SELECT m.message_id FROM message m
                      WHERE m.account_id = $1 AND m.sha256 = l.sha256 OFFSET 0) m
 CROSS JOIN LATERAL (SELECT FROM identity_scope i
                      WHERE i.account_id = $1 AND i.scope = l.scope OFFSET 0) i
    ON CONFLICT DO NOTHING;

-- A file is that of its source UID, a version of an mbox that of its epoch; a problem that of its path.
-- name: rebuild_line_file
-- args: account_id bigint, mailboxes bigint[], epochs bigint[], uids bigint[], names bytea[], paths bytea[], sizes bigint[], modified bigint[], states text[], notes text[], noted_at timestamptz[]
WITH l AS MATERIALIZED (
    SELECT l.*,
           CASE WHEN l.mailbox_id IS NULL THEN
                     (SELECT f.file_id FROM import_file f
                       WHERE f.name = l.name AND f.mailbox_id IS NULL AND f.account_id = $1
                         AND f.path = l.path LIMIT 1)
                WHEN l.uid IS NULL THEN
                     (SELECT f.file_id FROM import_file f
                       WHERE f.mailbox_id = l.mailbox_id AND f.epoch = l.epoch AND f.uid IS NULL
                         AND f.account_id = $1 LIMIT 1)
                ELSE (SELECT f.file_id FROM import_file f
                       WHERE f.mailbox_id = l.mailbox_id AND f.epoch = l.epoch AND f.uid = l.uid
                         AND f.account_id = $1 LIMIT 1) END AS file_id
      FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY
           AS l (mailbox_id, epoch, uid, name, path, size_bytes, modified_ns, state, note, noted_at,
                 place)
     WHERE l.mailbox_id IS NULL
        OR EXISTS (SELECT FROM source_epoch e
                    WHERE e.account_id = $1 AND e.mailbox_id = l.mailbox_id AND e.epoch = l.epoch)
), changed AS (
    UPDATE import_file f
       SET size_bytes = l.size_bytes, modified_ns = l.modified_ns, state = l.state, note = l.note,
           noted_at = l.noted_at
      FROM l WHERE f.account_id = $1 AND f.file_id = l.file_id
)
INSERT INTO import_file (account_id, mailbox_id, epoch, uid, name, path, size_bytes, modified_ns,
                         state, note, noted_at)
SELECT $1, l.mailbox_id, l.epoch, l.uid, l.name, l.path, l.size_bytes, l.modified_ns, l.state,
       l.note, l.noted_at
  FROM l WHERE l.file_id IS NULL ORDER BY l.place;

---------------------------------------------------------------------------------------------------
-- Lines of an installation
---------------------------------------------------------------------------------------------------

-- name: rebuild_line_secret
-- args: none bigint, accounts bigint[], kinds text[], sealed bytea[], keys bigint[], updated_at timestamptz[], credentials bigint[]
INSERT INTO account_secret (account_id, kind, sealed, key_id, updated_at, credential_id)
SELECT l.* FROM unnest($2, $3, $4, $5, $6, $7)
             AS l (account_id, kind, sealed, key_id, updated_at, credential_id)
    ON CONFLICT (account_id) DO UPDATE
   SET kind = EXCLUDED.kind, sealed = EXCLUDED.sealed, key_id = EXCLUDED.key_id,
       updated_at = EXCLUDED.updated_at, credential_id = EXCLUDED.credential_id
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_credential
-- args: none bigint, credentials bigint[], names text[], sealed bytea[], keys bigint[], created_at timestamptz[], updated_at timestamptz[]
INSERT INTO credential (credential_id, name, sealed, key_id, created_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT l.* FROM unnest($2, $3, $4, $5, $6, $7)
             AS l (credential_id, name, sealed, key_id, created_at, updated_at)
    ON CONFLICT (credential_id) DO UPDATE
   SET name = EXCLUDED.name, sealed = EXCLUDED.sealed, key_id = EXCLUDED.key_id,
       updated_at = EXCLUDED.updated_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_key
-- args: none bigint, accounts bigint[], keys bigint[], wrapped bytea[], created_at timestamptz[], destroyed_at timestamptz[]
INSERT INTO account_key (account_id, key_id, wrapped, created_at, destroyed_at)
SELECT l.* FROM unnest($2, $3, $4, $5, $6) AS l (account_id, key_id, wrapped, created_at, destroyed_at)
    ON CONFLICT (account_id, key_id) DO UPDATE
   SET wrapped = EXCLUDED.wrapped, destroyed_at = EXCLUDED.destroyed_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_auditor
-- args: none bigint, auditors bigint[], names text[], expires_at timestamptz[], networks text[], disabled_at timestamptz[], created_at timestamptz[]
INSERT INTO auditor (auditor_id, name, expires_at, allowed_networks, disabled_at, created_at)
OVERRIDING SYSTEM VALUE
SELECT l.auditor_id, l.name, l.expires_at,
       ARRAY(SELECT jsonb_array_elements_text(l.networks::jsonb)::cidr), l.disabled_at, l.created_at
  FROM unnest($2, $3, $4, $5, $6, $7)
       AS l (auditor_id, name, expires_at, networks, disabled_at, created_at)
    ON CONFLICT (auditor_id) DO UPDATE
   SET name = EXCLUDED.name, expires_at = EXCLUDED.expires_at,
       allowed_networks = EXCLUDED.allowed_networks, disabled_at = EXCLUDED.disabled_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_verifier
-- args: none bigint, auditors bigint[], verifiers text[], updated_at timestamptz[]
INSERT INTO auditor_verifier (auditor_id, verifier, updated_at)
SELECT l.* FROM unnest($2, $3, $4) AS l (auditor_id, verifier, updated_at)
    ON CONFLICT (auditor_id) DO UPDATE
   SET verifier = EXCLUDED.verifier, updated_at = EXCLUDED.updated_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_matter
-- args: none bigint, matters bigint[], names text[], created_at timestamptz[], closed_at timestamptz[]
INSERT INTO matter (matter_id, name, created_at, closed_at) OVERRIDING SYSTEM VALUE
SELECT l.* FROM unnest($2, $3, $4, $5) AS l (matter_id, name, created_at, closed_at)
    ON CONFLICT (matter_id) DO UPDATE SET name = EXCLUDED.name, closed_at = EXCLUDED.closed_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_grant
-- args: none bigint, grants bigint[], auditors bigint[], accounts bigint[], matters bigint[], since date[], until date[], queries text[], created_at timestamptz[], revoked_at timestamptz[]
INSERT INTO access_grant (grant_id, auditor_id, account_id, matter_id, since, until, query,
                          created_at, revoked_at) OVERRIDING SYSTEM VALUE
SELECT l.* FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
       AS l (grant_id, auditor_id, account_id, matter_id, since, until, query, created_at,
             revoked_at)
    ON CONFLICT (grant_id) DO UPDATE SET revoked_at = EXCLUDED.revoked_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_hold
-- args: none bigint, holds bigint[], matters bigint[], queries text[], placed_at timestamptz[], placed_by text[], released_at timestamptz[], released_by text[]
INSERT INTO hold (hold_id, matter_id, query, placed_at, placed_by, released_at, released_by)
OVERRIDING SYSTEM VALUE
SELECT l.* FROM unnest($2, $3, $4, $5, $6, $7, $8)
       AS l (hold_id, matter_id, query, placed_at, placed_by, released_at, released_by)
    ON CONFLICT (hold_id) DO UPDATE
   SET released_at = EXCLUDED.released_at, released_by = EXCLUDED.released_by
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_retention
-- args: none bigint, rules bigint[], classes text[], keep_for text[], created_at timestamptz[], approved_at timestamptz[], ended_at timestamptz[]
INSERT INTO retention_rule (rule_id, retention_class, keep_for, created_at, approved_at, ended_at)
OVERRIDING SYSTEM VALUE
SELECT l.rule_id, l.class, l.keep_for::interval, l.created_at, l.approved_at, l.ended_at
  FROM unnest($2, $3, $4, $5, $6, $7)
       AS l (rule_id, class, keep_for, created_at, approved_at, ended_at)
    ON CONFLICT (rule_id) DO UPDATE
   SET approved_at = EXCLUDED.approved_at, ended_at = EXCLUDED.ended_at
 WHERE $1 IS NOT NULL;

-- name: rebuild_line_audit
-- args: none bigint, events bigint[], at timestamptz[], processes text[], sessions bigint[], auditors bigint[], kinds text[], accounts bigint[], mailboxes bigint[], details text[]
INSERT INTO audit_event (event_id, at, process, session_id, auditor_id, event, account_id,
                         mailbox_id, detail) OVERRIDING SYSTEM VALUE
SELECT l.event_id, l.at, l.process, l.session_id, l.auditor_id, l.kind, l.account_id, l.mailbox_id,
       l.detail::jsonb
  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
       AS l (event_id, at, process, session_id, auditor_id, kind, account_id, mailbox_id, detail)
 WHERE $1 IS NOT NULL AND l.event_id < 1::bigint << 61
    ON CONFLICT DO NOTHING;

-- name: rebuild_installation_set
-- args: sha256 bytea, number bigint, sealed_at timestamptz
UPDATE seal_installation
   SET last_sha256 = $1, packs = $2, sealed_at = $3,
       event_id = (SELECT coalesce(max(e.event_id), 0) FROM audit_event e
                    WHERE e.event_id < 1::bigint << 61);

---------------------------------------------------------------------------------------------------
-- The owner's part, at the end
---------------------------------------------------------------------------------------------------

-- name: rebuild_unfinished
-- args: page bigint
SELECT b.account_id, b.mailbox_id, coalesce(n.name, ''), b.path
  FROM mailbox b LEFT JOIN account_name n ON n.account_id = b.account_id
 WHERE NOT EXISTS (SELECT FROM seal_mailbox s
                    WHERE s.account_id = b.account_id AND s.mailbox_id = b.mailbox_id)
 ORDER BY b.account_id, b.mailbox_id LIMIT $1;

-- Nothing is known yet of tables that were just filled, and the statements that follow join them whole.
-- name: rebuild_analyze
ANALYZE placement, message, source_uid, flag_event, locator, frame;

-- name: rebuild_finish_mailbox
-- args: account_id bigint, mailbox_id bigint
SELECT lost, raised FROM rebuild_finish_mailbox($1, $2);

-- name: rebuild_end
-- args: master_key bigint
SELECT rebuild_end($1);

-- name: rebuild_without_secret
-- args: master_key bigint
SELECT n.name FROM account a JOIN account_name n USING (account_id)
 WHERE a.removed_at IS NULL AND a.kind <> 'import'
   AND NOT EXISTS (SELECT FROM account_secret s
                    WHERE s.account_id = a.account_id AND s.key_id = $1)
 ORDER BY n.name COLLATE "C";
