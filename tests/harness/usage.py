# SPDX-License-Identifier: Apache-2.0
"""CPU seconds of a server: a process, all its descendants, and those of them already reaped."""
import os
import pathlib

from .place import children_of

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root_pid):
    total = 0
    for pid in {root_pid, *children_of(root_pid)}:
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue  # it has just ended; its parent has its time
        fields = stat[stat.rindex(")") + 2 :].split()
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))  # own and reaped, user and system
    return total / TICKS
