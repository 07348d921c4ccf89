# SPDX-License-Identifier: Apache-2.0
"""kill -9 of workers at random moments of one ingestion: no message lost, none twice."""
import os
import random
import signal
import time

import pytest

from harness import mail
from harness.place import wait_for

MESSAGES = 3000


def run_with_kills(dovecot, holdfast, seed, kills):
    chance = random.Random(seed)
    print(f"seed {seed}")
    holdfast.run("account", "edit", "alice", "--every", "1s")
    done = 0
    while done < kills:
        workers = wait_for(lambda: holdfast.pids("ingest"), 60, "a worker process")
        time.sleep(chance.uniform(0.0, 0.25))  # the random moment itself
        try:
            os.kill(chance.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            continue
        done += 1
        if done % 5 == 0:  # a lease of the dead must not make the test long: it is due again now
            holdfast.sql("UPDATE job SET due_at = now()")
    holdfast.sql("UPDATE job SET due_at = now()")
    wait_for(lambda: is_complete(holdfast), 240, "a complete run after the last kill")


def is_complete(holdfast):
    holdfast.sql("UPDATE job SET due_at = now() WHERE lease_owner IS NULL OR started_at < now() "
                 "- interval '10 s' AND finished_at IS NULL")
    stored, = holdfast.sql("SELECT count(*) FROM source_uid WHERE state = 'stored'")[0]
    outcome, = holdfast.sql("SELECT outcome FROM job WHERE kind = 'sync'")[0]
    return stored >= MESSAGES and outcome == "NONE"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow),
                                  pytest.param(3, marks=pytest.mark.slow)])
def test_no_message_is_lost_and_none_is_twice(new_dovecot, new_holdfast, seed):
    dovecot = new_dovecot()
    for i, message in enumerate(mail.generate(MESSAGES, seed=seed, size=6000)):
        dovecot.deliver("alice", message, ("INBOX", "Two", "Three")[i % 3])
    holdfast = new_holdfast(workers=2).start()
    holdfast.add_account(dovecot, "alice", "--no-test")
    run_with_kills(dovecot, holdfast, seed, 20)

    placements, distinct = holdfast.sql("SELECT count(*), count(DISTINCT message_id) "
                                        "FROM placement")[0]
    assert (placements, distinct) == (MESSAGES, MESSAGES)
    assert holdfast.sql("SELECT count(*) FROM source_uid WHERE state <> 'stored'")[0][0] == 0
    assert holdfast.sql("SELECT count(*) FROM (SELECT FROM source_uid GROUP BY account_id, "
                        "mailbox_id, placement_uid HAVING count(*) > 1) AS twice")[0][0] == 0
    counters = holdfast.sql("SELECT sum(messages), sum(uidnext - 1) FROM mailbox")[0]
    assert counters == (MESSAGES, MESSAGES)
    holdfast.add_auditor()
    archive, source = holdfast.client(), dovecot.client("alice")
    for mailbox in ("INBOX", "Two", "Three"):
        archive.select(f"Accounts/alice/{mailbox}", readonly=True)
        source.select(mailbox, readonly=True)
        assert bodies(archive) == bodies(source)


def bodies(client):
    _, answer = client.fetch("1:*", "(BODY.PEEK[])")
    return sorted(part[1] for part in answer if isinstance(part, tuple))
