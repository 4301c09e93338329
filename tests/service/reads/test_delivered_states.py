"""After a wait or stream has delivered a state from outside the model, plain requests get that one or a newer one."""

import asyncio
from typing import Any

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.model.indexes import indexes_of
from service.reads import delivered_states
from service.reads.delivered_states import DeliveredStates
from service.schema.compiled import ProcessSummary
from tests.service.scripted_firestore import Parts, ids, summary
from tests.service.virtual_time import settle

INDEXES = indexes_of(())
RUNNING = ListQuery(limit=3, filters={"status": "running"})


def process(name: str, version: int, start: int, status: str = "running") -> ProcessSummary:
    return summary(name, version, start, status=status)


ROWS = [process("c", 1, 30), process("b", 1, 20)]


async def remembered_read(parts: Parts, version: int, **how: Any) -> None:
    asked = await parts.asks(**how)
    parts.reader.gets[-1].finds(summary("p", version), read_time=version)
    await asked


@pytest.mark.parametrize("children", [(), ("products",), ("products", "logs")])
async def test_a_delivered_version_replaces_the_remembered_read(children: tuple[str, ...]) -> None:
    parts = Parts(window_size=1)
    await remembered_read(parts, 5, children=children)
    parts.reads.learn("p", summary("p", 7), 8, parts.clock())

    asked = await parts.asks(children=children)

    if children:
        parts.reader.gets[-1].finds(summary("p", 7), read_time=9)
        assert ((await asked).source, (await asked).version) == (Source.MISS, 7)
    else:
        assert ((await asked).source, (await asked).version) == (Source.CACHED, 7)


@pytest.mark.parametrize("children", [(), ("products",), ("products", "logs")])
async def test_a_delivered_deletion_replaces_the_remembered_read(children: tuple[str, ...]) -> None:
    parts = Parts(window_size=1)
    await remembered_read(parts, 5, children=children)
    parts.reads.learn("p", None, 8, parts.clock())

    asked = await parts.asks()

    assert ((await asked).source, (await asked).summary) == (Source.CACHED, None)
    asked = await parts.asks(children=("products",))
    parts.reader.gets[-1].finds(None, read_time=9)
    assert (await asked).summary is None


@pytest.mark.parametrize("told", [summary("p", 7), None], ids=["a version", "a deletion"])
async def test_a_read_under_way_that_knows_less_than_was_delivered_is_not_answered(told: ProcessSummary | None) -> None:
    parts = Parts(window_size=1)
    asked = await parts.asks()
    parts.reads.learn("p", told, 8, parts.clock())
    parts.reader.gets[0].finds(summary("p", 5), read_time=6)
    await settle()
    assert asked.done() or len(parts.reader.gets) == 2, "memory answers, or Firestore is asked again"
    if not asked.done():
        parts.reader.gets[1].finds(told, read_time=9)
    assert (await asked).version == (7 if told else 0)


async def test_a_read_later_than_what_was_delivered_stays() -> None:
    parts = Parts(window_size=1)
    await remembered_read(parts, 9)
    parts.reads.learn("p", summary("p", 7), 8, parts.clock())
    assert (await (await parts.asks())).version == 9


@pytest.mark.parametrize(
    ("told", "is_older"),
    [
        ({"b": process("b", 2, 20)}, True),
        ({"b": process("b", 2, 20, "failed")}, True),
        ({"b": None}, True),
        ({"b": process("b", 1, 20)}, False),
        ({"new": process("new", 2, 25)}, True),
        ({"new": process("new", 2, 25, "failed")}, False),
        ({"new": None}, False),
        ({"unlisted": summary("unlisted", 2, None, status="running")}, False),
    ],
    ids=["newer", "left the filter", "deleted", "same", "entered the filter", "another's", "unknown", "unlisted"],
)
def test_a_remembered_list_is_measured_by_what_was_delivered_since(
    told: dict[str, ProcessSummary | None], is_older: bool
) -> None:
    states = DeliveredStates(300, INDEXES)
    for name, state in told.items():
        states.add(name, state, 10.0)
    assert states.contradict(RUNNING, ROWS, 9.0) is is_older
    assert states.contradict(RUNNING, ROWS, 11.0) is False, "read after it"


@pytest.mark.parametrize(
    ("query", "start", "shows"),
    [
        (ListQuery(limit=2), 10, False),
        (ListQuery(limit=2), 25, True),
        (ListQuery(limit=3, after=(25, "x")), 25, True),
        (ListQuery(limit=3, after=(25, "a")), 25, False),
        (ListQuery(limit=3, lower=25), 25, True),
        (ListQuery(limit=3, lower=26), 25, False),
        (ListQuery(limit=3, upper=25), 25, True),
        (ListQuery(limit=3, upper=25, upper_inclusive=False), 25, False),
    ],
)
def test_a_process_belongs_on_a_page_or_not(query: ListQuery, start: int, shows: bool) -> None:
    states = DeliveredStates(300, INDEXES)
    states.add("new", process("new", 2, start), 10.0)
    assert states.contradict(query, ROWS, 9.0) is shows


def test_what_is_kept_is_bounded_and_what_is_left_out_is_distrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered_states, "MAX_DELIVERED", 2)
    states = DeliveredStates(300, INDEXES)
    for number in range(3):
        states.add(f"p{number}", None, float(number))
    assert len(states) == 2
    assert states.contradict(RUNNING, ROWS, 0.0)
    assert not states.contradict(RUNNING, ROWS, 0.5)
    states.add("later", None, 1_000.0)
    assert len(states) == 1


async def test_a_remembered_list_that_shows_less_than_was_delivered_is_read_again() -> None:
    parts = Parts(window_size=1)
    await parts.hears_all(1)
    parts.clock.advance(20)
    asked = await _page(parts)
    parts.reader.lists[0].outcome.set_result(ROWS)
    await asked
    parts.clock.advance(1)
    assert (await (await _page(parts))).source is Source.CACHED
    parts.reads.learn("b", process("b", 2, 20, "failed"), 2, parts.clock())
    asked = await _page(parts)
    parts.reader.lists[1].outcome.set_result(ROWS[:1])
    answer = await asked
    assert (answer.source, ids(answer.rows)) == (Source.MISS, ["c"])


async def _page(parts: Parts) -> Any:
    asked = asyncio.create_task(parts.answers.page(ListQuery(limit=2, filters={"status": "running"}), SEES_EVERYTHING))
    await settle()
    return asked
