"""The events of a Listen stream: a consistent point of all its targets, or the end of some of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from listeners.events import Event
from listeners.listener import ListenerFailure
from listeners.stream.target_result import Difference
from listeners.stream.targets import Target


@dataclass(frozen=True, slots=True, eq=False)
class ConsistentPoint:
    """Firestore's word that everything received holds together as of `read_time`.

    `answered` names the targets whose ADD it answers: the point reflects what was committed before they were added.
    """

    window: Difference
    documents: Sequence[tuple[Target, Difference]]  # of followed documents that have changed
    read_time: int
    resume_token: bytes
    answered: tuple[int, ...]

    def slices(self) -> Iterator[None]:
        """The work that is left before it can be handed over: a thousand documents per slice, for the event loop."""
        yield from self.window.slices()
        for _, difference in self.documents:
            yield from difference.slices()

    def finish(self) -> None:
        """Do the work that is left: none where it has been handed over."""
        for _ in self.slices():
            pass

    def event(self, as_of: float) -> Event:
        """The event for the window's consumer."""
        return self.window.event(self.read_time, as_of)

    def document_events(self, as_of: float) -> Iterator[tuple[str, Event]]:
        """The events of followed documents, by ID; none of those that were unfollowed or added again since."""
        for target, difference in self.documents:
            if target.document_id is not None and target.is_current:
                yield target.document_id, difference.event(self.read_time, as_of)


@dataclass(frozen=True, slots=True)
class TargetsEnded:
    """Firestore keeps these targets current no longer; the stream itself goes on."""

    failure: ListenerFailure
    document_ids: tuple[str, ...] = ()
    has_probe: bool = False


StreamEvent = ConsistentPoint | TargetsEnded
