"""Single documents followed by themselves: told at every consistent point, started again, let go without a trace."""

import asyncio
from collections.abc import Callable
from random import Random

from listeners.events import Changed, Confirmed, Document, Event, Removal, Replaced
from listeners.listener import Apply, CannotConfirm, ListenerFailure
from listeners.on_snapshot.document_watch import DocumentWatches, OneDocument
from listeners.window import Window
from tests.listeners.wanted import by
from tests.waiting import until

WINDOW = Window("a-project", "(default)", "jobs", by("timestamp"), 100)
FIRST, SECOND = Document("import-1", 100, {"status": "running"}), Document("import-1", 200, {"status": "completed"})


class Scripted:
    """A listener whose every connection says what the script has for it, then ends or, after the last, stays."""

    def __init__(self, *connections: list[Event]) -> None:
        self._connections = list(connections)
        self.running = 0

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        on_open()
        self.running += 1
        try:
            for event in self._connections.pop(0):
                await apply(event)
            if not self._connections:
                await asyncio.Event().wait()
            raise ListenerFailure("unavailable")
        finally:
            self.running -= 1

    async def confirm(self) -> float:
        raise CannotConfirm("scripted")

    def forget(self) -> None: ...


class Following:
    """Watches over one scripted listener, and what was heard of it."""

    def __init__(self, listener: Scripted, limit: int = 2) -> None:
        self.asked: list[OneDocument] = []
        self.heard: list[tuple[int | None, int]] = []
        self.slept: list[float] = []
        self._listener = listener
        self.watches = DocumentWatches(WINDOW, self._make, randomness=Random(1), sleep=self._sleep, limit=limit)

    def _make(self, document: OneDocument) -> Scripted:
        self.asked.append(document)
        return self._listener

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def hear(self, document: Document | None, read_time: int, as_of: float) -> None:
        self.heard.append((document.update_time if document else None, read_time))


async def test_every_consistent_point_is_told_with_the_document_as_it_is_then() -> None:
    listener = Scripted(
        [
            Replaced([FIRST], 110, 1.0),
            Confirmed(120, 2.0),
            Changed([SECOND], (), 210, 3.0),
            Changed([], [Removal("import-1", None)], 300, 4.0),
        ]
    )
    following = Following(listener)

    assert following.watches.follow("import-1", following.hear) is not None
    await until(lambda: len(following.heard) == 4, "all is told")

    assert following.heard == [(100, 110), (100, 120), (200, 210), (None, 300)]
    assert following.asked == [OneDocument("a-project", "(default)", "jobs", by("timestamp"), 1, "import-1")]
    await following.watches.close()
    assert listener.running == 0


async def test_a_connection_that_ends_is_made_again_after_a_growing_back_off() -> None:
    following = Following(Scripted([], [], [], [Replaced([FIRST], 110, 1.0)]))

    following.watches.follow("import-1", following.hear)
    await until(lambda: following.heard, "it is connected at last")

    assert following.heard == [(100, 110)]
    assert following.slept[0] == 0
    assert 0 < following.slept[1] < 1.5 * 1.5
    await following.watches.close()


async def test_what_is_released_is_told_nothing_more_and_makes_room() -> None:
    listener = Scripted([Replaced([FIRST], 110, 1.0)])
    following = Following(listener, limit=1)
    watch = following.watches.follow("import-1", following.hear)
    assert watch is not None
    await until(lambda: following.heard, "it is told")
    assert following.watches.follow("import-2", following.hear) is None

    watch.release()
    await until(lambda: listener.running == 0, "its connection has ended")
    await until(lambda: repr(following.watches) == "<DocumentWatches 0 of 1>", "there is room")

    assert following.heard == [(100, 110)]
