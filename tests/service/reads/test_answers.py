"""Which source answers one process, and what may be claimed about it. Lists are in test_answers_lists.py."""

import asyncio
from typing import Any

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.list_query import ListQuery
from service.api.sources import Source
from service.errors import BudgetExhausted, ReadRefused, Unreachable
from service.reads.answers import Answer, Answers
from tests.service.scripted_firestore import Parts, ScriptedListener, document, summary
from tests.service.virtual_time import settle
from tests.waiting import until

HIT, MISS, CACHED, STALE = Source.HIT, Source.MISS, Source.CACHED, Source.STALE


def claim(answer: Answer) -> tuple[Source, int, int]:
    """(source, version, Age); version 0 for a 404."""
    return answer.source, answer.version, answer.age_s


async def test_the_model_answers_under_its_lease_and_says_how_old_it_is() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 7, 0)
    parts.clock.advance(0.2)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 7, 1)
    parts.clock.advance(14.8)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 7, 15)
    assert parts.reader.gets == []


async def test_not_one_answer_comes_from_a_model_whose_lease_lapsed() -> None:
    parts = Parts(window_size=0)
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(15.001)
    assert parts.answers.status_from_model("p", SEES_EVERYTHING) is None
    assert parts.answers.status_from_model("unknown", SEES_EVERYTHING) is None
    asking = await parts.asks()
    parts.reader.gets[0].finds(summary("p", 8), read_time=2)
    assert claim(await asking) == (MISS, 8, 0)
    parts.clock.advance(4.1)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (CACHED, 8, 5)
    parts.model.confirm(parts.clock())
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 7, 0)


@pytest.mark.parametrize(("window_size", "reads"), [(0, 0), (100, 1)])
async def test_an_unknown_id_is_404_without_a_read_only_where_everything_is_held(window_size: int, reads: int) -> None:
    parts = Parts(window_size=window_size)
    before_sync = await parts.asks("unknown")
    assert len(parts.reader.gets) == 1
    parts.reader.gets[0].finds(None, read_time=1)
    await before_sync
    parts.clock.advance(2)
    await parts.hears_all(5)
    asking = await parts.asks("unknown")
    assert len(parts.reader.gets) == 1 + reads
    if reads:
        parts.reader.gets[1].finds(None, read_time=5)
    assert claim(await asking) == (MISS if reads else HIT, 0, 0)


async def test_an_absence_remembered_ends_with_the_creation() -> None:
    parts = Parts()
    await parts.hears_all(1)
    asking = await parts.asks()
    parts.reader.gets[0].finds(None, read_time=2)
    assert claim(await asking) == (MISS, 0, 0)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (CACHED, 0, 0)
    await parts.hears(3, document("p", 3))
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 3, 0)


async def test_a_read_that_the_listener_overtook_is_never_answered() -> None:
    parts = Parts()
    await parts.hears_all(1)
    asking = await parts.asks()
    await parts.hears(20, document("p", 15))
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    assert claim(await asking) == (HIT, 15, 0)


@pytest.mark.parametrize("jump_s", [0.0, 3600.0])
async def test_a_deleted_process_is_not_answered_from_a_late_read(jump_s: float) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    parts.clock.advance(16)
    asking = await parts.asks()
    await parts.hears_removal(20, "p")
    parts.clock.advance(jump_s)
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    await settle()
    parts.reader.gets[1].finds(None, read_time=30)
    assert claim(await asking) == (MISS, 0, 0)


async def test_a_process_evicted_from_the_window_while_it_is_read_is_read_again() -> None:
    parts = Parts(window_size=1)
    await parts.hears_all(1, document("p", 1, 1))
    parts.clock.advance(16)
    asking = await parts.asks()
    await parts.hears_removal(20, "p", deleted=False)
    parts.reader.gets[0].finds(summary("p", 1), read_time=10)
    await settle()
    parts.reader.gets[1].finds(summary("p", 18), read_time=21)
    assert claim(await asking) == (MISS, 18, 0)


