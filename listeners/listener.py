"""The port every listener has, the states its supervisor reports, and what its errors are.

A listener is driven by its supervisor alone: `run` is one connection to Firestore, and its end, whatever the
cause, is a ListenerFailure. When to run again is the supervisor's decision, never the listener's.
"""

import errno
import os
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol

import grpc

from listeners.events import Event
from listeners.grpc_status import Remedy, remedy_of

Clock = Callable[[], float]
"""Seconds on a clock that never goes back and also runs while the machine is suspended."""

Apply = Callable[[Event], Awaitable[None]]
"""Takes one event. Returns when it is visible; the listener sends no other event until then."""


class ListenerState(StrEnum):
    """What the supervised listener is doing. `has synced` and `is fresh` are other questions: the model's."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    LIVE = "live"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class ListenerFailure(Exception):
    """One connection ended.

    `reason` is a short word from a bounded set, fit for a metric's label (a gRPC status code in lower case,
    `end_of_stream`, `filter_mismatch`, `idle`, `probe_unanswered`, `lifetime`, `reopened`, `protocol_error`,
    `resync`, `overrun`, `callback_error`, `listener_error`, `too_many_open_files`, `os_error`); the exception's text
    has the details for the log.
    `permanent` means that trying again soon is useless without an operator. `prompt` means that this end was
    chosen (a stream's lifetime, a resync asked for): run again at once, nothing is wrong.
    """

    def __init__(self, reason: str, detail: str = "", *, permanent: bool = False, prompt: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.permanent = permanent
        self.prompt = prompt

    def as_value(self) -> "ListenerFailure":
        """Itself, to be kept: it no longer refers to the frames it passed, and by them to the ended connection."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class CannotConfirm(Exception):
    """The listener can't prove freshness now, or, where `is_final`, never can on this connection."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class ListenerObserver(Protocol):
    """Callbacks for metrics and logs. Called on the event loop, must not block."""

    def documents_read(self, count: int) -> None:
        """Firestore sent, and will bill, this many documents (a probe's one read included)."""

    def probe_answered(self, seconds: float) -> None:
        """A probe went out and came back in this time."""


class Listener(Protocol):
    """One source of events about one window of one collection."""

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        """Connect, listen, and hand every consistent point to `apply`, in order, until the connection ends.

        The first event is a Replaced, or, where a listener could resume where it had stopped, a Changed or
        Confirmed against what `apply` last took. `on_open` is called once, on Firestore's first answer.

        Raises: ListenerFailure, always, unless cancelled; what `apply` raises is passed on as it is. Leaves no
        task, thread or stream behind in either case.
        """

    async def confirm(self) -> float:
        """Prove that the consumer is up to date; return the `as_of` of the proof: at or after this call began.

        What Firestore had committed before the call is visible in the consumer when it returns. Concurrent
        callers share one proof. Raises: CannotConfirm.
        """

    def forget(self) -> None:
        """Resume nothing: what was held is in doubt. The run in progress, if any, ends with reason `resync`."""


TOO_MANY_OPEN_FILES = "too_many_open_files"
"""The reason where this process has no file descriptor left to reach Firestore with."""

_EMFILE_TEXT = os.strerror(errno.EMFILE)  # that of ENFILE begins alike


def failure_of_status(code: grpc.StatusCode, detail: str) -> ListenerFailure:
    """Classify a gRPC status. Every code that is not known to be permanent is worth another try."""
    if code is grpc.StatusCode.UNAVAILABLE and _EMFILE_TEXT in detail:
        return ListenerFailure(TOO_MANY_OPEN_FILES, _EMFILE_TEXT)  # after it, gRPC's detail has bytes of no meaning
    return ListenerFailure(code.name.lower(), detail, permanent=remedy_of(code) is not Remedy.RETRY)


def failure_of_os_error(error: OSError) -> ListenerFailure:
    """Classify an error of the operating system: worth another try, and no fault of what the listener holds."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ListenerFailure(TOO_MANY_OPEN_FILES, str(error))
    return ListenerFailure("os_error", str(error))
