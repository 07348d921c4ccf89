# SPDX-License-Identifier: Apache-2.0
"""Mailboxes that are renumbered, renamed, swapped or made anew: what is archived already is known again without a
download, and nothing is lost when what looks the same is not.

What is downloaded is counted at the source: `given` has the UIDs whose whole octets it sent.
"""
import collections
import csv
import io
import subprocess

import pytest

from harness.account import Account, stored
from harness.pack_reader import Pack
from harness.scripted_source import CUT, DATE, OK, Source

SAMPLE = 10  # of up to 1,000 messages that are recognised (lib/ingest/README.md 25)
COUNT = 40


def letter(n, body="Body of"):
    """With a header that names it. All of 1,000 are of one size."""
    return (f"Message-ID: <{n:04}@x.example>\r\nSubject: letter {n:04}\r\n\r\n"
            f"{body} {n:04}.\r\n").encode()


def letters(count=COUNT, first=1):
    return {uid: letter(uid) for uid in range(first, first + count)}


def moved(messages, by):
    """The same messages under other UIDs."""
    return {uid + by: octets for uid, octets in messages.items()}


def anew(mailbox):
    """From now on what is given counts."""
    mailbox.given.clear()
    return mailbox


def all_of(mailbox):
    return [mailbox.messages[uid] for uid in sorted(mailbox.messages)]


def recognised(account, path="INBOX"):
    ((count,),) = account.sql(
        "SELECT count(*) FROM source_uid u JOIN mailbox b USING (account_id, mailbox_id) WHERE "
        f"account_id = {{id}} AND path = '{path}' AND recognised_by = 'header'")
    return count


@pytest.fixture
def filled(account):
    """An account whose INBOX of COUNT letters is archived."""
    source = Source(letters())
    account.add(source).sync()
    anew(source.inbox)
    return account, source


def test_the_same_uidvalidity_downloads_nothing(filled):
    account, source = filled
    account.sync()
    account.reconcile()
    assert source.inbox.given == []


