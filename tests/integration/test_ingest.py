# SPDX-License-Identifier: Apache-2.0
"""Sources that misbehave in the ways that real ones do: whatever they do, every UID is accounted for.

The source here is a small IMAP server whose faults are chosen per test; it speaks in the clear on
loopback (imap+plain://). What a good source does is tested against Dovecot elsewhere.
"""
import base64
import contextlib
import os
import re
import signal
import socket
import threading

import pytest

DATE = '"01-Feb-2020 10:00:00 +0100"'


def message(n):
    return f"Subject: message {n}\r\n\r\nBody of {n}.\r\n".encode()


class Source:
    """One mailbox, INBOX. messages: {uid: octets}. Attributes named broken_… are the faults."""

    def __init__(self, uids=(), uidvalidity=7):
        self.messages = {uid: message(uid) for uid in uids}
        self.dates = {}
        self.uidvalidity = uidvalidity
        self.with_uidnext = True
        self.withheld = set()       # listed, but FETCH answers OK without them
        self.nil = set()            # NIL for the octets
        self.only_by = {}           # uid: the one item that gives its octets, others give NIL
        self.breaks_in = {}         # uid: how many times the connection ends within its octets
        self.refused = set()        # any FETCH of octets with it gets NO
        self.refusal = "cannot read that"
        self.flags = {}             # uid: what stands between the parentheses
        self.without_flags = set()  # the list has no FLAGS for it
        self.reversed = False
        self.chatty = False         # unsolicited responses between the asked ones
        self.more_mailboxes = []    # (name, reason why EXAMINE says NO)
        self.short_lists = False    # the list of UIDs leaves out the last one, with OK
        self.heard = []
        self.logins = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self):
        return f"imap+plain://alice@127.0.0.1:{self.port}/"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            self.out = connection
            connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hi\r\n")
            for line in lines:
                tag, _, command = line.decode().strip().partition(" ")
                self.heard.append(command)
                if not self._answer(connection, tag, command):
                    return

    def _say(self, connection, *lines):
        connection.sendall(b"".join(l if isinstance(l, bytes) else l.encode() for l in lines))

    def _answer(self, connection, tag, command):
        word = command.split()[0].upper()
        if word == "LOGIN":
            self.logins += 1
            self._say(connection, f"{tag} OK [CAPABILITY IMAP4rev1] in\r\n")
        elif word == "LIST":
            for name, _ in self.more_mailboxes:
                self._say(connection, f'* LIST () "/" {name}\r\n')
            self._say(connection, f'* LIST () "/" INBOX\r\n{tag} OK done\r\n')
        elif word == "EXAMINE":
            return self._examine(connection, tag, command.split()[1])
        elif command.upper().startswith("UID FETCH"):
            return self._fetch(connection, tag, command)
        elif command.upper().startswith("UID SEARCH"):
            found = self._chosen(command.split()[3])
            self._say(connection, "* SEARCH", *(f" {uid}" for uid in found),
                      f"\r\n{tag} OK done\r\n")
        elif word == "LOGOUT":
            self._say(connection, f"* BYE\r\n{tag} OK\r\n")
            return False
        else:
            self._say(connection, f"{tag} BAD what\r\n")
        return True

    def _examine(self, connection, tag, name):
        reasons = dict(self.more_mailboxes)
        if name in reasons:
            self._say(connection, f"{tag} NO {reasons[name]}\r\n")
            return True
        self._say(connection, f"* {len(self.messages)} EXISTS\r\n")
        if self.uidvalidity is not None:
            self._say(connection, f"* OK [UIDVALIDITY {self.uidvalidity}] x\r\n")
        if self.with_uidnext:
            self._say(connection, f"* OK [UIDNEXT {max(self.messages, default=0) + 1}] x\r\n")
        self._say(connection, f"{tag} OK [READ-ONLY] done\r\n")
        return True

    def _chosen(self, text):
        top = max(self.messages, default=0)
        chosen = set()
        for part in text.split(","):
            first, _, last = part.partition(":")
            ends = sorted(top if end == "*" else int(end) for end in (first, last or first))
            chosen |= {uid for uid in self.messages if ends[0] <= uid <= ends[1]}
        return sorted(chosen, reverse=self.reversed)

    def _fetch(self, connection, tag, command):
        chosen = self._chosen(command.split()[2])
        item = command.rstrip(")").split()[-1]
        with_octets = item in ("BODY.PEEK[]", "BODY[]", "RFC822")
        if with_octets and self.refused & set(chosen):
            self._say(connection, f"{tag} NO {self.refusal}\r\n")
            return True
        if not with_octets and self.short_lists:
            chosen = [uid for uid in chosen if uid != max(self.messages)]
        for uid in chosen:
            if self.chatty:
                self._say(connection, "* 1 FETCH (FLAGS (\\Seen))\r\n* OK still here\r\n",
                          "* 1 RECENT\r\n* X-NEW thing (a {3}\r\nabc)\r\n")
            if not (self._give(connection, uid, item) if with_octets else
                    self._list(connection, uid, "INTERNALDATE" in command)):
                return False
        self._say(connection, f"{tag} OK done\r\n")
        return True

    def _date(self, uid):
        return self.dates.get(uid, DATE)

    def _list(self, connection, uid, with_date):
        date = f" INTERNALDATE {self._date(uid)}" if with_date else ""
        flags = "" if uid in self.without_flags else f" FLAGS ({self.flags.get(uid, '')})"
        self._say(connection, f"* 1 FETCH (UID {uid}{flags}{date})\r\n")
        return True

    def _give(self, connection, uid, item):
        octets = self.messages[uid]
        head = (f"* 1 FETCH (UID {uid} FLAGS ({self.flags.get(uid, '')}) INTERNALDATE "
                f"{self._date(uid)} RFC822.SIZE 1 {item.replace('.PEEK', '')} ")
        if uid in self.withheld:
            return True
        if uid in self.nil or self.only_by.get(uid, item) != item:
            self._say(connection, head, "NIL)\r\n")
            return True
        if self.breaks_in.get(uid, 0) > 0:
            self.breaks_in[uid] -= 1
            self._say(connection, head, f"{{{len(octets)}}}\r\n", octets[:10])
            return False
        self._say(connection, head, f"{{{len(octets)}}}\r\n", octets, ")\r\n")
        return True

    def close(self):
        self.listener.close()


