"""The parts that watch, and clients of every kind, one of which is made to fail."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from service.api.caller import SEES_EVERYTHING
from service.api.waits import Wanted
from service.reads.answers import Answer
from service.runtime.failure_log import FailureLog
from service.runtime.slicer import Slicer
from service.watch.event_stream import StreamState
from service.watch.long_poll_waiter import LongPollWaiter, WaitCondition
from service.watch.long_polls import LongPolls
from service.watch.model_stream import ModelStream
from service.watch.watchers import Watchers, WatchOptions
from tests.service.schemas import schema
from tests.service.scripted_firestore import Parts, document
from tests.service.watch.watched import Documents, Observer, Reader, Timers

OTHERS = 100

KINDS = ("direct", "tasked", "streamed", "streamed_all")


class Injected(Exception):
    """The failure that a test makes."""


@dataclass
class Direct:
    """A long poll without a task."""

    answers: list[Answer | None] = field(default_factory=list)
    watcher: Any = None

    def is_served(self) -> bool:
        return [answer.version if answer else None for answer in self.answers] == [2]

    def is_ended(self) -> bool:
        return self.answers == [None]


@dataclass
class Tasked:
    """A long poll with a task, which waits for a future."""

    watcher: LongPollWaiter
    future: "asyncio.Future[None]"

    def is_served(self) -> bool:
        return self.future.done() and self.watcher.change is not None and self.watcher.change.key == 2

    def is_ended(self) -> bool:
        return self.future.done() and self.watcher.change is None


@dataclass
class Streamed:
    """An event stream, of one process or of all."""

    watcher: Any
    reader: Reader

    def is_served(self) -> bool:
        return "id: 2\n" in self.reader.text and self.watcher.state is not StreamState.DROPPED

    def is_ended(self) -> bool:
        return self.reader.is_aborted


Client = Direct | Tasked | Streamed


class Service:
    """The parts that watch, with time and turns of the loop in the test's hands."""

    def __init__(self) -> None:
        self.parts = Parts(window_size=10)
        self.documents, self.turns = Documents(), list[Callable[[], None]]()
        self.timers = Timers(self.parts.clock)
        self.slicer = Slicer(self.turns.append, failures=FailureLog(self.parts.clock))
        self.watchers = Watchers(
            self.parts.model,
            self.documents,
            self.parts.reads,
            self.slicer,
            WatchOptions(1_000, schema(terminal=("completed",))),
            call_later=self.timers.call_later,
            observer=Observer(),
            rng=Random(1),
        )
        self.polls = LongPolls(
            self.parts.answers, self.watchers, self.parts.model, clock=self.parts.clock, lease_s=10_000
        )

    async def loaded(self) -> "Service":
        await self.parts.hears_all(1, document("p", 1), document("q", 1))
        self.run()
        return self

    def run(self) -> None:
        while self.turns:
            self.turns.pop(0)()

    def direct(self, process_id: str) -> Direct:
        client = Direct()

        def end(answer: Answer | None) -> None:
            client.answers.append(answer)
            client.watcher.leave()

        client.watcher = self.polls.begin(process_id, WaitCondition(SEES_EVERYTHING, 60, Wanted(), '"v1"'), end)
        return client

    def tasked(self, process_id: str) -> Tasked:
        waiter = self.waiter(process_id)
        return Tasked(waiter, waiter.completion(1, 60, self.watchers.wake_ups))

    def waiter(self, process_id: str) -> LongPollWaiter:
        """A waiter that does not wait yet."""
        waiter = LongPollWaiter(self.polls, process_id, WaitCondition(SEES_EVERYTHING, 60, Wanted(), '"v1"'))
        self.watchers.add(process_id, waiter)
        return waiter

    def streamed(self, process_id: str) -> Streamed:
        stream, reader = self.watchers.stream(process_id, SEES_EVERYTHING), Reader()
        held = self.parts.model.get(process_id)
        assert held is not None
        stream.begin(reader, self.watchers.changes.upsert(held), None)
        return Streamed(stream, reader)

    def streamed_all(self, _: str) -> Streamed:
        stream, reader = self.watchers.stream_model({}, SEES_EVERYTHING, None), Reader()
        stream.begin(reader)
        return Streamed(stream, reader)

    def streamed_status(self, _: str) -> Streamed:
        stream, reader = self.watchers.stream_model({"status": "no such status"}, SEES_EVERYTHING, None), Reader()
        stream.begin(reader)
        return Streamed(stream, reader)

    def leave(self, process_id: str, client: Client) -> None:
        if isinstance(client.watcher, ModelStream):
            self.watchers.leave_model({}, SEES_EVERYTHING, client.watcher)
        elif not (isinstance(client, Direct) and client.answers):
            self.watchers.leave(process_id, client.watcher)


def break_for(patch: pytest.MonkeyPatch, victim: object, kind: type, place: str) -> None:
    """This method raises for one of the kind."""
    original = getattr(kind, place)

    def broken(self: object, *arguments: object) -> object:
        if self is victim:
            raise Injected(place)
        return original(self, *arguments)

    patch.setattr(kind, place, broken)


def injected(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The lines that log the injected failure with its stack."""
    return [line for line in caplog.records if line.exc_info and line.exc_info[0] is Injected]
