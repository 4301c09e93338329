"""A client that comes from a replica that was ahead: waits until this replica's model has come as far, for a moment.

A stream that begins with an older state would tell the client of changes in the wrong order, and never of what was
undone in between. Where the model does not come as far in time, the stream begins all the same: what it tells is
decided by what the model holds then.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from listeners.listener import CannotConfirm
from service.model.read_model import Applied, ReadModel
from service.reads.answers import Answer
from service.watch.long_polls import LongPolls
from service.watch.watched_process import Change

AHEAD_S = 3.0
"""How long a client waits for this replica at most."""

MAX_AHEAD_US = 300 * 1_000_000
"""An ID further ahead of this replica's model than this is no replica's."""


class Confirms(Protocol):
    """What can prove that the model is up to date: the supervised listener."""

    async def confirm(self) -> float:
        """Returns once the model reflects Firestore at or after the call. Raises: CannotConfirm."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the stream of one process begins with.

    `answer` is the state that was found. `present` is what the client is told of it: None where this replica's model
    would answer a plain request with something older, which the stream must not contradict; then changes alone follow.
    `is_reset`: the client is told first that its ID means nothing here. `has_ended`: it knows of the end already.
    """

    answer: Answer
    present: Change | None
    is_reset: bool = False
    has_ended: bool = False


class Resuming:
    """Lives on the event loop. Costs nothing where the client is not ahead."""

    def __init__(
        self, model: ReadModel, long_polls: LongPolls, listener: Confirms, *, ahead_s: float | None = None
    ) -> None:
        self._model = model
        self._long_polls = long_polls
        self._changes = long_polls.watchers.changes
        self._listener = listener
        self._waiting: dict[asyncio.Future[None], int] = {}
        model.subscribe(self._on_applied)

    def means_nothing(self, event_id: int) -> bool:
        """Whether no replica can have sent this ID: it is from before all time, or from far ahead of it."""
        return not 0 < event_id <= self._model.read_time + MAX_AHEAD_US

    def is_ahead(self, event_id: int) -> bool:
        """Whether the client has seen something that this replica's model has not come to."""
        return event_id > self._model.read_time and not self.means_nothing(event_id)

    async def process(self, process_id: str, since: int | None, *, follows: bool = False) -> Beginning:
        """What a stream begins with whose client has seen the version `since`. Raises as Answers.status does."""
        is_reset = since is not None and self.means_nothing(since)
        seen = 0 if since is None or is_reset else since
        await self.catch_up(seen)
        from_model = self._long_polls.from_model(process_id)
        if from_model is not None and not self.is_ahead(seen):
            answer = from_model
        else:
            answer = await self._long_polls.present(process_id, seen)
        if answer.summary is None:
            return Beginning(answer, None)
        change = self._changes.upsert(answer.summary)
        plain = self._long_polls.from_model(process_id)
        is_contradicted = plain is not None and plain.version < answer.version
        return Beginning(
            answer,
            None if is_contradicted else change,
            is_reset=is_reset,
            has_ended=change.is_last and change.key == since and not follows,
        )

    async def catch_up(self, event_id: int) -> None:
        """Returns once the model has come as far as this, or the time is over. The listener is asked to hurry."""
        if not self.is_ahead(event_id) or not self._model.is_trusted():
            return
        try:
            async with asyncio.timeout(AHEAD_S):
                try:
                    await self._listener.confirm()
                except CannotConfirm:
                    await self._reach(event_id)
        except TimeoutError:
            pass

    async def _reach(self, event_id: int) -> None:
        reached = asyncio.get_running_loop().create_future()
        self._waiting[reached] = event_id
        try:
            await reached
        finally:
            del self._waiting[reached]

    def _on_applied(self, applied: Applied) -> None:
        for reached, event_id in self._waiting.items():
            if event_id <= applied.read_time and not reached.done():
                reached.set_result(None)
