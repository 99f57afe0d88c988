"""What a person sees: aligned, without control characters, in the asked format."""

from __future__ import annotations

import json

import msgspec
import pytest

from swarmlet.cli.main import takes_color
from swarmlet.cli.render import Renderer, layout, to_yaml
from swarmlet.cli.words import age, gigabytes, instant, percent_of
from swarmlet.errors import Exit, error
from swarmlet.model.text import printable


def test_columns_are_aligned_and_lines_end_clean() -> None:
    assert layout(["NAME", "STATE"], [["a", "ready"], ["longer", ""]]) == [
        "NAME    STATE",
        "a       ready",
        "longer",
    ]


def test_a_name_from_the_wire_cannot_drive_the_terminal() -> None:
    assert printable("pi\x1b[2J\n") == "pi?[2J?"


def test_a_failure_has_its_four_parts_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    code = Renderer(color=False).fail(error("SWL-104", ago="2 h", at="2024-08-01 15:30 UTC"))
    shown = capsys.readouterr()
    assert code is Exit.REFUSED
    assert shown.out == ""
    assert shown.err == (
        "error SWL-104: the token expired 2 h ago (2024-08-01 15:30 UTC); "
        "nothing was changed on this device\n"
        "  next: on the coordinator run  stratoswarm cluster create-join-token --expires 1h\n"
    )


def test_quiet_keeps_data_and_drops_narration(capsys: pytest.CaptureFixture[str]) -> None:
    render = Renderer(quiet=True)
    render.say("narration")
    render.out("data")
    shown = capsys.readouterr()
    assert shown.out == "data\n"
    assert shown.err == ""


class Sample(msgspec.Struct):
    """A view for tests."""

    name: str
    state: str


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [("name", "pi\n"), ("table", "NAME\npi\n"), ("yaml", "name: pi\nstate: ready\n")],
)
def test_a_view_is_printed_as_asked(fmt: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    Renderer().emit(
        Sample("pi", "ready"), fmt, table=lambda _wide: (["NAME"], [["pi"]]), names=lambda: ["pi"]
    )
    assert capsys.readouterr().out == expected


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    Renderer().emit(Sample("pi", "ready"), "json", table=lambda _wide: ([], []), names=list)
    assert json.loads(capsys.readouterr().out) == {"name": "pi", "state": "ready"}


def test_yaml_keeps_the_order_of_fields() -> None:
    assert to_yaml(Sample("b", "a")) == "name: b\nstate: a\n"


@pytest.mark.parametrize(
    ("ms", "shown"),
    [(None, "-"), (0, "0s"), (1999, "1s"), (61_000, "1min"), (7_200_000, "2h"), (86_400_000, "1d")],
)
def test_ages_are_short(ms: int | None, shown: str) -> None:
    assert age(ms) == shown


def test_numbers_say_when_they_are_unknown() -> None:
    assert gigabytes(None, None) == "-"
    assert gigabytes(300_000_000, 8_000_000_000) == "0.3/8.0 GB"
    assert percent_of(None, None) == "-"
    assert percent_of(123, 4) == "12% of 4"
    assert instant(1_722_526_200_000) == "2024-08-01 15:30:00 UTC"


@pytest.mark.parametrize(
    ("environ", "colors"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_the_environment_says_whether_to_colour(
    environ: dict[str, str], colors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert takes_color() == colors
