"""A request that waits for a process to change: registers, looks, waits, and answers what may be claimed then.

The answer is newer than what the client knows, or, at the end of the wait, what any request would get. A lapsed lease
ends no wait; it only decides where the answer comes from. While the server stops, nothing is read any more: what the
model still vouches for is answered, anything else refused.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from listeners.listener import Clock
from service.answers import Answer, Answers, Source
from service.etags import version_etag
from service.parameters import etag_matches, known_version
from service.read_model import ReadModel
from service.watching.watched_process import Change, Wait
from service.watching.watchers import Followed, Watchers, WatchRefused


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a client waits for: another version than those its `if_none_match` names, or the process's end."""

    seconds: float
    until_terminal: bool
    if_none_match: str
    with_products: bool = False


Send = Callable[[Answer], bool]
"""Writes an answer to the client at once. Returns whether it could."""


class LongPolls:
    """Waits for single processes. `lease_s` bounds the age of what a followed document may answer."""

    def __init__(self, answers: Answers, watchers: Watchers, model: ReadModel, *, clock: Clock, lease_s: float) -> None:
        self._answers = answers
        self._watchers = watchers
        self._model = model
        self._clock = clock
        self._lease_s = lease_s

    async def status(
        self, process_id: str, awaited: Awaited, *, max_age_s: float | None = None, send: Send | None = None
    ) -> Answer | None:
        """Without products. None where `send` has answered. Raises: WatchRefused, and what Answers.status raises."""
        deadline = self._clock() + awaited.seconds
        wait = self._watchers.wait(process_id)
        direct = _Direct(self, awaited, send)
        if send is not None:
            wait.reply = direct.reply
        try:
            answer = await self.present(process_id, known_version(awaited.if_none_match), max_age_s)
            while not self._is_awaited(answer, awaited):
                change = await self._next(process_id, wait, answer, awaited, deadline)
                if direct.has_answered:
                    return None
                if change is None:
                    return await self._last(process_id, answer.version)
                answer = self.of_change(change, awaited) or await self.present(process_id, change.key)
            return answer
        finally:
            self._watchers.leave(process_id, wait)

    async def present(self, process_id: str, known: int, max_age_s: float | None = None) -> Answer:
        """The present state, not older than the version known. Raises as Answers.status does."""
        if max_age_s is None:
            answer = self._free(process_id, known)
            if answer is not None:
                return answer
        return await self._answers.status(process_id, known_version=known, max_age_s=max_age_s)

    async def _next(
        self, process_id: str, wait: Wait, answer: Answer, awaited: Awaited, deadline: float
    ) -> Change | None:
        watchers = self._watchers
        if watchers.is_stopping:
            return None
        watchers.keep_current(process_id)
        return await wait.change_after(
            answer.version,
            needs_last=awaited.until_terminal,
            seconds=deadline - self._clock(),
            call_later=watchers.call_later,
        )

    def _is_awaited(self, answer: Answer, awaited: Awaited) -> bool:
        if answer.summary is None:
            return True
        if awaited.until_terminal:
            return self._watchers.changes.is_terminal(answer.summary)
        etag = version_etag(answer.version, with_products=awaited.with_products)
        return not etag_matches(awaited.if_none_match, etag)

    def of_change(self, change: Change, awaited: Awaited) -> Answer | None:
        """The change itself, or what it has become since; None where nobody vouches for either any more."""
        present = self._free(change.process_id, change.key if change.summary else 0)
        if present is not None and present.version > change.key and self._is_awaited(present, awaited):
            return present
        age_s = self._vouched_age_s(change.process_id)
        if age_s is None:
            return None
        body = b"" if change.summary is None else change.summary.body
        return Answer(Source.HIT, age_s, change.summary, body)

    async def _last(self, process_id: str, known: int) -> Answer:
        """At the end of the wait."""
        answer = self._free(process_id, known)
        if answer is not None:
            return answer
        if self._watchers.is_stopping:
            raise WatchRefused("This server is stopping; try again", 0)
        return await self._answers.status(process_id, known_version=known)

    # -- what costs nothing

    def _free(self, process_id: str, known: int) -> Answer | None:
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
        followed = self._watchers.followed(process_id)
        if followed is None or self._model.get(process_id) is not None:
            return None
        age_s = self._clock() - followed.as_of
        return (followed, age_s) if age_s <= self._lease_s else None

    def _vouched_age_s(self, process_id: str) -> int | None:
        """The model vouches for nothing that was heard by another way, however fresh it is itself."""
        is_outside = self._model.get(process_id) is None and self._watchers.followed(process_id) is not None
        if is_outside:
            followed = self._followed(process_id)
            age_s = None if followed is None else followed[1]
        else:
            age_s = self._model.trusted_age_s
        return None if age_s is None else _rounded(age_s)


class _Direct:
    """Answers one client in the step in which its change is told, before any task has run."""

    __slots__ = ("_awaited", "_long_polls", "_send", "has_answered")

    def __init__(self, long_polls: LongPolls, awaited: Awaited, send: Send | None) -> None:
        self._long_polls = long_polls
        self._awaited = awaited
        self._send = send
        self.has_answered = False

    def reply(self, change: Change) -> None:
        """See Reply. A deletion, or what nobody vouches for any more, is left to the ordinary way."""
        answer = self._long_polls.of_change(change, self._awaited)
        if answer is not None and answer.summary is not None and self._send is not None:
            self.has_answered = self._send(answer)


def _rounded(age_s: float) -> int:
    return max(0, math.ceil(age_s))
