# SPDX-License-Identifier: Apache-2.0
"""What a reader sees: nothing without a live token, and with one exactly what was granted, decided
once per query."""
import hashlib
import io
import re

import psycopg2
import pytest

from harness.postgres import Postgres, rows, sqlstate, table_names

READER = "holdfast_reader"
DENIED = "42501"
# Tables of which a reader sees the rows of granted accounts, and those of views.
OF_ACCOUNTS = ("account", "account_name", "mailbox", "mailbox_keyword", "mailbox_disposed", "message",
               "message_index", "locator", "frame", "spool", "pack", "placement", "flag_event",
               "source_epoch", "source_uid", "export_position_mailbox", "text_block",
               "text_spool")
IN_PART = ("account", "source_epoch", "source_uid")  # only some columns
OF_VIEWS = ("view", "view_member", "auditor_mailbox")
READABLE = OF_ACCOUNTS + OF_VIEWS

SEED = """
INSERT INTO account (host, port, login, tls)
    SELECT 'h', 993, 'u' || n, 'implicit' FROM generate_series(1, 2) n;
INSERT INTO account_name SELECT 'name' || account_id, account_id FROM account;
INSERT INTO account_secret SELECT account_id, 'password', 'x', 1 FROM account;
INSERT INTO account_key SELECT account_id, 1, 'x' FROM account;
INSERT INTO job (account_id, kind) SELECT account_id, 'sync' FROM account;
INSERT INTO mailbox (account_id, source_name, path, uidvalidity)
    SELECT account_id, 'INBOX', 'INBOX', 7 FROM account;
INSERT INTO mailbox_keyword SELECT account_id, mailbox_id, 0, 'k' FROM mailbox;
INSERT INTO mailbox_disposed SELECT account_id, mailbox_id, 900, 901 FROM mailbox;
INSERT INTO source_epoch (account_id, mailbox_id, epoch) SELECT account_id, mailbox_id, 1 FROM mailbox;
INSERT INTO message (account_id, sha256, size_bytes)
    SELECT account_id, sha256((account_id || '-' || n)::bytea), n
      FROM account, generate_series(1, 20) n;
INSERT INTO message_index (account_id, message_id, parser_version, header_bytes, subject_folded)
    SELECT account_id, message_id, 1, 10, 'secret subject ' || message_id FROM message;
INSERT INTO pack (account_id, sha256, stored_bytes, raw_bytes)
    SELECT account_id, sha256(account_id::text::bytea), 1, 1 FROM account;
INSERT INTO frame (account_id, run_id, ordinal, raw_start, raw_bytes, stored_bytes, stored_sha256, week)
    SELECT account_id, account_id, 0, 0, 10, 10, sha256('x'), now()::date FROM account;
INSERT INTO spool SELECT account_id, frame_id, week, 'octets' FROM frame;
INSERT INTO text_block (account_id, run_id, ordinal, first_message_id, last_message_id, message_ids,
                        parser_version, raw_bytes, stored_bytes, stored_sha256, week)
    SELECT account_id, account_id, 0, 1, 1, '{1}', 1, 10, 10, sha256('x'), now()::date FROM account;
INSERT INTO text_spool SELECT account_id, run_id, ordinal, week, 'octets' FROM text_block;
INSERT INTO locator SELECT account_id, message_id, account_id, 0 FROM message;
INSERT INTO placement (account_id, mailbox_id, uid, message_id, internal_at, internal_zone,
                       internal_day, flags, modseq, appeared_modseq)
    SELECT account_id, mailbox_id, row_number() OVER (PARTITION BY account_id), message_id, now(), 0,
           now()::date, 0, 5, 5
      FROM message JOIN mailbox USING (account_id);
INSERT INTO flag_event (account_id, mailbox_id, modseq, uid, flags)
    SELECT account_id, mailbox_id, 6, uid, 1 FROM placement;
INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, placement_uid)
    SELECT account_id, mailbox_id, 1, uid, 'stored', uid FROM placement;
INSERT INTO source_announced SELECT account_id, mailbox_id, 1, 1000, 1999 FROM mailbox;
INSERT INTO mailbox_left_out SELECT account_id, 'Junk', 'pattern' FROM account;
INSERT INTO mailbox_former SELECT account_id, mailbox_id, 'Before' FROM mailbox;
INSERT INTO identity_scope SELECT account_id, 1, 'EMAILID', 'h', 'u' FROM account;
INSERT INTO message_identity SELECT account_id, 1, 'M' || message_id, message_id FROM message;
INSERT INTO source_host (host) VALUES ('h');
INSERT INTO account_intake SELECT account_id, now()::date, 1 FROM account;
INSERT INTO account_listing (account_id, ordinal, fence, path, special_use, is_noselect)
    SELECT account_id, 1, 1, 'INBOX', '', false FROM account;
INSERT INTO import_file (account_id, name, path, size_bytes, modified_ns, state)
    SELECT account_id, 'm', 'm', 1, 1, 'read' FROM account;
INSERT INTO import_span (account_id, mailbox_id, epoch, uid, file_id, file_offset, file_bytes, size_bytes)
    SELECT account_id, mailbox_id, 1, 1, file_id, 0, 1, 1
      FROM mailbox JOIN (SELECT account_id, file_id FROM import_file) f USING (account_id);
INSERT INTO credential (name, sealed, key_id) VALUES ('c', 'x', 1);
INSERT INTO oauth_token (cache_key) VALUES (sha256('k'));
INSERT INTO oauth_exchange (token_key) VALUES (sha256('k'));
INSERT INTO auditor (name) VALUES ('all'), ('one'), ('viewer'), ('expired'), ('disabled'), ('none');
UPDATE auditor SET expires_at = now() - interval '1 second' WHERE name = 'expired';
UPDATE auditor SET disabled_at = now() WHERE name = 'disabled';
INSERT INTO auditor_verifier SELECT auditor_id, 'v' FROM auditor;
INSERT INTO matter (name) VALUES ('m');
INSERT INTO access_grant (auditor_id, account_id)
    SELECT auditor_id, CASE name WHEN 'one' THEN 1 END FROM auditor
     WHERE name IN ('all', 'one', 'expired', 'disabled');
INSERT INTO access_grant (auditor_id, account_id, since)
    SELECT auditor_id, 2, '2020-01-01' FROM auditor WHERE name = 'viewer';
INSERT INTO view (kind, name, uidvalidity) VALUES ('grant', 'v1', 1), ('grant', 'v2', 1);
INSERT INTO view_member SELECT 2, view_id, 1, (SELECT mailbox_id FROM mailbox WHERE account_id = 2), 1
  FROM view;
INSERT INTO auditor_mailbox SELECT auditor_id, 1, 'Matters/v1' FROM auditor WHERE name = 'viewer';
INSERT INTO hold (matter_id, query, placed_by) SELECT matter_id, 'q', 'me' FROM matter;
INSERT INTO retention_rule (retention_class, keep_for) VALUES ('c', '1 year');
INSERT INTO audit_event (process, event) VALUES ('p', 'e');
INSERT INTO seal_account (account_id) SELECT account_id FROM account;
INSERT INTO seal_mailbox SELECT account_id, mailbox_id, 0, 0, 0, 0 FROM mailbox;
INSERT INTO seal_request (account_id) SELECT account_id FROM account;
INSERT INTO rebuild (finished_at) VALUES (now());
INSERT INTO export_position (accounts, mailboxes, digest) VALUES (2, 2, sha256('x'));
INSERT INTO export_position_mailbox
    SELECT account_id, 1, mailbox_id, mailbox_id, 'n', path, NULL, uidvalidity, uidnext, highestmodseq
      FROM mailbox;
INSERT INTO chain_entry (kind, merkle_root, signature) VALUES ('events', 'x', 'x');
INSERT INTO login_failure (remote, minute) VALUES ('127.0.0.1', now());
"""


