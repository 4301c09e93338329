"""Programs that are not installed everywhere. Without one, tests that need it are skipped, or fail on demand."""

import os

import pytest


def required(found: str | None, variable: str, how_to_get_it: str) -> str:
    """Where the program is. If it was not found, the test is skipped, or fails where this variable is 1."""
    if found is None:
        if os.environ.get(variable) == "1":
            pytest.fail(how_to_get_it)
        pytest.skip(how_to_get_it)
    return found
