"""Which processes stall: exactly those, from the moment on, and at no cost to the loop."""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from random import Random

import pytest

from listeners.events import Changed, Confirmed, Document
from listeners.times import moment
from service.api.list_query import ListQuery
from service.model import read_model as module
from service.model.applied import Applied
from service.model.process_index import ProcessIndex
from service.model.read_model import ReadModel
from service.model.stalled import Schedule, Stalls
from service.runtime.slicer import Slicer
from service.schema.compiled import ProcessSummary
from tests.service.schemas import schema
from tests.service.scripted_firestore import Seen, changed, ids, removed, replaced
from tests.service.virtual_time import Clock, settle

SECOND = 1_000_000
AFTER_S = 900


def written(process_id: str, at_s: float, status: str | None = "running") -> Document:
    """A version, which began when it was written first: IDs hold that."""
    return Document(process_id, round(at_s * SECOND), {"status": status, "start_time": moment(int(process_id[1:]))})


def unfinished(number: int) -> ProcessSummary:
    """As the model holds it, without the work of reading and rendering its document."""
    id_ = f"p{number}"
    return ProcessSummary(id_, 100 * SECOND, "running", (number * SECOND, id_), (), b"{}", (), 100 * SECOND)


class Held:
    """A model and its stalls, at a time of Firestore's in seconds."""

    def __init__(self, *, after_s: float = AFTER_S, lease_s: float = 15.0) -> None:
        self.clock = Clock()
        self.model = ReadModel(window_size=0, schema=schema(), lease_s=lease_s, clock=self.clock, observer=Seen())
        self.stalls = Stalls(
            self.model,
            Slicer(asyncio.get_running_loop().call_soon),
            stalled_after_s=after_s,
        )

    async def load(self, at_s: float, *documents: Document) -> "Held":
        await self.model.apply(replaced(self.clock, round(at_s * SECOND), *documents))
        await settle()
        return self

    async def change(self, at_s: float, *documents: Document) -> None:
        self.clock.advance(at_s - self.model.read_time / SECOND)
        await self.model.apply(changed(self.clock, round(at_s * SECOND), *documents))
        await settle()

    async def check_at(self, at_s: float) -> None:
        await self.change(at_s)
        await self.stalls.check()
        await settle()

    def found(self, *, stalled: bool = True, **filters: str) -> list[str]:
        found = ids(self.model.rows(ListQuery(1000, filters={"stalled": stalled, **filters})))
        assert found is not None
        return found


async def test_a_process_stalls_900_s_after_its_last_write_and_no_earlier() -> None:
    held = await Held().load(1000, written("p1", 100), written("p2", 101), written("p3", 100, "failed"))
    await held.check_at(1000)
    assert held.found() == []
    await held.check_at(1000.5)
    assert (held.found(), held.found(stalled=False)) == (["p1"], ["p3", "p2"])
    await held.check_at(1001.5)
    assert held.found() == ["p2", "p1"]


async def test_between_two_events_time_goes_on_by_the_own_clock() -> None:
    held = await Held().load(999, written("p1", 100))
    held.clock.advance(0.9)
    await held.stalls.check()
    assert held.found() == []
    held.clock.advance(1)
    await held.stalls.check()
    assert held.found() == ["p1"]


async def test_a_write_that_changes_nothing_else_ends_the_stall_at_once() -> None:
    held = await Held().load(2000, written("p1", 100))
    await held.check_at(2000)
    assert held.found() == ["p1"]
    await held.change(2001, written("p1", 2001))
    assert (held.found(), held.found(stalled=False)) == ([], ["p1"])
    await held.check_at(2900)
    assert held.found() == []
    await held.check_at(2902)
    assert held.found() == ["p1"]


async def test_a_process_that_is_told_again_unchanged_keeps_stalling() -> None:
    held = await Held().load(2000, written("p1", 100))
    await held.check_at(2000)
    await held.load(2001, written("p1", 100))
    assert held.found() == ["p1"]
    await held.model.apply(removed(held.clock, 2002 * SECOND, "p1"))
    assert held.found() == []


async def test_nothing_begins_to_stall_while_the_lease_has_lapsed() -> None:
    held = await Held().load(999, written("p1", 100))
    held.clock.advance(15.5)
    await held.stalls.check()
    assert held.found() == []
    await held.model.apply(Confirmed(1014 * SECOND, held.clock()))
    await held.stalls.check()
    assert held.found() == ["p1"]


async def test_a_lease_that_lapses_before_the_mark_leaves_it_out() -> None:
    held = await Held().load(1001, written("p1", 100))
    async with held.model._writing:  # a batch is being applied
        checking = asyncio.create_task(held.stalls.check())
        await settle()
        held.clock.advance(15.5)
    await checking
    await held.model.apply(Confirmed(1017 * SECOND, held.clock()))
    assert held.found() == []
    await held.stalls.check()
    assert held.found() == ["p1"]


async def test_0_means_that_nothing_ever_stalls() -> None:
    held = await Held(after_s=0).load(1_000_000, written("p1", 100))
    await held.check_at(1_000_001)
    assert held.found() == []


