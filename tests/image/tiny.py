"""Static programs of a hundred bytes for each platform, without a compiler: they write one line and end."""

from __future__ import annotations

import struct

_BASE = 0x400000
_PAGE = 0x10000


def program(platform: str, line: str) -> bytes:
    """Return an ELF file that writes ``line`` to standard output and exits with 0.

    Args:
        platform: ``linux/amd64``, ``linux/arm64`` or ``linux/arm/v7``.
        line: At most 200 bytes; nothing is written when it is empty.
    """
    text = line.encode() + (b"\n" if line else b"")
    assert len(text) <= 201
    return {"linux/amd64": _amd64, "linux/arm64": _arm64, "linux/arm/v7": _armv7}[platform](text)


def _amd64(text: bytes) -> bytes:
    code = bytes.fromhex(
        "b801000000"  # mov eax, 1          write
        "bf01000000"  # mov edi, 1
        "488d3510000000"  # lea rsi, [rip + 16]
    )
    code += b"\xba" + struct.pack("<I", len(text))  # mov edx, length
    code += bytes.fromhex("0f05b83c00000031ff0f05")  # syscall; exit(0)
    return _elf64(62, code + text)


def _arm64(text: bytes) -> bytes:
    words = (
        0xD2800020,  # mov x0, #1
        0x100000E1,  # adr x1, . + 28
        0xD2800002 | len(text) << 5,  # mov x2, length
        0xD2800808,  # mov x8, #64         write
        0xD4000001,  # svc #0
        0xD2800000,  # mov x0, #0
        0xD2800BA8,  # mov x8, #93         exit
        0xD4000001,  # svc #0
    )
    return _elf64(183, struct.pack("<8I", *words) + text)


def _armv7(text: bytes) -> bytes:
    words = (
        0xE3A00001,  # mov r0, #1
        0xE28F1014,  # add r1, pc, #20
        0xE3A02000 | len(text),  # mov r2, length
        0xE3A07004,  # mov r7, #4          write
        0xEF000000,  # svc #0
        0xE3A00000,  # mov r0, #0
        0xE3A07001,  # mov r7, #1          exit
        0xEF000000,  # svc #0
    )
    code, start = struct.pack("<8I", *words) + text, 52 + 32
    magic = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, _BASE + start, 52, 0, 0x05000000, 52, 32, 1, 0, 0, 0)
    size = start + len(code)
    return magic + head + struct.pack("<IIIIIIII", 1, 0, _BASE, _BASE, size, size, 5, _PAGE) + code


def _elf64(machine: int, code: bytes) -> bytes:
    start = 64 + 56
    magic = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = start + len(code)
    return magic + head + struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE) + code
