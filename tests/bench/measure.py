# SPDX-License-Identifier: Apache-2.0
"""Clocks and tables: what every part of the benchmark measures with."""
import resource
import time

from harness.usage import cpu_seconds


class Clock:
    """Wall seconds, and CPU seconds of servers (by process tree) and of finished children."""

    def __init__(self, *root_pids):
        self.roots = root_pids

    def __enter__(self):
        self.children = self._children()
        self.cpu_before = sum(map(cpu_seconds, self.roots))
        self.started = time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.started
        self.cpu = sum(map(cpu_seconds, self.roots)) - self.cpu_before + self._children() - self.children

    @staticmethod
    def _children():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime


def report(title, rows, baseline=None):
    print(f"\n{title}")
    print(f"  {'':42} {'wall s':>9} {'CPU s':>9} {'wall ratio':>11} {'CPU ratio':>10}")
    for name, wall, cpu in rows:
        ratio = ""
        if baseline is not None and name != rows[0][0]:
            ratio = f"{rows[0][1] / max(wall, 1e-9):11.2f} {rows[0][2] / max(cpu, 1e-2):10.2f}"
        print(f"  {name:42} {wall:9.3f} {cpu:9.2f} {ratio}")


def read_through(wire, command):
    """Sends a command and reads its answer in large pieces; returns octets read."""
    tag = b"zq9xK17d"
    wire.send(tag + b" " + command.encode() + b"\r\n")
    end, tail, size = b"\r\n" + tag + b" ", b"", 0
    while True:
        octets = wire.file.read1(1 << 18)
        assert octets, "connection lost"
        size += len(octets)
        tail = (tail + octets[-400:])[-400:]
        if tail.endswith(b"\r\n") and (end in tail or tail.startswith(tag + b" ")):
            return size