async def test_a_status_that_cannot_be_read_is_unfinished() -> None:
    held = await Held().load(2000, written("p1", 100, None))
    await held.check_at(2000)
    assert held.found() == ["p1"]


async def test_the_list_equals_the_definition_after_any_history() -> None:
    rng, held, now = Random(17), Held(after_s=10), 1000.0
    last: dict[str, Document] = {}
    await held.load(now)
    for _ in range(400):
        now += rng.random()
        chosen = [f"p{rng.randrange(60)}" for _ in range(rng.randrange(3))]
        documents = [written(each, now, rng.choice(["running", "queued", "failed"])) for each in dict.fromkeys(chosen)]
        last |= {each.id: each for each in documents}
        await held.check_at(now)  # with all that was written before
        await held.change(now, *documents)
        stalled = {
            id_
            for id_, each in last.items()
            if now - each.update_time / SECOND > 10 and each.fields["status"] != "failed"
        }
        surely = {id_ for id_ in stalled if now - last[id_].update_time / SECOND > 10.25}
        found = set(held.found())
        assert surely <= found <= stalled
        assert set(held.found(stalled=False)) == last.keys() - found
        assert set(held.found(status="queued")) == {id_ for id_ in found if last[id_].fields["status"] == "queued"}


async def test_a_list_that_looks_at_many_in_vain_is_searched_in_slices() -> None:
    documents = [written(f"p{number}", 100 if number % 7 else 1999) for number in range(3000)]
    held = await Held().load(2000, *documents)
    await held.check_at(2000)
    query = ListQuery(1000, filters={"stalled": False})
    assert held.model.rows(query) is None  # 2,571 of them stall
    assert module.MOST_IN_VAIN == 2_000
    expected = [f"p{number}" for number in reversed(range(3000)) if number % 7 == 0]
    assert ids(await held.model.searched_rows(query)) == expected


def test_a_process_waits_in_one_place_however_often_it_is_written() -> None:
    schedule = Schedule()
    for at_s in range(5):
        schedule.add("p1", at_s * SECOND)
    assert len(schedule) == 1
    assert list(schedule.take(3 * SECOND)) == ["p1"]
    assert list(schedule.take(99 * SECOND)) == []
    schedule.add("p1", 7 * SECOND)
    assert list(schedule.take(7 * SECOND)) == []
    assert list(schedule.take(8 * SECOND)) == ["p1"]


async def most_in_a_turn(work: Coroutine[None, None, None], so_far: Callable[[], float]) -> float:
    """By how much `so_far` grows between two turns of the loop at most, until the work is done."""
    working, most, before = asyncio.create_task(work), 0.0, so_far()
    while not working.done():
        await asyncio.sleep(0)
        now = so_far()
        most, before = max(most, now - before), now
    return most


class AllStall:
    """Very many processes that stall at the same instant, and come back in one batch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.held = Held(lease_s=1e9)

    async def prepare(self) -> "AllStall":
        held = await self.held.load(999)
        for index in (held.model._index, held.model._spare):
            assert index is not None
            for number in range(self.count):
                index.put(unfinished(number))
        for summary in held.model.held():
            held.stalls._watch(summary)
        held.clock.advance(2)
        return self

    async def stall(self) -> None:
        await self.held.stalls.check()
        assert self.held.model.statistics.stalled == self.count

    async def come_back(self) -> None:
        back = [written(f"p{number}", 2000) for number in range(self.count)]
        await self.held.model.apply(Changed(back, (), 2000 * SECOND, self.held.clock()))
        assert self.held.model.statistics.stalled == 0
        while len(self.held.stalls._schedule) < self.count:  # noqa: ASYNC110 - it waits for nothing else
            await asyncio.sleep(0)


async def test_a_turn_marks_25_processes_and_takes_back_64_however_many_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    many, batches, puts, watches = await AllStall(2_000).prepare(), list[Applied](), 0, 0
    many.held.model.subscribe(batches.append)
    put, watch = ProcessIndex.put, Stalls._watch

    def counted_put(index: ProcessIndex, summary: ProcessSummary) -> ProcessSummary | None:
        nonlocal puts
        puts += 1
        return put(index, summary)

    def counted_watch(stalls: Stalls, summary: ProcessSummary) -> None:
        nonlocal watches
        watches += 1
        watch(stalls, summary)

    monkeypatch.setattr(ProcessIndex, "put", counted_put)
    monkeypatch.setattr(Stalls, "_watch", counted_watch)
    assert await most_in_a_turn(many.stall(), lambda: puts) <= 2 * 25  # both copies
    assert await most_in_a_turn(many.come_back(), lambda: puts + watches) <= 64 + 128
    assert batches[0].status_before == {}  # a table of all of them would take 9 ms to grow
    assert puts == 4 * many.count
    assert watches == many.count


MOST_HELD_S = 0.002


@pytest.mark.thorough
async def test_the_loop_is_never_held_for_2_ms_where_100_000_stall_at_once() -> None:
    """By the processor's time of this thread: other programs count for nothing."""
    many = await AllStall(100_000).prepare()
    gc.collect()
    gc.disable()
    try:
        assert await most_in_a_turn(many.stall(), time.thread_time) <= MOST_HELD_S
    finally:
        gc.enable()
