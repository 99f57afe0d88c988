"""Listening on loopback, and moving aside when nobody insists on a port.

It binds loopback only (L1): no setting and no argument leads to another address.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import NamedTuple

from swarmlet.config.holders import holder_of
from swarmlet.errors import error

_BACKLOG = 64


class Bound(NamedTuple):
    """Listening sockets of one port: IPv4 loopback, and IPv6 loopback where there is one."""

    port: int
    sockets: tuple[socket.socket, ...]
    moved_from: int | None = None

    def close(self) -> None:
        """Close them."""
        for one in self.sockets:
            one.close()


def bind_loopback(port: int, key: str, *, insisted: bool) -> Bound:
    """Listen on ``port`` of 127.0.0.1, and of ::1 where that works.

    Args:
        port: The port; 0 is any free one.
        key: The setting that names it, for the error.
        insisted: Whether a person chose it. If not, a taken port is exchanged for a free one.

    Raises:
        LocalError: ``SWL-304`` naming the holder, or ``SWL-305``.
    """
    moved_from: int | None = None
    try:
        first = _listen(socket.AF_INET, port)
    except OSError as fault:
        if fault.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EPERM}:
            raise
        if insisted or fault.errno != errno.EADDRINUSE:
            code = "SWL-304" if fault.errno == errno.EADDRINUSE else "SWL-305"
            raise error(code, port=str(port), key=key, holder=holder_of(port)) from None
        moved_from, first = port, _listen(socket.AF_INET, 0)
    chosen = int(first.getsockname()[1])
    sockets = [first]
    with contextlib.suppress(OSError):  # no IPv6 here, or taken there: IPv4 is enough
        sockets.append(_listen(socket.AF_INET6, chosen))
    return Bound(chosen, tuple(sockets), moved_from)


def _listen(family: socket.AddressFamily, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.setblocking(False)  # noqa: FBT003
        one.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one
