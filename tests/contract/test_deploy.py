"""Every file of ``deploy/`` is valid by the program that reads it, and every command shown there exists."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from swarmlet.cli import cluster, node, recipes
from swarmlet.cli.parser import parse
from swarmlet.config import cluster_keys, keys

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BUILDERS = {"stratoswarm": cluster.build, "swarmlet": node.build}
UNITS = ("swarmlet", "stratoswarm")
#: How much more exposed, of 10, another version of systemd may find a unit than the README says.
LEEWAY = 0.2


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


# ---- what is shown


def shown(document: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def commands(line: str) -> list[list[str]]:
    """Return the simple commands of a line, those that are sent over ssh among them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    words = list(lexer)
    found: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|&;"):
            found.append([])
        elif found[-1][-1:] == [">"]:
            found[-1].pop()
        else:
            found[-1].append(word)
    plain = []
    for one in found:
        while one[:1] == ["sudo"]:
            one.pop(0)
        plain += commands(" ".join(one[2:])) if one[0] == "ssh" else [one]
    return plain


def takes(program: str, words: list[str]) -> None:
    if words == ["--help"]:
        return
    args, _ = parse(BUILDERS[program](), words)
    assert callable(args.run)


def check_docker(words: list[str]) -> None:
    if words[0] == "run":
        image = next(i for i, word in enumerate(words) if word in {recipes.IMAGE, "swarmlet-arm64"})
        takes("swarmlet", words[image + 1 :])
    elif words[0] == "exec":
        assert words[2] == "/swarmlet"
        takes("swarmlet", words[3:])
    elif words[0] == "buildx":
        text = (ROOT / words[words.index("-f") + 1]).read_text()
        target = words[words.index("--target") + 1]
        assert re.search(rf"^FROM .* AS {target}$", text, re.MULTILINE), f"there is no target {target}"
    else:
        assert words[0] in {"save", "load", "logs", "compose", "rm"}


def check_make(words: list[str]) -> None:
    assert re.search(rf"^{words[0]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def check_sh(words: list[str]) -> None:
    usage = run("sh", str(DEPLOY / "install.sh"), "--help").stdout
    assert words[0] == "deploy/install.sh"
    for word in words[1:]:
        assert not word.startswith("-") or re.search(rf"{word}\b", usage), f"install.sh has no {word}"


def check_journalctl(words: list[str]) -> None:
    assert words[:1] == ["-u"]
    assert words[1] in UNITS


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "docker": check_docker,
    "make": check_make,
    "sh": check_sh,
    "journalctl": check_journalctl,
    **{name: lambda words, name=name: takes(name, words) for name in BUILDERS},  # type: ignore[misc]
}
#: Programs of the system whose words are not ours to check; the files they name are.
OTHERS = {"pip", "python3", "scp", "swarmlet/bin/pip", "swarmlet/bin/swarmlet"}
LINES = [(document, line) for document in ("README.md", "deploy/README.md") for line in shown(document)]


@pytest.mark.parametrize(("document", "line"), LINES)
def test_a_shown_command_exists_as_it_is_written(document: str, line: str) -> None:
    for program, *words in commands(line):
        if program in CHECKS:
            CHECKS[program](words)
        else:
            assert program in OTHERS, f"{document} shows {program}, which nothing here checks"


@pytest.mark.parametrize("document", ["README.md", "deploy/README.md"])
def test_a_named_file_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    for name in re.findall(r"(?<![\w/])(?:deploy|docs|scripts|image)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), name
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert ((ROOT / document).parent / link).exists(), link


def test_the_readme_names_every_file_of_the_folder() -> None:
    text = (DEPLOY / "README.md").read_text()
    missing = [one.name for one in DEPLOY.iterdir() if one.name != "README.md" and one.name not in text]
    assert missing == []


@pytest.mark.parametrize("file", sorted(one.name for one in DEPLOY.iterdir()))
def test_a_named_setting_exists(file: str) -> None:
    known = {f"SWARM_{key.field.upper()}" for key in keys.KEYS} | {"SWARM_NAME"}
    known |= {f"STRATOSWARM_{key.field.upper()}" for key in cluster_keys.KEYS} | {"STRATOSWARM_NAME"}
    assert set(re.findall(r"\b(?:STRATO)?SWARM_[A-Z_]+", (DEPLOY / file).read_text())) <= known


# ---- units


def directives(file: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / file).read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(tmp_path: Path, unit: str) -> None:
    program = tmp_path / "bin" / unit
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    drop_in = tmp_path / f"{unit}.service.d"
    drop_in.mkdir()
    shutil.copy(DEPLOY / "containers.conf", drop_in) if unit == "swarmlet" else None
    text = (DEPLOY / f"{unit}.service").read_text().replace(recipes.VENV, str(tmp_path))
    (tmp_path / f"{unit}.service").write_text(text)
    done = run("systemd-analyze", "verify", "--man=no", str(tmp_path / f"{unit}.service"))
    ours = [line for line in done.stderr.splitlines() if unit in line]
    assert (done.returncode, ours) == (0, [])


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_as_closed_as_the_readme_says(unit: str) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(DEPLOY / f"{unit}.service"))
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stdout + done.stderr
    promised = re.search(rf"`{unit}\.service` \| ([\d.]+) \|", (DEPLOY / "README.md").read_text())
    assert promised is not None
    assert float(exposure.group(1)) <= float(promised.group(1)) + LEEWAY


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_starts_a_command_that_is_taken_as_it_is_written(unit: str) -> None:
    (line,) = directives(f"{unit}.service")["ExecStart"]
    program, *words = line.replace("${CREDENTIALS_DIRECTORY}", "/run/credentials").split()
    assert program == f"{recipes.VENV}/bin/{unit}"
    takes(unit, words)


