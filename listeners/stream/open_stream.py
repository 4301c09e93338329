"""One open Listen stream: sends, reads, decodes messages, and hands each consistent point to the consumer.

While the consumer's `apply` runs, the stream is not read, so Firestore must wait too. `ListenProtocol` knows the
meaning of the messages, `Freshness` the age of a point, `Probes` when a probe is due; `DocumentTargets` has the
followed documents.

A stream ends when it is silent for the idle timeout (before its first message: `OPENING_S`; before its first consistent
point: three probe intervals), and when two probes stay unanswered. It also ends at a random age, to balance the load
and to reveal hidden faults. All times count only while this process runs. So a process that was frozen first reads the
messages in its socket, before it decides that the stream is silent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import grpc
from google.protobuf.message import DecodeError

from listeners.firestore_values import Message
from listeners.listener import Apply, CannotConfirm, Clock, ListenerFailure, ListenerObserver, failure_of_status
from listeners.stream.consistent_point import ConsistentPoint, TargetsEnded
from listeners.stream.document_targets import DocumentTargets
from listeners.stream.freshness import Freshness
from listeners.stream.listen_protocol import MODEL_TARGET, ListenProtocol
from listeners.stream.probes import Probes
from listeners.stream.stream_times import StreamTimes

_log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class OpenStream:
    """The tasks, timers and probes of one stream. `run` is its whole life."""

    def __init__(
        self,
        protocol: ListenProtocol,
        documents: DocumentTargets,
        times: StreamTimes,
        clock: Clock,
        sleep: Sleep,
        observer: ListenerObserver,
    ) -> None:
        self._protocol = protocol
        self._documents = documents
        self._times = times
        self._clock = clock
        self._sleep = sleep
        self._observer = observer
        self._freshness = Freshness()
        self._probes = Probes(times.probe_interval_s, times.confirm_timeout_s, times.idle_timeout_s)
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._applying = asyncio.Lock()
        self._resync: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._opened_at = 0.0
        self._has_begun = False
        self._has_synced = False
        self._no_probes = "the listener has not synced"  # the reason; empty as soon as probes can be sent
        self._are_refused = False
        self._silent_s = 0.0
        self._billed = protocol.documents_billed
        self._changes_at_last_step = protocol.changes_received

    # -- life

    async def run(self, call: grpc.aio.StreamStreamCall, apply: Apply, on_open: Callable[[], None]) -> None:
        """Run until the stream ends, for whatever cause. Leaves no task behind. Raises like `Listener.run`."""
        self._opened_at = self._clock()
        for request in self._protocol.open():
            self._outbox.put_nowait(request)
        self._documents.begin(self._outbox.put_nowait)
        tasks = {
            asyncio.create_task(self._read(call, apply, on_open), name="listen stream: read"),
            asyncio.create_task(self._write(call), name="listen stream: write"),
            asyncio.create_task(self._send_probes(), name="listen stream: probes"),
            asyncio.create_task(self._watch(), name="listen stream: watch"),
        }
        try:
            await self._until_over(tasks)
        finally:
            self._documents.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._report_documents()

    async def _until_over(self, tasks: set[asyncio.Task[None]]) -> None:
        done, _ = await asyncio.wait({*tasks, self._resync}, return_when=asyncio.FIRST_COMPLETED)
        if self._resync in done:
            raise ListenerFailure("resync", "what the consumer holds is in doubt", prompt=True)
        async with self._applying:  # when we choose to end, the consumer finishes first what it has begun
            for task in tasks:
                if task.done():
                    task.result()
        raise RuntimeError("a task of the listen stream returned early")

    def resync(self) -> None:
        """End at once, even while the consumer applies a point: that point is in doubt anyway."""
        self.end("what the consumer holds is in doubt")
        if not self._resync.done():
            self._resync.set_result(None)

    def end(self, why: str) -> None:
        """Let no confirmation succeed from now on."""
        self._no_probes = why
        self._probes.end(why)

    # -- reading

    async def _read(self, call: grpc.aio.StreamStreamCall, apply: Apply, on_open: Callable[[], None]) -> None:
        response = await self._next_response(call)
        self._has_begun = True
        on_open()
        while True:
            self._silent_s = 0.0
            event = self._protocol.receive(response)
            if isinstance(event, ConsistentPoint):
                await self._hand_over(event, self._clock(), apply)
            elif event is not None:
                self._targets_ended(event)
            response = await self._next_response(call)

    async def _next_response(self, call: grpc.aio.StreamStreamCall) -> Message:
        """Read the next response. Raises: ListenerFailure at the end of the stream."""
        try:
            response = await call.read()
        except grpc.aio.AioRpcError as error:
            raise failure_of_status(error.code(), error.details() or "") from error
        if response is grpc.aio.EOF:
            raise ListenerFailure("end_of_stream", "Firestore ended the stream")
        try:
            return self._protocol.parse(response)  # here: gRPC itself would only log what can't be parsed
        except DecodeError as error:
            raise ListenerFailure("protocol_error", f"a message can't be parsed: {error}") from error

    async def _hand_over(self, point: ConsistentPoint, received_at: float, apply: Apply) -> None:
        """Give one consistent point to the consumer. Only when the consumer holds it can a stream resume from it."""
        self._report_documents()
        for target_id in point.answered:
            sent_at = self._opened_at if target_id == MODEL_TARGET else self._probes.sent_at(target_id)
            if sent_at is not None:
                self._freshness.prove(sent_at, point.read_time)
        as_of = self._freshness.as_of(point.read_time, received_at)
        async with self._applying:
            try:
                for _ in point.slices():
                    await asyncio.sleep(0)
                await apply(point.event(as_of))
            except BaseException:
                self._protocol.forget()  # the consumer has perhaps taken a part of it
                raise
            self._protocol.take(point)
            self._documents.deliver(point, as_of)
        if not self._resync.done():
            self._resolve_probes(point.answered, as_of)

    def _resolve_probes(self, answered: Sequence[int], as_of: float) -> None:
        now = self._clock()
        for target_id in answered:
            if target_id == MODEL_TARGET and not self._has_synced:
                self._start_probes()
            for probe in self._probes.answered(target_id, as_of, now):
                self._outbox.put_nowait(self._protocol.remove_probe(probe.target_id))
                self._observer.probe_answered(now - probe.sent_at)

    def _report_documents(self) -> None:
        sent = self._protocol.documents_billed - self._billed
        if sent:
            self._billed += sent
            self._observer.documents_read(sent)

    # -- writing

    async def _write(self, call: grpc.aio.StreamStreamCall) -> None:
        """The only task that writes, because gRPC accepts one request at a time."""
        try:
            while True:
                await call.write(await self._outbox.get())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await asyncio.Event().wait()  # the call is over: the reading task raises the reason

    # -- probes

    def _start_probes(self) -> None:
        """The window has synced. Loading can have taken long, so send a probe at once."""
        self._has_synced = True
        self._no_probes = ""
        self._probes.is_due.set()

    def _targets_ended(self, ended: TargetsEnded) -> None:
        self._documents.ended(ended.document_ids, ended.failure)
        if ended.has_probe:
            _log.warning("Firestore refuses probes (%s): no strong reads", ended.failure)
            self._are_refused = True
            self.end("Firestore refuses probes")

    async def _send_probes(self) -> None:
        while True:
            await self._probes.is_due.wait()
            await self._probes.until_room()
            await self._sleep(self._probes.pause_s(self._clock()))
            if self._no_probes:
                self._probes.is_due.clear()
                continue
            target_id, request = self._protocol.add_probe()
            self._probes.sent(target_id, self._clock())
            self._outbox.put_nowait(request)

    def confirm(self) -> asyncio.Future[float]:
        """A future for the `as_of` of a probe that is sent from now on. Raises, now or when awaited: CannotConfirm."""
        if self._no_probes:
            raise CannotConfirm(self._no_probes, is_final=self._are_refused)
        return self._probes.ask()

    # -- time

    async def _watch(self) -> None:
        age_s, step_s = 0.0, self._times.step_s
        while age_s < self._times.lifetime_s:
            await self._sleep(step_s)
            age_s += step_s
            self._pass_time(step_s)
        raise ListenerFailure("lifetime", f"the stream is {age_s:.0f} s old", prompt=True)

    def _pass_time(self, seconds: float) -> None:
        """The stream is not silent while the consumer delays reading, or while a backlog precedes an answer."""
        self._documents.pass_time(seconds)
        changes = self._protocol.changes_received
        has_flowed = changes != self._changes_at_last_step
        self._changes_at_last_step = changes
        is_held_back = self._applying.locked()
        if not is_held_back:
            self._silent_s += seconds
        limit_s = self._times.silence_limit_s(has_begun=self._has_begun, has_synced=self._has_synced)
        if self._silent_s > limit_s:
            raise ListenerFailure("idle", f"no message for {limit_s:g} s")
        if not self._no_probes and self._probes.pass_time(
            seconds,
            self._clock(),
            reached=self._freshness.reached,
            has_flowed=has_flowed,
            is_held_back=is_held_back,
        ):
            raise ListenerFailure("probe_unanswered", "the stream answers no probe")
