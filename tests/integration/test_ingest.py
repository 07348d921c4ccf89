# SPDX-License-Identifier: Apache-2.0
"""What a source says of its mail and of its mailboxes, however strange, loses none of it.

The source here is scripted. Failures that other fetchers are known for have files of their own
(test_failures_*.py); what a good source does is tested against Dovecot elsewhere.
"""
import base64
import os
import signal

from harness.account import stored
from harness.scripted_source import Source, message


def test_flags_that_cannot_be_kept_lose_no_message(account):
    source = Source((1, 2, 3))
    source.inbox.flags = {1: "\\Seen " + "k" * 300, 2: " ".join(f"k{n}" for n in range(5000))}
    account.add(source).sync()
    assert account.states() == stored(1, 2, 3)
    assert account.flags()[0] == 1  # \Seen stays


def test_a_date_before_all_time_loses_no_message(account):
    source = Source((1, 2))
    source.inbox.dates = {1: '"01-Jan-0001 00:00:00 +0000"', 2: '"01-Feb-2020 10:00:00 +9959"'}
    account.add(source).sync()
    assert account.states() == stored(1, 2)


def test_an_error_about_a_name_cut_within_a_character_is_told(account):
    source = Source((1, 2))
    name = base64.b64encode(("\u00e9" * 60).encode("utf-16-be")).rstrip(b"=").decode()
    source.add(f"x&{name.replace('/', ',')}-").refusal = "[NOPERM] not yours"
    said = account.add(source).sync(3)
    assert "NOPERM" in said
    assert account.states() == stored(1, 2)


def test_names_that_cannot_be_archived_do_not_stop_the_others_and_are_told(account):
    source = Source((1, 2))
    for name in "L" * 5000, "INBOX/a", "Inbox/a", "".join(f"{n:x}." for n in range(900)):
        source.add(name).refusal = "[NOPERM] x"
    said = account.add(source).sync(3)
    assert "4 of 5 mailboxes" in said
    assert account.states() == stored(1, 2)


def test_a_separator_that_no_server_may_have_costs_its_mailbox_alone_and_is_told(account):
    source = Source((1,)).on("LIST", b'* LIST () "/" INBOX\r\n* LIST () "\xe9" Other\r\n', b"<tag> OK done\r\n")
    assert "cannot be read" in account.add(source).sync(3)
    assert account.states() == stored(1)


def test_mail_that_vanishes_and_comes_back_is_recorded_both_times(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    taken = source.inbox.messages.pop(2)
    account.sync()
    assert account.states() == {1: "stored", 2: "stored gone", 3: "stored"}
    assert account.placements() == (3, 1, 3)
    source.inbox.messages[2] = taken
    account.sync()
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_mail_that_comes_back_without_a_word_of_its_flags_keeps_them(account):
    source = Source((1, 2))
    source.inbox.flags = {2: "\\Seen work"}
    account.add(source).sync()
    taken = source.inbox.messages.pop(2)
    account.sync()
    source.inbox.messages[2] = taken
    source.inbox.without_flags = {2}
    account.sync()
    assert account.placements() == (2, 0, 2)
    assert account.flags() == [0, 1]
    assert account.keywords() == [0, 1]


def test_an_emptied_mailbox_is_kept(account):
    source = Source((1, 2))
    account.add(source).sync()
    source.inbox.messages = {}
    account.sync()
    assert account.placements() == (2, 2, 2)


def test_an_archive_that_cannot_be_written_is_told_and_nothing_is_lost(account, holdfast):
    keepers = holdfast.pids("keeper")
    week, = holdfast.sql("SELECT 'spool_' || to_char(date_trunc('week', now()), 'YYYYMMDD')")[0]
    source = Source((1, 2, 3))
    account.add(source)
    for pid in keepers:  # it would make the week again
        os.kill(pid, signal.SIGSTOP)
    try:
        holdfast.sql(f"ALTER TABLE spool DETACH PARTITION {week}")
        said = account.sync(1)
        assert "archive cannot be written" in said and "spool" in said
        assert account.states() == {1: "pending", 2: "pending", 3: "pending"}
        assert account.placements() == (0, 0, 0)
        holdfast.sql(f"ALTER TABLE spool ATTACH PARTITION {week} FOR VALUES FROM (date_trunc('week', "
                     "now())::date) TO (date_trunc('week', now())::date + 7)")
        account.sync()
    finally:
        for pid in keepers:
            os.kill(pid, signal.SIGCONT)
    assert account.states() == stored(1, 2, 3)
