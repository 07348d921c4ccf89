# SPDX-License-Identifier: Apache-2.0
"""Many accounts from a list: all or none, told by line and column, and the same list twice is once."""
import concurrent.futures
import json
import time

import pytest

LINES = 10000


@pytest.fixture
def write(holdfast):
    def put(text, mode=0o600, name="list.csv"):
        path = holdfast.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path
    return put


def accounts(holdfast, like):
    return {name: (host, login, include, every) for name, host, login, include, every in holdfast.sql(
        "SELECT n.name, a.host, a.login, a.include, a.every_seconds FROM account a "
        "JOIN account_name n USING (account_id) WHERE n.name LIKE %s", like)}


def refused(holdfast, path, *more):
    done = holdfast.run("account", "import", path, *more, check=False)
    assert done.returncode == 2, (done.stdout, done.stderr)
    return done.stderr


def test_a_list_is_imported_once_and_what_differs_is_told_and_changed_only_when_asked(holdfast, write):
    secret = holdfast.secret_file("listed", "pw")
    head = "\ufeffname,url,password_file,include,include,every\r\n"
    first = write(head + f'once-a,imaps://a@host.invalid/,{secret},"INBOX\nWork/*",Büro,\r\n'
                  + f'"once-""b""",imap://b%40x@host.invalid:1143/,{secret},,,2h\r\n')
    assert "2 added" in holdfast.run("account", "import", first, "--dry-run").stdout
    assert not accounts(holdfast, "once-%")
    assert "2 added" in holdfast.run("account", "import", first).stdout
    assert accounts(holdfast, "once-%") == {
        "once-a": ("host.invalid", "a", ["INBOX", "Work/*", "Büro"], 300),
        'once-"b"': ("host.invalid", "b@x", [], 7200)}
    assert "0 added, 2 unchanged" in holdfast.run("account", "import", first).stdout

    second = write(head + f"once-a,imaps://a@other.invalid/,{holdfast.secret_file('new', 'pw2')},,,\n")
    said = holdfast.run("account", "import", second).stdout
    assert "once-a differs: url, include, login" in said and "--update" in said
    assert accounts(holdfast, "once-a")["once-a"][0] == "host.invalid"
    value = holdfast.json("account", "import", second, "--update")
    assert value["changed"] == 1 and value["differences"][0]["line"] == 2
    assert accounts(holdfast, "once-a")["once-a"] == ("other.invalid", "a", [], 300)
    assert holdfast.json("account", "import", second)["unchanged"] == 1
    events = [event for (event,) in holdfast.sql(
        "SELECT event FROM audit_event e JOIN account_name n USING (account_id) "
        "WHERE n.name = 'once-a' ORDER BY event_id")]
    assert [event for event in events if event != "secret_given"] == ["account_add", "account_edit"]


def test_columns_that_a_list_lacks_are_left_alone(holdfast, write):
    secret = holdfast.secret_file("lacking", "pw")
    holdfast.run("account", "import", write(
        f"name,url,password_file,exclude\nlack,imaps://a@h.invalid/,{secret},\\Junk\n"))
    assert holdfast.json("account", "import", write(
        "name,url\nlack,imaps://a@h.invalid/\n"))["unchanged"] == 1
    assert holdfast.json("account", "show", "lack")["exclude"] == ["\\Junk"]


def test_journals_are_imported_by_their_kind_which_stays(holdfast, write):
    secret = holdfast.secret_file("kinds", "pw")
    head = "name,url,password_file,kind\n"
    holdfast.run("account", "import", write(head + f"kind-a,imaps://a@h.invalid/,{secret},journal\n"
                                            f"kind-b,imaps://b@h.invalid/,{secret},\n"))
    assert holdfast.sql("SELECT name, kind FROM account JOIN account_name USING (account_id) "
                        "WHERE name LIKE 'kind-%' ORDER BY name") == [("kind-a", "journal"), ("kind-b", "imap")]
    for kind, word in (("imap", "cannot be changed"), ("import", "imap or journal expected")):
        said = refused(holdfast, write(head + f"kind-a,imaps://a@h.invalid/,,{kind}\n"))
        assert "2:" in said and word in said


