# SPDX-License-Identifier: Apache-2.0
"""A source whose every octet is chosen: a small IMAP server, and a script that goes before it.

    source = Source({1: octets, 2: octets})                # INBOX; or Source(range(1, 9))
    source.inbox.withheld = {2}                            # a fault that the server knows
    source.add("Sent", {1: octets}, attributes=r"\\Sent")  # another mailbox
    source.on(r"UID FETCH 2 ", b"* 1 FETCH (UID 2 BODY[] NIL)\\r\\n", OK)
    source.on(r"UID SEARCH", CUT, times=1)

A script is a list of rules: a pattern (regular expression at the start of the command, case ignored) and
what is said when a command matches: octets as they stand, in which `<tag>` is the command's tag, or
USUAL, CUT, SILENCE, or a function of (session, tag, command). The first rule that matches and is not
used up speaks; without one the server answers by itself. It speaks in the clear on loopback
(imap+plain://), or TLS with an ssl context.

No wait is endless, and close() fails when the client ever tried to change the source, or asked for octets
in a way that sets \\Seen outside of EXAMINE.
"""
import re
import socket
import threading

from .place import wait_for

OK = b"<tag> OK done\r\n"
USUAL = object()    # what the server would have said
CUT = object()      # the connection ends here
SILENCE = object()  # nothing more is said on this connection

WAIT_SECONDS = 60
DATE = '"01-Feb-2020 10:00:00 +0100"'
ALTERING = {"SELECT", "STORE", "EXPUNGE", "COPY", "MOVE", "APPEND", "CREATE", "DELETE", "RENAME",
            "SUBSCRIBE", "UNSUBSCRIBE", "CLOSE", "REPLACE", "SETMETADATA", "SETACL"}
ITEM = re.compile(r"[A-Z0-9.-]+(?:\[[^\]]*\])?(?:<[\d.]+>)?", re.IGNORECASE)


def message(n):
    return f"Subject: message {n}\r\n\r\nBody of {n}.\r\n".encode()


class Mailbox:
    """messages: {uid: octets}, or the UIDs of messages that are made. The other attributes may be set
    at any time, also while a client is connected; those below `faults` are what servers get wrong."""

    def __init__(self, messages=(), uidvalidity=7, attributes="", items=None):
        if not isinstance(messages, dict):
            messages = {uid: message(uid) for uid in messages}
        self.messages = messages
        self.uidvalidity = uidvalidity  # None: the server gives none
        self.attributes = attributes    # of LIST
        self.delimiter = '"/"'
        self.mailboxid = None           # OBJECTID
        self.highestmodseq = None
        self.items = items or {}        # uid: {item: value}, "X-GM-MSGID": "17"
        self.parts = {}                 # uid: {section: octets}, "1": …, "1.MIME": …
        self.flags = {}                 # uid: what stands between the parentheses
        self.dates = {}
        self.given = []                 # UIDs whose whole octets were sent, as often as they were
        # faults
        self.with_uidnext = True
        self.uidnext_ahead = 0          # UIDNEXT is larger by this
        self.refusal = None             # EXAMINE gets NO and this
        self.withheld = set()           # listed, but FETCH of octets answers OK without them
        self.nil = {}                   # uid: pattern of the items that are NIL
        self.breaks_in = {}             # uid: how many times the connection ends within its octets
        self.refused = set()            # any FETCH of octets with it gets NO …
        self.refused_with = "cannot read that"
        self.without_flags = set()      # the list has no FLAGS for it
        self.sizes = {}                 # uid: RFC822.SIZE as announced
        self.reversed = False           # answers come in descending order
        self.chatty = False             # unsolicited responses between the asked ones
        self.short_lists = False        # the list of UIDs leaves out the last one, with OK

    @property
    def top(self):
        return max(self.messages, default=0)

    @property
    def uidnext(self):
        return self.top + 1 + self.uidnext_ahead

    def chosen(self, uid_set):
        """UIDs of a set, in the order of the answer. "n:*" has the last one (RFC 9051 seq-range)."""
        found = set()
        for part in uid_set.split(","):
            first, _, last = part.partition(":")
            low, high = sorted(self.top if end == "*" else int(end) for end in (first, last or first))
            found |= {uid for uid in self.messages if low <= uid <= high}
        return sorted(found, reverse=self.reversed)

    def status(self):
        values = {"MESSAGES": len(self.messages), "UIDNEXT": self.uidnext,
                  "UIDVALIDITY": self.uidvalidity, "HIGHESTMODSEQ": self.highestmodseq,
                  "MAILBOXID": self.mailboxid and f"({self.mailboxid})"}
        return " ".join(f"{name} {value}" for name, value in values.items() if value is not None)

    def section(self, uid, name):
        """The octets of BODY[name]; None: NIL."""
        head, gap, text = self.messages[uid].partition(b"\r\n\r\n")
        return {"": self.messages[uid], "HEADER": head + gap, "TEXT": text,
                **self.parts.get(uid, {})}.get(name)

    def value(self, uid, item):
        """What stands behind the item's name in a FETCH response, as octets; None: no such item."""
        octets = None
        if item in ("RFC822", "BODY[]") or item.startswith("BODY["):
            section = "" if item == "RFC822" else item[5:-1]
            octets = self.section(uid, section)
            if not section:
                self.given.append(uid)
            return b"NIL" if octets is None else b"{%d}\r\n%b" % (len(octets), octets)
        text = {"UID": str(uid), "FLAGS": f"({self.flags.get(uid, '')})",
                "INTERNALDATE": self.dates.get(uid, DATE),
                "RFC822.SIZE": str(self.sizes.get(uid, len(self.messages[uid]))),
                **self.items.get(uid, {})}.get(item)
        return None if text is None else text.encode()


