# SPDX-License-Identifier: Apache-2.0
"""The operator finds messages and looks at them: holdfast search, holdfast show."""
import calendar
import hashlib
import json
import os
import pty
import re
import subprocess
import time

import pytest

from harness.dovecot import Dovecot
from harness.holdfast import Holdfast

SUMMARY = re.compile(r"(\d+) of (\d+) messages match")


def message(subject, sender="Alice Example <alice@example.org>", to="bob@example.org", body="Hello.",
            extra="", number=[0]):
    number[0] += 1
    return (f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n"
            f"Date: Tue, 1 May 2001 10:00:00 +0200\r\nMessage-ID: <{number[0]}.query@example.org>\r\n"
            f"{extra}\r\n{body}\r\n").encode()


def day(text):
    return calendar.timegm(time.strptime(text + " 12:00", "%Y-%m-%d %H:%M"))


ATTACHMENT = ('MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n')
PARTS = ('--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
         'Die Zahlen für das dritte Quartal.\r\n'
         '--b\r\nContent-Type: application/pdf; name="report.pdf"\r\n'
         'Content-Disposition: attachment; filename="report.pdf"\r\n'
         'Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--')
EVIL = "\x1b]0;owned\x07\x1b[2Jforecast \u202egnp.exe \x9b31m"

ENCRYPTED = ("MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; boundary=b; "
             "protocol=\"application/pgp-encrypted\"\r\n")
CIPHER = ("--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
          "--b\r\nContent-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n"
          "\r\nhQEMA1\r\n-----END PGP MESSAGE-----\r\n--b--")
SHOWN_EVIL = EVIL.encode().decode()

# user, mailbox, flags, day received, message
MAIL = [
    ("alice", "INBOX", "", "2001-05-01", message("q3 forecast", body="The numbers for October.")),
    ("alice", "INBOX", "S", "2001-05-02", message("Re: q3 forecast", "Bob <bob@example.org>",
                                                  "alice@example.org")),
    ("alice", "INBOX", "FS", "2001-06-01", message("=?utf-8?q?=C3=9Cbersicht?= 2001",
                                                   body=PARTS, extra=ATTACHMENT)),
    ("alice", "INBOX", "", "2002-01-01", message(EVIL, "\"\x1b[31mMallory\" <mallory@example.org>")),
    ("alice", "INBOX/Trash", "S", "2001-05-03", message("old forecast")),
    ("alice", "Projects/Alpha", "ST", "2001-05-03", message("lunch", "Bob <bob@example.org>")),
    ("bob", "INBOX", "", "2001-05-01", message("hello", to="carol@example.org")),
    ("bob", "Trash", "", "2001-05-04", message("junk", body="x" * 30000)),
    ("bob", "INBOX", "", "2001-07-01", message("secret", body=CIPHER, extra=ENCRYPTED)),
]


class Archive:
    def __init__(self, place):
        self.dovecot = Dovecot(place, users=("alice", "bob")).start()
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = Holdfast(folder).start()
        for user, mailbox, flags, received, octets in MAIL:
            self.dovecot.deliver(user, octets, mailbox, flags, day(received))
        for user in ("alice", "bob"):
            self.holdfast.add_account(self.dovecot, user, "--no-test")
        assert "complete" in self.holdfast.run("sync").stdout

    def hits(self, query, *more):
        """{subject} of what is found."""
        found = self.holdfast.json("search", query, *more)
        assert found["matches"] == len(found["hits"])
        return sorted(hit["subject"] for hit in found["hits"])

    def octets(self, subject):
        return next(m[-1] for m in MAIL if f"Subject: {subject}\r\n".encode() in m[-1])

    def close(self):
        self.holdfast.stop()
        self.dovecot.stop()


@pytest.fixture(scope="module")
def archive(module_place):
    made = Archive(module_place)
    yield made
    made.close()


def on_terminal(holdfast, *arguments, columns=100):
    """What a command writes to a terminal."""
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([holdfast.bin / "holdfast", "-c", holdfast.conf, *arguments],
                               stdout=slave, stderr=subprocess.PIPE, stdin=slave)
    os.close(slave)
    said = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        said += chunk
    os.close(master)
    assert process.wait(timeout=60) == 0, process.stderr.read()
    return said.decode().replace("\r\n", "\n")


