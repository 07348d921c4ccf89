# SPDX-License-Identifier: Apache-2.0
"""The operator's commands: initialisation, bad input, accounts, how long a passing holdfastd lives."""
import concurrent.futures
import fcntl
import json
import os
import pty
import pwd
import re
import signal
import subprocess
import termios

import pytest

from harness.place import ROOT, children_of, wait_for


@pytest.fixture(scope="module")
def installed(module_place):
    """Initialised, and no holdfastd: each command starts what it needs."""
    from harness.holdfast import Holdfast
    folder = module_place / "holdfast"
    folder.mkdir()
    folder.chmod(0o755)
    made = Holdfast(folder)
    made.run("init")
    return made


def fails(holdfast, status, *arguments, says=()):
    done = holdfast.run(*arguments, check=False)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    for word in says:
        assert word in done.stderr, (arguments, word, done.stderr)
    return done


def keys(holdfast):
    return {p.name: p.read_bytes() for p in (holdfast.data_dir / "keys").iterdir()}


# ---- init ---------------------------------------------------------------------------------------


def test_init_twice_keeps_keys_and_data(installed):
    before = keys(installed)
    assert {"master.key", "signing.key", "imapd.crt", "imapd.key", "db-owner.password",
            "db-ingest.password", "db-keeper.password", "db-gate.password",
            "db-reader.password", "db-rebuild.password", "db-reindex.password"} == set(before)
    installed.run("init")
    assert keys(installed) == before


def test_nobody_else_may_read_keys_or_data(installed):
    for path in [installed.data_dir, installed.data_dir / "keys",
                 *(installed.data_dir / "keys").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
    owner = pwd.getpwuid(installed.data_dir.stat().st_uid).pw_name
    assert owner == ("holdfast" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)


def test_a_command_leaves_only_the_data_directory(installed):
    installed.run("status")
    assert not (installed.data_dir / "run").is_symlink()
    assert not (installed.data_dir / "postgres" / "postmaster.pid").exists()


def test_a_lost_master_key_is_not_replaced_beside_a_database(installed):
    key = installed.data_dir / "keys" / "master.key"
    away = key.with_suffix(".away")
    key.rename(away)
    try:
        fails(installed, 1, "init", says=("master.key", "missing"))
        assert not key.exists()
    finally:
        away.rename(key)


def test_a_folder_of_other_things_is_not_taken(place, new_holdfast):
    holdfast = new_holdfast()
    holdfast.data_dir.mkdir()
    if os.geteuid() != 0:
        holdfast.data_dir.chmod(0o700)
        pytest.skip("one's own folder is one's own")
    (holdfast.data_dir / "letter.txt").write_text("mine")
    fails(holdfast, 1, "init", says=(str(holdfast.data_dir), "data_dir"))
    assert holdfast.data_dir.stat().st_uid == 0


# ---- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, word", [
    ((), "usage"), (("acount",), "acount"), (("account",), "account add"),
    (("account", "ad"), "account ad"), (("account", "add"), "NAME"),
    (("account", "add", "x"), "--url"), (("account", "list", "--jsn"), "--jsn"),
    (("account", "add", "x", "--url", "imaps://a@b/"), "--password-file"),
    (("account", "add", "x", "--url", "http://a@b/", "--password-file", "f"), "imaps://"),
    (("account", "add", "x", "--url", "imaps://a:secret@b/", "--password-file", "f"), "password"),
    (("account", "add", "x", "--url", "imaps://a@b/", "--every", "soon"), "soon"),
    (("account", "show", "a", "b"), "b"), (("account", "edit", "x"), "nothing"),
    (("auditor", "grant", "x"), "--account"),
    (("auditor", "grant", "x", "--account", "a", "--since", "2001-01-01"), "not available yet"),
    (("auditor", "add", "x", "--password-file", "f", "--expires", "2001-02-30"), "2001-02-30"),
    (("show", "abc"), "abc"), (("show", "alice/INBOX;UID=0"), "UID"),
])
def test_usage_errors_exit_2_and_name_what_is_wrong(installed, arguments, word):
    done = fails(installed, 2, *arguments, says=(word,))
    assert "secret" not in done.stderr


