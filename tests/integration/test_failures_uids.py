# SPDX-License-Identifier: Apache-2.0
"""Failures 1 to 20 of ingestion: watermarks, and which message is which.

Each test is named after the failure of other fetchers that it shows to be absent here; 21 to 40 are in
test_failures_octets.py. The source is a real Dovecot where that can be made to do it, otherwise a
scripted one.
"""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from harness import mail
from harness.account import stored
from harness.dovecot import Dovecot
from harness.place import wait_for
from harness.scripted_source import CUT, DATE, OK, SILENCE, USUAL, Source, message

OCTETS = r"UID FETCH \S+ .*(BODY|RFC822\))"
LISTS = r"UID FETCH \S+ \(UID FLAGS( INTERNALDATE)?\)"


@pytest.fixture(scope="module")
def dovecot(module_place):
    """One server; the user of a test is its number, "u07"."""
    made = Dovecot(module_place, users=[f"u{n:02d}" for n in range(1, 41)]).start()
    yield made
    made.stop()


@pytest.fixture
def user(request):
    return "u" + re.match(r"test_(\d\d)", request.node.name)[1]


def add(account, dovecot, user, *more):
    return account.add(dovecot, "--tls-ca", dovecot.ca, *more, user=user,
                       password=dovecot.users[user])


def all_of(source, name="INBOX"):
    return [source.mailboxes[name].messages[uid] for uid in sorted(source.mailboxes[name].messages)]


def test_every_failure_of_the_list_has_its_test():
    here = pathlib.Path(__file__).parent
    numbers = {int(n) for file in here.glob("test_failures_*.py")
               for n in re.findall(r"^def test_(\d\d)_", file.read_text(), re.MULTILINE)}
    assert numbers == set(range(1, 41))


# ---- watermarks ------------------------------------------------------------------------------------


def test_01_nothing_is_taken_for_synced_before_it_is_fetched(account):
    source = Source((1, 2, 3))
    source.on(OCTETS, CUT)
    said = account.add(source).sync(3)
    assert "not complete" in said
    assert account.states() == {1: "pending", 2: "pending", 3: "pending"}
    assert set(account.failures()) == {1, 2, 3}
    assert account.status()["pending"] == 3 and account.status()["outcome"] == "RETRY"
    source.forget_script()
    account.sync()
    assert account.archived() == all_of(source)
    assert account.reconcile()["INBOX"]["archived"] == 3


def test_02_a_crash_in_the_initial_load_leaves_no_gap(account, holdfast):
    source = Source({uid: mail.large_message(1 << 20, seed=uid) for uid in range(1, 16)})
    source.inbox.reversed = True

    def the_last_ones(session, tag, command):  # more than one batch of the vault
        for uid in range(15, 3, -1):
            session.say(session.response(uid, ["UID", "FLAGS", "INTERNALDATE", "BODY[]"]))

    source.on(OCTETS, the_last_ones, SILENCE, times=1)
    account.start(source)
    source.wait_heard(OCTETS)
    wait_for(lambda: account.placements()[0] > 0, 30, "the first commit")
    os.kill(holdfast.pids("ingest")[0], signal.SIGKILL)
    holdfast.sql("UPDATE job SET due_at = now() WHERE account_id = %s", account.id)
    account.sync()
    assert account.states() == stored(*range(1, 16))
    assert account.placements() == (15, 0, 15)
    assert sorted(account.archived()) == sorted(all_of(source))


def test_03_a_lost_connection_is_not_an_empty_fetch(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.messages[4] = message(4)
    source.on(LISTS, b"* 1 FETCH (UID 1 FLAGS ())\r\n", CUT)
    account.sync(3)
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)
    source.forget_script()
    source.on(OCTETS, CUT)
    account.sync(3)
    assert account.states() == {**stored(1, 2, 3), 4: "pending"}
    source.forget_script()
    account.sync()
    assert account.archived() == all_of(source)


