"""What the agent says at its own steps, 1 and 6, and beside them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from swarmlet.model.profile import Profile


def hardware(profile: Profile) -> str:
    """Return step 1: ``Raspberry Pi 4 (arm64, 4 cores, 8.0 GB, 45 C)``; what is unknown is left out."""
    found = profile.hardware
    facts = [found.architecture]
    if found.cpu_cores is not None:
        facts.append(f"{found.cpu_cores:g} core{'' if found.cpu_cores == 1 else 's'}")
    if found.memory_gb is not None:
        facts.append(f"{found.memory_gb:.1f} GB")
    warm = profile.capabilities.thermal_constraints.current_temp_celsius
    if warm is not None:
        facts.append(f"{warm:.0f} C")
    known = ", ".join(fact for fact in facts if fact)
    return f"{_device(profile)} ({known})" if known else _device(profile)


def _device(profile: Profile) -> str:
    kind = profile.hardware.device_type or ""
    if kind.startswith(("raspberry", "jetson")):
        return kind.replace("_", " ").title()
    return profile.hardware.cpu_model or kind.replace("_", " ") or "this device"


def ready(limits: Mapping[str, float]) -> str:
    """Return step 6: ``accepting work (limits 2 cores, 512 MB)``."""
    shown = []
    if "cpu_cores" in limits:
        shown.append(f"{limits['cpu_cores']:g} core{'' if limits['cpu_cores'] == 1 else 's'}")
    if "memory_mb" in limits:
        shown.append(f"{limits['memory_mb']:g} MB")
    if "storage_gb" in limits:
        shown.append(f"{limits['storage_gb']:g} GB of disk")
    return f"accepting work (limits {', '.join(shown)})" if shown else "accepting work (no limits set)"


def unenforced(profile: Profile, limits: Mapping[str, float]) -> list[str]:
    """Return a warning for each limit this kernel cannot enforce (W3)."""
    said = []
    if "memory_mb" in limits and profile.enforcement.memory == "unenforced":
        said.append("memory")
    if "cpu_cores" in limits and profile.enforcement.cpu == "unenforced":
        said.append("processor")
    return [
        f"this device cannot enforce {kind} limits on processes; they decide what is placed here, no more."
        "  see: swarmlet profile-hardware"
        for kind in said
    ]


def capabilities(profile: Profile) -> tuple[str, ...]:
    """Return what this device offers beyond running processes; the token may grant less (T8)."""
    offers = []
    if profile.container_engine is not None:
        offers.append("docker")
    if profile.capabilities.gpu_count:
        offers.append("gpu")
    return tuple(offers)
