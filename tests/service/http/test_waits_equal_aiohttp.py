"""A wait without a task gives what a wait in a handler gives: two services hear of the same changes.

That no task was made for it is part of it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import pytest

from service.http.connection import Connection
from service.http.requests import Head
from tests.firestore_servers import BackgroundFirestore
from tests.service.http.both import (
    COMPLETED,
    FIELDS,
    HELD,
    LAST,
    LEAST,
    Both,
    answers_in,
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

    def __init__(self, both: Both, ours: RawConnection, oracle: RawConnection) -> None:
        self.both = both
        self.ours = ours
        self._connections = ours, oracle

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
        """What both have been sent until they were closed; `Connection: close` says so in one of them alone."""
        received = [(await each.all()).replace(b"Connection: close\r\n", b"") for each in self._connections]
        assert answers_in(received[0]) == answers_in(received[1])
        self.both.assert_same_trace()
        return received[0]


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


def waiting_connections(both: Both) -> list[Connection]:
    """Those of the service itself that wait without a task."""
    return [each for each in both.ours.connections if each.waits and each._task is None]


def waits_without_a_task(both: Both) -> int:
    return len(waiting_connections(both))


async def heard(both: Both, process_id: str, version: int) -> None:
    for each in both:
        await each.running.holds(process_id, version)


async def test_the_date_of_a_waits_answer_is_that_of_its_end(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    async with waiting(both, head(WAIT, KNOWN)) as clients:
        began, an_hour_later = (
            time.time(),
            SimpleNamespace(time=lambda: time.time() + 3600, perf_counter=lambda: time.perf_counter() + 3600),
        )
        monkeypatch.setattr("service.http.responses.time", an_hour_later)
        monkeypatch.setattr("service.http.model_answers.perf_counter", an_hour_later.perf_counter)
        both.commit(CHANGED)
        await clients.all_wait(0)
        (date, *_) = re.findall(rb"\r\nDate: ([^\r]+)", await clients.end())
    assert parsedate_to_datetime(date.decode()).timestamp() >= int(began) + 3600


@pytest.mark.parametrize("query", [b"wait=60", b"until=terminal&wait=60", b"wait=60&include_products=0"])
async def test_a_change_ends_the_wait_and_the_connection_goes_on(both: Both, query: bytes) -> None:
    asked = head(b"/status/import-1?" + query, [*KNOWN, b"X-Request-Id: mine", b"User-Agent: curl/8.1"])
    async with waiting(both, asked) as clients:
        if b"until" in query:
            await heard(both, HELD[0], both.commit(CHANGED))  # which it sleeps through
        last = both.commit(FIELDS | {"status": "completed"})
        await clients.all_wait(0)
        await clients.send(head(headers=KNOWN))
        told = await clients.end(asked.replace(b"{now}", b"%d" % (last - 1)))
    assert told.count(b'"status":"completed"') == 3


async def test_a_wait_in_which_nothing_happens_ends_with_what_a_poll_gets(both: Both) -> None:
    async with (
        waiting(both, head(b"/status/import-1?wait=1", KNOWN)) as changed,
        waiting(both, head(b"/status/import-1?wait=1&until=terminal", KNOWN), others=1) as ended,
        waiting(both, head(b"/status/import-1?wait=1&until=terminal"), others=2) as ended_unseen,
    ):
        await ended_unseen.all_wait(0)
        told = [await each.end() for each in (changed, ended, ended_unseen)]
    assert [each[9:12] for each in told] == [b"304", b"304", b"200"]


async def test_a_deletion_ends_the_wait(both: Both) -> None:
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


@pytest.mark.thorough
@pytest.mark.parametrize("handled_before", [False, True])
async def test_at_the_end_of_the_service_it_is_answered(both: Both, handled_before: bool) -> None:
    """However many wait, and whatever their connections were used for before."""
    async with AsyncExitStack() as stack:
        for each in both:
            for _ in range(200):
                other = await stack.enter_async_context(raw_connection(each.running.url))
                await other.send(both.filled_in(head(WAIT, KNOWN)))
            await until(lambda each=each: each.running.service.watchers.count == 200, "all wait")  # type: ignore[misc] # a lambda's default
        answered = head(b"/status/nobody") if handled_before else head()
        clients = await stack.enter_async_context(waiting(both, head(WAIT, KNOWN), answered=answered, others=200))
        async with asyncio.timeout(4):
            for each in both:
                await each.running.runner.cleanup()
                assert not each.running.service.watchers.count
        assert (await clients.received()).startswith(b"HTTP/1.1 304 ")


@pytest.mark.thorough
@pytest.mark.parametrize("handled_before", [False, True])
async def test_at_the_end_of_the_service_after_a_lapse_all_are_refused(both: Both, handled_before: bool) -> None:
    """By the handlers, and without delay."""
    service = both.ours.running.service
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.ours.running.url)) for _ in range(100)]
        for each in connections:
            await each.send(head(b"/status/nobody" if handled_before else b"/status/import-1"))
            await each.reply()
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 100, "all wait")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(service.model), "trusted_age_s", None)
            patched.setattr(service._fair_queue, "_quiet_from", float("inf"))  # short turns
            async with asyncio.timeout(4):
                await service.runner.cleanup()
        assert {(await each.all())[:13] for each in connections} == {b"HTTP/1.1 503 "}


async def test_a_client_that_leaves_before_it_could_ask_again_is_accounted_for_and_others_ask(both: Both) -> None:
    service = both.ours.running.service
    async with raw_connection(both.ours.running.url) as leaver, raw_connection(both.ours.running.url) as other:
        await leaver.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 1, "one waits")
        (gone,) = waiting_connections(both)
        await other.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 2, "both wait")
        (stays,) = [each for each in waiting_connections(both) if each is not gone]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(type(service.model), "trusted_age_s", None)
            for each in (gone, stays):
                assert each._parked is not None
                each._parked.waiter.finish()
            gone.connection_lost(None)
            assert stays._parked is not None
            stays._parked.head.arrived_at -= 60  # it came a minute ago
            assert (await other.head()).startswith(b"HTTP/1.1 304 ")
    await settle()
    assert sorted(line["httpRequest"]["status"] for line in both.ours.logged()) == [304, 499]
    assert (service.watchers.count, waits_without_a_task(both)) == (0, 0)


async def test_a_wait_that_begins_while_the_service_ends_is_refused(both: Both) -> None:
    """Each connection ends with its answer, as aiohttp ends those that it was answering."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.ours.running.url)) for _ in range(200)]
        for each in connections:
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: waits_without_a_task(both) == 200, "all wait")
        stopping = asyncio.create_task(both.ours.running.service.runner.cleanup())

        async def asks_again(connection: RawConnection) -> bytes:
            assert (await connection.head()).startswith(b"HTTP/1.1 304 ")
            with suppress(ConnectionError):
                await connection.send(both.filled_in(head(WAIT, KNOWN)))
            return await connection.all()

        assert set(await asyncio.gather(*map(asks_again, connections))) == {b""}
        await stopping


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

    handle = Connection._handle

    def count(connection: Connection, asked: Head) -> None:
        begun[-1] += 1
        handle(connection, asked)

    service = both.ours.running.service
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(raw_connection(both.ours.running.url)) for _ in range(200)]
        for each in connections:
            await each.send(both.filled_in(head(WAIT, KNOWN)))
        await until(lambda: service.watchers.count == 200, "all wait")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "_handle", count)
            patched.setattr(type(service.model), "trusted_age_s", None)
            loop.call_soon(turn)
            both.commit(CHANGED)
            assert {(await each.reply())[0] for each in connections} == {200}
    assert sum(begun) == 200
    assert max(begun) <= 50
