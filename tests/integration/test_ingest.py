# SPDX-License-Identifier: Apache-2.0
"""Sources that misbehave in the ways that real ones do: whatever they do, every UID is accounted for.

The source here is a scripted one whose faults are chosen per test. What a good source does is tested
against Dovecot elsewhere.
"""
import base64
import os
import signal

import pytest

from harness.account import stored
from harness.scripted_source import DATE, OK, USUAL, Source, message


def test_order_noise_and_wrong_sizes_do_no_harm(account):
    source = Source(range(1, 21))
    source.inbox.reversed = source.inbox.chatty = True
    source.inbox.with_uidnext = False
    account.add(source).sync()
    assert account.states() == stored(*range(1, 21))
    assert account.placements() == (20, 0, 20)
    assert "nothing new" in account.sync()


def test_what_the_source_withholds_stays_pending_and_the_run_is_not_complete(account):
    source = Source((1, 2, 3))
    source.inbox.withheld = {2}
    said = account.add(source).sync(3)
    assert "not complete" in said
    assert account.states() == {1: "stored", 2: "pending", 3: "stored"}
    assert "without sending it" in account.errors()
    source.inbox.withheld = set()
    account.sync(3)  # not due yet
    account.retry_now()
    account.sync()
    assert account.states() == stored(1, 2, 3)


def test_what_vanished_between_list_and_fetch_is_gone_on_proof(account):
    source = Source((1, 2, 3))
    source.inbox.withheld = {2}

    def vanish(session, tag, command):
        source.inbox.messages.pop(2, None)

    source.on("UID SEARCH", vanish, USUAL)
    account.add(source).sync()
    assert account.states() == {1: "stored", 2: "gone", 3: "stored"}


def test_nil_is_never_an_empty_message(account):
    source = Source((1, 2))
    source.inbox.nil = {1: r"BODY.*|RFC822"}
    account.add(source).sync(3)
    assert account.states() == {1: "pending", 2: "stored"}
    assert account.placements()[0] == 1


@pytest.mark.parametrize("denied", [r"BODY.PEEK\[\]", r"BODY.*"])
def test_octets_that_one_item_denies_come_by_another(account, denied):
    source = Source((1, 2, 3))
    source.inbox.nil = {2: denied}
    account.add(source).sync()
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_one_refused_message_is_isolated(account):
    source = Source(range(1, 31))
    source.inbox.refused = {17}
    account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 31)), 17: "pending"}
    assert "cannot read that" in account.errors()


def test_a_literal_that_breaks_off_once_is_fetched_again(account):
    source = Source(range(1, 11))
    source.inbox.breaks_in = {5: 1}
    account.add(source).sync()
    assert account.states() == stored(*range(1, 11))
    assert account.placements() == (10, 0, 10)
    assert source.logins == 2


def test_a_literal_that_always_breaks_off_is_put_aside_and_the_rest_is_archived(account):
    source = Source(range(1, 11))
    source.inbox.breaks_in = {5: 1000, 8: 1000}
    said = account.add(source).sync(3)
    assert "2 message" in said
    assert account.states() == {**stored(*range(1, 11)), 5: "pending", 8: "pending"}


def test_a_new_uidvalidity_keeps_everything_and_fetches_what_is_new(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.uidvalidity = 8
    source.inbox.messages = {10: message(2), 11: message(3), 12: message(4)}
    account.sync()
    assert account.states(1) == stored(1, 2, 3)
    assert account.states(2) == stored(10, 11, 12)
    assert account.placements() == (4, 1, 4)  # message 1 is at the source no more
    source.inbox.uidvalidity = 7  # an old number is a new epoch all the same
    account.sync()
    assert account.states(3) == stored(10, 11, 12)
    assert account.placements() == (4, 1, 4)


def test_without_uidvalidity_other_dates_are_other_messages(account):
    source = Source((1, 2), uidvalidity=None)
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}
    source.inbox.messages = {1: message(2), 2: message(3)}
    source.inbox.dates = {1: DATE.replace("01-Feb", "02-Feb"), 2: DATE.replace("01-Feb", "03-Feb")}
    account.sync()
    assert account.states(2) == stored(1, 2)
    assert account.placements()[2] == 3