def test_show_tells_limits_what_is_watched_left_out_and_not_trusted(holdfast, write):
    secret = holdfast.secret_file("shown", "pw")
    holdfast.run("account", "import", write(f"name,url,password_file\nshown,imaps://a@h.invalid/,{secret}\n"))
    facts = holdfast.json("account", "show", "shown")
    assert (facts["watch"], facts["left_out"], facts["distrusted_ids"]) == ([], [], [])
    holdfast.run("account", "edit", "shown", "--max-connections", "2", "--daily-bytes", "5G", "--watch", "INBOX")
    account = "(SELECT account_id FROM account_name WHERE name = 'shown')"
    holdfast.sql(f"INSERT INTO mailbox_left_out (account_id, path, reason) VALUES ({account}, 'Team/x', 'shared')")
    holdfast.sql("INSERT INTO mailbox_left_out (account_id, path, reason, rule) "
                 f"VALUES ({account}, 'Junk', 'pattern', '\\Junk')")
    holdfast.sql("INSERT INTO identity_scope (account_id, scope, kind, host, login, distrusted_at) "
                 f"VALUES ({account}, 1, 'EMAILID', 'h.invalid', 'a', now())")
    facts = holdfast.json("account", "show", "shown")
    assert (facts["max_connections"], facts["daily_bytes"]) == (2, 5_000_000_000)
    assert facts["watch"] == ["INBOX"]
    assert [(m["path"], m["reason"], m["rule"]) for m in facts["left_out"]] == [
        ("Junk", "pattern", "\\Junk"), ("Team/x", "shared", None)]
    assert [a["kind"] for a in holdfast.json("account", "list") if a["name"] == "shown"] == ["imap"]
    assert (facts["kind"], facts["own_tls_ca"]) == ("imap", False) and "next_run_at" in facts
    assert [(d["kind"], d["host"], d["login"]) for d in facts["distrusted_ids"]] == [("EMAILID", "h.invalid", "a")]
    text = holdfast.run("account", "show", "shown").stdout
    for words in ("at most 2\n", "watched:        INBOX", "left out:       Team/x (shared",
                  "not trusted:    EMAILID of a at h.invalid"):
        assert words in text, text


def test_every_wrong_line_is_told_with_its_column_and_nothing_is_imported(holdfast, write):
    secret = holdfast.secret_file("right", "pw")
    path = write("name,url,password_file,password_command,exclude,every\n"
                 f"wrong-1,imaps://a@h.invalid/,{secret},,,\n"
                 f"wrong-2,https://h.invalid/,{secret},,,\n"
                 f"wrong-3,imaps://a@h.invalid/,/no/such/file,,,\n"
                 f"wrong-4,imaps://a@h.invalid/,{secret},,\\Spam,\n"
                 f"wrong-5,imaps://a@h.invalid/,{secret},,,never\n"
                 f"wrong-6,imaps://a@h.invalid/,{secret},true,,\n"
                 "wrong-7,imaps://a@h.invalid/\n"
                 "wrong-8,imaps://a@h.invalid/,,,,\n"
                 "wrong/9,imaps://a@h.invalid/,,echo pw,,\n")
    said = refused(holdfast, path)
    for line, word in ((3, "url:"), (4, "password_file:"), (5, "exclude:"), (6, "every:"),
                       (7, "more than one way"), (8, "2 fields"), (9, "needs a password"),
                       (10, "name:")):
        assert any(f":{line}: " in row and word in row for row in said.splitlines()), (line, said)
    assert "nothing is imported: 8 lines are wrong" in said
    assert not accounts(holdfast, "wrong-%")


def test_two_imports_at_once_add_each_account_once(holdfast, write):
    secret = holdfast.secret_file("atonce", "pw")
    path = write("name,url,password_file\n" + "".join(
        f"atonce-{n},imaps://a{n}@h.invalid/,{secret}\n" for n in range(300)))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda _: holdfast.json("account", "import", path), range(3)))
    assert sorted((value["added"], value["unchanged"]) for value in said) == [(0, 300), (0, 300), (300, 0)]
    assert len(accounts(holdfast, "atonce-%")) == 300


def test_two_lines_of_one_name_are_wrong(holdfast, write):
    secret = holdfast.secret_file("twice", "pw")
    for more in ((), ("--update",)):
        said = refused(holdfast, write("name,url,password_file\n"
                                       f"twice,imaps://a@h.invalid/,{secret}\n"
                                       f"twice,imaps://b@h.invalid/,{secret}\n"), *more)
        assert ":3: name: " in said and "line 2" in said and not accounts(holdfast, "twice")


