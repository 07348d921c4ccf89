# SPDX-License-Identifier: Apache-2.0
"""The schema's rules, and what each role may do: generated from schema/privileges.tsv, tried both
ways (what stands there works, whatever does not stand there fails)."""
import collections
import re

import pytest

from harness.place import ROOT
from harness.postgres import OWNER, ROLES, Postgres, migrations, rows, sqlstate, table_names

DENIED = "42501"
TABLES = table_names()
# As the comment on top of 0001 says: tables that carry an account_id only as a value.
GLOBAL = set(re.search(r"only as a value: ([^.]*)\.", " ".join(
    line.lstrip("- ") for line in next(migrations())[2].splitlines())).group(1).split(", "))


@pytest.fixture(scope="module")
def server(module_place):
    made = Postgres(module_place).start()
    made.owner = made.make_database()
    made.roles = {role: made.connect(role) for role in ROLES}
    yield made
    for connection in (made.owner, *made.roles.values()):
        connection.close()
    made.stop()


@pytest.fixture(scope="module")
def columns(server):
    """table -> [(column, type)]"""
    found = collections.defaultdict(list)
    for table, column, kind in rows(server.owner, """
            SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind IN ('r', 'p')
               AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY c.relname, a.attnum"""):
        found[table].append((column, kind))
    return found


