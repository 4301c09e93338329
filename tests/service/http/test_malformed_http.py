"""Whatever bytes come in on a socket: never a 500, never a hang, and nothing of the inside comes out."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.firestore_servers import BackgroundFirestore
from tests.service.raw_http import raw_connection, responses_in
from tests.service.running import RunningService, running_service

INSIDE = (b"Traceback", b"aiohttp", b".py", b"object at 0x", b"Exception", b"firestore_v1", b'File "')
"""What only somebody who has the source should ever see."""

methods = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"get", b"G\x00T", b""])
targets = st.one_of(
    st.sampled_from([b"/", b"/status", b"/status/a", b"*", b"", b"//", b"http://[", b"/%zz", b"/\xff", b"a:b", b"?"]),
    st.binary(max_size=30),
)
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1", b"http/1.1", b"", b"X"])
names = st.sampled_from(
    [
        b"Host",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Connection",
        b"Upgrade",
        b"Expect",
        b"If-None-Match",
        b"Cache-Control",
        b"Content-Encoding",
        b"Prefer",
        b"Bad Name",
        b"",
        b"\xff",
    ]
)
values = st.one_of(
    st.sampled_from(
        [b"0", b"5", b"-1", b"1e9", b"chunked", b"gzip", b"close", b"upgrade", b"100-continue", b"websocket"]
    ),
    st.binary(max_size=20),
)
lines = st.tuples(names, values).map(lambda line: line[0] + b": " + line[1])
ends = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n"])
requests = st.builds(
    lambda method, target, version, headers, end, body: (
        method + b" " + target + b" " + version + end + end.join(headers) + end + end + body
    ),
    methods,
    targets,
    versions,
    st.lists(lines, max_size=4),
    ends,
    st.one_of(
        st.just(b""), st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFF\r\n"]), st.binary(max_size=40)
    ),
)
streams = st.one_of(requests, st.binary(max_size=200), st.lists(requests, min_size=2, max_size=3).map(b"".join))


@pytest.fixture
async def service(
    local_firestore: BackgroundFirestore, project: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningService]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", local_firestore.host)
    async with running_service(local_firestore.host, project, listener="stream") as running:
        yield await running.synced()


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(data=b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
@example(data=b"POST /status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
@example(data=b"GET /status/a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x00\x01")
@example(data=b"CONNECT  HTTP/1.1\r\n\r\n\r\n")
@example(data=b"GET / HTTP/2.0\r\n\r\n")
@example(data=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
@pytest.mark.thorough
@given(data=streams)
async def test_no_bytes_give_a_500_or_a_hang_or_show_the_inside(service: RunningService, data: bytes) -> None:
    async with raw_connection(service.url) as connection:
        await connection.send(data)
        connection.end()
        answer = await connection.all()
    assert not any(word in answer for word in INSIDE), answer
    if data[:4] != b"HEAD" and b"HEAD " not in data:
        responses = responses_in(answer)
        assert answer.count(b"X-Request-Id: ") >= sum(status >= 200 for status, _ in responses)
        for status, body in responses:
            assert status < 500 or (status == 501 and b"Transfer-Encoding" in data), (data, answer)
            if status >= 400:
                assert json.loads(body)["status"] == "error"
    assert b"HTTP/1.1 500" not in answer
