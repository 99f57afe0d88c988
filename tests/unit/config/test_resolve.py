"""Sources are weighed in order, and every mistake is told at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmlet.config.keys import KEYS, PREFIX
from swarmlet.config.resolve import Origin, as_text, from_environment, from_flags, from_table, resolve

TOKEN = "swarm_join_" + "A" * 300


def test_flag_wins_over_environment_over_file_over_default():
    flag = from_flags(KEYS, {"node_name": "by-flag", "log_level": None})
    environment = from_environment(KEYS, PREFIX, {"SWARM_NODE_NAME": "by-env", "SWARM_LOG_LEVEL": "debug"})
    file = from_table(
        KEYS, PREFIX, {"node_name": "by-file", "log_level": "warn", "api_port": 8081}, "/c.toml"
    )
    found = resolve(KEYS, [flag, environment, file], {"data_dir": "/d"})
    assert found.problems == ()
    assert found.values["node_name"] == "by-flag"
    assert found.values["log_level"] == "debug"
    assert found.values["api_port"] == 8081
    assert found.values["discovery_port"] == 7946
    assert found.origins["node_name"] == Origin("flag", "--node-name")
    assert found.origins["log_level"] == Origin("environment", "SWARM_LOG_LEVEL")
    assert found.origins["api_port"] == Origin("file", "/c.toml: api_port")
    assert str(found.origins["discovery_port"]) == "default"
    assert str(found.origins["api_port"]) == "file /c.toml: api_port"


def test_a_setting_that_is_overridden_is_not_judged():
    environment = from_environment(KEYS, PREFIX, {"SWARM_API_PORT": "tcp://10.0.0.1:8080"})
    assert resolve(KEYS, [environment], {}).problems
    assert not resolve(KEYS, [from_flags(KEYS, {"api_port": "8080"}), environment], {}).problems


def test_an_empty_variable_counts_as_not_set():
    source = from_environment(KEYS, PREFIX, {"SWARM_NODE_NAME": "", "SWARM_LOG_LEVEL": "  ", "SWARM_X": ""})
    assert source.texts == {}
    assert source.warnings == ()


def test_white_space_around_a_variable_is_dropped():
    assert from_environment(KEYS, PREFIX, {"SWARM_LOG_LEVEL": " debug\n"}).texts["log_level"][1] == "debug"


def test_a_misspelt_variable_is_a_problem_with_the_nearest_name():
    (problem,) = from_environment(KEYS, PREFIX, {"SWARM_NODE_NMAE": "x"}).problems
    assert str(problem) == "SWARM_NODE_NMAE (environment): no such setting; did you mean SWARM_NODE_NAME?"


def test_a_variable_with_our_older_or_lower_case_name_is_a_problem():
    problems = from_environment(KEYS, PREFIX, {"swarm_log_level": "info", "SWARMLET_API_PORT": "1"}).problems
    assert [problem.hint for problem in problems] == [
        "did you mean SWARM_API_PORT?",
        "did you mean SWARM_LOG_LEVEL?",
    ]


def test_an_unknown_variable_far_from_any_setting_is_only_a_warning():
    source = from_environment(
        KEYS, PREFIX, {"SWARM_FLAVOUR": "x", "SWARMLET_PROFILE": "release", "PATH": "/bin"}
    )
    assert source.problems == ()
    assert source.warnings == ("SWARM_FLAVOUR is set and is no setting of this program; it changes nothing",)


def test_variables_that_kubernetes_makes_for_a_service_named_swarm_are_ignored():
    source = from_environment(
        KEYS,
        PREFIX,
        {
            "SWARM_PORT": "tcp://10.0.0.1:7946",
            "SWARM_SERVICE_HOST": "10.0.0.1",
            "SWARM_SERVICE_PORT": "7946",
            "SWARM_SERVICE_PORT_API": "8080",
            "SWARM_PORT_7946_TCP": "tcp://10.0.0.1:7946",
            "SWARM_PORT_7946_TCP_ADDR": "10.0.0.1",
        },
    )
    assert (source.texts, source.problems, source.warnings) == ({}, (), ())


def test_a_token_in_a_variable_is_refused_and_never_repeated():
    for name in ("SWARM_TOKEN", "SWARM_AUTH_TOKEN", "SWARM_JOIN_TOKEN", "SWARM_SECRET"):
        (problem,) = from_environment(KEYS, PREFIX, {name: TOKEN}).problems
        assert "SWARM_AUTH_TOKEN_FILE" in str(problem)
        assert "swarm_join_" not in str(problem)


def test_a_token_where_a_path_or_a_name_belongs_is_refused_and_never_repeated():
    for field in ("auth_token_file", "node_name", "cluster"):
        for source in (
            from_flags(KEYS, {field: TOKEN}),
            from_environment(KEYS, PREFIX, {f"SWARM_{field.upper()}": TOKEN}),
            from_table(KEYS, PREFIX, {field: TOKEN}, "/c"),
        ):
            (problem,) = resolve(KEYS, [source], {}).problems
            assert "A" * 40 not in str(problem)
            assert "SWARM_AUTH_TOKEN_FILE" in problem.hint


def test_a_key_of_the_file_that_is_no_setting_is_a_problem():
    problems = from_table(KEYS, PREFIX, {"node-name": "x", "SWARM_API_PORT": 1, "zzz": 1}, "/c.toml").problems
    assert [(problem.name, problem.hint) for problem in problems] == [
        ("node-name", "did you mean node_name?"),
        ("SWARM_API_PORT", "did you mean api_port?"),
        ("zzz", ""),
    ]


def test_a_value_of_the_file_keeps_its_type_through_the_same_parser():
    table = {
        "tls_enabled": True,
        "max_cpu_cores": 1.5,
        "max_memory_mb": 512,
        "node_name": {"a": 1},
        "api_port": 10**30,
    }
    found = resolve(KEYS, [from_table(KEYS, PREFIX, table, "/c.toml")], {})
    assert found.values["tls_enabled"] is True
    assert found.values["max_cpu_cores"] == 1.5
    assert found.values["max_memory_mb"] == 512
    assert [problem.name for problem in found.problems] == ["node_name", "api_port"]
    assert str(found.problems[1]).startswith("api_port=a huge number (/c.toml: api_port): a port")


def test_all_bad_values_are_told_at_once():
    bad = {
        "SWARM_NODE_NAME": "-", "SWARM_LOG_LEVEL": "loud", "SWARM_DISCOVERY_PORT": "x",
        "SWARM_API_PORT": "70000", "SWARM_BIND_INTERFACE": "a b", "SWARM_MAX_MEMORY_MB": "1",
        "SWARM_MAX_CPU_CORES": "many", "SWARM_MAX_STORAGE_GB": "0", "SWARM_TLS_ENABLED": "2",
        "SWARM_CLUSTER": "a:b:c", "SWARM_LOG_FORMAT": "xml",
        "SWARM_LOG_EXPORT": "s3", "SWARM_METRICS_PORT": "-1", "SWARM_DOCKER_HOST": "x",
    }  # fmt: skip
    found = resolve(KEYS, [from_environment(KEYS, PREFIX, bad)], {})
    assert {problem.name for problem in found.problems} == set(bad)
    for problem in found.problems:
        assert problem.accepts in str(problem)
        assert bad[problem.name] in str(problem)


TOML_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text() | st.sampled_from([key.field for key in KEYS])


@given(st.dictionaries(NAMES, TOML_VALUES, max_size=6))
def test_no_file_makes_resolving_fail(table):
    found = resolve(KEYS, [from_table(KEYS, PREFIX, table, "/c.toml")], {})
    for problem in found.problems:
        assert str(problem)


VARIABLES = st.text(min_size=1).map(lambda tail: "SWARM_" + tail) | st.sampled_from(
    [PREFIX + key.field.upper() for key in KEYS]
)


@given(st.dictionaries(VARIABLES, st.text(), max_size=6))
def test_no_environment_makes_resolving_fail(environ):
    resolve(KEYS, [from_environment(KEYS, PREFIX, environ)], {})


@given(st.floats(min_value=0.1, max_value=4096))
def test_a_number_of_the_file_reads_as_itself(number):
    text = as_text(number)
    assert text is not None
    assert abs(float(text) - number) < 1e-8
