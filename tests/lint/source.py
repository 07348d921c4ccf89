#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the source tree that a compiler does not check; one line for each breach.

Layers and private headers (lib/LAYERS), calls we do not make, the SPDX line, file length, a README
per module, names at the top of the tree, and paths of somebody's machine. Run from anywhere.
"""
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = {"cmd", "lib", "schema", "tests", "ops", "Makefile", "README.md", "LICENSE"}
SKIPPED = {"build", "__pycache__", "node_modules"}  # what git ignores
SOURCE = {".c", ".h", ".py", ".sh", ".awk", ".sql"}
LINES_MAX = 800
FORBIDDEN = ("strcpy", "strcat", "sprintf", "strtok", "atoi", "strtol", "gmtime", "localtime",
             "system", "popen", "alloca")

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(FORBIDDEN))
MACHINE_PATH = re.compile(r"(?<![\w.~/}\-])/(?:work|root)/")
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

breaches = []


def breach(path, line, text):
    breaches.append(f"{path}:{line}: {text}" if line else f"{path}: {text}")


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def blank(match):
    """A comment or literal becomes spaces, its line ends stay."""
    return re.sub(r"[^\n]", " ", match.group())


def files():
    """Every file of the tree, as a path from its root."""
    for folder, names, leaves in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        names[:] = sorted(n for n in names if n not in SKIPPED and not (
            n.startswith(".") and n != ".ci"))
        for leaf in sorted(leaves):
            if leaf != ".git":  # of a worktree: a file that says where the repository is
                yield here / leaf


def read_layers():
    """lib/LAYERS as module -> set of modules it may include. A module stands below its users."""
    layers = {}
    for number, line in enumerate((ROOT / "lib/LAYERS").read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        module, _, below = line.partition(":")
        for name in below.split():
            if name not in layers:
                breach("lib/LAYERS", number, f"{module} uses {name}, which has no line above it")
        layers[module] = set(below.split())
    return layers


def check_includes(path, text, layers):
    where = path.parts[0]
    own = path.parts[1] if len(path.parts) > 2 else None
    for match in INCLUDE.finditer(text):
        name = match.group(1)
        line = line_of(text, match.start())
        module, slash, header = name.partition("/")
        if where == "lib":
            if not slash or module not in layers:
                breach(path, line, f'"{name}": includes are "module/header.h" of a module in lib/LAYERS')
            elif module != own and module not in layers.get(own, ()):
                breach(path, line, f"{own} may not include {module} (lib/LAYERS)")
        if header == "internal.h" and module in layers and (
                where == "cmd" or where == "lib" and module != own):
            breach(path, line, f"{name} is private to lib/{module}")


def check_calls(path, text):
    code = NOT_CODE.sub(blank, text)
    for match in CALL.finditer(code):
        breach(path, line_of(code, match.start()), f"{match.group(1)}() is a call we do not make")


def is_source(path, data):
    return path.suffix in SOURCE or path.name == "Makefile" or data.startswith(b"#!")


def is_data(path):
    """Inputs of tests are what they are."""
    parts = path.parts
    return parts[:2] == ("tests", "data") or parts[:2] == ("tests", "fuzz") and len(parts) > 3


def check_file(path, layers):
    data = (ROOT / path).read_bytes()
    if is_data(path) or b"\0" in data:
        return
    text = data.decode("utf-8", "replace")
    for match in MACHINE_PATH.finditer(text):
        breach(path, line_of(text, match.start()), "a path of one developer's machine")
    if not is_source(path, data):
        return
    lines = text.splitlines()
    head = lines[1:2] if text.startswith("#!") else lines[:1]
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
        breach(path, 1, "no SPDX-License-Identifier: Apache-2.0 on top")
    if len(lines) > LINES_MAX:
        breach(path, len(lines), f"{len(lines)} lines, at most {LINES_MAX}")
    if path.suffix in (".c", ".h") and path.parts[0] in ("lib", "cmd", "tests"):
        check_includes(path, text, layers)
        if path.parts[0] != "tests":
            check_calls(path, text)


def check_modules(layers):
    for folder in sorted(p for p in (ROOT / "lib").iterdir() if p.is_dir()):
        here = folder.relative_to(ROOT)
        if folder.name not in layers:
            breach(here, 0, "a module without a line in lib/LAYERS")
        if not (folder / "README.md").is_file():
            breach(here, 0, "a module without a README.md")


def check_top():
    have = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - SKIPPED
    for name in sorted(have - TOP):
        breach(name, 0, "does not belong at the top of the tree")
    for name in sorted(TOP - have):
        breach(name, 0, "is missing at the top of the tree")


def main():
    layers = read_layers()
    count = 0
    check_top()
    check_modules(layers)
    for path in files():
        if (ROOT / path).is_file():
            check_file(path, layers)
            count += 1
    for line in breaches:
        print("lint:", line)
    print(f"lint: {count} files, {len(breaches)} breaches")
    return 1 if breaches else 0


sys.exit(main())
