# SPDX-License-Identifier: Apache-2.0
"""Source accounts without passwords: tokens of real OAuth servers, checked by a real Dovecot, and client
certificates."""
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import certificates, mail
from harness.dovecot import Dovecot
from harness.holdfast import installation
from harness.oauth_server import OAuthServer, browse, why_absent
from harness.place import wait_for
from harness.token_proxy import TokenProxy

pytestmark = pytest.mark.skipif(why_absent() is not None, reason=str(why_absent()))

USERS = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
MESSAGES = 3
MAKE_OLDER = ("UPDATE oauth_token SET obtained_at = obtained_at - interval '1 minute', "
              "expires_at = expires_at - interval '1 minute'")  # one that is brand new is not replaced
EXPIRE = "UPDATE oauth_token SET expires_at = now() - interval '1 second'"


@pytest.fixture(scope="module")
def servers(module_place):
    made = OAuthServer(module_place).start()
    yield made
    made.stop()


@pytest.fixture
def oauth(servers):
    servers.forget()
    return servers


@pytest.fixture(scope="module")
def dovecot(module_place, servers):
    made = Dovecot(module_place, users=USERS, **servers.dovecot_settings()).start()
    for user in USERS:
        for message in mail.generate(MESSAGES):
            made.deliver(user, message)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def holdfast(module_place):
    with installation(module_place, workers=2) as made:
        yield made


def config_file(holdfast, name, config, mode=0o600):
    path = holdfast.dir / f"{name}.json"
    path.write_text(json.dumps(config))
    path.chmod(mode)
    return path


def said(done):
    return done.stdout + done.stderr


def add(holdfast, dovecot, user, kind, config, *more, url=None, check=True):
    return holdfast.run("account", "add", user, "--url", url or dovecot.url(user), "--tls-ca", dovecot.ca,
                        "--every", "1h", "--oauth", kind, "--oauth-config",
                        config_file(holdfast, user, config), *more, check=check)


def sync(holdfast, name, status=0):
    done = holdfast.run("sync", name, check=False)
    assert done.returncode == status, said(done)
    return said(done)


def archived(holdfast, name):
    return holdfast.sql("SELECT count(*), count(DISTINCT message_id) FROM placement JOIN account_name "
                        "USING (account_id) WHERE name = %s", name)[0]


def mock_config(oauth, **more):
    return {"token_url": f"{oauth.mock}/token", "client_id": "c", "client_secret": "hush-of-the-mock",
            "scope": "https://outlook.office365.com/.default", "mailbox_parameter": "login_hint", **more}


def opaque_config(oauth, **more):
    return {"token_url": f"{oauth.oidc}/token", "client_id": "app", "client_secret": "app-test-only",
            "mailbox_parameter": "login_hint", "scope": "mail", **more}


def test_client_credentials_with_a_secret_get_a_token_that_is_kept(holdfast, dovecot, oauth):
    add(holdfast, dovecot, "alice", "client-credentials", mock_config(oauth))
    assert "3 new messages" in sync(holdfast, "alice")
    sync(holdfast, "alice")
    (request,) = oauth.requests()
    assert request["grant_type"] == "client_credentials"
    shown = holdfast.json("account", "show", "alice")
    assert shown["login"] == "oauth" and shown["oauth"]["token_url"] == f"{oauth.mock}/token"
    assert shown["oauth"]["token_expires_at"] > shown["created_at"]
    text = holdfast.run("account", "show", "alice").stdout + json.dumps(shown) + holdfast.log()
    assert "hush-of-the-mock" not in text and "client_id:" in text
    assert "method=OAUTHBEARER" in (dovecot.dir / "dovecot.log").read_text()


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_a_certificate_stands_for_the_client_secret(holdfast, new_dovecot, oauth, mechanism):
    settings = oauth.dovecot_settings()
    dovecot = new_dovecot(users=("bob",), extra=settings["extra"], mechanisms=mechanism)
    dovecot.deliver("bob", next(mail.generate(1)))
    config = {"token_url": f"{oauth.oidc}/token", "client_id": "certified", "scope": "mail",
              "certificate_file": str(oauth.dir / "client.crt"),
              "private_key_file": str(oauth.dir / "client.key"), "mailbox_parameter": "login_hint"}
    name = f"bob-{mechanism}"
    holdfast.run("account", "add", name, "--url", dovecot.url("bob"), "--tls-ca", dovecot.ca,
                 "--oauth", "client-credentials", "--oauth-config", config_file(holdfast, name, config))
    assert "1 new message" in sync(holdfast, name)
    assert f"method={mechanism.upper()}" in (dovecot.dir / "dovecot.log").read_text()
    assert "PRIVATE KEY" not in json.dumps(holdfast.json("account", "show", name))


