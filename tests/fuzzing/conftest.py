"""The same two services as in tests/service/http; a mutation may make a request wait."""

import pytest

from tests.service.conftest import local_firestore
from tests.service.http.conftest import both, pytest_asyncio_loop_factories

__all__ = ["both", "local_firestore", "pytest_asyncio_loop_factories"]


@pytest.fixture
def max_wait_s() -> float:
    """The longest wait granted."""
    return 1
