# SPDX-License-Identifier: Apache-2.0
"""The endpoint inside: what it says when mail, rights, the database or the octets change under it."""
import hashlib
import pathlib
import re
import signal
import time

import pytest

from harness import mail
from harness.place import wait_for
from harness.served import Served
from harness.wire import literals

MESSAGES = 40


@pytest.fixture(scope="module")
def served(module_place):
    # No bare line feeds and no NULs: Dovecot changes those itself (test_octets.py compares with it).
    made = Served(module_place, extra=[mail.large_message(9 << 20), b"", b"no header at all"])
    yield made
    made.stop()


@pytest.fixture
def new_served(place):
    made = []

    def make(**settings):
        made.append(Served(place, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def uid_of(served, octets):
    return served.holdfast.sql("SELECT p.uid FROM placement p JOIN message m USING (account_id, "
                               "message_id) WHERE m.sha256 = %s", hashlib.sha256(octets).digest())[0][0]


# ---- octets -------------------------------------------------------------------------------------


def test_every_message_is_served_as_it_was_delivered(served):
    wire = served.open()
    tagged, units = wire.command("UID FETCH 1:* (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] "
                                 "BODY.PEEK[TEXT])")
    assert b" OK " in tagged
    got = []
    for unit in units:
        whole, header, text = literals(unit)
        assert header + text == whole
        assert int(re.search(rb"RFC822.SIZE (\d+)", unit)[1]) == len(whole)
        got.append(whole)
    assert sorted(got) == sorted(served.octets)
    wire.close()


def test_chunks_of_a_large_message_make_the_whole(served):
    wire = served.open()
    large = max(served.octets, key=len)
    uid, chunk, got = uid_of(served, large), 300_000, b""
    while True:
        tagged, units = wire.command(f"UID FETCH {uid} BODY.PEEK[]<{len(got)}.{chunk}>")
        assert b" OK " in tagged and b"BODY[]<%d> " % len(got) in units[0]
        piece, = literals(units[0])
        got += piece
        if len(piece) < chunk:
            break
    assert got == large
    wire.close()


def test_header_fields_of_all_messages_come_in_one_answer(served):
    wire = served.open()
    tagged, units = wire.command("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (Subject X-None)])")
    assert b" OK " in tagged and len(units) == len(served.octets)
    assert all(literals(unit)[0].endswith(b"\r\n") for unit in units)
    assert sum(b"Subject: generated" in unit for unit in units) == MESSAGES
    wire.close()


# ---- search -------------------------------------------------------------------------------------


def test_searches_find_what_the_messages_say(served):
    wire = served.open()
    rows = served.holdfast.sql(
        "SELECT p.uid, p.flags, m.size_bytes, p.internal_day, p.keywords FROM placement p "
        "JOIN message m USING (account_id, message_id) ORDER BY p.uid")

    def check(query, holds):
        tagged, units = wire.command(f"UID SEARCH {query}")
        assert b" OK " in tagged, (query, tagged)
        assert [int(n) for n in units[0].split()[2:]] == [r[0] for r in rows if holds(*r)], query

    check("SEEN", lambda uid, flags, *_: flags & 1)
    check("UNSEEN", lambda uid, flags, *_: not flags & 1)
    check("ANSWERED UNFLAGGED", lambda uid, flags, *_: flags & 2 and not flags & 4)
    check("DRAFT", lambda *_: False)
    check("KEYWORD $SourceDeleted", lambda uid, flags, *_: flags & 8)
    check("UNKEYWORD $sourcedeleted", lambda uid, flags, *_: not flags & 8)
    check("KEYWORD $GoneAtSource", lambda *_: False)
    check("KEYWORD Nobody", lambda *_: False)
    check("NOT KEYWORD Nobody", lambda *_: True)
    check("LARGER 2050", lambda uid, flags, size, *_: size > 2050)
    check("OR SMALLER 2000 UID 3,7:9", lambda uid, flags, size, *_: size < 2000 or uid in (3, 7, 8, 9))
    check("NOT (SEEN LARGER 2050)", lambda uid, flags, size, *_: not (flags & 1 and size > 2050))
    day = rows[20][3]
    text = f"{day.day}-{'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()[day.month - 1]}-{day.year}"
    for key, holds in (("ON", lambda d: d == day), ("SINCE", lambda d: d >= day),
                       ("BEFORE", lambda d: d < day)):
        check(f"{key} {text}", lambda uid, flags, size, d, keywords, holds=holds: holds(d))
    wire.close()


def test_a_search_is_recorded_without_what_was_searched_for(served):
    wire = served.open()
    wire.command('SEARCH KEYWORD very-private-term OR SEEN LARGER 5')
    detail, = served.holdfast.sql("SELECT detail FROM audit_event WHERE event = 'search' "
                                  "ORDER BY event_id DESC LIMIT 1")[0]
    assert "very-private-term" not in str(detail)
    assert "KEYWORD" in detail["keys"] and detail["searched"] == len(served.octets)
    wire.close()


# ---- what changes -------------------------------------------------------------------------------


def test_new_mail_and_changed_flags_are_told_at_noop(new_served):
    served = new_served()
    wire = served.open()
    assert wire.command("NOOP")[1] == []
    served.dovecot.deliver("alice", next(mail.generate(1, seed=9)))
    file = sorted((served.dovecot.maildir("alice") / "cur").glob("*:2,"))[0]
    file.rename(file.with_name(file.name + "F"))
    served.holdfast.run("sync")
    tagged, units = wire.command(f"UID FETCH {MESSAGES}:* (UID)")
    assert units[0] == b"* %d FETCH (UID %d)\r\n" % (MESSAGES, MESSAGES)  # as it was told until now
    assert len(units) == 1 or units[1].endswith(b" EXISTS\r\n")
    said = b"".join(units[1:] + wire.command("NOOP")[1])
    assert said.count(b"* %d EXISTS\r\n" % (MESSAGES + 1)) == 1
    assert re.search(rb"\* 2 FETCH \(UID 2 FLAGS \(\\Flagged\)\)", said), said
    assert wire.command("NOOP")[1] == []
    assert len(wire.command(f"UID FETCH {MESSAGES}:* (UID)")[1]) == 2
    wire.close()


def test_mail_that_vanishes_at_the_source_stays_and_says_so(new_served):
    served = new_served()
    wire = served.open()
    sorted((served.dovecot.maildir("alice") / "cur").iterdir())[0].unlink()
    served.holdfast.run("sync")
    said = b"".join(wire.command("NOOP")[1])
    assert b"$GoneAtSource" in said and b"EXISTS" not in said and b"EXPUNGE" not in said
    tagged, units = wire.command("UID FETCH 1 (FLAGS BODY.PEEK[])")
    assert literals(units[0]) == [served.octets[0]]
    assert wire.command("SEARCH KEYWORD $GoneAtSource")[1] == [b"* SEARCH 1\r\n"]
    wire.close()


def test_everything_is_seen_where_the_operator_says_so(new_served):
    served = new_served(settings="flags = seen\n", messages=5)
    wire = served.login()
    tagged, units = wire.command("EXAMINE Accounts/alice/INBOX")
    assert b"UNSEEN" not in b"".join(units)
    assert all(b"\\Seen" in unit for unit in wire.command("FETCH 1:* FLAGS")[1])
    assert wire.command("SEARCH UNSEEN")[1] == [b"* SEARCH\r\n"]
    assert b"(UNSEEN 0)" in wire.command("STATUS Accounts/alice/INBOX (UNSEEN)")[1][0]
    wire.close()


# ---- rights, damage, failures -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["UPDATE login_session SET revoked_at = now()",
                                 "UPDATE login_session SET expires_at = now()",
                                 "UPDATE auditor SET disabled_at = now()"])
