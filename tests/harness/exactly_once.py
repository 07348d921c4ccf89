# SPDX-License-Identifier: Apache-2.0
"""The promise of ingestion, checked against the source: every message once, octet for octet."""
import imaplib

from .place import wait_for


def log_in(holdfast):
    """The gate may be on its way up again; until then the answer is [UNAVAILABLE]."""
    def attempt():
        try:
            return holdfast.client()
        except imaplib.IMAP4.error as refused:
            assert "UNAVAILABLE" in str(refused), refused
            return None
    return wait_for(attempt, 60, "a login after the last fault")


def is_complete(holdfast, messages):
    """True once a run has ended well with everything stored. Leases of the dead end now: waiting
    for them is not what these tests are about."""
    holdfast.sql("UPDATE job SET due_at = now() WHERE lease_owner IS NULL "
                 "OR started_at < now() - interval '30 s'")
    stored, = holdfast.sql("SELECT count(*) FROM source_uid WHERE state = 'stored'")[0]
    outcome, = holdfast.sql("SELECT outcome FROM job WHERE kind = 'sync'")[0]
    return stored >= messages and outcome == "NONE"


def wait_until_complete(holdfast, messages, seconds=240):
    wait_for(lambda: is_complete(holdfast, messages), seconds, "a complete run after the last fault")


def bodies(client):
    _, answer = client.fetch("1:*", "(BODY.PEEK[])")
    return sorted(part[1] for part in answer if isinstance(part, tuple))


REFERENCES = (  # schema/README 6: what no foreign key says
    ("message", "account", ("account_id",)),
    ("message", "locator", ("account_id", "message_id")),
    ("locator", "message", ("account_id", "message_id")),
    ("message_index", "message", ("account_id", "message_id")),
    ("placement", "mailbox", ("account_id", "mailbox_id")),
    ("source_uid", "source_epoch", ("account_id", "mailbox_id", "epoch")),
)
ANNOUNCED_TWICE = '''
SELECT count(*) FROM source_announced a
  JOIN source_uid u ON u.account_id = a.account_id AND u.mailbox_id = a.mailbox_id
   AND u.epoch = a.epoch AND u.uid BETWEEN a.first_uid AND a.last_uid'''


def check_references(holdfast):
    """No row is without those that it stands for."""
    for table, other, key in REFERENCES:
        same = " AND ".join(f"t.{name} = o.{name}" for name in key)
        orphans = holdfast.sql(f"SELECT count(*) FROM {table} t "
                               f"WHERE NOT EXISTS (SELECT FROM {other} o WHERE {same})")
        assert orphans == [(0,)], f"{table} without {other}"
    assert holdfast.sql(ANNOUNCED_TWICE) == [(0,)], "a UID has a row and is announced too"


def check(dovecot, holdfast, mailboxes, messages):
    """messages: how many there are at the source, all different, over these mailboxes of alice."""
    check_references(holdfast)
    placements, distinct = holdfast.sql("SELECT count(*), count(DISTINCT message_id) "
                                        "FROM placement")[0]
    assert (placements, distinct) == (messages, messages)
    assert holdfast.sql("SELECT count(*) FROM source_uid WHERE state <> 'stored'")[0][0] == 0
    assert holdfast.sql("SELECT count(*) FROM source_announced")[0][0] == 0
    assert holdfast.sql("SELECT count(*) FROM (SELECT FROM source_uid GROUP BY account_id, "
                        "mailbox_id, placement_uid HAVING count(*) > 1) AS twice")[0][0] == 0
    assert holdfast.sql("SELECT sum(messages), sum(uidnext - 1) FROM mailbox")[0] == (messages,
                                                                                      messages)
    holdfast.add_auditor()
    archive, source = log_in(holdfast), dovecot.client("alice")
    for mailbox in mailboxes:
        archive.select(f"Accounts/alice/{mailbox}", readonly=True)
        source.select(mailbox, readonly=True)
        assert bodies(archive) == bodies(source)
