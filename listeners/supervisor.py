"""Runs one listener until cancelled: backs off after failures, starts it again, and reports its state.

Only this module sets the ListenerState. It logs each transition with its reason, and calls the observer. It never gives
up: if a failure needs an operator, the log says what to do, and the supervisor goes on trying. The state says nothing
about freshness: a listener can be live although the model's lease has lapsed.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from listeners.back_off import BackOff
from listeners.events import Event
from listeners.listener import (
    TOO_MANY_OPEN_FILES,
    Apply,
    CannotConfirm,
    Clock,
    Listener,
    ListenerFailure,
    ListenerState,
    failure_of_os_error,
)

_log = logging.getLogger(__name__)

WHAT_TO_DO = {
    "permission_denied": "grant this service's account the role roles/datastore.viewer on the project",
    "unauthenticated": "check the credentials of this service's account",
    "failed_precondition": "create the index that the detail links to, and check that the database is in Native mode",
    "not_found": "check the project and the database's name: Firestore knows no such database",
    "invalid_argument": "check the collection's name and the type of start_time: Firestore refuses the query",
    TOO_MANY_OPEN_FILES: "raise the limit of open files (ulimit -n), or serve fewer connections",
    "unimplemented": "check the address: the server there does not speak Firestore's Listen",
}

BUGS = frozenset({"callback_error", "listener_error"})
"""Failures of our own code. After them the documents held are in doubt, even if events had been applied before."""


LEAST_SUCCESS_S = 1.0
"""A shorter run is no success, even if it has applied events. Otherwise a server that ends every stream right after its
snapshot would be asked for the whole snapshot, which is billed, again and again without a pause."""


class SupervisorObserver(Protocol):
    """Callbacks for metrics and logs. They run on the event loop and must not block."""

    def state_changed(self, state: ListenerState, reason: str) -> None:
        """The listener is now in `state`; `reason` is a text for the log and /readyz."""

    def restarted(self, reason: str) -> None:
        """A connection has ended and is made again. `reason` is a ListenerFailure's, so it can be a label."""


class LogPace:
    """Says when to log a repeated reason again: after 1 s, 2 s, 4 s … at most 10 minutes."""

    FIRST_S = 1.0
    MAXIMUM_S = 600.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[float, float]] = {}

    def is_due(self, reason: str) -> bool:
        """True for the first time, then at growing intervals, and again after a long time without this reason."""
        now = self._clock()
        due_at, interval_s = self._due.get(reason, (now, 0.0))
        if now < due_at:
            return False
        has_long_been_quiet = now - due_at > self.MAXIMUM_S
        interval_s = self.FIRST_S if has_long_been_quiet or not interval_s else min(2 * interval_s, self.MAXIMUM_S)
        self._due[reason] = (now + interval_s, interval_s)
        return True


