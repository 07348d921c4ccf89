# SPDX-License-Identifier: Apache-2.0
"""Failures 21 to 40 of ingestion: octets, connections, and what the operator is told of them.

1 to 20 are in test_failures_uids.py. Most of what is here no good server can be made to do: the source is
scripted, octet for octet.
"""
import hashlib
import re

import pytest

from harness import mail
from harness.account import stored
from harness.holdfast import installation
from harness.scripted_source import CUT, OK, SILENCE, USUAL, Source, message

OCTETS = r"UID FETCH \S+ .*(BODY|RFC822\))"
LISTS = r"UID FETCH \S+ \(UID FLAGS( INTERNALDATE)?\)"
STALL_SECONDS = 4


@pytest.fixture(scope="module")
def holdfast(module_place):
    """With little patience for a source that is silent."""
    with installation(module_place, ingest=f"stall = {STALL_SECONDS}s\n") as made:
        yield made


def all_of(source, name="INBOX"):
    return [source.mailboxes[name].messages[uid] for uid in sorted(source.mailboxes[name].messages)]


def is_archived_whole(account, source):
    """Every octet of INBOX is archived and nothing is pending."""
    row = account.reconcile()["INBOX"]
    count = len(source.inbox.messages)
    return (account.archived() == all_of(source) and account.failures() == {} and
            (row["exists"], row["archived"], row["pending"]) == (count, count, 0))


# ---- content ---------------------------------------------------------------------------------------


def test_21_a_wrong_rfc822_size_neither_discards_nor_truncates(account):
    source = Source((1, 2, 3))
    source.inbox.sizes = {1: 1, 2: 99_999, 3: 0}
    account.add(source).sync()
    assert is_archived_whole(account, source)
    notes, = account.sql("SELECT (progress->>'size_notes')::int FROM job WHERE account_id = {id} "
                         "AND kind = 'sync'")[0]
    assert notes in (0, 3)  # of the run that fetched them, or of the one of reconcile


def test_22_nil_is_never_an_empty_message(account):
    source = Source((1, 2))
    source.inbox.nil = {1: r"BODY.*|RFC822"}
    account.add(source).sync(3)
    assert account.states() == {1: "pending", 2: "stored"}
    assert account.archived() == [message(2)]
    assert "NIL" in account.failures()[1]


@pytest.mark.parametrize("denied", [r"BODY.PEEK\[\]", r"BODY.*"])
def test_22_octets_that_one_item_denies_come_by_another(account, denied):
    source = Source((1, 2, 3))
    source.inbox.nil = {2: denied}
    account.add(source).sync()
    assert sorted(account.archived()) == all_of(source)
    assert account.placements() == (3, 0, 3)


def test_23_no_octets_and_another_size_are_not_a_message(account):
    source = Source((1, 2))
    source.on(OCTETS,
              b"* 1 FETCH (UID 1 RFC822.SIZE 700 BODY[] {0}\r\n)\r\n", b"<tag> OK done\r\n", times=1)
    account.add(source).sync()
    assert sorted(account.archived()) == all_of(source)


def test_23_no_octets_again_on_another_connection_are_stored_and_marked(account):
    source = Source((1, 2))
    empty = b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 700 %b {0}\r\n)\r\n"
    source.on(r"UID FETCH 1:2 .*BODY", empty % b"BODY[]",
              lambda session, tag, command: session.say(session.response(2, ["UID", "BODY[]"])), OK)
    source.on(r"UID FETCH 1 .*BODY\S*\[\]", empty % b"BODY[]", OK)
    source.on(r"UID FETCH 1 .*RFC822\)", empty % b"RFC822", OK)
    source.inbox.nil = {1: r"BODY.*"}
    account.add(source).sync(3)
    assert "no octets" in account.failures()[1]
    account.retry_now()
    account.sync()
    assert account.archived() == [message(2), b""]
    assert account.sql("SELECT state, doubt FROM source_uid WHERE account_id = {id} AND uid = 1") == [
        ("stored", "empty")]
    assert b"$NotOriginal" in account.shown_flags()[1]


