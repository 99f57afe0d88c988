"""Asking the container engine who it is: one plain HTTP request over its unix socket, at most a second.

The ``docker`` package is not needed for this and would cost half of the agent's memory. Nothing is started.
"""

from __future__ import annotations

import os
import re
from enum import Enum, auto
from typing import NamedTuple

import msgspec

#: Where engines listen, in the order they are tried when none was named.
SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")
TIMEOUT_S = 1.0
#: The oldest API the docker package speaks (its ``MINIMUM_DOCKER_API_VERSION``): Docker 1.12 of 2016.
OLDEST_API = (1, 24)
_MAX_ANSWER = 262144
_REQUEST = b"GET /version HTTP/1.0\r\nHost: engine\r\nUser-Agent: swarmlet\r\n\r\n"


class Lack(Enum):
    """Why no engine can be used."""

    OFF = auto()  # nobody wants one
    ABSENT = auto()  # no socket is there
    FORBIDDEN = auto()  # this user may not ask
    SILENT = auto()  # nothing answers
    FOREIGN = auto()  # something else answers
    OLD = auto()  # one answers that is older than can be spoken to


class EngineView(NamedTuple):
    """What answered. ``version`` is ``None`` when nothing usable did, for ``lack``, told in ``reason``."""

    version: str | None
    path: str | None
    reason: str
    lack: Lack | None = None


class _Component(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")


class _Version(msgspec.Struct):
    version: str = msgspec.field(name="Version")
    api: str = msgspec.field(name="ApiVersion", default="")
    components: list[_Component] = msgspec.field(name="Components", default_factory=list)


def paths(docker_host: str = "auto") -> tuple[str, ...]:
    """Return where an engine would be asked, in that order; arguments as :func:`look`."""
    if docker_host == "off":
        return ()
    return SOCKETS if docker_host == "auto" else (docker_host,)


def look(docker_host: str = "auto") -> EngineView:
    """Look for a container engine. Blocks for at most a second per socket: not for an event loop.

    Args:
        docker_host: ``auto``, ``off``, or the path of a unix socket (``Config.docker_host``).
    """
    if docker_host == "off":
        return EngineView(None, None, "turned off by SWARM_DOCKER_HOST", Lack.OFF)
    tried = paths(docker_host)
    lack, reason = Lack.ABSENT, "no engine's socket is here: " + ", ".join(tried)
    for path in tried:
        if not os.path.exists(path):  # noqa: PTH110 - pathlib costs milliseconds at every start
            continue
        try:
            answer = ask(path)
        except PermissionError:
            lack = Lack.FORBIDDEN
            reason = f"this user may not use {path}; add it to the socket's group, or run as root"
        except OSError as fault:
            lack = Lack.SILENT
            reason = f"{path} does not answer: {(fault.strerror or str(fault)).lower()}"
        else:
            version = parse_version(answer)
            if version is None:
                lack = Lack.FOREIGN
                reason = f"what answers on {path} is no container engine"
            elif is_too_old(version):
                lack = Lack.OLD
                oldest = ".".join(map(str, OLDEST_API))
                reason = f"{version} at {path} is too old: API {oldest} or newer is needed"
            else:
                return EngineView(version, path, "")
    return EngineView(None, None, reason, lack)


def is_too_old(version: str) -> bool:
    """Say whether ``docker 1.11.2 (api 1.23)`` is older than can be spoken to; one that is unknown is not."""
    match = re.search(r"\(api (\d{1,4})\.(\d{1,4})\)", version)
    return match is not None and (int(match[1]), int(match[2])) < OLDEST_API


def ask(path: str) -> bytes:
    """Return the whole HTTP answer to ``GET /version``.

    Raises:
        OSError: Nothing answers there in time.
    """
    import socket  # noqa: PLC0415 - only where there is a socket to ask
    import time  # noqa: PLC0415 - a deadline for the whole answer, which no setting of a socket gives

    deadline = time.monotonic() + TIMEOUT_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        connection.sendall(_REQUEST)
        pieces = []
        size = 0
        while size < _MAX_ANSWER:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)


def parse_version(answer: bytes) -> str | None:
    """Return ``docker 27.3.1 (api 1.47)`` from an HTTP answer, or ``None`` when it is none of an engine."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"200":
        return None
    try:
        version = msgspec.json.decode(body, type=_Version)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    name = (
        "podman" if any("podman" in component.name.lower() for component in version.components) else "docker"
    )
    text = f"{name} {version.version}" + (f" (api {version.api})" if version.api else "")
    return text[:80] if text.isprintable() else None
