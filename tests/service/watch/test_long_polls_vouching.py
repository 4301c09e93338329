"""A wait is answered from a followed document only while the stream of that document has confirmed it."""

import asyncio
from collections.abc import Callable
from random import Random

from service.api.caller import SEES_EVERYTHING
from service.api.sources import Source
from service.api.waits import Wanted
from service.runtime.slicer import Slicer
from service.watch.long_poll_waiter import WaitCondition
from service.watch.long_polls import LongPolls
from service.watch.watchers import Watchers, WatchOptions
from tests.service.schemas import schema
from tests.service.scripted_firestore import Parts, document, summary
from tests.service.virtual_time import settle
from tests.service.watch.watched import Documents, Observer, Timers


async def test_a_change_heard_too_late_is_read_although_the_model_is_fresh() -> None:
    parts, documents, turns = Parts(window_size=1), Documents(), list[Callable[[], None]]()
    watchers = Watchers(
        parts.model,
        documents,
        parts.reads,
        Slicer(turns.append),
        WatchOptions(10, schema(terminal=())),
        call_later=Timers(parts.clock).call_later,
        observer=Observer(),
        rng=Random(1),
    )
    polls = LongPolls(parts.answers, watchers, parts.model, clock=parts.clock, lease_s=15)
    await parts.hears_all(1, document("in the window", 1, 9))
    waiting = asyncio.create_task(polls.status("p", WaitCondition(SEES_EVERYTHING, 30, Wanted(), '"v1"')))
    await settle()
    parts.reader.gets[0].finds(summary("p", 1), read_time=2)
    await settle()
    documents.followed["p"](document("p", 5), 5, parts.clock() - 15.1)  # it lay in the socket of a frozen process
    while turns:
        turns.pop(0)()
    await settle()
    assert not waiting.done()
    parts.reader.gets[1].finds(summary("p", 7), read_time=9)
    answer = await waiting
    assert answer is not None
    assert (answer.source, answer.version, answer.age_s) == (Source.MISS, 7, 0)
