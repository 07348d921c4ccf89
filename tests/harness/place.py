# SPDX-License-Identifier: Apache-2.0
"""Temporary folders that unprivileged services can enter, free ports, waiting with a deadline."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


class Place:
    """A folder of its own directly under the system's temporary folder: pytest's own is mode 0700
    under root, and the services drop their rights. Kept when the test failed."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"holdfast-test-{name[:24]}-"))
        self.path.chmod(0o755)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


# Below the ephemeral ports, so that no client's connection takes one between choice and use; a slice
# for each of pytest-xdist's workers.
PORTS_PER_WORKER = 2000
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = iter(random.sample(range(10240 + WORKER % 10 * PORTS_PER_WORKER,
                                 10240 + (WORKER % 10 + 1) * PORTS_PER_WORKER), PORTS_PER_WORKER))


def free_port():
    """A port of loopback that nobody listens at; never the same twice."""
    for port in PORTS:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free")


def wait_for(condition, seconds, what):
    """Polls until condition() is true; never sleeps for luck."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def need_mounts(why):
    """Skips where a mount namespace with overlays cannot be made: it needs root, and not in every container."""
    script = "mount -t tmpfs none /mnt && mount -t overlay -o lowerdir=/usr:/etc none /mnt"
    if subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True).returncode:
        pytest.skip(f"no mount namespace with overlays can be made here: {why}")


def accepts_connections(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def stat_of(pid):
    """Name, state and parent of a process; None when there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
    return stat[stat.index("(") + 1 : stat.rindex(")")], state, int(parent)


def runs(pid, name):
    stat = stat_of(pid)
    return stat is not None and stat[0] == name and stat[1] != "Z"


def end_at_once(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children_of(pid):
    """Process ids of all descendants, with their names."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        stat = stat_of(entry)
        if stat is not None:
            name, _, parent = stat
            parents[int(entry)] = (parent, name)
    found, frontier = {}, {pid}
    while frontier:
        frontier = {p for p, (parent, _) in parents.items() if parent in frontier}
        found.update({p: parents[p][1] for p in frontier})
    return found


def peak_kib(pid):
    """VmHWM of a process, KiB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError(f"no VmHWM for process {pid}")
