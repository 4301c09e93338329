"""Every operation of the API as a stranger asks it: about another owner's process, and about none.

Over HTTP, with either listener, with a window that holds everything, one that holds the process and one that does not.
API keys stand for callers with owners; only who is admitted as whom is the test's.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.cloud.firestore_v1 import AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from service.access.rules import AccessRules
from service.api.caller import SEES_EVERYTHING, Caller
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import RunningService, running_service, waiting
from tests.waiting import until

SECRET, ABSENT, OWN = "secret", "absent", "own"
SCHEMA = """
collection = "webServiceLogs"
[answer]
status = "status"
start_time = { as = "time" }
[filters]
owner = "uid"
[access]
owner = "owner"
[children.products]
"""
CALLERS = {b"ann": Caller("ann", "ann"), b"bob": Caller("bob", "bob"), b"ops": SEES_EVERYTHING}
ANN, BOB, OPS = ({"X-API-Key": name} for name in ("ann", "bob", "ops"))


class KeysWithOwners(AccessRules):
    """Each key is the caller of its name."""

    def caller(self, path: str, fields: Mapping[bytes, bytes]) -> Caller | None:
        return SEES_EVERYTHING if path in self.open_paths else CALLERS.get(fields.get(b"x-api-key", b""))

    async def admit(self, path: str, fields: Mapping[bytes, bytes]) -> Caller:
        caller = self.caller(path, fields)
        assert caller is not None
        return caller


class Place(NamedTuple):
    """Where the secret process is: the size of the window, and how many newer ones there are."""

    window_size: int
    newer: int


EVERYTHING, HELD, OUTSIDE = Place(0, 0), Place(2, 0), Place(1, 1)


@pytest.fixture
def firestore_host(local_firestore: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    monkeypatch.setattr("service.app.AccessRules", KeysWithOwners)
    return str(local_firestore.host)


@asynccontextmanager
async def owned_service(
    host: str, project: str, client: AsyncClient, listener: str, tmp_path: Path, place: Place
) -> AsyncIterator[RunningService]:
    file = tmp_path / "schema.toml"
    file.write_text(SCHEMA)
    collection, first = client.collection("webServiceLogs"), datetime(2026, 11, 1, tzinfo=UTC)
    names = [OWN, "older", SECRET, *(f"newer-{number}" for number in range(place.newer))]
    for number, name in enumerate(names):
        owner = "ann" if name == OWN else "bob"
        fields = {"uid": owner, "status": "running", "start_time": first + timedelta(days=number)}
        await collection.document(name).set(fields)
    options: dict[str, Any] = {"window_size": place.window_size, "negative_ttl_s": 0, "schema_file": file}
    options["api_keys"] = ("ann", "bob", "ops")
    async with running_service(host, project, listener=listener, **options) as running:
        yield await running.synced()


VERSION = '"v1700000000000000"'
HEADERS = {"If-None-Match": VERSION, "If-Match": VERSION, "Cache-Control": "no-cache", "Prefer": "wait=1"}
QUERIES = {
    "process_id": "{}",
    "owner": "bob",
    "wait": "1",
    "limit": "3",
    "status": "running",
    "start_date": "2026-11-01",
}


class Asking(NamedTuple):
    """`{}` in the target stands for the process."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def waits(self) -> bool:
        return "wait=1" in self.target or "Prefer" in self.headers


def everything_in(document: Mapping[str, Any]) -> Iterator[Asking]:
    """All operations that the document declares, each plain and with each of its parameters."""
    for path, operations in document["paths"].items():
        target = path.replace("{process_id}", "{}")
        for method in operations.keys() & {"get", "head"}:
            yield Asking(method.upper(), target, {})
        for parameter in operations.get("parameters", ()):
            name, schema = parameter["name"], parameter["schema"]
            if parameter["in"] == "header":
                text = "1700000000000000" if name == "Last-Event-ID" else HEADERS.get(name, "*/*")
                yield Asking("GET", target, {name: text})
            elif parameter["in"] == "query" and name != "page_token":
                value = QUERIES.get(name) or parameter.get("example") or schema.get("example") or "true"
                wait = "wait=1&" if name in ("until", "after") else ""
                yield Asking("GET", f"{target}?{wait}{name}={value}", {})


async def counted(running: RunningService) -> dict[str, float]:
    """What metrics say of requests and reads, without times."""
    families = text_string_to_metric_families((await running.get("/metrics", headers=OPS)).body.decode())
    names = ("http_requests_total", "lookups_total", "firestore_reads_total", "fallback_rejected_total")
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.removeprefix("process_status_") in names
        and sample.labels.get("source") not in ("listener", "audit")
        and sample.labels.get("route") != "/metrics"
    }


async def asked(running: RunningService, asking: Asking, process_id: str) -> tuple[Any, ...]:
    """Everything that a stranger can see of an answer but the time; of a stream, its beginning."""
    target = asking.target.replace("{}", process_id)
    async with running.http.request(asking.method, running.url + target, headers={**ANN, **asking.headers}) as response:
        is_stream = response.content_type == "text/event-stream"
        body = await _beginning(response.content) if is_stream else await response.read()
        seen = {name.lower(): value for name, value in response.headers.items()}
        assert seen.pop("x-request-id")
        assert seen.pop("date")
        if "age" in seen:
            seen["age"] = "known"
        if "process_id=" in target:
            seen["etag"] = "a hash of a body that names the ID"
        return response.status, seen, body


