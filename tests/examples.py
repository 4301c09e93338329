"""The example schemas and their small collections, for tests of anything that follows a schema."""

import json
from pathlib import Path
from typing import Any

from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.types import Document
from google.protobuf.json_format import ParseDict

FOLDER = Path(__file__).parents[1] / "examples" / "schemas"
GROUPS = ["project_runs", "user_jobs"]
"""Of collection groups: their documents are by path, `users/ann/jobs/import`."""
NAMES = sorted({file.stem for file in FOLDER.glob("*.toml")} - set(GROUPS))
"""Of plain collections."""


def schema_file(name: str) -> Path:
    """The schema as a file."""
    return FOLDER / f"{name}.toml"


def raw_documents(name: str) -> dict[str, dict[str, Any]]:
    """The collection as Firestore's REST API writes it: fields by document ID."""
    documents: dict[str, dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())
    return documents


def documents(name: str) -> dict[str, dict[str, Any]]:
    """The collection in Python's values, as the client library takes them."""
    return {process_id: _python_values(fields) for process_id, fields in raw_documents(name).items()}


def children(name: str, child: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The documents of a subcollection, `builds.logs.json`: fields by the process's ID and by their own."""
    file = FOLDER / f"{name}.{child}.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return {
        process_id: {each: _python_values(fields) for each, fields in documents.items()}
        for process_id, documents in found.items()
    }


def _python_values(fields: dict[str, Any]) -> dict[str, Any]:
    message = ParseDict({"fields": fields}, Document.pb()())
    values: Any = decode_dict(Document.wrap(message).fields, None)
    return dict(values)