def test_a_line_that_is_not_utf8_is_told_like_any_other(holdfast, write):
    secret = holdfast.secret_file("latin", "pw")
    said = refused(holdfast, write(f"name,url,password_file,include\n"
                                   f"latin-m\xfcller,imaps://a@h.invalid/,{secret},\n"
                                   f"latin-2,imaps://m%FCller@h.invalid/,{secret},\n"
                                   f"latin-3,imaps://a@h.invalid/,{secret},B\xfcro\n"
                                   f"latin-4,imaps://a@h.invalid/,{secret},Work\n".encode("latin-1")))
    for start in (":2: name: not UTF-8", ":3: url: not UTF-8", ":4: include: not UTF-8", "3 lines are wrong"):
        assert start in said, said
    assert not accounts(holdfast, "latin-%")


def test_what_a_list_holds_does_not_steer_the_terminal(holdfast, write):
    path = write(b"name,url,password_file\nx,imaps://a@h.invalid/,/no/\x1b[31m\xe2\x80\xae\xff\n")
    said = holdfast.run("account", "import", path, check=False, text=False).stderr.decode()
    assert "/no/?[31m" in said and not set(said) & set("\x1b\u202e")
    (error,) = json.loads(holdfast.run("account", "import", path, "--json", check=False).stdout)["errors"]
    assert "No such file" in error["text"] or "UTF-8" in error["text"]


def test_an_account_without_a_source_is_not_given_one(holdfast, write):
    holdfast.run("account", "add", "filled", "--kind", "import")
    secret = holdfast.secret_file("filled", "pw")
    for arguments in (("--url", "imaps://a@h.invalid/"), ("--password-file", secret), ("--every", "1h")):
        done = holdfast.run("account", "edit", "filled", *arguments, check=False)
        assert done.returncode == 1 and "no source" in done.stderr
    assert "no source" in refused(holdfast, write(
        f"name,url,password_file\nfilled,imaps://a@h.invalid/,{secret}\n"), "--update")
    assert holdfast.json("account", "show", "filled")["url"] == "-"
    holdfast.run("account", "edit", "filled", "--name", "filled-2")


@pytest.mark.parametrize("text,word", [
    ("name,uri\n", "no column is called 'uri'"), ("name,name,url\n", "two columns"),
    ("name,password_file\n", "name and url at least"), ("", "empty"),
    ('name,url\n"a,b\n', "never closed"), ("name,url,password\n", "--allow-plain")])
def test_a_list_that_cannot_be_read_is_refused(holdfast, write, text, word):
    assert word in refused(holdfast, write(text))


def test_passwords_in_the_list_need_a_flag_and_a_private_file(holdfast, write):
    text = "name,url,password\nplain,imaps://a@h.invalid/,pw\n"
    assert "chmod 600" in refused(holdfast, write(text, 0o640), "--allow-plain")
    assert "1 added" in holdfast.run("account", "import", write(text), "--allow-plain").stdout


def test_one_credential_serves_a_whole_tenant(holdfast, write):
    config = write(json.dumps({"token_url": "https://login.invalid/token", "client_id": "c",
                               "client_secret": "s", "scope": "mail"}), name="grant.json")
    holdfast.run("credential", "add", "tenant", "--oauth", "client-credentials", "--oauth-config",
                 config)
    said = holdfast.run("credential", "consent", "tenant", check=False)
    assert said.returncode == 1 and "asks nobody" in said.stderr
    path = write("name,url,credential\n" + "".join(
        f"tenant-{n},imaps://user{n}%40x.invalid@h.invalid/,tenant\n" for n in range(3)))
    assert "3 added" in holdfast.run("account", "import", path).stdout
    assert "3 unchanged" in holdfast.run("account", "import", path).stdout
    assert "no credential" in refused(holdfast, write(
        "name,url,credential\nx,imaps://a@h.invalid/,tenants\n"))


@pytest.mark.slow
def test_ten_thousand_lines_are_imported_in_seconds(new_holdfast):
    holdfast = new_holdfast(workers=0)
    secret = holdfast.secret_file("many", "pw")
    path = holdfast.dir / "many.csv"
    path.write_text("name,url,password_file\n" + "".join(
        f"many-{n},imaps://user{n}@h{n % 50}.invalid/,{secret}\n" for n in range(LINES)))
    holdfast.run("init")
    started = time.monotonic()
    assert f"{LINES} added" in holdfast.run("account", "import", path).stdout
    print(f"{LINES} lines: {time.monotonic() - started:.1f} s")
    assert f"{LINES} unchanged" in holdfast.run("account", "import", path).stdout
    assert time.monotonic() - started < 120
