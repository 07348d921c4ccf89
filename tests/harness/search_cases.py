# SPDX-License-Identifier: Apache-2.0
"""Seeded mail that is worth searching, and queries for it: what test_search_differential.py runs."""
import base64
import datetime
import quopri
import random

from . import brute_search

WORDS = {
    "utf-8": "café Straße naïve Ångström façade Привет мир здравствуйте 検索 漢字 テスト 한국어 검색 "
             "γειά κόσμε ﬁne İstanbul ŁÓDŹ Żółw emoji😀face".split(),
    "iso-8859-1": "Größe Müller élève señor Åse crème brûlée".split(),
    "iso-8859-2": "Łódź příliš žluťoučký kůň".split(),
    "windows-1252": "“quoted” naïve €uro résumé".split(),
    "koi8-r": "письмо архив Договор поставка срочно".split(),
    "windows-1251": "бухгалтерия Отчёт квартал".split(),
    "iso-2022-jp": "日本語 会議 資料".split(),
    "shift_jis": "東京 予算 メール".split(),
    "gb2312": "合同 付款 北京".split(),
    "big5": "臺灣 會議 合約".split(),
    "euc-kr": "계약 회의 서울".split(),
    "us-ascii": [],
}
PLAIN = ("budget forecast meeting quarterly invoice contract shipment delay approve signature legal "
         "review privileged attorney draft final agenda minutes travel hotel flight server outage "
         "patch kernel release candidate password reset weekly summary the and with from to for "
         "ZX81 Q3-2001 e-mail foo.bar under_score 100% C++ don't").split()
PEOPLE = (("Alice Adams", "alice@example.org"), ("Bob B.", "bob.builder@corp.example.com"),
          ("Jörg Müller", "joerg@example.de"), ("Иван Петров", "ivan@example.ru"),
          ("山田太郎", "yamada@example.jp"), ("", "list-owner@lists.example.net"),
          ("Doe, Jane", "jane.doe@example.com"), ("O'Brien", "obrien@example.ie"))
KEYWORDS = ("$Forwarded", "Work", "$Label1", "later")
FIELDS = ("X-Mailer", "List-Id", "Received", "Message-ID", "Reply-To", "Content-Type", "X-Custom",
          "References", "Subject", "From", "Date", "X-None")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


# ---- mail ---------------------------------------------------------------------------------------


