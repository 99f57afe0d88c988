"""``create-join-token`` in every form, asked of a coordinator that runs."""

from __future__ import annotations

import json
import re

import pytest

from swarmlet.cli import recipes
from tests.integration.harness import World

CREATE = ("cluster", "create-join-token")


@pytest.fixture
def cluster(world: World) -> World:
    world.start_coordinator()
    return world


def test_the_three_lines_are_data_and_the_ways_to_use_them_are_narration(cluster: World) -> None:
    done = cluster.stratoswarm(*CREATE)
    lines = [line.split(": ")[0] for line in done.stdout.splitlines()]
    assert lines == ["Join Token", "Cluster IP", "Expires"]
    assert "docker run -d --restart unless-stopped --network host" in done.stderr
    assert all(name in done.stderr for name in recipes.RECIPES)


def test_a_token_that_allows_containers_says_so_where_it_mounts_dockers_socket(cluster: World) -> None:
    for allow, shown in (("docker,gpu", True), ("gpu", False)):
        lines = cluster.stratoswarm(*CREATE, "--allow", allow).stderr
        pasted = cluster.stratoswarm(*CREATE, "--allow", allow, "-o", "docker").stdout
        assert (f"-v {recipes.SOCKET_MOUNT}" in lines) is shown
        assert (f"-v {recipes.SOCKET_MOUNT}" in pasted) is shown
        assert (recipes.SOCKET_MEANS in lines) is shown


@pytest.mark.parametrize("form", recipes.RECIPES)
def test_a_form_holds_a_token_that_is_one_and_what_to_paste_alone_is_data(cluster: World, form: str) -> None:
    done = cluster.stratoswarm(*CREATE, "--output", form)
    assert done.returncode == 0, done.stderr
    token = re.search(r"^\s*(swarm_join_\S+)$", done.stdout, re.MULTILINE)
    assert token is not None
    file = cluster.directory / "pasted.token"
    file.write_text(token.group(1))
    file.chmod(0o600)
    inspected = cluster.swarmlet("token", "inspect", "--token-file", str(file), "-o", "json")
    revoke = re.search(r"token revoke (\w+)", done.stderr)
    assert revoke is not None
    assert json.loads(inspected.stdout)["jti"].startswith(revoke.group(1))
    assert "admits one device" in done.stdout
    quiet = cluster.stratoswarm(*CREATE, "--output", form, "-q")
    assert quiet.stderr == ""
    assert len(quiet.stdout.splitlines()) == len(done.stdout.splitlines())


def test_quiet_alone_is_the_token_alone_and_json_is_what_it_was(cluster: World) -> None:
    assert re.fullmatch(r"swarm_join_\S+\n", cluster.stratoswarm(*CREATE, "-q").stdout)
    for words in (("-o", "json"), ("-o", "json", "-q")):
        view = json.loads(cluster.stratoswarm(*CREATE, *words).stdout)
        assert {"apiVersion", "token", "jti", "endpoints", "expires", "max_uses", "fingerprint"} <= set(view)
