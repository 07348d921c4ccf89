# SPDX-License-Identifier: Apache-2.0
"""What Dovecot returns and what Holdfast returns for the same message is the same, octet for octet.

The strongest test here: real mail goes into a real Dovecot, is ingested over TLS, and the same FETCH
is sent to both. No difference is allowed but those of DESIGN section 5: \\Deleted is shown as
$SourceDeleted, and \\Recent is nobody's business in an archive.
"""
import hashlib
import re
import ssl

import pytest

from harness import fetch, mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.wire import Wire, literals
from test_mime_differential import ALLOWED, WHOLE, Dump, fetch_all, sections_of, tell

SAMPLES = [("volume-cypherpunks", 400), ("volume-usrp-users", 150), ("volume-linux-clk", 300),
           ("volume-enron-categories", 300)]
FLAG_LETTERS = ("", "S", "RS", "F", "DS", "T", "FRS", "")
PIECES = ("BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
          "BODY.PEEK[HEADER.FIELDS (From Subject Received X-None)]",
          "BODY.PEEK[HEADER.FIELDS.NOT (Received To)]",
          "BODY.PEEK[]<0.100>", "BODY.PEEK[]<70.3000>", "BODY.PEEK[]<999999999.10>",
          "BODY.PEEK[HEADER]<10.50>", "BODY.PEEK[TEXT]<3.77>",
          "RFC822.HEADER")


class Both:
    """A Dovecot with mailboxes of mail, and the archive of it."""

    def __init__(self, place, mailboxes):
        self.dovecot = Dovecot(place).start()
        for mailbox, messages in mailboxes.items():
            for i, (_, octets) in enumerate(messages):
                self.dovecot.deliver("alice", octets, mailbox, FLAG_LETTERS[i % len(FLAG_LETTERS)])
        folder = place / "holdfast"
        folder.mkdir()
        folder.chmod(0o755)
        self.holdfast = Holdfast(folder).start()
        self.holdfast.add_account(self.dovecot, "alice")
        self.synced = self.holdfast.run("sync", "alice", timeout=900)
        self.holdfast.add_auditor()

    def source(self, mailbox):
        wire = Wire("localhost", self.dovecot.tls_port,
                    ssl.create_default_context(cafile=str(self.dovecot.ca)))
        wire.command("LOGIN alice pw-alice")
        tagged, _ = wire.command(f'EXAMINE "{mailbox}"')
        assert b" OK " in tagged, tagged
        return wire

    def archive(self, mailbox):
        wire = Wire("localhost", self.holdfast.tls_port, self.holdfast.tls_context())
        wire.command("LOGIN auditor audit-password")
        tagged, _ = wire.command(f'EXAMINE "Accounts/alice/{mailbox}"')
        assert b" OK [READ-ONLY]" in tagged, tagged
        return wire

    def close(self):
        self.holdfast.stop()
        self.dovecot.stop()


def start_both(place, mailboxes):
    both = Both(place, mailboxes)
    return both


def metadata(wire):
    """{INTERNALDATE: (sequence number, size, flags)}; the harness gives each message its own date,
    and the two allowed differences are removed. Sequence numbers may differ: a server may answer
    pipelined commands in any order, and the archive numbers messages as they arrive."""
    tagged, responses = wire.command("FETCH 1:* (RFC822.SIZE INTERNALDATE FLAGS)")
    assert b" OK " in tagged, tagged
    found = {}
    for unit in responses:
        fetch = re.match(rb"\* (\d+) FETCH \((.*)\)\r\n$", unit)
        if not fetch:
            continue
        flags = set(re.search(rb"FLAGS \(([^)]*)\)", fetch[2])[1].split()) - {b"\\Recent"}
        flags = {b"$SourceDeleted" if f == b"\\Deleted" else f for f in flags}
        date = re.search(rb'INTERNALDATE ("[^"]*")', fetch[2])[1]
        assert date not in found
        found[date] = (int(fetch[1]), int(re.search(rb"RFC822\.SIZE (\d+)", fetch[2])[1]), flags)
    return found


def fetched(wire, sequence, item):
    """{sequence number: (the item's name as answered, hash of its octets)} for one FETCH item."""
    tagged, responses = wire.command(f"FETCH {sequence} ({item})")
    assert b" OK " in tagged, (item, tagged)
    found = {}
    for unit in responses:
        fetch = re.match(rb"\* (\d+) FETCH \((.*?) (\{\d+\}\r\n|\"|NIL)", unit, re.DOTALL)
        if not fetch:
            continue
        octets = literals(unit)
        if not octets:
            octets = [re.search(rb'"((?:[^"\\]|\\.)*)"\)', unit)[1]] if fetch[3] == b'"' else [b""]
        found[int(fetch[1])] = (fetch[2].upper(), len(octets[0]), hashlib.sha256(octets[0]).digest())
    return found


def all_fetched(wire, dates, item):
    """{INTERNALDATE: what fetched() tells} of the first messages, by their place at the source."""
    by_number = {number: date for date, (number, _, _) in dates.items()}
    numbers, found = sorted(by_number), {}
    for first in range(0, len(numbers), 100):
        sequence = ",".join(map(str, numbers[first : first + 100]))
        for number, value in fetched(wire, sequence, item).items():
            found[by_number[number]] = value
    return found


