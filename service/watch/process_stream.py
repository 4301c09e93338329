"""The event stream of one process."""

from service.api.caller import Caller
from service.watch.changes import Change
from service.watch.event_frames import RESET
from service.watch.event_stream import Client, EventStream, StreamState


class ProcessStream(EventStream):
    """Sends the changes of one process. A client that lags gets only the newest version.

    `follows`: a terminal status does not end the stream, only a deletion does.
    """

    __slots__ = ("_follows", "_is_stalled", "_key", "_waiting", "caller")

    def __init__(self, caller: Caller, *, follows: bool = False) -> None:
        super().__init__()
        self.caller = caller
        self._follows = follows
        self._key = 0
        self._is_stalled = False  # whether the client has got the event that the process stalls
        self._waiting: Change | None = None

    @property
    def has_seen(self) -> bool:
        """See Watcher."""
        return self._client is not None

    def begin(self, client: Client, present: Change | None, since: int | None, *, is_reset: bool = False) -> None:
        """Send the present state unless the client has seen it (`since`), then changes.

        `present` is None if the client has seen a version that this replica does not have yet: then the stream sends
        neither that version nor an older one. `is_reset`: send `reset` first, because `since` means nothing here.
        """
        self._client = client
        if self.is_over:
            return
        self.state = StreamState.FLOWING
        if is_reset:
            self._send(RESET)
        if present is None:
            self._key = since or 0
        elif present.key == since:
            self._key = present.key
            if self._is_last(present):
                self._enter(StreamState.ENDED)
            self._send_stalled(present)
        else:
            self.on_change(present)
        if self.state is StreamState.FLOWING:
            self._send_waiting()

    def on_change(self, change: Change) -> None:
        """See Watcher."""
        if self.is_over or change.key < self._key:
            return
        is_known = change.tells_nothing_new(self._key)
        if is_known and change.is_stalled is self._is_stalled:
            self._key = change.key
            if self._is_last(change):
                self._enter(StreamState.ENDED)  # the client has already seen this end at another replica
            return
        if change.key == self._key and not change.is_stalled:
            return
        if self.state is not StreamState.FLOWING:
            if self._waiting is None or change.key >= self._waiting.key:
                self._waiting = change
            return
        self._key = change.key
        if not is_known or self._is_stalled:
            self._is_stalled = False
            self._send(change.frame)
        self._send_stalled(change)
        if self._is_last(change):
            self._enter(StreamState.ENDED)

    def _send_stalled(self, change: Change) -> None:
        if change.is_stalled and not self._is_stalled and not self.is_over:
            self._is_stalled = True
            self._send(change.stalled_frame)

    def _is_last(self, change: Change) -> bool:
        return change.summary is None if self._follows else change.is_last

    def close(self) -> None:
        """See Watcher."""

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.on_change(waiting)
