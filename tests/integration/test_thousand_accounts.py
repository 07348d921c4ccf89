# SPDX-License-Identifier: Apache-2.0
"""1,000 accounts on one Dovecot, 4 workers: all ingested; what a cycle costs that finds nothing new; and what
a worker that is killed in the middle of one delays."""
import concurrent.futures
import os
import re
import signal
import time

import pytest

from harness import mail
from harness.dovecot import Dovecot
from harness.holdfast import Holdfast
from harness.place import wait_for
from harness.usage import cpu_seconds

ACCOUNTS = 1000
MESSAGES = 6       # of each account, in three mailboxes
TRACED = 5         # accounts whose commands Dovecot writes down
LEASE_SECONDS = 60
MAILBOXES = ("INBOX", "Sent", "Projects")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dovecot(module_place):
    users = [f"user{n:04d}" for n in range(ACCOUNTS)]
    made = Dovecot(module_place, users=users, extra=f"rawlog_dir = {module_place}/rawlog/%u\n")
    for user in users[:TRACED]:
        folder = module_place / "rawlog" / user
        folder.mkdir(parents=True)
        for path in (folder, folder.parent):
            os.chown(path, made.uid, made.gid)
    for user in users:
        for n, octets in enumerate(mail.generate(MESSAGES, seed=hash(user) % 10**6, size=3000)):
            made.deliver(user, octets, MAILBOXES[n % 3])
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def holdfast(module_place, dovecot):
    folder = module_place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    made = Holdfast(folder, workers=4).start()
    before = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda user: made.add_account(dovecot, user, "--no-test", "--every", "1d"),
                      dovecot.users))
    print(f"{ACCOUNTS} accounts added in {time.monotonic() - before:.1f} s")
    yield made
    made.stop()


def wait_finished(holdfast, moment, count):
    """Looks rarely: a look costs as much as two accounts."""
    deadline = time.monotonic() + 300
    while holdfast.sql("SELECT count(*) FROM job WHERE outcome = 'NONE' AND finished_at > %s",
                       moment)[0][0] < count:
        assert time.monotonic() < deadline, "the cycle does not end"
        time.sleep(0.5)


def start_cycle(holdfast):
    return holdfast.sql("UPDATE job SET due_at = now() RETURNING now()")[0][0]


def commands(dovecot):
    """Commands of the last session of each account that is traced, without the one that logs in."""
    return [len(re.findall(r"^[0-9.]* ?h\d+ ", max(folder.glob("*.in")).read_text(errors="replace"),
                           re.MULTILINE))
            for folder in dovecot.dir.parent.glob("rawlog/*")]


def cpu(dovecot, holdfast):
    """CPU seconds so far by part."""
    parts = {name: sum(cpu_seconds(pid) for pid in holdfast.pids(name))
             for name in ("ingest", "gate", "keeper")}
    parts["PostgreSQL"] = cpu_seconds(holdfast.process.pid) - sum(parts.values())
    parts["Dovecot"] = cpu_seconds(dovecot.process.pid)
    return parts


def test_every_message_of_every_account_is_archived(holdfast):
    wait_for(lambda: holdfast.sql("SELECT count(*) FROM job WHERE outcome = 'NONE'")[0][0] == ACCOUNTS,
             300, "all accounts to be ingested")
    assert holdfast.sql("SELECT count(*) FROM placement")[0][0] == ACCOUNTS * MESSAGES
    assert holdfast.sql("SELECT count(*) FROM source_uid WHERE state <> 'stored'")[0][0] == 0
    assert holdfast.sql("SELECT count(*) FROM source_announced")[0][0] == 0


def test_a_cycle_with_nothing_new_costs_a_few_round_trips_and_milliseconds(dovecot, holdfast):
    before, clock = cpu(dovecot, holdfast), time.monotonic()
    moment = start_cycle(holdfast)
    wait_finished(holdfast, moment, ACCOUNTS)
    wall, after = time.monotonic() - clock, cpu(dovecot, holdfast)
    spent = {name: round(after[name] - before[name], 2) for name in after}
    source = spent.pop("Dovecot")
    total, trips = sum(spent.values()), commands(dovecot)
    print(f"nothing new over {ACCOUNTS} accounts: {wall:.1f} s, {ACCOUNTS / wall:.0f} accounts/s; CPU s: "
          f"Holdfast {total:.1f} {spent}, Dovecot {source}; commands after the login {trips}")
    assert len(trips) == TRACED and max(trips) <= 4, trips
    assert total / ACCOUNTS < 0.03


def leases(holdfast):
    return set(holdfast.sql("SELECT job_id, fence FROM job WHERE lease_owner IS NOT NULL"))


def kill_one_at_work(holdfast):
    """Kills a worker that holds a job; that job."""
    for pid in holdfast.pids("ingest"):
        os.kill(pid, signal.SIGSTOP)
        held = leases(holdfast)
        time.sleep(1)  # the others are done with theirs by then
        held &= leases(holdfast)
        if held:
            os.kill(pid, signal.SIGKILL)
            return held.pop()[0]
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("no worker holds a job")


def test_a_killed_worker_delays_its_accounts_by_one_lease_at_most(holdfast):
    moment = start_cycle(holdfast)
    wait_finished(holdfast, moment, ACCOUNTS / 4)
    job = kill_one_at_work(holdfast)
    killed = holdfast.sql("SELECT now()")[0][0]
    wait_finished(holdfast, moment, ACCOUNTS)
    late, = holdfast.sql("SELECT extract(epoch FROM finished_at - %s)::float8 FROM job WHERE job_id = %s",
                         killed, job)[0]
    print(f"what the killed worker held was done {late:.1f} s after its death")
    assert late < LEASE_SECONDS + 10
    assert holdfast.sql("SELECT count(*), count(DISTINCT (account_id, message_id)) FROM placement")[0] == \
        (ACCOUNTS * MESSAGES, ACCOUNTS * MESSAGES)
