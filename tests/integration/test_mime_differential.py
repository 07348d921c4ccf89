# SPDX-License-Identifier: Apache-2.0
"""What lib/mime and lib/imap make of a message is what a real Dovecot makes of it.

Dovecot holds the corpora and answers ENVELOPE, BODY, BODYSTRUCTURE and every section that the
structure names; the octets it returns for BODY[], which are those that the archive stores, go through
tests/harness/mime_dump.c. All is compared octet by octet. The differences that may be stand in
lib/mime/README.md with the sentence of the RFC that makes ours right, and in ALLOWED below.
"""
import os
import random
import re
import subprocess

import pytest

from harness import fetch, mail
from harness.dovecot import Dovecot
from harness.wire import Wire

TOOL = os.environ.get("HOLDFAST_MIME_DUMP", "")
WHOLE = ("ENVELOPE", "BODY", "BODYSTRUCTURE")
VOLUMES = (("volume-cypherpunks", 2500), ("volume-spamassassin", 1000), ("volume-usrp-users", 500),
           ("volume-linux-clk", 500), ("volume-enron-categories", 500))
PARTIALS = ((0, 10), (5, 1000), (1, 1), (100000000, 10))
SECTIONS_EACH = 60  # in one command

# Dovecot keeps of a plain message only that it is plain, and writes its BODYSTRUCTURE (not its BODY)
# in lower case. lib/mime/README.md, "Differences from Dovecot", 1.
PLAIN = re.compile(rb'\("text" "plain" \("charset" "us-ascii"\) NIL NIL "7bit" \d+ \d+ NIL NIL NIL NIL\)')
ALLOWED = (lambda item, ours, theirs: item == "BODYSTRUCTURE" and PLAIN.fullmatch(theirs) and
           ours.lower() == theirs.lower(),)


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
    """Ranges of the first sections against the whole. (The answer names the origin only.)"""
    asked = [(name, start, size) for name in [n for n in sections if sections[n]][:4]
             for start, size in PARTIALS]
    if not asked:
        return []
    answer = fetch_all(wire, number, [f"BODY.PEEK[{n}]<{a}.{b}>" for n, a, b in asked])[number]
    differences = []
    for name, start, size in asked:
        got = fetch.string(answer[f"BODY[{name}]<{start}>"])
        want = sections[name][start : start + size]
        if got != want:
            differences.append((f"{name}<{start}.{size}>", want, got))
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
                differences = [d for d in differences if not any(rule(*d) for rule in ALLOWED)]
                if differences:
                    found[messages[number - 1][0]] = differences
        wire.close()
    finally:
        dovecot.stop()
        dump.close()
    return found


def tell(found, messages):
    """For a failed assertion: the first differences, and where they begin."""
    lines = [f"{len(found)} of {len(messages)} messages differ"]
    for name, differences in list(found.items())[:5]:
        for item, ours, theirs in differences[:2]:
            ours, theirs = ours or b"", theirs or b""
            same = len(os.path.commonprefix([ours, theirs]))
            lines.append(f"{name} {item}: at {same}\n  ours   {ours[max(0, same - 60) : same + 90]!r}"
                         f"\n  theirs {theirs[max(0, same - 60) : same + 90]!r}")
    return "\n".join(lines)


def check(place, messages, chunk=65536):
    assert TOOL and os.access(TOOL, os.X_OK), "HOLDFAST_MIME_DUMP names no program: use make"
    found = compare_all(place, messages, chunk)
    assert not found, tell(found, messages)


@pytest.mark.parametrize("chunk", (65536, 1))
def test_all_of_the_difficult_mail_is_understood_as_dovecot_does(place, chunk):
    check(place, mail.corpus("hard"), chunk)


