# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is, seen from outside: nobody waits for a large account, a failing one or a dead worker."""
import os
import signal
import threading

import pytest

from harness.account import Account, stored
from harness.holdfast import installation
from harness.place import wait_for
from harness.scripted_source import OK, SILENCE, Source


@pytest.fixture(scope="module")
def holdfast(module_place):
    """One worker, which gives way after a second."""
    with installation(module_place, ingest="slice = 1s\n") as made:
        yield made


@pytest.fixture(autouse=True)
def awake(holdfast):
    """All scripted sources are one host, which one of them may have put to sleep."""
    yield
    holdfast.sql("UPDATE source_host SET sleeps_until = NULL")


def job(account):
    """due_in (seconds), attempts, rest, outcome, text"""
    row = account.sql("SELECT extract(epoch FROM due_at - now())::float8, attempts, rest, outcome, "
                      "outcome_text FROM job WHERE account_id = {id} AND kind = 'sync'")[0]
    return dict(zip(("due_in", "attempts", "rest", "outcome", "text"), row))


def test_a_huge_first_import_does_not_keep_small_accounts_waiting(holdfast, account):
    large, small = Source(range(1, 1601)), Source(range(1, 6))
    small_is_done = threading.Event()

    def take_time(session, tag, command):
        """50 ms a message, 80 s in all by one connection, for as long as the small account is not done."""
        for uid in session.mailbox.chosen(command.split()[2]):
            small_is_done.wait(0.05)
            session.say(session.response(uid, ["UID", "INTERNALDATE", "BODY[]"]))
        session.say(f"{tag} OK done\r\n")

    large.on(r"UID FETCH \S+ .*BODY", take_time)
    account.start(large, "--max-connections", "1")
    large.wait_heard(r"UID FETCH \S+ .*BODY")
    assert "complete" in Account(holdfast, "small-one").add(small).sync()
    done = sum(state == "stored" for state in account.states().values())
    small_is_done.set()
    assert 0 < done < 1600, done
    wait_for(lambda: job(account)["outcome"] == "NONE", 60, "the large account's run to end")
    assert "1,600 new messages" in job(account)["text"]  # one run, though in slices
    assert account.states() == stored(*range(1, 1601))
    assert account.placements() == (1600, 0, 1600)
    # What an earlier slice has enumerated is not enumerated again.
    assert len(large.heard_like(r"UID FETCH 1:\* ")) <= 2
    assert large.logins > 1
    small.close()


def test_a_spent_budget_ends_the_run_at_a_border_and_the_rest_comes_the_next_day(account):
    source = Source(range(1, 1001))
    account.start(source)
    wait_for(lambda: job(account)["outcome"] == "NONE", 60, "the first run to end")
    assert account.placements()[0] == 1000
    source.inbox.messages.update(Source(range(1001, 2001)).inbox.messages)
    today = account.sql("SELECT bytes FROM account_intake WHERE account_id = {id}")[0][0]
    assert today == sum(len(source.inbox.messages[uid]) for uid in range(1, 1001))
    account.sql("UPDATE account SET daily_bytes = " + str(today + 5000) + " WHERE account_id = {id}")
    said = account.sync(3)
    assert "the day's budget" in said, said
    done = account.placements()[0]
    assert 1000 < done < 2000
    told = job(account)
    assert told["rest"] == "budget" and told["attempts"] == 0
    assert 0 < told["due_in"] < 25 * 3600
    logins = source.logins
    account.sync(3)
    assert source.logins == logins  # it does not even log in
    # The next day.
    account.sql("UPDATE account_intake SET day = day - 1 WHERE account_id = {id}")
    account.sql("UPDATE account SET daily_bytes = 0 WHERE account_id = {id}")
    account.sync()
    assert account.states() == stored(*range(1, 2001))


def test_a_source_that_says_how_long_is_left_alone_so_long_and_has_not_failed(account):
    source = Source(range(1, 9))
    source.on(r"UID FETCH \S+ .*BODY", b"<tag> BAD Request is throttled. Suggested Backoff Time: "
              b"299961 milliseconds\r\n", times=1)
    account.start(source)
    wait_for(lambda: job(account)["outcome"], 30, "the run to end")
    told = job(account)
    assert told["rest"] == "throttled" and told["attempts"] == 0
    assert 280 < told["due_in"] < 400, told
    assert source.logins == 1
    account.sync()
    assert account.states() == stored(*range(1, 9))


def test_a_source_that_falls_silent_within_a_message_gives_way_and_goes_on(holdfast, account):
    source, small = Source(range(1, 4)), Source(range(1, 6))

    def fall_silent(session, tag, command):
        items = ["UID", "INTERNALDATE", "BODY[]"]
        session.say(session.response(1, items), session.response(2, items)[:-13])

    source.on(r"UID FETCH \S+ .*BODY", fall_silent, SILENCE, times=1)
    account.start(source)
    source.wait_heard(r"UID FETCH \S+ .*BODY")
    worker = holdfast.pids("ingest")
    assert "complete" in Account(holdfast, "small-behind-silent").add(small).sync()
    account.retry_now()
    account.sync()
    assert account.states() == stored(1, 2, 3)
    assert job(account)["attempts"] == 0
    assert holdfast.pids("ingest") == worker
    small.close()


def test_a_host_that_speaks_of_our_address_is_left_alone_by_all_accounts(holdfast, account):
    source, other, elsewhere = Source(range(1, 3)), Source(range(1, 3)), Source(range(1, 3))
    elsewhere.url = lambda user: f"imap+plain://{user}@localhost:{elsewhere.port}/"
    source.on(r"LIST", b"<tag> NO [UNAVAILABLE] Too many connections from your IP address\r\n")
    account.start(source)
    wait_for(lambda: job(account)["outcome"], 30, "the run to end")
    host, why = holdfast.sql("SELECT host, sleeps_why FROM source_host WHERE sleeps_until > now()")[0]
    assert host == "127.0.0.1" and "your IP" in why
    others = Account(holdfast, "other-at-host")
    others.start(other)
    Account(holdfast, "elsewhere").add(elsewhere).sync()  # a worker has looked, and passed over who was due before
    assert other.logins == 0
    holdfast.sql("UPDATE source_host SET sleeps_until = now()")
    wait_for(lambda: job(others)["outcome"] == "NONE", 30, "its turn")
    assert other.logins == 1
    other.close()
    elsewhere.close()


def test_what_a_killed_worker_held_goes_on_as_soon_as_its_successor_is_there(holdfast, account):
    source = Source(range(1, 4))
    source.on(r"UID FETCH \S+ .*BODY", SILENCE, times=1)
    account.start(source)
    source.wait_heard(r"UID FETCH \S+ .*BODY")
    worker, = holdfast.pids("ingest")
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: account.placements()[0] == 3, 30, "the next worker to finish the job, its lease being 60 s")
    assert "a worker ended in the middle of its job" in holdfast.log()


def test_a_failing_account_backs_off_and_delays_nobody(holdfast, account):
    failing, good = Source(range(1, 3)), Source(range(1, 3))
    failing.on(r"LIST", b"<tag> NO [UNAVAILABLE] not now\r\n")
    account.add(failing)
    waits = []
    for attempt in range(3):
        account.sync(3)
        waits.append(job(account)["due_in"])
    assert job(account)["attempts"] == 3
    assert waits[0] < waits[1] < waits[2], waits
    Account(holdfast, "good-one").add(good).sync()
    assert job(account)["due_in"] > 0  # nobody waited for its back-off
    good.close()
