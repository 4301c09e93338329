"""The README names the tests that hold its promises: they are there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

NAMED = re.findall(r"`(tests/(?:\w+/)*test_\w+\.py)::(\w+)`", (REPOSITORY / "README.md").read_text())


def test_the_readme_names_tests() -> None:
    assert len(NAMED) > 15


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_readme_names_is_there(file: str, name: str) -> None:
    found = set()
    for node in ast.parse((REPOSITORY / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):  # a state machine's TestCase
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert name in found