def add_session(owner, token, auditor, more="", *arguments):
    """more: further SET clauses of the row."""
    rows(owner, "INSERT INTO login_session (token_hash, auditor_id, expires_at) VALUES (%s, "
                "(SELECT auditor_id FROM auditor WHERE name = %s), now() + interval '1 hour')",
         (hashlib.sha256(token.encode()).digest(), auditor))
    if more:
        rows(owner, f"UPDATE login_session SET {more} WHERE token_hash = %s",
             (*arguments, hashlib.sha256(token.encode()).digest()))


@pytest.fixture(scope="module")
def server(module_place):
    made = Postgres(module_place).start()
    owner = made.owner = made.make_database()
    rows(owner, SEED)
    for name in ("all", "one", "viewer", "expired", "disabled", "none"):
        add_session(owner, f"token of {name}", name)
    add_session(owner, "token that is over", "all", "expires_at = now() - interval '1 second'")
    add_session(owner, "token that was revoked", "all", "revoked_at = now()")
    add_session(owner, "operator", None)
    add_session(owner, "operator of two", None, "account_scope = %s", [2])
    add_session(owner, "operator of none", None, "account_scope = '{}'")
    rows(owner, "ANALYZE")
    made.reader = made.connect(READER)
    yield made
    made.reader.close()
    owner.close()
    made.stop()


