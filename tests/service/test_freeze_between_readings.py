"""A process may be frozen between any two instructions: no Age is claimed by another reading of the clock than the one
by which it was found to be within its bound, and no read from before a freeze passes for a new one."""

import asyncio

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.errors import Unreachable
from tests.service.scripted_firestore import Parts, document, summary
from tests.service.virtual_time import Clock, settle

LEASE_S, TTL_S, STALE_S = 15, 5, 300
NEWEST = ListQuery(limit=1)


def thaw_after(readings: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the clock leaps so far after so many readings."""
    left = readings

    def read(clock: Clock) -> float:
        nonlocal left
        left -= 1
        now = clock.now
        if left == 0:
            clock.now += seconds
        return now

    monkeypatch.setattr(Clock, "__call__", read)


@pytest.mark.parametrize("readings", range(1, 7))
async def test_a_hit_never_claims_more_than_the_lease(readings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(LEASE_S - 0.5)
    thaw_after(readings, 3600, monkeypatch)

    asking = await parts.asks()
    if asking.done():
        assert asking.result().source is Source.HIT
        assert asking.result().age_s <= LEASE_S
    asking.cancel()


@pytest.mark.parametrize("readings", range(1, 7))
async def test_a_list_never_claims_more_than_the_lease(readings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7), document("q", 8))
    parts.clock.advance(LEASE_S - 0.5)
    thaw_after(readings, 3600, monkeypatch)
    parts.reader.error = Unreachable("nobody there")
    try:
        page = await parts.answers.page(NEWEST, SEES_EVERYTHING)
    except Unreachable:
        return
    assert (page.source, page.age_s <= LEASE_S) == (Source.HIT, True)


@pytest.mark.parametrize("readings", range(1, 10))
@pytest.mark.parametrize("waited_s", [TTL_S - 0.5, STALE_S - 0.5])
async def test_what_was_read_never_claims_more_than_its_bound(
    readings: int, waited_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = Parts()
    reading = await parts.gets()
    parts.reader.gets[0].finds(summary("p", 7), read_time=1)
    await reading
    parts.clock.advance(waited_s)
    thaw_after(readings, 3600, monkeypatch)

    asking = await parts.asks()
    if not asking.done():
        parts.reader.gets[1].fails(Unreachable("nobody there"))
        await settle()
    if asking.exception() is None:
        answer = asking.result()
        assert answer.age_s <= {Source.CACHED: TTL_S, Source.STALE: STALE_S}[answer.source]


async def test_who_comes_after_a_freeze_is_not_given_the_read_from_before_it() -> None:
    parts = Parts()
    before = await parts.asks()
    parts.clock.advance(6)  # frozen; the answer lies in the socket, and somebody asks before it has been looked at
    after = await parts.asks()
    parts.reader.gets[0].finds(summary("p", 7), read_time=1)
    await settle()
    assert (await before).version == 7
    assert not after.done()
    parts.reader.gets[1].finds(summary("p", 8), read_time=2)
    answer = await after
    assert (answer.source, answer.version, answer.age_s) == (Source.MISS, 8, 0)


async def test_who_comes_after_a_freeze_is_not_given_the_list_from_before_it() -> None:
    parts = Parts()
    first = asyncio.create_task(parts.answers.page(NEWEST, SEES_EVERYTHING))
    await settle()
    parts.clock.advance(6)
    second = asyncio.create_task(parts.answers.page(NEWEST, SEES_EVERYTHING))
    await settle()
    parts.reader.lists[0].outcome.set_result([summary("p", 7)])
    await settle()
    assert first.done()
    assert not second.done()
    parts.reader.lists[1].outcome.set_result([summary("q", 8), summary("p", 7)])
    page = await second
    assert (page.source, page.age_s, page.rows[0].process_id) == (Source.MISS, 0, "q")
