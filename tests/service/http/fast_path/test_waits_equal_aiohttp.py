"""Who waits for a change gets what aiohttp's long polls give: two services hear of the same changes.

That nobody but the fast path has answered is part of it: aiohttp has no request of such a connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from service.http.fast_path import FastConnection
from service.http.fast_path.connection import MAX_AT_ONCE
from service.http.server import JsonErrorHandler
from tests.firestore_servers import BackgroundFirestore
from tests.service.http.fast_path.both import (
    COMPLETED,
    FIELDS,
    HELD,
    LAST,
    LEAST,
    MADE,
    Both,
    Observed,
    both_services,
    head,
)
from tests.service.raw_http import RawConnection, raw_connection
from tests.service.virtual_time import Clock, settle
from tests.waiting import until

WAIT = b"/status/import-1?wait=60"
KNOWN = [*LEAST, b'If-None-Match: "v{now}"']
CHANGED = FIELDS | {"products_processed": 1}


@pytest.fixture(autouse=True)
def _reads_reach_firestore(local_firestore: BackgroundFirestore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)


class Waiting:
    """One connection to each of both services."""

    def __init__(self, both: Both, fast: RawConnection, plain: RawConnection) -> None:
        self.both = both
        self.fast = fast
        self._connections = fast, plain

    async def send(self, data: bytes) -> None:
        for each in self._connections:
            await each.send(self.both.filled_in(data))

    async def all_wait(self, count: int = 1) -> None:
        """So many requests wait in each service."""
        for each in self.both:
            await until(lambda each=each: each.running.service.watchers.count == count, f"{count} wait")  # type: ignore[misc] # a lambda's default

    async def end(self, *parts: bytes) -> bytes:
        """What both have been sent, when they have been asked to close the connection."""
        for data in (*parts, LAST):
            await self.send(data)
        return await self.received()

    async def received(self) -> bytes:
        """What both have been sent until they were closed."""
        answers = [MADE.sub(b"...", await each.all()) for each in self._connections]
        assert answers[0] == answers[1]
        self.both.assert_same_trace()
        return answers[0]


@asynccontextmanager
async def waiting(both: Both, sent: bytes, *, answered: bytes = b"", others: int = 0) -> AsyncIterator[Waiting]:
    """Clients that have sent that, and wait; and before that what has been answered."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(each.running.url)) for each in both]
        clients = Waiting(both, *connections)
        if answered:
            await clients.send(answered)
            for each in connections:
                await each.reply()
        await clients.send(sent)
        await clients.all_wait(others + 1)
        assert waits_without_a_task(both) == others + 1
        yield clients


def waits_without_a_task(both: Both) -> int:
    fast_path = both.fast.running.service.runner._fast_path
    return 0 if fast_path is None else fast_path._waits


def answered_by_aiohttp(observed: Observed) -> int:
    """How many requests of the connections that are open."""
    return sum(each._request_count for each in observed.connections if isinstance(each, JsonErrorHandler))


async def heard(both: Both, process_id: str, version: int) -> None:
    for each in both:
        await each.running.holds(process_id, version)


@pytest.mark.parametrize("query", [b"wait=60", b"until=terminal&wait=60", b"wait=60&include_products=0"])
async def test_a_change_is_told_and_the_connection_goes_on(both: Both, query: bytes) -> None:
    asked = head(b"/status/import-1?" + query, [*KNOWN, b"X-Request-Id: mine", b"User-Agent: curl/8.1"])
    async with waiting(both, asked) as clients:
        assert answered_by_aiohttp(both.fast) == 0
        if b"until" in query:
            await heard(both, HELD[0], both.commit(CHANGED))  # which it sleeps through
        last = both.commit(FIELDS | {"status": "completed"})
        await clients.all_wait(0)
        await clients.send(head(headers=KNOWN))
        assert answered_by_aiohttp(both.fast) == 0
        told = await clients.end(asked.replace(b"{now}", b"%d" % (last - 1)))
    assert told.count(b'"status":"completed"') == 3


async def test_a_wait_in_which_nothing_happens_ends_with_what_a_poll_gets(both: Both) -> None:
    async with (
        waiting(both, head(b"/status/import-1?wait=1", KNOWN)) as changed,
        waiting(both, head(b"/status/import-1?wait=1&until=terminal", KNOWN), others=1) as ended,
        waiting(both, head(b"/status/import-1?wait=1&until=terminal"), others=2) as ended_unseen,
    ):
        await ended_unseen.all_wait(0)
        assert answered_by_aiohttp(both.fast) == 0
        told = [await each.end() for each in (changed, ended, ended_unseen)]
    assert [each[9:12] for each in told] == [b"304", b"304", b"200"]