# ---- search: what is found -----------------------------------------------------------------------------


@pytest.mark.parametrize("query,subjects", [
    ("on:2001-05-01", ["hello", "q3 forecast"]),
    ("after:2001-05-03 before:2002 account:alice", ["lunch", "old forecast", "Übersicht 2001"]),
    ("after:2001-05-03 before:2001-05-04", ["lunch", "old forecast"]),
    ("on:2001-06", ["Übersicht 2001"]),
    ("is:flagged", ["Übersicht 2001"]),
    ("is:deleted", ["lunch"]),
    ("is:unread in:trash", ["junk"]),
    ("in:trash", ["junk", "old forecast"]),
    ("in:/trash", ["junk"]),
    ("in:trash account:ALICE", ["old forecast"]),
    ("mailbox:projects/alpha", ["lunch"]),
    ("larger:20k", ["junk"]),
    ("smaller:20k account:bob", ["hello", "secret"]),
    ("account:bob -in:trash", ["hello", "secret"]),
    ("account:(alice OR bob) on:2001-05-04", ["junk"]),
    ("is:flagged OR is:deleted", ["lunch", "Übersicht 2001"]),
    ("account:nobody", []),
    ("has:attachment", ["secret", "Übersicht 2001"]),
    ("has:attachment quartal", ["Übersicht 2001"]),
    ("-has:attachment is:flagged", []),
    ("subject:FORECAST -subject:re:", ["old forecast", "q3 forecast", SHOWN_EVIL]),
    ("subject:übersicht", ["Übersicht 2001"]),
    ("subject:\"q3 fore\"", ["Re: q3 forecast", "q3 forecast"]),
    ("from:bob", ["Re: q3 forecast", "lunch"]),
    ("from:(bob OR mallory) -in:projects", ["Re: q3 forecast", SHOWN_EVIL]),
    ("to:carol OR (body:october subject:q3)", ["hello", "q3 forecast"]),
    ("october", ["q3 forecast"]),
    ("\"numbers for october\"", ["q3 forecast"]),
    ("report.pdf", ["Übersicht 2001"]),
    ("header:content-type=mixed", ["Übersicht 2001"]),
    ("sent-on:2001-05-01 account:bob", ["hello", "junk", "secret"]),
    ("sent-before:2001-05-01", []),
])
def test_a_query_finds_exactly_what_it_says(archive, query, subjects):
    assert archive.hits(query) == sorted(subjects)


def test_every_message_is_found_by_an_asterisk_and_counted(archive):
    said = archive.holdfast.run("search", "*").stdout
    assert SUMMARY.search(said).groups() == ("9", "9")
    assert len(said.splitlines()) == 10


def test_accounts_come_by_name_and_uids_ascend(archive):
    hits = archive.holdfast.json("search", "*")["hits"]
    places = [(hit["account"], hit["mailbox"], hit["uid"]) for hit in hits]
    assert places == sorted(places)


def test_only_the_accounts_that_were_named_are_searched(archive):
    found = archive.holdfast.json("search", "*", "--account", "bob")
    assert found["searched"] == 3 and {hit["account"] for hit in found["hits"]} == {"bob"}
    done = archive.holdfast.run("search", "*", "--account", "nobody", check=False)
    assert done.returncode == 1 and "nobody" in done.stderr


def test_the_limit_is_on_what_is_printed_not_on_what_is_counted(archive):
    found = archive.holdfast.json("search", "*", "--limit", "3")
    assert (len(found["hits"]), found["shown"], found["matches"]) == (3, 3, 9)
    said = archive.holdfast.run("search", "*", "--limit", "3").stdout
    assert "the first 3 are shown" in said and len(said.splitlines()) == 4
    assert archive.holdfast.json("search", "*", "--limit", "0")["matches"] == 9
    assert len(archive.holdfast.json("search", "*", "--limit", "all")["hits"]) == 9