def read(connection, token, sql, arguments=None):
    """The rows of sql in a reader's transaction with this token (None: not set at all)."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            if token is not None:
                cursor.execute("SELECT set_config('holdfast.token', %s, true)", (token,))
            cursor.execute(sql, arguments)
            return cursor.fetchall()
        finally:
            cursor.execute("ROLLBACK")


def count(connection, token, table):
    return read(connection, token, f"SELECT count(*) FROM {table}")[0][0]


def copy_out(connection, token, sql):
    out = io.StringIO()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            if token is not None:
                cursor.execute("SELECT set_config('holdfast.token', %s, true)", (token,))
            cursor.copy_expert(sql, out)
        finally:
            cursor.execute("ROLLBACK")
    return out.getvalue()


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


DEAD = [None, "", " ", "garbage", "token of all ", "TOKEN OF ALL", "token of al", "' OR true --",
        "\\x" + hash_of("token of all"), hash_of("token of all"), "\udc80".encode(
            "utf-8", "surrogateescape").hex(), "x" * 100000, "token that is over",
        "token that was revoked", "token of expired", "token of disabled", "token of none",
        "operator of none"]


def test_everything_was_seeded(server):
    for table in table_names():
        assert rows(server.owner, f"SELECT count(*) FROM {table}") != [(0,)], table


@pytest.mark.parametrize("token", DEAD, ids=[repr(t)[:24] for t in DEAD])
def test_without_a_live_token_no_table_shows_a_row(server, token):
    for table in READABLE:
        what = "account_id" if table in IN_PART else "*"
        assert read(server.reader, token, f"SELECT {what} FROM {table}") == [], table
        assert count(server.reader, token, table) == 0, table
        assert copy_out(server.reader, token, f"COPY (SELECT {what} FROM {table}) TO STDOUT") == ""
        if table not in (*IN_PART, "spool", "text_spool"):
            assert copy_out(server.reader, token, f"COPY {table} TO STDOUT") == "", table
    assert read(server.reader, token, "SELECT session_accounts()") == [([],)]


@pytest.mark.parametrize("token", DEAD[:4] + DEAD[-6:], ids=repr)
def test_without_a_live_token_no_other_way_shows_a_row(server, token):
    for sql in ("SELECT p.* FROM placement p JOIN message m USING (account_id, message_id)",
                "SELECT * FROM placement WHERE account_id = ANY (ARRAY[1, 2]) OR true",
                "WITH a AS MATERIALIZED (SELECT * FROM message_index) SELECT subject_folded FROM a",
                "SELECT * FROM mailbox TABLESAMPLE SYSTEM (100)",
                "SELECT (SELECT max(uid) FROM placement) FROM generate_series(1, 1) "
                "WHERE EXISTS (SELECT FROM placement)",
                "SELECT * FROM message m WHERE EXISTS (SELECT FROM placement p WHERE p.message_id = "
                "m.message_id)",
                "SELECT x FROM placement, LATERAL (SELECT * FROM locator) x",
                "TABLE placement",
                "SELECT * FROM placement ORDER BY account_id, mailbox_id, uid LIMIT 1"):
        assert read(server.reader, token, sql) == [], sql
    assert read(server.reader, token, "SELECT xmlagg(x) FROM (SELECT query_to_xml("
                "'SELECT account_id FROM account', true, false, '') x) y")[0][0].count("<row>") == 0


def test_a_condition_that_tells_what_it_sees_is_not_run_on_hidden_rows(server):
    """RLS conditions come first; only leakproof operators may pass them."""
    for sql in ("SELECT * FROM message_index WHERE 1 / (length(subject_folded) - length("
                "subject_folded)) > 0",
                "SELECT * FROM message_index WHERE subject_folded::int > 0",
                "SELECT * FROM placement WHERE 1 / (uid - uid) > 0"):
        assert read(server.reader, None, sql) == []
        assert sqlstate(server.owner, sql) is not None, "the condition is harmless"


def test_without_a_token_row_security_cannot_be_left(server):
    for sql in ("SET LOCAL row_security = off; SELECT * FROM placement",
                "SET LOCAL ROLE holdfast_ingest", "SET LOCAL ROLE holdfast_owner",
                "SET LOCAL SESSION AUTHORIZATION holdfast_keeper",
                "ALTER TABLE placement DISABLE ROW LEVEL SECURITY",
                "ALTER POLICY reader ON placement USING (true)",
                "SELECT * FROM placement FOR SHARE", "SELECT * FROM placement FOR UPDATE",
                "LOCK TABLE placement IN ROW EXCLUSIVE MODE",
                "LOCK TABLE placement IN ACCESS EXCLUSIVE MODE",
                "SELECT * FROM live_session()", "SELECT * FROM login_session",
                "SELECT * FROM auditor_verifier", "SELECT * FROM account_secret",
                "SELECT login FROM account", "SELECT a FROM account a"):
        assert sqlstate(server.reader, sql) == DENIED, sql


def test_a_function_in_the_search_path_does_not_replace_ours(server):
    """The policies' functions are bound by the schema's owner, whatever the reader's settings say."""
    for path in ("pg_temp, holdfast", "public, holdfast", "holdfast, pg_catalog"):
        with server.reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT set_config('search_path', %s, true)", (path,))
            cursor.execute("SELECT count(*) FROM holdfast.placement")
            assert cursor.fetchone() == (0,)
            cursor.execute("ROLLBACK")