class Supervisor:
    """Runs `listener` and hands its events to `apply`.

    `state` is its present state, and `reason` says why it is in this state. `last_failure` stays when it is live again
    ("" before the first failure); `restarts` counts the connections after the first.
    """

    def __init__(
        self,
        listener: Listener,
        apply: Apply,
        observer: SupervisorObserver,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        randomness: random.Random | None = None,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._connecting_since = clock()
        self._apply = apply
        self._observer = observer
        self._sleep = sleep
        self._back_off = BackOff(randomness or random.Random())  # noqa: S311 - jitter, not a secret
        self._log_pace = LogPace(clock)
        self._is_quiet = False
        self._shown_state = ListenerState.STOPPED
        self._has_been_consistent = False
        self.state = ListenerState.STOPPED
        self.reason = "not started"
        self.last_failure = ""
        self.restarts = 0

    def __repr__(self) -> str:
        return f"<Supervisor {self.state} ({self.reason}), {self.restarts} restarts>"

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        try:
            self._enter(ListenerState.CONNECTING, "started")
            while True:
                failure = await self._one_connection()
                await self._wait_after(failure)
                self.restarts += 1
                self._observer.restarted(failure.reason)
                self._enter(ListenerState.CONNECTING, str(failure))
        finally:
            self._enter(ListenerState.STOPPED, "stopped")

    async def confirm(self) -> float:
        """See Listener.confirm; raises CannotConfirm unless live."""
        if self.state is not ListenerState.LIVE:
            raise CannotConfirm(f"the listener is {self.state}: {self.reason}")
        return await self._listener.confirm()

    def resync(self, reason: str) -> None:
        """The documents that the listener holds are in doubt: start from scratch."""
        _log.warning("listener: resync requested: %s", reason, extra=self._facts(resync_reason=reason))
        self._listener.forget()

    async def _one_connection(self) -> ListenerFailure:
        self._has_been_consistent = False
        self._connecting_since = self._clock()
        failure = await self._failure_of_run()
        if failure.reason in BUGS:
            self._listener.forget()
        return failure

    async def _failure_of_run(self) -> ListenerFailure:
        try:
            await self._listener.run(self._applied, self._opened)
        except ListenerFailure as failure:
            return failure.as_value()
        except OSError as error:
            return failure_of_os_error(error)
        except Exception as error:  # noqa: BLE001 - a bug of the listener's: logged, and the connection is tried again
            _log.exception("listener: unexpected error, connecting again", extra=self._facts())
            return ListenerFailure("listener_error", repr(error))
        return ListenerFailure("listener_error", "the listener returned")

    async def _applied(self, event: Event) -> None:
        try:
            await self._apply(event)
        except Exception as error:
            _log.exception("listener: an event could not be applied", extra=self._facts())
            raise ListenerFailure("callback_error", repr(error)) from error
        self._has_been_consistent = True
        if self.state is not ListenerState.LIVE:
            self._enter(ListenerState.LIVE, "synchronised")

    def _opened(self) -> None:
        self._enter(ListenerState.SYNCING, self.reason)

    async def _wait_after(self, failure: ListenerFailure) -> None:
        """Back off, unless the listener chose to end. A run that ended with a bug of ours was no success."""
        self.last_failure = str(failure)
        succeeded = self._has_been_consistent and failure.reason not in BUGS
        if succeeded and self._clock() - self._connecting_since >= LEAST_SUCCESS_S:
            self._back_off.reset()
        if succeeded and failure.prompt:
            _log.info("listener: %s, connecting anew", failure, extra=self._facts(failure=failure.reason))
            return
        delay_s = self._back_off.delay_s(failure)
        self._is_quiet = not self._log_pace.is_due(failure.reason)
        self._enter(ListenerState.BACKING_OFF, str(failure), failure=failure, retry_in_s=round(delay_s, 3))
        await self._sleep(delay_s)

    def _enter(
        self, state: ListenerState, reason: str, *, failure: ListenerFailure | None = None, **facts: float
    ) -> None:
        previous, self.state, self.reason = self.state, state, reason
        extra = self._facts(previous_state=previous.value, **facts)
        advice = ""
        if failure is not None:
            extra["failure"] = failure.reason
            advice = f" - {WHAT_TO_DO[failure.reason]}" if failure.reason in WHAT_TO_DO else ""
        level = self._level(failure)
        _log.log(level, "listener: %s, was %s: %s%s", state, previous, reason, advice, extra=extra)
        self._observer.state_changed(state, reason)

    def _level(self, failure: ListenerFailure | None) -> int:
        """The log level of this transition. If the trouble was logged, the recovery is too."""
        recovered = self.state is ListenerState.LIVE and self._shown_state is not ListenerState.LIVE
        stopped = self.state is ListenerState.STOPPED
        if self._is_quiet and not recovered and not stopped:
            return logging.DEBUG
        self._shown_state = self.state
        if failure is None:
            return logging.INFO
        return logging.ERROR if failure.permanent else logging.WARNING

    def _facts(self, **facts: object) -> dict[str, object]:
        return {"listener_state": self.state.value, "restarts": self.restarts, **facts}
