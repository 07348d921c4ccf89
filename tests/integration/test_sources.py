# SPDX-License-Identifier: Apache-2.0
"""Three different servers, from Debian, reconcile to equality, before and after their mail changed.

Equality: what a second client sees at the source (UIDs, flags, octets) is what the archive's endpoint
gives for those UIDs; what the source had before is there still, and said to be gone."""
import hashlib
import re
import ssl

import pytest

from harness import mail
from harness.courier import Courier
from harness.cyrus import Cyrus
from harness.dovecot import Dovecot, modified_utf7
from harness.fetch import items, string
from harness.holdfast import Holdfast
from harness.place import wait_for
from harness.wire import Wire

SERVERS = {"dovecot": Dovecot, "cyrus": Cyrus, "courier": Courier}

# As lists of levels. Each server refuses some of them, for reasons of its own.
MAILBOXES = [["Work"], ["Work", "2001"], ["Work", "2001", "Ärger & Umlaut"], ["日本語 🎉"],
             ["with space"], ['quo"te'], ["back\\slash"], ["NIL"], ["Empty"], ["$%weird"], ["Doomed"]]
MAILBOXES_AT_LEAST = 8

ODD = {
    "eight bit": b"Subject: \xff\xe4\r\nFrom: a@example.org\r\n\r\n\xfc\x80\r\n",
    "NUL": b"Subject: nul\r\n\r\na\0b\r\n",
    "bare LF": b"Subject: bare\n\nLF\rCR\n",
    "no octets": b"",
    "one empty line": b"\r\n",
    "no header": b"\r\nbody alone\r\n",
    "looks like an answer": b"Subject: x\r\n\r\n)\r\nh5 OK done\r\n* BYE\r\n",
    "no last line end": b"Subject: open\r\n\r\nthe end",
    "large": mail.large_message(3 << 20),
}


@pytest.fixture(scope="module")
def holdfast(module_place):
    made = Holdfast(module_place).start()
    made.add_auditor()
    yield made
    made.stop()


@pytest.fixture(scope="module", params=SERVERS)
def source(request, module_place):
    made = SERVERS[request.param](module_place).start()
    made.name = request.param
    yield made
    made.stop()


class Client:
    """A second client, with exact octets."""

    def __init__(self, port, ca, user, password):
        self.place = (port, ca, user, password)
        self.connect()

    def connect(self):
        port, ca, user, password = self.place
        self.wire = Wire("localhost", port, ssl.create_default_context(cafile=str(ca)))
        self.ok(f'LOGIN "{user}" "{password}"')

    def ok(self, text):
        tagged, untagged = self.wire.command(text)
        assert b" OK" in tagged, (text, tagged)
        return untagged

    def accepts(self, text):
        return b" OK" in self.wire.command(text)[0]

    def rename(self, old, new):
        tagged, _ = self.wire.command(f"RENAME {old} {new}")
        if not tagged:  # Courier 5.0 renames what has children, then fails and hangs up
            self.connect()
        assert old not in self.names() and new in self.names(), tagged

    def append(self, name, octets, flags=""):
        """True: the server took these octets."""
        self.wire.send(f"app APPEND {name} ({flags}) {{{len(octets)}}}\r\n".encode())
        answer = self.wire.unit()
        while answer.startswith(b"* "):
            answer = self.wire.unit()
        if answer.startswith(b"+"):
            self.wire.send(octets + b"\r\n")
            answer, _ = self.wire.until("app")
        return b" OK" in answer

    def names(self):
        """Quoted names of the mailboxes that can be opened, as sent."""
        listed = [re.match(rb'\* LIST \((.*?)\) \S+ (.*)\r\n$', unit, re.S) for unit in
                  self.ok('LIST "" "*"') if unit.startswith(b"* LIST")]
        return {quoted(string(m[2]) if m[2][:1] in b'"{' else m[2]) for m in listed
                if b"noselect" not in m[1].lower() and b"nonexistent" not in m[1].lower()}

    def uidvalidity(self, name):
        return int(re.search(rb"UIDVALIDITY (\d+)", b"".join(
            self.ok(f"STATUS {name} (UIDVALIDITY)")))[1])

    def messages(self, name):
        """{UID: (flags, octets)}"""
        self.ok(f"EXAMINE {name}")
        found = {}
        for unit in self.ok("UID FETCH 1:4294967295 (UID FLAGS BODY.PEEK[])"):
            fetched = items(unit)
            if fetched and "BODY[]" in fetched[1]:
                flags = fetched[1]["FLAGS"].decode().strip("()").lower().split()
                found[int(fetched[1]["UID"])] = (frozenset(flags) - {"\\recent"},
                                                 string(fetched[1]["BODY[]"]))
        self.ok("CLOSE")  # Courier deletes no mailbox that is open
        return found


