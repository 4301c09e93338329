"""Follows single documents outside the window. Each is a further target on the window's own stream.

Everything here runs on the event loop. The event of a document and the model are consistent at the same read time.
Without an open stream there are no events. A new stream begins with all followed documents. If Firestore ends a target,
it is added again after a back-off; the window and the other documents are not affected.
"""

import logging
from collections.abc import Callable
from random import Random

from listeners.back_off import BackOff
from listeners.events import Confirmed, Event
from listeners.firestore_values import Message
from listeners.following import MAX_FOLLOWED, FollowedDocument, OnDocument
from listeners.listener import ListenerFailure
from listeners.stream.consistent_point import ConsistentPoint
from listeners.stream.listen_protocol import ListenProtocol

_log = logging.getLogger(__name__)

CONFIRM_INTERVAL_S = 1.0
"""A busy window has hundreds of consistent points per second. An unchanged document is confirmed once per second."""


class DocumentTarget:
    """One followed document. `retry_in_s`: Firestore has ended its target; the time until it is added again."""

    def __init__(
        self, targets: "DocumentTargets", document_id: str, on_document: OnDocument, back_off: BackOff
    ) -> None:
        self._targets = targets
        self._document_id = document_id
        self._document = FollowedDocument(on_document)
        self._back_off = back_off
        self.retry_in_s: float | None = None

    def release(self) -> None:
        """Stop following the document; its callback is not called any more."""
        if not self._document.is_released:
            self._document.is_released = True
            self._targets.unfollow(self._document_id)

    def apply(self, event: Event) -> None:
        """Take a consistent point. If the callback raises, only this document is no longer followed."""
        self.retry_in_s = None
        self._back_off.reset()
        try:
            self._document.apply(event)
        except Exception:  # noqa: BLE001 - a follower's bug: logged, and the window goes on
            _log.exception("a followed document is followed no longer")
            self.release()

    def ended(self, failure: ListenerFailure) -> None:
        """Firestore no longer keeps the document current."""
        self.retry_in_s = self._back_off.delay_s(failure)
        level = logging.WARNING if failure.permanent else logging.INFO
        _log.log(level, "a followed document's target ended (%s), again in %.1f s", failure, self.retry_in_s)

    def is_due(self, seconds: float) -> bool:
        """Let this much time pass. Returns whether to add the target again now."""
        if self.retry_in_s is None:
            return False
        self.retry_in_s -= seconds
        return self.retry_in_s <= 0


class DocumentTargets:
    """Follows up to `limit` documents at a time on the streams of `protocol`."""

    def __init__(self, protocol: ListenProtocol, randomness: Random, *, limit: int = MAX_FOLLOWED) -> None:
        self._protocol = protocol
        self._randomness = randomness
        self._limit = limit
        self._followed: dict[str, DocumentTarget] = {}
        self._send: Callable[[Message], None] | None = None
        self._confirmed_at = float("-inf")

    def __repr__(self) -> str:
        return f"<DocumentTargets {len(self._followed)} of {self._limit}>"

    def follow(self, document_id: str, on_document: OnDocument) -> DocumentTarget | None:
        """See `FollowsDocuments`. The callback gets every change, and without changes at most one call per second."""
        if document_id in self._followed:
            raise ValueError(f"{document_id!r} is followed already")
        if len(self._followed) >= self._limit:
            return None
        target = DocumentTarget(self, document_id, on_document, BackOff(self._randomness))
        self._followed[document_id] = target
        self._request(self._protocol.add_document(document_id))
        return target

    def unfollow(self, document_id: str) -> None:
        """Stop following the document."""
        del self._followed[document_id]
        self._request(self._protocol.remove_document(document_id))

    async def close(self) -> None:
        """Stop following all documents. The stream belongs to the listener, which ends it."""
        for target in tuple(self._followed.values()):
            target.release()

    # -- for the stream

    def begin(self, send: Callable[[Message], None]) -> None:
        """A stream has begun; its first requests include all followed documents. Further requests go through `send`."""
        self._send = send

    def end(self) -> None:
        """The stream is over."""
        self._send = None

    def deliver(self, point: ConsistentPoint, as_of: float) -> None:
        """The window's consumer has taken a point: call the callbacks of the followed documents in it."""
        events = dict(point.document_events(as_of))
        if as_of >= self._confirmed_at + CONFIRM_INTERVAL_S:
            self._confirmed_at = as_of
            confirmed = Confirmed(point.read_time, as_of)
            events = dict.fromkeys(self._protocol.current_documents(), confirmed) | events
        for document_id, event in events.items():
            target = self._followed.get(document_id)
            if target is not None:
                target.apply(event)

    def ended(self, document_ids: tuple[str, ...], failure: ListenerFailure) -> None:
        """Firestore no longer keeps these documents current."""
        for document_id in document_ids:
            self._followed[document_id].ended(failure)

    def pass_time(self, seconds: float) -> None:
        """Let this much time pass."""
        for document_id, target in self._followed.items():
            if target.is_due(seconds):
                target.retry_in_s = None
                self._request(self._protocol.add_document(document_id))

    def _request(self, requests: list[Message]) -> None:
        if self._send is not None:
            for request in requests:
                self._send(request)
