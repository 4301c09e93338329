"""Accepts connections as long as file descriptors last, and keeps some back for the service itself.

Guarantee: connections never take the last RESERVE descriptors, so clients cannot keep the listener from reconnecting to
Firestore. If descriptors run short, no connection is refused or cut off. New connections wait in the kernel's queue
until a descriptor is free, and the connections that have been silent longest are closed. The log says so, at most once
a minute.

A new descriptor always gets the lowest free number. So the number of an accepted connection shows how many descriptors
are in use: if it is in the reserved range, all numbers below are in use.

Belongs to one event loop.
"""

import asyncio
import errno
import logging
import os
import resource
import select
import socket
from collections.abc import Sequence
from typing import Protocol

log = logging.getLogger(__name__)

RESERVE = 64
"""Descriptors kept for the listener, direct reads and files; a quarter of the limit if that is less."""

ACCEPTED_AT_ONCE = 16
"""Connections per step of the event loop, so that a burst of new connections does not delay answers to others."""

LOOK_AFTER_S = 0.05
"""How often a paused acceptor checks for free descriptors."""

SILENT_FOR_S = 0.5
"""A connection that was used more recently than this is not closed: its next request can be under way."""

LOGGED_EVERY_S = 60.0

_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Connections(Protocol):
    """The part of the server's connections that the acceptor uses."""

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""

    def close_silent(self, count: int, silent_for_s: float) -> int:
        """Close up to `count` idle connections that have been silent for this long, the longest silent first.

        A new connection does not count as silent before it has had time for its first request.
        """


def first_reserved(limit: int) -> int:
    """The lowest descriptor number that connections must not use."""
    return limit - min(RESERVE, limit // 4)


def descriptor_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


class Acceptor:
    """Accepts connections from `sockets`, which it does not close, until `stop`."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        connections: Connections,
        *,
        limit: int | None = None,
    ) -> None:
        self._sockets = sockets
        self._connections = connections
        self._limit = descriptor_limit() if limit is None else limit
        self._first_reserved = first_reserved(self._limit)
        self._loop = asyncio.get_running_loop()
        self._starting: set[asyncio.Task[object]] = set()
        self._look_timer: asyncio.TimerHandle | None = None
        self._closed_since_log = 0
        self._logged_at = float("-inf")
        self._waiting = select.poll()
        for each in sockets:
            self._waiting.register(each, select.POLLIN)

    def start(self) -> None:
        for each in self._sockets:
            self._loop.add_reader(each, self._accept, each)

    def stop(self) -> None:
        """Accept the connections that have already come, and none after them."""
        if self._look_timer is None:
            for each in self._sockets:
                while self._accept_one(each):
                    pass
        self._pause()
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._accept_one(listening):
                return

    def _accept_one(self, listening: socket.socket) -> bool:
        """Accept one connection. Returns whether there can be another one."""
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:  # the client has left the queue
            return True
        except OSError as error:
            if error.errno not in _SHORT:
                raise
            self._run_short()
            return False
        accepted.setblocking(False)
        task = self._loop.create_task(self._begin(accepted))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        if accepted.fileno() >= self._first_reserved:
            self._run_short()
            return False
        return True

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connections, accepted)
        except OSError:  # the client has left
            accepted.close()

    def _pause(self) -> None:
        for each in self._sockets:
            self._loop.remove_reader(each)

    def _run_short(self) -> None:
        if self._look_timer is None:
            self._pause()
            self._look()

    def _look(self) -> None:
        """Go on if a descriptor is free. Otherwise, if new connections wait, close silent ones."""
        self._look_timer = None
        if self._has_free():
            self.start()
            return
        if self._waiting.poll(0):
            self._closed_since_log += self._connections.close_silent(ACCEPTED_AT_ONCE, SILENT_FOR_S)
        self._log_shortage()
        self._look_timer = self._loop.call_later(LOOK_AFTER_S, self._look)

    def _has_free(self) -> bool:
        try:
            lowest = os.dup(self._sockets[0].fileno())
        except OSError:
            return False
        os.close(lowest)
        return lowest < self._first_reserved

    def _log_shortage(self) -> None:
        now = self._loop.time()
        if now - self._logged_at >= LOGGED_EVERY_S:
            log.warning(
                "file descriptors run short: connections have %d of %d, the rest is kept for Firestore; "
                "new connections wait, %d silent ones were closed; raise the limit (ulimit -n)",
                self._first_reserved,
                self._limit,
                self._closed_since_log,
            )
            self._logged_at, self._closed_since_log = now, 0
