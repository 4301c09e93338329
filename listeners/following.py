"""A single document that is followed: what its events add up to, told to whoever follows it. On the event loop."""

from collections.abc import Callable

from listeners.events import Changed, Confirmed, Document, Event, Replaced

MAX_FOLLOWED = 100
"""Firestore's guide to real-time queries at scale keeps a client's listeners below that. Followed on the window's
stream, each is a target of it; with `on_snapshot` a stream and the library's threads."""

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
