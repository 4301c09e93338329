"""python-firestore's system tests pass on the local Firestore, those aside that no Firestore of this edition passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.sdk import suite
from tests.sdk.suite import Outcome

pytestmark = pytest.mark.timeout(suite.PATIENCE_S + 60)

ENTERPRISE = "enterprise-db-native"
KNOWN_FAILURES = {
    # BSON's types are of Firestore's Enterprise edition. Google's emulator refuses them as well.
    f"test_system.py::test_bson_document_read_and_write[{ENTERPRISE}]": "Value type",
    f"test_system.py::test_bson_regex_invalid_options[{ENTERPRISE}]": "Value type REGEX is not allowed",
    f"test_system.py::test_bson_decimal128_special_values[{ENTERPRISE}]": "Value type DECIMAL128 is not allowed",
    f"test_system.py::test_bson_query_ordering[{ENTERPRISE}]": "Value type",
    f"test_system_async.py::test_async_bson_document_read_and_write[{ENTERPRISE}]": "Value type",
    f"test_system_async.py::test_async_bson_regex_invalid_options[{ENTERPRISE}]": "Value type REGEX is not allowed",
    f"test_system_async.py::test_async_bson_decimal128_special_values[{ENTERPRISE}]": (
        "Value type DECIMAL128 is not allowed"
    ),
}
"""The tests that fail here, each with the words of Firestore's refusal."""

LEAST_PASSED = 90
"""Of either file: so many pass today, and a suite that runs nothing shows nothing."""


@pytest.fixture(scope="module")
def tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suite.fetch(tmp_path_factory.mktemp("python-firestore"))


@pytest.fixture(scope="module")
def firestore() -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore() as running:
        yield running


@pytest.mark.parametrize("file", ["test_system.py", "test_system_async.py"])
def test_system_tests_pass_on_the_local_firestore(
    file: str, tests: Path, firestore: BackgroundFirestore, project: str
) -> None:
    outcomes = suite.run(tests, file, firestore.host, project)
    failed = {test: found.words for test, found in outcomes.items() if found.outcome == "failed"}
    known = {test: words for test, words in KNOWN_FAILURES.items() if test.startswith(f"{file}::")}
    unexplained = {test: words for test, words in failed.items() if known.get(test, "\0") not in words}
    assert not unexplained, "\n\n".join(f"{test}\n{words}" for test, words in unexplained.items())
    assert set(known) == set(failed), "a test that is listed as failing passes, or is gone"
    assert sum(found == Outcome("passed") for found in outcomes.values()) >= LEAST_PASSED
