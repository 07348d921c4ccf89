# SPDX-License-Identifier: Apache-2.0
"""A source that cannot be used: one line that says which account, what failed and what to do."""
import socket
import threading

import pytest

from harness import certificates, mail
from harness.place import free_port


def add(holdfast, name, url, password="x", ca=None):
    more = ["--tls-ca", ca] if ca else []
    holdfast.run("account", "add", name, "--url", url, "--no-test",
                 "--password-file", holdfast.secret_file(name, password), *more)


def outcome(holdfast, name, status, *words):
    for command in (("account", "test", name), ("sync", name)):
        done = holdfast.run(*command, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == status, (command, said)
        lines = [line for line in said.splitlines() if name in line]
        assert lines, said
        for word in words:
            assert word.lower() in said.lower(), (command, word, said)
    stored = holdfast.sql("SELECT count(*) FROM placement p JOIN account_name n USING (account_id) "
                          "WHERE n.name = %s", name)
    assert stored[0][0] == 0


def test_a_wrong_password_is_a_denial(holdfast, new_dovecot):
    dovecot = new_dovecot()
    add(holdfast, "wrongpw", dovecot.url("alice"), "not-it", dovecot.ca)
    outcome(holdfast, "wrongpw", 1, "password")


def test_an_unknown_authority_is_named_with_its_remedy(holdfast, new_dovecot):
    dovecot = new_dovecot()
    add(holdfast, "unknownca", dovecot.url("alice"), "pw-alice")
    outcome(holdfast, "unknownca", 1, "certificate", "--tls-ca")


def test_a_certificate_for_another_host_is_refused(holdfast, new_dovecot):
    dovecot = new_dovecot(hosts=("elsewhere.example",))
    add(holdfast, "wronghost", dovecot.url("alice"), "pw-alice", dovecot.ca)
    outcome(holdfast, "wronghost", 1, "certificate", "localhost")


def test_a_host_that_does_not_exist_is_worth_another_try(holdfast):
    add(holdfast, "nohost", "imaps://alice@no-such-host.invalid/")
    outcome(holdfast, "nohost", 3, "no-such-host.invalid")


def test_a_closed_port_is_worth_another_try(holdfast):
    add(holdfast, "closed", f"imaps://alice@127.0.0.1:{free_port()}/")
    outcome(holdfast, "closed", 3, "127.0.0.1")


def test_a_peer_that_speaks_something_else_is_named(holdfast):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    threading.Thread(target=answer, daemon=True).start()
    add(holdfast, "sshport", f"imaps://alice@127.0.0.1:{listener.getsockname()[1]}/")
    outcome(holdfast, "sshport", 1, "127.0.0.1")
    listener.close()


def test_one_bad_account_does_not_stop_the_others(holdfast, new_dovecot):
    dovecot = new_dovecot()
    dovecot.deliver("alice", next(mail.generate(1)))
    add(holdfast, "good", dovecot.url("alice"), "pw-alice", dovecot.ca)
    add(holdfast, "bad", dovecot.url("alice"), "not-it", dovecot.ca)
    done = holdfast.run("sync", "good", "bad", check=False)
    assert done.returncode == 1
    assert holdfast.sql("SELECT count(*) FROM placement p JOIN account_name n USING (account_id) "
                        "WHERE n.name = 'good'")[0][0] == 1


def test_secrets_stay_out_of_the_log(holdfast, new_dovecot):
    dovecot = new_dovecot()
    add(holdfast, "secretive", dovecot.url("alice"), "pw-alice", dovecot.ca)
    holdfast.run("sync", "secretive")
    assert "pw-alice" not in holdfast.log()