# What 4 of rule 9 asks for: pieces, where the whole is denied.
PARTS = (b'Content-Type: multipart/mixed; boundary="=_b"\r\nSubject: parts\r\n\r\n'
         b"--=_b\r\nContent-Type: text/plain\r\n\r\none\r\n"
         b"--=_b\r\nContent-Type: image/png\r\n\r\n\x89two\r\n--=_b--\r\n")


@pytest.mark.parametrize("denied", [r"BODY\[\]|BODY.PEEK\[\]|RFC822", r"BODY\[\]|BODY.PEEK\[(TEXT)?\]|RFC822"],
                         ids=["header_and_text", "part_by_part"])
def test_22_what_only_comes_in_pieces_is_stored_and_stays_pending(account, denied):
    source = Source({1: message(1), 2: PARTS})
    source.inbox.nil = {2: denied}
    source.inbox.parts = {2: {"1": b"one", "1.MIME": b"Content-Type: text/plain\r\n\r\n",
                              "2": b"\x89two", "2.MIME": b"Content-Type: image/png\r\n\r\n"}}
    account.add(source).sync(3)
    assert account.archived() == [message(1), PARTS]
    assert account.states() == {1: "stored", 2: "pending"}
    assert "pieces" in account.failures()[2] and "NIL" in account.failures()[2]
    assert b"$NotOriginal" in account.shown_flags()[1]
    account.retry_now()
    account.sync(3)
    assert account.placements() == (2, 0, 2)  # not once more
    original = PARTS.replace(b"\r\n--=_b--", b"  \r\n--=_b--")
    source.inbox.nil, source.inbox.messages[2] = {}, original
    row = account.reconcile()["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (2, 2, 0)
    assert account.archived() == [message(1), PARTS, original]
    flags = account.shown_flags()
    assert b"$GoneAtSource" in flags[1] and b"$NotOriginal" in flags[1] and flags[2] == b""


PLACEHOLDER = (b"From: Microsoft Exchange Server\r\nSubject: Retrieval using the IMAP4 protocol failed for "
               b"the following message: 4711\r\n\r\nThe server couldn't retrieve the following message\r\n")


def test_22_a_placeholder_is_stored_but_not_as_the_original(account):
    source = Source({1: message(1), 2: PLACEHOLDER})
    account.add(source).sync(3)
    assert account.archived() == [message(1), PLACEHOLDER]
    assert account.states() == {1: "stored", 2: "pending"}
    assert "text of its own" in account.failures()[2]
    wait, = account.sql("SELECT next_try_at - now() > interval '5 hours' FROM source_uid "
                        "WHERE account_id = {id} AND uid = 2")[0]
    assert wait
    row = account.reconcile(3)["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (2, 1, 1)
    source.inbox.messages[2] = message(2)
    account.reconcile()
    assert account.archived() == [message(1), PLACEHOLDER, message(2)]
    assert account.failures() == {}


def test_22_a_substitute_of_a_message_that_vanishes_is_gone_with_it(account):
    source = Source({1: message(1), 2: PLACEHOLDER})
    account.add(source).sync(3)
    del source.inbox.messages[2]
    account.sync()
    assert account.states() == {1: "stored", 2: "gone"}
    assert account.placements() == (2, 1, 2)
    source.inbox.messages[2] = PLACEHOLDER
    account.sync(3)
    assert account.placements() == (2, 0, 2)
    assert b"$NotOriginal" in account.shown_flags()[1]  # there again, and still not the original
    source.inbox.uidvalidity = 8
    source.inbox.messages[2] = PLACEHOLDER
    account.sync(3)
    assert account.placements() == (2, 0, 2)  # the same octets in a new epoch


FORMS = {"quoted": rb'"Subject: \"q\" \\ x"', "empty": b'""', "literal": b"{4}\r\nA: b",
         "literal8": b"~{9}\r\nA: b\r\n\r\n\0", "bare": b"{0}\r\n"}
MEANS = {"quoted": rb'Subject: "q" \ x', "empty": b"", "literal": b"A: b",
         "literal8": b"A: b\r\n\r\n\0", "bare": b""}


def test_24_every_way_to_write_a_string_is_understood(account):
    source = Source(range(1, len(FORMS) + 1))

    def give(session, tag, command):
        for uid, (name, octets) in enumerate(FORMS.items(), 1):
            session.say(f"* {uid} FETCH (UID {uid} FLAGS () INTERNALDATE \"01-Feb-2020 10:00:0{uid} "
                        f"+0000\" RFC822.SIZE {len(MEANS[name])} BODY[] ", octets, ")\r\n")

    source.on(OCTETS, give, OK)
    account.add(source).sync()
    assert account.archived() == list(MEANS.values())


STRANGE = {
    25: [b"Subject: a\0b\r\n\r\nx\0\0y\r\n\0", b"\0", b"\0" * 3000,
         b"X-\0: \0\r\nContent-Type: text/\0plain\r\n\r\n"],
    26: [b"A: b\nC: d\n\nbare\nline\nfeeds", b"A: b\r\rc\rd", b"A: b\r\n\nx\n\r\n\r", b"\n", b"\r",
         b"\r\n.\r\n..\r\n"],
    27: [b"Subject: \xe4\xf6\xfc\r\nFrom: \xff\xfe <a@\x80>\r\n\r\n\xc3\x28",
         "Subject: \u00fcn\u00efc\u00f6de\r\n\r\n\u2603".encode(),
         b"Subject: =?utf-8?Q?=FF=FE?= =?no-such?B?////?=\r\n\r\n", bytes(range(1, 256))],
    28: [b"Subject: " + b"x" * 2_000_000 + b"\r\n\r\n.", b"A: b\r\n\r\n" + b"y" * 3_000_000,
         b"".join(b"X-%d: z\r\n" % n for n in range(60_000)) + b"\r\nend"],
}


def octets_come_as_they_are(account, number):
    source = Source(dict(enumerate(STRANGE[number], 1)))
    account.add(source).sync()
    assert is_archived_whole(account, source)
    assert account.sql("SELECT count(*) FROM message_index WHERE account_id = {id}") == [
        (len(STRANGE[number]),)]


def test_25_nul_octets_are_kept(account):
    octets_come_as_they_are(account, 25)


def test_26_bare_line_ends_are_kept(account):
    octets_come_as_they_are(account, 26)


def test_27_octets_that_are_no_utf8_are_kept_and_indexed(account):
    octets_come_as_they_are(account, 27)


def test_28_very_long_lines_and_headers_are_kept(account):
    octets_come_as_they_are(account, 28)


def test_29_a_large_literal_streams(account):
    """That memory does not grow with it is shown in test_large.py."""
    source = Source({1: message(1), 2: mail.large_message(24 << 20), 3: message(3)})
    account.add(source).sync()
    assert [hashlib.sha256(octets).digest() for octets in account.archived()] == [
        hashlib.sha256(octets).digest() for octets in all_of(source)]


def test_29_a_message_over_the_limit_is_pending_with_that_reason(account):
    source = Source((1, 2, 3))
    source.on(r"UID FETCH (1:3|2:3|2) .*(BODY|RFC822\))",
              b'* 1 FETCH (UID 2 INTERNALDATE "01-Feb-2020 10:00:00 +0100" BODY[] {3000000000}\r\nabc',
              SILENCE)
    account.add(source).sync(3)
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "3000000000 bytes, at most" in account.failures()[2]
    assert sorted(account.archived()) == [message(1), message(3)]


def test_30_a_literal_shorter_than_announced_is_no_message(account):
    source = Source((1, 2, 3))
    short = (b'* 1 FETCH (UID 2 INTERNALDATE "01-Feb-2020 10:00:00 +0100" BODY[] {225752}\r\n'
             b"Subject: short\r\n\r\nx)\r\n<tag> OK done\r\n")
    source.on(r"UID FETCH (1:3|2:3|1:2|2) .*BODY", short, SILENCE)
    account.add(source).sync(3)
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "ended within its octets" in account.failures()[2]
    assert sorted(account.archived()) == [message(1), message(3)]


def test_31_lines_that_look_like_the_end_are_octets(account):
    tags = "".join(f"h{n} OK done\r\n)\r\n* BYE\r\nA{n} NO\r\n" for n in range(40)).encode()
    source = Source({1: tags, 2: b")\r\n", 3: b"* 1 FETCH (UID 1 BODY[] {5}\r\nabcde)\r\n", 4: message(4)})
    account.add(source).sync()
    assert is_archived_whole(account, source)


def test_32_what_the_server_parsed_is_not_asked_for_and_does_no_harm(account):
    source = Source((1, 2, 3))
    source.on(OCTETS, b'* 1 FETCH (ENVELOPE ("x" NIL ((broken) BODYSTRUCTURE (((\r\n'
                      b"* 2 FETCH (UID 2 ENVELOPE (NIL) BODYSTRUCTURE garbage)\r\n", USUAL)
    account.add(source).sync()
    assert is_archived_whole(account, source)
    assert not [c for c in source.heard if "ENVELOPE" in c or "BODYSTRUCTURE" in c]


# ---- connection and protocol -----------------------------------------------------------------------


def test_33_a_drop_within_a_literal_costs_only_that_message_once(account):
    source = Source(range(1, 11))
    source.inbox.breaks_in = {5: 1}
    account.add(source).sync()
    assert is_archived_whole(account, source)
    assert account.placements() == (10, 0, 10)


def test_33_a_literal_that_always_breaks_off_is_put_aside_and_the_rest_is_archived(account):
    source = Source(range(1, 11))
    source.inbox.breaks_in = {5: 1000, 8: 1000}
    assert "2 message" in account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 11)), 5: "pending", 8: "pending"}
    assert set(account.failures()) == {5, 8}
    source.inbox.breaks_in = {}
    account.reconcile()
    assert sorted(account.archived()) == sorted(all_of(source))


