# SPDX-License-Identifier: Apache-2.0
"""What the mail takes on disk once it is sealed, and reading it from packs."""
import reading
from measure import read_through


def octets_below(folder, pattern="*"):
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def octets_stored(holdfast):
    """Sealed mail in octets: (packs, text segments, rows with their indexes)."""
    holdfast.run("seal", timeout=3600)
    waiting = holdfast.sql("SELECT count(*) FROM frame WHERE pack_id IS NULL")[0][0]
    assert waiting == 0, f"{waiting} frames are not in packs"
    folder = holdfast.data_dir / "packs"
    packs = octets_below(folder, "*.tar.zst")
    rows = holdfast.sql("""
        SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
         WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind = 'r'
           AND c.relname !~ 'spool_'""")[0][0]  # whose octets are in packs now; dropped by week
    return packs, octets_below(folder) - packs, rows


def bench(peers, rounds):
    packs, texts, rows = octets_stored(peers.holdfast)
    name, _, connect = peers.readers()[0]
    wire, _ = connect()
    raw = read_through(wire, "FETCH 1:* (RFC822.SIZE BODY.PEEK[])")
    wire.close()
    mdbox = sum(octets_below(path) for path in peers.packed.dir.rglob("mdbox") if path.is_dir())
    print(f"\nStored, of {raw / 1e6:.1f} MB raw")
    for title, octets in (("packs alone", packs),
                          ("packs, text segments, rows, indexes", packs + texts + rows),
                          ("Dovecot, mdbox + zstd", mdbox)):
        print(f"  {title:42} {octets / 1e6:9.2f} MB   {raw / max(octets, 1):6.2f} x")
    print("\nFrom sealed packs:", end="")
    reading.bench(peers, rounds, ("FETCH 1:* (BODY.PEEK[])",))
