# SPDX-License-Identifier: Apache-2.0
"""A bare IMAP client: exact octets, no opinion. For what imaplib would refuse to send or to show."""
import re
import socket

LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Wire:
    def __init__(self, host, port, context=None, timeout=60):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")
        self.tags = 0
        self.greeting = self.unit()

    def send(self, octets):
        self.socket.sendall(octets)

    def unit(self):
        """One response: its line, with every literal in place. b"" at the end of the stream.

        A stream that ends inside a literal is an EOFError: its octets are not a literal."""
        whole = b""
        while True:
            line = self.file.readline()
            whole += line
            literal = LITERAL.search(line)
            if not literal:
                return whole
            octets = self.file.read(int(literal[1]))
            if len(octets) < int(literal[1]):
                raise EOFError(f"{len(octets)} of {int(literal[1])} octets of a literal")
            whole += octets

    def command(self, text, tag=None):
        """Sends one command; returns (tagged line, [untagged responses])."""
        if tag is None:
            self.tags += 1
            tag = f"w{self.tags}"
        self.send(tag.encode() + b" " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.until(tag)

    def until(self, tag):
        untagged = []
        while True:
            unit = self.unit()
            if not unit or unit.startswith(tag.encode() + b" "):
                return unit, untagged
            untagged.append(unit)

    def is_closed(self):
        return self.file.read(1) == b""

    def close(self):
        self.file.close()
        self.socket.close()


def literals(unit):
    """The literals in one response, in order."""
    found, at = [], 0
    for match in iter(lambda: re.compile(rb"\{(\d+)\}\r\n").search(unit, at), None):
        size = int(match[1])
        found.append(unit[match.end() : match.end() + size])
        at = match.end() + size
    return found