def test_a_service_account_signs_for_each_mailbox(holdfast, dovecot, oauth):
    key = config_file(holdfast, "google", {
        "type": "service_account", "client_email": "holdfast@project.test", "private_key_id": "k1",
        "private_key": (oauth.dir / "service.key").read_text(), "token_uri": f"{oauth.oidc}/token"})
    config = {"google_key_file": str(key), "scope": "mail", "client_id": "app",
              "client_secret": "app-test-only"}
    add(holdfast, dovecot, "carol", "service-account", config)
    assert "3 new messages" in sync(holdfast, "carol")

    refused = add(holdfast, dovecot, "suspended", "service-account", config, check=False)
    assert refused.returncode == 1
    assert "invalid_grant (the user is suspended)" in said(refused)

    holdfast.run("account", "edit", "carol", "--oauth", "service-account", "--oauth-config",
                 config_file(holdfast, "carol", {**config, "audience": "https://elsewhere.test/"}))
    refused = holdfast.run("account", "test", "carol", check=False)
    assert refused.returncode == 1
    assert "aud" in said(refused) and "check the clock" in said(refused)


def test_one_credential_serves_the_accounts_of_a_tenant(holdfast, dovecot, oauth):
    holdfast.run("credential", "add", "tenant", "--oauth", "client-credentials", "--oauth-config",
                 config_file(holdfast, "tenant", mock_config(oauth)))
    for user in ("dave", "erin"):
        holdfast.run("account", "add", user, "--url", dovecot.url(user), "--tls-ca", dovecot.ca,
                     "--credential", "tenant")
        assert "3 new messages" in sync(holdfast, user)
    (row,) = holdfast.json("credential", "list")
    assert (row["name"], row["accounts"]) == ("tenant", 2)
    assert holdfast.json("account", "show", "dave")["credential"] == "tenant"
    assert "hush" not in holdfast.run("credential", "show", "tenant").stdout
    kept = holdfast.run("credential", "remove", "tenant", check=False)
    assert kept.returncode == 1 and "(2 of them)" in said(kept)
    # Who can write to the database, and has no master key, cannot point an account elsewhere.
    holdfast.run("credential", "add", "other", "--oauth", "client-credentials", "--oauth-config",
                 config_file(holdfast, "other", mock_config(oauth, client_id="other")))
    holdfast.sql("UPDATE account_secret SET credential_id = (SELECT max(credential_id) FROM credential) "
                 "WHERE account_id = (SELECT account_id FROM account_name WHERE name = 'erin')")
    assert "does not open" in sync(holdfast, "erin", status=1)


def consent(holdfast, oauth, *arguments, user="frank", **answer):
    """A command that asks for consent, and the human who gives it. Its exit status and words."""
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), *arguments],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shown = ""
    while not (code := re.search(r"^ +([A-Z]{4}-[A-Z]{4})$", shown, re.M)):
        line = process.stderr.readline()
        assert line, shown + process.stdout.read()
        shown += line
    assert f"{oauth.oidc}/device" in shown
    assert oauth.control("consent", user_code=code[1], user=user, **answer)["found"]
    output, errors = process.communicate(timeout=120)
    return process.returncode, output + shown + errors


def issued(oauth):
    return oauth.control("state")["refresh_tokens"]


