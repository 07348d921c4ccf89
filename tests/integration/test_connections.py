# SPDX-License-Identifier: Apache-2.0
"""Several connections to the source for a large mailbox: as many as are allowed, and none of them is needed."""
import os
import signal
import threading

import pytest

from harness.account import stored
from harness.delay import DelayProxy
from harness.holdfast import installation
from harness.place import wait_for
from harness.scripted_source import SILENCE, USUAL, Source

HOST_CONNECTIONS = 4
MESSAGES = range(1, 901)
EVENT_SECONDS = 60


@pytest.fixture(scope="module")
def holdfast(module_place):
    with installation(module_place, new_accounts_wait=False, workers=2,
                      ingest=f"host_connections = {HOST_CONNECTIONS}\nslice = 1s\nstall = 1h\n") as made:
        yield made


class Meeting:
    """A source whose connections give no message before so many of them have been asked for one."""

    def __init__(self, source, connections):
        self.source, self.wanted = source, connections
        self.fetching, self.peak, self.lock = [], 0, threading.Lock()
        self.is_met = threading.Event()
        source.on(r"UID FETCH \S+ .*BODY", self.fetch)

    def number(self, session):
        """0: the first that was asked for messages."""
        with self.lock:
            if session not in self.fetching:
                self.fetching.append(session)
            if len(self.fetching) >= self.wanted:
                self.is_met.set()
            return self.fetching.index(session)

    def fetch(self, session, tag, command):
        self.number(session)
        self.is_met.wait(EVENT_SECONDS)
        return session.answer(tag, command)


def another(holdfast, name, url, *more):
    holdfast.run("account", "add", name, "--url", url, "--no-test", "--every", "1h",
                 "--password-file", holdfast.secret_file(name, "x"), *more)


def open_connections(account):
    return account.sql("SELECT connections FROM job WHERE account_id = {id} AND kind = 'sync'")[0][0]


def outcome(account):
    return account.sql("SELECT outcome FROM job WHERE account_id = {id} AND kind = 'sync'")[0][0]


def assert_whole(account):
    wait_for(lambda: outcome(account) == "NONE", EVENT_SECONDS, "the run to end well")
    assert account.states() == stored(*MESSAGES)
    assert account.placements() == (len(MESSAGES), 0, len(MESSAGES))
    assert open_connections(account) == 0


def test_a_slow_source_is_asked_by_as_many_connections_as_the_account_may_have(account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 3)
    account.add(source, "--max-connections", "3")
    assert_whole(account)
    assert len(meeting.fetching) == 3


def test_an_account_with_one_connection_stays_with_it(account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 1)
    account.add(source, "--max-connections", "1")
    assert_whole(account)
    assert len(meeting.fetching) == 1


def test_connections_of_all_accounts_of_a_host_are_never_more_than_it_bears(holdfast, account):
    """Two accounts that may have eight each."""
    source, other = Source(MESSAGES), Source(MESSAGES)
    meetings = [Meeting(source, HOST_CONNECTIONS), Meeting(other, HOST_CONNECTIONS)]
    another(holdfast, "other-of-host", other.url("bob"), "--max-connections", "8")
    account.add(source, "--max-connections", "8")
    # What is left over is shared by halves, so neither account has all of them.
    total = wait_for(lambda: (n := sum(len(m.fetching) for m in meetings)) >= HOST_CONNECTIONS - 1
                     and all(m.fetching for m in meetings) and n, EVENT_SECONDS, "both accounts at work")
    assert total <= HOST_CONNECTIONS
    assert holdfast.sql("SELECT sum(connections) FROM job WHERE lease_owner IS NOT NULL")[0][0] \
        <= HOST_CONNECTIONS
    for meeting in meetings:
        meeting.is_met.set()
    assert_whole(account)
    holdfast.run("sync", "other-of-host")
    other.close()


def test_each_message_is_archived_once_although_a_connection_breaks_within_one(account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 2)

    def break_once(session, tag, command):
        if meeting.number(session) != 1:
            return meeting.fetch(session, tag, command)
        first = session.mailbox.chosen(command.split()[2])[0]
        session.say(session.response(first, ["UID", "BODY[]"])[:-10])
        return False

    source.forget_script()
    source.on(r"UID FETCH \S+ .*BODY", break_once)
    account.add(source, "--max-connections", "3")
    assert_whole(account)
    assert len(meeting.fetching) >= 2


def test_what_another_connection_is_denied_the_first_one_asks_for_itself(account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 2)

    def deny_others(session, tag, command):
        if meeting.number(session) == 0:
            return meeting.fetch(session, tag, command)
        meeting.is_met.wait(EVENT_SECONDS)
        session.say(f"{tag} NO cannot read that\r\n")

    source.forget_script()
    source.on(r"UID FETCH \S+ .*BODY", deny_others)
    account.add(source, "--max-connections", "2")
    assert_whole(account)
    assert account.failures() == {}


def test_a_connection_that_sees_another_uidvalidity_fetches_nothing(account):
    source = Source(MESSAGES)
    seen = threading.Event()
    meeting = Meeting(source, 1)

    def examine(session, tag, command):
        if not source.heard_like(r"UID FETCH \S+ .*BODY"):
            return session.answer(tag, command)
        session.say(f"* 900 EXISTS\r\n* OK [UIDVALIDITY 8] x\r\n{tag} OK [READ-ONLY] done\r\n")
        seen.set()

    def fetch(session, tag, command):
        meeting.number(session)
        seen.wait(EVENT_SECONDS)
        return session.answer(tag, command)

    source.forget_script()
    source.on(r"EXAMINE", examine).on(r"UID FETCH \S+ .*BODY", fetch)
    account.add(source, "--max-connections", "2")
    assert_whole(account)
    assert seen.is_set() and len(meeting.fetching) == 1


