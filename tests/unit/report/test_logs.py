"""Log lines: their two shapes, and that no token ever gets through."""

from __future__ import annotations

import io
import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmlet.report import logs

TOKEN = "swarm_join_" + "AbC-_09" * 30


@pytest.fixture(autouse=True)
def _keep_logging():
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = before[0], before[2]
    root.setLevel(before[1])


def written(form, level="debug"):
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream, logging.getLogger("swarmlet.test")


def test_a_json_line_has_its_fields_beside_the_message():
    stream, log = written("json")
    log.warning("connected to %s", "home", extra={"address": "10.0.0.1:7946", "attempt": 3})
    line = msgspec.json.decode(stream.getvalue())
    assert line["time"].endswith("Z")
    del line["time"]
    assert line == {
        "level": "warn",
        "logger": "swarmlet.test",
        "message": "connected to home",
        "address": "10.0.0.1:7946",
        "attempt": 3,
    }


def test_a_console_line_is_for_eyes():
    stream, log = written("console")
    log.info("left", extra={"reason": "asked by a person"})
    assert stream.getvalue()[8:] == " info  left reason='asked by a person'\n"


def test_off_a_terminal_lines_are_json():
    stream, log = written("auto")
    log.info("x")
    assert stream.getvalue().startswith("{")


def test_lines_below_the_level_are_not_written():
    stream, log = written("json", "warn")
    log.info("not this")
    log.error("this")
    assert "not this" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_token_is_cut_out_of_message_fields_and_traceback(form):
    stream, log = written(form)
    try:
        raise ValueError(f"bad token {TOKEN}")  # noqa: TRY301
    except ValueError:
        log.exception("joining with %s failed", TOKEN, extra={"argv": ["--token", TOKEN]})
    assert "AbC" not in stream.getvalue()
    assert stream.getvalue().count("swarm_join_[redacted]") >= 3


@given(st.text(), st.text(alphabet="abcXYZ019_-", min_size=1), st.text())
def test_redaction_leaves_nothing_of_the_secret(before, secret, after):
    cleaned = logs.redact(f"{before} swarm_join_{secret} {after}")
    assert f"swarm_join_{secret}" not in cleaned
    assert cleaned.startswith(before.split("swarm_join_")[0])


def test_every_configured_line_is_valid_json():
    stream, log = written("json")
    log.info("bytes and \udce4 surrogates\n", extra={"odd": object(), "raw": b"\xff"})
    assert msgspec.json.decode(stream.getvalue())["level"] == "info"


def test_a_broken_stream_does_not_raise():
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    logs.configure("info", "json", Broken())
    logging.getLogger("swarmlet.test").info("nobody reads this")
