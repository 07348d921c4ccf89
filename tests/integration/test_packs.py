# SPDX-License-Identifier: Apache-2.0
"""Packs: what is served from them, what other tools and another implementation make of them, what is
found when they are damaged, and what a keeper that dies leaves behind."""
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest

from harness import mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.pack_reader import Pack, in_order
from harness.place import wait_for
from harness.wire import Wire, literals

FLAGS = {1: "\\Seen", 2: "\\Answered", 4: "\\Flagged", 8: "\\Deleted", 16: "\\Draft"}


def archived(holdfast, mailbox):
    """{UID: SHA-256 of the octets} as the endpoint gives them."""
    wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
    try:
        wire.command("LOGIN auditor audit-password")
        tagged, _ = wire.command(f'EXAMINE "Accounts/alice/{mailbox}"')
        assert b" OK " in tagged, tagged
        tagged, units = wire.command("UID FETCH 1:* (UID BODY.PEEK[])")
        assert b" OK " in tagged, tagged
    finally:
        wire.close()
    found = {}
    for unit in units:
        uid = re.search(rb"UID (\d+)", unit)
        if uid:
            found[int(uid[1])] = hashlib.sha256(literals(unit)[0]).hexdigest()
    return found


def pack_paths(holdfast):
    return sorted((holdfast.data_dir / "packs").glob("[0-9]*/*.tar.zst"))


def leftovers(holdfast):
    """Neither packs nor their text."""
    return [p for p in (holdfast.data_dir / "packs").glob("[0-9]*/*")
            if not p.name.endswith(".tar.zst")
            and not (p.suffix == ".text" and p.with_suffix(".tar.zst").exists())]


