"""The README, and the longer list beside the tests, name what holds their promises: it is there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

SHORT, LONG = (
    re.findall(r"`(tests/(?:\w+/)*test_\w+\.py)::(\w+)`", (REPOSITORY / page).read_text())
    for page in ("README.md", "tests/PROMISES.md")
)


def test_the_readme_names_tests_and_the_longer_list_all_of_them() -> None:
    assert len(SHORT) > 15
    assert set(SHORT) < set(LONG)


@pytest.mark.parametrize(("file", "name"), LONG)
def test_what_is_named_is_there(file: str, name: str) -> None:
    found = set()
    for node in ast.parse((REPOSITORY / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):  # a state machine's TestCase
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert name in found
