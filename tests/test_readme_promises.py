"""The tests that the page of guarantees names are there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

NAMED = re.findall(r"`(tests/(?:\w+/)*test_\w+\.py)::(\w+)`", (REPOSITORY / "docs" / "guarantees.md").read_text())


def test_every_promise_names_its_test() -> None:
    assert len(NAMED) > 60


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_is_there(file: str, name: str) -> None:
    found = set()
    for node in ast.parse((REPOSITORY / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):  # a state machine's TestCase
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert name in found
