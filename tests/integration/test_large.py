# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with the message (64 MiB here, 1 GiB in `make test-full`) nor with the mailbox
(250,000 UIDs here, 5 million in `make test-full`). Release build."""
import contextlib
import hashlib
import re
import time

import pytest

from harness import mail
from harness.account import Account
from harness.huge_mailbox import HugeSource
from harness.place import children_of, peak_kib
from harness.scripted_source import Source
from harness.wire import Wire

LIMIT_KIB = 64 * 1024
PARTIAL = 64 * 1024
PIPELINED = 16


def literal_hash(wire, tag):
    """Reads until the tagged line; the hash over all literals in order, without keeping them."""
    digest, size = hashlib.sha256(), 0
    while True:
        line = wire.file.readline()
        assert line, "connection lost"
        if line.startswith(tag):
            assert b" OK " in line, line
            return digest.hexdigest(), size
        literal = re.search(rb"\{(\d+)\}\r\n$", line)
        left = int(literal[1]) if literal else 0
        size += left
        while left:
            octets = wire.file.read(min(left, 1 << 20))
            assert octets, "connection lost"
            digest.update(octets)
            left -= len(octets)


def whole(wire):
    wire.send(b"big UID FETCH 1 (BODY.PEEK[])\r\n")
    return literal_hash(wire, b"big ")


def in_partials(wire, size):
    """Pipelined 64 KiB partials, answered in order."""
    digest, total = hashlib.sha256(), 0
    starts = list(range(0, size, PARTIAL))
    for at in range(0, len(starts), PIPELINED):
        group = starts[at : at + PIPELINED]
        wire.send(b"".join(b"p UID FETCH 1 (BODY.PEEK[]<%d.%d>)\r\n" % (start, PARTIAL)
                           for start in group))
        for _ in group:
            tagged, untagged = wire.until("p")
            assert b" OK " in tagged, tagged
            fetch = next(u for u in untagged if b"FETCH" in u)
            start = fetch.index(b"\r\n") + 2
            octets = fetch[start : start + int(re.search(rb"\{(\d+)\}", fetch)[1])]
            digest.update(octets)
            total += len(octets)
    return digest.hexdigest(), total


@pytest.mark.parametrize("mebibytes", [64, pytest.param(1024, marks=pytest.mark.slow)])
def test_a_large_message_passes_in_constant_memory(new_dovecot, new_holdfast, mebibytes):
    size = mebibytes << 20
    dovecot = new_dovecot()
    message = mail.large_message(size)
    assert len(message) == size
    want = hashlib.sha256(message).hexdigest()
    dovecot.deliver("alice", message, flags="S")
    for small in mail.generate(5):
        dovecot.deliver("alice", small)
    del message
    holdfast = new_holdfast(variant="release").start()
    holdfast.add_account(dovecot, "alice")
    holdfast.run("sync", "alice", timeout=900)
    holdfast.add_auditor()
    wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context(), timeout=600)
    wire.command("LOGIN auditor audit-password")
    tagged, _ = wire.command('EXAMINE "Accounts/alice/INBOX"')
    assert b"READ-ONLY" in tagged
    assert whole(wire) == (want, size)
    assert in_partials(wire, size) == (want, size)
    wire.close()
    peaks = {name: peak_kib(pid) for pid, name in children_of(holdfast.process.pid).items()
             if name.startswith("holdfast-")}
    peaks["holdfastd"] = peak_kib(holdfast.process.pid)
    print(f"VmHWM in KiB after {mebibytes} MiB: {peaks}")
    assert len(peaks) >= 5
    assert all(peak <= LIMIT_KIB for peak in peaks.values()), peaks


def peaks_of(holdfast):
    """{process: largest VmHWM in KiB}, PostgreSQL's with its shared memory."""
    peaks = {"holdfastd": peak_kib(holdfast.process.pid)}
    for pid, name in children_of(holdfast.process.pid).items():
        with contextlib.suppress(AssertionError, OSError):  # one that has ended since
            peaks[name] = max(peaks.get(name, 0), peak_kib(pid))
    return peaks


@pytest.mark.parametrize("uids", [250_000, pytest.param(5_000_000, marks=pytest.mark.slow)])
def test_a_mailbox_of_many_uids_is_enumerated_in_constant_memory(new_holdfast, uids):
    fetched = 20_000 if uids > 1_000_000 else 2_000
    source = HugeSource(uids, giving=fetched)
    holdfast = new_holdfast(variant="release").start()
    account = Account(holdfast, "huge").add(source)
    seconds = []
    for source.giving in (fetched, 2 * fetched):  # the second knows all UIDs
        start = time.monotonic()
        assert "Rate limit hit" in account.sync(3)
        seconds.append(time.monotonic() - start)
        states = dict(account.sql("SELECT state, count(*) FROM source_uid GROUP BY state"))
        (pending,) = account.sql("SELECT sum(last_uid - first_uid + 1) FROM source_pending")
        assert source.giving <= source.given < source.giving + 1000
        assert states["stored"] == source.given and pending == (uids - source.given,)
    (epoch,) = account.sql("SELECT messages, enumerated_at IS NOT NULL FROM source_epoch")
    assert epoch == (uids, True)
    lists = source.heard_like(r"UID FETCH \S+ \(UID FLAGS\)")
    assert all(int(last) - int(first) < 100_000 for first, last in
               (command.split(" ")[2].split(":") for command in lists) if last != "*")
    peaks = peaks_of(holdfast)
    (size,) = account.sql("SELECT pg_table_size('source_uid') >> 20, pg_indexes_size('source_uid') >> 20")
    print(f"{uids} UIDs: seconds of both runs {seconds}; source_uid MiB, its indexes MiB {size}; "
          f"VmHWM in KiB {peaks}")
    source.close()
    assert peaks["holdfast-ingest"] <= LIMIT_KIB


def test_flags_of_many_messages_that_have_a_late_one_of_many_keywords_change_in_constant_memory(new_holdfast):
    """Keywords are numbered: who has the last of 4,096 alone is known by 512 octets."""
    holdfast = new_holdfast(variant="release").start()
    source, account = Source(range(1, 4001)), Account(holdfast, "keywords")
    source.inbox.flags = {uid: "k4095" for uid in source.inbox.messages}
    source.inbox.flags[1] = " ".join(f"k{number}" for number in range(4096))
    account.add(source).sync()
    source.inbox.flags = {uid: flags + r" \Seen" for uid, flags in source.inbox.flags.items()}
    assert "4000 flag changes" in account.sync()
    assert set(account.keywords()) == {1, 4096}
    assert max(peak_kib(pid) for pid in holdfast.pids("ingest")) < LIMIT_KIB
    account.close()