@pytest.mark.parametrize("where", ["EXAMINE", LISTS, OCTETS], ids=["examine", "list", "fetch"])
def test_34_a_bye_ends_the_connection_and_nothing_else(account, where):
    source = Source((1, 2, 3))
    source.on(where, b"* BYE Session expired, please login again\r\n", SILENCE, times=1)
    account.add(source).sync()
    assert source.logins == 2
    assert is_archived_whole(account, source)


BUSY = ["[THROTTLED] slow down", "[OVERQUOTA] Account exceeded command or bandwidth limits. 1",
        "[LIMIT] Rate limit hit", "[ALERT] Too many simultaneous connections. (Failure)",
        "[UNAVAILABLE] Maximum number of connections from user+IP exceeded"]


@pytest.mark.parametrize("text", BUSY + ["Request is throttled. Suggested Backoff Time: 299961 milliseconds"])
def test_34_a_source_that_asks_for_less_is_left_alone(account, text):
    source = Source((1, 2, 3))
    source.add("Later", (1,))
    source.on("EXAMINE", f"<tag> {'BAD' if 'Backoff' in text else 'NO'} {text}\r\n".encode())
    account.add(source).sync(3)
    assert source.logins == 1
    assert len(source.heard_like("EXAMINE")) == 1


@pytest.mark.parametrize("text", ["+ NO [LIMIT] Rate limit hit", "Account exceeded command or bandwidth limits"])
def test_34_a_bye_that_asks_for_less_is_not_followed_by_another_connection(account, text):
    source = Source((1, 2, 3))
    source.on(OCTETS, f"* BYE {text}\r\n".encode(), CUT)
    account.add(source).sync(3)
    assert source.logins == 1
    assert set(account.failures()) == {1, 2, 3} and account.status()["outcome"] == "RETRY"
    source.forget_script()
    account.sync()
    assert is_archived_whole(account, source)


