# SPDX-License-Identifier: Apache-2.0
"""kill -9 of workers at random moments of one ingestion: no message lost, none twice."""
import os
import random
import signal
import time

import pytest

from harness import exactly_once, mail
from harness.place import wait_for

MESSAGES = 3000
MAILBOXES = ("INBOX", "Two", "Three")


def kill_workers(holdfast, seed, kills):
    chance = random.Random(seed)
    print(f"seed {seed}")
    done = 0
    while done < kills:
        workers = wait_for(lambda: holdfast.pids("ingest"), 60, "a worker process")
        time.sleep(chance.uniform(0.0, 0.25))  # the random moment itself
        try:
            os.kill(chance.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            continue
        done += 1
        holdfast.sql("UPDATE job SET due_at = now()")  # the lease of the dead ends now


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow),
                                  pytest.param(3, marks=pytest.mark.slow)])
def test_no_message_is_lost_and_none_is_twice(new_dovecot, new_holdfast, seed):
    dovecot = new_dovecot()
    for i, message in enumerate(mail.generate(MESSAGES, seed=seed, size=6000)):
        dovecot.deliver("alice", message, MAILBOXES[i % 3])
    holdfast = new_holdfast(workers=2).start()
    holdfast.add_account(dovecot, "alice", "--no-test", "--every", "1s")
    kill_workers(holdfast, seed, 20)
    exactly_once.wait_until_complete(holdfast, MESSAGES)
    exactly_once.check(dovecot, holdfast, MAILBOXES, MESSAGES)
