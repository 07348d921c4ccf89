# SPDX-License-Identifier: Apache-2.0
"""SEARCH by brute force: every message read with Python's email package, every key by its definition.

Shares nothing with lib/. Each leaf has two answers: `strict`, what RFC 3501 asks for, and `wide`, with
what Holdfast finds beyond it (lib/search/README.md, "Where answers differ"). Where both agree every
server must say so; where they differ a rule explains the difference.

A query is a tree of tuples: ("AND", q, …), ("OR", q, q), ("NOT", q), or a key with its arguments, such
as ("SUBJECT", "text"), ("HEADER", "X-Mailer", "text"), ("SINCE", date), ("UID", {1, 2}), ("SEEN",).
"""
import datetime
import email
import email.header
import email.policy
import functools
import html.parser
import re
import unicodedata

EPOCH = datetime.date(1970, 1, 1)
FLAGS = {"SEEN": "S", "FLAGGED": "F", "ANSWERED": "R", "DRAFT": "D"}
COLUMNS = {"SUBJECT": "subject", "FROM": "from", "TO": "to", "CC": "cc", "BCC": "bcc"}

# Read as the larger charset that is meant by them, as lib/mime does.
LARGER = {"gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949", "euc-kr": "cp949",
          "shift_jis": "cp932", "iso-8859-1": "cp1252", "us-ascii": "ascii", "iso-8859-8-i":
          "iso-8859-8", "x-sjis": "cp932", "big5": "big5hkscs"}


# ---- text ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1 << 16)
def _fold_character(character):
    def single(changed, kept):
        return changed if len(changed) == 1 else kept
    folded = unicodedata.normalize("NFKD", single(character.title(), character))
    return "".join(single(single(c.title(), c).lower(), c) for c in folded)


def fold(text):
    if text.isascii():
        return text.lower()
    return "".join(map(_fold_character, text))


def collapse(text):
    return re.sub(r"[ \t\r\n]+", " ", text)


class Undecodable(Exception):
    """The charset is unknown, or a lie."""


def decode(octets, charset):
    name = (charset or "us-ascii").strip().lower()
    try:
        return octets.decode(LARGER.get(name, name))
    except (UnicodeDecodeError, LookupError, ValueError) as problem:
        raise Undecodable(name) from problem


WORD = re.compile(r"=\?([^?\s*]+)(?:\*[^?\s]*)?\?([bBqQ])\?([^?\s]*)\?=")


def decode_words(raw):
    """A field's value without its folding, encoded words as what they say; and whether all is well."""
    value = re.sub(rb"\r?\n", b"", raw)
    is_well = True
    try:
        value = value.decode("utf-8")
    except UnicodeDecodeError:
        value, is_well = value.decode("cp1252", "replace"), False
    value = re.sub(r"(\?=)[ \t]+(?==\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=)", r"\1", value)
    parts, at, held, held_charset = [], 0, b"", None

    def flush():
        nonlocal held, held_charset, is_well
        if held_charset is not None:
            try:
                parts.append(decode(held, held_charset))
            except Undecodable:
                is_well = False
        held, held_charset = b"", None

    for match in WORD.finditer(value):
        if match.start() > at:
            flush()
            parts.append(value[at : match.start()])
        try:
            octets = email.header.decode_header(f"=?us-ascii?{match[2]}?{match[3]}?=")[0][0]
        except Exception:  # bad base64: the package has an error of its own
            octets, is_well = b"", False
        octets = octets if isinstance(octets, bytes) else octets.encode("latin-1", "replace")
        if held_charset != match[1].lower():
            flush()
        held_charset, held, at = match[1].lower(), held + octets, match.end()
    flush()
    parts.append(value[at:])
    text = "".join(parts)
    return text, is_well and "=?" not in text


