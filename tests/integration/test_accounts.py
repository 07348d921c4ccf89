# SPDX-License-Identifier: Apache-2.0
"""Accounts as the operator adds and tests them: what would be archived is shown before anything is."""
import json

import pytest

from harness import mail
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
auth_master_user_separator = *
"""


@pytest.fixture(scope="module")
def dovecot(module_place):
    with_uses = Dovecot(module_place, extra=USES).start()
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
    assert {row["path"] for row in account["left_out"]} == {"Spam", "Papierkorb"}


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
