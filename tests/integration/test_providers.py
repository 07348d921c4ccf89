# SPDX-License-Identifier: Apache-2.0
"""What differs between providers: whose mailboxes are archived, which rules of theirs are kept."""
import json

import pytest

from harness import mail

NAMESPACES = """
namespace public {
  type = public
  separator = /
  prefix = Public/
  location = maildir:~/Public
  subscriptions = no
}
namespace hidden {
  type = public
  separator = /
  prefix = "#board/"
  location = maildir:~/Board
  subscriptions = no
  list = no
  hidden = no
}
"""


def deliver_into(folder, dovecot, octets):
    """Into a Maildir of the user's home that is no part of his own namespace."""
    base = dovecot.dir / "home/alice/Maildir"
    link = base / f".{folder.name}-link"
    folder.mkdir(parents=True, exist_ok=True)
    link.symlink_to(folder)
    dovecot.deliver("alice", octets, f"{folder.name}-link")
    link.unlink()


@pytest.fixture
def two_namespaces(new_dovecot, new_holdfast):
    dovecot = new_dovecot(extra=NAMESPACES)
    messages = list(mail.generate(6, seed=21))
    for message in messages[:3]:
        dovecot.deliver("alice", message)
    home = dovecot.dir / "home/alice"
    for i, (place, name) in enumerate((("Public", "Team"), ("Public", "News"), ("Board", "Minutes"))):
        deliver_into(home / place / f".{name}", dovecot, messages[3 + i])
    holdfast = new_holdfast().start()
    holdfast.add_account(dovecot, "alice")
    return dovecot, holdfast


def listed(holdfast):
    return {path: gone for path, gone in holdfast.sql(
        "SELECT path, gone_at IS NOT NULL FROM mailbox WHERE NOT is_noselect")}


def test_shared_mailboxes_are_archived_only_when_asked_for(two_namespaces):
    dovecot, holdfast = two_namespaces
    said = holdfast.run("account", "test", "alice").stdout
    assert "left out as shared (--namespace shared): 2 mailboxes, the first Public/News" in said
    said = holdfast.run("reconcile", "alice").stdout
    assert "Public/Team" in said and "--namespace shared would archive it" in said
    assert listed(holdfast) == {"INBOX": False}

    holdfast.run("account", "edit", "alice", "--namespace", "shared")
    report = json.loads(holdfast.run("reconcile", "alice", "--json").stdout)
    account = report["accounts"][0]
    assert report["complete"] and account["left_out"] == []
    assert {m["path"]: m["archived"] for m in account["mailboxes"]} == {
        "INBOX": 3, "Public/Team": 1, "Public/News": 1, "#board/Minutes": 1}
    assert json.loads(holdfast.run("account", "show", "alice", "--json").stdout)["namespaces"] == [
        "shared"]

    done = holdfast.run("account", "edit", "alice", "--namespace", "public", check=False)
    assert done.returncode == 2 and "shared or others" in done.stdout + done.stderr

    # No longer asked for: what was archived stays, and is not called gone.
    holdfast.run("account", "edit", "alice", "--no-namespace")
    report = json.loads(holdfast.run("reconcile", "alice", "--json").stdout)
    assert [row["path"] for row in report["accounts"][0]["left_out"]] == ["Public/News",
                                                                         "Public/Team"]
    assert not listed(holdfast)["Public/Team"]
