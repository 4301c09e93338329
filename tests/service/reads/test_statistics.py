"""`/stats`: exactly what a scan of the documents counts, after any history, and for as long as it is claimed."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any

import orjson
import pytest

from listeners.events import Changed, Document, Removal
from listeners.times import moment
from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.errors import Unreachable
from service.model.read_model import ReadModel
from service.model.stalled import Stalls
from service.reads.answers import Answers
from service.reads.statistics import StatisticsReads
from service.runtime.slicer import Slicer
from service.schema.compiled import ProcessSummary, Schema
from tests.service.schemas import with_filters
from tests.service.scripted_firestore import Parts, ScriptedListener, Seen, replaced
from tests.service.virtual_time import Clock, settle

SECOND = 1_000_000
STALLED_AFTER_S = 30
START = 1_000_000
ENDS = ("completed", "failed", "cancelled")


class Counted:
    """A model whose processes are counted. Times are in seconds of Firestore's."""

    def __init__(self, *, window_size: int = 0) -> None:
        schema = Schema(with_filters())
        self.clock = Clock(START)
        self.model = ReadModel(window_size=window_size, schema=schema, lease_s=15, clock=self.clock, observer=Seen())
        self.stalls = Stalls(
            self.model,
            Slicer(asyncio.get_running_loop().call_soon),
            stalled_after_s=STALLED_AFTER_S,
        )
        answers = Answers(
            self.model, Parts().reads, ScriptedListener(), clock=self.clock, stale_if_error_s=60, timeout_s=5
        )
        self.reads = StatisticsReads(self.model, answers, schema.order, clock=self.clock, stale_if_error_s=60)

    async def load(self, *documents: Document) -> "Counted":
        await self.model.apply(replaced(self.clock, round(self.clock() * SECOND), *documents))
        await settle()
        return self

    async def change_at(self, at_s: float, *documents: Document, gone: tuple[str, ...] = ()) -> None:
        self.clock.now = at_s
        removals = [Removal(each, deleted=True) for each in gone]
        await self.model.apply(Changed(list(documents), removals, round(at_s * SECOND), at_s))
        await settle()

    async def counts(self, **filters: str | int) -> Any:
        return orjson.loads((await self.reads.answer(ListQuery(10, filters=filters), SEES_EVERYTHING)).body)


def written(
    process_id: str,
    at_s: float,
    status: str | None,
    *,
    started: float | None,
    ended: float | None = None,
    **fields: Any,
) -> Document:
    times = {"start_time": started, "end_time": ended}
    known = {name: moment(round(at * SECOND)) for name, at in times.items() if at is not None}
    return Document(process_id, round(at_s * SECOND), {"status": status, **known, **fields})


async def test_the_counts_have_the_keys_of_the_contract_in_order() -> None:
    counted = await Counted().load(
        written("p1", START - 5, "running", started=START - 900),
        written("p2", START - 40, "queued", started=START - 40),
        written("p3", START - 10, "completed", started=START - 100, ended=START - 10),
        written("p4", START - 90, "completed", started=START - 190, ended=START - 80),
        written("p5", START - 90, "failed", started=START - 9000, ended=START - 4000),
        written("p6", START - 61, "failed", started=None),
        written("p7", START - 1, None, started=START - 20),
    )
    await counted.stalls.check()
    assert list((await counted.counts()).items()) == [
        ("processes", 7),
        ("complete", True),
        ("by_status", {"": 1, "completed": 2, "failed": 2, "queued": 1, "running": 1}),
        ("stalled", 1),
        ("oldest_unfinished", "1970-01-12T13:31:40Z"),
        ("finished", {"60": {"completed": 1}, "3600": {"completed": 2, "failed": 1}}),
        ("duration_s", {"completed": {"p50": 90.0, "p95": 110.0, "max": 110.0},
                        "failed": {"p50": 5000.0, "p95": 5000.0, "max": 5000.0}}),
    ]  # fmt: skip
    empty = await Counted().load()
    assert await empty.counts() == {
        "processes": 0,
        "complete": True,
        "by_status": {},
        "stalled": 0,
        "oldest_unfinished": None,
        "finished": {"60": {}, "3600": {}},
        "duration_s": {},
    }


