"""Fixtures shared by all tests: the two Firestore servers, and names no two tests share."""

import os
import uuid

import pytest

from tests.emulator import HOW_TO_GET_IT, Emulator, shared_emulator


@pytest.fixture(scope="session")
def emulator_is_installed() -> None:
    """Skips where Google's emulator is not installed; fails where it must be."""
    if not Emulator.is_installed():
        if os.environ.get("REQUIRE_FIRESTORE_EMULATOR") == "1":
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)


@pytest.fixture(scope="session")
def emulator(
    emulator_is_installed: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Emulator:
    """Google's emulator, one for the run; it ends after the last test of any worker."""
    own = tmp_path_factory.getbasetemp()
    emulator, end = shared_emulator(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
    request.config.add_cleanup(end)  # no teardown: the wait for other workers is no part of a test's time
    return emulator


@pytest.fixture
def project() -> str:
    """A project ID of the test's own: emulators keep projects apart, so tests never see each other's data."""
    return f"test-{uuid.uuid4().hex[:12]}"