class Writer:
    def __init__(self, chance):
        self.chance = chance

    def sentence(self, charset, count=None):
        pick = self.chance.choice
        words = []
        for _ in range(count or self.chance.randint(3, 30)):
            words.append(pick(WORDS[charset] if WORDS[charset] and self.chance.random() < .4
                              else PLAIN))
        return " ".join(words)

    def charset(self):
        return self.chance.choice(list(WORDS))

    def encoded(self, text, charset=None):
        """As encoded words, each of at most 60 octets or so."""
        if text.isascii():
            return text
        charset = charset or "utf-8"
        pieces = [text[i : i + 9] for i in range(0, len(text), 9)]
        words = []
        for piece in pieces:
            octets = piece.encode(charset)
            if self.chance.random() < .5:
                words.append(f"=?{charset}?B?{base64.b64encode(octets).decode()}?=")
            else:
                words.append(f"=?{charset}?q?" + "".join(
                    chr(c) if chr(c).isalnum() and c < 128 else f"={c:02X}" for c in octets) + "?=")
        return "\r\n ".join(words)

    def person(self):
        name, address = self.chance.choice(PEOPLE)
        if not name:
            return address
        if not name.isascii():
            return f"{self.encoded(name)} <{address}>"
        return f'"{name}" <{address}>' if "," in name or "." in name else f"{name} <{address}>"

    def date(self):
        day = datetime.datetime(2001, 1, 1) + datetime.timedelta(
            minutes=self.chance.randint(0, 3 * 365 * 1440))
        zone = self.chance.choice(("+0000", "-0800", "+0530", "+1300", "GMT"))
        return day.strftime("%a, %d %b %Y %H:%M:%S ") + zone

    def body(self, text, charset, kind="plain"):
        """(header lines, octets) of a text part."""
        octets = text.encode(charset)
        encoding = self.chance.choice(("base64", "quoted-printable", "8bit"))
        if charset == "iso-2022-jp":
            encoding = "7bit"
        if encoding == "base64":
            octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        elif encoding == "quoted-printable":
            octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        name = self.chance.choice((charset, charset.upper(), f'"{charset}"'))
        return (f"Content-Type: text/{kind}; charset={name}\r\n"
                f"Content-Transfer-Encoding: {encoding}\r\n"), octets + b"\r\n"

    def lines(self, charset):
        return "\r\n".join(self.sentence(charset) for _ in range(self.chance.randint(1, 6)))

    def html(self, charset):
        words = self.sentence(charset).replace("&", "&amp;").replace("<", "&lt;").split()
        half = len(words) // 2
        return (f'<html><head><style>p {{ color: red }}</style></head><body><p>'
                f'{" ".join(words[:half])} <b>{words[half][:2]}</b>{words[half][2:]}</p>'
                f'<a href="http://links.example.org/{self.chance.randint(1, 99)}">'
                f'{" ".join(words[half + 1:])}</a> caf&eacute; &amp; co<!-- remark --></body></html>')

    def multipart(self, kind, parts):
        boundary = f"=_bound{self.chance.randint(10**6, 10**7)}"
        out = b"preamble nobody reads\r\n"
        for header, octets in parts:
            out += f"--{boundary}\r\n{header}\r\n".encode() + octets + b"\r\n"
        out += f"--{boundary}--\r\nepilogue nobody reads\r\n".encode()
        return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n', out

    def attachment(self):
        name = f"{self.chance.choice(PLAIN[:12])}-{self.chance.randint(1, 99)}.bin"
        octets = self.sentence("us-ascii").encode() + self.chance.randbytes(200)
        return (f'Content-Type: application/octet-stream; name="{name}"\r\n'
                f"Content-Transfer-Encoding: base64\r\n"
                f'Content-Disposition: attachment; filename="{name}"\r\n',
                base64.encodebytes(octets).replace(b"\n", b"\r\n"))

    def content(self, depth=0):
        charset = self.charset()
        kind = self.chance.random()
        if kind < .35 or depth > 2:
            return self.body(self.lines(charset), charset)
        if kind < .5:
            return self.body(self.html(charset), charset, "html")
        if kind < .65:
            return self.multipart("alternative", [
                self.body(self.lines(charset), charset),
                self.body(self.html(charset), charset, "html")])
        if kind < .8:
            return self.multipart("mixed", [self.content(depth + 1), self.attachment()])
        if kind < .92:
            inner = self.header() + "MIME-Version: 1.0\r\n"
            header, octets = self.content(depth + 1)
            return self.multipart("mixed", [
                self.body(self.lines(charset), charset),
                ("Content-Type: message/rfc822\r\n", (inner + header + "\r\n").encode() + octets)])
        return "", self.sentence("us-ascii").encode() + b"\r\n"

    def header(self):
        charset = self.charset()
        lines = [f"From: {self.person()}", f"To: {self.person()},\r\n {self.person()}"]
        if self.chance.random() < .4:
            lines.append(f"Cc: {self.person()}")
        if self.chance.random() < .1:
            lines.append(f"Bcc: {self.person()}")
        subject = self.sentence(charset, self.chance.randint(2, 9))
        if self.chance.random() < .9:
            lines.append(f"Subject: {self.encoded(subject, charset)}")
        if self.chance.random() < .93:
            lines.append(f"Date: {self.date()}")
        lines.append(f"Message-ID: <{self.chance.randint(1, 10**9)}@example.org>")
        if self.chance.random() < .3:
            lines.append(f"X-Mailer: {self.chance.choice(('Mutt 1.2', 'The Bat! (v1.5)', 'Pine'))}")
        if self.chance.random() < .2:
            lines.append(f"X-Custom:{self.sentence('us-ascii', 4)}\r\n\t{self.sentence('us-ascii', 3)}")
        if self.chance.random() < .1:
            lines.append("X-Custom:")
        if self.chance.random() < .3:
            lines.append("Received: from a.example (a.example [10.0.0.1])\r\n\tby b.example; "
                         + self.date())
        self.chance.shuffle(lines)
        return "\r\n".join(lines) + "\r\n"

    def message(self):
        header, octets = self.content()
        mime = "MIME-Version: 1.0\r\n" if header else ""
        return (self.header() + mime + header + "\r\n").encode() + octets


def generate(count, seed):
    """(octets, Maildir flags, seconds since 1970) of messages, all different."""
    writer = Writer(random.Random(seed))
    for _ in range(count):
        flags = "".join(letter for letter in "DFRS" if writer.chance.random() < .3)
        yield writer.message(), flags, 978_000_000 + writer.chance.randint(0, 3 * 365 * 86400)


# ---- queries ------------------------------------------------------------------------------------


