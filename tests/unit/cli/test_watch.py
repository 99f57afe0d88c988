"""``--watch`` looks every second and shows what changed, once."""

from __future__ import annotations

import pytest

from swarmlet.cli import admin
from swarmlet.cli.admin import shown
from swarmlet.cli.render import Renderer


class EndError(Exception):
    """The reader pressed Ctrl-C."""


def test_what_stays_the_same_is_shown_once_and_what_changes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = iter(["one", "one", "two", "two", "two", "one"])
    pauses: list[float] = []
    monkeypatch.setattr(admin.time, "sleep", pauses.append)

    def fetch() -> str:
        try:
            return next(values)
        except StopIteration:
            raise EndError from None

    def show(value: str) -> None:
        render.out(value)
        render.warn(f"about {value}")

    render = Renderer(color=False)
    with pytest.raises(EndError):
        shown(fetch, show, again=True, render=render)
    printed = capsys.readouterr()
    assert printed.out.split() == ["one", "two", "one"]
    assert printed.err.splitlines() == ["warning: about one", "warning: about two", "warning: about one"]
    assert pauses == [1] * 6


def test_without_watching_it_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    render = Renderer(color=False)
    assert shown(lambda: 7, lambda value: render.out(str(value)), again=False, render=render) == 7
    assert capsys.readouterr().out == "7\n"
