"""google-cloud-firestore's Watch under control: one stream, never reopened. Its end is an event with the cause.

Everything here runs in the library's threads (`Connection.open` and `close` in a thread of the caller's) and knows no
event loop: every event goes to `emit`, which must not raise. A watch can be used until it emits its first
ListenerFailure; the consumer ignores events after that. Watch must never reopen a stream itself: offline it does so 450
times per second, and with changes from before the break.
"""

# mypy: disable-error-code="no-untyped-call"
# because google-cloud-firestore claims to be typed, but its Watch is not

import functools
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import grpc
from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1.base_document import DocumentSnapshot
from google.cloud.firestore_v1.collection import CollectionReference
from google.cloud.firestore_v1.query import Query
from google.cloud.firestore_v1.types import ListenResponse
from google.cloud.firestore_v1.watch import ChangeType, Watch

from listeners import compat
from listeners.collection_path import CollectionPath, collection_path, is_foreign
from listeners.endpoints import Options
from listeners.events import Document
from listeners.field_paths import Projection
from listeners.on_snapshot.probes import Probes
from listeners.on_snapshot.watch_inspection import Emit, Inspector, Opened, Point, failure_of_error
from listeners.times import microseconds
from listeners.window import Window

_log = logging.getLogger(__name__)


class _OneCall:
    """A Listen call that always ends with CANCELLED for the library, because it then ends without further action.

    The true end is emitted first. Done callbacks are dropped, because the library reopens streams from there. Of the
    library's requests this call sends only the first, and then the probes.
    """

    def __init__(self, listen: compat.Listen, requests: Iterable[Any], probes: Probes, emit: Emit) -> None:
        self._emit = emit
        self._call = listen(itertools.chain(itertools.islice(requests, 1), probes.requests()))
        self._call.add_done_callback(lambda _: probes.end())

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except (StopIteration, grpc.RpcError) as error:
            self._emit(failure_of_error(error))
            raise exceptions.Cancelled("this watch ends with its first stream") from error

    def __iter__(self) -> Iterator[Any]:
        return self

    def is_active(self) -> bool:
        return bool(self._call.is_active())

    def cancel(self) -> None:
        self._call.cancel()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Drop it; see above."""


def end_with_first_stream(client: firestore.Client, options: Options, probes: Probes, emit: Emit) -> bool:
    """Change the client so that no Watch reopens its Listen calls, and that they use our options and probes.

    Returns whether that was possible.
    """
    try:
        compat.connect(client, options)
        compat.wrap_listen(client, lambda listen, requests: _OneCall(listen, requests, probes, emit))
    except AttributeError as error:  # Watch itself still reports reopenings and most ends
        _log.warning("this version of google-cloud-firestore is unknown: it reopens streams by itself (%s)", error)
        return False
    return True


class _Snapshot(DocumentSnapshot):  # type: ignore[type-arg]
    """One version of a document, in the form that Watch needs; events carry its `document`."""

    def __init__(
        self,
        path: CollectionPath,
        projection: Projection,
        *,
        reference: Any,
        data: Any,
        update_time: Any,
        **rest: Any,
    ) -> None:
        super().__init__(reference=reference, data=data, update_time=update_time, **rest)
        key = path.key_of(reference.path) if path.is_group else reference.id
        if key is None:
            raise ValueError(f"{reference.path!r} is not in the collection listened to")
        self.document = Document(key, microseconds(update_time), projection.of_values(data))


def _any_order(_one: object, _other: object) -> int:
    """Declare all documents equal: events need no order, and the library's comparator fails with a field in a map."""
    return 0


