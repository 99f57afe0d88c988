"""What a shared library says about itself: machine, needed libraries, symbols and their versions.

Values in, values out: no file is opened here. Reads what verify.py judges, not all of ELF.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}
_ARM_HARD_FLOAT = 0x400
_STACK, _INTERPRETER = 0x6474E551, 3
_EXECUTABLE = 1
_DYNAMIC_TABLE = {1: "needed", 14: "soname", 15: "rpath", 29: "runpath"}
_TEXT_RELOCATIONS, _FLAGS, _FLAG_TEXT_RELOCATIONS = 22, 30, 4


class NotElfError(ValueError):
    """These bytes are no ELF file, or one that is cut short or damaged."""


@dataclass(frozen=True)
class Symbol:
    """One name of the dynamic symbol table; ``version`` is what the loader must find (``GLIBC_2.17``)."""

    name: str
    undefined: bool
    version: str | None


@dataclass(frozen=True)
class Library:
    """A shared library or program as its loader sees it."""

    machine: str
    bits: int
    hard_float: bool
    interpreter: str | None
    needed: tuple[str, ...]
    search_paths: tuple[str, ...]
    text_relocations: bool
    executable_stack: bool
    symbols: tuple[Symbol, ...]

    @property
    def arch(self) -> str:
        """The machine as platform tags spell it."""
        return "armv7l" if self.machine == "arm" and self.hard_float else self.machine


def read(data: bytes) -> Library:
    """Read an ELF file.

    Args:
        data: The whole file.

    Raises:
        NotElfError: It is none, or its tables point outside of it.
    """
    if data[:4] != b"\x7fELF" or len(data) < 52:
        raise NotElfError("not an ELF file")
    if data[4] not in {1, 2} or data[5] != 1:
        raise NotElfError("an ELF file of an unknown class or byte order")
    try:
        return _Reader(data).library()
    except (struct.error, IndexError, ValueError) as wrong:
        raise NotElfError(f"a damaged ELF file: {wrong}") from wrong


@dataclass(frozen=True)
class _Section:
    name: str
    offset: int
    size: int
    link: int
    entries: int


class _Reader:
    """Reads the tables of one file; both word sizes, little endian."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._wide = data[4] == 2
        header = struct.unpack_from("<HHIQQQIHHHHHH" if self._wide else "<HHIIIIIHHHHHH", data, 16)
        (_, self._machine, _, _, self._segments_at, self._sections_at, self._flags, *rest) = header
        (_, self._segment_size, self._segment_count, self._section_size, self._section_count, self._names) = (
            rest
        )
        self._sections = self._read_sections()

    def library(self) -> Library:
        dynamic = self._dynamic()
        stack_flags = self._segment(_STACK, flags=True)
        interpreter = self._segment(_INTERPRETER)
        return Library(
            machine=MACHINES.get(self._machine, f"machine {self._machine}"),
            bits=64 if self._wide else 32,
            hard_float=bool(self._flags & _ARM_HARD_FLOAT),
            interpreter=None if interpreter is None else self._text(int(interpreter)),
            needed=tuple(value for key, value in dynamic if key == "needed"),
            search_paths=tuple(value for key, value in dynamic if key in {"rpath", "runpath"}),
            text_relocations=any(key == "textrel" for key, _ in dynamic),
            # No such segment: the kernel decides, and on some machines it decides for an executable stack.
            executable_stack=stack_flags is None or bool(stack_flags & _EXECUTABLE),
            symbols=tuple(self._symbols()),
        )

    def _read_sections(self) -> list[_Section]:
        layout = "<IIQQQQIIQQ" if self._wide else "<IIIIIIIIII"
        places = (self._sections_at + index * self._section_size for index in range(self._section_count))
        rows = [struct.unpack_from(layout, self._data, at) for at in places]
        if not rows:
            return []
        names = rows[self._names][4]
        return [
            _Section(self._text(names + name), offset, size, link, entries)
            for name, _, _, _, offset, size, link, entries, _, _ in rows
        ]

    def _section(self, name: str) -> _Section | None:
        return next((one for one in self._sections if one.name == name), None)

    def _segment(self, kind: int, *, flags: bool = False) -> int | None:
        """Return where the first segment of a kind starts in the file, or its flags."""
        for index in range(self._segment_count):
            at = self._segments_at + index * self._segment_size
            if self._wide:
                found, mode, offset = struct.unpack_from("<IIQ", self._data, at)
            else:
                found, offset, _, _, _, _, mode, _ = struct.unpack_from("<8I", self._data, at)
            if found == kind:
                return int(mode if flags else offset)
        return None

    def _text(self, at: int) -> str:
        return self._data[at : self._data.index(b"\0", at)].decode("ascii", "replace")

    def _dynamic(self) -> list[tuple[str, str]]:
        table = self._section(".dynamic")
        if table is None:
            return []
        strings = self._sections[table.link].offset
        layout = "<QQ" if self._wide else "<II"
        found = []
        for tag, value in struct.iter_unpack(layout, self._data[table.offset : table.offset + table.size]):
            if tag == 0:
                break
            if tag in _DYNAMIC_TABLE:
                found.append((_DYNAMIC_TABLE[tag], self._text(strings + value)))
            elif tag == _TEXT_RELOCATIONS or (tag == _FLAGS and value & _FLAG_TEXT_RELOCATIONS):
                found.append(("textrel", ""))
        return found

    def _symbols(self) -> list[Symbol]:
        table = self._section(".dynsym")
        if table is None:
            return []
        strings, versions, names = (
            self._sections[table.link].offset,
            self._section(".gnu.version"),
            self._needs(),
        )
        layout, found = "<IBBHQQ" if self._wide else "<IIIBBH", []
        body = self._data[table.offset : table.offset + table.size]
        for index, entry in enumerate(struct.iter_unpack(layout, body)):
            section = entry[3] if self._wide else entry[5]
            version = None
            if versions is not None:
                (number,) = struct.unpack_from("<H", self._data, versions.offset + 2 * index)
                version = names.get(number & 0x7FFF)
            found.append(Symbol(self._text(strings + entry[0]), section == 0, version))
        return [symbol for symbol in found if symbol.name]

    def _needs(self) -> dict[int, str]:
        """Return the symbol versions asked of other libraries, by their number in this file."""
        table = self._section(".gnu.version_r")
        if table is None:
            return {}
        strings, at, found = self._sections[table.link].offset, table.offset, {}
        for _ in range(table.entries):
            _, count, _, aux, following = struct.unpack_from("<HHIII", self._data, at)
            inner = at + aux
            for _ in range(count):
                _, _, number, name, step = struct.unpack_from("<IHHII", self._data, inner)
                found[number] = self._text(strings + name)
                inner += step
            at += following
        return found
