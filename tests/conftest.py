"""Fixtures shared by all tests: the two Firestore servers, and names no two tests share."""

import gc
import os
import uuid
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.emulator import HOW_TO_GET_IT, Emulator, shared_emulator

settings.register_profile("on_shared_machines", deadline=None)  # how long an example takes says nothing there
settings.load_profile("on_shared_machines")


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """`-n auto`: half as many more as there are cores, since a test waits as long as it computes."""
    cores = yield
    return cores if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else cores + cores // 2


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests on Google's emulator as thorough. Those that do not compare it run on the local Firestore too."""
    for item in items:
        if _is_on_google_emulator(item):
            item.add_marker(pytest.mark.thorough)


def _is_on_google_emulator(item: pytest.Item) -> bool:
    parameters = (
        item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    )
    named = getattr(item, "fixturenames", ())
    return "emulator" in named or any(each in ("emulator", "google") for each in parameters)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Put modules and collected tests where no garbage collection looks: each of hundreds would take 30 ms more."""
    gc.collect()
    gc.freeze()


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
