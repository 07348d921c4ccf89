# SPDX-License-Identifier: Apache-2.0
"""The operator's commands together with the services and a real source; holdfastd itself."""
import os
import signal
import socket
import subprocess

import pytest

from harness import mail
from harness.place import accepts_connections, children_of, need_mounts, wait_for


@pytest.fixture
def source(new_dovecot):
    dovecot = new_dovecot(users=("alice", "bruno"))
    for i, message in enumerate(mail.generate(20)):
        dovecot.deliver("alice", message, "INBOX" if i % 2 else "Projects")
    return dovecot


# ---- without a holdfastd -----------------------------------------------------------------------------


def test_sync_starts_what_it_needs_and_leaves_nothing_running(source, new_holdfast):
    holdfast = new_holdfast()
    holdfast.add_account(source, "alice", "--no-test")
    said = holdfast.run("sync").stdout
    assert "alice: complete" in said and "20 new messages" in said
    assert "nothing new" in holdfast.run("sync", "alice").stdout
    assert not (holdfast.data_dir / "run").is_symlink()
    assert holdfast.json("status")["archived"]["messages"] == 20


def test_adding_an_account_tests_it_and_says_what_it_has(source, new_holdfast):
    holdfast = new_holdfast()
    said = holdfast.add_account(source, "alice").stdout
    assert "login ok" in said and "20 messages" in said
    assert holdfast.json("account", "show", "alice")["state"] != "paused"
    assert "login ok" in holdfast.run("account", "test", "alice").stdout