@pytest.fixture(scope="module")
def holdfast(module_place):
    from harness.holdfast import Holdfast
    folder = module_place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    made = Holdfast(folder).start()
    yield made
    made.stop()


@pytest.fixture
def account(holdfast, request):
    """Adds a source as an account named after the test; syncs on request."""
    name = re.sub(r"\W", "-", request.node.name)[:60]
    made = []

    class Account:
        def add(self, source):
            made.append(source)
            holdfast.run("account", "add", name, "--url", source.url(), "--no-test", "--every",
                         "1h", "--password-file", holdfast.secret_file(name, "x"))
            return self

        def sync(self, status=0):
            done = holdfast.run("sync", name, check=False)
            assert done.returncode == status, done.stdout + done.stderr
            return done.stdout + done.stderr

        def retry_now(self):
            holdfast.sql("UPDATE source_uid SET next_try_at = NULL WHERE account_id = (SELECT "
                         "account_id FROM account_name WHERE name = %s)", name)

        def states(self, epoch=1):
            return dict(holdfast.sql(
                "SELECT uid, state || CASE WHEN gone_at IS NULL OR state = 'gone' THEN '' "
                "ELSE ' gone' END FROM source_uid WHERE account_id = (SELECT account_id FROM "
                "account_name WHERE name = %s) AND epoch = %s", name, epoch))

        def errors(self):
            return " ".join(row[0] for row in holdfast.sql(
                "SELECT error FROM source_uid WHERE error IS NOT NULL AND account_id = (SELECT "
                "account_id FROM account_name WHERE name = %s)", name))

        def flags(self):
            return [row[0] for row in holdfast.sql(
                "SELECT flags FROM placement WHERE account_id = (SELECT account_id FROM "
                "account_name WHERE name = %s) ORDER BY uid", name)]

        def keywords(self):
            return [row[0] for row in holdfast.sql(
                "SELECT bit_count(keywords) FROM placement WHERE account_id = (SELECT account_id "
                "FROM account_name WHERE name = %s) ORDER BY uid", name)]

        def placements(self):
            return holdfast.sql(
                "SELECT count(*), count(gone_at), count(DISTINCT message_id) FROM placement "
                "WHERE account_id = (SELECT account_id FROM account_name WHERE name = %s)",
                name)[0]

    yield Account()
    for source in made:
        source.close()