def test_spool_partitions_are_closed(server):
    for name, in rows(server.owner, "SELECT inhrelid::regclass::text FROM pg_inherits "
                                    "WHERE inhparent IN ('spool'::regclass, "
                                    "'text_spool'::regclass)"):
        for sql in (f"SELECT * FROM {name}", f"SELECT count(*) FROM ONLY {name}",
                    f"COPY {name} TO STDOUT"):
            assert sqlstate(server.reader, sql) == DENIED, sql


def test_statistics_show_no_values(server):
    assert read(server.reader, None, "SELECT * FROM pg_stats WHERE schemaname = 'holdfast' "
                                     "AND tablename <> 'schema_version'") == []
    assert sqlstate(server.reader, "SELECT * FROM pg_statistic") == DENIED
    assert sqlstate(server.reader, "SELECT * FROM pg_statistic_ext_data") == DENIED


def test_explain_counts_no_hidden_rows(server):
    plan = read(server.reader, None, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) "
                                     "SELECT * FROM placement WHERE account_id = 1")
    assert all("rows=0" in line for line, in plan if "placement" in line and "actual" in line)


# ---- with a token ------------------------------------------------------------------------------

LIVE = {"token of all": {1, 2}, "token of one": {1}, "operator": {1, 2}, "operator of two": {2}}


@pytest.mark.parametrize("token", LIVE)
def test_a_live_token_shows_exactly_the_granted_accounts(server, token):
    for table in OF_ACCOUNTS:
        want = rows(server.owner, f"SELECT account_id, count(*) FROM {table} WHERE account_id = "
                                  "ANY (%s) GROUP BY 1 ORDER BY 1", (sorted(LIVE[token]),))
        got = read(server.reader, token, f"SELECT account_id, count(*) FROM {table} GROUP BY 1 "
                                         "ORDER BY 1")
        assert got == want and len(want) == len(LIVE[token]), table
    for table in OF_VIEWS:
        assert count(server.reader, token, table) == 0, table


def test_a_view_shows_itself_and_no_mailbox(server):
    token = "token of viewer"
    assert read(server.reader, token, "SELECT view_id FROM view") == [(1,)]
    assert read(server.reader, token, "SELECT DISTINCT view_id FROM view_member") == [(1,)]
    assert read(server.reader, token, "SELECT path FROM auditor_mailbox") == [("Matters/v1",)]
    for table in ("mailbox", "mailbox_keyword", "mailbox_disposed", "account_name"):
        assert count(server.reader, token, table) == 0, table


def test_the_token_ends_with_its_transaction(server):
    assert count(server.reader, "token of all", "placement") == 40
    assert count(server.reader, None, "placement") == 0


def test_the_hash_of_a_token_is_no_token(server):
    stored, = rows(server.owner, "SELECT encode(token_hash, 'hex') FROM login_session LIMIT 1")[0]
    assert count(server.reader, stored, "placement") == 0


def ended(server, change, undo):
    """The rows seen before, during and after a change that ends the session's rights."""
    seen = [count(server.reader, "token of one", "placement")]
    rows(server.owner, change)
    seen.append(count(server.reader, "token of one", "placement"))
    rows(server.owner, undo)
    return seen + [count(server.reader, "token of one", "placement")]