def contradicts_itself(source, number, item, mine):
    """True where Dovecot's partial is no part of its own BODY[], and ours is (seen with bare CR)."""
    partial = re.fullmatch(r"BODY\.PEEK\[\]<(\d+)\.(\d+)>", item)
    if not partial:
        return False
    start, length = int(partial[1]), int(partial[2])
    _, responses = source.command(f"FETCH {number} (BODY.PEEK[])")
    right = next(literals(unit)[0] for unit in responses if literals(unit))[start : start + length]
    return mine[1:] == (len(right), hashlib.sha256(right).digest())


def compare(both, mailbox, pieces=PIECES, pieces_of=None):
    """pieces_of: compares the pieces of so many messages only; whole messages always."""
    source, archive = both.source(mailbox), both.archive(mailbox)
    try:
        want, got = metadata(source), metadata(archive)
        assert {d: v[1:] for d, v in got.items()} == {d: v[1:] for d, v in want.items()}
        some = dict(sorted(want.items(), key=lambda row: row[1][0])[:pieces_of])
        for item in ("BODY.PEEK[]", *pieces):
            dates = want if item == "BODY.PEEK[]" else some
            theirs = all_fetched(source, dates, item)
            mine = all_fetched(archive, {d: got[d] for d in dates}, item)
            mine = {d: mine[d] for d in dates}
            differences = [(want[d][0], item) for d in dates if mine[d] != theirs[d]
                           and not contradicts_itself(source, want[d][0], item, mine[d])]
            assert not differences, f"{len(differences)} differences: {differences[:20]}"
        return len(want)
    finally:
        source.close()
        archive.close()


FIELDS = "HEADER.FIELDS (FROM SUBJECT CONTENT-TYPE X-NONE)"
RANGES = ((0, 10), (5, 1000), (100000000, 10))


def more_sections(sections):
    """Chosen fields of every header within, and ranges of the first few sections."""
    more = [name.replace("HEADER", FIELDS) for name in sections if name.endswith(".HEADER")]
    more += [name.replace("HEADER", FIELDS.replace("FIELDS", "FIELDS.NOT"))
             for name in sections if name.endswith(".HEADER")]
    return more[:20]


def ranges_of(wire, number, names):
    asked = [(name, start, size) for name in names for start, size in RANGES]
    if not asked:
        return {}
    answer = fetch_all(wire, number, [f"BODY.PEEK[{n}]<{a}.{b}>" for n, a, b in asked])[number]
    return {(n, a): fetch.string(answer[f"BODY[{n}]<{a}>"]) for n, a, _ in asked}


def is_line_end_of_cut_header(name, ours, theirs, want):
    """lib/mime/README.md, "Differences from Dovecot", 7: fields chosen from the header of a message
    within that has no empty line."""
    part, _, fields = name.partition(".HEADER.FIELDS")
    return fields and not re.search(rb"(^|\n)\r?\n\Z", want[part + ".HEADER"] or b"")


def part_differences(source, archive, theirs, mine, octets, dump):
    """[(section, ours, theirs)] of one message: every section that its structure names, and more."""
    names = list(dump.parse(octets)[1])
    names += more_sections(names)
    want, got = sections_of(source, theirs, names), sections_of(archive, mine, names)
    found = [(n, got[n], want[n]) for n in names if (got[n] or b"") != (want[n] or b"")
             and not is_line_end_of_cut_header(n, got[n] or b"", want[n] or b"", want)]
    few = [n for n in names if n and want[n] and want[n] == got[n]][:6]
    want, got = ranges_of(source, theirs, few), ranges_of(archive, mine, few)
    return found + [(n, got[n], want[n]) for n in want if got[n] != want[n]]


def compare_structure(both, mailbox, count=None, parts=None):
    """ENVELOPE, BODY and BODYSTRUCTURE of the first `count` messages, all sections of `parts` of
    them. What may differ stands in lib/mime/README.md, and in ALLOWED."""
    source, archive = both.source(mailbox), both.archive(mailbox)
    dump = Dump(65536)
    found = {}
    try:
        want, got = metadata(source), metadata(archive)
        dates = sorted(want, key=lambda d: want[d][0])[:count]
        parts = len(dates) if parts is None else parts
        for at in range(0, len(dates), 20):
            some = dates[at : at + 20]
            theirs = fetch_all(source, ",".join(str(want[d][0]) for d in some),
                               WHOLE + ("BODY.PEEK[]",))
            mine = fetch_all(archive, ",".join(str(got[d][0]) for d in some), WHOLE)
            for i, date in enumerate(some):
                a, b = theirs[want[date][0]], mine[got[date][0]]
                differences = [(name, b[name], a[name]) for name in WHOLE if a[name] != b[name]]
                differences = [d for d in differences if not any(rule(*d) for rule in ALLOWED)]
                if at + i < parts:
                    differences += part_differences(source, archive, want[date][0], got[date][0],
                                                    fetch.string(a["BODY[]"]), dump)
                if differences:
                    found[f"{mailbox} {want[date][0]}"] = differences
        assert not found, tell(found, dates)
        return len(dates)
    finally:
        dump.close()
        source.close()
        archive.close()


