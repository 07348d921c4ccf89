# SPDX-License-Identifier: Apache-2.0
"""The endpoint as clients see it: they read it, cannot change it, and cannot disturb each other."""
import imaplib
import itertools
import os
import pathlib
import re
import subprocess
import threading

import pytest

from harness import mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.place import wait_for
from harness.wire import Wire

MESSAGES = 30


@pytest.fixture(scope="module")
def installed(module_place):
    dovecot = Dovecot(module_place, users=("alice", "bob")).start()
    for i, message in enumerate(mail.generate(MESSAGES)):
        dovecot.deliver("alice", message, flags=("S", "", "FS", "T")[i % 4])
    dovecot.deliver("alice", next(mail.generate(1, seed=5)), "Projects/2001/Über")
    dovecot.deliver("bob", next(mail.generate(1, seed=6)))
    folder = module_place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    holdfast = Holdfast(folder).start()
    for user in ("alice", "bob"):
        holdfast.add_account(dovecot, user)
    holdfast.run("sync")
    holdfast.add_auditor()
    holdfast.add_auditor("limited", "limited-password", ("--account", "alice"))
    yield holdfast
    holdfast.stop()
    dovecot.stop()


def login(holdfast, name="auditor", password="audit-password", tls=True):
    if tls:
        wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
    else:
        wire = Wire("127.0.0.1", holdfast.port)
    tagged, _ = wire.command(f"LOGIN {name} {password}")
    assert b" OK " in tagged, tagged
    return wire


def fingerprint(holdfast):
    """Everything that a write could have changed, audit and sessions apart."""
    tables = ("account", "mailbox", "mailbox_keyword", "message", "locator", "frame", "spool",
              "placement", "flag_event", "source_uid", "auditor", "access_grant")
    return [holdfast.sql(f"SELECT count(*), coalesce(sum(hashtext(t::text)::bigint), 0) FROM {t} t")
            for t in tables]


# ---- reading ------------------------------------------------------------------------------------


