# SPDX-License-Identifier: Apache-2.0
"""What lib/text finds is what SEARCH of a real Dovecot without full-text index finds.

Dovecot holds the mail; its octets go through tests/harness/text_find.c. Needles are taken from what
was found in the mail, in all its charsets, so that most have hits. Dovecot must never find what we do
not; what we find beyond it must be of the kinds that lib/text/README.md lists.
"""
import base64
import email
import os
import random
import re
import subprocess

import pytest

from harness import mail
from harness.dovecot import Dovecot

TOOL = os.environ.get("HOLDFAST_TEXT_FIND", "")
HEADER, PART_HEADER, RENDERED, NAME, AROUND = 1, 2, 4, 5, 6
COLUMNS = ("SUBJECT", "FROM", "TO", "CC", "BCC")


class Finder:
    """lib/text as a process."""

    def __init__(self):
        assert TOOL and os.access(TOOL, os.X_OK), "HOLDFAST_TEXT_FIND names no program: use make"
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.count = 0

    def _send(self, octets):
        self.process.stdin.write(octets)
        self.process.stdin.flush()

    def add(self, octets):
        self._send(b"message %d\n" % len(octets) + octets)
        self.count += 1

    def record(self, number):
        """[(kind, text)] of a message."""
        self._send(b"record %d\n" % number)
        octets = self.process.stdout.read(int(self.process.stdout.readline()) + 1)[:-1]
        return [(piece[0], piece[1:]) for piece in octets.split(b"\0")[:-1]]

    def strange(self):
        """Numbers of messages with parts whose type or transfer encoding is none: not text to Dovecot."""
        self._send(b"strange\n")
        return {int(word) for word in self.process.stdout.readline().split()}

    def search(self, key, field, needle):
        self._send(b"search %s %s %d\n" % (key.encode(), (field or "-").encode(), len(needle)) + needle)
        return {int(word) for word in self.process.stdout.readline().split()}

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0


class Both:
    """The same mail in Dovecot and in front of lib/text."""

    def __init__(self, place, messages):
        self.dovecot = Dovecot(place).start()
        self.finder = Finder()
        self.strange = set()
        for number, (_, octets) in enumerate(messages, 1):
            if is_strange(octets):
                self.strange.add(number)
            octets = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
            self.dovecot.deliver("alice", octets)
            self.finder.add(octets)
        self.client = self.dovecot.client("alice")
        self.client.select("INBOX", readonly=True)
        self.strange |= self.finder.strange()

    def theirs(self, key, field, needle):
        self.client.literal = needle
        words = ["HEADER", field] if key == "HEADER" else [key]
        tagged, data = self.client._simple_command("SEARCH", "CHARSET", "UTF-8", *words)
        assert tagged == "OK", data
        _, found = self.client._untagged_response(tagged, data, "SEARCH")
        return {int(word) for word in (found[0] or b"").split()}

    def close(self):
        self.client.logout()
        self.dovecot.stop()
        self.finder.close()


