"""The audit chain: what a record is, how it is hashed, and how a break in it is named (U1).

Pure. Every command that changed something becomes one record of the store's log, and every record's hash
covers its content and the hash before it. So whoever edits, drops or reorders a record of the database
breaks the chain at that place. Somebody who can rewrite the whole file can also rewrite the whole chain: a
:class:`Head` kept elsewhere (signed, gossiped, printed) is what shows that.

One chain holds both what an auditor asks for and the frequent records (leases, observations) that exist so
that the state can be rebuilt and replicated. The hash covers the *digest* of a payload, so that a frequent
record's payload may be dropped later while the chain still holds.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

import msgspec

_DOMAIN: Final = b"swarmlet/audit/v1\0"
_NUMBERS: Final = struct.Struct(">QqBII")

#: What the first record follows.
GENESIS: Final = bytes(32)

#: Kinds that are in the log only, unless the command itself asks to be seen (a clamped update). A plan that
#: moves nothing is in the log only as well.
FREQUENT: Final = frozenset({"node-transition", "report-observed", "update-node", "prune"})


class Head(msgspec.Struct, frozen=True):
    """The newest record of a chain; ``hash`` fixes everything before it. Sequence 0 is an empty chain."""

    seq: int
    hash: bytes


class AuditRecord(msgspec.Struct, frozen=True):
    """One record of the log.

    Attributes:
        seq: Place in the chain, from 1 without gaps.
        at_ms: Unix milliseconds by the coordinator's clock.
        actor: Who asked: ``uid:0``, ``node:<uid>``, ``coordinator``.
        kind: The command's tag, such as ``admit-node``.
        audited: Whether an auditor asks for this one; its payload is never dropped then.
        payload: The command in msgpack, never with a secret; ``None`` once dropped.
        digest: SHA-256 of the payload.
        previous: Hash of the record before, 32 zero bytes for the first.
        hash: :func:`record_hash` of all of the above.
    """

    seq: int
    at_ms: int
    actor: str
    kind: str
    audited: bool
    payload: bytes | None
    digest: bytes
    previous: bytes
    hash: bytes


class AuditVerdict(msgspec.Struct, frozen=True):
    """What checking a chain found: ``broken`` is the first bad record's number, ``None`` when intact."""

    records: int
    broken: int | None = None
    problem: str = ""

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None


def record_hash(record: AuditRecord) -> bytes:
    """Return the hash of a record: SHA-256 over a domain, numbers and lengths, then the fields.

    Args:
        record: Its ``hash`` and ``payload`` play no part (the ``digest`` stands for the payload).

    Returns:
        32 bytes.
    """
    who, what = record.actor.encode(), record.kind.encode()
    numbers = _NUMBERS.pack(record.seq, record.at_ms, record.audited, len(who), len(what))
    return hashlib.sha256(b"".join((_DOMAIN, numbers, who, what, record.digest, record.previous))).digest()


def next_record(  # noqa: PLR0913 - exactly what a record is made of
    head: Head, *, at_ms: int, actor: str, kind: str, payload: bytes, audited: bool
) -> AuditRecord:
    """Return the record that follows ``head``."""
    digest = hashlib.sha256(payload).digest()
    bare = AuditRecord(head.seq + 1, at_ms, actor, kind, audited, payload, digest, head.hash, b"")
    return msgspec.structs.replace(bare, hash=record_hash(bare))


def content(record: AuditRecord) -> dict[str, object]:
    """Return the fields of the command in ``record``; empty when its payload was dropped."""
    if record.payload is None:
        return {}
    fields: dict[str, object] = msgspec.msgpack.decode(record.payload, type=dict[str, object])
    return fields


def verify(records: Iterable[AuditRecord], head: Head, trusted: Iterable[Head] = ()) -> AuditVerdict:
    """Check a chain from its first record and name the first one that was edited, dropped or reordered.

    Args:
        records: All records by sequence number.
        head: What the store says its newest record is.
        trusted: Heads kept outside the store: the chain must pass through each.

    Returns:
        The verdict; ``records`` counts those before the first bad one.
    """
    attested = {one.seq: one.hash for one in trusted}
    seen = Head(0, GENESIS)
    for record in records:
        fault = _fault(record, seen, attested)
        if fault is not None:
            return fault
        seen = Head(record.seq, record.hash)
    newest = max([head.seq, *attested])
    if newest > seen.seq:
        return _broken(seen.seq + 1, f"is missing; the chain went on to record {newest}")
    if head != seen:
        return _broken(head.seq + 1, "was not written by the store")
    return AuditVerdict(seen.seq)


def _fault(record: AuditRecord, before: Head, attested: dict[int, bytes]) -> AuditVerdict | None:
    """Return what is wrong with ``record`` after ``before``, or ``None``."""
    seq = before.seq + 1
    if record.seq != seq:
        return _broken(seq, f"is missing; record {record.seq} stands in its place")
    if record.payload is None and record.audited:
        return _broken(seq, "has lost its content")
    if record.payload is not None and hashlib.sha256(record.payload).digest() != record.digest:
        return _broken(seq, "was edited")
    if record_hash(record) != record.hash or attested.get(seq, record.hash) != record.hash:
        return _broken(seq, "was edited")
    if record.previous != before.hash:
        # The record is whole by itself, so it is the one before that was written anew.
        return _broken(max(before.seq, 1), f"is not the one that record {seq} was written after")
    return None


def _broken(seq: int, problem: str) -> AuditVerdict:
    return AuditVerdict(seq - 1, seq, f"record {seq} {problem}")
