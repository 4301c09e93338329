"""Direct reads against listener events, interleaved by hand: what is later in Firestore wins, never what came later."""

import asyncio
from collections.abc import Iterator

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.errors import BudgetExhausted, Unreachable
from service.model.applied import Applied
from tests.service.scripted_firestore import Parts, document, ids, summary
from tests.service.virtual_time import settle

AN_HOUR_S = 3600.0


def remembered(parts: Parts, process_id: str = "p", *, children: tuple[str, ...] = ()) -> int | None:
    """The version in the cache: 0 for a remembered absence, None for nothing."""
    read = parts.reads.remembered(process_id, SEES_EVERYTHING, children=children)
    return None if read is None else 0 if read.summary is None else read.summary.version


async def test_a_read_is_remembered_for_its_time_to_live() -> None:
    parts = Parts()
    reading = await parts.gets()
    parts.reader.gets[0].finds(summary("p", 3), read_time=10)
    read = await reading
    assert read is not None
    assert read.summary is not None
    assert remembered(parts) == 3
    parts.clock.advance(5)
    assert remembered(parts) == 3
    parts.clock.advance(0.001)
    assert remembered(parts) is None
    assert parts.reads.remembered("p", SEES_EVERYTHING, max_age_s=300) == read


async def test_an_absence_is_remembered_for_a_shorter_time() -> None:
    parts = Parts()
    reading = await parts.gets()
    parts.reader.gets[0].finds(None, read_time=10)
    await reading
    parts.clock.advance(0.999)
    assert remembered(parts) == 0
    parts.clock.advance(0.002)
    assert remembered(parts) is None


async def test_the_time_a_read_took_counts_towards_its_age() -> None:
    parts = Parts()
    reading = await parts.gets()
    parts.clock.advance(4)
    parts.reader.gets[0].finds(summary("p", 3), read_time=10)
    await reading
    parts.clock.advance(1.001)
    assert remembered(parts) is None


async def test_a_late_read_never_overwrites_a_newer_event() -> None:
    parts = Parts()
    await parts.hears_all(1)
    reading = await parts.gets()
    await parts.hears(20, document("p", 15))
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    assert await reading is None
    assert remembered(parts) is None


@pytest.mark.parametrize("deleted", [True, False, None])
@pytest.mark.parametrize("jump_s", [0.0, AN_HOUR_S])
async def test_a_late_read_never_brings_back_what_was_removed(deleted: bool | None, jump_s: float) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    reading = await parts.gets()
    await parts.hears_removal(20, "p", deleted=deleted)
    parts.clock.advance(jump_s)
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    assert await reading is None
    assert remembered(parts) is None


async def test_a_removal_between_a_reads_landing_and_its_answer_counts() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    reading = await parts.gets()
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    for _ in range(10):
        if remembered(parts) is not None:
            break
        await asyncio.sleep(0)
    assert not reading.done()  # landed and remembered, but whoever waits has not run yet
    await parts.hears_removal(20, "p")
    assert await reading is None
    assert remembered(parts) is None


async def test_who_joined_after_the_removal_is_not_given_the_read_from_before_it() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    first = await parts.gets()
    await parts.hears_removal(20, "p")
    second = await parts.gets()
    first.cancel()
    await settle()
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    assert await second is None
    assert len(parts.reader.gets) == 1


async def test_a_whole_result_without_the_document_is_a_removal_too() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    reading = await parts.gets()
    await parts.hears_all(20)
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    assert await reading is None


async def test_a_read_served_after_the_removal_is_good() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    reading = await parts.gets()
    await parts.hears_removal(20, "p")
    parts.reader.gets[0].finds(summary("p", 25), read_time=30)
    read = await reading
    assert read is not None
    assert remembered(parts) == 25


async def test_a_deletion_unknown_to_the_listener_is_believed() -> None:
    parts = Parts()
    await parts.hears_all(5, document("p", 1))
    reading = await parts.gets()
    parts.reader.gets[0].finds(None, read_time=10)
    read = await reading
    assert read is not None
    assert read.summary is None


