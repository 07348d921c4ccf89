# SPDX-License-Identifier: Apache-2.0
"""SEARCH next to Dovecot without full-text search, which reads the mailbox each time.

"First": in a new session; what the operating system holds in memory stays there. Dovecot then has no
cached fields of these messages unless an earlier query asked for them.
"""
import collections
import random
import re
import statistics

from measure import Clock, read_through, report

NEEDLE = "zyxarchivum"  # a word in one of a thousand generated messages, and in no other
SAMPLE = 400  # messages in which words are counted
PROSE = re.compile(rb"[A-Za-z,. ]{40,}")
WORD = re.compile(rb"\b[a-z]{5,12}\b")
PAIR = re.compile(rb"\b[a-z]{4,12} [a-z]{4,12}\b")


def bench(peers, rounds):
    rare, common = choose_words(peers.source.maildir("alice"))
    queries = [f'BODY "{NEEDLE}"', f'TEXT "{NEEDLE}"', f'BODY "{rare}"', f'BODY "{common}"', f'TEXT "{rare}"', f'TEXT "{common}"',
               f'SUBJECT "{rare}"', 'FROM "example"', 'FROM "zyxnobody"',
               f'OR SUBJECT "{rare}" BODY "{rare}"', "SENTSINCE 1-Jan-2015", "LARGER 50000"]
    for query in queries:
        rows, first = [], []
        for name, pid, connect in peers.readers():
            wire, _ = connect()
            walls, cpus, hits = [], [], 0
            for _ in range(rounds + 1):
                with Clock(pid) as clock:
                    _, untagged = wire.command(f"UID SEARCH {query}")
                hits = len(untagged[-1].split()) - 2
                walls.append(clock.wall)
                cpus.append(clock.cpu)
            wire.close()
            first.append((f"{name}, {hits} hits", walls[0], cpus[0]))
            rows.append((f"{name}, {hits} hits", statistics.median(walls[1:]),
                         statistics.median(cpus[1:])))
        report(f"SEARCH {query}, the first time in a new session", first, "ratio")
        report(f"SEARCH {query} (median of {rounds}, warm)", rows, "ratio")


def choose_words(maildir):
    """(words that only one message of the sample has, side by side; a word that nearly half have).

    Of lines that are plain words, as a client would type them."""
    files = sorted((maildir / "cur").iterdir())
    words, pairs = collections.Counter(), collections.Counter()
    sample = random.Random(1).sample(files, min(SAMPLE, len(files)))
    for path in sample:
        lines = [line for line in path.read_bytes().splitlines() if PROSE.fullmatch(line)]
        words.update({word for line in lines for word in WORD.findall(line)})
        pairs.update({pair for line in lines for pair in PAIR.findall(line)})
    rare = min(pairs.items(), key=lambda item: (item[1], -len(item[0]), item[0]))[0]
    common = min(words.items(), key=lambda item: abs(item[1] - len(sample) // 2))[0]
    return rare.decode(), common.decode()
