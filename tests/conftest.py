"""Fixtures shared by all tests: the two Firestore servers, and names no two tests share."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.emulator import HOW_TO_GET_IT, Emulator


@pytest.fixture(scope="session")
def emulator_is_installed() -> None:
    """Skips where Google's emulator is not installed; fails where it must be."""
    if not Emulator.is_installed():
        if os.environ.get("REQUIRE_FIRESTORE_EMULATOR") == "1":
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)


@pytest.fixture(scope="session")
def emulator(emulator_is_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Google's emulator, one for the session (one for each xdist worker)."""
    running = Emulator(tmp_path_factory.mktemp("emulator") / "log").start()
    yield running
    running.stop()


@pytest.fixture
def project() -> str:
    """A project ID of the test's own: emulators keep projects apart, so tests never see each other's data."""
    return f"test-{uuid.uuid4().hex[:12]}"
