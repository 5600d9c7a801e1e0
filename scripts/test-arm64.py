"""Proves the builds for ARM phones under emulation; scripts/test-arm64.sh says what it needs.

    test-arm64.py BUILDS MODEL X86_PROGRAM FOLDER LEVEL…        FOLDER holds the model with 16-bit weights, f16.gguf
    test-arm64.py --pull FOLDER PROGRAM…        inside a network of its own: one download through a name server
"""

import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# The level's own processor, and the one that lacks just what the level adds.
CPUS = {"v80": ("cortex-a53", None), "v82": ("neoverse-n1", "cortex-a53"), "v86": ("max,pauth-impdef=on", "cortex-a76")}
CHOICES = {"cortex-a53": "v80", "cortex-a72": "v80", "cortex-a76": "v82", "neoverse-n1": "v82", "max,pauth-impdef=on": "v86"}
# What the processors' manuals say of an instruction word: mask and value.
INSTRUCTIONS = {
    "sdot": [(0xBFE0FC00, 0x0E809400), (0xBFC0F400, 0x0F80E000)],
    "smmla": [(0xFFE0FC00, 0x4E80A400)],
    "LSE": [(0x3F208C00, 0x38200000), (0x3F20FC00, 0x38208000), (0x3FA07C00, 0x08A07C00)],
}
# Odd and even numbers of tokens. With 16-bit weights every one of them must give the same logits. With 4-bit weights the
# activations are rounded to eight bits: a sum in another order may fall on the other side of a step, and thirty layers
# make much of it. So only the first two, chosen because they are steady, are held to the same bound there; of the others
# the likeliest token must be the same, and the differences are told.
TEXTS = (
    "In the beginning God created the heaven and the", "One, two, three, four, five,", "The capital of France is",
    "def add(a, b):\n    return a", "Water boils at a temperature of", "Once upon a time there was a",
    "import numpy as np\nx = np.", "The quick brown fox jumps over the lazy", 'fn main() {\n    println!("Hello',
    "To be or not to be, that is the",
)
STEADY = 2
TOLERANCE = 0.3
# Places that Android hides from apps or does not have.
HIDDEN = re.compile(r'"(/tmp\b|/dev/shm|/proc/stat\b|/proc/loadavg|/proc/self/exe)[^"]*')


def qemu(cpu, *words):
    return ["qemu-aarch64", "-cpu", cpu, *words]