@pytest.fixture(scope="module")
def both(module_place):
    mailboxes = {"Spamassassin": mail.corpus("volume-spamassassin"), "Hard": mail.corpus("hard")}
    for name, sample in SAMPLES:
        mailboxes[name] = mail.corpus(name, sample)
    made = start_both(module_place, mailboxes)
    yield made
    made.close()


def test_all_of_spamassassin_is_equal(both):
    assert compare(both, "Spamassassin", pieces_of=1000) > 6000


def test_all_of_the_difficult_mail_is_equal_in_every_piece(both):
    assert compare(both, "Hard") > 1900


@pytest.mark.parametrize("name", [name for name, _ in SAMPLES])
def test_samples_of_the_rest_are_equal(both, name):
    assert compare(both, name, pieces_of=200) >= 100


def test_generated_mail_is_equal_without_any_corpus(place):
    made = start_both(place, {"INBOX": [("", m) for m in mail.generate(60)],
                              "Odd": [("", b"no header at all"), ("", b""), ("", b"\r\n"),
                                      ("", b"A: b"), ("", b"A: b\n\nx\0y\n"), ("", b"\n\nbody"),
                                      ("", b"Subject: a\n b\n\tc\nsubject: d\n\nlast line no end")]})
    try:
        assert compare(made, "INBOX") == 60
        assert compare(made, "Odd") == 7
    finally:
        made.close()


def test_structure_and_parts_of_the_difficult_mail_are_equal(both):
    assert compare_structure(both, "Hard") > 1900


@pytest.mark.parametrize("name,count", [("Spamassassin", 1500)] + SAMPLES)
def test_structure_and_parts_of_samples_of_the_rest_are_equal(both, name, count):
    assert compare_structure(both, name, count, parts=100) >= 100


def test_every_message_was_parsed_when_it_was_stored(both):
    missing, = both.holdfast.sql("SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT FROM "
                                 "message_index i WHERE (i.account_id, i.message_id) = "
                                 "(m.account_id, m.message_id) AND i.envelope IS NOT NULL "
                                 "AND i.bodystructure IS NOT NULL AND i.structure IS NOT NULL)")[0]
    assert missing == 0


def test_generated_and_odd_mail_has_the_structure_of_the_source_also_without_its_rows(place):
    odd = [b"no header at all", b"", b"\r\n", b"A: b", b"A: b\n\nx\n", b"\n\nbody",
           b"Subject: a\n b\n\tc\nsubject: d\n\nlast line no end"]
    made = start_both(place, {"INBOX": [("", m) for m in mail.generate(40)] + [("", m) for m in odd]})
    try:
        assert compare_structure(made, "INBOX") == 40 + len(odd)
        made.holdfast.sql("UPDATE message_index SET parser_version = 0, envelope = 'x', structure = 'x'")
        assert compare_structure(made, "INBOX") == 40 + len(odd)
        made.holdfast.sql("DELETE FROM message_index")
        assert compare_structure(made, "INBOX") == 40 + len(odd)
    finally:
        made.close()


def test_corpus_messages_are_stored_once_however_often_they_are_placed(both):
    messages, placements = both.holdfast.sql("SELECT (SELECT count(*) FROM message), "
                                             "(SELECT count(*) FROM placement)")[0]
    distinct, = both.holdfast.sql("SELECT count(DISTINCT message_id) FROM placement")[0]
    assert messages == distinct
    assert placements > messages  # the corpora hold exact duplicates


def test_spooled_frames_and_an_end_of_archive_are_a_tarball(both, module_place):
    import subprocess
    import tarfile
    rows = both.holdfast.sql("SELECT s.octets FROM frame f JOIN spool s USING (account_id, frame_id) "
                             "ORDER BY f.run_id, f.ordinal")
    end = subprocess.run(["zstd", "-c"], input=bytes(1024), capture_output=True, check=True).stdout
    path = module_place / "frames.tar.zst"
    path.write_bytes(b"".join(bytes(octets) for octets, in rows) + end)
    checked = subprocess.run(["zstd", "-t", "-q", str(path)], capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr
    folder = module_place / "unpacked"
    folder.mkdir()
    unpacked = subprocess.run(["tar", "--zstd", "-xf", str(path), "-C", str(folder)],
                              capture_output=True, text=True)
    assert unpacked.returncode == 0 and not unpacked.stderr, unpacked.stderr
    files = list(folder.iterdir())
    assert len(files) == both.holdfast.sql("SELECT count(*) FROM message")[0][0]
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() + ".eml" == file.name
    with tarfile.open(fileobj=subprocess.Popen(["zstd", "-dc", str(path)],
                                               stdout=subprocess.PIPE).stdout, mode="r|") as tar:
        member = tar.next()
        assert (member.mode, member.uid, member.gid, member.mtime) == (0o444, 0, 0, 0)
