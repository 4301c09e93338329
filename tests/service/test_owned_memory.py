"""Moments at which memory holds another owner's process: an outage, a document that is followed, a read under way."""

import asyncio
import json

import pytest

from service.api.caller import SEES_EVERYTHING, Caller
from service.api.sources import Source
from tests.service.owned_world import Watching, World

ANN, BOB = Caller("ann", "ann"), Caller("bob", "bob")
SECRET, ABSENT, NEWER = "secret", "absent", "z" * 20


async def world_of_bob(window_size: int = 0) -> World:
    """`secret` is bob's. With a window of one it stands outside, behind `NEWER`."""
    world = World(window_size)
    world.write(SECRET, "bob")
    world.write(NEWER, "carl")
    return await world.load()


@pytest.mark.parametrize("window_size", [0, 1])
async def test_an_outage_shows_nobody_the_last_known_state_of_another_s(window_size: int) -> None:
    world = await world_of_bob(window_size)
    assert (await world.poll(SECRET, BOB))[0] in (Source.HIT, Source.MISS)
    world.is_down = True
    await world.timers.advance(20)
    for caller, is_shown in ((BOB, True), (SEES_EVERYTHING, True), (ANN, False)):
        seen, batch = await world.poll(SECRET, caller), await world.batch([SECRET], caller)
        assert (seen[0] is Source.STALE, batch[0] is Source.STALE) == (is_shown, is_shown), caller.name
        if not is_shown:
            assert seen == await world.poll(ABSENT, caller) == ("Unreachable",)
            assert batch == await world.batch([ABSENT], caller)


async def test_a_document_that_its_owner_follows_answers_no_stranger() -> None:
    world = await world_of_bob(window_size=1)
    assert isinstance(await world.follow(SECRET, BOB), Watching)
    await world.hear()
    assert (await world.wait(SECRET, BOB, 1)).source is Source.HIT
    waits = [world.wait(process_id, ANN, known) for process_id in (SECRET, ABSENT) for known in (0, 1)]
    await world.run()
    assert [task.done() and task.result().summary for task in waits[:2]] == [
        task.done() and task.result().summary for task in waits[2:]
    ]
    assert not any(task.done() and task.result().body for task in waits)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_owner_and_stranger_who_read_at_once_get_each_their_own() -> None:
    world = await world_of_bob(window_size=1)
    world.reader.is_open.clear()
    polls = [asyncio.ensure_future(world.poll(SECRET, caller)) for caller in (ANN, BOB, ANN, BOB)]
    await world.run()
    world.reader.is_open.set()
    bodies = [(await poll)[-1] for poll in polls]
    assert [bool(body) for body in bodies] == [False, True, False, True]
    assert json.loads(bodies[1])["process_id"] == SECRET  # type: ignore[arg-type]
    assert [call[0] for call in world.reader.calls] == ["get"] * 2
