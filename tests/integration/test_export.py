# SPDX-License-Identifier: Apache-2.0
"""Exports are read by tools that know nothing of Holdfast, and prove what they say they prove."""
import csv
import hashlib
import io
import json
import mailbox
import os
import re
import resource
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

from harness import mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.place import peak_kib, wait_for

FOLDER = "holdfast-export"
HEAD = b"From: a@example.org\r\nSubject: odd\r\nMessage-ID: <%d@odd.example>\r\n\r\n"
ODD = [body if number == 0 else HEAD % number + body for number, body in enumerate([
    b"From nobody in the first line\r\nFrom: x@example.org\r\n\r\nbody\r\n",
    b"From here on\r\n>From quoted once\r\n>>From twice\r\nFrom\r\nFrom: no\r\n From spaced\r\n",
    b"no final newline",
    b"ends in From ",
    b"ends in >>From",
    b"bare LF\nFrom bare\n\nFrom again\n\n\n",
    b"bare CR\rFrom after a CR\r\n",
    b"8-bit \xff\xfe\x80 \xe4\xf6\xfc\r\n",
    b"NUL \0 in it\0\r\nFrom \0\r\n",
    b"\r\n\r\n\r\n",
    b"",
    b">" * 3000 + b"From many\r\n",
])]
HOSTILE = ["INBOX.mbox", "Übersicht & Co", "a b", "CON", "Lists/kernel.mbox/deep", "x" * 120,
           "=cmd|' /C calc'!A0", "Sent", "sent", "per%cent"]


class Export:
    def __init__(self, path):
        self.path = path
        self.tar = subprocess.run(["zstd", "-q", "-d", "-c", str(path)], check=True,
                                  capture_output=True).stdout
        self.files, self.order = {}, []
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as tar:
            for member in tar:
                assert member.name.startswith(FOLDER + "/")
                assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
                name = member.name[len(FOLDER) + 1:]
                self.order.append(name)
                if member.isfile():
                    assert name not in self.files
                    self.files[name] = tar.extractfile(member).read()
        self.rows = [json.loads(line) for line in self.files["manifest.jsonl"].splitlines()]
        self.csv = list(csv.DictReader(io.StringIO(self.files["manifest.csv"].decode(), newline="")))
        self.query = self.files["query.txt"].decode()

    def number(self, name):
        return int(re.search(rf"^{name}: +(\d+)$", self.query, re.M)[1])

    def octets(self, row):
        """A message as the manifest says how to get it; written from the README, not from the code."""
        if row["problem"]:
            return None
        data = self.files[row["file"]]
        if row["offset"] is None:
            assert len(data) == row["length"] and row["quoted_lines"] is None
            return data
        piece = data[row["offset"]:row["offset"] + row["length"]]
        unquoted, count = re.subn(rb"(?m)^>(?=>*From )", b"", piece)
        assert count == row["quoted_lines"]
        return unquoted

    def check(self):
        """Everything that can be told from the export alone; returns how many messages it holds."""
        listed = dict(reversed(line.split("  ", 1)) for line in
                      self.files["SHA256SUMS"].decode().splitlines())
        assert set(listed) | {"SHA256SUMS", "SHA256SUMS.sig"} == set(self.files)
        for name, want in listed.items():
            assert hashlib.sha256(self.files[name]).hexdigest() == want, name
        found = 0
        for row in self.rows:
            octets = self.octets(row)
            if octets is None:
                continue
            assert len(octets) == row["size"]
            assert hashlib.sha256(octets).hexdigest() == row["sha256"], row
            found += 1
        assert found == self.number("messages")
        assert len(self.rows) == len(self.csv)
        return found

    def unpack(self, folder):
        folder.mkdir()
        subprocess.run(["tar", "-x", "-f", "-", "-C", str(folder)], input=self.tar, check=True)
        return folder / FOLDER


