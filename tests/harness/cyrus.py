# SPDX-License-Identifier: Apache-2.0
"""A real Cyrus IMAP on loopback: its own folder, ports and authority."""
import os
import pathlib
import pwd
import signal
import socket
import subprocess

from . import certificates
from .place import accepts_connections, free_port, wait_for
from .servers import Source, library_path, unpacked

MAIL_USER = "mail"  # Debian's own, for a Cyrus that was started by root

SETTINGS = """
configdirectory: {dir}/conf
proc_path: {dir}/conf/proc
mboxname_lockpath: {dir}/conf/lock
defaultpartition: default
partition-default: {dir}/spool
cyrus_user: {user}
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {dir}/sasldb2
sasl_mech_list: PLAIN SCRAM-SHA-256
tls_server_cert: {cert}
tls_server_key: {key}
autocreate_quota: 0
unixhierarchysep: no
altnamespace: no
reject8bitheader: no
munge8bit: no
skiplist_unsafe: yes
"""

SERVICES = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {dir}/imapd.conf -r"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {dir}/imapd.conf" listen="127.0.0.1:{port}" prefork=0
  imaps cmd="{bin}/imapd -C {dir}/imapd.conf -s" listen="127.0.0.1:{tls_port}" prefork=0
}}
EVENTS {{
}}
"""


class Cyrus(Source):
    """INBOX.Sub is the form of its names, "." its separator: Debian's defaults."""

    prefix, separator = "INBOX.", "."

    def __init__(self, folder, users=("alice",)):
        root = unpacked("cyrus")
        self.bin = root / "usr/lib/cyrus/bin"
        self.dir = pathlib.Path(folder) / "cyrus"
        self.users = {user: f"pw-{user}" for user in users}
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        self.owner = pwd.getpwnam(MAIL_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        for made in ("", "conf", "conf/socket", "conf/proc", "conf/lock", "conf/log", "conf/msg",
                     "conf/db", "spool"):
            (self.dir / made).mkdir(parents=True)
            os.chown(self.dir / made, self.owner.pw_uid, self.owner.pw_gid)
        self.ca = certificates.make_authority(self.dir / "tls")
        cert, key = certificates.make_server_certificate(self.dir / "tls", ("localhost", "127.0.0.1"))
        os.chown(key, self.owner.pw_uid, self.owner.pw_gid)
        values = dict(dir=self.dir, bin=self.bin, user=self.owner.pw_name, cert=cert, key=key,
                      port=self.port, tls_port=self.tls_port)
        (self.dir / "imapd.conf").write_text(SETTINGS.format(**values))
        (self.dir / "cyrus.conf").write_text(SERVICES.format(**values))
        self.environment = {"PATH": os.environ["PATH"], "TZ": "Europe/Berlin",
                            "LD_LIBRARY_PATH": library_path(root)}
        for user, password in self.users.items():
            self._run([root / "usr/sbin/saslpasswd2", "-p", "-c", "-f", self.dir / "sasldb2",
                       "-u", socket.gethostname(), user], input=password.encode())

    def _as_owner(self):
        if os.geteuid() != 0:
            return {}
        return {"user": self.owner.pw_uid, "group": self.owner.pw_gid, "extra_groups": []}

    def _run(self, command, **options):
        subprocess.run(command, env=self.environment, check=True, capture_output=True,
                       **self._as_owner(), **options)

    def start(self):
        self.process = subprocess.Popen(
            [self.bin / "master", "-C", self.dir / "imapd.conf", "-M", self.dir / "cyrus.conf",
             "-p", self.dir / "pid"], env=self.environment, stdout=subprocess.DEVNULL,
            stderr=(self.dir / "cyrus.err").open("ab"),
            process_group=0,  # at its end it sends SIGTERM to its whole group
            **self._as_owner())
        wait_for(self._is_up, 20, f"Cyrus on port {self.port} (see {self.dir})")
        return self

    def _is_up(self):
        assert self.process.poll() is None, (self.dir / "cyrus.err").read_text()
        return accepts_connections(self.port) and accepts_connections(self.tls_port)

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
            self.process = None
