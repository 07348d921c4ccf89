# SPDX-License-Identifier: Apache-2.0
"""Sources that behave as two large providers do, as far as public traces show it (reference: ingest 2).

    gmail = Gmail()
    gmail.put(octets, "INBOX", "Work")      # also in All Mail; its X-GM-MSGID is given back
    gmail.put(octets, gmail.TRASH)          # there only
    gmail.downloads                         # {X-GM-MSGID: how often its octets were sent}

    exchange = Exchange()
    exchange.put(octets, '"Sent Items"')

What is left out of the real ones: COMPRESS, CONDSTORE and QRESYNC of Gmail (Dovecot tests those).
"""
import collections

from .scripted_source import OK, Mailbox, Session, Source


class CountedMailbox(Mailbox):
    """Counts how often each message's octets are sent, by what the provider calls it."""

    def __init__(self, downloads, **settings):
        super().__init__({}, **settings)
        self.downloads = downloads
        self.names = {}  # uid: name

    def put(self, octets, name, items=None):
        uid = self.top + 1
        self.messages[uid] = octets
        self.names[uid] = name
        self.items[uid] = items or {}
        return uid

    def value(self, uid, item):
        if item.startswith("BODY[") or item == "RFC822":
            self.downloads[self.names[uid]] += 1
        return super().value(uid, item)


class Gmail(Source):
    """Names of [Gmail] mailboxes are localised; only their attributes tell what they are."""

    ALL, TRASH, SPAM = '"[Gmail]/Alle Nachrichten"', "[Gmail]/Papierkorb", "[Gmail]/Spam"
    SENT, STARRED = "[Gmail]/Gesendet", "[Gmail]/Markiert"
    USES = {ALL: r"\All", TRASH: r"\Trash", SPAM: r"\Junk", SENT: r"\Sent", STARRED: r"\Flagged"}
    LABELS = {"INBOX": r'"\\Inbox"', SENT: r'"\\Sent"', STARRED: r'"\\Starred"'}

    def __init__(self, labels=("Arbeit",), shows_all=True):
        super().__init__(capabilities="IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN "
                                      "X-GM-EXT-1 UIDPLUS MOVE ESEARCH LIST-EXTENDED LIST-STATUS "
                                      "LITERAL- SPECIAL-USE APPENDLIMIT=35651584")
        self.greeting = b"* OK Gimap ready for requests from 192.0.2.7 e9e14a558f8abmb1\r\n"
        self.on(r"NAMESPACE$", b'* NAMESPACE (("" "/")) NIL NIL\r\n', OK)
        self.on(r"ID ", b'* ID ("name" "GImap" "vendor" "Google, Inc." "support-url" '
                        b'"http://support.google.com/mail" "remote-host" "192.0.2.7")\r\n', OK)
        self.downloads = collections.Counter()
        self.shows_all = shows_all
        self.mailboxes.clear()
        self.add("[Gmail]", attributes=r"\HasChildren \Noselect")
        for name in ("INBOX", *labels, *self.USES):
            if name != self.ALL or shows_all:
                self.mailboxes[name] = CountedMailbox(
                    self.downloads, uidvalidity=len(self.mailboxes) + 1,
                    attributes=r"\HasNoChildren " + self.USES.get(name, ""))
        self._next = 1278455344230334860  # none of the next 200 is downloaded as a sample

    def items(self, msgid, places):
        labels = " ".join(self.LABELS.get(place, place) for place in places)
        return {"X-GM-MSGID": str(msgid), "X-GM-THRID": str(msgid), "X-GM-LABELS": f"({labels})"}

    def put(self, octets, *places, msgid=None):
        if msgid is None:
            msgid = self._next
            self._next += 7
        alone = {self.TRASH, self.SPAM} & set(places)
        for place in (*places, *([] if alone or not self.shows_all else [self.ALL])):
            self.mailboxes[place].put(octets, msgid, self.items(msgid, places))
        return msgid


class ExchangeSession(Session):
    """Counts refused commands of a connection, and ends it at the tenth."""

    errors = 0

    def say(self, *pieces):
        super().say(*pieces)
        text = b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces)
        self.errors += b" BAD " in text and text.startswith(b"h")
        if self.errors == 10:
            super().say("* BYE Connection is closed. 13\r\n")
            raise OSError("ten errors")


class Exchange(Source):
    """No CONDSTORE, nothing but mail in some mailboxes, sizes that are wrong, short commands only."""

    FOLDERS = ("INBOX", '"Sent Items"', '"Deleted Items"', "Calendar", "Contacts", "Tasks", "Files")
    session_class = ExchangeSession

    def __init__(self):
        super().__init__(capabilities="IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID "
                                      "UNSELECT CHILDREN IDLE NAMESPACE LITERAL+")
        self.greeting = b"* OK The Microsoft Exchange IMAP4 service is ready. [TABPADQAUA]\r\n"
        self.on(r"NAMESPACE$", b'* NAMESPACE (("" "/")) NIL NIL\r\n', OK)
        self.on(r"ID ", b'* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")\r\n',
                OK)
        self.on(r"AUTHENTICATE PLAIN \S+$", b"<tag> OK AUTHENTICATE completed.\r\n")
        self.on(r"UID FETCH .{1001}", b"<tag> BAD Command Argument Error. 11\r\n")
        self.downloads = collections.Counter()
        self.mailboxes.clear()
        for name in self.FOLDERS:
            self.mailboxes[name] = CountedMailbox(self.downloads, uidvalidity=14 + len(self.mailboxes),
                                                  attributes=r"\HasNoChildren")

    def put(self, octets, place="INBOX"):
        mailbox = self.mailboxes[place]
        uid = mailbox.put(octets, (place, mailbox.top + 1))
        mailbox.sizes[uid] = 3 * len(octets) + 17
        return uid
