"""What kind of device this is, from the device tree, DMI and a few signs. Pure.

The board wins over the container around it: a swarmlet in a container on a Raspberry Pi runs on a
``raspberry_pi_4``. ``container`` is said only when nothing of the machine below can be seen.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_RASPBERRY = re.compile(
    r"raspberry pi (?P<module>compute module )?(?P<zero>zero )?(?P<number>[0-9]+)?", re.IGNORECASE
)
_JETSON_TAIL = re.compile(
    r"\b(developer kit|engineering|reference|super|module|devkit|\(|with)\b.*", re.IGNORECASE
)

#: Beginnings of vendor, product and firmware names that only virtual machines have.
VIRTUAL = (
    "qemu", "kvm", "standard pc (", "vmware", "vmw", "virtualbox", "innotek", "xen", "hvm domu", "bochs",
    "bhyve", "parallels", "apple virtualization", "google compute engine", "openstack", "rhev", "ovirt",
    "droplet", "vserver", "alibaba cloud ecs", "amazon ec2", "virtual machine", "firecracker",
    "cloud hypervisor", "nutanix ahv",
)  # fmt: skip

#: Chassis types of the SMBIOS specification (DSP0134, table 17) by what people call such a machine.
CHASSIS = {
    **dict.fromkeys((8, 9, 10, 14, 30, 31, 32), "laptop"),
    **dict.fromkeys((3, 4, 5, 6, 7, 13, 15, 16, 24, 35, 36), "desktop"),
    **dict.fromkeys((17, 23, 25, 28, 29), "server"),
    **dict.fromkeys((33, 34), "embedded_pc"),
}


class Signs(NamedTuple):
    """Everything that hints at the kind of a device."""

    model: str | None = None  # of the device tree, or of /proc/cpuinfo where the device tree is masked
    compatible: tuple[str, ...] = ()  # of the device tree
    dmi: tuple[str, ...] = ()  # vendor, product, board and firmware names
    chassis: str | None = None
    hypervisor: bool = False
    packages: int = 1  # processor packages (sockets)
    battery: bool | None = None
    container: bool = False


def device_type(signs: Signs) -> str | None:
    """Return the kind of device, such as ``raspberry_pi_4``, ``laptop`` or ``virtual_machine``."""
    if signs.hypervisor or is_virtual(signs):
        return "virtual_machine"
    if signs.model:
        return board_type(signs.model, signs.compatible, battery=bool(signs.battery))
    if kind := chassis_type(signs.chassis):
        return kind
    if signs.battery:
        return "laptop"
    if signs.packages > 1:
        return "server"
    return "container" if signs.container else None


def chassis_type(text: str | None) -> str | None:
    """Return the kind of a device in a chassis of this number, or ``None`` when the number says nothing."""
    known = text is not None and text.isascii() and text.isdigit() and len(text) <= 3
    return CHASSIS.get(int(text)) if text and known else None


def is_virtual(signs: Signs) -> bool:
    """Say whether firmware or device tree belong to a virtual machine.

    Amazon gives its bare machines the vendor of its virtual ones, and a product that ends in ``.metal``.
    """
    if "linux,dummy-virt" in signs.compatible:
        return True
    names = [name.lower() for name in signs.dmi]
    if any(name.endswith(".metal") or ".metal-" in name for name in names):
        return False
    return any(name.startswith(VIRTUAL) for name in names)


def board_type(model: str, compatible: tuple[str, ...], *, battery: bool) -> str | None:
    """Return the kind of a device that has a device tree.

    Args:
        model: The model as the device tree writes it, such as ``Raspberry Pi 4 Model B Rev 1.4``.
        compatible: What the device tree says it is compatible with.
        battery: Whether it has a battery, as laptops with an ARM processor do.
    """
    raspberry = _RASPBERRY.match(model)
    if raspberry:
        return raspberry_type(raspberry)
    if "jetson" in model.lower() or any(name.startswith("nvidia,tegra") for name in compatible):
        # Some releases leave "Jetson" out of the model and call the board "NVIDIA Orin Nano Developer Kit".
        name = _JETSON_TAIL.sub("", model.lower().replace("nvidia", " ").replace("jetson", " "))
        return ("jetson_" + slug(name)).rstrip("_")
    if battery:
        return "laptop"
    return slug(model) or None


def raspberry_type(match: re.Match[str]) -> str:
    """Return the kind of a Raspberry Pi; the letter, the plus and the revision are left out."""
    number = match["number"]
    if match["zero"]:
        return f"raspberry_pi_zero_{number}" if number else "raspberry_pi_zero"
    if match["module"]:
        return f"raspberry_pi_compute_module_{number or 1}"
    # The first generation has no number: "Raspberry Pi Model B Plus Rev 1.2".
    return f"raspberry_pi_{number or 1}"


def slug(text: str) -> str:
    """Return a text as lower-case words joined by underscores, at most 40 characters."""
    return _NOT_WORD.sub("_", text.lower()).strip("_")[:40].rstrip("_")


def board_model(tree: str | None, cpuinfo: str | None, dmi: tuple[str, ...]) -> str | None:
    """Return the model of a board: of the device tree, else of /proc/cpuinfo, which no container hides.

    A Raspberry Pi that boots by UEFI has neither and is known by its DMI names.
    """
    return tree or cpuinfo or next((name for name in dmi if _RASPBERRY.match(name)), None)


def parse_strings(text: str | None) -> tuple[str, ...]:
    """Split a device tree string list at its zero bytes."""
    return tuple(part for part in (text or "").split("\x00") if part)


def packages(first: str | None, last: str | None) -> int:
    """Count packages from the package ids of the first and the last processor: one, or at least two."""
    return 2 if first is not None and last is not None and first != last else 1
