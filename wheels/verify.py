"""Check wheels before anybody gets them: one line for each check, exit status 1 when one does not hold.

``verify.py [--python PATH]... [--install] [WHEEL...]``; without names, every wheel of Swarmlet's here.
``--python`` names an interpreter of any machine and C library (``interpreters.sh`` unpacks some); the wheels
that fit it are imported by it, under qemu where it is foreign. ``--install`` installs from this folder alone.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # also when it is run with -P or loaded by a test

import checks
import smoke
import source
from checks import Broken, Wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def beside() -> checks.Beside:
    """Read what the wheels are held against."""
    names = frozenset((HERE / "stable_abi_3.11.txt").read_text().split())
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    crates = frozenset((one["name"], one["version"]) for one in locked)
    return checks.Beside(names, crates, source.package(ROOT), source.native_digest(ROOT))


def read(path: Path) -> Wheel:
    """Read a wheel; raises `Broken` when it is no zip file or holds an entry twice."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(set(names)) != len(names):
                raise Broken("holds an entry twice")
            return Wheel(path.name, path.stat().st_size, {name: archive.read(name) for name in names})
    except (OSError, zipfile.BadZipFile) as wrong:
        raise Broken(f"cannot be read: {wrong}") from wrong


class Report:
    """Prints a line for each check and remembers whether all held."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, name: str, question: Callable[[], str]) -> None:
        """Ask one question and print its answer."""
        try:
            said, held = question(), True
        except Broken as wrong:
            said, held = str(wrong), False
            self.failed += 1
        self.line("ok" if held else "FAIL", name, said)

    @staticmethod
    def line(mark: str, name: str, said: str) -> None:
        """Print one line."""
        sys.stdout.write(f"  {mark:<4}  {name:<11}  {said}\n")


def verify(path: Path, against: checks.Beside, interpreters: list[smoke.Interpreter], report: Report) -> None:
    """Check one wheel."""
    sys.stdout.write(f"{path.name}\n")
    try:
        wheel, wanted = read(path), checks.platform(path.name)
    except Broken as wrong:
        report.failed += 1
        report.line("FAIL", "wheel", str(wrong))
        return
    for name, question in checks.checks(against).items():
        report.check(name, lambda question=question: question(wheel))  # type: ignore[misc]
    fitting = [one for one in interpreters if one.fits(wanted)]
    for one in fitting:
        report.check("import", lambda one=one: smoke.run(path, one))  # type: ignore[misc]
    if not fitting:
        libc = "musl" if wanted.musl else "glibc"
        report.line(
            "-", "import", f"not run here: no interpreter for {wanted.arch} with {libc} (--python PATH)"
        )


def main(arguments: list[str]) -> int:
    """Check what the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheels", nargs="*", type=Path)
    parser.add_argument("--python", action="append", default=[], type=Path, metavar="PATH")
    parser.add_argument("--install", action="store_true")
    asked = parser.parse_args(arguments)
    wheels = asked.wheels or sorted(HERE.glob("swarmlet-*.whl"))
    if not wheels:
        sys.stderr.write("wheels: there is no wheel here to verify\n  next: make wheels\n")
        return 1
    try:
        interpreters = [smoke.interpreter(path) for path in [Path(sys.executable), *asked.python]]
    except Broken as wrong:
        sys.stderr.write(f"wheels: {wrong}\n  next: wheels/interpreters.sh FOLDER prints paths of some\n")
        return 1
    report, against = Report(), beside()
    for path in wheels:
        verify(path, against, interpreters, report)
    if asked.install:
        sys.stdout.write("a fresh virtual environment\n")
        report.check("install", lambda: smoke.install(wheels[0].parent))
    sys.stdout.write(f"{len(wheels)} wheels, {report.failed} checks failed\n")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