def test_a_new_uidvalidity_downloads_a_sample_only(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    source.inbox.messages = moved(source.inbox.messages, 1000)
    said = account.sync()
    assert f"{COUNT - SAMPLE} known without a download" in said
    assert len(source.inbox.given) == SAMPLE and {1001, 1000 + COUNT} < set(source.inbox.given)
    assert account.states(2) == stored(*range(1001, 1001 + COUNT))
    assert account.placements() == (COUNT, 0, COUNT)
    assert account.archived() == all_of(source.inbox)
    assert recognised(account) == COUNT - SAMPLE
    # The auditor's mailbox goes on, and so does the new epoch: what comes now is downloaded.
    anew(source.inbox).messages[2000] = letter(2000)
    account.sync()
    assert source.inbox.given == [2000]
    row = account.reconcile()["INBOX"]
    assert (row["epoch"], row["exists"], row["archived"], row["recognised"]) == (
        2, COUNT + 1, COUNT + 1, COUNT - SAMPLE)


def test_what_was_recognised_is_downloaded_when_the_operator_wants_it(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    account.sync()
    lied = next(uid for uid in source.inbox.messages if uid not in source.inbox.given)
    source.inbox.messages[lied] = letter(lied, "Lies in")  # as if it had been so before
    anew(source.inbox)
    row = account.reconcile(0, "--octets")["INBOX"]
    assert len(source.inbox.given) == COUNT - SAMPLE and row["recognised"] == 0
    assert account.archived() == [*letters().values(), letter(lied, "Lies in")]
    assert account.placements() == (COUNT + 1, 1, COUNT + 1)
    anew(source.inbox)
    account.reconcile(0, "--octets")
    assert source.inbox.given == []


def test_every_octet_is_asked_for_also_of_a_mailbox_that_was_renumbered_just_now(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    row = account.reconcile(0, "--octets")["INBOX"]
    assert (row["archived"], row["recognised"]) == (COUNT, 0)
    assert set(source.inbox.given) == set(source.inbox.messages)


def test_what_vanished_with_the_old_uidvalidity_is_gone_though_the_run_that_saw_it_failed_at_last(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    source.inbox.messages = moved(letters(COUNT - 5), 1000)
    account.sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "'BEGIN RAISE disk_full; END'")
    account.sql("CREATE TRIGGER refuse BEFORE INSERT ON flag_event FOR EACH ROW WHEN (NEW.is_gone AND "
                "NEW.account_id = {id}) EXECUTE FUNCTION refuse()")
    assert account.holdfast.run("sync", account.name, check=False).returncode != 0
    assert account.placements() == (COUNT, 0, COUNT)
    account.sql("DROP FUNCTION refuse CASCADE")
    account.sync()
    assert account.placements() == (COUNT, 5, COUNT)


def test_a_uidvalidity_that_returns_downloads_a_sample_only(filled):
    account, source = filled
    kept = source.inbox.messages
    source.inbox.uidvalidity = 8
    source.inbox.messages = {1: letter(500)}
    account.sync()
    assert account.placements() == (COUNT + 1, COUNT, COUNT + 1)
    anew(source.inbox).uidvalidity = 7
    source.inbox.messages = kept
    account.sync()
    assert len(source.inbox.given) == SAMPLE
    assert account.states(3) == stored(*range(1, COUNT + 1))
    assert account.placements() == (COUNT + 1, 1, COUNT + 1)


def test_a_mailbox_that_was_deleted_and_made_anew_downloads_what_is_new(filled):
    account, source = filled
    source.inbox.uidvalidity = 99
    source.inbox.messages = {**letters(20), **letters(5, first=900)}
    account.sync()
    assert len(source.inbox.given) == SAMPLE + 5
    assert account.placements() == (COUNT + 5, COUNT - 20, COUNT + 5)


def test_a_mailbox_that_only_looks_like_a_renamed_one_is_downloaded_and_placed_once(account):
    source = Source()
    source.add("Before", letters(), uidvalidity=17)
    account.add(source).sync()
    after = anew(source.mailboxes.pop("Before"))
    after.messages = {uid: letter(uid, "Lies in") for uid in after.messages}
    source.mailboxes["After"] = after
    account.sync()
    assert account.archived("Before") == list(letters().values())
    assert account.archived("After") == all_of(after)
    assert account.placements() == (2 * COUNT, 0, 2 * COUNT)  # the mailbox is gone, as a whole
    assert recognised(account, "After") == 0


def test_a_renamed_mailbox_downloads_a_sample_only(account):
    source = Source()
    source.add("Before", letters(), uidvalidity=17)
    account.add(source).sync()
    after = anew(source.mailboxes.pop("Before"))
    source.mailboxes["After"] = after
    account.sync()
    assert len(after.given) == SAMPLE
    assert account.archived("After") == account.archived("Before") == all_of(after)
    assert recognised(account, "After") == COUNT - SAMPLE
    assert account.sql("SELECT count(*) FROM message WHERE account_id = {id}") == [(COUNT,)]


def test_two_mailboxes_that_swap_their_names_download_samples_only(account):
    source = Source()
    one = source.add("One", letters(), uidvalidity=17)
    two = source.add("Two", letters(first=100), uidvalidity=18)
    account.add(source).sync()
    source.mailboxes["One"], source.mailboxes["Two"] = anew(two), anew(one)
    account.sync()
    assert len(one.given) == len(two.given) == SAMPLE
    rows = account.reconcile()
    assert [(rows[path]["exists"], rows[path]["archived"]) for path in ("One", "Two")] == [
        (COUNT, COUNT)] * 2
    assert account.archived("One") == [*letters().values(), *letters(first=100).values()]
    assert account.archived("Two") == [*letters(first=100).values(), *letters().values()]
    assert account.sql("SELECT count(*) FROM message WHERE account_id = {id}") == [(2 * COUNT,)]


# ---- mailboxes that say who they are (MAILBOXID, RFC 8474) -----------------------------------------

OBJECTID = "IMAP4rev1 LIST-EXTENDED LIST-STATUS OBJECTID"


def named(account):
    """{path: (mailbox_id, UIDVALIDITY of the archive, messages)} of what is not gone."""
    return {path: rest for path, *rest in account.sql(
        "SELECT path, mailbox_id, uidvalidity, messages FROM mailbox WHERE account_id = {id} AND "
        "gone_at IS NULL AND path <> 'INBOX'")}


def formers(account):
    return account.sql("SELECT f.path, b.path FROM mailbox_former f JOIN mailbox b USING (account_id, "
                       "mailbox_id) WHERE account_id = {id} ORDER BY f.until, f.path")


@pytest.fixture
def boxes(account):
    """An account whose mailboxes One and Two, of COUNT letters each, are archived."""
    source = Source(capabilities=OBJECTID)
    source.inbox.mailboxid = "F0"
    source.add("One", letters(), uidvalidity=17).mailboxid = "F1"
    source.add("Two", letters(first=100), uidvalidity=18).mailboxid = "F2"
    account.add(source).sync()
    for mailbox in source.mailboxes.values():
        anew(mailbox)
    return account, source


def test_a_mailbox_goes_on_under_its_new_name(boxes):
    account, source = boxes
    before = named(account)
    third = source.mailboxes["Third"] = source.mailboxes.pop("One")
    third.messages[500] = letter(500)
    account.sync()
    assert third.given == [500]
    assert named(account) == {"Two": before["Two"], "Third": [*before["One"][:2], COUNT + 1]}
    assert account.archived("Third") == all_of(third)
    assert formers(account) == [("One", "Third")]
    # Another mailbox of the old name is another one; and the renamed one may get that name back.
    source.add("One", {1: letter(900)}, uidvalidity=19).mailboxid = "F3"
    account.sync()
    assert account.archived("One") == [letter(900)] and named(account)["One"][0] not in {
        mailbox_id for mailbox_id, _, _ in before.values()}
    row = account.reconcile()["Third"]
    assert (row["archived"], row["former_path"]) == (COUNT + 1, "One")


def test_mailboxes_that_swap_their_names_go_on(boxes):
    account, source = boxes
    before = named(account)
    one, two = source.mailboxes["One"], source.mailboxes["Two"]
    source.mailboxes["One"], source.mailboxes["Two"] = two, one
    account.sync()
    assert one.given == two.given == []
    assert named(account) == {"One": before["Two"], "Two": before["One"]}
    assert (account.archived("One"), account.archived("Two")) == (all_of(two), all_of(one))
    assert formers(account) == [("One", "Two"), ("Two", "One")]


def test_an_id_over_other_messages_loses_nothing(boxes):
    account, source = boxes
    del source.mailboxes["One"]
    other = source.add("Third", {uid: b"x" * uid for uid in range(1, COUNT + 1)}, uidvalidity=17)
    other.dates = {uid: DATE.replace("2020", "2021") for uid in other.messages}
    other.mailboxid = "F1"
    account.sync()
    assert account.archived("Third") == [*letters().values(), *all_of(other)]
    assert account.reconcile()["Third"]["archived"] == COUNT


def test_a_name_that_another_archived_mailbox_has_is_not_taken_from_it(boxes):
    account, source = boxes
    before = named(account)
    two = source.mailboxes["Two"] = source.mailboxes.pop("One")  # the former Two was deleted
    account.sync()
    assert len(two.given) == SAMPLE
    assert named(account) == {"Two": [*before["Two"][:2], 2 * COUNT]}
    assert account.archived("Two") == [*letters(first=100).values(), *all_of(two)]
    source.mailboxes["Third"] = source.mailboxes.pop("Two")  # its id came with it
    account.sync()
    assert list(named(account)) == ["Third"] and formers(account) == [("Two", "Third")]


# ---- what looks the same and is not ----------------------------------------------------------------


def test_equal_sizes_and_dates_over_other_headers_are_downloaded(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    source.inbox.messages = {uid: letter(uid + 500) for uid in source.inbox.messages}
    account.sync()
    assert sorted(source.inbox.given) == sorted(source.inbox.messages)
    assert account.placements() == (2 * COUNT, COUNT, 2 * COUNT)
    assert account.archived()[COUNT:] == all_of(source.inbox)


def test_equal_headers_over_other_bodies_are_found_out_by_the_sample(filled):
    account, source = filled
    source.inbox.uidvalidity = 8
    source.inbox.messages = {uid: letter(uid, "Lies in") for uid in source.inbox.messages}
    said = account.sync()
    assert "all downloaded of 1 mailbox where samples were not what they were taken for" in said
    assert set(source.inbox.given) == set(source.inbox.messages)
    assert len(source.inbox.given) == SAMPLE + COUNT
    assert account.archived()[COUNT:] == all_of(source.inbox)
    assert account.placements() == (2 * COUNT, COUNT, 2 * COUNT) and recognised(account) == 0


def test_other_dates_sizes_or_no_message_id_are_downloaded(account):
    source = Source({**letters(), **{uid: b"Subject: no name\r\n\r\n%d\r\n" % uid
                                     for uid in range(100, 115)}})
    account.add(source).sync()
    anew(source.inbox).uidvalidity = 8
    source.inbox.dates = {1: DATE.replace("2020", "2021")}
    source.inbox.sizes = {2: 5}
    account.sync()
    unlike = {1, 2, *range(100, 115)}
    assert unlike < set(source.inbox.given)
    assert len(source.inbox.given) == len(unlike) + SAMPLE
    assert account.placements() == (COUNT + 16, 1, COUNT + 15)  # another date is another placement


def test_two_messages_of_one_header_are_not_told_apart(account):
    source = Source({**letters(), 100: letter(1, "Body 00")})
    account.add(source).sync()
    anew(source.inbox).uidvalidity = 8
    account.sync()
    assert {1, 100} < set(source.inbox.given)
    assert account.archived() == all_of(source.inbox)


def test_a_sample_that_cannot_be_had_proves_nothing(filled):
    account, source = filled
    source.on(r"UID FETCH 1 .*BODY.PEEK\[\]|UID FETCH 1,.*BODY.PEEK\[\]", OK, times=1)
    source.inbox.uidvalidity = 8
    account.sync()
    assert sorted(source.inbox.given) == sorted(source.inbox.messages)
    assert account.placements() == (COUNT, 0, COUNT) and recognised(account) == 0


def test_a_connection_that_ends_within_the_sample_is_no_proof_and_no_loss(filled):
    account, source = filled
    source.on(r"UID FETCH 1,.*BODY.PEEK\[\]", b"* 1 FETCH (UID 1 BODY[] {4711}\r\nMess", CUT, times=1)
    source.inbox.uidvalidity = 8
    account.sync()
    assert source.logins == 3 and recognised(account) == COUNT - SAMPLE
    assert account.placements() == (COUNT, 0, COUNT)


def test_a_server_that_refuses_headers_gives_all_octets(filled):
    account, source = filled
    source.on(r"UID FETCH \S+ \(UID BODY.PEEK\[HEADER\]\)", b"<tag> NO not like that\r\n")
    source.inbox.uidvalidity = 8
    account.sync()
    assert sorted(source.inbox.given) == sorted(source.inbox.messages)
    assert account.placements() == (COUNT, 0, COUNT)


def test_a_header_that_is_not_given_is_not_known(filled):
    account, source = filled
    source.inbox.nil = {5: r"BODY.PEEK\[HEADER\]"}
    source.on(r"UID FETCH \S+ \(UID BODY.PEEK\[HEADER\]\)",
              b"* 1 FETCH (UID 6 BODY[TEXT] {3}\r\nabc)\r\n* 1 FETCH (BODY[HEADER] {2}\r\n\r\n)\r\n"
              b"* 1 FETCH (UID 4711 BODY[HEADER] {2}\r\n\r\n)\r\n* 1 FETCH (UID 6)\r\n", OK, times=1)
    source.inbox.uidvalidity = 8
    account.sync()
    assert sorted(source.inbox.given) == sorted(source.inbox.messages)
    source.inbox.uidvalidity = 9
    anew(source.inbox)
    account.sync()
    assert 5 in source.inbox.given and len(source.inbox.given) == SAMPLE + 1


@pytest.mark.slow
def test_an_operator_may_want_every_octet(new_holdfast, request):
    holdfast = new_holdfast(ingest="recognise = off\n").start()
    account = Account(holdfast, "strict")
    source = Source(letters())
    request.addfinalizer(account.close)
    account.add(source).sync()
    anew(source.inbox).uidvalidity = 8
    account.sync()
    assert sorted(source.inbox.given) == sorted(source.inbox.messages)
    assert account.placements() == (COUNT, 0, COUNT)


def test_packs_and_exports_tell_what_was_recognised(account, place):
    source = Source()
    source.add("Before", letters(), uidvalidity=17)
    account.add(source).sync()
    source.mailboxes["After"] = source.mailboxes.pop("Before")
    account.sync()
    case = place / "case.tar.zst"
    account.holdfast.run("export", "in:After", "--account", account.name, "-o", case)
    manifest = subprocess.run(["tar", "--zstd", "-xOf", case, "--wildcards", "*manifest.csv"],
                              capture_output=True, check=True).stdout.decode()
    rows = list(csv.DictReader(io.StringIO(manifest)))
    assert collections.Counter(row["recognised"] for row in rows) == {
        "header": COUNT - SAMPLE, "": SAMPLE}
    account.holdfast.run("seal", account.name)
    assert "count as archived without having been downloaded again" in account.holdfast.run("verify").stdout
    assert account.holdfast.json("verify")["recognised"] >= COUNT - SAMPLE
    packs = account.holdfast.sql(
        "SELECT encode(sha256, 'hex') FROM pack WHERE account_id = %s", account.id)
    lines = [line for (sha256,) in packs
             for line in Pack(next((account.holdfast.data_dir / "packs").glob(f"*/{sha256}.tar.zst"))).catalogue()]
    assert collections.Counter(line.get("recognised") for line in lines if line["type"] == "source") == {
        "header": COUNT - SAMPLE, None: COUNT + SAMPLE}