class Archive:
    def __init__(self, place):
        self.place = place
        self.dovecot = Dovecot(place, users=("alice", "bob")).start()
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = Holdfast(folder).start()
        self.sent = {"alice": [], "bob": []}
        for i, octets in enumerate(mail.generate(60, seed=7, size=1500)):
            self.deliver("alice", octets, "INBOX", ("", "S", "RS", "F", "DT")[i % 5])
        for octets in ODD:
            self.deliver("alice", octets, "Odd")
        for i, name in enumerate(HOSTILE):
            self.deliver("alice", next(mail.generate(1, seed=100 + i)), name)
        self.deliver("bob", mail.large_message(9 << 20), "INBOX")
        for octets in mail.generate(5, seed=9):
            self.deliver("bob", octets, "INBOX")
        for user in self.sent:
            self.holdfast.add_account(self.dovecot, user)
        self.holdfast.run("sync")
        self.holdfast.run("seal", "bob")

    def deliver(self, user, octets, name, flags=""):
        self.dovecot.deliver(user, octets, name, flags)
        self.sent[user].append(octets)

    def export(self, name, *arguments, check=True, query="*"):
        path = self.place / name
        done = self.holdfast.run("export", query, "-o", path, *arguments, check=check)
        if check:
            return Export(path), int(re.search(r"^position: +(\d+)", done.stdout, re.M)[1])
        return done

    def close(self):
        self.holdfast.stop()
        self.dovecot.stop()


@pytest.fixture(scope="module")
def archive(module_place):
    made = Archive(module_place)
    yield made
    made.close()


@pytest.fixture(scope="module")
def exported(archive):
    return archive.export("whole.tar.zst")[0]


def digests(messages):
    return sorted(hashlib.sha256(octets).hexdigest() for octets in messages)


def test_every_message_comes_back_octet_for_octet_by_the_manifest(archive, exported):
    assert exported.check() == sum(map(len, archive.sent.values()))
    for user, messages in archive.sent.items():
        # Dovecot serves lines that end in a bare LF with CRLF, and NUL as 0x80.
        served = [re.sub(rb"(?<!\r)\n", b"\r\n", m).replace(b"\0", b"\x80") for m in messages]
        assert digests(served) == sorted(r["sha256"] for r in exported.rows if r["account"] == user)


def test_both_manifests_say_the_same(exported):
    for wide, row in zip(exported.csv, exported.rows):
        assert list(wide) == list(row)
        for name, value in row.items():
            cell = wide[name][1:] if wide[name].startswith("'") else wide[name]
            if isinstance(value, bool):
                value = "true" if value else "false"
            elif isinstance(value, list):
                value = " ".join(value)
            assert cell == ("" if value is None else str(value)), name
            assert not wide[name].startswith(("=", "+", "-", "@"))


def test_python_reads_each_mbox_and_finds_the_same_messages(archive, exported, tmp_path):
    for name in {row["file"] for row in exported.rows}:
        path = tmp_path / "one.mbox"
        path.write_bytes(exported.files[name])
        box = mailbox.mbox(str(path), create=False)
        rows = [row for row in exported.rows if row["file"] == name]
        assert len(box) == len(rows)
        for key, row in zip(box.keys(), rows):
            octets = box.get_bytes(key)
            if row["lf_added"]:
                assert octets.endswith(b"\n")
                octets = octets[:-1]
            assert re.sub(rb"(?m)^>(?=>*From )", b"", octets) == exported.octets(row)
        box.close()
        path.unlink()


def test_messages_are_in_the_order_of_account_mailbox_and_uid(exported):
    keys = [(r["account"].encode(), r["mailbox"].encode(), r["uid"]) for r in exported.rows]
    assert keys == sorted(keys)


