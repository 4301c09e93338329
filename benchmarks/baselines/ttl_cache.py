"""A read-through cache without a listener: aiohttp, the asynchronous client of Firestore, answers kept for 5 s.

`python -m benchmarks.baselines.ttl_cache PORT`, on uvloop, without an access log.
"""

import sys
from collections.abc import Awaitable, Callable

import orjson
import uvloop
from aiohttp import web
from cachetools import TTLCache
from google.cloud.firestore_v1 import AsyncClient

from benchmarks.baselines.documents import body, client_options, collection, newest

TTL_S = 5
ENTRIES = 100_000


class Polls:
    """The handlers and what they remember."""

    def __init__(self) -> None:
        self._firestore = AsyncClient(**client_options())
        self._answers: TTLCache[str, bytes] = TTLCache(ENTRIES, TTL_S)

    async def _answer(self, request: web.Request, read: Callable[[web.Request], Awaitable[bytes]]) -> web.Response:
        answer = self._answers.get(request.path_qs)
        if answer is None:
            answer = self._answers[request.path_qs] = await read(request)
        return web.Response(body=answer, content_type="application/json")

    async def status(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._read_one)

    async def processes(self, request: web.Request) -> web.Response:
        return await self._answer(request, self._read_list)

    async def _read_one(self, request: web.Request) -> bytes:
        document = await collection(self._firestore).document(request.match_info["process_id"]).get()
        if not document.exists:
            raise web.HTTPNotFound
        return orjson.dumps(body(document))

    async def _read_list(self, request: web.Request) -> bytes:
        query = newest(self._firestore, int(request.query.get("limit", 10)), request.query.get("status"))
        rows = [body(document) async for document in query.stream()]
        return orjson.dumps({"processes": rows, "count": len(rows)})


async def application() -> web.Application:
    """Made on the loop: the client of Firestore belongs to it."""
    polls = Polls()
    app = web.Application()
    app.add_routes([web.get("/status/{process_id}", polls.status), web.get("/status", polls.processes)])
    return app


def main() -> None:
    loop = uvloop.new_event_loop()
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