def read_privileges():
    """(role, object, right) -> columns, or ["*"], or [] where a right has none."""
    found = {}
    for line in (ROOT / "schema/privileges.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            role, thing, right, names = line.split("\t")
            assert (role, thing, right) not in found, f"twice: {line}"
            found[role, thing, right] = names.split(",") if names else []
    return found


PRIVILEGES = read_privileges()


def may(role, thing, right, column=None):
    names = PRIVILEGES.get((role, thing, right))
    return names is not None and (names in ([], ["*"]) or column in names)


# ---- rules (reference: scale, section 3) -------------------------------------------------------

LINT = """
WITH dist AS (
    SELECT c.oid, a.attnum, a.attnotnull, a.atttypid
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'account_id'
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'holdfast'::regnamespace
       AND NOT a.attisdropped AND NOT c.relname = ANY (%(exempt)s)),
 own AS (SELECT oid FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace)
SELECT 'R1 unique key without account_id first: ' || i.indexrelid::regclass
  FROM pg_index i JOIN dist d ON d.oid = i.indrelid
 WHERE (i.indisunique OR i.indisexclusion) AND i.indkey[0] <> d.attnum
UNION ALL SELECT 'R1 no primary key: ' || d.oid::regclass FROM dist d
 WHERE NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = d.oid AND i.indisprimary)
UNION ALL SELECT 'R2 account_id is not bigint NOT NULL: ' || oid::regclass FROM dist
 WHERE NOT attnotnull OR atttypid <> 'bigint'::regtype
UNION ALL SELECT 'R3 foreign key between account tables without account_id on both sides: ' || conname
  FROM pg_constraint c JOIN dist f ON f.oid = c.conrelid JOIN dist t ON t.oid = c.confrelid
 WHERE contype = 'f' AND NOT EXISTS (SELECT FROM generate_subscripts(c.conkey, 1) s
                                      WHERE c.conkey[s] = f.attnum AND c.confkey[s] = t.attnum)
UNION ALL SELECT 'R4 foreign key from a global table to an account table: ' || conname
  FROM pg_constraint c JOIN dist t ON t.oid = c.confrelid
 WHERE contype = 'f' AND NOT EXISTS (SELECT FROM dist f WHERE f.oid = c.conrelid)
UNION ALL SELECT 'R5 foreign key from an account table to a global table: ' || conname
  FROM pg_constraint c JOIN dist f ON f.oid = c.conrelid
 WHERE contype = 'f' AND NOT EXISTS (SELECT FROM dist t WHERE t.oid = c.confrelid)
UNION ALL SELECT 'R6 trigger: ' || tgname FROM pg_trigger JOIN own ON own.oid = tgrelid
 WHERE NOT tgisinternal
UNION ALL SELECT 'R7 sequence narrower than bigint: ' || seqrelid::regclass
  FROM pg_sequence JOIN own ON own.oid = seqrelid WHERE seqtypid <> 'bigint'::regtype
UNION ALL SELECT 'R8 partitions of partitions: ' || c.oid::regclass
  FROM pg_class c JOIN own USING (oid) WHERE c.relkind = 'p' AND c.relispartition
UNION ALL SELECT 'R9 rule: ' || rulename FROM pg_rewrite JOIN own ON own.oid = ev_class
 WHERE rulename <> '_RETURN'
UNION ALL SELECT 'R10 unlogged or temporary: ' || c.oid::regclass
  FROM pg_class c JOIN own USING (oid) WHERE c.relpersistence <> 'p'
UNION ALL SELECT 'R11 inheritance: ' || inhrelid::regclass
  FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid JOIN own ON own.oid = c.oid
 WHERE c.relkind = 'r' AND NOT c.relispartition
ORDER BY 1"""


def lint(owner):
    return [text for text, in rows(owner, LINT, {"exempt": sorted(GLOBAL)})]


def test_the_catalogue_keeps_the_rules(server):
    assert lint(server.owner) == []


def test_the_lint_finds_what_is_planted(server):
    with server.owner.cursor() as cursor:
        cursor.execute("""BEGIN;
            CREATE TABLE p1 (account_id int, x int UNIQUE);
            CREATE TABLE p2 (account_id bigint NOT NULL, m bigint, PRIMARY KEY (account_id, m),
                             x int REFERENCES p1 (x));
            CREATE TABLE p3 (x int, a bigint, m bigint,
                             FOREIGN KEY (a, m) REFERENCES p2 (account_id, m));
            CREATE SEQUENCE p4 AS int;
            CREATE UNLOGGED TABLE p5 (x int);
            CREATE RULE p6 AS ON DELETE TO p5 DO INSTEAD NOTHING;
            CREATE TRIGGER p7 BEFORE UPDATE ON p5 FOR EACH ROW
                EXECUTE FUNCTION suppress_redundant_updates_trigger();
            CREATE TABLE p8 (y int) INHERITS (p5);
            CREATE TABLE p9 (account_id bigint PRIMARY KEY REFERENCES auditor (auditor_id))""")
        found = lint(server.owner)
        cursor.execute("ROLLBACK")
    assert {text.split()[0] for text in found} == {"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R9",
                                                   "R10", "R11"}


def test_the_global_tables_exist(server, columns):
    assert GLOBAL <= set(columns)


def test_every_table_but_the_version_has_row_level_security(server):
    assert rows(server.owner, """
        SELECT relname FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace
           AND relkind IN ('r', 'p') AND NOT relispartition AND NOT relrowsecurity""") == \
        [("schema_version",)]


def test_tables_are_those_that_the_files_make(columns):
    assert {t for t in columns if not re.fullmatch(r"(text_)?spool_\d{8}", t)} == set(TABLES)


def test_definer_functions_have_a_search_path_of_their_own(server):
    assert rows(server.owner, """
        SELECT proname FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace AND prosecdef
           AND NOT coalesce(proconfig, '{}') @> '{"search_path=holdfast, pg_temp"}'""") == []


# ---- privileges, read --------------------------------------------------------------------------

def granted(owner):
    """Every grant in the schema to anybody but the owner, in the form of PRIVILEGES."""
    name = "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END"
    found = {}
    for role, thing, right in rows(owner, f"""
            SELECT {name}, c.relname::text, a.privilege_type FROM pg_class c,
                   aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
             WHERE c.relnamespace = 'holdfast'::regnamespace AND a.grantee <> c.relowner
               AND c.relkind <> 'S'
            UNION ALL SELECT {name}, c.relname::text, a.privilege_type FROM pg_class c,
                   aclexplode(coalesce(c.relacl, acldefault('S', c.relowner))) a
             WHERE c.relnamespace = 'holdfast'::regnamespace AND a.grantee <> c.relowner
               AND c.relkind = 'S'
            UNION ALL SELECT {name}, p.proname || '(' || (
                       SELECT coalesce(string_agg(format_type(t, NULL), ',' ORDER BY n), '')
                         FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n)) || ')',
                   a.privilege_type FROM pg_proc p,
                   aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
             WHERE p.pronamespace = 'holdfast'::regnamespace AND a.grantee <> p.proowner"""):
        found[role, thing, right] = ["*"] if right in ("SELECT", "INSERT", "UPDATE") else []
    for role, table, right, names in rows(owner, f"""
            SELECT {name}, c.relname::text, a.privilege_type,
                   string_agg(t.attname, ',' ORDER BY t.attnum)
              FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
             WHERE c.relnamespace = 'holdfast'::regnamespace GROUP BY 1, 2, 3"""):
        found[role, table, right] = names.split(",")
    return found


def test_the_grants_are_exactly_those_of_the_table(server):
    def comparable(privileges):
        return {key: sorted(names) for key, names in privileges.items()}

    assert comparable(granted(server.owner)) == comparable(PRIVILEGES)


def test_the_roles_have_no_attributes_and_no_memberships(server):
    assert rows(server.owner, """
        SELECT rolname FROM pg_roles WHERE rolname LIKE 'holdfast\\_%%' AND rolname <> %s
           AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
                OR rolinherit OR NOT rolcanlogin)""", (OWNER,)) == []
    assert rows(server.owner, "SELECT FROM pg_auth_members m WHERE m.member IN (SELECT oid "
                              "FROM pg_roles WHERE rolname = ANY (%s))", (list(ROLES),)) == []


# ---- privileges, tried -------------------------------------------------------------------------

def verdict(state):
    return "denied" if state == DENIED else "allowed" if state is None else f"error {state}"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_and_writes_its_columns_and_no_others(server, columns, role, table):
    connection, wrong = server.roles[role], []

    def attempt(right, column, sql):
        want = "allowed" if may(role, table, right, column) else "denied"
        got = verdict(sqlstate(connection, sql))
        if got != want:
            wrong.append(f"{sql}: {got}, should be {want}")

    for column, kind in columns[table]:
        attempt("SELECT", column, f'SELECT "{column}" FROM {table} LIMIT 0')
        attempt("UPDATE", column, f'UPDATE {table} SET "{column}" = DEFAULT WHERE false')
        attempt("INSERT", column, f'INSERT INTO {table} ("{column}") OVERRIDING SYSTEM VALUE '
                                  f"SELECT NULL::{kind} WHERE false")
    attempt("SELECT", "*", f"SELECT * FROM {table} LIMIT 0")
    attempt("DELETE", "*", f"DELETE FROM {table} WHERE false")
    attempt("TRUNCATE", "*", f"TRUNCATE {table}")
    assert wrong == []


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_a_table_itself(server, columns, role, table):
    first = columns[table][0][0]
    for sql in (f"ALTER TABLE {table} ADD COLUMN sneaked int",
                f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} OWNER TO {role}",
                f"DROP TABLE {table} CASCADE",
                f"CREATE POLICY sneaked ON {table} USING (true)",
                f"DROP POLICY process ON {table}",
                f"CREATE INDEX ON {table} ({first})",
                f"COMMENT ON TABLE {table} IS 'x'",
                f"CREATE TRIGGER sneaked BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION "
                "suppress_redundant_updates_trigger()",
                f"CREATE RULE sneaked AS ON UPDATE TO {table} DO INSTEAD NOTHING",
                f"REINDEX TABLE {table}"):
        state = sqlstate(server.roles[role], sql)
        # The version has no policy to drop: undefined object is as good as denied.
        assert state in (DENIED, "42704"), f"{sql}: {state}"


