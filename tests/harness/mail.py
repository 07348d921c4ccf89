# SPDX-License-Identifier: Apache-2.0
"""Messages for tests: generated ones, and the corpora beside the project where they are present."""
import random
import subprocess
import tarfile

import pytest

from .place import SHARED

CORPUS = SHARED / "corpus"


def generate(count, seed=1, size=2000):
    """Deterministic small messages, all different."""
    chance = random.Random(seed)
    for i in range(count):
        words = " ".join(chance.choice(("alpha", "beta", "gamma", "delta", "überfällig"))
                         for _ in range(max(1, size // 8)))
        yield (f"From: sender{i}@example.org\r\nTo: alice@example.org\r\n"
               f"Subject: generated {seed}/{i}\r\nDate: Mon, 1 Oct 2001 10:00:00 +0200\r\n"
               f"Message-ID: <{seed}.{i}@example.org>\r\nMIME-Version: 1.0\r\n"
               f"Content-Type: text/plain; charset=utf-8\r\n\r\n{words}\r\n").encode()


def corpus(name, sample=None, seed=1):
    """The messages of a corpus, (name, octets); skips the test where the corpus is absent.
    sample: at most so many, chosen evenly over the whole file."""
    path = CORPUS / f"{name}.tar.zst"
    if not path.exists():
        pytest.skip(f"corpus {name} is not here")
    unpacked = subprocess.Popen(["zstd", "-dc", "--long=27", str(path)], stdout=subprocess.PIPE)
    messages = []
    with tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".eml"):
                messages.append((member.name, tar.extractfile(member).read()))
    unpacked.wait()
    if sample is not None and len(messages) > sample:
        chance = random.Random(seed)
        messages = [messages[i] for i in sorted(chance.sample(range(len(messages)), sample))]
    return messages


def large_message(size_bytes, seed=1):
    """One message of about this size, as lines that do not compress to nothing."""
    chance = random.Random(seed)
    header = (b"From: big@example.org\r\nTo: alice@example.org\r\nSubject: large\r\n"
              b"Date: Mon, 1 Oct 2001 10:00:00 +0200\r\nMessage-ID: <large@example.org>\r\n\r\n")
    block = b"".join(chance.randbytes(36).hex().encode() + b"\r\n" for _ in range(14000))
    parts, left, i = [header], size_bytes - len(header), 0
    while left > 0:
        line = f"block {i:08d}\r\n".encode()
        piece = (line + block)[:left] if left < len(block) + len(line) else line + block
        parts.append(piece)
        left -= len(piece)
        i += 1
    return b"".join(parts)
