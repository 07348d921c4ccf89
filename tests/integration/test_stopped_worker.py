# SPDX-License-Identifier: Apache-2.0
"""A worker in the middle of a transaction, or stopped there, keeps its job from nobody who may have it."""
import os
import signal
import threading

import pytest

from harness.account import Account
from harness.place import wait_for
from harness.scripted_source import ITEM, SILENCE, Source

LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * 190_000
HALF = 9 << 20  # more than a batch
WITHIN = "SELECT 1 FROM pg_stat_activity WHERE usename = 'holdfast_ingest' AND state = 'idle in transaction'"


def response(session, command):
    return session.response(1, [item.upper() for item in ITEM.findall(command.split(" ", 3)[3])])


def half(session, tag, command):
    session.say(response(session, command)[:HALF])


def source_of_one():
    made = Source((1,))
    made.inbox.messages[1] = LARGE
    return made


def test_pausing_an_account_does_not_wait_for_a_large_message(new_holdfast):
    holdfast = new_holdfast().start()
    account, source, is_paused = Account(holdfast, "slow"), source_of_one(), threading.Event()

    def slowly(session, tag, command):
        octets = response(session, command)
        session.say(octets[:HALF])
        is_paused.wait(60)
        session.say(octets[HALF:])
        session.say(f"{tag} OK done\r\n")

    source.on(r"UID FETCH .*BODY", slowly, times=1)
    account.add(source)
    wait_for(lambda: holdfast.sql(WITHIN), 30, "a transaction that waits for octets")
    holdfast.run("account", "pause", account.name, timeout=30)
    is_paused.set()
    wait_for(lambda: not holdfast.sql(WITHIN), 30, "the worker to give it up")
    assert account.placements() == (0, 0, 0)
    holdfast.run("account", "resume", account.name)
    wait_for(lambda: account.states() == {1: "stored"}, 60, "the message")
    assert account.placements() == (1, 0, 1)
    account.close()


@pytest.mark.slow  # the longest silence of a source, and 15 s
def test_the_server_takes_the_job_from_a_worker_that_was_stopped_within_a_transaction(new_holdfast):
    holdfast = new_holdfast(ingest="stall = 10s\n").start()
    account, source = Account(holdfast, "stopped"), source_of_one()
    source.on(r"UID FETCH .*BODY", half, SILENCE, times=1)
    account.add(source)
    wait_for(lambda: holdfast.sql(WITHIN), 30, "a transaction that waits for octets")
    worker, = holdfast.pids("ingest")
    os.kill(worker, signal.SIGSTOP)
    try:
        held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
        assert holdfast.sql(held)
        wait_for(lambda: not holdfast.sql(held), 60, "the job to be free")
        holdfast.sql("UPDATE job SET due_at = now() WHERE kind = 'sync'")  # the lease would end by itself
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_for(lambda: account.states() == {1: "stored"}, 60, "the message")
    assert holdfast.pids("ingest") == [worker]
    assert account.placements() == (1, 0, 1)
    account.close()