@pytest.mark.parametrize("role", ROLES)
def test_a_grant_by_a_role_grants_nothing(server, role):
    before = granted(server.owner)
    for table in TABLES:
        sqlstate(server.roles[role], f"GRANT ALL ON {table} TO PUBLIC")
        with server.roles[role].cursor() as cursor:
            try:
                cursor.execute(f"GRANT SELECT ON {table} TO PUBLIC")
            except Exception:
                pass
    assert granted(server.owner) == before


def functions(owner):
    """(name(types), call with NULLs)"""
    for name, types in rows(owner, """
            SELECT p.proname, coalesce((SELECT array_agg(format_type(t, NULL) ORDER BY n)
                       FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n)), '{}')::text[]
              FROM pg_proc p WHERE p.pronamespace = 'holdfast'::regnamespace"""):
        yield (f"{name}({','.join(types)})",
               f"SELECT * FROM {name}({', '.join('NULL::' + t for t in types)})")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_calls_its_functions_and_no_others(server, role):
    for signature, call in functions(server.owner):
        want = "allowed" if may(role, signature, "EXECUTE") else "denied"
        state = sqlstate(server.roles[role], call)
        if want == "allowed":
            assert state != DENIED, f"{call} as {role}"
        else:
            assert state == DENIED, f"{call} as {role}: {state}"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_its_sequences_and_no_others(server, role):
    for sequence, in rows(server.owner, "SELECT relname FROM pg_class WHERE relkind = 'S' "
                                        "AND relnamespace = 'holdfast'::regnamespace"):
        allowed = may(role, sequence, "USAGE")
        assert (sqlstate(server.roles[role], f"SELECT nextval('{sequence}')") is None) == allowed
        assert sqlstate(server.roles[role], f"SELECT setval('{sequence}', 1)") == DENIED


