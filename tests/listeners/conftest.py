"""What the tests of the stream listener are given: a local Firestore of their own, and a listener to it."""

from collections.abc import AsyncIterator

import pytest

from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
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
