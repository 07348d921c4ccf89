# SPDX-License-Identifier: Apache-2.0
"""What each corpus of real mail takes on disk, next to the same mail in Dovecot's mdbox with zstd.

Bare LF becomes CRLF, as on the wire. Of the largest corpus every 8th message is taken, unless WHOLE.
Dovecot's cache holds ENVELOPE and BODYSTRUCTURE, as after a client's first visit.
"""
import re
import subprocess
import tarfile

from harness.dovecot import Dovecot
from harness.mail import CORPUS

from measure import read_through
from peers import MDBOX, import_maildir, open_source
from storage import octets_below, octets_stored

CORPORA = ("volume-spamassassin", "volume-cypherpunks", "volume-usrp-users", "volume-linux-clk",
           "volume-enron-categories", "hard")
EVERY = {"volume-cypherpunks": 8}  # every so manieth message of it
TABLES = 12  # that are listed, the largest first
RELATIONS = """
    SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c
     WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind = 'r' AND c.relname !~ 'spool_'"""
INDEXES = """
    SELECT indexrelname, pg_relation_size(indexrelid), idx_scan FROM pg_stat_user_indexes
     WHERE schemaname = 'holdfast' AND relname !~ 'spool_'"""


def messages_of(name, every):
    unpacked = subprocess.Popen(["zstd", "-dc", "--long=27", str(CORPUS / f"{name}.tar.zst")],
                                stdout=subprocess.PIPE)
    with tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
        number = 0
        for member in tar:
            if member.isfile() and member.name.endswith(".eml"):
                if number % every == 0:
                    yield re.sub(rb"(?<!\r)\n", b"\r\n", tar.extractfile(member).read())
                number += 1
    assert unpacked.wait() == 0


def grown(before, after):
    """Columns of figures less those of the same name before."""
    old = {name: figures for name, *figures in before}
    return sorted(((name, *(now - was for now, was in zip(figures, old.get(name, [0] * len(figures)))))
                   for name, *figures in after), key=lambda row: -sum(row[1:3]))


def store_corpus(name, every, source, packed, holdfast):
    """(messages, raw octets, packs, text segments, rows, octets in mdbox) of one corpus."""
    count = raw = 0
    for message in messages_of(name, every):
        source.deliver(name, message, flags="S")
        count += 1
        raw += len(message)
    import_maildir(source, packed, name)
    wire, _ = open_source(packed, name)
    read_through(wire, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
    wire.close()
    before = octets_stored(holdfast)
    holdfast.add_account(source, name, "--no-test", "--every", "24h")
    holdfast.run("sync", name, timeout=3600)
    after = octets_stored(holdfast)
    stored = holdfast.json("account", "show", name)["messages"]
    assert stored == count, f"{stored} of {count} messages of {name} ingested"
    mdbox = octets_below(packed.dir / "home" / name / "mdbox")
    return count, raw, *(now - was for now, was in zip(after, before)), mdbox


def bench(peers, _rounds):
    folder, holdfast = peers.folder / "corpora", peers.holdfast
    folder.mkdir()
    present = [name for name in CORPORA if (CORPUS / f"{name}.tar.zst").exists()]
    source = Dovecot(folder / "source", users=present).start()
    packed = Dovecot(folder / "packed", users=present, location="mdbox:~/mdbox", extra=MDBOX).start()
    before = holdfast.sql(RELATIONS)
    total = 0
    try:
        print(f"\nStored, MB (ratio: of Dovecot's; under 1 we need less)\n"
              f"  {'corpus':24} {'messages':>8} {'mean KB':>8} {'raw':>8} {'packs':>8} {'texts':>8} "
              f"{'rows':>8} {'mdbox':>8} {'packs':>6} {'all':>6}")
        for name in CORPORA:
            if name not in present:
                print(f"  SKIP {name}: not in {CORPUS}")
                continue
            every = 1 if peers.whole else EVERY.get(name, 1)
            count, raw, packs, texts, rows, mdbox = store_corpus(name, every, source, packed, holdfast)
            total += count
            print(f"  {name:24} {count:8} {raw / count / 1e3:8.1f}"
                  + "".join(f" {octets / 1e6:8.2f}" for octets in (raw, packs, texts, rows, mdbox))
                  + f" {packs / mdbox:6.2f} {(packs + texts + rows) / mdbox:6.2f}"
                  + (f"   every {every}th" if every > 1 else ""), flush=True)
        print_rows(holdfast, before, total)
    finally:
        packed.stop()
        source.stop()


def print_rows(holdfast, before, messages):
    """Where the octets of the rows are: what the corpora together added."""
    print(f"\nRows of {messages} messages, octets a message: table with TOAST, its indexes")
    for name, table, indexes in grown(before, holdfast.sql(RELATIONS))[:TABLES]:
        print(f"  {name:32} {table / messages:8.1f} {indexes / messages:8.1f}")
    print("Largest indexes: octets a message, scans so far")
    for name, octets, scans in sorted(holdfast.sql(INDEXES), key=lambda row: -row[1])[:TABLES]:
        print(f"  {name:40} {octets / messages:8.1f} {scans:8}")
