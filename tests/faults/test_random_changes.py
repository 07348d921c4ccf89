# SPDX-License-Identifier: Apache-2.0
"""Whatever happens at the source between runs, and to the archive: mailboxes renamed, swapped, deleted, made anew,
renumbered; messages copied, moved, delivered twice, flagged, expunged; packs sealed, the database made again from
them, every octet asked for again. Nothing fails here but the memory of those who changed it.

What holds after each run: the source's messages, copy for copy with dates and flags, are what the archive shows as
there; whatever was archived once is archived; every UID is explained; and what packs tell is what the database knew.

`make faults RUNS=100 SEED=1 K=changes`: one run a seed; a failed one is repeated with RUNS=1 SEED=n.
"""
import calendar
import collections
import hashlib
import imaplib
import os
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import exactly_once, mail
from harness.cyrus import Cyrus
from harness.dovecot import Dovecot

STEPS = 10
FLAGS = (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Deleted", b"\\Draft")
MANY = "IMAP4rev1 LITERAL+ ENABLE IDLE UIDPLUS NAMESPACE UNSELECT MOVE LIST-EXTENDED LIST-STATUS"
CAPABILITIES = (None, None, f"{MANY} CONDSTORE", MANY, "IMAP4rev1 MOVE UIDPLUS")


class World:
    """server: a Dovecot, whose files may be touched, or another one, which is only spoken to."""

    def __init__(self, server, holdfast, chance):
        self.server, self.holdfast, self.chance = server, holdfast, chance
        self.is_dovecot = isinstance(server, Dovecot)
        self.names = 0
        self.known = {}   # (mailbox_id, uid): hash, of all that was ever archived
        self.sealed = {}  # the same, of what is in packs

    def source(self):
        return self.server.client("alice")

    def mailboxes(self, client):
        _, rows = client.list()
        between = f' "{self.server.separator}" '.encode()
        return sorted(row.split(between)[1].strip(b'"').decode() for row in rows)

    def path(self, name):
        """What the archive calls the mailbox."""
        return name.replace(self.server.separator, "/")

    def deliver(self, client, octets, name, at=None):
        flags = self.chance.choice(("", r"\Seen", r"\Flagged \Seen"))
        at = at if at is not None else 1_000_000_000 + self.chance.randrange(10_000_000)
        status, why = client.append(name, f"({flags})", imaplib.Time2Internaldate(at), octets)
        assert status == "OK", why

    def others(self, client):
        return [name for name in self.mailboxes(client) if name != "INBOX"]

    def new_name(self):
        self.names += 1
        return f"{self.server.prefix}Box{self.names}"

    def choose_range(self, client, name):
        """A selected mailbox and a range of its messages; None when it is empty."""
        _, (count,) = client.select(name)
        if int(count) == 0:
            return None
        first = self.chance.randrange(1, int(count) + 1)
        return f"{first}:{min(first + self.chance.randrange(0, 12), int(count))}"

    def sql(self, query):
        return self.holdfast.sql(query)


# ---- at the source ---------------------------------------------------------------------------------


def deliver(world, client):
    name = world.chance.choice(world.mailboxes(client))
    for octets in mail.generate(world.chance.randrange(1, 25), seed=world.chance.getrandbits(40), size=300):
        world.deliver(client, octets, name)


def deliver_twice(world, client):
    name = world.chance.choice(world.mailboxes(client))
    octets = next(mail.generate(1, seed=world.chance.getrandbits(40), size=300))
    for at in world.chance.choice(((None, None), (1_100_000_000,) * 3)):
        world.deliver(client, octets, name, at)


def change_flags(world, client):
    span = world.choose_range(client, world.chance.choice(world.mailboxes(client)))
    if span:
        client.store(span, world.chance.choice(("+FLAGS", "-FLAGS", "FLAGS")),
                     world.chance.choice((r"(\Flagged)", r"(\Seen)", r"(\Answered $work)", "(zahlung)")))


def expunge(world, client):
    span = world.choose_range(client, world.chance.choice(world.mailboxes(client)))
    if span:
        client.store(span, "+FLAGS", r"(\Deleted)")
        client.expunge()


def copy(world, client):
    names = world.mailboxes(client)
    span = world.choose_range(client, world.chance.choice(names))
    if span:
        client.copy(span, world.chance.choice(names))


def move(world, client):
    names = world.mailboxes(client)
    span = world.choose_range(client, world.chance.choice(names))
    if span:
        client.xatom("MOVE", span, world.chance.choice(names))


def rename(world, client):
    if world.others(client):
        client.rename(world.chance.choice(world.others(client)), world.new_name())


def swap_names(world, client):
    if len(world.others(client)) >= 2:
        one, two = world.chance.sample(world.others(client), 2)
        aside = f"{world.server.prefix}Aside"
        for old, new in ((one, aside), (two, one), (aside, two)):
            client.rename(old, new)


def delete(world, client):
    if world.others(client):
        client.delete(world.chance.choice(world.others(client)))


def create(world, client):
    client.create(world.new_name())


def make_anew(world, client):
    """Under its old name, with some of what it had."""
    if not world.others(client):
        return
    name = world.chance.choice(world.others(client))
    if world.choose_range(client, name) is None:
        return
    _, answer = client.fetch("1:*", "(INTERNALDATE BODY.PEEK[])")
    kept = [part for part in answer if isinstance(part, tuple) and world.chance.random() < 0.8]
    client.unselect() if "UNSELECT" in client.capabilities else client.close()
    client.delete(name)
    client.create(name)
    for head, octets in kept:
        date = re.search(rb'INTERNALDATE ("[^"]*")', head)[1].decode()
        client.append(name, None, date, octets)


def renumber(world, client):
    """Dovecot loses its files and numbers the messages of a mailbox anew."""
    if not world.is_dovecot:
        return
    folder = world.server.maildir("alice", world.chance.choice(world.mailboxes(client)))
    world.server.stop()
    for pattern in ("dovecot-uidlist", "dovecot.index*"):
        for path in folder.glob(pattern):
            path.unlink()
    time.sleep(1.01)  # the new UIDVALIDITY is the time
    world.server.start()


CHANGES = (deliver, deliver, deliver_twice, change_flags, change_flags, expunge, copy, move, rename, swap_names,
           delete, create, make_anew, renumber)


def change(world):
    for kind in world.chance.choices(CHANGES, k=world.chance.randrange(0, 4)):
        print(f"  {kind.__name__}")
        client = world.source()
        kind(world, client)
        try:
            client.logout()
        except (imaplib.IMAP4.error, OSError):
            pass  # the source was stopped meanwhile


# ---- to the archive --------------------------------------------------------------------------------


def sync(world):
    world.holdfast.run("sync")
    check(world)


def reconcile(world, *options):
    report = world.holdfast.json("reconcile", *options)
    assert report["complete"]
    rows = report["accounts"][0]["mailboxes"]
    for row in rows:
        assert row["exists"] == row["archived"] and row["unexplained"] == row["pending"] == 0, row
    check(world)
    return rows


def reconcile_octets(world):
    assert all(row["recognised"] == 0 for row in reconcile(world, "--octets"))


def seal(world):
    world.sealed = placed(world)
    world.holdfast.run("seal")


def begin_sync(world):
    """A run, at some moment of which something else happens."""
    running = subprocess.Popen([str(world.holdfast.bin / "holdfast"), "-c", str(world.holdfast.conf), "sync"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(world.chance.uniform(0, 0.5))  # the random moment itself
    return running


def kill_meanwhile(world):
    """The worker's successor gives its job back at once, the first time in a row."""
    running = begin_sync(world)
    for pid in world.holdfast.pids("ingest"):
        os.kill(pid, signal.SIGKILL)
    running.wait(timeout=180)
    sync(world)


def seal_meanwhile(world):
    running = begin_sync(world)
    seal(world)
    assert running.wait(timeout=120) == 0
    check(world)


def make_again(world):
    world.holdfast.stop()
    shutil.rmtree(world.holdfast.data_dir / "postgres")
    done = world.holdfast.run("rebuild", check=False)
    assert "LOST pack" not in done.stdout, done.stdout
    world.holdfast.start()


def lose_what_was_not_sealed(world):
    """What came since the last seal comes again, under other UIDs, if the source still has it."""
    if not world.sealed:
        return
    make_again(world)
    now = placed(world)
    assert world.sealed.items() <= now.items()
    world.known = world.sealed
    world.holdfast.run("account", "resume", "alice")
    sync(world)


def rebuild(world):
    """From packs that tell all there is. Paused, so that no run begins behind it."""
    world.holdfast.run("account", "pause", "alice")
    seal(world)
    before = told(world)
    make_again(world)
    after = told(world)
    for query, rows in before.items():
        assert after[query] == rows, (query, set(map(str, rows)) ^ set(map(str, after[query])))
    world.holdfast.run("account", "resume", "alice")


WORK = (sync, sync, sync, reconcile, reconcile_octets, seal, seal_meanwhile, kill_meanwhile, rebuild,
        lose_what_was_not_sealed)

TOLD = (
    "SELECT u.mailbox_id, epoch, u.uid, state, placement_uid, doubt, substitute_uid, attempts, error,"
    " recognised_by, closed_at IS NULL AND u.gone_at IS NOT NULL AND state = 'stored'"
    " FROM source_uid u JOIN source_epoch USING (account_id, mailbox_id, epoch) ORDER BY 1, 2, 3",
    "SELECT p.mailbox_id, p.uid, m.sha256::text, p.internal_at, p.flags, p.modseq, p.appeared_modseq, p.gone_at,"
    " ARRAY(SELECT k.name FROM mailbox_keyword k WHERE k.account_id = p.account_id AND k.mailbox_id = p.mailbox_id"
    " AND k.number < 8 * length(p.keywords) AND get_bit(p.keywords, k.number) = 1 ORDER BY 1)"
    " FROM placement p JOIN message m USING (account_id, message_id) ORDER BY 1, 2",
    "SELECT mailbox_id, epoch, uidvalidity, messages, closed_at, recognises, refuted_at FROM source_epoch"
    " ORDER BY 1, 2",
    "SELECT mailbox_id, path, uidvalidity, gone_at, messages, unseen, deleted, octets FROM mailbox ORDER BY 1",
    "SELECT mailbox_id, uid, modseq, flags, is_gone FROM flag_event ORDER BY 1, 2, 3",
)


def told(world):
    return {query: world.sql(query) for query in TOLD}


def placed(world):
    return {(mailbox, uid): sha256 for mailbox, uid, sha256 in world.sql(
        "SELECT p.mailbox_id, p.uid, m.sha256::text FROM placement p JOIN message m USING (account_id, message_id)")}


# ---- what must hold --------------------------------------------------------------------------------


def at_source(client, name):
    _, (count,) = client.select(name, readonly=True)
    found = collections.Counter()
    if int(count) == 0:
        return found
    _, answer = client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    for i, part in enumerate(answer):
        if not isinstance(part, tuple):
            continue
        behind = answer[i + 1] if i + 1 < len(answer) and isinstance(answer[i + 1], bytes) else b""
        text = part[0] + behind
        flags = re.search(rb"FLAGS \(([^)]*)\)", text)[1].split()
        at = calendar.timegm(time.gmtime(time.mktime(imaplib.Internaldate2tuple(text))))
        found[hashlib.sha256(part[1]).hexdigest(), at, frozenset(f for f in flags if f != b"\\Recent")] += 1
    return found


def in_archive(world, name):
    """What it shows as there."""
    found = collections.Counter()
    for sha256, at, flags, keywords in world.sql(
            "SELECT encode(m.sha256, 'hex'), extract(epoch FROM p.internal_at)::bigint, p.flags,"
            " ARRAY(SELECT k.name FROM mailbox_keyword k WHERE k.account_id = p.account_id"
            " AND k.mailbox_id = p.mailbox_id AND k.number < 8 * length(p.keywords)"
            " AND get_bit(p.keywords, k.number) = 1) FROM placement p JOIN message m USING (account_id, message_id)"
            f" JOIN mailbox b USING (account_id, mailbox_id) WHERE b.path = '{name}' AND b.gone_at IS NULL"
            " AND p.gone_at IS NULL"):
        system = {flag for bit, flag in enumerate(FLAGS) if flags >> bit & 1}
        found[sha256, at, frozenset(system | {k.encode() for k in keywords})] += 1
    return found


def check(world):
    exactly_once.check_references(world.holdfast)
    client = world.source()
    names = world.mailboxes(client)
    for name in names:
        there, here = at_source(client, name), in_archive(world, world.path(name))
        assert there == here, (name, there - here, here - there)
    client.logout()
    listed = {path for (path,) in world.sql("SELECT path FROM mailbox WHERE gone_at IS NULL")}
    assert listed == set(map(world.path, names))
    now = placed(world)
    assert world.known.items() <= now.items()
    world.known = now
    assert world.sql("SELECT count(*) FROM mailbox b WHERE messages <> (SELECT count(*) FROM placement p WHERE "
                     "p.account_id = b.account_id AND p.mailbox_id = b.mailbox_id)") == [(0,)]
    assert world.sql("SELECT count(*) FROM (SELECT FROM source_uid WHERE state = 'stored' GROUP BY account_id, "
                     "mailbox_id, epoch, placement_uid HAVING count(*) > 1) t") == [(0,)]


def run(server, holdfast, chance):
    world = World(server, holdfast, chance)
    client = world.source()
    for name in ("One", "Two"):
        client.create(server.prefix + name)
    for _ in range(6):
        deliver(world, client)
    client.logout()
    holdfast.add_account(server, "alice", "--no-test", "--every", "1d")
    sync(world)
    for _ in range(STEPS):
        change(world)
        work = chance.choice(WORK)
        print(work.__name__)
        work(world)
    reconcile(world)


def test_the_archive_shows_what_the_source_has(new_dovecot, new_holdfast, seed):
    chance = random.Random(seed)
    capabilities = chance.choice(CAPABILITIES)
    print(f"seed {seed}: {capabilities}")
    run(new_dovecot(extra=f"imap_capability = {capabilities}" if capabilities else ""), new_holdfast().start(),
        chance)


@pytest.mark.slow
def test_mailboxes_and_messages_that_have_ids_are_followed(place, new_holdfast, seed):
    """MAILBOXID and EMAILID (RFC 8474), which Dovecot 2.3 has not."""
    server = Cyrus(place).start()
    try:
        run(server, new_holdfast().start(), random.Random(seed))
    finally:
        server.stop()
