# SPDX-License-Identifier: Apache-2.0
"""IMAP servers whose Debian packages exclude Dovecot's: unpacked beside it, not installed.

ops/install-deps.sh unpacks them, each into a folder of its own (ops/dependencies.md)."""
import imaplib
import os
import pathlib
import ssl

import pytest

ROOT = pathlib.Path(os.environ.get("HOLDFAST_SERVERS", "/opt/holdfast-servers"))


def unpacked(name):
    """The folder that stands for "/" of this server; skips the test where it is absent."""
    folder = ROOT / name
    if not (folder / "usr").is_dir():
        pytest.skip(f"{name} is not here: run ops/install-deps.sh test")
    return folder


def library_path(folder):
    found = [str(path) for path in sorted(folder.glob("usr/lib/*-linux-gnu"))]
    return ":".join([*found, str(folder / "usr/lib")])


class Source:
    """What the tests need of a server: users with passwords, two ports, an authority."""

    def url(self, user, scheme="imaps"):
        port = self.tls_port if scheme == "imaps" else self.port
        return f"{scheme}://{user}@localhost:{port}/"

    def client(self, user):
        """A second client of this server, read-write."""
        context = ssl.create_default_context(cafile=str(self.ca))
        client = imaplib.IMAP4_SSL("localhost", self.tls_port, ssl_context=context)
        client.login(user, self.users[user])
        return client