ENCODING = re.compile(rb"^content-transfer-encoding[ \t]*:[ \t]*(.*?)[ \t]*\r?$", re.I | re.M)
ENCODINGS = (b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")
WHOLE = (("hard", None), ("volume-spamassassin", 150), ("volume-cypherpunks", 300),
         ("volume-usrp-users", 50))
SAMPLE = (("hard", 300), ("volume-spamassassin", 40), ("volume-cypherpunks", 60))


def take(corpora):
    return [message for name, count in corpora for message in mail.corpus(name, count)]


@pytest.fixture(scope="module")
def both(module_place):
    made = Both(module_place, take(SAMPLE))
    yield made
    made.close()


def has_broken_base64(octets):
    for part in email.message_from_bytes(octets).walk():
        if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
            text = part.get_payload()
            try:
                base64.b64decode("".join(text.split()) if isinstance(text, str) else "!", validate=True)
            except ValueError:
                return True
    return False


def is_strange(octets):
    """Has it an unknown transfer encoding, base64 that is none, or octets in its header that belong to no
    charset?"""
    if not re.split(rb"\r?\n\r?\n", octets, maxsplit=1)[0].isascii() or has_broken_base64(octets):
        return True
    if re.search(rb'charset="?utf-16', octets, re.I):  # Dovecot stops where a CRLF is two octets
        return True
    return any(value.lower() not in ENCODINGS for value in ENCODING.findall(octets))


def choose(chance, text):
    """A part of the text, or nothing. What the writer of the mail did not write is left out."""
    at = chance.randrange(len(text)) if text else 0
    part = text[at : at + chance.choice((2, 3, 5, 8, 12, 20, 40))]
    return part if part.strip() and "\ufffd" not in part else None


def random_piece(both, chance):
    while True:
        pieces = both.finder.record(chance.randint(1, both.finder.count))
        if pieces:
            kind, octets = chance.choice(pieces)
            return kind, octets.decode()


def is_beyond(both, key, number, needle):
    """Is a hit that Dovecot has not, of a kind that README lists?"""
    if number in both.strange or not needle.isascii():
        return True
    kinds = (RENDERED, NAME, AROUND)
    if key == "TEXT" and ": " in needle:
        kinds += (HEADER, PART_HEADER)  # there is always a blank behind the colon
    return key in ("TEXT", "BODY") and any(
        needle.encode() in text and (kind in kinds or "\ufffd".encode() in text)
        for kind, text in both.finder.record(number))


def compare(both, key, field, needle):
    """(missed, beyond what README lists): message numbers."""
    theirs = both.theirs(key, field, needle.encode())
    ours = both.finder.search(key, field, needle.encode())
    return (sorted(theirs - ours),
            sorted(n for n in ours - theirs if not is_beyond(both, key, n, needle)))


def differences(both, searches):
    found = []
    for key, field, needle in searches:
        missed, beyond = compare(both, key, field, needle)
        if missed or beyond:
            found.append(f"{key} {field or ''} {needle!r}: missed {missed[:5]}, beyond {beyond[:5]}")
    return found


def text_searches(both, count, seed):
    chance = random.Random(seed)
    while count > 0:
        needle = choose(chance, random_piece(both, chance)[1])
        if needle is not None and "\n" not in needle:
            yield chance.choice(("TEXT", "BODY")), None, needle
            count -= 1


def field_searches(both, count, seed):
    chance = random.Random(seed)
    while count > 0:
        kind, text = random_piece(both, chance)
        name, _, value = text.partition(":")
        needle = choose(chance, value[1:])
        if kind != HEADER or needle is None or not re.fullmatch("[a-z0-9-]+", name):
            continue
        if name.upper() in COLUMNS and chance.random() < 0.7:
            yield name.upper(), None, needle.strip()
        else:
            yield "HEADER", name, needle
        count -= 1


def test_texts_and_bodies_are_found_as_dovecot_finds_them(both):
    assert not differences(both, text_searches(both, 40, 1))


def test_line_ends_of_bodies_are_found(both):
    assert not differences(both, [("BODY", None, "\r\n\r\n"), ("BODY", None, ".\r\nthe")])


def test_fields_are_found_as_dovecot_finds_them(both):
    assert not differences(both, field_searches(both, 60, 2))


def test_an_empty_needle_asks_for_the_field(both):
    names = ("subject", "from", "to", "cc", "bcc", "x-mailer", "list-id", "no-such-field")
    assert not differences(both, [("HEADER", name, "") for name in names] +
                           [(name, None, "") for name in COLUMNS + ("TEXT", "BODY")])


@pytest.mark.slow
def test_of_all_the_mail_the_same_is_found(place):
    many = Both(place, take(WHOLE))
    try:
        assert not differences(many, text_searches(many, 150, 3))
        assert not differences(many, field_searches(many, 150, 4))
    finally:
        many.close()
