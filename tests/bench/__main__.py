"""Runs the measurements and writes the report: ``python -m tests.bench [--quick] [NAME...]``.

A run of some, or a quick one, leaves docs/ as it is unless ``--write`` asks for it. A measurement that
breaks is reported as broken; the others go on.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import machine, processes, report
from tests.bench.measure import Figure, Plan

#: In the order they run: what needs a quiet machine most comes first.
NAMES = (
    "frames",
    "crypto",
    "oracle",
    "cold",
    "warm",
    "submit",
    "rush",
    "heartbeats",
    "nodes",
    "gossip",
    "simulated",
    "junk",
    "idle",
    "image",
)
_DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> int:
    """Measure; return 0 unless something broke. A missed bar is a finding, not a failure."""
    args = _arguments()
    here, began = machine.describe(), time.perf_counter()
    processes.raise_limits()
    figures: dict[str, list[Figure]] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="swarmlet-bench-") as directory:
        for name in args.names or NAMES:
            started = time.perf_counter()
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                figures[name] = _measure(name, Plan(args.quick, Path(directory)))
            except Exception as broken:  # noqa: BLE001 - one that breaks must not cost the others
                failed[name] = f"{type(broken).__name__}: {broken}"[:400]
                print(f"  broke: {failed[name]}", file=sys.stderr)
            print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr)
    made = report.make(here, time.perf_counter() - began, args.quick, figures, failed)
    if args.write or not (args.names or args.quick):
        report.write(made, _DOCS)
    print(report.markdown(made))
    return 1 if failed else 0


def _measure(name: str, plan: Plan) -> list[Figure]:
    found = []
    for figure in importlib.import_module(f"tests.bench.{name}").figures(plan):
        verdict = {None: "", True: ", met", False: ", MISSED"}[figure.met]
        bar = f" (bar {figure.bar}{verdict})" if figure.bar else ""
        print(
            f"  {figure.what}: {report.number(figure.value)} {figure.unit}{bar}", file=sys.stderr, flush=True
        )
        found.append(figure)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="measure, and write docs/benchmarks.*"
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and nodes, under 90 s")
    parser.add_argument(
        "--write", action="store_true", help="write docs/ also after a run of some or a quick one"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when none is given"
    )
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no measurement {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return args


if __name__ == "__main__":
    sys.exit(main())