def test_35_an_expunge_during_the_fetch_is_seen_and_proved(account):
    source = Source((1, 2, 3, 4))

    def expunge(session, tag, command):
        session.say(session.response(1, ["UID", "BODY[]"]))
        source.inbox.messages.pop(2, None)
        session.say("* 2 EXPUNGE\r\n", session.response(3, ["UID", "BODY[]"]),
                    session.response(4, ["UID", "BODY[]"]))

    source.on(OCTETS, expunge, OK, times=1)
    account.add(source).sync()
    assert account.states() == {1: "stored", 2: "gone", 3: "stored", 4: "stored"}
    assert account.archived() == all_of(source)


def test_35_expungeissued_is_asked_about_not_believed_to_be_a_failure(account):
    source = Source((1, 2, 3))

    def vanish(session, tag, command):
        source.inbox.messages.pop(2, None)

    source.on(r"UID FETCH (1:3|1:2|2) .*BODY", vanish,
              b"<tag> NO [EXPUNGEISSUED] some of the messages no longer exist\r\n")
    account.add(source).sync()
    assert account.states() == {1: "stored", 2: "gone", 3: "stored"}


def test_36_what_came_before_a_no_is_kept(account):
    source = Source((1, 2, 3, 4))

    def two(session, tag, command):
        session.say(session.response(1, ["UID", "BODY[]"]), session.response(3, ["UID", "BODY[]"]))

    source.on(r"UID FETCH 1:4 ", two, b"<tag> NO some messages failed\r\n")
    source.inbox.refused = {4}
    account.add(source).sync(3)
    assert account.states() == {**stored(1, 2, 3), 4: "pending"}
    assert not [c for c in source.heard_like(OCTETS)[1:] if re.match(r"UID FETCH (1|3)\b", c)]
    assert sorted(account.archived()) == [message(n) for n in (1, 2, 3)]


