"""The Write stream of the protocol, raw, on both servers: the handshake, commits with tokens, refusals, the end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.cloud.firestore_v1 import types

from tests.firestore_servers import BackgroundFirestore
from tests.local_firestore.raw_listen import PATIENCE_S

Write = Any


class RawWrite:
    """One stream of one project."""

    def __init__(self, channel: grpc.aio.Channel, project: str) -> None:
        self.database = f"projects/{project}/databases/(default)"
        self.call = channel.stream_stream(
            "/google.firestore.v1.Firestore/Write",
            request_serializer=types.WriteRequest.serialize,
            response_deserializer=types.WriteResponse.pb().FromString,
        )(metadata=[("authorization", "Bearer owner"), ("google-cloud-resource-prefix", self.database)])

    async def ask(self, **request: Any) -> Any:
        """The response to one request; EOF where the stream has ended instead. Raises where it was refused."""
        async with asyncio.timeout(PATIENCE_S):
            await self.call.write(types.WriteRequest(**request))
            return await self.call.read()

    async def shake_hands(self) -> bytes:
        """The first token."""
        token: bytes = (await self.ask(database=self.database)).stream_token
        return token

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        async with asyncio.timeout(PATIENCE_S):
            return await self.call.code(), await self.call.details()

    def update(self, path: str, n: int, **parts: Any) -> Write:
        fields = {"n": types.Value(integer_value=n)}
        name = f"{self.database}/documents/{path}"
        return types.Write(update=types.Document(name=name, fields=fields), **parts)

    def delete(self, path: str, **parts: Any) -> Write:
        return types.Write(delete=f"{self.database}/documents/{path}", **parts)


@pytest.fixture
async def channel(host: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(host) as opened:
        yield opened


@pytest.fixture
def stream(channel: grpc.aio.Channel, project: str) -> RawWrite:
    return RawWrite(channel, project)


async def test_the_handshake_is_answered_with_a_stream_and_a_token(stream: RawWrite) -> None:
    opened = await stream.ask(database=stream.database)
    assert opened.stream_id
    assert opened.stream_token
    assert not opened.write_results
    assert not opened.HasField("commit_time")


async def test_writes_are_committed_in_order_and_acknowledged(stream: RawWrite, async_client: Any) -> None:
    tokens = [await stream.shake_hands()]
    first = await stream.ask(stream_token=tokens[-1], writes=[stream.update("jobs/a", 1)])
    tokens.append(first.stream_token)
    second = await stream.ask(
        stream_token=tokens[-1], writes=[stream.update("jobs/a", 2), stream.delete("jobs/none"), _increment(stream)]
    )
    tokens.append(second.stream_token)
    assert len(set(tokens)) == 3
    assert first.commit_time.ToMicroseconds() < second.commit_time.ToMicroseconds()
    assert first.write_results[0].update_time == first.commit_time
    assert [result.HasField("update_time") for result in second.write_results] == [True, False, True]
    assert second.write_results[2].transform_results[0].integer_value == 5
    assert (await async_client.document("jobs/a").get()).to_dict() == {"n": 2}


def _increment(stream: RawWrite) -> Write:
    field = types.DocumentTransform.FieldTransform(field_path="n", increment=types.Value(integer_value=5))
    name = f"{stream.database}/documents/jobs/counter"
    return types.Write(transform=types.DocumentTransform(document=name, field_transforms=[field]))


async def test_requests_need_not_wait_for_the_answers_before(stream: RawWrite) -> None:
    token = await stream.shake_hands()
    for number in range(3):
        await stream.call.write(types.WriteRequest(stream_token=token, writes=[stream.update("jobs/a", number)]))
    answers = [await stream.call.read() for _ in range(3)]
    times = [answer.commit_time.ToMicroseconds() for answer in answers]
    assert times == sorted(times)
    assert len({answer.stream_token for answer in answers}) == 3


async def test_a_request_without_writes_is_the_last(stream: RawWrite) -> None:
    token = await stream.shake_hands()
    answer = await stream.ask(stream_token=token)
    assert answer.stream_token != token
    assert not answer.write_results
    assert await stream.ended() == (grpc.StatusCode.OK, "")


async def test_a_client_that_writes_no_more_ends_the_stream(stream: RawWrite) -> None:
    await stream.shake_hands()
    await stream.call.done_writing()
    assert await stream.ended() == (grpc.StatusCode.OK, "")


async def test_a_refused_write_ends_the_stream_and_leaves_no_trace(stream: RawWrite, async_client: Any) -> None:
    token = await stream.shake_hands()
    missing = stream.update("jobs/none", 1, current_document=types.Precondition(exists=True))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.ask(stream_token=token, writes=[stream.update("jobs/a", 1), missing])
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await async_client.document("jobs/a").get()).exists


NO_RESUMING = "Resuming streams is not supported, "


@pytest.mark.parametrize(
    ("request_", "detail"),
    [
        ({}, "'database' must be set on an initial write request."),
        ({"stream_id": "0"}, NO_RESUMING + "do not set stream ID."),
        ({"stream_token": b"0"}, NO_RESUMING + "'stream_token' must not be set on an initial write request."),
        ({"writes": [types.Write(delete="x")]}, "'writes' must not be set on an initial write request."),
    ],
)
async def test_a_handshake_names_a_database_and_nothing_else(
    stream: RawWrite, request_: dict[str, Any], detail: str
) -> None:
    database = {"database": stream.database} if request_ else {}
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream.ask(**database, **request_)
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, detail)


async def test_a_stream_belongs_to_one_database(stream: RawWrite) -> None:
    token = await stream.shake_hands()
    await stream.ask(database=stream.database, stream_token=token, writes=[stream.update("jobs/a", 1)])
    with pytest.raises(grpc.aio.AioRpcError, match="did not match the expected database"):
        await stream.ask(database=stream.database + "2", stream_token=token, writes=[stream.update("jobs/a", 1)])


async def test_a_fault_of_write_calls_strikes_the_stream(
    local: BackgroundFirestore, local_channel: grpc.aio.Channel, project: str
) -> None:
    local.faults.fail_calls("Write", grpc.StatusCode.UNAVAILABLE)
    broken = RawWrite(local_channel, project)
    with pytest.raises(grpc.aio.AioRpcError, match="failed by a fault"):
        async with asyncio.timeout(PATIENCE_S):
            await broken.call.read()  # a write could come after the stream's end, and fail by itself
    assert await RawWrite(local_channel, project).shake_hands()
    assert local.calls["Write"] == 2
