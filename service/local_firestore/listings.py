"""ListDocuments and ListCollectionIds, page by page: every page of a listing is of the first one's read time."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import invalid
from service.local_firestore.messages import DocumentMessage, Message, QueryMessage
from service.local_firestore.names import name_key
from service.local_firestore.queries import Query, compile_query, run

_PAGE_SIZE = 300
_TOKEN = re.compile(rb"([0-9]{1,18}):([0-9]{1,12})")
_ORDER = re.compile(r"(\S+)(?: +(asc|desc))?", re.IGNORECASE)


class Page(NamedTuple):
    """Where a page starts, and of which time it is; None is the present."""

    at_us: int | None
    offset: int = 0


def _page(database: Database, request: Message, at_us: int | None) -> Page:
    """The page a request asks for. Raises FirestoreError for a token that no listing has sent."""
    if not request.page_token:
        return Page(at_us)
    try:
        match = _TOKEN.fullmatch(base64.urlsafe_b64decode(request.page_token))
    except (binascii.Error, ValueError):
        match = None
    if match is None:
        raise invalid("invalid page token")
    if at_us is None:
        at_us = int(match[1])
        database.check_read_time(at_us)
    return Page(at_us, int(match[2]))


def _token(read_us: int, offset: int) -> str:
    return base64.urlsafe_b64encode(f"{read_us}:{offset}".encode()).decode()


# -- documents


def listed_query(request: Message) -> Query:
    """The documents a ListDocuments asks for, as a query. Raises FirestoreError for what Firestore refuses."""
    if request.page_size < 0:
        raise invalid("Page size must be nonnegative.")
    if request.show_missing and not request.collection_id:
        raise invalid("collection id must be set when show_missing is true")
    if request.show_missing and request.order_by:
        raise invalid("cannot specify an order when show_missing is true")
    query = messages.StructuredQuery(order_by=_orders(request.order_by))
    query.from_.add(collection_id=request.collection_id)
    if request.HasField("mask"):
        query.select.SetInParent()
        query.select.fields.extend(
            messages.StructuredQuery.FieldReference(field_path=path) for path in request.mask.field_paths
        )
    return compile_query(request.parent, query)


def _orders(text: str) -> list[QueryMessage]:
    """`a, b desc` as the orders of a query."""
    orders = []
    for part in re.split(", *", text) if text else ():
        match = _ORDER.fullmatch(part)
        if match is None:
            raise invalid(f'Invalid order by clause "{text}".')
        order = messages.StructuredQuery.Order(direction=2 if (match[2] or "").lower() == "desc" else 1)
        order.field.field_path = match[1]
        orders.append(order)
    return orders


def list_documents(database: Database, request: Message, at_us: int | None, read_us: int) -> Message:
    """One page, by name or in the request's order. `read_us` is now, unless `at_us` is given."""
    query, page = listed_query(request), _page(database, request, at_us)
    size = request.page_size or _PAGE_SIZE
    if request.show_missing:
        documents = run(database, query, page.at_us).documents
        prefix = f"{request.parent}/{request.collection_id}/"
        found = _with_missing(database, documents, prefix, page.at_us)[page.offset :]
    else:
        found = run(database, replace(query, offset=page.offset, limit=size + 1), page.at_us).documents
    response = messages.ListDocumentsResponse(documents=map(query.shown, found[:size]))
    if len(found) > size:
        response.next_page_token = _token(read_us if page.at_us is None else page.at_us, page.offset + size)
    return response


def _with_missing(
    database: Database, documents: Sequence[DocumentMessage], prefix: str, at_us: int | None
) -> list[DocumentMessage]:
    """The documents, and those that do not exist but have collections below them, by name."""
    names = {prefix + each for each in _below(database, prefix, at_us)}
    by_name = {name: messages.Document(name=name) for name in names}
    by_name |= {document.name: document for document in documents}
    return [by_name[name] for name in sorted(by_name, key=name_key)]


def _below(database: Database, prefix: str, at_us: int | None) -> set[str]:
    """The first IDs after `prefix` in the paths of the collections that have documents."""
    return {
        path[len(prefix) :].partition("/")[0]
        for path, collection in database.collections.items()
        if path.startswith(prefix) and next(database.documents([collection], at_us), None) is not None
    }


# -- collections


def list_collection_ids(database: Database, request: Message, at_us: int | None, read_us: int) -> Message:
    """One page of the IDs of collections directly below a document or the database."""
    if request.page_size < 0:
        raise invalid("page_size must be greater than or equal to zero.")
    page = _page(database, request, at_us)
    ids = sorted(_below(database, request.parent + "/", page.at_us))
    end = page.offset + (request.page_size or _PAGE_SIZE)
    response = messages.ListCollectionIdsResponse(collection_ids=ids[page.offset : end])
    if len(ids) > end:
        response.next_page_token = _token(read_us if page.at_us is None else page.at_us, end)
    return response
