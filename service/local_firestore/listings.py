"""ListDocuments and ListCollectionIds, page by page."""

import base64
import re
from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.message import DecodeError

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, Message, QueryMessage
from service.local_firestore.names import name_key
from service.local_firestore.paths import NAME, field_of, parse_field_path
from service.local_firestore.queries import Query, compile_query, run

_PAGE_SIZE = 300
_ASCENDING, _DESCENDING = 1, 2
_AFTER = b"after:"
_ORDER = re.compile(r"(\S+)(?: +(asc|desc))?", re.IGNORECASE)


# -- documents: the page token is a cursor at the last document sent


def list_documents(database: Database, request: Message, at_us: int | None) -> Message:
    """One page, by name or in the request's order, at `at_us` (None: now)."""
    _check_listing(request)
    orders = _orders(request.order_by)
    query = messages.StructuredQuery(order_by=orders)
    query.from_.add(collection_id=request.collection_id)
    if request.HasField("mask"):
        query.select.fields.extend(
            messages.StructuredQuery.FieldReference(field_path=path) for path in request.mask.field_paths
        )
        query.select.SetInParent()
    if request.page_token:
        query.start_at.CopyFrom(_cursor(request.page_token, len(orders)))
    compiled = compile_query(request.parent, query)
    size = request.page_size or _PAGE_SIZE
    if request.show_missing:
        found = _with_missing(database, compiled, at_us)
    else:
        found = run(database, replace(compiled, limit=size + 1), at_us).documents
    response = messages.ListDocumentsResponse(documents=map(compiled.shown, found[:size]))
    if len(found) > size:
        response.next_page_token = _token_after(found[size - 1], orders)
    return response


def _check_listing(request: Message) -> None:
    if request.page_size < 0:
        raise invalid("Page size must be nonnegative.")
    if request.show_missing and not request.collection_id:
        raise invalid("collection id must be set when show_missing is true")
    if request.show_missing and request.order_by:
        raise invalid("cannot specify an order when show_missing is true")


def _orders(text: str) -> list[QueryMessage]:
    """`a, b desc` as the orders of a query, with the name as the last."""
    orders = []
    for part in re.split(", *", text) if text else ():
        match = _ORDER.fullmatch(part)
        if match is None:
            raise invalid(f'Invalid order by clause "{text}".')
        orders.append(_order(match[1], is_descending=(match[2] or "").lower() == "desc"))
    if not any(order.field.field_path == "__name__" for order in orders):
        orders.append(_order("__name__", is_descending=bool(orders) and orders[-1].direction == _DESCENDING))
    return orders


def _order(path: str, *, is_descending: bool) -> QueryMessage:
    order = messages.StructuredQuery.Order(direction=_DESCENDING if is_descending else _ASCENDING)
    order.field.field_path = path
    return order


def _token_after(document: DocumentMessage, orders: Sequence[QueryMessage]) -> str:
    cursor = messages.Cursor()
    for order in orders:
        path = parse_field_path(order.field.field_path)
        if path == NAME:
            cursor.values.add(reference_value=document.name)
        else:
            cursor.values.append(field_of(document, path))
    return base64.urlsafe_b64encode(cursor.SerializeToString()).decode()


def _cursor(token: str, orders: int) -> QueryMessage:
    try:
        cursor = messages.Cursor.FromString(base64.urlsafe_b64decode(token))
    except (ValueError, DecodeError):  # a ValueError: it is not base64
        raise invalid("invalid page token") from None
    if len(cursor.values) != orders or cursor.values[-1].WhichOneof("value_type") != "reference_value":
        raise invalid("invalid page token")
    return cursor


def _with_missing(database: Database, query: Query, at_us: int | None) -> list[DocumentMessage]:
    """The query's documents, and also documents that do not exist but have collections below them, by name."""
    prefix = f"{query.parent}/{query.collection_id}/"
    names = {prefix + each for each in _below(database, prefix, at_us)}
    positions = {name: query.ordering.position(messages.Document(name=name)) for name in names}
    by_name = {
        name: messages.Document(name=name)
        for name, position in positions.items()
        if position is not None and query.bounds.contain(position)
    }
    by_name |= {document.name: document for document in run(database, query, at_us).documents}
    return [by_name[name] for name in sorted(by_name, key=name_key)]


def _below(database: Database, prefix: str, at_us: int | None) -> set[str]:
    """The first IDs after `prefix` in the paths of the collections that have documents."""
    return {
        path[len(prefix) :].partition("/")[0]
        for path, collection in database.collections.items()
        if path.startswith(prefix) and next(database.documents([collection], at_us), None) is not None
    }


# -- collections: the page token is the last ID sent


def list_collection_ids(database: Database, request: Message, at_us: int | None) -> Message:
    """One page of the IDs of collections directly below a document or the database."""
    if request.page_size < 0:
        raise invalid("page_size must be greater than or equal to zero.")
    last = _last_collection(request.page_token) if request.page_token else ""
    ids = sorted(each for each in _below(database, request.parent + "/", at_us) if each > last)
    size = request.page_size or _PAGE_SIZE
    response = messages.ListCollectionIdsResponse(collection_ids=ids[:size])
    if len(ids) > size:
        response.next_page_token = base64.urlsafe_b64encode(_AFTER + ids[size - 1].encode()).decode()
    return response


def _last_collection(token: str) -> str:
    try:
        decoded = base64.urlsafe_b64decode(token)
        if decoded.startswith(_AFTER):
            return decoded.removeprefix(_AFTER).decode()
    except ValueError:  # it is not base64, or not text
        pass
    raise invalid("invalid page token")