def test_a_device_consents_and_its_refresh_token_rotates_through_a_killed_gate(holdfast, dovecot, oauth):
    config = {"token_url": f"{oauth.oidc}/token", "device_url": f"{oauth.oidc}/device/auth",
              "client_id": "app", "client_secret": "app-test-only", "scope": "openid offline_access"}
    path = config_file(holdfast, "frank", config)
    arguments = ("account", "add", "frank", "--url", dovecot.url("frank"), "--tls-ca", str(dovecot.ca),
                 "--oauth", "device", "--oauth-config", str(path))
    status, words = consent(holdfast, oauth, *arguments, declines=True)
    assert status == 1 and "access_denied" in words
    assert not holdfast.sql("SELECT 1 FROM account_name WHERE name = 'frank'")
    status, words = consent(holdfast, oauth, *arguments)
    assert status == 0, words
    assert "3 new messages" in sync(holdfast, "frank")
    assert holdfast.json("account", "show", "frank")["oauth"]["has_consent"] is True

    # The consent's token got the first access token, whose answer rotated it once.
    before = issued(oauth)
    holdfast.sql(EXPIRE)
    changed = "SELECT updated_at FROM account_secret JOIN account_name USING (account_id) WHERE name = 'frank'"
    updated_at = holdfast.sql(changed)
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "sync", "frank"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: holdfast.sql(changed) != updated_at, 30, "the rotated refresh token to be kept")
    for pid in holdfast.pids("gate"):
        os.kill(pid, signal.SIGKILL)
    process.wait(timeout=120)
    wait_for(lambda: holdfast.pids("gate"), 30, "holdfastd to start the gate again")
    wait_for(lambda: holdfast.run("sync", "frank", check=False).returncode == 0, 60, "a sync to succeed")
    assert len(issued(oauth)) == len(before) + 1, "the token that was kept was used"
    holdfast.sql(EXPIRE)
    sync(holdfast, "frank")
    assert archived(holdfast, "frank") == (MESSAGES, MESSAGES)

    # The old one is worth nothing. Trying it takes the whole consent back: that is how theft shows.
    status, answer = oauth.post(f"{oauth.oidc}/token", grant_type="refresh_token", client_id="app",
                                client_secret="app-test-only", refresh_token=before[-1])
    assert (status, answer["error"]) == (400, "invalid_grant")
    holdfast.sql(EXPIRE)
    assert "consent anew" in sync(holdfast, "frank", status=1)
    status, words = consent(holdfast, oauth, "account", "consent", "frank")
    assert status == 0, words
    sync(holdfast, "frank")


def ask_browser(holdfast, *arguments):
    """A command that waits for a browser, the address to open, and where the browser shall come back to."""
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), *arguments],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shown = ""
    while "press return" not in shown:
        line = process.stderr.readline()
        assert line, shown + process.stdout.read()
        shown += line
    url = re.search(r"^ +(http\S+)$", shown, re.M)[1]
    return process, url, re.search(r"begins with (http\S+)\.$", shown, re.M)[1]


