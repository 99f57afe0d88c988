"""The six steps a person sees while a device joins, and their texts. Pure.

The steps are the same in ``join`` (2 to 5) and in the agent (1 and 6); whoever renders them fits
:class:`Steps`.
"""

from __future__ import annotations

from typing import Protocol

from swarmlet.model.text import printable

#: Labels in order; a step's number is its place here, from 1.
LABELS = ("hardware", "reach", "trust", "identity", "class", "ready")
HARDWARE, REACH, TRUST, IDENTITY, CLASS, READY = range(1, 7)

#: From how many seconds on a unit is used, how long it is, its name. A day is said as 24 h.
_UNITS = ((31_557_600, 31_557_600, "y"), (172_800, 86_400, "d"), (3_600, 3_600, "h"), (60, 60, "min"))


class Steps(Protocol):
    """Where progress goes. Calls return at once and never fail."""

    def step(self, number: int, label: str, text: str, *, elapsed_s: float | None = None) -> None:
        """Show that step ``number`` of 6 is done; ``elapsed_s`` since the start comes with the last one."""
        ...

    def note(self, text: str) -> None:
        """Show something worth knowing that is no step and no warning."""
        ...

    def warn(self, text: str) -> None:
        """Show something that deserves a look."""
        ...

    def show(self, text: str) -> None:
        """Show something that a person has to act on, however quiet this is."""
        ...


class Silent:
    """Steps nobody watches."""

    def step(self, number: int, label: str, text: str, *, elapsed_s: float | None = None) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show nothing."""

    def show(self, text: str) -> None:
        """Show nothing."""


def span(seconds: float) -> str:
    """Return a length of time as people say it: ``0.2 s``, ``3 min``, ``2 h``, ``56 y``."""
    seconds = abs(seconds)
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{int(seconds // unit)} {name}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{int(seconds)} s"


def reached(address: str, rtt_ms: float, skew_s: float) -> str:
    """Return the text of step 2."""
    return f"{address} ok, {max(rtt_ms, 1):.0f} ms, clock skew {span(skew_s)}"


def trusted(pin: bytes) -> str:
    """Return the text of step 3: the beginning of the pin, enough to compare by eye."""
    return f"cluster key from the token matches SHA256:{pin.hex()[:16]}..."


def identified(name: str, valid_s: float, data_dir: str) -> str:
    """Return the text of step 4."""
    # Certificates begin an hour early and are issued some milliseconds ago: 23.9999 h is 24 h to a reader.
    return f"certificate for {name}, valid {span(valid_s + 60)}, renews itself, saved in {data_dir}"


def classified(node_class: str, suitability: tuple[str, ...]) -> str:
    """Return the text of step 5."""
    return f"{node_class}: {', '.join(suitability)}" if suitability else node_class


def plain(text: str, limit: int = 300) -> str:
    """Return peer-made text fit for a terminal: printable characters only, at most ``limit`` of them."""
    return printable(text, limit)
