"""Delivers every change of a watched process to its watchers, from either source of changes.

One source is the model, with its batches. The other are followed documents: watched processes that exist, but are not
in the model. All watchers of a process share one followed document; it is released LINGER_S after its last watcher has
left. Deliveries run in slices. Lives on the event loop.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from listeners.events import Document
from listeners.following import OnDocument
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.model.stalled import IsDue
from service.runtime.clock import CallLater
from service.runtime.slicer import Slicer
from service.schema.compiled import ProcessSummary, Schema, stalled
from service.watch.changes import Change, Changes
from service.watch.containment import contain
from service.watch.watched_process import Followed, Following, WatchedProcess

log = logging.getLogger(__name__)

LINGER_S = 30.0
"""How long a document is still followed without a watcher: most clients soon come back."""


class FollowsDocuments(Protocol):
    """Keeps single documents current: the supervised listener."""

    def follow(self, process_id: str, on_document: OnDocument) -> Following | None:
        """Call `on_document` on the event loop: with the present document, at every change, and at confirmations.

        A document can be followed only once at a time. Returns None if no more documents can be followed.
        """


class LearnsStates(Protocol):
    """The cache of direct reads, which answers plain requests for processes outside the model."""

    def known(self, process_id: str) -> ProcessSummary | None:
        """The newest state in memory of an existing process."""

    def learn(self, process_id: str, summary: ProcessSummary | None, read_time: int, as_of: float) -> None:
        """Watchers are about to get this state: from now on the cache must not answer with an older one."""


class DeliveryObserver(Protocol):
    """Metrics callbacks, called on the event loop."""

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """These fields of this version could not be read."""


@dataclass(frozen=True, slots=True)
class ChangeSources:
    """The sources of changes, and the cache that must know a change before watchers get it."""

    model: ReadModel
    documents: FollowsDocuments
    reads: LearnsStates
    schema: Schema


class Deliveries:
    """The watched processes by ID. `applied` must be called in the step in which a batch becomes visible."""

    def __init__(
        self, sources: ChangeSources, slicer: Slicer, *, call_later: CallLater, observer: DeliveryObserver
    ) -> None:
        self._sources = sources
        self._model = sources.model
        self._slicer = slicer
        self._failures = slicer.failures
        self._call_later = call_later
        self._observer = observer
        self._batches = slicer.lane()
        self._is_stopping = False
        self.changes = Changes(sources.model.finishes, sources.schema.identity)
        self.processes: dict[str, WatchedProcess] = {}
        self._followed: dict[str, WatchedProcess] = {}  # the processes with a `following`

    def __repr__(self) -> str:
        return f"<Deliveries to the watchers of {len(self.processes)} processes>"

    def process(self, process_id: str) -> WatchedProcess:
        """The watched process. The caller must add a watcher to it."""
        process = self.processes.get(process_id)
        if process is None:
            process = self.processes[process_id] = WatchedProcess(process_id)
        if process.linger is not None:
            process.linger.cancel()
            process.linger = None
        return process

    def abandoned(self, process: WatchedProcess) -> None:
        """The last watcher has left."""
        if process.following is None or self._is_stopping:
            self._forget(process)
        else:
            process.linger = self._call_later(LINGER_S, lambda: self._forget(process))

    def keep_current(self, process_id: str) -> None:
        """The process exists and is watched: follow its document if it is not in the model."""
        process, model = self.processes[process_id], self._model
        process.exists = True
        is_outside = model.has_synced and not model.holds_everything and model.get(process_id) is None
        if is_outside and process.following is None:
            process.following = self._sources.documents.follow(
                process_id, lambda document, read_time, as_of: self._on_document(process, document, read_time, as_of)
            )
            if process.following is not None:
                self._followed[process_id] = process
            else:
                log.warning("cannot follow a watched process outside the window: too many are followed already")

    def followed(self, process_id: str) -> Followed | None:
        """The last known state of a followed document."""
        process = self.processes.get(process_id)
        return None if process is None else process.followed

    def stop(self) -> None:
        """Release every document that has no watcher any more."""
        self._is_stopping = True
        for process in [process for process in self.processes.values() if process.linger is not None]:
            process.linger.cancel()  # type: ignore[union-attr] # not None, as the line above has checked
            self._forget(process)

    def _forget(self, process: WatchedProcess) -> None:
        del self.processes[process.process_id]
        if process.following is None:
            return
        del self._followed[process.process_id]
        try:
            process.following.release()
        except Exception as error:  # noqa: BLE001 - reported; the client that left last must not fail because of it
            self._failures.report("the release of a followed document", error)

    # -- from the model

    def applied(self, applied: Applied) -> None:
        """Deliver the batch, later and in slices."""
        if self.processes:
            self._batches.add(self._deliver_batch(applied))

    def _deliver_batch(self, applied: Applied) -> Iterator[None]:
        processes = self.processes
        yield from self._deliver_summaries(applied.upserts)
        for process_id, deleted in applied.removed.items():
            process = processes.get(process_id)
            if process is not None:
                self._on_removal(process, deleted, applied.read_time)
            yield
        if applied.is_first_load:
            for process in tuple(processes.values()):
                if process.watchers and process.exists:
                    self._try_to_keep_current(process)
                yield

    def stalled(self, summaries: Sequence[ProcessSummary]) -> None:
        """Deliver that these processes stall, after all earlier batches."""
        if self.processes:
            self._batches.add(self._deliver_summaries(summaries))

    def _deliver_summaries(self, summaries: Sequence[ProcessSummary]) -> Iterator[None]:
        for summary in summaries:
            process = self.processes.get(summary.process_id)
            if process is not None:
                self._deliver(process, self.changes.upsert(summary))
            yield

    def _on_removal(self, process: WatchedProcess, deleted: bool | None, read_time: int) -> None:
        """Deleted, or only out of the window. If the listener does not know which, the document itself shows it."""
        if deleted or (deleted is None and self._model.holds_everything):
            self._deliver(process, self.changes.deletion(process.process_id, read_time))
        elif any(watcher.has_seen for watcher in process.watchers):
            self._try_to_keep_current(process)
            if process.followed is not None:
                self._deliver_followed(process, process.followed)

    def _try_to_keep_current(self, process: WatchedProcess) -> None:
        """Like `keep_current`, but a failure only ends the connections of this process's watchers."""
        try:
            self.keep_current(process.process_id)
        except Exception as error:  # noqa: BLE001 - contained
            for watcher in process.watchers:
                contain(self._failures, watcher, "keep_current", error)

    # -- from followed documents

    def _on_document(self, process: WatchedProcess, document: Document | None, read_time: int, as_of: float) -> None:
        """A consistent point of a followed document."""
        before = process.followed
        held = None if before is None else before.summary
        if before is not None and (document.update_time if document else 0) == (held.version if held else 0):
            process.followed = replace(before, read_time=read_time, as_of=as_of)
            return
        summary = None
        if document is not None:
            held = held or self._sources.reads.known(document.id)
            summary, malformed = self._sources.schema.summarize(
                document.id, document.update_time, document.fields, held
            )
            if malformed:
                self._observer.malformed(document.id, document.update_time, malformed)
        process.followed = Followed(summary, read_time, as_of)
        if self._model.get(process.process_id) is None:  # otherwise the model delivers it, and answers plain requests
            self._deliver_followed(process, process.followed)

    def check_followed(self, is_due: IsDue) -> None:
        """Deliver that followed documents stall, if they do by now. There are only a few of them."""
        for process in tuple(self._followed.values()):
            followed = process.followed
            if followed is None or followed.summary is None or not is_due(followed.summary):
                continue
            process.followed = replace(followed, summary=stalled(followed.summary))
            if self._model.get(process.process_id) is None:
                self._deliver_followed(process, process.followed)

    def _deliver_followed(self, process: WatchedProcess, followed: Followed) -> None:
        """First the cache learns the state, so that no later plain request gets an older one."""
        process_id, summary, read_time = process.process_id, followed.summary, followed.read_time
        self._sources.reads.learn(process_id, summary, read_time, followed.as_of)
        changes = self.changes
        self._deliver(process, changes.deletion(process_id, read_time) if summary is None else changes.upsert(summary))

    def _deliver(self, process: WatchedProcess, change: Change) -> None:
        self._slicer.add(process.deliver(change, self._model.sight, self._failures))
