# SPDX-License-Identifier: Apache-2.0
"""A real Courier IMAP on loopback: its own folder, ports and authority; Maildir.

Its programs have the paths of an installation built in. So it runs in a mount namespace in which the
unpacked package lies over /usr and /etc, and in a process namespace that ends with its first one."""
import os
import pathlib
import pwd
import shlex
import subprocess

from . import certificates
from .place import accepts_connections, free_port, need_mounts, wait_for
from .servers import Source, unpacked

MAIL_USER = "mail"

START = """set -e
mount -t overlay -o lowerdir={root}/usr:/usr none /usr
mount -t overlay -o lowerdir={root}/etc:/etc none /etc
mount -t tmpfs none /run
mount --bind {dir}/etc /etc/courier
mkdir -p /run/courier/authdaemon
makeuserdb
set -a
. /etc/courier/authdaemonrc
/usr/lib/courier/courier-authlib/authdaemond &
. /etc/courier/imapd
imaplogin=/usr/lib/courier/courier/imaplogin
limits="-address=127.0.0.1 -maxprocs=40 -maxperip={connections} -nodnslookup -noidentlookup"
couriertcpd $limits {port} $imaplogin /usr/bin/imapd Maildir &
IMAP_TLS=1
couriertcpd $limits {tls_port} /usr/bin/couriertls -server -tcpd $imaplogin /usr/bin/imapd Maildir &
wait
"""


class Courier(Source):
    """INBOX.Sub is the form of its names, "." its separator. connections: of one address."""

    prefix, separator = "INBOX.", "."

    def __init__(self, folder, users=("alice",), connections=4):
        self.root = unpacked("courier")
        need_mounts("Courier's paths are built in, and it changes its user at login")
        self.dir = pathlib.Path(folder) / "courier"
        self.users = {user: f"pw-{user}" for user in users}
        self.port, self.tls_port = free_port(), free_port()
        self.owner = pwd.getpwnam(MAIL_USER)
        self.process = None
        self.dir.mkdir(parents=True)
        self.ca = certificates.make_authority(self.dir / "tls")
        cert, key = certificates.make_server_certificate(self.dir / "tls", ("localhost", "127.0.0.1"))
        self._write_files(pathlib.Path(cert).read_text() + pathlib.Path(key).read_text())
        self.script = START.format(root=self.root, dir=shlex.quote(str(self.dir)), port=self.port,
                                   tls_port=self.tls_port, connections=connections)

    def _write_files(self, pem):
        etc = self.dir / "etc"
        etc.mkdir()
        for file in (self.root / "etc/courier").iterdir():
            if file.is_file():
                (etc / file.name).write_bytes(file.read_bytes())
        (etc / "imapd.pem").write_text(pem)
        with (etc / "authdaemonrc").open("a") as file:
            file.write('authmodulelist="authuserdb"\ndaemons=1\n')
        with (etc / "imapd").open("a") as file:
            file.write("TLS_CERTFILE=/etc/courier/imapd.pem\nTLS_VERIFYPEER=NONE\n"
                       "IMAP_TLS_REQUIRED=0\nTZ=Europe/Berlin\n"
                       "IMAP_USELOCKS=0\n")  # these wait for a daemon that watches files
        (etc / "userdb").write_text("".join(self._user_line(*user) for user in self.users.items()))
        (etc / "userdb").chmod(0o600)

    def _user_line(self, user, password):
        home = self.dir / "home" / user
        for sub in ("", "Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"):
            (home / sub).mkdir(parents=True)
            os.chown(home / sub, self.owner.pw_uid, self.owner.pw_gid)
        secret = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, text=True,
                                check=True, capture_output=True).stdout.strip()
        return (f"{user}\tuid={self.owner.pw_uid}|gid={self.owner.pw_gid}|home={home}|"
                f"mail={home}/Maildir|systempw={secret}\n")

    def start(self):
        log = (self.dir / "courier.log").open("ab")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", self.script],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_for(self._is_up, 20, f"Courier on port {self.port} (see {self.dir}/courier.log)")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "courier.log").read_text()
        return accepts_connections(self.port) and accepts_connections(self.tls_port)

    def stop(self):
        if self.process is not None:
            self.process.kill()  # unshare does not hear SIGTERM; all that it started end with it
            self.process.wait(timeout=20)
            self.process = None