async def test_an_end_that_is_written_anew_replaces_the_one_before() -> None:
    ended = written("p1", START, "completed", started=START - 100, ended=START - 90)
    counted = await Counted().load(ended)
    await counted.change_at(START + 1, written("p1", START + 1, "completed", started=START - 100, ended=START - 40))
    counts = await counted.counts()
    assert counts["finished"] == {"60": {"completed": 1}, "3600": {"completed": 1}}
    assert counts["duration_s"]["completed"] == {"p50": 60.0, "p95": 60.0, "max": 60.0}
    await counted.change_at(START + 2, gone=("p1",))
    assert (await counted.counts())["duration_s"] == {}


async def test_each_process_counts_in_the_minute_in_which_it_ended() -> None:
    def ended(process_id: str, at: float, status: str = "completed") -> Document:
        return written(process_id, START - 300, status, started=START - 600, ended=at)

    counted = await Counted().load(
        ended("p1", 999_960),  # the present minute began then
        ended("p2", 999_959.9),
        ended("p3", 999_900),
        ended("p4", 999_899, "failed"),
        ended("p5", 999_839, "failed"),  # before the first of the minutes
        ended("p6", START + 61),  # by a clock that is ahead: after the last of them
    )
    answer = await counted.reads.answer(ListQuery(10), SEES_EVERYTHING, by_minute=3)
    expected = {"from": "1970-01-12T13:44:00Z", "counts": {"completed": [0, 2, 1], "failed": [1, 0, 0]}}
    assert orjson.loads(answer.body)["finished_by_minute"] == expected
    failed = await counted.reads.answer(ListQuery(10, filters={"status": "failed"}), SEES_EVERYTHING, by_minute=1)
    assert orjson.loads(failed.body)["finished_by_minute"] == {"from": "1970-01-12T13:46:00Z", "counts": {}}


