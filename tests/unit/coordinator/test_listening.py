from __future__ import annotations

import os
import socket

import pytest

from swarmlet._native import NativeError
from swarmlet.config.holders import holder_of
from swarmlet.coordinator.listening import Flood, Wish, advertised, listen
from swarmlet.errors import SwarmletError

WISH = Wish("127.0.0.1", 7946, False, None, ())  # noqa: FBT003 - a named tuple of five


class Engine:
    """Binds nothing; some ports are taken."""

    def __init__(self, *taken: int) -> None:
        self.taken = taken
        self.count = 0

    def listen(self, address: str, _tls, **limits):
        assert limits == Flood()._asdict()
        host, _, port = address.rpartition(":")
        if int(port) in self.taken:
            raise NativeError("port-in-use", address)
        self.count += 1
        return self.count, f"{host}:{int(port) or 40_000 + self.count}"


def test_the_usual_port_needs_no_words(tmp_path) -> None:
    found = listen(Engine(), None, WISH._replace(bind="0.0.0.0"), Flood(), tmp_path)  # noqa: S104
    assert found.bound == ("0.0.0.0:7946",)
    assert found.endpoints[0].endswith(":7946")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_usual_port_moves_says_so_and_is_remembered(tmp_path) -> None:
    first = listen(Engine(7946), None, WISH, Flood(), tmp_path)
    assert first.endpoints == ("127.0.0.1:40001",)
    assert first.notes[0].startswith("port 7946 is taken")
    again = listen(Engine(), None, WISH, Flood(), tmp_path)
    assert again.endpoints == ("127.0.0.1:40001",)
    assert again.notes[0] == "the cluster listens on port 40001, as last time, not on 7946"


def test_a_remembered_port_that_is_taken_is_said_with_what_depends_on_it(tmp_path) -> None:
    listen(Engine(7946), None, WISH, Flood(), tmp_path)
    found = listen(Engine(40_001), None, WISH, Flood(), tmp_path)
    assert found.endpoints == ("127.0.0.1:7946",)
    assert "nodes know port 40001, which is taken" in found.notes[0]


def test_a_port_that_was_asked_for_is_an_error_that_names_its_key(tmp_path) -> None:
    with pytest.raises(SwarmletError, match="SWL-304: port 7000 is taken") as caught:
        listen(Engine(7000), None, WISH._replace(port=7000, asked=True), Flood(), tmp_path)
    assert "STRATOSWARM_PORT" in caught.value.next
    with pytest.raises(SwarmletError, match="SWL-304: port 443 is taken") as caught:
        listen(Engine(443), None, WISH._replace(second=443), Flood(), tmp_path)
    assert "STRATOSWARM_SECOND_PORT" in caught.value.next


@pytest.mark.parametrize("asked", [False, True])
def test_an_address_of_another_machine_is_said_to_be_that(tmp_path, asked) -> None:
    class Elsewhere:
        def listen(self, address: str, _tls, **_flood):
            raise NativeError("address-unavailable", f"{address}: cannot assign requested address")

    with pytest.raises(SwarmletError, match=r"SWL-313: 192\.0\.2\.77 cannot be listened on"):
        listen(Elsewhere(), None, WISH._replace(bind="192.0.2.77", asked=asked), Flood(), tmp_path)


def test_asking_for_a_port_forgets_the_one_it_moved_to(tmp_path) -> None:
    listen(Engine(7946), None, WISH, Flood(), tmp_path)
    listen(Engine(), None, WISH._replace(port=7000, asked=True), Flood(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_any_port_will_do_and_stays_the_same(tmp_path) -> None:
    wish = WISH._replace(port=0)
    first = listen(Engine(), None, wish, Flood(), tmp_path)
    assert first.bound == ("127.0.0.1:40001",)
    assert not any("taken" in note for note in first.notes)
    engine = Engine()
    engine.count = 5
    assert listen(engine, None, wish, Flood(), tmp_path).bound == first.bound


@pytest.mark.parametrize("content", ["x", "0", "99999", "", "7946 7947"])
def test_a_spoilt_memory_is_ignored(tmp_path, content) -> None:
    (tmp_path / "port").write_text(content)
    assert listen(Engine(), None, WISH, Flood(), tmp_path).bound == ("127.0.0.1:7946",)


def test_what_nodes_are_told() -> None:
    anywhere = WISH._replace(bind="0.0.0.0")  # noqa: S104
    assert advertised(anywhere, [7946, 443], "192.0.2.7") == ("192.0.2.7:7946", "192.0.2.7:443")
    assert advertised(WISH._replace(bind="::"), [7946], "2001:db8::7") == ("[2001:db8::7]:7946",)
    assert advertised(WISH._replace(bind="192.0.2.9"), [1], "192.0.2.7") == ("192.0.2.9:1",)
    said = anywhere._replace(advertise=("cluster.example", "10.0.0.1:1"))
    assert advertised(said, [7946], "192.0.2.7") == ("cluster.example:7946", "10.0.0.1:1")


def test_a_cluster_that_only_this_machine_reaches_says_so(tmp_path) -> None:
    assert "only this machine" in listen(Engine(), None, WISH, Flood(), tmp_path).notes[-1]


def test_the_holder_of_a_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert holder_of(port) == ""
        taken.listen()
        assert holder_of(port).endswith(f"(process {os.getpid()})")
    assert holder_of(port) == ""
