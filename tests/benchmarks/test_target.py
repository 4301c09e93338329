"""What may be loaded, and with what."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.load.target import Refused, Target, ids_of_file, is_loopback, newest_ids
from tests.benchmarks.servers import serving


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_this_machine_may_be_loaded(host: str) -> None:
    assert Target.of(f"http://{host}:8080").port == 8080


@pytest.mark.parametrize("host", ["status.example.com", "10.0.0.1", "localhost.example.com", "[2001:db8::1]"])
def test_any_other_host_has_to_be_confirmed(host: str) -> None:
    with pytest.raises(Refused, match="--i-may-load-this-host"):
        Target.of(f"https://{host}/")
    assert Target.of(f"https://{host}/", confirmed=True).port == 443


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("127.0.0.1:8080", "not an http"),
        ("ftp://127.0.0.1/", "not an http"),
        ("http://:80/", "not an http"),
        ("http://127.0.0.1:eighty/", "not a port"),
        ("http://me:secret@127.0.0.1/", "credentials"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        Target.of(url)
    assert "secret" not in str(refused.value)


def test_names_are_not_looked_up() -> None:
    assert not is_loopback("loopback.example.com")


def test_every_process_is_polled_with_the_key() -> None:
    target = Target.of("http://127.0.0.1:8080/", api_key="k1")
    assert target.requests(["import-1", "a b"]) == [
        b"GET /status/import-1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: process-status-load\r\n"
        b"Accept: */*\r\nX-API-Key: k1\r\n\r\n",
        b"GET /status/a%20b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: process-status-load\r\n"
        b"Accept: */*\r\nX-API-Key: k1\r\n\r\n",
    ]


def test_a_url_with_a_path_is_asked_for_that_alone() -> None:
    target = Target.of("http://127.0.0.1:8080/status?limit=5")
    assert [request.split(b" ")[1] for request in target.requests(["import-1"])] == [b"/status?limit=5"]


def test_ids_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ids"
    file.write_text("import-1\n\n  import-2  \n")
    assert ids_of_file(file) == ["import-1", "import-2"]
    file.write_text("\n")
    with pytest.raises(Refused, match="names no process"):
        ids_of_file(file)
    with pytest.raises(Refused, match="can't read"):
        ids_of_file(tmp_path / "absent")


async def test_ids_come_from_the_service_where_none_are_given() -> None:
    asked: list[bytes] = []
    body = json.dumps({"processes": [{"process_id": "b"}, {"process_id": "a"}]}).encode()

    async def answer(head: bytes) -> bytes:
        asked.append(head)
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async with serving(answer) as port:
        target = Target.of(f"http://127.0.0.1:{port}", api_key="k1")
        assert await asyncio.to_thread(newest_ids, target) == ["b", "a"]
    assert asked[0].startswith(b"GET /status?limit=100 ")
    assert b"x-api-key: k1" in asked[0].lower()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [(401, b"{}", "answered 401"), (200, b"<html>", "can't list"), (200, b'{"processes":[]}', "lists no process")],
)
async def test_a_service_that_lists_nothing_is_refused(status: int, body: bytes, why: str) -> None:
    async def answer(_: bytes) -> bytes:
        return b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)

    async with serving(answer) as port:
        with pytest.raises(Refused, match=why):
            await asyncio.to_thread(newest_ids, Target.of(f"http://127.0.0.1:{port}"))
