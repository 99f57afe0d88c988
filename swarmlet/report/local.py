"""The caller's side of the agent's control socket, without an event loop: for a health check each minute.

One JSON line in, one out; ``agent/control.py`` answers. It loads a tenth of what the agent does.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping

import msgspec

from swarmlet.errors import error

SOCKET_NAME = "agent.sock"
LOCK_NAME = "agent.lock"
#: The longest answer, in bytes.
MOST_ANSWER = 262_144
#: The longest address of a unix socket, without the final zero (unix(7)).
_MOST_PATH = 107


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller wants: ``status``, ``health`` or ``leave``."""

    do: str
    force: bool = False


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What goes back: ``result``, or an error of the catalogue by code and fields."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""
    fields: dict[str, str] = msgspec.field(default_factory=dict)


@contextlib.contextmanager
def address(data_dir: str) -> Iterator[str]:
    """Yield an address of the socket that is short enough, through the directory's descriptor if need be."""
    path = f"{data_dir}/{SOCKET_NAME}"
    if len(os.fsencode(path)) <= _MOST_PATH:
        yield path
        return
    fd = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)


def ask(data_dir: str, command: Command, timeout_s: float) -> object:
    """Send a command to the agent of ``data_dir`` and return its answer; blocks.

    Args:
        data_dir: Where the agent runs.
        command: What to do.
        timeout_s: Patience with each part of the answer.

    Raises:
        SwarmletError: The agent's own refusal; ``SWL-308`` when none answers there, ``SWL-205`` when it does
            not in time, ``SWL-701`` when it belongs to another user.
    """
    with refusals(data_dir, timeout_s), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(timeout_s)
        with address(data_dir) as name:
            one.connect(name)
        one.sendall(msgspec.json.encode(command) + b"\n")
        line = _read_line(one)
    return unpack(line, data_dir)


@contextlib.contextmanager
def refusals(data_dir: str, timeout_s: float) -> Iterator[None]:
    """Say in the catalogue's words why the agent of ``data_dir`` does not answer; errors as :func:`ask`."""
    try:
        yield
    except PermissionError:
        raise error("SWL-701", user=str(os.geteuid()), role="owner of the agent") from None
    except TimeoutError:
        raise error("SWL-205", what_waited="the agent's answer", seconds=f"{timeout_s:.0f}") from None
    except OSError:
        raise error("SWL-308", path=data_dir) from None


def _read_line(one: socket.socket) -> bytes:
    data = bytearray()
    while len(data) <= MOST_ANSWER:
        chunk = one.recv(65_536)
        data += chunk
        if not chunk or b"\n" in chunk:
            return bytes(data.partition(b"\n")[0])
    raise OSError("the line is too long")


def unpack(line: bytes, data_dir: str) -> object:
    """Return what an answer says; errors as :func:`ask`."""
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except msgspec.MsgspecError:
        raise error("SWL-308", path=data_dir) from None  # it ended while it answered
    if answer.code:
        raise error(answer.code, **_without(answer.fields, "code", "self"))
    return msgspec.json.decode(answer.result)


def _without(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in names}


def is_starting(data_dir: str) -> bool:
    """Say whether an agent has ``data_dir`` and does not answer yet: it starts or joins, or ends.

    Its lock is looked for, not tried: to hold it for a moment would keep an agent from starting.
    """
    return any(holds_lock(locks, inode) for locks in _locks() for inode in _lock_inodes(data_dir))


def holds_lock(locks: str, inode: int) -> bool:
    """Say whether ``/proc/locks`` (proc(5)) has a whole-file lock on this inode."""
    held = (line.split() for line in locks.splitlines())
    return any(
        len(fields) >= 6 and fields[1::2][:2] == ["FLOCK", "WRITE"] and fields[5].endswith(f":{inode}")
        for fields in held
    )


def _locks() -> Iterator[str]:
    with contextlib.suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        yield file.read()


def _lock_inodes(data_dir: str) -> Iterator[int]:
    # On a read-only disk the directory itself is locked.
    for path in (f"{data_dir}/{LOCK_NAME}", data_dir):
        with contextlib.suppress(OSError):
            yield os.stat(path, follow_symlinks=False).st_ino  # noqa: PTH116
