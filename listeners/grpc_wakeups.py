"""Makes gRPC hand over all its waiting events in one turn of the event loop.

gRPC's thread writes a byte to a socket for each event, and the loop reads one byte per turn. If there are more events
than turns, as with many direct reads on a busy loop, the socket fills up and the thread waits for room in it. From then
on, each turn handles one event. Each message of the Listen stream then waits behind the events of all open calls (30 ms
in measurements), and a listener with 500 changes per second falls further and further behind. grpcio 1.85 does this;
the present source of gRPC no longer does.
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
    """Call this before gRPC sees the loop for the first time. Other readers of the loop stay as they are.

    `on_events` is called before events are handled.
    """
    add_reader = loop.add_reader

    def add(fd: Any, callback: Callable[..., object], *args: Any) -> None:
        if isinstance(fd, socket.socket) and reads_grpc_wakeups(callback):
            add_reader(fd, _take_all, fd, on_events, functools.partial(callback, *args))
        else:
            add_reader(fd, callback, *args)

    loop.add_reader = add  # type: ignore[method-assign, assignment] # the types of a callback's arguments are not known here


def _take_all(wakeups: socket.socket, on_events: Callable[[], object], handle_events: Callable[[], object]) -> None:
    """`handle_events` takes one byte, and handles all waiting events. The other bytes that were there before are taken
    only afterwards. So if it fails (an event of a closed loop makes it fail), they wake the loop again for the other
    events.
    """
    try:
        count = len(wakeups.recv(_MOST_WAKEUPS, socket.MSG_PEEK))
    except BlockingIOError:  # another event loop of this process was faster, and has handled these events
        return
    on_events()
    handle_events()
    if count > 1:
        with contextlib.suppress(BlockingIOError):
            wakeups.recv(count - 1)