def test_imaplib_lists_opens_and_reads(installed):
    client = installed.client()
    _, listed = client.list()
    names = b"\n".join(listed)
    for name in (b'"Accounts/alice/INBOX"', b"Accounts/bob/INBOX", b"INBOX"):
        assert name.strip(b'"') in names
    assert b"Projects/2001/&ANw-ber" in names
    status, count = client.select("Accounts/alice/INBOX", readonly=True)
    assert (status, count) == ("OK", [b"%d" % MESSAGES])
    _, hits = client.search(None, "UNSEEN")
    assert len(hits[0].split()) == MESSAGES // 2 - (MESSAGES // 2 - len(hits[0].split()))
    _, answer = client.fetch("1", "(RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert b"generated 1/" in answer[0][1]
    assert client.response("READ-ONLY") is not None
    client.close()
    client.logout()


def test_imaplib_is_told_that_select_is_read_only(installed):
    client = installed.client()
    with pytest.raises(imaplib.IMAP4.readonly):
        client.select("Accounts/alice/INBOX")


def test_curl_lists_and_fetches(installed):
    base = f"imaps://localhost:{installed.tls_port}"
    ca = installed.data_dir / "keys" / "imapd.crt"
    common = ["curl", "-sS", "--cacert", str(ca), "-u", "auditor:audit-password"]
    listed = subprocess.run([*common, f"{base}/"], capture_output=True, text=True)
    assert listed.returncode == 0 and "Accounts/alice/INBOX" in listed.stdout, listed.stderr
    fetched = subprocess.run([*common, f"{base}/Accounts%2Falice%2FINBOX;UID=1"],
                             capture_output=True)
    assert fetched.returncode == 0, fetched.stderr
    assert b"Subject: generated 1/0\r\n" in fetched.stdout


def test_mbsync_copies_a_mailbox(installed, place):
    store = place / "store"
    store.mkdir()
    config = place / "mbsyncrc"
    config.write_text(f"""IMAPAccount archive
Host localhost
Port {installed.tls_port}
User auditor
Pass audit-password
SSLType IMAPS
CertificateFile {installed.data_dir}/keys/imapd.crt

IMAPStore far
Account archive

MaildirStore near
Path {store}/
Inbox {store}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns Accounts/alice/*
Create Near
Sync Pull
SyncState *
""")
    config.chmod(0o600)
    done = subprocess.run(["mbsync", "-c", str(config), "all"], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    files = [p for p in (store / "Accounts/alice/INBOX").rglob("*") if p.parent.name in ("cur", "new")]
    assert len(files) == MESSAGES


def test_an_auditor_sees_the_granted_accounts_only(installed):
    client = installed.client("limited", "limited-password")
    _, listed = client.list()
    assert b"bob" not in b"\n".join(listed)
    hidden = client.status("Accounts/bob/INBOX", "(MESSAGES)")
    missing = client.status("Accounts/nobody/INBOX", "(MESSAGES)")
    assert hidden[0] == missing[0] == "NO"
    assert hidden[1][0].replace(b"bob", b"nobody") == missing[1][0]
    status, _ = client.select("Accounts/bob/INBOX", readonly=True)
    assert status == "NO"


def test_a_revoked_grant_acts_at_once(installed):
    installed.add_auditor("temporary", "temporary-password", ("--account", "bob"))
    client = installed.client("temporary", "temporary-password")
    assert client.select("Accounts/bob/INBOX", readonly=True)[0] == "OK"
    installed.run("auditor", "revoke", "temporary")
    try:
        status, answer = client.fetch("1", "(BODY.PEEK[])")
        assert status != "OK" or answer == [None]
    except imaplib.IMAP4.abort:
        pass  # BYE is as good


def test_wrong_passwords_and_unknown_auditors_get_the_same_answer(installed):
    said = []
    for name in ("auditor", "no-such-auditor"):
        wire = Wire("localhost", installed.tls_port, installed.tls_context())
        tagged, _ = wire.command(f"LOGIN {name} wrong", tag="t")
        said.append(tagged)
        wire.close()
    assert said[0] == said[1]
    assert b" NO " in said[0]


def test_searches_by_flag_date_size_and_uid(installed):
    wire = login(installed)
    wire.command('EXAMINE "Accounts/alice/INBOX"')

    def search(query):
        tagged, untagged = wire.command(f"UID SEARCH {query}")
        assert b" OK " in tagged, tagged
        return [int(n) for n in b"".join(untagged).split()[2:]]

    everything = list(range(1, MESSAGES + 1))
    assert search("ALL") == everything
    assert search("UNDELETED") == everything
    assert search("FLAGGED") == everything[2::4]
    assert search("KEYWORD $SourceDeleted") == everything[3::4]
    assert search("UID 5:7,29:*") == [5, 6, 7, 29, 30]
    assert search("NOT UID 2:30") == [1]
    assert search("OR UID 1 (SEEN UID 3)") == [1, 3]
    assert search("SINCE 9-Sep-2001") == everything
    assert search("BEFORE 9-Sep-2001") == []
    assert search("LARGER 100 SMALLER 1") == []
    wire.close()


# ---- writing ------------------------------------------------------------------------------------

WRITES = [
    "STORE 1 +FLAGS (\\Seen)", "STORE 1:* FLAGS (\\Deleted)", "UID STORE 1 -FLAGS.SILENT (\\Seen)",
    "STORE 1 +FLAGS.SILENT \\Flagged", "UID STORE 1:* +FLAGS (\\Deleted)", "EXPUNGE",
    "UID EXPUNGE 1:*", "COPY 1 INBOX", "UID COPY 1:* INBOX", "MOVE 1 INBOX", "UID MOVE 1 INBOX",
    "CREATE new", "CREATE Accounts/alice/new", "DELETE INBOX", "DELETE Accounts/alice/INBOX",
    "RENAME INBOX other", "RENAME Accounts/alice/INBOX Accounts/alice/x",
    "UNSUBSCRIBE INBOX", "SETACL INBOX auditor lrswipkxtea", "DELETEACL INBOX auditor",
    'SETMETADATA INBOX (/private/comment "x")', "SETQUOTA \"\" (STORAGE 1)",
    'SETANNOTATION INBOX "/comment" ("value.priv" "x")',
]
LITERAL_WRITES = ["APPEND INBOX", 'APPEND "Accounts/alice/INBOX" (\\Seen)',
                  'APPEND Accounts/alice/INBOX "01-Oct-2001 00:00:00 +0000"', "REPLACE 1 INBOX",
                  "UID REPLACE 1 INBOX", "CREATE", "DELETE", "RENAME", "COPY 1", "MOVE 1",
                  "UID COPY 1", "UID MOVE 1", "SETACL", "SETMETADATA", "UNSUBSCRIBE"]


def test_a_hundred_writes_change_nothing(installed):
    before = fingerprint(installed)
    attempts = 0
    for selected in ("EXAMINE", "SELECT", None):
        wire = login(installed)
        if selected:
            wire.command(f'{selected} "Accounts/alice/INBOX"')
        for write in WRITES:
            tagged, untagged = wire.command(write)
            assert tagged.split()[1:3] == [b"NO", b"[NOPERM]"], (write, tagged)
            assert not untagged, (write, untagged)
            attempts += 1
        attempts += refuse_literals(wire)
        assert b" OK " in wire.command("NOOP")[0]
        wire.close()
    assert attempts >= 100
    assert fingerprint(installed) == before
    refused = installed.sql("SELECT count(*) FROM audit_event WHERE event = 'refused_write'")[0][0]
    assert refused >= attempts


def refuse_literals(wire):
    """Both forms of literal, whose octets look like commands: none of them may run."""
    attempts = 0
    for write in LITERAL_WRITES:
        wire.send(b"s1 " + write.encode() + b" {24}\r\n")
        unit = wire.unit()
        assert unit.startswith(b"s1 NO [NOPERM]"), (write, unit)
        injected = b"inj1 CREATE injected\r\ninj2 LOGOUT\r\n"
        wire.send(b"s2 " + write.encode() + b" {%d+}\r\n" % len(injected) + injected + b"\r\n")
        unit = wire.unit()
        assert unit.startswith(b"s2 NO [NOPERM]"), (write, unit)
        tagged, untagged = wire.command("NOOP")
        assert b" OK " in tagged and not any(u.startswith(b"inj") for u in untagged), (write, untagged)
        attempts += 2
    return attempts


def test_writes_before_login_are_refused_too(installed):
    wire = Wire("localhost", installed.tls_port, installed.tls_context())
    for write in ("STORE 1 FLAGS (\\Seen)", "CREATE x", "EXPUNGE"):
        tagged, _ = wire.command(write)
        assert tagged.split()[1] in (b"NO", b"BAD"), tagged
    wire.send(b"a APPEND INBOX {10000000}\r\n")
    assert wire.unit().split()[1] in (b"NO", b"BAD")
    wire.close()


def test_a_refused_literal_that_is_too_large_ends_the_session(installed):
    wire = login(installed)
    wire.send(b"a APPEND INBOX {99999999+}\r\n")
    said = b"".join(iter(wire.unit, b""))
    assert b"* BYE" in said


# ---- audit --------------------------------------------------------------------------------------


def test_every_login_examine_and_content_fetch_is_an_audit_row(installed):
    last, = installed.sql("SELECT coalesce(max(event_id), 0) FROM audit_event")[0]
    wire = login(installed)
    wire.command('EXAMINE "Accounts/alice/INBOX"')
    wire.command("UID FETCH 3:9 (BODY.PEEK[])")
    wire.command("UID FETCH 3 (FLAGS)")
    wire.command("LOGOUT")
    events = [e for e, in installed.sql("SELECT event FROM audit_event WHERE event_id > %s "
                                        "AND auditor_id IS NOT NULL ORDER BY event_id", last)]
    assert events.count("login") == 1
    assert events.count("examine") == 1
    assert events.count("fetch") == 1
    detail, = installed.sql("SELECT detail::text FROM audit_event WHERE event_id > %s "
                            "AND event = 'fetch'", last)[0]
    assert "3:9" in detail, detail


# ---- clients that misbehave ---------------------------------------------------------------------


def test_garbage_gets_bad_and_others_do_not_notice(installed):
    other = login(installed)
    for garbage in (b"\x00\x01\x02\r\n", b"a\r\n", b"a FETCH\r\n", b"* *\r\n", b"a FETCH 0 FLAGS\r\n",
                    b"a SEARCH ((((((((((\r\n", b"a LIST \"\" {3}x\r\n", b"\xff\xfe hello\r\n"):
        wire = login(installed)
        wire.command('EXAMINE "Accounts/alice/INBOX"')
        wire.send(garbage)
        assert b" BAD" in wire.unit(), garbage
        wire.close()
    assert b" OK " in other.command("NOOP")[0]
    other.close()


def test_a_flood_without_line_end_is_ended(installed):
    wire = login(installed)
    try:
        for _ in range(64):
            wire.send(b"x" * 65536)
        said = b"".join(iter(wire.unit, b""))
    except (ConnectionError, OSError):
        said = b"* BYE"
    assert b"* BYE" in said or b" BAD" in said


def test_deep_nesting_is_refused_not_followed(installed):
    wire = login(installed)
    wire.command('EXAMINE "Accounts/alice/INBOX"')
    tagged, _ = wire.command("SEARCH " + "(" * 5000 + "ALL" + ")" * 5000)
    assert b" BAD " in tagged
    tagged, _ = wire.command("SEARCH " + "NOT " * 5000 + "ALL")
    assert b" BAD " in tagged
    wire.close()


def test_commands_may_come_octet_by_octet_and_pipelined(installed):
    wire = login(installed)
    for octet in b'a1 EXAMINE "Accounts/alice/INBOX"\r\na2 UID FETCH 1 (FLAGS)\r\na3 NOOP\r\n':
        wire.send(bytes([octet]))
    assert b"[READ-ONLY]" in wire.until("a1")[0]
    assert b" OK " in wire.until("a2")[0]
    assert b" OK " in wire.until("a3")[0]
    wire.send(b"b1 LIST \"\" {1}\r\n")
    assert wire.unit().startswith(b"+ ")
    wire.send(b"*\r\n")
    tagged, untagged = wire.until("b1")
    assert b" OK " in tagged and any(b"Accounts/bob" in u for u in untagged)
    wire.close()


def test_clients_that_do_not_read_do_not_hold_up_the_others(installed):
    stuck = [login(installed) for _ in range(4)]
    for wire in stuck:
        wire.command('EXAMINE "Accounts/alice/INBOX"')
        for i in range(400):
            wire.send(b"t%d UID FETCH 1:* (BODY.PEEK[])\r\n" % i)
    other = login(installed)
    assert b" OK " in other.command("LIST \"\" *")[0]
    other.command('EXAMINE "Accounts/alice/INBOX"')
    assert b" OK " in other.command("UID FETCH 1:* (BODY.PEEK[])")[0]
    for wire in stuck:
        wire.close()
    other.close()


def test_who_parses_mail_has_given_up_its_rights(installed):
    """What is left to them: tests/unit/process/sandbox_test.c. Builds with a sanitizer keep system calls."""
    for name in ("ingest", "imapd", "watch"):
        for pid in installed.pids(name):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert re.search(r"^NoNewPrivs:\s+1$", status, re.M), name
            if os.environ.get("HOLDFAST_VARIANT", "release") == "release":
                assert re.search(r"^Seccomp:\s+2$", status, re.M), name
    assert installed.pids("imapd") and installed.pids("ingest")


def test_many_idle_sessions_cost_no_thread_and_little_memory(installed):
    pid, = installed.pids("imapd")

    def measure():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return (int(re.search(r"Threads:\s+(\d+)", status)[1]),
                int(re.search(r"VmRSS:\s+(\d+)", status)[1]))

    count = 50
    wires = [login(installed) for _ in range(count)]
    for wire in wires:
        wire.command('EXAMINE "Accounts/alice/INBOX"')
    wait_for(lambda: measure()[0] < 20, 60, "the threads of parked sessions to end")
    assert all(b" OK " in wire.command("NOOP")[0] for wire in wires)
    for wire in wires:
        wire.close()


def test_plain_text_login_is_refused_before_starttls(installed):
    wire = Wire("127.0.0.1", installed.port)
    tagged, untagged = wire.command("CAPABILITY")
    assert b"STARTTLS" in b"".join(untagged) and b"LOGINDISABLED" in b"".join(untagged)
    tagged, _ = wire.command("LOGIN auditor audit-password")
    assert b" NO [PRIVACYREQUIRED]" in tagged or b" NO " in tagged
    wire.close()


def test_what_is_sent_before_tls_does_not_run_after_it(installed):
    wire = Wire("127.0.0.1", installed.port)
    wire.send(b"a STARTTLS\r\nb NOOP\r\n")
    assert wire.unit().startswith(b"a OK")
    context = installed.tls_context()
    try:
        secured = context.wrap_socket(wire.socket, server_hostname="localhost")
    except (OSError, ConnectionError):
        return  # refusing to go on is right, too
    said = b""
    try:
        secured.sendall(b"c NOOP\r\n")
        while b"c OK" not in said and (octets := secured.recv(4096)):
            said += octets
    except ConnectionError:
        pass  # so is going away
    assert b"b OK" not in said


def test_concurrent_readers_get_their_own_answers(installed):
    failures = []

    def read(number):
        try:
            client = installed.client()
            client.select("Accounts/alice/INBOX", readonly=True)
            for uid in itertools.islice(itertools.cycle(range(1, MESSAGES + 1)), number, number + 40):
                _, answer = client.uid("FETCH", str(uid), "(UID BODY.PEEK[HEADER])")
                if b"generated 1/%d\r\n" % (uid - 1) not in answer[0][1]:
                    failures.append((number, uid))
            client.logout()
        except Exception as problem:  # noqa: BLE001 - any failure is this test's failure
            failures.append((number, repr(problem)))

    threads = [threading.Thread(target=read, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:5]
