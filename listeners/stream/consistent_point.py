"""What a Listen stream says that matters beyond it: a consistent point of all its targets, or the end of some."""

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
    documents: Sequence[tuple[Target, Difference]]  # followed ones that it has news of; others are what they were
    read_time: int
    resume_token: bytes
    answered: tuple[int, ...]

    def steps(self) -> Iterator[None]:
        """What is left to do before it is told: some thousand documents' work a step, for a loop that has to turn."""
        yield from self.window.steps()
        for _, difference in self.documents:
            yield from difference.steps()

    def event(self, as_of: float) -> Event:
        """What the window's consumer is told."""
        return self.window.event(self.read_time, as_of)

    def document_events(self, as_of: float) -> Iterator[tuple[str, Event]]:
        """What is told about followed documents, by ID; nothing of those that were let go or added again since."""
        for target, difference in self.documents:
            if target.document_id is not None and target.is_current:
                yield target.document_id, difference.event(self.read_time, as_of)


@dataclass(frozen=True, slots=True)
class TargetsEnded:
    """Firestore keeps these targets current no longer; the stream itself goes on."""

    failure: ListenerFailure
    document_ids: tuple[str, ...] = ()
    has_probe: bool = False


Told = ConsistentPoint | TargetsEnded