def test_a_source_that_refuses_further_logins_is_read_by_one_connection(account):
    source = Source(MESSAGES)
    was_refused = threading.Event()

    def log_in(session, tag, command):
        if not source.heard_like(r"UID FETCH \S+ .*BODY") or was_refused.is_set():
            return session.answer(tag, command)
        session.say(f"{tag} NO [LIMIT] Too many simultaneous connections\r\n")
        was_refused.set()

    def fetch(session, tag, command):
        was_refused.wait(EVENT_SECONDS)
        return session.answer(tag, command)

    source.on(r"LOGIN|AUTHENTICATE", log_in).on(r"UID FETCH \S+ .*BODY", fetch)
    account.add(source, "--max-connections", "4")
    assert_whole(account)
    assert was_refused.is_set()


def test_a_further_login_that_never_ends_does_not_hold_the_run(account):
    """An octet now and then is no silence."""
    source = Source(MESSAGES)
    has_begun, is_over = threading.Event(), threading.Event()

    def drip(session, tag, command):
        if source.logins == 0:
            return session.answer(tag, command)
        has_begun.set()
        while not is_over.wait(0.2):
            session.say("* OK patience\r\n")
        return False

    def fetch(session, tag, command):
        has_begun.wait(EVENT_SECONDS)
        return session.answer(tag, command)

    source.on(r"LOGIN ", drip)
    source.on(r"UID FETCH \S+ .*BODY", fetch)
    account.add(source, "--max-connections", "3")
    try:
        assert_whole(account)
    finally:
        is_over.set()
    assert has_begun.is_set()


def test_a_dovecot_that_allows_two_connections_is_read_by_two(holdfast, account, new_dovecot):
    """Through each of them comes so little that a third one is asked for."""
    dovecot = new_dovecot(extra="mail_max_userip_connections = 2\n")
    messages = [b"Subject: %d\r\n\r\n%b\r\n" % (n, b"x" * 900) for n in range(420)]
    for octets in messages:
        dovecot.deliver("alice", octets)
    narrow = DelayProxy(dovecot.tls_port, 0, rate=60_000)
    try:
        holdfast.run("account", "add", account.name, "--url", f"imaps://alice@localhost:{narrow.port}/",
                     "--tls-ca", dovecot.ca, "--no-test", "--every", "1h", "--max-connections", "4",
                     "--password-file", holdfast.secret_file("alice", dovecot.users["alice"]))
        wait_for(lambda: outcome(account) == "NONE", EVENT_SECONDS, "the run to end well")
    finally:
        narrow.stop()
    assert sorted(account.archived()) == sorted(messages)
    said = (dovecot.dir / "dovecot.log").read_text()
    assert "Maximum number of connections" in said, said
    assert said.count("Login: user=<alice>") >= 2, said


def test_connections_of_a_killed_worker_are_given_back(holdfast, account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 99)
    account.add(source, "--max-connections", "3")
    wait_for(lambda: len(meeting.fetching) == 3, EVENT_SECONDS, "three connections")
    assert open_connections(account) == 3
    for worker in holdfast.pids("ingest"):
        os.kill(worker, signal.SIGKILL)
    wait_for(lambda: len(meeting.fetching) > 3, EVENT_SECONDS, "the next worker")
    meeting.is_met.set()
    assert_whole(account)


def test_a_silent_account_holds_up_no_other_of_its_host(holdfast, account):
    """One worker waits for it (for an hour, if it may), the other one is busy with a large account of another
    host, which goes on behind whatever else is due at a host that no worker is busy with."""
    silent, large, small = Source(range(1, 9)), Source(range(1, 3601)), Source(range(1, 6))
    small_is_done = threading.Event()

    def take_time(session, tag, command):  # 180 s in all, by one connection
        small_is_done.wait(0.05 * len(session.mailbox.chosen(command.split()[2])))

    silent.on(r"UID FETCH \S+ .*BODY", SILENCE)
    large.on(r"UID FETCH \S+ .*BODY", take_time, USUAL)
    account.add(silent)
    silent.wait_heard(r"UID FETCH \S+ .*BODY")
    another(holdfast, "large-elsewhere", large.url("bob").replace("127.0.0.1", "localhost"),
            "--max-connections", "1")
    large.wait_heard(r"UID FETCH \S+ .*BODY")
    another(holdfast, "small-of-host", small.url("carol"))
    assert "complete" in holdfast.run("sync", "small-of-host").stdout
    large_outcome, = holdfast.sql("SELECT outcome FROM job JOIN account_name USING (account_id) "
                                  "WHERE name = 'large-elsewhere' AND kind = 'sync'")[0]
    small_is_done.set()
    assert large_outcome is None
    assert "silent" in account.sql("SELECT outcome_text FROM job WHERE account_id = {id}")[0][0]
    silent.forget_script()
    account.sync()
    assert account.states() == stored(*range(1, 9))
    assert "complete" in holdfast.run("sync", "large-elsewhere").stdout
    large.close()
    small.close()


def test_a_worker_that_is_told_to_stop_ends_all_its_connections(holdfast, account):
    source = Source(MESSAGES)
    meeting = Meeting(source, 99)
    account.add(source, "--max-connections", "3")
    wait_for(lambda: len(meeting.fetching) == 3, EVENT_SECONDS, "three connections")
    holdfast.stop(seconds=30)
    assert all(session.connection.fileno() < 0 or not session.connection.recv(1)
               for session in meeting.fetching)
    meeting.is_met.set()
    holdfast.start()
    assert_whole(account)