async def test_an_absence_unknown_to_the_listener_is_cached_as_long_as_any_other() -> None:
    parts = Parts()
    await parts.hears_all(5, document("p", 1))
    reading = await parts.gets()
    parts.reader.gets[0].finds(None, read_time=10)
    await reading
    parts.clock.advance(1.001)
    assert remembered(parts) is None
    stale = parts.reads.remembered("p", SEES_EVERYTHING, max_age_s=300)
    assert stale is not None  # the model, which still holds it, must not be the last known state
    assert stale.summary is None


@pytest.mark.parametrize("creation_first", [True, False])
async def test_an_absence_is_forgotten_when_the_process_is_created(creation_first: bool) -> None:
    parts = Parts()
    await parts.hears_all(1)
    reading = await parts.gets()
    if creation_first:
        await parts.hears(20, document("p", 20))
    parts.reader.gets[0].finds(None, read_time=10)
    assert (await reading is None) is creation_first
    if not creation_first:
        assert remembered(parts) == 0
        await parts.hears(20, document("p", 20))
    assert remembered(parts) is None


async def test_tombstones_are_kept_no_longer_than_a_read_needs_them() -> None:
    parts = Parts()
    await parts.hears_all(1, *[document(f"p{n}", 1) for n in range(50)])
    await parts.hears_removal(2, "p0")
    assert len(parts.reads._tombstones) == 0  # nothing is being read
    first, second = await parts.gets("x"), await parts.gets("y")
    await parts.hears_all(3)
    assert len(parts.reads._tombstones) == 49
    parts.reader.gets[0].finds(None, read_time=4)
    await first
    assert len(parts.reads._tombstones) == 49
    later = await parts.gets("z")
    second.cancel()
    await settle()
    assert len(parts.reads._tombstones) == 0  # z began after them
    parts.reader.gets[2].finds(None, read_time=5)
    await later


async def test_the_later_of_two_reads_stays_whatever_the_order_they_land_in() -> None:
    parts = Parts()
    plain, with_products = await parts.gets(), await parts.gets(children=("products",))
    parts.reader.gets[1].finds(summary("p", 8), read_time=20)
    await with_products
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await plain
    assert remembered(parts) is None
    assert remembered(parts, children=("products",)) == 8


async def remembering(parts: Parts, *forms: tuple[str, ...], version: int = 5) -> None:
    for number, children in enumerate(forms):
        reading = await parts.gets(children=children)
        parts.reader.gets[-1].finds(summary("p", version), read_time=10 * version + number)
        await reading


FORMS = ((), ("products",), ("logs",), ("products", "logs"))


async def test_each_choice_of_children_is_remembered_by_itself() -> None:
    parts = Parts()
    await remembering(parts, *FORMS)
    assert [remembered(parts, children=children) for children in FORMS] == [5, 5, 5, 5]
    assert remembered(parts, children=("logs", "products")) is None
    await remembering(parts, ("logs",), version=8)
    assert [remembered(parts, children=children) for children in FORMS] == [None, None, 8, None]


async def test_a_removal_ends_what_was_remembered_with_any_children() -> None:
    parts = Parts()
    await remembering(parts, *FORMS)
    await parts.hears_removal(90, "p")
    assert [remembered(parts, children=children) for children in FORMS] == [None] * 4


async def test_children_beyond_the_caches_size_leave_room_for_the_newest_read() -> None:
    body = summary("p", 5).body
    parts = Parts(cache_max_bytes=2 * (700 + len(body)))
    await remembering(parts, *FORMS)
    assert [remembered(parts, children=children) for children in FORMS] == [None, None, 5, 5]


