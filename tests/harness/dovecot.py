# SPDX-License-Identifier: Apache-2.0
"""A real Dovecot on loopback: its own folder, ports and authority; Maildir with known contents."""
import base64
import imaplib
import os
import pathlib
import pwd
import re
import signal
import ssl
import subprocess

from . import certificates
from .place import accepts_connections, children_of, end_at_once, free_port, runs, wait_for

MAIL_USER = "mail"  # Debian's own, for a Dovecot that was started by root

CONFIG = """
base_dir = {run}
state_dir = {run}/state
log_path = {dir}/dovecot.log
info_log_path = {dir}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
mail_location = {location}
mail_max_userip_connections = 200
mailbox_list_index = yes
{identity}
first_valid_uid = 1
namespace inbox {{
  inbox = yes
  separator = {separator}
}}
passdb {{
  driver = passwd-file
  args = scheme=plain {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
service imap-login {{
  service_count = 0
  {login_chroot}
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  {login_chroot}
}}
service imap {{
  process_limit = 200
}}
{extra}
"""


class Dovecot:
    """separator: as clients see it; names are without prefix."""

    prefix = ""

    def __init__(self, folder, users=("alice",), mechanisms="plain login", location=None,
                 separator="/", hosts=("localhost", "127.0.0.1"), extra="", zone="Europe/Berlin"):
        self.dir = pathlib.Path(folder) / "dovecot"
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o755)
        self.users = {user: f"pw-{user}" for user in users}
        self.port, self.tls_port = free_port(), free_port()
        self.ca = certificates.make_authority(self.dir / "tls")
        self.cert, self.key = certificates.make_server_certificate(self.dir / "tls", hosts)
        self.zone, self.separator = zone, separator
        self.process = None
        self.sequence = 0
        self.is_root = os.geteuid() == 0
        owner = pwd.getpwnam(MAIL_USER) if self.is_root else pwd.getpwuid(os.geteuid())
        self.uid, self.gid = owner.pw_uid, owner.pw_gid
        self._write_files(mechanisms, location or "maildir:~/Maildir", separator, extra)

    def _write_files(self, mechanisms, location, separator, extra):
        lines = []
        for user, password in self.users.items():
            home = self.dir / "home" / user
            home.mkdir(parents=True)
            os.chown(home, self.uid, self.gid)
            lines.append(f"{user}:{{PLAIN}}{password}:{self.uid}:{self.gid}::{home}::\n")
        (self.dir / "users").write_text("".join(lines))
        identity, chroot = "", ""
        if not self.is_root:
            name, group = pwd.getpwuid(self.uid).pw_name, self.gid
            identity = (f"default_internal_user = {name}\ndefault_login_user = {name}\n"
                        f"default_internal_group = {_group_name(group)}\n")
            chroot = "chroot ="
        (self.dir / "dovecot.conf").write_text(CONFIG.format(
            dir=self.dir, run=self.dir / "run", cert=self.cert, key=self.key, port=self.port,
            tls_port=self.tls_port, mechanisms=mechanisms, location=location, separator=separator,
            identity=identity, login_chroot=chroot, extra=extra))

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self.dir / "dovecot.conf")],
            env={"PATH": os.environ["PATH"], "TZ": self.zone},
            stdout=subprocess.DEVNULL, stderr=(self.dir / "dovecot.err").open("ab"))
        wait_for(lambda: self._is_up(), 20, f"Dovecot on port {self.port} (see {self.dir})")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "dovecot.err").read_text()
        return accepts_connections(self.port) and accepts_connections(self.tls_port)

    def stop(self, how=signal.SIGTERM):
        """With all that it started: a login process that lingers would hold the ports."""
        if self.process is None:
            return
        started = children_of(self.process.pid)
        self.process.send_signal(how)
        self.process.wait(timeout=20)
        self.process = None
        for pid, name in started.items():
            if runs(pid, name):
                end_at_once(pid)
        wait_for(lambda: not any(runs(*one) for one in started.items()), 20,
                 "the end of all that Dovecot started")

    def doveadm(self, *arguments):
        return subprocess.run(["doveadm", "-c", str(self.dir / "dovecot.conf"), *arguments],
                              capture_output=True, text=True)

    # ---- contents ------------------------------------------------------------------------------

    def maildir(self, user, mailbox="INBOX"):
        base = self.dir / "home" / user / "Maildir"
        return base if mailbox == "INBOX" else base / ("." + modified_utf7(mailbox).replace("/", "."))

    def deliver(self, user, octets, mailbox="INBOX", flags="", at=None):
        """Puts a message into a Maildir as a delivery agent does. flags: Maildir letters, "FS"."""
        folder = self.maildir(user, mailbox)
        for sub in ("tmp", "new", "cur"):
            if not (folder / sub).exists():
                (folder / sub).mkdir(parents=True)
                for made in (folder / sub, folder, folder.parent):
                    os.chown(made, self.uid, self.gid)
        self.sequence += 1
        at = at if at is not None else 1_000_000_000 + self.sequence * 977
        name = f"{at}.M{self.sequence:08d}.test"
        path = folder / "tmp" / name
        path.write_bytes(octets)
        os.chown(path, self.uid, self.gid)
        os.utime(path, (at, at))
        final = folder / "cur" / f"{name}:2,{''.join(sorted(flags))}"
        path.rename(final)
        return final

    def client(self, user, tls=True):
        """A second client of this server, read-write."""
        if tls:
            context = ssl.create_default_context(cafile=str(self.ca))
            client = imaplib.IMAP4_SSL("localhost", self.tls_port, ssl_context=context)
        else:
            client = imaplib.IMAP4("127.0.0.1", self.port)
        client.login(user, self.users[user])
        return client

    def url(self, user, scheme="imaps"):
        port = self.tls_port if scheme == "imaps" else self.port
        return f"{scheme}://{user}@localhost:{port}/"

    def mail_files(self, user):
        """Name, content and mtime of every mail file (Dovecot's own index files excepted)."""
        base = self.maildir(user)
        files = {}
        for path in sorted(base.rglob("*")):
            if path.is_file() and path.parent.name in ("cur", "new"):
                files[str(path.relative_to(base))] = (path.read_bytes(), path.stat().st_mtime_ns)
        return files


def modified_utf7(name):
    """RFC 3501 5.1.3, as Dovecot names the folders of a Maildir."""
    def encode(match):
        octets = base64.b64encode(match[0].encode("utf-16-be")).rstrip(b"=")
        return "&" + octets.decode().replace("/", ",") + "-"
    return re.sub(r"[^\x20-\x7e]+", encode, name.replace("&", "&-"))


def _group_name(gid):
    import grp
    return grp.getgrgid(gid).gr_name
