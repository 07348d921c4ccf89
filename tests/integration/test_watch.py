# SPDX-License-Identifier: Apache-2.0
"""Mailboxes held in IDLE: their news comes at once, although the schedule says every hour."""
import contextlib
import socket
import threading
import time

import pytest

from harness.dovecot import Dovecot
from harness.holdfast import installation
from harness.place import wait_for
from harness.scripted_source import CUT, Source

CAPABILITIES = "IMAP4rev1 IDLE"


@pytest.fixture(scope="module")
def holdfast(module_place):
    with installation(module_place, new_accounts_wait=False) as made:
        yield made


@pytest.fixture(scope="module")
def dovecot(module_place):
    made = Dovecot(module_place, users=[f"user{n}" for n in range(4)]).start()
    yield made
    made.stop()


def watched(holdfast):
    """Accounts whose watch is held."""
    return holdfast.sql("SELECT count(*) FROM job WHERE kind = 'watch' AND lease_owner IS NOT NULL")[0][0]


def rests(holdfast, accounts):
    """Every account was synced since its watch began, and nothing is due."""
    return holdfast.sql("SELECT count(*) FROM job s JOIN job w USING (account_id) WHERE s.kind = 'sync' AND "
                        "w.kind = 'watch' AND s.requested_at > w.started_at AND s.lease_owner IS NULL AND "
                        "w.is_active AND "
                        "s.started_at >= s.requested_at AND s.due_at > now()")[0][0] == accounts


def idle(source):
    """The source speaks IDLE; what is put into the list that is returned is said in it."""
    news, sessions = [], []

    def answer(session, tag, command):
        session.say("+ idling\r\n")
        sessions.append(session)
        stop = threading.Event()

        def tell():
            while not stop.wait(0.05):
                while news:
                    session.say(news.pop(0))

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        line = session.read_line()
        stop.set()
        teller.join()
        if line.upper() != b"DONE":
            return False
        session.say(f"{tag} OK done\r\n")
        return True

    source.on("IDLE", answer)
    return news


@contextlib.contextmanager
def requests_noted(account):
    """How often somebody asks for a run of the account; who claims it writes that time too, as it was."""
    account.sql("CREATE TABLE asked (at timestamptz DEFAULT now())")
    account.sql("CREATE FUNCTION note_asked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "
                "holdfast AS 'BEGIN INSERT INTO asked DEFAULT VALUES; RETURN NULL; END'")
    account.sql("CREATE TRIGGER note_asked AFTER UPDATE OF requested_at ON job FOR EACH ROW WHEN (NEW.kind = 'sync' "
                "AND NEW.account_id = {id} AND OLD.requested_at IS DISTINCT FROM NEW.requested_at) "
                "EXECUTE FUNCTION note_asked()")
    yield lambda: account.sql("SELECT count(*) FROM asked")[0][0]
    account.sql("DROP FUNCTION note_asked CASCADE")
    account.sql("DROP TABLE asked")


def wait_idle(source, count=1):
    source.wait_heard("IDLE", count=count)


