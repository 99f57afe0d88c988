"""Where things lie in a coordinator's directory, so that both ends of the admin socket agree. Pure."""

from __future__ import annotations

#: The longest path of a unix socket on Linux, in bytes, without the final zero (``sun_path``, unix(7)).
MAX_SOCKET_PATH = 107

DATABASE = "cluster.db"
RESERVE = "cluster.reserve"
TOKEN_KEY = "token.key"  # noqa: S105 - a file name
IDENTITY = "identity"
LOCK = "coordinator.lock"
SOCKET = "admin.sock"


def admin_socket(directory: str, owner: int) -> str:
    """Return the path of the admin socket of the coordinator in ``directory``.

    It is in the directory itself, unless that path is too long for a unix socket. Then it is in a short
    directory of the owner's, under a name made of the long one.

    Args:
        directory: Absolute path of the coordinator's directory, without links.
        owner: User id of the directory's owner.
    """
    usual = f"{directory.rstrip('/')}/{SOCKET}"
    if len(usual.encode()) <= MAX_SOCKET_PATH:
        return usual
    # Loads OpenSSL, which an agent that knows the other names here does without.
    import hashlib  # noqa: PLC0415

    name = hashlib.sha256(directory.encode()).hexdigest()[:16]
    return f"{short_directory(owner)}/{name}.sock"


def short_directory(owner: int) -> str:
    """Return where sockets go whose own path is too long; it must belong to ``owner`` and be 0700."""
    return f"/tmp/stratoswarm-{owner}" if owner else "/run/stratoswarm"  # noqa: S108 - ownership is checked
