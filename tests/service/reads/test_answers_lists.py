"""Which source answers a list."""

import asyncio

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.errors import Unreachable
from service.reads.answers import ListAnswer
from service.schema.compiled import ProcessSummary
from tests.service.scripted_firestore import Parts, document, ids, summary
from tests.service.virtual_time import settle

HIT, MISS, CACHED, STALE = Source.HIT, Source.MISS, Source.CACHED, Source.STALE
THREE = [document("c", 1, 3), document("b", 1, 2), document("a", 1, 1)]


def claim(answer: ListAnswer) -> tuple[Source, list[str] | None, bool, int]:
    return answer.source, ids(answer.rows), answer.has_more, answer.age_s


async def reads(
    parts: Parts, query: ListQuery, found: list[ProcessSummary] | Exception, **how: float
) -> "asyncio.Task[ListAnswer]":
    """Ask, and let Firestore answer the direct read that this takes."""
    before = len(parts.reader.lists)
    asking = asyncio.create_task(parts.answers.page(query, SEES_EVERYTHING, **how))
    await settle()
    assert len(parts.reader.lists) == before + 1
    pending = parts.reader.lists[-1]
    assert pending.query.limit == query.limit + 1
    if isinstance(found, Exception):
        pending.outcome.set_exception(found)
    else:
        pending.outcome.set_result(found)
    return asking


@pytest.mark.parametrize(
    ("query", "rows", "has_more"),
    [(ListQuery(2), ["c", "b"], True), (ListQuery(3), ["c", "b", "a"], False), (ListQuery(9, lower=4), [], False)],
)
async def test_a_page_says_whether_another_follows(query: ListQuery, rows: list[str], has_more: bool) -> None:
    parts = Parts()
    await parts.hears_all(1, *THREE)
    assert claim(await parts.answers.page(query, SEES_EVERYTHING)) == (HIT, rows, has_more, 0)


async def test_an_empty_model_that_has_not_synced_is_no_empty_list() -> None:
    parts = Parts()
    asking = await reads(parts, ListQuery(2), [summary("x", 1, 9)])
    assert claim(await asking) == (MISS, ["x"], False, 0)


async def test_what_the_window_cannot_prove_is_asked_of_firestore() -> None:
    parts = Parts(window_size=3)
    await parts.hears_all(1, *THREE)
    assert claim(await parts.answers.page(ListQuery(2), SEES_EVERYTHING)) == (HIT, ["c", "b"], True, 0)
    asking = await reads(parts, ListQuery(3), [summary(id_, 1) for id_ in "cba0"])
    assert claim(await asking) == (MISS, ["c", "b", "a"], True, 0)
    parts.clock.advance(1.5)
    assert claim(await parts.answers.page(ListQuery(3), SEES_EVERYTHING)) == (CACHED, ["c", "b", "a"], True, 2)


async def test_a_lapsed_model_lists_nothing() -> None:
    parts = Parts()
    await parts.hears_all(1, *THREE)
    parts.clock.advance(15.1)
    asking = await reads(parts, ListQuery(2), [])
    assert claim(await asking) == (MISS, [], False, 0)


async def test_a_strong_list_is_proven_by_the_listener_or_read() -> None:
    parts = Parts(can_probe=True)
    await parts.hears_all(1, *THREE)
    parts.clock.advance(3)
    assert claim(await parts.answers.page(ListQuery(2), SEES_EVERYTHING, max_age_s=0)) == (HIT, ["c", "b"], True, 0)
    assert parts.listener.proofs == 1
    unproven = Parts()
    await unproven.hears_all(1, *THREE)
    unproven.clock.advance(1)
    for row in ("w", "x"):  # the clock stands still: what was read at the same instant may be older
        asking = await reads(unproven, ListQuery(2), [summary(row, 1)], max_age_s=0)
        assert claim(await asking) == (MISS, [row], False, 0)
    unproven.clock.advance(3)
    again = await reads(unproven, ListQuery(2), [summary("y", 1)], max_age_s=2)
    assert claim(await again) == (MISS, ["y"], False, 0)


async def test_identical_lists_share_one_read_and_strong_ones_only_a_later_one() -> None:
    parts = Parts()
    asking = [asyncio.create_task(parts.answers.page(ListQuery(2), SEES_EVERYTHING)) for _ in range(50)]
    await settle()
    strong = [asyncio.create_task(parts.answers.page(ListQuery(2), SEES_EVERYTHING, max_age_s=0)) for _ in range(50)]
    await settle()
    assert len(parts.reader.lists) == 1
    parts.reader.lists[0].outcome.set_result([])
    await settle()
    assert len(parts.reader.lists) == 2
    assert not any(each.done() for each in strong)
    parts.reader.lists[1].outcome.set_result([summary("x", 1)])
    assert {tuple(ids(page.rows) or []) for page in await asyncio.gather(*asking)} == {()}
    assert {tuple(ids(page.rows) or []) for page in await asyncio.gather(*strong)} == {("x",)}


async def test_a_list_is_stale_on_error_within_its_bound() -> None:
    parts = Parts()
    await parts.hears_all(1, *THREE)
    parts.clock.advance(300)
    asking = await reads(parts, ListQuery(2), Unreachable("down"))
    assert claim(await asking) == (STALE, ["c", "b"], True, 300)
    with pytest.raises(Unreachable):
        await (await reads(parts, ListQuery(2), Unreachable("down"), max_age_s=299))
    parts.clock.advance(0.1)
    with pytest.raises(Unreachable):
        await (await reads(parts, ListQuery(2), Unreachable("down")))


async def test_the_younger_of_two_stale_lists_is_answered() -> None:
    parts = Parts()
    await parts.hears_all(1, *THREE)
    parts.clock.advance(200)
    await (await reads(parts, ListQuery(2), [summary("newer", 9, 9)]))
    parts.clock.advance(60)
    asking = await reads(parts, ListQuery(2), Unreachable("down"))
    assert claim(await asking) == (STALE, ["newer"], False, 60)


async def test_a_list_that_joins_a_read_under_way_claims_that_reads_age() -> None:
    parts = Parts()
    asking = [asyncio.create_task(parts.answers.page(ListQuery(2), SEES_EVERYTHING))]
    await settle()
    parts.clock.advance(0.5)
    asking.append(asyncio.create_task(parts.answers.page(ListQuery(2), SEES_EVERYTHING)))
    await settle()
    parts.clock.advance(0.2)
    parts.reader.lists[0].outcome.set_result([summary("x", 1, 9)])
    first, joined = await asyncio.gather(*asking)
    assert claim(first) == (MISS, ["x"], False, 0)
    assert claim(joined) == (CACHED, ["x"], False, 1)
    assert len(parts.reader.lists) == 1
