"""What a device is: the hardware profile, in the field names of the published JSON.

Unknown is ``None``, never invented. Filled by ``hardware/``, judged by ``model/classification.py``.
"""

from __future__ import annotations

import msgspec


class Hardware(msgspec.Struct, frozen=True):
    """Processor, memory and storage as the workloads of this device will see them.

    Sizes are decimal gigabytes of what the device has or of its cgroup limit, whichever is smaller.
    """

    cpu_model: str | None = None
    cpu_cores: float | None = None
    memory_gb: float | None = None
    storage_gb: float | None = None
    architecture: str | None = None
    device_type: str | None = None


class Thermal(msgspec.Struct, frozen=True):
    """Where the device throttles and how warm it is, in degrees Celsius."""

    max_temp_celsius: float | None = None
    current_temp_celsius: float | None = None


class Capabilities(msgspec.Struct, frozen=True):
    """What the device can do beyond computing."""

    gpu_count: int | None = None
    network_bandwidth_mbps: float | None = None
    battery_powered: bool | None = None
    thermal_constraints: Thermal = Thermal()


class Classification(msgspec.Struct, frozen=True):
    """The class of a node, what it suits, and the reason a person can read."""

    node_class: str
    suitability: tuple[str, ...]
    reason: str


class Enforcement(msgspec.Struct, frozen=True):
    """What this kernel really enforces on a workload (W3): each field says how, or ``unenforced``."""

    memory: str = "unenforced"
    cpu: str = "unenforced"
    pids: str = "unenforced"
    files: str = "unenforced"
    syscalls: str = "unenforced"
    engine: str = "unenforced"  # what keeps a process from the machine's container engine


class Profile(msgspec.Struct, frozen=True):
    """Everything ``swarmlet profile-hardware`` prints.

    ``node_id`` is the node's *name* (the published field name); ``fingerprint`` is a hex SHA-256 over
    board serial, MAC addresses and machine id. A fingerprint can be forged, so it never grants anything.
    """

    node_id: str
    hardware: Hardware
    capabilities: Capabilities
    classification: Classification
    fingerprint: str | None = None
    container_engine: str | None = None
    enforcement: Enforcement = Enforcement()
