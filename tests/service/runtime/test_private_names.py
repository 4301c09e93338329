"""A private name that an upgrade has taken away is one line in the log, and the service serves without it."""

import logging

import pytest
from google.cloud.firestore_v1.watch import Watch
from grpc._cython import cygrpc

from tests.firestore_servers import BackgroundFirestore
from tests.service.running import running_service


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "service.runtime.private_names" and record.levelno == logging.ERROR
    ]


async def test_each_missing_name_is_one_error_line_of_a_service_that_serves(
    local_firestore: BackgroundFirestore,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    monkeypatch.delattr(cygrpc, "PollerCompletionQueue")
    monkeypatch.delattr(Watch, "push")
    async with running_service(local_firestore.host, project, listener="stream") as running:
        await running.synced()
        assert (await running.get("/status")).status == 200
    slower, refused = lines(caplog)
    assert "grpcio" in slower
    assert "PollerCompletionQueue: the listener falls behind" in slower
    assert "google-cloud-firestore" in refused
    assert "Watch.push: LISTENER=on_snapshot does not work; set LISTENER=stream" in refused


async def test_a_service_with_all_names_says_nothing_of_them(
    local_firestore: BackgroundFirestore,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    async with running_service(local_firestore.host, project, listener="stream") as running:
        await running.synced()
    assert lines(caplog) == []
