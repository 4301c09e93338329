"""Verifications, one after the other, with rests between them; in the test's time."""

import asyncio

import pytest

from service.access.pace import MAX_REST_S, Pace


class Time:
    """Moves when somebody verifies or rests."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rests: list[float] = []

    def verifies(self, seconds: float) -> float:
        self.now += seconds
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.rests.append(round(seconds, 6))
        ends_at = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, ends_at)  # sleeps that begin together end together


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    return Pace(clock=lambda: time.now, sleep=time.sleep)


async def test_the_first_verification_waits_for_nothing(time: Time, pace: Pace) -> None:
    assert await pace.run(lambda: time.verifies(0.0002)) == time.now
    time.now += 1
    await pace.run(lambda: time.verifies(0.0002))
    assert time.rests == []


async def test_verifications_take_a_quarter_of_the_time_at_most(time: Time, pace: Pace) -> None:
    begun = time.now
    ended = await asyncio.gather(*(pace.run(lambda: time.verifies(0.0002)) for _ in range(10)))
    assert ended == sorted(ended)
    assert time.rests == [0.0006] * 9
    assert time.now - begun == pytest.approx(10 * 0.0002 + 9 * 0.0006)


async def test_a_slow_machine_does_not_stop_verifications(time: Time, pace: Pace) -> None:
    await asyncio.gather(*(pace.run(lambda: time.verifies(1.0)) for _ in range(2)))
    assert time.rests == [MAX_REST_S]


async def test_who_fails_or_leaves_makes_room_for_the_next(time: Time, pace: Pace) -> None:
    with pytest.raises(ZeroDivisionError):
        await pace.run(lambda: time.verifies(0.001) / 0)
    await pace.run(lambda: time.verifies(0.001))
    assert time.rests == [0.003]  # forged tokens fail
    leaving, staying = (asyncio.create_task(pace.run(lambda: time.verifies(0.001))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == time.now
