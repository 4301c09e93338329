"""Probes on the stream of a Watch: small targets beside the library's own, each a request for a sign of life.

Firestore answers a probe with a consistent point of the whole stream, which the library handles as it does a
heartbeat. The answers that are about the probe alone are kept from it (`watch_inspection`). `requests` runs on gRPC's
thread, `ask` and `end` on any; none of them knows an event loop.
"""

import itertools
from collections.abc import Iterator
from queue import SimpleQueue

from google.cloud.firestore_v1.types import ListenRequest
from google.cloud.firestore_v1.watch import WATCH_TARGET_ID

from listeners.window import PROBE_ID, Window


class Probes:
    """Those of one stream. Their targets have the numbers after the library's own."""

    def __init__(self, window: Window) -> None:
        self._database = window.database_path
        self._name = window.path.name_of(window.path.key_below_one(PROBE_ID))
        self._asked: SimpleQueue[bool] = SimpleQueue()

    def ask(self) -> None:
        """Send one more."""
        self._asked.put(True)

    def end(self) -> None:
        """The stream is over."""
        self._asked.put(False)

    def requests(self) -> Iterator[ListenRequest]:
        """What to send, as it comes, until the end: each probe takes the place of the one before."""
        for number in itertools.count(WATCH_TARGET_ID + 1):
            if not self._asked.get():
                return
            if number > WATCH_TARGET_ID + 1:
                yield ListenRequest(database=self._database, remove_target=number - 1)
            target = {"documents": {"documents": [self._name]}, "target_id": number}
            yield ListenRequest(database=self._database, add_target=target)
