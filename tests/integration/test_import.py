# SPDX-License-Identifier: Apache-2.0
"""holdfast import: mbox, Maildir and message files, exactly once, octet for octet, whatever happens."""
import gzip
import hashlib
import mailbox
import os
import random
import re
import signal
import pathlib
import socket
import subprocess
import tarfile
import time

import pytest

from harness import mail
from harness.holdfast import installation
from harness.place import wait_for


@pytest.fixture(scope="module")
def holdfast(module_place):
    with installation(module_place) as made:
        yield made


@pytest.fixture
def account(holdfast, request):
    """An account for imports, named after the test."""
    name = request.node.name[-55:]  # its end has the parameter
    holdfast.run("account", "add", name, "--kind", "import")
    return name


def run(holdfast, account, path, *more, status=0):
    done = holdfast.run("import", account, path, *more, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


def archived(holdfast, account):
    """(mailbox, hash) of every placement, sorted."""
    return sorted(holdfast.sql(
        "SELECT b.path, encode(m.sha256, 'hex') FROM placement p JOIN mailbox b USING (account_id, mailbox_id)"
        " JOIN message m USING (account_id, message_id) JOIN account_name n USING (account_id)"
        " WHERE n.name = %s", account))


def facts(holdfast, account):
    return {m["path"]: m for m in holdfast.json("account", "show", account)["mailbox_list"]}


def messages(count, seed=1, size=3000):
    return list(mail.generate(count, seed=seed, size=size))


def write_mbox(path, octets, separator=b"From a@example.org Mon Oct  1 08:00:00 2001\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for message in octets:
            quoted = b"".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line
                              for line in message.splitlines(keepends=True))
            file.write(separator + quoted + b"\n")
    return path


def write_files(folder, octets, ending=".eml"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, message in enumerate(octets):
        (folder / f"{i:05}{ending}").write_bytes(message)
    return folder


def hashes(path, octets):
    return [(path, sha256(message)) for message in octets]


# ---- the three kinds ---------------------------------------------------------------------------


def test_an_mbox_comes_in_octet_for_octet_and_once(holdfast, account, tmp_path):
    octets = messages(50) + [b"Subject: q\r\n\r\nFrom here\r\n>From there\r\n>>From afar\r\n"]
    path = write_mbox(tmp_path / "Sent Items.mbox", octets)
    assert "51 new messages" in run(holdfast, account, path)
    assert archived(holdfast, account) == sorted(hashes("Sent Items", octets))
    assert "0 new messages; 1 file known" in run(holdfast, account, path)
    assert archived(holdfast, account) == sorted(hashes("Sent Items", octets))


def test_an_mbox_that_grew_or_was_compacted_gives_what_is_new(holdfast, account, tmp_path):
    octets = messages(30)
    path = write_mbox(tmp_path / "box", octets[:20])
    run(holdfast, account, path)
    write_mbox(path, octets[5:])
    assert "10 new messages" in run(holdfast, account, path)
    assert archived(holdfast, account) == sorted(hashes("box", octets))
    assert facts(holdfast, account)["box"]["pending"] == 0


def test_mail_written_by_python_comes_in(holdfast, account, tmp_path):
    box = mailbox.mbox(tmp_path / "python.mbox")
    for message in messages(20, seed=3):
        box.add(message)
    box.flush()
    (tmp_path / "maildir").mkdir()
    maildir = mailbox.Maildir(tmp_path / "maildir" / "Work")
    for message in messages(20, seed=4):
        kept = mailbox.MaildirMessage(message)
        kept.add_flag("FS")
        kept.set_subdir("cur")
        maildir.add(kept)
    run(holdfast, account, tmp_path)
    assert {path for path, _ in archived(holdfast, account)} == {"python", "maildir/Work"}
    wanted = {(path, sha256(file.read_bytes())) for path, file in
              (("maildir/Work", f) for f in (tmp_path / "maildir" / "Work" / "cur").iterdir())}
    assert wanted <= set(archived(holdfast, account))
    assert {flags for flags, in holdfast.sql(
        "SELECT p.flags FROM placement p JOIN mailbox b USING (account_id, mailbox_id)"
        " JOIN account_name n USING (account_id) WHERE n.name = %s AND b.path = 'maildir/Work'",
        account)} == {1 + 4}


def test_a_maildir_of_dovecot_comes_in_with_flags_and_dates(holdfast, account, new_dovecot):
    dovecot = new_dovecot()
    octets = messages(25, seed=5)
    for i, message in enumerate(octets):
        dovecot.deliver("alice", message, ("INBOX", "Archive/2001", "Entwürfe")[i % 3])
    with dovecot.client("alice") as client:
        client.select("INBOX")
        client.store("1:3", "+FLAGS", r"(\Seen \Answered)")
    home = dovecot.dir / "home" / "alice" / "Maildir"
    run(holdfast, account, home)
    assert {hash for _, hash in archived(holdfast, account)} == {
        sha256(p.read_bytes()) for name in ("cur", "new") for p in home.rglob(f"{name}/*")}
    assert set(facts(holdfast, account)) == {"INBOX", "Archive/2001", "Entwürfe"}
    files = {sha256(p.read_bytes()): int(p.stat().st_mtime) for p in home.rglob("cur/*")}
    for digest, when in holdfast.sql(
            "SELECT encode(m.sha256, 'hex'), extract(epoch FROM p.internal_at)::bigint FROM placement p"
            " JOIN message m USING (account_id, message_id) JOIN account_name n USING (account_id)"
            " WHERE n.name = %s", account):
        assert files.get(digest, when) == when


def test_keywords_of_a_maildir_come_in_and_so_do_later_changes_of_its_flags(holdfast, account, new_dovecot):
    dovecot = new_dovecot()
    for message in messages(4, seed=11):
        dovecot.deliver("alice", message)

    def found(query):
        return [hit["uid"] for hit in holdfast.json("search", query, "--account", account)["hits"]]

    with dovecot.client("alice") as client:
        client.select("INBOX")
        client.store("1:2", "+FLAGS", r"(\Seen Urgent)")
        client.store("2", "+FLAGS", "$Forwarded")
    home = dovecot.dir / "home" / "alice" / "Maildir"
    run(holdfast, account, home)
    urgent, forwarded = found("keyword:urgent"), found("keyword:$Forwarded")
    assert len(urgent) == 2 and len(forwarded) == 1 and set(forwarded) < set(urgent)
    assert found("is:read") == urgent
    with dovecot.client("alice") as client:
        client.select("INBOX")
        client.store("2", "-FLAGS", "(Urgent)")
        client.store("2", "+FLAGS", r"(\Flagged)")
    run(holdfast, account, home)
    assert found("keyword:urgent") == sorted(set(urgent) - set(forwarded))
    assert found("is:flagged") == found("keyword:$Forwarded") == forwarded
    history = "SELECT count(*) FROM flag_event JOIN account_name n USING (account_id) WHERE n.name = %s"
    events = holdfast.sql(history, account)
    run(holdfast, account, home)
    assert holdfast.sql(history, account) == events != [(0,)]
    (home / "dovecot-keywords").unlink()  # a copy without it says nothing of keywords
    run(holdfast, account, home)
    assert found("keyword:$Forwarded") == forwarded
    assert holdfast.sql(history, account) == events


def test_folders_of_message_files_become_mailboxes(holdfast, account, tmp_path):
    octets = messages(12, seed=6)
    write_files(tmp_path / "tree", octets[:4])
    write_files(tmp_path / "tree" / "a" / "b", octets[4:8])
    write_files(tmp_path / "tree" / "Post.sbd", octets[8:], ending="")
    (tmp_path / "tree" / "Inbox.msf").write_text("// not mail: 12\n")
    out = run(holdfast, account, tmp_path / "tree", "--mailbox", "Old")
    assert "12 new messages; 1 file left out" in out and "left out: Inbox.msf: no mail" in out
    assert archived(holdfast, account) == sorted(hashes("Old", octets[:4]) + hashes("Old/a/b", octets[4:8]) +
                                                 hashes("Old/Post", octets[8:]))
    row, = holdfast.sql("SELECT count(*) FROM placement p JOIN account_name n USING (account_id)"
                        " WHERE n.name = %s AND p.internal_at > now() - interval '1 hour'", account)
    assert row == (0,)  # the day of a message is that of its header, not of its file


def test_files_that_are_copied_or_touched_are_not_archived_twice(holdfast, account, tmp_path):
    octets = messages(10, seed=7)
    write_files(tmp_path / "one", octets)
    write_files(tmp_path / "two", octets)
    run(holdfast, account, tmp_path / "one")
    os.utime(tmp_path / "two" / "00003.eml", (1, 1))
    assert "0 new messages; 10 files known" in run(holdfast, account, tmp_path / "two")
    (tmp_path / "two" / "00003.eml").write_bytes(octets[3] + b"more\r\n")
    assert "1 new message;" in run(holdfast, account, tmp_path / "two")
    assert "0 new messages; 10 files known" in run(holdfast, account, tmp_path / "one")
    assert len(archived(holdfast, account)) == 11


def test_files_of_one_name_size_and_day_are_told_apart_by_their_octets(holdfast, account, tmp_path):
    for folder, octets in (("one", b"Subject: a\r\n\r\n"), ("two", b"Subject: b\r\n\r\n")):
        write_files(tmp_path / folder, [octets])
        os.utime(tmp_path / folder / "00000.eml", (1, 1))  # as tar, zip and git set it for all they unpack
        assert "1 new message" in run(holdfast, account, tmp_path / folder)
        assert "1 file known" in run(holdfast, account, tmp_path / folder)
    assert len(archived(holdfast, account)) == 2


def test_an_mbox_read_as_the_wrong_format_can_be_read_again_as_the_right_one(holdfast, account, tmp_path):
    """Dovecot writes Content-Length and quotes nothing."""
    body = b"x\n\nFrom b@example.org Mon Oct  1 08:00:00 2001\nSubject: quoted by nobody\n"
    octets = [b"Subject: 1\nContent-Length: %d\n\n%s" % (len(body), body), b"Subject: 2\nContent-Length: 2\n\ny\n"]
    box = tmp_path / "box"
    box.write_bytes(b"".join(b"From a@example.org Mon Oct  1 08:00:00 2001\n" + m + b"\n" for m in octets))
    out = run(holdfast, account, box, status=1)
    assert "3 new messages" in out and "1 of its messages may go on" in out and "--mbox-format mboxcl2" in out
    run(holdfast, account, box, "--mbox-format", "mboxcl2")
    assert set(hashes("box", octets)) < set(archived(holdfast, account))
    assert holdfast.json("failures", account) == []
    assert "1 file known" in run(holdfast, account, box, "--mbox-format", "mboxcl2")


def test_an_mbox_of_thunderbird_comes_in_with_its_flags(holdfast, account, tmp_path):
    octets = [b"X-Mozilla-Status: 0009\r\nSubject: 1\r\n\r\nx\r\n", b"X-Mozilla-Status: 0000\r\nSubject: 2\r\n\r\ny\r\n"]
    (tmp_path / "Inbox").write_bytes(b"".join(b"From \r\n" + m + b"\r\n" for m in octets))
    run(holdfast, account, tmp_path / "Inbox")
    assert archived(holdfast, account) == sorted(hashes("Inbox", octets))
    assert holdfast.sql("SELECT flags FROM placement p JOIN account_name n USING (account_id)"
                        " WHERE n.name = %s ORDER BY uid", account) == [(1 + 8,), (0,)]


def test_messages_of_apple_mail_come_in_with_flags_and_dates(holdfast, account, tmp_path):
    octets = messages(3, seed=15)
    folder = tmp_path / "V10" / "Work.mbox" / "01234567-89AB-CDEF-0123-456789ABCDEF" / "Data" / "Messages"
    folder.mkdir(parents=True)
    for i, message in enumerate(octets):
        (folder / f"{i}.emlx").write_bytes(
            b"%-10d\n%s<?xml version=\"1.0\"?>\n<plist><dict><key>date-received</key><integer>1001923200</integer>"
            b"<key>flags</key><integer>%d</integer></dict></plist>\n" % (len(message), message, 8589934593 + 16 * i))
    (folder / "8.emlx").write_bytes(b"99999\nSubject: cut\n")
    (folder / "9.partial.emlx").write_bytes(b"11\nSubject: x\n")
    out = run(holdfast, account, tmp_path / "V10", status=1)
    assert "8.emlx: is shorter than its message" in out and "9.partial.emlx: its attachments lie apart" in out
    assert archived(holdfast, account) == sorted(hashes("Work", octets))
    assert holdfast.sql("SELECT flags, extract(epoch FROM internal_at)::bigint FROM placement p"
                        " JOIN account_name n USING (account_id) WHERE n.name = %s ORDER BY uid",
                        account)[0] == (1, 1001923200)
    os.utime(folder / "1.emlx", (1, 1))
    assert "0 new messages; 3 files known" in run(holdfast, account, tmp_path / "V10", status=1)


def test_a_maildir_that_is_compressed_is_not_archived_as_it_is(holdfast, account, tmp_path):
    for name in ("cur", "new"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    path = tmp_path / "Maildir" / "cur" / "1.host:2,S"
    path.write_bytes(gzip.compress(b"Subject: x\r\n\r\ny\r\n"))
    out = run(holdfast, account, tmp_path / "Maildir", status=1)
    assert "1.host:2,S: compressed (gzip)" in out
    assert archived(holdfast, account) == []
    path.write_bytes(gzip.decompress(path.read_bytes()))
    run(holdfast, account, tmp_path / "Maildir")
    assert len(archived(holdfast, account)) == 1 and holdfast.json("failures", account) == []


def statement(name):
    """Its text, to be prepared, and the types of its parameters."""
    text = (pathlib.Path(__file__).parents[2] / "lib/db/sql/source_import.sql").read_text()
    types, body = re.search(rf"-- name: {name}\n-- args: (.*)\n([^;]*);", text).groups()
    return body, ", ".join(arg.rpartition(" ")[2] for arg in types.split(", "))


def test_files_and_messages_are_looked_up_by_whole_keys_without_statistics(holdfast, account, tmp_path):
    """Of tables that were just filled the planner thinks that a mailbox has one row: it must not choose."""
    write_files(tmp_path / "t" / "files", messages(40, size=300))
    write_mbox(tmp_path / "t" / "box", messages(40, seed=2, size=300))
    run(holdfast, account, tmp_path / "t")
    for name, mailbox, more, lookups in (("import_known", "files", "ARRAY['00007.eml']::bytea[]", 2),
                                         ("import_spans", "box", "1, 5, 10", 1)):
        ids, = holdfast.sql("SELECT account_id, mailbox_id FROM mailbox JOIN account_name USING (account_id)"
                            " WHERE name = %s AND path = %s", account, mailbox)
        body, types = statement(name)
        plan = "\n".join(line for line, in holdfast.sql(
            f"SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; PREPARE asked ({types}) AS {body};"
            f" EXPLAIN (COSTS OFF) EXECUTE asked ({ids[0]}, {ids[1]}, {more})"))
        assert "Join Filter" not in plan and plan.count("(uid = ") == lookups, plan


# ---- what goes wrong ---------------------------------------------------------------------------


def test_what_is_no_mail_or_no_file_is_told_and_the_rest_goes_on(holdfast, account, tmp_path):
    tree = write_files(tmp_path / "tree", messages(3, seed=8))
    with open(os.fsencode(tree) + b"/caf\xe9.eml", "wb") as file:  # a name that is not UTF-8
        file.write(b"Subject: latin\r\n\r\nx\r\n")
    os.symlink(tree, tree / "loop")
    os.mkfifo(tree / "pipe")
    (tree / "empty.eml").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    (tree / "/".join(["d"] * 70)).mkdir(parents=True)
    out = run(holdfast, account, tree, status=1)
    for line in ("left out: loop: a symbolic link", "left out: pipe: a pipe", "left out: socket: a socket",
                 "left out: empty.eml: empty", "too many folders within one another"):
        assert line in out, out
    assert len(archived(holdfast, account)) == 4
    failure, = holdfast.json("failures", account)
    assert failure["path"].startswith("d/d/d") and "too many folders" in failure["error"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_be_read_at_last_is_no_failure_any_more(holdfast, account, tmp_path):
    tree = write_files(tmp_path / "tree", messages(3, seed=14))
    (tree / "00001.eml").chmod(0)
    out = run(holdfast, account, tree, status=1)
    assert "failed: 00001.eml: cannot be read: Permission denied" in out
    assert holdfast.json("failures", account)[0]["path"] == "00001.eml"
    (tree / "00001.eml").chmod(0o600)
    run(holdfast, account, tree)
    assert holdfast.json("failures", account) == [] and len(archived(holdfast, account)) == 3


def test_failures_are_told_before_what_was_left_out(holdfast, account, tmp_path):
    write_files(tmp_path / "t", [b"\0"] * 30, ending=".bin")
    (tmp_path / "t" / "old.pst").write_bytes(b"!BDN" + bytes(100))
    (tmp_path / "t" / "mail.zip").write_bytes(b"PK\3\4" + bytes(100))
    out = run(holdfast, account, tmp_path / "t", status=1).splitlines()
    told = [line for line in out if line.startswith(("failed: ", "left out: "))]
    assert told[0].startswith("failed: old.pst: an Outlook store") and len(told) == 32
    assert "left out: mail.zip: a zip archive: not read" in told


def test_an_mbox_that_is_cut_is_archived_as_far_as_it_goes_and_told(holdfast, account, tmp_path):
    octets = messages(5, seed=9)
    path = write_mbox(tmp_path / "cut", octets)
    path.write_bytes(path.read_bytes()[:-100])
    out = run(holdfast, account, path, status=1)
    assert "may be cut" in out
    assert len(archived(holdfast, account)) == 5
    assert sorted(hashes("cut", octets[:4])) == [r for r in archived(holdfast, account)
                                                 if r in hashes("cut", octets[:4])]


def test_an_account_that_does_not_exist_is_not_made_by_an_import(holdfast, tmp_path):
    done = holdfast.run("import", "nobody", write_files(tmp_path / "x", messages(1)), check=False)
    assert done.returncode == 1 and "--kind import" in done.stderr
    done = holdfast.run("import", "nobody", tmp_path / "absent", check=False)
    assert done.returncode == 1 and "No such file" in done.stderr


def test_a_dry_run_counts_and_archives_nothing(holdfast, account, tmp_path):
    write_files(tmp_path / "t" / "a", messages(7))
    write_mbox(tmp_path / "t" / "box", messages(5))
    assert "would import: 2 mailboxes, 12 messages" in run(holdfast, account, tmp_path / "t", "--dry-run")
    assert archived(holdfast, account) == [] and facts(holdfast, account) == {}


def test_reconcile_counts_imports_and_sync_passes_over(holdfast, account, tmp_path):
    octets = messages(9, seed=10)
    write_files(tmp_path / "t" / "box", octets[:4])
    write_mbox(tmp_path / "t" / "box.mbox", octets[4:])
    run(holdfast, account, tmp_path / "t")
    box, = holdfast.json("reconcile", account)["accounts"][0]["mailboxes"]
    assert (box["exists"], box["archived"], box["unexplained"]) == (9, 9, 0)
    assert "has no source" in holdfast.run("sync", account).stdout


def test_a_file_that_changed_before_it_could_be_read_takes_the_place_that_waits(holdfast, account, tmp_path):
    tree = write_files(tmp_path / "t", messages(2, seed=16))
    run(holdfast, account, tree)
    holdfast.sql("UPDATE source_uid SET state = 'pending', placement_uid = NULL, error = 'changed while it was read'"
                 " WHERE uid = 1 AND account_id = (SELECT account_id FROM account_name WHERE name = %s)", account)
    assert len(holdfast.json("failures", account)) == 1
    (tree / "00000.eml").write_bytes(b"Subject: whole\r\n\r\n")
    assert "1 new message;" in run(holdfast, account, tree)
    assert holdfast.json("failures", account) == []
    assert ("INBOX", sha256(b"Subject: whole\r\n\r\n")) in archived(holdfast, account)
    assert "0 new messages; 2 files known" in run(holdfast, account, tree)


def test_an_mbox_that_changed_since_its_messages_were_found_does_not_stop_the_import(holdfast, account, tmp_path):
    tree = write_mbox(tmp_path / "t" / "a.mbox", messages(2, seed=17)).parent
    run(holdfast, account, tree)
    mine = "account_id = (SELECT account_id FROM account_name WHERE name = %s)"
    holdfast.sql("UPDATE source_uid SET state = 'pending', placement_uid = NULL, error = 'changed while it was read'"
                 f" WHERE uid = 1 AND {mine}", account)
    holdfast.sql(f"UPDATE import_span SET size_bytes = size_bytes - 1 WHERE uid = 1 AND {mine}", account)
    write_mbox(tree / "b.mbox", messages(1, seed=18))
    assert "changed since" in run(holdfast, account, tree, status=1)
    assert hashes("b", messages(1, seed=18))[0] in archived(holdfast, account)


# ---- interrupted -------------------------------------------------------------------------------


def children(pid):
    return [int(p) for p in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True,
                                           text=True).stdout.split()]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_import_that_is_killed_again_and_again_ends_with_each_message_once(holdfast, account, tmp_path,
                                                                             seed):
    chance = random.Random(seed)
    octets = messages(2000, seed=seed, size=9000)
    write_mbox(tmp_path / "t" / "box.mbox", octets[:1000])
    write_files(tmp_path / "t" / "files", octets[1000:])
    command = [str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "import", account,
               str(tmp_path / "t")]
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(children(process.pid)) >= 2 or process.poll() is not None, 30, "the worker")
        time.sleep(chance.uniform(0.0, 0.4))  # the random moment itself
        for pid in chance.choice([children(process.pid), [process.pid]]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(60)
        holdfast.sql("UPDATE job SET due_at = now() WHERE kind = 'import'")  # the lease of the dead
    run(holdfast, account, tmp_path / "t")
    assert archived(holdfast, account) == sorted(hashes("box", octets[:1000]) + hashes("files", octets[1000:]))
    assert "0 new messages" in run(holdfast, account, tmp_path / "t")


# ---- there and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mbox", "eml", "maildir"])
def test_what_is_exported_and_imported_again_is_the_same(holdfast, tmp_path, form):
    if "origin" not in [a["name"] for a in holdfast.json("account", "list")]:
        holdfast.run("account", "add", "origin", "--kind", "import")
        write_files(tmp_path / "t" / "a", messages(40, seed=11))
        run(holdfast, "origin", tmp_path / "t")
    holdfast.run("export", "*", "-o", tmp_path / "case.tar.zst", "--account", "origin", "--format", form)
    subprocess.run(["tar", "--zstd", "-xf", tmp_path / "case.tar.zst", "-C", tmp_path], check=True)
    root = next(p for p in tmp_path.rglob("mail") if p.is_dir())
    holdfast.run("account", "add", f"back-{form}", "--kind", "import")
    run(holdfast, f"back-{form}", root)
    assert ({h for _, h in archived(holdfast, f"back-{form}")} ==
            {h for _, h in archived(holdfast, "origin")})


def test_an_import_beside_a_source_goes_below_a_mailbox_of_its_own(holdfast, new_dovecot, tmp_path):
    dovecot = new_dovecot()
    octets = messages(6, seed=12)
    dovecot.deliver("alice", octets[0])
    holdfast.add_account(dovecot, "alice", "--no-test", "--every", "1d", name="bob")
    holdfast.run("sync", "bob")
    run(holdfast, "bob", write_files(tmp_path / "t" / "a", octets[1:]).parent)
    out = run(holdfast, "bob", write_files(tmp_path / "u" / "x", octets[1:]), "--mailbox", "INBOX", status=1)
    assert "choose another with --mailbox" in out
    dovecot.deliver("alice", messages(1, seed=13)[0])
    holdfast.run("sync", "bob")
    assert holdfast.json("reconcile", "bob")["complete"]
    found = facts(holdfast, "bob")
    assert found["Imported/a"]["messages"] == 5 and found["Imported/a"]["unlisted_at"] is None
    assert found["INBOX"]["messages"] == 2


# ---- much of it --------------------------------------------------------------------------------


def worker_peak(pid):
    """VmHWM in kB of the worker that a command has started; 0: it has none."""
    peaks = [0]
    for child in children(pid):
        try:
            status = pathlib.Path(f"/proc/{child}/status").read_text()
        except OSError:
            continue  # it has just ended
        if status.startswith("Name:\tholdfast-ingest") and "VmHWM" in status:
            peaks.append(int(status.split("VmHWM:")[1].split()[0]))
    return max(peaks)


@pytest.mark.slow
def test_a_message_of_a_gibibyte_takes_no_more_memory_than_a_small_one(holdfast, account, tmp_path):
    line = os.urandom(38).hex().encode() + b"\n"
    with (tmp_path / "big").open("wb") as file:
        file.write(b"From a Mon Oct  1 08:00:00 2001\nSubject: big\n\n")
        for _ in range(1024):
            file.write(line * (1024 * 1024 // len(line)))
        file.write(b"\nFrom a Mon Oct  1 08:00:00 2001\nSubject: small\n\nx\n\n")
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "import", account,
                                str(tmp_path / "big")], stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, worker_peak(process.pid))
        time.sleep(0.05)
    (tmp_path / "big").unlink()
    assert process.returncode == 0 and 0 < peak < 64 * 1024
    assert len(archived(holdfast, account)) == 2


@pytest.mark.slow
def test_real_mail_comes_in_octet_for_octet(holdfast, account, tmp_path):
    corpus = mail.CORPUS / "volume-spamassassin.tar.zst"
    if not corpus.exists():
        pytest.skip("no corpus of real mail here")
    unpacked = subprocess.Popen(["zstd", "-dc", "--long=27", str(corpus)], stdout=subprocess.PIPE)
    octets = []
    with tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
        for member in tar:
            if member.isfile() and len(octets) < 500:
                octets.append(tar.extractfile(member).read())
    unpacked.wait()
    octets = [message for message in octets if message]
    write_files(tmp_path / "t" / "real", octets)
    run(holdfast, account, tmp_path / "t")
    assert archived(holdfast, account) == sorted(hashes("real", octets))
