# SPDX-License-Identifier: Apache-2.0
"""Logging in to sources: each mechanism against a server that offers nothing else."""
import pytest

from harness import mail


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"])
def test_a_server_with_one_mechanism_is_archived(holdfast, new_dovecot, mechanism):
    dovecot = new_dovecot(mechanisms=mechanism, extra="disable_plaintext_auth = no")
    dovecot.deliver("alice", next(mail.generate(1)))
    name = f"by-{mechanism}"
    holdfast.run("account", "add", name, "--url", dovecot.url("alice"), "--tls-ca", dovecot.ca,
                 "--password-file", holdfast.secret_file(name, "pw-alice"))
    assert "1 new message" in holdfast.run("sync", name).stdout
    holdfast.run("account", "edit", name, "--password-file",
                 holdfast.secret_file(f"{name}-wrong", "not-it"))
    wrong = holdfast.run("account", "test", name, check=False)
    assert wrong.returncode == 1 and "check the user name" in wrong.stdout + wrong.stderr
    log = (dovecot.dir / "dovecot.log").read_text()
    assert f"method={mechanism.upper()}" in log
