"""The programs of ``wheels/`` are scripts, not a package: they import one another from their folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "wheels"))
