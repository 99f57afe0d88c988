"""Turn what maturin built in a container of cibuildwheel into what is published (`repair-wheel-command`).

auditwheel says whether it keeps what its platform promises, and gives it that name and no other; then it is
put into the same final form as the wheels of ``build.sh``. ``repair.py WHEEL FOLDER``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import finish

ROOT = Path(__file__).resolve().parent.parent.parent


def said(*words: str) -> str:
    """Return what a program prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def main(wheel: str, folder: str) -> None:
    """Repair one wheel into the folder."""
    with tempfile.TemporaryDirectory() as checked:
        subprocess.run(["auditwheel", "repair", "--only-plat", "--wheel-dir", checked, wheel], check=True)
        (repaired,) = Path(checked).glob("*.whl")
        linked = {
            "rust-std": said("rustc", "--version").split()[1],
            "libgcc": said("gcc", "-dumpfullversion"),
        }
        done = finish.finish(repaired, Path(folder), str(ROOT), linked)
    sys.stdout.write(f"{done.stat().st_size:,} bytes  {done.name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
