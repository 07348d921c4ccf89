# SPDX-License-Identifier: Apache-2.0
"""Accounts as the operator adds and tests them: what would be archived is shown before anything is."""
import json
import socket
import ssl
import subprocess
import threading

import pytest

from harness import certificates, mail
from harness.dovecot import Dovecot

USES = """
namespace inbox {
  mailbox Spam {
    special_use = \\Junk
    auto = create
  }
  mailbox Papierkorb {
    special_use = \\Trash
    auto = create
  }
}
passdb {
  driver = passwd-file
  master = yes
  args = scheme=plain %s
}
"""


@pytest.fixture(scope="module")
def dovecot(module_place):
    masters = module_place / "masters"
    masters.write_text("keeper:{PLAIN}pw-keeper\n")
    with_uses = Dovecot(module_place, extra=USES % masters).start()
    for name, count in (("INBOX", 3), ("Spam", 2), ("Büro", 1)):
        for message in mail.generate(count, seed=len(name)):
            with_uses.deliver("alice", message, mailbox=name)
    yield with_uses
    with_uses.stop()


def by_path(value):
    return {row["path"]: row for row in value["mailboxes"]}


def test_adding_shows_each_mailbox_with_its_use_its_size_and_its_fate(holdfast, dovecot):
    done = holdfast.add_account(dovecot, "alice", "--exclude", "\\junk", "--exclude", "Bü*",
                                "--every", "1d", "--json", name="shown")
    value = json.loads(done.stdout)
    assert value["added"] and value["login_ok"]
    rows = by_path(value)
    assert rows["INBOX"]["messages"] == 3 and rows["INBOX"]["archived"]
    assert rows["INBOX"]["octets"] == sum(len(m) for m in mail.generate(3, seed=5))
    assert rows["Spam"]["special_use"] == "\\Junk" and not rows["Spam"]["archived"]
    assert rows["Spam"]["why"] == "--exclude \\junk"
    assert rows["Büro"]["why"] == "--exclude Bü*"
    assert rows["Papierkorb"]["archived"]
    said = holdfast.run("account", "test", "shown").stdout
    assert "login ok, 2 mailboxes, 3 messages" in said and "no: --exclude \\junk" in said


def test_the_first_sync_leaves_out_by_use_what_reconcile_then_names(holdfast, dovecot):
    holdfast.add_account(dovecot, "alice", "--exclude", "\\Junk", "--exclude", "\\Trash",
                         name="byuse")
    holdfast.run("sync", "byuse")
    mailboxes = {path for (path,) in holdfast.sql(
        "SELECT m.path FROM mailbox m JOIN account_name n USING (account_id) WHERE n.name = 'byuse'")}
    assert mailboxes == {"INBOX", "Büro"}
    account = holdfast.json("reconcile", "byuse")["accounts"][0]
    assert {row["path"]: row["why"] for row in account["left_out"]} == {
        "Spam": "--exclude \\Junk", "Papierkorb": "--exclude \\Trash"}
    assert "(by --exclude \\Junk; since " in holdfast.run("account", "show", "byuse").stdout


def test_a_pattern_that_matches_nothing_is_told(holdfast, dovecot):
    done = holdfast.add_account(dovecot, "alice", "--include", "inbox", "--exclude", "No/Such*",
                                "--every", "1d", name="unmatched")
    assert "no mailbox matches the pattern No/Such*" in done.stdout
    assert [row["path"] for row in holdfast.json("account", "test", "unmatched")["mailboxes"]
            if row["archived"]] == ["INBOX"]


def test_a_use_that_there_is_not_is_a_usage_error(holdfast, dovecot):
    done = holdfast.add_account(dovecot, "alice", "--exclude", "\\Spam", name="misspelt", check=False)
    assert done.returncode == 2 and "\\Junk" in done.stderr


def test_an_account_that_fails_its_test_is_not_added(holdfast, dovecot):
    arguments = ("account", "add", "wrong", "--url", dovecot.url("alice"), "--tls-ca", dovecot.ca,
                 "--password-file", holdfast.secret_file("wrong", "not-it"))
    done = holdfast.run(*arguments, check=False)
    assert done.returncode == 1 and "not added" in done.stderr and "password" in done.stdout
    assert holdfast.sql("SELECT count(*) FROM account_name WHERE name = 'wrong'")[0][0] == 0
    value = json.loads(holdfast.run(*arguments, "--json", check=False).stdout)
    assert not value["added"] and "refused" in value["outcome_text"]
    holdfast.run(*arguments, "--no-test")
    assert "wrong" in holdfast.run("account", "list").stdout


