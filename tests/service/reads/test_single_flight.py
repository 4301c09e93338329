"""Identical concurrent calls share one; a fresh one never joins what had begun before it was asked for."""

import asyncio

import pytest

from service.reads.single_flight import SingleFlight
from tests.service.virtual_time import settle


class Calls:
    """Every call made, each ended by the test."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Future[str]] = []

    async def __call__(self) -> str:
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.begun.append(outcome)
        return await outcome


async def test_concurrent_calls_share_one_and_the_next_is_made_anew() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flights.share("k", calls)) for _ in range(100)]
    await settle()
    assert len(calls.begun) == 1
    calls.begun[0].set_result("first")
    assert await asyncio.gather(*waiters) == ["first"] * 100
    await settle()
    assert len(flights) == 0
    again = asyncio.create_task(flights.share("k", calls))
    await settle()
    calls.begun[1].set_result("second")
    assert await again == "second"


async def test_other_keys_fly_alone() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flights.share(key, calls)) for key in ("a", "b")]
    await settle()
    assert len(calls.begun) == 2
    for call in calls.begun:
        call.set_result("x")
    await asyncio.gather(*waiters)


async def test_a_fresh_call_never_joins_one_that_had_begun() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    older = asyncio.create_task(flights.share("k", calls))
    await settle()
    fresh = [asyncio.create_task(flights.share("k", calls, fresh=True)) for _ in range(100)]
    await settle()
    calls.begun[0].set_result("before")
    await settle()
    assert len(calls.begun) == 2
    fresher = asyncio.create_task(flights.share("k", calls, fresh=True))
    await settle()
    calls.begun[1].set_result("after")
    await settle()
    assert len(calls.begun) == 3
    calls.begun[2].set_result("later still")
    assert await older == "before"
    assert await asyncio.gather(*fresh) == ["after"] * 100
    assert await fresher == "later still"
    await settle()
    assert len(flights) == 0


async def test_a_fresh_call_in_the_very_turn_of_the_landing_does_not_join() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    older = asyncio.create_task(flights.share("k", calls))
    await settle()
    calls.begun[0].set_result("before")
    for _ in range(4):  # at every step between the call's end and its landing
        fresh = asyncio.create_task(flights.share("k", calls, fresh=True))
        await asyncio.sleep(0)
        assert not fresh.done()
        fresh.cancel()
    assert await older == "before"
    await settle()
    assert len(flights) == 0


async def test_an_error_reaches_all_who_wait_and_nobody_later() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    waiters = [asyncio.create_task(flights.share("k", calls)) for _ in range(3)]
    await settle()
    calls.begun[0].set_exception(ValueError("broken"))
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == ["ValueError('broken')"] * 3
    await settle()
    assert len(flights) == 0


async def test_one_of_several_leaving_disturbs_nobody() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    leaving, staying = (asyncio.create_task(flights.share("k", calls)) for _ in range(2))
    await settle()
    leaving.cancel()
    await settle()
    assert not calls.begun[0].done()
    calls.begun[0].set_result("x")
    assert await staying == "x"
    assert leaving.cancelled()


async def test_the_last_to_leave_cancels_the_call_and_the_next_gets_a_new_one() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    leaving = [asyncio.create_task(flights.share("k", calls)) for _ in range(2)]
    await settle()
    for waiter in leaving:
        waiter.cancel()
    await asyncio.wait(leaving)
    arriving = asyncio.create_task(flights.share("k", calls))  # while the cancelled one is still going down
    await settle()
    assert calls.begun[0].cancelled()
    assert len(calls.begun) == 2
    calls.begun[1].set_result("x")
    assert await arriving == "x"
    await settle()
    assert len(flights) == 0


async def test_fresh_waiters_outlive_the_flight_they_wait_behind() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    older = asyncio.create_task(flights.share("k", calls))
    await settle()
    fresh = asyncio.create_task(flights.share("k", calls, fresh=True))
    await settle()
    older.cancel()
    await settle()
    calls.begun[1].set_result("after")
    assert await fresh == "after"
    with pytest.raises(asyncio.CancelledError):
        await older


async def test_fresh_waiters_that_leave_before_their_turn_cost_nothing() -> None:
    flights: SingleFlight[str] = SingleFlight()
    calls = Calls()
    older = asyncio.create_task(flights.share("k", calls))
    await settle()
    fresh = asyncio.create_task(flights.share("k", calls, fresh=True))
    await settle()
    fresh.cancel()
    await settle()
    calls.begun[0].set_result("x")
    assert await older == "x"
    await settle()
    assert len(calls.begun) == 1
    assert len(flights) == 0