def test_a_human_consents_in_a_browser_on_this_machine_or_pastes_where_another_ended(holdfast, dovecot, oauth):
    config = {"token_url": f"{oauth.oidc}/token", "authorization_url": f"{oauth.oidc}/auth?prompt=consent",
              "client_id": "native", "scope": "openid offline_access"}
    path = config_file(holdfast, "ivan", config)
    arguments = ("account", "add", "ivan", "--url", dovecot.url("ivan"), "--tls-ca", str(dovecot.ca),
                 "--oauth", "authorization-code", "--oauth-config", str(path))
    oauth.control("set", user="ivan", declines=True)
    process, url, _ = ask_browser(holdfast, *arguments)
    assert "Consent was not given" in browse(url)
    assert "access_denied (declined): somebody declined" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert not holdfast.sql("SELECT 1 FROM account_name WHERE name = 'ivan'")

    oauth.control("set", declines=False)
    process, url, back = ask_browser(holdfast, *arguments)
    assert "code_challenge_method=S256" in url and f"{oauth.oidc}/auth?prompt=consent&" in url
    stranger = urllib.request.Request(f"{back}/?code=x&state=y")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(stranger, timeout=20)
    assert "can be closed" in browse(url)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert "3 new messages" in sync(holdfast, "ivan")
    assert holdfast.json("account", "show", "ivan")["oauth"]["has_consent"] is True
    assert {request["grant_type"] for request in oauth.requests()} == {"authorization_code", "refresh_token"}
    holdfast.sql(EXPIRE)
    sync(holdfast, "ivan")

    process, url, back = ask_browser(holdfast, "account", "consent", "ivan")
    ended = browse(url, elsewhere=back)
    assert ended.startswith(back)
    process.stdin.write(f"what\n{ended.replace('state=', 'state=x')}\n")
    process.stdin.flush()
    assert "expected. Paste the address" in process.stderr.readline()
    assert "another request" in process.stderr.readline()
    output, errors = process.communicate(f"  {ended}\n", timeout=60)
    assert process.returncode == 0 and "consent is kept" in output, output + errors
    holdfast.sql(EXPIRE)
    sync(holdfast, "ivan")
    secret = re.search(r"code=([^&]+)", ended)[1]
    assert secret not in holdfast.log() + output + errors + holdfast.run("account", "show", "ivan").stdout


def test_a_consent_that_comes_back_to_another_address_is_pasted(holdfast, oauth):
    config = {"token_url": f"{oauth.oidc}/token", "authorization_url": f"{oauth.oidc}/auth?prompt=consent",
              "client_id": "native", "scope": "openid offline_access",
              "redirect_url": "https://holdfast.test/consent"}
    arguments = ("credential", "add", "pasted", "--oauth", "authorization-code", "--oauth-config",
                 str(config_file(holdfast, "pasted", config)))
    process, url, back = ask_browser(holdfast, *arguments)
    assert back == config["redirect_url"]
    assert "standard input ended without an answer" in process.communicate(timeout=60)[1]
    assert process.returncode == 1
    process, url, _ = ask_browser(holdfast, *arguments)
    output, errors = process.communicate(browse(url, elsewhere=back) + "\n", timeout=60)
    assert process.returncode == 0, output + errors
    assert holdfast.json("credential", "show", "pasted")["has_consent"] is True


def kill_gate_before_its_commit(holdfast, oauth, name, has_grace=False):
    """The endpoint has answered with another refresh token, and the gate dies as it writes it down. With grace the
    endpoint takes the one before it, too."""
    given = len(issued(oauth))
    holdfast.sql(EXPIRE)
    lock = holdfast.connect()
    try:
        lock.cursor().execute("LOCK TABLE account_secret IN SHARE MODE")  # may be read and locked, not written
        process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "sync", name],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: holdfast.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND "
                                      "relation = 'account_secret'::regclass"), 60, "the gate to write")
        assert len(issued(oauth)) == given + 1
        if has_grace:
            oauth.control("grace")
        (gate,) = holdfast.pids("gate")
        os.kill(gate, signal.SIGKILL)
    finally:
        lock.close()
    process.wait(timeout=120)
    wait_for(lambda: [pid for pid in holdfast.pids("gate") if pid != gate], 60, "holdfastd to start another gate")


