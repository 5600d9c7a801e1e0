#!/usr/bin/env python3
"""Checks the licences of everything the program is built from against the list in .deny.toml. Needs no network.

usage: licences.py [MANIFEST]

Reads `cargo metadata` and `cargo tree`; understands SPDX expressions with AND, OR, WITH and parentheses.
"""

import json
import re
import subprocess
import sys

try:
    import tomllib
except ImportError:
    sys.exit(77)  # Python before 3.11: the caller says that this was skipped


def satisfied(expression, allowed):
    """Whether an SPDX expression can be met with the allowed licences."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def any_of():
        good = all_of()
        while peek() == "OR":
            take()
            good = all_of() or good
        return good

    def all_of():
        good = one()
        while peek() == "AND":
            take()
            good = one() and good
        return good

    def one():
        if peek() is None:
            return False
        word = take()
        if word == "(":
            good = any_of()
            if peek() == ")":
                take()
            return good
        if peek() == "WITH":
            take()
            word += " WITH " + (take() if peek() else "")
        return word in allowed

    return any_of() and position == len(tokens)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "Cargo.toml"
    with open(".deny.toml", "rb") as file:
        rules = tomllib.load(file)["licenses"]
    allowed = set(rules["allow"])
    exceptions = {item["crate"]: set(item["allow"]) for item in rules.get("exceptions", [])}
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--all-features"]
    metadata = json.loads(subprocess.run(command + ["--manifest-path", root], check=True, capture_output=True).stdout)
    # The lock file, and with it the metadata, also names packages behind features that nothing turns on.
    command = ["cargo", "tree", "--locked", "--offline", "--all-features", "--target", "all", "--edges", "all", "--prefix", "none"]
    tree = subprocess.run(command + ["--manifest-path", root], check=True, capture_output=True, text=True).stdout
    built = {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}
    packages = [package for package in metadata["packages"] if (package["name"], "v" + package["version"]) in built]
    bad = []
    for package in packages:
        licence = package["license"] or ""
        if not satisfied(licence, allowed | exceptions.get(package["name"], set())):
            bad.append(f"{package['name']} {package['version']}: {licence or 'no licence expression'}")
        source = package["source"] or ""
        if source and not source.startswith(("registry+", "sparse+")):
            bad.append(f"{package['name']} {package['version']}: comes from {source}")
    for line in bad:
        print(line)
    print(f"{len(packages)} packages, {len(bad)} not allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
