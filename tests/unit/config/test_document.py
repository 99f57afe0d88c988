"""docs/operations.md is whole and well formed."""

from __future__ import annotations

from swarmlet.config.document import kinds_text, least_text, operations, sentence
from swarmlet.model.classification import NODE_CLASSES, RULES


def test_every_row_of_every_table_has_the_columns_of_its_head():
    width = 0
    for line in operations().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        columns = line.replace("\\|", "").count("|")
        width = width or columns
        assert columns == width, line


def test_every_class_and_rule_is_told():
    text = operations()
    for rule in RULES:
        assert f"| {kinds_text(rule)} | {least_text(rule)} | {rule.node_class} |" in text
    for name in NODE_CLASSES:
        assert f"`{name}`" in text


def test_a_text_becomes_a_sentence():
    assert sentence("leave it on") == "Leave it on."
