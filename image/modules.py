"""Finds every module a program can reach, lazily imported ones too, by reading its source; runs nothing.

What is imported only for type checkers or by a module run as a program does not count. What is written under
a condition (another system, an optional package) does: the manifest says what of that stays out, and why.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """One module: its file, and whether it is a package."""

    path: Path
    package: bool


def sources(folders: Iterable[Path]) -> dict[str, Source]:
    """Return every module below ``folders`` by its full name; the first folder that has a name wins."""
    found: dict[str, Source] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if package else parts)
            if name and all(part.isidentifier() for part in name.split(".")):
                found.setdefault(name, Source(path, package))
    return found


def _only_for_others(test: ast.expr) -> bool:
    """Whether a condition holds for type checkers alone, or for a module run as a program."""
    if isinstance(test, ast.Name | ast.Attribute):
        return (test.id if isinstance(test, ast.Name) else test.attr) == "TYPE_CHECKING"
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _imports(nodes: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and _only_for_others(node.test):
            yield from _imports(node.orelse)
        else:
            yield from _imports(ast.iter_child_nodes(node))


def imported(tree: ast.Module, module: str, package: bool) -> Iterator[str]:
    """Yield the name of everything ``module`` imports; of ``from a import b`` both ``a`` and ``a.b``."""
    for node in _imports(tree.body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            parts = module.split(".")
            kept = parts[: len(parts) - node.level + (1 if package else 0)]
            base = ".".join([*kept, *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def without(name: str, left_out: Iterable[str]) -> bool:
    """Whether ``name`` is one of ``left_out`` or inside one."""
    return any(name == one or name.startswith(one + ".") for one in left_out)


def reachable(roots: Sequence[str], known: Mapping[str, Source], left_out: Sequence[str]) -> set[str]:
    """Return every module of ``known`` that ``roots`` can import.

    Args:
        roots: Full names to begin with.
        known: What there is, as :func:`sources` says.
        left_out: Names that are not followed, with everything inside them.

    Raises:
        KeyError: A root is not known.
    """
    for root in roots:
        known[root]
    waiting, found = list(roots), set[str]()
    while waiting:
        for name in _parents(waiting.pop()):
            if name in found or name not in known or without(name, left_out):
                continue
            found.add(name)
            source = known[name]
            tree = ast.parse(source.path.read_bytes(), filename=str(source.path))
            waiting.extend(imported(tree, name, source.package))
    return found


def unknown(names: Iterable[str], known: Mapping[str, Source], elsewhere: Iterable[str]) -> dict[str, str]:
    """Return what ``names`` import that is nowhere, each with a module that does: it would fail there.

    Args:
        names: Modules of ``known``.
        known: What there is, as :func:`sources` says.
        elsewhere: Names that are there without a source, or are left out on purpose.
    """
    there = {name.split(".")[0] for name in known} | {name.split(".")[0] for name in elsewhere}
    found: dict[str, str] = {}
    for name in sorted(names):
        source = known[name]
        tree = ast.parse(source.path.read_bytes(), filename=str(source.path))
        for wanted in imported(tree, name, source.package):
            if wanted and wanted.split(".")[0] not in there:
                found.setdefault(wanted.split(".")[0], name)
    return found
