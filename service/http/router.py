"""Finds the route of a request target. Pure.

Paths are compared in the form in which they were sent, segment by segment. A process ID can contain any character,
escaped or not, and cannot change the route. Routes are declared as in aiohttp, with at most one parameter, which is the
second segment: `/status`, `/status/{process_id}`, `/status/{process_id}/events`.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler

from service.api.parameters import PROCESS_ID
from service.errors import BadParameter
from service.runtime.remembered import Remembered
from service.telemetry.logs.request_log import escaped

_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.]+\])(?::[0-9]*)?")

UNMATCHED = "unmatched"
"""The name in metrics and logs of requests without a route."""

MAX_REMEMBERED_BYTES = 1024 * 1024
"""The limit for targets that a router remembers: 4,096 short ones, which take four times as much memory."""


class Target:
    """A parsed request target. `route` is None if there is no route for it. `value` is the value of the route's
    parameter, percent-encoded as in the request; `process_id` is the decoded value, "" if it is no ID. Logs and metrics
    show `escaped_url` and `label`.
    """

    __slots__ = ("escaped_url", "is_path", "label", "path", "process_id", "query", "raw", "route", "value")

    def __init__(self, raw: str, path: str, query: str, route: "web.RouteDef | None", value: str) -> None:
        self.raw = raw
        self.path = path
        self.is_path = path[:1] == "/"
        self.query = query
        self.route = route
        self.value = value
        self.label = UNMATCHED if route is None else route.path
        self.process_id = _process_id(value) if "%" in value else value
        self.escaped_url = escaped(f"{path}?{query}" if query else path)

    @property
    def handler(self) -> Handler:
        """The handler of the route, which must not be None."""
        assert self.route is not None  # noqa: S101 - the caller has looked
        return self.route.handler


def methods_of(route: web.RouteDef) -> tuple[str, ...]:
    """The methods of a route."""
    return ("GET", "HEAD") if route.kwargs.get("allow_head", True) else ("GET",)


def _process_id(value: str) -> str:
    try:
        return PROCESS_ID.read(value)
    except BadParameter:
        return ""


def is_host(text: str) -> bool:
    """Whether this is a valid host, with or without a port (RFC 9112, 3.2)."""
    return _HOST.fullmatch(text) is not None


def split_target(target: str) -> tuple[str, str]:
    """The path and the query of a request target. An absolute one without a path means `/`; a fragment is dropped.

    A text that is neither absolute nor a path is returned unchanged.
    """
    if target[:1] != "/":
        origin = _ABSOLUTE.match(target)
        if origin is None or not origin[1] or not is_host(origin[1]):
            return target, ""
        target = target[origin.end() :]
        if target[:1] != "/":
            target = "/" + target
    path, mark, query = target.partition("?")
    return (path, query.partition("#")[0]) if mark else (path.partition("#")[0], "")


class Router:
    """The routes of one server."""

    def __init__(self, routes: Iterable[web.RouteDef]) -> None:
        self.routes = tuple(routes)
        self._routes = {_shape(route.path): route for route in self.routes}
        self.targets = Remembered(self._read, MAX_REMEMBERED_BYTES, lambda raw, _: len(raw) + 256)
        """Parsed request targets by their bytes, because nearly all clients send the same ones again and again."""

    def _read(self, raw: bytes) -> Target:
        text = raw.decode("utf-8", "surrogateescape")
        path, query = split_target(text)
        first, _, rest = path[1:].partition("/")
        value, slash, last = rest.partition("/")
        if "%" in path:
            first, last = unquote(first), unquote(last)
        if path[:1] != "/" or (not value and (rest or path[-1:] == "/" != path)):
            return Target(text, path, query, None, "")
        route = self._routes.get((first, "{}" + slash + last if value else ""))
        return Target(text, path, query, route, value)


def _shape(pattern: str) -> tuple[str, str]:
    """`/a` is ("a", ""), `/a/{b}/c` is ("a", "{}/c")."""
    first, _, rest = pattern[1:].partition("/")
    return first, re.sub(r"^\{[^}]*\}", "{}", rest)