def scanned(documents: list[Document], stalled: set[str], now: float) -> dict[str, Any]:
    """What anyone would count who reads all documents."""
    by_status: dict[str, int] = {}
    finished: dict[str, dict[str, int]] = {"60": {}, "3600": {}}
    durations: dict[str, list[float]] = {}
    unfinished = []
    for each in documents:
        status, fields = each.fields["status"], each.fields
        assert isinstance(status, str)
        by_status[status] = by_status.get(status, 0) + 1
        start: Any = fields["start_time"]
        if status not in ("completed", "failed"):
            unfinished.append(start)
            continue
        end: Any = fields["end_time"]
        durations.setdefault(status, []).append((end - start).total_seconds())
        for period, counts in finished.items():
            if end >= moment(round((now - int(period)) * SECOND)):
                counts[status] = counts.get(status, 0) + 1
    oldest = min(unfinished, default=None)
    return {
        "processes": len(documents),
        "by_status": by_status,
        "stalled": len(stalled & {each.id for each in documents}),
        "oldest_unfinished": oldest and oldest.isoformat().replace("+00:00", "Z"),
        "finished": finished,
        "duration_s": {
            status: {name: sorted(found)[-(-len(found) * of // 100) - 1] for name, of in
                     {"p50": 50, "p95": 95, "max": 100}.items()}
            for status, found in durations.items()
        },
    }  # fmt: skip


async def test_the_counts_equal_a_scan_after_any_history() -> None:
    rng, counted = Random(5), await Counted().load()
    documents: dict[str, Document] = {}
    now = float(START)
    for step in range(300):
        now += rng.randrange(2, 8)
        changed = {}
        for number in rng.sample(range(60), rng.randrange(4)):
            status, started = rng.choice(["running", "queued", "completed", "failed"]), now - rng.randrange(7200)
            ended = now - rng.randrange(3700) if status in ("completed", "failed") else None
            started = started if ended is None else min(started, ended)
            owner = rng.choice(["ann", "bob"])
            changed[f"p{number}"] = written(f"p{number}", now, status, started=started, ended=ended, owner=owner)
        gone = [each for each in rng.sample(sorted(documents), min(1, len(documents))) if each not in changed]
        gone = gone if step % 5 == 0 else []
        await counted.change_at(now, *changed.values(), gone=tuple(gone))
        documents = {id_: each for id_, each in (documents | changed).items() if id_ not in gone}
        if step % 50 == 49:
            counted.model.distrust()
            await counted.load(*documents.values())
        await counted.stalls.check()
        stalled = {summary.process_id for summary in counted.model.held() if summary.is_stalled}
        everything = list(documents.values())
        assert {"complete": True, **scanned(everything, stalled, now)} == await counted.counts()
        anns = [each for each in everything if each.fields["owner"] == "ann"]
        assert {"complete": True, **scanned(anns, stalled, now)} == await counted.counts(owner="ann")
    assert stalled


async def test_dates_and_stalled_limit_what_is_counted() -> None:
    counted = await Counted().load(
        written("p1", START - 40, "running", started=100),
        written("p2", START, "running", started=200),
        written("p3", START, "running", started=300),
    )
    await counted.stalls.check()
    query = ListQuery(10, lower=200 * SECOND, upper=300 * SECOND, upper_inclusive=False)
    assert orjson.loads((await counted.reads.answer(query, SEES_EVERYTHING)).body)["processes"] == 1
    assert (await counted.counts(stalled=True))["by_status"] == {"running": 1}


async def test_a_window_smaller_than_the_collection_is_not_complete() -> None:
    counted = await Counted(window_size=2).load(written("p1", START, "running", started=1))
    assert (await counted.counts())["complete"] is True
    await counted.change_at(START + 1, written("p2", START + 1, "running", started=2))
    assert (await counted.counts())["complete"] is False


async def test_without_change_nothing_is_rendered_or_collected_again() -> None:
    counted = await Counted().load(written("p1", START, "running", started=1, owner="ann"))
    first = counted.reads.page("", SEES_EVERYTHING)
    assert first is not None
    assert counted.reads.page("", SEES_EVERYTHING) == first
    assert counted.reads.page("owner=ann", SEES_EVERYTHING) is None
    by_owner = ListQuery(10, filters={"owner": "ann"})
    await counted.counts(owner="ann")
    kept = counted.reads._collected[by_owner]
    await counted.counts(owner="ann")
    assert counted.reads._collected[by_owner] is kept
    await counted.change_at(START + 0.5, written("p2", START + 0.5, "running", started=2, owner="ann"))
    answer = await counted.reads.answer(by_owner, SEES_EVERYTHING)
    assert (orjson.loads(answer.body)["processes"], answer.age_s) == (1, 1)  # a second old, which Age says
    await counted.change_at(START + 2)
    answer = await counted.reads.answer(by_owner, SEES_EVERYTHING)
    assert (orjson.loads(answer.body)["processes"], answer.age_s) == (2, 0)


async def test_counts_of_50_times_more_are_rendered_in_about_the_same_time() -> None:
    """By the processor's time of this thread, the least of many. From what is kept, not from the processes."""
    counted = await Counted().load()
    took_s = []
    for count in (120, 6_000):
        for number in range(count):
            id_, day = f"p{number}", number % 20 + 1
            body = b'{"process_id":"","start_time":"2026-11-01T09:00:00Z","end_time":"2026-11-%02dT10:00:00Z"}' % day
            no_filters = (None, None)
            counted.model._index.put(ProcessSummary(id_, 1, ENDS[number % 3], (number, id_), no_filters, body, (), 1))
        statistics = counted.model.statistics
        assert sum(map(len, statistics.durations.values())) == count
        took_s.append(min(cost_s(lambda: counted.reads._render(statistics, SECOND)) for _ in range(50)))  # noqa: B023
    assert took_s[1] <= 5 * took_s[0]


def cost_s(run: Callable[[], object]) -> float:
    began = time.thread_time()
    run()
    return time.thread_time() - began


async def test_after_the_lease_the_last_counts_are_stale_and_then_refused() -> None:
    counted = await Counted().load(written("p1", START, "running", started=1))
    counted.clock.advance(16)
    assert counted.reads.page("", SEES_EVERYTHING) is None
    answer = await counted.reads.answer(ListQuery(10), SEES_EVERYTHING)
    assert (answer.source, answer.age_s) == (Source.STALE, 16)
    with pytest.raises(Unreachable):
        await counted.reads.answer(ListQuery(10), SEES_EVERYTHING, max_age_s=1)
    counted.clock.advance(45)
    with pytest.raises(Unreachable):
        await counted.reads.answer(ListQuery(10), SEES_EVERYTHING)
