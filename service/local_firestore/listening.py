"""All Listen streams of the server, and the hub of each of their databases."""

from collections.abc import AsyncIterator, Awaitable, Callable

from service.local_firestore.errors import invalid
from service.local_firestore.hub import Hub, Target
from service.local_firestore.messages import Message
from service.local_firestore.names import database_of
from service.local_firestore.store import Store
from service.local_firestore.stream import End, ListenStream
from service.local_firestore.tokens import Tokens


class Listening:
    """Opens streams and finds the hub for each.

    `on_open` is called with every new stream before it sends anything. While there are `droppers`, deltas lose their
    documents; the first dropper is called for each delta.
    """

    def __init__(self, store: Store, *, heartbeat_s: float, max_queued: int) -> None:
        self.streams: set[ListenStream] = set()
        self.hubs: dict[str, Hub] = {}
        self.tokens = Tokens()
        self.on_open: list[Callable[[ListenStream], None]] = []
        self.droppers: list[Callable[[], None]] = []
        self._store = store
        self._heartbeat_s = heartbeat_s
        self._max_queued = max_queued
        self._hub_of: dict[ListenStream, Hub] = {}

    async def serve(self, requests: AsyncIterator[Message], write: Callable[[bytes], Awaitable[None]]) -> End:
        """One stream, from its opening to its end."""
        stream = ListenStream(self._request, self._idle, heartbeat_s=self._heartbeat_s, max_queued=self._max_queued)
        self.streams.add(stream)
        for opened in list(self.on_open):
            opened(stream)
        try:
            return await stream.run(requests, write)
        finally:
            self.streams.discard(stream)
            hub = self._hub_of.pop(stream, None)
            if hub is not None:
                hub.leave(stream)

    def _request(self, stream: ListenStream, request: Message) -> None:
        hub = self._hub_of.get(stream)
        if hub is None:
            hub = self._hub_of[stream] = self.hub(request.database)
        elif request.database and self.hub(request.database) is not hub:
            raise invalid("A Listen stream belongs to one database.")
        hub.request(stream, request)

    def hub(self, database: str) -> Hub:
        path = database_of(database)
        if path not in self.hubs:
            self.hubs[path] = Hub(self._store.named(path), self.tokens, self._drops_delta)
        return self.hubs[path]

    def _drops_delta(self) -> bool:
        """Whether this delta loses its documents. Called once per delta; calls the first dropper."""
        if not self.droppers:
            return False
        self.droppers[0]()
        return True

    def _idle(self, stream: ListenStream) -> None:
        hub = self._hub_of.get(stream)
        if hub is not None:
            hub.confirm(stream)

    def targets(self, document: str = "") -> list[tuple[Hub, Target]]:
        """Every query target, or every target that names the document at this path."""
        hubs = self.hubs.values()
        return [
            (hub, target)
            for hub in hubs
            for target in (hub.document_targets(document) if document else hub.query_targets())
        ]
