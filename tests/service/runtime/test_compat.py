"""The undocumented names of dependencies that the HTTP side uses work as they are used, and a fault is named."""

import httptools
import pytest
from aiohttp import web

from service.runtime import compat


def test_all_work_in_the_installed_versions() -> None:
    assert compat.check() == []


def test_what_does_not_work_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "RawRequestMessage", lambda *_: None)
    monkeypatch.delattr(web.AppRunner, "_make_server")
    monkeypatch.setattr(compat, "version_of", lambda package: "9.9")
    assert compat.check() == [
        "aiohttp 9.9 is not supported: requests can't be made of what another parser has read",
        "aiohttp 9.9 is not supported: AppRunner does not take another server",
    ]


class Lenient:
    """A parser that takes everything."""

    def __init__(self, _: object) -> None:
        """Whatever it is made for."""

    def feed_data(self, data: bytes) -> None:
        """Nothing is refused."""


def test_a_lenient_parser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httptools, "HttpRequestParser", Lenient)
    assert [fault.partition(": ")[2] for fault in compat.check()] == [
        "its parser is lenient",
        "its parser does not go on after a request with Upgrade",
    ]