def test_new_mail_is_archived_within_seconds_although_the_schedule_says_every_hour(holdfast, dovecot):
    users = list(dovecot.users)
    for user in users:
        dovecot.deliver(user, b"Subject: old\r\n\r\nold\r\n")
        holdfast.add_account(dovecot, user, "--no-test", "--every", "1h", "--watch", "INBOX")
    wait_for(lambda: watched(holdfast) == len(users), 60, "watches")
    wait_for(lambda: rests(holdfast, len(users)), 60, "first runs, and those that the watches ask for")
    waits = []
    for n, user in enumerate(users):
        message = f"Subject: new {n}\r\n\r\nnew\r\n".encode()
        began = time.monotonic()
        dovecot.deliver(user, message)
        wait_for(lambda: holdfast.sql("SELECT count(*) FROM placement")[0][0] == len(users) + n + 1, 20,
                 "the new message")
        waits.append(time.monotonic() - began)
    print("seconds from delivery to archive:", [round(wait, 2) for wait in waits])
    assert sorted(waits)[len(waits) // 2] < 5, waits
    for user in users:
        holdfast.run("account", "edit", user, "--no-watch")
    assert watched(holdfast) == 0
    for user in users:
        holdfast.run("account", "remove", user)


def test_what_a_source_says_in_idle_wakes_the_account_and_nothing_else_does(holdfast, account):
    source = Source((1,), capabilities=CAPABILITIES)
    news = idle(source)
    account.add(source, "--watch", "INBOX")
    wait_idle(source)
    wait_for(lambda: rests(holdfast, 1), 60, "the run that the watch asks for when it begins")
    logins = source.logins
    with requests_noted(account) as noted:
        news += ["* OK Still here\r\n", "* 1 RECENT\r\n", "* NONSENSE (\r\n", "\r\n", "* FLAGS (\\Seen)\r\n"]
        wait_for(lambda: not news, 30, "the source to have spoken")
        source.inbox.messages[2] = b"Subject: two\r\n\r\n2\r\n"
        news.append("* 2 EXISTS\r\n")  # what is said is heard in order: had other words woken it, there were two
        wait_for(lambda: len(account.states()) == 2, 30, "the news")
        assert noted() == 1
    assert source.logins == logins + 1
    account.holdfast.run("account", "remove", account.name)


def test_a_watch_that_is_lost_is_found_again_and_what_came_meanwhile_is_fetched(holdfast, account):
    source = Source((1,), capabilities=CAPABILITIES)
    is_over = threading.Event()

    def end_when_told(session, tag, command):
        session.say("+ idling\r\n")
        is_over.wait(60)
        return False

    source.on("IDLE", end_when_told, times=1)
    idle(source)
    account.add(source, "--watch", "INBOX")
    wait_idle(source)
    wait_for(lambda: rests(holdfast, 1), 60, "the run that the watch asks for when it begins")
    assert account.states() == {1: "stored"}
    source.inbox.messages[2] = b"Subject: two\r\n\r\n2\r\n"
    is_over.set()
    wait_idle(source, 2)  # 2.5 to 5 s later
    wait_for(lambda: len(account.states()) == 2, 60, "what came meanwhile")
    account.holdfast.run("account", "remove", account.name)


@pytest.mark.slow
def test_a_source_that_ends_each_idle_at_once_is_asked_less_and_less_often(account):
    source = Source((1,), capabilities=CAPABILITIES)
    source.on("IDLE", b"+ idling\r\n", CUT)
    account.add(source, "--watch", "INBOX")
    wait_idle(source)
    began = time.monotonic()
    source.wait_heard("IDLE", seconds=60, count=4)
    assert time.monotonic() - began > 17  # at least 2.5, 5 and 10 s; three times 5 s at most if it began anew each time
    account.holdfast.run("account", "remove", account.name)


def test_a_mailbox_that_cannot_be_opened_ends_no_watch_of_the_others(account):
    source = Source((1,), capabilities=CAPABILITIES)
    source.add("Other", (1,))
    idle(source)
    account.add(source, "--every", "1h")
    wait_for(lambda: account.sql("SELECT 1 FROM job WHERE account_id = {id} AND outcome = 'NONE'"), 30, "the first run")
    before = len(source.heard_like("EXAMINE .?Other"))
    source.on("EXAMINE .?Other", b"<tag> NO [NOPERM] not for you\r\n")
    account.holdfast.run("account", "edit", account.name, "--watch", "INBOX", "--watch", "Other")
    # Once by the run that the edit asks for, then by the watcher, and again a little later.
    source.wait_heard("EXAMINE .?Other", count=before + 3)
    held = account.sql("SELECT lease_owner IS NOT NULL, outcome_text FROM job "
                       "WHERE account_id = {id} AND kind = 'watch'")
    assert held == [(True, None)], held
    wait_idle(source)
    account.holdfast.run("account", "remove", account.name)


def test_a_source_without_idle_is_polled_only_and_the_reason_is_kept(account):
    source = Source((1,))
    account.add(source, "--watch", "INBOX")
    told = wait_for(lambda: account.sql("SELECT outcome_text FROM job WHERE account_id = {id} AND "
                                        "kind = 'watch' AND outcome_text IS NOT NULL"), 30, "the reason")
    assert "does not offer IDLE" in told[0][0]
    assert not source.heard_like("IDLE|SELECT")


class Mute:
    """A source that takes connections and never says a word."""
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.connections.append(self.listener.accept()[0])
            except OSError:
                return

    def url(self):
        return f"imap+plain://user@127.0.0.1:{self.port}/"

    def is_waited_for(self):
        """Somebody is connected now."""
        for connection in self.connections:
            try:
                if connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
                    return True
            except BlockingIOError:
                return True
            except OSError:
                continue
        return False

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


def test_sources_that_say_nothing_at_login_keep_neither_news_nor_logins_of_others_waiting(holdfast, account):
    holdfast.sql("UPDATE source_host SET connections = 40 WHERE host = '127.0.0.1'")
    source = Source((1,), capabilities=CAPABILITIES)
    news = idle(source)
    account.add(source, "--watch", "INBOX")
    wait_idle(source)
    wait_for(lambda: rests(holdfast, 1), 60, "the run that the watch asks for when it begins")
    mutes = [Mute() for _ in range(4)]
    for n, mute in enumerate(mutes):
        holdfast.run("account", "add", f"mute-{n}", "--url", mute.url(), "--no-test", "--watch", "INBOX", "--every",
                     "1h", "--password-file", holdfast.secret_file("mute", "x"))
    wait_for(lambda: all(mute.is_waited_for() for mute in mutes), 60, "logins at all of them at once")
    asked = account.sql("SELECT requested_at FROM job WHERE account_id = {id} AND kind = 'sync'")
    news.append("* 2 EXISTS\r\n")
    wait_for(lambda: account.sql("SELECT requested_at FROM job WHERE account_id = {id} AND kind = 'sync'") != asked,
             30, "the news")
    for n in range(len(mutes)):
        holdfast.run("account", "remove", f"mute-{n}")
    holdfast.run("account", "remove", account.name)
    holdfast.sql("UPDATE source_host SET connections = NULL")
    for mute in mutes:
        mute.close()


def test_watchers_leave_connections_of_a_host_to_the_fetchers(holdfast, account):
    holdfast.sql("UPDATE source_host SET connections = 3 WHERE host = '127.0.0.1'")
    sources = [Source((1,), capabilities=CAPABILITIES) for _ in range(3)]
    for n, source in enumerate(sources):
        idle(source)
        holdfast.run("account", "add", f"crowd-{n}", "--url", source.url(), "--no-test", "--watch", "INBOX",
                     "--every", "1h", "--password-file", holdfast.secret_file("crowd", "x"))
    put_off = ("SELECT count(*) FROM job WHERE kind = 'watch' AND connections = 0 AND lease_owner IS NULL AND "
               "due_at > now() AND is_active AND outcome IS NULL")
    wait_for(lambda: (holdfast.sql(put_off)[0][0], watched(holdfast)) == (2, 1), 60, "two to be put off, and one not")
    for n in range(3):
        holdfast.run("account", "remove", f"crowd-{n}")
    holdfast.sql("UPDATE source_host SET connections = NULL")
    for source in sources:
        source.close()