def test_every_command_explains_itself(installed):
    listed = installed.run("help").stdout.splitlines()
    names = [line[2:20].split() for line in listed if line.startswith("  ")]
    assert len(names) >= 18
    for words in names:
        assert installed.run(*words, "--help").stdout.startswith(f"usage: holdfast {' '.join(words)}")


@pytest.mark.parametrize("name, value", [
    ("DATABASE_READ_URL", "postgresql://standby/holdfast"), ("IMAPD_SLICE", "1000"),
    ("STORE_URL", "s3://bucket/prefix"), ("STORE_ENCRYPTION", "on"),
    ("METRICS_LISTEN", "127.0.0.1:9100")])
def test_a_setting_that_is_not_built_yet_is_refused(installed, monkeypatch, name, value):
    monkeypatch.setenv(f"HOLDFAST_{name}", value)
    section, _, key = name.lower().partition("_")
    fails(installed, 1, "status", says=[f"[{section}] {key} is not built yet"])


def test_every_command_and_every_setting_stands_in_ops(installed):
    commands = (ROOT / "ops" / "commands.md").read_text()
    names = [" ".join(line[2:20].split()) for line in installed.run("help").stdout.splitlines()
             if line.startswith("  ")]
    assert [name for name in names if not re.search(rf"`(holdfast )?{name}`", commands)] == []
    settings = (ROOT / "ops" / "settings.md").read_text()
    table = (ROOT / "lib" / "conf" / "settings.c").read_text()
    found = re.findall(r'^    \{ "([a-z]+)", "([a-z_]+)"', table, re.M)
    assert len(found) > 20
    for section, key in found:
        assert f"`{key}`" in settings.split(f"`[{section}]`")[1].split("| `[")[0], (section, key)


