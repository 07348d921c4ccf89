# SPDX-License-Identifier: Apache-2.0
"""Random faults of everything that ingestion rests on: each message archived once, octet for octet.

`make faults RUNS=100 SEED=1`: one run a seed; a failed one is repeated with RUNS=1 SEED=n.
"""
import os
import random
import signal
import time

from harness import exactly_once, mail

MESSAGES = 1200
MAILBOXES = ("INBOX", "Two", "Three")
FAULTS = 12


def kill(holdfast, name):
    for pid in holdfast.pids(name)[:1]:
        os.kill(pid, signal.SIGKILL)


def cut_database_connections(holdfast, dovecot):
    holdfast.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 "WHERE usename LIKE 'holdfast_%' AND pid <> pg_backend_pid()")


def kill_worker(holdfast, dovecot):
    kill(holdfast, "ingest")
    holdfast.sql("UPDATE job SET due_at = now()")


def kill_gate(holdfast, dovecot):
    kill(holdfast, "gate")


def restart_source(holdfast, dovecot):
    dovecot.stop()
    dovecot.start()


def cut_source_connections(holdfast, dovecot):
    dovecot.doveadm("kick", "alice")


def stop_worker_past_its_lease(holdfast, dovecot):
    """Another holder comes in between: the fence must keep the sleeper's work out."""
    pids = holdfast.pids("ingest")[:1]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    holdfast.sql("UPDATE job SET due_at = now()")
    time.sleep(0.3)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


KINDS = (cut_database_connections, kill_worker, kill_gate, restart_source, cut_source_connections,
         stop_worker_past_its_lease)


def test_everything_is_archived_exactly_once(new_dovecot, new_holdfast, seed):
    chance = random.Random(seed)
    dovecot = new_dovecot()
    for i, message in enumerate(mail.generate(MESSAGES, seed=seed, size=9000)):
        dovecot.deliver("alice", message, MAILBOXES[i % 3])
    holdfast = new_holdfast(workers=2).start()
    holdfast.add_account(dovecot, "alice", "--no-test", "--every", "1s")
    for _ in range(FAULTS):
        time.sleep(chance.uniform(0.0, 0.2))  # the random moment itself
        fault = chance.choice(KINDS)
        print(f"seed {seed}: {fault.__name__}")
        fault(holdfast, dovecot)
    exactly_once.wait_until_complete(holdfast, MESSAGES)
    exactly_once.check(dovecot, holdfast, MAILBOXES, MESSAGES)
