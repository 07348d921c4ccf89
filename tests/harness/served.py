# SPDX-License-Identifier: Apache-2.0
"""A source with mail, the archive of it, and an auditor: what most tests of the endpoint begin with."""
from . import mail
from .dovecot import Dovecot
from .holdfast import Holdfast
from .wire import Wire

LETTERS = ("S", "", "FS", "T", "R")


class Served:
    """A Dovecot with a mailbox of mail, the archive of it, and an auditor."""

    def __init__(self, place, settings="", messages=40, extra=()):
        self.dovecot = Dovecot(place).start()
        self.octets = [*mail.generate(messages), *extra]
        for i, octets in enumerate(self.octets):
            self.dovecot.deliver("alice", octets, flags=LETTERS[i % len(LETTERS)])
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = Holdfast(folder, settings).start()
        self.holdfast.add_account(self.dovecot, "alice")
        self.holdfast.run("sync")
        self.holdfast.add_auditor()

    def login(self, name="auditor", password="audit-password"):
        wire = Wire("localhost", self.holdfast.tls_port, self.holdfast.tls_context())
        tagged, _ = wire.command(f"LOGIN {name} {password}")
        assert b" OK " in tagged, tagged
        return wire

    def open(self, mailbox="Accounts/alice/INBOX"):
        wire = self.login()
        tagged, _ = wire.command(f'EXAMINE "{mailbox}"')
        assert b" OK [READ-ONLY]" in tagged, tagged
        return wire

    def stop(self):
        self.holdfast.stop()
        self.dovecot.stop()