FORBIDDEN = """
CREATE TEMP TABLE t (n int)
SELECT pg_logical_emit_message(false, 'x', 'y')
SELECT pg_current_xact_id()
SELECT pg_export_snapshot()
CREATE TEMP SEQUENCE s
SELECT 1 AS x INTO TEMP t
CREATE TABLE holdfast.t (n int)
CREATE TABLE public.t (n int)
CREATE VIEW holdfast.v AS SELECT 1
CREATE SCHEMA sneaked
CREATE FUNCTION holdfast.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE TYPE holdfast.t AS (n int)
SELECT lo_create(0)
SELECT lo_creat(-1)
SELECT lo_from_bytea(0, 'x')
SELECT lo_put(1, 0, 'x')
SELECT lo_open(1, 131072)
SELECT lo_unlink(1)
SELECT lo_import('/etc/passwd')
SELECT lo_export(1, '/tmp/sneaked')
SELECT lowrite(0, 'x')
SELECT loread(0, 1)
SELECT pg_advisory_lock(1)
SELECT pg_advisory_lock(1, 1)
SELECT pg_advisory_xact_lock(1)
SELECT pg_advisory_lock_shared(1)
SELECT pg_try_advisory_lock(1)
SELECT pg_try_advisory_xact_lock(1, 1)
SELECT pg_advisory_unlock(1)
SELECT pg_advisory_unlock_all()
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_binary_file('PG_VERSION')
SELECT pg_ls_dir('.')
SELECT pg_stat_file('PG_VERSION')
COPY account_name TO '/tmp/sneaked'
COPY (SELECT 1) TO PROGRAM 'true'
COPY account_name FROM PROGRAM 'true'
SET ROLE holdfast_owner
SET SESSION AUTHORIZATION holdfast_owner
SET session_replication_role = replica
SET log_statement = 'all'
CREATE ROLE sneaked
ALTER ROLE holdfast_owner PASSWORD 'x'
CREATE DATABASE sneaked
ALTER DATABASE holdfast SET search_path = public
ALTER SYSTEM SET fsync = off
CREATE EXTENSION file_fdw
CREATE PUBLICATION sneaked
CREATE EVENT TRIGGER sneaked ON ddl_command_end EXECUTE FUNCTION f()
ALTER DEFAULT PRIVILEGES FOR ROLE holdfast_owner GRANT ALL ON TABLES TO PUBLIC
SELECT pg_reload_conf()
SELECT pg_rotate_logfile()
SELECT pg_switch_wal()
SELECT pg_create_restore_point('x')
SELECT pg_create_physical_replication_slot('x')
SELECT pg_stat_reset()
SELECT * FROM pg_authid
SELECT * FROM pg_statistic
SELECT * FROM pg_largeobject
SELECT * FROM pg_hba_file_rules
""".strip().splitlines()


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_what_the_server_offers_everybody_is_taken_away(server, sql):
    outside = {"ALTER SYSTEM SET fsync = off", "CREATE DATABASE sneaked"}  # not in a transaction
    for role in ROLES:
        if sql in outside:
            with server.roles[role].cursor() as cursor, pytest.raises(Exception) as caught:
                cursor.execute(sql)
            assert caught.value.pgcode == DENIED
        else:
            assert sqlstate(server.roles[role], sql) == DENIED, role


def test_no_role_ends_the_session_of_another(server):
    victim, = rows(server.owner, "SELECT pg_backend_pid()")[0]
    for role in ROLES:
        assert sqlstate(server.roles[role], f"SELECT pg_terminate_backend({victim})") == DENIED
        assert sqlstate(server.roles[role], f"SELECT pg_cancel_backend({victim})") == DENIED


def test_spool_partitions_are_reached_through_their_parent_only(server, columns):
    partitions = [t for t in columns if re.fullmatch(r"(text_)?spool_\d{8}", t)]
    assert len(partitions) >= 4
    for table in partitions:
        parent = table[:-9]
        for role in ROLES:
            for sql in (f"SELECT FROM {table}", f"INSERT INTO {table} DEFAULT VALUES",
                        f"DELETE FROM {table}", f"DROP TABLE {table}",
                        f"ALTER TABLE {parent} DETACH PARTITION {table}"):
                assert sqlstate(server.roles[role], sql) == DENIED, f"{sql} as {role}"


def test_large_rows_of_the_spool_are_stored_uncompressed_outside_the_row(server, columns):
    for table in [t for t in columns if t.startswith(("spool", "text_spool"))]:
        assert rows(server.owner, "SELECT attstorage FROM pg_attribute WHERE attrelid = %s::regclass "
                                  "AND attname = 'octets'", (table,)) == [("e",)], table


def test_no_other_index_ties_with_the_key_by_which_octets_are_found(server):
    """schema/README 5: whoever pages through a mailbox would read all locators for each message."""
    assert rows(server.owner, """
        SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
          JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attname = 'account_id'
         WHERE x.indrelid = 'locator'::regclass AND x.indkey[0] = a.attnum""") == [
        ("locator_pkey",)]