def test_04_a_newer_message_does_not_hide_an_older_one_that_failed(account):
    source = Source((1, 2, 3))
    source.inbox.refused = {2}
    account.add(source).sync(3)
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "cannot read that" in account.failures()[2]
    source.inbox.messages[4] = message(4)
    account.sync(3)
    assert account.states() == {1: "stored", 2: "pending", 3: "stored", 4: "stored"}
    source.inbox.refused = set()
    row = account.reconcile()["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (4, 4, 0)
    assert account.failures() == {}


def test_05_fewer_messages_than_asked_for_and_ok_are_pending(account):
    source = Source((1, 2, 3))
    source.inbox.withheld = {2}
    said = account.add(source).sync(3)
    assert "not complete" in said
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "without sending it" in account.failures()[2]
    row = account.reconcile(3)["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (3, 2, 1)
    source.inbox.withheld = set()
    account.sync(3)  # not due yet
    account.retry_now()
    account.sync()
    assert sorted(account.archived()) == all_of(source)


def test_05_what_vanished_between_list_and_fetch_is_gone_on_proof(account):
    source = Source((1, 2, 3))
    source.inbox.withheld = {2}

    def vanish(session, tag, command):
        source.inbox.messages.pop(2, None)

    source.on("UID SEARCH", vanish, USUAL)
    account.add(source).sync()
    assert account.states() == {1: "stored", 2: "gone", 3: "stored"}
    assert account.reconcile()["INBOX"]["gone_before_fetch"] == 1


def test_what_stays_pending_makes_no_later_run_look_at_everything_again(account):
    source = Source((1, 2))
    source.inbox.withheld = {2}
    account.add(source).sync(3)
    account.reconcile(3)
    full = "SELECT is_full OR wants_full FROM job WHERE account_id = {id} AND kind = 'sync'"
    assert account.sql(full) == [(False,)]
    source.inbox.refusal = "[NOPERM] not yours"
    account.reconcile(3)  # this one could not look
    assert account.sql(full) == [(True,)]


@pytest.mark.parametrize("leaves_a_name", [False, True])
def test_what_was_pending_in_a_mailbox_that_was_deleted_waits_no_more(account, leaves_a_name):
    source = Source((1,))
    box = source.add("Box", {1: b"one", 2: b"two"})
    box.withheld = {2}
    account.add(source).sync(3)
    if leaves_a_name:  # it has mailboxes below it
        box.attributes = r"\Noselect"
    else:
        del source.mailboxes["Box"]
    account.sync()
    assert account.failures() == {} and account.status()["pending"] == 0
    assert account.states(path="Box") == {1: "stored", 2: "gone"}
    assert "its mailbox was at the source no more" in account.errors()
    source.mailboxes["Box"] = box  # it was only hidden
    box.withheld, box.attributes = set(), ""
    account.sync()
    assert account.states(path="Box") == stored(1, 2)
    assert account.reconcile()["Box"]["archived"] == 2


def test_05_what_vanished_while_it_was_reconciled_is_no_gap_in_the_proof(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.messages.update({4: b"four", 5: b"five"})
    source.inbox.withheld = {5}
    source.on("UID SEARCH", lambda *_: source.inbox.messages.pop(5, None), USUAL)
    row = account.reconcile()["INBOX"]
    assert (row["exists"], row["archived"], row["gone_before_fetch"]) == (4, 4, 1)


def test_an_enumeration_that_goes_on_is_no_gap_in_the_proof(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.messages.update({4: b"four", 5: b"five"})
    source.inbox.messages.pop(1)
    # The next run has announced what is new, seen what is gone, and archived one, and has not come to its end.
    account.sql("INSERT INTO source_announced (account_id, mailbox_id, epoch, first_uid, last_uid) SELECT "
                "account_id, mailbox_id, 1, 4, 5 FROM mailbox WHERE account_id = {id}")
    account.sql("UPDATE source_uid SET gone_at = clock_timestamp() WHERE uid = 1 AND account_id = {id}")
    source.on("UID FETCH 1:", OK)  # what reconcile asks itself comes to nothing
    source.on("UID SEARCH", OK)
    row = account.reconcile(3)["INBOX"]
    assert row["exists"] == row["archived"] + row["pending"] == 4


def test_05_a_search_without_an_answer_proves_nothing(account):
    source = Source((1, 2, 3))
    source.inbox.withheld = {2}
    source.on("UID SEARCH", OK)
    account.add(source).sync(3)
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}


def test_06_uidnext_ahead_of_the_last_uid_is_no_alarm(account):
    source = Source((1, 2, 3))
    source.inbox.uidnext_ahead = 420_000
    account.add(source).sync()
    assert "nothing new" in account.sync()
    row = account.reconcile()["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (3, 3, 0)
    source.inbox.messages[5] = message(5)  # below what was announced
    account.sync()
    assert account.states() == stored(1, 2, 3, 5)


def test_06_a_list_that_is_too_short_proves_nothing(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.short_lists = True
    assert "listed" in account.sync(3)
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_06_what_a_short_list_shows_is_fetched_all_the_same(account):
    source = Source((1, 2, 3))
    source.inbox.short_lists = True
    assert "listed" in account.add(source).sync(3)
    assert account.states() == stored(1, 2)
    source.inbox.short_lists = False
    account.sync()
    assert account.states() == stored(1, 2, 3)


def test_06_a_list_that_ends_at_the_largest_uid_may_be_too_short_too(account):
    source = Source((1, 2, 2**32 - 1))
    source.add("Later", (1,))
    source.on(r"EXAMINE INBOX", b"* OK [UIDVALIDITY 7] x\r\n* 4 EXISTS\r\n", OK)
    assert "listed" in account.add(source).sync(3)
    assert account.states() == stored(1, 2, 2**32 - 1)
    assert account.archived("Later") == [message(1)]


def test_07_each_mailbox_has_its_own_watermark(account, dovecot, user):
    for octets in mail.generate(12):
        dovecot.deliver(user, octets)
    late = [*mail.generate(3, seed=2)]
    dovecot.deliver(user, late[0], "Two")
    add(account, dovecot, user).sync()
    for octets in late[1:]:  # their UIDs are lower than the last one of INBOX
        dovecot.deliver(user, octets, "Two")
    account.sync()
    assert account.archived("Two") == late
    rows = account.reconcile()
    assert (rows["INBOX"]["archived"], rows["Two"]["archived"]) == (12, 3)


# ---- epochs ----------------------------------------------------------------------------------------


def renumber(dovecot, user):
    """Another UIDVALIDITY and other UIDs, as after a restored backup: Dovecot loses its files."""
    last = int(re.search(r"V(\d+)", (dovecot.maildir(user) / "dovecot-uidlist").read_text())[1])
    dovecot.stop()
    for path in dovecot.maildir(user).glob("dovecot*"):
        path.unlink()
    wait_for(lambda: int(time.time()) > last, 5, "a new second: Dovecot's UIDVALIDITY is the time")
    dovecot.start()


def test_08_a_new_uidvalidity_neither_stops_nor_wipes(account, dovecot, user):
    kept = [*mail.generate(20)]
    for octets in kept:
        dovecot.deliver(user, octets)
    add(account, dovecot, user).sync()
    renumber(dovecot, user)
    new, = mail.generate(1, seed=4)
    dovecot.deliver(user, new)
    account.sync()
    assert account.sql("SELECT count(*) FROM source_epoch WHERE account_id = {id}") == [(2,)]
    assert account.placements() == (21, 0, 21)
    assert account.archived() == [*kept, new]
    row = account.reconcile()["INBOX"]
    assert (row["epoch"], row["exists"], row["archived"], row["pending"]) == (2, 21, 21, 0)


def test_08_what_the_old_epoch_had_and_the_new_one_has_not_is_gone(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.uidvalidity = 8
    source.inbox.messages = {10: message(2), 11: message(3), 12: message(4)}
    source.inbox.withheld = {11}
    account.sync(3)
    assert account.placements()[1] == 0  # not before the new epoch is whole
    source.inbox.withheld = set()
    account.retry_now()
    account.sync()
    assert account.states(1) == stored(1, 2, 3)
    assert account.states(2) == stored(10, 11, 12)
    assert account.placements() == (4, 1, 4)


def test_09_without_uidvalidity_other_dates_are_other_messages(account):
    source = Source((1, 2), uidvalidity=None)
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}
    source.inbox.messages = {1: message(2), 2: message(3)}
    source.inbox.dates = {1: DATE.replace("01-Feb", "02-Feb"), 2: DATE.replace("01-Feb", "03-Feb")}
    account.sync()
    assert account.states(2) == stored(1, 2)
    assert sorted(set(account.archived())) == [message(1), message(2), message(3)]


def test_09_a_date_before_all_time_is_not_another_message_each_time(account):
    source = Source((1, 2), uidvalidity=None)
    source.inbox.dates = {1: '"01-Jan-0001 00:00:00 +0000"'}
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}


def test_10_a_uidvalidity_that_returns_is_an_epoch_of_its_own(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.uidvalidity = 8
    source.inbox.messages = {1: message(7), 2: message(3)}
    account.sync()
    source.inbox.uidvalidity = 7  # the number is old, the messages under it are others
    source.inbox.messages = {1: message(3), 2: message(8)}
    account.sync()
    assert account.states(3) == stored(1, 2)
    assert sorted(account.archived()) == [message(n) for n in (1, 2, 3, 7, 8)]
    assert account.reconcile()["INBOX"]["epoch"] == 3


def test_10_old_uids_over_other_messages_are_noticed_when_the_number_returned_unseen(account):
    source = Source((1, 2, 3, 4))
    account.add(source).sync()
    source.inbox.messages = {uid: message(100 * uid) for uid in (1, 2, 3, 4, 5)}
    source.inbox.dates = {uid: DATE.replace("2020", "2021") for uid in (1, 2, 3, 4, 5)}
    account.sync()  # UIDVALIDITY is the same: it went to another value and back between two runs
    assert account.states(2) == stored(1, 2, 3, 4, 5)
    assert sorted(account.archived()) == sorted([message(n) for n in (1, 2, 3, 4)] + all_of(source))
    assert account.placements() == (9, 4, 9)


def test_10_other_dates_alone_or_other_sizes_alone_are_no_other_messages(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.dates = {uid: DATE.replace("2020", "2021") for uid in (1, 2, 3)}
    account.reconcile()
    source.inbox.dates, source.inbox.sizes = {}, {1: 7, 2: 7, 3: 7}
    account.reconcile()
    assert account.states(2) == {}
    assert account.placements() == (3, 0, 3)


# ---- which message is which --------------------------------------------------------------------------


def test_11_answers_out_of_order_do_no_harm(account):
    source = Source(range(1, 21))
    source.inbox.reversed = source.inbox.chatty = True
    account.add(source).sync()
    assert account.states() == stored(*range(1, 21))
    assert sorted(account.archived()) == sorted(all_of(source))
    assert "nothing new" in account.sync()


def test_12_a_message_without_uid_with_uid_0_or_not_asked_for_is_passed_over(account):
    source = Source((1, 2, 3))
    other = b"{7}\r\nA: b\r\n\r"

    def strange(session, tag, command):
        session.say(b"* 1 FETCH (BODY[] " + other + b")\r\n",
                    b"* 1 FETCH (UID 0 BODY[] " + other + b")\r\n",
                    b"* 1 FETCH (UID 99 BODY[] " + other + b")\r\n",
                    b"* 1 FETCH (BODY[] " + other + b" UID 98)\r\n")

    source.on(OCTETS, strange, USUAL)
    source.on(LISTS, b"* 1 FETCH (FLAGS ())\r\n* 1 FETCH (UID 0 FLAGS ())\r\n", USUAL)
    account.add(source).sync()
    assert account.states() == stored(1, 2, 3)
    assert account.archived() == all_of(source)
    odd, = account.sql("SELECT (progress->>'odd_responses')::int FROM job WHERE account_id = {id}")[0]
    assert odd >= 4


def test_13_the_last_message_that_an_open_range_gives_again_is_no_error(account):
    source = Source({1: message(1), 150_000: message(2)})
    source.on("EXAMINE", b"* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 250001] x\r\n* 100001 EXISTS\r\n", OK)
    source.on("UID FETCH", b"* 2 EXISTS\r\n", USUAL)  # all but two are expunged meanwhile
    account.add(source).sync()
    assert account.states() == stored(1, 150_000)
    assert [c.split()[2] for c in source.heard_like(LISTS)] == ["1:100000", "100001:200000", "200001:*"]
    assert account.placements() == (2, 0, 2)


def test_14_without_uidnext_the_top_is_asked_for(account):
    source = Source({1: message(1), 150_000: message(2)})
    source.on("EXAMINE", b"* OK [UIDVALIDITY 7] x\r\n* 100001 EXISTS\r\n", OK)
    source.on("UID FETCH", b"* 2 EXISTS\r\n", USUAL)
    account.add(source).sync()
    assert account.states() == stored(1, 150_000)
    source.inbox.messages[150_001] = message(3)
    account.sync()
    assert account.archived() == all_of(source)


def test_14_no_answer_to_the_question_for_the_top_is_an_empty_mailbox_at_most(account):
    source = Source((1, 2, 3))
    source.on("EXAMINE", b"* OK [UIDVALIDITY 7] x\r\n* 100001 EXISTS\r\n", OK)
    source.on(r"UID FETCH \* ", OK)
    said = account.add(source).sync(3)
    assert "listed" in said
    assert account.states() == stored(1, 2, 3)
    assert len(source.heard_like(LISTS)) < 5


def like(message_id, body):
    head = f"Message-ID: {message_id}\r\n" if message_id else ""
    return f"From: a@example.org\r\n{head}Subject: s\r\n\r\n{body}\r\n".encode()


def test_15_other_mail_with_the_same_message_id_is_kept(account, dovecot, user):
    parcels = [like("<same@dhl.example>", f"parcel {n}") for n in range(5)]
    for octets in parcels:
        dovecot.deliver(user, octets)
    add(account, dovecot, user).sync()
    assert account.archived() == parcels
    assert account.placements() == (5, 0, 5)


def test_16_mail_without_message_id_does_not_collapse(account, dovecot, user):
    letters = [like(None, f"letter {n}") for n in range(5)]
    for octets in letters:
        dovecot.deliver(user, octets)
    add(account, dovecot, user).sync()
    assert account.archived() == letters
    assert account.placements() == (5, 0, 5)


def test_17_a_draft_and_what_was_sent_share_an_id_and_are_both_kept(account, dovecot, user):
    draft, sent = (like("<d@example.org>", text) for text in ("Dear X,", "Dear Mr X,"))
    dovecot.deliver(user, draft, "Drafts", flags="D")
    dovecot.deliver(user, sent, "Sent", flags="S")
    add(account, dovecot, user).sync()
    assert (account.archived("Drafts"), account.archived("Sent")) == ([draft], [sent])


def test_18_copies_in_several_mailboxes_are_stored_once_and_listed_in_each(account, dovecot, user):
    octets, = mail.generate(1)
    for mailbox in ("INBOX", "INBOX", "Copies"):
        dovecot.deliver(user, octets, mailbox)
    add(account, dovecot, user).sync()
    assert account.placements() == (3, 0, 1)
    assert (account.archived(), account.archived("Copies")) == ([octets, octets], [octets])


def test_19_an_aborted_run_is_not_downloaded_again(account):
    source = Source(range(1, 31))
    source.inbox.breaks_in = {20: 1}
    account.add(source).sync()
    assert source.logins == 2
    asked = [uid for c in source.heard_like(OCTETS) for uid in source.inbox.chosen(c.split()[2])]
    assert all(asked.count(uid) == 1 for uid in range(1, 20)), asked
    assert account.archived() == all_of(source)
    assert account.placements() == (30, 0, 30)


def test_20_a_renamed_mailbox_is_not_all_new(account, dovecot, user):
    letters = [*mail.generate(10)]
    for octets in letters:
        dovecot.deliver(user, octets, "Before")
    add(account, dovecot, user).sync()
    client = dovecot.client(user)
    client.rename("Before", "After")
    account.sync()
    assert (account.archived("Before"), account.archived("After")) == (letters, letters)
    assert account.sql("SELECT count(*) FROM message WHERE account_id = {id}") == [(10,)]
    client.create("Before")  # another mailbox of the old name: nothing of the old one is lost
    client.logout()
    new, = mail.generate(1, seed=2)
    dovecot.deliver(user, new, "Before")
    account.sync()
    assert account.archived("Before") == [*letters, new]
    rows = account.reconcile()
    assert (rows["Before"]["exists"], rows["Before"]["archived"]) == (1, 1)


def test_failures_that_are_tried_again_are_not_answered_by_a_run_that_did_not_know_of_it(account, holdfast):
    source = Source((1, 2))
    source.inbox.withheld = {2}
    account.add(source).sync(3)
    source.inbox.withheld = set()
    begun, = holdfast.sql("SELECT clock_timestamp()")[0]
    lock = holdfast.connect()
    try:
        lock.cursor().execute("LOCK TABLE source_uid IN SHARE MODE")  # may be read
        command = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "failures", account.name,
                                    "--retry"], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: holdfast.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = "
                                      "'source_uid'::regclass"), 60, "the command to make them due")
        account.sql("UPDATE job SET due_at = now() WHERE account_id = {id}")
        wait_for(lambda: holdfast.sql("SELECT 1 FROM job WHERE account_id = %s AND finished_at > %s", account.id,
                                      begun), 60, "a run by itself")
    finally:
        lock.close()
    assert "Nothing is pending" in command.communicate(timeout=120)[0]
    assert account.states() == stored(1, 2)
