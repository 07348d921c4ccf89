# SPDX-License-Identifier: Apache-2.0
"""Ingestion over TLS next to mbsync, and to a client that throws everything away.

From a source beside us and from one that is 50 ms away; then the runs in which nothing is new.
"""
import ssl
import subprocess
import time

from harness.delay import DelayProxy
from harness.holdfast import Holdfast
from harness.place import peak_kib
from harness.wire import Wire

from measure import Clock, read_through, report

RTT_MS = 50
MAILBOXES = 1000  # of the user "many", one message each


class Mbsync:
    """One user's mail in a Maildir of its own."""

    def __init__(self, dovecot, folder, user, fsync, port, patterns):
        store = folder / f"mbsync-{user}-{fsync}-{port}"
        store.mkdir()
        self.config = store.with_suffix(".rc")
        self.config.write_text(f"""FSync {fsync}

IMAPAccount source
Host localhost
Port {port}
User {user}
Pass {dovecot.users[user]}
SSLType IMAPS
CertificateFile {dovecot.ca}
AuthMechs LOGIN

IMAPStore far
Account source

MaildirStore near
Path {store}/
Inbox {store}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Near
Sync Pull
SyncState *
""")
        self.config.chmod(0o600)

    def run(self):
        with Clock() as clock:
            subprocess.run(["mbsync", "-q", "-c", str(self.config), "all"], check=True,
                           stdout=subprocess.DEVNULL)
        return clock.wall, clock.cpu


class Ours:
    """One account of an archive; all processes are measured, PostgreSQL too."""

    def __init__(self, holdfast, dovecot, user, port):
        self.holdfast, self.name = holdfast, f"{user}-{port}"
        holdfast.run("account", "add", self.name, "--url", f"imaps://{user}@localhost:{port}/",
                     "--password-file", holdfast.secret_file(user, dovecot.users[user]),
                     "--tls-ca", dovecot.ca, "--no-test", "--every", "24h")

    def run(self):
        with Clock(self.holdfast.process.pid) as clock:
            self.holdfast.run("sync", self.name, timeout=3600)
        return clock.wall, clock.cpu

    def stored(self):
        return self.holdfast.sql("""
            SELECT count(*) FROM placement JOIN account_name USING (account_id) WHERE name = %s""",
                                 self.name)[0][0]


def drain(dovecot, port):
    """The limit: the same FETCH over TLS, thrown away."""
    wire = Wire("localhost", port, ssl.create_default_context(cafile=str(dovecot.ca)))
    wire.command(f"LOGIN alice {dovecot.users['alice']}")
    wire.command("EXAMINE INBOX")
    before = time.process_time()
    with Clock() as clock:
        read_through(wire, "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    cpu = clock.cpu + time.process_time() - before
    wire.close()
    return clock.wall, cpu


def bench_source(peers, holdfast, port, where):
    dovecot, folder = peers.source, peers.folder
    drained = drain(dovecot, port)
    slow = Mbsync(dovecot, folder, "alice", "yes", port, "INBOX")
    fast = Mbsync(dovecot, folder, "alice", "no", port, "INBOX")
    ours = Ours(holdfast, dovecot, "alice", port)
    report(f"Ingest {peers.count} messages over TLS, {where}: durable, indexed, searchable", [
        ("holdfast (all processes, PostgreSQL too)", *ours.run()),
        ("mbsync, FSync no", *fast.run()),
        ("mbsync, FSync yes", *slow.run()),
        ("raw drain of the same FETCH (limit)", *drained)], "ratio")
    assert ours.stored() == peers.count, f"{ours.stored()} of {peers.count} messages ingested"
    report(f"Nothing new, the same mailbox, {where}", [
        ("holdfast", *ours.run()),
        ("mbsync, FSync no", *fast.run())], "ratio")


def bench_mailboxes(peers, holdfast, port):
    theirs = Mbsync(peers.source, peers.folder, "many", "no", port, "*")
    ours = Ours(holdfast, peers.source, "many", port)
    theirs.run()
    ours.run()
    assert ours.stored() == MAILBOXES
    report(f"Nothing new in {MAILBOXES} mailboxes", [
        ("holdfast", *ours.run()),
        ("mbsync, FSync no", *theirs.run())], "ratio")


def bench(peers, _rounds):
    """In an archive of its own: that of the other parts holds the mail once."""
    dovecot = peers.source
    for i in range(MAILBOXES):
        dovecot.deliver("many", b"Subject: %d\r\n\r\nbody\r\n" % i, f"box{i:04}", flags="S")
    drain(dovecot, dovecot.tls_port)  # warms Dovecot's caches for everybody
    folder = peers.folder / "ingest"
    folder.mkdir(mode=0o755)
    far = DelayProxy(dovecot.tls_port, RTT_MS)
    holdfast = Holdfast(folder, variant="release").start()
    try:
        bench_source(peers, holdfast, dovecot.tls_port, "beside us")
        bench_source(peers, holdfast, far.port, f"{RTT_MS} ms away")
        bench_mailboxes(peers, holdfast, dovecot.tls_port)  # 50 ms away mbsync needs minutes
        print(f"  worker's VmHWM: {max(map(peak_kib, holdfast.pids('ingest')))} KiB")
    finally:
        holdfast.stop()
        far.stop()
