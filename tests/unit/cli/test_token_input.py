"""What is said of a join token that is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarmlet.cli.render import Renderer
from swarmlet.cli.token_input import hold_token, take_token
from swarmlet.errors import Exit, SwarmletError

QUIET = Renderer(color=False, quiet=True)


def file(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"  \r\n\n"])
@pytest.mark.parametrize("held", [False, True])
def test_an_empty_file_is_called_empty_and_what_fills_it_is_named(
    tmp_path: Path, content: bytes, held: bool
) -> None:
    path = file(tmp_path, content)
    with pytest.raises(SwarmletError) as caught:
        hold_token(None, path, QUIET)() if held else take_token(None, path, QUIET)
    failure = caught.value
    assert (failure.code, failure.exit_code) == ("SWL-118", Exit.REFUSED)
    assert f"the token file {path} is empty" in failure.what
    assert "stratoswarm cluster create-join-token -q" in failure.next


def test_a_file_that_holds_something_else_is_no_empty_one(tmp_path: Path) -> None:
    for content in (b"x", b" " * 100 + b"x"):
        with pytest.raises(SwarmletError, match=r"SWL-101: .* does not begin with swarm_join_"):
            take_token(None, file(tmp_path, content), QUIET)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_argument_is_called_empty(text: str) -> None:
    with pytest.raises(SwarmletError, match="SWL-118: --token is empty"):
        take_token(text, None, QUIET)


@pytest.mark.parametrize(("text", "path"), [("-", None), (None, "-")])
def test_empty_standard_input_is_a_possibility_that_is_named(
    text: str | None, path: str | None, tmp_path: Path
) -> None:
    before = os.dup(0)
    try:
        os.dup2(os.open(file(tmp_path, b""), os.O_RDONLY), 0)
        with pytest.raises(SwarmletError, match="SWL-118: standard input is empty"):
            take_token(text, path, QUIET)
        reading, writing = os.pipe()
        os.close(writing)
        os.dup2(reading, 0)
        with pytest.raises(SwarmletError, match=r"SWL-101: .*standard input was empty, or it does not begin"):
            take_token(text, path, QUIET)
    finally:
        os.dup2(before, 0)
        os.close(before)