def test_37_a_source_that_falls_silent_is_left_within_the_stall_time(account):
    source = Source((1, 2, 3))
    source.on(LISTS, b"* 1 FETCH (UID 1 FLAGS ())\r\n", SILENCE)
    said = account.add(source).sync(3)
    assert f"silent for {STALL_SECONDS} s" in said
    source.forget_script()
    source.on(OCTETS, CUT, times=1)
    account.sync()
    assert is_archived_whole(account, source)


def test_38_new_mail_comes_without_a_word_of_idle(account):
    source = Source((1,), capabilities="IMAP4rev1 IDLE")
    source.on("IDLE", b"+ idling\r\n", SILENCE)
    account.add(source, "--every", "1s").sync()
    source.inbox.messages[2] = message(2)
    source.wait_heard(r"UID FETCH 2 .*BODY")


NAMES = {'"NIL"': "NIL", "&bad": None, "Gr&APw-n": "Gr\u00fcn", '"a b"': "a b", '"q\\"q"': 'q"q'}


def test_39_any_name_of_a_mailbox_is_archived_and_none_stops_the_others(account):
    source = Source((1,))
    for name in NAMES:
        source.add(name, {1: name.encode()})
    source.add("only-a-name", attributes=r"\Noselect")
    source.add("not-there", attributes=r"\NonExistent")
    source.add("broken").refusal = "[NOPERM] not yours"
    flat = source.add("a.b", {1: b"flat"})
    flat.delimiter = "NIL"
    source.add("lit eral", {1: b"by literal"})
    said = account.add(source).sync(3)
    assert "broken" in said and "NOPERM" in said
    heard = source.heard_like("EXAMINE")
    assert not [c for c in heard if "only-a-name" in c or "not-there" in c]
    archived = dict(account.sql("SELECT b.path, count(p.*) FROM mailbox b LEFT JOIN placement p USING "
                                "(account_id, mailbox_id) WHERE account_id = {id} GROUP BY b.path"))
    assert archived["INBOX"] == archived["NIL"] == archived["Gr\u00fcn"] == archived["a b"] == 1
    assert archived["lit eral"] == 1
    assert sum(archived.values()) >= len(NAMES) + 2
    assert account.archived("NIL") == [b'"NIL"']
    rows = account.reconcile(3)
    assert (rows["broken"]["epoch"], rows["broken"]["enumerated_at"]) == (0, None)
    assert "only-a-name" not in rows


