"""Follows single documents outside the window. Each has its own `on_snapshot` listener, which is kept running.

Everything here runs on the event loop. A document is a window with one document: a query by its name. So all
precautions for `on_snapshot` apply to it too. When its listener ends, for whatever cause, it is started again after a
back-off.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from google.cloud.firestore_v1.base_query import BaseQuery, FieldFilter

from listeners.back_off import BackOff
from listeners.events import Event
from listeners.following import MAX_FOLLOWED, FollowedDocument, OnDocument
from listeners.listener import Listener, ListenerFailure
from listeners.window import Window

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OneDocument(Window):
    """One document of a window's collection; its fields can have any types."""

    document_id: str

    def query(self, client: Any) -> BaseQuery:
        """See Window."""
        named = client.document(self.path.name_of(self.document_id).removeprefix(f"{self.documents_path}/"))
        return named.parent.where(filter=FieldFilter("__name__", "==", named))  # type: ignore[no-any-return]


class DocumentWatch:
    """One followed document."""

    def __init__(self, listener: Listener, on_document: OnDocument) -> None:
        self._listener = listener
        self._document = FollowedDocument(on_document)
        self._has_synced = False
        self.task: asyncio.Task[None] | None = None

    def release(self) -> None:
        """Stop following the document; its callback is not called any more."""
        self._document.is_released = True
        if self.task is not None:
            self.task.cancel()

    async def run(self, sleep: Callable[[float], Awaitable[None]], back_off: BackOff) -> None:
        """Run until released."""
        while True:
            self._has_synced = False
            failure = await self._one_connection()
            if self._has_synced:
                back_off.reset()
            delay_s = back_off.delay_s(failure)
            level = logging.WARNING if failure.permanent else logging.INFO
            _log.log(level, "a followed document's listener ended (%s), again in %.1f s", failure, delay_s)
            await sleep(delay_s)

    async def _one_connection(self) -> ListenerFailure:
        try:
            await self._listener.run(self._apply, lambda: None)
        except ListenerFailure as failure:
            return failure.as_value()
        return ListenerFailure("listener_error", "the listener returned")

    async def _apply(self, event: Event) -> None:
        self._has_synced = True
        self._document.apply(event)


class DocumentWatches:
    """Follows up to `limit` documents at a time. `listener_of` makes the listener of a document."""

    def __init__(
        self,
        window: Window,
        listener_of: Callable[[OneDocument], Listener],
        *,
        randomness: Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        limit: int = MAX_FOLLOWED,
    ) -> None:
        self._window = window
        self._listener_of = listener_of
        self._randomness = randomness
        self._sleep = sleep
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<DocumentWatches {len(self._tasks)} of {self._limit}>"

    def follow(self, document_id: str, on_document: OnDocument) -> DocumentWatch | None:
        """See `FollowsDocuments`. The callback gets every consistent point. Returns None if the limit is reached."""
        if len(self._tasks) >= self._limit:
            return None
        window = self._window
        alone = OneDocument(window.project, window.database, window.collection, window.ordering, 1, document_id)
        watch = DocumentWatch(self._listener_of(alone), on_document)
        running = watch.run(self._sleep, BackOff(self._randomness))
        watch.task = asyncio.create_task(running, name="follow a document")
        self._tasks.add(watch.task)
        watch.task.add_done_callback(self._ended)
        return watch

    async def close(self) -> None:
        """Release all documents, and wait until their listeners have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a followed document is followed no longer", exc_info=error)