async def test_a_deletion_is_told(both: Both) -> None:
    async with waiting(both, head(WAIT, KNOWN)) as clients:
        both.commit(None)
        await clients.all_wait(0)
        told = await clients.end()
    assert told.startswith(b"HTTP/1.1 404 ")
    assert b"X-Cache: HIT" in told


async def test_a_client_that_leaves_is_accounted_for(both: Both) -> None:
    async with waiting(both, head(WAIT, KNOWN), answered=head()):
        pass
    for each in both:
        await until(lambda each=each: each.running.service.watchers.count == 0, "nobody waits")  # type: ignore[misc] # a lambda's default
        await until(lambda each=each: not each.connections, "it is gone")  # type: ignore[misc] # a lambda's default
    both.assert_same_trace()


@pytest.mark.parametrize("more", [head(), head(WAIT), head()[:20], head(b"/status/import-1", [b"no colon"])])
async def test_what_is_sent_while_a_request_waits_is_answered_after_it(both: Both, more: bytes) -> None:
    async with waiting(both, head(WAIT, KNOWN), answered=head()) as clients:
        await clients.send(more)
        await clients.all_wait()
        both.commit(CHANGED)
        await clients.all_wait(0)
        await clients.end(head()[20:] if len(more) == 20 else b"")


async def test_what_is_sent_while_a_request_waits_gives_it_no_more_time(both: Both) -> None:
    async with raw_connection(both.fast.running.url) as connection:
        await connection.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: both.fast.running.service.watchers.count == 1, "it waits")
        (waiting_here,) = [each for each in both.fast.connections if isinstance(each, FastConnection) and each.waits]
        request, _ = waiting_here._waiting  # type: ignore[misc] # it waits
        request.asked_at -= 60  # it came a minute ago
        await connection.send(both.filled_in(head()))
        assert (await connection.head()).startswith(b"HTTP/1.1 304 ")


@pytest.mark.parametrize("lent_before", [False, True])
async def test_at_the_end_of_the_service_it_is_answered(both: Both, lent_before: bool) -> None:
    """Also on a connection that aiohttp knows, and would close with all that are idle; and however many wait."""
    async with AsyncExitStack() as stack:
        for each in both:
            for _ in range(200):
                other = await stack.enter_async_context(raw_connection(each.running.url))
                await other.send(both.filled_in(head(WAIT, KNOWN)))
            await until(lambda each=each: each.running.service.watchers.count == 200, "all wait")  # type: ignore[misc] # a lambda's default
        answered = head(b"/status/nobody") if lent_before else head()
        clients = await stack.enter_async_context(waiting(both, head(WAIT, KNOWN), answered=answered, others=200))
        assert answered_by_aiohttp(both.fast) == lent_before
        async with asyncio.timeout(4):
            for each in both:
                await each.running.service.runner.cleanup()
                assert not each.running.service.watchers.count
        assert (await clients.received()).startswith(b"HTTP/1.1 304 ")


@pytest.mark.parametrize("lent_before", [False, True])
async def test_at_the_end_of_the_service_after_a_lapse_all_are_refused(both: Both, lent_before: bool) -> None:
    """By aiohttp, and without delay: also where it would have let an idle connection go, or has never known it."""
    service = both.fast.running.service
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.fast.running.url)) for _ in range(100)]
        for each in connections:
            await each.send(head(b"/status/nobody" if lent_before else b"/status/import-1"))
            await each.reply()
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 100, "all wait")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(service.model), "trusted_age_s", None)
            patched.setattr(service._turns, "_quiet_from", float("inf"))  # short turns
            async with asyncio.timeout(4):
                await service.runner.cleanup()
        assert {(await each.all())[:13] for each in connections} == {b"HTTP/1.1 503 "}


