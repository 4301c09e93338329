"""When probes go out and whom they serve. Time is told, not spent."""

import asyncio
from collections.abc import Callable

import pytest

from listeners.listener import CannotConfirm
from listeners.stream.probes import Probes

INTERVAL_S = 8.0
BACKLOG_LIMIT_S = 120.0


@pytest.fixture
async def probes() -> Probes:
    return Probes(INTERVAL_S, timeout_s=60.0, backlog_limit_s=BACKLOG_LIMIT_S)


def passes(
    probes: Probes,
    seconds: int,
    *,
    start: float = 100.0,
    reached: Callable[[float], float] = lambda now: 0.0,
    has_flowed: bool = False,
    is_held_back: bool = False,
) -> bool:
    """Whether the stream is given up in the course of so many seconds from `start`, seen every second.

    `reached`: from the time to how far the stream's points have come.
    """
    found = [
        probes.pass_time(1.0, now, reached=reached(now), has_flowed=has_flowed, is_held_back=is_held_back)
        for now in (start + second for second in range(1, seconds + 1))
    ]
    return any(found)


def up_to_date(now: float) -> float:
    """A stream whose points are of this moment."""
    return now


async def test_a_probe_serves_all_who_waited_when_it_was_sent_and_nobody_later(probes: Probes) -> None:
    first, second = probes.ask(), probes.ask()
    probes.sent(2, 100.0)
    late = probes.ask()
    probes.answered(2, 100.5, 101.0)
    assert (first.result(), second.result(), late.done()) == (100.5, 100.5, False)
    assert probes.is_due.is_set()


async def test_the_answer_to_a_later_probe_serves_those_of_the_earlier_too(probes: Probes) -> None:
    first = probes.ask()
    probes.sent(2, 100.0)
    second = probes.ask()
    probes.sent(3, 101.0)
    assert [probe.target_id for probe in probes.answered(3, 101.5, 102.0)] == [2, 3]
    assert (first.result(), second.result()) == (101.5, 101.5)
    assert probes.answered(2, 102.0, 103.0) == []


async def test_no_more_than_two_are_out(probes: Probes) -> None:
    probes.sent(2, 100.0)
    await probes.until_room()
    probes.sent(3, 101.0)
    room = asyncio.ensure_future(probes.until_room())
    await asyncio.sleep(0)
    assert not room.done()
    probes.answered(2, 101.0, 102.0)
    await room


async def test_the_second_waits_half_a_round_trip_after_the_first(probes: Probes) -> None:
    assert probes.pause_s(100.0) == 0.0
    probes.sent(2, 100.0)
    probes.answered(2, 100.0, 104.0)
    assert probes.pause_s(104.0) == 0.0
    probes.sent(3, 110.0)
    assert probes.pause_s(110.5) == 1.5
    assert probes.pause_s(113.0) == 0.0


async def test_one_is_due_every_interval_after_the_one_before(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.answered(2, 100.0, 100.1)
    passes(probes, 7)
    assert not probes.is_due.is_set()
    passes(probes, 1)
    assert probes.is_due.is_set()


async def test_a_stalled_stream_is_found_within_three_intervals(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.answered(2, 100.0, 100.1)
    elapsed, sent = 0, 2
    while not passes(probes, 1):
        elapsed += 1
        if probes.is_due.is_set():
            sent += 1
            probes.sent(sent, 100.0 + elapsed)
    assert sent == 4
    assert elapsed < 3 * INTERVAL_S


async def test_one_unanswered_probe_is_not_yet_a_stall(probes: Probes) -> None:
    probes.sent(2, 100.0)
    assert not passes(probes, 100)


async def test_a_backlog_before_the_answer_is_not_a_stall(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.sent(3, 101.0)
    assert not passes(probes, 100, has_flowed=True)
    assert passes(probes, 9, start=200.0)


async def test_a_consumer_that_holds_back_reading_is_not_a_stall(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.sent(3, 101.0)
    assert not passes(probes, 1000, is_held_back=True)


async def test_points_that_catch_up_with_a_probe_slowly_are_a_backlog_too(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.sent(3, 101.0)
    assert not passes(probes, 100, reached=lambda now: now / 2, has_flowed=True)


async def test_points_newer_than_two_probes_without_an_answer_are_a_stall(probes: Probes) -> None:
    probes.sent(2, 100.0)
    assert not passes(probes, 4, reached=up_to_date, has_flowed=True)
    assert probes.is_due.is_set()  # half an interval after the first
    probes.sent(3, 104.0)
    assert not passes(probes, 8, start=104.0, reached=up_to_date, has_flowed=True)
    assert passes(probes, 1, start=112.0, reached=up_to_date, has_flowed=True)


async def test_what_was_read_after_a_freeze_does_not_count_against_a_probe(probes: Probes) -> None:
    probes.sent(2, 100.0)
    probes.sent(3, 101.0)
    passes(probes, 1, start=101.0)
    thawed_at = 201.0
    assert not passes(probes, 5, start=thawed_at, reached=lambda now: thawed_at, has_flowed=True)
    assert not passes(probes, 4, start=thawed_at + 5, reached=up_to_date, has_flowed=True)
    assert passes(probes, 1, start=thawed_at + 9, reached=up_to_date, has_flowed=True)


async def test_a_backlog_without_end_is_given_up_at_its_limit(probes: Probes) -> None:
    probes.sent(2, 100.0)
    assert not passes(probes, 120, has_flowed=True)
    assert passes(probes, 1, start=220.0, has_flowed=True)


async def test_the_end_of_the_stream_wakes_everybody(probes: Probes) -> None:
    out = probes.ask()
    probes.sent(2, 100.0)
    waiting = probes.ask()
    probes.end("gone")
    for waiter in (out, waiting):
        with pytest.raises(CannotConfirm, match="gone"):
            await waiter
    await probes.until_room()


async def test_who_gave_up_waiting_harms_nobody(probes: Probes) -> None:
    gone, stays = probes.ask(), probes.ask()
    gone.cancel()
    probes.sent(2, 100.0)
    probes.answered(2, 100.5, 101.0)
    assert stays.result() == 100.5
    ended = probes.ask()
    ended.cancel()
    probes.end("gone")


async def test_who_waits_too_long_is_sent_away_and_the_probe_stays_out() -> None:
    probes = Probes(INTERVAL_S, timeout_s=0.01, backlog_limit_s=BACKLOG_LIMIT_S)
    sent = probes.ask()
    probes.sent(2, 100.0)
    waiting = probes.ask()
    for waiter in (sent, waiting):
        with pytest.raises(CannotConfirm, match="within"):
            await waiter
    assert [probe.target_id for probe in probes.answered(2, 100.0, 101.0)] == [2]


async def test_each_waiter_has_its_time_limit_while_two_probes_stay_out() -> None:
    probes = Probes(INTERVAL_S, timeout_s=0.01, backlog_limit_s=BACKLOG_LIMIT_S)
    probes.sent(2, 100.0)
    probes.sent(3, 100.0)
    for _ in range(3):  # before, only the first of these was sent away
        async with asyncio.timeout(10):
            with pytest.raises(CannotConfirm, match="within"):
                await probes.ask()
