# SPDX-License-Identifier: Apache-2.0
"""A relay in front of an IMAP server (plain, loopback) that ends one session as Exchange Online does when
its token expires: between two responses, by BYE."""
import socket
import threading

BYE = b"* BYE Session invalidated - AccessTokenExpired\r\n"


class TokenProxy:
    def __init__(self, port, expire_after, on_expiry):
        """expire_after: octets from the server, in one session; only the first one that gets there ends."""
        self.target = port
        self.expire_after = expire_after
        self.on_expiry = on_expiry
        self.expiries = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def start(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def stop(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self._upstream, args=(client, server), daemon=True).start()
            threading.Thread(target=self._downstream, args=(server, client), daemon=True).start()

    @staticmethod
    def _upstream(client, server):
        try:
            while octets := client.recv(65536):
                server.sendall(octets)
        except OSError:
            pass
        _end(server, client)

    def _downstream(self, server, client):
        passed, held = 0, b""
        try:
            while octets := server.recv(65536):
                held += octets
                passed += len(octets)
                end = held.rfind(b")\r\n* ") + 3  # where a FETCH response ends
                if self.expiries == 0 and passed > self.expire_after and end > 2:
                    self.expiries += 1
                    client.sendall(held[:end])
                    self.on_expiry()
                    client.sendall(BYE)
                    break
                if self.expiries == 0 and passed > self.expire_after:
                    continue  # keeps what it has until a border comes
                client.sendall(held)
                held = b""
        except OSError:
            pass
        _end(server, client)


def _end(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
