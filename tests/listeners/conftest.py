"""What the tests of listeners are given: either server; for the stream listener, a local Firestore of their own."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from service.local_firestore import LocalFirestore
from service.local_firestore.database import Database
from tests.firestore_servers import BackgroundFirestore
from tests.listeners.listening import BrokenStream, writing_client
from tests.listeners.stream_setting import Setting, job

TRIES = 3
"""Of a test on Google's emulator."""


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """See pytest. A test whose stream Google's emulator has broken is run again; on the local server it never is."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if "emulator" not in parameters.values():
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(TRIES):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if not any(each.failed and BrokenStream.__name__ in str(each.longrepr) for each in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


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
