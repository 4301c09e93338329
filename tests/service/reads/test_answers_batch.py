"""Several processes by ID: one read for all that need one, the weakest source, the greatest age."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.sources import Source
from service.errors import BudgetExhausted, Unreachable
from service.reads.answer import BatchAnswer
from tests.firestore_servers import BackgroundFirestore
from tests.service.running import COLLECTION, running_service
from tests.service.scripted_firestore import Parts, document, summary
from tests.service.virtual_time import settle

HIT, MISS, CACHED, STALE = Source.HIT, Source.MISS, Source.CACHED, Source.STALE


def versions(batch: BatchAnswer) -> dict[str, int]:
    """By ID, 0 for one that does not exist."""
    return {process_id: answer.version for process_id, answer in batch.by_id.items()}


async def asks(parts: Parts, process_ids: Sequence[str], **how: Any) -> "asyncio.Task[BatchAnswer]":
    """A batch, gone as far as it gets without Firestore."""
    asking = asyncio.create_task(parts.answers.batch(process_ids, SEES_EVERYTHING, **how))
    await settle()
    return asking


async def test_a_hundred_unknown_ids_are_one_read_charged_per_document() -> None:
    parts = Parts(concurrency=1, rate=150)
    ids = [f"p{number}" for number in range(100)]
    asking = await asks(parts, ids)
    assert parts.budget.under_way == 1
    parts.reader.batches[0].finds(read_time=1)
    batch = await asking
    assert (batch.source, batch.age_s, len(parts.reader.batches), parts.reader.gets) == (MISS, 0, 1, [])
    assert set(versions(batch).values()) == {0}
    sixty = await asks(parts, [f"q{number}" for number in range(60)])
    parts.reader.batches[1].finds(read_time=2)
    await sixty
    with pytest.raises(BudgetExhausted):  # of 150 documents per second, 160 were read
        await parts.answers.batch(["r"], SEES_EVERYTHING)


async def test_a_hundred_ids_over_http_are_one_call(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    documents: dict[str, dict[str, object]] = {
        f"{COLLECTION}/p{number}": {"status": "done"} for number in range(0, 100, 2)
    }
    local_firestore.commit(project, documents)
    settings: dict[str, Any] = {"window_size": 1, "fallback_concurrency": 1, "cache_ttl_s": 60}
    async with running_service(local_firestore.host, project, **settings) as running:
        await running.synced()
        calls = local_firestore.calls["BatchGetDocuments"]
        reply = await running.get("/status?" + "&".join(f"process_id=p{number}" for number in range(100)))
        assert (reply.status, reply.headers["X-Cache"], reply.headers["Age"]) == (200, "MISS", "0")
        assert [row["process_id"] for row in reply.json()["processes"]] == [f"p{n}" for n in range(0, 100, 2)]
        assert reply.json()["missing"] == [f"p{n}" for n in range(1, 100, 2)]
        remembered = await running.get("/status?process_id=p0&process_id=p2")
        assert remembered.headers["X-Cache"] == "CACHED"
        assert int(remembered.headers["Age"]) >= 1, "rounded up"
        assert local_firestore.calls["BatchGetDocuments"] == calls + 1


async def test_identical_batches_share_one_read() -> None:
    parts = Parts()
    first, second = await asks(parts, ["a", "b"]), await asks(parts, ["b", "a"])
    assert len(parts.reader.batches) == 1
    parts.reader.batches[0].finds(summary("a", 5), read_time=10)
    assert versions(await first) == versions(await second) == {"a": 5, "b": 0}


async def test_each_process_of_a_batch_is_remembered_by_itself() -> None:
    parts = Parts()
    asking = await asks(parts, ["a", "b"])
    parts.reader.batches[0].finds(summary("a", 5), read_time=10)
    await asking
    for process_id, version in (("a", 5), ("b", 0)):
        answer = await parts.answers.status(process_id, SEES_EVERYTHING)
        assert (answer.source, answer.version) == (CACHED, version)
    parts.clock.advance(2)  # an absence is remembered for a shorter time
    again = await asks(parts, ["a", "b"])
    assert parts.reader.batches[1].process_ids == ("b",)
    parts.reader.batches[1].finds(read_time=20)
    batch = await again
    assert (batch.source, batch.age_s) == (CACHED, 2)


async def test_a_batch_carries_the_weakest_source_and_the_greatest_age() -> None:
    parts = Parts()
    await parts.hears_all(1, document("held", 7))
    parts.clock.advance(4)
    hits = await parts.answers.batch(["held", "held"], SEES_EVERYTHING)
    assert (hits.source, hits.age_s) == (HIT, 4)
    asking = await asks(parts, ["held", "read"])
    parts.reader.batches[0].finds(summary("read", 9), read_time=10)
    mixed = await asking
    assert (mixed.source, mixed.age_s) == (MISS, 4)
    parts.clock.advance(3)
    older = await parts.answers.batch(["held", "read"], SEES_EVERYTHING)
    assert (older.source, older.age_s) == (CACHED, 7)


async def test_the_time_of_the_read_counts_towards_the_age_of_the_other_rows() -> None:
    parts = Parts()
    await parts.hears_all(1, document("held", 7))
    asking = await asks(parts, ["held", "read"])
    parts.clock.advance(4)
    parts.reader.batches[0].finds(summary("read", 9), read_time=10)
    batch = await asking
    assert (batch.source, batch.age_s) == (MISS, 4)


async def test_a_row_that_the_listener_overtook_is_asked_for_again() -> None:
    parts = Parts()
    await parts.hears_all(1, document("gone", 1))
    parts.clock.advance(16)
    asking = await asks(parts, ["gone", "read"])
    await parts.hears_removal(20, "gone")
    parts.reader.batches[0].finds(summary("gone", 1), summary("read", 9), read_time=10)
    await settle()
    assert parts.reader.batches[1].process_ids == ("gone",)
    parts.reader.batches[1].finds(read_time=30)
    assert versions(await asking) == {"gone": 0, "read": 9}


async def test_a_strong_batch_joins_no_read_from_before_it_came() -> None:
    parts = Parts()
    early, strong = await asks(parts, ["a", "b"]), await asks(parts, ["a", "b"], max_age_s=0)
    parts.reader.batches[0].finds(summary("a", 5), read_time=10)
    await early
    await settle()
    assert not strong.done()
    parts.reader.batches[1].finds(summary("a", 6), read_time=20)
    assert versions(await strong) == {"a": 6, "b": 0}


async def test_a_batch_is_stale_where_all_of_it_is_known_else_refused() -> None:
    parts = Parts()
    await parts.hears_all(1, document("a", 1), document("b", 2))
    parts.clock.advance(20)
    known, unknown = await asks(parts, ["a", "b"]), await asks(parts, ["a", "c"])
    for batch in parts.reader.batches:
        batch.outcome.set_exception(Unreachable("down"))
    answer = await known
    assert (answer.source, answer.age_s, versions(answer)) == (STALE, 20, {"a": 1, "b": 2})
    with pytest.raises(Unreachable):
        await unknown


async def test_the_body_has_the_rows_in_the_order_asked_and_what_is_missing_once() -> None:
    parts = Parts()
    await parts.hears_all(1, document("a", 1), document("b", 2))
    asking = await asks(parts, ["b", "x", "a", "x", "b"])
    parts.reader.batches[0].finds(read_time=1)
    body = (await asking).body
    b, a = summary("b", 2).row, summary("a", 1).row
    expected = b'{"processes":[%b,%b,%b],"count":3,"next_page_token":null,"missing":["x"]}'
    assert body == expected % (b, a, b)


async def test_a_batch_that_joins_a_read_under_way_claims_that_reads_age() -> None:
    parts = Parts()
    first = await asks(parts, ["p", "q"])
    parts.clock.advance(0.5)
    joined = await asks(parts, ["p", "q"])
    parts.clock.advance(0.2)
    parts.reader.batches[0].finds(summary("p", 5), summary("q", 6), read_time=10)
    for asking, source, age_s in ((first, MISS, 0), (joined, CACHED, 1)):
        batch = await asking
        assert (batch.source, batch.age_s, versions(batch)) == (source, age_s, {"p": 5, "q": 6})
    assert len(parts.reader.batches) == 1


async def test_while_firestore_is_known_to_be_unreachable_no_batch_is_read() -> None:
    parts = Parts()
    parts.circuit.read_failed(parts.circuit.successes, "down")
    with pytest.raises(Unreachable):
        await parts.answers.batch(["p", "q"], SEES_EVERYTHING)
    assert parts.reader.batches == []
