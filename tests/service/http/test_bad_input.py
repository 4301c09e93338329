"""No input of any parameter gives a 500: whatever it is, the answer is one the contract knows."""

from urllib.parse import quote, quote_from_bytes

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.running import RunningService

pytestmark = pytest.mark.thorough

ALLOWED = {200, 304, 400, 404}

texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", ".", "..", "__x__", "a/b", "%", "\x00", "ﬀ", "0", "-1", "1e3", "9" * 30, "2026-11-23", "NaN"]),
    st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?", fullmatch=True),
)
raw = st.one_of(
    texts.map(lambda text: quote(text, safe="", errors="surrogatepass")),
    st.binary(max_size=30).map(lambda data: quote_from_bytes(data, safe="")),
    st.text(alphabet="abc%+=&;:@!$'()*,~-._0123456789", max_size=30),
)
names = st.sampled_from(
    ["limit", "status", "start_date", "end_date", "page_token", "process_id", "include_products", "other", ""]
)
header_text = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
headers = st.fixed_dictionaries(
    {},
    optional={
        "If-None-Match": st.one_of(header_text, st.from_regex(r'"v\d{1,25}(-p)?"', fullmatch=True)),
        "Cache-Control": st.one_of(header_text, st.from_regex(r"max-age=\d{1,12}", fullmatch=True)),
        "X-Request-Id": header_text,
        "Traceparent": header_text,
        "X-Cloud-Trace-Context": header_text,
        "Accept": header_text,
        "Origin": header_text,
        "Authorization": header_text,
        "Expect": st.just("something"),
    },
)

patient = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def _check(running: RunningService, path: str, given_headers: dict[str, str]) -> None:
    reply = await running.get(path, headers=given_headers, timeout=aiohttp.ClientTimeout(10))
    allowed = ALLOWED | {417} if "Expect" in given_headers else ALLOWED
    assert reply.status in allowed, (path, given_headers, reply)
    if reply.status >= 400:
        assert reply.json()["status"] == "error"


@patient
@given(segment=raw, parameters=st.lists(st.tuples(names, raw), max_size=3), given_headers=headers)
async def test_no_status_request_gives_a_500(
    running: RunningService, segment: str, parameters: list[tuple[str, str]], given_headers: dict[str, str]
) -> None:
    query = "&".join(f"{name}={value}" for name, value in parameters)
    await _check(running, f"/status/{segment}?{query}", given_headers)


@patient
@given(parameters=st.lists(st.tuples(names, raw), max_size=4), given_headers=headers)
async def test_no_list_request_gives_a_500(
    running: RunningService, parameters: list[tuple[str, str]], given_headers: dict[str, str]
) -> None:
    query = "&".join(f"{name}={value}" for name, value in parameters)
    await _check(running, f"/status?{query}", given_headers)


@patient
@given(path=raw, method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "ODD"]))
async def test_no_path_and_method_gives_a_500(running: RunningService, path: str, method: str) -> None:
    reply = await running.request(method, f"/{path}")
    assert reply.status < 500
    if reply.status >= 400 and method != "HEAD":
        assert reply.json()["status"] == "error"
