"""Direct reads say only what Firestore said."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from service.errors import Unreachable
from service.reads.children import Items
from service.runtime.slicer import ITEMS_PER_SLICE
from tests.service.reads.direct_reads import reader_of
from tests.service.running import COLLECTION, firestore_client


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
    async with reader_of(says_nothing, project) as reader:
        with pytest.raises(Unreachable):
            await reader.get("import-1")


async def test_a_megabyte_of_products_is_rendered_with_turns_of_the_loop_between(
    firestore_host: str, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    turn, steps_in = 0, Counter[int]()
    is_rendering = False

    def count_turn() -> None:
        nonlocal turn
        turn += 1
        if is_rendering:
            loop.call_soon(count_turn)

    def counted(products: Items, value: bytes) -> Iterator[None]:
        nonlocal is_rendering
        is_rendering = True
        loop.call_soon(count_turn)
        for step in of_field(products, value):
            steps_in[turn] += 1
            yield step
        is_rendering = False

    of_field = Items.of_field
    monkeypatch.setattr(Items, "of_field", counted)
    products = [{"sku": f"SKU-{number:040}", "ok": True} for number in range(8_000)]
    async with firestore_client(project) as client:
        await client.collection(COLLECTION).document("import-1").set({"status": "completed", "products": products})
        async with reader_of(firestore_host, project, timeout_s=30) as reader:
            read = await reader.get("import-1", children=("products",))
    assert json.loads(read.body)["products"] == products
    assert steps_in.total() >= 16_000
    assert max(steps_in.values()) <= ITEMS_PER_SLICE
