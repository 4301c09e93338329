"""Direct reads: one process with its children, several processes, a list. Each ends within its time, with all retries.

Every method raises Unreachable if Firestore cannot be reached, does not answer in time, or refuses every read; and
ReadRefused if Firestore refuses this read (an index is missing).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from google.cloud.firestore_v1.types import StructuredQuery, Value
from google.protobuf.wrappers_pb2 import Int32Value

from listeners.collection_path import is_foreign
from listeners.field_paths import FieldPath, Projection, descend
from listeners.firestore_values import Message, microseconds
from listeners.lazy_messages import parse_value
from listeners.listener import Clock
from listeners.window import OrderType, Window
from service.api.list_query import ListQuery, is_process_id
from service.errors import Unreachable
from service.reads.attempts import Attempts
from service.reads.children import Items
from service.reads.firestore_calls import FirestoreCalls, Found
from service.reads.structured_query import continue_behind, first_of_type, in_order, list_parent, list_query
from service.runtime.slicer import sliced
from service.schema.children import Child, mask_with, with_children
from service.schema.compiled import ProcessSummary, Schema

PROOF_ID = "process-status-service-readiness"
"""The document that is read to prove that direct reads work. It does not exist, and that answer is proof enough."""


MOST_AT_ONCE = 1000
"""Documents per query of a collection group, to find some that are not foreign."""


class ReadObserver(Protocol):
    """Metrics callbacks, called on the event loop."""

    def documents_billed(self, kind: str, count: int) -> None:
        """`kind` is `get`, `list` or `audit`. A read that finds nothing is billed as one document."""

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """These fields of this version could not be read."""


@dataclass(frozen=True, slots=True)
class Read:
    """The state of one process in Firestore. `summary` is None if there is no such document.

    `read_time` is Firestore's, in microseconds. `as_of` is a local instant on the injected clock: the state is not
    older. `body` is the answer of a 200, with the requested children. `billed` is the number of documents that were
    read for it.
    """

    summary: ProcessSummary | None
    body: bytes
    read_time: int
    as_of: float
    billed: int = 1


class ReadRows(NamedTuple):
    """The first rows of a list, and the number of documents that were read to find them."""

    summaries: list[ProcessSummary]
    billed: int


class FirestoreReader:
    """Reads from the collection of one window, inside and outside of the window."""

    def __init__(
        self,
        attempts: Attempts,
        window: Window,
        schema: Schema,
        *,
        timeout_s: float,
        clock: Clock,
        observer: ReadObserver,
        known: Callable[[str], ProcessSummary | None] = lambda _: None,
    ) -> None:
        """`known` returns the newest version in memory, so that a read can see whether it shows the same content."""
        self._attempts = attempts
        self._parent = window.documents_path
        self._path = window.path
        self.proof_key = window.path.key_below_one(PROOF_ID)
        self._schema = schema
        self._fields = schema.projection.mask
        self._order_alone = Projection([schema.order_path])
        self._timeout_s = timeout_s
        self._clock = clock
        self._observer = observer
        self._known = known

    async def get(
        self,
        process_id: str,
        *,
        children: Sequence[str] = (),
        shows: Callable[[ProcessSummary], bool] = lambda _: True,
    ) -> Read:
        """Read one process, then these kinds of children, one after the other.

        `shows` says whether the caller sees the process. If not, its children are not read, so it costs the same as a
        process that does not exist.
        """
        as_of, deadline = self._clock(), self._deadline()
        asked = [self._schema.children[name] for name in children]
        fields = mask_with(self._schema.projection, asked) if asked else self._fields
        (answer,) = (await self._answers([process_id], fields, deadline, billed_as="get")).values()
        read = self._read(process_id, answer, as_of)
        if not asked or read.summary is None or not shows(read.summary):
            return read
        found: dict[str, bytes] = {}
        billed = 1
        for child in asked:
            found[child.name], documents = await self._items(child, answer.found, read.summary, deadline)
            billed += documents
        return Read(read.summary, with_children(read.body, found), read.read_time, as_of, billed)

    async def get_many(self, process_ids: Sequence[str]) -> dict[str, Read]:
        """Read several processes in one call, without children."""
        as_of = self._clock()
        answers = await self._answers(process_ids, self._fields, self._deadline(), billed_as="get")
        return {id_: self._read(id_, answer, as_of) async for id_, answer in sliced(answers.items())}

    async def rows(self, query: ListQuery, *, billed_as: str = "list") -> ReadRows:
        """The first `limit` rows. With `status` this needs the composite index in firestore.indexes.json."""
        if not all(is_process_id(str(query.filters.get(name, "x"))) for name in self._path.variables):
            return ReadRows([], 0)  # no document can have such an ID, so no process lies below it
        asked, deadline = list_query(query, self._path, self._schema), self._deadline()
        parent = list_parent(query.filters, self._path)
        if parent is None:
            found, billed = await self._found_in_group(asked, query.limit, deadline, billed_as)
        else:
            found = (await self._find(parent, asked, deadline)).documents
            billed = max(1, len(found))
            self._observer.documents_billed(billed_as, billed)
        return ReadRows([self._summary_of(document) async for document in sliced(found)], billed)

    async def _found_in_group(
        self, asked: StructuredQuery, limit: int, deadline: float, billed_as: str
    ) -> tuple[list[Message], int]:
        """The first documents that are not foreign, and the number of documents read.

        Foreign documents are skipped by further queries at the read time of the first: so the list is Firestore's state
        at one instant.
        """
        kept: list[Message] = []
        size, billed, read_time = limit, 0, None
        while True:
            found, read_at = await self._find(self._parent, asked, deadline, read_time)
            read_time = read_time or read_at
            read = max(1, len(found))
            billed += read
            self._observer.documents_billed(billed_as, read)
            kept += [document for document in found if self._is_own(document)]
            if len(kept) >= limit or len(found) < size:
                return kept[:limit], billed
            value = descend(found[-1].fields[self._schema.order_path.root], self._schema.order_path.steps)
            continue_behind(asked, Value(value), found[-1].name)
            size = min(2 * size, MOST_AT_ONCE)
            asked.limit = Int32Value(value=size)

    def _is_own(self, document: Message) -> bool:
        key = self._path.key_of(document.name)
        return key is not None and not is_foreign(key)

    async def versions(self, process_ids: list[str]) -> dict[str, int | None]:
        """The versions of several processes, without their fields. None for a process that does not exist."""
        answers = await self._answers(process_ids, ("status",), self._deadline(), billed_as="audit")
        return {
            id_: microseconds(answer.found.update_time) if answer.HasField("found") else None
            for id_, answer in answers.items()
        }

    async def sample(self, limit: int) -> list[dict[str, object]]:
        """The projection's values of some documents, whether lists can show them or not."""
        asked = in_order(self._path.id, limit, self._fields, is_over_all=self._path.is_group)
        found = (await self._find(self._parent, asked, self._deadline())).documents
        self._observer.documents_billed("list", max(1, len(found)))
        return [self._schema.projection.of_message(document.fields) for document in found if self._is_own(document)]

    async def collection_ids(self) -> list[str]:
        """The names of the database's top-level collections, at most some hundred."""
        self._observer.documents_billed("list", 1)
        return await self._attempts.answer(
            lambda calls, timeout_s: calls.collection_ids(self._parent, timeout_s), self._deadline()
        )

    async def prove(self, calls: FirestoreCalls, timeout_s: float) -> None:
        """Read a document that does not exist over these calls. Any answer proves that reads work."""
        await calls.batch_get([self._path.name_of(self.proof_key)], ("status",), timeout_s)
        self._observer.documents_billed("get", 1)

    async def order_value_found(self) -> object | None:
        """The ordering field of some document; preferably of one whose type lists do not show.

        None if there is none.
        """
        order = self._schema.order
        others: list[OrderType] = [kind for kind in ("timestamp", "string", "milliseconds") if kind != order.type]
        for kind in (*others, None):
            asked = first_of_type(self._path, order.field, kind)
            found = (await self._find(self._parent, asked, self._deadline())).documents
            self._observer.documents_billed("audit", max(1, len(found)))
            own = next((document for document in found if self._is_own(document)), None)
            values = {} if own is None else self._order_alone.of_message(own.fields)
            if values:
                return values[order.field]
        return None

    async def _answers(
        self, process_ids: Sequence[str], fields: Sequence[str], deadline: float, *, billed_as: str
    ) -> dict[str, Message]:
        """Firestore's answers for these processes, in the order of the request."""
        names = [self._path.name_of(process_id) for process_id in process_ids]
        found = await self._attempts.answer(
            lambda calls, timeout_s: calls.batch_get(names, fields, timeout_s), deadline
        )
        by_name = {each.found.name if each.HasField("found") else each.missing: each for each in found}
        if not all(name in by_name and by_name[name].HasField("read_time") for name in names):
            raise Unreachable("Firestore's answer is incomplete")
        self._observer.documents_billed(billed_as, len(names))
        return {id_: by_name[name] for id_, name in zip(process_ids, names, strict=True)}

    def _read(self, process_id: str, answer: Message, as_of: float) -> Read:
        read_time = microseconds(answer.read_time)
        if not answer.HasField("found"):
            return Read(None, b"", read_time, as_of)
        present = answer.found.fields
        messages = {name: parse_value(present[name]) for name in self._schema.projection.roots if name in present}
        summary = self._summarize(process_id, microseconds(answer.found.update_time), messages)
        return Read(summary, summary.body, read_time, as_of)

    async def _items(
        self, child: Child, document: Message, summary: ProcessSummary, deadline: float
    ) -> tuple[bytes, int]:
        """One kind of children as JSON, rendered in slices, and the number of documents read for it."""
        items, billed = Items(), 0
        field = None if child.path is None else _field_at(child.path, document)
        if field is not None:
            steps = items.of_field(field)
        else:
            asked = in_order(child.subcollection, child.limit, by=child.order_by)
            found = (await self._find(document.name, asked, deadline)).documents
            billed = max(1, len(found))
            self._observer.documents_billed("get", billed)
            steps = items.of_documents(each.fields for each in found)
        async for _ in sliced(steps):
            pass
        if items.has_others:
            self._observer.malformed(summary.process_id, summary.version, (child.name,))
        return items.json, billed

    def _summary_of(self, document: Message) -> ProcessSummary:
        key = self._path.key_of(document.name)
        if key is None:
            raise Unreachable(f"an answer with {document.name}, which was not asked for")
        return self._summarize(key, microseconds(document.update_time), document.fields)

    def _summarize(self, process_id: str, version: int, messages: Mapping[str, Message]) -> ProcessSummary:
        values = self._schema.projection.of_message(messages)
        summary, malformed = self._schema.summarize(process_id, version, values, self._known(process_id))
        if malformed:
            self._observer.malformed(process_id, version, malformed)
        return summary

    async def _find(
        self, parent: str, query: StructuredQuery, deadline: float, read_time: Message | None = None
    ) -> Found:
        return await self._attempts.answer(
            lambda calls, timeout_s: calls.run_query(parent, query, timeout_s, read_time), deadline
        )

    def _deadline(self) -> float:
        """The end, on the loop's clock, of a read that begins now, with all its calls and their retries."""
        return asyncio.get_running_loop().time() + self._timeout_s


def _field_at(path: FieldPath, document: Message) -> bytes | None:
    """The bytes of the value at the path. If the path is longer, only the values that it leads through are parsed."""
    root: bytes | None = document.fields.get(path.root, None)
    if root is None or len(path.steps) == 1:
        return root
    found = descend(parse_value(root), path.steps)
    return None if found is None else found.SerializeToString()