async def _beginning(content: Any) -> bytes:
    received = b""
    try:
        async with asyncio.timeout(0.3):
            while not received.endswith(b"\n\n") or b"event" not in received:
                received += await content.readany()
    except TimeoutError:
        pass
    return received


def anonymous(seen: object) -> str:
    return repr(seen).replace(SECRET, "?").replace(ABSENT, "?")


@pytest.mark.parametrize(
    ("listener", "place"),
    [("stream", EVERYTHING), ("stream", HELD), ("stream", OUTSIDE), ("on_snapshot", HELD)],
    ids=["everything", "held", "outside", "held, on_snapshot"],
)
async def test_a_stranger_gets_the_same_from_every_operation(
    firestore_host: str, project: str, client: AsyncClient, listener: str, tmp_path: Path, place: Place
) -> None:
    async with owned_service(firestore_host, project, client, listener, tmp_path, place) as running:
        every = list(everything_in((await running.get("/openapi.json", headers=OPS)).json()))
        of_one = [asking for asking in every if "{}" in asking.target]
        assert {"/status/{}", "/status/{}/events", "/status?process_id={}"} <= {asking.target for asking in of_one}
        for asking in (each for each in of_one if not each.waits):
            await running.get(f"/status/{SECRET}", headers=BOB)  # what its owner asks for must not show
            answers, costs = [], []
            for process_id in (ABSENT, SECRET):
                before = await counted(running)
                answers.append(anonymous(await asked(running, asking, process_id)))
                costs.append(difference(before, await counted(running)))
            assert answers[0] == answers[1], asking
            assert costs[0] == costs[1], asking
        waits = [asking for asking in of_one if asking.waits]
        assert len(waits) >= 4
        before, ids = await counted(running), (ABSENT, SECRET)
        both = await asyncio.gather(*(asked(running, each, process_id) for process_id in ids for each in waits))
        for _, seen, _ in both:
            seen.pop("x-cache", None)  # concurrent waits share reads by chance
        assert anonymous(both[: len(waits)]) == anonymous(both[len(waits) :])
        counts = difference(before, await counted(running))
        assert all(value % 2 == 0 for name, value in counts.items() if "http_requests" in name)
        for asking in every:
            if asking not in of_one:
                assert SECRET not in repr(await asked(running, asking, "")), asking
        assert (await running.get("/metrics", headers=ANN)).status == 403


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


async def test_a_process_that_changes_hands_leaves_one_s_sight_and_enters_the_other_s(
    firestore_host: str, project: str, client: AsyncClient, listener_kind: str, tmp_path: Path
) -> None:
    async with owned_service(firestore_host, project, client, listener_kind, tmp_path, EVERYTHING) as running:
        collection = client.collection("webServiceLogs")
        etag = (await running.get(f"/status/{SECRET}", headers=BOB)).headers["ETag"]
        async with (
            event_source(running, f"/status/{SECRET}/events", **BOB) as old,
            event_source(running, "/events", **BOB) as old_all,
            event_source(running, "/events", **ANN) as new_all,
            waiting(running, f"/status/{SECRET}?wait=30", **BOB, **{"If-None-Match": etag}) as old_wait,
            waiting(running, f"/status/{SECRET}?wait=30", **ANN) as new_wait,
        ):
            assert (await old.take(1))[0].name == "status"
            assert {event.data["process_id"] for event in await old_all.take(2)} == {"older", SECRET}
            assert [event.data["process_id"] for event in await new_all.take(1)] == [OWN]
            await collection.document(SECRET).update({"uid": "ann"})
            left = [await old.next(), await old_all.next()]
            assert [event and (event.name, event.data) for event in left] == [
                ("removed", {"process_id": SECRET, "deleted": True})
            ] * 2
            assert await old.next() is None
            entered = await new_all.next()
            assert entered is not None
            assert (entered.name, entered.data["process_id"]) == ("status", SECRET)
            assert [(await old_wait).status, (await new_wait).status] == [404, 200]
        for headers, expected in ((BOB, [404, ["older"]]), (ANN, [200, [SECRET, OWN]])):
            status = (await running.get(f"/status/{SECRET}", headers=headers)).status
            rows = (await running.get("/status", headers=headers)).json()["processes"]
            assert [status, [row["process_id"] for row in rows]] == expected


async def test_page_tokens_and_event_ids_of_one_caller_give_another_nothing(
    firestore_host: str, project: str, client: AsyncClient, listener_kind: str, tmp_path: Path
) -> None:
    async with owned_service(firestore_host, project, client, listener_kind, tmp_path, EVERYTHING) as running:
        token = (await running.get("/status?limit=1", headers=BOB)).json()["next_page_token"]
        rest = (await running.get(f"/status?page_token={token}", headers=BOB)).json()["processes"]
        assert [row["process_id"] for row in rest] == ["older"]
        strange = (await running.get(f"/status?page_token={token}", headers=ANN)).json()["processes"]
        assert [row["process_id"] for row in strange] == [OWN]
        async with event_source(running, "/events", **BOB) as events:
            last = (await events.take(2))[-1].last_event_id
        await client.collection("webServiceLogs").document(SECRET).update({"status": "failed"})
        await until(lambda: running.service.model.get(SECRET).status == "failed", "the model has heard it")  # type: ignore[union-attr]
        await client.collection("webServiceLogs").document(OWN).update({"status": "failed"})
        async with event_source(running, "/events", last, **ANN) as events:
            (event,) = await events.take(1)
            assert event.data["process_id"] == OWN
