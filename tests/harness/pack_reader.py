#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads packs by lib/store/README.md alone: zstd decompresses, everything else is here."""
import hashlib
import json
import struct
import subprocess
import sys


class Pack:
    def __init__(self, path):
        self.octets = open(path, "rb").read()
        self.sha256 = hashlib.sha256(self.octets).hexdigest()
        start, self.raw_bytes, count, version = struct.unpack("<QQII", self.octets[-64:-40])
        assert self.octets[-8:] == b"HOLDFAST" and version == 1
        magic, length = struct.unpack("<II", self.octets[start:start + 8])
        payload = self.octets[start + 8:]
        assert (magic, length) == (0x184D2A5E, len(payload)) and length == 56 * count + 64
        assert hashlib.sha256(payload[:-40]).digest() == payload[-40:-8]
        self.frames = [struct.unpack("<QQII32s", payload[56 * i:56 * i + 56]) for i in range(count)]
        raw = stored = 0
        for raw_start, stored_start, raw_bytes, stored_bytes, sha256 in self.frames:
            assert (raw_start, stored_start) == (raw, stored)
            frame = self.octets[stored:stored + stored_bytes]
            assert hashlib.sha256(frame).digest() == sha256
            raw, stored = raw + raw_bytes, stored + stored_bytes
        assert (raw, stored) == (self.raw_bytes, start)

    def read(self, first, length):
        """Octets of the tar stream, from the frames that hold them and no others."""
        wanted = [f for f in self.frames if f[0] < first + length and f[0] + f[2] > first]
        stored = b"".join(self.octets[f[1]:f[1] + f[3]] for f in wanted)
        raw = subprocess.run(["zstd", "-dcq"], input=stored, capture_output=True, check=True).stdout
        return raw[first - wanted[0][0]:][:length] if wanted else b""

    def members(self):
        """(name, first octet, size) of each member."""
        raw, at = self.read(0, self.raw_bytes), 0
        while any(raw[at:at + 512]):
            name = raw[at:at + 100].rstrip(b"\0").decode()
            size = int(raw[at + 124:at + 135], 8)
            data = raw[at + 512:at + 512 + size]
            assert not name.endswith(".eml") or hashlib.sha256(data).hexdigest() + ".eml" == name
            yield name, at + 512, size
            at += 512 + (size + 511) // 512 * 512
        assert raw[at:] == bytes(1024)

    def catalogue(self):
        name, at, size = list(self.members())[-1]
        assert name == ".holdfast/catalogue.jsonl"
        return [json.loads(line) for line in self.read(at, size).decode().splitlines()]


def in_order(packs):
    """The account's packs from the first on, by the chain of `previous`."""
    by_previous = {pack.catalogue()[0]["previous"]: pack for pack in packs}
    row = [by_previous.pop(None)]
    while row[-1].sha256 in by_previous:
        row.append(by_previous.pop(row[-1].sha256))
    assert not by_previous, "packs outside the chain"
    return row


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        pack = Pack(argument)
        print(pack.sha256, len(pack.frames), "frames,", sum(1 for _ in pack.members()), "members")
        for line in pack.catalogue():
            print(json.dumps(line))
