"""A pytest plugin for the suite's own run: what it imports and is not installed here, and a record of its outcomes."""

import json
import os
import sys
import unittest.mock
import uuid
from pathlib import Path
from types import ModuleType

import pytest
from google.auth.credentials import AnonymousCredentials

OUTCOMES = "SDK_SUITE_OUTCOMES"
"""The environment variable that names the file for the outcomes."""

_outcomes: dict[str, dict[str, str]] = {}


def pytest_configure() -> None:
    """`mock`, which is in the standard library now, and the two names that the suite needs of Google's test helpers."""
    helpers = ModuleType("test_utils.system")
    vars(helpers).update(EmulatorCreds=AnonymousCredentials, unique_resource_id=_unique_resource_id)
    sys.modules.update({"mock": unittest.mock, "test_utils": ModuleType("test_utils"), "test_utils.system": helpers})


def _unique_resource_id(delimiter: str) -> str:
    return f"{delimiter}{uuid.uuid4().hex[:12]}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the test's outcome: failed where any part failed. A part that skips itself does not skip the test."""
    found = _outcomes.setdefault(report.nodeid, {"outcome": "passed"})
    if report.failed:
        found.update(outcome="failed", words=str(report.longrepr))
    elif report.skipped and type(report) is pytest.TestReport and found["outcome"] == "passed":
        found["outcome"] = "skipped"


def pytest_sessionfinish() -> None:
    """Write the record."""
    Path(os.environ[OUTCOMES]).write_text(json.dumps(_outcomes))
