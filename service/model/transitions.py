"""Announces each process that enters a status, in slices. Lives on the event loop.

Only changes count, in Firestore's order. A load or a resync announces nothing, nor does a process that moves up into
the window.
"""

from collections.abc import Iterator
from typing import Protocol

from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.runtime.slicer import Slicer


class TransitionObserver(Protocol):
    """Metrics callbacks, called on the event loop."""

    def entered_status(self, status: str | None, duration_s: float | None) -> None:
        """A process has entered this status.

        `duration_s`: if this status ended the process, and the duration is known.
        """


class Transitions:
    """Subscribes to the model."""

    def __init__(self, model: ReadModel, slicer: Slicer, observer: TransitionObserver) -> None:
        self._finishes = model.finishes
        self._observer = observer
        self._batches = slicer.lane()
        model.subscribe(self._on_applied)

    def _on_applied(self, applied: Applied) -> None:
        if applied.entered:
            self._batches.add(self._announce(applied))

    def _announce(self, applied: Applied) -> Iterator[None]:
        for summary in applied.entered:
            finish = self._finishes.of(summary)
            self._observer.entered_status(summary.status, None if finish is None else finish.duration_s)
            yield
