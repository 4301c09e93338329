"""The control port: the faults API over HTTP, for tests that run the server as a separate program.

`POST /faults/{name}` with the method's arguments as a JSON object (status codes by name) → `{"id": …|null, "name",
"hits"}`; `GET /faults` lists the faults in force; `DELETE /faults/{id}` and `DELETE /faults` release them. `GET /stats`
counts calls, documents returned, commits and streams.

There is no access control, so it listens on 127.0.0.1. It refuses what a web page in a browser on this machine could
send: another Host (a name that was made to resolve to 127.0.0.1), any Origin, a body that is not declared as JSON.
"""

import inspect
import itertools
import json
import re
from typing import Any, Self

import grpc
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from service.local_firestore.fault import Fault
from service.local_firestore.faults import Faults
from service.local_firestore.server import LocalFirestore

_METHODS = (
    "end_streams",
    "stall_streams",
    "send_existence_filter",
    "send_reset",
    "remove_targets",
    "expire_tokens",
    "drop_deltas",
    "fail_calls",
    "delay_calls",
    "hold_calls",
    "hold_answers",
    "refuse_connections",
    "accept_connections",
)


class ControlPort:
    """An async context manager. `url` is its address."""

    def __init__(self, server: LocalFirestore, port: int = 0, address: str = "127.0.0.1") -> None:
        self._server = server
        self._address = address
        self._port = port
        self._faults: dict[int, Fault] = {}
        self._ids = itertools.count(1)
        app = web.Application(middlewares=[self._refuse_web_pages])
        app.add_routes(
            [
                web.post("/faults/{name}", self._start),
                web.get("/faults", self._list),
                web.delete("/faults", self._release_all),
                web.delete("/faults/{id}", self._release),
                web.get("/stats", self._stats),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        return f"http://{self._address}:{self._port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._address, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _refuse_web_pages(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = re.sub(r":\d+$", "", request.headers.get(hdrs.HOST, "").lower())
        if host not in {self._address, "localhost", "127.0.0.1", "[::1]"}:
            return _error(403, f"the control port is not '{host}': ask {self.url}")
        if hdrs.ORIGIN in request.headers:
            return _error(403, "the control port takes no requests from web pages")
        if request.body_exists and request.content_type != "application/json":
            return _error(415, "send the arguments as JSON, with Content-Type: application/json (curl --json '{}')")
        return await handler(request)

    async def _start(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _METHODS:
            return _error(404, f"{name} is none of {', '.join(_METHODS)}")
        try:
            arguments = json.loads(await request.text() or "{}")
            result = _bound(self._server.faults, name, arguments)
            if inspect.isawaitable(result):
                result = await result
        except (TypeError, ValueError, KeyError) as wrong:
            return _error(400, f"{type(wrong).__name__}: {wrong}")
        if not isinstance(result, Fault):
            return web.json_response({"id": None, "name": name, "hits": result})
        fault_id = next(self._ids)
        self._faults[fault_id] = result
        return web.json_response(_shown(fault_id, result))

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(
            [_shown(number, each) for number, each in self._faults.items() if not each.released.is_set()]
        )

    async def _release(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        fault = self._faults.pop(int(number), None) if number.isdecimal() else None
        if fault is None:
            return _error(404, f"there is no fault {number}")
        fault.release()
        return web.json_response({"name": fault.name, "hits": fault.hits})

    async def _release_all(self, request: web.Request) -> web.Response:
        self._faults.clear()
        self._server.faults.release_all()
        await self._server.faults.accept_connections()
        return web.json_response({})

    async def _stats(self, request: web.Request) -> web.Response:
        server = self._server
        return web.json_response(
            {
                "host": server.host,
                "streams": len(server.listening.streams),
                "calls": server.calls,
                "documents_read": server.documents_read,
                "commits": sum(database.commits for database in server.store.databases.values()),
            }
        )


def _bound(faults: Faults, name: str, arguments: dict[str, Any]) -> Any:
    """Call the method with arguments from JSON. Raises TypeError, ValueError or KeyError for wrong ones."""
    method = getattr(faults, name)
    if "code" in arguments:
        arguments["code"] = grpc.StatusCode[arguments["code"]]
    bound = inspect.signature(method).bind(**arguments)
    return method(*bound.args, **bound.kwargs)


def _shown(number: int, fault: Fault) -> dict[str, Any]:
    return {"id": number, "name": fault.name, "hits": fault.hits, "released": fault.released.is_set()}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
