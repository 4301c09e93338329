"""Transactions of the client library, on both servers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.cloud.firestore_v1 import (
    AsyncTransaction,
    FieldFilter,
    Transaction,
    async_transactional,
    transactional,
)


@transactional
def increment(transaction: Transaction, client: Any) -> int:
    document = client.document("counters/c")
    before: int = (document.get(transaction=transaction).to_dict() or {"n": 0})["n"]
    transaction.set(document, {"n": before + 1})
    return before


def test_a_transaction_writes_what_it_computed_from_what_it_read(client: Any) -> None:
    assert increment(client.transaction(), client) == 0
    assert increment(client.transaction(), client) == 1
    assert client.document("counters/c").get().to_dict() == {"n": 2}


def test_competing_transactions_lose_no_update(client: Any) -> None:
    client.document("counters/c").set({"n": 0})
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(increment, client.transaction(max_attempts=50), client) for _ in range(3)]
        before = sorted(each.result() for each in done)
    assert before == [0, 1, 2]
    assert client.document("counters/c").get().to_dict() == {"n": 3}


def test_a_transaction_that_raises_writes_nothing(client: Any) -> None:
    @transactional
    def fail(transaction: Transaction) -> None:
        transaction.set(client.document("counters/c"), {"n": 1})
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        fail(client.transaction())
    assert not client.document("counters/c").get().exists


def test_a_transaction_sees_query_results_and_deletes_them(client: Any) -> None:
    for number in range(4):
        client.document(f"jobs/{number}").set({"odd": number % 2 == 1})

    @transactional
    def delete_odd(transaction: Transaction) -> list[str]:
        odd = client.collection("jobs").where(filter=FieldFilter("odd", "==", True))
        found = list(odd.stream(transaction=transaction))
        for one in found:
            transaction.delete(one.reference)
        return [one.id for one in found]

    assert delete_odd(client.transaction()) == ["1", "3"]
    assert [one.id for one in client.collection("jobs").stream()] == ["0", "2"]


def test_a_read_only_transaction_reads_one_snapshot(client: Any) -> None:
    document = client.document("counters/c")
    document.set({"n": 1})

    @transactional
    def read_twice(transaction: Transaction) -> list[int]:
        first = document.get(transaction=transaction).to_dict()["n"]
        document.set({"n": first + 1})
        return [first, document.get(transaction=transaction).to_dict()["n"]]

    assert read_twice(client.transaction(read_only=True)) == [1, 1]


async def test_the_asynchronous_client_runs_transactions_too(async_client: Any) -> None:
    document: Any = async_client.document("counters/c")

    @async_transactional
    async def increment_twice(transaction: AsyncTransaction) -> None:
        found = await document.get(transaction=transaction)
        transaction.set(document, {"n": (found.to_dict() or {"n": 0})["n"] + 2})

    await increment_twice(async_client.transaction())
    await increment_twice(async_client.transaction())
    assert (await document.get()).to_dict() == {"n": 4}
