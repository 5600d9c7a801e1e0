#!/usr/bin/env python3
"""Writes the notices of everything that is built into a program: each package with its licence and where it comes from,
and each licence text once. Needs no network and nothing besides Python and cargo.

usage: notices.py TARGET [CARGO_FEATURE_FLAG…] >THIRD-PARTY

Packages that only build or test the program are left out. The same lock file gives the same bytes.
"""

import json
import os
import re
import struct
import subprocess
import sys
import zlib

NAMED = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
CODE = (".rs", ".cmake", ".py", ".c", ".h", ".cpp", ".json", ".toml", ".yml", ".yaml", ".sh", ".bin")
# Longer files are no licence texts.
MOST = 512 << 10
# What the compilers bring along, which no package names.
ALWAYS = (
    ("Rust standard library", "MIT OR Apache-2.0", "https://github.com/rust-lang/rust"),
    ("compiler-rt, libc++", "Apache-2.0 WITH LLVM-exception", "https://github.com/llvm/llvm-project"),
)
LIBRARIES = {"musl": ("musl", "MIT", "https://musl.libc.org")}


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--offline"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def packages(target, flags):
    """What the program is linked from, by name and version."""
    tree = cargo("tree", "--target", target, "--edges", "normal,no-proc-macro", "--prefix", "none", *flags)
    built = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target, *flags))
    found = [package for package in metadata["packages"] if (package["name"], "v" + package["version"]) in built]
    return sorted((package for package in found if package["source"]), key=lambda it: (it["name"], it["version"]))


def texts(folder):
    """The licence texts of a package and of what it has taken in, in the order of their paths."""
    for path, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            whole = os.path.join(path, name)
            if NAMED.match(name) and not name.lower().endswith(CODE) and 0 < os.path.getsize(whole) <= MOST:
                with open(whole, encoding="utf-8", errors="replace") as text:
                    yield text.read()
    grammars = os.path.join(folder, "generated", "acknowledgements_full.bin")
    if os.path.exists(grammars):
        with open(grammars, "rb") as data:
            yield from acknowledgements(zlib.decompress(data.read()))


def acknowledgements(data):
    """The texts of two-face's grammars: a list of (kind, text, path), as Rust's bincode writes it."""
    (count,) = struct.unpack_from("<Q", data)
    at = 8
    for _ in range(count):
        at += 4
        for part in range(2):
            (length,) = struct.unpack_from("<Q", data, at)
            at += 8
            if part == 0:
                yield data[at : at + length].decode()
            at += length


def words(text):
    """What tells a text from others: not how its lines are broken."""
    return " ".join(text.split())


def lines(text):
    """A text without blanks at the ends of its lines."""
    kept = [line.rstrip() for line in text.replace("\r\n", "\n").expandtabs().splitlines()]
    return "\n".join(kept).strip("\n")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    target = sys.argv[1]
    numbers = {}
    out = ["Built into this program, each under its own licence; the numbers are those of the texts below.", ""]
    for name, licence, origin in ALWAYS + tuple(LIBRARIES[name] for name in LIBRARIES if name in target):
        out += [name, f"    licence: {licence}", f"    from:    {origin}"]
    for package in packages(target, sys.argv[2:]):
        own = {words(text): text for text in texts(os.path.dirname(package["manifest_path"])) if text.strip()}
        for key, text in own.items():
            numbers.setdefault(key, (len(numbers) + 1, lines(text)))
        shown = [str(numbers[key][0]) for key in own]
        out.append(f"{package['name']} {package['version']}")
        out.append(f"    licence: {package['license'] or 'see the text'}")
        if package["repository"]:
            out.append(f"    from:    {package['repository']}")
        if shown:
            out.append(f"    texts:   {', '.join(shown)}")
        else:
            authors = ", ".join(re.sub(r"\s*<[^>]*>", "", author) for author in package["authors"])
            out.append(f"    by:      {authors or 'its authors'}; the package has no text of its own")
    for number, text in numbers.values():
        out += ["", f"-------- text {number} --------", "", text]
    print("\n".join(out))


main()
