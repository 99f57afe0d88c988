"""The node's memory of what it was given: two checksummed slots on disk.

Written only when something changed that must survive (SD cards wear out), never by a timer. It decides
nothing: which change must be on disk before which effect is the machine's law. A journal that cannot be read
never keeps the agent from starting: the files are set aside, and the cluster sends the assignments again.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from swarmlet import _native
from swarmlet.errors import SwarmletError, error, from_native
from swarmlet.workloads.replica import Replica

MAGIC = b"swljrnl1"
#: Grows when an older reader would misread the content.
VERSION = 1


class JournalState(msgspec.Struct, frozen=True):
    """Everything that survives this agent.

    Attributes:
        version: Format of this content.
        generation: The newest desired state that was applied.
        replicas: Every assignment taken and not yet forgotten, ended ones included.
        fences: The newest epoch taken of each replica of a workload.
    """

    version: int = VERSION
    generation: int = 0
    replicas: tuple[Replica, ...] = ()
    fences: dict[str, int] = msgspec.field(default_factory=dict)


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[JournalState] = msgspec.msgpack.Decoder(JournalState)


class Journal:
    """The two slots under one directory."""

    def __init__(self, directory: str) -> None:
        """Use ``directory``, made on the first save."""
        self._directory = directory
        self._slots = _native.SlotFile(directory, MAGIC)
        self._saved: bytes | None = None

    def load(self) -> tuple[JournalState, SwarmletError | None]:
        """Return what is on disk, and what was wrong with it when nothing could be read.

        Never raises: whatever is damaged is kept beside as ``a.damaged`` and ``b.damaged``, and an empty
        state is returned with the ``SWL-309`` (or the reason it cannot be read) to show.
        """
        try:
            found = self._slots.load()
        except _native.NativeError as failure:
            kind, detail = failure.args
            trouble = from_native(kind, detail, path=self._directory)
            if trouble.code == "SWL-309":
                self._set_aside()
            return JournalState(), trouble
        if found is None:
            return JournalState(), None
        try:
            state = _decoder.decode(found[1])
            if state.version != VERSION:
                raise msgspec.ValidationError(f"version {state.version} is not known here")
        except msgspec.MsgspecError as failure:
            self._set_aside()
            return JournalState(), error("SWL-309", detail=str(failure))
        self._saved = found[1]
        return state, None

    def damaged(self) -> list[str]:
        """Return the paths of slots that are there and not whole; one such slot costs nothing."""
        try:
            return self._slots.damaged()
        except _native.NativeError:
            return []

    def save(self, state: JournalState) -> bool:
        """Put ``state`` on disk, synced. Blocks: call it off the event loop.

        Returns:
            False when it was there already and nothing was written.

        Raises:
            SwarmletError: ``SWL-302`` disk full, ``SWL-301`` not writable. What was on disk is unharmed.
        """
        payload = _encoder.encode(state)
        if payload == self._saved:
            return False
        try:
            self._slots.save(payload)
        except _native.NativeError as failure:
            kind, detail = failure.args
            raise from_native(kind, detail, path=self._directory) from failure
        self._saved = payload
        return True

    def _set_aside(self) -> None:
        """Keep unreadable slots beside the new ones; an older pair set aside before makes room."""
        for name in ("a", "b"):
            slot = Path(self._directory, name)
            with contextlib.suppress(OSError):
                slot.replace(slot.with_suffix(".damaged"))