def quoted(octets):
    if isinstance(octets, bytes):
        octets = octets.decode("ascii")
    return '"' + octets.replace("\\", "\\\\").replace('"', '\\"') + '"'


def wire_name(source, levels):
    prefix = "" if levels == ["INBOX"] else source.prefix
    return quoted(prefix + source.separator.join(modified_utf7(level) for level in levels))


@pytest.fixture(scope="module")
def account(source, holdfast):
    return Account(source, holdfast)


class Account:
    def __init__(self, source, holdfast):
        self.source, self.holdfast = source, holdfast
        self.ever = set()  # hashes of all octets that the source was seen to have
        self.client = Client(source.tls_port, source.ca, "alice", source.users["alice"])
        self.archive = Client(holdfast.tls_port, holdfast.data_dir / "keys" / "imapd.crt", "auditor",
                              "audit-password")
        holdfast.run("account", "add", source.name, "--url", source.url("alice"), "--tls-ca",
                     source.ca, "--password-file", holdfast.secret_file("alice", source.users["alice"]))

    def name(self, *levels):
        return wire_name(self.source, list(levels))

    def known(self):
        """{quoted source name: (mailbox_id, endpoint name)} of what is not gone."""
        rows = self.holdfast.sql(
            "SELECT m.mailbox_id, m.source_name, m.path FROM mailbox m JOIN account_name n "
            "USING (account_id) WHERE n.name = %s AND m.gone_at IS NULL AND NOT m.is_noselect",
            self.source.name)
        return {quoted(bytes(name)): (mailbox_id, quoted(
            f"Accounts/{self.source.name}/{modified_utf7(path)}")) for mailbox_id, name, path in rows}

    def was_listed(self, *levels):
        """Did the last enumeration list every UID? Otherwise changes alone were asked for."""
        mailbox_id, _ = self.known()[self.name(*levels)]
        return self.holdfast.sql("SELECT listed_at = enumerated_at FROM source_epoch "
                                 "WHERE mailbox_id = %s AND closed_at IS NULL", mailbox_id)[0][0]

    def check_mailbox(self, name, mailbox_id, endpoint_name):
        there, here = self.client.messages(name), self.archive.messages(endpoint_name)
        uids = dict(self.holdfast.sql(
            "SELECT u.uid, u.placement_uid FROM source_uid u JOIN source_epoch e USING (account_id, "
            "mailbox_id, epoch) WHERE u.mailbox_id = %s AND e.closed_at IS NULL AND u.state = 'stored' "
            "AND u.gone_at IS NULL", mailbox_id))
        assert sorted(uids) == sorted(there), name
        shown = {uid: here[placement] for uid, placement in uids.items()}
        for uid, (flags, octets) in there.items():
            assert shown[uid][1] == octets, (name, uid)
            assert shown[uid][0] == {f if f != "\\deleted" else "$sourcedeleted" for f in flags}
        for placement in set(here) - set(uids.values()):
            assert "$goneatsource" in here[placement][0], (name, placement)
        self.ever |= {hashlib.sha256(octets).digest() for _, octets in there.values()}

    def check(self):
        self.check_equality()  # as the last run left it
        self.check_reconciled()
        self.check_equality()

    def check_reconciled(self):
        reconciled = self.holdfast.json("reconcile", self.source.name)
        assert reconciled["complete"] is True
        (account,) = reconciled["accounts"]
        for box in account["mailboxes"]:
            assert box["unexplained"] == box["pending"] == 0, box

    def check_equality(self):
        known = self.known()
        assert set(known) == self.client.names()
        for name, (mailbox_id, endpoint_name) in known.items():
            self.check_mailbox(name, mailbox_id, endpoint_name)
        kept = {bytes(h) for h, in self.holdfast.sql("SELECT sha256 FROM message")}
        assert self.ever <= kept
        assert self.archive.accepts("NOOP")


