"""The events of a Listen stream: a consistent point of all its targets, or the end of some targets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from listeners.events import Event
from listeners.listener import ListenerFailure
from listeners.stream.target_result import Difference
from listeners.stream.targets import Target


@dataclass(frozen=True, slots=True, eq=False)
class ConsistentPoint:
    """Firestore says that everything it has sent is consistent as of `read_time`.

    `answered` are the targets that Firestore has answered with this point: it includes all commits from before they
    were added.
    """

    window: Difference
    documents: Sequence[tuple[Target, Difference]]  # the followed documents that have changed
    read_time: int
    resume_token: bytes
    answered: tuple[int, ...]

    def slices(self) -> Iterator[None]:
        """The work to do before the point is handed over, one slice (1,000 documents) per step."""
        yield from self.window.slices()
        for _, difference in self.documents:
            yield from difference.slices()

    def finish(self) -> None:
        """Do the remaining work, if any."""
        for _ in self.slices():
            pass

    def event(self, as_of: float) -> Event:
        """The event for the consumer of the window."""
        return self.window.event(self.read_time, as_of)

    def document_events(self, as_of: float) -> Iterator[tuple[str, Event]]:
        """The events of followed documents: ID, event.

        Documents that were unfollowed or added again since are left out.
        """
        for target, difference in self.documents:
            if target.document_id is not None and target.is_current:
                yield target.document_id, difference.event(self.read_time, as_of)


@dataclass(frozen=True, slots=True)
class TargetsEnded:
    """Firestore no longer keeps these targets current; the stream itself goes on."""

    failure: ListenerFailure
    document_ids: tuple[str, ...] = ()
    has_probe: bool = False


StreamEvent = ConsistentPoint | TargetsEnded
