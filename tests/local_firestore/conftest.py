"""The contract suite's server, ours or Google's, and clients of it; and ours alone, for what Google's can't do."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import grpc.aio
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient, Client

from tests.emulator import Emulator
from tests.firestore_servers import BackgroundFirestore
from tests.local_firestore.raw_calls import RawCalls
from tests.local_firestore.raw_listen import RawListen


@dataclass(frozen=True)
class Pair:
    """The same project on either server."""

    local: RawCalls
    google: RawCalls


@pytest.fixture(scope="session")
def shared_local() -> Iterator[BackgroundFirestore]:
    """One local server for all tests that need no fault and no setting of their own."""
    with BackgroundFirestore(max_history=1000) as running:
        yield running


@pytest.fixture(params=["local", "google"])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where either server listens; clients made in the test find it by themselves."""
    server: BackgroundFirestore | Emulator
    server = request.getfixturevalue("shared_local" if request.param == "local" else "emulator")
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
    return server.host


@pytest.fixture(scope="module")
def pair(shared_local: BackgroundFirestore, emulator: Emulator) -> Iterator[Pair]:
    """Both servers, for requests that are to have the same answer; one project per module."""
    project = f"test-{uuid.uuid4().hex[:12]}"
    both = Pair(RawCalls(shared_local.host, project), RawCalls(emulator.host, project))
    yield both
    both.local.close()
    both.google.close()


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundFirestore]:
    """A local server of the test's own, which it may break."""
    with BackgroundFirestore(heartbeat_s=3600) as running:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", running.host)
        yield running


def _sync_client(project: str) -> Iterator[Client]:
    client = Client(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    yield client
    if client._firestore_api_internal is not None:
        client._firestore_api_internal.transport.close()


@pytest.fixture
def client(host: str, project: str) -> Iterator[Client]:
    """The client library's synchronous client of either server."""
    yield from _sync_client(project)


@pytest.fixture
def local_client(local: BackgroundFirestore, project: str) -> Iterator[Client]:
    yield from _sync_client(project)


@pytest.fixture
async def async_client(host: str, project: str) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    yield client
    if client._firestore_api_internal is not None:
        await client._firestore_api_internal.transport.close()


@pytest.fixture
async def listen(host: str, project: str) -> AsyncIterator[RawListen]:
    """An open raw Listen stream of either server."""
    async with grpc.aio.insecure_channel(host) as channel:
        yield RawListen(channel, project)


@pytest.fixture
async def local_channel(local: BackgroundFirestore) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(local.host) as channel:
        yield channel


@pytest.fixture
def local_listen(local_channel: grpc.aio.Channel, project: str) -> RawListen:
    """An open raw Listen stream of the test's own local server."""
    return RawListen(local_channel, project)