class Session:
    """One connection of a client. An EXAMINE that the script answers opens its mailbox all the same."""

    def __init__(self, source, connection):
        self.source = source
        self.connection = connection
        self.lines = connection.makefile("rb")
        self.mailbox = None  # that EXAMINE opened

    # ---- for scripts as well --------------------------------------------------------------------

    def say(self, *pieces):
        self.connection.sendall(b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces))

    def read_line(self):
        """One line without its CRLF; b"" at the end of the connection too."""
        return self.lines.readline().rstrip(b"\r\n")

    def read_command(self):
        """(tag, command) with literals in place; None at the end."""
        text = self.lines.readline()
        while True:
            if not text.endswith(b"\r\n"):
                return None
            literal = re.search(rb"\{(\d+)(\+?)\}\r\n$", text)
            if not literal:
                break
            if not literal[2]:
                self.say(b"+ go on\r\n")
            octets = self.lines.read(int(literal[1]))
            quoted = octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            text = text[: literal.start()] + b'"' + quoted + b'"' + self.lines.readline()
        tag, _, command = text.decode("latin-1").rstrip("\r\n").partition(" ")
        return tag, command

    # ---- the server -----------------------------------------------------------------------------

    def run(self):
        self.say(self.source.greeting)
        while (read := self.read_command()) is not None:
            tag, command = read
            self.source.note(self, command)
            if not self._follow_script(tag, command):
                return

    def _follow_script(self, tag, command):
        rule = self.source.rule_for(command)
        if re.match(r"EXAMINE |SELECT ", command, re.IGNORECASE):
            self.mailbox = self._find(command)[1]
        for piece in (USUAL,) if rule is None else rule:
            if piece is CUT:
                return False
            if piece is SILENCE:
                self.lines.read(1)  # until the client goes
                return False
            if piece is USUAL:
                goes_on = self.answer(tag, command)
            elif isinstance(piece, bytes):
                self.say(piece.replace(b"<tag>", tag.encode()))
                goes_on = True
            else:
                goes_on = piece(self, tag, command) is not False
            if not goes_on:
                return False
        return True

    def answer(self, tag, command):
        """What a server without a script says. False: and then ends the connection."""
        word = command.upper().split(" ")[0]
        if command.upper().startswith("UID "):
            word = " ".join(command.upper().split(" ")[:2])
        handler = {"LOGIN": self._login, "CAPABILITY": self._capability, "LIST": self._list,
                   "STATUS": self._status, "EXAMINE": self._examine, "UID FETCH": self._fetch,
                   "UID SEARCH": self._search, "LOGOUT": self._logout}.get(word)
        if handler is None:
            self.say(f"{tag} BAD what\r\n")
            return True
        return handler(tag, command) is not False

    def _login(self, tag, command):
        self.source.logins += 1
        self.say(f"{tag} OK [CAPABILITY {self.source.capabilities}] in\r\n")

    def _capability(self, tag, command):
        self.say(f"* CAPABILITY {self.source.capabilities}\r\n{tag} OK done\r\n")

    def _logout(self, tag, command):
        self.say(f"* BYE\r\n{tag} OK\r\n")
        return False

    def _list(self, tag, command):
        for name, mailbox in self.source.mailboxes.items():
            wire = name if re.fullmatch(r'".*"|[^ ()"]+', name) else f"{{{len(name)}}}\r\n{name}"
            self.say(f"* LIST ({mailbox.attributes}) {mailbox.delimiter} {wire}\r\n")
            if "STATUS (" in command:
                self.say(f"* STATUS {name} ({mailbox.status()})\r\n")
        self.say(f"{tag} OK done\r\n")

    def _find(self, command):
        name = re.match(r'\S+ ("(?:[^"\\]|\\.)*"|\S+)', command)[1]
        if name not in self.source.mailboxes and name[0] == '"':
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        return name, self.source.mailboxes.get(name)

    def _status(self, tag, command):
        name, mailbox = self._find(command)
        if mailbox is None:
            self.say(f"{tag} NO [NONEXISTENT] no such mailbox\r\n")
        else:
            self.say(f"* STATUS {name} ({mailbox.status()})\r\n{tag} OK done\r\n")

    def _examine(self, tag, command):
        mailbox = self.mailbox
        if mailbox is None or mailbox.refusal is not None:
            self.mailbox = None
            self.say(f"{tag} NO {mailbox.refusal if mailbox else '[NONEXISTENT] no such mailbox'}\r\n")
            return
        codes = {"UIDVALIDITY": mailbox.uidvalidity,
                 "UIDNEXT": mailbox.uidnext if mailbox.with_uidnext else None,
                 "HIGHESTMODSEQ": mailbox.highestmodseq,
                 "MAILBOXID": mailbox.mailboxid and f"({mailbox.mailboxid})"}
        self.say(f"* {len(mailbox.messages)} EXISTS\r\n",
                 *(f"* OK [{name} {value}] x\r\n" for name, value in codes.items()
                   if value is not None),
                 f"{tag} OK [READ-ONLY] done\r\n")

    def _search(self, tag, command):
        found = self.mailbox.chosen(command.split()[3])
        self.say("* SEARCH", *(f" {uid}" for uid in found), f"\r\n{tag} OK done\r\n")

    def _fetch(self, tag, command):
        mailbox = self.mailbox
        _, _, uid_set, wanted = command.split(" ", 3)
        items = [item.upper() for item in ITEM.findall(wanted.split(" (CHANGEDSINCE")[0])]
        body = next((item for item in items if item == "RFC822" or item.startswith("BODY")), None)
        chosen = mailbox.chosen(uid_set)
        if body and mailbox.refused & set(chosen):
            self.say(f"{tag} NO {mailbox.refused_with}\r\n")
            return True
        if not body and mailbox.short_lists:
            chosen = [uid for uid in chosen if uid != mailbox.top]
        for uid in chosen:
            if mailbox.chatty:
                self.say("* 1 FETCH (FLAGS (\\Seen))\r\n* OK still here\r\n* 1 RECENT\r\n"
                         "* X-NEW thing (a {3}\r\nabc)\r\n")
            if body and uid in mailbox.withheld:
                continue
            if body and mailbox.breaks_in.get(uid, 0) > 0:
                mailbox.breaks_in[uid] -= 1
                self.say(self.response(uid, items)[:-13])
                return False
            self.say(self.response(uid, items))
        self.say(f"{tag} OK done\r\n")
        return True

    def response(self, uid, items):
        """The FETCH response of one message, by the names of the items that were asked for."""
        mailbox = self.mailbox
        said = []
        for item in items:
            name = item.replace("BODY.PEEK[", "BODY[")
            if name == "FLAGS" and uid in mailbox.without_flags:
                continue
            is_nil = uid in mailbox.nil and re.fullmatch(mailbox.nil[uid], item)
            value = b"NIL" if is_nil else mailbox.value(uid, name)
            if value is not None:
                said.append(name.encode() + b" " + value)
        return b"* 1 FETCH (" + b" ".join(said) + b")\r\n"


