"""The page: `/ui` and its files, read once and served from memory.

The files hold no data, so they need no key: the page reads its data from the API, with its user's key. Only one file is
not static and needs the key: `schema.json`, the description of the answers, which the terminal commands read too.
Browsers revalidate every file by the hash of its content. The document names all modules, so that a browser requests
them at once and not one import after the other. The page loads nothing from any other host, and its
Content-Security-Policy enforces this.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

import orjson
from aiohttp import hdrs, web

from service.api import description
from service.api.contract import read_query
from service.api.etags import content_etag, matches, precondition_failed

PATH = "/ui"
DOCUMENT = "index.html"
_START = '<script src="ui/page.js" type="module">'

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file: its content, and the headers of every answer with it."""

    body: bytes
    headers: dict[str, str]

    def response(self, if_none_match: str, if_match: str) -> web.Response:
        """A 200, or a 304 if the client has it. Raises: HTTPPreconditionFailed if If-Match names another version."""
        if precondition_failed(if_match, self.headers[hdrs.ETAG]):
            raise web.HTTPPreconditionFailed
        if matches(if_none_match, self.headers[hdrs.ETAG]):
            return web.Response(status=304, headers=self.headers)
        return web.Response(body=self.body, headers=self.headers)


class Page:
    """The routes. A request names one of the files that were read at the start, never a path of the file system."""

    def __init__(self, described: description.Description) -> None:
        folder = resources.files(__name__).joinpath("static")
        bodies = {file.name: file.read_bytes() for file in folder.iterdir()}
        bodies[DOCUMENT] = _naming_modules(bodies[DOCUMENT].decode(), bodies)
        files = {name: _static_file(name, body) for name, body in bodies.items()}
        self.open_paths = frozenset({PATH, *(f"{PATH}/{name}" for name in files)})
        """The paths that need no key."""
        name = PurePosixPath(description.PATH).name
        self._files = {**files, name: _static_file(name, orjson.dumps(described.as_json()))}

    def routes(self) -> list[web.RouteDef]:
        """The routes of the document and its files."""
        return [web.get(PATH, self.document), web.get(PATH + "/{file}", self.file)]

    async def document(self, request: web.Request) -> web.Response:
        """The page itself. Filters are in the URL's fragment, which browsers never send."""
        return self._answer(request, DOCUMENT)

    async def file(self, request: web.Request) -> web.Response:
        """A script, a style sheet, an icon."""
        return self._answer(request, request.rel_url.name)

    def _answer(self, request: web.Request, name: str) -> web.Response:
        read_query(request.rel_url.raw_query_string, ())
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        return file.response(request.headers.get(hdrs.IF_NONE_MATCH, ""), request.headers.get(hdrs.IF_MATCH, ""))


def _naming_modules(document: str, names: Iterable[str]) -> bytes:
    """The document with a preload of each module before the script that imports them."""
    modules = sorted(name for name in names if name.endswith(".js") and f'src="{PATH[1:]}/{name}"' not in document)
    links = "".join(f'<link rel="modulepreload" href="{PATH[1:]}/{name}">\n' for name in modules)
    return document.replace(_START, links + _START, 1).encode()


def _static_file(name: str, body: bytes) -> StaticFile:
    content_type = _CONTENT_TYPES[PurePosixPath(name).suffix]
    return StaticFile(body, {hdrs.CONTENT_TYPE: content_type, hdrs.ETAG: content_etag(body), **SECURITY_HEADERS})
