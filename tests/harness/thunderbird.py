# SPDX-License-Identifier: Apache-2.0
"""Thunderbird without a screen, driven by a script of ours (thunderbird.cfg) that it reads as the
configuration of its administrator. The installation is not touched: a copy of links is started."""
import os
import pathlib
import subprocess


INSTALLED = pathlib.Path("/usr/lib/thunderbird")
SCRIPT = pathlib.Path(__file__).with_name("thunderbird.cfg")

PREFS = {
    "mail.account.account1.identities": "id1", "mail.account.account1.server": "server1",
    "mail.account.account2.server": "server2", "mail.accountmanager.accounts": "account1,account2",
    "mail.accountmanager.defaultaccount": "account1", "mail.accountmanager.localfoldersserver": "server2",
    "mail.server.server2.type": "none", "mail.server.server2.hostname": "Local Folders",
    "mail.server.server2.userName": "nobody", "mail.server.server2.name": "Local Folders",
    "mail.identity.id1.useremail": "auditor@example.org", "mail.identity.id1.valid": True,
    "mail.server.server1.type": "imap", "mail.server.server1.hostname": "127.0.0.1",
    "mail.server.server1.name": "archive", "mail.server.server1.socketType": 0,
    "mail.server.server1.authMethod": 3, "mail.server.server1.login_at_startup": False,
    "mail.server.server1.check_new_mail": False, "mail.rights.version": 1,
    "mail.spotlight.firstRunDone": True, "mailnews.start_page.enabled": False,
    "mail.provider.enabled": False, "mailnews.database.global.indexer.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.enabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "app.donation.eoy.version.viewed": 999, "app.update.enabled": False, "extensions.update.enabled": False,
    "network.dns.disabled": True, "network.proxy.type": 0, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "services.settings.server": "http://127.0.0.1:9/",
    "browser.safebrowsing.malware.enabled": False, "browser.safebrowsing.phishing.enabled": False,
}


def is_installed():
    return (INSTALLED / "thunderbird-bin").exists()


def _copy_of_links(folder):
    folder.mkdir()
    for entry in INSTALLED.iterdir():
        if entry.name not in ("defaults", "thunderbird-bin", "thunderbird"):
            (folder / entry.name).symlink_to(entry)
    # It looks for everything beside its own file, so that is a real one.
    (folder / "thunderbird-bin").write_bytes((INSTALLED / "thunderbird-bin").read_bytes())
    (folder / "thunderbird-bin").chmod(0o755)
    (folder / "defaults" / "pref").mkdir(parents=True)
    for entry in (INSTALLED / "defaults").iterdir():
        if entry.name != "pref":
            (folder / "defaults" / entry.name).symlink_to(entry.resolve())
    for entry in (INSTALLED / "defaults" / "pref").iterdir():
        if "autoconfig" not in entry.name:
            (folder / "defaults" / "pref" / entry.name).symlink_to(entry.resolve())
    (folder / "defaults" / "pref" / "trial.js").write_text(
        'pref("general.config.filename", "trial.cfg");\npref("general.config.obscure_value", 0);\n'
        'pref("general.config.sandbox_enabled", false);\n')
    (folder / "trial.cfg").write_text(SCRIPT.read_text())


def run(folder, port, user, password, messages, word, seconds=150):
    """What it wrote down, as a list of (word, text)."""
    _copy_of_links(folder / "thunderbird")
    profile = folder / "profile"
    profile.mkdir()
    prefs = {**PREFS, "mail.server.server1.port": port, "mail.server.server1.userName": user}
    as_js = {True: "true", False: "false"}
    (profile / "prefs.js").write_text("".join(
        f'user_pref("{k}", {as_js[v] if isinstance(v, bool) else repr(v) if isinstance(v, int) else chr(34) + v + chr(34)});\n'
        for k, v in prefs.items()))
    log = folder / "trial.log"
    env = {**os.environ, "HOME": str(folder), "TRIAL_LOG": str(log), "TRIAL_PASSWORD": password,
           "TRIAL_MESSAGES": str(messages), "TRIAL_WORD": word, "MOZ_HEADLESS": "1"}
    with (folder / "thunderbird.out").open("wb") as out:
        subprocess.run([str(folder / "thunderbird" / "thunderbird-bin"), "--headless", "--no-remote",
                        "--profile", str(profile)], env=env, stdout=out, stderr=out, timeout=seconds)
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(line.split(" ", 1)) for line in lines]
