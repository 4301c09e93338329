"""The demo's documents in the shape of any schema: each is read whole, and says what the simulation knows."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest

from service.api.description import Kind
from service.demo.documents import DocumentMaker, read_templates
from service.demo.processes import SimulatedProcess, new_process
from service.schema.compiled import Schema
from service.schema.description import describe
from service.schema.schema_file import default_schema, parse_schema, read_schema_file
from tests.examples import NAMES, schema_file

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
KINDS: dict[str, set[Kind]] = {
    "pending": {"waiting", "running"},  # not every schema has a word for it
    "running": {"running"},
    "completed": {"completed"},
    "failed": {"failed"},
    "cancelled": {"cancelled", "failed"},  # nor for this
}


def lives(count: int) -> Iterator[SimulatedProcess]:
    """Processes in every state of their lives, of those that are alike each fifth."""
    for seed in range(count):
        random = Random(seed)
        process = new_process(random, NOON + timedelta(minutes=seed))
        seen: Counter[str] = Counter()
        while process.is_running:
            if seen[process.status] % 5 == 0:
                yield process
            seen[process.status] += 1
            process.advance(random, process.last_updated + timedelta(seconds=5))
        yield process


def answer(schema: Schema, fields: dict[str, Any]) -> dict[str, Any]:
    summary, malformed = schema.summarize("p", 17, schema.projection.of_values(fields))
    assert malformed == ()
    assert summary.position is not None
    body: dict[str, Any] = orjson.loads(summary.body)
    return body


@pytest.mark.parametrize("with_templates", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_document_of_each_example_says_what_the_simulation_knows(name: str, *, with_templates: bool) -> None:
    schema = Schema(read_schema_file(schema_file(name)))
    described = describe(schema.file)
    maker = DocumentMaker(schema, read_templates(schema_file(name)) if with_templates else ())
    seen = set()
    for process in lives(40):
        body = answer(schema, maker.fields(process))
        assert described.kind(body["status"]) in KINDS[process.status], (process.status, body)
        seen.add(process.status)
        assert (described.value(body, "ended") is not None) <= (process.end_time is not None)
        if described.roles["ended"] is not None and process.end_time is not None:
            assert described.value(body, "ended")[:19] == f"{process.end_time:%Y-%m-%dT%H:%M:%S}"
        if described.roles["processed"] is not None:
            assert described.value(body, "processed") == process.processed
        if described.value(body, "error") is not None:
            assert process.status == "failed"
    assert seen == set(KINDS)


def test_what_is_filtered_by_stays_the_same_for_a_processs_whole_life() -> None:
    schema = Schema(read_schema_file(schema_file("imports")))
    maker = DocumentMaker(schema, read_templates(schema_file("imports")))
    owners: dict[str, set[str]] = {}
    for process in lives(20):
        owners.setdefault(process.id, set()).add(answer(schema, maker.fields(process))["owner"])
    assert {len(each) for each in owners.values()} == {1}
    assert len(set.union(*owners.values())) == 3


def test_a_time_that_begins_as_text_becomes_a_timestamp() -> None:
    maker = DocumentMaker(Schema(read_schema_file(schema_file("exports"))), read_templates(schema_file("exports")))
    types = {process.status: type(maker.fields(process)["changed"]) for process in lives(3)}
    assert (types["pending"], types["running"]) == (str, datetime)


def test_the_default_schema_as_a_file_has_its_products() -> None:
    schema = Schema(default_schema())
    embedding = [process for process in lives(5) if process.embeds_products and process.processed > 50]
    fields = DocumentMaker(schema).fields(embedding[-1])
    assert fields["products"] == embedding[-1].fields()["products"]


def test_a_schema_that_ends_nothing_has_documents_too() -> None:
    schema = Schema(parse_schema('[answer]\nstatus = "state[-1].word"\n[status]\nterminal = []\n[order]\nfield = "at"'))
    maker = DocumentMaker(schema)
    assert {answer(schema, maker.fields(process))["status"] for process in lives(9)} == {"queued", "running", "ended"}


def test_the_word_of_running_processes_is_known() -> None:
    makers = {
        name: DocumentMaker(Schema(read_schema_file(schema_file(name))), read_templates(schema_file(name)))
        for name in ("renders", "pipelines", "mail")
    }
    assert {name: maker.running_word() for name, maker in makers.items()} == {
        "renders": "rendering",
        "pipelines": "running",
        "mail": "PROCESSING",
    }
