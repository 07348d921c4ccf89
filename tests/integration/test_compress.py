# SPDX-License-Identifier: Apache-2.0
"""COMPRESS=DEFLATE with Dovecot: the same octets, fewer on the wire; over loopback only when told to."""
import hashlib
import socket
import threading

import pytest

from harness import mail

MESSAGES = 200
WITH_DEFLATE = "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n"


class Relay:
    """Passes a connection on and counts what comes back."""

    def __init__(self, port):
        self.target = port
        self.counted = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._pass, args=(client, server, 0), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, 1), daemon=True).start()

    def _pass(self, source, target, counts):
        try:
            while octets := source.recv(1 << 16):
                self.counted += counts * len(octets)
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


@pytest.fixture
def relay(new_dovecot):
    dovecot = new_dovecot(extra=WITH_DEFLATE)
    for message in mail.generate(MESSAGES, size=8000):
        dovecot.deliver("alice", message)
    made = Relay(dovecot.port)
    made.dovecot = dovecot
    yield made
    made.close()


@pytest.mark.parametrize("setting, share", [("on", 0.5), ("auto", 1.0)])
def test_compressed_mail_is_the_same_and_shorter_on_the_wire(relay, new_holdfast, setting, share):
    holdfast = new_holdfast(ingest=f"compress = {setting}\n").start()
    holdfast.let_new_accounts_wait()  # or octets of a run would pass before they are counted
    holdfast.run("account", "add", "alice", "--url", f"imap+plain://alice@127.0.0.1:{relay.port}/",
                 "--password-file", holdfast.secret_file("alice", "pw-alice"))
    relay.counted = 0
    holdfast.run("sync", "alice")
    kept = holdfast.sql("SELECT count(*), sum(size_bytes)::bigint FROM message")[0]
    files = relay.dovecot.mail_files("alice")
    assert kept == (MESSAGES, sum(len(octets) for octets, _ in files.values()))
    assert (relay.counted < share * kept[1]) is (setting == "on"), (relay.counted, kept)
    hashes = {bytes(row[0]).hex() for row in holdfast.sql("SELECT sha256 FROM message")}
    assert hashes == {hashlib.sha256(octets).hexdigest() for octets, _ in files.values()}
