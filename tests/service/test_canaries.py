"""What a schema does not name never leaves: a canary in every unnamed field of every example is never heard of.

Nothing: no answer, event, page, metric, error with a stack trace, or line of the log at DEBUG. A further document holds
the canary in every named field too, each time in a value that the field's type can't be read from.
"""

import itertools
import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import grpc
import pytest

from listeners.field_paths import parse_field_path
from service.schema.children import children_of
from service.schema.schema_file import SchemaFile, read_schema_file
from tests.examples import NAMES, documents, schema_file
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import RunningService, running_service

CANARY = "c4nary-that-must-not-sing"
MALFORMED = "malformed"


def named_paths(file: SchemaFile) -> dict[tuple[str | int, ...], str]:
    """The steps to each named value, with the type that it is read as."""
    paths: dict[tuple[str | int, ...], str] = {
        parse_field_path(answer.path or key).steps: answer.type for key, answer in file.answer.items()
    }
    paths |= {parse_field_path(each.path or name).steps: "string" for name, each in file.filters.items()}
    arrays = [each.path for each in children_of(file).values() if each.path is not None]
    paths |= {path.steps: "json" for path in arrays}  # items of children are answered whole
    return paths | {parse_field_path(file.order.field).steps: "time"}


def with_canaries(fields: Any, named: set[tuple[str | int, ...]], at: tuple[str | int, ...] = ()) -> Any:
    """Every unnamed value becomes the canary; every map on the way to a named one gets a further one."""
    if at in named:
        return fields
    leads_on = any(steps[: len(at)] == at or _leads_into_array(steps, at) for steps in named)
    if isinstance(fields, dict) and leads_on:
        return {**{name: with_canaries(each, named, (*at, name)) for name, each in fields.items()}, "pAssw0rd": CANARY}
    if isinstance(fields, list) and leads_on:
        length = len(fields)
        return [
            with_canaries(each, named, (*at, number - length if number == length - 1 else number))
            for number, each in enumerate(fields)
        ]
    return CANARY


def _leads_into_array(steps: tuple[str | int, ...], at: tuple[str | int, ...]) -> bool:
    """`[0]` and `[-1]` are one element where there is but one."""
    return tuple(0 if step == -1 else step for step in steps[: len(at)]) == tuple(
        0 if step == -1 else step for step in at
    )


def unreadable(file: SchemaFile) -> dict[str, Any]:
    """A document whose every named value holds the canary in a type that can't be read; what is `json` is left out."""
    fields: dict[str, Any] = {}
    for steps, type_ in named_paths(file).items():
        if type_ == "json" or any(isinstance(step, int) for step in steps):
            continue
        place = fields
        for step in steps[:-1]:
            place = place.setdefault(str(step), {})
        place[str(steps[-1])] = {"a": CANARY} if type_ == "string" else CANARY
    return fields


async def all_that_is_said(running: RunningService, file: SchemaFile, ids: list[str]) -> str:
    """Heads and bodies of every kind of answer."""
    batch = "&".join(f"process_id={each}" for each in [*ids, MALFORMED])
    included = ("", *(f"?include_{child}=true" for child in ("products", *file.children)))
    paths = [
        *(f"/status/{each}{query}" for each in [*ids, MALFORMED, "nobody"] for query in included),
        *("/status?limit=1000", f"/status?{batch}", "/status?limit=1", "/status?status=x", "/status?odd=1"),
        *(f"/status?{name}={CANARY[:0]}1" for name in file.filters),
        *("/", "/healthz", "/readyz", "/openapi.json", "/ui", "/ui/schema.json", "/metrics", "/nowhere"),
    ]
    said = []
    for path in paths:
        reply = await running.get(path)
        said.append(f"{path} {reply.status} {reply.headers} {reply.body.decode()}")
    for path in (f"/status/{ids[0]}/events?follow=true", "/events"):
        async with event_source(running, path) as events:
            said.append(repr(await events.take(1)))
    return "\n".join(said)


def logged(records: list[logging.LogRecord]) -> str:
    return "\n".join(f"{record.getMessage()} {record.__dict__}" for record in records)


@pytest.mark.parametrize(
    ("name", "listener"), list(zip(NAMES, itertools.cycle(("stream", "on_snapshot")), strict=False))
)
async def test_a_field_that_the_schema_does_not_name_never_leaves(
    name: str,
    listener: str,
    local_firestore: BackgroundFirestore,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    caplog.set_level(logging.DEBUG)
    file = read_schema_file(schema_file(name))
    named = set(named_paths(file))
    written: dict[str, Mapping[str, Any]] = {
        process_id: with_canaries(deepcopy(fields), named) for process_id, fields in documents(name).items()
    }
    assert all(CANARY in str(fields) for fields in written.values())
    everything = {**written, MALFORMED: unreadable(file)}
    local_firestore.commit(project, {f"{file.collection}/{each}": fields for each, fields in everything.items()})
    options: dict[str, Any] = {
        "listener": listener,
        "environment": "development",
        "log_level": "DEBUG",
        "cache_ttl_s": 0,
    }
    async with running_service(
        local_firestore.host, project, schema_file=schema_file(name), window_size=3, **options
    ) as running:
        await running.synced()
        said = await all_that_is_said(running, file, list(written))
        with local_firestore.faults.fail_calls("RunQuery", grpc.StatusCode.INVALID_ARGUMENT, calls=None):
            failed = await running.get("/status?limit=999")
    assert "MISS" in said
    assert "HIT" in said
    assert "Traceback" in failed.json()["details"]
    assert '"status":null' in said
    assert "can't be read" in logged(caplog.records) or "malformed" in logged(caplog.records)
    assert CANARY not in said + failed.body.decode() + logged(caplog.records)
