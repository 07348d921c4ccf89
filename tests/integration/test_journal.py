# SPDX-License-Identifier: Apache-2.0
"""Accounts of kind journal: reports are kept as they are, and searched by what they tell."""
import email.message
import email.policy
import random

import pytest

from harness.dovecot import Dovecot
from harness.holdfast import Holdfast


def wrapped(i, encoding):
    inner = email.message.EmailMessage(policy=email.policy.SMTP)
    inner["From"] = f"Ann {i} <ann{i}@corp.example>"
    inner["To"] = f"Bob {i} <bob{i}@corp.example>"
    inner["Subject"] = f"Quartal {i} Übersicht"
    inner["Date"] = f"Mon, {1 + i:02} Oct 2001 08:00:00 +0200"
    inner["Message-ID"] = f"<inner-{i}@corp.example>"
    inner.set_content("nothing\n")
    report = email.message.EmailMessage(policy=email.policy.SMTP)
    report["From"] = "Microsoft Exchange <journal@corp.example>"
    report["To"] = "archive@corp.example"
    report["Subject"] = inner["Subject"]
    report["Message-ID"] = f"<report-{i}@corp.example>"
    report.set_content(f"Sender: ann{i}@corp.example\r\nSubject: {inner['Subject']}\r\n"
                       f"Message-Id: <inner-{i}@corp.example>\r\nTo: bob{i}@corp.example, Expanded: all{i}@corp.example\r\n"
                       f"Bcc: eve{i}@corp.example\r\nRecipient: carl{i}@corp.example\r\n", cte=encoding)
    report.add_attachment(inner)
    return report.as_bytes()


@pytest.fixture(scope="module")
def source(module_place):
    dovecot = Dovecot(module_place, users=("journal", "plain")).start()
    folder = module_place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    holdfast = Holdfast(folder)
    holdfast.start()
    reports = [wrapped(i, ("quoted-printable", "base64", "8bit")[i % 3]) for i in range(9)]
    for report in reports:
        for user in ("journal", "plain"):
            dovecot.deliver(user, report)
    holdfast.add_account(dovecot, "journal", "--kind", "journal")
    holdfast.add_account(dovecot, "plain")
    holdfast.run("sync")
    yield dovecot, holdfast, reports
    holdfast.stop()
    dovecot.stop()


def hits(holdfast, query, account="journal"):
    return holdfast.json("search", query, "--account", account)["hits"]


def envelope(report):
    """As Python's email package reads it: the addresses that the report and the message name."""
    outer = email.message_from_bytes(report, policy=email.policy.SMTP)
    text, inner = [part for part in outer.iter_parts()]
    facts = [line.split(": ", 1) for line in text.get_content().splitlines() if ": " in line]
    return facts, inner.get_content()


def test_what_the_envelope_says_is_searched(source):
    dovecot, holdfast, reports = source
    for i in random.Random(1).sample(range(9), 3):
        facts, inner = envelope(reports[i])
        for query in (f"from:ann{i}@corp.example", f"to:bob{i}@corp.example", f"to:all{i}@corp.example",
                      f"bcc:eve{i}@corp.example", f"bcc:carl{i}@corp.example", f'subject:"quartal {i} über"',
                      f"sent-on:2001-10-{1 + i:02}", f"inner-{i}@corp.example"):
            assert len(hits(holdfast, query)) == 1, query
        words = {"Sender": "from", "To": "to", "Bcc": "bcc", "Recipient": "to"}
        for fact, value in facts:
            if fact in words:
                assert len(hits(holdfast, f"{words[fact]}:{value.split(',')[0]}")) == 1
        assert inner["message-id"] == f"<inner-{i}@corp.example>"


def test_a_report_is_found_by_the_message_id_of_what_it_carries_and_by_its_own(source):
    _, holdfast, _ = source
    for kind in ("inner", "report"):
        assert [hit["uid"] for hit in hits(holdfast, f"id:<{kind}-4@corp.example>")] == [5]
    shown = holdfast.run("show", "<inner-4@corp.example>").stdout
    assert "journal/INBOX;UID=5" in shown, shown


def test_the_report_is_kept_and_served_as_it_came(source):
    dovecot, holdfast, reports = source
    holdfast.add_auditor()
    with holdfast.client() as client:
        client.select('"Accounts/journal/INBOX"', readonly=True)
        assert client.search(None, "BCC", "eve3@corp.example")[1][0].split() == [b"4"]
        assert client.search(None, "TO", "carl3@corp.example")[1][0].split() == [b"4"]
        assert client.search(None, "FROM", "ann3@corp.example")[1][0].split() == [b"4"]
        assert client.search(None, "FROM", "journal@corp.example")[1][0].split() == [b"%d" % (i + 1) for i in range(9)]
        octets = client.fetch("4", "(BODY.PEEK[])")[1][0][1]
    with dovecot.client("journal") as client:
        client.select("INBOX", readonly=True)
        assert octets == client.fetch("4", "(BODY.PEEK[])")[1][0][1]


def test_the_envelope_is_shown(source):
    _, holdfast, _ = source
    shown = holdfast.run("show", "journal/INBOX;UID=4").stdout
    for line in ("Bcc: eve3@corp.example", "Sender: ann3@corp.example", "journal-report"):
        assert line in shown, shown


def test_in_other_accounts_a_report_is_a_message_like_any_other(source):
    _, holdfast, _ = source
    assert hits(holdfast, "bcc:eve3@corp.example", "plain") == []
    assert len(hits(holdfast, "eve3@corp.example", "plain")) == 1


def test_reindex_derives_the_same(source):
    _, holdfast, _ = source
    rows = "SELECT a.kind, i.* FROM message_index i JOIN account a USING (account_id) ORDER BY account_id, message_id"
    before = holdfast.sql(rows)
    holdfast.sql("UPDATE message_index SET parser_version = 0, bcc_folded = NULL, notes = '[]'")
    holdfast.run("reindex")
    assert holdfast.sql(rows) == before