def test_a_wrong_setting_is_named_with_file_and_line(installed, place):
    conf = place / "wrong.conf"
    conf.write_text("[holdfast]\n\n[imapd]\nlisten_tsl = 127.0.0.1:1993\n")
    for program in ("holdfast", "holdfastd"):
        done = subprocess.run([installed.bin / program, "-c", conf, *(["status"] * (program == "holdfast"))],
                              capture_output=True, text=True)
        assert done.returncode == 1
        assert "wrong.conf" in done.stderr and "4" in done.stderr and "listen_tsl" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_missing_settings_file_is_named(installed):
    done = subprocess.run([installed.bin / "holdfast", "-c", "/nonexistent.conf", "status"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "/nonexistent.conf" in done.stderr


# ---- accounts ---------------------------------------------------------------------------------------


@pytest.fixture
def account(installed):
    name = "alice"
    if not any(a["name"] == name for a in installed.json("account", "list")):
        installed.run("account", "add", name, "--no-test", "--url", "imaps://al%40x@localhost:9/",
                      "--password-file", installed.secret_file("p", "geheim"), "--every", "2h",
                      "--exclude", "Trash*", "--exclude", "Spam")
    return name


def test_an_account_is_listed_and_shown_as_added(installed, account):
    shown = installed.json("account", "show", account)
    assert shown["url"] == "imaps://al%40x@localhost:9/"
    assert shown["every_seconds"] == 7200 and shown["exclude"] == ["Trash*", "Spam"]
    assert shown["state"] == "new" and shown["has_password"]
    for command in (("account", "list"), ("account", "show", account), ("status",)):
        said = installed.run(*command).stdout
        assert account in said and "geheim" not in said


def test_what_an_account_may_use_is_shown(installed, account):
    shown = installed.json("account", "show", account)
    assert (shown["connections"], shown["max_connections"], shown["daily_bytes"]) == (0, 3, None)
    assert "at most 3 (the default" in installed.run("account", "show", account).stdout
    installed.run("account", "edit", account, "--max-connections", "2", "--daily-bytes", "500M")
    shown = installed.json("account", "show", account)
    assert (shown["max_connections"], shown["daily_bytes"], shown["today_bytes"]) == (2, 500000000, 0)
    said = installed.run("account", "show", account).stdout
    assert "0 now, at most 2\n" in said and "of 500" in said
    installed.run("account", "edit", account, "--max-connections", "default")
    assert installed.json("account", "show", account)["max_connections"] == 3


def test_the_password_is_stored_sealed(installed, account):
    holdfast = subprocess.run(["grep", "-rlF", "geheim", installed.data_dir / "postgres"],
                              capture_output=True, text=True)
    assert holdfast.stdout == ""


def test_a_name_is_taken_once(installed, account):
    fails(installed, 1, "account", "add", account, "--no-test", "--url", "imaps://a@b/",
          "--password-file", installed.secret_file("p", "x"), says=(account,))


def test_an_unknown_account_is_named(installed):
    for command in ("show", "pause", "resume", "remove"):
        fails(installed, 1, "account", command, "nobody", says=("nobody",))
    fails(installed, 1, "sync", "nobody", says=("nobody",))


def test_edit_pause_resume_and_remove(installed):
    installed.run("account", "add", "bruno", "--no-test", "--url", "imaps://b@localhost:9/",
                  "--password-command", "echo from-a-command")
    installed.run("account", "edit", "bruno", "--every", "30s", "--url", "imap://b2@localhost/")
    shown = installed.json("account", "show", "bruno")
    assert (shown["every_seconds"], shown["url"]) == (30, "imap://b2@localhost/")
    installed.run("account", "pause", "bruno")
    assert installed.json("account", "show", "bruno")["state"] == "paused"
    installed.run("account", "resume", "bruno")
    assert installed.json("account", "show", "bruno")["state"] == "new"
    installed.run("account", "remove", "bruno")
    assert "bruno" not in [a["name"] for a in installed.json("account", "list")]
    shown = {a["name"]: a for a in installed.json("account", "list", "--all")}["bruno"]
    assert shown["state"] == "removed" and not shown["has_password"]


def test_what_cannot_be_added_or_changed_as_a_whole_is_not_at_all(installed):
    password = installed.secret_file("whole", "pw")
    url = ("--url", "imaps://w@localhost:9/", "--password-file", password, "--no-test")
    fails(installed, 1, "account", "add", "whole", *url, "--watch", "", says=("watched",))
    assert "whole" not in [a["name"] for a in installed.json("account", "list", "--all")]
    installed.run("account", "add", "whole", *url)
    fails(installed, 1, "account", "edit", "whole", "--every", "1h", "--watch", "", says=("watched",))
    assert installed.json("account", "show", "whole")["every_seconds"] == 300
    installed.run("account", "remove", "whole")


def test_a_removed_account_is_not_paused(installed):
    installed.run("account", "add", "gone", "--kind", "import")
    installed.run("account", "remove", "gone")
    for command in ("pause", "resume"):
        fails(installed, 1, "account", command, "gone", says=("removed",))


def test_a_listing_in_json_is_nothing_else_though_an_account_is_paused(installed):
    for name in ("resting", "filled"):
        installed.run("account", "add", name, "--kind", "import")
    installed.run("account", "pause", "resting")
    try:
        assert "resting: nothing to seal" in installed.run("seal").stdout
        for command in (("reconcile",), ("failures", "--retry"), ("failures",)):
            done = installed.run(*command, "filled", "--json")
            json.loads(done.stdout)
        assert len(installed.json("reconcile", "filled", "filled")["accounts"]) == 1
        others = [a["name"] for a in installed.json("account", "list")
                  if a["name"] not in ("resting", "filled")]
        for name in others:
            installed.run("account", "pause", name)
        done = installed.run("reconcile", "--json")
        assert [a["account"] for a in json.loads(done.stdout)["accounts"]] == ["filled"]
        assert "resting: paused, left out" in done.stderr
        assert json.loads(installed.run("failures", "--retry", "--json").stdout) == []
        for name in others:
            installed.run("account", "resume", name)
    finally:
        installed.run("account", "remove", "resting")
        installed.run("account", "remove", "filled")


def test_an_output_that_is_closed_is_an_error_and_no_other_file(installed):
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" search nothing-such >&-',
                           installed.bin / "holdfast", installed.conf],
                          stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert (installed.data_dir / "commands.lock").read_bytes() == b""


@pytest.mark.parametrize("arguments", [
    ("account", "add", "asked", "--url", "imaps://a@localhost:9/", "--password-file", "-"),
    ("auditor", "add", "asked", "--password-file", "-")])
def test_ctrl_c_at_the_password_ends_the_command_and_the_terminal_echoes_again(installed, arguments):
    def enter_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where the tests run in the background

    master, slave = pty.openpty()
    process = subprocess.Popen([installed.bin / "holdfast", "-c", installed.conf, *arguments],
                               stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                               preexec_fn=enter_terminal)
    try:
        wait_for(lambda: not termios.tcgetattr(slave)[3] & termios.ECHO, 30, "a prompt")
        os.write(master, b"half\x03")
        assert process.wait(timeout=30) == -signal.SIGINT
        assert termios.tcgetattr(slave)[3] & termios.ECHO
    finally:
        process.kill()
        os.close(master)
        os.close(slave)


def test_files_that_cannot_be_used_leave_no_account(installed, place):
    before = installed.json("account", "list")
    url = ("--url", "imaps://c@localhost:9/", "--no-test")
    empty = place / "empty"
    empty.write_text("\n")
    password = installed.secret_file("p", "x")
    fails(installed, 1, "account", "add", "c", *url, "--password-file", place / "absent",
          says=("absent",))
    fails(installed, 1, "account", "add", "c", *url, "--password-file", empty, says=("empty",))
    fails(installed, 1, "account", "add", "c", *url, "--password-command", "exit 3", says=("3",))
    fails(installed, 1, "account", "add", "c", *url, "--password-file", password, "--tls-ca", empty,
          says=("--tls-ca",))
    assert installed.json("account", "list") == before


def test_the_password_may_come_from_standard_input(installed):
    installed.run("account", "add", "piped", "--no-test", "--url", "imaps://c@localhost:9/",
                  "--password-file", "-", stdin="from a pipe\n")
    assert installed.json("account", "show", "piped")["has_password"]
    installed.run("account", "remove", "piped")


def test_administration_is_audited(installed, account):
    installed.run("account", "pause", account)
    installed.run("account", "resume", account)
    process = subprocess.Popen([installed.bin / "holdfastd", "-c", installed.conf, "--services",
                                "database"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline().startswith(b"ready")
        events = [e for (e,) in installed.sql("SELECT event FROM audit_event ORDER BY event_id")]
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert "init" in events and "account_add" in events
    assert events[-2:] == ["account_pause", "account_resume"]


# ---- commands side by side, holdfastd ---------------------------------------------------------------


def test_commands_side_by_side_share_one_database(installed):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: installed.json("status"), range(16)))
    assert all(t["data_dir"] == str(installed.data_dir) for t in told)
    assert not (installed.data_dir / "run").is_symlink()


def test_a_command_that_is_killed_takes_its_database_along(installed):
    read_end, write_end = os.pipe()
    command = subprocess.Popen([installed.bin / "holdfast", "-c", installed.conf, "account", "list"],
                               stdout=write_end)
    os.close(write_end)
    started = wait_for(lambda: [p for p, n in children_of(command.pid).items() if n == "postgres"]
                       or command.poll() is not None, 30, "a postgres")
    command.send_signal(signal.SIGKILL)
    command.wait()
    os.close(read_end)
    if started is not True:
        wait_for(lambda: not (installed.data_dir / "postgres" / "postmaster.pid").exists(), 60,
                 "the end of postgres")
    # The holdfastd that the command started ends a moment after its PostgreSQL.
    wait_for(lambda: installed.json("status")["holdfastd"]["running"] is False, 30,
             "the end of holdfastd")


def test_a_second_holdfastd_names_the_first(installed):
    first = subprocess.Popen([installed.bin / "holdfastd", "-c", installed.conf, "--services",
                              "database"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert first.stdout.readline().startswith(b"ready")
        second = subprocess.run([installed.bin / "holdfastd", "-c", installed.conf],
                                capture_output=True, text=True, timeout=60)
        assert second.returncode == 1
        assert str(first.pid) in second.stderr
        told = json.loads(installed.run("status", "--json").stdout)
        assert told["holdfastd"]["pid"] == first.pid
    finally:
        first.terminate()
        assert first.wait(timeout=60) == 0
