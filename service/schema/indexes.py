"""The composite indexes that a schema's lists need where Firestore itself must answer, as firestore.indexes.json. Pure.

Each equality filter needs one, of its field and the ordering field; Firestore merges them where several filters are
asked for at once (https://firebase.google.com/docs/firestore/query-data/index-overview).
"""

from typing import Any

from service.schema.compiled import Schema


def index_file(schema: Schema, collection: str) -> dict[str, Any]:
    """What `firebase deploy --only firestore:indexes` takes."""
    paths = [schema.status_path, *(path.in_firestore for path in schema.filter_paths.values())]
    fields = dict.fromkeys(path for path in paths if path is not None)
    return {"indexes": [_index(collection, field, schema.order.field) for field in fields], "fieldOverrides": []}


def _index(collection: str, filtered: str, ordered: str) -> dict[str, Any]:
    return {
        "collectionGroup": collection,
        "queryScope": "COLLECTION",
        "fields": [
            {"fieldPath": filtered, "order": "ASCENDING"},
            {"fieldPath": ordered, "order": "DESCENDING"},
        ],
    }
