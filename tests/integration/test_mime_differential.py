# SPDX-License-Identifier: Apache-2.0
"""What lib/mime and lib/imap make of a message is what a real Dovecot makes of it.

Dovecot holds the corpora and answers ENVELOPE, BODY, BODYSTRUCTURE and every section that the
structure names; the octets it returns for BODY[], which are those that the archive stores, go through
tests/harness/mime_dump.c. All is compared octet by octet. The differences that may be stand in
lib/mime/README.md with the sentence of the RFC that makes ours right, and in ALLOWED below.
"""
import os
import subprocess

import pytest

from harness import fetch, mail
from harness.dovecot import Dovecot
from harness.wire import Wire

TOOL = os.environ.get("HOLDFAST_MIME_DUMP", "")
WHOLE = ("ENVELOPE", "BODY", "BODYSTRUCTURE")
PARTIALS = ((0, 10), (5, 1000), (1, 1), (100000000, 10))
SECTIONS_EACH = 60  # in one command


class Dump:
    """lib/mime and lib/imap as a process."""

    def __init__(self, chunk):
        self.process = subprocess.Popen([TOOL, str(chunk)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def parse(self, octets):
        """({name: octets}, {section: octets or None})"""
        self.process.stdin.write(b"%d\n" % len(octets) + octets)
        self.process.stdin.flush()
        blobs, sections = {}, {}
        while True:
            words = self.process.stdout.readline().split()
            assert words, "mime_dump died"
            if words == [b"."]:
                return blobs, sections
            if words[0] == b"section":
                name = words[1].decode() if len(words) > (2 if words[-1] == b"absent" else 3) else ""
                if words[-1] == b"absent":
                    sections[name] = None
                else:
                    start, size = int(words[-2]), int(words[-1])
                    assert start + size <= len(octets), (name, start, size, len(octets))
                    sections[name] = octets[start : start + size]
            elif words[0] in (b"notes", b"structure"):
                blobs[words[0].decode()] = int(words[1])
            else:
                blobs[words[0].decode()] = self.process.stdout.read(int(words[1]))
                self.process.stdout.read(1)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0


def fetch_all(wire, sequence, names):
    tagged, responses = wire.command(f"FETCH {sequence} ({' '.join(names)})")
    assert b" OK " in tagged, tagged
    return dict(filter(None, map(fetch.items, responses)))


def sections_of(wire, number, sections):
    """{section: octets or None} as the server answers them."""
    found = {}
    names = list(sections)
    for at in range(0, len(names), SECTIONS_EACH):
        asked = names[at : at + SECTIONS_EACH]
        answer = fetch_all(wire, number, [f"BODY.PEEK[{name}]" for name in asked])[number]
        for name in asked:
            found[name] = fetch.string(answer[f"BODY[{name}]"])
    return found


def compare_partials(wire, number, sections):
    """Ranges of the first sections against the whole."""
    differences = []
    names = [name for name in sections if sections[name]][:4]
    asked = [(name, start, size) for name in names for start, size in PARTIALS]
    answer = {}
    if asked:
        answer = fetch_all(wire, number, [f"BODY.PEEK[{n}]<{a}.{b}>" for n, a, b in asked])[number]
    for name, start, size in asked:
        got = fetch.string(answer[f"BODY[{name}]<{start}>"])
        if (name, start) not in {(n, a) for n, a, b in asked if b != size} and \
                got != sections[name][start : start + size]:
            differences.append((f"{name}<{start}.{size}>", sections[name][start : start + size], got))
    return differences


def compare_message(wire, number, answer, dump, partials=True):
    """[(item, ours, theirs)] of one message."""
    octets = fetch.string(answer["BODY[]"])
    blobs, sections = dump.parse(octets)
    differences = [(name, blobs[name], answer[name]) for name in WHOLE if blobs[name] != answer[name]]
    if blobs["BODY-AGAIN"] != blobs["BODY"]:
        differences.append(("BODY-AGAIN", blobs["BODY-AGAIN"], blobs["BODY"]))
    theirs = sections_of(wire, number, sections)
    differences += [(name, sections[name], theirs[name]) for name in sections
                    if (sections[name] or b"") != (theirs[name] or b"")]
    return differences + (compare_partials(wire, number, sections) if partials else [])


def compare_all(place, messages, chunk=65536):
    """{name of the message: differences}, over all of them."""
    dovecot = Dovecot(place).start()
    dump = Dump(chunk)
    found = {}
    try:
        for _, octets in messages:
            dovecot.deliver("alice", octets)
        wire = Wire("127.0.0.1", dovecot.port)
        wire.command("LOGIN alice pw-alice")
        wire.command("EXAMINE INBOX")
        for first in range(1, len(messages) + 1, 20):
            last = min(len(messages), first + 19)
            answers = fetch_all(wire, f"{first}:{last}", WHOLE + ("BODY.PEEK[]",))
            for number, answer in sorted(answers.items()):
                differences = compare_message(wire, number, answer, dump)
                if differences:
                    found[messages[number - 1][0]] = differences
        wire.close()
    finally:
        dovecot.stop()
        dump.close()
    return found
