#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: Holdfast next to its peers on the same mail, in one run, on one machine.

Prints wall and CPU seconds (server and client processes, PostgreSQL included) and ratios; a ratio
under 1 means that Holdfast needs less. Everything is durable and audited as in production. Absolute
figures are of this machine at this moment; only the ratios are worth quoting.

    run.py [--count 20000] [--rounds 3] [--keep]
"""
import argparse
import pathlib
import resource
import ssl
import statistics
import subprocess
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from harness import mail  # noqa: E402
from harness.dovecot import Dovecot  # noqa: E402
from harness.holdfast import Holdfast  # noqa: E402
from harness.place import SHARED, Place, peak_kib, children_of  # noqa: E402
from harness.usage import cpu_seconds  # noqa: E402
from harness.wire import Wire  # noqa: E402

MDBOX = """
mail_plugins = zlib
plugin {
  zlib_save = zstd
}
"""


def fill(dovecot, count, folder):
    """The realistic generator where it is at hand (about 19.6 KB a message), otherwise our own."""
    generator = SHARED / "tools" / "genmail.py"
    if generator.exists():
        subprocess.run([sys.executable, str(generator), "--out", str(folder / "eml"), "--count",
                        str(count)], check=True, stdout=subprocess.DEVNULL)
        for path in sorted((folder / "eml").rglob("*.eml")):
            dovecot.deliver("alice", path.read_bytes(), flags="S", at=int(path.stat().st_mtime))
    else:
        for message in mail.generate(count, size=19000):
            dovecot.deliver("alice", message, flags="S")


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


# ---- ingestion ----------------------------------------------------------------------------------


def mbsync(dovecot, folder, fsync):
    store = folder / f"mbsync-{fsync}"
    store.mkdir()
    config = folder / f"mbsync-{fsync}.rc"
    config.write_text(f"""FSync {fsync}

IMAPAccount source
Host localhost
Port {dovecot.tls_port}
User alice
Pass {dovecot.users['alice']}
SSLType IMAPS
CertificateFile {dovecot.ca}
AuthMechs LOGIN

IMAPStore far
Account source

MaildirStore near
Path {store}/
Inbox {store}/INBOX

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
""")
    config.chmod(0o600)
    with Clock() as clock:
        subprocess.run(["mbsync", "-q", "-c", str(config), "all"], check=True,
                       stdout=subprocess.DEVNULL)
    with Clock() as again:
        subprocess.run(["mbsync", "-q", "-c", str(config), "all"], check=True,
                       stdout=subprocess.DEVNULL)
    return clock, again


def drain(dovecot):
    """The limit: the same FETCH over TLS, thrown away."""
    wire = Wire("localhost", dovecot.tls_port, ssl.create_default_context(cafile=str(dovecot.ca)))
    wire.command(f"LOGIN alice {dovecot.users['alice']}")
    wire.command("EXAMINE INBOX")
    before = time.process_time()
    with Clock() as clock:
        read_through(wire, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    clock.cpu += time.process_time() - before
    wire.close()
    return clock


def bench_ingest(dovecot, folder, count):
    drained = drain(dovecot)  # also warms Dovecot's caches for everybody
    drained = drain(dovecot)
    slow, slow_again = mbsync(dovecot, folder, "yes")
    fast, fast_again = mbsync(dovecot, folder, "no")
    place = folder / "holdfast"
    place.mkdir()
    place.chmod(0o755)
    holdfast = Holdfast(place, variant="release").start()
    holdfast.add_account(dovecot, "alice", "--no-test", "--every", "24h")
    with Clock(holdfast.process.pid) as ours:
        holdfast.run("sync", "alice", timeout=3600)
    with Clock(holdfast.process.pid) as again:
        holdfast.run("sync", "alice")
    stored = holdfast.sql("SELECT count(*) FROM placement")[0][0]
    assert stored == count, f"{stored} of {count} messages ingested"
    report(f"Ingest {count} messages over TLS, durable and indexed", [
        ("holdfast (all processes, PostgreSQL too)", ours.wall, ours.cpu),
        ("mbsync, FSync no", fast.wall, fast.cpu),
        ("mbsync, FSync yes", slow.wall, slow.cpu),
        ("raw drain of the same FETCH (limit)", drained.wall, drained.cpu)], "ratio")
    report("Nothing new, the same mailbox", [
        ("holdfast", again.wall, again.cpu),
        ("mbsync, FSync no", fast_again.wall, fast_again.cpu),
        ("mbsync, FSync yes", slow_again.wall, slow_again.cpu)], "ratio")
    workers = holdfast.pids("ingest")
    print(f"  worker's VmHWM: {max(map(peak_kib, workers))} KiB")
    return holdfast


# ---- reading ------------------------------------------------------------------------------------


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


def bench_reading(holdfast, dovecots, count, rounds):
    commands = {
        "EXAMINE": None,
        "FETCH 1:* (FLAGS)": "FETCH 1:* (FLAGS)",
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)":
            "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
        "FETCH 1:* (BODY.PEEK[])": "FETCH 1:* (BODY.PEEK[])",
    }
    holdfast.add_auditor()
    peers = [("holdfast", holdfast.process.pid, lambda: open_archive(holdfast))]
    for name, dovecot, user in dovecots:
        peers.append((name, dovecot.process.pid, lambda d=dovecot, u=user: open_source(d, u)))
    for title, command in commands.items():
        rows = []
        for name, pid, connect in peers:
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


def open_archive(holdfast):
    wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context(), timeout=600)
    wire.command("LOGIN auditor audit-password")
    wire.command('EXAMINE "Accounts/alice/INBOX"')
    return wire, "Accounts/alice/INBOX"


def open_source(dovecot, user):
    wire = Wire("localhost", dovecot.tls_port,
                ssl.create_default_context(cafile=str(dovecot.ca)), timeout=600)
    wire.command(f"LOGIN {user} {dovecot.users[user]}")
    wire.command("EXAMINE INBOX")
    return wire, "INBOX"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    place = Place("bench")
    source = Dovecot(place.path, users=("alice",)).start()
    (place.path / "mdbox").mkdir()
    packed = Dovecot(place.path / "mdbox", users=("alice",), location="mdbox:~/mdbox",
                     extra=MDBOX).start()
    holdfast = None
    try:
        fill(source, options.count, place.path)
        subprocess.run(["doveadm", "-c", str(packed.dir / "dovecot.conf"), "import", "-u", "alice",
                        f"maildir:{source.maildir('alice')}", "", "ALL"], check=True)
        show_imported(packed)
        holdfast = bench_ingest(source, place.path, options.count)
        bench_reading(holdfast, [("Dovecot, mdbox + zstd", packed, "alice"),
                                 ("Dovecot, Maildir", source, "alice")],
                      options.count, options.rounds)
        peaks = {name: peak_kib(pid) for pid, name in children_of(holdfast.process.pid).items()
                 if name.startswith("holdfast-")}
        print(f"\nVmHWM in KiB: {peaks}")
    finally:
        for service in (holdfast, packed, source):
            if service is not None:
                service.stop()
        if options.keep:
            print(f"kept: {place.path}")
        else:
            place.remove()


def show_imported(packed):
    """So that an empty peer is not mistaken for a fast one."""
    wire, _ = open_source(packed, "alice")
    tagged, untagged = wire.command("STATUS INBOX (MESSAGES)")
    wire.close()
    print("mdbox peer:", b"".join(untagged).decode().strip())


if __name__ == "__main__":
    main()
