"""A request that waits for a process to change: registers, looks, waits, and answers what may be claimed then.

The answer is newer than what the client knows, or, at the end of the wait, what any request would get. A process that
does not exist yet is waited for without listening to it, for a new one comes through the window; a direct read at each
end of the wait finds one that does not. A lapsed lease
ends no wait; it only decides where the answer comes from. While the server stops, nothing is read any more: what the
model still vouches for is answered, anything else refused.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from listeners.listener import Clock
from service.api.etags import known_version, matches, version_etag
from service.api.parameters import Wanted
from service.api.sources import Source
from service.errors import WatchRefused
from service.model.read_model import ReadModel
from service.reads.answers import Answer, Answers
from service.runtime.slices import Handle
from service.watch.watched_process import Change, Wait
from service.watch.watchers import Followed, Watchers

MAX_WAIT_S = 55
"""Under the 60 s after which common proxies give up."""

LEAST_S = 0.01
"""Less is no time to wait: timers are not as exact."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a client waits for: see Wanted. `if_none_match` names the versions it knows, those of `after` too.

    `seconds` from now on; none are left where it has waited for long enough before.
    """

    seconds: float
    wanted: Wanted
    if_none_match: str
    with_products: bool = False


End = Callable[[Answer | None], None]
"""Is given the answer in the step in which it is known. None: that can only be told by asking again."""


class LongPolls:
    """Waits for single processes, of `max_wait_s` at most. `lease_s` bounds the age of a followed document's answer."""

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

    def granted_s(self, seconds: int) -> int:
        """What a client that asks for so many seconds is granted."""
        return min(seconds, self._max_wait_s)

    def begin(self, process_id: str, awaited: Awaited, end: End) -> "Answer | DirectWait | None":
        """Wait without a task. The answer itself where there is nothing to wait for; None where only `status` can tell.

        Raises: WatchRefused.
        """
        present = self.free(process_id, known_version(awaited.if_none_match))
        if present is None or present.summary is None or awaited.wanted.after:
            return None
        if awaited.seconds < LEAST_S or self._is_awaited(present, awaited):
            return present
        wait = DirectWait(self, process_id, present.version, awaited, end)
        self.watchers.add(process_id, wait)
        wait.end_in(min(awaited.seconds, self._max_wait_s))
        return wait

    async def status(self, process_id: str, awaited: Awaited, *, max_age_s: float | None = None) -> Answer:
        """Without products. Raises: WatchRefused, and what Answers.status raises."""
        if max_age_s is None:
            answer = self.free(process_id, known_version(awaited.if_none_match))
            if answer is not None and self._is_awaited(answer, awaited):
                return answer
        deadline = self._clock() + min(awaited.seconds, self._max_wait_s)
        wait = self.watchers.wait(process_id)
        try:
            answer = await self.present(process_id, known_version(awaited.if_none_match), max_age_s)
            existed = answer.summary is not None
            while awaited.seconds >= LEAST_S and not self._is_awaited(answer, awaited, existed=existed):
                change = await self._next(process_id, wait, answer, awaited, deadline)
                if change is None:
                    return await self._last(process_id, answer.version)
                existed = True
                answer = self.of_change(change, awaited) or await self.present(process_id, change.key)
            return answer
        finally:
            self.watchers.leave(process_id, wait)

    async def present(self, process_id: str, known: int, max_age_s: float | None = None) -> Answer:
        """The present state, not older than the version known. Raises as Answers.status does."""
        if max_age_s is None:
            answer = self.free(process_id, known)
            if answer is not None:
                return answer
        return await self._answers.status(process_id, known_version=known, max_age_s=max_age_s)

    async def _next(
        self, process_id: str, wait: Wait, answer: Answer, awaited: Awaited, deadline: float
    ) -> Change | None:
        watchers = self.watchers
        if watchers.is_stopping:
            return None
        if answer.summary is not None:
            watchers.keep_current(process_id)
        return await wait.change_after(
            answer.version,
            accepts=lambda change: self.accepts(change, awaited),
            end=watchers.end_in(wait, deadline - self._clock()),
        )

    def accepts(self, change: Change, awaited: Awaited) -> bool:
        """Whether a new change is one that the client waits for; a deletion always is."""
        return change.summary is None or self.watchers.changes.is_wanted(change.summary, awaited.wanted)

    def _is_awaited(self, answer: Answer, awaited: Awaited, *, existed: bool = False) -> bool:
        """Whether this answers the client: what is deleted does, what has never been is waited for."""
        if answer.summary is None:
            return existed or known_version(awaited.if_none_match) > 0
        if awaited.wanted.until:
            return self.watchers.changes.is_wanted(answer.summary, awaited.wanted)
        etag = version_etag(answer.version, with_products=awaited.with_products)
        return not matches(awaited.if_none_match, etag)

    def of_change(self, change: Change, awaited: Awaited) -> Answer | None:
        """The change itself, or what it has become since; None where nobody vouches for either any more."""
        held = change.summary
        if held is not None and self._model.get(change.process_id) is held:  # nearly always, for each of thousands
            age_s = self._model.trusted_age_s
            return None if age_s is None else Answer(Source.HIT, _rounded(age_s), held, held.body)
        present = self.free(change.process_id, change.key if change.summary else 0)
        if present is not None and present.version > change.key and self._is_awaited(present, awaited):
            return present
        age_s = self._vouched_age_s(change.process_id)
        if age_s is None:
            return None
        body = b"" if change.summary is None else change.summary.body
        return Answer(Source.HIT, age_s, change.summary, body)

    async def _last(self, process_id: str, known: int) -> Answer:
        """At the end of the wait."""
        answer = self.free(process_id, known)
        if answer is not None:
            return answer
        if self.watchers.is_stopping:
            raise WatchRefused("This server is stopping; try again", 0)
        return await self._answers.status(process_id, known_version=known)

    # -- what costs nothing

    def from_model(self, process_id: str) -> Answer | None:
        """What a plain request is answered by the model; None where it asks elsewhere."""
        return self._answers.status_from_model(process_id)

    def free(self, process_id: str, known: int) -> Answer | None:
        """From the model, or from a document followed by itself."""
        answer = self._answers.status_from_model(process_id, known)
        if answer is not None:
            return answer
        found = self._followed(process_id)
        if found is None:
            return None
        followed, age_s = found
        summary = followed.summary
        if summary is None:
            return Answer(Source.HIT, _rounded(age_s), None, b"") if followed.read_time > known else None
        return Answer(Source.HIT, _rounded(age_s), summary, summary.body) if summary.version >= known else None

    def _followed(self, process_id: str) -> tuple[Followed, float] | None:
        """Where the model does not hold the process: what was heard of it by itself, and its age within the lease."""
        followed = self.watchers.followed(process_id)
        if followed is None or self._model.get(process_id) is not None:
            return None
        age_s = self._clock() - followed.as_of
        return (followed, age_s) if age_s <= self._lease_s else None

    def _vouched_age_s(self, process_id: str) -> int | None:
        """The model vouches for nothing that was heard by another way, however fresh it is itself."""
        is_outside = self._model.get(process_id) is None and self.watchers.followed(process_id) is not None
        if is_outside:
            followed = self._followed(process_id)
            age_s = None if followed is None else followed[1]
        else:
            age_s = self._model.trusted_age_s
        return None if age_s is None else _rounded(age_s)


