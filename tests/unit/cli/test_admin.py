"""The client of the admin API, against sockets that answer, break off and come back."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from swarmlet.cli.admin import Admin, shown, until_failure, wait_until
from swarmlet.cli.render import Renderer
from swarmlet.coordinator.api.answers import body_of
from swarmlet.errors import Exit, SwarmletError, error

MARK = b"0123456789abcdef"
BROKEN = body_of(error("SWL-509", workload="w", node="pi", detail="the connection to it ended"))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_failure_behind_the_mark_is_raised_and_no_part_of_the_output(size: int) -> None:
    text = b"one 0123\n0123456789 two" + MARK + BROKEN
    pieces = iter([text[at : at + size] for at in range(0, len(text), size)])
    read: list[bytes] = []
    with pytest.raises(SwarmletError) as caught:
        read.extend(until_failure(pieces, MARK))
    assert b"".join(read) == b"one 0123\n0123456789 two"
    assert (caught.value.code, caught.value.exit_code) == ("SWL-509", Exit.UNREACHABLE)


@pytest.mark.parametrize("mark", [MARK, b""])
def test_output_without_a_failure_is_whole_even_when_it_ends_like_the_mark_begins(mark: bytes) -> None:
    assert b"".join(until_failure(iter([b"one ", b"01", b"234"]), mark)) == b"one 01234"


# ---- a coordinator that is started again


class Peer:
    """Listens on a unix socket and answers each connection by its script; ``None`` hangs up."""

    def __init__(self, path: Path, *answers: bytes | None) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: tuple[bytes | None, ...]) -> None:
        for answer in answers:
            connection, _ = self._listener.accept()
            with connection:
                text = b""
                while not text.endswith(b"}") and not (
                    text.startswith(b"GET") and text.endswith(b"\r\n\r\n")
                ):
                    text += connection.recv(65536)
                self.requests.append(text)
                if answer is not None:
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
                    connection.sendall(head.encode() + answer)
        self._listener.close()

    def keys(self) -> set[str]:
        self._thread.join(10)
        return {
            line for text in self.requests for line in text.decode().split("\r\n") if "Idempotency" in line
        }


def test_a_change_that_was_lost_is_made_again_with_its_key_and_says_once_that_it_waits(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    peer = Peer(path, None, None, b'{"a": 1}')
    said: list[str] = []
    found = Admin(str(path), say=said.append).change(dict, "POST", "/v1/x")
    assert found == {"a": 1}
    assert len(peer.keys()) == 1
    assert len(peer.requests) == 3
    assert len(said) == 1


def test_a_change_that_may_have_been_made_is_not_told_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    peer = Peer(path, None)
    with pytest.raises(SwarmletError) as caught:
        Admin(str(path), restart_s=0.5).change(dict, "POST", "/v1/x")
    peer.keys()
    assert caught.value.code == "SWL-702"
    assert "not known" in caught.value.unchanged


def test_a_change_that_was_never_sent_is_told_at_once_as_nothing(tmp_path: Path) -> None:
    with pytest.raises(SwarmletError) as caught:
        Admin(str(tmp_path / "s")).change(dict, "POST", "/v1/x")
    assert (caught.value.code, caught.value.unchanged) == ("SWL-700", "nothing was changed")


def test_waiting_rides_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s"
    peer = Peer(path, b'{"a": 1}', None, b'{"a": 2}')
    admin = Admin(str(path))
    said: list[str] = []
    found = wait_until(
        lambda: admin.get(dict, "/x"), lambda one: one["a"] == 2, timeout_s=None, late=late, say=said.append
    )
    peer.keys()
    assert found == {"a": 2}
    assert len(said) == 1


def test_waiting_for_one_that_stays_away_says_that_the_rest_goes_on(tmp_path: Path) -> None:
    admin = Admin(str(tmp_path / "s"))
    with pytest.raises(SwarmletError) as caught:
        wait_until(lambda: admin.get(dict, "/x"), lambda _one: True, timeout_s=0, late=late)
    assert (caught.value.code, caught.value.exit_code) == ("SWL-703", Exit.UNREACHABLE)


def test_watching_rides_over_a_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s"
    peer = Peer(path, b'{"a": 1}', None, b'{"a": 2}')
    admin = Admin(str(path))
    render = Renderer(color=False)

    def show(value: dict[str, int]) -> None:
        render.out(str(value["a"]))
        if value["a"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shown(lambda: admin.get(dict, "/x"), show, again=True, render=render)
    peer.keys()
    printed = capsys.readouterr()
    assert printed.out.split() == ["1"]
    assert "waiting for it to come back" in printed.err


def late(_value: object) -> SwarmletError:
    raise AssertionError("it was not late")
