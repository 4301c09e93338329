"""The counts that a model keeps: what changes them, and which process is the oldest that has not ended."""

import pytest

from listeners.events import Document
from tests.service.reads.test_statistics import START, Counted, written


async def test_a_change_of_the_counts_is_told_at_once_and_nothing_else_is_a_change() -> None:
    counted = await Counted().load(written("p1", START, "running", started=START - 9))

    async def revises(*documents: Document, gone: tuple[str, ...] = ()) -> bool:
        before = counted.model.statistics.revision
        await counted.change_at(START + 0.5, *documents, gone=gone)
        return counted.model.statistics.revision > before

    async def figures() -> list[object]:
        counts = await counted.counts()
        return [counts["processes"], counts["by_status"], counts["duration_s"].get("completed", {}).get("max")]

    assert await figures() == [1, {"running": 1}, None]
    assert not await revises(written("p1", START + 0.1, "running", started=START - 9))
    assert not await revises(written("p1", START + 0.2, "running", started=START - 9, products_failed=3))
    assert await revises(written("p1", START + 0.3, "completed", started=START - 9, ended=START))
    assert await figures() == [1, {"completed": 1}, 9.0]
    assert not await revises(written("p1", START + 0.35, "completed", started=START - 9, ended=START))
    assert not await revises(written("p1", START + 0.4, "completed", started=START - 9, ended=START, products_failed=4))
    assert await revises(written("p1", START + 0.45, "completed", started=START - 9, ended=START - 1))
    assert await figures() == [1, {"completed": 1}, 8.0]
    assert await revises(gone=("p1",))
    assert await figures() == [0, {}, None]


@pytest.mark.parametrize("status", [None, "running"])
async def test_the_oldest_that_has_not_ended_is_known_with_a_status_or_without(status: str | None) -> None:
    counted = await Counted().load(
        written("p1", START, status, started=10),
        written("p2", START, "queued", started=20),
        written("p3", START, None, started=30),
    )
    oldest = [(await counted.counts())["oldest_unfinished"]]
    for number in (1, 2, 3):
        await counted.change_at(START + number, written(f"p{number}", START + number, "failed", started=10 * number))
        oldest.append((await counted.counts())["oldest_unfinished"])
    assert oldest == ["1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z", "1970-01-01T00:00:30Z", None]