def test_interrupting_sync_ends_the_services_it_started(source, new_holdfast):
    for message in mail.generate(2000, seed=2, size=4000):
        source.deliver("bruno", message)
    holdfast = new_holdfast()
    holdfast.add_account(source, "bruno", "--no-test")
    sync = subprocess.Popen([holdfast.bin / "holdfast", "-c", holdfast.conf, "sync"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: "holdfast-ingest" in children_of(sync.pid).values() or sync.poll() is not None,
             60, "a worker")
    started = set(children_of(sync.pid))
    sync.send_signal(signal.SIGINT)
    _, said = sync.communicate(timeout=60)
    assert sync.returncode == 130 and "interrupted" in said
    assert not any(os.path.exists(f"/proc/{pid}/exe") and os.readlink(f"/proc/{pid}/exe")
                   for pid in started if _is_alive(pid))
    assert "complete" in holdfast.run("sync").stdout
    assert holdfast.json("status")["archived"]["messages"] == 2000


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_sync_goes_on_when_the_command_ends_whose_services_it_used(new_holdfast):
    holdfast = new_holdfast(workers=2, ingest="stall = 45s\n")
    secret = holdfast.secret_file("pw", "pw")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for name in ("first", "second"):
            holdfast.run("account", "add", name, "--no-test", "--password-file", secret, "--url",
                         f"imap+plain://{name}@localhost:{silent.getsockname()[1]}/")
        command = [holdfast.bin / "holdfast", "-c", holdfast.conf, "sync"]
        host = subprocess.Popen([*command, "first"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        connections = [silent.accept()[0]]
        guest = subprocess.Popen([*command, "second"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        assert "connecting" in guest.stdout.readline()  # it follows
        host.send_signal(signal.SIGINT)
        host.communicate(timeout=120)
        assert host.returncode == 130 and guest.poll() is None
        said, told = guest.communicate(timeout=200)
        assert "started again" in told and "second: " in said and "silent for 45 s" in said
        assert guest.returncode == 3
        for connection in connections:
            connection.close()
    assert not (holdfast.data_dir / "run").is_symlink()


def test_many_at_once_on_a_new_machine_make_one_user(tmp_path, new_holdfast):
    need_mounts("the user is made in an /etc of the test's own")
    tmp_path.chmod(0o755)
    program = new_holdfast().bin / "holdfast"
    for i in range(8):
        (tmp_path / f"{i}.conf").write_text(
            f'[holdfast]\ndata_dir = "{tmp_path}/{i}"\nuser = "holdfast-once"\n')
    # Each fails after it has settled: there is no database at that address.
    script = f"""set -e
        mount -t tmpfs none /mnt
        mkdir /mnt/upper /mnt/work
        mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work none /etc
        for i in 0 1 2 3 4 5 6 7; do
            HOLDFAST_DATABASE_URL=postgresql://127.0.0.1:1/ {program} -c {tmp_path}/$i.conf status &
        done
        wait
        grep ^holdfast-once: /etc/passwd"""
    said = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True)
    users = [line for line in said.stdout.splitlines() if line.startswith("holdfast-once:")]
    assert len(users) == 1, said.stdout + said.stderr
    owners = {(tmp_path / str(i)).stat().st_uid for i in range(8)}
    assert owners == {int(users[0].split(":")[2])}, said.stderr


# ---- with a holdfastd ----------------------------------------------------------------------------------


def test_commands_use_the_holdfastd_that_runs(source, new_holdfast):
    holdfast = new_holdfast().start()
    holdfast.add_account(source, "alice", "--no-test")
    assert "complete" in holdfast.run("sync", "alice").stdout
    told = holdfast.json("status")
    assert told["holdfastd"]["pid"] == holdfast.process.pid
    assert set(told["holdfastd"]["services"].split(",")) == {"database", "gate", "keeper", "ingest",
                                                              "watch", "imapd"}


def test_a_sync_that_waits_ends_when_its_account_is_paused_and_goes_on_with_the_others(new_holdfast):
    holdfast = new_holdfast(workers=0).start()
    secret = holdfast.secret_file("pw", "pw")
    for name in ("first", "second", "third"):
        holdfast.run("account", "add", name, "--no-test", "--url", "imaps://a@localhost:9/",
                     "--password-file", secret)
    requested = holdfast.sql("SELECT max(requested_at) FROM job")
    sync = subprocess.Popen([holdfast.bin / "holdfast", "-c", holdfast.conf, "sync", "first", "second"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: holdfast.sql("SELECT count(*) FROM job WHERE requested_at > %s", *requested[0]) == [(2,)],
             30, "both requests")
    holdfast.run("account", "pause", "second")
    assert "second: stopped" in sync.stdout.readline()
    assert sync.poll() is None
    holdfast.run("account", "remove", "first")
    said, _ = sync.communicate(timeout=30)
    assert "first: stopped" in said and sync.returncode == 1
    # One that is paused already is told, and the other one is asked for all the same.
    holdfast.run("account", "resume", "second")
    holdfast.run("account", "pause", "third")
    sync = subprocess.Popen([holdfast.bin / "holdfast", "-c", holdfast.conf, "sync", "third", "second"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "third: the account is paused" in sync.stdout.readline()
    holdfast.run("account", "pause", "second")
    said, _ = sync.communicate(timeout=30)
    assert "second: stopped" in said and sync.returncode == 1


@pytest.mark.parametrize("name", ["gate", "keeper", "ingest", "watch", "imapd"])
def test_a_service_that_dies_is_started_again(new_holdfast, name):
    holdfast = new_holdfast().start()
    (before,) = holdfast.pids(name)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: holdfast.pids(name) not in ([], [before]), 30, f"another {name}")
    assert f'service="holdfast-{name}"' in holdfast.log()


def test_a_database_that_dies_is_started_again(source, new_holdfast):
    holdfast = new_holdfast().start()
    postmaster = int((holdfast.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    wait_for(lambda: "PostgreSQL is back" in holdfast.log(), 60, "PostgreSQL")
    holdfast.add_account(source, "alice", "--no-test")
    assert "complete" in holdfast.run("sync", "alice").stdout


def test_the_end_leaves_only_the_data_directory(new_holdfast):
    holdfast = new_holdfast().start()
    runtime = os.readlink(holdfast.data_dir / "run")
    started = set(children_of(holdfast.process.pid))
    assert len(started) > 4
    assert holdfast.stop() == 0
    assert not any(_is_alive(pid) for pid in started)
    assert not os.path.exists(runtime) and not accepts_connections(holdfast.tls_port)


def test_a_killed_holdfastd_takes_all_along_and_the_next_one_starts(new_holdfast):
    holdfast = new_holdfast().start()
    started = set(children_of(holdfast.process.pid))
    holdfast.stop(how=signal.SIGKILL)
    wait_for(lambda: not any(_is_alive(pid) for pid in started), 60, "the end of the children")
    holdfast.start()
    assert holdfast.json("status")["holdfastd"]["running"]


# ---- show ------------------------------------------------------------------------------------------------


def test_show_gives_the_exact_octets_and_is_audited(source, new_holdfast):
    holdfast = new_holdfast().start()
    holdfast.add_account(source, "alice", "--no-test")
    holdfast.run("sync")
    octets = holdfast.run("show", "alice/INBOX;UID=1", "--raw", text=False).stdout
    assert octets in list(mail.generate(20))
    said = holdfast.run("show", "alice/INBOX;UID=1").stdout
    digest = next(line.split()[1] for line in said.splitlines() if line.startswith("SHA-256:"))
    assert holdfast.run("show", digest[:12], "--raw", text=False).stdout == octets
    done = holdfast.run("show", "alice/INBOX;UID=999", check=False)
    assert done.returncode == 1 and "999" in done.stderr
    assert holdfast.run("show", "00000000", check=False).returncode == 1
    shown = holdfast.sql("SELECT process FROM audit_event WHERE event = 'show'")
    assert shown == [("holdfast_reader",)] * 3