@pytest.mark.parametrize("inbox", ["Inbox", "inbox", '"INBOX"'])
def test_39_inbox_is_inbox_in_any_case(account, inbox):
    source = Source()
    source.mailboxes = {inbox: source.add("INBOX", (1,))}
    source.on("EXAMINE", lambda session, tag, command: setattr(
        session, "mailbox", source.mailboxes[inbox]), USUAL)
    account.add(source).sync()
    assert account.archived("INBOX") == [message(1)]


def test_40_a_run_that_could_not_have_everything_never_says_complete(account):
    source = Source(range(1, 121))
    source.inbox.refused = set(range(1, 121, 2))  # sixty: more than where others give up
    assert "not complete" in account.add(source).sync(3)
    assert account.states() == {uid: "pending" if uid % 2 else "stored" for uid in range(1, 121)}
    row = account.reconcile(3)["INBOX"]
    assert (row["exists"], row["archived"], row["pending"]) == (120, 60, 60)
    assert len(account.failures()) == 60
    assert account.status()["pending"] == 60 and account.status()["outcome"] == "RETRY"


@pytest.mark.parametrize("reply,status", [("[AUTHENTICATIONFAILED] no", 1), ("[EXPIRED] password", 1),
                                          ("[THROTTLED] later", 3), ("[UNAVAILABLE] later", 3),
                                          ("[ALERT] Too many simultaneous connections. (Failure)", 3)])
def test_40_a_wrong_password_and_a_throttle_are_told_apart(account, reply, status):
    source = Source((1,))
    source.on("LOGIN", f"<tag> NO {reply}\r\n".encode())
    account.add(source).sync(status)
    assert account.status()["outcome"] == ("DENIED" if status == 1 else "RETRY")


def test_40_one_refused_message_is_isolated(account):
    source = Source(range(1, 31))
    source.inbox.refused = {17}
    source.inbox.refused_with = "[SERVERBUG] Internal error occurred. Refer to server log"
    account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 31)), 17: "pending"}
    assert source.logins == 1
    assert "Internal error" in account.failures()[17]


def test_40_a_mailbox_that_is_all_server_errors_is_left_after_a_few(account):
    source = Source(range(1, 301))
    source.inbox.refused = set(range(1, 301))
    source.inbox.refused_with = "[UNAVAILABLE] UID FETCH Server error"
    assert "Server error" in account.add(source).sync(3)
    assert set(account.states().values()) == {"pending"}
    assert source.logins == 1
    assert len(source.heard_like(OCTETS)) < 20


# ---- also: CONDSTORE -------------------------------------------------------------------------------


def test_a_modseq_of_63_bits_is_kept_and_none_is_ever_asked_since_zero(account):
    source = Source((1, 2), capabilities="IMAP4rev1 CONDSTORE LIST-STATUS")
    source.inbox.highestmodseq = (1 << 63) - 1
    account.add(source).sync()
    assert account.sql("SELECT highestmodseq FROM source_epoch WHERE account_id = {id}") == [
        ((1 << 63) - 1,)]
    assert "nothing new" in account.sync()
    assert len(source.heard_like("EXAMINE")) == 1  # LIST-STATUS says that nothing happened
    assert not [c for c in source.heard if "CHANGEDSINCE 0" in c]


def test_a_highestmodseq_of_0_proves_nothing(account):
    source = Source((1, 2), capabilities="IMAP4rev1 CONDSTORE LIST-STATUS")
    source.inbox.highestmodseq = 0
    account.add(source).sync()
    source.inbox.flags = {2: r"\Flagged"}  # UIDNEXT and MESSAGES stay as they were
    account.sync()
    assert account.flags() == [0, 4]