class Source:
    """heard: every command of every connection, without its tag. logins: how many there were."""

    session_class = Session

    def __init__(self, messages=(), uidvalidity=7, capabilities="IMAP4rev1", context=None):
        self.mailboxes = {"INBOX": Mailbox(messages, uidvalidity)}
        self.capabilities = capabilities
        self.greeting = f"* OK [CAPABILITY {capabilities}] hi\r\n".encode()
        self.heard = []
        self.logins = 0
        self.wrongs = []  # what the client or the test's script did wrong
        self._script = []
        self._lock = threading.Lock()
        self._context = context
        self._sessions = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def inbox(self):
        return self.mailboxes["INBOX"]

    def add(self, name, messages=(), **settings):
        """Another mailbox; name as it stands on the wire; one that needs quotes and has none goes as a
        literal."""
        self.mailboxes[name] = Mailbox(messages, **settings)
        return self.mailboxes[name]

    def on(self, pattern, *answer, times=None):
        """A rule; times: how often it speaks."""
        self._script.append([re.compile(pattern, re.IGNORECASE), answer, times])
        return self

    def forget_script(self):
        with self._lock:
            self._script.clear()

    def url(self, user="alice"):
        host = "localhost" if self._context else "127.0.0.1"
        return f"{'imaps' if self._context else 'imap+plain'}://{user}@{host}:{self.port}/"

    def heard_like(self, pattern):
        return [c for c in list(self.heard) if re.match(pattern, c, re.IGNORECASE)]

    def wait_heard(self, pattern, seconds=WAIT_SECONDS, count=1):
        return wait_for(lambda: len(self.heard_like(pattern)) >= count and self.heard_like(pattern),
                        seconds, f"the source to hear {pattern}; it heard {self.heard[-20:]}")

    def cut_all(self):
        """Ends every connection now."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            shut(session.connection)

    def close(self):
        shut(self._listener)
        self._listener.close()
        self.cut_all()
        assert not self.wrongs, self.wrongs

    # ---- for sessions ---------------------------------------------------------------------------

    def note(self, session, command):
        """Takes down a command; one that could change a mailbox is a wrong."""
        self.heard.append(command)
        words = command.upper().removeprefix("UID ").split(" ")
        if words[0] in ALTERING:
            self.wrongs.append(f"the client sent {command!r}")
        sets_seen = re.search(r"\bBODY\[|\bRFC822(\.TEXT)?[ )]", command.upper())
        if words[0] == "FETCH" and sets_seen and session.mailbox is None:
            self.wrongs.append(f"the client sent {command!r} outside of EXAMINE")

    def rule_for(self, command):
        with self._lock:
            for rule in self._script:
                pattern, answer, times = rule
                if times != 0 and pattern.match(command):
                    if times is not None:
                        rule[2] -= 1
                    return answer
        return None

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(WAIT_SECONDS)
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            session = self.session_class(self, connection)
            with self._lock:
                self._sessions.append(session)
            session.run()
        except (OSError, ValueError):
            pass  # the client went, or close() came
        except Exception as wrong:  # a script that fails must fail its test
            self.wrongs.append(repr(wrong))
        finally:
            shut(connection)
            connection.close()


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
