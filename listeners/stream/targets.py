"""The targets of the Listen streams of one window: which there are, where each stands, and what it holds. Pure.

The window's target and the followed documents' outlive their streams: they are added to every new one, to resume where
they were current. A probe's lives until it is answered.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from listeners.collection_path import is_foreign
from listeners.stream.target_result import Difference, TargetResult


class TargetState(Enum):
    """Where a target stands on the open stream."""

    ABSENT = "absent"  # not on it
    ADDED = "added"
    CURRENT = "current"
    ANSWERED = "answered"  # current at a consistent point: its ADD is answered


@dataclass(eq=False, slots=True)
class Target:
    """One target; `id` is its number on the stream it was added to last. `document_id` is None for the window's.

    `can_resume`: a resume token covers what it holds: while it is answered on the open stream, that stream's last;
    else `resume_token`. `foreign` are the documents of a collection group that do not fit the window's pattern: they
    are counted, and never passed on.
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
        """How many documents it has, pending changes applied: what an existence filter counts."""
        return len(self.result) if self.foreign is None else len(self.result) + len(self.foreign)

    def result_of(self, key: str) -> TargetResult:
        """The part of the result that a document belongs to."""
        return self.result if self.foreign is None or not is_foreign(key) else self.foreign

    def difference(self) -> Difference:
        """What its consumer must change."""
        difference = self.result.difference()
        if self.foreign is None:
            return difference
        return difference.beside(self.foreign.difference(), len(self.foreign))

    @property
    def _results(self) -> tuple[TargetResult, ...]:
        return (self.result,) if self.foreign is None else (self.result, self.foreign)

    @property
    def is_current(self) -> bool:
        """Whether it has all that Firestore has for it, so that a consistent point is one for it too."""
        return self.state is TargetState.CURRENT or self.state is TargetState.ANSWERED

    def add(self, target_id: int) -> None:
        """It is on the stream, under this number; Firestore sends what has changed, or, not resumed, everything."""
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
        """Firestore has ended it, or its stream is of no more use."""
        self.state = TargetState.ABSENT
        self.can_resume = False

    def forget(self) -> None:
        """The consumer holds nothing of it."""
        self.end()
        for result in self._results:
            result.forget()

    def take(self, *, has_token: bool) -> None:
        """The consumer holds what the consistent point said."""
        self.result.take()
        if self.foreign is not None:
            self.foreign.take()
        self.can_resume = self.can_resume or has_token


class Targets:
    """The window's target, the followed documents' by ID, and whatever is on the open stream by number."""

    def __init__(self, *, has_foreign: bool = False) -> None:
        self.window = Target(foreign=TargetResult() if has_foreign else None)
        self.documents: dict[str, Target] = {}
        self.last_id = 0
        """The greatest number given on this stream."""
        self._open: dict[int, Target] = {}
        self._news: dict[Target, None] = {}  # followed documents that something was said about since the last point

    def __len__(self) -> int:
        """How many are on the open stream."""
        return len(self._open)

    # -- coming and going

    def lasting(self) -> list[Target]:
        """Those that belong on every stream, the window's first."""
        return [self.window, *self.documents.values()]

    def begin(self, resume_token: bytes) -> None:
        """A new stream, with none on it yet. `resume_token` is the last that was taken.

        It covers those that were answered on the last stream. Of any other the last stream's points say nothing: it
        has its own still, from before.
        """
        for target in self.lasting():
            if target.state is TargetState.ANSWERED:
                target.resume_token = resume_token
        self._open, self._news = {}, {}
        self.last_id = 0

    def add(self, target: Target) -> None:
        """Put it on the stream, under the next number."""
        self.last_id += 1
        target.add(self.last_id)
        self._open[target.id] = target

    def withdraw(self, target: Target) -> bool:
        """Take it off the stream. Returns whether it was there."""
        self._news.pop(target, None)
        if self._open.get(target.id) is not target:
            return False
        del self._open[target.id]
        target.end()
        return True

    def forget(self) -> None:
        """No consumer holds anything, and nothing on the open stream counts any more."""
        self._open, self._news = {}, {}
        for target in self.lasting():
            target.forget()

    def forget_token(self) -> None:
        """No target resumes."""
        for target in self.lasting():
            target.can_resume = False

    # -- on the open stream

    def get(self, target_id: int) -> Target | None:
        return self._open.get(target_id)

    def named(self, target_ids: Collection[int]) -> list[Target]:
        """Those of these numbers that are on the stream. Asked for every document, almost always for one or none."""
        return [self._open[target_id] for target_id in target_ids if target_id in self._open] if target_ids else []

    def concerned(self, target_ids: Collection[int]) -> list[Target]:
        """Those that a message names; none named means all."""
        return self.named(target_ids) if target_ids else list(self._open.values())

    def followed(self, targets: Collection[Target]) -> tuple[str, ...]:
        """The IDs of those among these that are followed documents."""
        return tuple(document_id for document_id, target in self.documents.items() if target in targets)

    def answer(self) -> tuple[int, ...]:
        """A consistent point: the numbers of those that are current for the first time."""
        answered = [target for target in self._open.values() if target.state is TargetState.CURRENT]
        for target in answered:
            target.state = TargetState.ANSWERED
        return tuple(target.id for target in answered)

    def note(self, target: Target) -> None:
        """Something was said about it: if it is a followed document, that is news at the next point."""
        if target.document_id is not None and self.documents.get(target.document_id) is target:
            self._news[target] = None

    def take_news(self) -> list[Target]:
        """The followed documents with news that are current; the others' is kept."""
        news = [target for target in self._news if target.is_current]
        for target in news:
            del self._news[target]
        return news
