# SPDX-License-Identifier: Apache-2.0
"""What differs between providers: whose mailboxes are archived, which rules of theirs are kept."""
import json
import threading

import pytest

from harness import mail
from harness.account import stored
from harness.place import wait_for
from harness.providers import Exchange, Gmail
from harness.scripted_source import CUT, OK, Source

NAMESPACES = """
namespace public {
  type = public
  separator = /
  prefix = Public/
  location = maildir:~/Public
  subscriptions = no
}
namespace hidden {
  type = public
  separator = /
  prefix = "#board/"
  location = maildir:~/Board
  subscriptions = no
  list = no
  hidden = no
}
"""


def deliver_into(folder, dovecot, octets):
    """Into a Maildir of the user's home that is no part of his own namespace."""
    base = dovecot.dir / "home/alice/Maildir"
    link = base / f".{folder.name}-link"
    folder.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder)
    dovecot.deliver("alice", octets, f"{folder.name}-link")
    link.unlink()


@pytest.fixture
def two_namespaces(new_dovecot, new_holdfast):
    dovecot = new_dovecot(extra=NAMESPACES)
    messages = list(mail.generate(6, seed=21))
    for message in messages[:3]:
        dovecot.deliver("alice", message)
    home = dovecot.dir / "home/alice"
    for i, (place, name) in enumerate((("Public", "Team"), ("Public", "News"), ("Board", "Minutes"))):
        deliver_into(home / place / f".{name}", dovecot, messages[3 + i])
    holdfast = new_holdfast().start()
    holdfast.add_account(dovecot, "alice")
    return dovecot, holdfast


def listed(holdfast):
    return {path: gone for path, gone in holdfast.sql(
        "SELECT path, gone_at IS NOT NULL FROM mailbox WHERE NOT is_noselect")}


def test_shared_mailboxes_are_archived_only_when_asked_for(two_namespaces):
    dovecot, holdfast = two_namespaces
    said = holdfast.run("account", "test", "alice").stdout
    assert "left out as shared (--namespace shared): 2 mailboxes, the first Public/News" in said
    said = holdfast.run("reconcile", "alice").stdout
    assert "Public/Team" in said and "--namespace shared would archive it" in said
    assert listed(holdfast) == {"INBOX": False}

    holdfast.run("account", "edit", "alice", "--namespace", "shared")
    report = json.loads(holdfast.run("reconcile", "alice", "--json").stdout)
    account = report["accounts"][0]
    assert report["complete"] and account["left_out"] == []
    assert {m["path"]: m["archived"] for m in account["mailboxes"]} == {
        "INBOX": 3, "Public/Team": 1, "Public/News": 1, "#board/Minutes": 1}
    assert json.loads(holdfast.run("account", "show", "alice", "--json").stdout)["namespaces"] == [
        "shared"]

    done = holdfast.run("account", "edit", "alice", "--namespace", "public", check=False)
    assert done.returncode == 2 and "shared or others" in done.stdout + done.stderr

    # No longer asked for: what was archived stays, and is not called gone.
    holdfast.run("account", "edit", "alice", "--no-namespace")
    report = json.loads(holdfast.run("reconcile", "alice", "--json").stdout)
    assert [row["path"] for row in report["accounts"][0]["left_out"]] == ["Public/News",
                                                                         "Public/Team"]
    assert not listed(holdfast)["Public/Team"]


# ---- Gmail -----------------------------------------------------------------------------------------

def fill(gmail, count=12):
    """A third in the inbox, a third in the inbox and labelled, a third without a label; trash, spam."""
    messages = list(mail.generate(count + 2, seed=31))
    for i, octets in enumerate(messages[:count]):
        gmail.put(octets, *(("INBOX",), ("INBOX", "Arbeit", gmail.STARRED), ())[i % 3])
    gmail.put(messages[count], gmail.TRASH)
    gmail.put(messages[count + 1], gmail.SPAM)
    return messages


def counted(source, account):
    """Every mailbox reconciles to equality; {path: messages}."""
    rows = account.reconcile()
    counts = {path: row["archived"] for path, row in rows.items()}
    assert sorted(counts.values()) == sorted(
        len(m.messages) for m in source.mailboxes.values() if "Noselect" not in m.attributes)
    return counts


def test_gmail_downloads_each_body_once_and_shows_it_under_every_label(account):
    gmail = Gmail()
    messages = fill(gmail)
    account.add(gmail).sync()
    assert counted(gmail, account) == {
        "INBOX": 8, "Arbeit": 4, "[Gmail]/Alle Nachrichten": 12, "[Gmail]/Gesendet": 0,
        "[Gmail]/Markiert": 4, "[Gmail]/Papierkorb": 1, "[Gmail]/Spam": 1}
    assert account.placements() == (30, 0, 14)
    # Once each, and one known message a second time: the proof that ids may be trusted.
    assert sorted(gmail.downloads.values()) == [1] * 13 + [2]
    assert account.archived("Arbeit") == messages[1:12:3]
    labels = dict(account.sql("SELECT m.sha256, i.labels FROM message_identity i JOIN message m "
                              "USING (account_id, message_id) WHERE account_id = {id}"))
    assert ["\\Inbox", "Arbeit", "\\Starred"] in labels.values() and len(labels) == 14

    # Later mail comes once too, and a label that is added costs no octets at all.
    gmail.downloads.clear()
    new = gmail.put(b"Subject: new\r\n\r\nnew\r\n", "INBOX")
    old = int(gmail.mailboxes[gmail.ALL].items[3]["X-GM-MSGID"])
    gmail.mailboxes["Arbeit"].put(messages[2], old, gmail.items(old, ["Arbeit"]))
    account.sync()
    assert gmail.downloads == {new: 1}
    assert counted(gmail, account)["Arbeit"] == 5


