# SPDX-License-Identifier: Apache-2.0
"""The database is lost and made again from packs: what clients see afterwards, what new mail gets, what
damaged packs cost, and what a rebuild that dies leaves behind."""
import mailbox
import re
import shutil
import signal
import subprocess

import pytest

from harness import mail
from harness.dovecot import Dovecot
from harness.fetch import items
from harness.holdfast import Holdfast
from harness.place import wait_for
from harness.wire import Wire, literals

RAISE = 2**20
EVERYTHING = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"
SEARCHES = ("UID SEARCH SUBJECT e", "UID SEARCH SEEN", "UID SEARCH SINCE 1-Jan-2001",
            "UID SEARCH KEYWORD $Important", "UID SEARCH KEYWORD $GoneAtSource", "UID SEARCH LARGER 4000",
            "UID SEARCH BODY the")


def as_set(flags):
    return frozenset(flags.strip(b"()").split())


def read_mailbox(wire, name):
    """All that a client can learn of a mailbox, as comparable values."""
    tagged, untagged = wire.command(f'EXAMINE "{name}"')
    assert b" OK " in tagged, tagged
    text = b"".join(untagged)
    found = {"uidvalidity": re.search(rb"UIDVALIDITY (\d+)", text)[1],
             "exists": re.search(rb"(\d+) EXISTS", text)[1],
             "uidnext": int(re.search(rb"UIDNEXT (\d+)", text)[1])}
    tagged, units = wire.command(EVERYTHING)
    assert b" OK " in tagged, tagged
    messages = {}
    for number, values in filter(None, map(items, units)):
        values["FLAGS"] = as_set(values["FLAGS"])
        messages[values["UID"]] = (number, values)
    found["messages"] = messages
    found["searches"] = [wire.command(search)[1] for search in SEARCHES]
    return found


def read_archive(holdfast):
    wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
    try:
        assert b" OK " in wire.command("LOGIN auditor audit-password")[0]
        _, listed = wire.command('LIST "" "*"')
        names = [re.search(rb'"/" "?([^"\r]*)"?\r', line)[1].decode() for line in listed
                 if b"\\Noselect" not in line and b"\\NonExistent" not in line]
        return {name: read_mailbox(wire, name) for name in names}
    finally:
        wire.close()


def rows(holdfast, *statements):
    return [sorted(holdfast.sql(s), key=repr) for s in statements]


# What no client sees; without what a run of ingest, which begins at once, changes.
KEPT = (
    "SELECT account_id, name FROM account_name",
    "SELECT account_id, kind, host, port, login, tls, tls_ca, include, exclude, every_seconds, is_paused,"
    " created_at, removed_at, namespaces, max_connections, daily_bytes, watch FROM account",
    "SELECT account_id, kind, encode(sealed, 'hex'), key_id, credential_id FROM account_secret",
    "SELECT credential_id, name, encode(sealed, 'hex'), key_id, created_at FROM credential",
    "SELECT account_id, mailbox_id, encode(source_name, 'hex'), delimiter, path, uidvalidity, messages, unseen, deleted,"
    " octets, is_noselect, special_use, created_at, gone_at FROM mailbox",
    "SELECT account_id, mailbox_id, epoch, uidvalidity, uidnext, messages, opened_at, closed_at"
    " FROM source_epoch",
    "SELECT account_id, mailbox_id, epoch, uid, placement_uid FROM source_uid WHERE state = 'stored'",
    "SELECT account_id, mailbox_id, epoch, uid, encode(path, 'hex'), size_bytes, modified_ns, state, note"
    " FROM import_file",
    "SELECT account_id, encode(sha256, 'hex'), size_bytes, first_archived_at FROM message",
    "SELECT p.account_id, p.mailbox_id, p.uid, encode(m.sha256, 'hex'), p.internal_at, p.internal_zone,"
    " p.internal_day, p.flags, p.modseq, p.appeared_modseq, p.archived_at, p.gone_at,"
    " ARRAY(SELECT k.name FROM mailbox_keyword k WHERE k.mailbox_id = p.mailbox_id"
    "        AND k.number < 8 * length(p.keywords) AND get_bit(p.keywords, k.number) = 1 ORDER BY 1)"
    " FROM placement p JOIN message m USING (account_id, message_id)",
    "SELECT f.account_id, f.mailbox_id, f.modseq, f.uid, f.at, f.flags, f.is_gone,"
    " ARRAY(SELECT k.name FROM mailbox_keyword k WHERE k.mailbox_id = f.mailbox_id"
    "        AND k.number < 8 * length(f.keywords) AND get_bit(f.keywords, k.number) = 1 ORDER BY 1)"
    " FROM flag_event f",
    "SELECT encode(sha256, 'hex'), encode(previous_sha256, 'hex'), stored_bytes, raw_bytes, is_damaged"
    " FROM pack WHERE sealed_at < (SELECT coalesce(max(started_at), 'infinity') FROM rebuild)",
    "SELECT auditor_id, name, expires_at, allowed_networks FROM auditor",
    "SELECT auditor_id, verifier FROM auditor_verifier",
    "SELECT grant_id, auditor_id, account_id, created_at, revoked_at FROM access_grant",
)


