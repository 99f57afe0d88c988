"""Help text, flags and the rows of ``config show`` come from the table alone."""

from __future__ import annotations

import argparse

import pytest

from swarmlet.config import show
from swarmlet.config.keys import KEYS
from swarmlet.config.load import NODE, examine, load


def rows(**environ):
    found = examine(NODE, environ=environ)
    return {row.name: row for row in show.rows(KEYS, "SWARM_", found)}


def test_every_setting_has_a_row_with_its_origin():
    result = rows(SWARM_API_PORT="8081")
    assert list(result) == [f"SWARM_{key.field.upper()}" for key in KEYS]
    assert result["SWARM_API_PORT"] == ("SWARM_API_PORT", "8081", "environment SWARM_API_PORT", "")
    assert result["SWARM_TLS_ENABLED"][1:] == ("true", "default", "")
    assert result["SWARM_NODE_NAME"].value == ""


def test_a_bad_setting_shows_its_value_and_what_would_be_accepted():
    result = rows(SWARM_API_PORT="x", SWARM_NODE_NMAE="y", SWARM_TOKEN="secret")
    assert result["SWARM_API_PORT"].value == "x"
    assert "a port, 1 to 65535" in result["SWARM_API_PORT"].problem
    assert "SWARM_NODE_NAME" in result["SWARM_NODE_NMAE"].problem
    assert result["SWARM_TOKEN"].value == ""
    assert "secret" not in repr(result)


def test_a_value_reads_as_it_would_be_written():
    assert show.value_text(("a", "b")) == "a,b"
    assert show.value_text(1.5) == "1.5"
    assert show.value_text(1_000_000.0) == "1000000"
    assert show.value_text(value=False) == "false"


def test_the_help_names_every_setting_and_the_file():
    text = show.epilog(KEYS, "SWARM_", "/config/swarmlet.toml")
    for key in KEYS:
        assert f"SWARM_{key.field.upper()} " in text
        assert key.parser.accepts in text
    assert "/config/swarmlet.toml" in text


def test_flags_made_from_the_table_reach_the_loader():
    parser = argparse.ArgumentParser()
    show.add_flags(parser, KEYS, ("node_name", "max_cpu_cores", "tls_enabled"))
    arguments = parser.parse_args(["--node-name", "a", "--max-cpu-cores", "2"])
    flags = show.taken_flags(arguments, KEYS)
    loaded = load(NODE, flags, environ={"SWARM_MAX_CPU_CORES": "1"})
    assert loaded.config.node_name == "a"
    assert loaded.config.max_cpu_cores == 2.0
    assert "--tls" not in parser.format_help()


@pytest.mark.parametrize(
    ("cluster", "refused"),
    [("192.0.2.7", True), ("pi.example:7946", True), ("127.0.0.1", False), ("", False)],
)
def test_tls_turned_off_for_another_machine_is_shown_with_what_a_join_says_of_it(cluster, refused):
    environ = {"SWARM_TLS_ENABLED": "false", "SWARM_CLUSTER": cluster}
    row = rows(**environ)["SWARM_TLS_ENABLED"]
    assert row.value == "false"
    assert row.problem.startswith("SWL-402: SWARM_TLS_ENABLED=false is for loopback only") is refused
    assert bool(examine(NODE, environ=environ).problems) is refused
    assert load(NODE, environ=environ).config.tls_enabled is False  # commands without a cluster go on