async def test_an_absence_ends_what_was_remembered_with_products() -> None:
    parts = Parts()
    with_products = await parts.gets(children=("products",))
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await with_products
    plain = await parts.gets()
    parts.reader.gets[1].finds(None, read_time=20)
    await plain
    assert remembered(parts, children=("products",)) is None
    assert remembered(parts) == 0


async def test_the_last_to_leave_cancels_the_read_and_frees_its_budget() -> None:
    parts = Parts(concurrency=1)
    waiting = [await parts.gets() for _ in range(3)]
    assert parts.budget.under_way == 1
    with pytest.raises(BudgetExhausted):
        await parts.reads.get("q", SEES_EVERYTHING)
    for waiter in waiting:
        waiter.cancel()
    await settle()
    assert parts.reader.gets[0].outcome.cancelled()
    assert parts.budget.under_way == 0
    other = await parts.gets("q")
    parts.reader.gets[1].finds(None, read_time=1)
    assert await other is not None


async def test_a_failed_read_is_shared_but_not_remembered() -> None:
    parts = Parts()
    waiting = [await parts.gets() for _ in range(3)]
    parts.reader.gets[0].fails(Unreachable("down"))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unreachable] * 3
    assert (len(parts.reader.gets), remembered(parts), parts.budget.under_way) == (1, None, 0)
    assert parts.reads.since_success_s is None


async def test_the_cache_keeps_to_its_bytes() -> None:
    parts = Parts(cache_max_bytes=10_000)
    for number in range(50):
        reading = await parts.gets(f"p{number}")
        parts.reader.gets[number].finds(summary(f"p{number}", 1, csv_url="x" * 100), read_time=1)
        await reading
    kept = [number for number in range(50) if remembered(parts, f"p{number}")]
    assert kept == list(range(50 - len(kept), 50))
    assert 5 <= len(kept) <= 10


async def test_what_is_larger_than_the_cache_is_answered_and_not_kept() -> None:
    parts = Parts(cache_max_bytes=1000)
    reading = await parts.gets()
    parts.reader.gets[0].finds(summary("p", 1, csv_url="x" * 2000), read_time=1)
    assert await reading is not None
    assert remembered(parts) is None


async def test_a_list_is_charged_by_its_rows_and_remembered() -> None:
    parts = Parts(rate=10)
    query = ListQuery(50)
    reading = asyncio.create_task(parts.reads.rows(query, SEES_EVERYTHING))
    await settle()
    parts.reader.lists[0].outcome.set_result([summary(f"p{number}", 1, number) for number in range(30)])
    assert len((await reading).summaries) == 30
    held = parts.reads.remembered_list(ListQuery(50))
    assert held is not None
    assert len(ids(held.summaries) or []) == 30
    assert parts.reads.remembered_list(ListQuery(51)) is None
    with pytest.raises(BudgetExhausted) as refused:
        await parts.reads.get("p", SEES_EVERYTHING)
    assert refused.value.retry_after_s == pytest.approx(2.1)
    parts.clock.advance(5.001)
    assert parts.reads.remembered_list(query) is None
    assert parts.reads.remembered_list(query, max_age_s=300) is not None


class Counted(dict[str, bool | None]):
    """Removals that count how many of them were looked through."""

    looked_through = 0

    def __iter__(self) -> Iterator[str]:
        for process_id in super().__iter__():
            self.looked_through += 1
            yield process_id


async def test_a_batch_larger_than_the_cache_costs_only_what_is_remembered() -> None:
    parts = Parts()
    reading = await parts.gets("p")
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await reading
    removed = Counted({f"n{number}": True for number in range(1000)} | {"p": True})
    parts.reads._on_applied(Applied([], removed, 0, 20))
    assert remembered(parts) is None
    assert removed.looked_through == 0


async def test_a_remembered_read_ends_when_the_listener_tells_of_a_newer_version() -> None:
    parts = Parts()
    await parts.hears_all(1)
    reading = await parts.gets("p")
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await reading
    assert remembered(parts) == 5
    await parts.hears(20, document("p", 15))
    assert remembered(parts) is None
