"""Where Firestore is, and how to open a grpc.aio channel to it.

A channel is opened in the running event loop, so always after any fork: gRPC does not survive forks. The code that
opens a channel must close it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import google.auth
import grpc
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport

from listeners.listener import ListenerFailure, failure_of_os_error

Metadata = tuple[tuple[str, str], ...]
Options = Sequence[tuple[str, Any]]
"""The options of a gRPC channel."""

OPENING_S = 5.0
"""The longest time for Firestore's first message on a new stream, including the time to connect."""

CONNECT_S = 4.0
"""The longest time for one attempt to connect. A lost SYN is sent again after 1 and after 3 s."""

RECONNECT_OPTIONS: Options = (
    # gRPC's own back-off grows to 120 s, and an attempt to connect takes it at least 20 s.
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 4_000),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_S * 1_000)),  # despite its name: the least timeout of an attempt
)
"""For every channel to Firestore: it connects again within seconds after an outage of any length."""

# Google's front end ends a connection on which pings come too often (GOAWAY, "too_many_pings"). Every 30 s is what
# Google's client sends (`_DEFAULT_CHANNEL_OPTIONS` in google/cloud/firestore_v1/base_client.py), while calls are open.
CLIENT_OPTIONS: Options = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    *RECONNECT_OPTIONS,
)
"""For channels that share their connection with all others of this process that have equal options."""

CHANNEL_OPTIONS: Options = (
    *CLIENT_OPTIONS,
    # A new channel inherits neither an old one's back-off nor its connection, which can be half open.
    ("grpc.use_local_subchannel_pool", 1),
)
"""For a channel with its own connection."""


class SharedConnection:
    """The options of channels that share one connection. A half-open connection is replaced by another."""

    def __init__(self) -> None:
        self._number = 0

    @property
    def options(self) -> Options:
        """The options for the present connection. gRPC does not know the last one, but compares all of them."""
        return (*CLIENT_OPTIONS, ("process_status.connection", self._number))

    def give_up(self, options: Options) -> None:
        """From now on new channels share another connection than channels with these options."""
        if options == self.options:
            self._number += 1


class Endpoint(Protocol):
    """One Firestore, real or emulated."""

    @property
    def metadata(self) -> Metadata:
        """The metadata that every call must send in addition to the routing headers."""

    async def open_channel(self) -> grpc.aio.Channel:
        """A new channel. Raises: ListenerFailure."""


class EmulatorEndpoint:
    """An emulator at "host:port": without encryption, and with all access rights."""

    metadata: Metadata = (("authorization", "Bearer owner"),)

    def __init__(self, host: str) -> None:
        self._host = host

    def __repr__(self) -> str:
        return f"<EmulatorEndpoint {self._host}>"

    async def open_channel(self) -> grpc.aio.Channel:
        return _opened(lambda: grpc.aio.insecure_channel(self._host, options=CHANNEL_OPTIONS))


class GoogleEndpoint:
    """Firestore itself, with the application's default credentials."""

    metadata: Metadata = ()

    def __init__(self, host: str = FirestoreGrpcAsyncIOTransport.DEFAULT_HOST, *, credentials: Any = None) -> None:
        self._host = host
        self._credentials = credentials

    def __repr__(self) -> str:
        return f"<GoogleEndpoint {self._host}>"

    async def open_channel(self) -> grpc.aio.Channel:
        if self._credentials is None:
            self._credentials = await _default_credentials()
        create = FirestoreGrpcAsyncIOTransport.create_channel
        return _opened(lambda: create(self._host, credentials=self._credentials, options=CHANNEL_OPTIONS))


def _opened(create: Callable[[], grpc.aio.Channel]) -> grpc.aio.Channel:
    """The first channel of a loop opens file descriptors. Raises: ListenerFailure if the process has none left."""
    try:
        return create()
    except OSError as error:
        raise failure_of_os_error(error) from error


async def _default_credentials() -> Any:
    """The default credentials. A thread finds them, because this reads files and can call a metadata server."""
    try:
        credentials, _ = await asyncio.to_thread(google.auth.default, scopes=FirestoreGrpcAsyncIOTransport.AUTH_SCOPES)
    except GoogleAuthError as failed:
        raise ListenerFailure("unauthenticated", str(failed), permanent=True) from failed
    return credentials