class DirectWait:
    """A client that waits without a task: it is answered in the step in which its change is told, or its time is over.

    A watcher of the process. `end` is called once, with what comes first; `leave` must follow. After `leave` it is not.
    Where the answer can't be made, `end` is called with None. Where `end` itself raises, it has closed its connection.
    """

    __slots__ = ("_awaited", "_end", "_is_over", "_long_polls", "_process_id", "_seen", "_timer")

    def __init__(self, long_polls: LongPolls, process_id: str, seen: int, awaited: Awaited, end: End) -> None:
        self._long_polls = long_polls
        self._process_id = process_id
        self._seen = seen
        self._awaited = awaited
        self._end = end
        self._timer: Handle | None = None
        self._is_over = False
        """Also where it has left: those who tell many tell, for a while, some that are not there any more."""

    def take(self, change: Change) -> None:
        """See Watcher."""
        if self._is_over or change.key <= self._seen or not self._long_polls.accepts(change, self._awaited):
            return
        answer = self._long_polls.of_change(change, self._awaited)
        self._is_over = True
        self._end(answer)

    def settle(self) -> None:
        """See Watcher."""

    def end_in(self, seconds: float) -> None:
        """Wait no longer than that."""
        self._timer = self._long_polls.watchers.end_in(self, seconds)

    def farewell(self) -> None:
        """Wait no longer."""
        if not self._is_over:
            answer = self._long_polls.free(self._process_id, self._seen)
            self._is_over = True
            self._end(answer)

    def fail(self, _: Exception) -> None:
        """See CanFail: the request is asked again, as a whole."""
        if not self._is_over:
            self._is_over = True
            self._end(None)

    def leave(self) -> None:
        """Nobody waits any more."""
        self._long_polls.watchers.leave(self._process_id, self)

    def close(self) -> None:
        """See Watcher."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _rounded(age_s: float) -> int:
    return max(0, math.ceil(age_s))