def test_a_login_that_is_over_ends_at_the_next_command(served, how):
    wire = served.open()
    try:
        served.holdfast.sql(how)
        said = wire.command("UID FETCH 1:* (BODY.PEEK[])")
        assert any(b"* BYE" in unit for unit in (said[0], *said[1])), said
        assert b"BODY[]" not in b"".join(said[1])
        assert wire.is_closed()
    finally:
        served.holdfast.sql("UPDATE auditor SET disabled_at = NULL")
    served.open().close()


def test_damage_is_a_no_and_the_rest_is_still_given(new_served):
    served = new_served(extra=[mail.large_message(3 << 20)])
    large = uid_of(served, served.octets[-1])
    frame, = served.holdfast.sql(
        "SELECT max(f.frame_id) FROM frame f JOIN locator l USING (account_id, run_id) "
        "JOIN message m USING (account_id, message_id) WHERE m.sha256 = %s AND f.raw_start BETWEEN "
        "l.raw_offset AND l.raw_offset + m.size_bytes - 1",
        hashlib.sha256(served.octets[-1]).digest())[0]
    served.holdfast.sql("UPDATE spool SET octets = set_byte(octets, 100, 255 - get_byte(octets, 100)) "
                        "WHERE frame_id = %s", frame)
    wire = served.open()
    tagged, units = wire.command("UID FETCH 1:* (BODY.PEEK[])")
    assert b" NO [CORRUPTION]" in tagged
    assert len(units) == MESSAGES and not any(b"UID %d " % large in unit for unit in units)
    assert b" OK " in wire.command(f"UID FETCH {large} (FLAGS RFC822.SIZE)")[0]
    assert b" OK " in wire.command(f"UID FETCH {large} (BODY.PEEK[]<0.1000>)")[0]  # a frame that is well
    wire.close()


