"""Who waits for a process, and who is streamed to: told of every change that the model or a followed document brings.

Lives on the event loop. Register first, look second: a watcher is told of what becomes visible from its registration
on, so that nothing falls between its look and its wait. A change is told in slices, whoever waits costs no task of its
own, and every client's backlog is bounded. What a lapsed lease keeps from being told is told when the lapse is over.

A watched process that the model does not hold is followed by itself, for all its watchers together, and let go a while
after the last of them has left.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from listeners.events import Document
from listeners.following import OnDocument
from service.errors import WatchRefused
from service.model.read_model import Applied, ReadModel
from service.runtime.slices import CallLater, Handle, InOrder, Slices
from service.schema.compiled import ProcessSummary, Schema
from service.watch.comments import Comments
from service.watch.containment import contain
from service.watch.model_streams import ModelStream, ModelStreams
from service.watch.watched_process import Changes, ProcessStream, Wait, WatchedProcess, Watcher

log = logging.getLogger(__name__)

LINGER_S = 30.0
"""How long a document is followed after its last watcher has left: clients that poll come right back."""


class Following(Protocol):
    """A document being followed."""

    def release(self) -> None:
        """Follow it no longer; nothing is said from now on."""


class FollowsDocuments(Protocol):
    """Whoever can keep single documents current."""

    def follow(self, process_id: str, on_document: OnDocument) -> Following | None:
        """Call `on_document`, on the event loop, with the document as it is, at every change and as it is confirmed.

        A document may be followed once at a time. None where no more documents can be followed.
        """


class Remembers(Protocol):
    """The cache of direct reads, which answers plain requests for processes outside the model."""

    def learn(self, process_id: str, summary: ProcessSummary | None, read_time: int, as_of: float) -> None:
        """Clients are told this state: nothing older is answered from now on."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the operator decided."""

    max_watchers: int
    schema: Schema


class WatchObserver(Protocol):
    """Whoever counts. Called on the event loop."""

    def watching(self, count: int) -> None:
        """So many waits and streams are open."""

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """These fields of this version could not be read."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What was last heard of a document that is followed by itself; `as_of` on the injected clock."""

    summary: ProcessSummary | None
    read_time: int
    as_of: float


class _Topic(WatchedProcess):
    """A watched process, and what keeps it current where the model does not."""

    __slots__ = ("exists", "followed", "following", "letting_go")

    def __init__(self, process_id: str) -> None:
        super().__init__(process_id)
        self.exists = False
        """Whether it has been found: what does not exist is not listened to, it comes through the window."""
        self.followed: Followed | None = None
        self.following: Following | None = None
        self.letting_go: Handle | None = None


