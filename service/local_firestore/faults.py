"""Failures of a Firestore, on demand. When a method returns, its fault is in force.

Call them on the server's event loop. A lasting fault ends when its count is used up, with `Fault.release`, at the end
of its `with` block, or with `Faults.release_all`. No fault ever reorders messages.
"""

from collections.abc import Callable
from typing import Protocol

import grpc

from service.local_firestore.call_faults import CallFaults
from service.local_firestore.fault import Fault
from service.local_firestore.listening import Listening
from service.local_firestore.store import Store
from service.local_firestore.stream import ListenStream


class Port(Protocol):
    """The server's listening port."""

    async def close_port(self) -> None: ...

    async def open_port(self) -> None: ...


class Faults(CallFaults):
    """The faults of one running server."""

    def __init__(self, store: Store, listening: Listening, port: Port) -> None:
        self.active: list[Fault] = []
        super().__init__(self.active)
        self._store = store
        self._listening = listening
        self._port = port
        self._is_refusing = False

    def release_all(self) -> None:
        """Release all faults except refused connections: see `accept_connections`."""
        for fault in list(self.active):
            fault.release()

    # -- streams

    def end_streams(
        self,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        detail: str = "ended by a fault",
        *,
        after_messages: int = 0,
        new_streams: int = 0,
    ) -> Fault:
        """End the open streams, gracefully (OK) or with a status: now, or after this many more messages each.

        The next `new_streams` streams end in the same way; the fault stays in force for them.
        """

        def end(stream: ListenStream) -> None:
            fault.strike()
            stream.end(code, detail, after_messages=after_messages)

        def end_new(stream: ListenStream) -> None:
            end(stream)
            if fault.is_spent:
                fault.release()

        open_now = list(self._listening.streams)
        fault = self._in_force("end_streams", end_new if new_streams else None, len(open_now) + new_streams)
        for stream in open_now:
            end(stream)
        if fault.is_spent:
            fault.release()
        return fault

    def stall_streams(self, *, existing: bool = True, new: bool = True) -> Fault:
        """Streams stay open, or are accepted, but send nothing.

        When released, they send the messages that have queued up.
        """

        def stall(stream: ListenStream) -> None:
            fault.strike()
            stream.stall(fault)

        def resume(released: Fault) -> None:
            for stream in self._listening.streams:
                stream.resume(released)

        fault = self._in_force("stall_streams", stall if new else None, on_release=resume)
        for stream in list(self._listening.streams) if existing else []:
            stall(stream)
        return fault

    def _in_force(
        self,
        name: str,
        on_open: Callable[[ListenStream], None] | None = None,
        times: int | None = None,
        on_release: Callable[[Fault], None] = lambda fault: None,
    ) -> Fault:
        def release(fault: Fault) -> None:
            self.active.remove(fault)
            if on_open is not None:
                self._listening.on_open.remove(on_open)
            on_release(fault)

        fault = Fault(name, release, times)
        self.active.append(fault)
        if on_open is not None:
            self._listening.on_open.append(on_open)
        return fault

    # -- targets: each method sends to all open query targets, or to all targets that name `document` ("jobs/a"), and
    # returns the number of targets

    def send_existence_filter(self, *, off_by: int = 1, document: str = "") -> int:
        """Send an existence filter whose count is wrong by `off_by` (0: right), and then a consistent point."""
        targets = self._listening.targets(document)
        for hub, target in targets:
            hub.send_filter(target, max(0, hub.count(target) + off_by))
        return len(targets)

    def send_reset(self, *, document: str = "") -> int:
        """Send RESET, the whole result again, CURRENT, and a consistent point."""
        targets = self._listening.targets(document)
        for hub, target in targets:
            hub.send_reset(target)
        return len(targets)

    def remove_targets(self, code: grpc.StatusCode, detail: str = "removed by a fault", *, document: str = "") -> int:
        """Send REMOVE with this cause. The streams stay open."""
        targets = self._listening.targets(document)
        for hub, target in targets:
            hub.send_removed(target, int(code.value[0]), detail)
        return len(targets)

    def expire_tokens(self) -> None:
        """From now on, RESET answers resume tokens that were issued before."""
        self._listening.tokens.expire(self._store.clock.now())

    def drop_deltas(self, count: int = 1) -> Fault:
        """The next deltas (over all streams: one per commit) lose their documents, but not their consistent point. So
        the stream confirms an outdated state, and only an audit can notice it."""

        def drop() -> None:
            fault.strike()
            if fault.is_spent:
                fault.release()

        def release(_: Fault) -> None:
            self._listening.droppers.remove(drop)

        fault = self._in_force("drop_deltas", times=count, on_release=release)
        self._listening.droppers.append(drop)
        return fault

    # -- connections

    async def refuse_connections(self) -> None:
        """Break all connections and close the port. The documents stay."""
        if not self._is_refusing:
            self._is_refusing = True
            await self._port.close_port()

    async def accept_connections(self) -> None:
        """Listen again, on the same port."""
        if self._is_refusing:
            await self._port.open_port()
            self._is_refusing = False
