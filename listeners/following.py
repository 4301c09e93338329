"""Follows a single document: one callback gets its present state, and every change. Runs on the event loop."""

from collections.abc import Callable

from listeners.events import Changed, Confirmed, Document, Event, Replaced

MAX_FOLLOWED = 100
"""Firestore's guide to real-time queries at scale recommends less than 100 listeners per client. With `stream` each
followed document is a target on the window's stream; with `on_snapshot` it is another stream, with threads."""

OnDocument = Callable[[Document | None, int, float], None]
"""Takes the document (None: it does not exist), the read time (µs), and a local instant: the state is not older."""


class FollowedDocument:
    """Calls `on_document` for every event until `release`."""

    def __init__(self, on_document: OnDocument) -> None:
        self._on_document = on_document
        self._document: Document | None = None
        self.is_released = False

    def apply(self, event: Event) -> None:
        """Take the next consistent point of the document."""
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
