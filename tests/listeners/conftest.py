"""What the tests of listeners are given: either server; for the stream listener, a local Firestore of their own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.listening import writing_client
from tests.listeners.stream_setting import Setting, job


@pytest.fixture
async def server() -> AsyncIterator[LocalFirestore]:
    async with LocalFirestore() as server:
        yield server


@pytest.fixture
def database(server: LocalFirestore, project: str) -> Database:
    database = server.database(project)
    database.commit_plain({"jobs/a": job(1), "jobs/b": job(2), "jobs/c": job(3)})
    return database


@pytest.fixture
def setting(server: LocalFirestore, database: Database, project: str) -> Setting:
    return Setting(server.host, project)


@pytest.fixture(scope="module")
def local_firestore() -> Iterator[BackgroundFirestore]:
    with BackgroundFirestore() as server:
        yield server


@pytest.fixture(params=["emulator", "local_firestore"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    host: str = request.getfixturevalue(request.param).host
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    return host


@pytest.fixture
def jobs(host: str, project: str) -> Iterator[Any]:
    """The collection that is listened to, as a client for writing sees it."""
    with writing_client(project) as client:
        yield client.collection("jobs")
