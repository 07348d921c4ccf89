# SPDX-License-Identifier: Apache-2.0
"""What lib/text finds is what SEARCH of a real Dovecot without full-text index finds.

Dovecot holds the mail; its octets go through tests/harness/text_find.c. Needles are taken from what
was found in the mail, in all its charsets, so that most have hits. Dovecot must never find what we do
not; what we find beyond it must be of the kinds that lib/text/README.md lists.
"""
import os
import random
import re
import subprocess

import pytest

from harness import mail
from harness.dovecot import Dovecot

TOOL = os.environ.get("HOLDFAST_TEXT_FIND", "")
RENDERED, NAME, AROUND = 4, 5, 6
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
        for _, octets in messages:
            octets = re.sub(rb"(?<!\r)\n", b"\r\n", octets)
            self.dovecot.deliver("alice", octets)
            self.finder.add(octets)
        self.client = self.dovecot.client("alice")
        self.client.select("INBOX", readonly=True)

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


@pytest.fixture(scope="module")
def both(module_place):
    made = Both(module_place, mail.corpus("hard") + mail.corpus("volume-spamassassin", 150) +
                mail.corpus("volume-cypherpunks", 300) + mail.corpus("volume-usrp-users", 50))
    yield made
    made.close()


def needles(both, count, seed):
    """Parts of what stands in the records, (kind, text): words, lines, and places within characters' text."""
    chance = random.Random(seed)
    found = []
    while len(found) < count:
        pieces = both.finder.record(chance.randint(1, both.finder.count))
        if not pieces:
            continue
        kind, octets = chance.choice(pieces)
        text = octets.decode()
        at = chance.randrange(len(text)) if text else 0
        part = text[at : at + chance.choice((2, 3, 5, 8, 12, 20, 40))]
        if part and "\ufffd" not in part:
            found.append((kind, part))
    return found


def beyond(both, number, needle):
    """Is a hit that Dovecot has not, of a kind that README lists?"""
    needle = needle.encode()
    return any(kind in (RENDERED, NAME, AROUND) and needle in text for kind, text in both.finder.record(number))


def compare(both, key, field, needle):
    theirs = both.theirs(key, field, needle.encode())
    ours = both.finder.search(key, field, needle.encode())
    return sorted(theirs - ours), sorted(n for n in ours - theirs if not beyond(both, n, needle))


@pytest.mark.parametrize("key", ("TEXT", "BODY"))
def test_what_dovecot_finds_is_found(both, key):
    missed, extra = [], []
    for kind, needle in needles(both, 40, 1):
        less, more = compare(both, key, None, needle)
        if less:
            missed.append((needle, less))
        if more:
            extra.append((needle, more, kind))
    print(len(missed), len(extra))
    for m in missed[:20]: print("MISSED", m)
    for m in extra[:30]: print("EXTRA", m)
    assert not missed
    assert not extra
