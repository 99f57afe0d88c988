"""Every variable of the specification, with the values it shows, and the documents made from the tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swarmlet.config import cluster_keys, keys
from swarmlet.config.cluster_keys import ClusterConfig
from swarmlet.config.document import operations
from swarmlet.config.keys import Config
from swarmlet.config.load import NODE, load
from swarmlet.config.show import epilog

ROOT = Path(__file__).parents[2]

#: Each variable as the specification writes it, and what it comes to.
SPECIFIED = {
    "SWARM_NODE_NAME": ("my-raspberry-pi-01", "my-raspberry-pi-01"),
    "SWARM_LOG_LEVEL": ("info", "info"),
    "SWARM_DATA_DIR": ("/data", "/data"),
    "SWARM_DISCOVERY_PORT": ("7946", 7946),
    "SWARM_API_PORT": ("8080", 8080),
    "SWARM_BIND_INTERFACE": ("eth0", "eth0"),
    "SWARM_MAX_MEMORY_MB": ("512", 512),
    "SWARM_MAX_CPU_CORES": ("2", 2.0),
    "SWARM_MAX_STORAGE_GB": ("10", 10.0),
    "SWARM_TLS_ENABLED": ("true", True),
    "SWARM_AUTH_TOKEN_FILE": ("/secrets/token", "/secrets/token"),
    "SWARM_LOG_EXPORT": ("cluster", "cluster"),
}


def test_the_block_of_the_specification_is_taken_as_it_is():
    config = load(NODE, environ={name: text for name, (text, _) in SPECIFIED.items()}).config
    for name, (_, value) in SPECIFIED.items():
        assert getattr(config, name.removeprefix("SWARM_").lower()) == value


@pytest.mark.parametrize("level", ["debug", "info", "warn", "error"])
def test_every_log_level_of_the_specification_is_taken(level):
    assert load(NODE, environ={"SWARM_LOG_LEVEL": level}).config.log_level == level


@pytest.mark.parametrize(
    "environ",
    [
        {"SWARM_NODE_NAME": "garden-sensor-01", "SWARM_MAX_MEMORY_MB": "256"},
        {"SWARM_NODE_NAME": "anna-dev", "SWARM_MAX_CPU_CORES": "4"},
        {"SWARM_NODE_NAME": "aws-us-west-2-edge", "SWARM_MAX_MEMORY_MB": "2048", "SWARM_TLS_ENABLED": "true"},
        {"SWARM_MAX_MEMORY_MB": "128"},
        {"SWARM_LOG_LEVEL": "debug"},
    ],
)
def test_the_examples_of_the_specification_are_taken(environ):
    assert load(NODE, environ=environ).warnings == ()


def test_the_default_ports_are_the_specified_ones():
    config = load(NODE, environ={}).config
    assert (config.discovery_port, config.api_port, config.metrics_port) == (7946, 8080, None)
    assert cluster_keys.ClusterConfig().port == 7946


@pytest.mark.parametrize(("struct", "table"), [(Config, keys.KEYS), (ClusterConfig, cluster_keys.KEYS)])
def test_table_and_settings_name_the_same_fields(struct, table):
    assert sorted(key.field for key in table) == sorted(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("prefix", "key"),
    [("SWARM_", key) for key in keys.KEYS] + [("STRATOSWARM_", key) for key in cluster_keys.KEYS],
    ids=lambda value: value if isinstance(value, str) else value.field,
)
def test_every_setting_says_what_it_means_and_how_to_choose(prefix, key):
    assert len(key.meaning) > 15
    assert len(key.choose) > 30
    assert key.parser.accepts
    assert not key.meaning.endswith(".")
    # A setting that is named in a text is one of the table's.
    for name in re.findall(r"\b(?:STRATO)?SWARM_[A-Z_]+", f"{key.meaning} {key.choose} {key.related}"):
        assert name in documented()


def documented():
    """Return the names of all settings."""
    return {f"SWARM_{key.field.upper()}" for key in keys.KEYS} | {
        f"STRATOSWARM_{key.field.upper()}" for key in cluster_keys.KEYS
    }


def test_the_document_is_what_the_tables_make():
    assert (ROOT / "docs" / "operations.md").read_text() == operations(), "run: make docs"


def test_the_document_and_the_help_name_every_setting():
    document = operations()
    for name in documented():
        assert f"| `{name}` |" in document
        assert f"- **`{name}`**" in document
    text = epilog(keys.KEYS, keys.PREFIX, keys.DEFAULT_FILE)
    assert all(name in text for name in documented() if name.startswith("SWARM_"))


def test_no_setting_holds_a_token():
    names = {name for name in documented() if "TOKEN" in name or "SECRET" in name}
    assert names == {"SWARM_AUTH_TOKEN_FILE"}
