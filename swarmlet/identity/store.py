"""The node's identity and what it must remember of its cluster, on disk in one piece.

The key stays native; what is here is the memory beside it. It is written when it changed and never by a timer
(SD cards wear out), and of time only what the coordinator told is kept (C10).
"""

from __future__ import annotations

import contextlib

import msgspec

from swarmlet._native import Identity, IdentityStore, KeyPair, NativeError
from swarmlet.clock import Clock, ClusterTime
from swarmlet.errors import SwarmletError, error, from_native
from swarmlet.link.messages import Admitted, Renewed, Settings

#: Grows when an older reader would misread the memory.
VERSION = 1


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept with the key.

    ``told_ms`` is cluster time as told at ``told_boot_s`` of the boot ``boot_id``: within one boot it can be
    carried forward, after a reboot it is only a moment of the past.
    """

    version: int = VERSION
    node_uid: str
    name: str
    node_class: str
    suitability: tuple[str, ...]
    settings: Settings
    told_ms: int
    told_boot_s: float
    boot_id: str


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Memory] = msgspec.msgpack.Decoder(Memory)


class Credentials(msgspec.Struct, frozen=True):
    """A key with its certificate, and the memory beside it."""

    identity: Identity
    memory: Memory


def admission(key: KeyPair, admitted: Admitted, clock: Clock, boot_id: str) -> Credentials:
    """Return the credentials of a node that was just admitted.

    Raises:
        SwarmletError: The certificate is not for this key, or not for the node it was said to be.
    """
    memory = Memory(
        node_uid=admitted.node_uid,
        name=admitted.name,
        node_class=admitted.node_class,
        suitability=admitted.suitability,
        settings=admitted.settings,
        told_ms=admitted.time_ms,
        told_boot_s=clock.boot(),
        boot_id=boot_id,
    )
    return _bind(key, admitted.chain, memory)


def renewal(before: Credentials, key: KeyPair, renewed: Renewed, clock: Clock, boot_id: str) -> Credentials:
    """Return the credentials after a renewal; errors as :func:`admission`."""
    memory = msgspec.structs.replace(
        before.memory,
        settings=renewed.settings,
        told_ms=renewed.time_ms,
        told_boot_s=clock.boot(),
        boot_id=boot_id,
    )
    return _bind(key, renewed.chain, memory)


def updated(before: Credentials, name: str, settings: Settings) -> Credentials:
    """Return the credentials with what a welcome said; the same object when nothing changed."""
    memory = msgspec.structs.replace(before.memory, name=name, settings=settings)
    if memory == before.memory:
        return before
    return Credentials(before.identity.with_meta(_encoder.encode(memory)), memory)


def _bind(key: KeyPair, chain: tuple[bytes, ...], memory: Memory) -> Credentials:
    try:
        identity = Identity.create(key, chain, _encoder.encode(memory))
    except NativeError as fault:
        raise from_native(*fault.args) from None
    expected = f"swarmlet://{memory.settings.cluster_id}/node/{memory.node_uid}"
    if expected not in identity.uris:
        raise error("SWL-799", detail=f"the certificate is not for {expected}")
    return Credentials(identity, memory)


class Vault:
    """Where credentials are kept. Its calls touch the disk: off the event loop."""

    def __init__(self, data_dir: str) -> None:
        self._path = f"{data_dir}/identity"
        self._store = IdentityStore(self._path)

    def load(self) -> Credentials | None:
        """Return the newest whole credentials, or ``None`` when this device never joined.

        Raises:
            StateError: ``SWL-300`` damaged, ``SWL-303`` others can read it, ``SWL-301`` unreadable.
        """
        try:
            identity = self._store.load()
        except NativeError as fault:
            raise self._failure(fault) from None
        if identity is None:
            return None
        try:
            memory = _decoder.decode(identity.meta)
        except msgspec.MsgspecError as fault:
            raise error("SWL-300", detail=f"{self._path}: {fault}") from None
        if memory.version != VERSION:
            raise error("SWL-300", detail=f"{self._path} was written by another version of swarmlet")
        return Credentials(identity, memory)

    def save(self, credentials: Credentials) -> None:
        """Put credentials on disk, synced; what was there stays whole until then.

        Raises:
            StateError: ``SWL-301`` or ``SWL-302``.
        """
        try:
            self._store.save(credentials.identity)
        except NativeError as fault:
            raise self._failure(fault) from None

    def joining(self, token: bytes) -> KeyPair:
        """Return the key with which to join by the token of this id (16 bytes), on disk by then.

        It is the same until a join is saved, or :meth:`forget_joining`.

        Raises:
            StateError: ``SWL-301`` or ``SWL-302``.
        """
        try:
            return self._store.joining(token)
        except NativeError as fault:
            raise self._failure(fault) from None

    def forget_joining(self) -> None:
        """Remove that key, as far as the disk lets."""
        with contextlib.suppress(NativeError):
            self._store.forget_joining()

    def wipe(self) -> None:
        """Overwrite and remove them.

        Raises:
            StateError: ``SWL-301``.
        """
        try:
            self._store.wipe()
        except NativeError as fault:
            raise self._failure(fault) from None

    def _failure(self, fault: NativeError) -> SwarmletError:
        return from_native(*fault.args, path=self._path)


def recall_time(memory: Memory, boot_id: str, clock: Clock, cluster_time: ClusterTime) -> None:
    """Carry cluster time forward from disk, when it was told since this machine last booted."""
    passed_s = clock.boot() - memory.told_boot_s
    if memory.boot_id == boot_id and passed_s >= 0:
        cluster_time.learn(memory.told_ms + int(passed_s * 1000))