def test_a_name_that_the_database_cannot_hold_is_absent_like_others(served):
    wire = served.login()
    for command in ('EXAMINE "Accounts/%00/INBOX"', 'STATUS "Accounts/alice%00/INBOX" (MESSAGES)',
                    'MYRIGHTS "Accounts/%00"', 'MYRIGHTS "Accounts/%FF%C3/x"'):
        tagged, units = wire.command(command)
        assert b" NO [NONEXISTENT] No such mailbox or message\r\n" in tagged and not units, tagged
    wire.close()


def test_lost_database_connections_are_replaced(served):
    wire = served.open()
    for _ in range(3):
        served.holdfast.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                            "WHERE usename = 'holdfast_reader'")
        for command in ("NOOP", "UID FETCH 1 (FLAGS BODY.PEEK[HEADER])", "SEARCH SEEN",
                        "STATUS Accounts/alice/INBOX (MESSAGES)"):
            tagged, _ = wire.command(command)
            assert b" OK " in tagged or b" NO [UNAVAILABLE]" in tagged, (command, tagged)

    def works():
        return b" OK " in wire.command("UID FETCH 1 (BODY.PEEK[HEADER])")[0]

    wait_for(works, 30, "content again")
    wire.close()


def test_without_audit_there_is_no_content(served):
    wire = served.open()
    served.holdfast.sql("ALTER TABLE audit_event RENAME TO audit_event_away")
    try:
        assert b" NO [UNAVAILABLE]" in wire.command("UID FETCH 1 (BODY.PEEK[])")[0]
        assert b" NO [UNAVAILABLE]" in wire.command("SEARCH SEEN")[0]
        assert b" OK " in wire.command("UID FETCH 1 (FLAGS)")[0]
    finally:
        served.holdfast.sql("ALTER TABLE audit_event_away RENAME TO audit_event")

    def works():
        return b" OK " in wire.command("UID FETCH 1 (BODY.PEEK[])")[0]

    wait_for(works, 20, "content again")
    wire.close()


def test_stopping_says_bye_and_is_quick(new_served):
    served = new_served(messages=3)
    wires = [served.open() for _ in range(5)]
    wires[0].send(b"half a comm")
    started = time.monotonic()
    assert served.holdfast.stop() == 0
    assert time.monotonic() - started < 20
    for wire in wires:
        said = b"".join(iter(wire.unit, b""))
        assert b"* BYE [UNAVAILABLE]" in said
        wire.close()


# ---- many ---------------------------------------------------------------------------------------


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def is_sanitized(holdfast):
    """Sanitizers keep freed memory, and shadow it: their figures say nothing."""
    return holdfast.bin.parent.name in ("asan", "tsan")


def test_a_large_answer_takes_no_memory(served):
    pid, = served.holdfast.pids("imapd")
    wire = served.open()
    uid = uid_of(served, max(served.octets, key=len))
    wire.command(f"UID FETCH {uid} (BODY.PEEK[])")
    before = resident_kib(pid)
    for i in range(10):  # 90 MB, and a client that reads late
        wire.send(b"m%d UID FETCH %d (BODY.PEEK[])\r\n" % (i, uid))
    time.sleep(1)
    for i in range(10):
        assert b" OK " in wire.until(f"m{i}")[0]
    if not is_sanitized(served.holdfast):
        assert resident_kib(pid) - before < 32 * 1024
    wire.close()


@pytest.mark.slow
def test_idle_sessions_cost_at_most_64_kib_each(new_served):
    served = new_served(messages=3)
    pid, = served.holdfast.pids("imapd")
    warm = [served.open() for _ in range(40)]
    time.sleep(11)  # threads that greeted them have ended
    before = resident_kib(pid)
    wires = [served.open() for _ in range(200)]
    time.sleep(11)
    each = (resident_kib(pid) - before) / len(wires)
    print(f"{each:.1f} KiB for a parked session")
    if not is_sanitized(served.holdfast):
        assert each <= 64
    for wire in warm + wires:
        assert b" OK " in wire.command("NOOP")[0]
        wire.close()