class Archive:
    """An archive in several sealings: a batch, mail that trickles in, changes, a large message."""

    MAILBOXES = ("INBOX", "Projects/Übersicht")

    def __init__(self, place):
        self.dovecot = Dovecot(place).start()
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = Holdfast(folder, settings="[store]\nseal_bytes = 1MiB\n").start()
        messages = list(mail.generate(150, seed=5, size=3000))
        for i, octets in enumerate(messages):
            self.dovecot.deliver("alice", octets, self.MAILBOXES[i % 2], ("", "S", "RS", "F")[i % 4])
        self.dovecot.deliver("alice", messages[0], self.MAILBOXES[1])
        self.holdfast.add_account(self.dovecot, "alice")
        self.holdfast.add_auditor()
        self.holdfast.run("sync", "alice")
        self.holdfast.run("seal")
        for octets in mail.generate(6, seed=6):
            self.dovecot.deliver("alice", octets)
            self.holdfast.run("sync", "alice")
        client = self.dovecot.client("alice")
        client.select("INBOX")
        client.store("2,4,6", "+FLAGS", "(\\Flagged $Important)")
        client.store("3", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        self.holdfast.run("sync", "alice")
        self.before = self.read()
        self.sealed = self.holdfast.run("seal", "alice").stdout
        self.dovecot.deliver("alice", mail.large_message(12_000_000))
        self.dovecot.deliver("alice", messages[7])  # known octets, placed again
        self.holdfast.run("sync", "alice")

    def read(self):
        return {name: archived(self.holdfast, name.replace("Ü", "&ANw-")) for name in self.MAILBOXES}

    def close(self):
        self.holdfast.stop()
        self.dovecot.stop()


@pytest.fixture(scope="module")
def archive(module_place):
    made = Archive(module_place)
    yield made
    made.close()


def test_fetch_gives_the_same_octets_from_packs_as_from_the_database(archive):
    assert "sealed, 1 pack" in archive.sealed
    after = archive.read()
    for mailbox, messages in archive.before.items():
        assert messages.items() <= after[mailbox].items()
        assert len(messages) > 70
    archive.holdfast.run("seal")
    assert archive.holdfast.sql("SELECT count(*) FROM frame WHERE week IS NOT NULL") == [(0,)]
    assert archive.read() == after
    archive.holdfast.sql("DELETE FROM spool")  # nothing of it is read any more
    assert archive.read() == after
    (joined,) = archive.holdfast.sql("SELECT count(*) FROM (SELECT FROM locator GROUP BY run_id "
                                     "HAVING count(*) BETWEEN 5 AND 8) r")[0]
    assert joined >= 1, "mail that trickled in was not joined"


def test_show_reads_from_packs(archive):
    octets = archive.holdfast.run("show", "alice/INBOX;UID=1", "--raw", text=False).stdout
    assert hashlib.sha256(octets).hexdigest() == archive.before["INBOX"][1]


def test_every_pack_is_taken_by_zstd_and_tar_without_a_word(archive, tmp_path):
    names = set()
    for path in pack_paths(archive.holdfast):
        assert (path.stat().st_mode & 0o777) == 0o444
        assert hashlib.sha256(path.read_bytes()).hexdigest() + ".tar.zst" == path.name
        for command in (["zstd", "-tq", path], ["tar", "--zstd", "-xf", path, "-C", tmp_path]):
            done = subprocess.run(command, capture_output=True, check=True)
            assert done.stdout + done.stderr == b""
        subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)
    for file in tmp_path.glob("*.eml"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() + ".eml" == file.name
        names.add(file.stem)
    known = {row[0] for row in archive.holdfast.sql("SELECT encode(sha256, 'hex') FROM message")}
    assert names == known and len(names) >= 157


def flag_names(bits):
    return [name for bit, name in FLAGS.items() if bits & bit]


def test_another_reader_makes_every_placement_again_from_the_catalogues(archive):
    """By lib/store/README.md 11 to 13 alone; compared with the database, row by row."""
    packs = in_order([Pack(path) for path in pack_paths(archive.holdfast)])
    assert len(packs) >= 3
    mailboxes, placements, events, octets, epochs, sources = {}, {}, {}, {}, {}, set()
    for number, pack in enumerate(packs, 1):
        lines = pack.catalogue()
        assert lines[0]["type"] == "catalogue" and lines[0]["number"] == number
        assert lines[0]["name"] == "alice"
        members = {(name, at, size) for name, at, size in pack.members()}
        for line in lines:
            if line["type"] == "mailbox":
                mailboxes[line["mailbox"]] = line
            elif line["type"] == "epoch":
                epochs[line["mailbox"], line["epoch"]] = line
            elif line["type"] == "message":
                assert (line["sha256"] + ".eml", line["offset"], line["size"]) in members
                assert line["sha256"] not in octets
                octets[line["sha256"]] = pack.read(line["offset"], line["size"])
            elif line["type"] == "placement":
                assert line["sha256"] in octets, "a placement before its octets"
                assert (line["mailbox"], line["uid"]) not in placements
                placements[line["mailbox"], line["uid"]] = line
            elif line["type"] == "source":
                assert (line["mailbox"], line["placement"]) in placements
                source = (line["mailbox"], line["epoch"], line["uid"], line["placement"])
                assert source not in sources
                sources.add(source)
            elif line["type"] in ("uid", "file", "identity", "scope"):
                used = [line.get("placement"), line.get("substitute")]
                assert all((line["mailbox"], uid) in placements for uid in used if uid is not None)
            elif line["type"] == "event":
                state = placements[line["mailbox"], line["uid"]]
                events[line["mailbox"], line["modseq"], line["uid"]] = line
                if line["modseq"] > state["modseq"]:
                    state.update(modseq=line["modseq"], flags=line["flags"],
                                 keywords=line["keywords"],
                                 gone_at=(state["gone_at"] or line["at"]) if line["is_gone"] else None)
            else:
                assert line["type"] in ("catalogue", "account")
    for sha256, content in octets.items():
        assert hashlib.sha256(content).hexdigest() == sha256

    expected = archive.holdfast.sql("""
        SELECT p.mailbox_id, p.uid, encode(m.sha256, 'hex'), to_json(p.internal_at)#>>'{}',
               p.internal_zone, p.flags,
               ARRAY(SELECT k.name FROM mailbox_keyword k
                      WHERE k.mailbox_id = p.mailbox_id AND k.number < 8 * length(p.keywords)
                        AND get_bit(p.keywords, k.number) = 1 ORDER BY k.number),
               p.modseq, p.appeared_modseq, to_json(p.archived_at)#>>'{}', to_json(p.gone_at)#>>'{}'
          FROM placement p JOIN message m USING (account_id, message_id)""")
    assert len(expected) == len(placements)
    for (mailbox, uid, sha256, internal, zone, flags, keywords, modseq, appeared, at,
         gone) in expected:
        line = placements[mailbox, uid]
        assert (line["sha256"], line["internal_at"], line["internal_zone"]) == (sha256, internal, zone)
        assert (line["flags"], line["keywords"]) == (flag_names(flags), keywords)
        assert (line["modseq"], line["appeared_modseq"]) == (modseq, appeared)
        assert (line["archived_at"], line["gone_at"]) == (at, gone)
    assert sources == set(archive.holdfast.sql(
        "SELECT mailbox_id, epoch, uid, placement_uid FROM source_uid WHERE state = 'stored'"))
    assert any(line["keywords"] == ["$Important"] for line in placements.values())
    assert any(line["gone_at"] for line in placements.values())
    for mailbox_id, path, uidvalidity, uidnext in archive.holdfast.sql(
            "SELECT mailbox_id, path, uidvalidity, uidnext FROM mailbox"):
        line = mailboxes[mailbox_id]
        assert (line["path"], line["uidvalidity"], line["uidnext"]) == (path, uidvalidity, uidnext)
    # Of an event in the database, the first is perhaps only the placement's own line.
    for mailbox, modseq, uid, appeared in archive.holdfast.sql(
            "SELECT f.mailbox_id, f.modseq, f.uid, p.appeared_modseq FROM flag_event f "
            "JOIN placement p USING (account_id, mailbox_id, uid)"):
        assert (mailbox, modseq, uid) in events or modseq == appeared
    assert {(m, e) for m, e in epochs} == set(
        archive.holdfast.sql("SELECT mailbox_id, epoch FROM source_epoch"))


def test_verify_and_pack_list_tell_of_whole_packs(archive):
    archive.holdfast.run("seal")
    for arguments in (("verify",), ("verify", "--full")):
        assert archive.holdfast.json(*arguments)["ok"] is True
    listed = [p for p in archive.holdfast.json("pack", "list") if p["kind"] == "account"]
    assert {p["sha256"] + ".tar.zst" for p in listed} == {
        p.name for p in pack_paths(archive.holdfast)}
    assert listed[0]["previous"] is None and listed[1]["previous"] == listed[0]["sha256"]
    assert "every octet is what it was" in archive.holdfast.run("verify", "--full").stdout
    assert "alice" in archive.holdfast.run("pack", "list").stdout
    assert "nothing to seal" in archive.holdfast.run("seal", "alice").stdout


def found_by_search(holdfast, *words):
    """Counts of UID SEARCH TEXT and BODY; "NO" where that is refused."""
    wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
    try:
        wire.command("LOGIN auditor audit-password")
        wire.command('EXAMINE "Accounts/alice/INBOX"')
        answers = []
        for word in words:
            for key in ("TEXT", "BODY"):
                tagged, units = wire.command(f"UID SEARCH {key} {word}")
                answers.append(sorted(b" ".join(units).split()) if b" OK " in tagged else "NO")
        return answers
    finally:
        wire.close()


def test_search_text_lies_beside_its_pack_and_losing_it_changes_no_answer(archive):
    holdfast = archive.holdfast
    rows = "SELECT count(*) FROM text_block WHERE "
    segments = [p for p in (path.with_suffix("").with_suffix(".text")
                            for path in pack_paths(holdfast)) if p.exists()]
    assert segments and holdfast.sql(rows + "pack_id IS NOT NULL") != [(0,)]
    assert holdfast.sql(rows + "week IS NOT NULL AND run_id IN (SELECT run_id FROM frame "
                        "WHERE pack_id IS NOT NULL)") == [(0,)]
    for path in segments:
        subprocess.run(["zstd", "-tq", path], check=True)
    assert holdfast.json("verify", "--full")["text"] == []
    mail_before, found_before = archive.read(), found_by_search(holdfast, "the", "zzzznothing")
    for path in segments:
        path.rename(path.with_suffix(".away"))
    verified = holdfast.json("verify", "--full")
    assert verified["ok"] is True and len(verified["text"]) == len(segments)
    assert "holdfast reindex" in holdfast.run("verify").stdout
    assert archive.read() == mail_before
    assert found_by_search(holdfast, "the", "zzzznothing") == found_before
    for path in segments:
        path.with_suffix(".away").rename(path)
    assert holdfast.json("verify")["text"] == []


def fetch_or_refusal(holdfast, mailbox, right):
    """Every message as it was, or a clean NO, or the end of the connection; never wrong octets."""
    refused = 0
    wire = None
    for uid, sha256 in right.items():
        if wire is None:
            wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
            wire.command("LOGIN auditor audit-password")
            wire.command(f'EXAMINE "Accounts/alice/{mailbox}"')
        try:
            tagged, units = wire.command(f"UID FETCH {uid} BODY.PEEK[]")
        except (ConnectionError, EOFError, OSError, AssertionError, ValueError):
            refused, wire = refused + 1, None
            continue
        bodies = [body for unit in units for body in literals(unit)]
        if b" OK " in tagged and bodies:
            assert hashlib.sha256(bodies[0]).hexdigest() == sha256
        else:
            refused += 1
            assert not bodies
    if wire is not None:
        wire.close()
    return refused


def flip(path, at, bit):
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(at)
        octet = file.read(1)[0]
        file.seek(at)
        file.write(bytes([octet ^ 1 << bit]))


@pytest.mark.parametrize("flips", [8, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flipped_bit_is_found_and_nothing_wrong_is_ever_served(archive, flips):
    holdfast = archive.holdfast
    right = archived(holdfast, "INBOX")
    paths = pack_paths(holdfast)
    chance = random.Random(4)
    for i in range(flips):
        path = paths[i % len(paths)]
        at, bit = chance.randrange(path.stat().st_size), chance.randrange(8)
        flip(path, at, bit)
        found = holdfast.run("verify", "--full", check=False)
        assert found.returncode == 1, f"{path.name} octet {at} bit {bit}: {found.stdout}"
        (line,) = [text for text in found.stdout.splitlines() if text.startswith("DAMAGED")]
        assert path.name.split(".")[0] in line and "Put the file" in line
        if i < 8:
            fetch_or_refusal(holdfast, "INBOX", right)
        flip(path, at, bit)
    # A frame that holds octets of messages, not the tar header of a large one alone.
    path = max(paths, key=lambda p: p.stat().st_size)
    frame = max(Pack(path).frames, key=lambda f: f[3])
    flip(path, frame[1] + frame[3] // 2, 3)
    found = json.loads(holdfast.run("verify", "--full", "--json", check=False).stdout)
    (damage,) = found["found"]
    assert damage["messages"] >= 1 and damage["mailbox"] and damage["uid"] >= 1
    assert fetch_or_refusal(holdfast, "INBOX", right) >= 0
    flip(path, frame[1] + frame[3] // 2, 3)
    assert holdfast.json("verify", "--full")["ok"] is True
    assert archived(holdfast, "INBOX") == right


@pytest.mark.parametrize("kills", [6, pytest.param(15, marks=pytest.mark.slow)])
def test_killed_keepers_lose_nothing_and_leave_nothing_behind(new_dovecot, new_holdfast, kills):
    dovecot = new_dovecot()
    holdfast = new_holdfast().start()
    messages = list(mail.generate(80, seed=9, size=20000))
    for octets in messages:
        dovecot.deliver("alice", octets)
    holdfast.add_account(dovecot, "alice", "--every", "1d")
    holdfast.add_auditor()
    chance = random.Random(kills)
    expected = {}
    for n in range(kills):
        dovecot.deliver("alice", mail.large_message(10_000_000, seed=n))
        holdfast.run("sync", "alice")
        expected = archived(holdfast, "INBOX")
        before = len(pack_paths(holdfast))
        holdfast.sql("INSERT INTO seal_request (account_id) SELECT account_id FROM account ON CONFLICT "
                     "(account_id) DO UPDATE SET requested_at = clock_timestamp()")
        # A keeper that was started again may have done it at once, for the request before.
        wait_for(lambda: leftovers(holdfast) or len(pack_paths(holdfast)) > before or holdfast.sql(
            "SELECT 1 FROM seal_request WHERE finished_at >= requested_at"), 120, "the keeper to begin")
        time.sleep(chance.uniform(0, 0.15))  # the random moment itself
        for pid in holdfast.pids("keeper"):
            os.kill(pid, signal.SIGKILL)
        assert archived(holdfast, "INBOX") == expected, f"after kill {n}"
    holdfast.run("seal")
    assert leftovers(holdfast) == []
    verified = holdfast.json("verify", "--full")
    assert verified["ok"] and verified["packs"] == len(pack_paths(holdfast))
    assert archived(holdfast, "INBOX") == expected
    assert holdfast.sql("SELECT count(*) FROM frame WHERE week IS NOT NULL") == [(0,)]


def test_enough_waiting_mail_is_sealed_without_being_asked(new_dovecot, new_holdfast):
    dovecot = new_dovecot()
    holdfast = new_holdfast(settings="[store]\nseal_bytes = 1MiB\n").start()
    dovecot.deliver("alice", mail.large_message(9_000_000))
    holdfast.add_account(dovecot, "alice")
    holdfast.run("sync", "alice")
    wait_for(lambda: pack_paths(holdfast), 120, "a pack")
    wait_for(lambda: holdfast.sql("SELECT count(*) FROM pack") != [(0,)], 30, "its row")
