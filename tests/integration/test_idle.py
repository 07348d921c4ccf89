# SPDX-License-Identifier: Apache-2.0
"""IDLE with real mail: what is archived appears in sessions that only listen."""
import re
import time

import pytest

from harness import mail
from harness.place import wait_for
from harness.served import Served

MESSAGES = 5
HINTED_SECONDS = 2  # from the end of a sync, with NOTIFY
LOOKED_SECONDS = 5 + 10  # SERVE_WATCH_MS, and a loaded machine


@pytest.fixture(scope="module")
def served(module_place):
    made = Served(module_place, messages=MESSAGES)
    yield made
    made.stop()


def idle(wire):
    wire.send(b"i IDLE\r\n")
    said = []
    while not said or said[-1] != b"+ idling\r\n":
        said.append(wire.unit())
        assert said[-1], said
    return said[:-1]


def hear(wire, pattern, seconds):
    """What was said up to and with a line that matches, within so many seconds."""
    said, end = [], time.monotonic() + seconds
    while not said or not re.search(pattern, said[-1]):
        left = end - time.monotonic()
        assert left > 0, f"{pattern} not heard in {seconds} s, only {said}"
        wire.socket.settimeout(left)
        said.append(wire.unit())
        assert said[-1], said
    wire.socket.settimeout(60)
    return said


def done(wire):
    wire.send(b"DONE\r\n")
    tagged, _ = wire.until("i")
    assert tagged == b"i OK Done\r\n", tagged


def exists(served):
    return served.holdfast.sql("SELECT messages FROM mailbox WHERE path = 'INBOX'")[0][0]


def test_new_mail_and_flags_appear_in_all_idle_sessions_at_once(served):
    wires = [served.open() for _ in range(2)]
    for wire in wires:
        assert idle(wire) == []
    served.dovecot.deliver("alice", next(mail.generate(1, seed=21)))
    served.holdfast.run("sync")
    count = exists(served)
    for wire in wires:
        assert hear(wire, rb"RECENT", HINTED_SECONDS) == [b"* %d EXISTS\r\n" % count,
                                                         b"* 0 RECENT\r\n"]
    file = sorted((served.dovecot.maildir("alice") / "cur").glob("*:2,"))[0]
    file.rename(file.with_name(file.name + "F"))
    served.holdfast.run("sync")
    for wire in wires:
        said = hear(wire, rb"FETCH", HINTED_SECONDS)
        assert re.fullmatch(rb"\* 2 FETCH \(UID 2 FLAGS \(\\Flagged\)\)\r\n", said[-1]), said
    for wire in wires:
        done(wire)
        _, units = wire.command(f"FETCH {count} (UID)")
        assert units[0] == b"* %d FETCH (UID %d)\r\n" % (count, count)
        wire.close()


def test_what_came_without_a_hint_appears_with_the_next_look(served):
    wire = served.open()
    assert idle(wire) == []
    served.holdfast.sql("UPDATE placement SET flags = flags # 4, modseq = 1000 WHERE uid = 1")
    served.holdfast.sql("UPDATE mailbox SET highestmodseq = 1000 WHERE path = 'INBOX'")
    hear(wire, rb"\* 1 FETCH \(UID 1 FLAGS", LOOKED_SECONDS)
    done(wire)
    wire.close()