class Home:
    """A phone's folders: a home for zord with a small configuration, a prefix, a place for temporary files."""

    def __init__(self, folder, model=None):
        self.folder = folder
        for name in ("zord", "usr/etc", "tmp"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        if model:
            with open(os.path.join(folder, "zord/config.toml"), "w", encoding="utf-8") as out:
                out.write(f"model = '{model}'\n[context]\nsize = 512\n[threads]\ncount = 2\nflash = false\n[chat]\npreset = 'greedy'\nmax_tokens = 2\n")

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        phone = {"HOME": self.folder, "ZORD_HOME": self.folder + "/zord", "PREFIX": self.folder + "/usr", "TMPDIR": self.folder + "/tmp",
                 "TERMUX_VERSION": "0.118.1", "TERM": "xterm-256color"}
        return {**kept, **phone, **more}

    def run(self, words, limit=900, **more):
        return subprocess.run(words, env=self.environment(**more), cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=limit, check=False)


def sections(path):
    """Words of the executable parts of a program; fails on what a phone could not load."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:5] == b"\x7fELF\x02" and struct.unpack_from("<H", data, 18)[0] == 183, f"{path} is no 64-bit ARM program"
    start, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    words = []
    for n in range(count):
        kind, flags, offset, _, _, length, _, align = struct.unpack_from("<IIQQQQQQ", data, start + n * size)
        assert kind != 3, f"{path} wants a dynamic linker"
        if kind == 1:
            assert align >= 16384, f"{path} cannot be loaded with pages of 16 KiB"
            if flags & 1:
                words.extend(struct.unpack_from(f"<{length // 4}I", data, offset))
    return words


def count(path):
    words = sections(path)
    return {name: sum(1 for word in words if any(word & mask == value for mask, value in forms)) for name, forms in INSTRUCTIONS.items()}


def instructions(builds, levels):
    rows = ["| level | size | `sdot` | `smmla` |", "|---|---|---|---|"]
    for level in levels:
        path = f"{builds}/zord-{level}"
        found = count(path)
        rows.append(f"| {level} | {os.path.getsize(path) / 1e6:.1f} MB | {found['sdot']} | {found['smmla']} |")
        assert (found["sdot"] > 100) == (level != "v80"), f"{level}: {found}"
        assert (found["smmla"] > 10) == (level == "v86"), f"{level}: {found}"
        assert found["LSE"] == 0, f"{level} uses atomics of ARMv8.1: {found}"
    size = os.path.getsize(f"{builds}/zord")
    assert size <= 600_000, f"the launcher has {size} bytes"
    print("\n".join(rows) + f"\n\nthe launcher has {size} bytes")


def launcher(builds, folder):
    """Its choices, with scripts in the builds' places: an emulator starts them, and no ARM program from inside."""
    bin_folder, builds_folder = f"{folder}/bin", f"{folder}/libexec/zord"
    for path in (bin_folder, builds_folder):
        os.makedirs(path)
    shutil.copy(f"{builds}/zord", f"{bin_folder}/zord")
    for level in CPUS:
        with open(f"{builds_folder}/zord-{level}", "w", encoding="utf-8") as out:
            out.write(f'#!/bin/sh\necho {level} "$@"\n')
        os.chmod(f"{builds_folder}/zord-{level}", 0o755)
    os.symlink("bin/zord", f"{folder}/link")
    home = Home(f"{folder}/home")
    for cpu, level in CHOICES.items():
        for program in (f"{bin_folder}/zord", f"{folder}/link"):
            ran = home.run(qemu(cpu, program, "chat", "a b"))
            assert (ran.returncode, ran.stdout) == (0, f"{level} chat a b\n"), f"{cpu}: {ran}"
    ran = home.run(qemu("max,pauth-impdef=on", f"{bin_folder}/zord"), ZORD_CPU="v80")
    assert ran.stdout == "v80\n", ran
    ran = home.run(qemu("max,pauth-impdef=on", f"{bin_folder}/zord"), ZORD_CPU="v9")
    assert ran.returncode == 1 and "no build `v9`" in ran.stderr and "v86 fits" in ran.stderr, ran
    os.remove(f"{builds_folder}/zord-v86")
    ran = home.run(qemu("max,pauth-impdef=on", f"{bin_folder}/zord"))
    assert ran.stdout == "v82\n", f"what is there is taken: {ran}"
    ran = home.run(qemu("max,pauth-impdef=on", f"{bin_folder}/zord"), ZORD_CPU="v86")
    assert ran.returncode == 1 and "cannot find `zord-v86`" in ran.stderr, ran


def first_token(home, words, text):
    """The five likeliest first tokens with their logits, and the prompt's length."""
    log = home.folder + "/logits"
    if os.path.exists(log):
        os.remove(log)
    ran = home.run([*words, "chat", "--raw", "--json", "--no-stdin", "--max-tokens", "1", text], ZORD_LOG="logits=trace", ZORD_LOG_FILE=log)
    assert ran.returncode == 0, ran
    with open(log, encoding="utf-8") as lines:
        found = re.findall(r"(\d+)=(-?[\d.]+)", re.search(r"logits: (.*)", lines.read())[1])
    return [(int(token), float(logit)) for token, logit in found], json.loads(ran.stdout.splitlines()[-1])["prompt_tokens"]


def prompts(home, x86):
    """The prompts with what they give here."""
    cases = [(text, *first_token(home, [x86], text)) for text in TEXTS]
    assert {length % 2 for _, _, length in cases[:STEADY]} == {0, 1}, cases
    return cases


def difference(top, expected):
    """The largest one among the five likeliest of either side; a token that the other side does not have among its five
    lies at most where its fifth one does."""
    found, wanted = dict(top), dict(expected)
    both = [abs(found[token] - wanted[token]) for token in found.keys() & wanted.keys()]
    alone = [one[token] - min(other.values()) for one, other in ((found, wanted), (wanted, found)) for token in one.keys() - other.keys()]
    return max(both + alone)


def logits(home, level, builds, cases, steady):
    """The first `steady` of the prompts give the same logits, all of them the same token unless two are as likely."""
    differences = []
    for at, (text, expected, length) in enumerate(cases):
        top, tokens = first_token(home, qemu(CPUS[level][0], f"{builds}/zord-{level}"), text)
        assert tokens == length, f"{tokens} tokens, {length} expected"
        differences.append(difference(top, expected))
        near = expected[0][1] - expected[1][1] <= TOLERANCE
        assert top[0][0] == expected[0][0] or near, f"{text!r}: {top} instead of {expected}"
        assert at >= steady or differences[-1] <= TOLERANCE, f"{text!r}: {top} instead of {expected}"
    shown = " ".join(f"{one:.2f}" for one in differences)
    print(f"{level}: differences {shown}, held to {TOLERANCE}: the first {min(steady, len(cases))}")


def dies(home, level, builds, cases):
    cpu = CPUS[level][1]
    text = next(text for text, _, length in cases if length % 2 == 0)
    ran = home.run(qemu(cpu, f"{builds}/zord-{level}", "chat", "--raw", "--no-stdin", "--max-tokens", "1", text))
    assert ran.returncode == -signal.SIGILL, f"{level} on {cpu}: {ran}"


def allowed():
    with open(f"{HERE}/android-syscalls.txt", encoding="utf-8") as text:
        return {name for line in text if not line.startswith("#") for name in line.split()}


def judge(what, log):
    """Nothing that Android forbids, and no place that it hides."""
    with open(log, encoding="utf-8", errors="replace") as text:
        trace = text.read()
    calls = set(re.findall(r"\b\d+ ([a-z_][a-z0-9_]*)\(", trace)) | {f"number {n}" for n in re.findall(r"Unknown syscall (\d+)", trace)}
    assert len(calls) > 15, f"{what}: no trace in {log}"
    forbidden = calls - allowed()
    assert not forbidden, f"{what}: {' '.join(sorted(forbidden))} would end it on Android"
    seen = {found[0] for found in HIDDEN.finditer(trace)}
    assert not seen, f"{what} opens {seen}"
    print(f"{what}: {len(calls)} different system calls, all allowed")


def gate_chat(home, program):
    log = home.folder + "/chat.strace"
    ran = home.run(qemu(program[0], "-strace", "-D", log, program[1], "chat", "--no-stdin", "--max-tokens", "2", "Hi"))
    assert ran.returncode == 0, ran
    judge("a chat", log)


def gate_pull(home, program):
    log = home.folder + "/pull.strace"
    words = qemu(program[0], "-strace", "-D", log, program[1])
    # a network of its own, and nothing in /etc, as on Android
    inside = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /etc && exec "$@"', "sh"]
    ran = home.run([*inside, sys.executable, os.path.abspath(__file__), "--pull", home.folder, *words])
    assert ran.returncode == 0, ran
    judge("a download", log)


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file as a hub does."""

    body = b"GGUF\x03\0\0\0" + bytes(300_000)

    def do_GET(self):  # noqa: N802, the server's own name for it
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("X-Linked-Size", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def answer_names(server):
    """Every name is this machine."""
    while True:
        question, peer = server.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        four = question[end - 3] == 1
        head = question[:2] + struct.pack(">5H", 0x8180, 1, int(four), 0, 0) + question[12:end]
        server.sendto(head + (b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01" if four else b""), peer)


def pull(folder, words):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind(("127.0.0.1", 53))
    threading.Thread(target=answer_names, args=(names,), daemon=True).start()
    hub = http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    home = Home(folder)
    with open(f"{folder}/usr/etc/resolv.conf", "w", encoding="utf-8") as out:
        out.write("nameserver 127.0.0.1\n")
    ran = home.run([*words, "models", "pull", "hf:owner/repo/m.gguf"], HF_ENDPOINT="http://hub.example:8080")
    print(ran.stdout, ran.stderr)
    with open(f"{folder}/zord/models/m.gguf", "rb") as got:
        assert got.read() == Hub.body, "another file"
    return ran.returncode


def terminal(home, words, limit=900):
    """Opens the interface, asks, waits for the answer, leaves; false where the emulator cannot."""
    child, master = pty.fork()
    if child == 0:
        os.chdir(home.folder)
        os.execvpe(words[0], words, home.environment())
    # the size of a phone upright, before the first frame asks for it
    import fcntl
    import termios
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 60, 0, 0))
    seen, after, end = b"", None, time.monotonic() + limit
    try:
        while time.monotonic() < end:
            if select.select([master], [], [], 1)[0]:
                try:
                    seen += os.read(master, 65536)
                except OSError:
                    break
            if after is None and b"commands" in seen:
                os.write(master, b"Hi\r")
                after = len(seen)
            elif after is not None and after >= 0 and b"length limit" in seen[after:]:
                os.write(master, b"/quit\r")
                after = -1
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
        os.close(master)
    if b"Function not implemented" in seen:
        return False
    assert after == -1 and status == 0, f"status {status}: {seen[-3000:]!r}"
    assert b"\x1b[?1049l" in seen, "the terminal is not given back"
    return True


def gate_terminal(home, program):
    log = home.folder + "/tui.strace"
    if not terminal(home, qemu(program[0], "-strace", "-D", log, program[1])):
        print("SKIPPED the interface: this qemu does not know the terminal's calls (10 and newer do)")
        return
    judge("a session in the terminal", log)


def package(builds, folder, model):
    """The .deb in a prefix of its own; the launcher starts what an emulator must start."""
    deb = next((name for name in os.listdir(f"{builds}/package") if name.endswith(".deb")), None)
    assert deb, "scripts/package-termux.sh made no .deb"
    subprocess.run(["dpkg-deb", "-x", f"{builds}/package/{deb}", folder], check=True)
    prefix = f"{folder}/data/data/com.termux/files/usr"
    for level, (cpu, _) in CPUS.items():
        real = f"{prefix}/libexec/zord/zord-{level}"
        os.rename(real, real + ".arm")
        with open(real, "w", encoding="utf-8") as out:
            out.write(f'#!/bin/sh\nexec qemu-aarch64 -cpu {cpu} "$0.arm" "$@"\n')
        os.chmod(real, 0o755)
    home = Home(f"{folder}/home", model)
    start = qemu("neoverse-n1", f"{prefix}/bin/zord")
    said = home.run([*start, "doctor"], PREFIX=prefix)
    assert said.returncode == 0 and "termux: 0.118.1" in said.stdout and "dotprod" in said.stdout, said
    said = home.run([*start, "chat", "--no-stdin", "--max-tokens", "3", "Hi"], PREFIX=prefix)
    assert said.returncode == 0 and said.stdout.strip(), said
    terminal(home, start)
    print(f"{deb}: doctor, chat and the interface run")


def main(words):
    if words[:1] == ["--pull"]:
        return pull(words[1], words[2:])
    builds, model, x86, folder, *levels = words
    failed = 0

    def check(name, work, *arguments):
        nonlocal failed
        start = time.monotonic()
        try:
            result = work(*arguments)
            print(f"ok      {name} ({time.monotonic() - start:.0f} s)", flush=True)
            return result
        except (AssertionError, OSError, subprocess.SubprocessError, TypeError, ValueError) as error:
            failed += 1
            print(f"FAILED  {name}: {error}", flush=True)
            return None

    home = Home(f"{folder}/phone", model)
    whole = Home(f"{folder}/whole", f"{folder}/f16.gguf")
    check("instructions", instructions, builds, levels)
    check("the launcher's choice", launcher, builds, f"{folder}/launcher")
    cases = check("the x86 build's logits", prompts, home, x86)
    exact = check("the same with 16-bit weights", prompts, whole, x86)
    for level in levels if cases and exact else []:
        check(f"{level}: the same logits with 16-bit weights", logits, whole, level, builds, exact, len(exact))
        check(f"{level}: the model's logits", logits, home, level, builds, cases, STEADY)
        if CPUS[level][1]:
            check(f"{level}: dies where it must", dies, home, level, builds, cases)
    program = (CPUS[levels[-1]][0], f"{builds}/zord-{levels[-1]}")
    check("system calls of a chat", gate_chat, home, program)
    if os.getuid() == 0:
        check("system calls of a download", gate_pull, Home(f"{folder}/pull"), program)
    else:
        print("SKIPPED system calls of a download: a network of its own needs root")
    check("system calls in the terminal", gate_terminal, home, program)
    if os.path.isdir(f"{builds}/package") and shutil.which("dpkg-deb") and len(levels) == len(CPUS):
        check("the package", package, builds, f"{folder}/package", model)
    else:
        print("SKIPPED the package: it needs dpkg-deb, all levels, and scripts/package-termux.sh before")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