def test_a_gate_killed_between_the_answer_and_its_commit_is_found_out_and_mended(holdfast, dovecot, oauth):
    config = {"token_url": f"{oauth.oidc}/token", "authorization_url": f"{oauth.oidc}/auth?prompt=consent",
              "client_id": "native", "scope": "openid offline_access"}
    oauth.control("set", user="judy")
    process, url, _ = ask_browser(
        holdfast, "account", "add", "judy", "--url", dovecot.url("judy"), "--tls-ca", str(dovecot.ca), "--every",
        "1h", "--oauth", "authorization-code", "--oauth-config", str(config_file(holdfast, "judy", config)))
    browse(url)
    assert process.wait(timeout=60) == 0
    sync(holdfast, "judy")

    kill_gate_before_its_commit(holdfast, oauth, "judy", has_grace=True)
    wait_for(lambda: holdfast.run("sync", "judy", check=False).returncode == 0, 60, "the old token to be tried")
    assert holdfast.sql("SELECT number FROM oauth_exchange") == []

    kill_gate_before_its_commit(holdfast, oauth, "judy")
    ((number,),) = holdfast.sql("SELECT number FROM oauth_exchange")
    wait_for(lambda: holdfast.run("sync", "judy", check=False).returncode == 1, 60, "the old token to be tried")
    asked = len(oauth.requests())
    told = sync(holdfast, "judy", status=1)
    assert f"exchange {number} with the token endpoint, begun 20" in told
    assert "is lost, and the one before it is refused. `holdfast account consent NAME` mends it" in told
    assert len(oauth.requests()) == asked, "it is not sent again"
    process, url, _ = ask_browser(holdfast, "account", "consent", "judy")
    browse(url)
    assert process.wait(timeout=60) == 0
    assert "complete" in sync(holdfast, "judy")


def test_a_token_that_looks_good_and_is_refused_is_replaced_exactly_once(holdfast, dovecot, oauth):
    add(holdfast, dovecot, "grace", "client-credentials", opaque_config(oauth))
    sync(holdfast, "grace")
    oauth.forget()
    holdfast.sql(MAKE_OLDER)
    assert oauth.control("revoke")["revoked"] > 0
    assert "complete" in sync(holdfast, "grace")
    assert len(oauth.requests()) == 1

    of_alice = opaque_config(oauth)
    del of_alice["mailbox_parameter"]
    holdfast.run("account", "edit", "grace", "--oauth", "client-credentials", "--oauth-config",
                 config_file(holdfast, "grace", of_alice))
    oauth.forget()
    for asked in (1, 2):
        refused = holdfast.run("account", "test", "grace", check=False)
        assert refused.returncode == 1 and "the endpoint gave a token" in said(refused)
        assert len(oauth.requests()) == asked
        holdfast.sql(MAKE_OLDER)