async def test_an_answer_that_is_overtaken_again_and_again_is_a_503() -> None:
    parts = Parts()
    await parts.hears_all(1)
    asking = await parts.asks()
    for attempt in range(3):
        await parts.hears_removal(100 + attempt, "p")
        parts.reader.gets[attempt].finds(summary("p", 5), read_time=10 + attempt)
        await settle()
    with pytest.raises(Unreachable):
        await asking


async def test_a_hundred_strong_requests_share_their_reads() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    parts.clock.advance(1)
    older = await parts.asks(max_age_s=0)
    strong = [asyncio.create_task(parts.answers.status("p", SEES_EVERYTHING, max_age_s=0)) for _ in range(100)]
    await settle()
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await settle()
    assert not any(each.done() for each in strong)  # none is content with a read that began before it came
    assert len(parts.reader.gets) == 2
    parts.reader.gets[1].finds(summary("p", 6), read_time=20)
    assert {claim(answer) for answer in await asyncio.gather(*strong)} == {(MISS, 6, 0)}
    assert claim(await older) == (MISS, 5, 0)


async def test_a_strong_request_is_a_hit_of_age_0_where_the_listener_can_prove_it() -> None:
    parts = Parts(can_probe=True)
    await parts.hears_all(1, document("p", 1))
    parts.clock.advance(3)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING, max_age_s=0)) == (HIT, 1, 0)
    assert (parts.listener.proofs, parts.reader.gets) == (1, [])


@pytest.mark.parametrize(("max_age_s", "proofs"), [(0, 1), (2, 1), (3, 0), (10, 0)])
async def test_max_age_asks_for_a_proof_only_where_the_model_is_older(max_age_s: float, proofs: int) -> None:
    parts = Parts(can_probe=True)
    await parts.hears_all(1, document("p", 1))
    parts.clock.advance(3)
    answer = await parts.answers.status("p", SEES_EVERYTHING, max_age_s=max_age_s)
    assert answer.source is HIT
    assert answer.age_s <= max_age_s
    assert parts.listener.proofs == proofs


async def test_a_request_that_joins_a_read_under_way_claims_that_reads_age() -> None:
    parts = Parts()
    first = await parts.asks()
    parts.clock.advance(0.5)
    joined = await parts.asks()
    parts.clock.advance(0.2)
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    assert claim(await first) == (MISS, 5, 0)
    assert claim(await joined) == (CACHED, 5, 1)
    assert len(parts.reader.gets) == 1


async def test_a_joined_read_that_is_too_old_by_its_end_is_made_anew() -> None:
    parts = Parts()
    first = await parts.asks()
    parts.clock.advance(0.5)
    joined = await parts.asks()
    parts.clock.advance(1)
    parts.reader.gets[0].finds(None, read_time=10)  # an absence is remembered for 1 s
    await first
    await settle()
    parts.reader.gets[1].finds(summary("p", 20), read_time=20)
    assert claim(await joined) == (MISS, 20, 0)


@pytest.mark.parametrize("error", [Unreachable("down"), ReadRefused("no index"), BudgetExhausted(1)])
async def test_the_last_known_state_is_stale_whatever_kept_it_from_being_read(error: Exception) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(20)
    asking = await parts.asks()
    parts.reader.gets[0].fails(error)
    assert claim(await asking) == (STALE, 7, 20)


async def test_polls_beyond_the_budget_get_the_last_known_state_at_once() -> None:
    parts = Parts(concurrency=1)
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(20)
    hanging = await parts.asks("unknown")
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (STALE, 7, 20)
    with pytest.raises(BudgetExhausted):
        await parts.answers.status("p", SEES_EVERYTHING, max_age_s=0)
    hanging.cancel()
    await settle()


