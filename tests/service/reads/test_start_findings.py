"""What the log says at the start of the collection: where documents and schema do not fit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from listeners.window import Window
from service.reads.start_findings import StartFindings
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, RunningService, running_service
from tests.waiting import until

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
RIGHT = {"status": "completed", "start_time": NOON}


@pytest.fixture
async def running(
    local_firestore: BackgroundFirestore,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[RunningService]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    caplog.set_level(logging.INFO)
    async with running_service(local_firestore.host, project) as running:
        yield await running.synced()


def findings_of(running: RunningService) -> StartFindings:
    service = running.service
    window = Window(service.settings.project_id, "(default)", COLLECTION, service.schema.order, 10_000)
    return StartFindings(service.model, service.reader, service.schema, window)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "service.reads.start_findings"]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"a": RIGHT}, []),
        (
            {"a": RIGHT, "b": {"status": "completed"}},
            [
                "order: start_time is a timestamp in 1 of 2 documents (1 timestamp); the others are in no list and are "
                "served by ID only; write the field in them"
            ],
        ),
        (
            {"a": {**RIGHT, "status": "errored"}, "b": RIGHT},
            [
                "status: seen errored (1), completed (1); terminal completed, failed, cancelled; add errored to "
                "[status] terminal (TERMINAL_STATUSES), if they end a process"
            ],
        ),
    ],
)
async def test_what_does_not_fit_is_a_warning(
    running: RunningService,
    local_firestore: BackgroundFirestore,
    project: str,
    caplog: pytest.LogCaptureFixture,
    documents: Mapping[str, Mapping[str, Any]],
    expected: list[str],
) -> None:
    version = local_firestore.commit(project, {f"{COLLECTION}/{name}": fields for name, fields in documents.items()})
    await running.holds("a", version)
    await findings_of(running).report()
    assert warnings(caplog) == expected
    assert await running.metric("firestore_reads_total", source="list") == len(documents)


async def test_an_empty_collection_beside_a_similar_one_is_named(
    running: RunningService, local_firestore: BackgroundFirestore, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    local_firestore.commit(project, {"users/a": RIGHT})
    await findings_of(running).report()
    assert warnings(caplog) == []
    local_firestore.commit(project, {"webServiceLog/a": RIGHT})
    await findings_of(running).report()
    assert warnings(caplog) == [
        "collection: webServiceLogs has no documents; did you mean webServiceLog? Set FIRESTORE_COLLECTION"
    ]


async def test_what_firestore_refuses_is_a_warning_and_no_more(
    running: RunningService, local_firestore: BackgroundFirestore, caplog: pytest.LogCaptureFixture
) -> None:
    with local_firestore.faults.fail_calls("RunQuery", grpc.StatusCode.INVALID_ARGUMENT, calls=None):
        await findings_of(running).report()
    [warning] = warnings(caplog)
    assert warning.startswith("schema and collection were not compared: ")


async def test_it_says_what_is_read_looks_once_and_never_ends(
    running: RunningService, local_firestore: BackgroundFirestore, project: str, caplog: pytest.LogCaptureFixture
) -> None:
    version = local_firestore.commit(project, {f"{COLLECTION}/a": {**RIGHT, "status": "errored"}})
    await running.holds("a", version)
    task = asyncio.create_task(findings_of(running).run())
    await until(lambda: len(warnings(caplog)) == 2, "it has looked")
    assert warnings(caplog)[0] == (
        f"reading the newest 10,000 by start_time of webServiceLogs, project {project}, database (default)"
    )
    assert warnings(caplog)[1].startswith("status: seen errored (1); terminal ")
    await running.holds("a", local_firestore.commit(project, {f"{COLLECTION}/a": {**RIGHT, "status": "crashed"}}))
    assert (len(warnings(caplog)), task.done()) == (2, False)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
