"""Direct reads say only what Firestore said."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from service.clock import boottime
from service.firestore_reader import FirestoreReader, Unreachable
from tests.service.running import COLLECTION, firestore_client


class Bills:
    """The observer of reads."""

    def documents_billed(self, kind: str, count: int) -> None:
        pass

    def malformed(self, process_id: str, version: int, fields: tuple[str, ...]) -> None:
        pass


@pytest.fixture
async def says_nothing(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A server that ends every BatchGetDocuments well, and without a word."""

    async def empty(_: bytes, __: Any) -> AsyncIterator[bytes]:
        answers: list[bytes] = []
        for answer in answers:
            yield answer

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(empty)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("google.firestore.v1.Firestore", {"BatchGetDocuments": handler})]
    )
    host = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    await server.start()
    yield host
    await server.stop(None)


async def test_an_answer_without_a_document_is_no_proof_that_there_is_none(says_nothing: str, project: str) -> None:
    async with firestore_client(project) as client:
        reader = FirestoreReader(
            client, COLLECTION, start_time_type="timestamp", timeout_s=5, clock=boottime, observer=Bills()
        )
        with pytest.raises(Unreachable):
            await reader.get("import-1")
