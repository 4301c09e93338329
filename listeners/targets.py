"""The targets of a Listen stream: where each stands, what it holds, and what Firestore says of them together. Pure.

A target outlives its streams: the window's and a followed document's are added to every new one, to resume where they
were current. A probe's lives until it is answered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from listeners.events import Event
from listeners.listener import ListenerFailure
from listeners.target_result import Difference, TargetResult


class TargetState(Enum):
    """Where a target stands on the open stream."""

    ABSENT = "absent"  # not on it
    ADDED = "added"
    CURRENT = "current"
    ANSWERED = "answered"  # current at a consistent point: its ADD is answered


@dataclass(eq=False, slots=True)
class Target:
    """One target; `id` is its number on the stream it was added to last. `document_id` is None for the window's.

    `can_resume`: the stream's resume token covers what it holds.
    """

    document_id: str | None = None
    id: int = 0
    state: TargetState = TargetState.ABSENT
    result: TargetResult = field(default_factory=TargetResult)
    can_resume: bool = False

    @property
    def is_current(self) -> bool:
        """Whether it has all that Firestore has for it, so that a consistent point is one for it too."""
        return self.state is TargetState.CURRENT or self.state is TargetState.ANSWERED

    def add(self, target_id: int) -> None:
        """It is on the stream, under this number; Firestore tells what has changed, or, not resumed, everything."""
        self.id = target_id
        self.state = TargetState.ADDED
        if self.can_resume:
            self.result.drop_pending()
        else:
            self.result.reset()

    def reset(self) -> None:
        """Firestore tells everything again."""
        self.state = TargetState.ADDED
        self.can_resume = False
        self.result.reset()

    def end(self) -> None:
        """Firestore has ended it, or its stream is of no more use."""
        self.state = TargetState.ABSENT
        self.can_resume = False

    def forget(self) -> None:
        """The consumer holds nothing of it."""
        self.end()
        self.result.forget()

    def take(self, *, has_token: bool) -> None:
        """The consumer holds what the consistent point said."""
        self.result.take()
        self.can_resume = self.can_resume or has_token


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
