# SPDX-License-Identifier: Apache-2.0
"""An installation of Holdfast in a folder of its own: settings, holdfastd, the CLI."""
import contextlib
import imaplib
import json
import os
import pathlib
import signal
import ssl
import subprocess

from .place import ROOT, accepts_connections, children_of, free_port, wait_for

START_SECONDS = 90  # the private PostgreSQL is made first; sanitizer builds are slow


def bin_dir(variant=None):
    if variant is None and "HOLDFAST_BIN" in os.environ:
        return pathlib.Path(os.environ["HOLDFAST_BIN"]).resolve()
    if variant == "release" and "HOLDFAST_RELEASE_BIN" in os.environ:
        return pathlib.Path(os.environ["HOLDFAST_RELEASE_BIN"]).resolve()
    return ROOT / "build" / (variant or "debug") / "bin"


class Holdfast:
    def __init__(self, folder, settings="", variant=None, workers=1, ingest=""):
        self.dir = pathlib.Path(folder)
        self.bin = bin_dir(variant)
        self.data_dir = self.dir / "data"
        self.conf = self.dir / "holdfast.conf"
        self.port, self.tls_port = free_port(), free_port()
        self.workers = workers
        self.process = None
        self.conf.write_text(f"[holdfast]\ndata_dir = {self.data_dir}\n"
                             f"[ingest]\nworkers = {workers}\n{ingest}"
                             f"[imapd]\nlisten = 127.0.0.1:{self.port}\n"
                             f"listen_tls = 127.0.0.1:{self.tls_port}\n{settings}")

    # ---- commands ------------------------------------------------------------------------------

    def run(self, *arguments, check=True, stdin=None, timeout=300, text=True):
        """One command of the CLI. check: it must exit 0, otherwise its output is the failure."""
        done = subprocess.run([str(self.bin / "holdfast"), "-c", str(self.conf), *map(str, arguments)],
                              input=stdin, capture_output=True, timeout=timeout, text=text)
        if check:
            assert done.returncode == 0, (f"holdfast {' '.join(map(str, arguments))} exited "
                                          f"{done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json").stdout)

    def secret_file(self, name, text):
        path = self.dir / f"{name}.password"
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def add_account(self, dovecot, user, *more, name=None, scheme="imaps", check=True):
        return self.run("account", "add", name or user, "--url", dovecot.url(user, scheme),
                        "--password-file", self.secret_file(user, dovecot.users[user]),
                        "--tls-ca", dovecot.ca, *more, check=check)

    def add_auditor(self, name="auditor", password="audit-password", grant=("--all",)):
        self.run("auditor", "add", name, "--password-file", self.secret_file(name, password))
        self.run("auditor", "grant", name, *grant)

    # ---- service -------------------------------------------------------------------------------

    def start(self):
        log = (self.dir / "holdfastd.log").open("ab")
        self.process = subprocess.Popen([str(self.bin / "holdfastd"), "-c", str(self.conf)],
                                        stdout=log, stderr=log)
        wait_for(self._is_up, START_SECONDS, f"holdfastd (see {self.dir}/holdfastd.log)")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "holdfastd.log").read_text()[-4000:]
        return accepts_connections(self.tls_port)

    def stop(self, how=signal.SIGTERM, seconds=60):
        if self.process is None:
            return
        self.process.send_signal(how)
        status = self.process.wait(timeout=seconds)
        self.process = None
        return status

    def let_new_accounts_wait(self):
        """For their first run, until somebody asks for one: a run that comes by itself would be, by chance,
        another before that of a sync()."""
        self.sql("ALTER TABLE job ALTER due_at SET DEFAULT now() + interval '1 hour'")

    def pids(self, name):
        """Process ids of one kind of process: "ingest", "imapd", …"""
        return [p for p, n in children_of(self.process.pid).items() if n == f"holdfast-{name}"]

    def log(self):
        path = self.dir / "holdfastd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ---- the endpoint --------------------------------------------------------------------------

    def tls_context(self):
        return ssl.create_default_context(cafile=str(self.data_dir / "keys" / "imapd.crt"))

    def client(self, name="auditor", password="audit-password"):
        client = imaplib.IMAP4_SSL("localhost", self.tls_port, ssl_context=self.tls_context())
        client.login(name, password)
        return client

    # ---- the database, as its owner ------------------------------------------------------------

    def connect(self):
        """A psycopg2 connection, by the owner's password file."""
        import psycopg2
        password = (self.data_dir / "keys" / "db-owner.password").read_text().strip()
        return psycopg2.connect(host=str((self.data_dir / "run").resolve()), dbname="holdfast",
                                user="holdfast_owner", password=password,
                                options="-c search_path=holdfast")

    def sql(self, query, *parameters):
        """Rows of a query."""
        with self.connect() as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def installation(place, new_accounts_wait=True, **settings):
    """One that runs for all tests of a file."""
    folder = place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    made = Holdfast(folder, **settings).start()
    if new_accounts_wait:
        made.let_new_accounts_wait()
    yield made
    made.stop()
