"""What the baselines read: the same documents, the same body."""

import os
from datetime import datetime
from typing import Any

from google.auth.credentials import AnonymousCredentials

from benchmarks.firestore import COLLECTION, PROJECT

FIELDS = ("status", "start_time", "end_time", "last_updated", "csv_url", "products_processed", "products_failed")


def client_options() -> dict[str, Any]:
    """For a client of the Firestore that FIRESTORE_EMULATOR_HOST names."""
    assert os.environ["FIRESTORE_EMULATOR_HOST"]
    return {"project": PROJECT, "credentials": AnonymousCredentials()}  # type: ignore[no-untyped-call]


def collection(client: Any) -> Any:
    return client.collection(COLLECTION)


def newest(client: Any, limit: int, status: str | None) -> Any:
    """The query of a list."""
    query = collection(client).order_by("start_time", direction="DESCENDING").limit(limit)
    return query.where(filter=_status_is(status)) if status else query


def _status_is(status: str) -> Any:
    from google.cloud.firestore_v1 import FieldFilter

    return FieldFilter("status", "==", status)


def body(document: Any) -> dict[str, Any]:
    """What a poll is answered with."""
    fields = document.to_dict()
    return {"process_id": document.id, **{name: _plain(fields.get(name)) for name in FIELDS}}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
