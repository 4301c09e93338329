"""The findings of `process-status check` about a schema's children, from a few of the newest documents.

Children without items are no fault, because a young collection can have none. These are faults: an array whose elements
are not maps, documents of a subcollection that `order_by` leaves out, and a subcollection that Firestore refuses to
read.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from google.api_core import exceptions
from google.cloud.firestore_v1 import AsyncDocumentReference, DocumentSnapshot

from listeners.field_paths import Projection, parse_field_path
from service.schema.children import Child
from service.schema.findings import Finding

MOST_SUBCOLLECTIONS = 3
MOST_ITEMS = 20
TIMEOUT_S = 10.0


async def child_findings(
    children: Mapping[str, Child], documents: Sequence[DocumentSnapshot[Any]]
) -> AsyncIterator[Finding]:
    """One finding per array, and one per subcollection if some of the documents need it."""
    for name, child in children.items():
        without = [document.reference for document in documents]
        if child.path is not None:
            projection = Projection([child.path], structured={child.path.text})
            values = [projection.of_values(document.to_dict() or {}) for document in documents]
            without = [each for each, value in zip(without, values, strict=True) if not value]
            found = [value[child.path.text] for value in values if value]
            if found:
                yield _of_arrays(f"children.{name}", child.path.text, found, len(documents))
        if without:
            yield await _of_subcollection(f"children.{name}", child, without[:MOST_SUBCOLLECTIONS])


def _of_arrays(subject: str, path: str, values: Sequence[object], document_count: int) -> Finding:
    wrong = sum(not _is_array_of_maps(value) for value in values)
    found = f"{path} is in {len(values)} of {document_count} documents"
    advice = f"in {wrong} it is no array of maps, so items are missing from the answers; correct `from`"
    return Finding(subject, found, advice if wrong else "")


def _is_array_of_maps(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


async def _of_subcollection(subject: str, child: Child, parents: Sequence[AsyncDocumentReference]) -> Finding:
    where = f"subcollection {child.subcollection} of {len(parents)} documents"
    items: list[DocumentSnapshot[Any]] = []
    try:
        for parent in parents:
            collection = parent.collection(child.subcollection)
            items += await collection.limit(MOST_ITEMS).get(timeout=TIMEOUT_S, retry=None)
            if child.order_by is not None:
                await collection.order_by(child.order_by).limit(1).get(timeout=TIMEOUT_S, retry=None)
    except exceptions.FailedPrecondition as error:
        advice = f"end the exemption of {child.order_by} in {child.subcollection} from single-field indexes"
        return Finding(subject, error.message or "an index is missing", advice)
    except (exceptions.GoogleAPICallError, exceptions.RetryError) as error:
        return Finding(subject, str(error), "see whether the account may read subcollections: roles/datastore.viewer")
    found = f"{where}: {len(items)} items were looked at"
    if child.order_by is None or not items:
        return Finding(subject, found)
    ordered = sum(_has(child.order_by, item) for item in items)
    advice = f"the others have no {child.order_by} and are never answered; write it in them, or correct order_by"
    return Finding(subject, f"{found}, {ordered} have {child.order_by}", advice if ordered < len(items) else "")


def _has(field: str, item: DocumentSnapshot[Any]) -> bool:
    values: dict[str, Any] = item.to_dict() or {}
    return bool(Projection([parse_field_path(field)]).of_values(values))