class _Watch(Watch):
    """A Watch with an Inspector in place of the callback; `for_query` makes it. Public attributes are for supervision.

    `heard` counts responses; `working` is True while one of them is handled.
    """

    def __init__(
        self, reference: Any, client: Any, target: Any, _comparator: Any, inspector: Inspector, snapshot_class: Any
    ) -> None:
        self.inspector = inspector
        self.spoilt = False
        self.heard = 0
        self.working = False
        self.changes_at_point: list[Any] = []  # DocumentChange
        self.foreign = 0
        # Must be last: it starts the thread that calls on_snapshot.
        super().__init__(reference, client, target, _any_order, self.keep_changes, snapshot_class)

    def on_snapshot(self, proto: ListenResponse | None) -> None:
        """Handle one response. The library gets none that it is known to mishandle. None is the end, emitted before."""
        if proto is None or self.spoilt:
            return
        self.working = True
        if not self.heard:
            self.inspector.emit(Opened())
        try:
            response = ListenResponse.pb(proto)
            is_of_probe = self.inspector.is_of_probe(response)
            failure = None if is_of_probe else self.inspector.suspicion(response, self.documents_held)
            if failure is None and not is_of_probe:
                super().on_snapshot(proto)
        except Exception as error:  # noqa: BLE001 - it would corrupt the library's state without a word: the end
            failure = failure_of_error(error)
        self.heard += 1
        self.working = False
        if failure is not None:
            self.spoilt = True
            self.inspector.emit(failure)

    def push(self, read_time: datetime, next_resume_token: bytes) -> None:
        """Handle every consistent point. The library calls back only after changes."""
        self.changes_at_point = []
        super().push(read_time, next_resume_token)
        upserts: list[Document] = []
        removed_ids: list[str] = []
        for change in self.changes_at_point:
            document = change.document.document
            if is_foreign(document.id):
                self.foreign += (change.type is ChangeType.ADDED) - (change.type is ChangeType.REMOVED)
            elif change.type is ChangeType.REMOVED:
                removed_ids.append(document.id)
            else:
                upserts.append(document)
        self.inspector.emit(Point(upserts, removed_ids, microseconds(read_time), self.foreign))

    def keep_changes(self, _documents: Any, changes: list[Any], _read_time: Any) -> None:
        """The library's callback; `push` calls it."""
        self.changes_at_point = changes

    def close(self, reason: object = None) -> None:
        """End the watch, wanted or not. The end is emitted: an exception would only reach a thread's excepthook."""
        self.inspector.emit_documents_read()
        self.inspector.emit(failure_of_error(reason))
        super().close()

    def documents_held(self) -> int:
        """The size of the result, with all changes since the last consistent point."""
        held = len(self.doc_map)
        for name, change in self.change_map.items():
            held += (change is not ChangeType.REMOVED) - (name in self.doc_map)
        return held


class Connection:
    """One client, one channel, one watch: opened once, closed once, both in threads that the caller chooses.

    It has its own client, because a closed Watch can leave a call behind which ends only with its channel.
    """

    def __init__(
        self,
        window: Window,
        projection: Projection,
        client_factory: Callable[[], firestore.Client],
        options: Options,
    ) -> None:
        self._window = window
        self._projection = projection
        self._client_factory = client_factory
        self._options = options
        self._probes = Probes(window)
        self.can_probe = False
        self._lock = threading.Lock()
        self._closed = False
        self._client: firestore.Client | None = None
        self.watch: _Watch | None = None

    def open(self, emit: Emit) -> None:
        """Start listening; does nothing after `close`. Raises the exceptions of the factory."""
        with self._lock:
            if self._closed:
                return
            self._client = self._client_factory()
            self.can_probe = end_with_first_stream(self._client, self._options, self._probes, emit)
            query = self._window.query(self._client)
            if isinstance(query, CollectionReference):
                query = Query(query)
            inspector = Inspector(emit, self._projection)
            path = collection_path(self._window.collection)
            self.watch = _Watch.for_query(query, inspector, functools.partial(_Snapshot, path, self._projection))

    def probe(self) -> None:
        """Ask Firestore for a sign of life. Works from any thread, and does not block."""
        self._probes.ask()

    def close(self) -> None:
        """Stop the watch and its threads, then the channel. Waits for an `open` in progress."""
        with self._lock:
            self._closed = True
            if self.watch is not None:
                self.watch.unsubscribe()
            compat.close(self._client)
