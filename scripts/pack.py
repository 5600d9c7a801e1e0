"""Packs folders into what Termux installs: a .deb and a .tar.gz, the same bytes from the same files.

    pack.py deb CONTROL_FOLDER TREE PREFIX FILE.deb
    pack.py tar TREE NAME FILE.tar.gz

PREFIX is where TREE lies on the phone. Owners, times and order are fixed: neither dpkg-deb nor GNU tar is needed, and
nothing of this machine gets in.
"""

import gzip
import hashlib
import io
import lzma
import os
import sys
import tarfile


def entries(tree):
    """Every folder and file below `tree`, folders before what is in them, as (path, name)."""
    for folder, folders, files in os.walk(tree):
        folders.sort()
        if folder != tree:
            yield folder, os.path.relpath(folder, tree)
        for name in sorted(files):
            path = os.path.join(folder, name)
            yield path, os.path.relpath(path, tree)


def archive(tree, inside):
    """A tar of `tree`, its names below `inside`; that folder's own parents come first."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        at = "." if inside.startswith(".") else ""
        for part in inside.split("/"):
            if part in ("", "."):
                continue
            at = f"{at}/{part}" if at else part
            add(tar, None, at)
        for path, name in entries(tree):
            add(tar, path, f"{inside}/{name}" if inside else name)
    return out.getvalue()


def add(tar, path, name):
    """One entry: root's, of no time, and with one of two modes."""
    info = tarfile.TarInfo(name)
    if path is None or os.path.isdir(path):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
        return
    info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
    info.size = os.path.getsize(path)
    with open(path, "rb") as data:
        tar.addfile(info, data)


def member(name, data):
    """One member of an ar archive."""
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
    return head + data + b"\n" * (len(data) % 2)


def deb(control, tree, prefix, file):
    """control(5) and its companions are in `control`; the list of checksums and the size are made here."""
    prefix = prefix.strip("/")
    sums, size = [], 0
    for path, name in entries(tree):
        if os.path.isfile(path):
            with open(path, "rb") as data:
                sums.append(f"{hashlib.md5(data.read()).hexdigest()}  {prefix}/{name}\n")
            size += os.path.getsize(path)
    with open(os.path.join(control, "md5sums"), "w", encoding="utf-8") as out:
        out.writelines(sums)
    with open(os.path.join(control, "control"), encoding="utf-8") as text:
        fields = text.read().replace("@SIZE@", str((size + 1023) // 1024))
    with open(os.path.join(control, "control"), "w", encoding="utf-8") as out:
        out.write(fields)
    with open(file, "wb") as out:
        out.write(b"!<arch>\n" + member("debian-binary", b"2.0\n"))
        out.write(member("control.tar.xz", lzma.compress(archive(control, "."))))
        out.write(member("data.tar.xz", lzma.compress(archive(tree, f"./{prefix}"))))


def main(words):
    if len(words) == 5 and words[0] == "deb":
        deb(*words[1:])
    elif len(words) == 4 and words[0] == "tar":
        with open(words[3], "wb") as out:
            out.write(gzip.compress(archive(words[1], words[2]), mtime=0))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
