"""The only reader of the environment and of configuration files. Holds no rule: ``resolve.py`` decides."""
# ruff: noqa: PTH100, PTH110, PTH111, PTH112, PTH123 - pathlib costs milliseconds at every start

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from swarmlet.config import cluster_keys, keys
from swarmlet.config.check import Place, complete_address, default_data_dir, later, port_clashes, tls_problems
from swarmlet.config.keys import Key
from swarmlet.config.privilege import home
from swarmlet.config.resolve import (
    Origin,
    Problem,
    Resolution,
    Source,
    from_environment,
    from_flags,
    from_table,
    resolve,
)
from swarmlet.errors import error

Settings = TypeVar("Settings", bound=msgspec.Struct)

#: A configuration file has a few lines; more than this is some other file.
MAX_FILE_BYTES = 65536

#: Variables of other programs that parts of this one may ask for through :func:`outside`.
OUTSIDE = frozenset(
    {"NO_COLOR", "TERM", "COLUMNS", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "SUDO_USER"}
)


class Program(NamedTuple, Generic[Settings]):
    """A program's settings: their table, where they are found, and what they become."""

    name: str
    prefix: str
    keys: tuple[Key, ...]
    default_file: str
    settings: type[Settings]
    complete: Callable[[dict[str, object]], tuple[Problem, ...]]
    #: The command that shows what settings there are.
    look: str


class Loaded(NamedTuple, Generic[Settings]):
    """Checked settings, where each came from, and what is worth a warning."""

    config: Settings
    origins: dict[str, Origin]
    warnings: tuple[str, ...]

    def chosen(self, field: str) -> bool:
        """Say whether somebody chose this value, rather than the default."""
        return self.origins[field].kind != "default"


def _complete_node(values: dict[str, object]) -> tuple[Problem, ...]:
    cluster, port = values.get("cluster"), values.get("discovery_port")
    if isinstance(cluster, str) and isinstance(port, int):
        values["cluster"] = complete_address(cluster, port)
    return port_clashes(values, "api_port", "metrics_port", keys.PREFIX)


def _complete_cluster(values: dict[str, object]) -> tuple[Problem, ...]:
    return port_clashes(values, "port", "second_port", cluster_keys.PREFIX)


NODE: Program[keys.Config] = Program(
    "swarmlet",
    keys.PREFIX,
    keys.KEYS,
    keys.DEFAULT_FILE,
    keys.Config,
    _complete_node,
    "swarmlet config show --origin",
)
CLUSTER: Program[cluster_keys.ClusterConfig] = Program(
    "stratoswarm",
    cluster_keys.PREFIX,
    cluster_keys.KEYS,
    cluster_keys.DEFAULT_FILE,
    cluster_keys.ClusterConfig,
    _complete_cluster,
    "stratoswarm cluster start --help  lists every setting and what it may be",
)


def load(
    program: Program[Settings],
    flags: Mapping[str, str | None] | None = None,
    config_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded[Settings]:
    """Return the settings of ``program``, every one of them checked.

    Args:
        program: :data:`NODE` or :data:`CLUSTER`.
        flags: The text of each flag that was given, by field.
        config_file: The file named by ``--config``; it must exist. Without it the default file is
            read if it exists.
        environ: The environment; this process's own when not given.

    Raises:
        ConfigError: ``SWL-401``, which names everything that is wrong at once.
    """
    found = _gather(program, flags, config_file, environ)
    if found.problems:
        lines = "".join(f"\n  {problem}" for problem in found.problems)
        raise error("SWL-401", count=str(len(found.problems)), problems=lines, look=program.look)
    return Loaded(msgspec.convert(found.values, program.settings), found.origins, found.warnings)


def examine(
    program: Program[Settings],
    flags: Mapping[str, str | None] | None = None,
    config_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolution:
    """Return what :func:`load` would use, problems as values: ``config show`` works with bad settings.

    What only speaking to the cluster would meet is told beforehand.
    """
    found = _gather(program, flags, config_file, environ)
    return found._replace(problems=found.problems + tls_problems(found.values, program.prefix))


def _gather(
    program: Program[Settings],
    flags: Mapping[str, str | None] | None,
    config_file: str | None,
    environ: Mapping[str, str] | None,
) -> Resolution:
    surroundings = os.environ if environ is None else environ
    sources = [
        from_flags(program.keys, flags or {}),
        from_environment(program.keys, program.prefix, surroundings),
        read_file(program, config_file),
    ]
    defaults = {"data_dir": default_data_dir(program.name, find_place(surroundings))}
    found = resolve(program.keys, sources, defaults)
    values = dict(found.values)
    for key in program.keys:
        if key.is_path and isinstance(path := values.get(key.field), str) and path != "-":
            values[key.field] = os.path.abspath(os.path.expanduser(path))
    problems = found.problems + program.complete(values)
    return Resolution(values, found.origins, problems, found.warnings + later(values))


def read_file(program: Program[Settings], config_file: str | None) -> Source:
    """Return what the configuration file says; nothing when none was named and the default one is absent."""
    path = config_file or program.default_file
    try:
        with open(path, "rb") as file:
            table = read_table(file.read(MAX_FILE_BYTES + 1))
    except (FileNotFoundError, NotADirectoryError):
        if config_file is None:
            return Source("file", {})
        why = "this file does not exist"
    except OSError as fault:
        why = f"this file cannot be read ({fault.strerror})"
    except ValueError as fault:
        why = f"this file {fault}"
    else:
        return from_table(program.keys, program.prefix, table, path)
    return Source("file", {}, (Problem("--config", path, "file", why),))


def read_table(data: bytes) -> dict[str, object]:
    """Return the table in the bytes of a configuration file.

    Raises:
        ValueError: They are none; the message goes on from "this file".
    """
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"has more than {MAX_FILE_BYTES} bytes")
    import tomllib  # noqa: PLC0415 - most nodes have no file

    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as fault:
        raise ValueError(f"is not TOML: {fault}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def find_place(environ: Mapping[str, str]) -> Place:
    """Look where this process runs."""
    home = os.path.expanduser("~")
    return Place(
        has_data=os.path.isdir("/data"),
        in_container=in_container(environ),
        is_root=os.geteuid() == 0,
        home=environ.get("HOME") or (home if home != "~" else None),
        state_home=environ.get("XDG_STATE_HOME"),
    )


def in_container(environ: Mapping[str, str] | None = None) -> bool:
    """Say whether this process seems to run in a container: by Docker's, Podman's or Kubernetes' mark."""
    surroundings = os.environ if environ is None else environ
    if surroundings.get("container") or surroundings.get("KUBERNETES_SERVICE_HOST"):
        return True
    return os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")


def move_home(directory: str) -> None:
    """Make ``directory`` the home of this process, after it became another user than it was started as."""
    os.environ.update(home(os.environ, directory))


def outside(name: str) -> str | None:
    """Return a variable of another program's protocol, such as ``NO_COLOR`` or ``NOTIFY_SOCKET``."""
    if name not in OUTSIDE:
        raise KeyError(name)
    return os.environ.get(name)
