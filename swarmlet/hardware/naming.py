"""What a device is called when nobody named it, and how it is told from others. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from swarmlet.model.digest import sha256_hex
from swarmlet.model.names import to_node_name

_CONTAINER_ID = re.compile(r"[0-9a-f]{12}([0-9a-f]{52})?\Z")
#: Host names that say nothing, each on thousands of machines. "raspberrypi" at least says what it is.
_USELESS = frozenset(
    {"localhost", "(none)", "none", "unknown", "debian", "ubuntu", "linux", "archlinux", "alpine"}
)
#: What makers write where a serial number belongs, in small letters; and the UUID many boards share.
_NO_SERIAL = frozenset(
    {
        "to be filled by o.e.m.", "default string", "not specified", "not applicable", "not available",
        "none", "unknown", "n/a", "oem", "empty", "invalid", "system serial number", "chassis serial number",
        "base board serial number", "0123456789", "123456789", "03000200-0400-0500-0006-000700080009",
    }
)  # fmt: skip


class Marks(NamedTuple):
    """What sets one device apart from others of its kind."""

    serials: tuple[str | None, ...] = ()  # of the board, from device tree, /proc/cpuinfo or DMI
    addresses: tuple[str, ...] = ()  # Ethernet addresses given by makers
    machine_id: str | None = None


def fingerprint(marks: Marks) -> str | None:
    """Return a hex SHA-256 that stays the same on this device, or ``None`` when it has no marks.

    Only the strongest kind of mark counts: board serials, else Ethernet addresses, else the machine id. So
    a wiped card keeps the fingerprint of its board, a second network adapter does not change it, and copies
    of one system image on different boards differ. It can be forged, so it proves nothing.
    """
    serials = sorted({text.lower() for text in marks.serials if text and is_serial(text)})
    if serials:
        kind, values = "serial", tuple(serials)
    elif marks.addresses:
        kind, values = "address", marks.addresses
    elif marks.machine_id and re.fullmatch(r"[0-9a-f]{32}", marks.machine_id) and marks.machine_id.strip("0"):
        kind, values = "machine-id", (marks.machine_id,)
    else:
        return None
    text = "\n".join(("swarmlet/fingerprint/v1", kind, *values))
    return sha256_hex(text.encode("utf-8", "replace"))


def is_serial(text: str) -> bool:
    """Say whether a text is a real serial number rather than what stands there when nobody wrote one."""
    plain = text.strip().lower()
    digits = plain.replace("-", "").replace("0x", "")
    return len(plain) >= 4 and plain not in _NO_SERIAL and len(set(digits)) > 1


def default_name(hostname: str | None, kind: str | None, mark: str | None, *, container: bool) -> str:
    """Return the name of a node that nobody named.

    Args:
        hostname: The host's name; its first label is used when it says something.
        kind: The device type.
        mark: The fingerprint.
        container: Whether this is a container, whose host name may be its id.
    """
    label = (hostname or "").strip().lower().partition(".")[0]
    name = to_node_name(label)
    if name and label not in _USELESS and not (container and _CONTAINER_ID.match(label)):
        return name
    return "-".join(part for part in ("swarmlet", short_kind(kind), (mark or "")[:6]) if part)


def short_kind(kind: str | None) -> str:
    """Return a device type as part of a name: ``rpi4`` for ``raspberry_pi_4``."""
    if not kind:
        return ""
    if kind.startswith("raspberry_pi_"):
        return "rpi" + kind.removeprefix("raspberry_pi_").replace("compute_module_", "cm").replace("_", "")
    return (to_node_name({"virtual_machine": "vm"}.get(kind, kind)) or "")[:32].rstrip("-")