def write_files(folder):
    """What an import of every kind takes: message files, a Maildir, an mbox; and what it leaves out."""
    (folder / "letters").mkdir(parents=True)
    octets = list(mail.generate(5, seed=17, size=2000))
    for i, message in enumerate(octets[:2]):
        (folder / "letters" / f"{i}.eml").write_bytes(message)
    (folder / "letters" / "empty.eml").write_bytes(b"")
    maildir = mailbox.Maildir(folder / "maildir", create=True)
    maildir.add(octets[2])
    maildir.close()
    with (folder / "old.mbox").open("wb") as file:
        for message in octets[3:]:
            file.write(b"From a@example.org Mon Oct  1 08:00:00 2001\n" + message + b"\n")
    return folder


class Archive:
    """Accounts sealed in several packs, with all that may happen to mail in between."""

    def __init__(self, place):
        self.dovecot = Dovecot(place, users=("alice", "bob")).start()
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = holdfast = Holdfast(folder).start()
        messages = list(mail.generate(60, seed=15, size=3000))
        for i, octets in enumerate(messages):
            self.dovecot.deliver("alice", octets, ("INBOX", "Projects/Übersicht", "Old")[i % 3],
                                 ("", "S", "RS", "F")[i % 4])
            if i % 4 == 0:
                self.dovecot.deliver("bob", octets)
        self.dovecot.deliver("alice", messages[0], "Old")
        holdfast.add_account(self.dovecot, "alice", "--every", "1d", "--namespace", "shared")
        holdfast.add_account(self.dovecot, "bob", "--every", "1d")
        holdfast.run("account", "edit", "bob", "--max-connections", "2", "--daily-bytes", "5G")
        self.files = write_files(place / "files")
        holdfast.run("account", "add", "files", "--kind", "import")
        holdfast.run("import", "files", self.files)
        holdfast.add_auditor()
        holdfast.run("sync")
        holdfast.run("seal")
        client = self.dovecot.client("alice")
        client.select("INBOX")
        client.store("2,4,6", "+FLAGS", "(\\Flagged $Important Zahlung)")
        client.store("3", "+FLAGS", "\\Deleted")
        client.expunge()
        client.select("Old")
        client.store("1", "+FLAGS", "(\\Seen Zahlung)")
        client.logout()
        for octets in mail.generate(4, seed=16):
            self.dovecot.deliver("alice", octets)
        holdfast.run("sync")
        holdfast.run("seal")
        client = self.dovecot.client("alice")
        client.select("INBOX")
        client.store("2", "-FLAGS", "(\\Flagged)")
        client.store("4", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        self.dovecot.deliver("alice", mail.large_message(9_000_000))
        self.dovecot.deliver("alice", messages[7])  # known octets, placed again
        holdfast.run("sync")
        holdfast.run("seal")
        self.seen = read_archive(holdfast)
        self.kept = rows(holdfast, *KEPT)
        holdfast.stop()
        self.packs = sorted((holdfast.data_dir / "packs").glob("[0-9]*/*.tar.zst"))

    def lose_database(self):
        self.holdfast.stop()
        shutil.rmtree(self.holdfast.data_dir / "postgres")

    def close(self):
        self.holdfast.stop()
        self.dovecot.stop()


@pytest.fixture(scope="module")
def archive(module_place):
    made = Archive(module_place)
    yield made
    made.close()


def stored(dovecot):
    """Octets and flags of every mailbox at the source."""
    found = {}
    for user in ("alice", "bob"):
        client = dovecot.client(user)
        for name in ("INBOX", "Old") if user == "alice" else ("INBOX",):
            client.select(name, readonly=True)
            found[user, name] = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        client.logout()
    return found


def test_a_rebuild_that_is_killed_goes_on_and_gives_the_same(archive):
    holdfast = archive.holdfast
    assert len(archive.packs) == 5
    archive.lose_database()
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "rebuild"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def has_begun():
        if process.poll() is not None:
            return True
        try:
            return holdfast.sql("SELECT count(*) FROM pack") >= [(1,)]
        except Exception:
            return False

    wait_for(has_begun, 60, "the first pack")
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = holdfast.run("rebuild")
    assert "LOST" not in done.stdout, done.stdout
    holdfast.start()
    assert rows(holdfast, *KEPT) == archive.kept


def test_clients_find_everything_as_it_was(archive):
    after = read_archive(archive.holdfast)
    assert after.keys() == archive.seen.keys()
    for name, was in archive.seen.items():
        now = after[name]
        if name == "INBOX":
            continue
        assert now.pop("uidnext") == was["uidnext"] + RAISE
        for key in now:
            assert now[key] == was[key], (name, key)
    gone = [v for m in after.values() for _, v in m["messages"].values() if b"$GoneAtSource" in v["FLAGS"]]
    assert len(gone) == 2


def test_verify_and_show_hold_afterwards(archive):
    assert archive.holdfast.json("verify", "--full")["ok"] is True
    (name, was), = [(n, m) for n, m in archive.seen.items() if n.endswith("alice/Old")]
    octets = archive.holdfast.run("show", "alice/Old;UID=1", "--raw", text=False).stdout
    assert octets in was["messages"][b"1"][1]["BODY[]"]


def test_limits_of_an_account_hold_afterwards(archive):
    facts = archive.holdfast.json("account", "show", "bob")
    assert (facts["max_connections"], facts["daily_bytes"]) == (2, 5_000_000_000)


def test_files_that_were_imported_are_known_afterwards(archive):
    holdfast = archive.holdfast
    count = "SELECT count(*) FROM placement JOIN account_name USING (account_id) WHERE name = 'files'"
    before = holdfast.sql(count)
    told = holdfast.run("import", "files", archive.files).stdout
    assert holdfast.sql(count) == before == [(5,)], told
    assert holdfast.sql("SELECT count(*) FROM import_file WHERE state <> 'left_out'") == [(4,)]


def test_new_mail_gets_uids_that_no_client_has_seen_and_nothing_is_fetched_twice(archive):
    holdfast, dovecot = archive.holdfast, archive.dovecot
    before = stored(dovecot)
    dovecot.deliver("alice", next(mail.generate(1, seed=77)))
    holdfast.run("sync")
    progress = dict(holdfast.sql("SELECT name, progress FROM job JOIN account_name USING (account_id)"))
    fetched = holdfast.sql("SELECT count(*) FROM message WHERE first_archived_at > (SELECT finished_at FROM "
                           "rebuild)")
    assert fetched == [(1,)], progress
    new, = [(name, uid) for name, box in read_archive(holdfast).items() if name != "INBOX"
            for uid in box["messages"].keys() - archive.seen[name]["messages"].keys()]
    assert new[0].endswith("alice/INBOX")
    assert int(new[1]) == archive.seen[new[0]]["uidnext"] + RAISE
    after = stored(dovecot)
    for key, messages in before.items():
        assert after[key][1][: len(messages[1])] == messages[1]


def test_pack_cat_gives_the_file_and_nothing_when_it_is_damaged(archive, tmp_path):
    holdfast, path = archive.holdfast, archive.packs[0]
    octets = path.read_bytes()
    assert holdfast.run("pack", "cat", path.name[:12], text=False).stdout == octets
    assert holdfast.run("pack", "cat", path, text=False).stdout == octets
    copy = tmp_path / "copy"
    copy.write_bytes(octets[:200] + bytes([octets[200] ^ 1]) + octets[201:])
    refused = holdfast.run("pack", "cat", copy, check=False, text=False)
    assert refused.returncode == 1 and refused.stdout == b""
    assert holdfast.run("pack", "cat", "0" * 64, check=False).returncode == 1


def test_installation_packs_are_listed_and_verified(archive):
    holdfast = archive.holdfast
    listed = [p for p in holdfast.json("pack", "list") if p["kind"] == "installation"]
    assert [p["number"] for p in listed] == list(range(1, len(listed) + 1))
    assert {p["state"] for p in listed} == {"good"}
    path = holdfast.data_dir / "packs" / "installation" / (listed[0]["sha256"] + ".tar.zst")
    assert path.stat().st_mode & 0o777 == 0o400
    assert b"pw-alice" not in path.read_bytes() and b"audit-password" not in path.read_bytes()
    octets = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(octets[:30] + bytes([octets[30] ^ 1]) + octets[31:])
    found = holdfast.run("verify", "--full", check=False)
    assert found.returncode == 1 and "DAMAGED installation pack " + path.name[:64] in found.stdout
    path.write_bytes(octets)
    path.chmod(0o400)
    assert holdfast.json("verify", "--full")["ok"] is True


def test_reindex_renews_what_is_missing_or_old(archive):
    holdfast = archive.holdfast
    columns = ("SELECT message_id, header_bytes, date_at, subject_folded, encode(envelope, 'hex'), "
               "encode(bodystructure, 'hex'), notes::text FROM message_index")
    was = rows(holdfast, columns)
    assert "0 messages indexed anew" in holdfast.run("reindex").stdout
    (gone,), (old,) = holdfast.sql("SELECT message_id FROM message_index WHERE account_id = 1 LIMIT 2")
    holdfast.sql("DELETE FROM message_index WHERE message_id = %s", gone)
    holdfast.sql("UPDATE message_index SET parser_version = 0, envelope = NULL WHERE message_id = %s", old)
    assert "0 messages" in holdfast.run("reindex", "--account", "bob").stdout
    assert "2 messages indexed anew" in holdfast.run("reindex", "--account", "alice").stdout
    assert rows(holdfast, columns) == was


def test_a_pack_that_is_put_back_is_good_again(archive):
    holdfast, path = archive.holdfast, archive.packs[0]
    away = holdfast.dir / path.name
    path.rename(away)
    found = holdfast.run("verify", "--repair", check=False)
    assert found.returncode == 1 and path.name in found.stdout and "UNHEALED" in found.stdout
    assert [p["sha256"] for p in holdfast.json("pack", "list")
            if p.get("damaged")] == [path.name[:64]]
    away.rename(path)
    assert "HEALED pack " + path.name[:64] in holdfast.run("verify", "--repair").stdout
    assert holdfast.json("verify", "--full")["ok"] is True


def test_a_database_with_mail_is_refused(archive):
    refused = archive.holdfast.run("rebuild", check=False)
    assert refused.returncode == 1 and "not empty" in refused.stderr


def test_bad_packs_are_named_and_the_others_are_read_once_more(archive):
    holdfast = archive.holdfast
    holdfast.run("seal")
    before = read_archive(holdfast)
    holdfast.stop()
    folders = sorted({p.parent for p in archive.packs})
    alice = sorted((p for p in archive.packs if p.parent == folders[0]), key=lambda p: p.stat().st_mtime)
    bob = [p for p in archive.packs if p.parent == folders[1]]
    assert len(folders) == 3
    largest = max(alice, key=lambda p: p.stat().st_size)
    assert largest != alice[1]
    alice[1].unlink()
    shutil.copy(bob[0], folders[0] / bob[0].name)
    largest.chmod(0o644)
    with largest.open("r+b") as file:
        file.seek(100)
        file.write(b"damaged")
    shutil.rmtree(holdfast.data_dir / "postgres")
    done = holdfast.run("rebuild", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    lost = [line for line in done.stdout.splitlines() if line.startswith("LOST")]
    for path, word in ((alice[1], "is missing"), (bob[0], "another account"), (largest, "damaged")):
        assert any(path.name in line and word in line for line in lost), (path, word, lost)
    holdfast.start()
    after = read_archive(holdfast)
    bobs, = [n for n in after if n.endswith("bob/INBOX")]
    assert after[bobs]["messages"] == archive.seen[bobs]["messages"]
    # A second rebuild goes above what the first one gave.
    assert before[bobs]["uidnext"] == archive.seen[bobs]["uidnext"] + RAISE
    assert after[bobs]["uidnext"] == before[bobs]["uidnext"] + RAISE
    # What the source still has comes again, with new UIDs.
    holdfast.run("sync", check=False)
    inbox, = [n for n in after if n.endswith("alice/INBOX")]
    subjects = {v["ENVELOPE"] for _, v in read_archive(holdfast)[inbox]["messages"].values()}
    assert {v["ENVELOPE"] for _, v in archive.seen[inbox]["messages"].values()
            if b"$GoneAtSource" not in v["FLAGS"]} <= subjects


def test_grants_of_an_older_installation_pack_come_back_only_if_the_operator_says_so(archive):
    holdfast = archive.holdfast
    holdfast.run("auditor", "revoke", "auditor", "--all")
    archive.dovecot.deliver("bob", next(mail.generate(1, seed=78)))
    holdfast.run("sync", "bob")
    holdfast.run("seal")
    newest = [p for p in holdfast.json("pack", "list") if p["kind"] == "installation"][-1]
    archive.lose_database()
    (holdfast.data_dir / "packs" / "installation" / (newest["sha256"] + ".tar.zst")).unlink()
    asked = holdfast.run("rebuild", check=False)
    assert asked.returncode == 1, asked.stdout
    question, = [line for line in asked.stdout.splitlines() if line.startswith("ASK")]
    assert "installation" in question and "--old-installation" in question
    assert "NOT FINISHED" in holdfast.run("status").stdout
    assert holdfast.json("status")["rebuilding"] is True
    holdfast.start()
    assert holdfast.sql("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM auditor)") == [(0, 0)]
    wait_for(lambda: "nothing is sealed until the rebuild is finished" in holdfast.log(), 60, "the warning")
    refused = holdfast.run("seal", check=False)
    assert refused.returncode == 1 and "holdfast rebuild" in refused.stderr
    holdfast.stop()
    taken = holdfast.run("rebuild", "--old-installation", check=False)
    assert "ASK" not in taken.stdout and "Auditors, grants, matters and holds are as of" in taken.stdout
    assert holdfast.json("status")["rebuilding"] is False
    holdfast.start()
    assert holdfast.sql("SELECT count(*) FROM access_grant WHERE revoked_at IS NULL") == [(1,)]
