"""These tests run on the loop that the service runs on: what a transport does when is part of what they are about."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import uvloop

from service.telemetry.logs import LogWriter, RequestLog
from tests.firestore_servers import BackgroundFirestore
from tests.service.http.both import Both, both_services
from tests.service.virtual_time import Clock


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """See pytest-asyncio."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def request_log() -> Iterator[RequestLog]:
    """Lines are what some headers are read for; these go nowhere."""
    writer = LogWriter(io.StringIO(), lambda _: b"")
    yield RequestLog(writer, environment="production", level="INFO", project_id="p")
    writer.close()


@pytest.fixture
def max_wait_s() -> float:
    """The longest wait granted."""
    return 55


@pytest.fixture(params=[{}, {"api_keys": "key-1,key-2", "cors_origins": "https://page.example"}], ids=["open", "keys"])
async def both(
    request: pytest.FixtureRequest,
    local_firestore: BackgroundFirestore,
    project: str,
    max_wait_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Both]:
    """Two services whose clock stands still."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    monkeypatch.setattr("service.http.handlers.render_time", lambda _: "2026-11-23T00:00:00Z")
    options = {"listener": "stream", "window_size": 0, "fallback_rate": 1e9, "max_wait_s": max_wait_s}
    async with both_services(local_firestore, project, Clock(), **options, **request.param) as services:
        yield services
