"""Import a wheel with a real interpreter of its platform: this machine's, or a foreign one under qemu-user.

An interpreter is told apart by its own ELF header, so only its path has to be given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import elf
from checks import Broken, Platform

TIMEOUT_S = 180
#: What the extension does in the smoke: keys, signatures, frames, tokens, the thread that holds the sockets.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import swarmlet
from swarmlet import _native
assert _native.__file__.startswith(sys.argv[1]), _native.__file__
assert _native.FrameDecoder().feed(_native.encode_frame(16, 1, b"payload")) == [(16, 1, b"payload")]
key = _native.KeyPair.generate()
assert len(key.public_key) == 32 and b"device" in key.csr("device")
seed = _native.TokenSeed.generate()
assert not _native.verify(seed.public_key, b"message", bytes(64))
engine = _native.Engine()
assert engine.event_fd >= 0 and engine.stats()
engine.stop()
assert _native.enforcement()
try:
    _native.Token.parse("nonsense")
except _native.NativeError:
    pass
else:
    raise AssertionError("nonsense was taken as a token")
print("imported and used by CPython", sys.version.split()[0])
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python program and what it runs on."""

    path: Path
    arch: str
    musl: bool
    loader: str

    def fits(self, wanted: Platform) -> bool:
        """Tell whether a wheel of this platform can be imported by it."""
        return (self.arch, self.musl) == (wanted.arch, wanted.musl)


def interpreter(path: Path) -> Interpreter:
    """Read what an interpreter runs on; raises `Broken` when it is no program."""
    try:
        program = elf.read(path.resolve().read_bytes())
    except (OSError, elf.NotElfError) as wrong:
        raise Broken(f"{path} is no interpreter: {wrong}") from wrong
    if program.interpreter is None:
        raise Broken(f"{path} is no program that loads libraries")
    return Interpreter(path, program.arch, "musl" in program.interpreter, program.interpreter)


def command(chosen: Interpreter, machine: str) -> list[str]:
    """Return what runs an interpreter: itself, or qemu-user with the folder its loader lies in.

    Raises:
        Broken: It is foreign and qemu is missing, or its root folder cannot be told.
    """
    root = next(
        (str(one) for one in chosen.path.absolute().parents if (one / chosen.loader.lstrip("/")).exists()),
        "/",
    )
    if chosen.arch == machine and root == "/":
        return [str(chosen.path)]
    if chosen.arch == machine:
        # Another root of this machine's kind: its loader finds its libraries there without a chroot.
        folders = [f"{root}/{name}" for name in ("lib", "usr/lib", f"usr/lib/{machine}-linux-gnu")]
        return [f"{root}{chosen.loader}", "--library-path", ":".join(folders), str(chosen.path)]
    short = "arm" if chosen.arch == "armv7l" else chosen.arch
    for name in (f"qemu-{short}-static", f"qemu-{short}"):
        if found := shutil.which(name):
            return [found, "-L", root, str(chosen.path)]
    raise Broken(f"qemu-{short} is missing to run {chosen.path}; next: apt-get install qemu-user-static")


def run(wheel: Path, chosen: Interpreter) -> str:
    """Unpack a wheel and use it; returns what the program said, raises `Broken` with its last line."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        words = [*command(chosen, os.uname().machine), "-I", "-S", "-c", PROGRAM, folder]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"{chosen.path} did not end in {TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Broken(f"{chosen.path} ended with {done.returncode}: {last}")
    return f"{done.stdout.strip()} on {chosen.arch}{' (qemu)' if 'qemu' in words[0] else ''}"


def install(folder: Path, python: str = sys.executable) -> str:
    """Install from the folder alone into a fresh virtual environment and run what was installed."""
    with tempfile.TemporaryDirectory() as fresh:
        _must([python, "-m", "venv", fresh])
        pip = [f"{fresh}/bin/python", "-m", "pip", "--isolated", "--disable-pip-version-check", "install"]
        _must([*pip, "--quiet", "--no-index", "--find-links", str(folder), "swarmlet"])
        said = _must([f"{fresh}/bin/swarmlet", "--version"])
        _must([f"{fresh}/bin/python", "-I", "-c", PROGRAM, f"{fresh}/lib"])
    return f"pip install --no-index --find-links {folder}/ swarmlet: {said}"


def _must(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).strip().splitlines() if line.strip()]
        raise Broken(" / ".join(lines[-3:]) or f"{words[0]} ended with {done.returncode}")
    return done.stdout.strip()
