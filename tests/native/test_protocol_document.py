"""docs/protocol.md names what there is: every message, every frame, every limit with a constant."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from swarmlet import _native as native
from swarmlet.link import messages

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")

TAGS = sorted(str(kind.__struct_config__.tag) for kind in typing.get_args(messages.AnyMessage))
KINDS = {name: value for name, value in vars(native).items() if name.startswith("KIND_")}


def rows(first_cell: str) -> list[str]:
    return re.findall(rf"^\| {re.escape(first_cell)} \|.*$", DOCUMENT, flags=re.MULTILINE)


@pytest.mark.parametrize("tag", TAGS)
def test_every_message_has_its_row(tag: str) -> None:
    assert len(rows(f"`{tag}`")) == 1


def test_no_row_is_about_a_message_that_is_gone() -> None:
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", DOCUMENT, flags=re.MULTILINE)) == TAGS


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_frame_kind_has_its_row(name: str) -> None:
    words = name.removeprefix("KIND_").lower().replace("_", " ")
    assert any(f"| {words} |" in row for row in rows(str(KINDS[name])))


def test_limits_are_those_of_the_code() -> None:
    assert f"0 to {native.MAX_PAYLOAD:,}" in DOCUMENT
    assert f"Version {messages.PROTOCOL_VERSION}." in DOCUMENT
