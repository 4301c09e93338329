"""The Listen protocol without a client library, on both servers: what every consumer may rely on.

Google's emulator resends the whole result for every change, so what is compared is what a correct consumer holds
in the end, and the exact messages only where the two agree.
"""

import random
from typing import Any

from google.cloud.firestore_v1 import FieldFilter, types

from tests.local_firestore.raw_listen import Consumer, RawListen, line_of

JOBS = "jobs"


async def write(client: Any, documents: dict[str, dict[str, Any] | None]) -> int:
    """One commit; returns its time in microseconds."""
    batch = client.batch()
    for name, fields in documents.items():
        document = client.collection(JOBS).document(name)
        if fields is None:
            batch.delete(document)
        else:
            batch.set(document, fields)
    await batch.commit()
    return int(batch.commit_time.timestamp_pb().ToMicroseconds())


async def test_a_new_target_is_added_filled_current_and_consistent_in_that_order(
    listen: RawListen, async_client: Any
) -> None:
    await write(async_client, {name: {"n": number} for number, name in enumerate("abc")})
    await listen.add_query(2, async_client.collection(JOBS).order_by("n").limit(2))
    assert await listen.lines_until_consistent() == [
        "ADD[2]",
        "change a [2]",
        "change b [2]",
        "CURRENT[2]",
        "NO_CHANGE[]",
    ]


async def confirmed(listen: RawListen, model: Consumer) -> list[str]:
    """Probe the stream until the answer counts, feeding the model; return the lines about the probe's target."""
    await listen.add_documents(6, [f"{JOBS}/does-not-exist"])
    seen: list[str] = []
    while not ("CURRENT[6]" in seen and seen[-1] == "NO_CHANGE[]" and model.is_current):
        response = await listen.next()
        model.take(response)
        seen.append(line_of(response))
    await listen.remove(6)
    while seen[-1] != "REMOVE[6]":
        response = await listen.next()
        model.take(response)
        seen.append(line_of(response))
    return [line for line in seen if line.endswith("[6]")]


async def test_a_probe_is_answered_once_everything_before_it_was_sent(listen: RawListen, async_client: Any) -> None:
    model = Consumer(2)
    await listen.add_query(2, async_client.collection(JOBS))
    await model.until(listen, set())
    for number in range(20):
        committed_us = await write(async_client, {f"job{number}": {"n": number}})
        about_it = await confirmed(listen, model)
        assert about_it == ["ADD[6]", "delete does-not-exist [6]", "CURRENT[6]", "REMOVE[6]"]
        assert f"job{number}" in model.held
        assert model.read_time_us >= committed_us


async def test_a_removed_target_is_acknowledged_and_silent_from_then_on(listen: RawListen, async_client: Any) -> None:
    await listen.add_query(2, async_client.collection(JOBS))
    await listen.add_documents(4, [f"{JOBS}/a"])
    while line_of(await listen.next()) != "CURRENT[4]":
        pass
    assert line_of(await listen.next()) == "NO_CHANGE[]"
    await listen.remove(2)
    assert line_of(await listen.next()) == "REMOVE[2]"
    await write(async_client, {"a": {"n": 1}, "b": {"n": 2}})
    assert await listen.lines(2) == ["change a [4]", "NO_CHANGE[]"]


async def test_a_query_firestore_refuses_ends_its_target_with_the_cause(listen: RawListen, async_client: Any) -> None:
    collection = async_client.collection(JOBS)
    await listen.add_query(2, collection.where(filter=FieldFilter("n", "in", list(range(31)))))
    assert await listen.lines(2) == ["ADD[2]", "REMOVE[2] cause 3"]
    await listen.add_query(4, collection)
    assert await listen.lines_until_consistent() == ["ADD[4]", "CURRENT[4]", "NO_CHANGE[]"]


async def test_a_target_without_an_id_is_given_one(listen: RawListen, async_client: Any) -> None:
    await listen.add_query(0, async_client.collection(JOBS))
    assert await listen.lines_until_consistent() == ["ADD[1]", "CURRENT[1]", "NO_CHANGE[]"]


async def test_an_unusable_resume_token_is_answered_with_reset_and_everything(
    listen: RawListen, async_client: Any
) -> None:
    await write(async_client, {"a": {"n": 1}})
    await listen.add_query(2, async_client.collection(JOBS), resume_token=b"of another world")
    assert await listen.lines_until_consistent() == ["ADD[2]", "RESET[2]", "change a [2]", "CURRENT[2]", "NO_CHANGE[]"]


async def test_after_any_commits_a_consumer_holds_what_the_query_returns(listen: RawListen, async_client: Any) -> None:
    """Random commits against a filtered, ordered, limited window; compared with the query itself every time."""
    chance = random.Random(7)
    window = (
        async_client.collection(JOBS)
        .where(filter=FieldFilter("kind", "==", "import"))
        .order_by("n", direction="DESCENDING")
        .limit(5)
    )
    model = Consumer(2)
    await listen.add_query(2, window)
    await model.until(listen, set())
    for _ in range(40):
        documents: dict[str, dict[str, Any] | None] = {}
        for name in chance.sample("abcdefghijkl", chance.randint(1, 4)):
            kind = chance.choice(["import", "import", "export"])
            documents[name] = None if chance.random() < 0.25 else {"n": chance.randint(0, 9), "kind": kind}
        await write(async_client, documents)
        await confirmed(listen, model)
        found = {one.id: one.update_time.timestamp_pb().ToMicroseconds() async for one in window.stream()}
        assert model.held == found


async def test_every_response_of_a_window_with_a_projection_has_the_chosen_fields(
    listen: RawListen, async_client: Any
) -> None:
    await write(async_client, {"a": {"n": 1, "big": "x"}})
    await listen.add_query(2, async_client.collection(JOBS).select(["n"]))
    responses = await listen.until_consistent()
    await write(async_client, {"a": {"n": 2, "big": "y"}})
    responses += await listen.until_consistent()
    changes = [
        each.document_change.document for each in responses if each.WhichOneof("response_type") == "document_change"
    ]
    assert [dict(document.fields).keys() for document in changes] == [{"n"}, {"n"}]
    assert [document.fields["n"].integer_value for document in changes] == [1, 2]


async def test_a_request_that_breaks_the_protocol_ends_the_stream(listen: RawListen) -> None:
    await listen.call.write(types.ListenRequest(database=listen.database))
    assert (await listen.end()).name in {"INVALID_ARGUMENT", "UNKNOWN"}
