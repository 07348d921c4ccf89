# SPDX-License-Identifier: Apache-2.0
"""A scripted source whose INBOX has any number of messages, made as they are asked for."""
import bisect
import re

from .scripted_source import OK, USUAL, Mailbox, Source, message

FLAGS = "\\Seen"  # of every third message
BLOCK = 2000  # responses sent together


def uid_of(n):
    """Of the n-th message, from 1: every eighth UID is missing."""
    return n + n // 7


class Messages:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, uid):
        return message(uid)

    def numbers(self, first, last):
        """Which messages have UIDs from first to last, as a range."""
        numbers = range(1, self.count + 1)
        return numbers[bisect.bisect_left(numbers, first, key=uid_of) :
                       bisect.bisect_right(numbers, last, key=uid_of)]


class HugeMailbox(Mailbox):
    def __init__(self, count):
        super().__init__({})
        self.messages = Messages(count)

    @property
    def top(self):
        return uid_of(len(self.messages))

    def chosen(self, uid_set):
        found = []
        for part in uid_set.split(","):
            first, _, last = part.partition(":")
            ends = [self.top if end == "*" else int(end) for end in (first, last or first)]
            found += [uid_of(n) for n in self.messages.numbers(min(ends), max(ends))]
        return found


class HugeSource(Source):
    """Gives the octets of at least `giving` messages, in whole sets, then asks to be left alone until the
    test raises it. given: how many it was so far."""

    def __init__(self, count, giving):
        super().__init__()
        self.mailboxes["INBOX"] = HugeMailbox(count)
        self.giving = giving
        self.given = 0
        self.on(r"UID FETCH \d+:(\d+|\*) \(UID FLAGS\)", self._enumerate)
        self.on(r"UID FETCH \S+ \(.*BODY", self._count, USUAL)

    def _enumerate(self, session, tag, command):
        mailbox = self.inbox
        first, last = re.match(r"UID FETCH (\d+):(\S+) ", command).groups()
        numbers = mailbox.messages.numbers(int(first), mailbox.top if last == "*" else int(last))
        for at in range(0, len(numbers), BLOCK):
            session.say("".join([f"* {n} FETCH (UID {n + n // 7} FLAGS ({'' if n % 3 else FLAGS}))\r\n"
                                 for n in numbers[at : at + BLOCK]]))
        session.say(OK.replace(b"<tag>", tag.encode()))

    def _count(self, session, tag, command):
        if self.given >= self.giving:
            session.say(f"{tag} NO [LIMIT] Rate limit hit\r\n")
            return False
        self.given += len(self.inbox.chosen(command.split(" ")[2]))

