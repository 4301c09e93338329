"""Long polls: requests that wait until a process has changed.

A long poll first registers a waiter, then looks at the present state, and only then waits. So no change is lost in
between. Its answer is newer than the version that the client knows. At the end of the time, it is the answer that any
request would get. `begin` serves waits without a task if the model knows the present state; `status` serves all others.

While a client waits for a process that does not exist yet, its document is not followed: a new document usually enters
the window. If it does not, direct reads at the beginning and at the end of the wait find it. A lapsed lease ends no
wait; it only decides the source of the answer. While the server stops, it reads nothing more: the client gets what the
model can prove, and otherwise the wait is refused.
"""

from dataclasses import replace

from listeners.listener import Clock
from service.api.caller import Caller
from service.api.etags import etag_for, known_version, matches
from service.api.list_query import STALLED
from service.api.sources import Source
from service.errors import WatchRefused
from service.model.read_model import ReadModel
from service.reads.answer import rounded
from service.reads.answers import Answer, Answers
from service.runtime.clock import Timer
from service.watch.changes import Change
from service.watch.long_poll_waiter import LongPollWaiter, OnComplete, WaitCondition
from service.watch.watched_process import Followed
from service.watch.watchers import Watchers

MAX_WAIT_S = 55
"""Less than the 60 s after which common proxies close a request."""

LEAST_S = 0.01
"""Timers are not precise enough for a shorter wait."""


