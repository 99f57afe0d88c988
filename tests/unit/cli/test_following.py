"""Followed output goes on after a restart of the coordinator: nothing twice, nothing left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from swarmlet.cli import following
from swarmlet.errors import SwarmletError, error

AWAY = error("SWL-700", path="/s", detail="nothing listens on it")
HUNG_UP = error("SWL-700", path="/s", detail="it hung up (in the middle of its answer)")
NODE_AWAY = error("SWL-509", workload="w", node="pi", detail="the node is not connected")


class Coordinator:
    """Answers one after another: chunks, then a failure or the end."""

    def __init__(self, *answers: tuple[list[bytes], SwarmletError | None]) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, str]] = []

    def read(self, query: dict[str, str]) -> Iterator[bytes]:
        self.asked.append(query)
        chunks, failure = self.answers.pop(0)
        yield from chunks
        if failure is not None:
            raise failure


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following.time, "sleep", lambda _s: None)


def test_it_goes_on_where_it_broke_off() -> None:
    peer = Coordinator(
        ([b"one\n", b"tw"], HUNG_UP),
        ([], AWAY),
        ([], NODE_AWAY),
        ([b"one", b"\ntwo\nthr", b"ee\n"], None),
    )
    said: list[str] = []
    assert b"".join(following.follow(peer.read, {"follow": "true"}, said.append)) == b"one\ntwo\nthree\n"
    assert said == ["the coordinator does not answer; waiting for it to come back"]


def test_what_began_in_the_middle_goes_on_with_what_is_new_and_says_so() -> None:
    peer = Coordinator(([b"nine\n"], HUNG_UP), ([b"ten\n"], None))
    said: list[str] = []
    query = {"follow": "true", "tail": "1"}
    assert b"".join(following.follow(peer.read, query, said.append)) == b"nine\nten\n"
    assert peer.asked == [query, {"follow": "true", "tail": "0"}]
    assert "stratoswarm logs" in said[0]


@pytest.mark.parametrize("failure", [AWAY, NODE_AWAY])
def test_what_is_away_from_the_start_is_told_at_once(failure: SwarmletError) -> None:
    with pytest.raises(SwarmletError) as caught:
        list(following.follow(Coordinator(([], failure)).read, {}, pytest.fail))
    assert caught.value is failure


def test_a_node_that_goes_away_ends_it() -> None:
    read: list[bytes] = []
    with pytest.raises(SwarmletError) as caught:
        read.extend(following.follow(Coordinator(([b"one\n"], NODE_AWAY)).read, {}, pytest.fail))
    assert (read, caught.value.code) == ([b"one\n"], "SWL-509")


def test_a_coordinator_that_stays_away_is_told_in_the_end() -> None:
    peer = Coordinator(([b"one\n"], HUNG_UP), ([], AWAY))
    with pytest.raises(SwarmletError) as caught:
        list(following.follow(peer.read, {}, lambda _text: None, most_s=0))
    assert caught.value.code == "SWL-700"
