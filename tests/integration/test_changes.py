# SPDX-License-Identifier: Apache-2.0
"""Sources with MODSEQ (RFC 7162) are asked for what changed, and believed only when the count agrees.

Real servers, where all goes well, are in test_sources.py."""
import pytest

from harness.account import stored
from harness.scripted_source import CUT, OK, USUAL, Source

QUESTION = r"UID FETCH 1:4294967295 \(UID FLAGS\) \(CHANGEDSINCE"
LISTING = r"UID FETCH 1:\* \(UID FLAGS\)"


@pytest.fixture
def source(account):
    """Five messages, archived when MODSEQ was 10; then 2 was expunged, 3 flagged, 6 arrived."""
    made = Source(range(1, 6), capabilities="IMAP4rev1 ENABLE CONDSTORE QRESYNC")
    made.on(r"ENABLE QRESYNC", b"* ENABLED QRESYNC\r\n", OK)
    made.inbox.highestmodseq = 10
    account.add(made).sync()
    assert account.states() == stored(*range(1, 6))
    del made.inbox.messages[2]
    made.inbox.messages[6] = b"Subject: new\r\n\r\n"
    made.inbox.flags[3] = "\\Flagged"
    made.inbox.highestmodseq = 13
    made.heard.clear()
    return made


AFTERWARDS = {**stored(*range(1, 7)), 2: "stored gone"}
VANISHED = b"* VANISHED (EARLIER) 2,7:9\r\n"
FLAGGED = b"* 2 FETCH (UID 3 FLAGS (\\Flagged) MODSEQ (12))\r\n"
ARRIVED = b"* 5 FETCH (UID 6 FLAGS () MODSEQ (13))\r\n"


def modseq(account):
    return account.sql("SELECT highestmodseq FROM source_epoch WHERE account_id = {id}")[0][0]


def test_changes_are_asked_for_since_the_last_enumeration_and_nothing_else(account, source):
    source.on(QUESTION, VANISHED, FLAGGED, ARRIVED, OK)
    account.sync()
    assert account.states() == AFTERWARDS
    assert account.flags()[2] != 0
    assert modseq(account) == 13
    assert source.heard_like(QUESTION) == ["UID FETCH 1:4294967295 (UID FLAGS) "
                                           "(CHANGEDSINCE 10 VANISHED)"]
    assert not source.heard_like(LISTING)
    assert source.heard_like("ENABLE") and source.heard.index("ENABLE QRESYNC") < source.heard.index(
        "EXAMINE INBOX (CONDSTORE)")


@pytest.mark.parametrize("answer", [(FLAGGED, ARRIVED), (),
                                    (VANISHED, b"* 2 FETCH (UID 3 FLAGS broken\r\n", ARRIVED)])
def test_an_answer_that_does_not_explain_the_count_is_followed_by_a_listing(account, source, answer):
    source.on(QUESTION, *answer, OK)
    account.sync()
    assert source.heard_like(LISTING)
    assert account.states() == AFTERWARDS
    assert account.flags()[2] != 0


@pytest.mark.parametrize("answer", [(b"<tag> BAD what\r\n",), (b"<tag> NO [CANNOT] no\r\n",),
                                    (VANISHED, CUT), (b"* VANISHED (EARLIER) " + b"1" * 2_000_000,)])
def test_a_question_that_fails_is_not_asked_again_and_all_is_listed(account, source, answer):
    source.on(QUESTION, *answer)
    account.sync()
    assert len(source.heard_like(QUESTION)) == 1
    assert account.states() == AFTERWARDS


def test_modseq_advances_only_with_a_complete_enumeration(account, source):
    source.on(QUESTION, FLAGGED, ARRIVED, OK)
    source.on(LISTING, b"<tag> NO [UNAVAILABLE] not now\r\n", times=1)
    account.sync(3)
    assert modseq(account) == 10
    source.forget_script()
    account.sync()
    assert modseq(account) == 13
    assert account.states() == AFTERWARDS


def test_mail_that_arrives_while_the_question_is_answered_is_taken_along(account, source):
    def arrive(session, tag, command):
        source.inbox.messages[7] = b"Subject: just now\r\n\r\n"
        session.say("* 6 EXISTS\r\n")

    source.on(QUESTION, VANISHED, FLAGGED, ARRIVED, arrive, OK)
    account.sync()
    assert account.states() == {**AFTERWARDS, 7: "stored"}
    assert not source.heard_like(LISTING)


def test_mail_that_uidnext_promises_is_looked_for(account, source):
    source.on(QUESTION, VANISHED, FLAGGED, OK)
    account.sync()
    assert account.states() == AFTERWARDS
    assert source.heard_like(r"UID FETCH 6:\* ") and not source.heard_like(LISTING)


def test_once_a_day_all_is_listed_and_so_does_reconcile(account, source):
    source.on(QUESTION, VANISHED, FLAGGED, ARRIVED, OK)
    account.sql("UPDATE source_epoch SET listed_at = now() - interval '25 hours' "
                "WHERE account_id = {id}")
    account.sync()
    assert source.heard_like(LISTING) and not source.heard_like(QUESTION)
    account.reconcile()
    assert len(source.heard_like(LISTING)) == 2 and not source.heard_like(QUESTION)
    assert account.states() == AFTERWARDS


@pytest.mark.parametrize("value", [None, 0, 9])
def test_a_modseq_that_is_missing_or_went_back_is_not_asked_for(account, source, value):
    source.inbox.highestmodseq = value
    account.sync()
    assert not source.heard_like(QUESTION)
    assert account.states() == AFTERWARDS


def test_a_server_that_does_not_enable_qresync_is_asked_without_it(account, source):
    source.forget_script()
    source.on(r"ENABLE QRESYNC", b"<tag> BAD what\r\n")
    source.on(QUESTION, FLAGGED, ARRIVED, OK)
    source.on(LISTING, USUAL)
    account.sync()
    assert source.heard_like(QUESTION) == ["UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE 10)"]
    assert account.states() == AFTERWARDS  # the expunge by a listing, for the count does not agree
    assert source.heard_like(LISTING)


def test_a_mailbox_that_was_not_listed_once_is_listed_whole_when_it_is_back(account):
    made = Source((1,), capabilities="IMAP4rev1 LIST-STATUS CONDSTORE")
    kept = made.add("Kept", range(1, 4))
    made.inbox.highestmodseq, kept.highestmodseq = 10, 20
    kept.withheld = {2}
    account.add(made).sync(3)
    assert account.states(path="Kept") == {**stored(1, 3), 2: "pending"}
    kept.withheld = set()
    del made.mailboxes["Kept"]  # a server that cannot reach where it lies, say
    account.sync()
    assert account.states(path="Kept") == {**stored(1, 3), 2: "gone"}
    made.mailboxes["Kept"] = kept
    account.sync()
    assert account.states(path="Kept") == stored(1, 2, 3)


def test_what_counts_as_gone_while_it_is_fetched_is_looked_for_again(account):
    made = Source((1, 2), capabilities="IMAP4rev1 LIST-STATUS CONDSTORE").on("UID SEARCH", b"* SEARCH\r\n", OK)
    made.inbox.highestmodseq = 10
    made.inbox.withheld = {2}
    account.add(made).sync()
    assert account.states() == {1: "stored", 2: "gone"}
    made.inbox.withheld = set()  # STATUS says what it said before: two messages, nothing new
    account.sync()
    assert account.states() == stored(1, 2)
