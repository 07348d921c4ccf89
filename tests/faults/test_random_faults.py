# SPDX-License-Identifier: Apache-2.0
"""Random faults of everything that ingestion rests on, and changes at the source meanwhile.

What holds after each: every message that is at the source is archived once, octet for octet, with its
flags; what was archived when it was expunged is still there; no UID is unexplained.

`make faults RUNS=100 SEED=1`: one run a seed; a failed one is repeated with RUNS=1 SEED=n.
"""
import collections
import hashlib
import os
import random
import signal
import time

import psycopg2

from harness import exactly_once, mail
from harness.place import children_of, wait_for

MESSAGES = 1200
MAILBOXES = ("INBOX", "Two", "Three")
FAULTS = 16
STALL_SECONDS = 1


class World:
    """The source, the archive, and what must come out."""

    def __init__(self, dovecot, holdfast, chance):
        self.dovecot, self.holdfast, self.chance = dovecot, holdfast, chance
        self.kept_though_expunged = set()  # octets

    def deliver(self, count):
        for octets in mail.generate(count, seed=self.chance.getrandbits(40), size=9000):
            self.dovecot.deliver("alice", octets, self.chance.choice(MAILBOXES),
                                 flags=self.chance.choice(("", "S", "FS")))

    def try_sql(self, statement):
        """Where the database may be down: then it is not done."""
        try:
            return self.holdfast.sql(statement)
        except psycopg2.Error:
            return []

    def end_leases(self):
        """Not of a job that a worker holds within a transaction: it may be one that was stopped."""
        self.try_sql("UPDATE job SET due_at = now() WHERE job_id IN (SELECT job_id FROM job "
                     "FOR UPDATE SKIP LOCKED)")

    def client(self):
        return self.dovecot.client("alice")


# ---- faults ----------------------------------------------------------------------------------------


def kill(holdfast, name):
    signal_all(holdfast.pids(name)[:1], signal.SIGKILL)


def cut_database_connections(world):
    world.try_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                  "WHERE usename LIKE 'holdfast_%' AND pid <> pg_backend_pid()")


def kill_worker(world):
    kill(world.holdfast, "ingest")
    world.end_leases()


def kill_gate(world):
    kill(world.holdfast, "gate")


def kill_keeper(world):
    kill(world.holdfast, "keeper")


def kill_database_backend(world):
    """PostgreSQL then ends all its connections and recovers from its log."""
    pids = [pid for pid, name in children_of(world.holdfast.process.pid).items() if name == "postgres"]
    if len(pids) > 1:
        signal_all([world.chance.choice(sorted(pids)[1:])], signal.SIGKILL)


def kill_database(world):
    path = world.holdfast.data_dir / "postgres" / "postmaster.pid"
    if path.exists():
        signal_all([int(path.read_text().split()[0])], signal.SIGKILL)


def restart_source(world):
    world.dovecot.stop()
    world.dovecot.start()


def cut_source_connections(world):
    world.dovecot.doveadm("kick", "alice")


def stall_source_connections(world):
    """Silent for less than the source's patience, or for more."""
    pids = [pid for pid, name in children_of(world.dovecot.process.pid).items() if name == "imap"]
    signal_all(pids, signal.SIGSTOP)
    time.sleep(world.chance.choice((0.3, STALL_SECONDS * 1.5)))
    signal_all(pids, signal.SIGCONT)


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def stop_worker_past_its_lease(world):
    """Another holder comes in between: the fence must keep the sleeper's work out."""
    pids = world.holdfast.pids("ingest")[:1]
    signal_all(pids, signal.SIGSTOP)
    world.end_leases()
    time.sleep(0.3)
    signal_all(pids, signal.SIGCONT)


# ---- changes at the source --------------------------------------------------------------------------


def deliver_more(world):
    world.deliver(world.chance.randrange(1, 40))


def change_flags(world):
    client = world.client()
    client.select(world.chance.choice(MAILBOXES))
    first = world.chance.randrange(1, 300)
    client.store(f"{first}:{first + 50}", world.chance.choice(("+FLAGS", "-FLAGS")),
                 world.chance.choice((r"(\Flagged)", r"(\Seen)", r"(\Answered $work)")))
    client.logout()


