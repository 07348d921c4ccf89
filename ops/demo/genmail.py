#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""genmail.py FOLDER - mail of three people for the demonstration, as Maildirs FOLDER/NAME/Maildir.

The same mail at every run: conversations with answers and quotes, HTML beside text, attachments,
forwarded messages, six character sets, nested mailboxes with names in several scripts, flags and
keywords, dates over two years. Only Python's standard library.
"""
import base64
import calendar
import os
import pathlib
import random
import struct
import sys
import zlib
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

START = calendar.timegm((2021, 3, 1, 8, 0, 0))
PER_PERSON = 240

PEOPLE = {
    "alice": ("Alice Meyer", "alice@nordwind.example"),
    "bruno": ("Bruno Sørensen", "bruno@nordwind.example"),
    "chiyo": ("千代 田中", "chiyo@nordwind.example"),
}
OUTSIDE = [
    ("Zoë Lefèvre", "zoe@atelier.example"), ("Игорь Петров", "igor@sever.example"),
    ("王小明", "xiaoming@dongfang.example"), ("Harbour Authority", "office@harbour.example"),
    ("José Núñez", "jose@transportes.example"), ("Billing", "billing@hosting.example"),
]
FOLDERS = {
    "alice": ["INBOX", "Sent", "Archive/2021", "Archive/2022", "Projects/Boat", "Projects/Bücher"],
    "bruno": ["INBOX", "Sent", "Kunder/Ålesund", "Kunder/København", "Trash"],
    "chiyo": ["INBOX", "Sent", "日本語/請求書", "日本語/旅行", "Проекты"],
}
TOPICS = [
    "Quarterly figures", "Harbour dues for the Nordwind", "Invoice {n}", "Trip to Ålesund",
    "Contract draft, third version", "Minutes of the meeting", "Crew list", "Spare parts",
    "Insurance: your question of yesterday", "Lunch?",
]
FOREIGN = [  # subject, text, the character set it is sent in
    ("Änderung der Lieferung", "Die Lieferung verschiebt sich um zwei Tage. Grüße aus Köln.",
     "iso-8859-1"),
    ("Счёт за март", "Добрый день! Счёт во вложении, оплата до конца месяца.", "koi8-r"),
    ("会議の件", "明日の会議は午後三時からです。よろしくお願いします。", "iso-2022-jp"),
    ("合同草案", "请查收附件中的合同草案，谢谢。", "gb18030"),
    ("Facture n° 42 – 1 250 €", "Voici la facture. Le règlement est attendu « sous 30 jours ».",
     "windows-1252"),
    ("Πρόσκληση", "Σας προσκαλούμε στην παρουσίαση της Παρασκευής.", "utf-8"),
]
WORDS = ("the ship crew harbour contract figures please confirm before Friday delivery of spare "
         "parts was late again we will call you about insurance and price list attached as agreed "
         "see below thank you regards weather storm engine oil filter cabin door key").split()


def modified_utf7(name):
    """RFC 3501, 5.1.3: a mailbox name as Maildir folders carry it."""
    out, wide = "", ""

    def flush():
        if not wide:
            return ""
        coded = base64.b64encode(wide.encode("utf-16-be")).decode().rstrip("=")
        return "&" + coded.replace("/", ",") + "-"

    for char in name:
        if 0x20 <= ord(char) <= 0x7E:
            out += flush() + ("&-" if char == "&" else char)
            wide = ""
        else:
            wide += char
    return out + flush()


def png(chance):
    """A small picture: 24 by 24 pixels of two colours."""
    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))
    rows = b"".join(b"\0" + bytes(chance.choice((40, 220)) for _ in range(24)) for _ in range(24))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 24, 24, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def prose(chance, sentences):
    return "\n".join(
        " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 16))).capitalize() + "."
        for _ in range(sentences))


class Person:
    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.chance = random.Random(f"holdfast demonstration {name}")
        self.count = 0
        self.threads = []

    def text(self, message, body, kind):
        message.set_content(body, charset="utf-8", cte="quoted-printable"
                            if self.chance.random() < 0.5 else "8bit")
        if kind in ("html", "attachment"):
            html = "".join(f"<p>{line}</p>" for line in body.split("\n"))
            message.add_alternative(
                f'<html><body style="font-family:sans-serif">{html}'
                f'<p><a href="https://nordwind.example/{self.count}">more</a></p></body></html>',
                subtype="html")
        if kind == "attachment":
            rows = "\n".join(f"{i};{self.chance.randint(1, 9999)};EUR" for i in range(40))
            message.add_attachment(rows.encode(), maintype="text", subtype="csv",
                                   filename="Aufstellung März.csv")
            message.add_attachment(png(self.chance), maintype="image", subtype="png",
                                   filename="plan.png")

    def foreign(self, message, subject, body, charset):
        """One part in a character set of its own."""
        message.set_content(body, charset="utf-8")
        del message["Content-Type"], message["Content-Transfer-Encoding"]
        message["Content-Type"] = f"text/plain; charset={charset}"
        message["Content-Transfer-Encoding"] = "base64"
        message.set_payload(base64.encodebytes(body.encode(charset)).decode())
        message["Subject"] = subject

    def begin(self, at):
        """A new message with its sender: a colleague, or somebody from outside."""
        me = PEOPLE[self.name]
        others = [p for n, p in PEOPLE.items() if n != self.name] + OUTSIDE
        sender, receiver = self.chance.choice(others), me
        if self.chance.random() < 0.25:
            sender, receiver = receiver, sender
        message = EmailMessage(policy=SMTP.clone(linesep="\n", cte_type="8bit", utf8=False))
        message["From"] = f'"{sender[0]}" <{sender[1]}>'
        message["To"] = f'"{receiver[0]}" <{receiver[1]}>'
        message["Date"] = formatdate(at, localtime=False)
        message["Message-ID"] = f"<{self.name}.{self.count}@{sender[1].split('@')[1]}>"
        return message, sender is me

    def message(self, at):
        message, is_sent = self.begin(at)
        draw = self.chance.random()
        if draw < 0.18:
            self.foreign(message, *self.chance.choice(FOREIGN))
        elif draw < 0.55 and self.threads:
            subject, ids, quoted = self.chance.choice(self.threads[-12:])
            message["Subject"] = "Re: " + subject
            message["In-Reply-To"] = ids[-1]
            message["References"] = " ".join(ids[-8:])
            ids.append(message["Message-ID"])
            answer = prose(self.chance, 3)
            self.text(message, answer + "\n\n" + "\n".join("> " + q for q in quoted.split("\n")),
                      self.chance.choice(("plain", "html")))
        else:
            subject = self.chance.choice(TOPICS).format(n=1000 + self.count)
            body = prose(self.chance, self.chance.randint(2, 12))
            message["Subject"] = subject
            self.text(message, body, self.chance.choice(("plain", "html", "attachment", "plain")))
            self.threads.append((subject, [message["Message-ID"]], body))
        if draw > 0.96:
            message = self.forward(message, at)
        return message, is_sent

    def forward(self, inner, at):
        outer, _ = self.begin(at + 600)
        outer.replace_header("Message-ID", f"<fwd.{self.name}.{self.count}@nordwind.example>")
        outer["Subject"] = "Fwd: " + inner["Subject"]
        outer.set_content("For your files.\n")
        outer.add_attachment(inner)
        return outer

    def deliver(self, mailbox, octets, flags, at):
        folder = self.folder / "Maildir"
        if mailbox != "INBOX":
            folder = folder / ("." + modified_utf7(mailbox).replace("/", "."))
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        # Keyword letters, as Dovecot numbers them.
        (folder / "dovecot-keywords").write_text("0 $Forwarded\n1 Important\n")
        path = folder / "cur" / f"{at}.M{self.count:06d}P1.demo:2,{''.join(sorted(flags))}"
        path.write_bytes(octets)
        os.utime(path, (at, at))

    def run(self):
        boxes = [b for b in FOLDERS[self.name] if b != "Sent"]
        random.seed(f"boundaries {self.name}")  # email draws its boundaries from there
        at = START
        while self.count < PER_PERSON:
            at += self.chance.randint(3600, 9 * 86400 // 2)
            message, is_sent = self.message(at)
            mailbox = "Sent" if is_sent else (
                "INBOX" if self.chance.random() < 0.5 else self.chance.choice(boxes))
            flags = "".join(f for f, p in (("S", 0.8), ("R", 0.3), ("F", 0.08), ("a", 0.05),
                                           ("b", 0.05)) if self.chance.random() < p)
            self.deliver(mailbox, message.as_bytes(), flags, at)
            self.count += 1


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n", maxsplit=1)[0])
    for name in PEOPLE:
        Person(name, pathlib.Path(sys.argv[1]) / name).run()


main()
