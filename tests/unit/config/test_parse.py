"""Parsers read what they accept and refuse everything else with words, never with anything but words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.config import cluster_keys, keys
from swarmlet.config.parse import NotAcceptedError, looks_secret, near_miss, shown

ALL_KEYS = [(keys.PREFIX, key) for key in keys.KEYS] + [
    (cluster_keys.PREFIX, key) for key in cluster_keys.KEYS
]
BY_FIELD = {key.field: key for key in keys.KEYS}
CLUSTER_BY_FIELD = {key.field: key for key in cluster_keys.KEYS}
TOKEN = "swarm_join_" + "A" * 300

ACCEPTED = [
    ("node_name", "garden-sensor-01", "garden-sensor-01"),
    ("node_name", "My-Laptop", "my-laptop"),
    ("node_name", "a" * 63, "a" * 63),
    ("log_level", "WARNING", "warn"),
    ("log_level", "debug", "debug"),
    ("log_format", "json", "json"),
    ("log_export", "cluster", "cluster"),
    ("data_dir", "/opt/swarmlet", "/opt/swarmlet"),
    ("cluster", "192.168.1.100:7946", "192.168.1.100:7946"),
    ("cluster", "Dev-Cluster.local", "dev-cluster.local"),
    ("cluster", "[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
    ("cluster", "::1", "[::1]"),
    ("discovery_port", "7946", 7946),
    ("bind_interface", "eth0.100", "eth0.100"),
    ("api_port", "0", 0),
    ("api_port", "65535", 65535),
    ("metrics_port", "off", None),
    ("metrics_port", "9090", 9090),
    ("max_memory_mb", "512", 512),
    ("max_memory_mb", "none", None),
    ("max_cpu_cores", "0.5", 0.5),
    ("max_cpu_cores", "2", 2.0),
    ("max_storage_gb", "10", 10.0),
    ("docker_host", "unix:///run/podman/podman.sock", "/run/podman/podman.sock"),
    ("docker_host", "Auto", "auto"),
    ("run_as", "10001:10001", "10001:10001"),
    ("run_as", "1234", "1234:1234"),
    ("run_as", "0001:0", "1:0"),
    ("run_as", "none", None),
    ("tls_enabled", "Yes", True),
    ("tls_enabled", "0", False),
    ("auth_token_file", "/secrets/swarm_join_token", "/secrets/swarm_join_token"),
]

REFUSED = [
    ("node_name", "-x", "x would do"),
    ("node_name", "Anna's MacBook.local", "anna-s-macbook-local would do"),
    ("node_name", "a" * 64, "a" * 63 + " would do"),
    ("node_name", "!!", ""),
    ("log_level", "inof", "did you mean info?"),
    ("log_level", "\N{SNOWMAN}", ""),
    ("data_dir", "a\0b", ""),
    ("cluster", "https://cluster:7946", "leave the scheme out: HOST:PORT"),
    ("cluster", "host:70000", "the port is not a number from 1 to 65535"),
    ("cluster", "host:", "the port is not a number from 1 to 65535"),
    ("cluster", "300.1.1.1:7946", "the host is neither a name nor an IP address"),
    ("cluster", "[::1:7946", "the brackets do not hold an IPv6 address"),
    ("discovery_port", "0", ""),
    ("discovery_port", "+7946", ""),
    ("discovery_port", "\N{ARABIC-INDIC DIGIT SEVEN}", ""),
    ("bind_interface", "192.168.1.5", "this is an address; give the name of the interface that has it"),
    ("bind_interface", "a/b", ""),
    ("bind_interface", "..", ""),
    ("bind_interface", "longer-than-fifteen", ""),
    (
        "api_port",
        "tcp://10.0.0.1:8080",
        "this comes from Kubernetes service links; set enableServiceLinks: false",
    ),
    ("run_as", "swarmlet", "give numbers: id -u NAME and id -g NAME tell them"),
    ("run_as", "0", "0 is root; leave it unset to stay root"),
    ("run_as", "0:0", "0 is root; leave it unset to stay root"),
    ("run_as", "-1", "give numbers: id -u NAME and id -g NAME tell them"),
    ("run_as", "4294967295", ""),
    ("run_as", "10001:4294967295", ""),
    ("run_as", "10001:", "give numbers: id -u NAME and id -g NAME tell them"),
    ("max_memory_mb", "512m", "write the number alone, without a unit: 512"),
    ("max_memory_mb", "15", "the nearest is 16"),
    ("max_memory_mb", "99999999999", "the nearest is 16000000"),
    ("max_memory_mb", "9" * 400, ""),
    ("max_cpu_cores", "nan", ""),
    ("max_cpu_cores", "1e3", ""),
    ("max_cpu_cores", "0", "the nearest is 0.1"),
    ("max_storage_gb", "-1", ""),
    (
        "docker_host",
        "tcp://127.0.0.1:2375",
        "an engine on a network is refused: whoever reaches it owns the machine",
    ),
    ("docker_host", "var/run/docker.sock", ""),
    ("tls_enabled", "maybe", ""),
]


@pytest.mark.parametrize(("field", "text", "value"), ACCEPTED)
def test_an_accepted_text_becomes_its_value(field, text, value):
    assert BY_FIELD[field].parser.read(text) == value


@pytest.mark.parametrize(("field", "text", "hint"), REFUSED)
def test_a_refused_text_says_what_would_be_nearer(field, text, hint):
    with pytest.raises(NotAcceptedError) as caught:
        BY_FIELD[field].parser.read(text)
    assert caught.value.hint == hint


def test_every_key_of_the_node_has_an_accepted_text_here():
    assert {field for field, _, _ in ACCEPTED} == set(BY_FIELD)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("data_dir", "/srv/cluster", "/srv/cluster"),
        ("bind", "[::]", "::"),
        ("bind", "192.168.1.100", "192.168.1.100"),
        ("port", "0", 0),
        ("second_port", "443", 443),
        ("second_port", "off", None),
        ("advertise", "cluster.example.com, 10.0.0.1:443", ("cluster.example.com", "10.0.0.1:443")),
        ("log_level", "error", "error"),
        ("log_format", "console", "console"),
    ],
)
def test_an_accepted_text_of_the_coordinator_becomes_its_value(field, text, value):
    assert CLUSTER_BY_FIELD[field].parser.read(text) == value


@pytest.mark.parametrize(
    ("field", "text"), [("bind", "eth0"), ("advertise", "a,,b"), ("advertise", "a,b,c,d,e")]
)
def test_a_refused_text_of_the_coordinator_is_refused(field, text):
    with pytest.raises(NotAcceptedError):
        CLUSTER_BY_FIELD[field].parser.read(text)


@pytest.mark.parametrize(
    ("prefix", "key"), ALL_KEYS, ids=[prefix + key.field.upper() for prefix, key in ALL_KEYS]
)
@given(text=st.text() | st.from_regex(r"[0-9a-z:.\[\]%/-]{0,40}"))
def test_no_text_makes_a_parser_fail_in_another_way(prefix, key, text):
    with contextlib.suppress(NotAcceptedError):
        key.parser.read(text)


@pytest.mark.parametrize(
    ("prefix", "key"), ALL_KEYS, ids=[prefix + key.field.upper() for prefix, key in ALL_KEYS]
)
def test_every_default_is_accepted_by_its_own_parser(prefix, key):
    if key.default is not None:
        key.parser.read(key.default)


@given(st.text())
def test_what_is_shown_of_a_text_is_short_and_printable(text):
    assert len(shown(text)) <= 80
    assert shown(text).isprintable()


def test_a_token_is_never_shown():
    assert looks_secret(TOKEN)
    assert TOKEN not in shown(f"x {TOKEN}")
    assert shown(TOKEN) == "(a join token, not shown)"


def test_a_long_text_is_cut():
    assert shown("x" * 81) == "x" * 77 + "..."
    assert shown("x" * 80) == "x" * 80


def test_a_far_word_has_no_near_miss():
    assert near_miss("zzz", ("info", "warn")) == ""