def test_what_went_away_before_all_octets_were_asked_for_is_gone(account):
    gmail = Gmail()
    fill(gmail)
    account.add(gmail).sync()
    del gmail.mailboxes["Arbeit"].messages[2]
    before = account.placements()
    gmail.downloads.clear()
    rows = account.reconcile(0, "--octets")
    assert account.placements() == (before[0], 1, before[2])  # none a second time
    assert rows["Arbeit"]["archived"] == 3 and not any(row["recognised"] for row in rows.values())


def test_gmail_without_all_mail_downloads_from_labels_each_body_once(account):
    gmail = Gmail(shows_all=False)
    fill(gmail)
    account.add(gmail).sync()
    assert counted(gmail, account)["Arbeit"] == 4
    assert sorted(gmail.downloads.values()) == [1] * 9 + [2]


def test_a_new_uidvalidity_of_gmail_costs_no_octets(account):
    gmail = Gmail()
    fill(gmail)
    account.add(gmail).sync()
    before = account.placements()
    gmail.downloads.clear()
    gmail.mailboxes["INBOX"].uidvalidity = 4711
    account.sync()
    assert not gmail.downloads and account.placements() == before
    counted(gmail, account)


def test_a_connection_is_lost_while_what_is_known_by_ids_is_on_its_way_into_the_archive(holdfast, account):
    source = Source(range(1, 701), capabilities="IMAP4rev1 X-GM-EXT-1")
    again = source.add("Again", range(1, 721))  # 20 of them without an id
    again.items = source.inbox.items = {uid: {"X-GM-MSGID": str(uid)} for uid in source.inbox.messages}
    account.add(source).sync()
    before, workers = account.placements(), holdfast.pids("ingest")
    blocker = holdfast.connect()

    def hold_up_the_archive(session, tag, command):
        blocker.cursor().execute("SELECT FROM mailbox WHERE path = 'Again' AND account_id = %s FOR NO KEY UPDATE",
                                 (account.id,))
        return session.answer(tag, command)

    def break_off(session, tag, command):
        wait_for(lambda: holdfast.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"), 30, "it to wait")
        threading.Timer(3, blocker.close).start()
        return False

    source.on(r"UID FETCH \S+ \(UID FLAGS INTERNALDATE RFC822.SIZE X-GM[^\[]*$", hold_up_the_archive, times=1)
    source.on(r"UID FETCH \S+ \(UID FLAGS INTERNALDATE RFC822.SIZE\)$", break_off, times=1)
    again.uidvalidity = 8
    account.sync()
    assert account.placements() == before
    assert account.states(epoch=2, path="Again") == stored(*again.messages)
    assert holdfast.pids("ingest") == workers


def test_an_id_with_another_size_is_not_believed(account):
    gmail = Gmail()
    messages = fill(gmail)
    account.add(gmail).sync()
    gmail.downloads.clear()
    known = int(gmail.mailboxes[gmail.ALL].items[1]["X-GM-MSGID"])
    gmail.mailboxes["Arbeit"].put(b"Subject: other\r\n\r\nanother size\r\n", known,
                                  gmail.items(known, ["Arbeit"]))
    said = account.sync(3)
    assert "ids are not trusted any more" in said
    assert gmail.downloads[known] == 1
    account.sync()  # all that came by ids is read again
    counted(gmail, account)
    assert account.archived("Arbeit") == [*messages[1:12:3], b"Subject: other\r\n\r\nanother size\r\n"]
    assert account.placements()[1] == 0


def test_an_id_that_lies_about_octets_of_equal_size_is_found_out_and_mended(account):
    gmail = Gmail()
    fill(gmail)
    account.add(gmail).sync()
    truth = [b"Subject: x\r\n\r\n%d\r\n" % n for n in range(10, 16)]
    ids = [gmail.put(octets) for octets in truth]
    account.sync()
    lies = [octets[::-1] for octets in truth]
    for msgid, lie in zip(ids, lies):  # under another label the same ids are other messages
        gmail.mailboxes["Arbeit"].put(lie, msgid, gmail.items(msgid, ["Arbeit"]))
    account.sync()  # believed: none of these few is a sample
    assert not set(lies) & set(account.archived("Arbeit"))
    sampled = next(n for n in range(10 ** 6) if fnv(str(n)) % 1000 == 0)
    gmail.put(b"Subject: y\r\n\r\n1\r\n", msgid=sampled)
    account.sync()
    gmail.mailboxes["Arbeit"].put(b"Subject: y\r\n\r\n2\r\n", sampled,
                                  gmail.items(sampled, ["Arbeit"]))
    assert "ids are not trusted any more" in account.sync(3)
    account.sync()
    counted(gmail, account)
    assert set(lies) < set(account.archived("Arbeit"))  # what was placed wrongly stays, as gone


def fnv(text):
    value = 2166136261
    for octet in text.encode():
        value = (value ^ octet) * 16777619 % 2 ** 32
    return value


def test_gmail_that_is_over_its_daily_limit_rests_for_a_day(account):
    gmail = Gmail()
    fill(gmail)
    gmail.on(r"UID FETCH .*BODY", b"<tag> NO [OVERQUOTA] Account exceeded command or bandwidth limits. "
                                  b"(Failure)\r\n", times=1)
    said = account.add(gmail).sync(3)
    assert "daily limit" in said
    ((hours,),) = account.sql("SELECT extract(epoch FROM due_at - now()) / 3600 FROM job "
                              "WHERE account_id = {id} AND kind = 'sync'")
    assert 23 < hours <= 24.1
    account.sync()
    counted(gmail, account)


def test_too_many_connections_are_told_with_what_to_do(account):
    gmail = Gmail()
    gmail.on(r"LOGIN", b"<tag> NO [ALERT] Too many simultaneous connections. (Failure)\r\n", times=1)
    assert "other programs" in account.add(gmail).sync(3)


def test_a_mailbox_as_full_as_gmail_shows_at_most_may_be_truncated(account):
    gmail = Gmail(shows_all=False)
    for n in range(1000):
        gmail.put(b"Subject: %d\r\n\r\n.\r\n" % n, "INBOX")
    account.add(gmail).sync()
    said = account.sync()  # nothing new: told all the same
    assert "possibly truncated: INBOX shows exactly 1,000 messages" in said


# ---- Exchange --------------------------------------------------------------------------------------

def test_exchange_reconciles_to_equality_with_wrong_sizes_and_odd_mailboxes(account):
    exchange = Exchange()
    messages = list(mail.generate(30, seed=41))
    for i, octets in enumerate(messages):
        exchange.put(octets, ("INBOX", '"Sent Items"', "Calendar")[i % 3])
    inbox = exchange.mailboxes["INBOX"]
    inbox.withheld = {4}                        # OK, and no data
    exchange.mailboxes["Files"].refusal = "NO The requested folder is not a mail folder."
    said = account.add(exchange).sync(3)
    assert "1 message" in said and "1 of 7 mailboxes" in said
    assert account.states()[4] == "pending" and "without sending it" in account.errors()
    inbox.withheld = set()
    exchange.mailboxes["Files"].refusal = None
    account.retry_now()
    account.sync()
    assert counted(exchange, account)["INBOX"] == 10
    assert sorted(account.archived()) == sorted(messages[0::3])
    assert max(exchange.downloads.values()) == 1


def test_a_throttled_exchange_is_left_alone_as_long_as_it_says(account):
    exchange = Exchange()
    exchange.put(b"Subject: x\r\n\r\nx\r\n")
    exchange.on(r"UID FETCH .*BODY", b"<tag> BAD Request is throttled. Suggested Backoff Time: 299961 "
                                     b"milliseconds\r\n", CUT, times=1)
    assert "is refused for now" in account.add(exchange).sync(3)
    ((seconds,),) = account.sql("SELECT extract(epoch FROM due_at - finished_at) FROM job "
                                "WHERE account_id = {id} AND kind = 'sync'")
    assert 295 < seconds < 305
    account.sync()
    assert counted(exchange, account)["INBOX"] == 1


def test_authenticated_but_not_connected_says_what_to_check(account):
    exchange = Exchange()
    exchange.on(r"LIST", b"<tag> BAD User is authenticated but not connected.\r\n", times=1)
    said = account.add(exchange).sync(3)
    assert "FullAccess" in said and "licence" in said
    account.sync()


def test_one_unreadable_message_of_exchange_is_isolated_before_it_ends_the_connection(account):
    exchange = Exchange()
    for octets in mail.generate(200, seed=42, size=300):
        exchange.put(octets)
    exchange.mailboxes["INBOX"].refused = {77}
    exchange.mailboxes["INBOX"].refused_with = "The specified message cannot be read."
    account.add(exchange).sync(3)
    assert set(account.failures()) == {77}
    assert account.placements()[0] == 199


def test_sets_for_exchange_are_short(account):
    exchange = Exchange()
    for n in range(300):  # sparse, with long numbers
        exchange.mailboxes["INBOX"].messages[4_000_000_000 + 3 * n] = b"Subject: %d\r\n\r\n.\r\n" % n
        exchange.mailboxes["INBOX"].names[4_000_000_000 + 3 * n] = n
    account.add(exchange).sync()
    assert counted(exchange, account)["INBOX"] == 300
    assert max(len(c) for c in exchange.heard_like("UID FETCH")) < 1100
