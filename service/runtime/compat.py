"""Private and undocumented names of dependencies that the HTTP side uses, each with its purpose.

`check` tries each of them, at the start and in the test suite. If an upgrade has broken one, it names that one and the
version. pyproject.toml limits the versions of these packages.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version as version_of
from typing import Any, cast

import httptools
from aiohttp import web
from aiohttp.http import HttpVersion, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL


def make_request(
    connection: asyncio.Protocol,
    loop: asyncio.AbstractEventLoop,
    method: str,
    target: str,
    url: URL,
    lines: Sequence[tuple[bytes, bytes]],
    version: tuple[int, int],
    *,
    closes: bool,
) -> web.Request:
    """A request object of aiohttp, from what another parser has read.

    The constructors of both classes are undocumented. It is also undocumented that a request works without a payload
    writer and a task, if other code writes its response. `connection` needs `transport`, `peername`, `sockname`,
    `ssl_context`.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in lines:
        headers.add(name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
    http_version = HttpVersion(*version)
    proxy = CIMultiDictProxy(headers)
    message = RawRequestMessage(method, target, http_version, proxy, tuple(lines), closes, None, False, False, url)
    return web.Request(message, EMPTY_PAYLOAD, cast("Any", connection), cast("Any", None), cast("Any", None), loop)


class Runner(web.AppRunner):
    """An AppRunner, as gunicorn's worker needs it, with another server than aiohttp's: `make_server` makes the server.

    `_make_server` is private. It also begins the application's life.
    """

    def __init__(self, app: web.Application, make_server: Callable[[], Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._other_server = make_server

    async def _make_server(self) -> Any:
        await super()._make_server()
        return self._other_server()


class _Connection(asyncio.Protocol):
    transport = peername = sockname = ssl_context = None


class _Ignore:
    """A parser protocol without callbacks."""


def check() -> list[str]:
    """One line for each name that does not work as it is used here; empty if all work."""
    return [
        f"{package} {version_of(package)} is not supported: {fault}"
        for package, works, fault in _CHECKS
        if not _holds(works)
    ]


def _holds(works: Callable[[], bool]) -> bool:
    try:
        return works()
    except Exception:  # noqa: BLE001 - whatever it is, the name does not work
        return False


def _requests_can_be_made() -> bool:
    loop = asyncio.new_event_loop()
    try:
        url = URL.build(path="/a", query_string="b=c", encoded=True)
        lines = [(b"X-Name", b"value"), (b"x-name", b"\xff")]
        request = make_request(_Connection(), loop, "GET", "/a?b=c", url, lines, (1, 1), closes=False)
        return (
            request.headers.getall("X-NAME") == ["value", "\udcff"]
            and (request.method, request.raw_path, request.path) == ("GET", "/a?b=c", "/a")
            and (request.rel_url.raw_query_string, request.version, request.keep_alive) == ("b=c", (1, 1), True)
            and request.transport is None
        )
    finally:
        loop.close()


def _servers_can_be_replaced() -> bool:
    begun = []

    async def begin(_: web.Application) -> None:
        begun.append(True)

    async def set_up() -> bool:
        app = web.Application()
        app.on_startup.append(begin)
        runner = Runner(app, lambda: begun)
        await runner.setup()
        return cast("Any", runner.server) is begun and begun == [True]

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(set_up())
    finally:
        loop.close()


def _refuses(data: bytes) -> bool:
    try:
        httptools.HttpRequestParser(_Ignore()).feed_data(data)
    except httptools.HttpParserError:
        return True
    return False


def _odd_requests() -> Iterator[bytes]:
    """Requests that a lenient parser accepts, and that a proxy in front can understand in another way."""
    yield b"GET / HTTP/1.1\nHost: a\n\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"


def _goes_on_after_an_upgrade() -> bool:
    parser = httptools.HttpRequestParser(_Ignore())
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    try:
        parser.feed_data(upgrade + b"GET / HTTP/1.1\r\n")
    except httptools.HttpParserUpgrade as begun:
        parser.feed_data(b"GET / HTTP/1.1\r\n")
        return bool(begun.args[0] == len(upgrade))
    return False


_CHECKS: tuple[tuple[str, Callable[[], bool], str], ...] = (
    ("aiohttp", _requests_can_be_made, "requests can't be made of what another parser has read"),
    ("aiohttp", _servers_can_be_replaced, "AppRunner does not take another server"),
    ("httptools", lambda: all(map(_refuses, _odd_requests())), "its parser is lenient"),
    ("httptools", _goes_on_after_an_upgrade, "its parser does not go on after a request with Upgrade"),
)