def test_manifest_tells_source_flags_dates_and_message_ids(archive, exported):
    rows = [row for row in exported.rows if row["account"] == "alice" and row["mailbox"] == "INBOX"]
    known = {(uid, flags, at) for uid, flags, at in archive.holdfast.sql(
        "SELECT p.uid, p.flags, to_char(p.internal_at + p.internal_zone * interval '1 minute', "
        "'YYYY-MM-DD\"T\"HH24:MI:SS') FROM placement p JOIN mailbox m USING (account_id, mailbox_id) "
        "JOIN account_name n USING (account_id) WHERE n.name = 'alice' AND m.path = 'INBOX'")}
    bits = {"\\Seen": 1, "\\Answered": 2, "\\Flagged": 4, "\\Deleted": 8, "\\Draft": 16}
    assert {(r["uid"], sum(bits[f] for f in r["flags"]), r["internaldate"][:19]) for r in rows} == known
    origin = {uid: (epoch, source) for uid, epoch, source in archive.holdfast.sql(
        "SELECT s.placement_uid, s.epoch, s.uid FROM source_uid s JOIN mailbox m "
        "USING (account_id, mailbox_id) JOIN account_name n USING (account_id) "
        "WHERE n.name = 'alice' AND m.path = 'INBOX'")}
    for row in rows:
        assert (row["source_epoch"], row["source_uid"]) == origin[row["uid"]]
        assert row["source_uidvalidity"] > 0 and row["uidvalidity"] > 0
        said = re.search(rb"(?im)^message-id: *(<[^>]*>)", exported.octets(row))[1]
        assert row["message_id"] == said.decode()
        assert row["edrm_mih"] == hashlib.md5(said).hexdigest().upper()


def test_file_names_are_safe_anywhere(exported):
    folded = [name.lower() for name in exported.files]
    assert len(set(folded)) == len(folded)
    for name in exported.files:
        assert re.fullmatch(r"[A-Za-z0-9._@+=,()&%~ /-]+", name) and len(name) < 330
        for level in name.split("/"):
            assert level not in ("", ".", "..") and not level.startswith((".", "-", " "))
            assert level.split(".")[0].upper() not in ("CON", "PRN", "AUX", "NUL")