async def test_a_known_outage_costs_neither_a_read_nor_the_budget() -> None:
    parts = Parts(rate=1)
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(20)
    parts.circuit.read_failed(0, "down")
    for _ in range(5):
        assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (STALE, 7, 20)
        assert (await parts.answers.page(ListQuery(10), SEES_EVERYTHING)).source is STALE
        assert (await parts.answers.batch(["p"], SEES_EVERYTHING)).source is STALE
        for max_age_s, known_version in ((0, 0), (19, 0), (None, 8)):
            with pytest.raises(Unreachable):
                await parts.answers.status("p", SEES_EVERYTHING, max_age_s=max_age_s, known_version=known_version)
    assert (parts.reader.gets, parts.reader.lists, parts.reader.batches) == ([], [], [])
    parts.circuit.succeeded()
    asking = await parts.asks()
    parts.reader.gets[0].finds(summary("p", 8), read_time=10)
    assert claim(await asking) == (MISS, 8, 0)


async def test_max_age_holds_for_what_is_remembered_too() -> None:
    parts = Parts()
    asking = await parts.asks()
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    await asking
    parts.clock.advance(3)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING, max_age_s=3)) == (CACHED, 5, 3)
    strict = await parts.asks(max_age_s=2)
    parts.reader.gets[1].finds(summary("p", 6), read_time=20)
    assert claim(await strict) == (MISS, 6, 0)


async def test_what_is_as_old_as_a_strong_request_by_the_clock_may_be_older() -> None:
    parts = Parts(can_probe=True)
    await parts.hears_all(1, document("p", 1))
    assert claim(await parts.answers.status("p", SEES_EVERYTHING, max_age_s=0)) == (HIT, 1, 0)
    assert parts.listener.proofs == 1
    unproven = Parts()
    asking = await unproven.asks()
    unproven.reader.gets[0].finds(summary("p", 5), read_time=10)
    await asking
    strong = await unproven.asks(max_age_s=0)
    unproven.reader.gets[1].finds(summary("p", 6), read_time=20)
    assert claim(await strong) == (MISS, 6, 0)


async def test_a_strong_request_is_given_nothing_stale_even_of_age_0() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 1))
    assert await stale(parts, max_age_s=0) is None
    listing = asyncio.create_task(parts.answers.page(ListQuery(10), SEES_EVERYTHING, max_age_s=0))
    await settle()
    parts.reader.lists[0].outcome.set_exception(Unreachable("down"))
    with pytest.raises(Unreachable):
        await listing


async def test_nothing_older_than_what_the_client_saw_is_answered() -> None:
    parts = Parts()
    await parts.hears_all(5, document("p", 5))
    assert claim(await parts.answers.status("p", SEES_EVERYTHING, known_version=5)) == (HIT, 5, 0)
    asking = await parts.asks(known_version=9)
    parts.reader.gets[0].finds(summary("p", 9), read_time=10)
    assert claim(await asking) == (MISS, 9, 0)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING, known_version=9)) == (CACHED, 9, 0)
    older_read = await parts.asks(known_version=12)
    parts.reader.gets[1].fails(Unreachable("down"))
    with pytest.raises(Unreachable):
        await older_read  # both the model's 5 and the cache's 9 would be steps back


async def test_a_client_that_is_ahead_joins_no_read_from_before_it_came() -> None:
    parts = Parts()
    await parts.hears_all(1)
    early = await parts.asks()
    ahead = await parts.asks(known_version=9)
    parts.reader.gets[0].finds(summary("p", 5), read_time=10)
    assert claim(await early) == (MISS, 5, 0)
    await settle()
    parts.reader.gets[1].finds(summary("p", 9), read_time=20)
    assert claim(await ahead) == (MISS, 9, 0)


async def test_a_whole_model_that_is_behind_a_client_gives_it_no_404() -> None:
    parts = Parts(window_size=0)
    await parts.hears_all(1)
    assert parts.answers.status_from_model("p", SEES_EVERYTHING, known_version=9) is None


async def stale(parts: Parts, **how: Any) -> tuple[Source, int, int] | None:
    """What is answered while Firestore can't be reached; None for a 503."""
    asking = await parts.asks(**how)
    if not asking.done():
        parts.reader.gets[-1].fails(Unreachable("down"))
    try:
        return claim(await asking)
    except Unreachable:
        return None


