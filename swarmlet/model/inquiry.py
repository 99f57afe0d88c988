"""The datagrams of discovery by broadcast: one question, one answer (``docs/protocol.md``). Pure.

The question is padded and no answer is ever longer, so that nobody gains from asking in another's name. An
answer repeats the question's number, so that only who heard the question can answer it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from swarmlet.model.announcement import MOST_STRING, MOST_STRINGS, Announcement, from_strings, to_strings

#: The port questions go to, whatever port a cluster has: who looks for one does not know it.
PORT = 7946
#: The group IPv6 questions go to: link-local, transient (RFC 4291, section 2.7), unassigned.
GROUP = "ff12::7377:6c6d"
#: Every question is so long, in bytes, and no answer is longer. It fits the smallest packet of IPv4.
LENGTH = 512
#: Hops of every datagram: one that was routed cannot have as many left (RFC 5082).
HOPS = 255

NUMBER_LENGTH = 16
#: How each of them begins.
MAGIC = b"SWLD"
_VERSION = 1
_ASK, _TELL = 1, 2
_HEAD = struct.Struct(">4sBBH16s")
_ANY = bytes(16)


class Question(NamedTuple):
    """Who is there? ``wanted`` is a cluster's id, or empty for any."""

    number: bytes
    wanted: str = ""


def write_question(question: Question) -> bytes:
    """Return a question as a datagram.

    Args:
        question: ``number`` is 16 random bytes, ``wanted`` 32 hex digits or empty.
    """
    head = _HEAD.pack(MAGIC, _VERSION, _ASK, 0, question.number)
    return (head + (bytes.fromhex(question.wanted) or _ANY)).ljust(LENGTH, b"\0")


def read_question(data: bytes) -> Question | None:
    """Read a datagram as a question; ``None`` when it is none."""
    if len(data) != LENGTH:
        return None
    magic, version, kind, length, number = _HEAD.unpack_from(data)
    if (magic, version, kind, length) != (MAGIC, _VERSION, _ASK, 0):
        return None
    wanted = data[_HEAD.size : _HEAD.size + 16]
    if any(data[_HEAD.size + 16 :]):
        return None
    return Question(number, "" if wanted == _ANY else wanted.hex())


def write_answer(number: bytes, what: Announcement) -> bytes:
    """Return an answer as a datagram; what does not fit is left out, the least useful first."""
    body = b""
    for one in to_strings(what):
        if _HEAD.size + len(body) + 1 + len(one) <= LENGTH:
            body += bytes((len(one),)) + one
    return _HEAD.pack(MAGIC, _VERSION, _TELL, len(body), number) + body


def read_answer(data: bytes, number: bytes) -> Announcement | None:
    """Read a datagram as the answer to question ``number``; ``None`` when it is not."""
    if not _HEAD.size <= len(data) <= LENGTH:
        return None
    magic, version, kind, length, told = _HEAD.unpack_from(data)
    if (magic, version, kind, told) != (MAGIC, _VERSION, _TELL, number):
        return None
    if len(data) != _HEAD.size + length:
        return None
    strings = split_strings(data[_HEAD.size :])
    return None if strings is None else from_strings(strings)


def split_strings(data: bytes) -> list[bytes] | None:
    """Split strings with a length byte before each (RFC 1035, section 3.3); ``None`` when they do not end."""
    strings: list[bytes] = []
    at = 0
    while at < len(data) and len(strings) < MOST_STRINGS:
        length = data[at]
        if length > MOST_STRING or at + 1 + length > len(data):
            return None
        strings.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return strings