def test_a_list_that_is_too_short_proves_nothing(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.short_lists = True
    said = account.sync(3)
    assert "listed" in said
    assert account.states() == stored(1, 2, 3)
    assert account.placements() == (3, 0, 3)


def test_what_a_short_list_shows_is_fetched_all_the_same(account):
    source = Source((1, 2, 3))
    source.inbox.short_lists = True
    said = account.add(source).sync(3)
    assert "listed" in said
    assert account.states() == stored(1, 2)
    source.inbox.short_lists = False
    account.sync()
    assert account.states() == stored(1, 2, 3)


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


def test_a_date_before_all_time_is_not_another_message_each_time(account):
    source = Source((1, 2), uidvalidity=None)
    source.inbox.dates = {1: '"01-Jan-0001 00:00:00 +0000"'}
    account.add(source).sync()
    assert "nothing new" in account.sync()
    assert account.states(2) == {}


def test_a_server_error_for_one_message_does_not_stop_the_others(account):
    source = Source(range(1, 31))
    source.inbox.refused = {17}
    source.inbox.refused_with = "[SERVERBUG] Internal error occurred. Refer to server log"
    account.add(source).sync(3)
    assert account.states() == {**stored(*range(1, 31)), 17: "pending"}
    assert source.logins == 1


def test_a_mailbox_that_is_all_server_errors_is_left_after_a_few(account):
    source = Source(range(1, 301))
    source.inbox.refused = set(range(1, 301))
    source.inbox.refused_with = "[UNAVAILABLE] UID FETCH Server error"
    said = account.add(source).sync(3)
    assert "Server error" in said
    assert set(account.states().values()) == {"pending"}
    assert source.logins == 1
    assert len([c for c in source.heard if "BODY" in c]) < 20


def test_a_source_that_asks_for_less_is_left_alone(account):
    source = Source(range(1, 31))
    source.add("Busy").refusal = "[LIMIT] Too many commands"
    source.add("Later").refusal = "[NOPERM] no"
    account.add(source).sync(3)
    assert source.logins == 1
    assert "EXAMINE Later" not in source.heard


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


def test_what_an_old_epoch_had_is_gone_also_when_the_new_one_took_two_runs(account):
    source = Source((1, 2, 3))
    account.add(source).sync()
    source.inbox.uidvalidity = 8
    source.inbox.messages = {10: message(2), 11: message(3), 12: message(4)}
    source.inbox.withheld = {11}
    account.sync(3)
    assert account.placements()[1] == 0
    source.inbox.withheld = set()
    account.retry_now()
    account.sync()
    assert account.placements() == (4, 1, 4)


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


def test_one_mailbox_that_cannot_be_opened_does_not_stop_the_others(account):
    source = Source((1, 2))
    source.add("Broken").refusal = "[NOPERM] not yours"
    said = account.add(source).sync(3)
    assert "Broken" in said and "NOPERM" in said
    assert account.placements()[0] == 2


def test_more_messages_than_a_window_come_in_several(account):
    source = Source({1: message(1), 150_000: message(2), 250_000: message(3)})
    source.on("EXAMINE", b"* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 250001] x\r\n* 100001 EXISTS\r\n", OK)
    source.on("UID FETCH", b"* 3 EXISTS\r\n", USUAL)  # all but three are expunged meanwhile
    account.add(source).sync()
    assert account.states() == stored(1, 150_000, 250_000)
    lists = [command for command in source.heard if command.endswith("(UID FLAGS)")]
    assert [command.split()[2] for command in lists] == ["1:100000", "100001:200000", "200001:*"]


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
