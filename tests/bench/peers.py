# SPDX-License-Identifier: Apache-2.0
"""The mail, the servers that hold it, and connections to them."""
import ssl
import subprocess
import sys

from harness import mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.place import SHARED, Place
from harness.wire import Wire

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


class Peers:
    """A source (Maildir), the same mail in mdbox + zstd, and Holdfast beside them, all over TLS.

    The archive is empty until run.py calls `ingest`, for the parts that read it. With count 0 there is no
    mail. whole: parts that take a sample take everything.
    """

    def __init__(self, count, whole=False):
        self.count, self.whole = count, whole
        self.place = Place("bench")
        self.folder = self.place.path
        self.source = self.packed = self.holdfast = None

    def __enter__(self):
        try:
            self.source = Dovecot(self.folder, users=("alice", "many")).start()
            (self.folder / "mdbox").mkdir()
            self.packed = Dovecot(self.folder / "mdbox", users=("alice",),
                                  location="mdbox:~/mdbox", extra=MDBOX).start()
            if self.count > 0:
                fill(self.source, self.count, self.folder)
                import_maildir(self.source, self.packed, "alice")
                show_imported(self.packed)
            (self.folder / "holdfast").mkdir()
            (self.folder / "holdfast").chmod(0o755)
            self.holdfast = Holdfast(self.folder / "holdfast", variant="release").start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for service in (self.holdfast, self.packed, self.source):
            if service is not None:
                service.stop()

    def readers(self):
        """(name, pid whose tree serves it, function that connects): ours first."""
        return [("holdfast", self.holdfast.process.pid, lambda: open_archive(self.holdfast)),
                ("Dovecot, mdbox + zstd", self.packed.process.pid,
                 lambda: open_source(self.packed, "alice")),
                ("Dovecot, Maildir", self.source.process.pid,
                 lambda: open_source(self.source, "alice"))]

    def ingest(self):
        """All of it comes into the archive."""
        self.holdfast.add_account(self.source, "alice", "--no-test", "--every", "24h")
        self.holdfast.run("sync", "alice", timeout=3600)
        stored = self.holdfast.sql("SELECT count(*) FROM placement")[0][0]
        assert stored == self.count, f"{stored} of {self.count} messages ingested"
        self.holdfast.add_auditor()


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


def import_maildir(source, packed, user):
    """The mail of a Maildir into the mdbox of the same user."""
    subprocess.run(["doveadm", "-c", str(packed.dir / "dovecot.conf"), "import", "-u", user,
                    f"maildir:{source.maildir(user)}", "", "ALL"], check=True)


def show_imported(packed):
    """So that an empty peer is not mistaken for a fast one."""
    wire, _ = open_source(packed, "alice")
    tagged, untagged = wire.command("STATUS INBOX (MESSAGES)")
    wire.close()
    print("mdbox peer:", b"".join(untagged).decode().strip())
