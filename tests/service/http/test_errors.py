"""What an error tells: a message for the client, the whole story for the log, and no stack trace in production."""

import asyncio
import logging
from typing import Any

import grpc.aio
import pytest

from service.http.responses import retry_after
from service.reads.firestore_calls import FirestoreCalls
from tests.service.running import RunningService, running_service


class Bug(Exception):
    """An error nobody expected."""


async def _with_a_bug(running: RunningService, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Break both lookups as a bug would, and return what the client is told."""

    def broken(*_: Any, **__: Any) -> Any:
        raise Bug("secret of the inside")

    monkeypatch.setattr(running.service.model, "get", broken)
    monkeypatch.setattr(running.service.model, "rows", broken)
    answers: list[dict[str, Any]] = []
    for path in ("/status/import-1", "/status"):
        response = await running.get(path)
        assert response.status == 500
        answers.append(response.json())
    return answers


async def test_production_never_leaks_a_stack_trace(
    running: RunningService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = await _with_a_bug(running, monkeypatch)
    assert answers == [
        {"status": "error", "message": "Error retrieving process status"},
        {"status": "error", "message": "Error listing processes"},
    ]
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 2
    assert all(record.levelno == logging.ERROR for record in logged)


async def test_development_shows_the_stack_trace(
    firestore_host: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_service(firestore_host, project, environment="development") as running:
        await running.synced()
        for answer in await _with_a_bug(running, monkeypatch):
            assert "Traceback" in answer["details"]
            assert "secret of the inside" in answer["details"]


async def test_what_the_parser_refuses_is_json_too(running: RunningService) -> None:
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /status HTTP/9.9\r\nBro ken: yes\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert b" 400 Bad Request\r\n" in answer
    assert b'{"status":"error","message":"Malformed HTTP request"}' in answer
    assert b"aiohttp" not in answer


async def test_a_missing_index_is_logged_with_firestores_words_and_hidden_from_the_client(
    running: RunningService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*_: Any, **__: Any) -> Any:
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.aio.Metadata(),
            grpc.aio.Metadata(),
            "The query requires an index. You can create it here: https://console.example/x",
        )

    monkeypatch.setattr(FirestoreCalls, "run_query", refused)
    running.service.model.distrust()
    response = await running.get("/status?status=running")
    assert response.status == 500
    assert response.json() == {"status": "error", "message": "Error listing processes"}
    assert "https://console.example/x" in caplog.text


def test_a_retry_after_is_jittered_and_never_before_its_time() -> None:
    told = {int(retry_after(5)["Retry-After"]) for _ in range(200)}
    assert min(told) >= 5
    assert len(told) > 5
