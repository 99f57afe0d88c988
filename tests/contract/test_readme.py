"""Every command the README shows exists and is taken as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from swarmlet.cli import cluster, node
from swarmlet.cli.parser import parse

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINES = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.split("#")[0].strip()
]
BUILDERS = {"stratoswarm": cluster.build, "swarmlet": node.build}


@pytest.mark.parametrize("line", [line for line in LINES if line.split()[0] in BUILDERS])
def test_a_shown_command_is_taken_as_it_is_written(line: str) -> None:
    program, *words = shlex.split(line)
    args, _ = parse(BUILDERS[program](), words)
    assert callable(args.run)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_a_shown_make_target_exists_with_its_help_line(line: str) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_a_fresh_checkout_is_told_exactly_two_commands_first() -> None:
    first = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert first is not None
    assert [line.split("#")[0].split() for line in first.group(1).splitlines()] == [
        ["make", "demo"],
        ["make", "test"],
    ]


def test_every_shown_line_is_of_a_kind_that_is_tested() -> None:
    assert {line.split()[0] for line in LINES} <= {"make", "pip", *BUILDERS}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_a_linked_document_is_there(link: str) -> None:
    assert (ROOT / link).exists()