def stored(*uids):
    return {uid: "stored" for uid in uids}


def test_order_noise_and_wrong_sizes_do_no_harm(account):
    source = Source(range(1, 21))
    source.reversed = source.chatty = True
    source.with_uidnext = False
    account.add(source).sync()
    assert account.states() == stored(*range(1, 21))
    assert account.placements() == (20, 0, 20)
    assert "nothing new" in account.sync()
    assert not any(word in " ".join(source.heard) for word in ("SELECT", "STORE", "EXPUNGE"))


def test_what_the_source_withholds_stays_pending_and_the_run_is_not_complete(account):
    source = Source((1, 2, 3))
    source.withheld = {2}
    said = account.add(source).sync(3)
    assert "not complete" in said
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "without sending it" in account.errors()
    source.withheld = set()
    account.sync(3)  # not due yet
    account.retry_now()
    account.sync()
    assert account.states() == stored(1, 2, 3)


def test_what_vanished_between_list_and_fetch_is_gone_on_proof(account):
    source = Source((1, 2, 3))
    source.withheld = {2}
    answer = source._answer

    def vanish(connection, tag, command):
        if command.startswith("UID SEARCH"):
            source.messages.pop(2, None)
        return answer(connection, tag, command)

    source._answer = vanish
    account.add(source).sync()
    assert account.states() == {1: "stored", 2: "gone", 3: "stored"}


def test_nil_is_never_an_empty_message(account):
    source = Source((1, 2))
    source.nil = {1}
    account.add(source).sync(3)
    assert account.states() == {1: "pending", 2: "stored"}
    assert account.placements()[0] == 1


@pytest.mark.parametrize("item", ["BODY[]", "RFC822"])
def test_octets_that_one_item_denies_come_by_another(account, item):
    source = Source((1, 2, 3))
    source.only_by = {2: item}
    account.add(source).sync()
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_one_refused_message_is_isolated(account):
    source = Source(range(1, 31))
    source.refused = {17}
    account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 31)), 17: "pending"}
    assert "cannot read that" in account.errors()


def test_a_literal_that_breaks_off_once_is_fetched_again(account):
    source = Source(range(1, 11))
    source.breaks_in = {5: 1}
    account.add(source).sync()
    assert account.states() == stored(*range(1, 11))
    assert account.placements() == (10, 0, 10)
    assert source.logins == 2


def test_a_literal_that_always_breaks_off_is_put_aside_and_the_rest_is_archived(account):
    source = Source(range(1, 11))
    source.breaks_in = {5: 1000, 8: 1000}
    said = account.add(source).sync(3)
    assert "2 message" in said
    assert account.states() == {**stored(*range(1, 11)), 5: "pending", 8: "pending"}