def test_a_hit_says_all_that_show_needs(archive):
    (hit,) = archive.holdfast.json("search", "on:2001-05-01", "--account", "alice")["hits"]
    octets = archive.octets("q3 forecast")
    assert hit["sha256"] == hashlib.sha256(octets).hexdigest()
    assert hit["size"] == len(octets)
    assert hit["received"].startswith("2001-05-01T14:00:00+02:00")
    assert hit["from"] == "Alice Example <alice@example.org>" and hit["to"] == "bob@example.org"
    assert hit["flags"] == [] and hit["gone"] is False
    place = f"{hit['account']}/{hit['mailbox']};UID={hit['uid']}"
    assert hit["id"] == place
    assert archive.holdfast.run("show", place, "--raw", text=False).stdout == octets
    line = archive.holdfast.run("search", "on:2001-05-01 account:alice").stdout.splitlines()[0]
    shown = archive.holdfast.run("show", line.split("\t")[-1], "--raw", text=False)
    assert shown.stdout == octets


def test_no_hit_is_no_failure(archive):
    said = archive.holdfast.run("search", "after:2010").stdout
    assert said == "0 of 9 messages match\n"
    assert archive.holdfast.json("search", "after:2010")["hits"] == []


def test_a_message_is_found_and_shown_by_its_hash_and_its_message_id(archive):
    octets = archive.octets("lunch")
    digest = hashlib.sha256(octets).hexdigest()
    assert archive.hits(f"sha256:{digest[:8]}") == ["lunch"]
    message_id = re.search(rb"Message-ID: <(.*)>", octets)[1].decode()
    assert archive.hits(f"id:{message_id}") == ["lunch"]
    for wanted in (message_id, f"<{message_id}>", digest):
        assert archive.holdfast.run("show", wanted, "--raw", text=False).stdout == octets
    assert archive.holdfast.run("show", "<nobody@example.org>", check=False).returncode == 1


def test_what_could_not_be_searched_is_counted_with_its_reasons(archive):
    found = archive.holdfast.json("search", "ciphertext-word")
    assert found["matches"] == 0 and found["unsearched"] == 1
    assert found["why_unsearched"] == {"encrypted": 1}
    assert archive.holdfast.run("search", "ciphertext-word").stdout == (
        "0 of 9 messages match; 1 could not be searched wholly: 1 encrypted\n")
    assert archive.holdfast.json("search", "is:read")["unsearched"] == 0


# ---- search: mistakes, terminals, audit -------------------------------------------------------------------


def test_a_mistake_is_shown_with_a_caret_under_it(archive):
    done = archive.holdfast.run("search", "üü frm:alice", check=False)
    assert done.returncode == 2 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[1] == "üü frm:alice" and lines[2] == "   ^" and "Fields: from, to" in lines[3]
    assert archive.holdfast.run("search", check=False).returncode == 2
    assert archive.holdfast.run("search", "a", "--limit", "few", check=False).returncode == 2


def test_how_and_and_or_were_read_is_said(archive):
    said = archive.holdfast.run("search", "is:flagged in:inbox OR is:deleted").stderr
    assert "read as: (is:flagged in:inbox) OR is:deleted" in said
    assert archive.holdfast.run("search", "is:flagged OR is:deleted").stderr == ""


def test_a_terminal_gets_a_table_that_fits_and_nothing_of_the_mail_steers_it(archive):
    said = on_terminal(archive.holdfast, "search", "*", columns=90)
    lines = said.split("\n")
    assert lines[0].split() == ["RECEIVED", "MAILBOX", "FROM", "SUBJECT", "ID"]
    assert all(len(line) <= 90 for line in lines)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert "Mallory" in said and "Übersicht" in said
    plain = archive.holdfast.run("search", "*").stdout
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", plain)


def test_a_search_is_one_audit_row_with_its_query(archive):
    count = "SELECT count(*) FROM audit_event WHERE event = 'search'"
    (before,) = archive.holdfast.sql(count)[0]
    archive.holdfast.run("search", "is:flagged after:1999")
    assert archive.holdfast.sql(count) == [(before + 1,)]
    ((process, detail),) = archive.holdfast.sql(
        "SELECT process, detail FROM audit_event WHERE event = 'search' ORDER BY event_id DESC LIMIT 1")
    assert process == "holdfast_reader" and detail["query"] == "is:flagged after:1999"
    assert detail["query_sha256"] == hashlib.sha256(b"is:flagged after:1999").hexdigest()


