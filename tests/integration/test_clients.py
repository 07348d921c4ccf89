# SPDX-License-Identifier: Apache-2.0
"""Mail clients that people use, driven as people drive them."""
import json
import shutil

import pytest

from harness import thunderbird
from harness.place import wait_for
from harness.served import Served
from harness.terminal import Terminal

RARE = "zanzibarite"


def rare_message(n):
    return (f"From: clerk@example.org\r\nTo: desk@example.org\r\nSubject: rare thing {n}\r\n"
            f"Date: Mon, 5 Mar 2001 10:0{n}:00 +0000\r\nMessage-ID: <rare{n}@example.org>\r\n\r\n"
            f"Not much is said here of {RARE} number {n}.\r\n").encode()


@pytest.fixture(scope="module")
def served(module_place):
    made = Served(module_place, settings="plain_loopback = on\n", messages=12,
                  extra=[rare_message(1), rare_message(2)])
    yield made
    made.stop()


def marks(served):
    """All that a client could have changed."""
    return served.holdfast.sql("SELECT mailbox_id, uid, flags, keywords, modseq, gone_at FROM placement "
                               "ORDER BY 1, 2")


def refusals(served):
    return served.holdfast.sql("SELECT count(*) FROM audit_event WHERE event = 'refused_write'")[0][0]


# ---- mutt -----------------------------------------------------------------------------------------


@pytest.fixture
def mutt(served, place):
    if shutil.which("mutt") is None or not Terminal.is_installed():
        pytest.skip("mutt or tmux is not installed")
    port = served.holdfast.tls_port
    rc = place / "muttrc"
    rc.write_text(f"""
set folder = imaps://auditor@localhost:{port}/
set spoolfile = imaps://auditor@localhost:{port}/Accounts/alice/INBOX
set imap_user = auditor
set imap_pass = audit-password
set certificate_file = {served.holdfast.data_dir}/keys/imapd.crt
set ssl_starttls = no
set sort = mailbox-order
set mail_check = 1
set timeout = 2
set abort_noattach = no
set wait_key = no
set quit = yes
set move = no
set index_format = "%4C %Z %s"
""")
    terminal = Terminal(place, ["mutt", "-n", "-F", str(rc)])
    yield terminal
    terminal.close()


def test_mutt_reads_searches_and_changes_nothing(served, mutt):
    before, refused = marks(served), refusals(served)
    total = len(served.octets)
    shown = mutt.wait("rare thing 2")
    assert "generated 1/0" in shown and f"Msgs:{total}" in shown, shown

    mutt.type("1")
    mutt.press("Enter")  # to the first message
    mutt.press("Enter")  # and open it
    mutt.wait("Subject: generated 1/0")
    mutt.type("q")
    mutt.wait("Msgs:")

    mutt.type(f"/~b {RARE}")
    mutt.press("Enter")
    mutt.press("Enter")
    mutt.wait(f"{RARE} number 1")
    mutt.type("q")
    mutt.wait("Msgs:")

    mutt.type(f"l~b {RARE}")
    mutt.press("Enter")
    shown = mutt.wait("rare thing 2", without="generated 1/0")
    assert "rare thing 1" in shown, shown
    mutt.type("lall")
    mutt.press("Enter")
    mutt.wait("generated 1/0")

    for key in ("F", "d", "N"):
        mutt.type(key)
        mutt.wait("read-only")
        mutt.press("Up")
        mutt.wait("Msgs:", without="read-only")

    served.dovecot.deliver("alice", rare_message(3))  # usable still: it hears of new mail
    served.holdfast.run("sync")
    mutt.wait("rare thing 3")
    mutt.type("q")
    wait_for(mutt.has_ended, 30, "the end of mutt")
    assert marks(served)[: len(before)] == before
    assert refusals(served) == refused


# ---- Thunderbird ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_thunderbird_reads_searches_and_asks_for_no_change(served, place):
    if not thunderbird.is_installed():
        pytest.skip("thunderbird is not installed")
    before = marks(served)
    said = thunderbird.run(place, served.holdfast.port, "auditor", "audit-password", len(before), RARE)
    told = dict(said)
    assert "DONE" in told, said
    assert not {"ALERT", "VAIN"} & set(told), said
    assert int(told["HEADERS"]) == len(before)
    assert RARE in json.loads(told["BODY"])
    rare = served.holdfast.sql("SELECT count(*) FROM message_index "
                               "WHERE starts_with(subject_folded, 'rare thing')")[0][0]
    assert int(told["HITS"]) == rare > 0
    assert marks(served) == before
    stores = served.holdfast.sql("SELECT count(*) FROM audit_event WHERE event = 'refused_write' "
                                 "AND detail->>'command' = 'STORE'")[0][0]
    assert stores == 0, "Thunderbird sent STORE"