class Watchers:
    """Opens waits and streams, and tells them."""

    def __init__(
        self,
        model: ReadModel,
        documents: FollowsDocuments,
        reads: Remembers,
        slices: Slices,
        options: WatchOptions,
        *,
        call_later: CallLater,
        observer: WatchObserver,
        rng: Random,
    ) -> None:
        self._model = model
        self._documents = documents
        self._reads = reads
        self._slices = slices
        self._failures = slices.failures
        self._options = options
        self._call_later = call_later
        self._observer = observer
        self._rng = rng
        self.changes = Changes(options.schema.file.status.terminal)
        self.count = 0
        self.is_stopping = False
        self._topics: dict[str, _Topic] = {}
        self._model_streams = ModelStreams(model, slices)
        self._untold = InOrder(slices, self._tell)
        self._comments = Comments(call_later, slices)
        model.subscribe(self._on_applied)

    def __repr__(self) -> str:
        return f"<Watchers {self.count} open, of {len(self._topics)} processes>"

    # -- for clients

    def add(self, process_id: str, watcher: Watcher) -> None:
        """From now on it is told of the process's changes. Raises: WatchRefused. `leave` must follow."""
        self._enter()
        self._topic(process_id).watchers.add(watcher)

    def wait(self, process_id: str) -> Wait:
        """Register a client that will wait. Raises: WatchRefused. `leave` must follow."""
        wait = Wait()
        self.add(process_id, wait)
        return wait

    def stream(self, process_id: str, *, follows: bool = False) -> ProcessStream:
        """Register a client that one process is streamed to. Raises: WatchRefused. `leave` must follow."""
        stream = ProcessStream(follows=follows)
        self.add(process_id, stream)
        self._comments.add(stream)
        return stream

    def leave(self, process_id: str, watcher: Watcher) -> None:
        """Nothing of the watcher remains."""
        topic = self._topics[process_id]
        topic.watchers.discard(watcher)
        self._left()
        try:
            watcher.close()
        except Exception as error:  # noqa: BLE001 - contained
            contain(self._failures, watcher, "close", error)
        if isinstance(watcher, ProcessStream):
            self._comments.discard(watcher)
        if not topic.watchers:
            self._nobody_watches(topic)

    def stream_model(self, status: str | None, since: int | None) -> ModelStream:
        """Register a client that every process is streamed to. Raises: WatchRefused. `leave_model` must follow."""
        self._enter()
        stream = self._model_streams.open(status, since)
        self._comments.add(stream)
        return stream

    def leave_model(self, status: str | None, stream: ModelStream) -> None:
        """Nothing of the stream remains."""
        self._model_streams.close(status, stream)
        self._comments.discard(stream)
        self._left()

    def keep_current(self, process_id: str) -> None:
        """The process exists and is watched: where the model does not hold it, follow it by itself."""
        topic = self._topics[process_id]
        topic.exists = True
        is_outside = self._model.has_synced and not self._model.holds_everything and self._model.get(process_id) is None
        if is_outside and topic.following is None:
            topic.following = self._documents.follow(
                process_id, lambda document, read_time, as_of: self._on_document(topic, document, read_time, as_of)
            )
            if topic.following is None:
                log.warning("a watched process outside the window can't be followed: too many are already")

    def followed(self, process_id: str) -> Followed | None:
        """What was last heard of a document that is followed by itself."""
        topic = self._topics.get(process_id)
        return None if topic is None else topic.followed

    def end_in(self, watcher: Watcher, seconds: float) -> Handle:
        """Call the watcher's `farewell` then, unless the timer is cancelled."""
        return self._call_later(max(0.0, seconds), lambda: self._end(watcher))

    def retry_ms(self) -> int:
        """When a stream's client should connect again: jittered, for they all lose the same server at once."""
        return self._rng.randrange(1_000, 5_000)

    def stop(self) -> None:
        """End all waits and streams, in slices, and open no more."""
        self.is_stopping = True
        self._comments.stop()
        for topic in [topic for topic in self._topics.values() if topic.letting_go is not None]:
            topic.letting_go.cancel()  # type: ignore[union-attr] # just asked
            self._let_go(topic)
        self._slices.add(self._end_all())

    # -- telling

    def _on_applied(self, applied: Applied) -> None:
        """In the step in which the batch becomes visible: note it, tell it later."""
        self._model_streams.applied(applied)
        if self._topics:
            self._untold.add(applied)

    def _tell(self, applied: Applied) -> Iterator[None]:
        yield from self._tell_watched(applied)
        if applied.is_first_load:
            yield from self._follow_those_outside()

    def _tell_watched(self, applied: Applied) -> Iterator[None]:
        topics = self._topics
        for summary in applied.upserts:
            topic = topics.get(summary.process_id)
            if topic is not None:
                self._slices.add(topic.tell(self.changes.upsert(summary), self._failures))
            yield
        for process_id, deleted in applied.removed.items():
            topic = topics.get(process_id)
            if topic is not None:
                self._removed(topic, deleted, applied.read_time)
            yield

    def _removed(self, topic: _Topic, deleted: bool | None, read_time: int) -> None:
        """Gone from Firestore, or only from the window: where the listener can't tell, the document itself can."""
        if deleted or (deleted is None and self._model.holds_everything):
            self._slices.add(topic.tell(self.changes.deletion(topic.process_id, read_time), self._failures))
        elif topic.watchers:
            self._try_to_keep_current(topic)
            if topic.followed is not None:
                self._tell_followed(topic, topic.followed)

    def _follow_those_outside(self) -> Iterator[None]:
        for topic in tuple(self._topics.values()):
            if topic.watchers and topic.exists:
                self._try_to_keep_current(topic)
            yield

    def _try_to_keep_current(self, topic: _Topic) -> None:
        """As `keep_current`; a failure ends the connections of this process's watchers and reaches no other process."""
        try:
            self.keep_current(topic.process_id)
        except Exception as error:  # noqa: BLE001 - contained
            for watcher in topic.watchers:
                contain(self._failures, watcher, "keep_current", error)

    def _on_document(self, topic: _Topic, document: Document | None, read_time: int, as_of: float) -> None:
        """A consistent point of a followed document."""
        before = topic.followed
        held = None if before is None else before.summary
        if before is not None and (document.update_time if document else 0) == (held.version if held else 0):
            topic.followed = replace(before, read_time=read_time, as_of=as_of)
            return
        summary = None
        if document is not None:
            summary, malformed = self._options.schema.summarize(document.id, document.update_time, document.fields)
            if malformed:
                self._observer.malformed(document.id, document.update_time, malformed)
        topic.followed = Followed(summary, read_time, as_of)
        if self._model.get(topic.process_id) is None:  # else the model, which answers plain requests, tells it
            self._tell_followed(topic, topic.followed)

    def _tell_followed(self, topic: _Topic, followed: Followed) -> None:
        """The cache learns it first: no plain request after it is answered with less."""
        process_id, summary, read_time = topic.process_id, followed.summary, followed.read_time
        self._reads.learn(process_id, summary, read_time, followed.as_of)
        changes = self.changes
        change = changes.deletion(process_id, read_time) if summary is None else changes.upsert(summary)
        self._slices.add(topic.tell(change, self._failures))

    # -- coming and going

    def _enter(self) -> None:
        if self.is_stopping:
            raise WatchRefused("This server is stopping; try again", 0)
        if self.count >= self._options.max_watchers:
            raise WatchRefused("Too many open waits and event streams; try again later", 5)
        self.count += 1
        self._observer.watching(self.count)

    def _left(self) -> None:
        self.count -= 1
        self._observer.watching(self.count)

    def _topic(self, process_id: str) -> _Topic:
        topic = self._topics.get(process_id)
        if topic is None:
            topic = self._topics[process_id] = _Topic(process_id)
        if topic.letting_go is not None:
            topic.letting_go.cancel()
            topic.letting_go = None
        return topic

    def _nobody_watches(self, topic: _Topic) -> None:
        if topic.following is None or self.is_stopping:
            self._let_go(topic)
        else:
            topic.letting_go = self._call_later(LINGER_S, lambda: self._let_go(topic))

    def _let_go(self, topic: _Topic) -> None:
        del self._topics[topic.process_id]
        if topic.following is None:
            return
        try:
            topic.following.release()
        except Exception as error:  # noqa: BLE001 - reported; whoever left last must not fail for it
            self._failures.report("letting a followed document go", error)

    def _end(self, watcher: Watcher | ModelStream) -> None:
        try:
            watcher.farewell()
        except Exception as error:  # noqa: BLE001 - contained
            contain(self._failures, watcher, "farewell", error)

    def _end_all(self) -> Iterator[None]:
        """Those who come meanwhile are refused, so a list made now names all."""
        for watcher in [watcher for topic in self._topics.values() for watcher in topic.watchers]:
            self._end(watcher)
            yield
        for stream in self._model_streams.every():
            self._end(stream)
            yield