# ---- show -------------------------------------------------------------------------------------------------


def place_of(archive, subject):
    hits = archive.holdfast.json("search", "*", "--limit", "all")["hits"]
    hit = next(hit for hit in hits if hit["subject"] == subject)
    return f"{hit['account']}/{hit['mailbox']};UID={hit['uid']}"


def test_a_message_is_shown_decoded_with_its_parts(archive):
    said = archive.holdfast.run("show", place_of(archive, "Übersicht 2001")).stdout
    lines = [line.split() for line in said.splitlines()]
    assert ["Subject:", "Übersicht", "2001"] in lines
    assert ["From:", "Alice", "Example", "<alice@example.org>"] in lines
    assert ["Flags:", "\\Seen", "\\Flagged"] in lines
    assert [line for line in lines if line[:1] == ["1"]][0][1] == "text/plain"
    assert ["2", "application/pdf", "12", "report.pdf"] in lines
    assert "Die Zahlen für das dritte Quartal." in said and "JVBER" not in said


def test_what_is_shown_cannot_steer_a_terminal(archive):
    place = next(f"alice/INBOX;UID={hit['uid']}"
                 for hit in archive.holdfast.json("search", "on:2002", "--account", "alice")["hits"])
    for more in ((), ("--headers",)):
        said = archive.holdfast.run("show", place, *more).stdout
        assert "Mallory" in said and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert b"\x1b]0;owned" in archive.holdfast.run("show", place, "--raw", text=False).stdout


def test_show_json_has_places_headers_parts_and_text(archive):
    told = archive.holdfast.json("show", place_of(archive, "Übersicht 2001"))
    octets = archive.octets("=?utf-8?q?=C3=9Cbersicht?= 2001")
    assert told["sha256"] == hashlib.sha256(octets).hexdigest() and told["size"] == len(octets)
    assert told["places"][0]["account"] == "alice" and told["flags"] == ["\\Seen", "\\Flagged"]
    assert ["Subject", "Übersicht 2001"] in told["headers"]
    assert [(part["section"], part["type"], part["name"], part["attachment"])
            for part in told["parts"]] == [(None, "multipart/mixed", None, False),
                                           ("1", "text/plain", None, False),
                                           ("2", "application/pdf", "report.pdf", True)]
    for part in told["parts"][1:]:
        assert octets[part["offset"]:part["offset"] + part["bytes"]].strip() in octets
    assert told["text"].strip() == "Die Zahlen für das dritte Quartal."


def test_headers_alone_are_shown_as_they_stand(archive):
    said = archive.holdfast.run("show", place_of(archive, "Übersicht 2001"), "--headers").stdout
    assert "Subject: =?utf-8?q?=C3=9Cbersicht?= 2001\n" in said and "Quartal" not in said


def test_an_id_that_names_nothing_is_told(archive):
    for wanted in ("alice/INBOX;UID=999", "alice/Nowhere;UID=1", "0" * 64):
        assert archive.holdfast.run("show", wanted, check=False).returncode == 1
    for wanted in ("nonsense", "alice;UID=1", "alice/INBOX;UID=0", "abc"):
        assert archive.holdfast.run("show", wanted, check=False).returncode == 2
    done = archive.holdfast.run("show", "alice/INBOX;UID=1", "--raw", "--json", check=False)
    assert done.returncode == 2 and "exclude" in done.stderr


def test_show_json_cuts_a_long_text_between_characters(archive):
    line = "я" * 70
    archive.dovecot.deliver("bob", message(
        "long", body="\r\n".join([line] * 40000),
        extra="MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"), "INBOX", "", day("2003-01-01"))
    archive.holdfast.run("sync")
    told = archive.holdfast.json("show", place_of(archive, "long"))
    assert told["text_cut"] and told["text"].startswith(line + "\n" + line)
    assert len(told["text"].encode()) > (4 << 20) - 4
