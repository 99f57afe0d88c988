"""The build backend of the source distribution: maturin, asked only once what it needs is there.

Left alone, a build without Rust tries to download a toolchain, and ends in its traceback. Here nothing is
fetched that pip did not ask for; a machine that lacks something is told what, and which wheels need no build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

import maturin
from maturin import (
    build_editable,
    build_sdist,
    build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

OLDEST_RUST = (1, 85)
NO_BUILD = (
    "ready wheels for x86_64, ARM64 and ARMv7 need no build: python3 -m pip install --upgrade pip swarmlet"
)


def missing() -> tuple[str, str] | None:
    """Return what this machine lacks to build the extension and what gets it; nothing when it has all."""
    for tool in ("cargo", "rustc"):
        if shutil.which(tool) is None:
            return (
                f"{tool} was not found: a part of it is written in Rust",
                "install Rust 1.85 or newer (https://rustup.rs)",
            )
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"rustc (\d+)\.(\d+)", version)
    if found is None:
        return (
            "rustc does not start",
            "rustc --version says why; install Rust 1.85 or newer (https://rustup.rs)",
        )
    if (int(found[1]), int(found[2])) < OLDEST_RUST:
        return f"Rust {found[1]}.{found[2]} is too old; 1.85 or newer is needed", "rustup update"
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        return "no C compiler was found (cc)", "install one (apt-get install gcc libc6-dev)"
    return None


def _check() -> None:
    lacks = missing()
    if lacks is not None:
        what, remedy = lacks
        said = [
            f"swarmlet cannot be built here: {what}",
            "  unchanged: nothing was installed",
            f"  next: {remedy}",
        ]
        sys.exit("\n".join([*said, f"  or: {NO_BUILD}"]))


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Nothing is needed besides maturin, once `missing` finds nothing."""
    _check()
    return [
        name for name in maturin.get_requires_for_build_wheel(config_settings) if "puccinialin" not in name
    ]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """As for a wheel."""
    return get_requires_for_build_wheel(config_settings)


def get_requires_for_build_sdist(config_settings: dict[str, Any] | None = None) -> list[str]:
    """As for a wheel: maturin asks cargo what belongs to the source."""
    return get_requires_for_build_wheel(config_settings)
