"""What the doctor saw, as values: gathered by ``look.py``, judged by ``checks.py``. ``None`` is "unknown"."""

from __future__ import annotations

from typing import NamedTuple

from swarmlet.agent.mounts import Fleeting
from swarmlet.agent.reach import ReachView
from swarmlet.hardware.engine import EngineView
from swarmlet.model.profile import Enforcement


class Settings(NamedTuple):
    """Settings that cannot be used, a line each; what is not mentioned is good."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Disk(NamedTuple):
    """The data directory. ``trouble`` is why it cannot be used, with what mends it."""

    path: str
    exists: bool = True
    trouble: tuple[str, str] | None = None
    fleeting: Fleeting | None = None  # why what is written there would not last
    free_bytes: int | None = None
    total_bytes: int | None = None


class Membership(NamedTuple):
    """The identity on disk. ``name`` is ``None`` without one; ``trouble`` is why it cannot be read."""

    name: str | None = None
    trouble: tuple[str, str] | None = None


class Port(NamedTuple):
    """A local port the agent wants. ``holder`` says by whom it is taken, ``None`` that it is free."""

    setting: str
    number: int
    chosen: bool
    holder: str | None = None
    ours: bool = False


class Network(NamedTuple):
    """The way to the cluster. ``reached`` is empty when no address is known."""

    reached: tuple[ReachView, ...] = ()
    interface: str | None = None
    mtu: int | None = None
    desktop: bool = False  # the engine runs in a virtual machine of its own (Docker Desktop)
    gossip: str | None = None  # why UDP does not reach the running agent; empty when it does


class Device(NamedTuple):
    """The device. ``throttled`` are the firmware's bits on a Raspberry Pi, temperatures degrees Celsius."""

    kind: str | None = None
    container: bool = False
    tree_masked: bool = False
    memory_controller: str | None = None
    enforcement: Enforcement = Enforcement()
    throttled: int | None = None
    undervoltage: bool | None = None
    degrees: float | None = None
    most_degrees: float | None = None


class User(NamedTuple):
    """Who runs this. ``wall_ms`` is this machine's idea of Unix time."""

    uid: int
    wall_ms: int


class Facts(NamedTuple):
    """Everything the doctor saw."""

    settings: Settings
    disk: Disk
    membership: Membership
    ports: tuple[Port, ...]
    network: Network
    device: Device
    engine: EngineView
    user: User
