"""docs/schema.md: every sample is a valid schema, and the one with a document answers what the page says."""

import json
import re
from pathlib import Path

import pytest

from service.schema.compiled import Schema
from service.schema.indexes import index_file
from service.schema.schema_file import SchemaFile, parse_schema

PAGE = (Path(__file__).parents[2] / "docs" / "schema.md").read_text()
SAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def sample(text: str) -> SchemaFile:
    return parse_schema(text if "[answer]" in text else f'[answer]\nstatus = "status"\n{text}')


@pytest.mark.parametrize("text", SAMPLES, ids=range(len(SAMPLES)))
def test_every_sample_is_a_schema(text: str) -> None:
    assert Schema(sample(text)).summarize("p", 1, {})[1] == ()


def test_the_sample_document_is_answered_what_the_page_says() -> None:
    document, answer = (json.loads(text) for text in JSON)
    schema = Schema(parse_schema(next(text for text in SAMPLES if '"renders"' in text)))
    summary, malformed = schema.summarize("render-1", 1, schema.projection.of_values(document))
    assert (json.loads(summary.body), malformed) == (answer, ())
    assert JSON[1].strip() == summary.body.decode(), "the keys in this order"
    assert summary.filters == ("ann", "video")
    beaten, _ = schema.summarize("render-1", 2, schema.projection.of_values({**document, "heartbeat": 2}), summary)
    assert (beaten.version, beaten.content_version) == (2, 1)
    assert len(index_file(schema)["indexes"]) == 3
