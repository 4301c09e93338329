"""Which headers of requests a service reads, as it reads them."""

from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from service.http.request_reader import RequestReader


class ReadHeaders(CIMultiDict[str]):
    """Headers that know which of them have been asked for."""

    asked: set[str]

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def getall(self, key: str, default: Any = ()) -> Any:
        self.asked.add(key)
        return super().getall(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


class ReadFields(dict[bytes, bytes]):
    """The same of the fields of a head."""

    asked: set[str]

    def get(self, key: bytes, default: Any = None) -> Any:
        self.asked.add(key.decode())
        return super().get(key, default)

    def __getitem__(self, key: bytes) -> bytes:
        self.asked.add(key.decode())
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(bytes(key).decode() if isinstance(key, bytes) else str(key))
        return super().__contains__(key)


def read_by_handlers(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the headers that handlers read from now on, spelled as they ask for them."""
    asked: set[str] = set()

    def headers(request: web.BaseRequest) -> ReadHeaders:
        read = ReadHeaders(request._message.headers)
        read.asked = asked
        return read

    monkeypatch.setattr(web.BaseRequest, "headers", property(headers))
    return asked


def read_from_heads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the headers that are read from heads from now on, in lower case."""
    asked: set[str] = set()
    complete = RequestReader.on_headers_complete

    def watched(reader: RequestReader) -> None:
        fields = ReadFields(reader._fields)
        fields.asked = asked
        reader._fields = fields
        complete(reader)

    monkeypatch.setattr(RequestReader, "on_headers_complete", watched)
    return asked