def test_changed_since_gives_what_was_touched_and_what_is_new(served):
    wire = served.login()
    _, said = wire.command("EXAMINE Accounts/alice/INBOX (CONDSTORE)")
    modseq = int(re.search(rb"HIGHESTMODSEQ (\d+)", b"".join(said))[1])
    assert wire.command(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {modseq})")[1] == []
    served.dovecot.deliver("alice", next(mail.generate(1, seed=31)))
    file = sorted((served.dovecot.maildir("alice") / "cur").glob("*:2,*S"))[0]
    file.rename(file.with_name(file.name + "R"))
    served.holdfast.run("sync")
    assert wire.command("NOOP")[1]
    _, units = wire.command(f"UID FETCH 1:* (UID ENVELOPE) (CHANGEDSINCE {modseq})")
    want = served.holdfast.sql("SELECT uid, modseq FROM placement WHERE modseq > %s ORDER BY uid", modseq)
    assert len(want) == 2
    assert [(int(re.search(rb"UID (\d+)", unit)[1]), int(re.search(rb"MODSEQ \((\d+)\)", unit)[1]))
            for unit in units] == want
    hits = b" ".join(b"%d" % uid for uid, _ in want)
    for query in (f"MODSEQ {modseq + 1}", f'MODSEQ "/flags/\\\\Seen" all {modseq + 1}',
                  f"NOT (NOT MODSEQ {modseq + 1})"):
        assert wire.command(f"UID SEARCH {query}")[1] == [
            b"* SEARCH %s (MODSEQ %d)\r\n" % (hits, max(m for _, m in want))], query
    assert wire.command("SEARCH MODSEQ 9223372036854775807")[1] == [b"* SEARCH\r\n"]
    assert b" BAD " in wire.command("SEARCH MODSEQ 9223372036854775808")[0]
    assert b" CONDSTORE" in wire.command("CAPABILITY")[1][0]
    wire.close()


def test_idle_hears_again_after_the_database_connections_were_lost(served):
    wire = served.open()
    assert idle(wire) == []
    served.holdfast.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE usename = 'holdfast_reader'")
    served.dovecot.deliver("alice", next(mail.generate(1, seed=22)))
    served.holdfast.run("sync")
    hear(wire, rb"%d EXISTS" % exists(served), 2 * LOOKED_SECONDS)
    wire.close()


def test_a_login_that_is_over_ends_idle_by_itself(served):
    served.holdfast.add_auditor("leaving", "leaving-password")
    wires = [served.open(), served.login(), served.login("leaving", "leaving-password")]
    for wire in wires:
        idle(wire)
    served.holdfast.sql("UPDATE login_session SET revoked_at = now() WHERE auditor_id = "
                        "(SELECT auditor_id FROM auditor WHERE name = 'auditor')")
    served.holdfast.sql("UPDATE auditor SET expires_at = now() WHERE name = 'leaving'")
    for wire in wires:  # one of them without a mailbox
        assert hear(wire, rb"BYE", LOOKED_SECONDS)[-1].startswith(b"* BYE [EXPIRED]")
        assert wire.is_closed()
        wire.close()


def test_a_mailbox_that_may_no_longer_be_read_tells_nothing_more(served):
    served.holdfast.add_auditor("passing", "passing-password")
    wire = served.login("passing", "passing-password")
    wire.command("EXAMINE Accounts/alice/INBOX")
    idle(wire)
    served.holdfast.sql("UPDATE access_grant g SET revoked_at = now() FROM auditor a "
                        "WHERE a.auditor_id = g.auditor_id AND a.name = 'passing'")
    other = served.open()
    idle(other)
    served.dovecot.deliver("alice", next(mail.generate(1, seed=23)))
    served.holdfast.run("sync")
    hear(other, rb"EXISTS", HINTED_SECONDS)
    wire.send(b"DONE\r\n")
    tagged, said = wire.until("i")
    assert tagged == b"i OK Done\r\n" and said == [], said
    wire.close()
    other.close()


def test_idle_ends_a_session_that_its_client_has_left(served):
    pid, = served.holdfast.pids("imapd")
    wire = served.open()
    idle(wire)
    live = "SELECT count(*) FROM login_session WHERE revoked_at IS NULL"
    before = served.holdfast.sql(live)[0][0]
    wire.close()
    wait_for(lambda: served.holdfast.sql(live)[0][0] < before, 30, "the logout")
    assert served.holdfast.pids("imapd") == [pid]


def test_stopping_says_bye_to_idle_sessions_quickly(served):  # the last one: nothing runs behind it
    wires = [served.open() for _ in range(30)]
    for wire in wires:
        idle(wire)
    started = time.monotonic()
    served.holdfast.process.terminate()
    for wire in wires:
        assert hear(wire, rb"BYE", 30)[-1].startswith(b"* BYE [UNAVAILABLE]")
        wire.close()
    print(f"{len(wires)} heard BYE after {time.monotonic() - started:.2f} s")
    assert served.holdfast.stop() == 0
