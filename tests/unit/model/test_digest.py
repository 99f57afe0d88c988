"""The interpreter's own SHA-256 is SHA-256."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.model.digest import sha256_hex


@given(st.binary())
def test_it_gives_what_openssl_gives(data):
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()


def test_it_does_not_load_openssl():
    code = "import sys, swarmlet.model.digest; print('_hashlib' in sys.modules)"
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
