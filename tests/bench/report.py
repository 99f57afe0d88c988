"""Writes what was measured: docs/benchmarks.md for people, docs/benchmarks.json for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.bench.cluster import LIMITS
from tests.bench.machine import Machine
from tests.bench.measure import Figure

_HEAD = """# Benchmarks

Written by `make bench`; do not edit. Every peer ran on the same machine in the same run. A bar is what the
design asks for; a miss is written down as one. The load runs on the machine it measures, and others may use
that machine too: figures are medians of repeated measurements, ratios (measured by peer) say more than bare
numbers, and a busy moment can cost a factor of two.
"""


class Report(msgspec.Struct, frozen=True):
    """One run. ``seconds`` is how long it took; ``failed`` names measurements that broke, with the reason."""

    machine: Machine
    seconds: float
    quick: bool
    limits: str
    figures: dict[str, list[Figure]]
    failed: dict[str, str]


def make(
    machine: Machine, seconds: float, quick: bool, figures: dict[str, list[Figure]], failed: dict[str, str]
) -> Report:
    """Return the report of a run."""
    return Report(machine, round(seconds, 1), quick, LIMITS, figures, failed)


def write(report: Report, directory: Path) -> None:
    """Write both files."""
    encoded = msgspec.json.format(msgspec.json.encode(report), indent=2)
    (directory / "benchmarks.json").write_bytes(encoded + b"\n")
    (directory / "benchmarks.md").write_text(markdown(report))


def markdown(report: Report) -> str:
    """Return the report for people."""
    every = [figure for group in report.figures.values() for figure in group]
    judged = [figure for figure in every if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    lines = [_HEAD, *_machine(report), ""]
    if report.machine.extension.get("profile") != "release":
        lines += [
            "**The extension that was measured is not a release build: these are no figures to quote.**",
            "",
        ]
    lines.append(f"**{len(judged) - len(missed)} of {len(judged)} bars met.**")
    lines += [f"- missed: {one.what}: {number(one.value)} {one.unit} (bar {one.bar})" for one in missed]
    lines += [f"- broke: {name}: {why}" for name, why in report.failed.items()]
    lines += ["", *_table(every), "", "## How each was measured", ""]
    lines += [f"- **{figure.what}**: {figure.note}." for figure in every if figure.note]
    return "\n".join(lines) + "\n"


def _machine(report: Report) -> list[str]:
    machine = report.machine
    extension = ", ".join(f"{name} {value}" for name, value in machine.extension.items())
    facts = {
        "when": f"{machine.date}, {report.seconds:.0f} s" + (", quick run" if report.quick else ""),
        "processor": f"{machine.cpu}, {machine.cores} cores",
        "memory": f"{machine.memory_gb} GB",
        "system": f"{machine.kernel}, {machine.python}",
        "swarmlet": f"{machine.swarmlet}; extension: {extension}",
        "load average before": ", ".join(f"{one:.1f}" for one in machine.load),
        "flood limits": report.limits,
    }
    return [f"- {label}: {text}" for label, text in facts.items()]


def _table(figures: Sequence[Figure]) -> list[str]:
    lines = ["| What | Measured | Peer | Ratio | Bar | |", "|---|--:|--:|--:|--:|---|"]
    for one in figures:
        peer = "" if one.peer_value is None else f"{number(one.peer_value)} {one.unit} ({one.peer})"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}x"
        verdict = {None: "", True: "met", False: "**missed**"}[one.met]
        measured = "not measured" if one.value is None else f"{number(one.value)} {one.unit}"
        lines.append(f"| {one.what} | {measured} | {peer} | {ratio} | {one.bar} | {verdict} |")
    return lines


def number(value: float | None) -> str:
    """Return a number as people read it: three digits that matter, thousands apart."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
