"""Event streams of clients that have seen a newer state at another replica: wait briefly until this one has caught up.

Without the wait, a stream could begin with an older state, send changes in the wrong order, and never send a change
that was undone in between. If the model does not catch up in time, the stream begins anyway, with the state of the
model.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from listeners.listener import CannotConfirm
from service.api.caller import Caller
from service.model.applied import Applied
from service.model.read_model import ReadModel
from service.reads.answers import Answer
from service.watch.changes import Change
from service.watch.long_polls import LongPolls

AHEAD_S = 3.0
"""The longest time for which a stream waits for this replica to catch up."""

MAX_AHEAD_US = 300 * 1_000_000
"""An ID that is further ahead of this replica's model cannot come from a replica."""


class Confirms(Protocol):
    """The supervised listener, which can prove that the model is up to date."""

    async def confirm(self) -> float:
        """Returns once the model reflects Firestore at or after the call. Raises: CannotConfirm."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How the stream of one process begins.

    `answer` is the state that was found. `present` is that state as a change to send. It is None if this replica's
    model would answer a plain request with an older state: then the stream sends only later changes, so that it does
    not contradict the model. `is_reset`: send `reset` first, because the client's ID means nothing here. `has_ended`:
    the client has already seen the end.
    """

    answer: Answer
    present: Change | None
    is_reset: bool = False
    has_ended: bool = False


class Resuming:
    """Lives on the event loop. Costs nothing if the client is not ahead."""

    def __init__(self, model: ReadModel, long_polls: LongPolls, listener: Confirms) -> None:
        self._model = model
        self._long_polls = long_polls
        self._changes = long_polls.watchers.changes
        self._listener = listener
        self._waiting: dict[asyncio.Future[None], int] = {}
        model.subscribe(self._on_applied)

    def means_nothing(self, event_id: int) -> bool:
        """Whether no replica can have sent this ID: it is not positive, or too far ahead of this replica."""
        return not 0 < event_id <= self._model.read_time + MAX_AHEAD_US

    def is_ahead(self, event_id: int) -> bool:
        """Whether the client has seen a state that this replica's model has not reached."""
        return event_id > self._model.read_time and not self.means_nothing(event_id)

    async def process(self, process_id: str, caller: Caller, since: int | None, *, follows: bool = False) -> Beginning:
        """The beginning of a stream whose client has seen the version `since`. Raises like Answers.status."""
        is_reset = since is not None and self.means_nothing(since)
        seen = 0 if since is None or is_reset else since
        await self.catch_up(seen)
        from_model = self._long_polls.from_model(process_id, caller)
        if from_model is not None and not self.is_ahead(seen):
            answer = from_model
        else:
            answer = await self._long_polls.present(process_id, caller, seen)
        if answer.summary is None:
            return Beginning(answer, None)
        change = self._changes.present(answer.summary, seen)
        plain = self._long_polls.from_model(process_id, caller)
        is_contradicted = plain is not None and plain.version < answer.version and plain.body != answer.body
        return Beginning(
            answer,
            None if is_contradicted else change,
            is_reset=is_reset,
            has_ended=change.is_last and change.key == since and not follows,
        )

    async def catch_up(self, event_id: int) -> None:
        """Return when the model has reached this ID, or when the time is over. Asks the listener for a confirmation."""
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
