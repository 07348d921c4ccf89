# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of a test's own: Unix socket only, no passwords, the schema from schema/*.sql."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import psycopg2
import pytest

from .place import ROOT, wait_for

OWNER = "holdfast_owner"
ROLES = ("holdfast_ingest", "holdfast_keeper", "holdfast_gate", "holdfast_reader",
         "holdfast_rebuild", "holdfast_reindex")
FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB", "listen_addresses=",
        "track_functions=all", "autovacuum=off")
NOBODY = 65534


def program_dir():
    """Of the newest server; the test is skipped when there is none."""
    found = [p.parent for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda p: float(p.parent.name))
    initdb = shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    return pathlib.Path(initdb).parent


def migrations():
    """(number, name, SQL) of every file in schema/, in order."""
    for path in sorted((ROOT / "schema").glob("[0-9]*.sql")):
        number, name = path.stem.split("_", 1)
        yield int(number), name, path.read_text()


class Postgres:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.bin = program_dir()
        self.files = self.dir / "postgres"
        # PostgreSQL refuses root.
        self.as_user = {}
        if os.geteuid() == 0:
            os.chown(self.dir, NOBODY, NOBODY)
            self.as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.process = None

    def start(self):
        if not self.files.exists():
            subprocess.run([self.bin / "initdb", "-D", self.files, "-U", OWNER, "-A", "trust", "-E",
                            "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
                           check=True, stdout=subprocess.DEVNULL, cwd=self.dir, **self.as_user)
        settings = [word for setting in FAST for word in ("-c", setting)]
        with (self.dir / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.files, "-k", self.dir, *settings],
                stdout=log, stderr=log, cwd=self.dir, **self.as_user)
        wait_for(self._is_up, 60, f"PostgreSQL (see {self.dir}/postgres.log)")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "postgres.log").read_text()[-2000:]
        try:
            self.connect(OWNER, "postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)
            self.process = None

    def connect(self, role=OWNER, database="holdfast"):
        """Each statement is a transaction of its own unless BEGIN is said."""
        made = psycopg2.connect(host=str(self.dir), user=role, dbname=database,
                                options="-c search_path=holdfast -c timezone=UTC")
        made.autocommit = True
        return made

    def make_database(self, database="holdfast", upto=None):
        """As lib/db/migrate.c does it; upto: the last migration to apply."""
        admin = self.connect(OWNER, "postgres")
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {database}")
        admin.close()
        owner = self.connect(OWNER, database)
        with owner.cursor() as cursor:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS holdfast; "
                           "CREATE TABLE holdfast.schema_version (version integer PRIMARY KEY, "
                           "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())")
            for number, name, sql in migrations():
                if upto is not None and number > upto:
                    break
                cursor.execute("BEGIN")
                cursor.execute(sql)
                cursor.execute("INSERT INTO holdfast.schema_version (version, name) "
                               "VALUES (%s, %s)", (number, name))
                cursor.execute("COMMIT")
        return owner


def sqlstate(connection, sql, arguments=None):
    """Runs SQL in a transaction that is rolled back. None: it worked, else why it did not."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            cursor.execute(sql, arguments)
            return None
        except psycopg2.Error as error:
            return error.pgcode
        finally:
            if not connection.closed:
                cursor.execute("ROLLBACK")


def rows(connection, sql, arguments=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall() if cursor.description else []


def table_names():
    """Of every CREATE TABLE in schema/, without partitions; known before a server runs."""
    names = ["schema_version"]
    for _, _, sql in migrations():
        names += re.findall(r"^CREATE TABLE (\w+) \(", sql, re.M)
    return names
