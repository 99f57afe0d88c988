"""Packs modules as bytecode into one zip from which Python imports them; the same input gives the same bytes.

Optimised twice (no docstrings, no assertions), never compared with a source, sorted, of one date. To be
run with PYTHONNODEBUGRANGES=1: no source, no column to point at, and a quarter of the bytes would be columns.
"""

from __future__ import annotations

import importlib.util
import marshal
import zipfile
from collections.abc import Mapping
from pathlib import Path

OPTIMIZE = 2
# PEP 552: the bytecode is named by its source's hash, and nobody looks whether that still holds.
UNCHECKED_HASH = (0b01).to_bytes(4, "little")
DATE = (1980, 1, 1, 0, 0, 0)
LEVEL = 9

# A shared object cannot come out of a zip, so a module of its name there loads the file.
LOADER = """\
import sys
from importlib._bootstrap import module_from_spec, spec_from_loader
from importlib._bootstrap_external import ExtensionFileLoader
loader = ExtensionFileLoader(__name__, {path!r})
module = module_from_spec(spec_from_loader(__name__, loader))
sys.modules[__name__] = module
loader.exec_module(module)
"""


def bytecode(source: bytes, name: str) -> bytes:
    """Return the contents of the ``.pyc`` for ``source``; ``name`` is the file that tracebacks name."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=OPTIMIZE)
    return (
        importlib.util.MAGIC_NUMBER
        + UNCHECKED_HASH
        + importlib.util.source_hash(source)
        + marshal.dumps(code)
    )


def pack(zip_path: Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` (path with ``.py`` to source) as bytecode into ``zip_path``."""
    with zipfile.ZipFile(zip_path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, source in sorted(members.items()):
            entry = zipfile.ZipInfo(name + "c", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            archive.writestr(entry, bytecode(source, name), compresslevel=LEVEL)
