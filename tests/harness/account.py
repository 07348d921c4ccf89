# SPDX-License-Identifier: Apache-2.0
"""One account of an installation that many tests share: its source, its runs, what is archived of it."""
import json

from .fetch import items, string
from .wire import Wire


class Account:
    def __init__(self, holdfast, name):
        self.holdfast = holdfast
        self.name = name
        self.sources = []

    def add(self, source, *more, user="alice", password="x"):
        """source: anything with url(user)."""
        self.sources.append(source)
        secret = self.holdfast.secret_file(self.name, password)
        self.holdfast.run("account", "add", self.name, "--url", source.url(user), "--no-test",
                          "--every", "1h", "--password-file", secret, *more)
        return self

    def start(self, source, *more):
        """It is added, and due now without a sync()."""
        self.add(source, *more)
        self.sql("UPDATE job SET due_at = now() WHERE account_id = {id}")

    def sync(self, status=0):
        """One run; what it says."""
        done = self.holdfast.run("sync", self.name, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def retry_now(self):
        """What is pending may be tried again in the next run."""
        self.holdfast.sql("UPDATE source_uid SET next_try_at = NULL WHERE next_try_at IS NOT NULL AND "
                          f"account_id = {self.id}")

    @property
    def id(self):
        return self.holdfast.sql("SELECT account_id FROM account_name WHERE name = %s",
                                 self.name)[0][0]

    def sql(self, query):
        """Rows of a query in which {id} is the account's."""
        return self.holdfast.sql(query.format(id=self.id).replace("%", "%%"))

    # ---- what became of each UID -----------------------------------------------------------------

    def states(self, epoch=1, path="INBOX"):
        """{uid: "stored", "stored gone", "pending" …}"""
        return dict(self.holdfast.sql(
            "SELECT u.uid, u.state || CASE WHEN u.gone_at IS NULL OR u.state = 'gone' THEN '' ELSE "
            "' gone' END FROM (SELECT account_id, mailbox_id, epoch, uid, state, gone_at FROM source_uid "
            "UNION ALL SELECT account_id, mailbox_id, epoch, generate_series(first_uid, last_uid), "
            "'pending', NULL FROM source_announced) u JOIN mailbox b USING (account_id, mailbox_id) "
            "WHERE account_id = %s AND epoch = %s AND b.path = %s", self.id, epoch, path))

    def errors(self):
        return " ".join(row[0] for row in self.sql(
            "SELECT error FROM source_uid WHERE error IS NOT NULL AND account_id = {id}"))

    def placements(self):
        """(all, gone at the source, distinct messages)"""
        return self.sql("SELECT count(*), count(gone_at), count(DISTINCT message_id) FROM placement "
                        "WHERE account_id = {id}")[0]

    def flags(self):
        return [row[0] for row in self.sql(
            "SELECT flags FROM placement WHERE account_id = {id} ORDER BY uid")]

    def keywords(self):
        return [row[0] for row in self.sql(
            "SELECT bit_count(keywords) FROM placement WHERE account_id = {id} ORDER BY uid")]

    # ---- what the commands say -------------------------------------------------------------------

    def _json(self, *arguments, statuses=(0,)):
        done = self.holdfast.run(*arguments, "--json", check=False)
        assert done.returncode in statuses, done.stdout + done.stderr
        return json.loads(done.stdout)

    def failures(self):
        """{uid: error} of what is pending."""
        return {row["uid"]: row["error"] for row in self._json("failures", self.name)}

    def reconcile(self, status=0, *options):
        """{path: row}; the run's exit status is asserted, and that no UID is unexplained."""
        report = self._json("reconcile", self.name, *options, statuses=(status,))
        assert report["complete"] is (status == 0)
        (account,) = report["accounts"]
        rows = {row["path"]: row for row in account["mailboxes"]}
        assert all(row["unexplained"] == 0 for row in rows.values()), rows
        return rows

    def status(self):
        """The account's row of `holdfast status`."""
        return next(row for row in self._json("status")["accounts"] if row["name"] == self.name)

    def archived(self, path="INBOX"):
        """The octets of every message of a mailbox as an auditor gets them, in the order of UIDs."""
        return [string(found["BODY[]"]) for found in self._fetch(path, "BODY.PEEK[]")]

    def shown_flags(self, path="INBOX"):
        """The same of flags, as they stand between the parentheses."""
        return [found["FLAGS"][1:-1] for found in self._fetch(path, "FLAGS")]

    def _fetch(self, path, item):
        holdfast = self.holdfast
        if not holdfast.sql("SELECT 1 FROM auditor WHERE name = 'reader'"):
            holdfast.add_auditor("reader", "reader-password")
        wire = Wire("localhost", holdfast.tls_port, holdfast.tls_context())
        tagged, _ = wire.command("LOGIN reader reader-password")
        assert b" OK " in tagged, tagged
        tagged, _ = wire.command(f'EXAMINE "Accounts/{self.name}/{path}"')
        assert b" OK " in tagged, tagged
        tagged, responses = wire.command(f"UID FETCH 1:* ({item})")
        wire.close()
        assert b" OK " in tagged, tagged
        return [found[1] for found in map(items, responses) if found]

    def close(self):
        for source in self.sources:
            if hasattr(source, "close"):
                source.close()


def stored(*uids):
    return {uid: "stored" for uid in uids}
