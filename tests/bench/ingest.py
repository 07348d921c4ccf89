# SPDX-License-Identifier: Apache-2.0
"""Ingestion over TLS next to mbsync, and to a client that throws everything away."""
import ssl
import subprocess
import time

from harness.place import peak_kib
from harness.wire import Wire

from measure import Clock, read_through, report


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


def bench(peers, _rounds):
    dovecot, folder, holdfast = peers.source, peers.folder, peers.holdfast
    drained = drain(dovecot)  # also warms Dovecot's caches for everybody
    drained = drain(dovecot)
    slow, slow_again = mbsync(dovecot, folder, "yes")
    fast, fast_again = mbsync(dovecot, folder, "no")
    with Clock(holdfast.process.pid) as ours:
        peers.ingest()
    with Clock(holdfast.process.pid) as again:
        holdfast.run("sync", "alice")
    report(f"Ingest {peers.count} messages over TLS, durable and indexed", [
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