def test_gnu_tar_and_bsdtar_read_it_without_a_word(archive, exported, tmp_path):
    for tool in ("tar", "bsdtar"):
        if shutil.which(tool) is None:
            continue
        done = subprocess.run([tool, "-t", "-f", "-"], input=exported.tar, capture_output=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert len(done.stdout.splitlines()) == len(exported.order)
    if shutil.which("bsdtar") is not None:
        done = subprocess.run(["bsdtar", "-x", "-O", "-f", str(exported.path), f"{FOLDER}/query.txt"],
                              capture_output=True)
        assert done.stdout.decode() == exported.query and not done.stderr


# ---- the same again -------------------------------------------------------------------------------


def test_the_tar_is_the_same_again_also_at_a_position_that_is_past(archive):
    first, position = archive.export("first.tar.zst")
    again, same = archive.export("again.tar.zst")
    assert same == position and again.tar == first.tar
    for octets in mail.generate(3, seed=11):
        archive.deliver("alice", octets, "INBOX")
    client = archive.dovecot.client("alice")
    client.select("INBOX")
    client.store("1:4", "+FLAGS", "(\\Flagged Later)")
    client.store("5", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    archive.holdfast.run("sync", "alice")
    later, moved = archive.export("later.tar.zst")
    assert moved != position and later.tar != first.tar
    assert any("Later" in row["keywords"] for row in later.rows)
    assert later.number("gone") >= 1 and first.number("gone") == 0
    back, same = archive.export("back.tar.zst", "--at", position)
    assert same == position and back.tar == first.tar
    archive.holdfast.run("seal", "alice")
    sealed, _ = archive.export("sealed.tar.zst", "--at", position)
    assert sealed.tar == first.tar


def test_scope_is_the_accounts_that_are_named(archive):
    bob, position = archive.export("bob.tar.zst", "--account", "bob")
    assert {row["account"] for row in bob.rows} == {"bob"} and bob.check() == 6
    refused = archive.export("no.tar.zst", "--account", "alice", "--at", position, check=False)
    assert refused.returncode == 1 and "does not cover" in refused.stderr
    refused = archive.export("no.tar.zst", "--at", "99999", check=False)
    assert refused.returncode == 1 and "no position" in refused.stderr
    assert not (archive.place / "no.tar.zst").exists()


def test_a_query_chooses_the_messages_and_is_asked_at_the_position(archive):
    chosen, position = archive.export("chosen.tar.zst", query="subject:generated is:flagged in:inbox")
    assert chosen.check() == len(chosen.rows) > 0
    assert all("\\Flagged" in row["flags"] and row["mailbox"] == "INBOX" for row in chosen.rows)
    assert "subject:generated is:flagged in:inbox" in chosen.query
    assert chosen.number("searched") >= len(chosen.rows) and chosen.number("unsearched") == 0
    client = archive.dovecot.client("alice")
    client.select("INBOX")
    client.store("10:20", "+FLAGS", "\\Flagged")
    client.logout()
    archive.holdfast.run("sync", "alice")
    more, _ = archive.export("more.tar.zst", query="subject:generated is:flagged in:inbox")
    assert len(more.rows) > len(chosen.rows)
    same, _ = archive.export("same.tar.zst", "--at", position,
                             query="subject:generated is:flagged in:inbox")
    assert same.tar == chosen.tar
    none, _ = archive.export("none.tar.zst", query="subject:nowhere-at-all")
    assert none.rows == [] and none.check() == 0
    wrong = archive.export("wrong.tar.zst", query="subjekt:x", check=False)
    assert wrong.returncode == 2 and not (archive.place / "wrong.tar.zst").exists()


# ---- other formats --------------------------------------------------------------------------------


def test_eml_has_a_file_with_the_exact_octets_for_each_message(archive):
    made, _ = archive.export("eml.tar.zst", "--format", "eml")
    assert made.check() == len(made.rows)
    assert all(row["file"].endswith(".eml") for row in made.rows)
    assert len({row["file"] for row in made.rows}) == len(made.rows)


def test_maildir_is_read_with_flags_and_exact_octets(archive, tmp_path):
    made, _ = archive.export("maildir.tar.zst", "--format", "maildir")
    assert made.check() == len(made.rows)
    folder = made.unpack(tmp_path / "unpacked")
    rows = [row for row in made.rows if row["mailbox"] == "INBOX" and row["account"] == "alice"]
    box = mailbox.Maildir(folder / rows[0]["file"].rsplit("/cur/")[0], create=False)
    assert len(box) == len(rows)
    letters = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Deleted": "T", "\\Draft": "D"}
    for row in rows:
        key = row["file"].rsplit("/", 1)[1].split(":")[0]
        assert hashlib.sha256(box.get_bytes(key)).hexdigest() == row["sha256"]
        assert sorted(box.get_message(key).get_flags()) == sorted(letters[f] for f in row["flags"])


# ---- verify.sh --------------------------------------------------------------------------------------

TOOLS = ("sh", "tar", "zstd", "sha256sum", "openssl", "mktemp", "rm", "wc")


@pytest.fixture(scope="module")
def only_tools(module_place):
    folder = module_place / "only"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return {"PATH": str(folder), "LC_ALL": "C"}


@pytest.fixture(scope="module")
def small(archive):
    return archive.export("small.tar.zst", "--account", "bob", "--at",
                          archive.export("small0.tar.zst", "--account", "bob")[1])[0]


def verify(environment, *arguments, script):
    return subprocess.run(["sh", str(script), *map(str, arguments)], env=environment,
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def script(archive):
    path = archive.place / "trusted-verify.sh"
    path.write_text(archive.holdfast.run("key", "--verify-script").stdout)
    return path


def test_verify_passes_with_the_tools_it_names_and_says_who_signed(archive, small, only_tools, script,
                                                                   tmp_path):
    assert small.files["verify.sh"] == script.read_bytes()
    told = archive.holdfast.run("key").stdout
    fingerprint = re.search(r"fingerprint \(SHA-256\): ([0-9a-f]{64})", told)[1]
    for given in (small.path, small.unpack(tmp_path / "unpacked")):
        done = verify(only_tools, given, script=script)
        assert done.returncode == 0, done.stderr
        assert fingerprint in done.stdout and "WHO signed" in done.stdout
        done = verify(only_tools, "-f", fingerprint, given, script=script)
        assert done.returncode == 0 and "WHO signed" not in done.stdout
        assert verify(only_tools, "-f", "0" * 64, given, script=script).returncode == 1
    key = tmp_path / "key.pem"
    key.write_text(told.split("fingerprint")[0])
    assert verify(only_tools, "-k", key, small.path, script=script).returncode == 0
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "other"], check=True)
    subprocess.run(["openssl", "pkey", "-in", tmp_path / "other", "-pubout", "-out", key], check=True)
    assert verify(only_tools, "-k", key, small.path, script=script).returncode == 1


def test_verify_fails_after_any_one_octet_changed_or_a_file_came_or_went(small, only_tools, script,
                                                                         tmp_path):
    folder = small.unpack(tmp_path / "unpacked")
    for name, octets in small.files.items():
        for place in {0, len(octets) // 2, len(octets) - 1}:
            changed = bytearray(octets)
            changed[place] ^= 1
            (folder / name).write_bytes(changed)
            assert verify(only_tools, folder, script=script).returncode == 1, (name, place)
        (folder / name).unlink()
        assert verify(only_tools, folder, script=script).returncode == 1, name
        (folder / name).write_bytes(octets)
    assert verify(only_tools, folder, script=script).returncode == 0
    for added in ("more.txt", ".hidden", "mail/bob/another.mbox"):
        (folder / added).write_bytes(b"")
        assert verify(only_tools, folder, script=script).returncode == 1, added
        (folder / added).unlink()
    (folder / "link").symlink_to("query.txt")
    assert verify(only_tools, folder, script=script).returncode == 1


def test_verify_fails_after_any_change_of_the_tarball_and_what_lies_beside(small, only_tools, script,
                                                                           tmp_path):
    def copies():
        for suffix in ("", ".sha256", ".sig"):
            shutil.copy(f"{small.path}{suffix}", tmp_path / f"copy{suffix}")
        return [tmp_path / "copy", tmp_path / "copy.sha256", tmp_path / "copy.sig"]

    assert verify(only_tools, copies()[0], script=script).returncode == 0
    size = small.path.stat().st_size
    for which, places in enumerate([[0, 5, 100, size // 3, size // 2, 4000, size - 1], [0, 70], [0, 63]]):
        for place in places:
            files = copies()
            octets = bytearray(files[which].read_bytes())
            octets[place] ^= 1
            files[which].write_bytes(octets)
            assert verify(only_tools, files[0], script=script).returncode == 1, (which, place)
    for which in (1, 2):
        files = copies()
        files[which].unlink()
        assert verify(only_tools, files[0], script=script).returncode == 1
    assert verify(only_tools, "-c", files[0], script=script).returncode == 0


def test_the_sums_beside_it_are_read_by_sha256sum_itself(small):
    subprocess.run(["sha256sum", "-c", f"{small.path.name}.sha256"], cwd=small.path.parent, check=True,
                   capture_output=True)


# ---- what goes wrong ------------------------------------------------------------------------------


def test_an_existing_file_is_replaced_only_by_force(archive):
    archive.export("once.tar.zst", "--account", "bob")
    before = (archive.place / "once.tar.zst").read_bytes()
    refused = archive.export("once.tar.zst", "--account", "alice", check=False)
    assert refused.returncode == 1 and "--force" in refused.stderr
    assert (archive.place / "once.tar.zst").read_bytes() == before
    replaced, _ = archive.export("once.tar.zst", "--account", "alice", "--force")
    assert {row["account"] for row in replaced.rows} == {"alice"}


def test_a_forced_export_that_cannot_be_named_leaves_the_old_one_whole(archive):
    folder = archive.place / "kept"
    folder.mkdir()
    archive.export("kept/old.tar.zst", "--account", "bob")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    immutable = ["chattr", "+i", str(folder / "old.tar.zst")]
    if subprocess.run(immutable, capture_output=True).returncode != 0:
        pytest.skip("no file can be made immutable here")
    try:
        failed = archive.export("kept/old.tar.zst", "--account", "alice", "--force", check=False)
    finally:
        subprocess.run(["chattr", "-i", immutable[2]], check=True)
    assert failed.returncode == 1 and "old.tar.zst" in failed.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_full_disc_leaves_nothing_behind(archive):
    folder = archive.place / "full"
    folder.mkdir()

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))

    done = subprocess.run([archive.holdfast.bin / "holdfast", "-c", archive.holdfast.conf, "export", "*",
                           "-o", folder / "x.tar.zst"], preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1 and "export file" in done.stderr, done.stderr
    assert names(folder) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_an_export_that_is_killed_leaves_nothing_behind(archive, how):
    folder = archive.place / f"killed{how}"
    folder.mkdir()
    live = "SELECT count(*) FROM login_session WHERE revoked_at IS NULL AND expires_at > now()"
    tokens = archive.holdfast.sql(live)
    for delay in (0.05, 0.2, 0.4):
        process = subprocess.Popen([archive.holdfast.bin / "holdfast", "-c", archive.holdfast.conf,
                                    "export", "*", "-o", folder / "x.tar.zst"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)  # any moment will do
        process.send_signal(how)
        process.wait(timeout=60)
        if how != signal.SIGKILL:
            assert archive.holdfast.sql(live) == tokens, "a token outlives its command"
        whole = ["x.tar.zst", "x.tar.zst.sha256", "x.tar.zst.sig"]
        wait_for(lambda: names(folder) in ([], whole), 30, "all files or none")
        if names(folder) == whole:  # it was done, or as good as done
            Export(folder / "x.tar.zst").check()
            for path in folder.iterdir():
                path.unlink()


def test_exports_are_recorded_with_query_counts_and_hash(archive):
    made, position = archive.export("recorded.tar.zst", "--account", "bob")
    events = [detail for detail, in archive.holdfast.sql(
        "SELECT detail FROM audit_event WHERE event = 'export' ORDER BY event_id DESC LIMIT 2")]
    assert events[1]["state"] == "begun" and events[0]["state"] == "written"
    assert events[0]["messages"] == 6 and events[0]["position"] == position
    assert events[0]["sha256"] == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_damaged_messages_are_named_and_the_rest_is_exported(archive):
    pack = max((archive.holdfast.data_dir / "packs").glob("[0-9]*/*.tar.zst"),
               key=lambda path: path.stat().st_size)
    octets = pack.read_bytes()
    damaged = bytearray(octets)
    damaged[len(octets) // 2] ^= 0xFF
    mode = pack.stat().st_mode
    pack.chmod(0o600)
    pack.write_bytes(damaged)
    try:
        done = archive.export("damaged.tar.zst", check=False)
        assert done.returncode == 1 and "NOT EXPORTED" in done.stdout, done.stdout + done.stderr
        made = Export(archive.place / "damaged.tar.zst")
        bad = [row for row in made.rows if row["problem"]]
        assert bad and all(row["problem"] == "damaged" and row["file"] is None for row in bad)
        assert made.check() == len(made.rows) - len(bad) and made.number("damaged") == len(bad)
        hidden = pack.with_suffix(".hidden")
        pack.rename(hidden)
        done = archive.export("missing.tar.zst", check=False)
        hidden.rename(pack)
        made = Export(archive.place / "missing.tar.zst")
        assert done.returncode == 1 and made.number("unreadable") >= len(bad)
        made.check()
    finally:
        pack.write_bytes(octets)
        pack.chmod(mode)


def test_memory_stays_small_whatever_is_exported(archive):
    if os.environ.get("HOLDFAST_VARIANT", "release") != "release":
        pytest.skip("measured on release builds")
    process = subprocess.Popen([archive.holdfast.bin / "holdfast", "-c", archive.holdfast.conf, "export",
                                "*", "-o", archive.place / "memory.tar.zst"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    seen = 0
    while process.poll() is None:
        for child in children(process.pid):
            try:
                seen = max(seen, peak_kib(child))
            except (AssertionError, OSError):
                pass  # it has ended meanwhile
        time.sleep(0.01)
    assert process.returncode == 0, process.stdout.read()
    assert 0 < seen < 64 << 10


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [pid, *map(int, file.read().split())]
    except OSError:
        return []
