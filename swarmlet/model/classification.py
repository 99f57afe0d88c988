"""Which class of node a device is, what it suits, and why: one table, read from the top. Pure.

Full nodes are DataCenter, Workstation and Laptop, swarmlets are Edge and IoT. A device is judged by its kind
where that says enough, else (virtual machines, containers, unknown kinds) by its size. The coordinator uses
this very table on what a node reports, so that a class is never a matter of opinion.
"""

from __future__ import annotations

from typing import NamedTuple

from swarmlet.model.profile import Capabilities, Classification, Hardware

DATA_CENTER = "DataCenter"
WORKSTATION = "Workstation"
LAPTOP = "Laptop"
EDGE = "Edge"
IOT = "IoT"

#: Every class, the strongest first.
NODE_CLASSES = (DATA_CENTER, WORKSTATION, LAPTOP, EDGE, IOT)

SERVER_KINDS = ("server",)
DESKTOP_KINDS = ("desktop",)
LAPTOP_KINDS = ("laptop",)
#: Kinds that say nothing of size; ``""`` is a kind that is not known.
SIZED_KINDS = ("virtual_machine", "container", "embedded_pc", "")
#: Everything else is a board: ``raspberry_pi_4``, ``jetson_orin_nano``, ``radxa_rock_5b``.
BOARDS = None


class Rule(NamedTuple):
    """One row. It fits a device of these kinds that has at least this much; unknown sizes fit no minimum.

    ``families`` narrows boards to those whose kind begins so; a known family has its class whatever limit a
    container has there. Sizes are in cores and decimal gigabytes.
    """

    kinds: tuple[str, ...] | None
    cores: float
    memory_gb: float
    node_class: str
    suitability: tuple[str, ...]
    reason: str
    families: tuple[str, ...] = ("",)


_LIGHT = ("lightweight_compute", "sensors", "data_collection")
_TINY = ("sensors", "data_collection")
_DESK = ("development", "ci_runner", "load_testing")
_SERVER = ("heavy_compute", "control_plane", "data_processing", "storage")

RULES: tuple[Rule, ...] = (
    Rule(SERVER_KINDS, 0, 0, DATA_CENTER, _SERVER, "its chassis or its sockets are those of a server"),
    Rule(LAPTOP_KINDS, 0, 0, LAPTOP, _DESK, "it is a laptop, and may leave or sleep at any time"),
    Rule(DESKTOP_KINDS, 4, 7.5, WORKSTATION, ("heavy_compute", *_DESK), "its chassis is that of a desktop"),
    Rule(DESKTOP_KINDS, 0, 0, EDGE, _LIGHT, "its chassis is that of a desktop, but it is a small one"),
    Rule(
        BOARDS, 0, 0, EDGE, (*_LIGHT, "inference", "image_processing"),
        "it is a board with a graphics processor made for inference", families=("jetson",),
    ),
    Rule(
        BOARDS, 0, 0, IOT, _TINY, "it is one of the smallest boards of its family",
        families=("raspberry_pi_zero", "raspberry_pi_1", "raspberry_pi_compute_module_1"),
    ),
    Rule(
        BOARDS, 0, 0, EDGE, _LIGHT,
        "it is a board with power for more than sensing", families=("raspberry_pi",),
    ),
    Rule(BOARDS, 0, 0.8, EDGE, _LIGHT, "it is a board with 0.8 GB of memory or more"),
    Rule(BOARDS, 0, 0, IOT, _TINY, "it is a board with less than 0.8 GB of memory"),
    Rule(SIZED_KINDS, 16, 60, DATA_CENTER, _SERVER, "it is as large as a server: 16 cores and 60 GB or more"),
    Rule(
        SIZED_KINDS, 4, 7.5, WORKSTATION, ("heavy_compute", "data_processing", "ci_runner", "load_testing"),
        "it is as large as a workstation: 4 cores and 7.5 GB, or more",
    ),
    Rule(
        SIZED_KINDS, 0, 0.8, EDGE, ("lightweight_compute", "data_processing", "data_collection"),
        "it is smaller than 4 cores and 7.5 GB",
    ),
    Rule(SIZED_KINDS, 0, 0.01, IOT, ("data_collection",), "it has less than 0.8 GB of memory"),
)  # fmt: skip

#: When no row fits, because nothing is known.
_UNKNOWN = Rule(
    SIZED_KINDS, 0, 0, EDGE, ("lightweight_compute",), "its size cannot be seen, so it counts as small"
)

_KNOWN_KINDS = frozenset(kind for rule in RULES for kind in rule.kinds or ())


def classify(hardware: Hardware, capabilities: Capabilities) -> Classification:
    """Return the class of a device, what it suits, and the reason.

    Args:
        hardware: Kind, cores and memory decide.
        capabilities: A graphics processor adds ``gpu_compute`` to what it suits.
    """
    rule = next((rule for rule in RULES if fits(rule, hardware)), _UNKNOWN)
    extra = ("gpu_compute",) if (capabilities.gpu_count or 0) > 0 else ()
    return Classification(rule.node_class, rule.suitability + extra, explain(rule, hardware))


def fits(rule: Rule, hardware: Hardware) -> bool:
    """Say whether ``rule`` is about devices like this one."""
    kind = hardware.device_type or ""
    if rule.kinds is None:
        if kind in _KNOWN_KINDS or not kind.startswith(rule.families):
            return False
    elif kind not in rule.kinds:
        return False
    return (hardware.cpu_cores or 0) >= rule.cores and (hardware.memory_gb or 0) >= rule.memory_gb


def explain(rule: Rule, hardware: Hardware) -> str:
    """Return why ``rule`` gives its class, with the sizes that were judged."""
    kind = hardware.device_type or "a device of unknown kind"
    count = hardware.cpu_cores
    cores = "unknown cores" if count is None else f"{count:g} core{'' if count == 1 else 's'}"
    memory = "unknown memory" if hardware.memory_gb is None else f"{hardware.memory_gb:g} GB"
    judged = "judged by size: " if (hardware.device_type or "") in SIZED_KINDS else ""
    return f"{kind} with {cores} and {memory}; {judged}{rule.reason}"


def parse_class(text: str) -> str | None:
    """Return the class that ``text`` names in any case, with or without a hyphen; ``None`` for no class."""
    plain = text.strip().lower().replace("-", "").replace("_", "")
    return next((name for name in NODE_CLASSES if name.lower() == plain), None)