def test_a_new_uidvalidity_keeps_everything_and_fetches_what_is_new(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.uidvalidity = 8
    source.messages = {10: message(2), 11: message(3), 12: message(4)}
    account.sync()
    assert account.states(1) == stored(1, 2, 3)
    assert account.states(2) == stored(10, 11, 12)
    assert account.placements() == (4, 1, 4)  # message 1 is at the source no more
    source.uidvalidity = 7  # an old number is a new epoch all the same
    account.sync()
    assert account.states(3) == stored(10, 11, 12)
    assert account.placements() == (4, 1, 4)


def test_without_uidvalidity_other_dates_are_other_messages(account):
    source = Source((1, 2), uidvalidity=None)
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}
    source.messages = {1: message(2), 2: message(3)}
    source.dates = {1: DATE.replace("01-Feb", "02-Feb"), 2: DATE.replace("01-Feb", "03-Feb")}
    account.sync()
    assert account.states(2) == stored(1, 2)
    assert account.placements()[2] == 3


def test_a_list_that_is_too_short_proves_nothing(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.short_lists = True
    said = account.sync(3)
    assert "listed" in said
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_what_a_short_list_shows_is_fetched_all_the_same(account):
    source = Source((1, 2, 3))
    source.short_lists = True
    said = account.add(source).sync(3)
    assert "listed" in said
    assert account.states() == stored(1, 2)
    source.short_lists = False
    account.sync()
    assert account.states() == stored(1, 2, 3)


def test_flags_that_cannot_be_kept_lose_no_message(account):
    source = Source((1, 2, 3))
    source.flags = {1: "\\Seen " + "k" * 300, 2: " ".join(f"k{n}" for n in range(5000))}
    account.add(source).sync()
    assert account.states() == stored(1, 2, 3)
    assert account.flags()[0] == 1  # \Seen stays


def test_a_date_before_all_time_loses_no_message(account):
    source = Source((1, 2))
    source.dates = {1: '"01-Jan-0001 00:00:00 +0000"', 2: '"01-Feb-2020 10:00:00 +9959"'}
    account.add(source).sync()
    assert account.states() == stored(1, 2)


def test_a_date_before_all_time_is_not_another_message_each_time(account):
    source = Source((1, 2), uidvalidity=None)
    source.dates = {1: '"01-Jan-0001 00:00:00 +0000"'}
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}


def test_a_server_error_for_one_message_does_not_stop_the_others(account):
    source = Source(range(1, 31))
    source.refused = {17}
    source.refusal = "[SERVERBUG] Internal error occurred. Refer to server log"
    account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 31)), 17: "pending"}
    assert source.logins == 1


def test_a_mailbox_that_is_all_server_errors_is_left_after_a_few(account):
    source = Source(range(1, 301))
    source.refused = set(range(1, 301))
    source.refusal = "[UNAVAILABLE] UID FETCH Server error"
    said = account.add(source).sync(3)
    assert "Server error" in said
    assert set(account.states().values()) == {"pending"}
    assert source.logins == 1
    assert len([c for c in source.heard if "BODY" in c]) < 20


def test_a_source_that_asks_for_less_is_left_alone(account):
    source = Source(range(1, 31))
    source.more_mailboxes = [("Busy", "[LIMIT] Too many commands"), ("Later", "[NOPERM] no")]
    account.add(source).sync(3)
    assert source.logins == 1
    assert "EXAMINE Later" not in source.heard


def test_an_error_about_a_name_cut_within_a_character_is_told(account):
    source = Source((1, 2))
    name = base64.b64encode(("\u00e9" * 60).encode("utf-16-be")).rstrip(b"=").decode()
    source.more_mailboxes = [(f"x&{name.replace('/', ',')}-", "[NOPERM] not yours")]
    said = account.add(source).sync(3)
    assert "NOPERM" in said
    assert account.states() == stored(1, 2)


def test_names_that_cannot_be_archived_do_not_stop_the_others_and_are_told(account):
    source = Source((1, 2))
    source.more_mailboxes = [("L" * 5000, "no"), ("INBOX/a", "[NOPERM] x"), ("Inbox/a", "[NOPERM] x"),
                             ("".join(f"{n:x}." for n in range(900)), "no")]
    said = account.add(source).sync(3)
    assert "4 of 5 mailboxes" in said
    assert account.states() == stored(1, 2)


