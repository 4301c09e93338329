"""These tests run on the loop that the service runs on: what a transport does when is part of what they are about."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop
from aiohttp.web_protocol import RequestHandler

from service.http import server as http_server
from tests.firestore_servers import BackgroundFirestore
from tests.service.http.fast_path.both import Both, both_services
from tests.service.virtual_time import Clock


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """See pytest-asyncio."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[{}, {"api_keys": "key-1,key-2", "cors_origins": "https://page.example"}], ids=["open", "keys"])
async def both(
    request: pytest.FixtureRequest,
    local_firestore: BackgroundFirestore,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Both]:
    """Two services whose clock stands still."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    monkeypatch.setattr(http_server.JsonErrorHandler, "head_timeout_s", 0.1)  # for heads that never end
    monkeypatch.setitem(RequestHandler.__init__.__kwdefaults__, "lingering_time", 0.1)  # type: ignore[arg-type] # for bodies that never end
    options = {"listener": "stream", "window_size": 0, "fallback_rate": 1e9, **request.param}
    async with both_services(local_firestore, project, Clock(), **options) as services:
        yield services
