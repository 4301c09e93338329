"""Direct reads: one process, its products, a list. Each is one call to Firestore within its time, retries included.

Raises, from every method: Unreachable where Firestore could not be reached or did not answer in time, and
ReadRefused where it answered that it will not (permissions, a missing index): trying again helps nobody then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from google.api_core import exceptions
from google.api_core.retry import AsyncRetry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.firestore_v1 import AsyncClient
from google.cloud.firestore_v1.base_query import FieldFilter

from listeners.firestore_values import Message, value_of
from listeners.firestore_values import microseconds as microseconds_of
from listeners.lazy_messages import parse_value
from listeners.listener import Clock
from listeners.times import microseconds, moment
from listeners.window import ORDER_FIELD, SMALLEST, StartTimeType
from service.api.list_query import ListQuery, StartKey
from service.errors import ReadRefused, Unreachable
from service.reads.products import Products
from service.reads.raw_reads import RawReads
from service.runtime.in_slices import in_slices
from service.schema.documents import SUMMARY_FIELDS, ProcessSummary, summarize, with_products

PRODUCTS_LIMIT = 1000

_TRANSIENT = (
    exceptions.Aborted,
    exceptions.Cancelled,
    exceptions.Unknown,
    exceptions.DeadlineExceeded,
    exceptions.ResourceExhausted,
    exceptions.TooManyRequests,
    exceptions.InternalServerError,
    exceptions.ServiceUnavailable,
    exceptions.Unauthenticated,
    exceptions.RetryError,
    GoogleAuthError,
    TimeoutError,
)


class ReadObserver(Protocol):
    """Whoever counts what is read. Called on the event loop."""

    def documents_billed(self, kind: str, count: int) -> None:
        """`kind` is `get`, `list` or `audit`; a read that finds nothing is billed as one."""

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        """These fields of this version could not be read."""


@dataclass(frozen=True, slots=True)
class Read:
    """The state of one process that Firestore gave: None where there is no such document.

    `read_time` is Firestore's, in microseconds; `as_of` the local instant, on the injected clock, at or after which
    it was the state. `body` is the 200 answer, with products where they were asked for; `billed` how many documents
    were read for it.
    """

    summary: ProcessSummary | None
    body: bytes
    read_time: int
    as_of: float
    billed: int = 1


class FirestoreReader:
    """Reads one collection through the client library's asynchronous client."""

    def __init__(
        self,
        client: AsyncClient,
        collection: str,
        *,
        start_time_type: StartTimeType,
        timeout_s: float,
        clock: Clock,
        observer: ReadObserver,
    ) -> None:
        self._collection = client.collection(collection)
        self._raw = RawReads(client, self._collection)
        self._start_time_type = start_time_type
        self._timeout_s = timeout_s
        self._clock = clock
        self._observer = observer

    async def get(self, process_id: str, *, include_products: bool = False) -> Read:
        """Read one process, and its products from the field or, where that is absent, the subcollection."""
        as_of = self._clock()
        fields = [*SUMMARY_FIELDS, "products"] if include_products else [*SUMMARY_FIELDS]
        async with self._bounded() as call:
            answer = await call(self._raw.get, process_id, fields)
            self._observer.documents_billed("get", 1)
            if answer is None or not answer.HasField("read_time"):
                raise Unreachable("an empty answer")
            read_time = microseconds_of(answer.read_time)
            if not answer.HasField("found"):
                return Read(None, b"", read_time, as_of)
            document = answer.found
            present = document.fields
            values = {name: value_of(parse_value(present[name])) for name in SUMMARY_FIELDS if name in present}
            summary = self._summarize(process_id, microseconds_of(document.update_time), values)
            if not include_products:
                return Read(summary, summary.body, read_time, as_of)
            products, billed = await self._products(call, document, summary)
        return Read(summary, with_products(summary, products), read_time, as_of, 1 + billed)

    async def _products(self, call: Any, document: Message, summary: ProcessSummary) -> tuple[bytes, int]:
        """The products as JSON, rendered in slices, and how many documents were read for them."""
        products, billed = Products(), 0
        if "products" in document.fields:
            steps = products.of_field(document.fields["products"])
        else:
            found = await call(self._raw.subcollection, document.name, "products", PRODUCTS_LIMIT)
            billed = max(1, len(found))
            self._observer.documents_billed("get", billed)
            steps = products.of_documents(each.fields for each in found)
        async for _ in in_slices(steps):
            pass
        if products.has_others:
            self._observer.malformed(summary.process_id, summary.version, ("products",))
        return products.json, billed

    async def rows(self, query: ListQuery, *, billed_as: str = "list") -> list[ProcessSummary]:
        """The first `limit` rows. Needs the composite index in firestore.indexes.json where `status` is given."""
        async with self._bounded() as call:
            found = await call(self._firestore_query(query).get)
        self._observer.documents_billed(billed_as, max(1, len(found)))
        return [
            self._summarize(snapshot.id, microseconds(snapshot.update_time), snapshot.to_dict() or {})
            async for snapshot in in_slices(found)
        ]

    async def versions(self, process_ids: list[str]) -> dict[str, int | None]:
        """The versions of several processes, None for those that do not exist, without their fields."""
        async with self._bounded() as call:
            return await call(self._read_versions, process_ids)  # type: ignore[no-any-return]

    async def _read_versions(self, process_ids: list[str], **how: Any) -> dict[str, int | None]:
        references = [self._collection.document(process_id) for process_id in process_ids]
        client = self._collection._client
        found = {
            snapshot.id: microseconds(snapshot.update_time) if snapshot.exists else None
            async for snapshot in client.get_all(references, field_paths=["status"], **how)
        }
        self._observer.documents_billed("audit", len(process_ids))
        return found

    async def start_time_found(self) -> object | None:
        """The `start_time` of some document, of the type that lists do not hold where there is one; else None."""
        other: StartTimeType = "string" if self._start_time_type == "timestamp" else "timestamp"
        of_other_type = self._collection.where(filter=FieldFilter(ORDER_FIELD, ">=", SMALLEST[other]))
        async with self._bounded() as call:
            for query in (of_other_type, self._collection):
                found = await call(query.select([ORDER_FIELD]).limit(1).get)
                self._observer.documents_billed("audit", 1)
                if found and found[0].to_dict():
                    return found[0].get(ORDER_FIELD)  # type: ignore[no-any-return]
        return None

    def _summarize(self, process_id: str, version: int, values: dict[str, Any]) -> ProcessSummary:
        summary, malformed = summarize(process_id, version, values, self._start_time_type)
        if malformed:
            self._observer.malformed(process_id, version, malformed)
        return summary

    def _firestore_query(self, query: ListQuery) -> Any:
        lower = SMALLEST[self._start_time_type] if query.lower is None else self._start_value(query.lower)
        asked = self._collection.select([*SUMMARY_FIELDS]).where(filter=FieldFilter(ORDER_FIELD, ">=", lower))
        if query.upper is not None:
            comparison = "<=" if query.upper_inclusive else "<"
            asked = asked.where(filter=FieldFilter(ORDER_FIELD, comparison, self._start_value(query.upper)))
        if query.status is not None:
            asked = asked.where(filter=FieldFilter("status", "==", query.status))
        asked = asked.order_by(ORDER_FIELD, direction="DESCENDING").order_by("__name__", direction="DESCENDING")
        if query.after is not None:
            start, process_id = query.after
            after = {ORDER_FIELD: self._start_value(start), "__name__": self._collection.document(process_id)}
            asked = asked.start_after(after)
        return asked.limit(query.limit)

    @staticmethod
    def _start_value(key: StartKey) -> Any:
        return moment(key) if isinstance(key, int) else key

    def _bounded(self) -> "_BoundedCalls":
        return _BoundedCalls(self._timeout_s)


class _BoundedCalls:
    """The time one read has for all its calls and their retries, and the translation of what ends it."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> Callable[..., Awaitable[Any]]:
        await self._timeout.__aenter__()
        return self._call

    async def _call(self, function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        retry = AsyncRetry(
            predicate=if_exception_type(*_TRANSIENT),
            initial=0.05,
            maximum=1.0,
            multiplier=2.0,
            timeout=self._timeout_s,
        )
        return await function(*args, retry=retry, timeout=self._timeout_s, **kwargs)

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise Unreachable(f"no answer within {self._timeout_s:g} s") from late
        if isinstance(error, _TRANSIENT):
            raise Unreachable(str(error)) from error
        if isinstance(error, exceptions.GoogleAPICallError):
            raise ReadRefused(str(error)) from error
