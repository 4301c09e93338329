"""The listener that uses google-cloud-firestore's `on_snapshot` machinery. It owns the only boundary between threads.

Everything in here runs on the event loop. Events of the watch's threads cross over only in `_Inbox.put_from_thread`. If
Watch can be wrong, nothing of it is used: at the first suspicion the run ends, and the next run starts from scratch
with a new client. Consistent points are the evidence of freshness. A probe only makes Firestore send one, and proves
nothing else.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from google.cloud import firestore

from listeners.endpoints import CHANNEL_OPTIONS, SharedConnection
from listeners.events import Changed, Confirmed, Event, Removal, Replaced
from listeners.field_paths import Projection
from listeners.listener import Apply, CannotConfirm, Clock, ListenerFailure, ListenerObserver
from listeners.on_snapshot.ages import Ages
from listeners.on_snapshot.silence import Silence
from listeners.on_snapshot.watch import Connection
from listeners.on_snapshot.watch_inspection import DocumentsRead, Opened, Point, WatchEvent, failure_of_error
from listeners.window import Window

_log = logging.getLogger(__name__)

PROBE_INTERVAL_S = 40.0
"""The probe interval of a followed document. Production sends heartbeats on an idle stream about every 30 s, so probes
are rare. Each of many followed documents has its own stream, and each probe is a billed read."""

INBOX_LIMIT = 1000
CLOSE_TIMEOUT_S = 5.0


class OnSnapshotListener:
    """A Listener that uses a Watch.

    `client_factory` makes the run's own client, in a thread; the client is closed at the end of the run. `clock` is for
    the events' `as_of`; `wall_clock` is seconds since the epoch, to compare with Firestore's read times. A watch that
    has been silent for `probe_interval_s` is probed. If it stays silent for two more intervals, it counts as stalled.
    Before its first consistent point it is not probed, and can be silent for `idle_timeout_s`. Each run has its own
    connection or, with `shared`, uses that one.
    """

    def __init__(
        self,
        window: Window,
        projection: Projection,
        client_factory: Callable[[], firestore.Client],
        observer: ListenerObserver,
        *,
        clock: Clock,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        probe_interval_s: float = PROBE_INTERVAL_S,
        idle_timeout_s: float = 120.0,
        shared: SharedConnection | None = None,
    ) -> None:
        self._window = window
        self._projection = projection
        self._client_factory = client_factory
        self._observer = observer
        self._clock = clock
        self._ages = Ages(clock, wall_clock)
        self._sleep = sleep
        self._probe_interval_s = probe_interval_s
        self._idle_timeout_s = idle_timeout_s
        self._shared = shared
        self._inbox: _Inbox | None = None

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        """See Listener. The first event is always a Replaced; Removal.deleted is always None."""
        options = CHANNEL_OPTIONS if self._shared is None else self._shared.options
        connection = Connection(self._window, self._projection, self._client_factory, options)
        inbox = self._inbox = _Inbox(self._observer)
        supervision = asyncio.create_task(self._supervise(connection, inbox), name="on_snapshot: supervision")
        supervision.add_done_callback(inbox.supervision_ended)
        try:
            await self._open(connection, inbox)
            await self._pass_on(inbox, apply, on_open)
        except ListenerFailure as failure:
            if failure.reason == "idle" and self._shared is not None:
                self._shared.give_up(options)
            raise
        finally:
            self._inbox = None
            inbox.end()
            supervision.cancel()
            await _closed(connection, supervision)

    async def confirm(self) -> float:
        """Always raises CannotConfirm: the library does not say which probe a consistent point answers."""
        raise CannotConfirm("on_snapshot can't confirm the model", is_final=True)

    def forget(self) -> None:
        """End the run in progress. No run resumes anything."""
        if self._inbox is not None:
            self._inbox.overrule(ListenerFailure("resync", prompt=True))

    async def _open(self, connection: Connection, inbox: "_Inbox") -> None:
        try:
            await _in_a_thread(connection.open, inbox.put_from_thread)
        except Exception as error:
            raise failure_of_error(error) from error

    async def _pass_on(self, inbox: "_Inbox", apply: Apply, on_open: Callable[[], None]) -> None:
        has_synced = False
        while True:
            match await inbox.take():
                case Opened():
                    on_open()
                case Point() as point:
                    await apply(self._event(point, first=not has_synced))
                    has_synced = True
                case ListenerFailure() as failure:
                    raise failure

    def _event(self, point: Point, *, first: bool) -> Event:
        as_of = self._ages.as_of(point.read_time)
        if first:
            return Replaced(point.upserts, point.read_time, as_of, point.foreign)
        if not point.upserts and not point.removed_ids:
            return Confirmed(point.read_time, as_of, point.foreign)
        removals = [Removal(document_id, deleted=None) for document_id in point.removed_ids]
        return Changed(point.upserts, removals, point.read_time, as_of, point.foreign)

    async def _supervise(self, connection: Connection, inbox: "_Inbox") -> None:
        """Notice a watch that has died or fallen silent without an event."""
        silence = Silence(self._probe_interval_s, self._idle_timeout_s)
        while True:
            await self._sleep(silence.step_s)
            watch = connection.watch
            if watch is None:
                continue
            if not watch.is_active:
                return inbox.put(ListenerFailure("end_of_stream", "the watch's thread has ended"))
            is_probed = inbox.has_synced and connection.can_probe
            silence.pass_step(watch.heard, is_working=watch.working, is_probed=is_probed)
            if silence.is_over_limit:
                return inbox.put(ListenerFailure("idle", f"no message for {silence.limit_s:g} s"))
            if is_probed and silence.takes_probe():
                connection.probe()


class _Inbox:
    """The watch's events, in order, until its first failure.

    Bounded: if the consumer cannot keep up, it must resync.
    """

    def __init__(self, observer: ListenerObserver) -> None:
        self._loop = asyncio.get_running_loop()
        self._observer = observer
        self._waiting: deque[Opened | Point | ListenerFailure] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self.has_synced = False

    def put_from_thread(self, event: WatchEvent) -> None:
        """Take an event from the watch's thread to the event loop's."""
        try:
            self._loop.call_soon_threadsafe(self.put, event)
        except RuntimeError:  # the loop is closed
            _log.debug("an event after the event loop's end: %r", event)

    def put(self, event: WatchEvent) -> None:
        if isinstance(event, DocumentsRead):
            self._observer.documents_read(event.count)
        elif not self._ended:
            self._ended = isinstance(event, ListenerFailure)
            self.has_synced = self.has_synced or isinstance(event, Point)
            self._waiting.append(event)
            self._arrived.set()
            if len(self._waiting) > INBOX_LIMIT:
                self.overrule(ListenerFailure("overrun", f"{INBOX_LIMIT} consistent points not applied yet"))

    def overrule(self, failure: ListenerFailure) -> None:
        """Put a failure in place of waiting events, which must not be applied any more."""
        self._waiting.clear()
        self._ended = False
        self.put(failure)

    def end(self) -> None:
        self._ended = True

    def supervision_ended(self, task: "asyncio.Task[None]") -> None:
        """End the run: a listener without supervision must not go on."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.put(ListenerFailure("listener_error", repr(error)))

    async def take(self) -> Opened | Point | ListenerFailure:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()


def _in_a_thread(call: Callable[..., None], *arguments: object) -> "asyncio.Future[None]":
    """Run `call` in its own thread.

    The event loop has few threads, and hanging calls would leave none to open a stream.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if ended.done():  # its waiter is gone
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            call(*arguments)
        except BaseException as raised:  # noqa: BLE001 - raised where it is waited for
            error = raised
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end, error)

    threading.Thread(target=run, name=f"on_snapshot: {call.__name__}", daemon=True).start()
    return ended


async def _closed(connection: Connection, supervision: "asyncio.Task[None]") -> None:
    """Close the connection in a thread, because this can block. If it hangs, only its thread goes on."""
    closing = _in_a_thread(connection.close)
    await asyncio.wait({closing, supervision}, timeout=CLOSE_TIMEOUT_S)
    if not closing.done():
        _log.warning("the watch did not close within %g s", CLOSE_TIMEOUT_S)
    elif (error := closing.exception()) is not None:
        _log.warning("the watch did not close cleanly", exc_info=error)
