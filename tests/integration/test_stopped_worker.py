# SPDX-License-Identifier: Apache-2.0
"""A worker that is stopped in the middle of a transaction keeps its job from nobody."""
import os
import signal

import pytest

from harness.account import Account
from harness.place import wait_for
from harness.scripted_source import ITEM, SILENCE, Source

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * 190_000
HALF = 9 << 20  # more than a batch


def half(session, tag, command):
    items = [item.upper() for item in ITEM.findall(command.split(" ", 3)[3])]
    session.say(session.response(1, items)[:HALF])


@pytest.mark.slow  # the longest silence of a source, and 15 s
def test_the_server_takes_the_job_from_a_worker_that_was_stopped_within_a_transaction(new_holdfast):
    holdfast = new_holdfast(ingest="stall = 10s\n").start()
    account = Account(holdfast, "stopped")
    source = Source((1,))
    source.inbox.messages[1] = LARGE
    source.on(r"UID FETCH .*BODY", half, SILENCE, times=1)
    account.add(source)
    wait_for(lambda: holdfast.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'holdfast_ingest' AND "
                                  "state = 'idle in transaction'"), 30, "a transaction that waits for octets")
    worker, = holdfast.pids("ingest")
    os.kill(worker, signal.SIGSTOP)
    try:
        free = "SELECT job_id FROM job WHERE kind = 'sync' FOR UPDATE SKIP LOCKED"
        assert holdfast.sql(free) == []
        wait_for(lambda: holdfast.sql(free), 60, "the job to be free")
        holdfast.sql("UPDATE job SET due_at = now() WHERE kind = 'sync'")  # the lease would end by itself
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_for(lambda: account.states() == {1: "stored"}, 60, "the message")
    assert holdfast.pids("ingest") == [worker]
    assert account.placements() == (1, 0, 1)
    account.close()
