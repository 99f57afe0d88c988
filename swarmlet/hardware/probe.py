"""The profile of this machine: reads files, asks the system, and has ``assemble.py`` decide.

Takes a few milliseconds, runs no program, and raises nothing whatever is absent or masked. It blocks; inside
an event loop it belongs in a thread.
"""

from __future__ import annotations

import os
import sys

import msgspec

from swarmlet.hardware import engine, parse_devices
from swarmlet.hardware.assemble import assemble
from swarmlet.hardware.facts import Facts, Host
from swarmlet.hardware.gather import gather
from swarmlet.hardware.reader import Reader
from swarmlet.model.profile import Enforcement, Profile


def probe(
    root: str = "/",
    *,
    node_name: str | None = None,
    data_dir: str = "/",
    docker_host: str = "auto",
) -> Profile:
    """Return the profile of the machine whose files are below ``root``.

    Args:
        root: ``/`` is this machine. Any other is a tree of another one: then the system, the container engine
            and the native extension are not asked, since they would speak of this one.
        node_name: The name the owner chose (``Config.node_name``).
        data_dir: Where workloads' files will be (``Config.data_dir``); it need not exist yet.
        docker_host: Where the container engine is (``Config.docker_host``).
    """
    reader = Reader(root)
    facts = gather(reader)
    if root != "/":
        there = Host(reader.text("/proc/sys/kernel/arch") or "", 64)
        return assemble(facts, there, node_name, Enforcement())
    host = Host(
        machine=os.uname().machine,
        pointer_bits=pointer_bits(),
        storage_bytes=storage_bytes(data_dir),
        gpus=nvidia_gpus(facts),
        engine=engine.look(docker_host).version,
    )
    return assemble(facts, host, node_name, enforcement())


def pointer_bits() -> int:
    """Return the width of this program: 32 or 64."""
    return 64 if sys.maxsize > 2**32 else 32


def storage_bytes(path: str) -> int | None:
    """Return the size of the file system that holds ``path``, or will hold it once it is made."""
    while True:
        try:
            status = os.statvfs(path)
        except (FileNotFoundError, NotADirectoryError):
            parent = os.path.dirname(path)  # noqa: PTH120 - pathlib costs milliseconds at every start
            if parent in {path, ""}:
                return None
            path = parent
        except (OSError, ValueError):
            return None
        else:
            return status.f_blocks * status.f_frsize or None


def nvidia_gpus(facts: Facts) -> int | None:
    """Ask NVIDIA's library, where there seems to be something to ask about."""
    if not parse_devices.has_nvidia(facts.display, facts.nvidia):
        return None
    from swarmlet.hardware import nvml  # noqa: PLC0415 - most devices have no such card

    return nvml.count_gpus()


def enforcement() -> Enforcement:
    """Ask the native extension what this kernel can enforce on a workload (W3)."""
    try:
        from swarmlet._native import enforcement as ask  # noqa: PLC0415 - profiles exist without it
    except ImportError:
        return Enforcement()
    return msgspec.convert(ask(), Enforcement)


def memory_controller() -> str | None:
    """Say what can limit memory on this machine: ``v1``, ``v2``, ``off``, or ``None`` when unknown."""
    return gather(Reader()).memory.controller
