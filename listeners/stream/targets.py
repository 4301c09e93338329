"""The targets of the Listen streams of one window: which ones exist, their states, and their documents. Pure.

The targets of the window and of the followed documents live longer than a stream: every new stream adds them again, and
they resume from where they were current. The target of a probe lives until it is answered.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from listeners.collection_path import is_foreign
from listeners.stream.target_result import Difference, TargetResult


class TargetState(Enum):
    """The state of a target on the open stream."""

    ABSENT = "absent"  # not on the stream
    ADDED = "added"
    CURRENT = "current"
    ANSWERED = "answered"  # a consistent point has answered its ADD: it is current


@dataclass(eq=False, slots=True)
class Target:
    """One target. `id` is its number on the last stream that added it. `document_id` is None for the window's target.

    `can_resume`: a resume token covers the documents it holds. While it is ANSWERED, that is the open stream's last
    token, otherwise `resume_token`. `foreign` are the documents of a collection group that do not fit the window's
    pattern: they are counted, and never passed on.
    """

    document_id: str | None = None
    id: int = 0
    state: TargetState = TargetState.ABSENT
    result: TargetResult = field(default_factory=TargetResult)
    can_resume: bool = False
    resume_token: bytes = b""
    foreign: TargetResult | None = None

    @property
    def count(self) -> int:
        """The number of its documents, pending changes included: an existence filter counts the same."""
        return len(self.result) if self.foreign is None else len(self.result) + len(self.foreign)

    def result_of(self, key: str) -> TargetResult:
        """The part of the result to which a document belongs."""
        return self.result if self.foreign is None or not is_foreign(key) else self.foreign

    def difference(self) -> Difference:
        """The changes that its consumer must make."""
        difference = self.result.difference()
        if self.foreign is None:
            return difference
        return difference.beside(self.foreign.difference(), len(self.foreign))

    @property
    def _results(self) -> tuple[TargetResult, ...]:
        return (self.result,) if self.foreign is None else (self.result, self.foreign)

    @property
    def is_current(self) -> bool:
        """Whether Firestore has sent it everything, so that a consistent point holds for it too."""
        return self.state is TargetState.CURRENT or self.state is TargetState.ANSWERED

    def add(self, target_id: int) -> None:
        """The stream has it now, with this number. Firestore sends the changes, or everything if it does not resume."""
        self.id = target_id
        self.state = TargetState.ADDED
        for result in self._results:
            if self.can_resume:
                result.drop_pending()
            else:
                result.reset()

    def reset(self) -> None:
        """Firestore sends everything again."""
        self.state = TargetState.ADDED
        self.can_resume = False
        for result in self._results:
            result.reset()

    def end(self) -> None:
        """Firestore has ended it, or its stream cannot be used any more."""
        self.state = TargetState.ABSENT
        self.can_resume = False

    def forget(self) -> None:
        """Its consumer holds nothing any more."""
        self.end()
        for result in self._results:
            result.forget()

    def take(self, *, has_token: bool) -> None:
        """Its consumer holds the documents of the consistent point now."""
        self.result.take()
        if self.foreign is not None:
            self.foreign.take()
        self.can_resume = self.can_resume or has_token


class Targets:
    """The window's target, those of followed documents by ID, and all targets of the open stream by number."""

    def __init__(self, *, has_foreign: bool = False) -> None:
        self.window = Target(foreign=TargetResult() if has_foreign else None)
        self.documents: dict[str, Target] = {}
        self.last_id = 0
        """The greatest number used on this stream."""
        self._open: dict[int, Target] = {}
        self._news: dict[Target, None] = {}  # followed documents with messages since the last point

    def __len__(self) -> int:
        """The number of targets on the open stream."""
        return len(self._open)

    # -- coming and going

    def lasting(self) -> list[Target]:
        """The targets that every stream has, the window's first."""
        return [self.window, *self.documents.values()]

    def begin(self, resume_token: bytes) -> None:
        """Begin a new stream, without targets yet. `resume_token` is the last one that was taken.

        This token covers the targets that the last stream answered. The points of the last stream say nothing about any
        other target: that keeps its own, older token.
        """
        for target in self.lasting():
            if target.state is TargetState.ANSWERED:
                target.resume_token = resume_token
        self._open, self._news = {}, {}
        self.last_id = 0

    def add(self, target: Target) -> None:
        """Add a target to the stream, with the next number."""
        self.last_id += 1
        target.add(self.last_id)
        self._open[target.id] = target

    def withdraw(self, target: Target) -> bool:
        """Remove a target from the stream. Returns whether it was there."""
        self._news.pop(target, None)
        if self._open.get(target.id) is not target:
            return False
        del self._open[target.id]
        target.end()
        return True

    def forget(self) -> None:
        """No consumer holds anything any more, and the messages of the open stream no longer count."""
        self._open, self._news = {}, {}
        for target in self.lasting():
            target.forget()

    def forget_token(self) -> None:
        """Let no target resume."""
        for target in self.lasting():
            target.can_resume = False

    # -- on the open stream

    def get(self, target_id: int) -> Target | None:
        return self._open.get(target_id)

    def named(self, target_ids: Collection[int]) -> list[Target]:
        """The targets with these numbers on the stream.

        Called for every document, almost always with one number or none.
        """
        return [self._open[target_id] for target_id in target_ids if target_id in self._open] if target_ids else []

    def concerned(self, target_ids: Collection[int]) -> list[Target]:
        """The targets that a message names; all if it names none."""
        return self.named(target_ids) if target_ids else list(self._open.values())

    def followed(self, targets: Collection[Target]) -> tuple[str, ...]:
        """The IDs of the followed documents among these targets."""
        return tuple(document_id for document_id, target in self.documents.items() if target in targets)

    def answer(self) -> tuple[int, ...]:
        """A consistent point: returns the numbers of the targets that are current for the first time."""
        answered = [target for target in self._open.values() if target.state is TargetState.CURRENT]
        for target in answered:
            target.state = TargetState.ANSWERED
        return tuple(target.id for target in answered)

    def note(self, target: Target) -> None:
        """A message was about this target. If it is a followed document, the next point has news of it."""
        if target.document_id is not None and self.documents.get(target.document_id) is target:
            self._news[target] = None

    def take_news(self) -> list[Target]:
        """The followed documents that have news and are current. The news of the others is kept."""
        news = [target for target in self._news if target.is_current]
        for target in news:
            del self._news[target]
        return news
