"""The example schemas: each reads its own small collection whole, and nothing that it does not name ever leaves."""

import json
from pathlib import Path

import pytest
from google.cloud.firestore_v1.types import Document
from google.protobuf.json_format import ParseDict

from service.schema.compiled import Schema
from service.schema.schema_file import read_schema_file

FILES = sorted((Path(__file__).parents[3] / "examples" / "schemas").glob("*.toml"))


def test_there_are_ten() -> None:
    assert len(FILES) == 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_document_is_read_and_listed_and_leaks_nothing(file: Path) -> None:
    schema = Schema(read_schema_file(file))
    documents = json.loads(file.with_suffix(".json").read_text())
    assert any("canary" in json.dumps(fields) for fields in documents.values())
    for name, fields in documents.items():
        process_id = str(schema.path.key_of(name)) if schema.path.is_group else name
        message = ParseDict({"fields": fields}, Document.pb()())
        summary, malformed = schema.summarize(process_id, 17, schema.projection.of_message(message.fields))
        assert malformed == ()
        assert summary.position is not None
        assert summary.status is not None
        assert b"canary" not in summary.body
