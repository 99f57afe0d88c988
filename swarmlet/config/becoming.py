"""Becoming the user that ``privilege.py`` decides on. Holds no rule; the change itself is native."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from swarmlet import _native
from swarmlet.config.load import move_home
from swarmlet.config.privilege import Socket, Standing, User, counts_filters
from swarmlet.errors import error, from_native


def engine_socket(paths: Sequence[str]) -> Socket | None:
    """Return the first of ``paths`` that is a socket."""
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 - pathlib costs milliseconds at every start
        except OSError:
            continue
        if stat.S_ISSOCK(found.st_mode):
            return Socket(path, found.st_uid, found.st_gid, found.st_mode)
    return None


def agents_user(data_dir: str) -> User | None:
    """Return who the last agent of ``data_dir`` was, by the owner of the lock it left there."""
    try:
        found = os.lstat(f"{data_dir}/agent.lock")
    except OSError:
        return None
    return User(found.st_uid, found.st_gid)


def become(wanted: Standing, data_dir: str, *, for_good: bool) -> list[str]:
    """Become the user of ``wanted``; there is no way back.

    Args:
        wanted: The user and its groups.
        data_dir: Its home from now on.
        for_good: Also give up that any program started from here could have more privileges.

    Returns:
        What could not be done and is no danger without the rest.

    Raises:
        LocalError: ``SWL-312``; the process must end.
    """
    user = wanted.user
    no_new_privileges = for_good and counts_filters(_own_status())
    programs = {"this program": _on_disk(__file__), "the Python it runs in": _on_disk(os.__file__)}
    try:
        kept = _native.become_user(user.uid, user.gid, wanted.groups, no_new_privileges=no_new_privileges)
    except _native.NativeError as failure:
        raise from_native(*failure.args, user=str(user)) from None
    for what, path in programs.items():
        if not os.access(path, os.R_OK, effective_ids=True):
            # Most of it is loaded when it is needed: better to end here than in the middle of something.
            raise error("SWL-312", user=str(user), detail=f"that user may not read {path}, which is {what}")
    move_home(data_dir)
    return kept


def _on_disk(path: str) -> str:
    """Return the file that holds a module, which may be an archive."""
    while not os.path.exists(path):  # noqa: PTH110
        path = os.path.dirname(path)  # noqa: PTH120
    return path


def _own_status() -> str:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
