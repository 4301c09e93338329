"""The interface of every listener, the states that its supervisor reports, and its errors.

Only the supervisor runs a listener. `run` is one connection to Firestore; it always ends with a ListenerFailure. The
supervisor decides when to run again, never the listener.
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
    """What the supervised listener is doing. The model knows whether it has synced, and how fresh it is."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    LIVE = "live"
    BACKING_OFF = "backing_off"
    STOPPED = "stopped"


class ListenerFailure(Exception):
    """One connection ended.

    `reason` is a short word from a bounded set, so it can be a label of a metric (a gRPC status code in lower case,
    `end_of_stream`, `filter_mismatch`, `idle`, `probe_unanswered`, `lifetime`, `reopened`, `protocol_error`,
    `resync`, `overrun`, `callback_error`, `listener_error`, `too_many_open_files`, `os_error`). The exception's text
    has the details for the log.
    `permanent` means that trying again soon is useless: an operator must do something first. `prompt` means that the
    listener itself chose to end (a stream reached its lifetime, a resync was requested): run again at once.
    """

    def __init__(self, reason: str, detail: str = "", *, permanent: bool = False, prompt: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.permanent = permanent
        self.prompt = prompt

    def as_value(self) -> "ListenerFailure":
        """The same exception, without its traceback and causes, so that keeping it does not keep the old connection."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class CannotConfirm(Exception):
    """The listener cannot prove freshness now or, if `is_final`, never can on this connection."""

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


class ListenerObserver(Protocol):
    """Callbacks for metrics and logs. Called on the event loop, must not block."""

    def documents_read(self, count: int) -> None:
        """Firestore has sent, and will bill, this many documents (a probe counts as one)."""

    def probe_answered(self, seconds: float) -> None:
        """A probe was answered after this time."""


class Listener(Protocol):
    """One source of events about one window of one collection."""

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        """Connect, listen, and hand every consistent point to `apply`, in order, until the connection ends.

        The first event is a Replaced. If the listener could resume where it stopped, it is a Changed or Confirmed
        instead, relative to the last event that `apply` took. `on_open` is called once, on Firestore's first answer.

        Raises: ListenerFailure, always, unless cancelled; an exception of `apply` is passed on unchanged. In both cases
        it leaves no task, thread or stream behind.
        """

    async def confirm(self) -> float:
        """Prove that the consumer is up to date. Returns the `as_of` of the proof, which is not before this call.

        When it returns, the consumer holds everything that Firestore had committed before the call. Concurrent callers
        share one proof. Raises: CannotConfirm.
        """

    def forget(self) -> None:
        """Start from scratch: the documents held are in doubt.

        If `run` is in progress, it ends with reason `resync`.
        """


TOO_MANY_OPEN_FILES = "too_many_open_files"
"""The reason when this process has no file descriptor left for a connection to Firestore."""

_EMFILE_TEXT = os.strerror(errno.EMFILE)  # the text of ENFILE begins in the same way


def failure_of_status(code: grpc.StatusCode, detail: str) -> ListenerFailure:
    """Classify a gRPC status. A code that is not known to be permanent can be retried."""
    if code is grpc.StatusCode.UNAVAILABLE and _EMFILE_TEXT in detail:
        return ListenerFailure(TOO_MANY_OPEN_FILES, _EMFILE_TEXT)  # the end of gRPC's detail is random bytes
    return ListenerFailure(code.name.lower(), detail, permanent=remedy_of(code) is not Remedy.RETRY)


def failure_of_os_error(error: OSError) -> ListenerFailure:
    """Classify an error of the operating system. It can be retried, and the documents held are not in doubt."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return ListenerFailure(TOO_MANY_OPEN_FILES, str(error))
    return ListenerFailure("os_error", str(error))
