#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: Holdfast next to its peers on the same mail, in one run, on one machine.

Prints wall and CPU seconds (server and client processes, PostgreSQL included) and ratios; a ratio
under 1 means that the other needs less. Everything is durable and audited as in production. Absolute
figures are of this machine at this moment; only the ratios are worth quoting.

    run.py [--count 20000] [--rounds 3] [--only PART]... [--whole] [--keep]

A part is a module of this folder with `bench(peers, rounds)` (peers.py says what is at hand), named
in PARTS.
"""
import argparse
import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from harness.place import children_of, peak_kib  # noqa: E402
from peers import Peers  # noqa: E402

PARTS = ("ingest", "reading", "searching", "export", "storage", "corpora")  # in this order
OWN_ARCHIVE = ("ingest", "corpora")  # parts that do not read the archive of all others
OWN_MAIL = ("corpora",)  # parts that need nothing of the bench's own mail


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--whole", action="store_true", help="no corpus is sampled")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    wanted = [part for part in PARTS if not options.only or part in options.only]
    has_mail = any(part not in OWN_MAIL for part in wanted)
    peers = Peers(options.count if has_mail else 0, options.whole)
    try:
        with peers:
            if any(part not in OWN_ARCHIVE for part in wanted):
                peers.ingest()
            for part in wanted:
                importlib.import_module(part).bench(peers, options.rounds)
            peaks = {name: peak_kib(pid)
                     for pid, name in children_of(peers.holdfast.process.pid).items()
                     if name.startswith("holdfast-")}
            print(f"\nVmHWM in KiB: {peaks}")
    finally:
        if options.keep:
            print(f"kept: {peers.folder}")
        else:
            peers.place.remove()


if __name__ == "__main__":
    main()
