"""Every private name of grpcio and google-cloud-firestore that the listeners use, each with its purpose.

`check` finds names that an upgrade has removed, and says what does not work without them. It runs at the start of the
service and in the test suite.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import Any

import grpc
from google.cloud.firestore import Client
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport
from google.cloud.firestore_v1.watch import Watch
from grpc._cython import cygrpc
from grpc.aio import _call

from listeners.endpoints import Options

CALL_TASKS = frozenset({"_AioCall._handle_status_once_received", "StreamStreamCall._prepare_rpc"})
"""The tasks that gRPC runs for a call, by the names of their coroutines. gRPC has no public way to wait for them."""

WAKEUP_READER = "PollerCompletionQueue"
"""The class whose method reads gRPC's wakeups from a socket."""

WATCH_HOOKS = ("on_snapshot", "push", "close", "unsubscribe", "for_query", "is_active")
"""The parts of Watch that `on_snapshot` overrides or calls. Only on_snapshot's callback and unsubscribe are public."""

WATCH_STATE = ("doc_map", "change_map")
"""The documents that Watch holds; the listener compares their number with existence filters."""

CLIENT_STATE = ("_firestore_api_internal", "_emulator_host", "_target", "_credentials")
"""The attributes in which the client library keeps its connection."""

Listen = Callable[[Iterable[Any]], Any]
"""Starts a Listen call that sends these requests."""

_NOISE = "the log has tasks that were destroyed while pending, where the event loop ends right after a call"
_LEAK = "a stream that ends while messages are unread can leave its connection open"
_SLOW = "the listener falls behind while there are hundreds of direct reads per second"
_NO_WATCH = "LISTENER=on_snapshot does not work; set LISTENER=stream"
_OWN_OPTIONS = (
    "LISTENER=on_snapshot uses the client library's own connections, sends no probes, and reopens streams by itself"
)


def check() -> list[str]:
    """One line for each missing name and its consequence; empty if the installed versions have all of them."""
    return [
        f"{package} {version(package)} has no {name}: {consequence}"
        for package, name, is_there, consequence in _names()
        if not is_there
    ]


def _names() -> Iterator[tuple[str, str, bool, str]]:
    """For each name: its package, the name, whether it exists, and the consequence if not."""
    yield "grpcio", WAKEUP_READER, hasattr(cygrpc, WAKEUP_READER), _SLOW
    for module, name in ((cygrpc, "_AioCall._handle_status_once_received"), (_call, "StreamStreamCall._prepare_rpc")):
        yield "grpcio", name, _has(module, *name.split(".")), _NOISE
    yield "grpcio", "Call._cython_call", _mentions(_call.Call.__init__, "_cython_call"), _LEAK
    firestore = "google-cloud-firestore"
    yield firestore, "Client._firestore_api", hasattr(Client, "_firestore_api"), _OWN_OPTIONS
    has_stubs = _mentions(FirestoreGrpcTransport.__init__, "_stubs")
    yield firestore, "FirestoreGrpcTransport._stubs", has_stubs, _OWN_OPTIONS
    for name in WATCH_HOOKS:
        yield firestore, f"Watch.{name}", hasattr(Watch, name), _NO_WATCH
    for name in WATCH_STATE:
        yield firestore, f"Watch.{name}", _mentions(Watch.__init__, name), _NO_WATCH
    connect_code = getattr(Client, "_firestore_api_helper", None)
    for name in CLIENT_STATE:
        yield firestore, f"Client.{name}", _mentions(connect_code, name), _OWN_OPTIONS


def _has(module: Any, class_name: str, method: str) -> bool:
    return hasattr(getattr(module, class_name, None), method)


def _mentions(function: Any, attribute: str) -> bool:
    """Whether the function's code uses an attribute of this name: only instances have it, so the class cannot tell."""
    return attribute in getattr(getattr(function, "__code__", None), "co_names", ())


def call_tasks() -> set[asyncio.Task[Any]]:
    """The tasks that gRPC runs for calls on this loop. Looks at every task: with 10,000 tasks this takes 10 ms."""
    return {task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") in CALL_TASKS}


def cancel(call: grpc.aio.Call) -> None:
    """End a call on the wire.

    If a write has failed, gRPC's own `cancel` believes that the call is over. But while it has unread messages, the
    call keeps its connection open, and its task waits for ever.
    """
    core = getattr(call, "_cython_call", None)
    if core is not None:
        core.cancel("the stream is over")


def reads_grpc_wakeups(callback: Callable[..., object]) -> bool:
    """Whether this callback is gRPC's reader of its wakeup socket."""
    if isinstance(callback, functools.partial):
        callback = callback.func
    return type(getattr(callback, "__self__", None)).__name__ == WAKEUP_READER


def connect(client: Client, options: Options) -> None:
    """Connect a client, which has no connection yet, with these options. Raises: AttributeError."""
    if client._firestore_api_internal is not None:
        return
    if client._emulator_host is not None:
        channel = grpc.insecure_channel(client._emulator_host, options=options)
    else:
        channel = FirestoreGrpcTransport.create_channel(
            client._target, credentials=client._credentials, options=options
        )
    client._firestore_api_internal = FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))


def wrap_listen(client: Client, wrap: Callable[[Listen, Iterable[Any]], Any]) -> None:
    """Let `wrap` make every Listen call of this client. Raises: AttributeError."""
    transport = client._firestore_api.transport
    listen = transport.listen

    def wrapped(requests: Iterable[Any], **options: Any) -> Any:
        return wrap(functools.partial(listen, **options), requests)

    transport._stubs["listen"] = wrapped


def close(client: Client | None) -> None:
    """Close the client's connection if it has one. The client itself has no method for this."""
    api = getattr(client, "_firestore_api_internal", None)
    if api is not None:
        api.transport.close()
