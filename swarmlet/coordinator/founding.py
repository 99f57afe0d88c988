"""Founds a cluster: its certificate authority, its keys, its database. Holds no rule.

The database's first command comes last. Until it is on disk there is no cluster, and founding can be begun
again: what a killed one left is used or made anew.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

from swarmlet._native import NativeError, SigningKey
from swarmlet.clock import Clock
from swarmlet.coordinator import lock
from swarmlet.coordinator.ca import Authority
from swarmlet.coordinator.ca_files import AuthorityFiles
from swarmlet.coordinator.store.commands import InitCluster
from swarmlet.coordinator.store.sqlite import SqliteStore
from swarmlet.errors import error, from_native
from swarmlet.model import places
from swarmlet.model.records import ClusterRecord
from swarmlet.tokens.durations import instant

#: The longest cluster name, in characters; a token carries it.
MOST_NAME = 63
#: No cluster is older than this program: 2020, Unix milliseconds.
_EARLIEST_MS = 1_577_836_800_000


def init_cluster(directory: Path, name: str, clock: Clock) -> ClusterRecord:
    """Found a cluster in ``directory``, which is made when it is not there.

    Args:
        directory: Where the coordinator keeps everything; only its owner may enter it.
        name: For people: 1 to 63 bytes of printable text, as tokens carry it.
        clock: The coordinator's.

    Raises:
        SwarmletError: ``SWL-600`` when there is a cluster, ``SWL-400`` for a name that cannot be,
            ``SWL-614`` for a clock that was never set, ``SWL-301``, ``SWL-302`` and ``SWL-306`` as usual.
    """
    if not (name and name.isprintable() and len(name.encode()) <= MOST_NAME and name == name.strip()):
        detail = f"{name[:80]!r} cannot name a cluster"
        raise error("SWL-400", detail=detail, hint=f"--name of 1 to {MOST_NAME} bytes of printable text")
    if clock.wall_ms() < _EARLIEST_MS:
        raise error("SWL-614", at=instant(clock.wall_ms() // 1000))
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as failure:
        raise error("SWL-301", path=str(directory), detail=failure.strerror or "?") from None
    with lock.held(directory):
        return asyncio.run(_found(directory, name, clock))


async def _found(directory: Path, name: str, clock: Clock) -> ClusterRecord:
    async with await SqliteStore.open(directory / places.DATABASE, clock) as store:
        if await store.cluster() is not None:
            raise error("SWL-600", path=str(directory))
        now_ms = clock.wall_ms()
        authority = _authority(authority_files(directory), now_ms)
        key = signing_key(directory)
        await store.apply(
            InitCluster(
                at_ms=now_ms,
                actor="coordinator",
                cluster_id=authority.cluster_id,
                name=name,
                root=authority.root,
                intermediate=authority.intermediate,
                token_kid=key.kid,
                token_key=key.public_key,
            )
        )
        founded = await store.cluster()
    if founded is None:
        raise error("SWL-799", detail="the cluster that was just founded is not there")
    return founded


def authority_files(directory: Path) -> AuthorityFiles:
    """Return where the authority of the cluster in ``directory`` is kept."""
    return AuthorityFiles(directory / "ca", directory / "secrets" / "kek")


def _authority(files: AuthorityFiles, now_ms: int) -> Authority:
    return files.open() if files.exists() else files.found(secrets.token_hex(16), now_ms)


def signing_key(directory: Path) -> SigningKey:
    """Return the key that signs tokens, made when it is not there.

    Raises:
        SwarmletError: ``SWL-610``, ``SWL-611``, ``SWL-612``.
    """
    path = str(directory / places.TOKEN_KEY)
    try:
        return SigningKey.load_or_create(path)
    except NativeError as failure:
        kind, detail = failure.args
        raise from_native(kind, detail, path=path) from None