class LongPolls:
    """Each waits for one process, for at most `max_wait_s`.

    `lease_s` bounds the age of answers from followed documents.
    """

    def __init__(
        self,
        answers: Answers,
        watchers: Watchers,
        model: ReadModel,
        *,
        clock: Clock,
        lease_s: float,
        max_wait_s: int = MAX_WAIT_S,
    ) -> None:
        self._answers = answers
        self.watchers = watchers
        self._model = model
        self._clock = clock
        self._lease_s = lease_s
        self._max_wait_s = max_wait_s

    def granted_s(self, seconds: int, caller: Caller) -> int:
        """The seconds granted to a request for this many: the caller's token must not expire during the wait."""
        return int(min(seconds, self._max_wait_s, self.watchers.seconds_left(caller)))

    def begin(
        self, process_id: str, condition: WaitCondition, on_complete: OnComplete
    ) -> Answer | LongPollWaiter | None:
        """Wait without a task. Returns an Answer if the wait is over at once; None if only `status` can answer.

        `leave` of the waiter must follow. Raises: WatchRefused.
        """
        present = self.free(process_id, condition.caller, known_version(condition.if_none_match))
        if present is None or present.summary is None or STALLED in condition.wanted.until:
            return None
        limit_s = self._limit(condition)
        if limit_s < LEAST_S or self._meets(present, condition):
            return present
        waiter = self._add(process_id, condition)
        waiter.wait(present.version, limit_s, on_complete)
        return waiter

    async def status(self, process_id: str, condition: WaitCondition, *, max_age_s: float | None = None) -> Answer:
        """Wait in a handler's task. The answer has no children. Raises: WatchRefused, and the
        errors of Answers.status.
        """
        known = known_version(condition.if_none_match)
        if max_age_s is None:
            answer = self.free(process_id, condition.caller, known)
            if answer is not None and self._meets(answer, condition):
                return answer
        limit_s = self._limit(condition)
        ends_at = self._clock() + limit_s
        waiter = self._add(process_id, condition)
        try:
            answer = await self.present(process_id, condition.caller, known, max_age_s)
            existed = answer.summary is not None
            while not self._meets(answer, condition, existed=existed):
                if limit_s < LEAST_S or self.watchers.is_stopping:
                    break
                if answer.summary is not None:
                    self.watchers.keep_current(process_id)
                await waiter.completion(answer.version, ends_at - self._clock(), self.watchers.wake_ups)
                answer = self.answer(waiter) or await self._read(waiter)
                if waiter.change is None:
                    break
                existed = True
            return answer
        finally:
            waiter.leave()

    async def present(self, process_id: str, caller: Caller, known: int, max_age_s: float | None = None) -> Answer:
        """The present state, not older than the known version. Raises like Answers.status."""
        if max_age_s is None:
            answer = self.free(process_id, caller, known)
            if answer is not None:
                return answer
        answer = await self._answers.status(process_id, caller, known_version=known, max_age_s=max_age_s)
        return self._marked(process_id, answer)

    def _add(self, process_id: str, condition: WaitCondition) -> LongPollWaiter:
        waiter = LongPollWaiter(self, process_id, condition)
        self.watchers.add(process_id, waiter)
        return waiter

    def _limit(self, condition: WaitCondition) -> float:
        return min(condition.seconds, self._max_wait_s, self.watchers.seconds_left(condition.caller))

    def _meets(self, answer: Answer, condition: WaitCondition, *, existed: bool = False) -> bool:
        """Whether the present state ends the wait. A deleted process ends it; one that never existed does not."""
        if answer.summary is None:
            return existed or known_version(condition.if_none_match) > 0
        if condition.wanted.until:
            return self.watchers.changes.is_wanted(answer.summary, condition.wanted)
        seen = condition.if_none_match
        return not matches(seen, etag_for(answer.summary, seen, condition.children))

    async def _read(self, waiter: LongPollWaiter) -> Answer:
        """Read the answer, because nothing in memory proves one. Raises: WatchRefused, and like Answers.status."""
        known = waiter.seen if waiter.change is None else waiter.change.key
        if self.watchers.is_stopping:
            raise WatchRefused("This server is stopping; try again", 0)
        answer = await self._answers.status(waiter.process_id, waiter.condition.caller, known_version=known)
        return self._marked(waiter.process_id, answer)

    def _marked(self, process_id: str, answer: Answer) -> Answer:
        """The answer. If the model knows that this version stalls, the answer says so too."""
        held = self._model.get(process_id)
        is_marked = held is not None and held.is_stalled and held.version == answer.version
        return replace(answer, summary=held) if is_marked else answer

    # -- for the waiter

    def accepts(self, change: Change, condition: WaitCondition) -> bool:
        """See WaitHost. A deletion ends every wait."""
        return change.summary is None or self.watchers.changes.is_wanted(change.summary, condition.wanted)

    def answer(self, waiter: LongPollWaiter) -> Answer | None:
        """See WaitHost."""
        if waiter.change is None:
            return self.free(waiter.process_id, waiter.condition.caller, waiter.seen)
        return self._of_change(waiter.change, waiter.condition)

    def finish_in(self, waiter: LongPollWaiter, seconds: float) -> Timer:
        """See WaitHost."""
        return self.watchers.finish_in(waiter, seconds)

    def remove(self, waiter: LongPollWaiter) -> None:
        """See WaitHost."""
        self.watchers.leave(waiter.process_id, waiter)

    def _of_change(self, change: Change, condition: WaitCondition) -> Answer | None:
        """The change itself, or a newer state that meets the condition; None if neither can be proven."""
        held = change.summary
        if held is not None and self._model.get(change.process_id) is held:  # the usual case, for thousands of waiters
            age_s = self._model.trusted_age_s
            return None if age_s is None else Answer(Source.HIT, rounded(age_s), held, held.body)
        present = self.free(change.process_id, condition.caller, change.key if change.summary else 0)
        if present is not None and present.version > change.key and self._meets(present, condition):
            return present
        age_s = self._proven_age_s(change.process_id)
        if age_s is None:
            return None
        body = b"" if change.summary is None else change.summary.body
        return Answer(Source.HIT, age_s, change.summary, body)

    # -- answers without a read

    def from_model(self, process_id: str, caller: Caller) -> Answer | None:
        """The model's answer to a plain request; None if the model has none."""
        return self._answers.status_from_model(process_id, caller)

    def free(self, process_id: str, caller: Caller, known: int) -> Answer | None:
        """An answer that is not older than the known version, from the model or from a followed document."""
        answer = self._answers.status_from_model(process_id, caller, known)
        if answer is not None:
            return answer
        found = self._followed(process_id)
        if found is None:
            return None
        followed, age_s = found
        summary = followed.summary
        if caller.owner is not None and not self._model.sight.shows(caller, summary):
            return None  # a process that does not exist is not followed
        if summary is None:
            return Answer(Source.HIT, rounded(age_s), None, b"") if followed.read_time > known else None
        return Answer(Source.HIT, rounded(age_s), summary, summary.body) if summary.version >= known else None

    def _followed(self, process_id: str) -> tuple[Followed, float] | None:
        """A followed document outside the model, and its age; None if the age exceeds the lease."""
        followed = self.watchers.followed(process_id)
        if followed is None or self._model.get(process_id) is not None:
            return None
        age_s = self._clock() - followed.as_of
        return (followed, age_s) if age_s <= self._lease_s else None

    def _proven_age_s(self, process_id: str) -> int | None:
        """The age of an answer with a change. A fresh model proves nothing about a followed document."""
        is_outside = self._model.get(process_id) is None and self.watchers.followed(process_id) is not None
        if is_outside:
            followed = self._followed(process_id)
            age_s = None if followed is None else followed[1]
        else:
            age_s = self._model.trusted_age_s
        return None if age_s is None else rounded(age_s)
