"""Lets gRPC hand all its events to the event loop in one turn, however many there are.

gRPC's thread writes a byte to a socket for each event, and the loop reads one byte per turn. Where there are more
events than turns, as with many direct reads on a busy loop, the socket fills up, the thread waits for room in it, and
from then on one event is handed over per turn. Each message of the Listen stream then waits behind the events of all
calls under way, for 30 ms as measured, and a listener of 500 changes per second falls behind further and further.
grpcio 1.85 does so; the source it is built from no longer does.
"""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable
from typing import Any

from listeners.compat import reads_grpc_wakeups

_MOST_WAKEUPS = 65_536


def take_all_wakeups(loop: asyncio.AbstractEventLoop, on_events: Callable[[], object]) -> None:
    """To be called before gRPC sees this loop for the first time. Whatever else the loop reads, it reads as before.

    `on_events` is called where there are events, before they are handled.
    """
    add_reader = loop.add_reader

    def add(fd: Any, callback: Callable[..., object], *args: Any) -> None:
        if isinstance(fd, socket.socket) and reads_grpc_wakeups(callback):
            add_reader(fd, _take_all, fd, on_events, functools.partial(callback, *args))
        else:
            add_reader(fd, callback, *args)

    loop.add_reader = add  # type: ignore[method-assign, assignment] # the types of a callback's arguments are not known here


def _take_all(wakeups: socket.socket, on_events: Callable[[], object], handle_events: Callable[[], object]) -> None:
    """`handle_events` takes one, and all events there are. Only then are those taken that were there before: where it
    fails, as for an event of a loop that is closed, they bring it back for the others.
    """
    try:
        count = len(wakeups.recv(_MOST_WAKEUPS, socket.MSG_PEEK))
    except BlockingIOError:  # another event loop of this process was faster, and has handled what there was
        return
    on_events()
    handle_events()
    if count > 1:
        with contextlib.suppress(BlockingIOError):
            wakeups.recv(count - 1)
