"""A Listen stream without any client library: requests as messages, responses as one line of text each."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1.base_collection import BaseCollectionReference

PATIENCE_S = 30

Response = Any


class RawListen:
    """One stream; `database` is the project's default one."""

    def __init__(self, channel: grpc.aio.Channel, project: str) -> None:
        self.database = f"projects/{project}/databases/(default)"
        self.documents = self.database + "/documents"
        self.call = channel.stream_stream(
            "/google.firestore.v1.Firestore/Listen",
            request_serializer=types.ListenRequest.serialize,
            response_deserializer=types.ListenResponse.pb().FromString,
        )(metadata=[("authorization", "Bearer owner"), ("google-cloud-resource-prefix", self.database)])

    async def add_query(self, target_id: int, query: Any, **target: Any) -> None:
        """`query` is a query or a collection of the client library."""
        if isinstance(query, BaseCollectionReference):
            query = query._query()
        message = types.Target.QueryTarget(parent=self.documents, structured_query=query._to_protobuf())
        await self.send(add_target=types.Target(query=message, target_id=target_id, **target))

    async def add_documents(self, target_id: int, paths: Sequence[str], **target: Any) -> None:
        message = types.Target.DocumentsTarget(documents=[f"{self.documents}/{path}" for path in paths])
        await self.send(add_target=types.Target(documents=message, target_id=target_id, **target))

    async def remove(self, target_id: int) -> None:
        await self.send(remove_target=target_id)

    async def send(self, **request: Any) -> None:
        await self.call.write(types.ListenRequest(database=self.database, **request))

    async def next(self) -> Response:
        """The next response; EOF of the call once the stream has ended gracefully."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.call.read()

    async def lines(self, count: int) -> list[str]:
        return [line_of(await self.next()) for _ in range(count)]

    async def until_consistent(self) -> list[Response]:
        """Responses up to the next consistent point, which is the last of them."""
        responses = [await self.next()]
        while not is_consistent(responses[-1]):
            responses.append(await self.next())
        return responses

    async def lines_until_consistent(self) -> list[str]:
        return [line_of(response) for response in await self.until_consistent()]

    async def end(self) -> grpc.StatusCode:
        """Read to the end of the stream; how it ended."""
        async with asyncio.timeout(PATIENCE_S):
            code: grpc.StatusCode = await self.call.code()
        return code


def is_consistent(response: Response) -> bool:
    change = response.target_change
    return (
        response.WhichOneof("response_type") == "target_change"
        and change.target_change_type == 0
        and not change.target_ids
        and change.HasField("read_time")
    )


def line_of(response: Response) -> str:
    """ "CURRENT[2]", "change a [2]", "change a [2] left [6]", "delete a [6]", "filter 3 [2]", "NO_CHANGE[]"…"""
    kind = response.WhichOneof("response_type")
    if kind == "target_change":
        change = response.target_change
        name = types.TargetChange.TargetChangeType(change.target_change_type).name
        cause = f" cause {change.cause.code}" if change.cause.code else ""
        return f"{name}{list(change.target_ids)}{cause}"
    if kind == "filter":
        return f"filter {response.filter.count} [{response.filter.target_id}]"
    part = getattr(response, kind)
    if kind != "document_change":
        name = part.document.rpartition("/")[2]
        return f"{kind.removeprefix('document_')} {name} {list(part.removed_target_ids)}"
    name = part.document.name.rpartition("/")[2]
    left = f" left {list(part.removed_target_ids)}" if part.removed_target_ids else ""
    return f"change {name} {list(part.target_ids)}{left}"


class Consumer:
    """What a correct consumer holds of one target: document ID → update time, as of the last consistent point."""

    def __init__(self, target_id: int) -> None:
        self._target_id = target_id
        self._pending: dict[str, int | None] = {}
        self._doubted: set[str] = set()
        self.held: dict[str, int] = {}
        self.is_current = False
        self.token = b""
        self.read_time_us = 0

    def take(self, response: Response) -> None:
        kind = response.WhichOneof("response_type")
        if kind == "target_change":
            self._take_target_change(response.target_change)
        elif kind == "document_change":
            document = response.document_change.document
            name = document.name.rpartition("/")[2]
            if self._target_id in response.document_change.target_ids:
                self._pending[name] = document.update_time.ToMicroseconds()
            elif self._target_id in response.document_change.removed_target_ids:
                self._pending[name] = None
        elif kind in {"document_delete", "document_remove"}:
            part = getattr(response, kind)
            if self._target_id in part.removed_target_ids:
                self._pending[part.document.rpartition("/")[2]] = None

    def _take_target_change(self, change: Any) -> None:
        kind = types.TargetChange.TargetChangeType(change.target_change_type).name
        concerned = not change.target_ids or self._target_id in change.target_ids
        if kind == "RESET" and concerned:
            self._pending.clear()
            self._doubted = set(self.held)
            self.is_current = False
        elif kind == "CURRENT" and concerned:
            self.is_current = True
        elif kind == "NO_CHANGE" and not change.target_ids and change.HasField("read_time") and self.is_current:
            self._settle()
            self.token = change.resume_token
            self.read_time_us = change.read_time.ToMicroseconds()

    def _settle(self) -> None:
        for name in self._doubted - self._pending.keys():
            del self.held[name]
        for name, version in self._pending.items():
            if version is None:
                self.held.pop(name, None)
            else:
                self.held[name] = version
        self._pending.clear()
        self._doubted = set()

    async def until(self, listen: RawListen, held: set[str], since_us: int = 0) -> None:
        """Read on until it holds exactly these IDs as of a time not before `since_us`."""
        while not (self.is_current and set(self.held) == held and self.read_time_us >= since_us):
            self.take(await listen.next())
