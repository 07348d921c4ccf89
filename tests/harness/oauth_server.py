# SPDX-License-Identifier: Apache-2.0
"""OAuth servers on loopback (oauth_server.mjs) and the Dovecot that checks their tokens."""
import json
import pathlib
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from .place import ROOT, accepts_connections, free_port, wait_for

MODULES = ROOT / "tests" / "node_modules"
SCRIPT = ROOT / "tests" / "harness" / "oauth_server.mjs"

# Two kinds of tokens: JWT, checked with the server's key; opaque, asked of the server.
PASSDB = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/dovecot-jwt.conf
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/dovecot-opaque.conf
}}
# No delays after refused logins.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


def why_absent():
    """Why these tests cannot run here, or None."""
    if shutil.which("node") is None:
        return "node is not installed: ops/install-deps.sh full"
    if not (MODULES / "oidc-provider").is_dir():
        return "node modules are not installed: ops/install-deps.sh test"
    return None


def make_key(folder, name, subject=None):
    """RSA key NAME.key, its public half NAME.pub, and with a subject a certificate NAME.crt."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{name}.key")
    openssl("pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub")
    if subject:
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", subject, "-days", "2", "-out",
                f"{name}.crt")
    return folder / f"{name}.key"


class _StaysHere(urllib.request.HTTPRedirectHandler):
    """Follows redirections but to `elsewhere`, as a browser that cannot reach it."""
    def __init__(self, elsewhere):
        self.elsewhere = elsewhere

    def redirect_request(self, request, answer, code, text, headers, url):
        if self.elsewhere is not None and url.startswith(self.elsewhere):
            return None
        return super().redirect_request(request, answer, code, text, headers, url)


def browse(url, elsewhere=None):
    """What a browser shows that opens `url`: or, sent to `elsewhere`, the address at which it ends."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(), _StaysHere(elsewhere))
    try:
        with browser.open(url, timeout=20) as page:
            return page.read().decode()
    except urllib.error.HTTPError as error:
        if elsewhere is None or error.code not in (302, 303):
            raise
        return error.headers["Location"]


class OAuthServer:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder) / "oauth"
        self.dir.mkdir()
        self.dir.chmod(0o755)
        self.mock_port, self.oidc_port, self.control_port = free_port(), free_port(), free_port()
        self.mock = f"http://127.0.0.1:{self.mock_port}"
        self.oidc = f"http://127.0.0.1:{self.oidc_port}"
        make_key(self.dir, "client", "/CN=holdfast client")
        make_key(self.dir, "service")
        (self.dir / "settings.json").write_text(json.dumps({
            "mock_port": self.mock_port, "oidc_port": self.oidc_port,
            "control_port": self.control_port, "folder": str(self.dir),
            "client_key": (self.dir / "client.pub").read_text(),
            "service_key": (self.dir / "service.pub").read_text()}))
        (self.dir / "dovecot-jwt.conf").write_text(
            "introspection_mode = local\nissuers = " + self.mock + "\nusername_attribute = email\n"
            f"local_validation_key_dict = fs:posix:prefix={self.dir}/keys/\n")
        (self.dir / "dovecot-opaque.conf").write_text(
            "introspection_mode = post\nforce_introspection = yes\nusername_attribute = email\n"
            "active_attribute = active\nactive_value = true\n"
            "introspection_url = http://dovecot:dovecot-test-only@127.0.0.1:"
            f"{self.oidc_port}/token/introspection\n")
        self.process = None

    def start(self):
        log = (self.dir / "server.log").open("ab")
        self.process = subprocess.Popen(["node", str(SCRIPT), str(self.dir / "settings.json")],
                                        cwd=ROOT / "tests", stdout=log, stderr=log)
        wait_for(self._is_up, 60, f"the OAuth servers (see {self.dir}/server.log)")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "server.log").read_text()
        return accepts_connections(self.control_port)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=20)
            self.process = None

    def dovecot_settings(self):
        """What a Dovecot that takes these tokens is made with."""
        return {"mechanisms": "xoauth2 oauthbearer plain", "extra": PASSDB.format(folder=self.dir)}

    def control(self, command, **body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.control_port}/{command}",
                                         json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def requests(self):
        """What the token endpoints were asked since the last forget()."""
        return self.control("state")["requests"]

    def forget(self):
        self.control("forget")

    def post(self, url, **form):
        """Status and JSON of a request of our own."""
        try:
            with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