def test_the_agents_unit_waits_for_no_network_and_asks_for_what_the_agent_sends() -> None:
    unit = directives("swarmlet.service")
    assert unit["Type"] == ["notify"]
    assert "WatchdogSec" in unit
    assert not [
        value for name in ("After", "Wants", "Requires") for value in unit.get(name, []) if "online" in value
    ]
    assert unit["KillMode"] == ["mixed"], "workloads are ended by the agent first and killed with it at last"
    assert unit["RestartPreventExitStatus"] == ["0 2 4"]


def test_the_token_reaches_the_agent_as_a_credential_and_as_no_argument() -> None:
    text = (DEPLOY / "swarmlet.service").read_text()
    assert f"LoadCredential=token:{recipes.TOKEN_FILE}" in text
    for form in recipes.RECIPES.values():
        paste = form(recipes.Invitation("swarm_join_x", "h:1", "then", "one device"))
        assert "--token swarm_join_x" not in re.sub(r"^#.*$", "", paste, flags=re.MULTILINE)
        assert not ("Type=notify" in paste and "docker run" in paste)


@pytest.mark.parametrize("name", ["ProtectProc", "ProcSubset"])
def test_a_unit_sees_who_asks_it(name: str) -> None:
    """Callers of the control and admin sockets are judged by /proc/PID/status; unseen, root is refused."""
    assert not [unit for unit in UNITS if name in directives(f"{unit}.service")]


# ---- compose, cloud-init


def test_the_compose_file_mounts_the_data_and_takes_the_token_as_a_secret() -> None:
    (service,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
    assert service["image"] == recipes.IMAGE
    assert "/opt/swarmlet:/data" in service["volumes"]
    takes("swarmlet", service["command"])
    assert service["command"][-1] == f"/run/secrets/{service['secrets'][0]}"


def composer() -> list[str]:
    if shutil.which("docker") and run("docker", "compose", "version").returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


def test_compose_takes_the_file() -> None:
    compose = composer()
    if not compose:
        pytest.skip("neither docker compose nor docker-compose is installed")
    done = run(*compose, "-f", str(DEPLOY / "compose.yaml"), "config")
    assert done.returncode == 0, done.stderr
    assert recipes.IMAGE in done.stdout


@needs("cloud-init")
def test_cloud_init_takes_the_user_data() -> None:
    done = run("cloud-init", "schema", "--config-file", str(DEPLOY / "user-data.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


# ---- install.sh


@needs("shellcheck")
def test_shellcheck_has_nothing_to_say_about_the_install_script() -> None:
    done = run("shellcheck", str(DEPLOY / "install.sh"))
    assert done.returncode == 0, done.stdout


def install(root: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return run("sh", str(DEPLOY / "install.sh"), *words, env={**os.environ, "DESTDIR": str(root)}, **options)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel that stands for the product: what pip and the script do with it is the test."""
    folder = tmp_path_factory.mktemp("wheels")
    source = tmp_path_factory.mktemp("source")
    (source / "standin.py").write_text("def main():\n    print('swarmlet 9.9')\n")
    info = source / "swarmlet-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: swarmlet\nVersion: 9.9\nProvides-Extra: coordinator\n"
    )
    (info / "WHEEL").write_text(
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    (info / "entry_points.txt").write_text(
        "[console_scripts]\nswarmlet = standin:main\nstratoswarm = standin:main\n"
    )
    names = [
        "standin.py",
        *(f"{info.name}/{one}" for one in ("METADATA", "WHEEL", "entry_points.txt", "RECORD")),
    ]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    shutil.make_archive(str(folder / "swarmlet"), "zip", source)
    (folder / "swarmlet.zip").rename(folder / "swarmlet-9.9-py3-none-any.whl")
    return folder


def test_the_install_script_installs_twice_and_leaves_nothing_but_settings(
    tmp_path: Path, wheels: Path
) -> None:
    for _ in range(2):
        done = install(
            tmp_path,
            "--wheels",
            str(wheels),
            "--coordinator",
            "--docker",
            "--token-file",
            "-",
            input="swarm_join_x\n",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "installed swarmlet 9.9" in done.stdout
    units = tmp_path / "etc/systemd/system"
    for unit in UNITS:
        assert (units / f"{unit}.service").read_text() == (DEPLOY / f"{unit}.service").read_text()
        assert str((tmp_path / "usr/local/bin" / unit).readlink()) == f"{recipes.VENV}/bin/{unit}"
        assert (tmp_path / recipes.VENV[1:] / "bin" / unit).exists()
    assert (units / "swarmlet.service.d/containers.conf").exists()
    token = tmp_path / "etc/swarmlet/token"
    assert (token.read_text(), token.stat().st_mode & 0o777) == ("swarm_join_x\n", 0o600)

    assert install(tmp_path, "--uninstall").returncode == 0
    left = {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if not one.is_dir()}
    assert left == {"etc/swarmlet/token"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--wheels", "/no/such/folder"], 1, "there is no folder /no/such/folder"),
        (["--wheels"], 2, "--wheels needs a folder"),
        (["--wheel", "x"], 2, "usage:"),
    ],
)
def test_the_install_script_says_what_is_wrong_before_it_changes_anything(
    tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    done = install(tmp_path, *words)
    assert done.returncode == code
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_the_wheel_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = install(tmp_path / "root", "--wheels", str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "everything must be in the folder" in done.stderr
