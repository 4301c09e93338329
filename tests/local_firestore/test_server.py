"""The local server as a whole: start and stop, what it has not, and use from the loop it runs on."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api_core.exceptions import MethodNotImplemented
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore_v1 import AsyncClient
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.base_vector_query import DistanceMeasure
from google.cloud.firestore_v1.query_profile import ExplainOptions
from google.cloud.firestore_v1.vector import Vector

from service.local_firestore import LocalFirestore
from tests.waiting import until


async def test_client_and_server_share_an_event_loop(monkeypatch: pytest.MonkeyPatch, project: str) -> None:
    async with LocalFirestore(max_history=10) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        client: Any = AsyncClient(project=project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        server.database(project).set("jobs/seeded", {"n": 1})
        await client.collection("jobs").document("written").set({"n": 2})
        assert [one.id async for one in client.collection("jobs").order_by("n").stream()] == ["seeded", "written"]
        assert [record.documents for record in server.database(project).history("jobs")] == [
            {"seeded": {"n": 1}},
            {"written": {"n": 2}},
        ]
        assert server.calls == {"Commit": 1, "RunQuery": 1}
        assert server.documents_read == {"RunQuery": 2}
        await client._firestore_api_internal.transport.close()


async def test_a_port_in_use_is_an_error_at_the_start() -> None:
    async with LocalFirestore() as server:
        with pytest.raises(OSError, match=f"can't listen on {server.host}"):
            await LocalFirestore(server.port).start()


async def test_a_stopped_server_starts_again_with_its_documents(project: str) -> None:
    server = await LocalFirestore().start()
    server.database(project).set("jobs/a", {"n": 1})
    host = server.host
    await server.stop()
    await server.start()
    assert server.host == host
    assert server.database(project).document(f"projects/{project}/databases/(default)/documents/jobs/a") is not None
    await server.stop()


async def test_a_stopped_server_has_ended_its_calls() -> None:
    server = await LocalFirestore().start()
    async with grpc.aio.insecure_channel(server.host) as channel:
        calls = [channel.stream_stream("/google.firestore.v1.Firestore/Listen")() for _ in range(5)]
        await until(lambda: len(server.listening.streams) == len(calls), "all listen")
        assert len(_answering_tasks()) >= len(calls)
        await server.stop()
        assert _answering_tasks() == []


def _answering_tasks() -> list[asyncio.Task[Any]]:
    """gRPC's tasks for calls that this loop's servers answer."""
    return [task for task in asyncio.all_tasks() if "Listen" in task.get_name()]


async def test_a_call_it_has_not_is_unimplemented_by_name() -> None:
    async with LocalFirestore() as server, grpc.aio.insecure_channel(server.host) as channel:
        call = channel.unary_unary("/google.firestore.v1.Firestore/ExecutePipeline")(b"")
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await call.details() == "the local Firestore does not support ExecutePipeline"


def test_parts_of_queries_it_has_not_are_unimplemented_by_name(local_client: Any) -> None:
    jobs = local_client.collection("jobs")
    nearest = jobs.find_nearest("v", Vector([1.0]), limit=1, distance_measure=DistanceMeasure.EUCLIDEAN)
    with pytest.raises(MethodNotImplemented, match="find_nearest"):
        list(nearest.stream())
    with pytest.raises(MethodNotImplemented, match="explain_options"):
        list(jobs.stream(explain_options=ExplainOptions(analyze=True)))
    with pytest.raises(MethodNotImplemented, match="BSON's types in queries"):
        list(jobs.where(filter=FieldFilter("a", ">", [{"__min__": None}])).stream())
    with pytest.raises(MethodNotImplemented, match="BSON's types in queries"):
        list(jobs.order_by("a").start_at({"a": {"__oid__": "507f191e810c19729de860ea"}}).stream())
