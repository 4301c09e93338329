"""The headers that a security review asks for: the same on every answer, an error or not, in a frame's reach or not."""

from collections.abc import AsyncIterator

import pytest

from service.http.connection import Connection
from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import raw_connection
from tests.service.running import COLLECTION, RunningService, running_service

EVERY_ANSWER = {
    "Server": "process-status-service",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
KEY = {"X-API-Key": "secret"}


@pytest.fixture
async def service(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    """One with keys, and one process."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    local_firestore.commit(project, {f"{COLLECTION}/import-1": {"status": "running"}})
    async with running_service(local_firestore.host, project, window_size=0, api_keys=("secret",)) as running:
        yield await running.synced()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/status/import-1", KEY, 200),
        ("/status/import-1", {**KEY, "If-None-Match": "*"}, 304),
        ("/status/nobody", KEY, 404),
        ("/status?limit=0", KEY, 400),
        ("/status", {}, 401),
        ("/nothing/here", KEY, 404),
        ("/metrics", KEY, 200),
        ("/status/import-1/events", KEY, 200),
    ],
)
async def test_every_answer_carries_them(
    service: RunningService, path: str, headers: dict[str, str], status: int
) -> None:
    async with service.http.get(service.url + path, headers=headers) as response:
        assert (response.status, {name: response.headers.get(name) for name in EVERY_ANSWER}) == (status, EVERY_ANSWER)


async def test_what_no_frame_goes_around_carries_them_too(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.01)
    for request, status in ((b"GET / HTTP/1.1\r\nBro ken: yes\r\n\r\n", b"400"), (b"GET / HT", b"408")):
        async with raw_connection(service.url) as connection:
            await connection.send(request)
            answer = await connection.all()
        assert answer.split()[1] == status
        for name, value in EVERY_ANSWER.items():
            assert f"\r\n{name}: {value}\r\n".encode() in answer
