"""From the text of one setting to its value. Pure: no file, no environment, no clock.

A parser is what it accepts, said in words, and a function that either returns a value or raises
:class:`NotAcceptedError`. It raises nothing else, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from swarmlet.model.address import is_ip, parse_address
from swarmlet.model.names import is_node_name, to_node_name
from swarmlet.model.text import printable

_Number = TypeVar("_Number", int, float)

_WHOLE = re.compile(r"[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")
_TOKEN = re.compile(r"swarm_join_[A-Za-z0-9_=+-]{40}", re.IGNORECASE)
_WITH_UNIT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*[A-Za-z]+\Z")
#: IFNAMSIZ is 16 with the final zero byte; slashes, colons and white space are refused (dev_valid_name).
_INTERFACE = re.compile(r"(?!\.{1,2}\Z)[^\s/:\x00-\x1f]{1,15}\Z")
_USER = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?\Z")
#: The kernel's word for "no change" where it takes a user.
NOBODY_AT_ALL = 2**32 - 1
_TRUTH = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


class NotAcceptedError(ValueError):
    """A text is not a value of this setting. ``hint`` is a better one, when one is near."""

    def __init__(self, hint: str = "") -> None:
        self.hint = hint
        super().__init__(hint)


class Parser(NamedTuple):
    """What a setting accepts, in words, and how its text is read."""

    accepts: str
    read: Callable[[str], object]


def whole(low: int, high: int, noun: str) -> Parser:
    """Accept a whole number of ``noun`` within bounds, both included."""

    def read(text: str) -> int:
        if not _WHOLE.match(text):
            raise NotAcceptedError(_without_unit(text))
        return _bounded(int(text), low, high)

    return Parser(f"a whole number of {noun}, {low} to {high}", read)


def decimal(low: float, high: float, noun: str) -> Parser:
    """Accept a number of ``noun`` within bounds, both included; fractions are written with a point."""

    def read(text: str) -> float:
        if not _DECIMAL.match(text):
            raise NotAcceptedError(_without_unit(text))
        return _bounded(float(text), low, high)

    return Parser(f"a number of {noun}, {low:g} to {high:.12g}", read)


def _bounded(value: _Number, low: _Number, high: _Number) -> _Number:
    if low <= value <= high:
        return value
    raise NotAcceptedError(f"the nearest is {low if value < low else high}")


def _without_unit(text: str) -> str:
    match = _WITH_UNIT.match(text)
    return f"write the number alone, without a unit: {match.group(1)}" if match else ""


def port(*, free: bool = False) -> Parser:
    """Accept a port; with ``free`` also 0, which means "any port that is free"."""
    low = 0 if free else 1

    def read(text: str) -> int:
        if text.startswith(("tcp://", "udp://")):
            # A Kubernetes Service named swarm-api puts SWARM_API_PORT=tcp://... into the pods around it.
            raise NotAcceptedError("this comes from Kubernetes service links; set enableServiceLinks: false")
        if not _WHOLE.match(text) or not low <= int(text) <= 65535:
            raise NotAcceptedError
        return int(text)

    return Parser("a port, 1 to 65535" + (", or 0 for any free one" if free else ""), read)


def choice(names: tuple[str, ...], aliases: Mapping[str, str] | None = None) -> Parser:
    """Accept one of ``names``, in any case; ``aliases`` are further spellings of them."""
    spellings = {name: name for name in names} | dict(aliases or {})

    def read(text: str) -> str:
        name = spellings.get(text.lower())
        if name is None:
            raise NotAcceptedError(near_miss(text.lower(), names))
        return name

    return Parser("one of " + ", ".join(names), read)


def user() -> Parser:
    """Accept ``uid`` or ``uid:gid`` by number, as an image without accounts has no names; written in full."""

    def read(text: str) -> str:
        match = _USER.match(text)
        if match is None:
            raise NotAcceptedError("give numbers: id -u NAME and id -g NAME tell them")
        uid, gid = int(match[1]), int(match[2] or match[1])
        if uid == 0:
            raise NotAcceptedError("0 is root; leave it unset to stay root")
        if max(uid, gid) >= NOBODY_AT_ALL:
            raise NotAcceptedError
        return f"{uid}:{gid}"

    return Parser("a user as UID or UID:GID, in numbers and not 0", read)


def truth() -> Parser:
    """Accept a yes or a no."""

    def read(text: str) -> bool:
        value = _TRUTH.get(text.lower())
        if value is None:
            raise NotAcceptedError
        return value

    return Parser("true or false", read)


def node_name() -> Parser:
    """Accept a node name: one DNS label. Upper case is taken as lower case."""

    def read(text: str) -> str:
        name = text.lower()
        if is_node_name(name):
            return name
        near = to_node_name(text)
        raise NotAcceptedError(f"{near} would do" if near else "")

    return Parser("a name of 1 to 63 letters a-z, digits and inner hyphens", read)


def interface() -> Parser:
    """Accept the name of a network interface."""

    def read(text: str) -> str:
        if is_ip(text):
            raise NotAcceptedError("this is an address; give the name of the interface that has it")
        if not _INTERFACE.match(text):
            raise NotAcceptedError
        return text

    return Parser("the name of a network interface, such as eth0", read)


def path(noun: str) -> Parser:
    """Accept the path of a ``noun``; the loader completes a leading ``~`` and a relative path."""

    def read(text: str) -> str:
        if "\x00" in text or len(text) > 4096:
            raise NotAcceptedError
        return text

    return Parser(f"the path of a {noun}", read)


def peer() -> Parser:
    """Accept the address of a coordinator; the port may be left out."""

    def read(text: str) -> str:
        if "://" in text:
            raise NotAcceptedError("leave the scheme out: HOST:PORT")
        try:
            address = parse_address(text, 0)
        except ValueError as fault:
            raise NotAcceptedError(str(fault)) from None
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{host}:{address.port}" if address.port else host

    return Parser("HOST:PORT, or HOST for the default port", read)


def peers(most: int) -> Parser:
    """Accept up to ``most`` addresses with commas between them."""
    one = peer()

    def read(text: str) -> tuple[object, ...]:
        parts = [part.strip() for part in text.split(",")]
        if not all(parts) or len(parts) > most:
            raise NotAcceptedError
        return tuple(one.read(part) for part in parts)

    return Parser(f"1 to {most} of HOST:PORT or HOST, with commas between them", read)


def local_ip() -> Parser:
    """Accept an IP address to listen on."""

    def read(text: str) -> str:
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        if not is_ip(bare):
            raise NotAcceptedError
        return bare

    return Parser("an IP address of this machine, 0.0.0.0 or :: for all", read)


def engine() -> Parser:
    """Accept where the container engine's unix socket is. TCP is refused on purpose."""

    def read(text: str) -> str:
        if text.lower() in {"auto", "off"}:
            return text.lower()
        if text.startswith(("tcp://", "http://", "https://", "ssh://")):
            # Open engine ports are how worms spread from host to host; no option of ours may lead to one.
            raise NotAcceptedError("an engine on a network is refused: whoever reaches it owns the machine")
        bare = text.removeprefix("unix://")
        if not bare.startswith("/") or "\x00" in bare or len(bare) > 107:
            raise NotAcceptedError
        return bare

    return Parser("auto, off, or the path of a unix socket such as unix:///var/run/docker.sock", read)


def optional(inner: Parser, absent: str) -> Parser:
    """Accept what ``inner`` accepts, or the word ``absent``, which reads as ``None``."""

    def read(text: str) -> object:
        return None if text.lower() == absent else inner.read(text)

    return Parser(f"{inner.accepts}, or {absent}", read)


def looks_secret(text: str) -> bool:
    """Say whether a text holds a join token and must not be shown; a path with such a name is fine."""
    return _TOKEN.search(text) is not None


def shown(text: str) -> str:
    """Return a setting's text as a message may show it: bounded, printable, never a token."""
    if looks_secret(text):
        return "(a join token, not shown)"
    return printable(text, 80)


def near_miss(word: str, known: tuple[str, ...], cutoff: float = 0.6) -> str:
    """Return ``did you mean ...?`` for the known word nearest to ``word``, or nothing."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    near = difflib.get_close_matches(word[:200], known, n=1, cutoff=cutoff)
    return f"did you mean {near[0]}?" if near else ""
