"""Giving the data directory, and what in it is root's, to the user the agent becomes. Needs root.

Whoever could write there before might have laid links: none is followed, and a file with a second name (a
hard link) may be somebody's elsewhere and is left. What belongs to other users, as the directories of
workloads do, is theirs. Other file systems mounted below are not entered.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from swarmlet.agent.lasting import refusal
from swarmlet.config.privilege import User, unusable_directory
from swarmlet.errors import error

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def own(path: str, user: User) -> None:
    """Make ``path`` if need be, and give ``user`` what in it is root's; a read-only disk is left alone.

    Raises:
        StateError: ``SWL-301``; it cannot be made, is a link or a directory of the system.
        LocalError: ``SWL-312``; it may not be given.
    """
    unusable = unusable_directory(path)
    if unusable:
        raise error("SWL-301", path=path, detail=unusable)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 - pathlib costs milliseconds at every start
        top = os.open(path, _DIRECTORY)
    except OSError as fault:
        detail = refusal(path, fault)
        if fault.errno in {errno.ELOOP, errno.ENOTDIR} and os.path.islink(path):  # noqa: PTH114
            detail = "it is a link; name the directory it leads to"
        raise error("SWL-301", path=path, detail=detail) from None
    try:
        _give_tree(top, user)
    except OSError as fault:
        if fault.errno != errno.EROFS:
            detail = f"{path} cannot be given to it: {(fault.strerror or str(fault)).lower()}"
            raise error("SWL-312", user=str(user), detail=detail) from None
    finally:
        os.close(top)


def _give_tree(top: int, user: User) -> None:
    """Give the open directory ``top``, what is in it, and what is in those.

    The agent keeps nothing deeper. Below may be what a workload of this very user has built, without bound.
    """
    if os.fstat(top).st_uid == 0:
        os.fchown(top, *user)
    device = os.fstat(top).st_dev
    for name in os.listdir(top):
        with contextlib.suppress(FileNotFoundError):  # it went while we looked
            found = os.stat(name, dir_fd=top, follow_symlinks=False)
            _give(top, name, found, device, user)
            if stat.S_ISDIR(found.st_mode) and found.st_dev == device and found.st_uid in {0, user.uid}:
                _give_entries(top, name, device, user)


def _give_entries(top: int, name: str, device: int, user: User) -> None:
    directory = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for inner in os.listdir(directory):  # noqa: PTH208 - by descriptor
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(inner, dir_fd=directory, follow_symlinks=False)
                _give(directory, inner, found, device, user)
    finally:
        os.close(directory)


def _give(directory: int, name: str, found: os.stat_result, device: int, user: User) -> None:
    alone = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
    if found.st_uid == 0 and found.st_dev == device and alone:
        os.chown(name, *user, dir_fd=directory, follow_symlinks=False)
