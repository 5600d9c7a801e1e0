"""Lists the tests of a JUnit report that said `SKIPPED: reason` and did nothing: `REASON (N tests: NAMES)`, a line each.

    python3 scripts/skipped.py REPORT

One test may go on after skipping a part of itself; it is listed all the same. Exits with 0 whether there are any or not.
"""

import re
import sys
import xml.etree.ElementTree as xml

NAMED = 3


def skipped(report):
    """The names of the tests by what they lacked."""
    reasons = {}
    for case in xml.parse(report).getroot().iter("testcase"):
        said = "\n".join(part.text or "" for part in case if part.tag in ("system-out", "system-err"))
        for reason in sorted(set(re.findall(r"^\s*SKIPPED: (.+?)\s*$", said, re.MULTILINE))):
            reasons.setdefault(reason, []).append(case.get("name"))
    return reasons


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for reason, names in sorted(skipped(sys.argv[1]).items()):
        more = ", …" if len(names) > NAMED else ""
        tests = "1 test" if len(names) == 1 else f"{len(names)} tests"
        print(f"{reason} ({tests}: {', '.join(sorted(names)[:NAMED])}{more})")


main()
