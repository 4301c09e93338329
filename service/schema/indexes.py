"""The composite indexes that Firestore needs to answer a schema's lists, as firestore.indexes.json. Pure.

Each equality filter needs one: its field and the ordering field. Firestore merges them if a request has several filters
(https://firebase.google.com/docs/firestore/query-data/index-overview). A pattern needs each index twice: for the lists
of one parent, and for those over the whole collection group. The group's lists without a filter, and its listener, need
an index of the ordering field alone; Firestore makes that one automatically only for plain collections.
"""

from typing import Any

from service.schema.compiled import Schema

ONE, GROUP = "COLLECTION", "COLLECTION_GROUP"


def index_file(schema: Schema) -> dict[str, Any]:
    """The content of the file for `firebase deploy --only firestore:indexes`."""
    path, ordered = schema.path, schema.order.field
    paths = [schema.status_path, *(path.in_firestore for path in schema.filter_paths.values())]
    fields = dict.fromkeys(each for each in paths if each is not None)
    scopes = (ONE, GROUP) if path.is_group else (ONE,)
    indexes = [_index(path.id, scope, field, ordered) for scope in scopes for field in fields]
    return {"indexes": indexes, "fieldOverrides": [_override(path.id, ordered)] if path.is_group else []}


def _override(collection: str, ordered: str) -> dict[str, Any]:
    """An override of a field.

    It replaces the field's automatic indexes, so it must name those of plain collections too.
    """
    orders = [{"order": order, "queryScope": scope} for scope in (ONE, GROUP) for order in ("ASCENDING", "DESCENDING")]
    return {
        "collectionGroup": collection,
        "fieldPath": ordered,
        "indexes": [*orders, {"arrayConfig": "CONTAINS", "queryScope": ONE}],
    }


def _index(collection: str, scope: str, filtered: str, ordered: str) -> dict[str, Any]:
    return {
        "collectionGroup": collection,
        "queryScope": scope,
        "fields": [
            {"fieldPath": filtered, "order": "ASCENDING"},
            {"fieldPath": ordered, "order": "DESCENDING"},
        ],
    }
