"""Settings that are fine alone are judged together."""

from __future__ import annotations

import pytest

from swarmlet.config.check import Place, check_tls, complete_address, default_data_dir, later, port_clashes
from swarmlet.errors import ConfigError

NOWHERE = Place(has_data=False, in_container=False, is_root=False, home="/home/anna", state_home=None)


@pytest.mark.parametrize(
    ("place", "directory"),
    [
        (NOWHERE, "/home/anna/.local/state/swarmlet"),
        (NOWHERE._replace(state_home="/xdg"), "/xdg/swarmlet"),
        (NOWHERE._replace(state_home="not/absolute"), "/home/anna/.local/state/swarmlet"),
        (NOWHERE._replace(is_root=True), "/var/lib/swarmlet"),
        (NOWHERE._replace(is_root=True, has_data=True), "/var/lib/swarmlet"),
        (NOWHERE._replace(is_root=True, in_container=True), "/var/lib/swarmlet"),
        (NOWHERE._replace(in_container=True, has_data=True), "/data"),
        (NOWHERE._replace(home=None), "/var/lib/swarmlet"),
        (NOWHERE._replace(home="/"), "/.local/state/swarmlet"),
    ],
)
def test_the_default_data_directory_follows_the_place(place, directory):
    assert default_data_dir("swarmlet", place) == directory


@pytest.mark.parametrize(
    "address", ["127.0.0.1:7946", "localhost:1", "[::1]:7946", "127.3.2.1", "[::ffff:127.0.0.1]:2"]
)
def test_without_tls_this_machine_may_be_spoken_to(address):
    check_tls(tls_enabled=False, address=address)


@pytest.mark.parametrize(
    "address", ["192.168.1.100:7946", "cluster:7946", "[fe80::1]:1", "localhost.example.com:1", "0.0.0.0:1"]
)
def test_without_tls_any_other_machine_is_refused(address):
    with pytest.raises(ConfigError) as caught:
        check_tls(tls_enabled=False, address=address)
    assert caught.value.code == "SWL-402"
    assert address in str(caught.value)


def test_with_tls_every_address_is_fine():
    check_tls(tls_enabled=True, address="192.168.1.100:7946")


def test_an_address_without_a_port_gets_the_default():
    assert complete_address("cluster", 7946) == "cluster:7946"
    assert complete_address("[::1]", 7946) == "[::1]:7946"
    assert complete_address("[::1]:1", 7946) == "[::1]:1"


def test_two_settings_with_one_port_clash_unless_any_port_will_do():
    (problem,) = port_clashes({"api_port": 9090, "metrics_port": 9090}, "api_port", "metrics_port", "SWARM_")
    assert str(problem) == "SWARM_METRICS_PORT=9090 (together): a port other than SWARM_API_PORT"
    assert not port_clashes({"api_port": 0, "metrics_port": 0}, "api_port", "metrics_port", "SWARM_")
    assert not port_clashes({"api_port": 8080, "metrics_port": None}, "api_port", "metrics_port", "SWARM_")
    assert not port_clashes({}, "api_port", "metrics_port", "SWARM_")


def test_what_has_no_effect_yet_says_so():
    assert later({"log_export": "none"}) == ()
    (warning,) = later({"log_export": "cluster"})
    assert "has no effect yet" in warning


def test_turning_tls_off_is_answered_with_what_really_happens() -> None:
    (warning,) = later({"tls_enabled": False})
    assert "the connection is TLS" in warning
    assert later({"tls_enabled": True, "log_export": "none"}) == ()