async def test_a_client_that_leaves_before_it_could_ask_again_is_accounted_for_and_others_ask(both: Both) -> None:
    service = both.fast.running.service
    async with raw_connection(both.fast.running.url) as leaver, raw_connection(both.fast.running.url) as other:
        await leaver.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 1, "one waits")
        (gone,) = [each for each in both.fast.connections if isinstance(each, FastConnection) and each.waits]
        await other.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 2, "both wait")
        (stays,) = [each for each in both.fast.connections if each is not gone and isinstance(each, FastConnection)]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(service.model), "trusted_age_s", None)
            for each in (gone, stays):
                _, wait = each._waiting  # type: ignore[misc] # it waits
                wait.farewell()
            gone.connection_lost(None)
            request, _ = stays._waiting  # type: ignore[misc] # it waits
            request.asked_at -= 60  # it came a minute ago
            assert (await other.head()).startswith(b"HTTP/1.1 304 ")
    await settle()
    assert sorted(line["httpRequest"]["status"] for line in both.fast.logged()) == [304, 499]
    assert (service.watchers.count, waits_without_a_task(both)) == (0, 0)


async def test_who_asks_again_while_the_service_ends_is_let_go(both: Both) -> None:
    """Each connection ends with its answer, as aiohttp ends those that it was answering."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.fast.running.url)) for _ in range(200)]
        for each in connections:
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 200, "all wait")
        stopping = asyncio.create_task(both.fast.running.service.runner.cleanup())

        async def asks_again(connection: RawConnection) -> bytes:
            assert (await connection.head()).startswith(b"HTTP/1.1 304 ")
            with suppress(ConnectionError):
                await connection.send(both.filled_in(head(WAIT, KNOWN)))
            return await connection.all()

        assert set(await asyncio.gather(*map(asks_again, connections))) == {b""}
        await stopping


async def test_what_comes_out_of_turn_while_a_request_waits_is_answered_after_it(both: Both) -> None:
    turns = both.fast.running.service._turns
    async with raw_connection(both.fast.running.url) as connection:
        await connection.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 1, "it waits")
        turns._waiting.append(lambda: None)  # somebody waits for his turn, and nobody asks for the next
        turns.ends_at = 0.0
        for _ in range(MAX_AT_ONCE + 2):
            await connection.send(head(b"/status/completed"))
        await until(lambda: waits_without_a_task(both) == 0, "aiohttp has it")
        turns.serve_all()
        both.commit(CHANGED)
        told = [(await connection.reply())[1] for _ in range(MAX_AT_ONCE + 3)]
    assert [b"import-1" in each for each in told] == [True] + [False] * (MAX_AT_ONCE + 2)


async def test_after_a_lapse_its_time_ends_with_a_read(local_firestore: BackgroundFirestore, project: str) -> None:
    clock = Clock()
    options = {"listener": "stream", "window_size": 0, "probe_interval_s": 3600}
    async with (
        both_services(local_firestore, project, clock, **options) as both,
        waiting(both, head(WAIT.replace(b"60", b"1"), KNOWN)) as clients,
    ):
        clock.advance(100)
        await clients.all_wait(0)
        told = await clients.end()
    assert told.startswith(b"HTTP/1.1 304 ")
    assert b"X-Cache: MISS" in told


async def test_past_the_limit_of_waits_it_is_refused(local_firestore: BackgroundFirestore, project: str) -> None:
    options = {"listener": "stream", "window_size": 0, "max_watchers": 1}
    async with (
        both_services(local_firestore, project, Clock(), **options) as both,
        waiting(both, head(WAIT, KNOWN)) as first,
        AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(raw_connection(each.running.url)) for each in both]
        for other in others:
            await other.send(both.filled_in(head(WAIT, KNOWN)))
            assert (await other.reply())[0] == 503
            await other.send(both.filled_in(head(b"/status/" + COMPLETED.encode() + b"?wait=60&until=terminal", KNOWN)))
            assert (await other.head()).startswith(b"HTTP/1.1 304 ")  # there is nothing to wait for
        both.commit(CHANGED)
        await first.all_wait(0)
        await first.end()


async def test_those_whom_only_firestore_can_answer_ask_again_a_few_a_turn(both: Both) -> None:
    """200 at once would hold the loop for as many tasks."""
    loop, begun = asyncio.get_running_loop(), [0]

    def turn() -> None:
        begun.append(0)
        loop.call_soon(turn)

    received = JsonErrorHandler.data_received

    def count(handler: JsonErrorHandler, data: bytes) -> None:
        begun[-1] += 1
        received(handler, data)

    service = both.fast.running.service
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.fast.running.url)) for _ in range(200)]
        for each in connections:
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: service.watchers.count == 200, "all wait")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(JsonErrorHandler, "data_received", count)
            patched.setattr(type(service.model), "trusted_age_s", None)
            loop.call_soon(turn)
            both.commit(CHANGED)
            assert {(await each.reply())[0] for each in connections} == {200}
    assert sum(begun) == 200
    assert max(begun) <= 50
