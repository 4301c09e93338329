"""A single document that is followed: its present state, from its events, for one callback. On the event loop."""

from collections.abc import Callable

from listeners.events import Changed, Confirmed, Document, Event, Replaced

MAX_FOLLOWED = 100
"""Firestore's guide to real-time queries at scale recommends fewer listeners than that per client. On the window's
stream each followed document is a target; with `on_snapshot` it is a stream and the library's threads."""

OnDocument = Callable[[Document | None, int, float], None]
"""A document (None: there is none), the read time (µs), and the local instant at or after which it was so."""


class FollowedDocument:
    """Calls `on_document` with every event until it is released."""

    def __init__(self, on_document: OnDocument) -> None:
        self._on_document = on_document
        self._document: Document | None = None
        self.is_released = False

    def apply(self, event: Event) -> None:
        """The next consistent point of the document."""
        match event:
            case Replaced(documents=documents):
                self._document = next(iter(documents), None)
            case Changed(upserts=upserts, removals=removals):
                if removals:
                    self._document = None
                self._document = next(iter(upserts), self._document)
            case Confirmed():
                pass
        if not self.is_released:
            self._on_document(self._document, event.read_time, event.as_of)
