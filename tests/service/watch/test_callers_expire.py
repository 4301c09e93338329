"""Waits and streams end when their caller's token does."""

from service.api.caller import Caller
from service.api.waits import Wanted
from service.reads.answers import Answer
from service.watch.event_stream import StreamState
from service.watch.long_poll_waiter import LongPollWaiter, WaitCondition
from tests.service.owned_world import Watching, World

PROCESS = "import-1"


async def world_and_ann(expires_in_s: float = 10) -> tuple[World, Caller]:
    world = World(0)
    world.write(PROCESS, "ann")
    await world.load()
    return world, Caller("ann", "ann", world.clock() + expires_in_s)


async def test_a_wait_is_granted_no_more_than_its_caller_has_left() -> None:
    world, ann = await world_and_ann(expires_in_s=9.5)
    assert [world.polls.granted_s(seconds, ann) for seconds in (5, 30)] == [5, 9]
    waiting = world.wait(PROCESS, ann, world.versions[PROCESS])
    await world.run()
    await world.timers.advance(9)
    await world.run()
    assert not waiting.done()
    await world.timers.advance(0.6)
    await world.run()
    assert (await waiting).version == world.versions[PROCESS]


async def test_a_wait_without_a_task_ends_with_its_caller_too() -> None:
    world, ann = await world_and_ann()
    answers: list[Answer | None] = []
    condition = WaitCondition(ann, 30, Wanted(), f'"v{world.versions[PROCESS]}"')
    assert isinstance(world.polls.begin(PROCESS, condition, answers.append), LongPollWaiter)
    await world.timers.advance(9.9)
    assert answers == []
    await world.timers.advance(0.2)
    assert [answer and answer.version for answer in answers] == [world.versions[PROCESS]]


async def test_streams_end_at_that_moment_and_say_why() -> None:
    world, ann = await world_and_ann()
    every, one = world.follow_all(ann, {}), await world.follow(PROCESS, ann)
    assert isinstance(one, Watching)
    for watching in (every, one):
        assert watching.stream.state is StreamState.FLOWING
    await world.timers.advance(9.9)
    assert [watching.stream.state for watching in (every, one)] == [StreamState.FLOWING] * 2
    await world.timers.advance(0.2)
    for watching in (every, one):
        assert watching.stream.state is StreamState.ENDED
        assert "token of this stream has expired" in watching.reader.text


async def test_a_stream_that_is_left_before_leaves_no_timer() -> None:
    world, ann = await world_and_ann()
    before = world.timers.pending
    every = world.follow_all(ann, {})
    every.leave()
    assert world.timers.pending == before
