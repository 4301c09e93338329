"""Direct lists over a collection group, which pass over the foreign documents of its name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.api.list_query import ListQuery
from service.reads.firestore_calls import FirestoreCalls, Found
from service.reads.firestore_reader import ReadRows
from tests.service.reads.direct_reads import Bills, reader_of
from tests.service.running import firestore_client

JOBS = "users/{uid}/jobs"
T0 = datetime(2026, 11, 28, 9, tzinfo=UTC)


def job(second: int, status: str = "running") -> dict[str, object]:
    return {"status": status, "start_time": T0 + timedelta(seconds=second)}


DOCUMENTS = {
    **{f"jobs/foreign-{second}": job(second) for second in (7, 8, 9)},
    "users/alice/jobs/b": job(2),
    "users/alice/jobs/a": job(1),
    "users/bob/jobs/a": job(0),
}


async def test_a_list_that_takes_several_queries_is_of_one_instant(
    firestore_host: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_query, queries = FirestoreCalls.run_query, 0
    bills = Bills()
    async with (
        firestore_client(project) as client,
        reader_of(firestore_host, project, collection=JOBS, bills=bills) as reader,
    ):

        async def write(documents: dict[str, dict[str, object]]) -> None:
            for path, fields in documents.items():
                await client.document(path).set(fields)

        async def query_and_write(*arguments: Any) -> Found:
            nonlocal queries
            found = await run_query(*arguments)
            queries += 1
            await write({"users/alice/jobs/a": job(1, "done"), "users/carol/jobs/a": job(3 - queries)})
            return found

        await write(DOCUMENTS)
        monkeypatch.setattr(FirestoreCalls, "run_query", query_and_write)
        found = await reader.rows(ListQuery(2))
    assert queries == 2
    assert [(row.process_id, row.status) for row in found.summaries] == [
        ("alice\0b", "running"),
        ("alice\0a", "running"),
    ]
    assert (found.billed, bills.documents) == (6, 6)


async def test_a_list_that_finds_nothing_is_billed_as_one_document(firestore_host: str, project: str) -> None:
    bills = Bills()
    async with reader_of(firestore_host, project, collection=JOBS, bills=bills) as reader:
        found = await reader.rows(ListQuery(2))
    assert (found, bills.documents) == (ReadRows([], 1), 1)