def test_what_an_old_epoch_had_is_gone_also_when_the_new_one_took_two_runs(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.uidvalidity = 8
    source.messages = {10: message(2), 11: message(3), 12: message(4)}
    source.withheld = {11}
    account.sync(3)
    assert account.placements()[1] == 0
    source.withheld = set()
    account.retry_now()
    account.sync()
    assert account.placements() == (4, 1, 4)


def test_mail_that_vanishes_and_comes_back_is_recorded_both_times(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    taken = source.messages.pop(2)
    account.sync()
    assert account.states() == {1: "stored", 2: "stored gone", 3: "stored"}
    assert account.placements() == (3, 1, 3)
    source.messages[2] = taken
    account.sync()
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_mail_that_comes_back_without_a_word_of_its_flags_keeps_them(account):
    source = Source((1, 2))
    source.flags = {2: "\\Seen work"}
    account.add(source).sync()
    taken = source.messages.pop(2)
    account.sync()
    source.messages[2] = taken
    source.without_flags = {2}
    account.sync()
    assert account.placements() == (2, 0, 2)
    assert account.flags() == [0, 1]
    assert account.keywords() == [0, 1]


def test_an_emptied_mailbox_is_kept(account):
    source = Source((1, 2))
    account.add(source).sync()
    source.messages = {}
    account.sync()
    assert account.placements() == (2, 2, 2)


def test_one_mailbox_that_cannot_be_opened_does_not_stop_the_others(account):
    source = Source((1, 2))
    source.more_mailboxes = [("Broken", "[NOPERM] not yours")]
    said = account.add(source).sync(3)
    assert "Broken" in said and "NOPERM" in said
    assert account.placements()[0] == 2


def test_more_messages_than_a_window_come_in_several(account):
    source = Source()
    source.messages = {1: message(1), 150_000: message(2), 250_000: message(3)}
    fetch = source._fetch

    def many(connection, tag, name):
        source._say(connection, "* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 250001] x\r\n"
                                f"* 100001 EXISTS\r\n{tag} OK done\r\n")
        return True

    def fewer(connection, tag, command):  # all but three are expunged meanwhile
        source._say(connection, "* 3 EXISTS\r\n")
        return fetch(connection, tag, command)

    source._examine, source._fetch = many, fewer
    account.add(source).sync()
    assert account.states() == stored(1, 150_000, 250_000)
    lists = [command for command in source.heard if command.endswith("(UID FLAGS)")]
    assert [command.split()[2] for command in lists] == ["1:100000", "100001:200000", "200001:*"]


def test_an_archive_that_cannot_be_written_is_told_and_nothing_is_lost(account, holdfast):
    keepers = holdfast.pids("keeper")
    week, = holdfast.sql("SELECT 'spool_' || to_char(date_trunc('week', now()), 'YYYYMMDD')")[0]
    source = Source((1, 2, 3))
    account.add(source)
    for pid in keepers:  # it would make the week again
        os.kill(pid, signal.SIGSTOP)
    try:
        holdfast.sql(f"ALTER TABLE spool DETACH PARTITION {week}")
        said = account.sync(1)
        assert "archive cannot be written" in said and "spool" in said
        assert account.states() == {1: "pending", 2: "pending", 3: "pending"}
        assert account.placements() == (0, 0, 0)
        holdfast.sql(f"ALTER TABLE spool ATTACH PARTITION {week} FOR VALUES FROM (date_trunc('week', "
                     "now())::date) TO (date_trunc('week', now())::date + 7)")
        account.sync()
    finally:
        for pid in keepers:
            os.kill(pid, signal.SIGCONT)
    assert account.states() == stored(1, 2, 3)
