"""A Firestore server for the service's tests, a client that writes to it, and services that read it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from google.cloud.firestore_v1 import AsyncClient, AsyncCollectionReference

from tests.emulator import Emulator
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, firestore_client, running_service


@pytest.fixture(scope="session")
def local_firestore() -> Iterator[BackgroundFirestore]:
    """The local Firestore, one for the session; tests that break it start their own."""
    with BackgroundFirestore() as server:
        yield server


@pytest.fixture
def firestore(local_firestore: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch) -> BackgroundFirestore:
    """The same; clients find it by themselves."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    return local_firestore


@pytest.fixture
def schema_file(firestore: BackgroundFirestore, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The SCHEMA of the test's module, for a service that reads this Firestore."""
    file = tmp_path / "schema.toml"
    file.write_text(request.module.SCHEMA)
    return file


@pytest.fixture(params=["local", "emulator"])
def firestore_host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the Firestore of this test listens, each of both servers in turn; clients find it by themselves."""
    server: BackgroundFirestore | Emulator = request.getfixturevalue(
        "local_firestore" if request.param == "local" else "emulator"
    )
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
    return server.host


@pytest.fixture(params=["stream", "on_snapshot"])
def listener_kind(request: pytest.FixtureRequest) -> str:
    """Each of both listeners in turn."""
    return str(request.param)


@pytest.fixture
async def client(firestore_host: str, project: str) -> AsyncIterator[AsyncClient]:
    async with firestore_client(project) as client:
        yield client


@pytest.fixture
def collection(client: AsyncClient) -> AsyncCollectionReference:
    """The collection that the service reads."""
    return client.collection(COLLECTION)


@pytest.fixture
async def running(
    firestore_host: str, project: str, client: AsyncClient, listener_kind: str
) -> AsyncIterator[RunningService]:
    """A service with default settings, synced."""
    async with running_service(firestore_host, project, listener=listener_kind) as running:
        yield await running.synced()