@pytest.mark.parametrize("table, change, undo", [
    ("login_session", "revoked_at = now()", "revoked_at = NULL"),
    ("login_session", "expires_at = now()", "expires_at = now() + interval '1 hour'"),
    ("auditor", "disabled_at = now()", "disabled_at = NULL"),
    ("auditor", "expires_at = now()", "expires_at = NULL"),
    ("access_grant", "revoked_at = now()", "revoked_at = NULL"),
    ("access_grant", "query = 'from:x'", "query = NULL"),
    ("access_grant", "until = now()", "until = NULL"),
])
def test_what_ends_a_right_ends_it_at_once(server, table, change, undo):
    one = "WHERE auditor_id = (SELECT auditor_id FROM auditor WHERE name = 'one')"
    assert ended(server, f"UPDATE {table} SET {change} {one}",
                 f"UPDATE {table} SET {undo} {one}") == [20, 0, 20]


def test_session_state_tells_who_it_is_and_nothing_when_it_is_over(server):
    sql = "SELECT auditor_name FROM session_state()"
    assert read(server.reader, "token of one", sql) == [("one",)]
    assert read(server.reader, "operator", sql) == [(None,)]
    for token in (None, "", "garbage", "token that is over", "token that was revoked",
                  "token of expired", "token of disabled"):
        assert read(server.reader, token, sql) == [], token


def test_audit_append_takes_the_process_from_the_login_and_the_session_from_the_token(server):
    sql = "SELECT audit_append(%s, %s, %s, %s, %s::jsonb[])"
    arguments = (["token of one", "garbage", None], ["a", "b", "c"], [1, None, None],
                 [None, None, None], ['{"n": 1}', None, None])
    rows(server.reader, sql, arguments)
    assert rows(server.owner, """
        SELECT e.process, a.name, e.event, e.account_id FROM audit_event e
          LEFT JOIN auditor a USING (auditor_id) ORDER BY event_id DESC LIMIT 3""") == [
        (READER, None, "c", None), (READER, None, "b", None), (READER, "one", "a", 1)]


# ---- how it is decided -------------------------------------------------------------------------

PAGE = ("SELECT uid, flags FROM placement WHERE account_id = 1 AND mailbox_id = 1 AND uid > 0 "
        "ORDER BY uid LIMIT 1000")


def plan_of(server, sql):
    return "\n".join(line for line, in read(server.reader, "token of all",
                                            f"EXPLAIN (COSTS OFF, VERBOSE) {sql}"))


@pytest.mark.parametrize("table", READABLE)
def test_the_policy_is_an_initplan(server, table):
    plan = plan_of(server, f"SELECT 1 FROM {table}")
    functions = re.findall(r"session_\w+\(\)", plan)
    assert "InitPlan" in plan and functions, plan
    for line in plan.splitlines():
        if re.match(r"\s*(Filter|Index Cond|Recheck Cond|Join Filter):", line):
            assert "session_" not in line, plan
            # "$0" up to PostgreSQL 16, "(InitPlan 1).col1" from 17 on
            assert "$" in line or "InitPlan" in line, plan


def calls(server, sql):
    """How many rows it gave, and how often it called session_accounts()."""
    with server.reader.cursor() as cursor:
        def counter():  # of all that has not been sent to the statistics yet
            cursor.execute("SELECT coalesce(pg_stat_get_xact_function_calls("
                           "'session_accounts'::regproc), 0)")
            return cursor.fetchone()[0]

        cursor.execute("BEGIN")
        cursor.execute("SELECT set_config('holdfast.token', 'token of all', true)")
        before = counter()
        cursor.execute(sql)
        found = len(cursor.fetchall())
        after = counter()
        cursor.execute("ROLLBACK")
    return found, after - before


def test_the_function_is_called_once_however_many_rows(server):
    assert calls(server, "SELECT * FROM placement") == (40, 1)
    assert calls(server, "SELECT * FROM placement p JOIN message m USING (account_id, message_id)"
                 ) == (40, 2)  # once for each table


def test_a_page_is_read_by_the_primary_key(server):
    with server.reader.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
    try:
        plan = plan_of(server, PAGE)
    finally:
        with server.reader.cursor() as cursor:
            cursor.execute("RESET enable_seqscan")
    assert "using placement_pkey" in plan, plan
    assert re.search(r"Index Cond: .*mailbox_id = .*uid > ", plan), plan
    assert "Sort" not in plan, plan


def test_a_reader_cannot_write_even_what_it_sees(server):
    for sql in ("UPDATE placement SET flags = 0", "DELETE FROM placement",
                "INSERT INTO view_member SELECT * FROM view_member", "TRUNCATE placement"):
        with server.reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT set_config('holdfast.token', 'token of all', true)")
            with pytest.raises(psycopg2.Error) as caught:
                cursor.execute(sql)
            cursor.execute("ROLLBACK")
        assert caught.value.pgcode == DENIED, sql
