"""A consumer of listener events that holds what it was told and checks the rules of the port on the way."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import firestore

from listeners.events import Changed, Confirmed, Document, Event, Replaced
from listeners.listener import Listener, ListenerFailure
from tests.waiting import until

FIELDS = ("status", "start_time")


@dataclass
class CountingObserver:
    """Adds up what it is told."""

    documents: int = 0
    probes: int = 0

    def documents_read(self, count: int) -> None:
        self.documents += count

    def probe_answered(self, seconds: float) -> None:
        self.probes += 1


@dataclass
class Consumer:
    """What a model would hold, by ID; `events` is everything applied, `opened` one entry for each connection."""

    clock: Callable[[], float] = time.monotonic
    events: list[Event] = field(default_factory=list)
    held: dict[str, Document] = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)

    def on_open(self) -> None:
        self.opened.append(len(self.events))

    async def apply(self, event: Event) -> None:
        assert event.as_of <= self.clock()
        assert self.opened, "an event before on_open"
        match event:
            case Replaced():
                self.held = {document.id: document for document in event.documents}
                assert len(self.held) == len(event.documents)
            case Changed():
                assert self.events, "the first event must be a Replaced"
                ids = [document.id for document in event.upserts] + [removal.id for removal in event.removals]
                assert ids, "an empty change is a Confirmed"
                assert len(ids) == len(set(ids))
                for removal in event.removals:
                    del self.held[removal.id]
                self.held |= {document.id: document for document in event.upserts}
            case Confirmed():
                assert self.events, "the first event must be a Replaced"
        self.events.append(event)

    @property
    def news(self) -> list[Event]:
        """The events in which something changed."""
        return [event for event in self.events if not isinstance(event, Confirmed)]

    async def until_news(self, count: int) -> list[Event]:
        await until(lambda: len(self.news) >= count, f"{count} events with news")
        return self.news

    async def until_holds(self, *ids: str) -> None:
        await until(lambda: self.held.keys() == set(ids), f"holding {sorted(ids)}")

    def statuses(self) -> dict[str, object]:
        return {document.id: document.fields.get("status") for document in self.held.values()}


class BrokenStream(AssertionError):
    """What was waited for has not come, for the server has broken its own stream, as Google's emulator sometimes does.

    Under load it garbles one in 800 (`protocol_error`) or falls silent; a supervisor connects again, these tests can't.
    """


@contextlib.asynccontextmanager
async def listening(listener: Listener, consumer: Consumer) -> AsyncIterator["asyncio.Task[None]"]:
    """The listener running into the consumer; stopped, and its end awaited, on the way out."""
    task = asyncio.create_task(listener.run(consumer.apply, consumer.on_open), name="listener")
    try:
        yield task
    except AssertionError as error:
        failure = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(failure, ListenerFailure) and failure.reason in ("protocol_error", "probe_unanswered"):
            raise BrokenStream(str(failure)) from error
        raise
    finally:
        task.cancel()
        await asyncio.wait({task})


async def failure_of(task: "asyncio.Task[None]") -> ListenerFailure:
    """The failure in which this run ends by itself."""
    await until(task.done, "the run's end")
    error = task.exception()
    assert isinstance(error, ListenerFailure), error
    return error


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@contextlib.contextmanager
def writing_client(project: str) -> Any:
    """A client that commits; finds its server through the environment."""
    client = firestore.Client(project=project)
    try:
        yield client
    finally:
        client._firestore_api.transport.close()
