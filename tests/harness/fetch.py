# SPDX-License-Identifier: Apache-2.0
"""FETCH responses taken apart: {item name: value as sent}, strings decoded where asked."""
import re

LITERAL = re.compile(rb"\{(\d+)\}\r\n")
NAME = re.compile(rb"[A-Z0-9.]+(\[[^\]]*\](<\d+>)?)?")


def value_end(unit, at):
    """The end of the value (string, list or word) that begins at this place."""
    depth = 0
    while True:
        c = unit[at : at + 1]
        if c == b'"':
            at += 1
            while unit[at : at + 1] != b'"':
                at += 2 if unit[at : at + 1] == b"\\" else 1
            at += 1
        elif c == b"{":
            literal = LITERAL.match(unit, at)
            at = literal.end() + int(literal[1])
        elif c == b"(":
            depth += 1
            at += 1
        elif c == b")":
            depth -= 1
            at += 1
        elif c == b" ":
            at += 1
        else:
            at = re.compile(rb"[^ ()\"{]+").match(unit, at).end()
        if depth == 0:
            return at


def items(unit):
    """(sequence number, {name: raw value}) of one "* n FETCH (…)"; None for other responses."""
    start = re.match(rb"\* (\d+) FETCH \(", unit)
    if not start:
        return None
    found, at = {}, start.end()
    while unit[at : at + 1] != b")":
        name = NAME.match(unit, at)
        end = value_end(unit, name.end() + 1)
        found[name[0].decode()] = unit[name.end() + 1 : end]
        at = end + (unit[end : end + 1] == b" ")
    return int(start[1]), found


def string(raw):
    """The octets of a string as sent; None for NIL."""
    if raw == b"NIL":
        return None
    literal = LITERAL.match(raw)
    if literal:
        return raw[literal.end() :]
    return re.sub(rb"\\(.)", rb"\1", raw[1:-1])
