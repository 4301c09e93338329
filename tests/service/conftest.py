"""A Firestore server for the service's tests, a client that writes to it, and services that read it."""

from collections.abc import AsyncIterator

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.emulator import Emulator
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service


@pytest.fixture
def firestore_host(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the Firestore of this test listens; clients made in the test find it by themselves."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", emulator.host)
    return emulator.host


@pytest.fixture
async def client(firestore_host: str, project: str) -> AsyncIterator[AsyncClient]:
    async with firestore_client(project) as client:
        yield client


@pytest.fixture
def collection(client: AsyncClient) -> AsyncCollectionReference:
    """The collection that the service reads."""
    return client.collection(COLLECTION)  # type: ignore[no-any-return]


@pytest.fixture
async def running(firestore_host: str, project: str, client: AsyncClient) -> AsyncIterator[RunningService]:
    """A service with default settings, synced."""
    async with running_service(firestore_host, project) as running:
        yield await running.synced()
