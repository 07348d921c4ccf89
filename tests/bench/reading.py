# SPDX-License-Identifier: Apache-2.0
"""What a mail client reads: opening a mailbox, metadata, octets."""
import statistics

from measure import Clock, read_through, report

COMMANDS = {
    "EXAMINE": None,
    "FETCH 1:* (FLAGS)": "FETCH 1:* (FLAGS)",
    "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)":
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
    "FETCH 1:* (... ENVELOPE BODYSTRUCTURE)":
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
    "FETCH 1:* (BODY.PEEK[])": "FETCH 1:* (BODY.PEEK[])",
}


def bench(peers, rounds, titles=tuple(COMMANDS)):
    for title in titles:
        command = COMMANDS[title]
        rows = []
        for name, pid, connect in peers.readers():
            wire, mailbox = connect()
            walls, cpus, size = [], [], 0
            for _ in range(rounds + 1):
                with Clock(pid) as clock:
                    if command:
                        size = read_through(wire, command)
                    else:
                        for _ in range(200):
                            wire.command(f'EXAMINE "{mailbox}"')
                walls.append(clock.wall)
                cpus.append(clock.cpu)
            wire.close()
            rows.append((name, statistics.median(walls[1:]), statistics.median(cpus[1:])))
        report(f"{title}{' x 200' if command is None else ''}"
               f" (median of {rounds}, warm{f', {size / 1e6:.1f} MB' if command else ''})",
               rows, "ratio")
