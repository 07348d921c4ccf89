# SPDX-License-Identifier: Apache-2.0
"""A program on a screen (tmux): keys go in, the picture comes out."""
import os
import shutil
import subprocess

from .place import wait_for

COLUMNS, ROWS = 132, 40


class Terminal:
    """A tmux server of its own, with one window that runs one program."""

    def __init__(self, folder, command, environment=None):
        self.socket = folder / "tmux"
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        env.update({"TERM": "screen", "LC_ALL": "C.UTF-8", "HOME": str(folder), **(environment or {})})
        subprocess.run(["tmux", "-S", str(self.socket), "-f", "/dev/null", "new-session", "-d",
                        "-x", str(COLUMNS), "-y", str(ROWS), *command], env=env, check=True, timeout=20)

    @staticmethod
    def is_installed():
        return shutil.which("tmux") is not None

    def _tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", str(self.socket), *arguments], capture_output=True,
                              text=True, timeout=20)

    def screen(self):
        """The text that is shown now; "" when the program has ended."""
        return self._tmux("capture-pane", "-p").stdout

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def press(self, *keys):
        """Keys by their names: Enter, Escape, Up."""
        self._tmux("send-keys", *keys)

    def wait(self, text, seconds=60, without=None):
        """The screen, once it shows this text (and no longer another one)."""
        shown = {}

        def is_shown():
            shown["now"] = self.screen()
            return text in shown["now"] and (without is None or without not in shown["now"])

        try:
            wait_for(is_shown, seconds, text)
        except AssertionError:
            raise AssertionError(f"{text!r} is not shown:\n{shown['now']}") from None
        return shown["now"]

    def has_ended(self):
        return self._tmux("list-sessions").returncode != 0

    def close(self):
        self._tmux("kill-server")