async def test_the_model_is_stale_on_error_within_its_bound() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(300)
    assert await stale(parts) == (STALE, 7, 300)
    assert await stale(parts, known_version=7) == (STALE, 7, 300)
    assert await stale(parts, known_version=8) is None
    assert await stale(parts, max_age_s=299) is None
    assert await stale(parts, max_age_s=0) is None
    assert await stale(parts, children=("products",)) is None
    parts.clock.advance(0.1)
    assert await stale(parts) is None


async def test_children_are_stale_on_error_only_as_they_were_read_together() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    asking = await parts.asks(children=("products", "logs"))
    parts.reader.gets[0].finds(summary("p", 7), read_time=10)
    await asking
    parts.clock.advance(200)
    assert await stale(parts, children=("products", "logs")) == (STALE, 7, 200)
    assert await stale(parts, children=("logs",)) is None
    assert await stale(parts, children=("products", "logs"), max_age_s=0) is None
    parts.clock.advance(100.1)
    assert await stale(parts, children=("products", "logs")) is None


async def test_what_was_read_is_stale_on_error_within_its_bound() -> None:
    parts = Parts()
    asking = await parts.asks()
    parts.reader.gets[0].finds(summary("p", 7), read_time=10)
    await asking
    parts.clock.advance(299)
    assert await stale(parts) == (STALE, 7, 299)
    parts.clock.advance(1.5)
    assert await stale(parts) is None


@pytest.mark.parametrize(("found", "version"), [(9, 9), (None, 0)])
async def test_stale_is_the_last_known_state_even_where_the_model_holds_an_older_one(
    found: int | None, version: int
) -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    parts.clock.advance(20)
    asking = await parts.asks()
    parts.reader.gets[0].finds(None if found is None else summary("p", found), read_time=10)
    assert claim(await asking) == (MISS, version, 0)
    parts.clock.advance(100)
    assert await stale(parts) == (STALE, version, 100)


async def test_a_distrusted_model_is_not_even_stale() -> None:
    parts = Parts()
    await parts.hears_all(1, document("p", 7))
    parts.model.distrust()
    assert await stale(parts) is None


async def test_polls_of_known_ids_are_answered_while_direct_reads_are_refused() -> None:
    parts = Parts(concurrency=1)
    await parts.hears_all(1, document("p", 7))
    flooding = await parts.asks("made-up-1")
    with pytest.raises(BudgetExhausted):
        await parts.answers.status("made-up-2", SEES_EVERYTHING)
    assert claim(await parts.answers.status("p", SEES_EVERYTHING)) == (HIT, 7, 0)
    flooding.cancel()
    await settle()
    assert parts.budget.under_way == 0


class NeverConfirms(ScriptedListener):
    """A listener that leaves those who ask for a proof waiting."""

    async def confirm(self) -> float:
        self.proofs += 1
        never: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        return await never


@pytest.mark.parametrize("is_overtaken", [False, True])
async def test_a_listener_that_never_confirms_leaves_a_strong_read_its_time(is_overtaken: bool) -> None:
    parts = Parts()
    parts.answers = Answers(
        parts.model, parts.reads, NeverConfirms(), clock=parts.clock, stale_if_error_s=300, timeout_s=1
    )
    await parts.hears_all(1, document("p", 7))
    asking = asyncio.create_task(parts.answers.status("p", SEES_EVERYTHING, max_age_s=0))
    await until(lambda: parts.reader.gets, "a direct read after half of the time")
    if is_overtaken:
        await parts.hears(9, document("p", 9))
        parts.reader.gets[0].finds(summary("p", 8), read_time=8)
        await until(lambda: len(parts.reader.gets) == 2, "another, without asking the listener again")
    parts.reader.gets[-1].finds(summary("p", 9), read_time=10)
    assert claim(await asking) == (MISS, 9, 0)