def pin_of(certificate):
    """sha256/… of its key, by openssl's own tools."""
    return "sha256/" + subprocess.run(
        f"openssl x509 -in '{certificate}' -pubkey -noout | openssl pkey -pubin -outform DER | "
        "openssl dgst -sha256 -binary | base64", shell=True, check=True, capture_output=True,
        text=True).stdout.strip()


def add(holdfast, dovecot, name, *options, password="pw-alice"):
    return holdfast.run("account", "add", name, "--url", dovecot.url("alice"), "--every", "1d",
                        "--password-file", holdfast.secret_file(name, password), *options,
                        check=False)


def test_a_pinned_key_is_asked_for_besides_the_chain_or_instead_of_it(holdfast, dovecot):
    right, wrong = pin_of(dovecot.cert), "sha256/" + 43 * "A" + "="
    assert add(holdfast, dovecot, "pinned", "--tls-ca", dovecot.ca, "--tls-pin", wrong, "--tls-pin",
               right).returncode == 0
    value = holdfast.json("account", "show", "pinned")
    assert value["tls_pins"] == [wrong, right] and not value["tls_pin_only"]
    done = add(holdfast, dovecot, "other-key", "--tls-ca", dovecot.ca, "--tls-pin", wrong)
    assert done.returncode == 1 and right in done.stdout
    done = add(holdfast, dovecot, "no-chain", "--tls-pin", right)
    assert done.returncode == 1 and "not trusted" in done.stdout
    assert add(holdfast, dovecot, "pin-only", "--tls-pin", right, "--tls-pin-only").returncode == 0
    assert "instead of" in holdfast.run("account", "show", "pin-only").stdout
    assert add(holdfast, dovecot, "half", "--tls-pin-only", "--no-test").returncode != 0
    assert add(holdfast, dovecot, "no-pin", "--tls-pin", "sha256/x").returncode == 2
    holdfast.run("account", "edit", "pinned", "--no-tls-pin")
    assert holdfast.json("account", "show", "pinned")["tls_pins"] == []


def test_one_master_user_logs_in_for_others(holdfast, dovecot):
    done = add(holdfast, dovecot, "mastered", "--tls-ca", dovecot.ca, "--login-as", "keeper",
               password="pw-keeper")
    assert done.returncode == 0 and "3 messages" not in done.stderr, done.stdout + done.stderr
    assert "logs in as:     keeper" in holdfast.run("account", "show", "mastered").stdout
    holdfast.run("sync", "mastered")
    assert holdfast.json("account", "show", "mastered")["messages"] == 6
    holdfast.run("account", "edit", "mastered", "--no-login-as")
    assert holdfast.run("account", "test", "mastered", check=False).returncode == 1


def serve_starttls(listener, context, said):
    """Says other capabilities before TLS than behind it; notes what it was asked."""
    connection, _ = listener.accept()
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=X-LIE] hi\r\n")
    said.append(connection.recv(1000))
    connection.sendall(said[-1].split()[0] + b" OK go\r\n")
    with context.wrap_socket(connection, server_side=True) as secured:
        for answer in (b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n", b"",
                       b"* CAPABILITY IMAP4rev1\r\n"):
            said.append(secured.recv(1000))
            secured.sendall(answer + said[-1].split()[0] + b" OK done\r\n")
        said.append(secured.recv(1000))


def test_capabilities_are_asked_again_behind_starttls_and_behind_the_login(holdfast, module_place):
    ca = certificates.make_authority(module_place / "starttls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.make_server_certificate(module_place / "starttls",
                                                                  ("localhost",)))
    listener, said = socket.create_server(("127.0.0.1", 0)), []
    served = threading.Thread(target=serve_starttls, args=(listener, context, said), daemon=True)
    served.start()
    holdfast.run("account", "add", "starttls", "--tls-ca", ca, "--password-file",
                 holdfast.secret_file("starttls", "pw"), "--url",
                 f"imap://alice@localhost:{listener.getsockname()[1]}/", check=False)
    served.join(timeout=30)
    listener.close()
    commands = [line.split(b" ", 1)[1].split(b" ")[0].strip() for line in said[:4]]
    assert commands == [b"STARTTLS", b"CAPABILITY", b"AUTHENTICATE", b"CAPABILITY"], said
