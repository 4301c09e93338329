"""The `stream` listener: Firestore's Listen RPC with grpc.aio, on the caller's event loop, without a thread.

A change costs the same whatever the size of the window. `run` is one stream: see `OpenStream`. This object lives
longer: it keeps the protocol's versions and resume token, so that the next run resumes. The supervisor decides when to
run again. `run` opens the channel and closes it.
"""

import asyncio
from collections.abc import Callable
from random import Random

from google.api_core.gapic_v1.routing_header import to_grpc_metadata
from google.cloud.firestore_v1.types import ListenRequest

from listeners import compat
from listeners.endpoints import Endpoint, Metadata
from listeners.field_paths import Projection
from listeners.listener import Apply, CannotConfirm, Clock, ListenerFailure, ListenerObserver
from listeners.stream.document_targets import DocumentTargets
from listeners.stream.listen_protocol import ListenProtocol
from listeners.stream.open_stream import OpenStream, Sleep
from listeners.stream.stream_times import StreamTimes
from listeners.window import Window

LISTEN = "/google.firestore.v1.Firestore/Listen"

CLOSING_S = 0.25
"""How long gRPC's own tasks can take to notice that their call is over. Usually they take a millisecond."""


class StreamListener:
    """See `Listener`. Times are in seconds. The age at which a stream ends is random, within `lifetime_s`.

    `documents` follows single documents on the same streams.
    """

    def __init__(
        self,
        window: Window,
        endpoint: Endpoint,
        *,
        projection: Projection,
        clock: Clock,
        observer: ListenerObserver,
        rng: Random,
        sleep: Sleep = asyncio.sleep,
        probe_interval_s: float = 5.0,
        idle_timeout_s: float = 120.0,
        lifetime_s: tuple[float, float] = (1800.0, 3600.0),
        confirm_timeout_s: float = 5.0,
    ) -> None:
        self._endpoint = endpoint
        self._metadata: Metadata = (*_routing(window), *endpoint.metadata)
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._sleep = sleep
        self._probe_interval_s = probe_interval_s
        self._idle_timeout_s = idle_timeout_s
        self._lifetime_s = lifetime_s
        self._confirm_timeout_s = confirm_timeout_s
        self._protocol = ListenProtocol(window, projection)
        self.documents = DocumentTargets(self._protocol, rng)
        self._stream: OpenStream | None = None

    def __repr__(self) -> str:
        return f"<StreamListener {self._endpoint!r} {self._protocol!r}>"

    async def run(self, apply: Apply, on_open: Callable[[], None]) -> None:
        """See `Listener.run`."""
        if self._stream is not None:
            raise RuntimeError("this listener is already running")
        stream = self._stream = OpenStream(
            self._protocol, self.documents, self._times(), self._clock, self._sleep, self._observer
        )
        try:
            await self._listen(stream, apply, on_open)
        except ListenerFailure as failure:
            if failure.permanent:
                self._protocol.forget_token()  # perhaps Firestore refuses the token
            raise
        finally:
            self._stream = None
            stream.end("the listener's stream has ended")

    async def _listen(self, stream: OpenStream, apply: Apply, on_open: Callable[[], None]) -> None:
        channel = await self._endpoint.open_channel()
        try:
            listen = channel.stream_stream(
                LISTEN,
                request_serializer=ListenRequest.pb().SerializeToString,
            )
            call = listen(metadata=self._metadata)
            try:
                await stream.run(call, apply, on_open)
            finally:
                compat.cancel(call)
        except asyncio.CancelledError:
            await channel.close()
            await self._grpc_ends()
            raise
        finally:
            await channel.close()

    async def _grpc_ends(self) -> None:
        """Wait until gRPC's own tasks have seen that the call is over, because the event loop can end next.

        Finding them among ten thousand tasks of waiting clients takes 10 ms. That is too long for any stream but the
        last.
        """
        running = compat.call_tasks()
        if running:
            await asyncio.wait(running, timeout=CLOSING_S)  # some can belong to another call that is still open

    def _times(self) -> StreamTimes:
        return StreamTimes(
            probe_interval_s=self._probe_interval_s,
            idle_timeout_s=self._idle_timeout_s,
            lifetime_s=self._rng.uniform(*self._lifetime_s),
            confirm_timeout_s=self._confirm_timeout_s,
        )

    async def confirm(self) -> float:
        """See `Listener.confirm`."""
        if self._stream is None:
            raise CannotConfirm("the listener is not connected")
        return await self._stream.confirm()

    def forget(self) -> None:
        """See `Listener.forget`."""
        self._protocol.forget()
        if self._stream is not None:
            self._stream.resync()


def _routing(window: Window) -> Metadata:
    database = window.documents_path.removesuffix("/documents")
    name, value = to_grpc_metadata((("database", database),))  # type: ignore[no-untyped-call]
    return (("google-cloud-resource-prefix", database), (name, value))