def test_a_first_sync_holds_what_the_source_shows(account):
    client, name = account.client, account.name
    made = [levels for levels in MAILBOXES if client.accepts(f"CREATE {name(*levels)}")]
    assert len(made) >= MAILBOXES_AT_LEAST, made
    for i, message in enumerate(mail.generate(20)):
        assert client.append(name("INBOX"), message, ["", "\\Seen", "\\Answered work"][i % 3])
    taken = [kind for kind, octets in ODD.items() if client.append(name("INBOX"), octets)]
    assert len(taken) >= len(ODD) - 4, taken
    for at, levels in enumerate(made):
        for message in mail.generate(0 if levels == ["Empty"] else 6, seed=at + 2):
            assert client.append(name(*levels), message, "\\Flagged" if at % 2 else "")
    client.ok(f"SELECT {name('Work')}")
    client.ok("UID STORE 2,5 +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")
    account.holdfast.run("sync", account.source.name)
    account.check()
    assert "nothing new" in account.holdfast.run("sync", account.source.name).stdout


def test_what_changed_at_the_source_is_followed_and_nothing_is_lost(account):
    client, name = account.client, account.name
    client.ok(f"SELECT {name('INBOX')}")
    client.ok("UID STORE 3:6 +FLAGS (\\Flagged another)")
    client.ok("UID STORE 3 -FLAGS (work \\Answered)")
    client.ok("UID STORE 1,8:10 +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")
    client.ok("UID STORE 11 +FLAGS (\\Deleted)")  # and stays
    for message in mail.generate(3, seed=90):
        assert client.append(name("INBOX"), message)
    client.ok(f"SELECT {name('Work')}")
    client.ok("UID STORE * +FLAGS (\\Deleted)")  # the largest UID vanishes
    client.ok("EXPUNGE")
    client.ok("CLOSE")
    account.holdfast.run("sync", account.source.name)
    has_modseq = b"CONDSTORE" in b"".join(client.ok("CAPABILITY"))
    for changed in ("INBOX", "Work"):
        assert account.was_listed(changed) is not has_modseq
    account.check()
    assert account.was_listed("INBOX")


def test_renamed_deleted_and_made_again_mailboxes_are_followed_and_nothing_is_lost(account):
    client, name = account.client, account.name
    before = client.uidvalidity(name("with space"))

    def is_made_anew():  # some take UIDVALIDITY from the clock
        client.ok(f"DELETE {name('with space')}")
        client.ok(f"CREATE {name('with space')}")
        return client.uidvalidity(name("with space")) != before

    wait_for(is_made_anew, 30, "another UIDVALIDITY")
    for message in list(mail.generate(1, seed=6)) + list(mail.generate(4, seed=91)):
        assert client.append(name("with space"), message, "\\Seen")
    mailbox_id, _ = account.known()[name("Work", "2001")]
    client.rename(name("Work", "2001"), name("Work", "2002"))
    client.ok(f"DELETE {name('Doomed')}")
    account.holdfast.run("sync", account.source.name)
    account.check()
    gone, = account.holdfast.sql(
        "SELECT count(*) FROM mailbox m JOIN account_name n USING (account_id) WHERE n.name = %s "
        "AND m.gone_at IS NOT NULL AND m.path LIKE '%%Doomed'", account.source.name)[0]
    assert gone == 1
    goes_on = account.known()[name("Work", "2002")][0] == mailbox_id
    assert goes_on is (b"OBJECTID" in b"".join(client.ok("CAPABILITY")))