def test_a_sample_of_the_rest_is_understood_as_dovecot_does(place):
    check(place, [m for name, count in VOLUMES for m in mail.corpus(name, count // 8)])


@pytest.mark.slow
def test_five_thousand_of_the_rest_are_understood_as_dovecot_does(place):
    check(place, [m for name, count in VOLUMES for m in mail.corpus(name, count)], 4096)


# ---- mail that nobody would write ---------------------------------------------------------------

WORDS = ("a", "b.c", '"q w"', '"q\\"x"', '"un', "@", "<", ">", ",", ";", ":", "(", ")", "(c)",
         "(c\\)d)", ".", "..", "[1.2]", "[x", "\\", " ", "\r\n ", "=?utf-8?q?x?=", "\xfc", "x@y.z",
         "Foo Bar <f@b.c>", "grp: a@b, c@d;", "undisclosed-recipients:;", "<@r1,@r2:u@h>", "<>", "/")
TYPES = ("text", "plain", "/", "multipart", "message", "rfc822", "multipart/mixed", "text/plain",
         "message/rfc822", "multipart/digest", ";", "=", "boundary", "name", "charset", '"x"', '"un',
         "*", "*0", "*1", "*0*", "(c)", "(u", " ", "\r\n ", "; boundary=B1", '; name="a\\"b"', "%", "\xe4",
         "; name*0=a; name*1=b%", "; x==?q?=", "; charset=US-ASCII", "''", ".", "-")
FIELDS = ("Content-Type", "Content-Disposition", "Content-Language", "Content-ID",
          "Content-Description", "Content-Transfer-Encoding", "Content-MD5", "Content-Location",
          "Mime-Version", "From", "To", "Cc", "Sender", "Reply-To", "Subject", "Date", "Message-ID")
BOUNDARIES = ("B1", "B2", "B1x", "B", "B1--", "--", "B 1")


class Odd:
    """Makes messages of broken pieces, deterministically."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def some(self, pieces, most):
        return "".join(self.chance.choice(pieces) for _ in range(self.chance.randint(0, most))).rstrip()

    def header(self):
        lines = []
        for _ in range(self.chance.randint(0, 6)):
            name = self.chance.choice(FIELDS)
            words = WORDS if not name.startswith("Content") else TYPES
            lines.append(name + self.chance.choice((": ", ":", " : ")) + self.some(words, 7) + "\r\n")
        return "".join(lines)

    def content(self, depth):
        kind = self.chance.random()
        if depth > 3 or kind < 0.35:
            return self.chance.choice(("x", "x\r\n", "", "\r\n", "a\nb\r\n", "--\r\n", "--B9\r\n"))
        if kind < 0.5:
            return self.part(depth + 1)
        boundary = self.chance.choice(BOUNDARIES)
        text = self.chance.choice(("", "pre\r\n", "\r\n"))
        for _ in range(self.chance.randint(0, 3)):
            text += ("--" + self.chance.choice((boundary,) * 6 + ("B1", "B2", "B1x")) +
                     self.chance.choice(("",) * 8 + (" ", "x", "--")) + "\r\n" + self.part(depth + 1) +
                     self.chance.choice(("\r\n",) * 5 + ("", "\n", "\r\n\r\n")))
        return text + "--" + boundary + self.chance.choice(("--\r\n", "--", "", "--\r\nepi\r\n", "\r\n"))

    def part(self, depth=0):
        kind = self.chance.random()
        lines = ""
        if kind < 0.3:
            lines = 'Content-Type: multipart/%s; boundary="%s"\r\n' % (
                self.chance.choice(("mixed", "digest", "alternative")), self.chance.choice(BOUNDARIES))
        elif kind < 0.5:
            lines = "Content-Type: message/rfc822\r\n"
        elif kind < 0.8:
            lines = self.header()
        return lines + self.chance.choice(("\r\n",) * 6 + ("", "\n")) + self.content(depth)

    def message(self):
        text = self.header() + "\r\nx\r\n" if self.chance.random() < 0.5 else self.part()
        return text.encode("latin-1")


def test_messages_of_broken_pieces_are_understood_as_dovecot_does(place):
    odd = Odd(1)
    check(place, [(str(i), odd.message()) for i in range(1500)], 7)


@pytest.mark.slow
def test_many_messages_of_broken_pieces_are_understood_as_dovecot_does(place):
    odd = Odd(2)
    check(place, [(str(i), odd.message()) for i in range(20000)])


def nested(levels, form):
    text = b"Content-Type: text/plain\r\n\r\nx"
    for i in range(levels):
        if form == "message":
            text = b"Content-Type: message/rfc822\r\n\r\n" + text
        else:
            text = (b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i) + text +
                    b"\r\n--b%d--\r\n" % i)
    return text


def test_the_limit_of_nesting_is_where_dovecot_has_it(place):
    check(place, [(f"{form} {levels}", nested(levels, form)) for form in ("message", "multipart")
                  for levels in (98, 99, 100, 101)])
