# SPDX-License-Identifier: Apache-2.0
"""A second run fetches what is new and nothing else, records what changed, and alters nothing."""
import re

import pytest

from harness import mail


@pytest.fixture
def installed(new_dovecot, new_holdfast):
    dovecot = new_dovecot()
    for i, message in enumerate(mail.generate(40)):
        dovecot.deliver("alice", message, flags="S" if i % 2 else "")
    for message in mail.generate(10, seed=2):
        dovecot.deliver("alice", message, "Projects/Old.one")
    holdfast = new_holdfast().start()
    holdfast.add_account(dovecot, "alice")
    holdfast.run("sync", "alice")
    return dovecot, holdfast


def counts(holdfast):
    return holdfast.sql("SELECT count(*), count(gone_at), count(DISTINCT message_id) "
                        "FROM placement")[0]


def test_a_second_sync_fetches_nothing_and_says_so(installed):
    dovecot, holdfast = installed
    before = counts(holdfast)
    said = holdfast.run("sync", "alice").stdout
    assert "nothing new" in said
    assert counts(holdfast) == before == (50, 0, 50)


def test_new_mail_flag_changes_and_expunges_are_recorded(installed):
    dovecot, holdfast = installed
    for message in mail.generate(3, seed=3):
        dovecot.deliver("alice", message)
    client = dovecot.client("alice")
    client.select("INBOX")
    client.uid("STORE", "2,4", "+FLAGS", r"(\Flagged project-x)")
    client.uid("STORE", "6:7", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()
    said = holdfast.run("sync", "alice").stdout
    assert re.search(r"\b3 new message", said), said
    assert counts(holdfast) == (53, 2, 53)

    archive = holdfast_client(holdfast)
    archive.select("Accounts/alice/INBOX", readonly=True)
    _, flags = archive.uid("FETCH", "2,4,6,7", "(FLAGS)")
    text = b" ".join(flags)
    assert text.count(b"\\Flagged") == 2 and text.count(b"project-x") == 2
    assert text.count(b"$GoneAtSource") == 2
    assert holdfast.sql("SELECT count(*) FROM flag_event WHERE is_gone")[0][0] == 2
    changes = "flag_event e JOIN placement p USING (account_id, mailbox_id, uid)"
    assert holdfast.sql(f"SELECT count(*) FROM {changes} WHERE NOT e.is_gone "
                        "AND e.modseq > p.appeared_modseq")[0][0] == 2
    # Each history begins with the state in which the message appeared.
    assert holdfast.sql(f"SELECT count(*) FROM {changes} WHERE e.modseq = p.appeared_modseq")[0][0] == 4
    assert "nothing new" in holdfast.run("sync", "alice").stdout


def test_a_clock_that_was_ahead_hides_no_new_mail(installed):
    dovecot, holdfast = installed
    holdfast.sql("UPDATE source_epoch SET enumerated_at = now() + interval '1 year', "
                 "listed_at = now() + interval '1 year'")
    for message in mail.generate(3, seed=3):
        dovecot.deliver("alice", message)
    said = holdfast.run("sync", "alice").stdout
    assert re.search(r"\b3 new message", said), said
    assert holdfast.sql("SELECT count(*) FROM source_epoch WHERE enumerated_at > now()")[0][0] == 0


def holdfast_client(holdfast):
    holdfast.add_auditor()
    return holdfast.client()


def test_ingestion_leaves_the_source_as_it_was(installed):
    dovecot, holdfast = installed
    dovecot.deliver("alice", next(mail.generate(1, seed=9)), flags="")
    files = dovecot.mail_files("alice")
    client = dovecot.client("alice")
    state = [client.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)")]
    client.select("INBOX", readonly=True)
    state.append(client.fetch("1:*", "(UID FLAGS)"))
    holdfast.run("sync", "alice")
    holdfast.run("sync", "alice")
    client.noop()
    assert dovecot.mail_files("alice") == files
    assert state == [client.status("INBOX", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"),
                     client.fetch("1:*", "(UID FLAGS)")]


def test_excluded_mailboxes_are_left_alone(new_dovecot, new_holdfast):
    dovecot = new_dovecot()
    for mailbox in ("INBOX", "Junk", "Projects/One", "Projects/Two"):
        dovecot.deliver("alice", next(mail.generate(1, seed=len(mailbox))), mailbox)
    holdfast = new_holdfast().start()
    holdfast.add_account(dovecot, "alice", "--exclude", "Junk", "--exclude", "Projects/T*")
    holdfast.run("sync", "alice")
    paths = [p for p, in holdfast.sql("SELECT path FROM mailbox WHERE messages > 0 ORDER BY path")]
    assert paths == ["INBOX", "Projects/One"]


def test_mail_that_arrives_through_starttls_and_literal_names(new_dovecot, new_holdfast):
    dovecot = new_dovecot(separator=".", mechanisms="plain")
    dovecot.deliver("alice", next(mail.generate(1)), "Gru\u0308n")
    dovecot.deliver("alice", next(mail.generate(1, seed=2)))
    holdfast = new_holdfast().start()
    holdfast.add_account(dovecot, "alice", scheme="imap")
    holdfast.run("sync", "alice")
    assert counts(holdfast)[0] == 2


def test_reconcile_finds_and_heals_what_an_unchanged_mailbox_hides(installed):
    dovecot, holdfast = installed
    (mailbox,) = holdfast.sql("SELECT mailbox_id FROM mailbox WHERE path = 'INBOX'")[0]
    holdfast.sql(f"DELETE FROM flag_event WHERE mailbox_id = {mailbox} AND uid = 5")
    holdfast.sql(f"DELETE FROM source_uid WHERE mailbox_id = {mailbox} AND placement_uid = 5")
    holdfast.sql(f"DELETE FROM placement WHERE mailbox_id = {mailbox} AND uid = 5")
    assert "nothing new" in holdfast.run("sync", "alice").stdout
    found = holdfast.json("reconcile", "alice")
    assert found["complete"] is True
    (account,) = found["accounts"]
    boxes = {box["path"]: box for box in account["mailboxes"]}
    assert (boxes["INBOX"]["exists"], boxes["INBOX"]["archived"]) == (40, 40)
    assert all(box["unexplained"] == box["pending"] == 0 for box in boxes.values())
    assert counts(holdfast)[0] == 50
    said = holdfast.run("reconcile").stdout
    assert "50 messages at the source: 50 archived" in said and "0 unexplained" in said


def test_failures_are_listed_with_their_reason_and_tried_again(installed):
    dovecot, holdfast = installed
    assert "Nothing is pending" in holdfast.run("failures").stdout
    holdfast.sql("INSERT INTO source_uid (account_id, mailbox_id, epoch, uid, state, attempts, error, "
                 "next_try_at) SELECT account_id, mailbox_id, 1, 4000, 'pending', 3, "
                 "'the server said no', now() + interval '1 day' FROM mailbox WHERE path = 'INBOX'")
    (failure,) = holdfast.json("failures")
    assert (failure["path"], failure["uid"], failure["attempts"]) == ("INBOX", 4000, 3)
    assert failure["error"] == "the server said no"
    assert "the server said no" in holdfast.run("failures", "alice").stdout
    # The source does not have it: asked again, it is proved to be gone.
    assert "Nothing is pending" in holdfast.run("failures", "--retry").stdout
    assert holdfast.json("failures") == []
