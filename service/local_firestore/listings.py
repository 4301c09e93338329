"""ListDocuments and ListCollectionIds: listings by name, page by page."""

from itertools import islice

from service.local_firestore import messages
from service.local_firestore.database import Database
from service.local_firestore.errors import unimplemented
from service.local_firestore.messages import Message
from service.local_firestore.paths import parse_field_path, project

_MAX_PAGE = 300


def list_documents(database: Database, request: Message, at_us: int | None) -> Message:
    """Documents of one collection by ID; the page token is the last ID sent."""
    if request.order_by:
        raise unimplemented("order_by in ListDocuments")
    if not request.collection_id:
        raise unimplemented("ListDocuments without a collection_id")
    collections = database.collections_of(request.parent, request.collection_id, descend=False)
    found = {document.name: document for document in database.documents(collections, at_us)}
    names = set(found)
    if request.show_missing:
        names |= _names_with_children(database, f"{request.parent}/{request.collection_id}/")
    page_size = request.page_size or _MAX_PAGE
    remaining = sorted(name for name in names if name > request.page_token)
    response = messages.ListDocumentsResponse()
    for name in remaining[:page_size]:
        if name not in found:
            response.documents.add(name=name)
        elif request.HasField("mask"):
            paths = [parse_field_path(path) for path in request.mask.field_paths]
            response.documents.append(project(found[name], paths))
        else:
            response.documents.append(found[name])
    if len(remaining) > page_size:
        response.next_page_token = remaining[page_size - 1]
    return response


def _names_with_children(database: Database, prefix: str) -> set[str]:
    """Names of documents, existing or not, that have collections below them."""
    return {prefix + path[len(prefix) :].partition("/")[0] for path in _populated(database) if path.startswith(prefix)}


def _populated(database: Database) -> list[str]:
    return [
        path
        for path, collection in database.collections.items()
        if next(database.documents([collection]), None) is not None
    ]


def list_collection_ids(database: Database, request: Message) -> Message:
    prefix = request.parent + "/"
    ids = sorted({path[len(prefix) :].partition("/")[0] for path in _populated(database) if path.startswith(prefix)})
    page_size = request.page_size or _MAX_PAGE
    remaining = [each for each in ids if each > request.page_token]
    response = messages.ListCollectionIdsResponse(collection_ids=islice(remaining, page_size))
    if len(remaining) > page_size:
        response.next_page_token = remaining[page_size - 1]
    return response
