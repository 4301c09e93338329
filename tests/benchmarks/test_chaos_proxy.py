"""The network of the chaos run breaks as it says, and heals where it says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from benchmarks.chaos.proxy import Proxy
from tests.waiting import until

BOTH = ("requests", "answers")


class Upstream(asyncio.Protocol):
    """Echoes what it hears, in upper case."""

    heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        Upstream.heard += data
        self.transport.write(data.upper())


class Caller(asyncio.Protocol):
    """One connection to the proxy."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_closed = False
        self.error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed, self.error = True, exc


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    Upstream.heard = b""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    proxy = Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await proxy.start()
    yield proxy
    await proxy.stop()
    server.close()


async def connected(proxy: Proxy) -> Caller:
    """A caller whose connection has carried something both ways."""
    caller = await call(proxy)
    caller.transport.write(b"a")
    await until(lambda: caller.heard == b"A", "the proxy carries bytes both ways")
    return caller


async def call(proxy: Proxy) -> Caller:
    host, port = proxy.host.split(":")
    _, caller = await asyncio.get_running_loop().create_connection(Caller, host, int(port))
    return caller


async def test_lost_requests_reach_nobody_while_new_connections_pass(proxy: Proxy) -> None:
    caller = await connected(proxy)
    await proxy.lose("requests")
    caller.transport.write(b"b")
    other = await connected(proxy)
    await proxy.heal()
    other.transport.write(b"c")
    await until(lambda: other.heard == b"AC", "the new connection passes")
    assert Upstream.heard == b"aac"
    assert not caller.is_closed


async def test_lost_answers_were_asked_for_all_the_same(proxy: Proxy) -> None:
    caller = await connected(proxy)
    await proxy.lose("answers")
    caller.transport.write(b"b")
    await until(lambda: Upstream.heard == b"ab", "the request arrives")
    other = await connected(proxy)
    assert (caller.heard, other.heard) == (b"A", b"A")


async def test_what_is_not_read_arrives_once_the_network_has_healed(proxy: Proxy) -> None:
    caller = await connected(proxy)
    await proxy.stop_reading(*BOTH)
    caller.transport.write(b"b")
    with suppress(TimeoutError):
        await asyncio.wait_for(until(lambda: Upstream.heard == b"ab", "it must not arrive yet"), 0.05)
    assert Upstream.heard == b"a"
    await proxy.heal()
    await until(lambda: caller.heard == b"AB", "all of it arrives")


async def test_a_reset_is_an_error_at_the_caller(proxy: Proxy) -> None:
    caller = await connected(proxy)
    await proxy.reset()
    await until(lambda: caller.is_closed, "the connection is gone")
    assert isinstance(caller.error, ConnectionResetError)
    assert proxy.connections == 0
    await connected(proxy)


async def test_refused_connections_are_accepted_again_on_the_same_port(proxy: Proxy) -> None:
    caller, host = await connected(proxy), proxy.host
    await proxy.refuse()
    await until(lambda: caller.is_closed, "the connection is gone")
    with pytest.raises(ConnectionRefusedError):
        await call(proxy)
    await proxy.heal()
    assert proxy.host == host
    await connected(proxy)


async def test_a_delay_and_a_throttle_slow_bytes_down(proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    caller = await connected(proxy)
    await proxy.delay(0.1, "requests")
    began = loop.time()
    caller.transport.write(b"b")
    await until(lambda: caller.heard == b"AB", "it arrives late")
    assert loop.time() - began >= 0.1
    await proxy.heal()
    await proxy.throttle(100, "answers")
    began = loop.time()
    caller.transport.write(b"c" * 30)
    await until(lambda: len(caller.heard) == 32, "the last of it arrives")
    assert loop.time() - began >= 0.2


async def test_connections_that_close_are_counted_no_more(proxy: Proxy) -> None:
    caller = await connected(proxy)
    assert proxy.connections == 1
    caller.transport.abort()
    await until(lambda: proxy.connections == 0, "the proxy lets go of it")