def expunge(world):
    """What the archive has by then must stay in it."""
    client = world.client()
    client.select(world.chance.choice(MAILBOXES))
    first = world.chance.randrange(1, 300)
    _, answer = client.fetch(f"{first}:{first + 20}", "(BODY.PEEK[])")
    octets = {part[1] for part in answer if isinstance(part, tuple)}
    world.kept_though_expunged |= octets & archived_hashes(world, octets)
    client.store(f"{first}:{first + 20}", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()


def archived_hashes(world, octets):
    by_hash = {hashlib.sha256(o).hexdigest(): o for o in octets}
    rows = world.try_sql("SELECT encode(sha256, 'hex') FROM message")
    return {by_hash[h] for h, in rows if h in by_hash}


def change_uidvalidity(world):
    """Dovecot loses its files and numbers the messages of a mailbox anew."""
    folder = world.dovecot.maildir("alice", world.chance.choice(MAILBOXES))
    world.dovecot.stop()
    for path in folder.glob("dovecot-uidlist"):
        path.unlink()
    for path in folder.glob("dovecot.index*"):
        path.unlink()
    time.sleep(1.01)  # the new UIDVALIDITY is the time
    world.dovecot.start()


KINDS = (cut_database_connections, kill_worker, kill_gate, kill_keeper, kill_database_backend,
         kill_database, restart_source, cut_source_connections, stall_source_connections,
         stop_worker_past_its_lease, deliver_more, change_flags, change_flags, expunge, expunge,
         change_uidvalidity)


# ---- what must hold ---------------------------------------------------------------------------------


def is_settled(world):
    """A run that began after the last fault went to its end, and everything is explained."""
    if not world.try_sql("SELECT 1"):
        return False
    world.try_sql("UPDATE source_uid SET next_try_at = NULL WHERE state = 'pending'")
    world.try_sql("UPDATE job SET due_at = now() WHERE lease_owner IS NULL "
                  "OR started_at < now() - interval '30 s'")
    rows = world.try_sql("SELECT outcome FROM job WHERE kind = 'sync' AND lease_owner IS NULL "
                         "AND started_at > (SELECT at FROM last_fault)")
    return rows == [("NONE",)]


def fetch_all(client, mailbox):
    """{octets: flags}, and how often each is there."""
    client.select(mailbox, readonly=True)
    _, answer = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
    found, times = {}, collections.Counter()
    for i, part in enumerate(answer):
        if not isinstance(part, tuple):
            continue
        behind = answer[i + 1] if i + 1 < len(answer) and isinstance(answer[i + 1], bytes) else b""
        text = part[0] + behind
        flags = text[text.index(b"FLAGS (") + 7 :]
        found[part[1]] = set(flags[: flags.index(b")")].split()) - {b"\\Recent"}
        times[part[1]] += 1
    return found, times


def check_mailbox(archive, source, mailbox):
    """What is at the source is archived once with its flags; the rest of the archive is marked gone."""
    there, _ = fetch_all(source, mailbox)
    here, times = fetch_all(archive, f"Accounts/alice/{mailbox}")
    assert set(times.values()) <= {1}, f"{mailbox}: {times.most_common(3)}"
    missing = [octets for octets in there if octets not in here]
    assert not missing, f"{mailbox}: {len(missing)} of {len(there)} are missing"
    for octets, flags in here.items():
        if octets in there:
            assert flags == there[octets], (mailbox, flags, there[octets])
        else:
            assert b"$GoneAtSource" in flags
    return set(here)


def check(world):
    holdfast = world.holdfast
    exactly_once.check_references(holdfast)
    assert holdfast.sql("SELECT count(*) FROM source_uid WHERE state NOT IN ('stored', 'gone')") == [(0,)]
    assert holdfast.sql("SELECT count(*) FROM source_announced") == [(0,)]
    assert holdfast.sql("SELECT count(*) FROM (SELECT FROM source_uid WHERE state = 'stored' GROUP BY "
                        "account_id, mailbox_id, epoch, placement_uid HAVING count(*) > 1) t") == [(0,)]
    assert holdfast.sql("SELECT sum(uidnext - 1) = sum(messages) FROM mailbox") == [(True,)]
    holdfast.add_auditor()
    archive, source = exactly_once.log_in(holdfast), world.client()
    kept = set()
    for mailbox in MAILBOXES:
        kept |= check_mailbox(archive, source, mailbox)
    assert world.kept_though_expunged <= kept
    report = holdfast.json("reconcile")
    assert report["complete"]
    for row in report["accounts"][0]["mailboxes"]:
        assert row["exists"] == row["archived"] and row["unexplained"] == row["pending"] == 0


def test_everything_is_archived_exactly_once(new_dovecot, new_holdfast, seed):
    chance = random.Random(seed)
    dovecot = new_dovecot()
    holdfast = new_holdfast(workers=2, ingest=f"stall = {STALL_SECONDS}s\n").start()
    world = World(dovecot, holdfast, chance)
    world.deliver(MESSAGES)
    holdfast.add_account(dovecot, "alice", "--no-test", "--every", "1s")
    for _ in range(FAULTS):
        time.sleep(chance.uniform(0.0, 0.25))  # the random moment itself
        fault = chance.choice(KINDS)
        print(f"seed {seed}: {fault.__name__}")
        fault(world)
    wait_for(lambda: world.try_sql("CREATE TABLE last_fault AS SELECT now() AS at") or
             world.try_sql("SELECT 1 FROM last_fault"), 60, "the database after the last fault")
    wait_for(lambda: is_settled(world), 240, "a complete run after the last fault")
    check(world)
