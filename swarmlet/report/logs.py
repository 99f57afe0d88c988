"""Log lines of both programs: JSON, one object a line, or console lines for a terminal.

The second line of defence for secrets: whatever looks like a join token is cut out of every finished line,
exceptions included. The first is that no secret is ever handed to a logger. It writes to standard error only.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import TextIO

import msgspec

#: Names in the configuration to levels.
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_TOKEN = re.compile(r"swarm_join_[A-Za-z0-9_\-=+/.]*")
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SHORT = {"WARNING": "warn", "CRITICAL": "error"}


def redact(text: str) -> str:
    """Return ``text`` without anything that looks like a join token."""
    return _TOKEN.sub("swarm_join_[redacted]", text) if "swarm_join_" in text else text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(_encode(line))


class ConsoleFormatter(logging.Formatter):
    """``12:30:01 info  connected address=10.0.0.1:7946``: for eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for ``record``."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={_word(value)}" for name, value in _fields(record).items())
        text = f"{clock} {_level(record):<5} {_printable(record.getMessage())}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return redact(text)


def configure(level: str, form: str = "auto", stream: TextIO | None = None) -> logging.Handler:
    """Send every logger's lines to ``stream`` (standard error), replacing what was configured before.

    Args:
        level: A key of :data:`LEVELS`.
        form: ``json``, ``console``, or ``auto``: console on a terminal, else JSON.
        stream: Where to; standard error when not given.

    Returns:
        The handler, so that a test can take it off again.
    """
    target = sys.stderr if stream is None else stream
    console = form == "console" or (form == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    # Below warning these tell how the event loop is made, which is of use to nobody here.
    logging.getLogger("asyncio").setLevel(max(LEVELS[level], logging.WARNING))
    logging.raiseExceptions = False  # a full pipe or a closed stderr must not take the agent down
    return handler


def _encode(line: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except (UnicodeEncodeError, TypeError):
        # A file name that is no UTF-8, or a key that is no text: a readable line goes before a faithful one.
        plain = {str(name): _printable(str(value)) for name, value in line.items()}
        return msgspec.json.encode(plain).decode()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _KNOWN}


def _level(record: logging.LogRecord) -> str:
    return _SHORT.get(record.levelname, record.levelname.lower())


def _utc(created: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{whole}.{int(created * 1000) % 1000:03}Z"


def _word(value: object) -> str:
    text = _printable(str(value))
    return repr(text) if not text or any(character in ' "\n\t=' for character in text) else text
