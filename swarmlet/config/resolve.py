"""From several sources of text to one set of values, each with its origin. Pure.

Flag over environment over file over default. Only the text that wins is judged: a flag can so stand in for a
variable that somebody else set badly. Every problem is collected; none stops the search for the next.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from swarmlet.config.keys import Key
from swarmlet.config.parse import NotAcceptedError, looks_secret, near_miss, shown

#: What Kubernetes puts into every pod for a Service whose name begins with swarm; none of it is meant for us.
_SERVICE_LINK = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PORT|PROTO|ADDR))?)\Z"
)
_NEAR = 0.8
_IS_TOKEN = "this is a join token; put it into a file and name that in SWARM_AUTH_TOKEN_FILE"  # noqa: S105 - a sentence


class Origin(NamedTuple):
    """Where a value came from: ``flag``, ``environment``, ``file`` or ``default``, and its name there."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Return the origin as a person reads it."""
        return self.kind if self.kind == "default" else f"{self.kind} {self.name}"


class Problem(NamedTuple):
    """One setting that cannot be used. ``value`` is fit to be shown, ``None`` when it must not be."""

    name: str
    value: str | None
    origin: str
    accepts: str
    hint: str = ""

    def __str__(self) -> str:
        """Return one line: the setting, its value, where it is, what would be accepted."""
        setting = self.name if self.value is None else f"{self.name}={self.value}"
        hint = f"; {self.hint}" if self.hint else ""
        return f"{setting} ({self.origin}): {self.accepts}{hint}"


class Source(NamedTuple):
    """The texts of one place by field, what was wrong with others there, and what is worth a warning."""

    kind: str
    texts: dict[str, tuple[str, str]]  # field to (name in that place, text)
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


class Resolution(NamedTuple):
    """Values by field with their origins, and everything there is to say about them."""

    values: dict[str, object]
    origins: dict[str, Origin]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def from_flags(keys: Sequence[Key], flags: Mapping[str, str | None]) -> Source:
    """Return what the command line says; ``None`` is a flag that was not given."""
    names = {key.field: key.flag or f"--{key.field.replace('_', '-')}" for key in keys}
    return Source("flag", {field: (names[field], text) for field, text in flags.items() if text is not None})


def from_environment(keys: Sequence[Key], prefix: str, environ: Mapping[str, str]) -> Source:
    """Return what the environment says.

    An empty variable counts as not set, since compose files write ``${NAME:-}``. A variable with our prefix
    that is no setting is a problem when it is nearly one or seems to hold a token, else a warning.
    """
    known = {prefix + key.field.upper(): key.field for key in keys}
    prefixes = (prefix, "SWARMLET_") if prefix == "SWARM_" else (prefix,)
    texts: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    warnings: list[str] = []
    for name in sorted(environ):
        if name in known:
            if environ[name].strip():
                texts[known[name]] = (name, environ[name].strip())
        elif name.upper().startswith(prefixes) and not is_stray(name, environ[name]):
            problem = judge_unknown_variable(name, prefix, tuple(known))
            if problem is not None:
                problems.append(problem)
            elif name.startswith(prefix):
                warnings.append(f"{name} is set and is no setting of this program; it changes nothing")
    return Source("environment", texts, tuple(problems), tuple(warnings))


def is_stray(name: str, text: str) -> bool:
    """Say whether a variable was put here by nobody: empty, or a Kubernetes service link."""
    link = _SERVICE_LINK.search(name) or (name.endswith("_PORT") and "://" in text)
    return not text.strip() or bool(link)


def judge_unknown_variable(name: str, prefix: str, known: tuple[str, ...]) -> Problem | None:
    """Return the problem with a variable that is no setting, or ``None`` when it is only a stranger."""
    where = "environment"
    upper = name.upper()
    if upper.startswith(prefix) and ("TOKEN" in upper or "SECRET" in upper) and prefix == "SWARM_":
        # The value is never looked at: whatever it is, it must not reach a message or a log (T11).
        return Problem(
            name, None, where, "a token cannot be given in a variable, which is inherited, listed and logged",
            "put it into a file and name that in SWARM_AUTH_TOKEN_FILE",
        )  # fmt: skip
    if upper in known:
        return Problem(name, None, where, "no such setting", f"did you mean {upper}?")
    if upper.startswith("SWARMLET_"):
        meant = prefix + upper.removeprefix("SWARMLET_")
        return (
            Problem(name, None, where, "no such setting", f"did you mean {meant}?")
            if meant in known
            else None
        )
    hint = near_miss(upper, known, _NEAR)
    return Problem(name, None, where, "no such setting", hint) if hint else None


def from_table(keys: Sequence[Key], prefix: str, table: Mapping[str, object], path: str) -> Source:
    """Return what a configuration file says. Every key in it must be a setting: the file is ours alone."""
    fields = tuple(key.field for key in keys)
    texts: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for name, value in table.items():
        text = as_text(value)
        if name not in fields:
            meant = name.lower().removeprefix(prefix.lower()).replace("-", "_")
            problems.append(Problem(shown(name), None, path, "no such setting", near_miss(meant, fields)))
        elif text is None:
            problems.append(Problem(name, None, path, "a string, a number or true or false"))
        else:
            texts[name] = (f"{path}: {name}", text)
    return Source("file", texts, tuple(problems))


def as_text(value: object) -> str | None:
    """Return a TOML value as the text its parser reads, or ``None`` when no setting has such a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        # Longer ones are no setting's value, and turning them into text is slow by design (PEP 678 limit).
        return str(value) if abs(value) < 10**18 else "a huge number"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return None


def resolve(keys: Sequence[Key], sources: Sequence[Source], defaults: Mapping[str, str]) -> Resolution:
    """Decide every setting.

    Args:
        keys: The table of settings.
        sources: Where values come from, the strongest first.
        defaults: Defaults that depend on this machine, by field; the table's own stand for the others.

    Returns:
        The values of all settings that could be read, and the problems with those that could not.
    """
    values: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    problems = [problem for source in sources for problem in source.problems]
    for key in keys:
        text, origin = _winner(key, sources, defaults)
        origins[key.field] = origin
        if text is None:
            continue
        try:
            if looks_secret(text):
                raise NotAcceptedError(_IS_TOKEN)  # noqa: TRY301 - judged like any other text that is no value
            values[key.field] = key.parser.read(text)
        except NotAcceptedError as fault:
            where = origin.name if origin.kind == "file" else origin.kind
            name = key.field if origin.kind == "file" else origin.name
            problems.append(Problem(name, shown(text), where, key.parser.accepts, fault.hint))
    warnings = tuple(warning for source in sources for warning in source.warnings)
    return Resolution(values, origins, tuple(problems), warnings)


def _winner(key: Key, sources: Sequence[Source], defaults: Mapping[str, str]) -> tuple[str | None, Origin]:
    for source in sources:
        if key.field in source.texts:
            name, text = source.texts[key.field]
            return text, Origin(source.kind, name)
    return defaults.get(key.field, key.default), Origin("default", "")