class _Renderer(html.parser.HTMLParser):
    """What is read of HTML, loosely: the texts behind one another."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.texts, self.hidden = [], 0

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style") and self.hidden > 0

    def handle_data(self, data):
        if not self.hidden:
            self.texts.append(data)


def render(source):
    renderer = _Renderer()
    renderer.feed(source)
    renderer.close()
    return "".join(renderer.texts)


def squeeze(text):
    return re.sub(r"\s+", "", text)


# ---- a message ----------------------------------------------------------------------------------


def fields_of(header):
    """(name, raw value) of each field."""
    found = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+", header):  # a lone CR ends no line
        if line[:1] in b" \t" and found:
            found[-1][1].append(line)
        elif b":" in line:
            name, value = line.split(b":", 1)
            found.append((name.rstrip(b" \t").decode("latin-1"), [value]))
    return [(name, b"".join(lines)) for name, lines in found]


def split_header(octets):
    match = re.search(rb"(?:\A|\n)\r?\n", octets)
    return (octets[: match.end()], octets[match.end() :]) if match else (octets, b"")


class Message:
    """What all keys need of one message, made once."""

    def __init__(self, octets, uid, flags="", keywords=(), internal_day=None):
        self.uid, self.flags, self.internal_day = uid, flags, internal_day
        self.keywords = {keyword.lower() for keyword in keywords}
        self.size = len(octets)
        self.odd = set()  # rules that hold for the message as a whole
        header, _ = split_header(octets)
        self.fields = []  # (folded name, folded value)
        self.columns = {}
        for name, raw in fields_of(header):
            text, is_well = decode_words(raw)
            if not is_well or "\0" in text:
                self.odd.add("encoded-words")
            self.fields.append((fold(name), fold(text.strip(" \t"))))
        for key, name in COLUMNS.items():
            values = [collapse(value).strip(" ") for field, value in self.fields if field == name]
            self.columns[key] = values
        self.raw_date = [raw for name, raw in fields_of(header) if name.lower() == "date"]
        self._read_parts(octets)

    def _read_parts(self, octets):
        self.texts = []     # of text parts, folded: RFC 3501's BODY
        self.rendered = []  # of HTML parts, folded and without blanks
        self.names = []
        self.between = []   # in front of and behind the parts of a multipart
        self.part_headers = []
        self.is_odd_mime = bool(re.search(rb"\r(?!\n)|;\s*;", octets))
        try:
            root = email.message_from_bytes(octets, policy=email.policy.compat32)
        except Exception:  # the package itself fails on some mail
            self.is_odd_mime = True
            return
        for part in root.walk():
            self._read_part(part, part is root)

    def _read_part(self, part, is_root):
        if part.defects:
            self.is_odd_mime = True
        if not is_root:
            for name, value in part.raw_items():
                text, _ = decode_words(str(value).encode("utf-8", "surrogateescape"))
                self.part_headers.append(fold(f"{name}: {text.strip()}"))
        kind = part.get_content_type()
        for get in (lambda: part.get_filename(), lambda: part.get_param("name")):
            try:
                name = get()
                name = email.utils.collapse_rfc2231_value(name) if name else ""
                self.names.append(fold(decode_words(name.encode("utf-8", "replace"))[0]))
            except Exception:
                self.is_odd_mime = True
        if kind.startswith("message/") and kind != "message/rfc822":
            self.is_odd_mime = True  # the package takes it apart
        if part.is_multipart():
            self.between += [fold(text) for text in (part.preamble, part.epilogue) if text]
        if part.is_multipart() or not kind.startswith("text/"):
            if kind.startswith("message/") and not part.is_multipart():
                self.is_odd_mime = True
            if part.get_content_subtype() in ("encrypted", "pkcs7-mime", "x-pkcs7-mime"):
                self.is_odd_mime = True
            return
        encoding = str(part.get("content-transfer-encoding", "7bit")).strip().lower()
        if encoding not in ("7bit", "8bit", "binary", "quoted-printable", "base64"):
            self.is_odd_mime = True
        try:
            payload = part.get_payload(decode=True) or b""
            charset = part.get_content_charset()
            text = decode(payload, charset or "us-ascii")
        except (Undecodable, LookupError, ValueError):
            self.is_odd_mime = True
            return
        self.texts.append(fold(text))
        if kind == "text/html":
            self.rendered.append(squeeze(fold(render(text))))

    # ---- leaves: (strict, wide) ------------------------------------------------------------------

    def body(self, needle):
        needle = fold(needle)
        if not needle:
            return True, True
        strict = any(needle in text for text in self.texts)
        wide = strict or any(needle in name for name in self.names + self.between)
        squeezed = squeeze(needle)
        wide = wide or not squeezed or any(squeezed in text for text in self.rendered)
        if self.is_odd_mime:
            return False, True
        return strict, wide

    def text(self, needle):
        strict, wide = self.body(needle)
        needle = fold(needle)
        in_header = any(needle in f"{name}: {value}" for name, value in self.fields)
        # Blanks behind the colon, and within folded lines, are kept in different ways.
        loose = squeeze(needle)
        nearly = any(loose in squeeze(f"{name}:{value}") for name, value in self.fields)
        in_part = any(needle in header for header in self.part_headers)
        near_part = any(loose in squeeze(header) for header in self.part_headers)
        strict = strict or in_header or in_part
        wide = wide or nearly or near_part or in_header
        if "encoded-words" in self.odd and not strict:
            wide = True
        if in_part and not in_header and not self.body(needle)[0]:
            return (False, True) if self.is_odd_mime else (strict, wide)
        return strict, wide

    def header(self, name, needle):
        values = [value for field, value in self.fields if field == fold(name)]
        if not name or not values:
            return False, False
        if not needle:
            return True, True
        needle = fold(needle)
        strict = any(needle in value for value in values)
        wide = strict or any(collapse(needle) in collapse(value) for value in values)
        if "encoded-words" in self.odd:
            return False, True
        return strict, wide

    def column(self, key, needle):
        values = self.columns[key]
        if not values:
            return False, False
        if not needle:
            return True, True
        needle = collapse(fold(needle))
        found = needle in ", ".join(values)
        if "encoded-words" in self.odd:
            return False, True
        if key == "SUBJECT":
            return found, found if len(values) == 1 else True
        # What is compared is made of the addresses that a parser found: names may be quoted or not.
        plain = re.fullmatch(r"[\w.@+=-]*(?: [\w.@+=-]+)*", needle) is not None
        source = ", ".join(values)
        is_simple = not re.search(r'[()":;\\]', source)
        # An address without a domain is given one that says so, by Dovecot and so by us.
        if not found and needle in "missing_domain missing_mailbox syntax_error":
            return False, True
        return (found, found) if plain and is_simple else (False, True)

    def sent(self, key, day):
        if len(self.raw_date) != 1:
            own, is_sure = EPOCH, len(self.raw_date) == 0
        else:
            own, is_sure = read_date(self.raw_date[0])
        if not is_sure:
            return False, True
        found = {"SENTBEFORE": own < day, "SENTON": own == day, "SENTSINCE": own >= day}[key]
        return found, found

    def leaf(self, query):
        key, arguments = query[0], query[1:]
        if key in ("BODY", "TEXT"):
            return {"BODY": self.body, "TEXT": self.text}[key](*arguments)
        if key == "HEADER":
            return self.header(*arguments)
        if key in COLUMNS:
            return self.column(key, *arguments)
        if key.startswith("SENT"):
            return self.sent(key, *arguments)
        found = self.exact(key, *arguments)
        return found, found

    def exact(self, key, argument=None):
        if key == "ALL":
            return True
        if key in FLAGS or key.startswith("UN") and key[2:] in FLAGS:
            return (FLAGS[key.removeprefix("UN")] in self.flags) == (key in FLAGS)
        if key in ("KEYWORD", "UNKEYWORD"):
            return (argument.lower() in self.keywords) == (key == "KEYWORD")
        if key in ("UID", "SEQ"):
            return self.uid in argument
        if key in ("LARGER", "SMALLER"):
            return self.size > argument if key == "LARGER" else self.size < argument
        if key in ("BEFORE", "ON", "SINCE"):
            return {"BEFORE": self.internal_day < argument, "ON": self.internal_day == argument,
                    "SINCE": self.internal_day >= argument}[key]
        raise ValueError(key)


DATE = re.compile(r"(?:(?:mon|tue|wed|thu|fri|sat|sun), +)?(\d{1,2}) +"
                  r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) +(\d{4}) +"
                  r"\d\d:\d\d(?::\d\d)? +(?:[+-]\d{4}|gmt|ut)(?: *\([a-z ]+\))?", re.I)
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()


def read_date(raw):
    """(day as written, is it a date that every reader takes alike)."""
    text = re.sub(rb"\r?\n", b"", raw).decode("latin-1").strip()
    match = DATE.fullmatch(text)
    try:
        day = datetime.date(int(match[3]), MONTHS.index(match[2].lower()) + 1, int(match[1]))
        return day, 1970 < day.year < 2038
    except (TypeError, ValueError):
        return EPOCH, not any(c.isdigit() for c in text)


# ---- trees --------------------------------------------------------------------------------------


def evaluate(query, message):
    """True, False, or None where only the rules explain an answer."""
    kind = query[0]
    if kind == "NOT":
        value = evaluate(query[1], message)
        return None if value is None else not value
    if kind in ("AND", "OR"):
        values = [evaluate(part, message) for part in query[1:]]
        if (kind == "OR") in values:
            return kind == "OR"
        return None if None in values else kind == "AND"
    strict, wide = message.leaf(query)
    return strict if strict == wide else None


def search(query, messages):
    """(UIDs that are hits, UIDs that may be)."""
    values = {message.uid: evaluate(query, message) for message in messages}
    return ({uid for uid, value in values.items() if value},
            {uid for uid, value in values.items() if value is None})
