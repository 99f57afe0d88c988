"""Mistakes on the command line get the nearest thing that would have worked."""

from __future__ import annotations

import pytest

from swarmlet.cli import cluster
from swarmlet.cli.parser import Parser, add_common, add_output, parse
from swarmlet.errors import Exit, SwarmletError


@pytest.fixture
def parser() -> Parser:
    top = Parser(prog="prog")
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    nodes = commands.add_parser("nodes").add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    ls = nodes.add_parser("ls")
    add_common(ls)
    add_output(ls)
    ls.add_argument("--expires")
    return top


def test_an_unknown_option_names_its_near_miss(parser: Parser) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodes", "ls", "--expirs", "1h"])
    assert caught.value.code == "SWL-400"
    assert caught.value.exit_code is Exit.USAGE
    assert "--expirs" in caught.value.what
    assert "--expires" in caught.value.next


def test_an_unknown_command_names_its_near_miss(parser: Parser) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodse", "ls"])
    assert "nodse" in caught.value.what
    assert "did you mean  nodes" in caught.value.next


def test_an_unknown_sub_command_names_its_parent(parser: Parser) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodes", "lst"])
    assert "prog nodes does not know the command lst" in caught.value.what


def test_a_missing_value_is_a_usage_error(parser: Parser) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodes", "ls", "-o"])
    assert caught.value.code == "SWL-400"


def test_what_follows_two_dashes_is_left_alone_for_a_command_that_runs_it(parser: Parser) -> None:
    work = parser._subparsers._group_actions[0].add_parser("run")  # type: ignore[union-attr]
    work.takes_command = True
    add_output(work)
    namespace, rest = parse(parser, ["run", "-o", "json", "--", "sh", "-c", "echo --expirs", "--"])
    assert namespace.output == "json"
    assert rest == ("sh", "-c", "echo --expirs", "--")


def test_for_every_other_command_two_dashes_end_the_options(parser: Parser) -> None:
    show = parser._subparsers._group_actions[0].add_parser("show")  # type: ignore[union-attr]
    add_output(show)
    show.add_argument("which")
    namespace, rest = parse(parser, ["show", "-o", "json", "--", "-x"])
    assert (namespace.which, rest) == ("-x", ())
    for words in (["show", "a", "--", "--output"], ["nodes", "ls", "--", "a"], ["nodes", "ls", "a"]):
        with pytest.raises(SwarmletError, match=f"has no use for {words[-1]}"):
            parse(parser, words)
    assert parse(parser, ["nodes", "ls", "--"])[1] == ()


@pytest.mark.parametrize(("value", "near"), [("yml", "yaml"), ("jsn", "json"), ("wid", "wide")])
def test_a_value_that_is_none_of_the_choices_names_its_near_miss(
    parser: Parser, value: str, near: str
) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodes", "ls", "--output", value])
    assert caught.value.exit_code is Exit.USAGE
    assert value in caught.value.what
    assert f"did you mean  --output {near}" in caught.value.next


def test_a_value_that_is_near_to_nothing_names_all_choices(parser: Parser) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(parser, ["nodes", "ls", "-o", "4711"])
    assert "table, wide, json, yaml, name" in caught.value.what
    assert "--help" in caught.value.next


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["sleep", "60"], "stratoswarm run -- sleep 60 "),
        (["alpine", "ls", "-l", "a b"], "stratoswarm run alpine -- ls -l 'a b' "),
        (["ls", "-l"], "stratoswarm run -- ls -l "),
        (["alpine", "echo", "-e", "A=b"], "stratoswarm run IMAGE -- COMMAND... "),
        (["--name", "x", "alpine", "sh"], "stratoswarm run -- alpine sh "),
        (["--recursive", "ls"], "goes behind  -- :  stratoswarm run -- COMMAND --recursive"),
        (["--recursive"], "goes behind  -- :  stratoswarm run -- COMMAND --recursive"),
        (["--replica", "3", "alpine"], "did you mean  --replicas ?"),
        (["--replica", "3", "alpine"], "goes behind  -- "),
    ],
)
def test_a_command_without_its_dashes_is_told_of_them(words: list[str], hint: str) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(cluster.build(), ["run", *words])
    assert caught.value.exit_code is Exit.USAGE
    assert hint in caught.value.next


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--versoin"], "does not know the option --versoin"),
        (["--data-dir", "c", "nodes", "ls"], "--data-dir stands before the command"),
        (["nodes", "rm", "vm", "--bl"], "does not know the option --bl"),
    ],
)
def test_an_option_is_written_out_and_behind_its_command(words: list[str], said: str) -> None:
    with pytest.raises(SwarmletError) as caught:
        parse(cluster.build(), words)
    assert said in caught.value.what