class Asker:
    """Makes queries of what is in the messages (brute_search.Message), and of what is not."""

    def __init__(self, messages, seed):
        self.messages = messages
        self.chance = random.Random(seed)

    def word(self, texts):
        """A word, or a piece of it, of one of the texts."""
        words = self.chance.choice(texts).split() if texts else []
        words = [word for word in words if "\0" not in word and "\ufffd" not in word]
        if not words or self.chance.random() < .08:
            return self.chance.choice(("zyxnever", "здраво", "無", "qq", *PLAIN))
        at = self.chance.randrange(len(words))
        word = words[at]
        how = self.chance.random()
        if how < .3 and len(word) > 3:
            start = self.chance.randint(0, len(word) - 3)
            word = word[start : start + self.chance.randint(2, 6)]
        elif how < .45 and at + 1 < len(words):
            word = f"{word} {words[at + 1]}"
        elif how < .6:
            word = word.swapcase()
        return word[:60]

    def pick(self):
        return self.chance.choice(self.messages)

    def leaf(self):
        message = self.pick()
        kind = self.chance.choices(
            ("BODY", "TEXT", "SUBJECT", "ADDRESS", "HEADER", "SENT", "DAY", "SIZE", "FLAG", "SET",
             "KEYWORD"), (20, 14, 14, 12, 10, 6, 4, 4, 6, 5, 3))[0]
        if kind == "BODY":
            return ("BODY", self.word(message.texts))
        if kind == "TEXT":
            return ("TEXT", self.word(message.texts + [value for _, value in message.fields]))
        if kind == "SUBJECT":
            return ("SUBJECT", self.word(message.columns["SUBJECT"]))
        if kind == "ADDRESS":
            key = self.chance.choice(("FROM", "TO", "CC", "BCC"))
            if self.chance.random() < .1:
                return (key, "")
            return (key, self.word(message.columns[key]))
        if kind == "HEADER":
            name = self.chance.choice(FIELDS)
            values = [value for field, value in message.fields if field == name.lower()]
            return ("HEADER", name, self.word(values) if self.chance.random() < .75 else "")
        if kind == "SENT":
            day = brute_search.EPOCH
            if message.raw_date:
                day = brute_search.read_date(message.raw_date[0])[0]
            return (self.chance.choice(("SENTBEFORE", "SENTON", "SENTSINCE")), day)
        if kind == "DAY":
            return (self.chance.choice(("BEFORE", "ON", "SINCE")), message.internal_day)
        if kind == "SIZE":
            return (self.chance.choice(("LARGER", "SMALLER")), message.size)
        if kind == "SET":
            uids = {self.pick().uid for _ in range(self.chance.randint(1, 40))}
            return (self.chance.choice(("UID", "SEQ")), uids)
        if kind == "KEYWORD":
            return (self.chance.choice(("KEYWORD", "UNKEYWORD")), self.chance.choice(KEYWORDS))
        return (self.chance.choice(("SEEN", "UNSEEN", "FLAGGED", "UNFLAGGED", "ANSWERED",
                                    "UNANSWERED", "DRAFT", "UNDRAFT", "ALL")),)

    def tree(self, depth=0):
        how = self.chance.random()
        if depth > 3 or how < .5 - .1 * depth:
            return self.leaf()
        if how < .65:
            return ("AND", *(self.tree(depth + 1) for _ in range(self.chance.randint(2, 3))))
        if how < .85:
            return ("OR", self.tree(depth + 1), self.tree(depth + 1))
        return ("NOT", self.tree(depth + 1))

    def query(self):
        """(charset or None, tree); the charset can say every text of the tree."""
        tree = self.tree()
        possible = [None, "UTF-8"]
        texts = [leaf[-1] for leaf in leaves(tree) if isinstance(leaf[-1], str) and len(leaf) > 1]
        for charset in ("ISO-8859-1", "KOI8-R", "UTF-7", "Shift_JIS", "US-ASCII"):
            try:
                if all(text.encode(charset).decode(charset) == text for text in texts):
                    possible.append(charset)
            except UnicodeError:
                pass
        return self.chance.choice(possible), tree


def leaves(tree):
    if tree[0] in ("AND", "OR", "NOT"):
        return [leaf for part in tree[1:] for leaf in leaves(part)]
    return [tree]


# ---- as a command -------------------------------------------------------------------------------


def command(charset, tree):
    """Octets of the arguments of SEARCH; texts that need it as literals that do not wait."""
    written = write(tree, charset or "UTF-8")
    return (f"CHARSET {charset} ".encode() if charset else b"") + written


def astring(text, charset):
    octets = text.encode(charset)
    if octets and all(32 <= c < 127 and c not in b'"\\' for c in octets):
        return b'"' + octets + b'"'
    return b'""' if not octets else b"{%d+}\r\n%s" % (len(octets), octets)


def write(tree, charset):
    kind, arguments = tree[0], tree[1:]
    if kind == "AND":
        return b"(" + b" ".join(write(part, charset) for part in arguments) + b")"
    if kind in ("OR", "NOT"):
        return b" ".join([kind.encode(), *(write(part, charset) for part in arguments)])
    if kind == "SEQ":
        return ",".join(map(str, sorted(arguments[0]))).encode()
    if kind == "UID":
        return b"UID " + ",".join(map(str, sorted(arguments[0]))).encode()
    words = [kind.encode()]
    for argument in arguments:
        if isinstance(argument, datetime.date):
            words.append(f"{argument.day}-{MONTHS[argument.month - 1]}-{argument.year:04d}".encode())
        elif isinstance(argument, int):
            words.append(str(argument).encode())
        elif kind in ("KEYWORD", "UNKEYWORD"):
            words.append(argument.encode())
        else:
            words.append(astring(argument, charset))
    return b" ".join(words)