@pytest.mark.slow  # the time-out of an exchange
def test_an_endpoint_that_does_not_answer_keeps_nobody_else_waiting(holdfast, dovecot, oauth):
    add(holdfast, dovecot, "stuck", "client-credentials", opaque_config(oauth), "--no-test",
        url=dovecot.url("bob").replace("localhost", "127.0.0.1"))  # a host has never all workers
    holdfast.run("account", "add", "by-password", "--url", dovecot.url("bob"), "--tls-ca", dovecot.ca,
                 "--no-test", "--password-file", holdfast.secret_file("bob", dovecot.users["bob"]))
    oauth.control("set", delay_ms=30_000)
    process = subprocess.Popen([str(holdfast.bin / "holdfast"), "-c", str(holdfast.conf), "account", "test",
                                "stuck"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: oauth.control("state")["waiting"] > 0, 30, "the endpoint to be asked")
    sync(holdfast, "by-password")
    assert process.poll() is None, "the other one still waits"
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 3 and "Timeout" in words, words


def test_what_the_endpoint_answers_is_told_and_sorted(holdfast, dovecot, oauth):
    add(holdfast, dovecot, "bob", "client-credentials", mock_config(oauth), "--no-test")
    oauth.control("set", fail={"status": 503, "body": {"error": "temporarily_unavailable"}})
    busy = holdfast.run("account", "test", "bob", check=False)
    assert busy.returncode == 3 and "HTTP 503, temporarily_unavailable" in said(busy)
    assert f"{oauth.mock}/token" in said(busy)
    oauth.control("set", fail={"status": 401, "body": {"error": "invalid_client",
                                                      "error_description": "AADSTS7000222: expired"}})
    wrong = holdfast.run("account", "test", "bob", check=False)
    assert wrong.returncode == 1 and "invalid_client (AADSTS7000222: expired)" in said(wrong)

    # A token that should be renewed is used while the endpoint is away, as long as it lasts.
    oauth.forget()
    sync(holdfast, "bob")
    holdfast.sql("UPDATE oauth_token SET obtained_at = now() - interval '1 hour', "
                 "expires_at = now() + interval '90 seconds'")
    oauth.forget()
    oauth.control("set", fail={"status": 500, "body": {}})
    assert "complete" in sync(holdfast, "bob")
    assert oauth.requests() != []


def test_a_token_that_expires_in_mid_fetch_costs_nothing(holdfast, dovecot, oauth):
    for message in mail.generate(400):
        dovecot.deliver("heidi", message, mailbox="Much")
    proxy = TokenProxy(dovecot.port, expire_after=200_000,
                       on_expiry=lambda: (holdfast.sql(MAKE_OLDER), oauth.control("revoke"))).start()
    try:
        add(holdfast, dovecot, "heidi", "client-credentials", opaque_config(oauth), "--no-test",
            url=f"imap+plain://heidi@127.0.0.1:{proxy.port}/")
        sync(holdfast, "heidi")
        assert proxy.expiries == 1
        holdfast.run("reconcile", "heidi")
    finally:
        proxy.stop()
    assert archived(holdfast, "heidi") == (MESSAGES + 400, 400)  # generate() begins with the same ones


def test_mistakes_in_a_grant_are_named_before_anything_is_stored(holdfast, dovecot, oauth):
    mistakes = [
        (mock_config(oauth, token_url="http://login.example/token"), "token_url", 0o600),
        (mock_config(oauth, tokn="x"), "tokn", 0o600),
        ({"token_url": f"{oauth.mock}/token", "client_id": "c"}, "client_secret", 0o600),
        (mock_config(oauth), "chmod 600", 0o644),
    ]
    for config, word, mode in mistakes:
        path = config_file(holdfast, "mistake", config, mode)
        refused = holdfast.run("account", "add", "mistake", "--url", dovecot.url("alice"), "--oauth",
                               "client-credentials", "--oauth-config", path, check=False)
        assert refused.returncode == 1 and word in said(refused), said(refused)
        assert "hush" not in said(refused)
    both = holdfast.run("account", "add", "mistake", "--url", dovecot.url("alice"), "--password-file",
                        holdfast.secret_file("x", "y"), "--credential", "z", check=False)
    assert both.returncode == 2
    assert not holdfast.sql("SELECT 1 FROM account_name WHERE name = 'mistake'")


EXTERNAL = """
ssl_ca = <{ca}
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_require_client_cert = yes
auth_ssl_username_from_cert = yes
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
"""


def test_a_client_certificate_logs_in_by_external(holdfast, new_dovecot, place):
    folder = place / "people"
    ca = certificates.make_authority(folder)
    cert, key = certificates.make_server_certificate(folder, hosts=("alice",), name="alice")
    stranger, stranger_key = certificates.make_server_certificate(folder, hosts=("mallory",), name="mallory")
    dovecot = new_dovecot(mechanisms="external", extra=EXTERNAL.format(ca=ca))
    dovecot.deliver("alice", next(mail.generate(1)))
    arguments = ("account", "add", "by-certificate", "--url", dovecot.url("alice"), "--tls-ca", dovecot.ca)
    mixed = holdfast.run(*arguments, "--client-certificate", cert, "--client-key", stranger_key, check=False)
    assert mixed.returncode == 1 and "does not belong" in said(mixed)
    holdfast.run(*arguments, "--client-certificate", cert, "--client-key", key)
    assert "1 new message" in sync(holdfast, "by-certificate")
    assert "method=EXTERNAL" in (dovecot.dir / "dovecot.log").read_text()
    holdfast.run("account", "edit", "by-certificate", "--client-certificate", stranger, "--client-key",
                 stranger_key)
    refused = holdfast.run("account", "test", "by-certificate", check=False)
    assert refused.returncode == 1 and "client certificate" in said(refused)
