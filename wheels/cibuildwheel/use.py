"""Use the extension that is installed beside this interpreter, as `verify.py` does (`test-command`)."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import smoke

words = [sys.executable, "-I", "-c", smoke.PROGRAM, sysconfig.get_path("purelib")]
sys.exit(subprocess.run(words, check=False).returncode)
