"""A collection group, served whole: `users/{uid}/jobs` by ID and parent, in lists, to waiting clients, as events."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.api.caller import Caller
from service.api.listing import Listing
from service.http import model_answers
from service.settings import Settings
from service.terminal.schema_commands import check, init
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import RunningService, running_service, waiting
from tests.service.test_owners_over_http import CALLERS, KeysWithOwners

JOBS = """
[order]
field = "at"
type = "milliseconds"
[status]
terminal = ["done", "failed"]
[answer]
status = "state"
"""
"""How what `job` makes is read."""

SCHEMA = f"""
collection = "users/{{uid}}/jobs"
{JOBS}
start_time = {{ from = "at", as = "time", unit = "ms" }}
owner = {{ from = "{{uid}}" }}
"""


def job(at: int, state: str = "running") -> dict[str, object]:
    return {"state": state, "at": 1_764_320_400_000 + at, "token": "secret"}


DOCUMENTS: dict[str, dict[str, object] | None] = {
    "users/alice/jobs/a": job(1),
    "users/alice/jobs/b": job(4, "done"),
    "users/bob/jobs/a": job(2, "failed"),
    "users/__id7__/jobs/__id12__": job(3),
    "users/a!/jobs/x": job(4),
    "jobs/a": job(9),
    "users/alice/lists/l/jobs/a": job(8),
    "users/alice": {"name": "Alice"},
}
NEWEST_FIRST = [("b", "alice"), ("x", "a!"), ("__id12__", "__id7__"), ("a", "bob"), ("a", "alice")]


@asynccontextmanager
async def served(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, text: str = SCHEMA, **settings: Any
) -> AsyncIterator[RunningService]:
    schema = tmp_path / "schema.toml"
    schema.write_text(text)
    firestore.commit(project, DOCUMENTS)
    async with running_service(firestore.host, project, schema_file=schema, **settings) as running:
        yield await running.synced()


def named(reply: Any) -> list[tuple[str, str]]:
    return [(row["process_id"], row["owner"]) for row in reply.json()["processes"]]


@pytest.mark.parametrize("listener", ["stream", "on_snapshot"])
@pytest.mark.parametrize("window_size", [0, 2, 4, 100])
async def test_a_group_answers_by_parent_and_id_and_in_lists(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, listener: str, window_size: int
) -> None:
    async with served(firestore, project, tmp_path, listener=listener, window_size=window_size) as running:
        alices, bobs = await running.get("/status/a?uid=alice"), await running.get("/status/a?uid=bob")
        assert [each.json()["status"] for each in (alices, bobs)] == ["running", "failed"]
        assert list(alices.json()) == ["process_id", "status", "start_time", "owner"]
        assert (await running.get("/status/__id12__?uid=__id7__")).json()["owner"] == "__id7__"
        assert (
            await running.get("/status/a?uid=alice", headers={"If-None-Match": alices.headers["ETag"]})
        ).status == 304
        missing = await running.get("/status/zzz?uid=alice")
        assert (missing.status, missing.json()["message"]) == (404, "Process with ID zzz not found")
        strong = await running.get("/status/a?uid=bob", headers={"Cache-Control": "no-cache"})
        assert (strong.status, strong.headers["Age"], strong.json()) == (200, "0", bobs.json())

        assert named(await running.get("/status?limit=100")) == NEWEST_FIRST
        assert named(await running.get("/status?uid=alice")) == [("b", "alice"), ("a", "alice")]
        assert named(await running.get("/status?uid=alice&status=running")) == [("a", "alice")]
        assert named(await running.get("/status?status=running")) == [NEWEST_FIRST[place] for place in (1, 2, 4)]
        assert named(await running.get("/status?uid=nobody")) == []
        token, pages = "", []
        for _ in NEWEST_FIRST:
            page = await running.get(f"/status?limit=1{token}")
            pages += named(page)
            token = f"&page_token={page.json()['next_page_token']}"
        assert pages == NEWEST_FIRST

        batch = await running.get("/status?process_id=b&process_id=zzz&process_id=a&uid=alice")
        assert (named(batch), batch.json()["missing"]) == ([("b", "alice"), ("a", "alice")], ["zzz"])
        assert (await running.get("/readyz")).status == 200
        assert await running.service.audit.once()


async def test_a_request_that_names_no_parent_is_400_and_says_which(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with served(firestore, project, tmp_path) as running:
        for path in (
            "/status/a",
            "/status/a?wait=1",
            "/status/a/events",
            "/status?process_id=a",
            "/status/alice%00a",
        ):
            reply = await running.get(path)
            assert reply.status == 400, path
            assert reply.json()["message"].startswith("uid must be given"), path
        assert (await running.get("/status/a?uid=a/b")).status == 400
        assert (await running.get("/status/a?uid=x&uid=y")).status == 400
        assert (await running.get("/status?process_id=a&uid=alice&status=done")).status == 400
        token = (await running.get("/status?uid=alice&limit=1")).json()["next_page_token"]
        assert (await running.get(f"/status?uid=bob&page_token={token}")).status == 400


async def test_polls_of_a_group_are_answered_by_the_model_and_cost_no_read(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with served(firestore, project, tmp_path) as running:
        reads = await running.metric("firestore_reads_total", source="get")
        for path in ("/status/a?uid=alice", "/status/b?uid=alice", "/status/x?uid=a!", "/status/a?uid=b%6Fb"):
            reply = await running.get(path)
            assert (reply.status, reply.headers["X-Cache"]) == (200, "HIT")
        assert await running.metric("firestore_reads_total", source="get") == reads


@pytest.mark.parametrize("listener", ["stream", "on_snapshot"])
async def test_waits_and_events_of_a_group_are_of_one_parent(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, listener: str
) -> None:
    async with (
        served(firestore, project, tmp_path, listener=listener, window_size=5) as running,
        event_source(running, "/status/a/events?uid=alice") as outside,
        event_source(running, "/events?uid=a!") as every,
        waiting(running, "/status/x?uid=a!&wait=20&until=terminal") as waits,
    ):
        assert [each.data["owner"] for each in await outside.take(1)] == ["alice"]
        assert [each.data["process_id"] for each in await every.take(1)] == ["x"]
        firestore.commit(project, {"users/bob/jobs/x": job(10, "done"), "users/alice/jobs/a": job(1, "failed")})
        assert [each.data["status"] for each in await outside.take(1)] == ["failed"]
        firestore.commit(project, {"users/a!/jobs/x": job(11, "done")})
        assert (await waits).json()["owner"] == "a!"
        assert [each.data["status"] for each in await every.take(1)] == ["done"]
        firestore.commit(project, {"users/a!/jobs/x": None})
        [removed] = await every.take(1)
        assert removed.name == "removed"
        assert {name: removed.data[name] for name in ("process_id", "owner")} == {"process_id": "x", "owner": "a!"}


@pytest.mark.parametrize("listener", ["stream", "on_snapshot"])
async def test_strong_reads_of_a_group_never_miss_an_acknowledged_commit(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, listener: str
) -> None:
    strong = {"Cache-Control": "no-cache"}
    async with served(firestore, project, tmp_path, listener=listener, fallback_rate=1e6) as running:

        async def write_and_read(user: str) -> None:
            for count in range(5):
                version = firestore.commit(project, {f"users/{user}/jobs/a": job(count), "jobs/a": job(20 + count)})
                reply = await running.get(f"/status/a?uid={user}", headers=strong)
                assert (reply.headers["ETag"], reply.headers["Age"]) == (f'"v{version}"', "0")
                page = await running.get(f"/status?uid={user}", headers=strong)
                assert (page.json()["processes"], page.headers["Age"]) == ([reply.json()], "0")

        await asyncio.gather(*(write_and_read(f"u{number}") for number in range(8)))
        if listener == "stream":
            assert await running.metric("firestore_reads_total", source="get") == 0
        older = await running.get("/status/a?uid=u1", headers={"If-None-Match": '"v9999999999999999"'})
        assert older.headers["X-Cache"] == "MISS"  # the model is behind what this client has seen


async def test_foreign_documents_keep_a_full_window_from_claiming_completeness(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with served(firestore, project, tmp_path, window_size=3) as running:
        assert len(running.service.model) == 1  # two places of the window are foreign
        assert not running.service.model.is_complete
        page = await running.get("/status?limit=100")
        assert (named(page), page.headers["X-Cache"]) == (NEWEST_FIRST, "MISS")


async def test_foreign_documents_that_a_list_passes_over_count_for_the_budget(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    firestore.commit(project, {f"jobs/foreign-{number}": job(100 + number) for number in range(300)})
    async with served(firestore, project, tmp_path, window_size=1, fallback_rate=20) as running:
        assert named(await running.get("/status?limit=1")) == NEWEST_FIRST[:1]  # more than 300 reads
        refused = await running.get("/status?limit=2")
        assert (refused.status, int(refused.headers["Retry-After"]) > 1) == (503, True)


async def test_the_api_document_says_which_variables_are_needed(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with served(firestore, project, tmp_path) as running:
        document = (await running.get("/openapi.json")).json()
        found = {
            path: {each["name"]: each["required"] for each in document["paths"][path]["parameters"]}
            for path in ("/status/{process_id}", "/status/{process_id}/events", "/status", "/stats", "/events")
        }
        assert [found[path]["uid"] for path in found] == [True, True, False, False, False]
        assert list(document["components"]["schemas"]["Removed"]["properties"]) == ["process_id", "owner", "deleted"]
        body = (await running.get("/stats?uid=alice")).json()
        assert (body["processes"], body["by_status"]) == (2, {"done": 1, "running": 1})


@pytest.mark.parametrize("window_size", [0, 4])
async def test_an_owner_in_the_path_names_its_own_processes_and_no_others(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_size: int
) -> None:
    monkeypatch.setattr("service.app.AccessRules", KeysWithOwners)
    owned = SCHEMA + "[access]\nowner = 'uid'\n"
    keys = ("ann", "ann-as-alice")
    async with served(firestore, project, tmp_path, owned, window_size=window_size, api_keys=keys) as running:
        ann, alice = {"X-API-Key": "ann"}, {"X-API-Key": "ann-as-alice"}
        monkeypatch.setitem(CALLERS, b"ann-as-alice", Caller("alice", "alice"))
        own = await running.get("/status/a", headers=alice)
        assert (own.status, own.json()["owner"]) == (200, "alice")
        assert (await running.get("/status/a?wait=1&until=running", headers=alice)).json() == own.json()
        assert (await running.get("/status/a", headers=ann)).status == 404
        for parent in ("bob", "nobody"):
            for headers in (alice, {**alice, "Cache-Control": "no-cache"}):
                refused = await running.get(f"/status/a?uid={parent}", headers=headers)
                assert (refused.status, refused.json()["message"]) == (404, "Process with ID a not found")
        assert named(await running.get("/status", headers=alice)) == [("b", "alice"), ("a", "alice")]
        assert named(await running.get("/status?uid=bob", headers=alice)) == []
        batch = await running.get("/status?process_id=a&process_id=b", headers=alice)
        assert named(batch) == [("a", "alice"), ("b", "alice")]


async def test_what_a_query_asks_is_read_once_for_each_owner_and_no_other_s(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, read_asked = list[str](), model_answers._read_asked

    def watched(listing: Listing, query: str, owner: Hashable) -> Any:
        read.append(repr(owner))
        return read_asked(listing, query, owner)

    monkeypatch.setattr("service.app.AccessRules", KeysWithOwners)
    monkeypatch.setattr(model_answers, "_read_asked", watched)
    owned = SCHEMA + "[access]\nowner = 'uid'\n"
    async with served(firestore, project, tmp_path, owned, api_keys=("alice",)) as running:
        for number, (owner, status) in enumerate((("alice", 200), ("alice", 200), ("bob", 200), (1, 404), (True, 404))):
            key = str(number)
            monkeypatch.setitem(CALLERS, key.encode(), Caller(key, owner, time.time() + 1000 + number))
            assert (await running.get("/status/a", headers={"X-API-Key": key})).status == status
    assert read == ["'alice'", "'bob'", "1", "True"]


async def test_one_parent_of_a_thousand_costs_its_own_documents_alone(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    for first in range(0, 1000, 100):
        jobs = {
            f"users/u{user}/jobs/j{number}": job(20 * user + number)
            for user in range(first, first + 100)
            for number in range(20)
        }
        firestore.commit(project, jobs)
    async with served(firestore, project, tmp_path, window_size=100) as running:
        expected = [(f"j{number}", "u7") for number in reversed(range(20))]
        before = await running.metric("firestore_reads_total", source="list")
        page = await running.get("/status?uid=u7&limit=100")
        assert (named(page), page.headers["X-Cache"]) == (expected, "MISS")
        assert await running.metric("firestore_reads_total", source="list") - before == 20
        assert (await running.get("/status/j3?uid=u7")).headers["X-Cache"] == "MISS"
        assert (await running.get("/status?uid=u999&limit=19")).headers["X-Cache"] == "HIT"


async def test_init_and_check_look_at_the_group_alone(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    firestore.commit(project, DOCUMENTS)
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA)
    reading = {"firestore_emulator_host": firestore.host, "project_id": project}
    lines: list[str] = []
    assert await init(Settings(firestore_collection="users/{uid}/jobs", **reading), 50, lines.append) == 0
    assert 'collection = "users/{uid}/jobs"' in "\n".join(lines)
    assert 'uid = "{uid}"' in "\n".join(lines)
    lines.clear()
    code = await check(Settings(schema_file=schema, **reading), 50, lines.append)
    assert (code, lines[-1]) == (0, "all is right"), lines
    assert any("state is in 5 of 5 documents" in line for line in lines), lines
    lists = [line for line in lines if "a list by it is answered" in line]
    assert [line.split("index for ")[1].split(":")[0] for line in lists] == ["status", "status below one parent"]


@pytest.mark.parametrize(
    ("said_before", "subject"),
    [
        ("ok     status", "index for status: "),
        ("ok     index for status:", "index for status below one parent: "),
        ("ok     credentials", "index for the order: "),
    ],
)
async def test_check_names_the_index_of_a_group_that_is_missing(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, said_before: str, subject: str
) -> None:
    firestore.commit(project, DOCUMENTS)
    schema = tmp_path / "schema.toml"
    schema.write_text(SCHEMA)
    lines: list[str] = []

    with ExitStack() as faults:

        def say(line: str) -> None:
            lines.append(line)
            if line.startswith(said_before):
                faults.enter_context(
                    firestore.faults.fail_calls(
                        "RunQuery",
                        grpc.StatusCode.FAILED_PRECONDITION,
                        calls=None,
                        detail="The query requires an index.",
                    )
                )

        await check(Settings(schema_file=schema, firestore_emulator_host=firestore.host, project_id=project), 50, say)
    [found] = [line for line in lines if "firebase deploy --only firestore:indexes" in line][:1]
    assert subject in found
