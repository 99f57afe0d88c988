"""The loader reads environment and files, and raises one error for everything that is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.config.load import CLUSTER, NODE, examine, find_place, in_container, load, outside, read_table
from swarmlet.errors import ConfigError, Exit


def test_with_nothing_set_every_default_holds():
    loaded = load(NODE, environ={"HOME": "/home/anna"})
    assert loaded.config.discovery_port == 7946
    assert loaded.config.api_port == 8080
    assert loaded.config.metrics_port is None
    assert loaded.config.tls_enabled is True
    assert loaded.config.limits() == {}
    assert not loaded.chosen("api_port")
    assert loaded.warnings == ()


def test_the_environment_of_this_process_is_read(monkeypatch):
    monkeypatch.setenv("SWARM_NODE_NAME", "garden-sensor-01")
    monkeypatch.setenv("SWARM_MAX_MEMORY_MB", "256")
    monkeypatch.setenv("SWARM_MAX_CPU_CORES", "2")
    monkeypatch.setenv("SWARM_MAX_STORAGE_GB", "10")
    loaded = load(NODE)
    assert loaded.config.node_name == "garden-sensor-01"
    assert loaded.config.limits() == {"memory_mb": 256.0, "cpu_cores": 2.0, "storage_gb": 10.0}
    assert loaded.chosen("node_name")


def test_a_file_is_read_and_named_as_the_origin(tmp_path):
    file = tmp_path / "swarmlet.toml"
    file.write_text('node_name = "by-file"\nmax_cpu_cores = 1.5\ntls_enabled = false\n')
    loaded = load(NODE, config_file=str(file), environ={})
    assert loaded.config.node_name == "by-file"
    assert loaded.config.max_cpu_cores == 1.5
    assert loaded.config.tls_enabled is False
    assert loaded.origins["node_name"].name == f"{file}: node_name"


def test_the_cluster_address_is_completed_with_the_discovery_port():
    assert (
        load(NODE, {"cluster": "main-cluster.company.com"}, environ={}).config.cluster
        == "main-cluster.company.com:7946"
    )
    environ = {"SWARM_CLUSTER": "10.0.0.1", "SWARM_DISCOVERY_PORT": "443"}
    assert load(NODE, environ=environ).config.cluster == "10.0.0.1:443"
    assert load(NODE, {"cluster": "h:1"}, environ=environ).config.cluster == "h:1"


def test_paths_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/anna")
    config = load(NODE, {"data_dir": "state", "auth_token_file": "~/token"}, environ={}).config
    assert config.data_dir == str(tmp_path / "state")
    assert config.auth_token_file == "/home/anna/token"
    assert load(NODE, {"auth_token_file": "-"}, environ={}).config.auth_token_file == "-"


def test_all_problems_of_all_sources_are_one_error(tmp_path):
    file = tmp_path / "swarmlet.toml"
    file.write_text("api_prot = 1\nlog_level = 5\n")
    with pytest.raises(ConfigError) as caught:
        load(NODE, {"discovery_port": "x"}, str(file), {"SWARM_MAX_MEMORY_MB": "lots", "SWARM_TOKEN": "t"})
    fault = caught.value
    assert fault.code == "SWL-401"
    assert fault.exit_code == Exit.USAGE
    assert fault.fields["count"] == "5"
    assert fault.next == "swarmlet config show --origin"
    with pytest.raises(ConfigError) as caught:
        load(CLUSTER, {"port": "x"}, environ={})
    assert "stratoswarm cluster start --help" in caught.value.next
    for part in (
        "--discovery-port=x",
        "SWARM_MAX_MEMORY_MB=lots",
        "SWARM_TOKEN",
        "log_level=5",
        "did you mean api_port?",
    ):
        assert part in fault.what


def test_ports_that_clash_are_one_of_the_problems():
    with pytest.raises(ConfigError, match="a port other than SWARM_API_PORT"):
        load(NODE, environ={"SWARM_METRICS_PORT": "8080"})
    with pytest.raises(ConfigError, match="a port other than STRATOSWARM_PORT"):
        load(CLUSTER, environ={"STRATOSWARM_SECOND_PORT": "7946"})


def test_log_export_to_the_cluster_is_taken_with_a_warning():
    loaded = load(NODE, environ={"SWARM_LOG_EXPORT": "cluster"})
    assert loaded.config.log_export == "cluster"
    assert "no effect yet" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = \n", "is not TOML: Invalid value (at line 1, column 5)"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"#" * 70000, "has more than 65536 bytes"),
        (b"a = " + b"[" * 30000, "is n"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, content, why):
    file = tmp_path / "swarmlet.toml"
    file.write_bytes(content)
    (problem,) = examine(NODE, config_file=str(file), environ={}).problems
    assert problem.name == "--config"
    assert problem.accepts.startswith(f"this file {why}")


@pytest.mark.parametrize(
    ("name", "why"), [("absent.toml", "does not exist"), (".", "cannot be read (Is a directory)")]
)
def test_a_named_file_that_is_not_there_is_a_problem(tmp_path, name, why):
    (problem,) = examine(NODE, config_file=str(tmp_path / name), environ={}).problems
    assert why in problem.accepts


def test_an_impossible_file_name_is_a_problem():
    assert examine(NODE, config_file="a\0b", environ={}).problems


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_a_file_fail_in_another_way(data):
    with contextlib.suppress(ValueError):
        read_table(data)


def test_the_coordinator_has_its_own_settings():
    config = load(
        CLUSTER, {"advertise": "cluster.example.com,10.0.0.1:443"}, environ={"STRATOSWARM_BIND": "::"}
    ).config
    assert config.advertise == ("cluster.example.com", "10.0.0.1:443")
    assert config.bind == "::"
    assert config.port == 7946


def test_a_settings_variable_of_one_program_is_nothing_to_the_other():
    assert load(CLUSTER, environ={"SWARM_API_PORT": "x", "SWARM_TOKEN": "t"}).warnings == ()
    assert load(NODE, environ={"STRATOSWARM_PORT": "x"}).warnings == ()


def test_a_container_is_known_by_its_marks():
    assert in_container({"container": "podman"})
    assert in_container({"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert in_container({}) == any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
    assert find_place({"HOME": "/h", "XDG_STATE_HOME": "/s"}).state_home == "/s"


def test_only_listed_variables_of_others_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert outside("NO_COLOR") == "1"
    with pytest.raises(KeyError):
        outside("HOME")
