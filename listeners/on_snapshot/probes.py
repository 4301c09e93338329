"""Probes on the stream of a Watch: small targets in addition to the library's own. Each asks for a sign of life.

Firestore answers a probe with a consistent point of the whole stream, which the library handles like a heartbeat. Parts
of the answer that concern only the probe are hidden from the library (`watch_inspection`). `requests` runs on gRPC's
thread, `ask` and `end` on any thread; none of them knows an event loop.
"""

import itertools
from collections.abc import Iterator
from queue import SimpleQueue

from google.cloud.firestore_v1.types import ListenRequest
from google.cloud.firestore_v1.watch import WATCH_TARGET_ID

from listeners.window import PROBE_ID, Window


class Probes:
    """The probes of one stream. Their targets have the numbers after the library's own."""

    def __init__(self, window: Window) -> None:
        self._database = window.database_path
        self._name = window.path.name_of(window.path.key_below_one(PROBE_ID))
        self._asked: SimpleQueue[bool] = SimpleQueue()

    def ask(self) -> None:
        """Send one more probe."""
        self._asked.put(True)

    def end(self) -> None:
        """The stream is over."""
        self._asked.put(False)

    def requests(self) -> Iterator[ListenRequest]:
        """The requests to send, one by one, until the end. Each probe replaces the previous one."""
        for number in itertools.count(WATCH_TARGET_ID + 1):
            if not self._asked.get():
                return
            if number > WATCH_TARGET_ID + 1:
                yield ListenRequest(database=self._database, remove_target=number - 1)
            target = {"documents": {"documents": [self._name]}, "target_id": number}
            yield ListenRequest(database=self._database, add_target=target)
