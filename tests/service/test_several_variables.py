"""A pattern of several variables, `tenants/{tenant}/users/{uid}/jobs`: which requests must name all of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.api.caller import Caller
from tests.firestore_servers import BackgroundFirestore
from tests.service.event_source import event_source
from tests.service.running import Reply, RunningService, running_service
from tests.service.test_collection_group import JOBS, job
from tests.service.test_owners_over_http import CALLERS, KeysWithOwners

SCHEMA = f"""
collection = "tenants/{{tenant}}/users/{{uid}}/jobs"
{JOBS}
tenant = "{{tenant}}"
owner = "{{uid}}"
"""
DOCUMENTS = {
    "tenants/acme/users/ann/jobs/a": job(1),
    "tenants/acme/users/ann/jobs/b": job(2, "done"),
    "tenants/acme/users/bob/jobs/a": job(3),
    "tenants/beta/users/ann/jobs/a": job(4, "failed"),
    "tenants/beta/users/bob/jobs/a": job(5),
    "tenants/acme/jobs/a": job(6),
    "tenants/acme/users/ann/lists/l/jobs/a": job(7),
    "users/ann/jobs/a": job(8),
}
BETA = [("a", "beta", "bob"), ("a", "beta", "ann")]
ACME = [("a", "acme", "bob"), ("b", "acme", "ann"), ("a", "acme", "ann")]


@asynccontextmanager
async def served(
    firestore: BackgroundFirestore,
    project: str,
    tmp_path: Path,
    window_size: int = 0,
    text: str = SCHEMA,
    keys: Sequence[str] = (),
) -> AsyncIterator[RunningService]:
    schema = tmp_path / "schema.toml"
    schema.write_text(text)
    firestore.commit(project, DOCUMENTS)
    options: dict[str, Any] = {"window_size": window_size, "schema_file": schema, "api_keys": tuple(keys)}
    async with running_service(firestore.host, project, **options) as running:
        yield await running.synced()


def named(reply: Reply) -> list[tuple[str, str, str]]:
    return [(row["process_id"], row["tenant"], row["owner"]) for row in reply.json()["processes"]]


@pytest.mark.parametrize("window_size", [0, 4])
async def test_a_process_is_named_by_all_variables(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, window_size: int
) -> None:
    async with served(firestore, project, tmp_path, window_size) as running:
        for tenant, uid, status in (("acme", "ann", "running"), ("beta", "ann", "failed"), ("beta", "bob", "running")):
            found = (await running.get(f"/status/a?uid={uid}&tenant={tenant}")).json()
            assert found == {"process_id": "a", "status": status, "tenant": tenant, "owner": uid}
        assert (await running.get("/status/b?tenant=beta&uid=ann")).status == 404
        for asked, missing in (("uid=ann", "tenant"), ("tenant=acme", "uid")):
            for path in (f"/status/a?{asked}", f"/status/a/events?{asked}", f"/status?process_id=a&{asked}"):
                reply = await running.get(path)
                assert reply.status == 400
                assert reply.json()["message"].startswith(f"{missing} must be given"), path
        batch = await running.get("/status?process_id=b&process_id=a&tenant=acme&uid=ann")
        assert named(batch) == [ACME[1], ACME[2]]


@pytest.mark.parametrize(("window_size", "source"), [(0, "HIT"), (4, "MISS")])
async def test_a_list_takes_all_variables_or_none_on_either_side_of_the_window(
    firestore: BackgroundFirestore, project: str, tmp_path: Path, window_size: int, source: str
) -> None:
    async with served(firestore, project, tmp_path, window_size) as running:
        for asked, rows in (
            ("", BETA + ACME),
            ("&status=failed", BETA[1:]),
            ("&tenant=acme&uid=ann", ACME[1:]),
            ("&tenant=nobody&uid=ann", []),
        ):
            page = await running.get(f"/status?limit=100{asked}")
            assert (named(page), page.headers["X-Cache"]) == (rows, source), asked
        pages: list[tuple[str, str, str]] = []
        token = ""
        for _ in ACME[1:]:
            page = await running.get(f"/status?limit=1&tenant=acme&uid=ann{token}")
            pages += named(page)
            token = f"&page_token={page.json()['next_page_token']}"
        assert pages == ACME[1:]
        token = (await running.get("/status?limit=1&tenant=acme&uid=ann")).json()["next_page_token"]
        for others in ("tenant=beta&uid=ann", "tenant=acme&uid=bob", "tenant=acme"):
            assert (await running.get(f"/status?limit=1&{others}&page_token={token}")).status == 400


async def test_a_list_of_some_variables_is_answered_by_the_model_only(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with served(firestore, project, tmp_path) as running:
        assert named(await running.get("/status?uid=ann")) == [BETA[1], *ACME[1:]]
        assert named(await running.get("/status?tenant=acme")) == ACME
    async with served(firestore, project, tmp_path, window_size=4) as running:
        for asked, missing in (("uid=ann", "tenant"), ("tenant=acme", "uid")):
            beyond = await running.get(f"/status?{asked}")
            assert (beyond.status, beyond.json()["message"].split(" must")[0]) == (400, missing)


async def test_events_of_some_variables_name_all_of_them(
    firestore: BackgroundFirestore, project: str, tmp_path: Path
) -> None:
    async with (
        served(firestore, project, tmp_path) as running,
        event_source(running, "/events?tenant=beta") as of_beta,
        event_source(running, "/status/a/events?tenant=acme&uid=ann") as of_one,
    ):
        assert [
            (each.data["process_id"], each.data["tenant"], each.data["owner"]) for each in await of_beta.take(2)
        ] == BETA
        assert [each.data["status"] for each in await of_one.take(1)] == ["running"]
        firestore.commit(project, {"tenants/acme/users/ann/jobs/a": job(1, "done")})
        assert [each.data["status"] for each in await of_one.take(1)] == ["done"]
        firestore.commit(project, {"tenants/beta/users/bob/jobs/a": None})
        [removed] = await of_beta.take(1)
        assert removed.name == "removed"
        assert removed.data == {"process_id": "a", "tenant": "beta", "owner": "bob", "deleted": True}


@pytest.mark.parametrize(("owner", "other", "own"), [("tenant", "uid", ACME), ("uid", "tenant", [BETA[1], *ACME[1:]])])
async def test_a_caller_need_not_send_the_variable_that_is_its_owner(
    firestore: BackgroundFirestore,
    project: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    other: str,
    own: list[tuple[str, str, str]],
) -> None:
    monkeypatch.setattr("service.app.AccessRules", KeysWithOwners)
    variables = {"tenant": "acme", "uid": "ann"}
    monkeypatch.setitem(CALLERS, b"owner", Caller("owner", variables[owner]))
    key, beside = {"X-API-Key": "owner"}, f"{other}={variables[other]}"
    owned = f"{SCHEMA}[access]\nowner = '{owner}'\n"
    async with served(firestore, project, tmp_path, text=owned, keys=["owner"]) as running:
        found = await running.get(f"/status/b?{beside}", headers=key)
        assert (found.status, found.json()["tenant"], found.json()["owner"]) == (200, "acme", "ann")
        missing = await running.get("/status/b", headers=key)
        assert (missing.status, missing.json()["message"].split(" must")[0]) == (400, other)
        refused = await running.get(f"/status/a?{beside}&{owner}=someone", headers=key)
        assert refused.status == 404
        assert named(await running.get("/status?limit=100", headers=key)) == own
