# SPDX-License-Identifier: Apache-2.0
"""An export, signed and with its manifests, next to `tar | zstd` of the same mail as files."""
import statistics
import subprocess

from measure import Clock, report


def bench(peers, rounds):
    walls, cpus, tar_walls, tar_cpus = [], [], [], []
    ours, theirs = peers.folder / "export.tar.zst", peers.folder / "peer.tar.zst"
    folder = peers.source.maildir("alice")
    for _ in range(rounds + 1):
        with Clock(peers.holdfast.process.pid) as clock:
            peers.holdfast.run("export", "*", "-o", ours, "--force", timeout=3600)
        walls.append(clock.wall)
        cpus.append(clock.cpu)
        with Clock() as clock:
            subprocess.run(f"tar -C {folder} -cf - . | zstd -q -3 -f -o {theirs} && sync {theirs}",
                           shell=True, check=True)
        tar_walls.append(clock.wall)
        tar_cpus.append(clock.cpu)
    report(f"Export as mbox (median of {rounds}, warm; ours {ours.stat().st_size / 1e6:.0f} MB, "
           f"tar {theirs.stat().st_size / 1e6:.0f} MB)", [
               ("holdfast export (PostgreSQL too)", statistics.median(walls[1:]),
                statistics.median(cpus[1:])),
               ("tar | zstd -3, synced", statistics.median(tar_walls[1:]),
                statistics.median(tar_cpus[1:]))], "ratio")
